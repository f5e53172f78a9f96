//! `lyceum serve` and `lyceum proxy` as processes: two of each on a real PostgreSQL.
//!
//! What they start is in [`crate::played`].

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use futures_util::{SinkExt, StreamExt};
use lyceum_store::db::Location;
use lyceum_testkit::{Client, TestDb};
use serde_json::Value;
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::{Message, client::IntoClientRequest};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream};

use crate::harness::{PATIENCE, Site};
use crate::newer;
use crate::played::{self, Notes};

/// A process of the program under test; killed when dropped.
pub(crate) struct Running {
    pub(crate) child: Child,
    /// The first line it said.
    pub(crate) said: Value,
}

impl Running {
    fn start(site: &Site, database: &str, args: &[&str]) -> Self {
        Self::start_logging(site, database, args, Stdio::inherit())
    }

    fn start_logging(site: &Site, database: &str, args: &[&str], log: Stdio) -> Self {
        Self::start_command(site, site.command(args), database, log)
    }

    fn start_command(site: &Site, mut command: Command, database: &str, log: Stdio) -> Self {
        command
            .env("DATABASE_URL", database)
            .env("LYCEUM_TEST_TOKEN", crate::storm::TOKEN)
            .stdout(Stdio::piped())
            .stderr(log);
        let mut child = command.spawn().expect("runs");
        let mut lines = BufReader::new(child.stdout.take().expect("piped")).lines();
        let said = loop {
            let line = lines.next().unwrap_or_else(|| {
                let log = site.read("log");
                panic!("it ended before it was ready: {log}")
            });
            let line = line.expect("text");
            // What is played has words of the tests' own around it.
            let Some(at) = line.find('{') else {
                continue;
            };
            let said: Value = serde_json::from_str(&line[at..]).expect("JSON");
            if matches!(said["event"].as_str(), Some("ready" | "listening")) {
                break said;
            }
        };
        Self { child, said }
    }

    pub(crate) fn kill(mut self) {
        self.child.kill().expect("killed");
        self.child.wait().expect("waited");
    }

    /// Asks it to end in good order.
    pub(crate) fn terminate(&self) {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).expect("told");
    }

    /// Its exit code, once it ends by itself.
    pub(crate) async fn ended(&mut self) -> Option<i32> {
        let mut code = None;
        until("it ends by itself", async || {
            let status = self.child.try_wait().expect("waited");
            code = status.map(|status| status.code());
            status.is_some()
        })
        .await;
        code.flatten()
    }

    pub(crate) fn text(&self, key: &str) -> String {
        self.said[key].as_str().expect("text").to_owned()
    }

    /// Where a proxy listens.
    pub(crate) fn address(&self) -> SocketAddr {
        let url = self.text("url");
        let address = url.strip_prefix("http://").expect("a URL");
        address.parse().expect("an address")
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Two hubs and what they share.
pub(crate) struct Place {
    pub(crate) site: Site,
    pub(crate) database: Location,
    pub(crate) notes: Notes,
    /// Where the processes' logs go; none: to the terminal.
    log: Option<std::path::PathBuf>,
    kept: Option<TestDb>,
}

impl Place {
    async fn new() -> Self {
        let db = TestDb::empty_postgres().await;
        Self {
            log: None,
            ..Self::on(db.location().clone(), "").keeping(db)
        }
    }

    /// On a database that the caller keeps, with more configuration, which goes on where `servers:` is
    /// said. Servers note their starts.
    pub(crate) fn on(database: Location, more: &str) -> Self {
        let site = Site::new();
        std::fs::create_dir_all(site.path("mine/bin")).expect("made");
        std::fs::create_dir(site.path("notes")).expect("made");
        site.program("../mine/bin/python", "");
        site.program("../mine/bin/jupyterhub-singleuser", "echo 5.4.0");
        let notes = Notes::in_folder(site.path("notes"));
        site.write(
            "lyceum.yaml",
            &format!(
                "store: {{database: env:DATABASE_URL}}\nspawner: {{accounts: shared}}\nservers:\n  \
                 command: {}\n  env: {{{}}}\n{more}",
                played::command("a_notebook_server"),
                notes.environment(),
            ),
        );
        Self {
            log: Some(site.path("log")),
            notes,
            site,
            database,
            kept: None,
        }
    }

    fn keeping(mut self, db: TestDb) -> Self {
        self.kept = Some(db);
        self
    }

    fn database(&self) -> String {
        let Location::Postgres(url) = &self.database else {
            panic!("not PostgreSQL");
        };
        url.clone()
    }

    fn log(&self) -> Stdio {
        let Some(path) = &self.log else {
            return Stdio::inherit();
        };
        let mut file = std::fs::OpenOptions::new();
        let file = file.create(true).append(true).open(path);
        file.expect("a log").into()
    }

    pub(crate) fn hub(&self, listen: &str) -> Running {
        let args = hub_args(listen);
        Running::start_logging(&self.site, &self.database(), &args, self.log())
    }

    /// A hub of a version to come.
    pub(crate) fn newer_hub(&self, listen: &str) -> Running {
        let command = newer::command(&self.site, &hub_args(listen));
        Running::start_command(&self.site, command, &self.database(), self.log())
    }

    pub(crate) fn proxy(&self, state: &str, listen: &str, hubs: &[&str]) -> Running {
        self.proxy_with(state, listen, hubs, &[])
    }

    pub(crate) fn proxy_with(
        &self,
        state: &str,
        listen: &str,
        hubs: &[&str],
        more: &[&str],
    ) -> Running {
        let mut args = vec!["proxy", "--state", state, "--listen", listen, "--json"];
        args.extend(more);
        args.extend(["--hub-secret", "file:data/keys/proxy"]);
        for hub in hubs {
            args.extend(["--hub", hub]);
        }
        Running::start_logging(&self.site, "unused", &args, self.log())
    }

    /// The hubs run a service too.
    pub(crate) fn with_service(self) -> Self {
        // Its order is the same at all hubs, so none that takes it over starts it anew.
        let service = format!(
            "services:\n  - name: watcher\n    command: {}\n    environment: {{{}, JUPYTERHUB_API_URL: \"http://127.0.0.1:9\"}}\n",
            played::command("a_service"),
            self.notes.environment(),
        );
        let config = self.site.read("lyceum.yaml");
        assert!(config.contains("services:\n"), "{config}");
        let with_service = config.replace("services:\n", &service);
        self.site.write("lyceum.yaml", &with_service);
        self
    }
}

fn hub_args(listen: &str) -> [&str; 8] {
    [
        "serve",
        "--data",
        "data",
        "--jupyter-env",
        "mine",
        "--listen",
        listen,
        "--json",
    ]
}

/// Asks again until it is so.
pub(crate) async fn until(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let began = Instant::now();
    while !holds().await {
        assert!(began.elapsed() < PATIENCE, "{what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

async fn open_socket(address: SocketAddr, access: &str) -> Socket {
    let mut request = format!("ws://{address}/user/admin/echo")
        .into_client_request()
        .expect("a request");
    let cookie = format!("lyceum-access={access}");
    let headers = request.headers_mut();
    headers.insert("cookie", cookie.parse().expect("a cookie"));
    let (socket, _) = tokio_tungstenite::connect_async(request)
        .await
        .expect("a WebSocket");
    socket
}

async fn echoes(socket: &mut Socket, text: &str) {
    socket.send(Message::text(text)).await.expect("sent");
    let heard = tokio::time::timeout(PATIENCE, socket.next()).await;
    let heard = heard.expect("in time").expect("not over").expect("whole");
    assert_eq!(heard, Message::text(text));
}

#[tokio::test(flavor = "multi_thread")]
async fn hubs_and_proxies_go_and_come_while_people_work() {
    let place = Place::new().await;
    let (first, second) = (place.hub("127.0.0.1:0"), place.hub("127.0.0.1:0"));
    let urls = [first.text("hub"), second.text("hub")];
    let hubs = [urls[0].as_str(), urls[1].as_str()];
    let one = place.proxy("state-1", "127.0.0.1:0", &hubs);
    let two = place.proxy("state-2", "127.0.0.1:0", &hubs);
    let password = first.said["accounts"][0]["password"].as_str();
    let password = password.expect("the first password").to_owned();

    // In at one proxy, and to work at the other.
    let browser = Client::new(one.address());
    browser.log_in("admin", &password).await.expect(302);
    let wish = [("user", "admin"), ("server", "")];
    browser
        .post_form("/hub/servers/start", &wish)
        .await
        .expect(302);
    until("the server is ready", async || {
        let answer = browser.get("/hub/spawn-pending/admin").await;
        assert!(
            answer.status == 200 || answer.status == 302,
            "{}",
            answer.text()
        );
        answer.location() == "/user/admin/"
    })
    .await;
    browser.get("/user/admin/lab").await.expect(200);
    let elsewhere = Client::new(two.address());
    let access = browser.cookie("lyceum-access").expect("signed in");
    elsewhere.plant("lyceum-access", &access, "/");
    elsewhere.get("/user/admin/lab").await.expect(200);
    let mut socket = open_socket(two.address(), &access).await;
    echoes(&mut socket, "both hubs").await;

    // One hub less: nobody notices.
    first.kill();
    for _ in 0..10 {
        browser.get("/hub/home").await.expect(200);
        elsewhere.get("/user/admin/lab").await.expect(200);
    }
    echoes(&mut socket, "one hub").await;

    // None at all: who was in works on, and a proxy that restarts has its table.
    elsewhere.get("/user/admin/lab").await.expect(200);
    second.kill();
    elsewhere.get("/user/admin/lab").await.expect(200);
    echoes(&mut socket, "no hub").await;
    let address = one.address();
    one.kill();
    let one = place.proxy("state-1", &address.to_string(), &hubs);
    until("the table is read", async || {
        browser.get("/_chp_healthz").await.status == 200
    })
    .await;
    // Nobody is let in on trust.
    browser.get("/user/admin/lab").await.expect(503);
    browser.get("/hub/home").await.expect(503);

    // A hub is back where it was: everything is.
    let second = place.hub(hubs[1].strip_prefix("http://").expect("a URL"));
    until("the hub is found again", async || {
        browser.get("/hub/home").await.status == 200
    })
    .await;
    until("access is decided again", async || {
        browser.get("/user/admin/lab").await.status == 200
    })
    .await;
    echoes(&mut socket, "a hub again").await;

    // A log-out at one proxy ends the socket at the other, also after all that.
    until("the other proxy follows again", async || {
        let fresh = Client::new(two.address());
        fresh.plant("lyceum-access", &access, "/");
        fresh.get("/user/admin/lab").await.status == 200
    })
    .await;
    browser.post_form("/hub/logout", &[]).await.expect(302);
    let end = tokio::time::timeout(PATIENCE, socket.next()).await;
    let end = end.expect("the socket ends");
    assert!(!matches!(end, Some(Ok(_))), "{end:?}");
    elsewhere.get("/user/admin/lab").await.expect(403);

    browser.log_in("admin", &password).await.expect(302);
    browser
        .post_form("/hub/servers/stop", &wish)
        .await
        .expect(302);
    until("the server has stopped", async || {
        browser.get("/hub/spawn-pending/admin").await.location() == "/hub/home"
    })
    .await;
    drop((one, two, second));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_proxy_is_replaced_while_people_work() {
    let place = Place::new().await;
    let hub = place.hub("127.0.0.1:0");
    let hubs = [hub.text("hub")];
    let hubs = [hubs[0].as_str()];
    let limits = ["--limit", "drain=10m"];
    let mut old = place.proxy_with("state", "127.0.0.1:0", &hubs, &limits);
    let address = old.address();
    let password = hub.said["accounts"][0]["password"].as_str();
    let browser = Client::new(address);
    let password = password.expect("the first password");
    browser.log_in("admin", password).await.expect(302);
    let wish = [("user", "admin"), ("server", "")];
    browser
        .post_form("/hub/servers/start", &wish)
        .await
        .expect(302);
    until("the server is ready", async || {
        browser.get("/hub/spawn-pending/admin").await.location() == "/user/admin/"
    })
    .await;
    let access = browser.cookie("lyceum-access").expect("signed in");
    let mut socket = open_socket(address, &access).await;
    echoes(&mut socket, "the first proxy").await;

    // Clients that come anew all the time; each must be served.
    let stop = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
    let served = std::sync::Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let clients: Vec<_> = (0..4)
        .map(|_| {
            let (stop, served, access) = (stop.clone(), served.clone(), access.clone());
            tokio::spawn(async move {
                while !stop.load(Relaxed) {
                    let client = Client::new(address);
                    client.plant("lyceum-access", &access, "/");
                    client.get("/user/admin/lab").await.expect(200);
                    served.fetch_add(1, Relaxed);
                }
            })
        })
        .collect();
    let traffic = async || {
        let before = served.load(Relaxed);
        until("people are served", async || {
            served.load(Relaxed) > before + 50
        })
        .await;
    };
    traffic().await;
    let listen = address.to_string();

    // One that finds no hub and no table leaves the other in peace.
    let mut command = place.site.command(&[
        "proxy",
        "--take-over",
        "--listen",
        &listen,
        "--hub",
        "http://127.0.0.1:1",
        "--hub-secret",
        "file:data/keys/proxy",
        "--state",
        "state",
    ]);
    std::fs::rename(place.site.path("state/routes"), place.site.path("routes")).expect("moved");
    let said = place.site.said(command.output().expect("runs"));
    assert_eq!(said.code, Some(1), "{}", said.err);
    assert!(said.err.contains("not taking over: no hub"), "{}", said.err);
    traffic().await;

    for round in 0..3 {
        let more = [&limits[..], &["--take-over"]].concat();
        let next = place.proxy_with("state", &listen, &hubs, &more);
        assert_eq!(next.address(), address);
        traffic().await;
        // The old one goes on with what it has, and with nothing else.
        echoes(&mut socket, "still the one before").await;
        assert!(old.child.try_wait().expect("waited").is_none(), "{round}");
        drop(socket);
        assert_eq!(old.ended().await, Some(0));
        traffic().await;
        socket = open_socket(address, &access).await;
        echoes(&mut socket, "the next proxy").await;
        old = next;
    }
    stop.store(true, Relaxed);
    for client in clients {
        client.await.expect("no request was lost");
    }

    // What is open at the one before still ends with a log-out at the next.
    let more = [&limits[..], &["--take-over"]].concat();
    let next = place.proxy_with("state", &listen, &hubs, &more);
    echoes(&mut socket, "a last time").await;
    browser.post_form("/hub/logout", &[]).await.expect(302);
    let end = tokio::time::timeout(PATIENCE, socket.next()).await;
    let end = end.expect("the socket ends");
    assert!(!matches!(end, Some(Ok(_))), "{end:?}");
    drop(socket);
    assert_eq!(old.ended().await, Some(0));
    drop((next, hub));
}

#[tokio::test(flavor = "multi_thread")]
async fn hubs_of_one_database_have_one_key_and_one_place() {
    let place = Place::new().await;
    let hub = place.hub("127.0.0.1:0");
    let other = [
        "serve",
        "--data",
        "other",
        "--jupyter-env",
        "mine",
        "--listen",
        "127.0.0.1:0",
    ];
    let refused = || {
        let mut command = place.site.command(&other);
        command.env("DATABASE_URL", place.database());
        let said = place.site.said(command.output().expect("runs"));
        assert_eq!(said.code, Some(1), "{}", said.err);
        said.err
    };
    let missing = refused();
    assert!(missing.contains("the master key is missing"), "{missing}");
    assert!(missing.contains("store: {key: file:…}"), "{missing}");
    assert!(!place.site.path("other/keys/master").exists());
    std::fs::write(place.site.path("other/keys/master"), [7; 32]).expect("written");
    let differs = refused();
    assert!(differs.contains("is another ("), "{differs}");
    assert!(!differs.contains("0707"), "{differs}");

    // Named in the configuration, as bytes or as digits, it is taken.
    let config = place.site.read("lyceum.yaml");
    let key = std::fs::read(place.site.path("data/keys/master")).expect("the first hub's");
    let digits: String = key.iter().map(|byte| format!("{byte:02x}")).collect();
    place.site.write("digits", &format!("{digits}\n"));
    for file in ["data/keys/master", "digits"] {
        let with_key = config.replace("store: {", &format!("store: {{key: file:{file}, "));
        place.site.write("lyceum.yaml", &with_key);
        // What keeps it from starting now is that servers would run at two places.
        let elsewhere = refused();
        assert!(
            elsewhere.contains("another hub on this database runs servers at"),
            "{elsewhere}"
        );
    }
    drop(hub);
}

#[test]
fn on_sqlite_there_is_one_hub() {
    let site = Site::new();
    std::fs::create_dir_all(site.path("mine/bin")).expect("made");
    site.program("../mine/bin/python", "");
    site.program("../mine/bin/jupyterhub-singleuser", "echo 5.4.0");
    site.write("lyceum.yaml", "spawner: {accounts: shared}\n");
    let args = [
        "serve",
        "--jupyter-env",
        "mine",
        "--listen",
        "127.0.0.1:0",
        "--json",
    ];
    let first = Running::start(&site, "unused", &args);
    let said = site.run(&args);
    assert_eq!(said.code, Some(1));
    assert!(
        said.err.contains("another Lyceum (process "),
        "{}",
        said.err
    );
    drop(first);
}

#[test]
fn a_proxy_without_its_secret_or_with_a_bad_hub() {
    let site = Site::new();
    let said = |args: &[&str]| {
        let all = [&["proxy", "--listen", "127.0.0.1:0"], args].concat();
        site.run(&all)
    };
    let bad = said(&["--hub", "hub:8081"]);
    assert_eq!(bad.code, Some(2));
    assert!(
        bad.err.contains("it must begin with http://"),
        "{}",
        bad.err
    );
    let without = said(&["--hub", "http://127.0.0.1:1"]);
    assert_eq!(without.code, Some(1));
    assert!(without.err.contains("--hub-secret"), "{}", without.err);
    site.write("short", "hunter2\n");
    let short = said(&["--hub", "http://127.0.0.1:1", "--hub-secret", "file:short"]);
    assert_eq!(short.code, Some(1));
    assert!(
        short.err.contains("from 16 to 512") && !short.err.contains("hunter2"),
        "{}",
        short.err
    );
}
