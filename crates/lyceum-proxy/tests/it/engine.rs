//! What both directions at once, old clients, kept connections and other kinds of servers ask of
//! the engine.

use std::{
    net::IpAddr,
    sync::{Arc, Mutex, atomic::Ordering::SeqCst},
    time::Duration,
};

use lyceum_proxy::{Config, Limits, Rewrite, Route, RouteAccess, Scheme, Target, Upstream};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream, UnixListener},
    sync::{Notify, Semaphore},
};

use crate::support::{Client, Server, TestProxy, header, read_head, route, soon, until};

#[tokio::test]
async fn an_answer_may_come_while_the_body_is_still_sent() {
    // Answers at the first byte, then reads on.
    let server = Server::raw(|mut stream, seen| async move {
        let head = read_head(&mut stream).await.unwrap();
        stream.read_u8().await.unwrap();
        stream
            .write_all(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nearly\r\n")
            .await
            .unwrap();
        let mut rest = vec![0; 9];
        stream.read_exact(&mut rest).await.unwrap();
        seen.lock().unwrap().push((head, rest));
        stream.write_all(b"4\r\nlate\r\n0\r\n\r\n").await.unwrap();
        let _ = stream.read_u8().await;
    })
    .await;
    let proxy = TestProxy::open(server.address).await;
    let mut client = proxy.connect().await;
    client
        .send("POST /open/ HTTP/1.1\r\nHost: lab\r\nContent-Length: 10\r\n\r\n0")
        .await;
    client.head().await;
    assert_eq!(client.exactly(10).await, b"5\r\nearly\r\n");
    client.send("123456789").await;
    assert_eq!(client.exactly(14).await, b"4\r\nlate\r\n0\r\n\r\n");
    assert_eq!(server.last().1, b"123456789");
    // Both were finished, so the connection goes on.
    client
        .send("GET /_chp_healthz HTTP/1.1\r\nHost: lab\r\n\r\n")
        .await;
    assert_eq!(client.answer().await.status, 200);
}

#[tokio::test]
async fn a_refusal_reaches_a_client_that_is_still_sending() {
    let server = Server::raw(|mut stream, _| async move {
        read_head(&mut stream).await;
        let answer = "HTTP/1.1 413 Too Large\r\nConnection: close\r\nContent-Length: 2\r\n\r\nno";
        stream.write_all(answer.as_bytes()).await.unwrap();
        // Closes without having read the body.
    })
    .await;
    let proxy = TestProxy::open(server.address).await;
    let mut client = proxy.connect().await;
    let length = 8 << 20;
    client
        .send(format!(
            "PUT /open/ HTTP/1.1\r\nHost: lab\r\nContent-Length: {length}\r\n\r\n"
        ))
        .await;
    let (mut reading, mut writing) = client.0.split();
    let send = async {
        // Taken to its end, or cut after the answer.
        let _ = writing.write_all(&vec![b'x'; length]).await;
    };
    let read = async {
        let mut text = Vec::new();
        while !text.ends_with(b"no") {
            text.push(reading.read_u8().await.expect("the answer"));
        }
        text
    };
    let ((), text) = soon("both", async { tokio::join!(send, read) }).await;
    assert!(text.starts_with(b"HTTP/1.1 413"));
}

#[tokio::test]
async fn a_server_says_continue_itself_or_refuses() {
    let server = Server::raw(|mut stream, seen| async move {
        while let Some(head) = read_head(&mut stream).await {
            if head.contains("/no") {
                let answer = "HTTP/1.1 417 No\r\nContent-Length: 0\r\n\r\n";
                stream.write_all(answer.as_bytes()).await.unwrap();
                return;
            }
            stream.write_all(b"HTTP/1.1 100 Continue\r\n\r\n").await.unwrap();
            let mut body = vec![0; 5];
            stream.read_exact(&mut body).await.unwrap();
            seen.lock().unwrap().push((head, body));
            let answer = "HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
            stream.write_all(answer.as_bytes()).await.unwrap();
        }
    })
    .await;
    let proxy = TestProxy::open(server.address).await;
    let mut client = proxy.connect().await;
    let request =
        "POST /open/ HTTP/1.1\r\nHost: lab\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n";
    client.send(request).await;
    assert!(client.head().await.starts_with("HTTP/1.1 100"));
    client.send("hello").await;
    let hints = client.head().await;
    assert!(
        hints.starts_with("HTTP/1.1 103") && hints.contains("link: </x>"),
        "{hints}"
    );
    assert_eq!(client.answer().await.status, 200);
    assert_eq!(server.last().1, b"hello");
    client.send(request.replace("/open/", "/open/no")).await;
    assert_eq!(client.answer().await.status, 417);
}

#[tokio::test]
async fn old_clients_get_what_they_can_read() {
    let server = Server::answer_with(
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
    )
    .await;
    let proxy = TestProxy::open(server.address).await;
    let mut client = proxy.connect().await;
    client.send("GET /open/ HTTP/1.0\r\n\r\n").await;
    let (all, was_reset) = client.read_rest().await;
    let text = String::from_utf8(all).unwrap();
    assert!(text.ends_with("\r\n\r\nok") && !was_reset, "{text}");
    assert!(!text.contains("chunked"), "{text}");
    let (head, _) = server.last();
    assert_eq!(header(&head, "host").unwrap(), server.address.to_string());

    let server = Server::ok().await;
    let proxy = TestProxy::open(server.address).await;
    let mut client = proxy.connect().await;
    for _ in 0..2 {
        client
            .send("GET /open/ HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
            .await;
        let answer = client.answer().await;
        assert_eq!(answer.header("connection").unwrap(), "keep-alive");
    }
}

#[tokio::test]
async fn an_answer_without_a_length_ends_with_its_connection() {
    let server = Server::raw(|mut stream, _| async move {
        read_head(&mut stream).await;
        let _ = stream.write_all(b"HTTP/1.0 200 OK\r\n\r\nall of it").await;
    })
    .await;
    let proxy = TestProxy::open(server.address).await;
    let mut client = proxy.connect().await;
    for _ in 0..2 {
        client
            .send("GET /open/ HTTP/1.1\r\nHost: lab\r\n\r\n")
            .await;
        assert_eq!(client.answer().await.text(), "all of it");
    }
}

#[tokio::test]
async fn many_clients_share_kept_connections() {
    let server = Server::ok().await;
    let proxy = TestProxy::open(server.address).await;
    let mut clients = Vec::new();
    for _ in 0..64 {
        clients.push(proxy.connect().await);
    }
    for _ in 0..5 {
        for client in &mut clients {
            client
                .send("GET /open/ HTTP/1.1\r\nHost: lab\r\n\r\n")
                .await;
        }
        for client in &mut clients {
            assert_eq!(client.answer().await.status, 200);
        }
    }
    let made = server.connections.load(SeqCst);
    assert!(made <= 64, "{made} connections for 64 clients");
}

/// Answers as often as it is let.
async fn held(answers: &Arc<Semaphore>) -> Server {
    let answers = answers.clone();
    Server::raw(move |mut stream, seen| {
        let answers = answers.clone();
        async move {
            while let Some(head) = read_head(&mut stream).await {
                seen.lock().unwrap().push((head, Vec::new()));
                answers.acquire().await.unwrap().forget();
                let answer = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
                if stream.write_all(answer.as_bytes()).await.is_err() {
                    return;
                }
            }
        }
    })
    .await
}

async fn with_two_connections(server: &Server) -> TestProxy {
    let config = Config {
        limits: Limits {
            connections_per_server: 2,
            connect: Duration::from_secs(600),
            pooled: Duration::from_secs(600),
            ..Limits::default()
        },
        ..Config::default()
    };
    let routes = vec![route("/open/", server.address, RouteAccess::Open)];
    TestProxy::start(config, server.address, routes).await
}

const ASK: &str = "GET /open/ HTTP/1.1\r\nHost: lab\r\n\r\n";

#[tokio::test]
async fn connections_to_one_server_are_bounded() {
    let answers = Arc::new(Semaphore::new(0));
    let server = held(&answers).await;
    let proxy = with_two_connections(&server).await;
    let mut clients = Vec::new();
    for _ in 0..20 {
        let mut client = proxy.connect().await;
        client.send(ASK).await;
        clients.push(client);
    }
    until("all but two to wait", || {
        proxy.sample("lyceum_proxy_upstream_waited_total") == 18
    })
    .await;
    until("two to be asked", || server.count() == 2).await;
    answers.add_permits(20);
    for client in &mut clients {
        assert_eq!(client.answer().await.status, 200);
    }
    assert_eq!(server.connections.load(SeqCst), 2);
}

#[tokio::test]
async fn all_workers_together_have_so_many_connections_to_a_server() {
    let answers = Arc::new(Semaphore::new(0));
    let server = held(&answers).await;
    let one = with_two_connections(&server).await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let two = listener.local_addr().unwrap();
    let running = tokio::spawn({
        let proxy = one.proxy.clone();
        async move { proxy.run(listener, std::future::pending()).await }
    });
    let at_two = async || Client(TcpStream::connect(two).await.unwrap());
    let open = || one.sample("lyceum_proxy_upstream_connections");
    let (mut first, mut second) = (one.connect().await, one.connect().await);
    first.send(ASK).await;
    second.send(ASK).await;
    until("both to be asked", || server.count() == 2).await;
    let mut third = at_two().await;
    third.send(ASK).await;
    until("the other worker to wait", || {
        one.sample("lyceum_proxy_upstream_waited_total") == 1
    })
    .await;
    assert_eq!((server.count(), open()), (2, 2));
    // What becomes free at one worker makes room for the other, instead of being kept.
    answers.add_permits(1);
    until("the other worker's turn", || server.count() == 3).await;
    assert_eq!((server.connections.load(SeqCst), open()), (3, 2));
    answers.add_permits(2);
    for client in [&mut first, &mut second, &mut third] {
        assert_eq!(client.answer().await.status, 200);
    }
    // And so does what is kept there already.
    let (mut fourth, mut fifth) = (at_two().await, at_two().await);
    fourth.send(ASK).await;
    fifth.send(ASK).await;
    until("both to be asked", || server.count() == 5).await;
    assert_eq!((server.connections.load(SeqCst), open()), (4, 2));
    answers.add_permits(2);
    assert_eq!(fourth.answer().await.status, 200);
    assert_eq!(fifth.answer().await.status, 200);
    running.abort();
}

#[tokio::test]
async fn a_connection_is_kept_for_as_long_as_it_is_said() {
    let server = Server::ok().await;
    let start = async |pooled| {
        let config = Config {
            limits: Limits {
                pooled,
                ..Limits::default()
            },
            ..Config::default()
        };
        let routes = vec![route("/open/", server.address, RouteAccess::Open)];
        TestProxy::start(config, server.address, routes).await
    };
    let proxy = start(Duration::from_millis(50)).await;
    assert_eq!(proxy.get("/open/", "").await.status, 200);
    until("it to be closed", || {
        proxy.sample("lyceum_proxy_upstream_connections") == 0
    })
    .await;
    assert_eq!(proxy.get("/open/", "").await.status, 200);
    assert_eq!(server.connections.load(SeqCst), 2);
    // None is kept, not even until the next look.
    let proxy = start(Duration::ZERO).await;
    for _ in 0..2 {
        assert_eq!(proxy.get("/open/", "").await.status, 200);
    }
    assert_eq!(server.connections.load(SeqCst), 4);
}

#[tokio::test]
async fn connections_come_from_the_addresses_given() {
    let seen = Arc::new(Mutex::new(Vec::<IpAddr>::new()));
    let server = Server::raw({
        let seen = seen.clone();
        move |mut stream, _| {
            seen.lock().unwrap().push(stream.peer_addr().unwrap().ip());
            async move {
                read_head(&mut stream).await;
                let answer = "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n";
                let _ = stream.write_all(answer.as_bytes()).await;
            }
        }
    })
    .await;
    let config = Config {
        upstream: Upstream {
            bind_addresses: vec!["127.0.0.2".parse().unwrap(), "127.0.0.3".parse().unwrap()],
            ..Upstream::default()
        },
        ..Config::default()
    };
    let routes = vec![route("/open/", server.address, RouteAccess::Open)];
    let proxy = TestProxy::start(config, server.address, routes).await;
    for _ in 0..4 {
        assert_eq!(proxy.get("/open/", "").await.status, 200);
    }
    let seen: Vec<String> = seen
        .lock()
        .unwrap()
        .iter()
        .map(ToString::to_string)
        .collect();
    assert_eq!(seen, ["127.0.0.2", "127.0.0.3", "127.0.0.2", "127.0.0.3"]);
}

#[tokio::test]
async fn a_server_may_listen_on_a_unix_socket() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("lab.sock");
    let listener = UnixListener::bind(&path).unwrap();
    let serving = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(stream.read_u8().await.unwrap());
        }
        stream
            .write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nunix")
            .await
            .unwrap();
        String::from_utf8(head).unwrap()
    });
    let hub = Server::ok().await;
    let target: Target = format!("unix://{}", path.display()).parse().unwrap();
    let routes = vec![Route {
        target,
        ..route("/open/", hub.address, RouteAccess::Open)
    }];
    let proxy = TestProxy::start(Config::default(), hub.address, routes).await;
    assert_eq!(proxy.get("/open/x", "").await.text(), "unix");
    assert!(
        serving
            .await
            .unwrap()
            .starts_with("GET /open/x HTTP/1.1\r\nhost: lab\r\n")
    );
}

#[tokio::test]
async fn requests_and_redirects_are_rewritten_as_asked() {
    let server = Server::raw(|mut stream, seen| async move {
        let address = stream.local_addr().unwrap();
        while let Some(head) = read_head(&mut stream).await {
            seen.lock().unwrap().push((head, Vec::new()));
            let answer = format!("HTTP/1.1 302 Found\r\nLocation: http://{address}/next?x=1\r\nContent-Length: 0\r\n\r\n");
            stream.write_all(answer.as_bytes()).await.unwrap();
        }
    })
    .await;
    let start = async |rewrite: Rewrite| {
        let config = Config {
            rewrite,
            ..Config::default()
        };
        let target: Target = format!("http://{}/base/", server.address).parse().unwrap();
        let routes = vec![Route {
            target,
            ..route("/open/", server.address, RouteAccess::Open)
        }];
        TestProxy::start(config, server.address, routes).await
    };
    let proxy = start(Rewrite::default()).await;
    let location = format!("http://{}/next?x=1", server.address);
    assert_eq!(
        proxy
            .get("/open/a%20b?c", "")
            .await
            .header("location")
            .unwrap(),
        location
    );
    let (head, _) = server.last();
    assert!(
        head.starts_with("GET /base/open/a%20b?c HTTP/1.1\r\n"),
        "{head}"
    );

    let proxy = start(Rewrite {
        include_prefix: false,
        change_origin: true,
        x_forward: false,
        auto_rewrite: true,
        protocol_rewrite: Some(Scheme::Https),
        custom_headers: vec![
            ("X-Own".into(), "1".into()),
            ("Content-Length".into(), "9".into()),
        ],
        ..Rewrite::default()
    })
    .await;
    let answer = proxy
        .get("/open/x", "X-Own: theirs\r\nX-Forwarded-For: 1.2.3.4\r\n")
        .await;
    assert_eq!(answer.header("location").unwrap(), "https://lab/next?x=1");
    let (head, _) = server.last();
    assert!(head.starts_with("GET /base/x HTTP/1.1\r\n"), "{head}");
    assert_eq!(header(&head, "host").unwrap(), server.address.to_string());
    assert_eq!(header(&head, "x-own").unwrap(), "1");
    for gone in ["x-forwarded-for", "x-forwarded-host", "content-length"] {
        assert_eq!(header(&head, gone), None, "{head}");
    }

    let proxy = start(Rewrite {
        prepend_path: false,
        ..Rewrite::default()
    })
    .await;
    proxy.get("/open/x", "").await;
    assert!(server.last().0.starts_with("GET /open/x HTTP/1.1\r\n"));
}

/// Sends one request through a proxy with one wish; gives the head that came and the redirect.
async fn with_wish(rewrite: Rewrite, path: &str) -> (String, String, std::net::SocketAddr) {
    let server = Server::raw(|mut stream, seen| async move {
        let address = stream.local_addr().unwrap();
        while let Some(head) = read_head(&mut stream).await {
            seen.lock().unwrap().push((head, Vec::new()));
            let answer = format!("HTTP/1.1 301 Moved Permanently\r\nLocation: http://{address}/n\r\nContent-Length: 0\r\n\r\n");
            stream.write_all(answer.as_bytes()).await.unwrap();
        }
    })
    .await;
    let config = Config {
        rewrite,
        ..Config::default()
    };
    let target: Target = format!("http://{}/base", server.address).parse().unwrap();
    let routes = vec![Route {
        target,
        ..route("/a/b/", server.address, RouteAccess::Open)
    }];
    let proxy = TestProxy::start(config, server.address, routes).await;
    let answer = proxy.get(path, "X-Forwarded-For: 192.0.2.1\r\n").await;
    let location = answer.header("location").unwrap();
    (server.last().0, location, server.address)
}

#[tokio::test]
async fn each_rewriting_option_does_its_own_and_nothing_else() {
    let check =
        async |rewrite: Rewrite, line: &str, host: &str, location: &str, forwarded: bool| {
            let (head, got, address) = with_wish(rewrite.clone(), "/a/%62/x%20y?q").await;
            let here = |text: &str| text.replace("HERE", &address.to_string());
            let start = format!("GET {line} HTTP/1.1\r\n");
            assert!(head.starts_with(&start), "{rewrite:?}: {head}");
            assert_eq!(header(&head, "host").unwrap(), here(host), "{rewrite:?}");
            assert_eq!(got, here(location), "{rewrite:?}");
            assert_eq!(
                header(&head, "x-forwarded-host").is_some(),
                forwarded,
                "{rewrite:?}"
            );
        };
    let wish = Rewrite::default;
    let (whole, lab, next) = ("/base/a/%62/x%20y?q", "lab", "http://HERE/n");
    check(wish(), whole, lab, next, true).await;
    let it = Rewrite {
        include_prefix: false,
        ..wish()
    };
    check(it, "/base/x%20y?q", lab, next, true).await;
    let it = Rewrite {
        prepend_path: false,
        ..wish()
    };
    check(it, "/a/%62/x%20y?q", lab, next, true).await;
    let it = Rewrite {
        include_prefix: false,
        prepend_path: false,
        ..wish()
    };
    check(it, "/x%20y?q", lab, next, true).await;
    let it = Rewrite {
        x_forward: false,
        ..wish()
    };
    check(it, whole, lab, next, false).await;
    let it = Rewrite {
        auto_rewrite: true,
        ..wish()
    };
    check(it, whole, lab, "http://lab/n", true).await;
    let it = Rewrite {
        change_origin: true,
        ..wish()
    };
    check(it, whole, "HERE", next, true).await;
    let it = Rewrite {
        protocol_rewrite: Some(Scheme::Https),
        ..wish()
    };
    check(it, whole, lab, "https://HERE/n", true).await;
    let it = Rewrite {
        custom_headers: vec![("X-Forwarded-For".into(), "me".into())],
        ..wish()
    };
    let (head, _, _) = with_wish(it, "/a/b").await;
    assert!(head.starts_with("GET /base/a/b HTTP/1.1\r\n"), "{head}");
    assert_eq!(head.matches("x-forwarded-for: ").count(), 1, "{head}");
    assert_eq!(header(&head, "x-forwarded-for").unwrap(), "me", "{head}");
    let it = Rewrite {
        include_prefix: false,
        ..wish()
    };
    let (head, _, _) = with_wish(it, "/a/b").await;
    assert!(head.starts_with("GET /base/ HTTP/1.1\r\n"), "{head}");
}

#[tokio::test]
async fn a_kept_connection_that_closes_while_idle_is_not_used_even_for_a_post() {
    let closed = Arc::new(Notify::new());
    let server = Server::raw({
        let closed = closed.clone();
        move |mut stream, _| {
            let closed = closed.clone();
            async move {
                read_head(&mut stream).await;
                let answer = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
                let _ = stream.write_all(answer.as_bytes()).await;
                // Closes without having said so.
                drop(stream);
                closed.notify_one();
            }
        }
    })
    .await;
    let proxy = TestProxy::open(server.address).await;
    assert_eq!(proxy.get("/open/", "").await.status, 200);
    soon("its connection to be closed", closed.notified()).await;
    let post = "POST /open/ HTTP/1.1\r\nHost: lab\r\nContent-Length: 0\r\n\r\n";
    assert_eq!(proxy.ask(post).await.status, 200);
}

#[tokio::test]
async fn an_upload_that_stands_still_is_given_up() {
    let server = Server::raw(|mut stream, seen| async move {
        let head = read_head(&mut stream).await.unwrap_or_default();
        let mut rest = Vec::new();
        let _ = stream.read_to_end(&mut rest).await;
        seen.lock().unwrap().push((head, rest));
    })
    .await;
    let config = Config {
        limits: Limits {
            idle: Duration::from_millis(200),
            ..Limits::default()
        },
        ..Config::default()
    };
    let routes = vec![route("/open/", server.address, RouteAccess::Open)];
    let proxy = TestProxy::start(config, server.address, routes).await;
    let mut client = proxy.connect().await;
    client
        .send("PUT /open/ HTTP/1.1\r\nHost: lab\r\nContent-Length: 10\r\n\r\nhalf")
        .await;
    until("the server to be let go", || server.count() == 1).await;
    let (answer, _) = client.read_rest().await;
    assert!(!answer.starts_with(b"HTTP/1.1 200"));
    assert_eq!(proxy.struck("idle"), 1);
}
