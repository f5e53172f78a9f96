//! The bounds of HTTP/1 hold for HTTP/2 too: each is reached, counted, and leaves the rest working.

use std::time::Duration;

use bytes::Bytes;
use h2::Reason;
use hyper::{HeaderMap, Request};
use lyceum_proxy::{Config, Http2, Limits, RouteAccess};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::{
    Connection,
    raw::{GOAWAY, HEADERS, Raw, frame, get},
    read, request, start, write,
};
use crate::{
    support::{Server, TestProxy, read_head, route, soon, until},
    telling::Lines,
};

const SHORT: Duration = Duration::from_millis(300);

/// Everything else is far too long for a test to wait for.
fn patient() -> Limits {
    let long = Duration::from_secs(600);
    Limits {
        header_read: long,
        first_byte: long,
        idle: long,
        half_closed: long,
        slow_grace: long,
        ..Limits::default()
    }
}

async fn with(server: &Server, limits: Limits) -> TestProxy {
    start(server, Http2::default(), limits).await
}

fn assert_counted(proxy: &TestProxy, line: &str) {
    let metrics = proxy.metrics();
    assert!(metrics.contains(line), "{line} is not in\n{metrics}");
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
async fn many_or_large_headers_get_431() {
    let server = Server::ok().await;
    let limits = Limits {
        header_count: 10,
        header_bytes: 4_096,
        ..Limits::default()
    };
    let proxy = with(&server, limits).await;
    let mut connection = Connection::new(&proxy).await;
    let asked = |count: usize, length: usize| {
        let mut asked = request("GET", "/open/");
        for number in 0..count {
            let name = format!("x-{number}").parse::<hyper::header::HeaderName>();
            let value = "v".repeat(length).parse().unwrap();
            asked.headers_mut().append(name.unwrap(), value);
        }
        asked
    };
    assert_eq!(connection.ask(asked(8, 1)).await.status(), 200);
    assert_eq!(connection.ask(asked(11, 1)).await.status(), 431);
    assert_counted(&proxy, "lyceum_proxy_limits_total{limit=\"headers\"} 1");
    assert_eq!(connection.ask(asked(1, 5_000)).await.status(), 431);
    assert_counted(&proxy, "lyceum_proxy_limits_total{limit=\"headers\"} 2");
    assert_eq!(connection.get("/open/").await.0, 200);
    // Far beyond what is read the codec ends the connection, without taking it in.
    let (huge, _) = connection.send(asked(4, 8_000), true).await;
    assert!(soon("the end", huge).await.is_err());
    until("it to be counted", || {
        proxy
            .metrics()
            .contains("lyceum_proxy_http2_protocol_errors_total 1")
    })
    .await;
    assert_eq!(server.count(), 2, "one was sent on");
    let mut connection = Connection::new(&proxy).await;
    assert_eq!(connection.get("/open/").await.0, 200);
}

#[tokio::test]
async fn large_bodies_get_413_by_kind_of_route() {
    let server = Server::ok().await;
    for (path, kind) in [("/hub/", 0), ("/user/ada/", 1), ("/open/", 2)] {
        let most = |this| if kind == this { 1_000 } else { 0 };
        let limits = Limits {
            body_bytes_hub: most(0),
            body_bytes_servers: most(1),
            body_bytes_open: most(2),
            ..Limits::default()
        };
        let proxy = with(&server, limits).await;
        proxy.access.allow("s", "ada");
        let mut connection = Connection::new(&proxy).await;
        let before = server.count();
        let put = |path: &str, length: Option<usize>| {
            let mut asked = request("PUT", path);
            let headers = asked.headers_mut();
            headers.insert("cookie", "lyceum-access=s".parse().unwrap());
            if let Some(length) = length {
                headers.insert("content-length", length.into());
            }
            asked
        };
        for path in ["/hub/", "/user/ada/", "/open/"] {
            let (response, mut send) = connection.send(put(path, Some(1_000)), false).await;
            write(&mut send, Bytes::from(vec![b'x'; 1_000]), true).await;
            assert_eq!(soon("an answer", response).await.unwrap().status(), 200);
        }
        assert_eq!(server.count(), before + 3);
        // Said beforehand, it is never asked for.
        let (response, _send) = connection.send(put(path, Some(1_001)), false).await;
        assert_eq!(soon("an answer", response).await.unwrap().status(), 413);
        // Without a length it shows on the way.
        let (response, mut send) = connection.send(put(path, None), false).await;
        send.send_data(Bytes::from(vec![b'x'; 1_500]), false)
            .unwrap();
        assert_eq!(soon("an answer", response).await.unwrap().status(), 413);
        assert_eq!(server.count(), before + 3, "{path}: it was sent on");
        assert_counted(&proxy, "lyceum_proxy_limits_total{limit=\"body_bytes\"} 2");
        // The connection goes on.
        assert_eq!(connection.get("/_chp_healthz").await.0, 200);
    }
}

#[tokio::test]
async fn connections_in_all_and_from_one_address_are_bounded() {
    let server = Server::ok().await;
    let limits = Limits {
        connections_per_client: 2,
        ..Limits::default()
    };
    let proxy = with(&server, limits).await;
    let mut open = Vec::new();
    for _ in 0..2 {
        let mut connection = Connection::new(&proxy).await;
        assert_eq!(connection.get("/open/").await.0, 200);
        open.push(connection);
    }
    let mut third = proxy.connect().await;
    let (answer, _) = third.read_rest().await;
    assert!(answer.starts_with(b"HTTP/1.1 503"));
    assert_counted(&proxy, "lyceum_proxy_connections_over_limit_total 1");
    drop(open);

    let limits = Limits {
        connections: 1,
        ..Limits::default()
    };
    let proxy = with(&server, limits).await;
    let mut first = Connection::new(&proxy).await;
    assert_eq!(first.get("/open/").await.0, 200);
    let second = tokio::spawn({
        let address = proxy.address;
        async move {
            let stream = tokio::net::TcpStream::connect(address).await.unwrap();
            let (requests, connection) = h2::client::handshake(stream).await.unwrap();
            let task = tokio::spawn(connection);
            let mut connection = Connection { requests, task };
            connection.get("/open/").await.0
        }
    });
    until("the second to wait", || {
        proxy
            .metrics()
            .contains("lyceum_proxy_connections_waited_total 1")
    })
    .await;
    assert!(!second.is_finished());
    drop(first);
    assert_eq!(soon("the second", second).await.unwrap(), 200);
}

#[tokio::test]
async fn a_head_that_never_ends_is_cut() {
    let server = Server::ok().await;
    let limits = Limits {
        header_read: SHORT,
        ..patient()
    };
    let proxy = with(&server, limits).await;
    // Its headers are to be continued, and never are.
    let mut client = Raw::new(&proxy).await;
    client.send(&frame(HEADERS, 1, 1, &get("/open/"))).await;
    client.find(&[GOAWAY]).await;
    assert!(client.next().await.is_none() || client.find(&[99]).await.is_none());
    assert_eq!(server.count(), 0);
    until("the connection to be free", || {
        proxy.metrics().contains("lyceum_proxy_connections 0")
    })
    .await;
    // The preface that never comes is counted as a head's time.
    let mut client = proxy.connect().await;
    client.send(b"PRI * HTTP/2.0\r\n\r\nSM").await;
    client.read_rest().await;
    assert_counted(&proxy, "lyceum_proxy_limits_total{limit=\"header_read\"} 1");
}

#[tokio::test]
async fn a_slow_sender_is_cut_and_others_on_its_connection_go_on() {
    let server = listener().await;
    let limits = Limits {
        least_speed: 100_000,
        slow_grace: SHORT,
        ..patient()
    };
    let proxy = with(&server, limits).await;
    let mut connection = Connection::new(&proxy).await;
    let (response, mut send) = connection.send(request("PUT", "/open/"), false).await;
    let trickle = async {
        loop {
            if send.send_data(Bytes::from_static(b"x"), false).is_err() {
                return std::future::pending::<()>().await;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    let end = tokio::select! {
        end = soon("the end", response) => end,
        () = trickle => unreachable!("it waits for ever"),
    };
    assert!(end.is_err(), "{end:?}");
    until("the server to be let go", || server.count() == 1).await;
    assert_counted(&proxy, "lyceum_proxy_limits_total{limit=\"least_speed\"} 1");
    assert_eq!(connection.get("/_chp_healthz").await.0, 200);
}

#[tokio::test]
async fn a_slow_reader_is_cut_and_others_on_its_connection_go_on() {
    let server = Server::raw(|mut stream, seen| async move {
        let head = read_head(&mut stream).await.unwrap_or_default();
        let answer = "HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n";
        stream.write_all(answer.as_bytes()).await.unwrap();
        while stream.write_all(&[7; 65_536]).await.is_ok() {}
        seen.lock().unwrap().push((head, Vec::new()));
    })
    .await;
    let limits = Limits {
        least_speed: 100 << 20,
        slow_grace: SHORT,
        ..patient()
    };
    let proxy = with(&server, limits).await;
    let mut connection = Connection::new(&proxy).await;
    // Its window is never opened again.
    let mut body = connection.ask(request("GET", "/open/")).await.into_body();
    until("the server to be let go", || server.count() == 1).await;
    let end = soon("the reset", async {
        loop {
            match body.data().await {
                // The connection's window is for others too.
                Some(Ok(piece)) => {
                    let _ = body.flow_control().release_capacity(piece.len());
                }
                end => return end,
            }
        }
    })
    .await;
    let error = end.expect("a reset").expect_err("a reset");
    assert_eq!(error.reason(), Some(Reason::CANCEL), "{error}");
    assert_counted(&proxy, "lyceum_proxy_limits_total{limit=\"least_speed\"} 1");
    assert_eq!(connection.get("/_chp_healthz").await.0, 200);
}

#[tokio::test]
async fn a_silent_server_gets_504_and_is_let_go() {
    let server = listener().await;
    let limits = Limits {
        first_byte: SHORT,
        ..patient()
    };
    let proxy = with(&server, limits).await;
    let mut connection = Connection::new(&proxy).await;
    assert_eq!(connection.get("/open/").await.0, 504);
    let counted = "lyceum_proxy_upstream_errors_total{why=\"first_byte\"} 1";
    assert_counted(&proxy, counted);
    until("the server to be let go", || server.count() == 1).await;
    assert_eq!(connection.get("/_chp_healthz").await.0, 200);
}

#[tokio::test]
async fn bodies_that_stand_still_are_cut() {
    // The client's, while the server has not answered.
    let server = listener().await;
    let limits = || Limits {
        idle: SHORT,
        ..patient()
    };
    let proxy = with(&server, limits()).await;
    let mut connection = Connection::new(&proxy).await;
    let (response, mut send) = connection.send(request("PUT", "/open/"), false).await;
    write(&mut send, Bytes::from_static(b"half"), false).await;
    assert!(soon("the end", response).await.is_err());
    assert_counted(&proxy, "lyceum_proxy_limits_total{limit=\"idle\"} 1");
    until("the server to be let go", || server.count() == 1).await;

    // The server's.
    let server = Server::raw(|mut stream, seen| async move {
        let head = read_head(&mut stream).await.unwrap_or_default();
        let answer = "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf";
        stream.write_all(answer.as_bytes()).await.unwrap();
        let _ = stream.read_to_end(&mut Vec::new()).await;
        seen.lock().unwrap().push((head, Vec::new()));
    })
    .await;
    let proxy = with(&server, limits()).await;
    let mut connection = Connection::new(&proxy).await;
    let response = connection.ask(request("GET", "/open/")).await;
    assert_eq!(response.status(), 200);
    assert!(read(response.into_body()).await.is_err(), "it looks whole");
    assert_counted(&proxy, "lyceum_proxy_limits_total{limit=\"idle\"} 1");
    until("the server to be let go", || server.count() == 1).await;
}

#[tokio::test]
async fn the_access_log_and_the_request_id_are_those_of_http1() {
    let lines = Lines::default();
    let _guard = tracing::subscriber::set_default(lines.clone());
    let server = Server::ok().await;
    let config = Config {
        access_log: "full".parse().unwrap(),
        http2: Http2 {
            prior_knowledge: true,
            ..Http2::default()
        },
        ..Config::default()
    };
    let routes = vec![route("/open/", server.address, RouteAccess::Open)];
    let proxy = TestProxy::start(config, server.address, routes).await;
    let mut connection = Connection::new(&proxy).await;
    let mut asked = request("POST", "/open/a%20b?token=S3CRET");
    let headers: &mut HeaderMap = asked.headers_mut();
    headers.insert("cookie", "lyceum-access=S3CRET".parse().unwrap());
    headers.insert("authorization", "token S3CRET".parse().unwrap());
    headers.insert("x-request-id", "forged".parse().unwrap());
    let (response, mut send) = connection.send(asked, false).await;
    write(&mut send, Bytes::from_static(b"abc"), true).await;
    let response = soon("an answer", response).await.unwrap();
    let id = response.headers()["x-request-id"]
        .to_str()
        .unwrap()
        .to_owned();
    read(response.into_body()).await.unwrap();
    assert_eq!(id.len(), 26);
    let (head, _) = server.last();
    let sent_on = crate::support::header(&head, "x-request-id").unwrap();
    assert_eq!((sent_on, head.matches("forged").count()), (id.clone(), 0));
    until("its line", || lines.all().len() == 1).await;
    let line = lines.all().remove(0);
    for part in [
        format!("request={id} "),
        "method=\"POST\" path=\"/open/a%20b\" status=200 bytes_in=3 bytes_out=2 micros=".into(),
        " upstream_micros=".into(),
        " client=127.0.0.1 kind=\"Open\"".into(),
    ] {
        assert!(line.contains(&part), "{part} is not in {line}");
    }
    // What is refused, and what is answered here, has both as well.
    let refused = connection.ask(request("GET", "/open/../x?S3CRET")).await;
    assert_eq!(refused.status(), 400);
    let id = refused.headers()["x-request-id"]
        .to_str()
        .unwrap()
        .to_owned();
    until("its line", || lines.all().len() == 2).await;
    let line = lines.all().remove(1);
    assert!(line.contains(&id) && line.contains("status=400"), "{line}");
    // Whoever takes a request back.
    let slow = listener().await;
    let routes = vec![route("/open/", slow.address, RouteAccess::Open)];
    let table = lyceum_proxy::RouteTable::new(routes).unwrap();
    proxy.proxy.set_routes(table);
    let (response, mut send) = connection
        .send(
            Request::get("http://lab/open/slow").body(()).unwrap(),
            false,
        )
        .await;
    until("it to arrive", || {
        slow.connections.load(std::sync::atomic::Ordering::SeqCst) == 1
    })
    .await;
    send.send_reset(Reason::CANCEL);
    drop(response);
    until("its line", || lines.all().len() == 3).await;
    let line = lines.all().remove(2);
    assert!(line.contains("path=\"/open/slow\" status=499"), "{line}");
    assert!(lines.all().iter().all(|line| !line.contains("S3CRET")));
}
