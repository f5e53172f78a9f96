//! Headers by which a proxy in front says who people are.
//!
//! Whoever may write them can be anybody. So they pass to the hub alone, and only on connections from the
//! networks that are configured, beside our word who made the connection; to servers they never pass,
//! nor what a server would take for them.

use std::{collections::BTreeSet, net::IpAddr, sync::Arc};

use arc_swap::ArcSwapOption;
use serde::{Deserialize, Serialize};

use crate::config::Network;

/// Which headers these are, and from where they count.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Identity {
    /// Names, in any case.
    pub headers: BTreeSet<String>,
    pub from: Vec<Network>,
}

impl Identity {
    fn lowered(self) -> Self {
        let headers = self.headers.iter().map(|name| plain(name.as_bytes()));
        Self {
            headers: headers.collect(),
            ..self
        }
    }

    /// Whether a header is one of them, or would be read as one by a server that takes `_` for `-`.
    pub(crate) fn is_one(&self, name: &[u8]) -> bool {
        self.headers.contains(&plain(name))
    }

    pub(crate) fn counts_from(&self, peer: IpAddr) -> bool {
        self.from.iter().any(|network| network.contains(peer))
    }
}

fn plain(name: &[u8]) -> String {
    let name = String::from_utf8_lossy(name);
    name.to_ascii_lowercase().replace('_', "-")
}

/// What is in force, which may be something else from the next request on.
#[derive(Debug, Default)]
pub(crate) struct InForce(ArcSwapOption<Identity>);

impl InForce {
    pub(crate) fn new(identity: Option<Identity>) -> Self {
        let this = Self::default();
        this.set(identity);
        this
    }

    pub(crate) fn set(&self, identity: Option<Identity>) {
        self.0.store(identity.map(|one| Arc::new(one.lowered())));
    }

    pub(crate) fn get(&self) -> arc_swap::Guard<Option<Arc<Identity>>> {
        self.0.load()
    }
}
