//! Accounts of the machine as a way in: what is configured of it. Who asks is `lyceum-pam`, a crate of its
//! own, since it needs the system's library: programs that are built without it have none.

use std::collections::BTreeSet;
use std::time::Duration;

use lyceum_model::identity::Adopts;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PamConfig {
    pub title: String,
    /// A file in `/etc/pam.d`.
    pub service: String,
    /// Who may come in this way, whatever other lists say. `None`: whom other lists name.
    pub allow: Option<Allow>,
    pub adopts: Adopts,
    pub timeout: Duration,
    /// So many are asked for at once.
    pub at_once: usize,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Allow {
    Everyone,
    /// In one of these groups of the machine.
    Groups(BTreeSet<String>),
}
