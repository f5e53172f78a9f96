//! TLS towards servers: who they are is checked, and they may ask who we are. Each way to fail is a
//! 503 whose cause is in the log.

use std::{
    fmt::{Debug, Write},
    fs,
    net::SocketAddr,
    path::Path,
    sync::{Arc, Mutex},
};

use futures_util::{SinkExt, StreamExt};
use lyceum_proxy::{Config, Http2, Route, RouteAccess, Upstream};
use rustls::{
    RootCertStore, ServerConfig,
    pki_types::{CertificateDer, PrivateKeyDer},
    server::WebPkiClientVerifier,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
    task::JoinHandle,
};
use tokio_rustls::{TlsAcceptor, server::TlsStream};
use tokio_tungstenite::tungstenite::Message;
use tracing::{
    Event, Metadata, Subscriber,
    field::{Field, Visit},
    span,
};

use crate::{
    support::{TestProxy, route, soon},
    tls::Authority,
};

type Stream = TlsStream<tokio::net::TcpStream>;

/// A server that lets in only whoever shows a certificate of `clients`.
struct Strict {
    address: SocketAddr,
    task: JoinHandle<()>,
}

impl Drop for Strict {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Strict {
    async fn start(authority: &Authority, names: &[&str], clients: &Authority) -> Self {
        let acceptor = acceptor(authority, names, clients);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let acceptor = acceptor.clone();
                tokio::spawn(async move {
                    if let Ok(stream) = acceptor.accept(stream).await {
                        serve(stream).await;
                    }
                });
            }
        });
        Self { address, task }
    }

    fn route(&self, prefix: &str, host: &str) -> Route {
        Route {
            target: format!("https://{host}:{}", self.address.port())
                .parse()
                .unwrap(),
            ..route(prefix, self.address, RouteAccess::Open)
        }
    }
}

fn acceptor(authority: &Authority, names: &[&str], clients: &Authority) -> TlsAcceptor {
    let (certificate, key) = authority.issue(names);
    let mut roots = RootCertStore::empty();
    roots.add(clients.0.der().clone()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider.clone());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_client_cert_verifier(verifier.build().unwrap())
        .with_single_cert(
            vec![certificate],
            PrivateKeyDer::try_from(key.serialize_der()).unwrap(),
        )
        .unwrap();
    TlsAcceptor::from(Arc::new(config))
}

/// Answers with how many certificates the client has shown.
async fn serve(mut stream: Stream) {
    let shown = stream.get_ref().1.peer_certificates();
    let shown = shown.map_or(0, <[CertificateDer<'_>]>::len);
    loop {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            match stream.read_u8().await {
                Ok(byte) => head.push(byte),
                Err(_) => return,
            }
        }
        let body = format!("shown {shown}");
        let answer = format!(
            "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        if stream.write_all(answer.as_bytes()).await.is_err() {
            return;
        }
    }
}

/// Files as an operator has them.
struct Files(tempfile::TempDir);

impl Files {
    fn new(trusted: &Authority, own: Option<&Authority>) -> (Self, Upstream) {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        write_pem(&at("ca.pem"), "CERTIFICATE", trusted.0.der());
        let mut upstream = Upstream {
            ca: Some(at("ca.pem")),
            ..Upstream::default()
        };
        if let Some(own) = own {
            let (certificate, key) = own.issue(&["proxy"]);
            write_pem(&at("own.pem"), "CERTIFICATE", &certificate);
            fs::write(at("own.key"), key.serialize_pem()).unwrap();
            upstream.certificate = Some(at("own.pem"));
            upstream.key = Some(at("own.key"));
        }
        (Self(folder), upstream)
    }
}

fn write_pem(path: &Path, label: &str, der: &[u8]) {
    let text = data_encoding::BASE64.encode(der);
    let pem = format!("-----BEGIN {label}-----\n{text}\n-----END {label}-----\n");
    fs::write(path, pem).unwrap();
}

/// Keeps all that is logged, for tests on one thread.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<String>>);

struct Text<'a>(&'a mut String);

impl Visit for Text<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        let _ = write!(self.0, "{field}={value:?} ");
    }
}

impl Subscriber for Log {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        *metadata.level() <= tracing::Level::INFO
    }

    fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
        span::Id::from_u64(1)
    }

    fn record(&self, _: &span::Id, _: &span::Record<'_>) {}

    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}

    fn event(&self, event: &Event<'_>) {
        if event.metadata().target().starts_with("lyceum_proxy") {
            let mut text = self.0.lock().unwrap();
            event.record(&mut Text(&mut text));
            text.push('\n');
        }
    }

    fn enter(&self, _: &span::Id) {}

    fn exit(&self, _: &span::Id) {}
}

async fn start(upstream: Upstream, server: &Strict, host: &str) -> TestProxy {
    let config = Config {
        upstream,
        http2: Http2 {
            prior_knowledge: true,
            ..Http2::default()
        },
        ..Config::default()
    };
    let routes = vec![server.route("/open/", host)];
    TestProxy::start(config, server.address, routes).await
}

#[tokio::test]
async fn both_sides_show_who_they_are() {
    let (servers, clients) = (Authority::new(), Authority::new());
    let server = Strict::start(&servers, &["127.0.0.1", "localhost"], &clients).await;
    let (_files, upstream) = Files::new(&servers, Some(&clients));
    for host in ["127.0.0.1", "localhost"] {
        let proxy = start(upstream.clone(), &server, host).await;
        for _ in 0..3 {
            let answer = proxy.get("/open/", "").await;
            assert_eq!((answer.status, answer.text().as_str()), (200, "shown 1"));
        }
        // The handshake was made once.
        let metrics = proxy.metrics();
        let made = "lyceum_proxy_upstream_connections_made_total 1";
        assert!(metrics.contains(made), "{metrics}");
    }
}

#[tokio::test]
async fn each_way_to_fail_is_503_and_the_log_names_the_cause() {
    let (servers, clients, strangers) = (Authority::new(), Authority::new(), Authority::new());
    let server = Strict::start(&servers, &["127.0.0.1"], &clients).await;
    for (what, trusted, own, host, cause) in [
        (
            "another authority",
            &strangers,
            Some(&clients),
            "127.0.0.1",
            // Authorities that have the same name and differ in their keys.
            "invalid peer certificate",
        ),
        (
            "another name",
            &servers,
            Some(&clients),
            "localhost",
            "not valid for name",
        ),
        (
            "no certificate of ours",
            &servers,
            None,
            "127.0.0.1",
            "CertificateRequired",
        ),
        (
            "a certificate of ours that it does not know",
            &servers,
            Some(&strangers),
            "127.0.0.1",
            "fatal alert: ",
        ),
    ] {
        let (_files, upstream) = Files::new(trusted, own);
        let log = Log::default();
        let _guard = tracing::subscriber::set_default(log.clone());
        let proxy = start(upstream, &server, host).await;
        let answer = proxy.get("/open/", "").await;
        assert_eq!(answer.status, 503, "{what}");
        let text = log.0.lock().unwrap().clone();
        assert!(
            text.contains("TLS: ") && text.contains(cause),
            "{what}: {text}"
        );
        let metrics = proxy.metrics();
        let counted = "lyceum_proxy_upstream_errors_total{why=\"tls\"} 1";
        assert!(metrics.contains(counted), "{what}: {metrics}");
        // A WebSocket and an upload fare the same.
        let mut client = proxy.connect().await;
        client
            .send("GET /open/ HTTP/1.1\r\nHost: lab\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
            .await;
        assert_eq!(client.answer().await.status, 503, "{what}");
        let put = "PUT /open/ HTTP/1.1\r\nHost: lab\r\nContent-Length: 5\r\n\r\nhello";
        assert_eq!(proxy.ask(put).await.status, 503, "{what}");
    }
}

#[tokio::test]
async fn insecure_takes_any_server_but_still_shows_who_we_are() {
    let (servers, clients, strangers) = (Authority::new(), Authority::new(), Authority::new());
    let server = Strict::start(&servers, &["elsewhere"], &clients).await;
    let (_files, upstream) = Files::new(&strangers, Some(&clients));
    let upstream = Upstream {
        insecure: true,
        ..upstream
    };
    let proxy = start(upstream, &server, "localhost").await;
    let answer = proxy.get("/open/", "").await;
    assert_eq!((answer.status, answer.text().as_str()), (200, "shown 1"));
}

#[test]
fn files_that_can_not_be_used_are_named() {
    let (servers, clients) = (Authority::new(), Authority::new());
    let (files, good) = Files::new(&servers, Some(&clients));
    assert_eq!(good.check(), Ok(()));
    let folder = files.0.path();
    fs::write(folder.join("empty"), "").unwrap();
    let check = |upstream: Upstream, expect: &str| {
        let error = upstream.check().expect_err("refused");
        assert!(error.contains(expect), "{error}");
    };
    let ca = Some(folder.join("gone.pem"));
    check(Upstream { ca, ..good.clone() }, "gone.pem");
    let ca = Some(folder.join("empty"));
    check(Upstream { ca, ..good.clone() }, "empty: no certificate");
    let key = Some(folder.join("ca.pem"));
    check(
        Upstream {
            key,
            ..good.clone()
        },
        "ca.pem: no key",
    );
    let key = None;
    check(
        Upstream {
            key,
            ..good.clone()
        },
        "belong together",
    );
    let other = clients.issue(&["proxy"]).1;
    fs::write(folder.join("other.key"), other.serialize_pem()).unwrap();
    let key = Some(folder.join("other.key"));
    check(Upstream { key, ..good }, "own.pem");
}

/// Upgrades by tungstenite itself, over TLS.
#[tokio::test]
async fn a_websocket_goes_through_both_ways() {
    let (servers, clients) = (Authority::new(), Authority::new());
    let acceptor = acceptor(&servers, &["localhost"], &clients);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let task = tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        let stream = acceptor.accept(stream).await.unwrap();
        let mut socket = tokio_tungstenite::accept_async(stream).await.unwrap();
        while let Some(Ok(message)) = socket.next().await {
            if message.is_close() {
                break;
            }
            socket.send(message).await.unwrap();
        }
    });
    let server = Strict { address, task };
    let (_files, upstream) = Files::new(&servers, Some(&clients));
    let proxy = start(upstream, &server, "localhost").await;
    let stream = tokio::net::TcpStream::connect(proxy.address).await.unwrap();
    let url = format!("ws://{}/open/ws", proxy.address);
    let (mut socket, _) = soon("the upgrade", tokio_tungstenite::client_async(url, stream))
        .await
        .unwrap();
    for length in [5, 70_000, 1 << 20] {
        let message = Message::binary(vec![7; length]);
        socket.send(message.clone()).await.unwrap();
        let back = soon("an echo", socket.next()).await.unwrap().unwrap();
        assert!(back == message, "{length}");
    }
    socket.close(None).await.unwrap();
    while soon("the end", socket.next()).await.is_some() {}
}
