//! A proxy, servers behind it and clients before it, all on loopback.

use std::{
    collections::HashMap,
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};

use async_trait::async_trait;
use lyceum_proxy::{
    Access, Ask, Config, Credential, Decision, Door, Listener, Proxy, Revoked, Route, RouteAccess,
    RouteTable, Target,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::oneshot,
    task::JoinHandle,
};

/// Far more than anything here needs; a hang fails instead of waiting for ever.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

pub(crate) async fn soon<T>(what: &str, future: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, future)
        .await
        .unwrap_or_else(|_| panic!("took too long: {what}"))
}

/// Looks again until it holds.
pub(crate) async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    soon(what, async {
        while !holds() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
}

/// Waits until a number no longer changes.
pub(crate) async fn stands_still(what: &str, mut number: impl FnMut() -> usize) {
    soon(what, async {
        let mut last = number();
        loop {
            tokio::time::sleep(Duration::from_millis(200)).await;
            let now = number();
            if now == last {
                return;
            }
            last = now;
        }
    })
    .await;
}

/// Decides by a table from secret to decision; `asked` counts the questions.
#[derive(Default)]
pub(crate) struct FakeAccess {
    pub(crate) decisions: Mutex<HashMap<String, Decision>>,
    pub(crate) asked: AtomicUsize,
    pub(crate) asks: Mutex<Vec<Ask>>,
    /// Whose addresses somebody else listens at.
    pub(crate) robbed: Mutex<Vec<Target>>,
}

impl FakeAccess {
    pub(crate) fn decide(&self, secret: &str, decision: Decision) {
        self.decisions
            .lock()
            .unwrap()
            .insert(secret.into(), decision);
    }

    pub(crate) fn allow(&self, secret: &str, subject: &str) {
        let decision = Decision::Allow {
            subject: subject.into(),
            grounds: [secret.to_owned()].into(),
            for_how_long: Duration::from_secs(600),
        };
        self.decide(secret, decision);
    }
}

/// What [`FakeAccess::allow`] let in with this secret is taken back.
pub(crate) fn resting_on(subject: &str, secret: &str) -> Revoked {
    Revoked::Grounds {
        subject: subject.into(),
        fallen: vec![secret.into()],
    }
}

#[async_trait]
impl Access for FakeAccess {
    async fn check(&self, ask: &Ask) -> Decision {
        self.asked.fetch_add(1, SeqCst);
        self.asks.lock().unwrap().push(ask.clone());
        let secret = match &ask.credential {
            Credential::AccessCookie(secret) | Credential::Token(secret) => secret.as_str(),
            Credential::None => "",
        };
        let decisions = self.decisions.lock().unwrap();
        decisions.get(secret).cloned().unwrap_or(Decision::SignIn)
    }

    async fn vouch(&self, _: &str, target: &Target) -> bool {
        !self.robbed.lock().unwrap().contains(target)
    }
}

pub(crate) struct TestProxy {
    pub(crate) proxy: Proxy,
    pub(crate) address: SocketAddr,
    pub(crate) access: Arc<FakeAccess>,
    stop: Option<oneshot::Sender<()>>,
    running: Option<JoinHandle<()>>,
}

impl TestProxy {
    pub(crate) async fn start(config: Config, fallback: SocketAddr, routes: Vec<Route>) -> Self {
        let address: SocketAddr = "127.0.0.1:0".parse().unwrap();
        let door = Door::bind(&Listener::plain(address), None, false).unwrap();
        Self::start_doors(config, fallback, routes, vec![door]).await
    }

    /// `address` is then that of the first door with one.
    pub(crate) async fn start_doors(
        config: Config,
        fallback: SocketAddr,
        routes: Vec<Route>,
        doors: Vec<Door>,
    ) -> Self {
        let access = Arc::new(FakeAccess::default());
        let proxy = Proxy::new(config, Target::from(fallback), access.clone());
        proxy.set_routes(RouteTable::new(routes).unwrap());
        let address = doors.iter().find_map(Door::local_addr);
        let address = address.unwrap_or_else(|| "127.0.0.1:0".parse().unwrap());
        let (stop, stopped) = oneshot::channel();
        let running = tokio::spawn({
            let proxy = proxy.clone();
            async move {
                proxy
                    .run_doors(doors, async {
                        let _ = stopped.await;
                    })
                    .await;
            }
        });
        Self {
            proxy,
            address,
            access,
            stop: Some(stop),
            running: Some(running),
        }
    }

    /// One open route `/open/` to a server; the hub is the same server.
    pub(crate) async fn open(server: SocketAddr) -> Self {
        let routes = vec![route("/open/", server, RouteAccess::Open)];
        Self::start(Config::default(), server, routes).await
    }

    pub(crate) fn begin_stop(&mut self) -> JoinHandle<()> {
        let _ = self.stop.take().unwrap().send(());
        self.running.take().unwrap()
    }

    pub(crate) async fn connect(&self) -> Client {
        Client(TcpStream::connect(self.address).await.unwrap())
    }

    /// Sends these bytes on a new connection and reads one answer.
    pub(crate) async fn ask(&self, request: impl AsRef<[u8]>) -> Answer {
        let mut client = self.connect().await;
        client.send(request).await;
        client.answer().await
    }

    pub(crate) async fn get(&self, path: &str, headers: &str) -> Answer {
        self.ask(format!("GET {path} HTTP/1.1\r\nHost: lab\r\n{headers}\r\n"))
            .await
    }

    /// The sample of this name, labels and all; 0 while there is none.
    pub(crate) fn sample(&self, name: &str) -> u64 {
        let metrics = self.metrics();
        let line = metrics
            .lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        line.map_or(0, |value| value.parse().unwrap())
    }

    /// How often this limit was reached.
    pub(crate) fn struck(&self, limit: &str) -> u64 {
        self.sample(&format!("lyceum_proxy_limits_total{{limit=\"{limit}\"}}"))
    }

    pub(crate) fn metrics(&self) -> String {
        let mut registry = prometheus_client::registry::Registry::default();
        self.proxy.register_metrics(&mut registry);
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &registry).unwrap();
        text
    }
}

pub(crate) fn route(prefix: &str, server: SocketAddr, access: RouteAccess) -> Route {
    Route {
        prefix: prefix.into(),
        id: prefix.trim_matches('/').into(),
        target: Target::from(server),
        access,
        owner: "ada".into(),
    }
}

/// A client that speaks bytes.
pub(crate) struct Client(pub(crate) TcpStream);

#[derive(Clone, Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> Option<String> {
        header(&self.head, name)
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

pub(crate) fn header(head: &str, name: &str) -> Option<String> {
    head.lines().skip(1).find_map(|line| {
        let (key, value) = line.split_once(':')?;
        key.eq_ignore_ascii_case(name)
            .then(|| value.trim().to_owned())
    })
}

impl Client {
    pub(crate) async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        soon("sending", self.0.write_all(bytes.as_ref()))
            .await
            .unwrap();
    }

    /// Sends until nobody takes any more.
    pub(crate) async fn send_until_stuck(&mut self) {
        let piece = [0; 64 * 1024];
        let moment = Duration::from_millis(200);
        while let Ok(sent) = tokio::time::timeout(moment, self.0.write_all(&piece)).await {
            sent.unwrap();
        }
    }

    /// The bytes up to and with the empty line.
    pub(crate) async fn head(&mut self) -> String {
        soon("a head", read_head(&mut self.0))
            .await
            .expect("a head")
    }

    pub(crate) async fn answer(&mut self) -> Answer {
        let head = self.head().await;
        let status = head[9..12].parse().unwrap();
        let body = if status == 304 || status == 204 || status == 101 {
            Vec::new()
        } else {
            soon("a body", read_body(&mut self.0, &head)).await
        };
        Answer { status, head, body }
    }

    pub(crate) async fn exactly(&mut self, length: usize) -> Vec<u8> {
        let mut bytes = vec![0; length];
        soon("bytes", self.0.read_exact(&mut bytes)).await.unwrap();
        bytes
    }

    /// Everything until the connection ends, and whether it ended by a reset.
    pub(crate) async fn read_rest(&mut self) -> (Vec<u8>, bool) {
        let mut bytes = Vec::new();
        let end = soon("the end", self.0.read_to_end(&mut bytes)).await;
        (bytes, end.is_err())
    }
}

/// None if the connection ends first.
pub(crate) async fn read_head(stream: &mut TcpStream) -> Option<String> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.ok()?);
    }
    Some(String::from_utf8_lossy(&head).into_owned())
}

async fn read_line(stream: &mut TcpStream) -> String {
    let mut line = Vec::new();
    while !line.ends_with(b"\r\n") {
        line.push(stream.read_u8().await.expect("a whole line"));
    }
    String::from_utf8_lossy(&line).trim().to_owned()
}

/// A body by length or chunks; empty if neither is said.
pub(crate) async fn read_body(stream: &mut TcpStream, head: &str) -> Vec<u8> {
    let mut body = Vec::new();
    if header(head, "transfer-encoding").is_some() {
        loop {
            let line = read_line(stream).await;
            let size = usize::from_str_radix(line.split(';').next().unwrap(), 16).unwrap();
            if size == 0 {
                while !read_line(stream).await.is_empty() {}
                return body;
            }
            let mut chunk = vec![0; size + 2];
            stream.read_exact(&mut chunk).await.unwrap();
            body.extend_from_slice(&chunk[..size]);
        }
    }
    let length = header(head, "content-length").map_or(0, |length| length.parse().unwrap());
    body.resize(length, 0);
    stream.read_exact(&mut body).await.unwrap();
    body
}

/// A server that does with each connection what it is told.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    pub(crate) connections: Arc<AtomicUsize>,
    /// Heads of requests and their bodies, as `echo` and `answer_with` saw them.
    pub(crate) seen: Seen,
    accepting: JoinHandle<()>,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

impl Server {
    pub(crate) async fn raw<F>(each: impl Fn(TcpStream, Seen) -> F + Send + 'static) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let connections = Arc::new(AtomicUsize::new(0));
        let seen = Seen::default();
        let accepting = tokio::spawn({
            let (connections, seen) = (connections.clone(), seen.clone());
            async move {
                while let Ok((stream, _)) = listener.accept().await {
                    connections.fetch_add(1, SeqCst);
                    tokio::spawn(each(stream, seen.clone()));
                }
            }
        });
        Self {
            address,
            connections,
            seen,
            accepting,
        }
    }

    /// Answers every request with these bytes and keeps the connection.
    pub(crate) async fn answer_with(answer: impl Into<Vec<u8>>) -> Self {
        let answer: Arc<[u8]> = answer.into().into();
        Self::raw(move |mut stream, seen| {
            let answer = answer.clone();
            async move {
                while let Some(head) = read_head(&mut stream).await {
                    let body = read_body(&mut stream, &head).await;
                    seen.lock().unwrap().push((head, body));
                    if stream.write_all(&answer).await.is_err() {
                        return;
                    }
                }
            }
        })
        .await
    }

    /// Answers `ok`.
    pub(crate) async fn ok() -> Self {
        Self::answer_with(&b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"[..]).await
    }

    pub(crate) fn last(&self) -> (String, Vec<u8>) {
        self.seen
            .lock()
            .unwrap()
            .last()
            .cloned()
            .expect("a request")
    }

    pub(crate) fn count(&self) -> usize {
        self.seen.lock().unwrap().len()
    }
}

pub(crate) type Seen = Arc<Mutex<Vec<(String, Vec<u8>)>>>;

/// An address where nothing listens.
pub(crate) async fn dead_address() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    listener.local_addr().unwrap()
}
