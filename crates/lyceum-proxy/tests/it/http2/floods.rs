//! What costs the client nothing must not cost us much: each flood ends its connection, and only it.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};

use h2::Reason;
use lyceum_proxy::{Http2, Limits};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::{
    Connection, plain,
    raw::{
        CONTINUATION, DATA, END_HEADERS, END_STREAM, Frame, GOAWAY, HEADERS, PING, PRIORITY, RESET,
        Raw, SETTINGS, WINDOW, frame, get,
    },
    request, start,
};
use crate::support::{Server, TestProxy, read_head, soon, until};

/// Sends one after the other until the connection ends; gives its last word.
async fn flood(proxy: &TestProxy, before: &[u8], mut next: impl FnMut(u32) -> Vec<u8>) -> Frame {
    let mut client = Raw::new(proxy).await;
    client.send(before).await;
    for round in 0..200 {
        let bytes: Vec<u8> = (0..100).flat_map(|each| next(round * 100 + each)).collect();
        if !client.send(&bytes).await {
            break;
        }
    }
    client.find(&[GOAWAY]).await.expect("a GOAWAY")
}

#[tokio::test]
async fn frames_without_use_are_bounded() {
    let server = Server::ok().await;
    let proxy = plain(&server).await;
    let open = frame(HEADERS, END_HEADERS, 1, &get("/open/"));
    let mut other = Connection::new(&proxy).await;
    type Next = Box<dyn FnMut(u32) -> Vec<u8>>;
    let floods: Vec<(&str, &[u8], Next)> = vec![
        ("ping", &[], Box::new(|_| frame(PING, 0, 0, &[7; 8]))),
        ("ping", &[], Box::new(|_| frame(PING, 1, 0, &[7; 8]))),
        ("settings", &[], Box::new(|_| frame(SETTINGS, 0, 0, &[]))),
        (
            "settings",
            &[],
            // The window of every stream, small and large by turns.
            Box::new(|number| {
                let size = if number % 2 == 0 { 0 } else { 0x7fff };
                let size: u32 = size;
                let value = [&[0, 4][..], &size.to_be_bytes()].concat();
                frame(SETTINGS, 0, 0, &value)
            }),
        ),
        (
            "reset",
            &[],
            Box::new(|number| {
                let stream = 2 * number + 1;
                let head = get("/open/");
                let mut bytes = frame(HEADERS, END_HEADERS | END_STREAM, stream, &head);
                bytes.extend(frame(RESET, 0, stream, &[0, 0, 0, 8]));
                bytes
            }),
        ),
        (
            "priority",
            &[],
            Box::new(|number| frame(PRIORITY, 0, 2 * number + 1, &[0, 0, 0, 0, 1])),
        ),
        (
            "window_update",
            &open,
            Box::new(|_| frame(WINDOW, 0, 0, &[0, 0, 0, 1])),
        ),
        ("unknown", &[], Box::new(|_| frame(0xfa, 0, 0, b"grease"))),
    ];
    for (name, before, next) in floods {
        let bye = flood(&proxy, before, next).await;
        assert_eq!(bye.reason(), u32::from(Reason::ENHANCE_YOUR_CALM), "{name}");
        let is_counted = |frame: &str| {
            let counted = format!("lyceum_proxy_http2_floods_total{{frame=\"{frame}\"}}");
            proxy.metrics().contains(&counted)
        };
        // Resets may be too many before they are looked at, which the codec ends.
        until("it to be counted", || {
            is_counted(name) || name == "reset" && is_counted("any")
        })
        .await;
        assert_eq!(other.get("/open/").await.0, 200, "others go on");
    }
    until("nothing to be left", || {
        let metrics = proxy.metrics();
        metrics.contains("lyceum_proxy_http2_streams 0")
            && metrics.contains("lyceum_proxy_http2_connections 1")
    })
    .await;
    // Of 20,000 requests that were taken back, few came so far as a server.
    assert!(server.count() < 2_000, "{}", server.count());
}

#[tokio::test]
async fn empty_pieces_are_bounded() {
    let server = Server::ok().await;
    let proxy = plain(&server).await;
    let open = frame(HEADERS, END_HEADERS, 1, &get("/open/"));
    for piece in [&b""[..], b"1"] {
        let mut client = Raw::new(&proxy).await;
        client.send(&open).await;
        let bytes: Vec<u8> = (0..100).flat_map(|_| frame(DATA, 0, 1, piece)).collect();
        // What has a byte in it is bounded by the window, if nobody reads it.
        for _ in 0..1_000 {
            if !client.send(&bytes).await {
                break;
            }
        }
        let bye = client.find(&[GOAWAY, RESET]).await.expect("an end");
        assert!(
            bye.reason() == u32::from(Reason::ENHANCE_YOUR_CALM)
                || bye.reason() == u32::from(Reason::FLOW_CONTROL_ERROR)
                || bye.reason() == u32::from(Reason::STREAM_CLOSED),
            "{bye:?}"
        );
    }
}

#[tokio::test]
async fn continuations_without_end_are_bounded() {
    let server = Server::ok().await;
    let proxy = plain(&server).await;
    for more in [&b""[..], &[0x10, 1, b'x', 1, b'y'].repeat(200)] {
        let mut client = Raw::new(&proxy).await;
        client.send(&frame(HEADERS, 0, 1, &get("/open/"))).await;
        for _ in 0..100_000 {
            if !client.send(&frame(CONTINUATION, 0, 1, more)).await {
                break;
            }
        }
        if let Some(bye) = client.find(&[GOAWAY]).await {
            assert_ne!(bye.reason(), u32::from(Reason::NO_ERROR));
        }
    }
    assert_eq!(server.count(), 0);
    assert_eq!(proxy.get("/open/", "").await.status, 200);
}

/// Sends without end and counts what is taken.
async fn endless() -> (Server, Arc<AtomicUsize>) {
    let taken = Arc::new(AtomicUsize::new(0));
    let server = Server::raw({
        let taken = taken.clone();
        move |mut stream, seen| {
            let taken = taken.clone();
            async move {
                let head = read_head(&mut stream).await.unwrap_or_default();
                let answer = "HTTP/1.1 200 OK\r\nContent-Length: 10000000000\r\n\r\n";
                stream.write_all(answer.as_bytes()).await.unwrap();
                let piece = [7; 64 * 1024];
                while let Ok(sent @ 1..) = stream.write(&piece).await {
                    taken.fetch_add(sent, SeqCst);
                }
                seen.lock().unwrap().push((head, Vec::new()));
            }
        }
    })
    .await;
    (server, taken)
}

/// Waits until nothing has moved for a while.
async fn settled(taken: &AtomicUsize) -> usize {
    let (mut last, mut same) = (usize::MAX, 0);
    until("it to settle", || {
        let now = taken.load(SeqCst);
        same = if now == last { same + 1 } else { 0 };
        last = now;
        same > 60 && now > 0
    })
    .await;
    last
}

#[tokio::test]
async fn who_opens_no_window_holds_little() {
    const STREAMS: usize = 20;
    let (server, taken) = endless().await;
    let proxy = plain(&server).await;
    // Its windows are 0 from the beginning.
    let mut client = Raw::with_settings(&proxy, &[0, 4, 0, 0, 0, 0]).await;
    for number in 0..STREAMS as u32 {
        let stream = 2 * number + 1;
        let head = frame(HEADERS, END_HEADERS | END_STREAM, stream, &get("/open/"));
        client.send(&head).await;
    }
    until("all to be there", || {
        server.connections.load(SeqCst) == STREAMS
    })
    .await;
    settled(&taken).await;
    // What is on its way lies in the system's buffers; here it is at most a piece each.
    assert!(
        proxy
            .proxy
            .take_activity()
            .iter()
            .all(|one| one.bytes_out == 0)
    );
    // Windows opened byte by byte give bytes, and end as a flood does.
    let bytes: Vec<u8> = (0..40_000)
        .flat_map(|_| frame(WINDOW, 0, 1, &[0, 0, 0, 1]))
        .collect();
    client.send(&bytes).await;
    let bye = client.find(&[GOAWAY]).await.expect("a GOAWAY");
    assert_eq!(bye.reason(), u32::from(Reason::ENHANCE_YOUR_CALM));
    until("the servers to be let go", || server.count() == STREAMS).await;
}

#[tokio::test]
async fn who_does_not_read_holds_what_the_buffers_hold() {
    let (server, taken) = endless().await;
    let proxy = plain(&server).await;
    let mut builder = h2::client::Builder::new();
    builder
        .initial_window_size(1 << 30)
        .initial_connection_window_size(1 << 30);
    let stream = tokio::net::TcpStream::connect(proxy.address).await.unwrap();
    let (mut requests, connection) = builder.handshake::<_, bytes::Bytes>(stream).await.unwrap();
    let (response, _) = requests
        .send_request(request("GET", "/open/"), true)
        .unwrap();
    // Driven until the answer begins, and never again: nothing is read from the socket.
    let mut connection = Box::pin(connection);
    soon("the answer", async {
        tokio::select! {
            _ = &mut connection => panic!("the connection ended"),
            response = response => assert_eq!(response.unwrap().status(), 200),
        }
    })
    .await;
    settled(&taken).await;
    let moved = proxy.proxy.take_activity();
    let out: u64 = moved.iter().map(|one| one.bytes_out).sum();
    // The system's own buffers for a loopback connection reach some megabytes.
    assert!(out < 32 << 20, "{out}");
    drop(connection);
    until("the server to be let go", || server.count() == 1).await;
}

#[tokio::test]
async fn who_is_silent_is_asked_and_given_up() {
    let server = Server::raw(|mut stream, seen| async move {
        let head = read_head(&mut stream).await.unwrap_or_default();
        let _ = stream.read_to_end(&mut Vec::new()).await;
        seen.lock().unwrap().push((head, Vec::new()));
    })
    .await;
    let http2 = Http2 {
        ping: Duration::from_millis(100),
        ..Http2::default()
    };
    let proxy = start(&server, http2, Limits::default()).await;
    // This one answers pings by itself, and stays.
    let mut lively = Connection::new(&proxy).await;
    let (waiting, _) = lively.send(request("GET", "/open/"), true).await;
    let mut dead = Raw::new(&proxy).await;
    let head = frame(HEADERS, END_HEADERS | END_STREAM, 1, &get("/open/"));
    dead.send(&head).await;
    assert_eq!(dead.find(&[PING]).await.expect("a ping").payload.len(), 8);
    until("it to be given up", || server.count() == 1).await;
    let metrics = proxy.metrics();
    assert!(
        metrics.contains("lyceum_proxy_http2_unanswered_pings_total 1"),
        "{metrics}"
    );
    assert!(metrics.contains("lyceum_proxy_http2_connections 1"));
    drop(waiting);
    until("the other to be let go", || server.count() == 2).await;
}
