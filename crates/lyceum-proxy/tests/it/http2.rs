//! HTTP/2 towards clients: what goes through, and that it is what HTTP/1 would have carried.

mod attacks;
mod conformance;
mod crowds;
mod floods;
mod limits;
mod raw;
mod torture;
mod websocket;

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use h2::{
    Reason, RecvStream, SendStream,
    client::{ResponseFuture, SendRequest},
};
use hyper::{HeaderMap, Request, Response};
use lyceum_proxy::{Config, Http2, Limits, RouteAccess};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    sync::Notify,
    task::JoinHandle,
};

use crate::{
    forward::{PARTS, in_parts},
    support::{Server, TestProxy, header, read_head, route, soon, until},
};

/// A proxy that takes HTTP/2 at once, without TLS.
async fn start(server: &Server, http2: Http2, limits: Limits) -> TestProxy {
    let config = Config {
        http2: Http2 {
            prior_knowledge: true,
            ..http2
        },
        limits,
        ..Config::default()
    };
    let routes = vec![
        route("/open/", server.address, RouteAccess::Open),
        route("/user/ada/", server.address, RouteAccess::Checked),
    ];
    TestProxy::start(config, server.address, routes).await
}

pub(crate) async fn plain(server: &Server) -> TestProxy {
    start(server, Http2::default(), Limits::default()).await
}

/// A client's connection.
pub(crate) struct Connection {
    requests: SendRequest<Bytes>,
    task: JoinHandle<Result<(), h2::Error>>,
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Connection {
    pub(crate) async fn new(proxy: &TestProxy) -> Self {
        Self::with(proxy, &h2::client::Builder::new()).await
    }

    async fn with(proxy: &TestProxy, builder: &h2::client::Builder) -> Self {
        let stream = TcpStream::connect(proxy.address).await.unwrap();
        stream.set_nodelay(true).unwrap();
        let (requests, connection) = soon("a handshake", builder.handshake(stream))
            .await
            .unwrap();
        let task = tokio::spawn(connection);
        Self { requests, task }
    }

    pub(crate) async fn send(
        &mut self,
        request: Request<()>,
        has_ended: bool,
    ) -> (ResponseFuture, SendStream<Bytes>) {
        let requests = self.requests.clone();
        self.requests = soon("room", requests.ready()).await.unwrap();
        self.requests.send_request(request, has_ended).unwrap()
    }

    pub(crate) async fn ask(&mut self, request: Request<()>) -> Response<RecvStream> {
        let (response, _) = self.send(request, true).await;
        soon("an answer", response).await.unwrap()
    }

    async fn get(&mut self, path: &str) -> (u16, String) {
        let response = self.ask(request("GET", path)).await;
        let status = response.status().as_u16();
        let body = read(response.into_body()).await.unwrap().0;
        (status, String::from_utf8_lossy(&body).into_owned())
    }
}

#[tokio::test]
async fn a_long_answer_ends_with_what_allowed_it() {
    let events = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\none";
    let server = Server::answer_with(events).await;
    let proxy = plain(&server).await;
    let mut connection = Connection::new(&proxy).await;
    let mut open = async |cookie: &str| {
        proxy.access.allow(cookie, cookie);
        let mut asked = request("GET", "/user/ada/");
        let cookie = format!("lyceum-access={cookie}").parse().unwrap();
        asked.headers_mut().insert("cookie", cookie);
        let mut body = connection.ask(asked).await.into_body();
        assert_eq!(soon("a piece", body.data()).await.unwrap().unwrap(), "one");
        body
    };
    let (mut ada, bob) = (open("ada").await, open("bob").await);
    until("both to be long", || {
        proxy.sample("lyceum_proxy_long_answers") == 2
    })
    .await;
    proxy
        .proxy
        .revoke(lyceum_proxy::Revoked::Subject("ada".into()));
    let end = soon("the end", ada.data()).await;
    assert!(end.unwrap().unwrap_err().is_reset());
    until("the other's to go on", || {
        proxy.sample("lyceum_proxy_long_answers") == 1
    })
    .await;
    drop(bob);
    until("none to be left", || {
        proxy.sample("lyceum_proxy_long_answers") == 0
    })
    .await;
}

pub(crate) fn request(method: &str, path: &str) -> Request<()> {
    Request::builder()
        .method(method)
        .uri(format!("http://lab{path}"))
        .body(())
        .unwrap()
}

/// The body and its trailers.
async fn read(mut body: RecvStream) -> Result<(Vec<u8>, HeaderMap), h2::Error> {
    let mut bytes = Vec::new();
    while let Some(piece) = soon("a piece", body.data()).await {
        let piece = piece?;
        body.flow_control().release_capacity(piece.len())?;
        bytes.extend_from_slice(&piece);
    }
    let trailers = soon("trailers", body.trailers()).await?;
    Ok((bytes, trailers.unwrap_or_default()))
}

pub(crate) async fn write(send: &mut SendStream<Bytes>, mut bytes: Bytes, is_last: bool) {
    while !bytes.is_empty() {
        send.reserve_capacity(bytes.len());
        while send.capacity() == 0 {
            let room = std::future::poll_fn(|cx| send.poll_capacity(cx));
            soon("room", room).await.unwrap().unwrap();
        }
        let piece = bytes.split_to(send.capacity().min(bytes.len()));
        let ends = is_last && bytes.is_empty();
        send.send_data(piece, ends).unwrap();
    }
}

#[tokio::test]
async fn a_request_arrives_as_one_of_http1() {
    let server = Server::answer_with(
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX-From: server\r\nConnection: keep-alive, X-Hop\r\nX-Hop: 1\r\nKeep-Alive: timeout=5\r\nSet-Cookie: a=1\r\nSet-Cookie: b=2\r\n\r\nok",
    )
    .await;
    let proxy = plain(&server).await;
    let mut connection = Connection::new(&proxy).await;
    let mut asked = request("GET", "/open/a%20b?c=%2f");
    let headers = asked.headers_mut();
    headers.append("cookie", "a=1".parse().unwrap());
    headers.append("cookie", "lyceum-access=x".parse().unwrap());
    headers.append("cookie", "b=2".parse().unwrap());
    headers.insert("te", "trailers".parse().unwrap());
    headers.insert("x-lyceum-user", "root".parse().unwrap());
    headers.insert("x-forwarded-for", "6.6.6.6".parse().unwrap());
    let response = connection.ask(asked).await;
    assert_eq!(response.status(), 200);
    let headers = response.headers().clone();
    assert_eq!(headers["x-from"], "server");
    assert_eq!(headers["content-length"], "2");
    assert_eq!(headers.get_all("set-cookie").iter().count(), 2);
    for gone in ["connection", "keep-alive", "x-hop", "transfer-encoding"] {
        assert!(!headers.contains_key(gone), "{gone}");
    }
    assert_eq!(read(response.into_body()).await.unwrap().0, b"ok");
    let (head, _) = server.last();
    assert!(
        head.starts_with("GET /open/a%20b?c=%2f HTTP/1.1\r\nhost: lab\r\n"),
        "{head}"
    );
    for line in [
        "\r\ncookie: a=1; b=2\r\n",
        "\r\nx-forwarded-for: 127.0.0.1\r\n",
        "\r\nx-forwarded-proto: http\r\n",
        "\r\nte: trailers\r\nconnection: te\r\n",
    ] {
        assert!(head.contains(line), "{line:?} in {head}");
    }
    assert!(!head.contains("root") && !head.contains("lyceum-access"));
    // The same port goes on to speak HTTP/1.
    assert_eq!(proxy.get("/open/", "").await.status, 200);
    assert!(
        proxy
            .metrics()
            .contains("requests_total{kind=\"Open\",class=\"2xx\"} 2")
    );
}

#[tokio::test]
async fn without_being_asked_for_it_is_not_spoken_in_plain() {
    let server = Server::ok().await;
    let proxy = TestProxy::open(server.address).await;
    let mut client = proxy.connect().await;
    client
        .send(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0")
        .await;
    assert!(client.head().await.starts_with("HTTP/1.1 400"));
}

#[tokio::test]
async fn many_requests_share_a_connection() {
    let server = Server::ok().await;
    let proxy = plain(&server).await;
    let mut connection = Connection::new(&proxy).await;
    until("the settings", || {
        connection.requests.current_max_send_streams() == 128
    })
    .await;
    let mut answers = Vec::new();
    for _ in 0..300 {
        answers.push(connection.send(request("GET", "/open/"), true).await.0);
    }
    for answer in answers {
        let response = soon("an answer", answer).await.unwrap();
        assert_eq!(response.status(), 200);
    }
    assert_eq!(server.count(), 300);
    assert!(proxy.metrics().contains("lyceum_proxy_connections 1"));
    drop(connection);
    until("nothing to be left", || {
        let metrics = proxy.metrics();
        metrics.contains("lyceum_proxy_http2_connections 0")
            && metrics.contains("lyceum_proxy_http2_streams 0")
            && metrics.contains("lyceum_proxy_connections 0")
    })
    .await;
}

#[tokio::test]
async fn bodies_stream_both_ways_at_once_with_trailers() {
    // Gives back each chunk as it comes, and at the end the trailers it got.
    let server = Server::raw(|mut stream, seen| async move {
        let head = read_head(&mut stream).await.unwrap();
        let begin = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
        stream.write_all(begin.as_bytes()).await.unwrap();
        let (mut from, mut to) = stream.split();
        let mut all = Vec::new();
        let mut piece = vec![0; 64 * 1024];
        while !all.ends_with(b"0\r\nx-sum: 7\r\n\r\n") {
            let read = from.read(&mut piece).await.unwrap();
            all.extend_from_slice(&piece[..read]);
            let tail = all.len().saturating_sub(64);
            all.drain(..tail);
            to.write_all(&piece[..read]).await.unwrap();
        }
        seen.lock().unwrap().push((head, all));
    })
    .await;
    let proxy = plain(&server).await;
    let mut connection = Connection::new(&proxy).await;
    let (response, mut send) = connection.send(request("POST", "/open/echo"), false).await;
    write(&mut send, Bytes::from_static(b"first"), false).await;
    // The answer begins before the request ends.
    let response = soon("an answer", response).await.unwrap();
    let mut body = response.into_body();
    let first = soon("the first piece", body.data()).await.unwrap().unwrap();
    assert_eq!(first, "first");
    let large: Bytes = (0..8 << 20)
        .map(|at: u32| (at >> 8) as u8)
        .collect::<Vec<_>>()
        .into();
    let sending = tokio::spawn({
        let large = large.clone();
        async move {
            write(&mut send, large, false).await;
            let mut trailers = HeaderMap::new();
            trailers.insert("x-sum", "7".parse().unwrap());
            trailers.insert("host", "evil".parse().unwrap());
            send.send_trailers(trailers).unwrap();
        }
    });
    let (bytes, trailers) = read(body).await.unwrap();
    sending.await.unwrap();
    assert!(bytes == large, "what came back is what was sent");
    assert_eq!(trailers["x-sum"], "7");
    assert_eq!(trailers.len(), 1);
    let (head, _) = server.last();
    assert!(
        head.contains("\r\ntransfer-encoding: chunked\r\n"),
        "{head}"
    );
    let moved = proxy.proxy.take_activity();
    let open = moved.iter().find(|one| one.route_id == "open").unwrap();
    assert!(open.bytes_in == (8 << 20) + 5 && open.bytes_out == (8 << 20) + 5);
}

#[tokio::test]
async fn a_body_with_a_length_keeps_it() {
    let server = Server::ok().await;
    let proxy = plain(&server).await;
    let mut connection = Connection::new(&proxy).await;
    let mut asked = request("PUT", "/open/file");
    asked
        .headers_mut()
        .insert("content-length", "5".parse().unwrap());
    let (response, mut send) = connection.send(asked, false).await;
    write(&mut send, Bytes::from_static(b"hello"), true).await;
    assert_eq!(soon("an answer", response).await.unwrap().status(), 200);
    let (head, body) = server.last();
    assert!(head.contains("\r\ncontent-length: 5\r\n"), "{head}");
    assert!(!head.contains("transfer-encoding"), "{head}");
    assert_eq!(body, b"hello");
}

#[tokio::test]
async fn answers_without_a_body_end_with_their_head() {
    for (method, answer, status, length) in [
        ("HEAD", "200 OK\r\nContent-Length: 7", 200, Some("7")),
        ("GET", "204 No Content", 204, None),
        (
            "GET",
            "304 Not Modified\r\nContent-Length: 9",
            304,
            Some("9"),
        ),
        ("GET", "200 OK\r\nContent-Length: 0", 200, Some("0")),
    ] {
        let server = Server::answer_with(format!("HTTP/1.1 {answer}\r\n\r\n")).await;
        let proxy = plain(&server).await;
        let mut connection = Connection::new(&proxy).await;
        for _ in 0..2 {
            let response = connection.ask(request(method, "/open/")).await;
            assert_eq!(response.status(), status, "{method} {answer}");
            let said = response.headers().get("content-length");
            let said = said.map(|value| value.to_str().unwrap());
            assert_eq!(said, length, "{method} {answer}");
            let (body, _) = read(response.into_body()).await.unwrap();
            assert!(body.is_empty());
        }
        // The connection to the server was kept.
        assert_eq!(
            server.connections.load(std::sync::atomic::Ordering::SeqCst),
            1
        );
    }
}

#[tokio::test]
async fn ranges_pass_untouched() {
    let server = in_parts().await;
    let proxy = plain(&server).await;
    let mut connection = Connection::new(&proxy).await;
    for part in PARTS {
        let mut asked = request("GET", "/open/file");
        for (name, value) in part.asked {
            asked.headers_mut().insert(*name, value.parse().unwrap());
        }
        let response = connection.ask(asked).await;
        assert_eq!(response.status(), part.status);
        for (name, value) in part.fields {
            assert_eq!(response.headers()[*name], *value);
        }
        assert_eq!(read(response.into_body()).await.unwrap().0, part.body);
        let (head, _) = server.last();
        for (name, value) in part.asked {
            assert_eq!(header(&head, name).as_deref(), Some(*value), "{head}");
        }
    }
}

#[tokio::test]
async fn hints_come_before_the_answer_and_a_word_before_the_body() {
    let server = Server::raw(|mut stream, _| async move {
        let head = read_head(&mut stream).await.unwrap();
        assert!(!head.contains("expect"), "the proxy has answered that");
        stream.read_exact(&mut [0; 2]).await.unwrap();
        let answer = "HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
        stream.write_all(answer.as_bytes()).await.unwrap();
        read_head(&mut stream).await;
    })
    .await;
    let proxy = plain(&server).await;
    let mut connection = Connection::new(&proxy).await;
    let mut asked = request("POST", "/open/");
    let headers = asked.headers_mut();
    headers.insert("expect", "100-continue".parse().unwrap());
    headers.insert("content-length", "2".parse().unwrap());
    let (mut response, mut send) = connection.send(asked, false).await;
    let mut next = async || {
        let next = std::future::poll_fn(|cx| response.poll_informational(cx));
        soon("a word", next).await.unwrap().unwrap()
    };
    assert_eq!(next().await.status(), 100);
    write(&mut send, Bytes::from_static(b"hi"), true).await;
    let hint = next().await;
    assert_eq!(hint.status(), 103);
    assert_eq!(hint.headers()["link"], "</a.css>");
    assert_eq!(soon("the answer", response).await.unwrap().status(), 200);
}

#[tokio::test]
async fn who_may_not_is_refused_as_in_http1() {
    let server = Server::ok().await;
    let proxy = plain(&server).await;
    proxy.access.allow("s", "ada");
    let mut connection = Connection::new(&proxy).await;
    let asked = |accept: &str, cookie: &str| {
        let mut asked = request("GET", "/user/ada/lab?x");
        let headers = asked.headers_mut();
        headers.insert("accept", accept.parse().unwrap());
        headers.insert("cookie", cookie.parse().unwrap());
        asked
    };
    let page = connection.ask(asked("text/html", "a=1")).await;
    assert_eq!(page.status(), 302);
    assert_eq!(page.headers()["location"], "/hub/user/ada/lab?x");
    // The page of the proxy's own is in the language that was chosen.
    let mut post = asked("text/html", "a=1; lyceum-language=de");
    *post.method_mut() = hyper::Method::POST;
    let refused = connection.ask(post).await;
    assert_eq!(refused.status(), 403);
    let (body, _) = read(refused.into_body()).await.unwrap();
    let page = String::from_utf8_lossy(&body).into_owned();
    assert!(page.contains("<html lang=\"de\">"), "{page}");
    let json = connection.ask(asked("application/json", "a=1")).await;
    assert_eq!(json.status(), 403);
    assert_eq!(json.headers()["content-type"], "application/json");
    let (body, _) = read(json.into_body()).await.unwrap();
    assert!(body.starts_with(b"{"));
    assert_eq!(server.count(), 0);
    let page = connection.ask(asked("text/html", "lyceum-access=s")).await;
    assert_eq!(page.status(), 200);
    assert_eq!(
        connection.get("/_chp_healthz").await.1,
        r#"{"status":"OK"}"#
    );
}

#[tokio::test]
async fn a_client_that_takes_its_request_back_ends_it_at_the_server() {
    // Notes when its connection has ended; answers the second path with a beginning only.
    let server = Server::raw(|mut stream, seen| async move {
        let head = read_head(&mut stream).await.unwrap();
        if head.contains("/open/begun") {
            let answer = "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nbegun";
            stream.write_all(answer.as_bytes()).await.unwrap();
        }
        let _ = stream.read_to_end(&mut Vec::new()).await;
        seen.lock().unwrap().push((head, Vec::new()));
    })
    .await;
    let proxy = plain(&server).await;
    let mut connection = Connection::new(&proxy).await;
    let (waiting, mut send) = connection.send(request("POST", "/open/wait"), false).await;
    write(&mut send, Bytes::from_static(b"part"), false).await;
    let begun = connection.ask(request("GET", "/open/begun")).await;
    let connections = &server.connections;
    until("both to be there", || {
        connections.load(std::sync::atomic::Ordering::SeqCst) == 2
    })
    .await;
    assert_eq!(server.count(), 0);
    send.send_reset(Reason::CANCEL);
    drop((waiting, begun));
    until("both to be ended", || server.count() == 2).await;
    until("both to be counted", || {
        proxy
            .metrics()
            .contains("lyceum_proxy_http2_resets_total 2")
    })
    .await;
    // The connection itself goes on.
    assert_eq!(connection.get("/_chp_healthz").await.0, 200);
}

#[tokio::test]
async fn an_answer_that_breaks_off_is_seen_to_break_off() {
    for (answer, is_whole) in [
        ("Content-Length: 100\r\n\r\npart", false),
        ("Transfer-Encoding: chunked\r\n\r\n4\r\npart\r\n", false),
        ("Transfer-Encoding: chunked\r\n\r\n4\r\npartX", false),
        ("\r\nall of it", true),
    ] {
        let server = Server::raw(move |mut stream, _| async move {
            read_head(&mut stream).await;
            let head = format!("HTTP/1.1 200 OK\r\n{answer}");
            stream.write_all(head.as_bytes()).await.unwrap();
        })
        .await;
        let proxy = plain(&server).await;
        let mut connection = Connection::new(&proxy).await;
        let (response, _) = connection.send(request("GET", "/open/"), true).await;
        // A break overtakes what was not sent yet.
        let read = match soon("an answer", response).await {
            Ok(response) => read(response.into_body()).await,
            Err(error) => Err(error),
        };
        match read {
            Ok((body, _)) => assert!(is_whole && body == b"all of it", "{answer}"),
            Err(error) => {
                assert!(!is_whole, "{answer} {error}");
                assert_eq!(error.reason(), Some(Reason::INTERNAL_ERROR));
            }
        }
    }
}

#[tokio::test]
async fn failures_of_servers_are_pages() {
    let server = Server::raw(|mut stream, _| async move {
        let head = read_head(&mut stream).await.unwrap();
        let answer = match head.split(' ').nth(1) {
            Some("/open/closed") => return,
            Some("/open/odd") => "SSH-2.0-x\r\n\r\n",
            Some("/open/switch") => "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n",
            _ => "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n12",
        };
        stream.write_all(answer.as_bytes()).await.unwrap();
        let _ = stream.read_to_end(&mut Vec::new()).await;
    })
    .await;
    let proxy = plain(&server).await;
    let mut connection = Connection::new(&proxy).await;
    for (path, expect) in [
        ("/open/closed", 503),
        ("/open/odd", 502),
        ("/open/switch", 502),
        ("/open/lengths", 502),
    ] {
        let (status, page) = connection.get(path).await;
        assert_eq!(status, expect, "{path}");
        assert!(page.contains("<html"), "{page}");
    }
}

#[tokio::test]
async fn a_drain_lets_requests_finish_and_then_ends() {
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
    let mut proxy = plain(&server).await;
    let mut connection = Connection::new(&proxy).await;
    let mut idle = Connection::new(&proxy).await;
    let (response, _) = connection.send(request("GET", "/open/"), true).await;
    until("the request to be there", || server.count() == 1).await;
    let running = proxy.begin_stop();
    // It is told to go, politely.
    let end = soon("the idle one to end", &mut idle.task).await.unwrap();
    assert!(end.is_ok(), "{end:?}");
    go.notify_one();
    let response = soon("the answer", response).await.unwrap();
    assert_eq!(read(response.into_body()).await.unwrap().0, b"ok");
    let end = soon("the end", &mut connection.task).await.unwrap();
    assert!(end.is_ok(), "{end:?}");
    soon("the proxy to end", running).await.unwrap();
}

#[tokio::test]
async fn what_does_not_finish_is_cut_at_the_drains_end() {
    let server = Server::raw(|mut stream, seen| async move {
        let head = read_head(&mut stream).await.unwrap();
        seen.lock().unwrap().push((head, Vec::new()));
        let _ = stream.read_to_end(&mut Vec::new()).await;
    })
    .await;
    let limits = Limits {
        drain: Duration::from_millis(200),
        ..Limits::default()
    };
    let mut proxy = start(&server, Http2::default(), limits).await;
    let mut connection = Connection::new(&proxy).await;
    let (response, _) = connection.send(request("GET", "/open/"), true).await;
    until("the request to be there", || server.count() == 1).await;
    let running = proxy.begin_stop();
    assert!(soon("the cut", response).await.is_err());
    soon("the proxy to end", running).await.unwrap();
    assert!(proxy.metrics().contains("lyceum_proxy_http2_streams 0"));
    assert!(proxy.metrics().contains("lyceum_proxy_http2_connections 0"));
}

#[tokio::test]
async fn an_idle_connection_is_told_to_go() {
    let server = Server::ok().await;
    let limits = Limits {
        header_read: Duration::from_millis(200),
        ..Limits::default()
    };
    let proxy = start(&server, Http2::default(), limits).await;
    let mut connection = Connection::new(&proxy).await;
    assert_eq!(connection.get("/open/").await.0, 200);
    let end = soon("the end", &mut connection.task).await.unwrap();
    assert!(end.is_ok(), "{end:?}");
    until("nothing to be left", || {
        proxy.metrics().contains("lyceum_proxy_connections 0")
    })
    .await;
}
