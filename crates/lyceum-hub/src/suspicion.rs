//! Servers of which something seemed wrong, for the watch to look after at once.

use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};

use lyceum_model::server::ServerKey;
use tokio::sync::Notify;

/// More than that are looked after when their turn comes.
const MOST: usize = 1000;

#[derive(Default)]
pub(crate) struct Suspicion {
    keys: Mutex<HashSet<ServerKey>>,
    told: Notify,
}

impl Suspicion {
    pub(crate) fn tell(&self, key: ServerKey) {
        let mut keys = self.keys.lock().unwrap_or_else(PoisonError::into_inner);
        if keys.len() < MOST {
            keys.insert(key);
        }
        drop(keys);
        self.told.notify_one();
    }

    /// Waits until there are some, and takes them.
    pub(crate) async fn keys(&self) -> Vec<ServerKey> {
        self.told.notified().await;
        let mut keys = self.keys.lock().unwrap_or_else(PoisonError::into_inner);
        keys.drain().collect()
    }
}
