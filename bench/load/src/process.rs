//! A peer's processes: started so that they end with us, measured through `/proc`.
//!
//! CPU time is the sum over all threads of all its processes, in nanoseconds from `schedstat`;
//! how much of it was spent in user space comes from `stat`, which counts in ticks of 10 ms.

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process, kill_process_group};
use std::collections::HashMap;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// How long a peer may take to end when it is asked to.
const GRACE: Duration = Duration::from_secs(2);

/// A program and all it started. Dropping it ends them.
pub(crate) struct Process {
    child: Child,
    log: PathBuf,
}

impl Process {
    /// `log` takes what it prints, shown when it fails.
    pub(crate) fn start(
        program: &OsStr,
        arguments: &[String],
        environment: &[(&str, &str)],
        log: PathBuf,
    ) -> Result<Self> {
        let output = fs::File::create(&log).with_context(|| format!("making {}", log.display()))?;
        let child = Command::new(std::env::current_exe()?)
            .arg("run")
            .arg(program)
            .args(arguments)
            .envs(environment.iter().copied())
            // Out of reach of the terminal's Ctrl-C: we end them ourselves, in order.
            .process_group(0)
            .stdin(Stdio::null())
            .stdout(output.try_clone()?)
            .stderr(output)
            .spawn()
            .with_context(|| format!("starting {}", Path::new(program).display()))?;
        Ok(Self { child, log })
    }

    fn id(&self) -> Pid {
        Pid::from_child(&self.child)
    }

    pub(crate) fn signal(&self, signal: Signal) -> Result<()> {
        kill_process(self.id(), signal).context("sending a signal")
    }

    /// An error with its last words when it has ended by itself.
    pub(crate) fn check_running(&mut self) -> Result<()> {
        let Some(status) = self.child.try_wait()? else {
            return Ok(());
        };
        let log = fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<&str> = log.lines().collect();
        let last = lines[lines.len().saturating_sub(10)..].join("\n");
        bail!("it ended with {status}; its last words:\n{last}")
    }

    /// Its own id and those of all it started.
    fn ids(&self) -> Vec<u32> {
        let mut found = vec![self.child.id()];
        let mut next = 0;
        while let Some(parent) = found.get(next).copied() {
            for thread in list(parent) {
                let children = fs::read_to_string(format!("/proc/{parent}/task/{thread}/children"))
                    .unwrap_or_default();
                found.extend(
                    children
                        .split_whitespace()
                        .filter_map(|child| child.parse::<u32>().ok()),
                );
            }
            next += 1;
        }
        found
    }

    /// CPU time of the process itself, with what its threads used that have ended, and without the
    /// processes that it started; in ticks of 10 ms.
    pub(crate) fn alone(&self) -> Result<Duration> {
        let path = format!("/proc/{}/stat", self.child.id());
        let stat = fs::read_to_string(&path).with_context(|| format!("reading {path}"))?;
        let fields = stat.rsplit(')').next().unwrap_or_default();
        let ticks: u64 = fields
            .split_whitespace()
            .skip(11)
            .take(2)
            .filter_map(|field| field.parse::<u64>().ok())
            .sum();
        Ok(Duration::from_millis(ticks * 10))
    }

    /// Resident memory of the process itself, in KiB.
    pub(crate) fn resident_alone(&self) -> Result<f64> {
        resident(self.child.id())
    }

    pub(crate) fn usage(&self) -> Usage {
        let mut usage = Usage::default();
        for process in self.ids() {
            for thread in list(process) {
                let path = format!("/proc/{process}/task/{thread}/schedstat");
                let nanoseconds = fs::read_to_string(path).ok().and_then(|text| {
                    let first = text.split_whitespace().next()?;
                    first.parse::<u64>().ok()
                });
                usage.threads.insert(thread, nanoseconds.unwrap_or(0));
            }
            let stat = fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
            // Fields 14 and 15; the name before them may hold anything but ends with `)`.
            let fields: Vec<u64> = stat
                .rsplit(')')
                .next()
                .unwrap_or_default()
                .split_whitespace()
                .skip(11)
                .take(2)
                .filter_map(|field| field.parse().ok())
                .collect();
            if let [user, system] = fields[..] {
                usage.user += user;
                usage.system += system;
            }
        }
        usage
    }

    /// Resident memory of all its processes, in KiB.
    pub(crate) fn resident(&self) -> Result<f64> {
        let mut kibibytes = 0.0;
        for process in self.ids() {
            kibibytes += resident(process)?;
        }
        Ok(kibibytes)
    }

    /// The most that is resident is counted anew from here.
    pub(crate) fn forget_peaks(&self) -> Result<()> {
        for process in self.ids() {
            let path = format!("/proc/{process}/clear_refs");
            fs::write(&path, "5").with_context(|| format!("writing {path}"))?;
        }
        Ok(())
    }

    /// The sum of what each process had resident at most, in KiB.
    pub(crate) fn peak(&self) -> Result<f64> {
        self.ids()
            .into_iter()
            .map(|process| from_status(process, "VmHWM:"))
            .sum()
    }
}

fn from_status(process: u32, name: &str) -> Result<f64> {
    let path = format!("/proc/{process}/status");
    let status = fs::read_to_string(&path).with_context(|| format!("reading {path}"))?;
    status
        .lines()
        .find_map(|line| line.strip_prefix(name))
        .and_then(|rest| rest.trim().trim_end_matches(" kB").parse::<f64>().ok())
        .with_context(|| format!("no {name} in {path}"))
}

fn resident(process: u32) -> Result<f64> {
    let path = format!("/proc/{process}/smaps_rollup");
    let rollup = fs::read_to_string(&path).with_context(|| format!("reading {path}"))?;
    rollup
        .lines()
        .find_map(|line| line.strip_prefix("Rss:"))
        .and_then(|rest| rest.trim().trim_end_matches(" kB").parse::<f64>().ok())
        .with_context(|| format!("no resident memory in {path}"))
}

impl Drop for Process {
    fn drop(&mut self) {
        // Each step may find that there is nothing left to do.
        kill_process(self.id(), Signal::TERM).ok();
        let asked = Instant::now();
        while matches!(self.child.try_wait(), Ok(None)) && asked.elapsed() < GRACE {
            std::thread::sleep(Duration::from_millis(5));
        }
        kill_process_group(self.id(), Signal::KILL).ok();
        self.child.wait().ok();
    }
}

fn list(process: u32) -> Vec<u32> {
    let Ok(threads) = fs::read_dir(format!("/proc/{process}/task")) else {
        return Vec::new();
    };
    threads
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .collect()
}

/// CPU time used up to a moment.
#[derive(Default)]
pub(crate) struct Usage {
    threads: HashMap<u32, u64>,
    user: u64,
    system: u64,
}

/// CPU time used between two moments.
pub(crate) struct Used {
    pub(crate) microseconds: f64,
    /// Share of user space, 0 to 1.
    pub(crate) user: f64,
    /// What the busiest thread did of what the two busiest did, 0.5 to 1.
    pub(crate) busiest: f64,
}

impl Usage {
    /// Seconds of CPU time since then, with that of threads that have ended; in ticks of 10 ms.
    #[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
    pub(crate) fn seconds_since(&self, before: &Self) -> f64 {
        let ticks = |usage: &Self| (usage.user + usage.system) as f64;
        (ticks(self) - ticks(before)) / 100.0
    }

    #[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
    pub(crate) fn since(&self, before: &Self) -> Used {
        let mut threads: Vec<u64> = self
            .threads
            .iter()
            .map(|(id, now)| now.saturating_sub(before.threads.get(id).copied().unwrap_or(0)))
            .collect();
        threads.sort_unstable_by(|a, b| b.cmp(a));
        let first = threads.first().copied().unwrap_or(0) as f64;
        let second = threads.get(1).copied().unwrap_or(0) as f64;
        let user = self.user.saturating_sub(before.user) as f64;
        let system = self.system.saturating_sub(before.system) as f64;
        Used {
            microseconds: threads.iter().sum::<u64>() as f64 / 1000.0,
            user: user / (user + system).max(1.0),
            busiest: first / (first + second).max(1.0),
        }
    }
}
