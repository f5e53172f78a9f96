//! `torture` once more, where the client's side of a tunnel is a stream of HTTP/2 (RFC 8441).

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering::SeqCst},
};

use futures_util::{SinkExt, StreamExt};
use h2::Reason;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    sync::Notify,
};
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{Message, protocol::Role},
};

use super::{
    Connection, plain,
    websocket::{Side, connect, tunnel},
};
use crate::{
    alone::{alone, resident_kib},
    support::{Server, TestProxy, soon, stands_still, until},
    torture::{PING, PONG, TEXT, frame, switched},
};

async fn opened(connection: &mut Connection) -> Side {
    let (_, side) = tunnel(connection, connect("/open/", "websocket")).await;
    side.expect("a tunnel")
}

async fn no_tunnel_is_left(proxy: &TestProxy) {
    until("the tunnel to end", || {
        let metrics = proxy.metrics();
        metrics.contains("lyceum_proxy_websockets 0")
            && metrics.contains("lyceum_proxy_http2_streams 0")
    })
    .await;
    assert!(proxy.proxy.activity_now().is_empty());
}

async fn echo() -> Server {
    switched(|stream, _| async move {
        let mut socket = WebSocketStream::from_raw_socket(stream, Role::Server, None).await;
        while let Some(Ok(message)) = socket.next().await {
            let is_data = message.is_text() || message.is_binary();
            if is_data && socket.send(message).await.is_err() {
                return;
            }
        }
    })
    .await
}

#[tokio::test]
async fn fragments_sent_byte_by_byte_make_one_message() {
    let server = echo().await;
    let proxy = plain(&server).await;
    let mut connection = Connection::new(&proxy).await;
    let mut side = opened(&mut connection).await;
    let long = "x".repeat(300);
    let message = [
        frame(TEXT, false, true, b"hel"),
        frame(0, false, true, b""),
        frame(PING, true, true, b"are you there"),
        frame(0, false, true, long.as_bytes()),
        frame(0, true, true, b"lo"),
    ]
    .concat();
    for byte in message {
        side.write_all(&[byte]).await.unwrap();
        // A DATA frame of its own.
        tokio::task::yield_now().await;
    }
    let expect = [
        frame(PONG, true, false, b"are you there"),
        frame(TEXT, true, false, format!("hel{long}lo").as_bytes()),
    ]
    .concat();
    let mut got = vec![0; expect.len()];
    soon("the echo", side.read_exact(&mut got)).await.unwrap();
    assert_eq!(got, expect);
}

#[tokio::test]
async fn frames_of_sixteen_mebibytes_pass_both_ways() {
    let server = echo().await;
    let proxy = plain(&server).await;
    let mut connection = Connection::new(&proxy).await;
    let side = opened(&mut connection).await;
    let mut socket = WebSocketStream::from_raw_socket(side, Role::Client, None).await;
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
    let proxy = plain(&server).await;
    let mut connection = Connection::new(&proxy).await;
    let side = opened(&mut connection).await;
    let flood = frame(PING, true, true, b"").repeat(PINGS);
    let expect = frame(PING, true, false, b"").repeat(PINGS);
    let mut got = vec![0; expect.len()];
    let (mut reading, mut writing) = tokio::io::split(side);
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
async fn either_side_may_finish_first() {
    let server = switched(|mut stream, seen| async move {
        let mut rest = Vec::new();
        let first = stream.read_u8().await.unwrap();
        if first == b's' {
            stream.write_all(b"that is all").await.unwrap();
            stream.shutdown().await.unwrap();
        }
        stream.read_to_end(&mut rest).await.unwrap();
        seen.lock().unwrap().push((String::new(), rest));
        if first != b's' {
            stream.write_all(b"that is all").await.unwrap();
        }
    })
    .await;
    let proxy = plain(&server).await;
    let mut connection = Connection::new(&proxy).await;
    for (first, before) in [(b's', 1), (b'c', 3)] {
        let mut side = opened(&mut connection).await;
        side.write_all(&[first]).await.unwrap();
        let mut all = Vec::new();
        if first == b's' {
            soon("the end", side.read_to_end(&mut all)).await.unwrap();
        }
        side.write_all(b"one more thing").await.unwrap();
        side.shutdown().await.unwrap();
        until("the rest to arrive", || server.count() == before + 1).await;
        assert_eq!(server.last().1, b"one more thing");
        soon("the end", side.read_to_end(&mut all)).await.unwrap();
        assert_eq!(all, b"that is all");
    }
    no_tunnel_is_left(&proxy).await;
}

#[tokio::test]
async fn a_reset_on_one_side_ends_the_other() {
    let go = Arc::new(Notify::new());
    let server = switched({
        let go = go.clone();
        move |mut stream, seen| {
            let go = go.clone();
            async move {
                if stream.read_u8().await.is_ok_and(|byte| byte == b'r') {
                    go.notified().await;
                    stream.set_zero_linger().unwrap();
                    return;
                }
                let _ = stream.read_to_end(&mut Vec::new()).await;
                seen.lock().unwrap().push((String::new(), Vec::new()));
            }
        }
    })
    .await;
    let proxy = plain(&server).await;
    let mut connection = Connection::new(&proxy).await;
    let mut side = opened(&mut connection).await;
    side.write_all(b"r").await.unwrap();
    go.notify_one();
    let end = soon("the end", side.read_to_end(&mut Vec::new())).await;
    assert!(end.is_err(), "a reset looks like an end");
    no_tunnel_is_left(&proxy).await;
    drop(side);

    let mut side = opened(&mut connection).await;
    side.write_all(b"hello").await.unwrap();
    side.0.send_reset(Reason::CANCEL);
    until("the server's side to end", || server.count() == 3).await;
    no_tunnel_is_left(&proxy).await;
    // Neither was the connection's end.
    assert_eq!(connection.get("/_chp_healthz").await.0, 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn readers_that_stop_hold_their_senders_back_in_little_memory() {
    if !alone("http2::torture::readers_that_stop_hold_their_senders_back_in_little_memory") {
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
    let proxy = plain(&server).await;
    // No stream takes the window of another.
    let mut builder = h2::client::Builder::new();
    builder.initial_connection_window_size(1 << 30);
    let mut connection = Connection::with(&proxy, &builder).await;
    let before = resident_kib();
    let mut sides = Vec::new();
    for _ in 0..TUNNELS {
        sides.push(opened(&mut connection).await);
    }
    stands_still("the senders to be held back", || sent.load(SeqCst)).await;
    let ahead = sent.load(SeqCst) / TUNNELS;
    assert!(ahead < LENGTH, "nobody was held back");
    let grown = resident_kib().saturating_sub(before);
    println!(
        "{TUNNELS} tunnels that stand still: {grown} KiB more, {ahead} bytes on their way each"
    );
    // As over HTTP/1: three parties' buffers, of which each tunnel may hold one.
    assert!(grown < TUNNELS * 512, "{grown} KiB more");
    for side in &mut sides {
        let mut piece = vec![0; 16 << 10];
        for at in 0..LENGTH / piece.len() {
            soon("more", side.read_exact(&mut piece)).await.unwrap();
            assert!(piece.iter().all(|byte| *byte == at as u8), "out of order");
        }
    }
    drop(sides);
    no_tunnel_is_left(&proxy).await;
}
