//! Clients that take for ever, in each phase: all are let go in a bounded time, however steadily
//! they trickle, and their servers with them.

use std::time::Duration;

use lyceum_proxy::{Config, Limits, RouteAccess};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpSocket,
};

use crate::support::{Client, Server, TestProxy, read_head, route, soon, until};

const SHORT: Duration = Duration::from_millis(300);
const STEP: Duration = Duration::from_millis(10);

/// Everything else is far too long for a test to wait for.
fn patient() -> Limits {
    let long = Duration::from_secs(600);
    Limits {
        header_read: long,
        first_byte: long,
        idle: long,
        half_closed: long,
        ..Limits::default()
    }
}

async fn start(server: &Server, limits: Limits) -> TestProxy {
    let config = Config {
        limits,
        ..Config::default()
    };
    let routes = vec![route("/open/", server.address, RouteAccess::Open)];
    TestProxy::start(config, server.address, routes).await
}

/// Sends one byte after another, without end; ends when the proxy has ended the connection.
async fn trickle(client: &mut Client, bytes: &[u8]) {
    soon("the trickle to be cut", async {
        for byte in bytes.iter().cycle() {
            let mut answer = [0; 1024];
            let read = tokio::time::timeout(STEP, client.0.read(&mut answer)).await;
            if matches!(read, Ok(Ok(0) | Err(_))) || client.0.write_all(&[*byte]).await.is_err() {
                return;
            }
        }
    })
    .await;
}

async fn all_is_free(proxy: &TestProxy) {
    until("the connection to be free", || {
        proxy.metrics().contains("lyceum_proxy_connections 0")
    })
    .await;
}

/// Reads what comes until its connection ends; `seen` holds it then.
async fn listener() -> Server {
    Server::raw(|mut stream, seen| async move {
        let head = read_head(&mut stream).await.unwrap_or_default();
        let mut rest = Vec::new();
        let _ = stream.read_to_end(&mut rest).await;
        seen.lock().unwrap().push((head, rest));
    })
    .await
}

#[tokio::test]
async fn in_the_head() {
    let server = Server::ok().await;
    let proxy = start(
        &server,
        Limits {
            header_read: SHORT,
            ..patient()
        },
    )
    .await;
    let mut client = proxy.connect().await;
    client.send("GET /open/ HTTP/1.1\r\nHost: lab\r\n").await;
    trickle(&mut client, b"X-A: b\r\n").await;
    assert_eq!(server.count(), 0);
    all_is_free(&proxy).await;
    let metrics = proxy.metrics();
    let struck = "lyceum_proxy_limits_total{limit=\"header_read\"} 1";
    assert!(metrics.contains(struck), "{metrics}");
}

#[tokio::test]
async fn in_the_head_after_others() {
    let server = Server::ok().await;
    let proxy = start(
        &server,
        Limits {
            header_read: SHORT,
            ..patient()
        },
    )
    .await;
    let mut client = proxy.connect().await;
    let request = "GET /open/ HTTP/1.1\r\nHost: lab\r\n\r\n";
    client.send(request).await;
    assert_eq!(client.answer().await.status, 200);
    client.send("GET /open/ HTTP/1.1\r\n").await;
    trickle(&mut client, b"X-A: b\r\n").await;
    assert_eq!(server.count(), 1);
    all_is_free(&proxy).await;
}

#[tokio::test]
async fn between_requests() {
    let server = Server::ok().await;
    let proxy = start(
        &server,
        Limits {
            header_read: SHORT,
            ..patient()
        },
    )
    .await;
    let mut client = proxy.connect().await;
    client
        .send("GET /open/ HTTP/1.1\r\nHost: lab\r\n\r\n")
        .await;
    assert_eq!(client.answer().await.status, 200);
    let (rest, _) = client.read_rest().await;
    assert!(rest.is_empty());
    all_is_free(&proxy).await;
}

#[tokio::test]
async fn in_the_body() {
    for framing in ["Content-Length: 1000000", "Transfer-Encoding: chunked"] {
        let server = listener().await;
        let proxy = start(
            &server,
            Limits {
                least_speed: 10_000,
                slow_grace: SHORT,
                ..patient()
            },
        )
        .await;
        let mut client = proxy.connect().await;
        let head = format!("PUT /open/ HTTP/1.1\r\nHost: lab\r\n{framing}\r\n\r\n");
        client.send(head).await;
        trickle(&mut client, b"1\r\nx\r\n").await;
        until("the server to be let go", || server.count() == 1).await;
        all_is_free(&proxy).await;
        let metrics = proxy.metrics();
        assert!(
            metrics.contains("lyceum_proxy_limits_total{limit=\"least_speed\"} 1"),
            "{metrics}"
        );
    }
}

#[tokio::test]
async fn in_the_body_while_the_answer_is_already_coming() {
    let server = Server::raw(|mut stream, seen| async move {
        let head = read_head(&mut stream).await.unwrap_or_default();
        let answer = "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nearly";
        stream.write_all(answer.as_bytes()).await.unwrap();
        let mut rest = Vec::new();
        let _ = stream.read_to_end(&mut rest).await;
        seen.lock().unwrap().push((head, rest));
    })
    .await;
    let proxy = start(
        &server,
        Limits {
            least_speed: 10_000,
            slow_grace: SHORT,
            ..patient()
        },
    )
    .await;
    let mut client = proxy.connect().await;
    client
        .send("PUT /open/ HTTP/1.1\r\nHost: lab\r\nContent-Length: 1000000\r\n\r\n")
        .await;
    trickle(&mut client, b"x").await;
    until("the server to be let go", || server.count() == 1).await;
    all_is_free(&proxy).await;
}

#[tokio::test]
async fn while_reading_the_answer() {
    let server = Server::raw(|mut stream, seen| async move {
        let head = read_head(&mut stream).await.unwrap_or_default();
        let answer = "HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n";
        stream.write_all(answer.as_bytes()).await.unwrap();
        while stream.write_all(&[7; 65_536]).await.is_ok() {}
        seen.lock().unwrap().push((head, Vec::new()));
    })
    .await;
    let proxy = start(
        &server,
        Limits {
            least_speed: 100 << 20,
            slow_grace: SHORT,
            ..patient()
        },
    )
    .await;
    // Little room, so that little is taken out of the proxy's hands.
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4_096).unwrap();
    let mut client = Client(socket.connect(proxy.address).await.unwrap());
    client
        .send("GET /open/ HTTP/1.1\r\nHost: lab\r\n\r\n")
        .await;
    client.head().await;
    soon("the server to be let go", async {
        while server.count() == 0 {
            let _ = tokio::time::timeout(STEP, client.0.read_u8()).await;
            tokio::time::sleep(STEP).await;
        }
    })
    .await;
    let metrics = proxy.metrics();
    assert!(
        metrics.contains("lyceum_proxy_limits_total{limit=\"least_speed\"} 1"),
        "{metrics}"
    );
    drop(client);
    all_is_free(&proxy).await;
}

#[tokio::test]
async fn events_that_come_seldom_make_no_slow_client() {
    let server = Server::raw(|mut stream, _| async move {
        read_head(&mut stream).await;
        let head =
            "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nContent-Length: 50\r\n\r\n";
        stream.write_all(head.as_bytes()).await.unwrap();
        for _ in 0..50 {
            tokio::time::sleep(STEP).await;
            stream.write_all(b"x").await.unwrap();
        }
    })
    .await;
    let proxy = start(
        &server,
        Limits {
            least_speed: 1 << 20,
            slow_grace: Duration::from_millis(50),
            ..patient()
        },
    )
    .await;
    let answer = proxy.get("/open/", "").await;
    assert_eq!(answer.body, [b'x'; 50]);
}

const UPGRADE: &str =
    "GET /open/ HTTP/1.1\r\nHost: lab\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";

#[tokio::test]
async fn an_upgrade_that_no_server_answers() {
    let server = listener().await;
    let proxy = start(
        &server,
        Limits {
            first_byte: SHORT,
            ..patient()
        },
    )
    .await;
    let mut client = proxy.connect().await;
    // What comes behind the upgrade does not make the server's time longer.
    client.send(UPGRADE).await;
    client.send("early").await;
    assert_eq!(client.answer().await.status, 504);
    until("the server to be let go", || server.count() == 1).await;
}

#[tokio::test]
async fn an_upgrade_whose_head_never_ends() {
    let server = Server::ok().await;
    let proxy = start(
        &server,
        Limits {
            header_read: SHORT,
            ..patient()
        },
    )
    .await;
    let mut client = proxy.connect().await;
    client.send(UPGRADE.trim_end()).await;
    trickle(&mut client, b"\r\nX-A: b").await;
    assert_eq!(server.count(), 0);
    all_is_free(&proxy).await;
}

#[tokio::test]
async fn a_tunnel_that_is_silent_where_that_is_bounded() {
    let server = Server::raw(|mut stream, seen| async move {
        let head = read_head(&mut stream).await.unwrap_or_default();
        let answer =
            "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n";
        stream.write_all(answer.as_bytes()).await.unwrap();
        let mut rest = Vec::new();
        let _ = stream.read_to_end(&mut rest).await;
        seen.lock().unwrap().push((head, rest));
    })
    .await;
    let proxy = start(
        &server,
        Limits {
            websocket_idle: Some(SHORT),
            ..patient()
        },
    )
    .await;
    let mut client = proxy.connect().await;
    client.send(UPGRADE).await;
    assert!(client.head().await.starts_with("HTTP/1.1 101"));
    let (rest, _) = client.read_rest().await;
    assert!(rest.is_empty());
    until("the server to be let go", || server.count() == 1).await;
    all_is_free(&proxy).await;
    assert_eq!(proxy.struck("websocket_idle"), 1);
}
