//! What hub, keeper and launcher say to each other over pipes. Never on a command line and never
//! on disk: orders hold tokens.
//!
//! hub -> keeper (its stdin): one [`Order`] as JSON, then the end of the stream; only after the
//! keeper said `locked`. keeper -> hub (its stdout): the line `locked` or `held`, then one
//! [`Answer`] as JSON. keeper -> launcher (its stdin, a socket): one [`Launch`]; back comes
//! [`ABOUT_TO_EXEC`], then nothing (the command runs) or a `SpawnError` as JSON.

use std::path::PathBuf;

use lyceum_model::server::{Resources, RunAs, ServerKey};
use serde::{Deserialize, Serialize};

use crate::env::Env;
use crate::error::SpawnError;

/// The last argument that turns the keeper program into the launcher.
pub(crate) const LAUNCH_ARGUMENT: &str = "--launch";
/// The first line of the keeper: it holds the lock and waits for the order.
pub(crate) const LOCKED: &str = "locked";
/// The first line of the keeper: another one holds the lock.
pub(crate) const HELD: &str = "held";
/// What the launcher says when all is prepared but the command itself.
pub(crate) const ABOUT_TO_EXEC: u8 = b'!';
/// Nothing longer is read from a pipe.
pub(crate) const MAX_MESSAGE: u64 = 1 << 20;
/// The variable that every process of one run carries, by which leftovers are found.
pub(crate) const RUN_VARIABLE: &str = "LYCEUM_RUN";

// No Debug on what holds the environment.
#[derive(Serialize, Deserialize)]
pub(crate) struct Order {
    pub(crate) key: ServerKey,
    /// Random, new with each start.
    pub(crate) run: String,
    pub(crate) address: String,
    pub(crate) interrupt_ms: u64,
    pub(crate) term_ms: u64,
    /// How often the home is measured, if it has a limit.
    #[serde(default)]
    pub(crate) measure_ms: u64,
    pub(crate) cgroup: Option<CgroupOrder>,
    pub(crate) launch: Launch,
}

/// A cgroup to make for this run, with the controllers that its parent hands down.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct CgroupOrder {
    pub(crate) path: PathBuf,
    pub(crate) memory: bool,
    pub(crate) cpu: bool,
    pub(crate) pids: bool,
}

#[derive(Serialize, Deserialize)]
pub(crate) struct Launch {
    /// Of the keeper; filled in by it.
    pub(crate) parent: i32,
    pub(crate) command: Vec<String>,
    pub(crate) env: Env,
    /// The root of homes and the home below it.
    pub(crate) homes: PathBuf,
    pub(crate) home: String,
    /// Where the command begins, if not there.
    #[serde(default)]
    pub(crate) folder: Option<PathBuf>,
    pub(crate) run_as: Option<RunAs>,
    pub(crate) resources: Resources,
    /// See [`super::LocalConfig`].
    pub(crate) open_files: Option<u64>,
    /// `cgroup.procs` of the cgroup to enter; filled in by the keeper.
    pub(crate) cgroup_procs: Option<PathBuf>,
    /// Whether memory and processes are limited by the cgroup, so that rlimits are not needed.
    pub(crate) memory_by_cgroup: bool,
    pub(crate) processes_by_cgroup: bool,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Answer {
    Started,
    Failed(SpawnError),
}
