//! Many requests on few connections cost what they would on connections of their own, and what is
//! held for a client that does not read is bounded by what it was sent.

use std::{sync::Arc, time::Duration};

use h2::Reason;
use lyceum_proxy::Limits;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    sync::Notify,
};

use super::{
    Connection, plain,
    raw::{END_HEADERS, END_STREAM, HEADERS, RESET, Raw, block, frame},
    request, start,
};
use crate::support::{Server, read_head, soon, until};

fn refused(error: &h2::Error) -> bool {
    error.reason() == Some(Reason::REFUSED_STREAM)
}

#[tokio::test]
async fn requests_beyond_the_first_count_as_connections() {
    let go = Arc::new(Notify::new());
    let held = go.clone();
    let server = Server::raw(move |mut stream, seen| {
        let held = held.clone();
        async move {
            let head = read_head(&mut stream).await.unwrap_or_default();
            seen.lock().unwrap().push((head, Vec::new()));
            held.notified().await;
            let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
            stream.write_all(answer).await.unwrap();
        }
    })
    .await;
    for (all, of_one) in [(4, 100), (100, 4)] {
        let limits = Limits {
            connections: all,
            connections_per_client: of_one,
            ..Limits::default()
        };
        let proxy = start(&server, Default::default(), limits).await;
        let mut client = Connection::new(&proxy).await;
        let before = server.count();
        let mut waiting = Vec::new();
        for _ in 0..4 {
            waiting.push(client.send(request("GET", "/open/"), true).await.0);
        }
        until("four to be there", || server.count() == before + 4).await;
        let (fifth, _) = client.send(request("GET", "/open/"), true).await;
        assert!(refused(&soon("a refusal", fifth).await.unwrap_err()));
        let count = "lyceum_proxy_connections_over_limit_total 1";
        assert!(proxy.metrics().contains(count), "{}", proxy.metrics());
        go.notify_waiters();
        for answer in waiting {
            assert_eq!(soon("an answer", answer).await.unwrap().status(), 200);
        }
        // Their places are free again.
        until("no stream to be open", || {
            proxy.metrics().contains("lyceum_proxy_http2_streams 0")
        })
        .await;
        let (again, _) = client.send(request("GET", "/open/"), true).await;
        until("it to be there", || server.count() == before + 5).await;
        go.notify_one();
        assert_eq!(soon("an answer", again).await.unwrap().status(), 200);
    }
}

#[tokio::test]
async fn all_heads_of_a_connection_are_bounded_together() {
    let server = Server::raw(|mut stream, seen| async move {
        let head = read_head(&mut stream).await.unwrap_or_default();
        seen.lock().unwrap().push((head, Vec::new()));
        let _ = stream.read_to_end(&mut Vec::new()).await;
    })
    .await;
    let limits = Limits {
        header_bytes: 16 * 1024,
        ..Limits::default()
    };
    let proxy = start(&server, Default::default(), limits).await;
    let mut client = Raw::new(&proxy).await;
    // Said once and then named with one byte each: an indexed field (RFC 7541, section 6.1).
    let large = vec![b'v'; 3_900];
    let mut first = vec![0x40];
    first.extend_from_slice(&block(&[("x-large", &large)])[1..]);
    for number in 0..100_u32 {
        let mut head = super::raw::get("/open/");
        match number {
            0 => head.extend_from_slice(&first),
            // The newest of the table, three times.
            _ => head.extend_from_slice(&[0x80 | 62; 3]),
        }
        let stream = 2 * number + 1;
        client
            .send(&frame(HEADERS, END_HEADERS | END_STREAM, stream, &head))
            .await;
    }
    let reset = client.find(&[RESET]).await.expect("a reset");
    assert_eq!(reset.reason(), u32::from(Reason::REFUSED_STREAM));
    // A mebibyte in all, of nearly 12 KiB each.
    assert!((175..190).contains(&reset.stream), "{}", reset.stream);
}

#[tokio::test]
async fn hints_before_an_answer_are_few() {
    let server = Server::raw(|mut stream, _| async move {
        read_head(&mut stream).await;
        let hint = format!(
            "HTTP/1.1 103 Early Hints\r\nlink: <{}>\r\n\r\n",
            "a".repeat(4_000)
        );
        for _ in 0..10 {
            stream.write_all(hint.as_bytes()).await.unwrap();
        }
        let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
        stream.write_all(answer).await.unwrap();
        let _ = stream.read_to_end(&mut Vec::new()).await;
    })
    .await;
    let proxy = plain(&server).await;
    let mut client = Raw::new(&proxy).await;
    let head = frame(
        HEADERS,
        END_HEADERS | END_STREAM,
        1,
        &super::raw::get("/open/"),
    );
    client.send(&head).await;
    let mut heads = Vec::new();
    while heads.last().is_none_or(|length| *length > 1_000) {
        heads.push(client.find(&[HEADERS]).await.expect("a head").payload.len());
    }
    assert!(
        (2..=5).contains(&heads.len()),
        "hints and an answer: {heads:?}"
    );
    // In HTTP/1.1 as well.
    let mut client = proxy.connect().await;
    client
        .send("GET /open/ HTTP/1.1\r\nHost: lab\r\n\r\n")
        .await;
    let mut hints = 0;
    while client.head().await.starts_with("HTTP/1.1 103") {
        hints += 1;
    }
    assert!((1..=4).contains(&hints), "{hints}");
}

/// Each byte would be a frame of its own, which takes a hundred times as much.
#[tokio::test]
async fn small_pieces_wait_while_nobody_reads() {
    const BYTES: u64 = 3_000;
    let done = Arc::new(Notify::new());
    let sent = done.clone();
    let server = Server::raw(move |mut stream, _| {
        let sent = sent.clone();
        async move {
            let head = read_head(&mut stream).await.unwrap_or_default();
            let answer = b"HTTP/1.1 200 OK\r\n\r\n";
            stream.write_all(answer).await.unwrap();
            if head.starts_with("GET /open/") {
                let much = vec![b'x'; 64 * 1024];
                while stream.write_all(&much).await.is_ok() {}
                return;
            }
            stream.set_nodelay(true).unwrap();
            for _ in 0..BYTES {
                if stream.write_all(b"x").await.is_err() {
                    return;
                }
                tokio::time::sleep(Duration::from_micros(200)).await;
            }
            sent.notify_one();
            let _ = stream.read_to_end(&mut Vec::new()).await;
        }
    })
    .await;
    let limits = Limits {
        slow_grace: Duration::from_secs(15),
        ..Limits::default()
    };
    let proxy = start(&server, Default::default(), limits).await;
    proxy.access.allow("s", "ada");
    let mut builder = h2::client::Builder::new();
    builder
        .initial_window_size(1 << 30)
        .initial_connection_window_size(1 << 30);
    let stream = TcpStream::connect(proxy.address).await.unwrap();
    let (mut requests, connection) = builder.handshake::<_, bytes::Bytes>(stream).await.unwrap();
    let (much, _) = requests
        .send_request(request("GET", "/open/"), true)
        .unwrap();
    let mut little = request("GET", "/user/ada/");
    let cookie = "lyceum-access=s".parse().unwrap();
    little.headers_mut().insert("cookie", cookie);
    let (little, _) = requests.send_request(little, true).unwrap();
    // Driven until both answers begin, and never again: nothing is read from the socket.
    let mut connection = Box::pin(connection);
    soon("the answers", async {
        tokio::select! {
            _ = &mut connection => panic!("the connection ended"),
            (much, little) = async { tokio::join!(much, little) } => {
                assert_eq!(much.unwrap().status(), 200);
                assert_eq!(little.unwrap().status(), 200);
            }
        }
    })
    .await;
    let out = || -> u64 {
        let moved = proxy.proxy.take_activity();
        let little = moved.iter().filter(|one| one.bytes_out < 1_000_000);
        little.map(|one| one.bytes_out).sum()
    };
    soon("all to be sent", done.notified()).await;
    let passed = out();
    assert!(passed < BYTES / 2, "{passed} small pieces are held");
    // Who takes nothing for so long is let go, though its windows are open.
    until("its connection to be closed", || {
        proxy.metrics().contains("lyceum_proxy_connections 0")
    })
    .await;
    drop(connection);
}
