//! `bench start`: how soon Lyceum answers, with no and with 50,000 users, what
//! it holds in memory when nothing happens, and how large the program is.

use super::Keep;
use crate::setup::{self, Extent};
use crate::tools::{call, cargo, command, jupyter_env, read, root, target};
use anyhow::{Context, Result, bail};
use std::fmt::Write as _;
use std::fs;
use std::io::{Read, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::time::{Duration, Instant};

const STARTS: usize = 11;
const IDLE: Duration = Duration::from_secs(10);
const LIMIT: Duration = Duration::from_secs(120);
const USERS: &str = "50,000";

/// One line of the table.
struct Figure {
    what: String,
    value: f64,
    unit: &'static str,
    /// What PRODUCT promises; none where it promises nothing.
    at_most: Option<f64>,
}

pub(crate) fn run(keep: Keep) -> Result<()> {
    setup::run(Extent::WithoutBrowser)?;
    call(cargo().args(["build", "--release", "--package", "lyceum"]))?;
    let binary = std::env::var_os("LYCEUM_BIN")
        .map_or_else(|| target().join("release/lyceum"), PathBuf::from);
    let data = std::env::temp_dir().join(format!("lyceum-bench-{}", std::process::id()));
    let measured = measure(&binary, &data);
    fs::remove_dir_all(&data).ok();
    let figures = measured?;

    let mut table = "| what | measured | at most |\n|---|--:|--:|\n".to_owned();
    for figure in &figures {
        let limit = figure
            .at_most
            .map_or_else(String::new, |limit| format!("{limit:.0} {}", figure.unit));
        let over = figure.at_most.is_some_and(|limit| figure.value > limit);
        let mark = if over { " (over)" } else { "" };
        writeln!(
            table,
            "| {} | {:.1} {}{mark} | {limit} |",
            figure.what, figure.value, figure.unit
        )?;
    }
    println!("\n{table}");
    keep.write("start", "", &table)
}

fn measure(binary: &Path, data: &Path) -> Result<Vec<Figure>> {
    let mut figures = Vec::new();
    let mut add = |what: &str, value: f64, unit: &'static str, at_most: Option<f64>| {
        figures.push(Figure {
            what: what.to_owned(),
            value,
            unit,
            at_most,
        });
    };
    add(
        "size of the release binary",
        megabytes(fs::metadata(binary)?.len()),
        "MB",
        Some(40.0),
    );

    let first = Running::start(binary, data)?;
    add(
        "first start ever: keys and database are made",
        milliseconds(first.answered_after),
        "ms",
        None,
    );
    first.stop()?;
    add(
        "start to first healthy answer, no users",
        milliseconds(median_start(binary, data)?),
        "ms",
        Some(150.0),
    );

    let idle = Running::start(binary, data)?;
    std::thread::sleep(IDLE);
    let (resident, proportional) = memory(idle.process.id())?;
    add("idle, no users, resident", resident, "MB", Some(40.0));
    add(
        "idle, no users, its share of shared pages only (PSS)",
        proportional,
        "MB",
        None,
    );
    idle.stop()?;

    fill(data)?;
    add(
        &format!("start to first healthy answer, {USERS} users"),
        milliseconds(median_start(binary, data)?),
        "ms",
        Some(500.0),
    );
    let idle = Running::start(binary, data)?;
    std::thread::sleep(IDLE);
    let (resident, proportional) = memory(idle.process.id())?;
    add(
        &format!("idle, {USERS} users, resident"),
        resident,
        "MB",
        Some(40.0),
    );
    add(
        &format!("idle, {USERS} users, PSS"),
        proportional,
        "MB",
        None,
    );
    idle.stop()?;
    Ok(figures)
}

/// A Lyceum that answers.
struct Running {
    process: Child,
    answered_after: Duration,
}

impl Running {
    fn start(binary: &Path, data: &Path) -> Result<Self> {
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?
            .local_addr()?
            .port();
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let log_path = data.with_extension("log");
        let log = fs::File::create(&log_path)?;
        let mut command = command(binary);
        command
            .args(["up", "--demo"])
            .arg("--data")
            .arg(data)
            .args(["--listen", &address.to_string(), "--json", "--jupyter-env"])
            .arg(jupyter_env());
        command.stdout(log.try_clone()?).stderr(log);
        let asked = Instant::now();
        let process = command
            .spawn()
            .with_context(|| format!("starting {}", binary.display()))?;
        let mut running = Self {
            process,
            answered_after: Duration::ZERO,
        };
        while !is_healthy(address) {
            let ended = running.process.try_wait()?;
            if ended.is_some() || asked.elapsed() > LIMIT {
                let log = fs::read_to_string(&log_path).unwrap_or_default();
                bail!(
                    "no healthy answer after {:.1} s ({}); its output:\n{log}",
                    asked.elapsed().as_secs_f64(),
                    ended.map_or("still runs".to_owned(), |status| status.to_string())
                );
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        running.answered_after = asked.elapsed();
        fs::remove_file(&log_path).ok();
        Ok(running)
    }

    /// As Ctrl-C does; a Lyceum that does not stop cleanly is a fault.
    fn stop(mut self) -> Result<()> {
        read(Command::new("kill").args(["-INT", &self.process.id().to_string()]))?;
        let asked = Instant::now();
        loop {
            match self.process.try_wait()? {
                Some(status) if status.success() => return Ok(()),
                Some(status) => bail!("Lyceum ended with {status} when it was interrupted"),
                None if asked.elapsed() > LIMIT => {
                    bail!("Lyceum did not stop within {} s", LIMIT.as_secs())
                }
                None => std::thread::sleep(Duration::from_millis(10)),
            }
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Only after an error is there still something to end.
        self.process.kill().ok();
        self.process.wait().ok();
    }
}

/// Whether `GET /hub/health` is answered with 200 on a new connection.
fn is_healthy(address: SocketAddr) -> bool {
    let ask = || -> std::io::Result<bool> {
        let mut stream = TcpStream::connect_timeout(&address, Duration::from_secs(1))?;
        stream.set_read_timeout(Some(Duration::from_secs(5)))?;
        stream.write_all(
            format!("GET /hub/health HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n")
                .as_bytes(),
        )?;
        let mut status = [0_u8; 12];
        stream.read_exact(&mut status)?;
        Ok(status.ends_with(b" 200"))
    };
    ask().unwrap_or(false)
}

fn median_start(binary: &Path, data: &Path) -> Result<Duration> {
    let mut starts = Vec::new();
    for _ in 0..STARTS {
        let running = Running::start(binary, data)?;
        starts.push(running.answered_after);
        running.stop()?;
    }
    starts.sort_unstable();
    Ok(starts[STARTS / 2])
}

/// Resident and proportional memory of a process and all it started, in MB.
fn memory(process: u32) -> Result<(f64, f64)> {
    let mut kilobytes = (0, 0);
    for process in with_children(process)? {
        let rollup = fs::read_to_string(format!("/proc/{process}/smaps_rollup"))
            .with_context(|| format!("reading the memory of process {process}"))?;
        let field = |name: &str| -> Result<u64> {
            let line = rollup
                .lines()
                .find_map(|line| line.strip_prefix(name))
                .with_context(|| format!("no `{name}` in smaps_rollup"))?;
            line.trim()
                .trim_end_matches(" kB")
                .parse()
                .with_context(|| format!("reading `{name}{line}`"))
        };
        kilobytes.0 += field("Rss:")?;
        kilobytes.1 += field("Pss:")?;
    }
    Ok((megabytes(kilobytes.0 * 1024), megabytes(kilobytes.1 * 1024)))
}

fn with_children(process: u32) -> Result<Vec<u32>> {
    let mut found = vec![process];
    let mut next = 0;
    while let Some(parent) = found.get(next) {
        for thread in fs::read_dir(format!("/proc/{parent}/task"))
            .context("listing threads")?
            .flatten()
            .map(|entry| entry.path())
            .collect::<Vec<_>>()
        {
            let children = fs::read_to_string(thread.join("children")).unwrap_or_default();
            found.extend(
                children
                    .split_whitespace()
                    .filter_map(|child| child.parse::<u32>().ok()),
            );
        }
        next += 1;
    }
    Ok(found)
}

/// Puts the people in, by SQL, with Python's SQLite: it is there anyway.
fn fill(data: &Path) -> Result<()> {
    let database = find_database(data)?;
    let script = root().join("bench/fifty_thousand_users.sql");
    let python = "import sqlite3, sys\ndb = sqlite3.connect(sys.argv[1])\ndb.executescript(open(sys.argv[2]).read())\nprint(db.execute('SELECT count(*) FROM users').fetchone()[0], 'users')\ndb.close()";
    call(
        command("python3")
            .args(["-c", python])
            .arg(database)
            .arg(script),
    )
}

/// The one SQLite database in the data folder.
fn find_database(data: &Path) -> Result<PathBuf> {
    let mut databases = Vec::new();
    let mut folders = vec![data.to_path_buf()];
    while let Some(folder) = folders.pop() {
        for entry in
            fs::read_dir(&folder).with_context(|| format!("listing {}", folder.display()))?
        {
            let path = entry?.path();
            if path.is_dir() && !path.is_symlink() {
                folders.push(path);
            } else if is_sqlite(&path) {
                databases.push(path);
            }
        }
    }
    match databases.as_slice() {
        [database] => Ok(database.clone()),
        [] => bail!("no SQLite database in {}", data.display()),
        many => bail!("more than one SQLite database: {many:?}"),
    }
}

fn is_sqlite(path: &Path) -> bool {
    let mut start = [0_u8; 16];
    path.is_file()
        && fs::File::open(path)
            .and_then(|mut file| file.read_exact(&mut start))
            .is_ok()
        && &start == b"SQLite format 3\0"
}

#[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
fn megabytes(bytes: u64) -> f64 {
    bytes as f64 / 1_000_000.0
}

fn milliseconds(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1000.0
}
