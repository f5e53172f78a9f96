//! Wake-ups inside this process: for those who follow everything, and for those who wait for one thing.
//!
//! Hundreds may wait for a server each; none of them is woken for another's. What travels between
//! replicas: [`crate::listen`].

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{broadcast, watch};

use crate::events::EVERYTHING;

/// Wake-ups that a slow listener may fall behind; it then looks at everything, which costs time only.
const QUEUE: usize = 1024;

#[derive(Clone)]
pub(crate) struct Wake {
    all: broadcast::Sender<String>,
    topics: Arc<Topics>,
}

#[derive(Default)]
struct Topics(Mutex<HashMap<String, watch::Sender<()>>>);

impl Topics {
    fn lock(&self) -> MutexGuard<'_, HashMap<String, watch::Sender<()>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Wake {
    pub(crate) fn new() -> Self {
        Self {
            all: broadcast::channel(QUEUE).0,
            topics: Arc::default(),
        }
    }

    pub(crate) fn send(&self, topic: &str) {
        // No listener is no fault.
        let _ = self.all.send(topic.to_owned());
        let topics = self.topics.lock();
        match topic {
            EVERYTHING => topics.values().for_each(|waiting| {
                waiting.send_replace(());
            }),
            topic => {
                if let Some(waiting) = topics.get(topic) {
                    waiting.send_replace(());
                }
            }
        }
    }

    pub(crate) fn subscribe(&self) -> broadcast::Receiver<String> {
        self.all.subscribe()
    }

    pub(crate) fn subscribe_to(&self, topic: &str) -> Waiting {
        let mut topics = self.topics.lock();
        let waiting = topics.entry(topic.to_owned()).or_default();
        Waiting {
            news: waiting.subscribe(),
            topic: topic.to_owned(),
            topics: Arc::clone(&self.topics),
        }
    }
}

/// Waits for the news of one topic. Take it *before* looking at the rows, or news in between are
/// missed.
pub struct Waiting {
    news: watch::Receiver<()>,
    topic: String,
    topics: Arc<Topics>,
}

impl Waiting {
    /// Waits for a wake-up since the last one, or since this was made. Safe to drop and call again.
    pub async fn woken(&mut self) {
        if self.news.changed().await.is_err() {
            // The database is closed: nothing will come any more.
            std::future::pending().await
        }
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        let mut topics = self.topics.lock();
        let is_last = topics
            .get(&self.topic)
            .is_some_and(|waiting| waiting.receiver_count() <= 1);
        if is_last {
            topics.remove(&self.topic);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_woken(waiting: &Waiting) -> bool {
        waiting.news.has_changed().expect("open")
    }

    #[test]
    fn each_is_woken_for_its_own_topic_and_for_everything() {
        let wake = Wake::new();
        let (one, two, other) = (
            wake.subscribe_to("a"),
            wake.subscribe_to("a"),
            wake.subscribe_to("b"),
        );
        assert!(!is_woken(&one));
        wake.send("a");
        assert!(is_woken(&one) && is_woken(&two) && !is_woken(&other));
        assert!(!is_woken(&wake.subscribe_to("a")), "that was before");
        wake.send(EVERYTHING);
        assert!(is_woken(&other));
    }

    #[test]
    fn nothing_is_kept_of_those_who_have_left() {
        let wake = Wake::new();
        let (one, two) = (wake.subscribe_to("a"), wake.subscribe_to("a"));
        drop(one);
        assert_eq!(wake.topics.lock().len(), 1);
        wake.send("a");
        assert!(is_woken(&two));
        drop(two);
        assert_eq!(wake.topics.lock().len(), 0);
    }
}
