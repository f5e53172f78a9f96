//! Tunnels under torture: every way a WebSocket's bytes can be cut up, flooded, held back or ended.
//!
//! The proxy never reads frames, so what is asked of it is that bytes arrive as they were sent, that
//! an end on one side is an end on the other, and that nobody's haste fills its memory. The same over
//! HTTP/2 is in `http2::torture`.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};

use futures_util::{SinkExt, StreamExt};
use lyceum_proxy::{Config, Limits, RouteAccess};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    sync::Notify,
};
use tokio_tungstenite::tungstenite::{
    Message, client::IntoClientRequest, handshake::derive_accept_key,
};

use crate::{
    alone::{alone, resident_kib},
    support::{
        Client, Seen, Server, TestProxy, header, read_body, read_head, route, soon, stands_still,
        until,
    },
};

const UPGRADE: &str = "GET /open/ HTTP/1.1\r\nHost: lab\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
const SWITCHED: &str =
    "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";

pub(crate) const TEXT: u8 = 1;
const BINARY: u8 = 2;
pub(crate) const PING: u8 = 9;
pub(crate) const PONG: u8 = 10;

/// A frame (RFC 6455, section 5.2) as clients send it, or as servers do.
pub(crate) fn frame(kind: u8, is_last: bool, from_client: bool, data: &[u8]) -> Vec<u8> {
    let mut bytes = vec![kind | if is_last { 0x80 } else { 0 }];
    let mask_bit = if from_client { 0x80 } else { 0 };
    match data.len() {
        short @ 0..126 => bytes.push(mask_bit | short as u8),
        middle @ 126..65_536 => {
            bytes.push(mask_bit | 126);
            bytes.extend_from_slice(&(middle as u16).to_be_bytes());
        }
        long => {
            bytes.push(mask_bit | 127);
            bytes.extend_from_slice(&(long as u64).to_be_bytes());
        }
    }
    if from_client {
        let mask = [0x12, 0x34, 0x56, 0x78];
        bytes.extend_from_slice(&mask);
        bytes.extend(data.iter().zip(mask.iter().cycle()).map(|(d, m)| d ^ m));
    } else {
        bytes.extend_from_slice(data);
    }
    bytes
}

/// Does the handshake and then what it is told.
pub(crate) async fn switched<F>(
    each: impl Fn(TcpStream, Seen) -> F + Clone + Send + Sync + 'static,
) -> Server
where
    F: Future<Output = ()> + Send + 'static,
{
    Server::raw(move |mut stream, seen| {
        let each = each.clone();
        async move {
            let Some(head) = read_head(&mut stream).await else {
                return;
            };
            // Clients of HTTP/2 have no key, so the proxy makes one and wants it answered.
            let key = header(&head, "sec-websocket-key").unwrap();
            let proof = derive_accept_key(key.as_bytes());
            seen.lock().unwrap().push((head, Vec::new()));
            let line = format!("Sec-WebSocket-Accept: {proof}\r\n\r\n");
            let answer = SWITCHED.trim_end().to_owned() + "\r\n" + &line;
            stream.write_all(answer.as_bytes()).await.unwrap();
            each(stream, seen).await;
        }
    })
    .await
}

async fn upgraded(proxy: &TestProxy) -> Client {
    let mut client = proxy.connect().await;
    client.send(UPGRADE).await;
    let head = client.head().await;
    assert!(head.starts_with("HTTP/1.1 101"), "{head}");
    client
}

async fn no_tunnel_is_left(proxy: &TestProxy) {
    until("the tunnel to end", || {
        let metrics = proxy.metrics();
        metrics.contains("lyceum_proxy_websockets 0")
            && metrics.contains("lyceum_proxy_connections 0")
    })
    .await;
    assert!(proxy.proxy.activity_now().is_empty());
}

#[tokio::test]
async fn fragments_sent_byte_by_byte_make_one_message() {
    let server = Server::raw(|stream, _| async move {
        let mut socket = tokio_tungstenite::accept_async(stream).await.unwrap();
        while let Some(Ok(message)) = socket.next().await {
            if message.is_text() && socket.send(message).await.is_err() {
                return;
            }
        }
    })
    .await;
    let proxy = TestProxy::open(server.address).await;
    let mut client = upgraded(&proxy).await;
    client.0.set_nodelay(true).unwrap();
    let long = "x".repeat(300);
    let message = [
        frame(TEXT, false, true, b"hel"),
        frame(0, false, true, b""),
        // Control frames may come between fragments.
        frame(PING, true, true, b"are you there"),
        frame(0, false, true, long.as_bytes()),
        frame(0, true, true, b"lo"),
    ]
    .concat();
    for byte in message {
        client.send([byte]).await;
        // Gives the proxy a turn, so that it sees one byte at a time.
        tokio::task::yield_now().await;
    }
    let expect = [
        frame(PONG, true, false, b"are you there"),
        frame(TEXT, true, false, format!("hel{long}lo").as_bytes()),
    ]
    .concat();
    assert_eq!(client.exactly(expect.len()).await, expect);
}

#[tokio::test]
async fn a_server_that_writes_byte_by_byte_is_passed_on_as_it_is() {
    let text = Arc::new(
        [
            frame(BINARY, false, false, &[7; 200]),
            frame(0, true, false, &[8; 70]),
        ]
        .concat(),
    );
    let server = switched({
        let text = text.clone();
        move |mut stream, _| {
            let text = text.clone();
            async move {
                stream.set_nodelay(true).unwrap();
                for byte in text.iter() {
                    stream.write_all(&[*byte]).await.unwrap();
                    tokio::task::yield_now().await;
                }
                let _ = stream.read_u8().await;
            }
        }
    })
    .await;
    let proxy = TestProxy::open(server.address).await;
    let mut client = upgraded(&proxy).await;
    assert_eq!(client.exactly(text.len()).await, *text);
}

#[tokio::test]
async fn frames_of_sixteen_mebibytes_pass_both_ways() {
    let server = Server::raw(|stream, _| async move {
        let mut socket = tokio_tungstenite::accept_async(stream).await.unwrap();
        while let Some(Ok(message)) = socket.next().await {
            if message.is_binary() && socket.send(message).await.is_err() {
                return;
            }
        }
    })
    .await;
    let proxy = TestProxy::open(server.address).await;
    let request = format!("ws://{}/open/", proxy.address)
        .into_client_request()
        .unwrap();
    let (mut socket, _) = tokio_tungstenite::connect_async(request).await.unwrap();
    let data: Vec<u8> = (0..16 << 20).map(|at: u32| (at >> 7) as u8).collect();
    let message = Message::binary(data);
    soon("sending", socket.send(message.clone())).await.unwrap();
    let back = soon("the echo", socket.next()).await.unwrap().unwrap();
    assert!(back == message, "it came back changed");
    socket.close(None).await.unwrap();
    drop(socket);
    no_tunnel_is_left(&proxy).await;
}

#[tokio::test]
async fn floods_of_pings_from_both_sides_arrive_whole_and_keep_the_tunnel() {
    const PINGS: usize = 50_000;
    let server = switched(|stream, seen| async move {
        let (mut reading, mut writing) = stream.into_split();
        let flood = frame(PING, true, false, b"").repeat(PINGS);
        let length = frame(PING, true, true, b"").len() * PINGS;
        let mut got = vec![0; length];
        let (sent, read) = tokio::join!(writing.write_all(&flood), reading.read_exact(&mut got));
        sent.unwrap();
        read.unwrap();
        seen.lock().unwrap().push((String::new(), got));
        let mut word = [0; 5];
        reading.read_exact(&mut word).await.unwrap();
        writing.write_all(&word).await.unwrap();
    })
    .await;
    let proxy = TestProxy::open(server.address).await;
    let client = upgraded(&proxy).await;
    let flood = frame(PING, true, true, b"").repeat(PINGS);
    let expect = frame(PING, true, false, b"").repeat(PINGS);
    let mut got = vec![0; expect.len()];
    let (mut reading, mut writing) = client.0.into_split();
    let (sent, read) = soon("both floods", async {
        tokio::join!(writing.write_all(&flood), reading.read_exact(&mut got))
    })
    .await;
    sent.unwrap();
    read.unwrap();
    assert!(got == expect, "the server's pings came changed");
    writing.write_all(b"after").await.unwrap();
    let mut word = [0; 5];
    soon("an answer", reading.read_exact(&mut word))
        .await
        .unwrap();
    assert_eq!(&word, b"after");
    assert!(server.last().1 == flood, "the client's pings came changed");
}

#[tokio::test]
async fn a_server_may_finish_first() {
    let server = switched(|mut stream, seen| async move {
        stream.write_all(b"that is all").await.unwrap();
        stream.shutdown().await.unwrap();
        let mut rest = Vec::new();
        stream.read_to_end(&mut rest).await.unwrap();
        seen.lock().unwrap().push((String::new(), rest));
    })
    .await;
    let proxy = TestProxy::open(server.address).await;
    let mut client = upgraded(&proxy).await;
    let (all, was_reset) = client.read_rest().await;
    assert_eq!((all.as_slice(), was_reset), (&b"that is all"[..], false));
    client.send("one more thing").await;
    client.0.shutdown().await.unwrap();
    until("the rest to arrive", || server.count() == 2).await;
    assert_eq!(server.last().1, b"one more thing");
    no_tunnel_is_left(&proxy).await;
}

#[tokio::test]
async fn a_side_that_never_finishes_after_the_other_is_cut() {
    let config = Config {
        limits: Limits {
            half_closed: Duration::from_millis(200),
            ..Limits::default()
        },
        ..Config::default()
    };
    // Holds its connection until the proxy ends it.
    let server = switched(|mut stream, seen| async move {
        let mut rest = Vec::new();
        let _ = stream.read_to_end(&mut rest).await;
        seen.lock().unwrap().push((String::new(), rest));
        let mut piece = [0; 64];
        while let Ok(()) = stream.write_all(b"still here").await {
            if soon("the end", stream.read(&mut piece)).await.is_err() {
                return;
            }
        }
    })
    .await;
    let routes = vec![route("/open/", server.address, RouteAccess::Open)];
    let proxy = TestProxy::start(config, server.address, routes).await;
    let mut client = upgraded(&proxy).await;
    client.0.shutdown().await.unwrap();
    no_tunnel_is_left(&proxy).await;
    client.read_rest().await;
    assert_eq!(proxy.struck("half_closed"), 1);
}

#[tokio::test]
async fn a_reset_on_one_side_ends_the_other() {
    let go = Arc::new(Notify::new());
    let server = switched({
        let go = go.clone();
        move |mut stream, seen| {
            let go = go.clone();
            async move {
                let mut piece = [0; 64];
                let read = stream.read(&mut piece).await.unwrap_or(0);
                if &piece[..read] == b"reset yourself" {
                    go.notified().await;
                    stream.set_zero_linger().unwrap();
                    return;
                }
                // The client's reset ends this, one way or the other.
                let mut rest = Vec::new();
                let _ = stream.read_to_end(&mut rest).await;
                seen.lock().unwrap().push((String::new(), rest));
            }
        }
    })
    .await;
    let proxy = TestProxy::open(server.address).await;
    let mut client = upgraded(&proxy).await;
    client.send("reset yourself").await;
    go.notify_one();
    client.read_rest().await;
    drop(client);
    no_tunnel_is_left(&proxy).await;

    let mut client = upgraded(&proxy).await;
    client.send("hello").await;
    client.0.set_zero_linger().unwrap();
    drop(client);
    until("the server's side to end", || server.count() == 3).await;
    no_tunnel_is_left(&proxy).await;
}

#[tokio::test]
async fn a_reset_in_the_middle_of_a_write_ends_both() {
    // Each sends without end, and reads nothing.
    let server = switched(|mut stream, seen| async move {
        while stream.write_all(&[7; 65_536]).await.is_ok() {}
        seen.lock().unwrap().push((String::new(), Vec::new()));
    })
    .await;
    let config = Config {
        limits: Limits {
            half_closed: Duration::from_millis(200),
            ..Limits::default()
        },
        ..Config::default()
    };
    let routes = vec![route("/open/", server.address, RouteAccess::Open)];
    let proxy = TestProxy::start(config, server.address, routes).await;
    let mut client = upgraded(&proxy).await;
    client.send_until_stuck().await;
    client.0.set_zero_linger().unwrap();
    drop(client);
    until("the server's side to end", || server.count() == 2).await;
    no_tunnel_is_left(&proxy).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn readers_that_stop_hold_their_senders_back_in_little_memory() {
    if !alone("torture::readers_that_stop_hold_their_senders_back_in_little_memory") {
        return;
    }
    const TUNNELS: usize = 16;
    const LENGTH: usize = 24 << 20;
    let sent = Arc::new(AtomicUsize::new(0));
    let server = switched({
        let sent = sent.clone();
        move |mut stream, _| {
            let sent = sent.clone();
            async move {
                let mut piece = vec![0; 16 << 10];
                for at in 0..LENGTH / piece.len() {
                    piece.fill(at as u8);
                    stream.write_all(&piece).await.unwrap();
                    sent.fetch_add(piece.len(), SeqCst);
                }
            }
        }
    })
    .await;
    let proxy = TestProxy::open(server.address).await;
    let before = resident_kib();
    let mut clients = Vec::new();
    for _ in 0..TUNNELS {
        clients.push(upgraded(&proxy).await);
    }
    stands_still("the senders to be held back", || sent.load(SeqCst)).await;
    let ahead = sent.load(SeqCst) / TUNNELS;
    assert!(ahead < LENGTH, "nobody was held back");
    let grown = resident_kib().saturating_sub(before);
    println!(
        "{TUNNELS} tunnels that stand still: {grown} KiB more, {ahead} bytes on their way each"
    );
    // Three parties' buffers, of which each tunnel may hold one; on their way are megabytes each.
    assert!(grown < TUNNELS * 512, "{grown} KiB more");
    for client in &mut clients {
        let mut piece = vec![0; 16 << 10];
        for at in 0..LENGTH / piece.len() {
            soon("more", client.0.read_exact(&mut piece)).await.unwrap();
            assert!(piece.iter().all(|byte| *byte == at as u8), "out of order");
        }
    }
    drop(clients);
    no_tunnel_is_left(&proxy).await;
}

#[tokio::test]
async fn much_sent_along_with_the_upgrade_and_with_its_answer_arrives() {
    let late: Vec<u8> = (0..100_000_u32).map(|at| (at % 251) as u8).collect();
    let early: Vec<u8> = (0..100_000_u32).map(|at| (at % 241) as u8).collect();
    let server = Server::raw({
        let late = late.clone();
        move |mut stream, seen| {
            let late = late.clone();
            async move {
                let head = read_head(&mut stream).await.unwrap();
                let answer = [SWITCHED.as_bytes(), &late].concat();
                stream.write_all(&answer).await.unwrap();
                let mut got = vec![0; 100_000];
                stream.read_exact(&mut got).await.unwrap();
                seen.lock().unwrap().push((head, got));
            }
        }
    })
    .await;
    let proxy = TestProxy::open(server.address).await;
    let mut client = proxy.connect().await;
    client.send([UPGRADE.as_bytes(), &early].concat()).await;
    assert!(client.head().await.starts_with("HTTP/1.1 101"));
    assert!(client.exactly(late.len()).await == late, "it came changed");
    until("the client's part to arrive", || server.count() == 1).await;
    assert!(server.last().1 == early, "it arrived changed");
}

/// Answers upgrades of `/open/` with these bytes, other requests with `ok`.
async fn refusing(answer: &'static str) -> Server {
    Server::raw(move |mut stream, seen| async move {
        while let Some(head) = read_head(&mut stream).await {
            let body = read_body(&mut stream, &head).await;
            let answer = if head.starts_with("GET /open/ ") {
                answer
            } else {
                "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
            };
            seen.lock().unwrap().push((head, body));
            if stream.write_all(answer.as_bytes()).await.is_err() {
                return;
            }
        }
    })
    .await
}

#[tokio::test]
async fn an_upgrade_answered_otherwise_is_an_answer_and_the_connection_goes_on() {
    for (answer, status) in [
        ("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nbody", 200),
        ("HTTP/1.1 403 No\r\nContent-Length: 4\r\n\r\nbody", 403),
        (
            "HTTP/1.1 404 No\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nbo\r\n2\r\ndy\r\n0\r\n\r\n",
            404,
        ),
    ] {
        let server = refusing(answer).await;
        let proxy = TestProxy::open(server.address).await;
        let mut client = proxy.connect().await;
        client.send(UPGRADE).await;
        let got = client.answer().await;
        assert_eq!((got.status, got.text().as_str()), (status, "body"));
        client
            .send("GET /open/next HTTP/1.1\r\nHost: lab\r\n\r\n")
            .await;
        assert_eq!(client.answer().await.text(), "ok");
        assert_eq!(server.count(), 2);
    }
}

#[tokio::test]
async fn frames_sent_along_with_a_refused_upgrade_reach_nobody() {
    let server = refusing("HTTP/1.1 403 No\r\nContent-Length: 4\r\n\r\nbody").await;
    let proxy = TestProxy::open(server.address).await;
    let mut client = proxy.connect().await;
    let frames = frame(TEXT, true, true, b"hello");
    client.send([UPGRADE.as_bytes(), &frames].concat()).await;
    let got = client.answer().await;
    assert_eq!((got.status, got.text().as_str()), (403, "body"));
    client.0.shutdown().await.unwrap();
    let (rest, _) = client.read_rest().await;
    assert!(rest.starts_with(b"HTTP/1.1 400"), "{rest:?}");
    assert_eq!(server.count(), 1);
}

#[tokio::test]
async fn of_two_upgrades_in_a_row_the_second_belongs_to_the_first_tunnel() {
    let server = switched(|mut stream, _| async move {
        let mut piece = [0; 1024];
        while let Ok(read @ 1..) = stream.read(&mut piece).await {
            stream.write_all(&piece[..read]).await.unwrap();
        }
    })
    .await;
    let proxy = TestProxy::open(server.address).await;
    let mut client = proxy.connect().await;
    client.send(UPGRADE.repeat(2)).await;
    assert!(client.head().await.starts_with("HTTP/1.1 101"));
    assert_eq!(client.exactly(UPGRADE.len()).await, UPGRADE.as_bytes());
    assert_eq!(server.count(), 1, "it was sent as a request of its own");
    assert_eq!(server.connections.load(SeqCst), 1);
}

#[tokio::test]
async fn of_two_upgrades_in_a_row_the_second_is_served_if_the_first_is_refused() {
    // Refuses the first and takes the second.
    let server = Server::raw(|mut stream, seen| async move {
        let Some(head) = read_head(&mut stream).await else {
            return;
        };
        let is_first = {
            let mut seen = seen.lock().unwrap();
            seen.push((head, Vec::new()));
            seen.len() == 1
        };
        if is_first {
            let answer = "HTTP/1.1 404 No\r\nContent-Length: 2\r\n\r\nno";
            stream.write_all(answer.as_bytes()).await.unwrap();
        } else {
            let answer = format!("{SWITCHED}hello");
            stream.write_all(answer.as_bytes()).await.unwrap();
        }
        let _ = stream.read_u8().await;
    })
    .await;
    let proxy = TestProxy::open(server.address).await;
    let mut client = proxy.connect().await;
    client.send(UPGRADE.repeat(2)).await;
    let first = client.answer().await;
    assert_eq!((first.status, first.text().as_str()), (404, "no"));
    assert!(client.head().await.starts_with("HTTP/1.1 101"));
    assert_eq!(client.exactly(5).await, b"hello");
}
