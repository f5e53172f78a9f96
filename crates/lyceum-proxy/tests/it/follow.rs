//! A proxy that follows hubs: small fake ones that speak as a story tells them to.

use std::{
    net::SocketAddr,
    path::PathBuf,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst},
    },
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use futures_util::{SinkExt, StreamExt};
use lyceum_proxy::{
    Config, Proxy,
    follow::{
        Link, Settings,
        wire::{ACTIVITY_PATH, MAX_REPORTED, Report},
    },
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
    sync::{Notify, watch},
};
use tokio_tungstenite::tungstenite::Message;
use tokio_util::sync::CancellationToken;

use crate::support::{Client, Server, read_body, read_head, soon, until};

const HELLO: &str = r#"{"news":"hello","numbering":"n1","hub":"h"}"#;

/// Sends whatever is in `script` to whoever opens the stream, and more as it grows.
struct FakeHub {
    address: SocketAddr,
    script: watch::Sender<Vec<String>>,
    opened: Arc<AtomicUsize>,
    /// What the last stream was asked for.
    asked: watch::Receiver<String>,
    /// News of activity that came, with whether they were taken.
    reports: Reports,
    refuses_reports: Arc<AtomicBool>,
    stop: CancellationToken,
}

type Reports = Arc<Mutex<Vec<(bool, Report)>>>;

impl FakeHub {
    async fn start(status: u16, script: &[&str]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let script: Vec<String> = script.iter().map(|line| (*line).to_owned()).collect();
        let (script, lines) = watch::channel(script);
        let (ask, asked) = watch::channel(String::new());
        let opened = Arc::new(AtomicUsize::new(0));
        let stop = CancellationToken::new();
        let (count, stopped) = (opened.clone(), stop.clone());
        let (reports, refuses_reports) = (Reports::default(), Arc::new(AtomicBool::new(false)));
        let (told, refuses) = (reports.clone(), refuses_reports.clone());
        tokio::spawn(stop.clone().run_until_cancelled_owned(async move {
            loop {
                let (mut stream, _) = listener.accept().await.unwrap();
                let (mut lines, ask, count) = (lines.clone(), ask.clone(), count.clone());
                let (told, refuses) = (told.clone(), refuses.clone());
                let serve = async move {
                    let Some(head) = read_head(&mut stream).await else {
                        return Ok(());
                    };
                    if head.starts_with(&format!("POST {ACTIVITY_PATH} ")) && status == 200 {
                        let body = read_body(&mut stream, &head).await;
                        let report: Report = serde_json::from_slice(&body)?;
                        let takes = report.activity.is_empty() || !refuses.load(SeqCst);
                        if !report.activity.is_empty() {
                            told.lock().unwrap().push((takes, report));
                        }
                        let status = if takes { 200 } else { 503 };
                        let answer = format!(
                            "HTTP/1.1 {status} X\r\nconnection: close\r\ncontent-length: 2\r\n\r\n{{}}"
                        );
                        return stream.write_all(answer.as_bytes()).await;
                    }
                    if !head.contains("/routes/stream") || status != 200 {
                        let status = if head.contains("/health") { 200 } else { status };
                        let answer = format!(
                            "HTTP/1.1 {status} X\r\nconnection: close\r\ncontent-length: 16\r\n\r\n{{\"vouched\":true}}"
                        );
                        return stream.write_all(answer.as_bytes()).await;
                    }
                    ask.send_replace(head.lines().next().unwrap_or_default().to_owned());
                    count.fetch_add(1, SeqCst);
                    stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await?;
                    let mut sent = 0;
                    loop {
                        let new: Vec<String> = lines.borrow_and_update()[sent..].to_vec();
                        sent += new.len();
                        for line in new {
                            stream.write_all(format!("{line}\n").as_bytes()).await?;
                        }
                        if lines.changed().await.is_err() {
                            return Ok::<_, std::io::Error>(());
                        }
                    }
                };
                tokio::spawn(stopped.clone().run_until_cancelled_owned(serve));
            }
        }));
        Self {
            address,
            script,
            opened,
            asked,
            reports,
            refuses_reports,
            stop,
        }
    }

    fn say(&self, line: &str) {
        self.script
            .send_modify(|script| script.push(line.to_owned()));
    }
}

impl Drop for FakeHub {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

struct Following {
    proxy: Proxy,
    address: SocketAddr,
    stop: CancellationToken,
    link: Option<tokio::task::JoinHandle<()>>,
}

impl Drop for Following {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

impl Following {
    async fn start(hubs: &[SocketAddr], tune: impl FnOnce(&mut Settings)) -> Self {
        let hubs = hubs.iter().map(|hub| (*hub).into()).collect();
        let mut settings = Settings::new(hubs, "a secret of tests".to_owned().into());
        tune(&mut settings);
        let link = Link::new(settings).unwrap();
        let proxy = Proxy::new(Config::default(), link.fallback(), link.access());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let stop = CancellationToken::new();
        let (serving, stopped) = (proxy.clone(), stop.clone());
        tokio::spawn(async move { serving.run(listener, stopped.cancelled_owned()).await });
        let link = tokio::spawn(link.run(proxy.clone(), stop.clone()));
        Self {
            proxy,
            address,
            stop,
            link: Some(link),
        }
    }

    /// Until it has written its table down for the last time.
    async fn end(mut self) {
        self.stop.cancel();
        let link = self.link.take().unwrap();
        soon("its link to the hubs ends", link).await.unwrap();
    }

    fn has(&self, path: &str) -> bool {
        self.proxy.routes().find(path).is_some()
    }

    async fn health(&self) -> String {
        let mut stream = tokio::net::TcpStream::connect(self.address).await.unwrap();
        let request = "GET /_chp_healthz HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        soon("health", stream.read_to_string(&mut answer))
            .await
            .unwrap();
        answer
    }
}

fn snapshot(number: i64, names: &[&str], more: bool) -> String {
    let routes: Vec<serde_json::Value> = names
        .iter()
        .map(|name| {
            serde_json::json!({
                "id": name,
                "prefix": format!("/user/{name}/"),
                "target": "http://127.0.0.1:9",
                "owner": name,
            })
        })
        .collect();
    serde_json::json!({ "news": "snapshot", "number": number, "routes": routes, "more": more })
        .to_string()
}

struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("lyceum-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

#[tokio::test]
async fn a_snapshot_counts_when_it_is_whole_and_goes_on_elsewhere() {
    let part = snapshot(5, &["ada"], true);
    let first = FakeHub::start(200, &[HELLO, &part]).await;
    let proxy = Following::start(&[first.address], |_| {}).await;
    until("the stream is open", || first.opened.load(SeqCst) == 1).await;
    assert!(!proxy.has("/user/ada/x"));
    first.say(&snapshot(5, &["ben"], false));
    until("the table is there", || {
        proxy.has("/user/ada/x") && proxy.has("/user/ben/x")
    })
    .await;
    first.say(r#"{"news":"changes","number":7,"put":[],"removed":["ada"],"revoked":[]}"#);
    until("a route is gone", || !proxy.has("/user/ada/x")).await;
    // Older than what we have: not a word of it counts.
    first.say(r#"{"news":"changes","number":6,"put":[],"removed":["ben"],"revoked":[]}"#);
    first.say(r#"{"news":"beat","number":9}"#);
    first.say(r#"{"news":"something new","x":1}"#);
    // What can't be read ends the stream, and the next one is asked for what came after.
    first.say("{");
    until("it comes again", || first.opened.load(SeqCst) > 1).await;
    until("it asks for the rest", || {
        first.asked.borrow().contains("?numbering=n1&after=9 ")
    })
    .await;
    assert!(proxy.has("/user/ben/x"));
}

#[tokio::test]
async fn a_silent_hub_is_left_for_another() {
    let table = snapshot(1, &["ada"], false);
    let hubs = [
        FakeHub::start(200, &[HELLO, &table]).await,
        FakeHub::start(200, &[HELLO, &table]).await,
    ];
    let addresses = hubs.each_ref().map(|hub| hub.address);
    let proxy = Following::start(&addresses, |settings| {
        settings.silence = Duration::from_millis(200);
    })
    .await;
    until("both were asked", || {
        hubs.iter().all(|hub| hub.opened.load(SeqCst) > 0)
    })
    .await;
    assert!(proxy.has("/user/ada/x"));
    assert!(proxy.health().await.starts_with("HTTP/1.1 200"));
}

#[tokio::test]
async fn a_wrong_secret_is_told_on_the_health_page() {
    let hub = FakeHub::start(403, &[]).await;
    let proxy = Following::start(&[hub.address], |_| {}).await;
    soon("the words", async {
        loop {
            let health = proxy.health().await;
            assert!(health.starts_with("HTTP/1.1 503"), "{health}");
            assert!(!health.contains("a secret of tests"));
            if health.contains("does not take this proxy's secret") {
                return;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
}

#[tokio::test]
async fn a_damaged_table_is_as_good_as_none() {
    let folder = Folder::new("damaged");
    // Bound, so that nobody else gets the port, but not listening.
    let reserved = tokio::net::TcpSocket::new_v4().unwrap();
    reserved.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let gone = reserved.local_addr().unwrap();
    let hub = FakeHub::start(200, &[HELLO, &snapshot(3, &["ada"], false)]).await;
    let keep = |settings: &mut Settings| settings.folder = Some(folder.0.clone());
    let file = folder.0.join("routes");
    let proxy = Following::start(&[hub.address], keep).await;
    until("the table is written", || file.exists()).await;
    proxy.end().await;
    let good = std::fs::read(&file).unwrap();

    let proxy = Following::start(&[gone], keep).await;
    until("the table is read", || proxy.has("/user/ada/x")).await;
    assert!(proxy.health().await.starts_with("HTTP/1.1 200"));
    proxy.end().await;

    std::fs::write(&file, &good[..good.len() - 3]).unwrap();
    let proxy = Following::start(&[gone], keep).await;
    soon("it says that it has nothing", async {
        while !proxy.health().await.contains("no hub has answered yet") {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
    assert!(!proxy.has("/user/ada/x"));
    // And a hub mends it.
    proxy.end().await;
    let proxy = Following::start(&[gone, hub.address], keep).await;
    until("the table is there", || proxy.has("/user/ada/x")).await;
    until("the file is whole again", || {
        std::fs::read(&file).is_ok_and(|now| now == good)
    })
    .await;
}

#[tokio::test]
async fn requests_for_the_hub_go_to_one_that_takes_connections() {
    let hub = Server::ok().await;
    let gone: Vec<SocketAddr> = {
        let mut gone = Vec::new();
        for _ in 0..2 {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            gone.push(listener.local_addr().unwrap());
        }
        gone
    };
    let proxy = Following::start(&[gone[0], hub.address, gone[1]], |_| {}).await;
    for round in 0..6 {
        let mut stream = tokio::net::TcpStream::connect(proxy.address).await.unwrap();
        let request = format!(
            "POST /hub/{round} HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: 5\r\n\r\nhello"
        );
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        soon("an answer", stream.read_to_string(&mut answer))
            .await
            .unwrap();
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    }
}

/// Speaks TLS before somebody who does not, for `localhost`; counts who hung up on the certificate.
async fn tls_before(
    server: SocketAddr,
    authority: &crate::tls::Authority,
) -> (SocketAddr, Arc<AtomicUsize>) {
    let (certificate, key) = authority.issue(&["localhost"]);
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let key = rustls::pki_types::PrivateKeyDer::try_from(key.serialize_der()).unwrap();
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)
        .unwrap();
    let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let hung_up = Arc::new(AtomicUsize::new(0));
    let counter = hung_up.clone();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let (acceptor, counter) = (acceptor.clone(), counter.clone());
            tokio::spawn(async move {
                let mut client = acceptor.accept(stream).await.inspect_err(|_| {
                    counter.fetch_add(1, SeqCst);
                })?;
                let mut server = tokio::net::TcpStream::connect(server).await?;
                tokio::io::copy_bidirectional(&mut client, &mut server).await
            });
        }
    });
    (address, hung_up)
}

#[tokio::test]
async fn a_hub_is_followed_by_tls_if_its_certificate_is_that_of_the_named_authority() {
    let hub = FakeHub::start(200, &[HELLO, &snapshot(5, &["ada"], false)]).await;
    let (authority, other) = (crate::tls::Authority::new(), crate::tls::Authority::new());
    let (address, hung_up) = tls_before(hub.address, &authority).await;
    let folder = Folder::new("hub-by-tls");
    let follow = async |trusted: &crate::tls::Authority| {
        let ca = folder.0.join("ca.pem");
        std::fs::write(&ca, trusted.0.pem()).unwrap();
        Following::start(&[address], |settings| {
            let named = format!("https://localhost:{}", address.port());
            settings.hubs = vec![named.parse().unwrap()];
            settings.upstream.ca = Some(ca);
        })
        .await
    };
    let proxy = follow(&authority).await;
    until("the table is there", || proxy.has("/user/ada/x")).await;
    drop(proxy);
    let opened = hub.opened.load(SeqCst);
    assert_eq!(hung_up.load(SeqCst), 0);
    let proxy = follow(&other).await;
    until("some attempts", || hung_up.load(SeqCst) >= 3).await;
    let health = proxy.health().await;
    assert!(health.contains("no hub has answered"), "{health}");
    assert_eq!(hub.opened.load(SeqCst), opened, "it was asked all the same");

    let mut settings = Settings::new(
        vec!["https://localhost:1".parse().unwrap()],
        "a secret of tests".to_owned().into(),
    );
    settings.upstream.ca = Some(folder.0.join("gone.pem"));
    let error = Link::new(settings).err().unwrap().to_string();
    assert!(error.contains("gone.pem"), "{error}");
}

/// The table with these open routes to one server.
fn open_routes(number: i64, names: &[String], server: SocketAddr) -> String {
    let routes: Vec<serde_json::Value> = names
        .iter()
        .map(|name| {
            serde_json::json!({
                "id": name,
                "prefix": format!("/user/{name}/"),
                "target": format!("http://{server}"),
                "owner": name,
                "checked": false,
            })
        })
        .collect();
    serde_json::json!({ "news": "snapshot", "number": number, "routes": routes, "more": false })
        .to_string()
}

fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    i64::try_from(since.as_millis()).unwrap()
}

#[tokio::test]
async fn what_only_the_server_says_on_a_websocket_is_told_to_the_hub() {
    let speak = Arc::new(Notify::new());
    let server = Server::raw({
        let speak = speak.clone();
        move |stream, _| {
            let speak = speak.clone();
            async move {
                let mut socket = tokio_tungstenite::accept_async(stream).await.unwrap();
                loop {
                    speak.notified().await;
                    socket.send(Message::text("a plot")).await.unwrap();
                }
            }
        }
    })
    .await;
    let table = open_routes(1, &["ada".to_owned()], server.address);
    let hub = FakeHub::start(200, &[HELLO, &table]).await;
    let proxy = Following::start(&[hub.address], |settings| {
        settings.report_every = Duration::from_millis(20);
    })
    .await;
    until("the table is there", || proxy.has("/user/ada/x")).await;
    let address = format!("ws://{}/user/ada/kernel", proxy.address);
    let dialled = tokio_tungstenite::connect_async(address);
    let (mut socket, _) = soon("a WebSocket", dialled).await.unwrap();
    let last_told = || {
        let reports = hub.reports.lock().unwrap();
        let uses = reports.iter().flat_map(|(_, report)| &report.activity);
        uses.map(|used| used.last_ms).max()
    };
    until("the opening is told", || last_told().is_some()).await;
    for _ in 0..2 {
        let before = now_ms();
        until("the clock goes on", || now_ms() > before).await;
        speak.notify_one();
        let said = soon("a message", socket.next()).await.unwrap().unwrap();
        assert_eq!(said, Message::text("a plot"));
        until("it is told", || last_told() > Some(before)).await;
    }
    let reports = hub.reports.lock().unwrap();
    let mut uses = reports.iter().flat_map(|(_, report)| &report.activity);
    assert!(uses.all(|used| used.route == "ada"));
}

#[tokio::test]
async fn many_uses_are_told_in_parts_and_again_if_they_were_refused() {
    const ROUTES: usize = 1_200;
    let server = Server::ok().await;
    let names: Vec<String> = (0..ROUTES).map(|at| format!("u{at}")).collect();
    let table = open_routes(1, &names, server.address);
    let hub = FakeHub::start(200, &[HELLO, &table]).await;
    hub.refuses_reports.store(true, SeqCst);
    let proxy = Following::start(&[hub.address], |settings| {
        settings.report_every = Duration::from_millis(20);
    })
    .await;
    until("the table is there", || proxy.has("/user/u0/x")).await;
    let mut client = Client(tokio::net::TcpStream::connect(proxy.address).await.unwrap());
    for name in &names {
        client
            .send(format!("GET /user/{name}/ HTTP/1.1\r\nHost: lab\r\n\r\n"))
            .await;
        assert_eq!(client.answer().await.status, 200);
    }
    until("a report is refused", || {
        !hub.reports.lock().unwrap().is_empty()
    })
    .await;
    hub.refuses_reports.store(false, SeqCst);
    let taken = || {
        let reports = hub.reports.lock().unwrap();
        let taken = reports.iter().filter(|(is_taken, _)| *is_taken);
        taken
            .map(|(_, report)| report.activity.clone())
            .collect::<Vec<_>>()
    };
    until("all are told", || {
        let mut routes: Vec<String> = taken().into_iter().flatten().map(|it| it.route).collect();
        routes.sort_unstable();
        routes.dedup();
        routes.len() == ROUTES
    })
    .await;
    let sizes: Vec<usize> = taken().iter().map(Vec::len).collect();
    assert!(sizes.contains(&MAX_REPORTED), "{sizes:?}");
    assert!(
        sizes.iter().all(|size| *size <= MAX_REPORTED),
        "a hub takes no more at once: {sizes:?}"
    );
    assert_eq!(sizes.iter().sum::<usize>(), ROUTES, "told twice: {sizes:?}");
}

#[tokio::test]
async fn a_route_may_be_for_one_host_alone() {
    let (ada, ben) = (
        Server::answer_with(&b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nada"[..]).await,
        Server::answer_with(&b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nben"[..]).await,
    );
    let routes = serde_json::json!([
        { "id": "a", "host": "Ada.lab.example", "prefix": "/", "target": format!("http://{}", ada.address), "owner": "ada", "checked": false },
        { "id": "c", "host": "cy.lab.example", "prefix": "/user/cy/", "target": format!("http://{}", ada.address), "owner": "cy" },
        { "id": "b", "prefix": "/user/ben/", "target": format!("http://{}", ben.address), "owner": "ben", "checked": false },
    ]);
    let table =
        serde_json::json!({ "news": "snapshot", "number": 1, "routes": routes, "more": false });
    let hub = FakeHub::start(200, &[HELLO, &table.to_string()]).await;
    let proxy = Following::start(&[hub.address], |_| {}).await;
    until("the table is there", || proxy.has("/user/ben/x")).await;
    let check = async |host: &str, path: &str, words: &str| {
        let mut client = Client(tokio::net::TcpStream::connect(proxy.address).await.unwrap());
        client
            .send(format!("GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n"))
            .await;
        let answer = client.answer().await.text();
        assert!(answer.contains(words), "{host} {path}: {answer}");
    };
    check("ada.lab.example", "/user/ben/", "ada").await;
    check("ADA.lab.example:8000", "/x", "ada").await;
    check("lab.example", "/user/ben/", "ben").await;
    // What is no route is the hub's, whose answer has this word.
    check("lab.example", "/x", "vouched").await;
    check("lab.example", "/ada.lab.example/x", "vouched").await;
    check("lab.example", "//ada.lab.example/x", "vouched").await;
    check("x.ada.lab.example", "/x", "vouched").await;
    // Hosts keep pages apart, and a program with a token has none. This hub can't say who may.
    check("lab.example", "/user/cy/x", "vouched").await;
    let cookie = "/user/cy/x HTTP/1.1\r\nCookie: lyceum-access=x\r\nX-Rest: x";
    check("lab.example", cookie, "vouched").await;
    let token = "/user/cy/x HTTP/1.1\r\nAuthorization: token x\r\nX-Rest: x";
    check("lab.example", token, "503").await;
    check("ben.lab.example", token, "503").await;
    let open = "/x HTTP/1.1\r\nAuthorization: token x\r\nX-Rest: x";
    check("lab.example", open, "vouched").await;
    hub.say(r#"{"news":"changes","number":2,"put":[],"removed":["a"],"revoked":[]}"#);
    until("it is gone", || proxy.proxy.routes().routes().len() == 2).await;
    check("ada.lab.example", "/x", "vouched").await;
    check("ada.lab.example", "/user/ben/", "ben").await;
    hub.say(r#"{"news":"changes","number":3,"put":[],"removed":["c"],"revoked":[]}"#);
    until("it is gone", || proxy.proxy.routes().routes().len() == 1).await;
    check("lab.example", token, "vouched").await;
}
