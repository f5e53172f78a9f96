//! The two hubs: started, filled, and given an administrator `root` with a token.

use super::Programs;
use super::page::exchange;
use crate::process::Process;
use anyhow::{Context, Result, bail, ensure};
use std::io::Write as _;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

pub(super) const PASSWORD: &str = "correct horse battery staple";
/// JupyterHub reads all people when it starts.
const START: Duration = Duration::from_secs(600);
const FILL: &str = "import sqlite3, sys\ndb = sqlite3.connect(sys.argv[1])\ndb.executescript(sys.stdin.read())\ndb.close()";

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    JupyterHub,
    Lyceum,
}

/// A hub that is to be made in a folder.
pub(super) struct Hub<'a> {
    pub(super) kind: Kind,
    pub(super) programs: &'a Programs,
    pub(super) folder: PathBuf,
    /// Further lines of its configuration.
    pub(super) more: String,
}

/// One that answers, with its people.
pub(super) struct Running {
    kind: Kind,
    pub(super) address: SocketAddr,
    pub(super) process: Process,
    pub(super) answered_after: Duration,
    /// Of `root`, for all that `root` may do.
    pub(super) token: String,
}

impl Running {
    pub(super) fn name(&self) -> &'static str {
        match self.kind {
            Kind::JupyterHub => "JupyterHub",
            Kind::Lyceum => "Lyceum",
        }
    }

    pub(super) fn request(&self, path: &str, more: &str) -> Vec<u8> {
        let host = self.address;
        format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: lyceum-load\r\nAccept: text/html, application/json\r\n{more}\r\n").into_bytes()
    }
}

impl Hub<'_> {
    /// Started once, so that the tables are there; filled; and started again.
    pub(super) async fn prepare(self) -> Result<Running> {
        std::fs::create_dir(&self.folder)?;
        self.configure()?;
        drop(self.start().await?);
        let (database, people) = match self.kind {
            Kind::JupyterHub => (
                "hub.sqlite",
                include_str!("../../../fifty_thousand_users_jupyterhub.sql"),
            ),
            Kind::Lyceum => {
                self.call(&["user", "add", "root"])?;
                self.call(&["admin", "grant", "root"])?;
                for somebody in ["teacher", "student"] {
                    self.call(&["user", "add", somebody])?;
                }
                (
                    "data/lyceum.sqlite",
                    include_str!("../../../fifty_thousand_users.sql"),
                )
            }
        };
        fill(self.programs, &self.folder.join(database), people)?;
        let mut running = self.start().await?;
        let body =
            format!("{{\"auth\": {{\"username\": \"root\", \"password\": \"{PASSWORD}\"}}}}");
        let more = format!(
            "Connection: close\r\nContent-Type: application/json\r\nContent-Length: {}\r\n",
            body.len()
        );
        let mut request = running.request("/hub/api/users/root/tokens", &more);
        request.splice(..b"GET".len(), b"POST".iter().copied());
        request.extend_from_slice(body.as_bytes());
        let answer = exchange(&running, &request).await?;
        let token = answer
            .body
            .split("\"token\":")
            .nth(1)
            .and_then(|rest| rest.split('"').nth(1));
        let token =
            token.with_context(|| format!("{}: no token: {}", running.name(), answer.body))?;
        running.token = token.to_owned();
        Ok(running)
    }

    fn configure(&self) -> Result<()> {
        let [hub, api] = [free_address()?, free_address()?];
        let load = std::env::current_exe()?;
        let stub = [
            load.display().to_string(),
            "stub".into(),
            self.folder
                .parent()
                .context("a folder")?
                .display()
                .to_string(),
        ];
        let text = match self.kind {
            Kind::JupyterHub => format!(
                "c.JupyterHub.hub_bind_url = 'http://{hub}'\n\
                 c.JupyterHub.db_url = 'sqlite:///hub.sqlite'\n\
                 c.JupyterHub.authenticator_class = 'dummy'\n\
                 c.JupyterHub.spawner_class = 'simple'\n\
                 c.JupyterHub.log_level = 'WARN'\n\
                 c.Spawner.cmd = {stub:?}\n\
                 c.Spawner.start_timeout = 600\n\
                 c.Spawner.http_timeout = 600\n\
                 c.SimpleLocalProcessSpawner.home_dir_template = '{}/homes/{{username}}'\n\
                 c.DummyAuthenticator.password = '{PASSWORD}'\n\
                 c.Authenticator.allow_all = True\n\
                 c.Authenticator.admin_users = {{'root'}}\n\
                 c.ConfigurableHTTPProxy.command = ['{}', '--log-level', 'warn']\n\
                 c.ConfigurableHTTPProxy.api_url = 'http://{api}'\n",
                self.folder.display(),
                self.programs.chp.display()
            ),
            // Argument lists of YAML and of Rust look the same.
            Kind::Lyceum => format!(
                "subdomains: false\nlog: {{level: warn}}\nspawner: {{accounts: shared}}\nservers: {{command: {stub:?}}}\n"
            ),
        };
        let name = match self.kind {
            Kind::JupyterHub => "jupyterhub_config.py",
            Kind::Lyceum => "lyceum.yaml",
        };
        Ok(std::fs::write(
            self.folder.join(name),
            text + self.more.as_str(),
        )?)
    }

    async fn start(&self) -> Result<Running> {
        let address = free_address()?;
        let inside = |name: &str| self.folder.join(name).display().to_string();
        let jupyter = self.programs.jupyter.display().to_string();
        // Both find their files where they are started.
        let (program, words) = match self.kind {
            Kind::JupyterHub => (
                self.programs.jupyter.join("bin/jupyterhub"),
                vec![
                    "-f".into(),
                    inside("jupyterhub_config.py"),
                    format!("--JupyterHub.bind_url=http://{address}"),
                    format!("--JupyterHub.db_url=sqlite:///{}", inside("hub.sqlite")),
                    format!(
                        "--JupyterHub.cookie_secret_file={}",
                        inside("cookie_secret")
                    ),
                    format!("--ConfigurableHTTPProxy.pid_file={}", inside("proxy.pid")),
                ],
            ),
            Kind::Lyceum => (
                self.programs.lyceum.clone(),
                vec![
                    "up".into(),
                    "--data".into(),
                    inside("data"),
                    "--config".into(),
                    inside("lyceum.yaml"),
                    "--listen".into(),
                    address.to_string(),
                    "--jupyter-env".into(),
                    jupyter,
                ],
            ),
        };
        let asked = Instant::now();
        let mut running = Running {
            kind: self.kind,
            address,
            process: Process::start(program.as_os_str(), &words, &[], self.folder.join("log"))?,
            answered_after: Duration::ZERO,
            token: String::new(),
        };
        let question = running.request("/hub/health", "Connection: close\r\n");
        loop {
            running.process.check_running()?;
            if exchange(&running, &question)
                .await
                .is_ok_and(|answer| answer.status == 200)
            {
                break;
            }
            if asked.elapsed() > START {
                bail!("{} does not answer", running.name());
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        running.answered_after = asked.elapsed();
        Ok(running)
    }

    /// A command of Lyceum; the password is what it reads.
    fn call(&self, words: &[&str]) -> Result<()> {
        let mut command = Command::new(&self.programs.lyceum);
        command
            .args(words)
            .arg("--data")
            .arg(self.folder.join("data"));
        command.arg("--config").arg(self.folder.join("lyceum.yaml"));
        call(&mut command, PASSWORD)
    }
}

/// Runs statements on an SQLite database.
pub(super) fn fill(programs: &Programs, database: &Path, statements: &str) -> Result<()> {
    let mut python = Command::new(programs.jupyter.join("bin/python"));
    python.args(["-c", FILL]).arg(database);
    call(&mut python, statements)
}

fn call(command: &mut Command, input: &str) -> Result<()> {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()?;
    child
        .stdin
        .take()
        .context("a pipe")?
        .write_all(input.as_bytes())?;
    let status = child.wait()?;
    ensure!(status.success(), "{command:?} ended with {status}");
    Ok(())
}

/// Free now; whoever takes it in between makes the start fail aloud.
pub(super) fn free_address() -> Result<SocketAddr> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?)
}
