//! How far the proxies that run apart have come, as they tell every hub.
//!
//! So that nobody is sent to a server whose route has not arrived at her proxy yet.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::watch;

/// A proxy that was silent for longer is not waited for: it follows nobody, or is gone.
const BELIEVED: Duration = Duration::from_secs(12);
/// Nobody waits for a slow proxy for longer.
const PATIENCE: Duration = Duration::from_secs(1);
/// More proxies than anybody has; further ones are not waited for.
const MOST: usize = 1_024;

#[derive(Debug)]
pub struct Followers {
    reached: Mutex<HashMap<String, (i64, Instant)>>,
    news: watch::Sender<()>,
}

impl Default for Followers {
    fn default() -> Self {
        Self {
            reached: Mutex::default(),
            news: watch::Sender::new(()),
        }
    }
}

impl Followers {
    /// A proxy says that its table is of this number.
    pub fn note(&self, proxy: &str, number: i64) {
        let mut reached = self.lock();
        reached.retain(|_, (_, at)| at.elapsed() < BELIEVED);
        if reached.len() < MOST || reached.contains_key(proxy) {
            reached.insert(proxy.to_owned(), (number, Instant::now()));
        }
        drop(reached);
        self.news.send_replace(());
    }

    /// A proxy says that it follows nobody now.
    pub fn forget(&self, proxy: &str) {
        self.lock().remove(proxy);
        self.news.send_replace(());
    }

    /// How many are believed to follow.
    pub fn count(&self) -> usize {
        let reached = self.lock();
        let there = reached.values().filter(|(_, at)| at.elapsed() < BELIEVED);
        there.count()
    }

    /// Waits until all have come to this number, but not for long.
    pub async fn wait_for(&self, number: i64) {
        let mut news = self.news.subscribe();
        let all_there = async {
            while !self.are_at(number) {
                if news.changed().await.is_err() {
                    return;
                }
            }
        };
        if tokio::time::timeout(PATIENCE, all_there).await.is_err() {
            tracing::debug!(number, "a proxy is slow to follow");
            // Gone without a word, most likely: not waited for again until it says something.
            self.lock().retain(|_, (theirs, _)| *theirs >= number);
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, (i64, Instant)>> {
        self.reached.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn are_at(&self, number: i64) -> bool {
        let reached = self.lock();
        reached
            .values()
            .all(|(theirs, at)| *theirs >= number || at.elapsed() >= BELIEVED)
    }
}
