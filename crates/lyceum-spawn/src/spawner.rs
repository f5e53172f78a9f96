//! The trait that every way of running servers implements, and its words.
//!
//! Not here: how processes are kept ([`crate::local`]), when a server counts as ready
//! ([`crate::probe`]), and the state machine of a server, which is the hub's.

use std::time::Duration;

use async_trait::async_trait;
use lyceum_model::saying::Saying;
use lyceum_model::server::{HubEnv, ServerKey, ServerSpec};
use serde::{Deserialize, Serialize};

use crate::error::SpawnError;
use crate::steps::Steps;

/// Brings servers to life, watches and ends them.
///
/// Invariant: after `start` was called with a key, exactly one server of that key runs or none,
/// whatever was killed meanwhile; calling again adopts or starts anew.
#[async_trait]
pub trait Spawner: Send + Sync + 'static {
    /// The word for it in configuration, logs and metrics.
    fn kind(&self) -> &'static str;

    /// Starts the server, or adopts it if one with this key already runs. Returns once the process
    /// exists and its address is known, not when it answers. Dropping the future half-way is
    /// fine as long as `stop` is called afterwards.
    async fn start(&self, order: &StartOrder, steps: &Steps) -> Result<Started, SpawnError>;

    /// Whether it runs, and who listens at its address. Asked for each new connection to the
    /// server too, so it must be cheap.
    async fn poll(&self, key: &ServerKey) -> Result<Status, SpawnError>;

    /// Ends the server, politely first. Stopping what is not there is fine. Returns when nothing
    /// of it is left.
    async fn stop(&self, key: &ServerKey) -> Result<(), SpawnError>;

    /// The last lines that the server wrote, oldest first, fit to be shown as plain text.
    async fn log_tail(&self, key: &ServerKey, max_lines: usize) -> Result<Vec<String>, SpawnError>;

    /// Every server that still runs here, known to the hub or not: for adoption and for ending
    /// orphans.
    async fn list(&self) -> Result<Vec<ServerKey>, SpawnError>;

    /// Forgets what is kept of a stopped server (its last state and its log).
    async fn forget(&self, key: &ServerKey) -> Result<(), SpawnError>;

    /// What the server takes at the moment; `None` when it does not run.
    async fn usage(&self, key: &ServerKey) -> Result<Option<Usage>, SpawnError>;

    /// Makes what can be made ready for so many servers of this kind, which are to start soon, and
    /// says what is short of what they are guaranteed. May take minutes; called again, or dropped
    /// half-way, it does no harm.
    async fn make_room(&self, people: u64, spec: &ServerSpec) -> Result<Vec<Shortage>, SpawnError>;

    /// How fast one hub may give it starts; nothing: as fast as there are places for them.
    fn pace(&self) -> Option<Pace> {
        None
    }
}

/// So many starts at once, and after that one in each such time. For what stands before an interface
/// that counts calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pace {
    pub at_once: u32,
    pub every: Duration,
}

/// What there is less of than servers are guaranteed, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shortage {
    pub of: Resource,
    pub needed: u64,
    pub free: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Resource {
    Memory,
    Disk,
}

impl Resource {
    /// For logs and metrics.
    pub fn word(self) -> &'static str {
        match self {
            Self::Memory => "memory",
            Self::Disk => "disk",
        }
    }
}

/// All that a start needs.
#[derive(Debug, Clone, PartialEq)]
pub struct StartOrder {
    pub key: ServerKey,
    pub spec: ServerSpec,
    pub hub: HubEnv,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Started {
    /// `http://127.0.0.1:41234`, without a slash at the end.
    pub address: String,
    /// It ran already; its environment, with its token, is the one of its first start.
    pub adopted: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Status {
    Running {
        address: String,
        port: PortOwner,
    },
    Exited {
        code: Option<i32>,
        signal: Option<i32>,
        /// Plain words: "ran out of memory (limit 2 GB) …".
        reason: Saying,
    },
    /// Nothing is known of such a server.
    Gone,
}

/// Who listens at the address of a server that runs.
///
/// Invariant: nothing is sent to a server's address unless this was [`PortOwner::is_safe`] right
/// before: what listens there may be another person's program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PortOwner {
    /// The server itself.
    Server,
    /// Nobody: the server does not listen yet, or no longer.
    Nobody,
    /// A program that does not belong to the server.
    Stranger {
        uid: u32,
        /// Known if we may look at it.
        pid: Option<i32>,
    },
    /// It can't be told here, or the address can't be anybody else's.
    Unknown,
}

impl PortOwner {
    /// Whether what is sent there goes to the server, as far as that can be told.
    pub fn is_safe(self) -> bool {
        matches!(self, Self::Server | Self::Unknown)
    }
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Usage {
    /// Bytes of memory. Without a cgroup this is the sum over processes, and shared pages count
    /// several times.
    pub memory: u64,
    /// Seconds of processor time since the start, as far as its processes still live.
    pub cpu_seconds: f64,
    pub processes: u64,
}
