//! Programs that listen where a server should: they are told apart from the server, and get not so
//! much as a connection from us.

use std::io::{BufRead, BufReader, ErrorKind};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use lyceum_spawn::probe::Cause;
use lyceum_spawn::{PortOwner, Spawner, StartOrder, Started, Status};

use crate::limiting::nobody;
use crate::rig::{LIMIT, Rig, SERVER, kill, order, python, shell, wait_until_dead};

/// Serves until there is a file `close`, then lives on without listening.
const CLOSING: &str = r#"
import os, time
from http.server import BaseHTTPRequestHandler, HTTPServer
from urllib.parse import urlparse
class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
url = urlparse(os.environ["JUPYTERHUB_SERVICE_URL"])
server = HTTPServer((url.hostname, url.port), Handler)
server.timeout = 0.02
while not os.path.exists("close"): server.handle_request()
server.server_close()
print("closed", flush=True)
while True: time.sleep(60)
"#;

/// Listens on the port it is given and tells of every connection.
const THIEF: &str = r#"
import socket, sys
listener = socket.create_server(("127.0.0.1", int(sys.argv[1])))
print("bound", flush=True)
while True:
    listener.accept()
    print("robbed", flush=True)
"#;

fn port(started: &Started) -> u16 {
    let address = started.address.strip_prefix("http://");
    let address: SocketAddr = address.and_then(|a| a.parse().ok()).expect("an address");
    address.port()
}

/// Listens in a process that is not the server's: this one.
fn steal(started: &Started) -> TcpListener {
    let thief = TcpListener::bind((Ipv4Addr::LOCALHOST, port(started))).expect("the port");
    thief.set_nonblocking(true).expect("set");
    thief
}

fn assert_untouched(thief: &TcpListener) {
    let error = thief.accept().expect_err("nobody may connect");
    assert_eq!(error.kind(), ErrorKind::WouldBlock);
}

fn this_process() -> PortOwner {
    PortOwner::Stranger {
        uid: rustix::process::geteuid().as_raw(),
        pid: Some(rustix::process::getpid().as_raw_nonzero().get()),
    }
}

async fn owner(spawner: &dyn Spawner, order: &StartOrder) -> PortOwner {
    match spawner.poll(&order.key).await.expect("known") {
        Status::Running { port, .. } => port,
        other => panic!("it should run: {other:?}"),
    }
}

#[tokio::test]
async fn a_thief_that_binds_first_fails_the_start_and_gets_nothing() {
    for rig in [Rig::new(), Rig::without_cgroups()] {
        let order = shell("echo up; exec sleep 600");
        let started = rig.start(&order).await;
        assert_eq!(owner(&rig.spawner, &order).await, PortOwner::Nobody);
        let thief = steal(&started);
        let problem = rig.wait_ready(&order, &started, LIMIT).await;
        let problem = problem.expect_err("the port is not the server's");
        assert_eq!(problem.cause, Cause::PortTaken(this_process()));
        let words = format!("listens on port {}", port(&started));
        assert!(
            problem.words.to_string().contains(&words),
            "{}",
            problem.words
        );
        assert!(problem.words.to_string().contains("start the server again"));
        assert_eq!(owner(&rig.spawner, &order).await, this_process());
        assert_untouched(&thief);
        rig.spawner.stop(&order.key).await.expect("it stops");

        // The next start is picked another port, though the thief still sits on the old one.
        let order = python(SERVER);
        let again = rig.start(&order).await;
        assert_ne!(again.address, started.address);
        let ready = rig.wait_ready(&order, &again, LIMIT).await;
        ready.expect("ready");
        assert_untouched(&thief);
        rig.spawner.stop(&order.key).await.expect("it stops");
    }
}

#[tokio::test]
async fn a_thief_that_binds_while_we_wait_gets_nothing() {
    let rig = Rig::new();
    let order = shell("exec sleep 600");
    let started = rig.start(&order).await;
    let (thief, problem) = tokio::join!(
        async {
            // The wait has begun by now: it asks first and was polled first.
            tokio::task::yield_now().await;
            steal(&started)
        },
        rig.wait_ready(&order, &started, LIMIT),
    );
    assert_eq!(
        problem.expect_err("taken").cause,
        Cause::PortTaken(this_process())
    );
    assert_untouched(&thief);
    rig.spawner.stop(&order.key).await.expect("it stops");
}

#[tokio::test]
async fn a_thief_that_comes_after_the_listener_is_seen() {
    let rig = Rig::new();
    let order = python(CLOSING);
    let started = rig.start(&order).await;
    let ready = rig.wait_ready(&order, &started, LIMIT).await;
    ready.expect("ready");
    assert_eq!(owner(&rig.spawner, &order).await, PortOwner::Server);
    std::fs::write(rig.dir.path().join("homes/ada/close"), "").expect("written");
    rig.wait_for_line(&order, "closed").await;
    assert_eq!(owner(&rig.spawner, &order).await, PortOwner::Nobody);
    let thief = steal(&started);
    assert_eq!(owner(&rig.spawner, &order).await, this_process());
    let restarted = rig.restarted();
    assert_eq!(owner(&restarted, &order).await, this_process());
    assert_untouched(&thief);
    rig.spawner.stop(&order.key).await.expect("it stops");
}

#[tokio::test]
async fn a_thief_that_comes_after_the_server_is_not_taken_for_it() {
    let rig = Rig::new();
    let order = python(SERVER);
    let started = rig.start(&order).await;
    let ready = rig.wait_ready(&order, &started, LIMIT).await;
    ready.expect("ready");
    let child = rig.child_pid(&order);
    kill(child);
    wait_until_dead(child).await;
    let thief = steal(&started);
    let status = rig.wait_for_end(&order).await;
    assert!(
        matches!(
            status,
            Status::Exited {
                signal: Some(9),
                ..
            }
        ),
        "{status:?}"
    );
    let problem = rig.wait_ready(&order, &started, LIMIT).await;
    assert_eq!(problem.expect_err("it ended").cause, Cause::Exited);
    assert_untouched(&thief);
}

#[tokio::test]
async fn a_server_on_any_address_is_its_own() {
    let rig = Rig::new();
    for (family, any) in [("AF_INET", "0.0.0.0"), ("AF_INET6", "::")] {
        if family == "AF_INET6" && TcpListener::bind("[::]:0").is_err() {
            // A machine without IPv6 has no such servers.
            continue;
        }
        let dual = if family == "AF_INET6" {
            "True"
        } else {
            "False"
        };
        let listening = format!(
            "import socket\n\
             class HTTPServer(HTTPServer):\n    \
                 def __init__(self, at, handler):\n        \
                     super().__init__(at, handler, bind_and_activate=False)\n        \
                     self.socket = socket.create_server(('{any}', at[1]), \
                         family=socket.{family}, dualstack_ipv6={dual})\n"
        );
        let order = python(&SERVER.replace("class Handler", &format!("{listening}class Handler")));
        let started = rig.start(&order).await;
        let ready = rig.wait_ready(&order, &started, LIMIT).await;
        ready.unwrap_or_else(|problem| panic!("{any}: {problem} {:?}", problem.log));
        assert_eq!(owner(&rig.spawner, &order).await, PortOwner::Server);
        rig.spawner.stop(&order.key).await.expect("it stops");
    }
}

#[tokio::test]
async fn a_server_may_listen_in_any_process_of_its_own() {
    for rig in [Rig::new(), Rig::without_cgroups()] {
        for script in [
            // A child, a grandchild, and one whose parents are gone and which has its own session.
            "python3 -c \"$CODE\" & wait",
            "sh -c 'python3 -c \"$CODE\"; true' & wait",
            "(setsid sh -c 'python3 -c \"$CODE\" & exit' &); exec sleep 600",
        ] {
            let mut order = order(&["sh", "-c", script]);
            order.spec.env.insert("CODE".into(), SERVER.into());
            let started = rig.start(&order).await;
            let ready = rig.wait_ready(&order, &started, LIMIT).await;
            ready.unwrap_or_else(|problem| panic!("{script}: {problem} {:?}", problem.log));
            assert_eq!(owner(&rig.spawner, &order).await, PortOwner::Server);
            assert_eq!(owner(&rig.restarted(), &order).await, PortOwner::Server);
            rig.spawner.stop(&order.key).await.expect("it stops");
        }
    }
}

/// A thief with a process of its own, under another account.
struct Burglar(Child);

impl Burglar {
    fn new(started: &Started, uid: u32) -> Self {
        let mut child = Command::new("/usr/bin/python3")
            .args(["-c", THIEF, &port(started).to_string()])
            .current_dir("/")
            .uid(uid)
            .gid(uid)
            .stdout(Stdio::piped())
            .spawn()
            .expect("a thief");
        let stdout = child.stdout.as_mut().expect("piped");
        let mut line = String::new();
        let read = BufReader::new(stdout).read_line(&mut line);
        read.expect("a line");
        assert_eq!(line, "bound\n");
        Self(child)
    }

    fn pid(&self) -> i32 {
        i32::try_from(self.0.id()).expect("small")
    }

    /// Ends it and says what it got.
    fn loot(mut self) -> String {
        self.0.kill().expect("killed");
        let mut stdout = self.0.stdout.take().expect("piped");
        let mut all = String::new();
        std::io::Read::read_to_string(&mut stdout, &mut all).expect("text");
        self.0.wait().expect("waited for");
        all
    }
}

impl Drop for Burglar {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

/// What a look sees that may read nobody else's descriptors, as root in many containers.
fn seen_without_ptrace(rig: &Rig) -> String {
    let output = Command::new("setpriv")
        .args(["--bounding-set=-sys_ptrace", "--inh-caps=-all"])
        .arg(env!("CARGO_BIN_EXE_spawn-test-shim"))
        .arg("poll")
        .arg(rig.dir.path())
        .output()
        .expect("setpriv of util-linux");
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).expect("UTF-8")
}

#[tokio::test]
async fn a_thief_of_another_account_is_named() {
    const THIEF_UID: u32 = 65533;
    if !rustix::process::geteuid().is_root() {
        // Only root can be two accounts; the other stories have thieves of the same one.
        return;
    }
    let rig = Rig::without_cgroups();
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o711);
    std::fs::set_permissions(rig.dir.path(), mode).expect("set");
    let mut order = python(CLOSING);
    order.spec.run_as = Some(nobody());
    let started = rig.start(&order).await;
    let ready = rig.wait_ready(&order, &started, LIMIT).await;
    ready.expect("ready");
    assert_eq!(owner(&rig.spawner, &order).await, PortOwner::Server);
    let seen = seen_without_ptrace(&rig);
    assert!(seen.contains("port: Server"), "{seen}");

    std::fs::write(rig.dir.path().join("homes/ada/close"), "").expect("written");
    rig.wait_for_line(&order, "closed").await;
    let burglar = Burglar::new(&started, THIEF_UID);
    let expected = PortOwner::Stranger {
        uid: THIEF_UID,
        pid: Some(burglar.pid()),
    };
    assert_eq!(owner(&rig.spawner, &order).await, expected);
    let seen = seen_without_ptrace(&rig);
    assert!(
        seen.contains(&format!("Stranger {{ uid: {THIEF_UID}, pid: None }}")),
        "{seen}"
    );
    let problem = rig
        .wait_ready(&order, &started, Duration::from_secs(1))
        .await;
    assert_eq!(
        problem.expect_err("taken").cause,
        Cause::PortTaken(expected)
    );
    assert_eq!(burglar.loot(), "");
    rig.spawner.stop(&order.key).await.expect("it stops");
}
