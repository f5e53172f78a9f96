//! Which limits this machine lets us set, and the ones that need no cgroup.
//!
//! Memory without a cgroup is limited per process by `RLIMIT_DATA`. `RLIMIT_AS` would also count
//! address space that is only reserved, which programs like Node.js and Java do by the gigabyte.
//! `RLIMIT_NPROC` counts every process of the account, so it is set only for accounts of their own.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::error::SpawnError;
use crate::local::cgroup::Place;
use crate::local::wire::Launch;
use lyceum_model::say;
use lyceum_model::saying::Saying;

/// How something is done on this machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mechanism {
    /// For the server as a whole.
    Cgroup,
    /// For each of its processes (memory, files), or for the whole account (processes).
    Rlimit,
    /// By following parents and a mark in the environment.
    ProcessTree,
    /// Not at all.
    None,
}

/// What servers on this machine get, for `lyceum doctor`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LimitsReport {
    pub memory: Mechanism,
    pub cpu: Mechanism,
    pub processes: Mechanism,
    pub open_files: Mechanism,
    /// How a server's processes are found when it ends.
    pub clean_up: Mechanism,
    /// Servers can run as accounts of their own.
    pub run_as: bool,
    /// Why something better is not used, one sentence each.
    pub notes: Vec<String>,
}

impl Mechanism {
    fn words(self) -> &'static str {
        match self {
            Self::Cgroup => "per server",
            Self::Rlimit => "per process",
            Self::ProcessTree => "by the tree of processes",
            Self::None => "not limited",
        }
    }
}

/// One short sentence; why not better is in the notes.
impl std::fmt::Display for LimitsReport {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "memory {}, cores {}, processes {}",
            self.memory.words(),
            self.cpu.words(),
            self.processes.words()
        )
    }
}

pub(crate) fn report(place: Result<&Place, &str>, root: bool) -> LimitsReport {
    let has = |controller: &str| place.is_ok_and(|place| place.has(controller));
    let choose = |controller: &str, otherwise: Mechanism| {
        if has(controller) {
            Mechanism::Cgroup
        } else {
            otherwise
        }
    };
    let per_account = if root {
        Mechanism::Rlimit
    } else {
        Mechanism::None
    };
    let report = LimitsReport {
        memory: choose("memory", Mechanism::Rlimit),
        cpu: choose("cpu", Mechanism::None),
        processes: choose("pids", per_account),
        open_files: Mechanism::Rlimit,
        clean_up: place.map_or(Mechanism::ProcessTree, |_| Mechanism::Cgroup),
        run_as: root,
        notes: Vec::new(),
    };
    LimitsReport {
        notes: notes(&report, place.err()),
        ..report
    }
}

fn notes(report: &LimitsReport, no_place: Option<&str>) -> Vec<String> {
    let mut notes = Vec::new();
    match no_place {
        Some(why) => notes.push(format!("no control groups: {why}")),
        None => {
            let missing: Vec<&str> = [
                ("memory", report.memory),
                ("cpu", report.cpu),
                ("pids", report.processes),
            ]
            .into_iter()
            .filter(|(_, mechanism)| *mechanism != Mechanism::Cgroup)
            .map(|(name, _)| name)
            .collect();
            if !missing.is_empty() {
                let names = missing.join(", ");
                notes.push(format!(
                    "control groups of version 2 work, but without the controllers {names}: they \
                     are not handed down to our group, or version 1 holds them"
                ));
            }
        }
    }
    if report.memory == Mechanism::Rlimit {
        notes.push(
            "memory is limited for each process and not for the server as a whole; programs see a \
             failed allocation instead of being killed"
                .into(),
        );
    }
    if report.cpu == Mechanism::None {
        notes.push("processor limits have no effect".into());
    }
    match report.processes {
        Mechanism::Rlimit => notes.push(
            "the number of processes is limited only for servers with an account of their own"
                .into(),
        ),
        Mechanism::None => notes.push("the number of processes is not limited".into()),
        Mechanism::Cgroup | Mechanism::ProcessTree => {}
    }
    if !report.run_as {
        notes.push(
            "not started as root: all servers run as the account of Lyceum and can read each \
             other's files; use this for one person or for trying it out"
                .into(),
        );
    }
    notes
}

/// Sets the limits of the calling process. For the launcher, before it gives up root.
pub(crate) fn apply(launch: &Launch) -> Result<(), SpawnError> {
    set(Resource::Core, say!("limit.core_files"), 0)?;
    let resources = &launch.resources;
    if let Some(limit) = resources.open_files {
        set(Resource::Nofile, say!("limit.open_files"), limit)?;
    } else if let Some(limit) = launch.open_files {
        let maximum = getrlimit(Resource::Nofile).maximum;
        let current = Some(maximum.map_or(limit, |maximum| limit.min(maximum)));
        let what = say!("limit.open_files");
        put(Resource::Nofile, what, Rlimit { current, maximum })?;
    }
    if let Some(limit) = resources.file_size {
        set(Resource::Fsize, say!("limit.file_size"), limit)?;
    }
    if let Some(limit) = resources.memory_limit.filter(|_| !launch.memory_by_cgroup) {
        set(Resource::Data, say!("limit.memory"), limit)?;
    }
    if let Some(limit) = resources.processes
        && launch.run_as.is_some()
        && !launch.processes_by_cgroup
    {
        set(Resource::Nproc, say!("limit.processes"), limit)?;
    }
    Ok(())
}

/// Sets both the soft and the hard limit, never above the hard one that we have.
fn set(resource: Resource, what: Saying, limit: u64) -> Result<(), SpawnError> {
    let ceiling = getrlimit(resource).maximum.unwrap_or(u64::MAX);
    let limit = Some(limit.min(ceiling));
    let rlimit = Rlimit {
        current: limit,
        maximum: limit,
    };
    put(resource, what, rlimit)
}

fn put(resource: Resource, what: Saying, rlimit: Rlimit) -> Result<(), SpawnError> {
    setrlimit(resource, rlimit).map_err(|errno| SpawnError::Limits {
        what: what.into(),
        error: errno.to_string(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_report_says_what_is_missing() {
        let report = report(Err("no cgroup version 2 is mounted"), false);
        assert_eq!(report.memory, Mechanism::Rlimit);
        assert_eq!(report.cpu, Mechanism::None);
        assert_eq!(report.processes, Mechanism::None);
        let notes = report.notes.join("\n");
        for words in [
            "version 2",
            "each process",
            "processor",
            "not started as root",
        ] {
            assert!(notes.contains(words), "{words} in {notes}");
        }
    }
}
