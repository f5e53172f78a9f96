//! Servers by the thousand: starts at once, what runs while nothing is asked, and a restart.
//!
//! Here Lyceum's hub and proxy are processes of their own, as whoever restarts hubs has them. What
//! counts is the hub alone, without its proxy and without the small process that keeps each server.

use super::peers::{Hub, Kind, Running, free_address};
use super::stub::Stubs;
use super::{Goal, Programs, Row, milliseconds};
use crate::http::{Connection, upgrade_request};
use crate::measure::to_float;
use crate::process::Process;
use anyhow::{Context, Result, bail, ensure};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::task::JoinSet;

/// How many of each.
pub(super) struct Numbers {
    /// Started at once at Lyceum.
    starts: usize,
    /// Started at once at JupyterHub, which takes its time.
    of_jupyterhub: usize,
    /// Running in the end.
    running: usize,
    websockets: usize,
    /// How long the hub is left with servers that post their activity.
    quiet: Duration,
}

impl Numbers {
    pub(super) fn new(quick: bool) -> Self {
        Self {
            starts: 1000,
            of_jupyterhub: if quick { 20 } else { 50 },
            running: 2000,
            websockets: 200,
            quiet: Duration::from_secs(if quick { 60 } else { 180 }),
        }
    }
}

/// No start may take longer, with all that stand before it.
pub(super) const START: Duration = Duration::from_secs(600);
const HEALTHY: Duration = Duration::from_secs(60);

pub(super) async fn measure(programs: &Programs, folder: &Path, quick: bool) -> Result<Vec<Row>> {
    let numbers = Numbers::new(quick);
    std::fs::create_dir(folder)?;
    let _stubs = Stubs(folder);
    let jupyterhub = of_jupyterhub(programs, folder, numbers.of_jupyterhub).await?;
    let mut apart = Apart::prepare(programs, folder).await?;
    let mut rows = Vec::new();

    eprintln!("{} starts at once", numbers.starts);
    let begun = Instant::now();
    let before = apart.hub.alone()?;
    apart.start_servers(1..=numbers.starts).await?;
    apart.until_ready(numbers.starts).await?;
    let each = per(apart.hub.alone()?.saturating_sub(before), numbers.starts);
    let took = begun.elapsed();
    rows.push(Row {
        what: format!("{} starts at once: hub's CPU ms a start", numbers.starts),
        jupyterhub: Some(jupyterhub),
        lyceum: each,
        goal: Goal::AtMost(5.0),
    });
    rows.push(Row {
        what: format!(
            "{} starts at once: s until the last is ready",
            numbers.starts
        ),
        jupyterhub: None,
        lyceum: took.as_secs_f64(),
        goal: Goal::None,
    });
    apart
        .start_servers(numbers.starts + 1..=numbers.running)
        .await?;
    apart.until_ready(numbers.running).await?;

    eprintln!("{} servers that post their activity", numbers.running);
    let sockets = apart.open_websockets(numbers.websockets).await?;
    // Each has posted once: what follows is a minute like all others.
    tokio::time::sleep(super::stub::ACTIVE_EVERY).await;
    let before = apart.hub.alone()?;
    let begun = Instant::now();
    tokio::time::sleep(numbers.quiet).await;
    let used = apart.hub.alone()?.saturating_sub(before);
    let share = used.as_secs_f64() / begun.elapsed().as_secs_f64() * 100.0;
    rows.push(Row {
        what: format!(
            "{} servers posting activity each minute: hub's % of a core",
            numbers.running
        ),
        jupyterhub: None,
        lyceum: share,
        goal: Goal::AtMost(2.0),
    });
    rows.push(Row {
        what: format!(
            "{} servers: resident memory of the hub, MiB",
            numbers.running
        ),
        jupyterhub: None,
        lyceum: apart.hub.resident_alone()? / 1024.0,
        goal: Goal::AtMost(120.0),
    });

    eprintln!("a restart");
    let (healthy, adopted) = apart.restart().await?;
    apart.until_ready(numbers.running).await?;
    let lost = count_lost(sockets).await;
    for (what, lyceum, goal) in [
        ("ms until it is healthy", milliseconds(healthy), 1000.0),
        ("ms until all are adopted", milliseconds(adopted), 10_000.0),
        ("WebSockets dropped", to_float(lost), 0.0),
    ] {
        rows.push(Row {
            what: format!("restart with {} servers: {what}", numbers.running),
            jupyterhub: None,
            lyceum,
            goal: Goal::AtMost(goal),
        });
    }
    Ok(rows)
}

pub(super) fn per(used: Duration, starts: usize) -> f64 {
    milliseconds(used) / to_float(starts)
}

/// CPU of JupyterHub's process for each of so many starts at once, in milliseconds.
async fn of_jupyterhub(programs: &Programs, folder: &Path, starts: usize) -> Result<f64> {
    eprintln!("{starts} starts at once of JupyterHub");
    let hub = Hub {
        kind: Kind::JupyterHub,
        programs,
        folder: folder.join("jupyterhub"),
        more: String::new(),
    };
    let running = hub.prepare().await?;
    let before = running.process.alone()?;
    start_all(running.address, &running.token, 1..=starts).await?;
    let asked = Instant::now();
    while count_ready(running.address, &running.token).await? < starts {
        ensure!(
            asked.elapsed() < START,
            "JupyterHub's servers do not get ready"
        );
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    Ok(per(running.process.alone()?.saturating_sub(before), starts))
}

/// Asks for the servers of these people, all at the same time.
pub(super) async fn start_all(
    to: SocketAddr,
    token: &str,
    people: std::ops::RangeInclusive<usize>,
) -> Result<()> {
    let mut asking = JoinSet::new();
    for person in people {
        let request = format!(
            "POST /hub/api/users/student{person:05}/server HTTP/1.1\r\nHost: {to}\r\nAuthorization: token {token}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
        );
        asking.spawn(async move {
            // A hub waits for a start some seconds before it answers.
            let mut stream = crate::http::connect(to, None).await?;
            stream.write_all(request.as_bytes()).await?;
            let mut answer = Vec::new();
            tokio::time::timeout(START, stream.read_to_end(&mut answer)).await??;
            let answer = String::from_utf8_lossy(&answer);
            let status = answer.split(' ').nth(1).unwrap_or_default();
            ensure!(
                status == "201" || status == "202",
                "the start of student{person:05} was answered: {answer}"
            );
            Ok(())
        });
    }
    while let Some(asked) = asking.join_next().await {
        asked??;
    }
    Ok(())
}

/// How many people have a server that is ready.
pub(super) async fn count_ready(to: SocketAddr, token: &str) -> Result<usize> {
    let request = format!(
        "GET /hub/api/users?state=ready&limit=1 HTTP/1.1\r\nHost: {to}\r\nAuthorization: token {token}\r\nAccept: application/jupyterhub-pagination+json\r\nConnection: close\r\n\r\n"
    );
    let answer = exchange_at(to, request.as_bytes()).await?;
    let total = answer.split("\"total\":").nth(1).and_then(|rest| {
        let digits: String = rest
            .trim_start()
            .chars()
            .take_while(char::is_ascii_digit)
            .collect();
        digits.parse().ok()
    });
    total.with_context(|| format!("no number of people: {answer}"))
}

pub(super) async fn exchange_at(to: SocketAddr, request: &[u8]) -> Result<String> {
    let mut stream = crate::http::connect(to, None).await?;
    stream.write_all(request).await?;
    let mut answer = Vec::new();
    tokio::time::timeout(crate::http::PATIENCE, stream.read_to_end(&mut answer)).await??;
    Ok(String::from_utf8_lossy(&answer).into_owned())
}

/// Lyceum's hub and proxy, each a process.
struct Apart<'a> {
    programs: &'a Programs,
    folder: PathBuf,
    hub: Process,
    hub_address: SocketAddr,
    _proxy: Process,
    address: SocketAddr,
    token: String,
}

impl<'a> Apart<'a> {
    async fn prepare(programs: &'a Programs, folder: &Path) -> Result<Self> {
        let hub = Hub {
            kind: Kind::Lyceum,
            programs,
            folder: folder.join("lyceum"),
            more: String::new(),
        };
        let inside = hub.folder.clone();
        // Filled by the hub that has its proxy in the same process; the token is good for all.
        let Running { process, token, .. } = hub.prepare().await?;
        drop(process);
        let (hub_address, address) = (free_address()?, free_address()?);
        let hub = start_hub(programs, &inside, hub_address, &[], "log")?;
        until_healthy(hub_address, Instant::now()).await?;
        let words = [
            "proxy",
            "--listen",
            &address.to_string(),
            "--hub",
            &format!("http://{hub_address}"),
            "--hub-secret",
            &format!("file:{}", inside.join("data/keys/proxy").display()),
            "--state",
            &inside.join("proxy").display().to_string(),
            "--log-level",
            "warn",
        ]
        .map(str::to_owned);
        let program = programs.lyceum.as_os_str();
        let log = inside.join("proxy.log");
        let proxy = Process::start(program, &words, &[], log)?;
        until_healthy(address, Instant::now()).await?;
        Ok(Self {
            programs,
            folder: inside,
            hub,
            hub_address,
            _proxy: proxy,
            address,
            token,
        })
    }

    async fn start_servers(&self, people: std::ops::RangeInclusive<usize>) -> Result<()> {
        start_all(self.hub_address, &self.token, people).await
    }

    async fn until_ready(&mut self, wanted: usize) -> Result<()> {
        let asked = Instant::now();
        loop {
            self.hub.check_running()?;
            let ready = count_ready(self.hub_address, &self.token).await?;
            if ready == wanted {
                return Ok(());
            }
            if asked.elapsed() > START {
                bail!("{ready} servers are ready instead of {wanted}");
            }
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
    }

    /// Through the proxy, to as many people's servers.
    async fn open_websockets(&self, number: usize) -> Result<Vec<tokio::net::TcpStream>> {
        let mut sockets = Vec::new();
        for person in 1..=number {
            let mut request = upgrade_request(&format!("/user/student{person:05}/socket"));
            let end = request.len() - b"\r\n".len();
            let token = format!("Authorization: token {}\r\n", self.token);
            request.splice(end..end, token.into_bytes());
            let mut connection = Connection::open(self.address).await?;
            connection.send(&request).await?;
            let mut stream = connection.into_stream();
            let mut head = Vec::new();
            let mut byte = [0];
            while !head.ends_with(b"\r\n\r\n") {
                stream.read_exact(&mut byte).await?;
                head.push(byte[0]);
            }
            ensure!(
                head.starts_with(b"HTTP/1.1 101"),
                "no WebSocket: {}",
                String::from_utf8_lossy(&head)
            );
            sockets.push(stream);
        }
        Ok(sockets)
    }

    /// Ends the hub and starts it anew; from the start of the process until it is healthy, and until
    /// it has asked after all servers.
    async fn restart(&mut self) -> Result<(Duration, Duration)> {
        self.hub.signal(rustix::process::Signal::TERM)?;
        let asked = Instant::now();
        while self.hub.check_running().is_ok() {
            ensure!(asked.elapsed() < HEALTHY, "the hub does not end");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let begun = Instant::now();
        self.hub = start_hub(self.programs, &self.folder, self.hub_address, &[], "log")?;
        let healthy = until_healthy(self.hub_address, begun).await?;
        let to = self.hub_address;
        let request = format!(
            "GET /hub/metrics HTTP/1.1\r\nHost: {to}\r\nAuthorization: token {}\r\nConnection: close\r\n\r\n",
            self.token
        );
        while !exchange_at(to, request.as_bytes())
            .await?
            .contains("jupyterhub_init_spawners_duration_seconds_count 1")
        {
            ensure!(
                begun.elapsed() < START,
                "the hub does not ask after its servers"
            );
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Ok((healthy, begun.elapsed()))
    }
}

pub(super) fn start_hub(
    programs: &Programs,
    folder: &Path,
    address: SocketAddr,
    environment: &[(&str, &str)],
    log: &str,
) -> Result<Process> {
    let inside = |name: &str| folder.join(name).display().to_string();
    let words = [
        "serve",
        "--data",
        &inside("data"),
        "--config",
        &inside("lyceum.yaml"),
        "--jupyter-env",
        &programs.jupyter.display().to_string(),
        "--listen",
        &address.to_string(),
    ]
    .map(str::to_owned);
    let program = programs.lyceum.as_os_str();
    Process::start(program, &words, environment, folder.join(log))
}

pub(super) async fn until_healthy(to: SocketAddr, begun: Instant) -> Result<Duration> {
    let request = format!("GET /hub/health HTTP/1.1\r\nHost: {to}\r\nConnection: close\r\n\r\n");
    loop {
        let answer = exchange_at(to, request.as_bytes()).await;
        if answer.is_ok_and(|answer| answer.starts_with("HTTP/1.1 200")) {
            return Ok(begun.elapsed());
        }
        ensure!(begun.elapsed() < HEALTHY, "the hub does not get healthy");
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

/// Those that no longer echo.
async fn count_lost(sockets: Vec<tokio::net::TcpStream>) -> usize {
    let mut lost = 0;
    for mut stream in sockets {
        let echoed = async {
            // A masked message of 128 bytes, the mask being zero.
            let mut frame = vec![0x82, 0x80 | 126, 0, 128, 0, 0, 0, 0];
            frame.resize(frame.len() + 128, b'x');
            stream.write_all(&frame).await?;
            let mut answer = [0; 4 + 128];
            stream.read_exact(&mut answer).await
        };
        let echoed = tokio::time::timeout(crate::http::PATIENCE, echoed).await;
        lost += usize::from(!matches!(echoed, Ok(Ok(_))));
    }
    lost
}
