//! Messages made to be read in two ways: each is refused, and nothing hidden in one is served.

use std::time::Duration;

use lyceum_proxy::{Config, Limits, RouteAccess};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::support::{Server, TestProxy, header, read_head, route, until};

/// What an attacker wants to be served as a request of its own.
const HIDDEN: &str = "GET /open/smuggled HTTP/1.1\r\nHost: lab\r\n\r\n";

/// Sends `request` with a hidden one behind it; says the status and that the connection was closed
/// without a second answer.
async fn refused(proxy: &TestProxy, name: &str, request: &str, expect: u16) {
    let mut client = proxy.connect().await;
    client.send(format!("{request}{HIDDEN}")).await;
    let (all, _) = client.read_rest().await;
    let text = String::from_utf8_lossy(&all);
    assert!(
        text.starts_with(&format!("HTTP/1.1 {expect} ")),
        "{name}: {text}"
    );
    assert_eq!(text.matches("HTTP/1.1 ").count(), 1, "{name}: {text}");
    assert!(text.contains("connection: close\r\n"), "{name}: {text}");
}

#[tokio::test]
async fn lengths_that_can_be_read_in_two_ways_are_refused() {
    let server = Server::ok().await;
    let proxy = TestProxy::open(server.address).await;
    for (lines, expect) in [
        ("Content-Length: 5\r\nTransfer-Encoding: chunked", 400),
        ("Transfer-Encoding: chunked\r\nContent-Length: 5", 400),
        ("Content-Length: 5\r\nContent-Length: 5", 400),
        ("Content-Length: 5\r\nContent-Length: 0", 400),
        ("Content-Length: 5,5", 400),
        ("Content-Length: +5", 400),
        ("Content-Length: -1", 400),
        ("Content-Length: 0x5", 400),
        ("Content-Length: 5 0", 400),
        ("Content-Length: ", 400),
        ("Content-Length: 18446744073709551621", 400),
        ("Content-Length: 9999999999999999999999", 400),
        ("Content-Length : 5", 400),
        ("Content_Length: 5", 400),
        ("Transfer_Encoding: chunked", 400),
        ("Transfer-Encoding : chunked", 400),
        (" Transfer-Encoding: chunked", 400),
        ("X: 1\r\n Transfer-Encoding: chunked", 400),
        ("X: 1\n Transfer-Encoding: chunked", 400),
        ("X: 1\nTransfer-Encoding: chunked", 400),
        ("X: 1\rTransfer-Encoding: chunked", 400),
        ("Transfer-Encoding:\x0bchunked", 400),
        ("Transfer-Encoding: \x00chunked", 400),
        ("Transfer-Encoding: xchunked", 400),
        ("Transfer-Encoding: chunked, identity", 400),
        ("Transfer-Encoding: identity, chunked", 501),
        ("Transfer-Encoding: gzip, chunked", 501),
        ("Transfer-Encoding: chunked, chunked", 400),
        (
            "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity",
            400,
        ),
        (
            "Transfer-Encoding: identity\r\nTransfer-Encoding: chunked",
            400,
        ),
        (
            "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
            400,
        ),
        ("Transfer-Encoding: \"chunked\"", 400),
        ("Transfer-Encoding: chunked;x=1", 400),
        ("Transfer-Encoding: , chunked", 501),
        ("Transfer-Encoding:", 400),
        ("X: \x7f", 400),
        ("X\x00: 1", 400),
        ("X y: 1", 400),
        (": 1", 400),
        ("no colon", 400),
    ] {
        for method in ["POST", "GET"] {
            let request = format!("{method} /open/ HTTP/1.1\r\nHost: lab\r\n{lines}\r\n\r\n");
            refused(&proxy, lines, &request, expect).await;
        }
    }
    for (line, expect) in [
        (
            "POST /open/ HTTP/1.0\r\nHost: lab\r\nTransfer-Encoding: chunked",
            400,
        ),
        ("GET http://evil/open/ HTTP/1.1\r\nHost: lab", 400),
        ("GET http://lab@evil/open/ HTTP/1.1\r\nHost: lab@evil", 400),
        ("GET http://lab HTTP/1.1\r\nHost: lab", 400),
        ("GET /open/ HTTP/1.1\r\nHost: lab\r\nHost: lab", 400),
        ("GET /open/ HTTP/1.1\r\nHost: lab/hub", 400),
        ("GET /open/ HTTP/1.1\r\nHost: lab, evil", 400),
        ("GET /open/ HTTP/1.1\r\nHost: lab\r\nhost: evil", 400),
        ("GET /open/#x HTTP/1.1\r\nHost: lab", 400),
        ("GET /open/ HTTP/1.2\r\nHost: lab", 400),
        ("GET /open/ HTTP/3.0\r\nHost: lab", 400),
        ("GET /open/\r\nHost: lab", 400),
        ("GET  /open/ HTTP/1.1\r\nHost: lab", 400),
        ("GET\t/open/ HTTP/1.1\r\nHost: lab", 400),
        ("G\u{e9}T /open/ HTTP/1.1\r\nHost: lab", 400),
        ("\r\n\r\nGET /open/ HTTP/1.1\r\nHost: lab", 400),
    ] {
        refused(&proxy, line, &format!("{line}\r\n\r\n"), expect).await;
    }
    assert_eq!(server.count(), 0);
}

#[tokio::test]
async fn a_line_that_ends_in_lf_alone_is_refused_at_once() {
    let server = Server::ok().await;
    let proxy = TestProxy::open(server.address).await;
    for request in [
        "GET /open/ HTTP/1.1\nHost: lab\n\n",
        "GET /open/ HTTP/1.1\r\nHost: lab\r\n\n",
        "GET /open/ HTTP/1.1\r\nHost: lab\n\r\n",
        "\nGET /open/ HTTP/1.1\r\nHost: lab\r\n\r\n",
    ] {
        assert_eq!(proxy.ask(request).await.status, 400, "{request:?}");
    }
    assert_eq!(server.count(), 0);
}

#[tokio::test]
async fn bad_chunks_are_refused_and_what_follows_is_not_read() {
    for chunks in [
        "\r\n",
        "g\r\n",
        "-5\r\nhello\r\n0\r\n\r\n",
        "+5\r\nhello\r\n0\r\n\r\n",
        "0x5\r\nhello\r\n0\r\n\r\n",
        " 5\r\nhello\r\n0\r\n\r\n",
        "5 \r\nhello\r\n0\r\n\r\n",
        "5\nhello\n0\n\n",
        "5\r\nhello!\r\n0\r\n\r\n",
        "5\r\nhello\n0\r\n\r\n",
        "10000000000000005\r\nhello\r\n0\r\n\r\n",
        "ffffffffffffffff\r\nhello\r\n0\r\n\r\n",
        "5;a\nb\r\nhello\r\n0\r\n\r\n",
        "5;\x00\r\nhello\r\n0\r\n\r\n",
        "0\r\nA: 1\nB: 2\r\n\r\n",
        "0\r\n\n",
    ] {
        let server = Server::ok().await;
        let proxy = TestProxy::open(server.address).await;
        let head = "POST /open/ HTTP/1.1\r\nHost: lab\r\nTransfer-Encoding: chunked\r\n\r\n";
        let mut client = proxy.connect().await;
        client.send(format!("{head}{chunks}{HIDDEN}")).await;
        let (all, _) = client.read_rest().await;
        let text = String::from_utf8_lossy(&all);
        assert!(text.starts_with("HTTP/1.1 400 "), "{chunks:?}: {text}");
        assert_eq!(text.matches("HTTP/1.1 ").count(), 1, "{chunks:?}: {text}");
        // The connection that a part of it went to is not used for anybody else.
        assert_eq!(proxy.get("/open/next", "").await.status, 200);
        let (head, _) = server.last();
        assert!(head.starts_with("GET /open/next "), "{head}");
    }
}

#[tokio::test]
async fn extensions_and_trailers_are_bounded_and_do_not_pass() {
    let server = Server::ok().await;
    let proxy = TestProxy::open(server.address).await;
    let head = "POST /open/ HTTP/1.1\r\nHost: lab\r\nTransfer-Encoding: chunked\r\n\r\n";
    let answer = proxy
        .ask(format!("{head}5;a=\"0\r\n0\r\n\r\n{HIDDEN}"))
        .await;
    assert_eq!(answer.status, 400, "a quoted line end is a line end");
    let answer = proxy
        .ask(format!("{head}5;name=value\r\nhello\r\n0\r\n\r\n"))
        .await;
    assert_eq!(answer.status, 200);
    assert_eq!(server.last().1, b"hello");
    for flood in [
        format!("5;{}\r\nhello\r\n0\r\n\r\n", "x".repeat(10_000)),
        format!(
            "{}0\r\n\r\n",
            "1;xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\r\ny\r\n".repeat(2_000)
        ),
        format!("0\r\n{}\r\n", "A: 1\r\n".repeat(10_000)),
        format!("0\r\nA: {}\r\n\r\n", "x".repeat(100_000)),
    ] {
        let before = server.count();
        let mut client = proxy.connect().await;
        // The answer may come while it is still being sent.
        let _ = client
            .0
            .write_all(format!("{head}{flood}").as_bytes())
            .await;
        let head = client.head().await;
        assert!(head.starts_with("HTTP/1.1 400"), "{head}");
        assert_eq!(server.count(), before);
    }
}

/// Takes whole chunked requests as they are on the wire, trailers and all.
async fn recorder() -> Server {
    Server::raw(|mut stream, seen| async move {
        while let Some(head) = read_head(&mut stream).await {
            let mut body = Vec::new();
            while header(&head, "transfer-encoding").is_some() && !body.ends_with(b"\r\n\r\n") {
                match stream.read_u8().await {
                    Ok(byte) => body.push(byte),
                    Err(_) => return,
                }
            }
            seen.lock().unwrap().push((head, body));
            let answer = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2;x=1\r\nok\r\n0\r\nX-Sum: 7\r\nContent-Length: 9\r\nSet-Cookie: lyceum-access=evil\r\nConnection: x\r\n\r\n";
            if stream.write_all(answer.as_bytes()).await.is_err() {
                return;
            }
        }
    })
    .await
}

#[tokio::test]
async fn trailers_cannot_bring_in_headers() {
    let server = recorder().await;
    let proxy = TestProxy::open(server.address).await;
    let mut client = proxy.connect().await;
    client
        .send("POST /open/ HTTP/1.1\r\nHost: lab\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nX-Sum: 1\r\nContent-Length: 9\r\nTransfer-Encoding: chunked\r\nHost: evil\r\nX-Lyceum-User: root\r\nX-Forwarded-For: 1.2.3.4\r\nx_forwarded_for: 1.2.3.4\r\nCookie: a=1\r\nAuthorization: token x\r\nConnection: close\r\n\r\n")
        .await;
    client.head().await;
    let expect = b"2\r\nok\r\n0\r\nx-sum: 7\r\n\r\n";
    assert_eq!(client.exactly(expect.len()).await, expect);
    assert_eq!(server.last().1, b"5\r\nhello\r\n0\r\nx-sum: 1\r\n\r\n");

    for bad in [
        "X-Sum : 1",
        "X Sum: 1",
        ": 1",
        "none",
        " X: 1",
        "X: 1\r\n folded",
        "X: \x01",
    ] {
        let request = format!(
            "POST /open/ HTTP/1.1\r\nHost: lab\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n{bad}\r\n\r\n"
        );
        assert_eq!(proxy.ask(request).await.status, 400, "{bad:?}");
    }
    assert_eq!(server.count(), 1);
}

#[tokio::test]
async fn requests_sent_ahead_are_served_in_turn_until_one_is_wrong() {
    let server = Server::ok().await;
    let proxy = TestProxy::open(server.address).await;
    let mut client = proxy.connect().await;
    let good = "POST /open/1 HTTP/1.1\r\nHost: lab\r\nContent-Length: 5\r\n\r\nhelloPOST /open/2 HTTP/1.1\r\nHost: lab\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nworld\r\n0\r\n\r\nGET /open/3 HTTP/1.1\r\nHost: lab\r\n\r\n";
    let bad = "GET /open/4 HTTP/1.1\r\nHost: lab\r\nContent-Length: x\r\n\r\n";
    client.send(format!("{good}{bad}{HIDDEN}")).await;
    let (all, _) = client.read_rest().await;
    let text = String::from_utf8_lossy(&all);
    let statuses: Vec<&str> = text
        .match_indices("HTTP/1.1 ")
        .map(|(at, _)| &text[at + 9..at + 12])
        .collect();
    assert_eq!(statuses, ["200", "200", "200", "400"]);
    let seen = server.seen.lock().unwrap().clone();
    let bodies: Vec<&[u8]> = seen.iter().map(|(_, body)| body.as_slice()).collect();
    assert_eq!(bodies, [&b"hello"[..], b"world", b""]);
}

/// A server that says more than it should must not have the rest taken for the next answer.
#[tokio::test]
async fn what_a_server_sends_too_much_answers_nobody() {
    let evil = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil";
    for answer in [
        evil.to_owned(),
        evil.replace(
            "Content-Length: 2\r\n\r\nok",
            "Transfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
        ),
        evil.replacen(
            "200 OK\r\nContent-Length: 2\r\n\r\nok",
            "304 Not Modified\r\n\r\n",
            1,
        ),
    ] {
        let server = Server::answer_with(answer).await;
        let proxy = TestProxy::open(server.address).await;
        for _ in 0..5 {
            let answer = proxy.get("/open/", "").await;
            assert!(answer.text() != "evil", "{answer:?}");
        }
    }
}

#[tokio::test]
async fn answers_that_can_be_read_in_two_ways_are_not_passed_on() {
    for head in [
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\nok",
        "HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\nok",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: identity\r\n\r\nok",
        "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nX: 1\r\n folded\r\nContent-Length: 2\r\n\r\nok",
        "HTTP/1.1 200 OK\r\nX : 1\r\nContent-Length: 2\r\n\r\nok",
        "HTTP/1.1 200 OK\nContent-Length: 2\n\nok",
        "HTTP/1.1 200 OK\r\nX: \0\r\nContent-Length: 2\r\n\r\nok",
        "HTTP/1.1 99 Low\r\nContent-Length: 2\r\n\r\nok",
        "ICY 200 OK\r\n\r\n",
    ] {
        let server = Server::answer_with(head).await;
        let proxy = TestProxy::open(server.address).await;
        assert_eq!(proxy.get("/open/", "").await.status, 502, "{head:?}");
    }
}

#[tokio::test]
async fn too_many_headers_and_garbage_are_refused_early() {
    let server = Server::ok().await;
    let config = Config {
        limits: Limits {
            header_bytes: 8_192,
            header_read: Duration::from_secs(60),
            ..Limits::default()
        },
        ..Config::default()
    };
    let routes = vec![route("/open/", server.address, RouteAccess::Open)];
    let proxy = TestProxy::start(config, server.address, routes).await;
    let many = "X: 1\r\n".repeat(200);
    assert_eq!(proxy.get("/open/", &many).await.status, 431);
    let named = format!("Connection: {}\r\n", "x,".repeat(1_000));
    assert_eq!(proxy.get("/open/", &named).await.status, 400);
    // A TLS greeting to a plain port, and a head that never ends.
    let mut client = proxy.connect().await;
    client
        .send(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03")
        .await;
    assert!(client.head().await.starts_with("HTTP/1.1 400"));
    let mut client = proxy.connect().await;
    let _ = client.0.write_all(&vec![b'A'; 20_000]).await;
    assert!(client.head().await.starts_with("HTTP/1.1 431"));
    assert_eq!(server.count(), 0);
    until("nothing to be left open", || {
        proxy.metrics().contains("lyceum_proxy_websockets 0")
    })
    .await;
}
