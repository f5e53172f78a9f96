//! What holds at one moment: while it does, what was looked up since is still so.

use std::sync::Arc;

use lyceum_store::Stamp;

use crate::{Hub, Settings};

/// The state of the database, the configuration and the courses. A request that came with a session has that
/// from before it was looked up whose it is among its extensions.
#[derive(Clone)]
pub struct Moment {
    stamp: Stamp,
    settings: Arc<Settings>,
    courses: u64,
}

impl Moment {
    /// Nothing, if it can't be told whether something has changed.
    pub fn now(hub: &Hub) -> Option<Self> {
        Some(Self {
            stamp: hub.db().stamp()?,
            settings: hub.settings(),
            courses: *hub.shelf().changes().borrow(),
        })
    }

    pub fn is(&self, other: &Self) -> bool {
        self.stamp == other.stamp && self.is_but_for_rows(other)
    }

    /// Whether configuration and courses are the same; the rows may be others.
    pub fn is_but_for_rows(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.settings, &other.settings) && self.courses == other.courses
    }

    pub fn stamp(&self) -> Stamp {
        self.stamp
    }
}
