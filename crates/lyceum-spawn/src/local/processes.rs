//! Looking at processes through /proc, and ending what is left of a run.
//!
//! A process is signalled only through a pidfd that was opened *before* checking that it is the
//! one meant, so a reused process id never hits a stranger.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::thread::sleep;
use std::time::{Duration, Instant};

use rustix::process::{Pid, PidfdFlags, Signal};

use crate::local::cgroup;
use crate::local::wire::RUN_VARIABLE;
use crate::spawner::Usage;

/// No way up a tree of processes is longer, unless it is made to seem endless.
const MAX_STEPS: usize = 10_000;

/// A process and its parent at the time of looking.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Process {
    pub(crate) pid: i32,
    parent: i32,
}

impl Process {
    /// The process with this number, now.
    pub(crate) fn find(pid: i32) -> Option<Self> {
        let parent = Stat::read(pid)?.parent;
        Some(Self { pid, parent })
    }

    pub(crate) fn is_child_of(self, parent: i32) -> bool {
        self.parent == parent
    }

    /// Whether the number still is of a process with the same parent.
    pub(crate) fn is_still_there(self) -> bool {
        Self::find(self.pid) == Some(self)
    }

    /// Goes up from parent to parent.
    pub(crate) fn descends_from(self, root: i32) -> bool {
        let mut at = self.pid;
        for _ in 0..MAX_STEPS {
            match Self::find(at) {
                Some(process) if process.parent == root => return true,
                Some(process) if process.parent > 1 => at = process.parent,
                // A parent has ended on the way, so its children have got another.
                None if at != self.pid => at = self.pid,
                _ => return false,
            }
        }
        false
    }
}

/// Every process there is.
pub(crate) fn all() -> impl Iterator<Item = Process> {
    all_pids().filter_map(Process::find)
}

/// All descendants of a process, without itself.
pub(crate) fn descendants(root: i32) -> Vec<Process> {
    let direct: Box<dyn Fn(i32) -> Vec<i32>> = if lists_children() {
        Box::new(children)
    } else {
        let all = children_of_all();
        Box::new(move |pid| all.get(&pid).cloned().unwrap_or_default())
    };
    let mut found = Vec::new();
    let mut open = vec![root];
    while let Some(parent) = open.pop() {
        for pid in direct(parent) {
            found.push(Process { pid, parent });
            open.push(pid);
        }
    }
    found
}

/// Kernels can be built without the short way.
fn lists_children() -> bool {
    let own = std::process::id();
    Path::new(&format!("/proc/{own}/task/{own}/children")).exists()
}

fn children(pid: i32) -> Vec<i32> {
    let Ok(tasks) = fs::read_dir(format!("/proc/{pid}/task")) else {
        return Vec::new();
    };
    let lists = tasks
        .flatten()
        .filter_map(|task| fs::read_to_string(task.path().join("children")).ok());
    lists
        .flat_map(|list| {
            let pids = list.split_whitespace().map(str::to_owned);
            pids.collect::<Vec<_>>()
        })
        .filter_map(|pid| pid.parse().ok())
        .collect()
}

fn children_of_all() -> BTreeMap<i32, Vec<i32>> {
    let mut all: BTreeMap<i32, Vec<i32>> = BTreeMap::new();
    for pid in all_pids() {
        if let Some(stat) = Stat::read(pid) {
            all.entry(stat.parent).or_default().push(pid);
        }
    }
    all
}

fn all_pids() -> impl Iterator<Item = i32> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok())
}

/// The few fields of /proc/PID/stat that we need; proc(5) numbers them from 1.
struct Stat {
    parent: i32,
    ticks: u64,
}

impl Stat {
    fn read(pid: i32) -> Option<Self> {
        let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        // The name (2) stands in parentheses and may hold any character.
        let rest = text.get(text.rfind(')')? + 1..)?;
        let fields: Vec<&str> = rest.split_whitespace().collect();
        let number = |n: usize| fields.get(n - 3)?.parse::<u64>().ok();
        // utime, stime, and those of waited-for children.
        let ticks = (14..=17).filter_map(number).sum();
        let parent = fields.get(4 - 3)?.parse().ok()?;
        Some(Self { parent, ticks })
    }
}

/// Signals a process found by [`descendants`], unless it is another one by now.
pub(crate) fn signal_descendant(process: Process, signal: Signal) {
    signal_if(process.pid, signal, || {
        Stat::read(process.pid).is_some_and(|stat| stat.parent == process.parent)
    });
}

/// Signals a process if it still is the one meant. False if it was not.
pub(crate) fn signal_if(pid: i32, signal: Signal, is_meant: impl FnOnce() -> bool) -> bool {
    let Some(pid) = Pid::from_raw(pid) else {
        return false;
    };
    let Ok(handle) = rustix::process::pidfd_open(pid, PidfdFlags::empty()) else {
        return false;
    };
    is_meant() && rustix::process::pidfd_send_signal(&handle, signal).is_ok()
}

/// Every process that carries the mark of a run in its environment.
fn marked(run: &str) -> Vec<i32> {
    all_pids().filter(|pid| carries(*pid, run)).collect()
}

fn carries(pid: i32, run: &str) -> bool {
    let mark = format!("{RUN_VARIABLE}={run}");
    let Ok(env) = fs::read(format!("/proc/{pid}/environ")) else {
        return false;
    };
    env.split(|b| *b == 0).any(|pair| pair == mark.as_bytes())
}

/// Ends what is left of a run whose keeper is gone: by cgroup where there is one, else by the mark
/// in the environment. False if something would not die in time.
pub(crate) fn sweep(run: &str, group: Option<&Path>, limit: Duration) -> bool {
    let deadline = Instant::now() + limit;
    let mut pause = Duration::from_millis(2);
    loop {
        if let Some(group) = group {
            cgroup::kill(group);
        }
        let left = marked(run);
        for pid in &left {
            signal_if(*pid, Signal::KILL, || carries(*pid, run));
        }
        let empty = group.is_none_or(|group| !cgroup::is_populated(group));
        if left.is_empty() && empty {
            if let Some(group) = group {
                cgroup::remove(group);
            }
            return true;
        }
        if Instant::now() > deadline {
            return false;
        }
        sleep(pause);
        pause = (pause * 2).min(Duration::from_millis(100));
    }
}

/// Sums over the descendants of the keeper.
pub(crate) fn usage(keeper: i32) -> Usage {
    let mut usage = Usage {
        memory: 0,
        cpu_seconds: 0.0,
        processes: 0,
    };
    let page = u64::try_from(rustix::param::page_size()).expect("pages are small");
    let mut ticks = 0;
    for process in descendants(keeper) {
        let statm = fs::read_to_string(format!("/proc/{}/statm", process.pid));
        let (Ok(statm), Some(stat)) = (statm, Stat::read(process.pid)) else {
            continue;
        };
        let resident = statm.split_whitespace().nth(1);
        let resident: u64 = resident.and_then(|n| n.parse().ok()).unwrap_or(0);
        usage.memory += resident.saturating_mul(page);
        usage.processes += 1;
        ticks += stat.ticks;
    }
    #[expect(clippy::cast_precision_loss, reason = "seconds for a display")]
    let seconds = ticks as f64 / rustix::param::clock_ticks_per_second() as f64;
    usage.cpu_seconds = seconds;
    usage
}
