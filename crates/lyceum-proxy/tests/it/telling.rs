//! What is told about requests: the access log, request ids, trace context, metrics.

use std::{
    fmt::{Debug, Write},
    sync::{Arc, Mutex},
};

use lyceum_proxy::{AccessLog, Config, Http2, RouteAccess};
use tokio::{io::AsyncWriteExt, net::TcpStream};
use tracing::{
    Event, Metadata, Subscriber,
    field::{Field, Visit},
    span,
};

use crate::support::{Server, TestProxy, header, read_head, route, soon, until};

/// Keeps the access log's lines, as `name=value` pairs. For tests on one thread.
#[derive(Clone, Default)]
pub(crate) struct Lines(Arc<Mutex<Vec<String>>>);

struct Text(String);

impl Visit for Text {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        let _ = write!(self.0, "{field}={value:?} ");
    }
}

impl Subscriber for Lines {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target() == "access"
    }

    fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
        span::Id::from_u64(1)
    }

    fn record(&self, _: &span::Id, _: &span::Record<'_>) {}

    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}

    fn event(&self, event: &Event<'_>) {
        if event.metadata().target() == "access" {
            let mut text = Text(String::new());
            event.record(&mut text);
            self.0.lock().unwrap().push(text.0);
        }
    }

    fn enter(&self, _: &span::Id) {}

    fn exit(&self, _: &span::Id) {}
}

impl Lines {
    pub(crate) fn all(&self) -> Vec<String> {
        self.0.lock().unwrap().clone()
    }
}

async fn start(server: &Server, log: &str) -> TestProxy {
    let config = Config {
        access_log: log.parse::<AccessLog>().unwrap(),
        http2: Http2 {
            prior_knowledge: true,
            ..Http2::default()
        },
        ..Config::default()
    };
    let routes = vec![route("/open/", server.address, RouteAccess::Open)];
    TestProxy::start(config, server.address, routes).await
}

#[tokio::test]
async fn the_access_log_tells_who_asked_for_what_and_no_secret() {
    let lines = Lines::default();
    let _guard = tracing::subscriber::set_default(lines.clone());
    let server = Server::ok().await;
    let proxy = start(&server, "full").await;
    let secrets =
        "Cookie: lyceum-access=S3CRET\r\nAuthorization: token S3CRET\r\nContent-Length: 3\r\n";
    let request =
        format!("POST /open/a%20b?token=S3CRET HTTP/1.1\r\nHost: lab\r\n{secrets}\r\nabc");
    let answer = proxy.ask(request).await;
    let id = answer.header("x-request-id").unwrap();
    let all = lines.all();
    assert_eq!(all.len(), 1, "{all:?}");
    for part in [
        format!("request={id} "),
        "method=\"POST\" path=\"/open/a%20b\" status=200 bytes_in=3 bytes_out=2 micros=".into(),
        " upstream_micros=".into(),
        " client=127.0.0.1 kind=\"Open\"".into(),
    ] {
        assert!(all[0].contains(&part), "{part} is not in {}", all[0]);
    }
    assert!(!all[0].contains("S3CRET"), "{}", all[0]);

    // What no server answered, and what is no request at all.
    proxy.get("/open/../x?S3CRET", "").await;
    proxy.ask("GET /S3CRET HTTP/1.1\r\n\r\n").await;
    let all = lines.all();
    assert_eq!(all.len(), 3, "{all:?}");
    assert!(
        all[1].contains("status=400") && !all[1].contains("upstream_micros"),
        "{all:?}"
    );
    assert!(
        all[2].contains("status=400") && !all[2].contains("S3CRET"),
        "{all:?}"
    );
}

#[tokio::test]
async fn of_a_sample_some_are_told_and_when_it_is_off_none() {
    let lines = Lines::default();
    let _guard = tracing::subscriber::set_default(lines.clone());
    let server = Server::ok().await;
    let proxy = start(&server, "1/3").await;
    for _ in 0..9 {
        assert_eq!(proxy.get("/open/", "").await.status, 200);
    }
    assert_eq!(lines.all().len(), 3);
    let proxy = start(&server, "off").await;
    assert_eq!(proxy.get("/open/", "").await.status, 200);
    assert_eq!(lines.all().len(), 3);
    // Until somebody wants them.
    proxy.proxy.set_access_log(AccessLog::Full);
    assert_eq!(proxy.get("/open/", "").await.status, 200);
    assert_eq!(lines.all().len(), 4);
}

#[tokio::test]
async fn a_websocket_is_told_when_it_ends_and_a_client_that_leaves_too() {
    let lines = Lines::default();
    let _guard = tracing::subscriber::set_default(lines.clone());
    let server = Server::raw(|mut stream, _| async move {
        let head = read_head(&mut stream).await.unwrap_or_default();
        if !head.contains("/chat") {
            // Never answers.
            let _ = tokio::io::AsyncReadExt::read_u8(&mut stream).await;
            return;
        }
        let answer =
            "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: chat\r\n\r\nhello";
        stream.write_all(answer.as_bytes()).await.unwrap();
        let _ = tokio::io::AsyncReadExt::read_to_end(&mut stream, &mut Vec::new()).await;
    })
    .await;
    let proxy = start(&server, "full").await;
    let mut client = proxy.connect().await;
    client
        .send(
            "GET /open/chat HTTP/1.1\r\nHost: lab\r\nConnection: Upgrade\r\nUpgrade: chat\r\n\r\n",
        )
        .await;
    client.head().await;
    client.exactly(5).await;
    assert!(lines.all().is_empty(), "told before its end");
    client.send("four").await;
    client.0.shutdown().await.unwrap();
    client.read_rest().await;
    until("its line", || lines.all().len() == 1).await;
    let line = lines.all().remove(0);
    assert!(line.contains("status=101 bytes_in=4 bytes_out=5"), "{line}");

    let mut client = proxy.connect().await;
    client
        .send("GET /open/slow HTTP/1.1\r\nHost: lab\r\n\r\n")
        .await;
    until("the request to arrive", || {
        server.connections.load(std::sync::atomic::Ordering::SeqCst) == 2
    })
    .await;
    drop(client);
    until("its line", || lines.all().len() == 2).await;
    let line = lines.all().remove(1);
    assert!(line.contains("path=\"/open/slow\" status=499"), "{line}");
}

#[tokio::test]
async fn trace_context_passes_and_the_request_id_is_always_ours() {
    let server = Server::raw(|mut stream, seen| async move {
        while let Some(head) = read_head(&mut stream).await {
            let status = match header(&head, "upgrade") {
                Some(name) => format!("101 X\r\nConnection: upgrade\r\nUpgrade: {name}"),
                None => "200 OK\r\nContent-Length: 0".into(),
            };
            seen.lock().unwrap().push((head, Vec::new()));
            let answer = format!("HTTP/1.1 {status}\r\nX-Request-ID: theirs\r\n\r\n");
            stream.write_all(answer.as_bytes()).await.unwrap();
        }
    })
    .await;
    let proxy = start(&server, "off").await;
    let parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    // What the server was asked, and the id that the client was told, once.
    let check = |told: &[&str]| {
        let (head, _) = server.last();
        assert_eq!(header(&head, "traceparent").unwrap(), parent);
        assert_eq!(header(&head, "tracestate").unwrap(), "a=1,b=2");
        let id = header(&head, "x-request-id").unwrap();
        assert_eq!((id.len(), told), (26, &[id.as_str()][..]));
        assert_eq!(head.to_lowercase().matches("x-request-id").count(), 1);
    };
    let said = format!("traceparent: {parent}\r\nTraceState: a=1,b=2\r\nX-Request-ID: forged\r\n");
    for more in ["", "Connection: upgrade\r\nUpgrade: chat\r\n"] {
        let answer = proxy.get("/open/", &format!("{said}{more}")).await;
        assert_eq!(answer.status, if more.is_empty() { 200 } else { 101 });
        let lines = answer.head.lines().filter_map(|line| line.split_once(": "));
        let told: Vec<&str> = lines
            .filter(|(name, _)| name.eq_ignore_ascii_case("x-request-id"))
            .map(|(_, value)| value)
            .collect();
        check(&told);
    }

    let stream = TcpStream::connect(proxy.address).await.unwrap();
    let (mut requests, connection) = h2::client::handshake(stream).await.unwrap();
    let connection = tokio::spawn(connection);
    let asked = hyper::Request::get("http://lab/open/")
        .header("traceparent", parent)
        .header("tracestate", "a=1,b=2")
        .header("x-request-id", "forged");
    let (answer, _) = requests
        .send_request(asked.body(()).unwrap(), true)
        .unwrap();
    let answer = soon("an answer", answer).await.unwrap();
    let ids = answer.headers().get_all("x-request-id");
    let told: Vec<&str> = ids.iter().map(|id| id.to_str().unwrap()).collect();
    check(&told);
    connection.abort();
    assert_eq!(server.count(), 3);

    // Also where no server was asked.
    let health = proxy.get("/_chp_healthz", "").await;
    assert_eq!(health.header("x-request-id").unwrap().len(), 26);
}

#[tokio::test]
async fn durations_and_connections_to_servers_are_counted() {
    let server = Server::ok().await;
    let proxy = start(&server, "off").await;
    for _ in 0..3 {
        assert_eq!(proxy.get("/open/", "").await.status, 200);
    }
    let metrics = proxy.metrics();
    for line in [
        "lyceum_proxy_request_duration_seconds_count{kind=\"Open\"} 3",
        "lyceum_proxy_request_duration_seconds_count{kind=\"Fallback\"} 0",
        "lyceum_proxy_upstream_connections 1",
        "lyceum_proxy_upstream_connections_made_total 1",
    ] {
        assert!(metrics.contains(line), "{line} is not in\n{metrics}");
    }
}
