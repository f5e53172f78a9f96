//! The end: what is under way finishes, the rest is cut at the deadline.

use std::{sync::Arc, time::Duration};

use lyceum_proxy::{Config, Limits, RouteAccess};
use tokio::{io::AsyncWriteExt, net::TcpStream, sync::Notify};

use crate::support::{Server, TestProxy, read_head, route, soon, until};

async fn start(server: &Server, drain: Duration) -> TestProxy {
    let config = Config {
        limits: Limits {
            drain,
            ..Limits::default()
        },
        ..Config::default()
    };
    let routes = vec![route("/open/", server.address, RouteAccess::Open)];
    TestProxy::start(config, server.address, routes).await
}

#[tokio::test]
async fn a_request_under_way_is_finished() {
    let go = Arc::new(Notify::new());
    let server = Server::raw({
        let go = go.clone();
        move |mut stream, seen| {
            let go = go.clone();
            async move {
                let head = read_head(&mut stream).await.unwrap();
                seen.lock().unwrap().push((head, Vec::new()));
                go.notified().await;
                let answer = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
                stream.write_all(answer.as_bytes()).await.unwrap();
            }
        }
    })
    .await;
    let mut proxy = start(&server, Duration::from_secs(60)).await;
    let mut idle = proxy.connect().await;
    let mut client = proxy.connect().await;
    client
        .send("GET /open/ HTTP/1.1\r\nHost: lab\r\n\r\n")
        .await;
    until("the request to arrive", || server.count() == 1).await;
    let running = proxy.begin_stop();
    idle.read_rest().await;
    assert!(
        TcpStream::connect(proxy.address).await.is_err(),
        "still listening"
    );
    assert!(!running.is_finished());
    go.notify_one();
    let answer = client.answer().await;
    assert_eq!((answer.status, answer.text().as_str()), (200, "ok"));
    soon("the end", running).await.unwrap();
}

#[tokio::test]
async fn what_does_not_finish_is_cut_at_the_deadline() {
    let server = Server::raw(|mut stream, _| async move {
        let head = read_head(&mut stream).await.unwrap();
        if head.contains("upgrade: chat") {
            let answer =
                "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: chat\r\n\r\n";
            stream.write_all(answer.as_bytes()).await.unwrap();
        }
        read_head(&mut stream).await;
    })
    .await;
    let mut proxy = start(&server, Duration::from_millis(300)).await;
    let mut tunnel = proxy.connect().await;
    tunnel
        .send("GET /open/ HTTP/1.1\r\nHost: lab\r\nConnection: upgrade\r\nUpgrade: chat\r\n\r\n")
        .await;
    tunnel.head().await;
    let mut request = proxy.connect().await;
    request
        .send("GET /open/ HTTP/1.1\r\nHost: lab\r\n\r\n")
        .await;
    until("both to be open", || {
        server.connections.load(std::sync::atomic::Ordering::SeqCst) == 2
    })
    .await;
    let running = proxy.begin_stop();
    soon("the end", running).await.unwrap();
    tunnel.read_rest().await;
    request.read_rest().await;
    assert!(proxy.metrics().contains("lyceum_proxy_connections 0"));
    assert!(proxy.metrics().contains("lyceum_proxy_websockets 0"));
    assert_eq!(proxy.struck("drain"), 2);
    assert!(proxy.proxy.activity_now().is_empty());
}
