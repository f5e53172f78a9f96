//! Bounds: each is reached, says so, and leaves the rest working.

use std::time::{Duration, Instant};

use lyceum_proxy::{Config, Http2, Limits, RouteAccess};
use tokio::{
    io::AsyncReadExt,
    net::{TcpSocket, TcpStream},
};

use crate::support::{Server, TestProxy, dead_address, read_head, route, soon, until};

async fn with_limits(server: &Server, limits: Limits) -> TestProxy {
    let config = Config {
        limits,
        ..Config::default()
    };
    let routes = vec![route("/open/", server.address, RouteAccess::Open)];
    TestProxy::start(config, server.address, routes).await
}

/// Takes requests and never answers; `seen` holds a head when its connection has ended.
async fn silent() -> Server {
    Server::raw(|mut stream, seen| async move {
        let head = read_head(&mut stream).await.unwrap_or_default();
        let mut rest = Vec::new();
        let _ = stream.read_to_end(&mut rest).await;
        seen.lock().unwrap().push((head, rest));
    })
    .await
}

#[tokio::test]
async fn large_headers_get_431() {
    let server = Server::ok().await;
    let proxy = with_limits(
        &server,
        Limits {
            header_bytes: 4_096,
            ..Limits::default()
        },
    )
    .await;
    let fits = format!("X-Large: {}\r\n", "x".repeat(3_000));
    assert_eq!(proxy.get("/open/", &fits).await.status, 200);
    let large = format!(
        "X-Large: {}\r\nAccept: application/json\r\n",
        "x".repeat(5_000)
    );
    let answer = proxy.get("/open/", &large).await;
    assert_eq!(answer.status, 431);
    assert!(answer.text().contains("cookies"), "{}", answer.text());
    let path = format!("/open/{}", "x".repeat(5_000));
    assert_eq!(proxy.get(&path, "").await.status, 431);
    let mut client = proxy.connect().await;
    client
        .send("GET /open/ HTTP/1.1\r\nHost: lab\r\nX-Huge: ")
        .await;
    // Far beyond what is read; the answer may come while it is still being sent.
    let _ = tokio::io::AsyncWriteExt::write_all(&mut client.0, &vec![b'x'; 400_000]).await;
    let head = client.head().await;
    assert!(head.starts_with("HTTP/1.1 431"), "{head}");
}

#[tokio::test]
async fn slow_headers_are_cut() {
    let server = Server::ok().await;
    let proxy = with_limits(
        &server,
        Limits {
            header_read: Duration::from_millis(200),
            ..Limits::default()
        },
    )
    .await;
    let mut client = proxy.connect().await;
    client.send("GET /open/ HTTP/1.1\r\nHost: l").await;
    let (answer, _) = client.read_rest().await;
    assert!(!answer.starts_with(b"HTTP/1.1 200"));
    assert_eq!(server.count(), 0);
    assert_eq!(proxy.struck("header_read"), 1);
}

#[tokio::test]
async fn one_address_cannot_take_every_connection() {
    let server = Server::ok().await;
    let proxy = with_limits(
        &server,
        Limits {
            connections_per_client: 3,
            ..Limits::default()
        },
    )
    .await;
    let mut open = Vec::new();
    for _ in 0..3 {
        let mut client = proxy.connect().await;
        client
            .send("GET /open/ HTTP/1.1\r\nHost: lab\r\n\r\n")
            .await;
        assert_eq!(client.answer().await.status, 200);
        open.push(client);
    }
    let mut fourth = proxy.connect().await;
    let (answer, _) = fourth.read_rest().await;
    assert!(answer.starts_with(b"HTTP/1.1 503"));
    let counted = "lyceum_proxy_connections_over_limit_total";
    assert_eq!(proxy.sample(counted), 1);
    open.clear();
    until("room again", || {
        proxy.metrics().contains("lyceum_proxy_connections 0")
    })
    .await;
    assert_eq!(proxy.get("/open/", "").await.status, 200);
}

#[tokio::test]
async fn connections_beyond_the_total_wait_for_room() {
    let server = Server::ok().await;
    let proxy = with_limits(
        &server,
        Limits {
            connections: 1,
            ..Limits::default()
        },
    )
    .await;
    let mut first = proxy.connect().await;
    first.send("GET /open/ HTTP/1.1\r\nHost: lab\r\n\r\n").await;
    assert_eq!(first.answer().await.status, 200);
    let mut second = proxy.connect().await;
    second
        .send("GET /open/ HTTP/1.1\r\nHost: lab\r\n\r\n")
        .await;
    let waits = tokio::time::timeout(Duration::from_millis(200), read_head(&mut second.0));
    assert!(waits.await.is_err(), "served beyond the limit");
    assert_eq!(proxy.sample("lyceum_proxy_connections_waited_total"), 1);
    drop(first);
    assert_eq!(second.answer().await.status, 200);
}

#[tokio::test]
async fn a_dead_server_is_503_and_a_silent_one_504() {
    let server = silent().await;
    let config = Config {
        limits: Limits {
            first_byte: Duration::from_millis(200),
            ..Limits::default()
        },
        ..Config::default()
    };
    let routes = vec![
        route("/open/", server.address, RouteAccess::Open),
        route("/dead/", dead_address().await, RouteAccess::Open),
    ];
    let proxy = TestProxy::start(config, server.address, routes).await;
    assert_eq!(proxy.get("/dead/x", "").await.status, 503);
    assert_eq!(proxy.get("/open/x", "").await.status, 504);
    let metrics = proxy.metrics();
    assert!(
        metrics.contains("upstream_errors_total{why=\"connect\"} 1"),
        "{metrics}"
    );
    assert!(
        metrics.contains("upstream_errors_total{why=\"first_byte\"} 1"),
        "{metrics}"
    );
    assert!(
        metrics.contains("requests_total{kind=\"Open\",class=\"5xx\"} 2"),
        "{metrics}"
    );
    until("the silent server to be let go", || server.count() == 1).await;
}

#[tokio::test]
async fn a_server_that_takes_no_connection_is_given_up() {
    // Its queue is full, and nobody accepts.
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let server = socket.listen(0).unwrap();
    let address = server.local_addr().unwrap();
    let mut taken = Vec::new();
    let moment = Duration::from_millis(500);
    while let Ok(one) = tokio::time::timeout(moment, TcpStream::connect(address)).await {
        taken.push(one.unwrap());
    }
    let config = Config {
        limits: Limits {
            connect: Duration::from_millis(200),
            ..Limits::default()
        },
        ..Config::default()
    };
    let routes = vec![route("/open/", address, RouteAccess::Open)];
    let proxy = TestProxy::start(config, address, routes).await;
    let began = Instant::now();
    assert_eq!(proxy.get("/open/", "").await.status, 503);
    assert!(began.elapsed() < Limits::default().connect);
    let counted = "lyceum_proxy_upstream_errors_total{why=\"connect_time_out\"}";
    assert_eq!(proxy.sample(counted), 1);
}

/// A proxy that takes HTTP/2 as well, without TLS.
async fn both(server: &Server) -> TestProxy {
    let config = Config {
        http2: Http2 {
            prior_knowledge: true,
            ..Http2::default()
        },
        ..Config::default()
    };
    let routes = vec![route("/open/", server.address, RouteAccess::Open)];
    TestProxy::start(config, server.address, routes).await
}

/// The status, and whether the answer came to its end.
async fn ask_by_http2(proxy: &TestProxy) -> (u16, bool) {
    let stream = TcpStream::connect(proxy.address).await.unwrap();
    let shaken = soon("a handshake", h2::client::handshake(stream)).await;
    let (requests, connection) = shaken.unwrap();
    tokio::spawn(connection);
    let mut requests = soon("room", requests.ready()).await.unwrap();
    let request = hyper::Request::get("http://lab/open/").body(()).unwrap();
    let (answer, _) = requests.send_request(request, true).unwrap();
    // A reset overtakes what was not sent yet, the head too.
    let Ok(answer) = soon("an answer", answer).await else {
        return (0, false);
    };
    let (status, mut body) = (answer.status().as_u16(), answer.into_body());
    while let Some(piece) = soon("a piece", body.data()).await {
        if piece.is_err() {
            return (status, false);
        }
    }
    (status, soon("trailers", body.trailers()).await.is_ok())
}

#[tokio::test]
async fn a_server_may_say_only_so_much_before_its_answer() {
    for (words, status) in [(15, 200), (16, 502)] {
        let answer = "HTTP/1.1 102 Processing\r\n\r\n".repeat(words)
            + "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
        let server = Server::answer_with(answer).await;
        let proxy = both(&server).await;
        let struck = u64::from(status == 502);
        assert_eq!(proxy.get("/open/", "").await.status, status, "{words}");
        assert_eq!(proxy.struck("interim"), struck);
        assert_eq!(ask_by_http2(&proxy).await, (status, true), "{words}");
        assert_eq!(proxy.struck("interim"), 2 * struck);
    }
}

#[tokio::test]
async fn trailers_are_bounded_both_ways() {
    for (bytes, fits) in [(8_000, true), (9_000, false)] {
        let trailers = format!("X-Long: {}\r\n\r\n", "x".repeat(bytes));
        let chunked = format!("Transfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n{trailers}");
        let struck = u64::from(!fits);
        let server = Server::ok().await;
        let proxy = both(&server).await;
        let ask = format!("POST /open/ HTTP/1.1\r\nHost: lab\r\n{chunked}");
        let expect = if fits { 200 } else { 400 };
        assert_eq!(proxy.ask(ask).await.status, expect, "{bytes}");
        assert_eq!(proxy.struck("trailers"), struck);

        let server = Server::answer_with(format!("HTTP/1.1 200 OK\r\n{chunked}")).await;
        let proxy = both(&server).await;
        let mut client = proxy.connect().await;
        let ask = "GET /open/ HTTP/1.1\r\nHost: lab\r\nConnection: close\r\n\r\n";
        client.send(ask).await;
        let (all, _) = client.read_rest().await;
        assert_eq!(all.ends_with(trailers.to_lowercase().as_bytes()), fits);
        assert_eq!(proxy.struck("trailers"), struck);
        assert_eq!(ask_by_http2(&proxy).await.1, fits, "{bytes}");
        assert_eq!(proxy.struck("trailers"), 2 * struck);
    }
}

#[tokio::test]
async fn when_the_client_leaves_the_server_is_let_go() {
    let server = silent().await;
    let proxy = with_limits(&server, Limits::default()).await;
    for request in [
        "GET /open/ HTTP/1.1\r\nHost: lab\r\n\r\n",
        // Its body is on the way, with more to come.
        "POST /open/ HTTP/1.1\r\nHost: lab\r\nContent-Length: 100\r\n\r\nhalf",
        // Something after the request hides the end of the connection from a reader.
        "GET /open/ HTTP/1.1\r\nHost: lab\r\n\r\nGET /open/2 HTTP/1.1\r\n",
    ] {
        let before = server.connections.load(std::sync::atomic::Ordering::SeqCst);
        let ended = server.count();
        let mut client = proxy.connect().await;
        client.send(request).await;
        until("the request to arrive", || {
            server.connections.load(std::sync::atomic::Ordering::SeqCst) > before
        })
        .await;
        drop(client);
        until("the server to be let go", || server.count() > ended).await;
    }
}

#[tokio::test]
async fn a_client_that_leaves_a_frozen_server_mid_upload_is_noticed() {
    let server = Server::raw(|stream, _| async move {
        let _held = stream;
        std::future::pending::<()>().await;
    })
    .await;
    let proxy = with_limits(&server, Limits::default()).await;
    let mut client = proxy.connect().await;
    client
        .send("PUT /open/ HTTP/1.1\r\nHost: lab\r\nContent-Length: 100000000\r\n\r\n")
        .await;
    client.send_until_stuck().await;
    // A plain close would wait behind the bytes that nobody takes; only a reset can be noticed.
    client.0.set_zero_linger().unwrap();
    drop(client);
    until("the connection to be given up", || {
        proxy.metrics().contains("lyceum_proxy_connections 0")
    })
    .await;
}

#[tokio::test]
async fn many_headers_get_431() {
    let server = Server::ok().await;
    let limits = Limits {
        header_count: 10,
        ..Limits::default()
    };
    let proxy = with_limits(&server, limits).await;
    let fits = "X-A: b\r\n".repeat(9);
    assert_eq!(proxy.get("/open/", &fits).await.status, 200);
    let too_many = "X-A: b\r\n".repeat(10);
    assert_eq!(proxy.get("/open/", &too_many).await.status, 431);
    let metrics = proxy.metrics();
    let struck = "lyceum_proxy_limits_total{limit=\"headers\"} 1";
    assert!(metrics.contains(struck), "{metrics}");
}

#[tokio::test]
async fn large_bodies_get_413_where_that_is_bounded() {
    let server = Server::ok().await;
    let config = Config {
        limits: Limits {
            body_bytes_open: 1_000,
            ..Limits::default()
        },
        ..Config::default()
    };
    let routes = vec![route("/open/", server.address, RouteAccess::Open)];
    let proxy = TestProxy::start(config, server.address, routes).await;
    let put = |path: &str, length: usize| {
        let body = "x".repeat(length);
        format!("PUT {path} HTTP/1.1\r\nHost: lab\r\nContent-Length: {length}\r\n\r\n{body}")
    };
    assert_eq!(proxy.ask(put("/open/", 1_000)).await.status, 200);
    assert_eq!(proxy.ask(put("/hub/", 2_000)).await.status, 200);
    assert_eq!(server.count(), 2);
    let answer = proxy.ask(put("/open/", 1_001)).await;
    assert_eq!(answer.status, 413);
    assert!(answer.text().contains("smaller parts"), "{}", answer.text());
    assert_eq!(server.count(), 2, "it was sent on");

    // Of one in chunks the length shows only on the way.
    let mut client = proxy.connect().await;
    client
        .send("POST /open/ HTTP/1.1\r\nHost: lab\r\nTransfer-Encoding: chunked\r\n\r\n")
        .await;
    for _ in 0..3 {
        client.send(format!("190\r\n{}\r\n", "x".repeat(400))).await;
    }
    assert_eq!(client.answer().await.status, 413);
    let metrics = proxy.metrics();
    let struck = "lyceum_proxy_limits_total{limit=\"body_bytes\"} 2";
    assert!(metrics.contains(struck), "{metrics}");
}
