//! Ordinary requests: what goes on unchanged, what is taken out, and that bodies stream.

use std::sync::Arc;

use lyceum_proxy::{Config, RouteAccess};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    sync::Notify,
};

use crate::support::{Server, TestProxy, header, read_head, route, stands_still};

#[tokio::test]
async fn path_query_and_host_arrive_as_they_were_sent() {
    let server = Server::ok().await;
    let proxy = TestProxy::open(server.address).await;
    for path in [
        "/open/a%20b/%C3%A9?q='x'&y=%27%2f&z=a+b",
        "/open//x/.hidden",
        "/open/%",
        "/open/{a}|\"b\"?{}|",
        "/open/x?",
        "/open/?a=/../b\\c%00",
        "//x/route/y?z",
        "/",
        "/%",
        "/constructor/x",
    ] {
        let request = format!("GET {path} HTTP/1.1\r\nHost: Lab.Example:8000\r\n\r\n");
        assert_eq!(proxy.ask(&request).await.status, 200, "{path}");
        let (head, _) = server.last();
        assert!(
            head.starts_with(&format!("GET {path} HTTP/1.1\r\n")),
            "{head}"
        );
        assert_eq!(header(&head, "host").unwrap(), "Lab.Example:8000");
        assert_eq!(
            header(&head, "x-forwarded-host").unwrap(),
            "Lab.Example:8000"
        );
        assert_eq!(header(&head, "x-forwarded-port").unwrap(), "8000");
        assert_eq!(header(&head, "x-forwarded-proto").unwrap(), "http");
        assert_eq!(header(&head, "x-forwarded-for").unwrap(), "127.0.0.1");
    }
}

#[tokio::test]
async fn hop_by_hop_headers_stay_here() {
    let server = Server::answer_with(
        "HTTP/1.1 200 OK\r\nConnection: x-mine\r\nX-Mine: 1\r\nKeep-Alive: timeout=5\r\nX-Yours: 2\r\nSet-Cookie: a=1\r\nSet-Cookie: b=2\r\nContent-Length: 2\r\n\r\nok",
    )
    .await;
    let proxy = TestProxy::open(server.address).await;
    let answer = proxy
        .get(
            "/open/",
            "Connection: keep-alive, X-Secret, Content-Length, Host\r\nX-Secret: 1\r\nKeep-Alive: 5\r\nProxy-Connection: x\r\nTE: trailers, gzip\r\nX-Other: 2\r\nAuthorization: Basic dTpw\r\nCookie: a=1; b=2\r\n",
        )
        .await;
    let (head, _) = server.last();
    for gone in ["x-secret", "keep-alive", "proxy-connection"] {
        assert_eq!(header(&head, gone), None, "{gone} in {head}");
    }
    assert_eq!(header(&head, "te").unwrap(), "trailers");
    assert_eq!(header(&head, "host").unwrap(), "lab");
    assert_eq!(header(&head, "x-other").unwrap(), "2");
    assert_eq!(header(&head, "authorization").unwrap(), "Basic dTpw");
    assert_eq!(header(&head, "cookie").unwrap(), "a=1; b=2");
    assert_eq!(answer.header("x-mine"), None);
    assert_eq!(answer.header("keep-alive"), None);
    assert_eq!(answer.header("x-yours").unwrap(), "2");
    assert_eq!(answer.head.matches("set-cookie:").count(), 2);
}

#[tokio::test]
async fn only_the_hub_is_told_the_secret_and_nobody_can_forge_our_headers() {
    let (hub, server) = (Server::ok().await, Server::ok().await);
    let config = Config {
        proxy_secret: "s3cret".to_owned().into(),
        ..Config::default()
    };
    let routes = vec![route("/open/", server.address, RouteAccess::Open)];
    let proxy = TestProxy::start(config, hub.address, routes).await;
    let forged = "X-Lyceum-Proxy: forged\r\nX-Lyceum-User: root\r\nX_Lyceum_User: root\r\nX-Request-Id: forged\r\nX-Forwarded-For: 1.2.3.4\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Prefix: /evil\r\nForwarded: for=1.2.3.4\r\nX-Real-IP: 1.2.3.4\r\nX-Scheme: https\r\n";
    for (path, server, secret) in [
        ("/hub/home", &hub, Some("s3cret")),
        ("/open/", &server, None),
    ] {
        assert_eq!(proxy.get(path, forged).await.status, 200);
        let (head, _) = server.last();
        assert!(
            !head.contains("root") && !head.contains("forged") && !head.contains("1.2.3.4"),
            "{head}"
        );
        assert_eq!(header(&head, "x-lyceum-proxy").as_deref(), secret);
        assert_eq!(header(&head, "x-request-id").unwrap().len(), 26);
        assert_eq!(header(&head, "x-forwarded-proto").unwrap(), "http");
        assert_eq!(header(&head, "x-forwarded-prefix"), None);
    }
}

#[tokio::test]
async fn who_people_are_is_told_to_the_hub_alone_and_by_whom_it_may() {
    let (hub, server) = (Server::ok().await, Server::ok().await);
    let identity = |from: &str| lyceum_proxy::Identity {
        headers: ["X-Remote-User", "x-forwarded-email"]
            .map(str::to_owned)
            .into(),
        from: vec![from.parse().unwrap()],
    };
    let config = Config {
        proxy_secret: "s3cret".to_owned().into(),
        identity: Some(identity("127.0.0.1")),
        ..Config::default()
    };
    let routes = vec![route("/open/", server.address, RouteAccess::Open)];
    let proxy = TestProxy::start(config, hub.address, routes).await;
    let said = "X-Remote-User: ada\r\nX_Remote_User: ada\r\nX-Forwarded-Email: ada\r\nX-Lyceum-Peer: 10.0.0.1\r\nX-Other: bea\r\n";
    proxy.get("/hub/", said).await;
    let (head, _) = hub.last();
    assert_eq!(header(&head, "x-remote-user").unwrap(), "ada");
    assert_eq!(header(&head, "x-forwarded-email").unwrap(), "ada");
    assert_eq!(header(&head, "x_remote_user"), None);
    assert_eq!(header(&head, "x-lyceum-peer").unwrap(), "127.0.0.1");
    proxy.get("/open/", said).await;
    let (head, _) = server.last();
    assert!(
        !head.contains("ada") && !head.contains("x-lyceum-peer"),
        "{head}"
    );
    assert_eq!(header(&head, "x-other").unwrap(), "bea");
    // From elsewhere, whatever the chain says.
    proxy.proxy.set_identity(Some(identity("10.0.0.1")));
    let chain = format!("{said}X-Forwarded-For: 10.0.0.1\r\n");
    for (path, server) in [("/hub/", &hub), ("/open/", &server)] {
        proxy.get(path, &chain).await;
        let (head, _) = server.last();
        assert!(
            !head.contains("ada") && !head.contains("x-lyceum-peer"),
            "{head}"
        );
    }
    // Where there is none such it is a header like any other, and nobody's word.
    proxy.proxy.set_identity(None);
    proxy.get("/hub/", said).await;
    let (head, _) = hub.last();
    assert_eq!(header(&head, "x-lyceum-peer"), None);
}

#[tokio::test]
async fn a_trusted_proxy_is_believed() {
    let server = Server::ok().await;
    let config = Config {
        trusted_proxies: vec!["127.0.0.0/8".parse().unwrap()],
        ..Config::default()
    };
    let proxy = TestProxy::start(config, server.address, vec![]).await;
    proxy
        .get(
            "/hub/",
            "X-Forwarded-For: 203.0.113.9\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Host: lab.example\r\n",
        )
        .await;
    let (head, _) = server.last();
    assert_eq!(
        header(&head, "x-forwarded-for").unwrap(),
        "203.0.113.9, 127.0.0.1"
    );
    assert_eq!(header(&head, "x-forwarded-proto").unwrap(), "https");
    assert_eq!(header(&head, "x-forwarded-host").unwrap(), "lab.example");
    assert_eq!(header(&head, "x-forwarded-port").unwrap(), "443");
    // Nor can a client have it taken away.
    let said = "X-Forwarded-Proto: https\r\nX-Forwarded-Host: lab.example\r\nConnection: x-forwarded-proto, x-forwarded-host\r\n";
    proxy.get("/hub/", said).await;
    let (head, _) = server.last();
    assert_eq!(header(&head, "x-forwarded-proto").unwrap(), "https");
    assert_eq!(header(&head, "x-forwarded-host").unwrap(), "lab.example");
}

#[tokio::test]
async fn connections_to_servers_are_kept() {
    let server = Server::ok().await;
    let proxy = TestProxy::open(server.address).await;
    for _ in 0..20 {
        assert_eq!(proxy.get("/open/", "").await.status, 200);
    }
    let made = server.connections.load(std::sync::atomic::Ordering::SeqCst);
    assert!(made <= 3, "{made} connections for 20 requests");
}

#[tokio::test]
async fn head_and_not_modified_keep_their_length() {
    let server = Server::answer_with("HTTP/1.1 200 OK\r\nContent-Length: 1234\r\n\r\n").await;
    let proxy = TestProxy::open(server.address).await;
    let mut client = proxy.connect().await;
    for _ in 0..2 {
        client
            .send("HEAD /open/ HTTP/1.1\r\nHost: lab\r\n\r\n")
            .await;
        let head = client.head().await;
        assert!(head.starts_with("HTTP/1.1 200"), "{head}");
        assert_eq!(header(&head, "content-length").unwrap(), "1234");
    }
    let server = Server::answer_with("HTTP/1.1 304 Not Modified\r\nETag: \"x\"\r\n\r\n").await;
    let proxy = TestProxy::open(server.address).await;
    assert_eq!(proxy.get("/open/", "").await.status, 304);
}

#[tokio::test]
async fn events_arrive_one_by_one() {
    let got = Arc::new(Notify::new());
    let server = Server::raw({
        let got = got.clone();
        move |mut stream, _| {
            let got = got.clone();
            async move {
                read_head(&mut stream).await;
                let head = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n";
                stream.write_all(head.as_bytes()).await.unwrap();
                for number in 1..=3 {
                    let event = format!("8\r\ndata: {number}\n\r\n");
                    stream.write_all(event.as_bytes()).await.unwrap();
                    // The next is sent only once the client has this one.
                    got.notified().await;
                }
                stream.write_all(b"0\r\n\r\n").await.unwrap();
            }
        }
    })
    .await;
    let proxy = TestProxy::open(server.address).await;
    let mut client = proxy.connect().await;
    client
        .send("GET /open/ HTTP/1.1\r\nHost: lab\r\n\r\n")
        .await;
    client.head().await;
    for number in 1..=3 {
        let event = format!("8\r\ndata: {number}\n\r\n");
        assert_eq!(client.exactly(event.len()).await, event.as_bytes());
        got.notify_one();
    }
    assert_eq!(client.exactly(5).await, b"0\r\n\r\n");
}

#[tokio::test]
async fn expect_continue_is_answered_and_the_body_arrives() {
    let server = Server::ok().await;
    let proxy = TestProxy::open(server.address).await;
    let mut client = proxy.connect().await;
    client
        .send("POST /open/ HTTP/1.1\r\nHost: lab\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n")
        .await;
    assert!(client.head().await.starts_with("HTTP/1.1 100"));
    client.send("hello").await;
    assert_eq!(client.answer().await.status, 200);
    assert_eq!(server.last().1, b"hello");
}

#[tokio::test]
async fn trailers_pass_both_ways() {
    let server = Server::raw(|mut stream, seen| async move {
        let head = read_head(&mut stream).await.unwrap();
        let mut body = Vec::new();
        while !body.ends_with(b"\r\n\r\n") {
            body.push(stream.read_u8().await.unwrap());
        }
        seen.lock().unwrap().push((head, body));
        let answer = "HTTP/1.1 200 OK\r\nTrailer: X-Sum\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nX-Sum: 7\r\n\r\n";
        stream.write_all(answer.as_bytes()).await.unwrap();
    })
    .await;
    let proxy = TestProxy::open(server.address).await;
    let mut client = proxy.connect().await;
    client
        .send("POST /open/ HTTP/1.1\r\nHost: lab\r\nTE: trailers\r\nTrailer: X-In\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nX-In: 9\r\n\r\n")
        .await;
    client.head().await;
    let expect = b"2\r\nok\r\n0\r\nx-sum: 7\r\n\r\n";
    assert_eq!(client.exactly(expect.len()).await, expect);
    assert!(server.last().1.ends_with(b"0\r\nx-in: 9\r\n\r\n"));
}

/// Asked for as a part, and what the server makes of it.
pub(crate) struct Part {
    pub(crate) asked: &'static [(&'static str, &'static str)],
    pub(crate) status: u16,
    pub(crate) fields: &'static [(&'static str, &'static str)],
    pub(crate) body: &'static [u8],
}

/// RFC 9110, section 14: a part, several, none, and a unit that nobody knows.
pub(crate) const PARTS: [Part; 4] = [
    Part {
        asked: &[("range", "bytes=2-"), ("if-range", "\"v1\"")],
        status: 206,
        fields: &[
            ("content-range", "bytes 2-9/10"),
            ("etag", "\"v1\""),
            ("accept-ranges", "bytes"),
        ],
        body: b"23456789",
    },
    Part {
        asked: &[("range", "bytes=0-3,6-9")],
        status: 206,
        fields: &[("content-type", "multipart/byteranges; boundary=CUT")],
        body: b"--CUT\r\nContent-Range: bytes 0-3/10\r\n\r\n0123\r\n\
            --CUT\r\nContent-Range: bytes 6-9/10\r\n\r\n6789\r\n--CUT--\r\n",
    },
    Part {
        asked: &[("range", "bytes=20-")],
        status: 416,
        fields: &[("content-range", "bytes */10")],
        body: b"",
    },
    Part {
        asked: &[("range", "lines = 1-2 , -3")],
        status: 200,
        fields: &[("accept-ranges", "none")],
        body: b"0123456789",
    },
];

/// Answers as [`PARTS`] says.
pub(crate) async fn in_parts() -> Server {
    Server::raw(|mut stream, seen| async move {
        while let Some(head) = read_head(&mut stream).await {
            let range = header(&head, "range").unwrap();
            let part = PARTS.iter().find(|part| part.asked[0].1 == range).unwrap();
            let mut answer = format!("HTTP/1.1 {} Part\r\n", part.status);
            for (name, value) in part.fields {
                answer += &format!("{name}: {value}\r\n");
            }
            answer += &format!("content-length: {}\r\n\r\n", part.body.len());
            seen.lock().unwrap().push((head, Vec::new()));
            let answer = [answer.as_bytes(), part.body].concat();
            stream.write_all(&answer).await.unwrap();
        }
    })
    .await
}

#[tokio::test]
async fn ranges_pass_untouched() {
    let server = in_parts().await;
    let proxy = TestProxy::open(server.address).await;
    for part in PARTS {
        let asked: String = (part.asked.iter())
            .map(|(name, value)| format!("{name}: {value}\r\n"))
            .collect();
        let answer = proxy.get("/open/file", &asked).await;
        assert_eq!((answer.status, &answer.body[..]), (part.status, part.body));
        for (name, value) in part.fields {
            assert_eq!(answer.header(name).as_deref(), Some(*value), "{asked}");
        }
        let (head, _) = server.last();
        for (name, value) in part.asked {
            assert_eq!(header(&head, name).as_deref(), Some(*value), "{head}");
        }
    }
}

const BIG: usize = 200 << 20;
const PIECE: usize = 64 << 10;

#[tokio::test]
async fn a_slow_reader_holds_the_server_back() {
    let sent = std::sync::Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let server = Server::raw({
        let sent = sent.clone();
        move |mut stream, _| {
            let sent = sent.clone();
            async move {
                read_head(&mut stream).await;
                let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {BIG}\r\n\r\n");
                stream.write_all(head.as_bytes()).await.unwrap();
                while stream.write_all(&[0; PIECE]).await.is_ok() {
                    sent.fetch_add(PIECE, std::sync::atomic::Ordering::SeqCst);
                }
            }
        }
    })
    .await;
    let proxy = TestProxy::open(server.address).await;
    let mut client = proxy.connect().await;
    client
        .send("GET /open/ HTTP/1.1\r\nHost: lab\r\n\r\n")
        .await;
    client.head().await;
    // Nothing more is read: the sender must come to a stop at what the sockets hold.
    let load = || sent.load(std::sync::atomic::Ordering::SeqCst);
    stands_still("the server to be held back", load).await;
    let last = load();
    assert!(last < 64 << 20, "{last} bytes were taken from the server");
}

#[tokio::test]
async fn activity_counts_what_is_served_and_not_what_fails() {
    let server = Server::answer_with("HTTP/1.1 500 Oh\r\nContent-Length: 2\r\n\r\nno").await;
    let proxy = TestProxy::open(server.address).await;
    proxy.get("/open/", "").await;
    let moved = proxy.proxy.take_activity();
    assert!(moved.is_empty(), "{moved:?}");

    let server = Server::ok().await;
    let proxy = TestProxy::open(server.address).await;
    proxy.get("/open/", "").await;
    let moved = proxy.proxy.take_activity();
    assert_eq!(moved.len(), 1);
    assert_eq!(
        (moved[0].route_id.as_str(), moved[0].bytes_out),
        ("open", 2)
    );
    assert!(moved[0].moved);
    assert!(proxy.proxy.take_activity().is_empty());
}
