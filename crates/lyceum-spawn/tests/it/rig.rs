//! A spawner in folders of its own, small servers to run, and ways to look at what happened.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use lyceum_model::name::{ServerName, UserName};
use lyceum_model::secret::Secret;
use lyceum_model::server::{HubEnv, ServerKey, ServerSpec};
use lyceum_spawn::local::{Cgroups, LocalConfig, LocalSpawner};
use lyceum_spawn::{NotReady, Spawner, StartOrder, Started, Status, Steps};
use tempfile::TempDir;

/// Generous: only a hanging test takes it.
pub(crate) const LIMIT: Duration = Duration::from_secs(30);
pub(crate) const TOKEN: &str = "token-that-must-not-leak";

/// Answers everything with 200, as JUPYTERHUB_SERVICE_URL says.
pub(crate) const SERVER: &str = r#"
import os, sys
from http.server import BaseHTTPRequestHandler, HTTPServer
from urllib.parse import urlparse
class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(int(os.environ.get("ANSWER", "200")))
        self.send_header("Content-Length", "0")
        self.end_headers()
url = urlparse(os.environ["JUPYTERHUB_SERVICE_URL"])
port = url.port + int(os.environ.get("PORT_OFFSET", "0"))
server = HTTPServer((url.hostname, 0 if port != url.port else port), Handler)
print("serving", flush=True)
server.serve_forever()
"#;

pub(crate) struct Rig {
    pub(crate) dir: TempDir,
    pub(crate) spawner: LocalSpawner,
    cgroups: Cgroups,
}

impl Rig {
    pub(crate) fn new() -> Self {
        Self::with(Cgroups::Auto)
    }

    /// As on a machine whose control groups are not ours.
    pub(crate) fn without_cgroups() -> Self {
        Self::with(Cgroups::Off)
    }

    fn with(cgroups: Cgroups) -> Self {
        let dir = tempfile::tempdir().expect("a folder");
        let spawner = LocalSpawner::new(config(&dir, cgroups)).expect("a spawner");
        Self {
            dir,
            spawner,
            cgroups,
        }
    }

    /// What a restarted hub has: the same folders and nothing in memory.
    pub(crate) fn restarted(&self) -> LocalSpawner {
        LocalSpawner::new(config(&self.dir, self.cgroups)).expect("a spawner")
    }

    pub(crate) fn run_folder(&self, order: &StartOrder) -> PathBuf {
        self.dir.path().join("run").join(order.key.as_str())
    }

    pub(crate) async fn start(&self, order: &StartOrder) -> Started {
        let started = self.spawner.start(order, &Steps::silent()).await;
        started.expect("it starts")
    }

    pub(crate) async fn wait_ready(
        &self,
        order: &StartOrder,
        started: &Started,
        limit: Duration,
    ) -> Result<(), NotReady> {
        let (address, prefix) = (&started.address, &order.hub.prefix);
        lyceum_spawn::wait_until_answering(address, prefix, limit, &self.spawner, &order.key).await
    }

    pub(crate) async fn wait_for_end(&self, order: &StartOrder) -> Status {
        let deadline = Instant::now() + LIMIT;
        loop {
            let status = self.spawner.poll(&order.key).await.expect("known");
            if !matches!(status, Status::Running { .. }) {
                return status;
            }
            assert!(Instant::now() < deadline, "it did not end");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// Waits until a line is in the log.
    pub(crate) async fn wait_for_line(&self, order: &StartOrder, wanted: &str) -> Vec<String> {
        let deadline = Instant::now() + LIMIT;
        loop {
            let lines = self.spawner.log_tail(&order.key, 10_000).await;
            let lines = lines.expect("readable");
            if lines.iter().any(|line| line.contains(wanted)) {
                return lines;
            }
            assert!(Instant::now() < deadline, "no {wanted:?} in {lines:?}");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    pub(crate) fn keeper_pid(&self, order: &StartOrder) -> i32 {
        self.state(order)["keeper"].as_i64().expect("a number") as i32
    }

    /// The server's own process; a keeper that was just adopted may still be making it.
    pub(crate) fn child_pid(&self, order: &StartOrder) -> i32 {
        let deadline = Instant::now() + LIMIT;
        loop {
            if let Some(pid) = self.state(order)["child"].as_i64() {
                return pid as i32;
            }
            assert!(Instant::now() < deadline, "no process was made");
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    fn state(&self, order: &StartOrder) -> serde_json::Value {
        let text = std::fs::read(self.run_folder(order).join("state")).expect("a state");
        serde_json::from_slice(&text).expect("JSON")
    }
}

impl Drop for Rig {
    /// A test that failed half-way leaves its servers to their keepers, which end them on SIGTERM.
    fn drop(&mut self) {
        let run = self.dir.path().join("run");
        for entry in std::fs::read_dir(run).into_iter().flatten().flatten() {
            let text = std::fs::read(entry.path().join("state")).unwrap_or_default();
            let state: serde_json::Value = serde_json::from_slice(&text).unwrap_or_default();
            let Some(pid) = state["keeper"].as_i64() else {
                continue;
            };
            let line = std::fs::read_to_string(format!("/proc/{pid}/cmdline"));
            let folder = entry.path();
            let folder = folder.to_str().expect("UTF-8");
            if line.is_ok_and(|line| line.contains(folder)) {
                let pid = rustix::process::Pid::from_raw(pid as i32).expect("a process id");
                let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
            }
        }
    }
}

fn config(dir: &TempDir, cgroups: Cgroups) -> LocalConfig {
    let shim = vec![env!("CARGO_BIN_EXE_spawn-test-shim").to_owned()];
    let (run, homes) = (dir.path().join("run"), dir.path().join("homes"));
    let mut config = LocalConfig::new(shim, run, homes);
    // The distribution's own Python first: wrappers of version managers need more environment.
    let path = std::env::var("PATH").unwrap_or_default();
    config.inherited = [("PATH".to_owned(), format!("/usr/bin:/bin:{path}"))].into();
    config.interrupt = Duration::from_millis(500);
    config.term = Duration::from_millis(500);
    config.cgroups = cgroups;
    config.measure_every = Duration::from_millis(50);
    config
}

pub(crate) fn order(command: &[&str]) -> StartOrder {
    let command = command.iter().map(|word| (*word).to_owned()).collect();
    StartOrder {
        key: ServerKey::parse("ada-1").expect("a key"),
        spec: ServerSpec {
            command,
            home: "ada".into(),
            ..ServerSpec::default()
        },
        hub: HubEnv {
            user: UserName::parse("ada").expect("a name"),
            server: ServerName::parse("").expect("a name"),
            base_url: "/".into(),
            prefix: "/user/ada/".into(),
            api_url: "http://127.0.0.1:8081/hub/api".into(),
            host: String::new(),
            own_host: String::new(),
            host_cookies: false,
            public_url: String::new(),
            public_hub_url: String::new(),
            client_id: "jupyterhub-user-ada".into(),
            api_token: Secret::new(TOKEN),
            access_scopes: vec!["access:servers!server=ada/".into()],
            client_allowed_scopes: Vec::new(),
        },
    }
}

pub(crate) fn python(script: &str) -> StartOrder {
    order(&["python3", "-c", script])
}

pub(crate) fn shell(script: &str) -> StartOrder {
    order(&["sh", "-c", script])
}

/// Whether a process exists and is more than a zombie.
pub(crate) fn is_alive(pid: i32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let state = stat
        .rsplit_once(") ")
        .and_then(|(_, rest)| rest.chars().next());
    state.is_some_and(|state| state != 'Z')
}

pub(crate) async fn wait_until_dead(pid: i32) {
    let deadline = Instant::now() + LIMIT;
    while is_alive(pid) {
        assert!(Instant::now() < deadline, "process {pid} lives on");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

pub(crate) fn kill(pid: i32) {
    let pid = rustix::process::Pid::from_raw(pid).expect("a process id");
    rustix::process::kill_process(pid, rustix::process::Signal::KILL).expect("it was there");
}
