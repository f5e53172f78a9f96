//! What moved on each route: when last, how much, and how many WebSockets are open.
//!
//! A route is active when a server answers below 300 (answers, and each further piece of them),
//! when a client sends body data, and when bytes go either way through a WebSocket. Refused or
//! failed requests do not count, so a dead tab cannot keep a server alive.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

use crate::{moment::Moment, route::Entry, sampled::Sampled};

/// What happened on one route since it was last asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Activity {
    pub route_id: String,
    /// The last moment of activity ever seen.
    pub last: Moment,
    /// Whether that is later than what was said before.
    pub moved: bool,
    /// Body and WebSocket bytes from clients to the server.
    pub bytes_in: u64,
    /// Body and WebSocket bytes from the server to clients.
    pub bytes_out: u64,
    pub open_websockets: u64,
}

/// The counters of one route; they outlive the table that the route came in.
#[derive(Debug, Default)]
pub(crate) struct Stats {
    last: AtomicU64,
    reported: AtomicU64,
    bytes_in: AtomicU64,
    bytes_out: AtomicU64,
    websockets: AtomicU64,
}

/// How often and how long any route's last activity was written down, in this process.
pub(crate) static TOUCHES: Sampled = Sampled::new();

impl Stats {
    pub(crate) fn touch(&self) {
        TOUCHES.time(|| {
            self.last.fetch_max(Moment::now().0, Relaxed);
        });
    }

    /// The last moment of activity ever seen, in milliseconds since 1970.
    pub(crate) fn last_ms(&self) -> u64 {
        match self.last.load(Relaxed) {
            0 => 0,
            last => Moment(last).since_1970(),
        }
    }

    pub(crate) fn add_in(&self, bytes: u64) {
        self.bytes_in.fetch_add(bytes, Relaxed);
    }

    pub(crate) fn add_out(&self, bytes: u64) {
        self.bytes_out.fetch_add(bytes, Relaxed);
    }

    pub(crate) fn open_websocket(self: &Arc<Self>) -> OpenWebSocket {
        self.websockets.fetch_add(1, Relaxed);
        OpenWebSocket(self.clone())
    }

    fn take(&self, route_id: &str) -> Option<Activity> {
        let last = self.last.load(Relaxed);
        let activity = Activity {
            route_id: route_id.to_owned(),
            last: Moment(last),
            moved: self.reported.swap(last, Relaxed) != last,
            bytes_in: self.bytes_in.swap(0, Relaxed),
            bytes_out: self.bytes_out.swap(0, Relaxed),
            open_websockets: self.websockets.load(Relaxed),
        };
        let said =
            activity.moved || activity.bytes_in + activity.bytes_out + activity.open_websockets > 0;
        said.then_some(activity)
    }
}

/// Counts one open WebSocket for as long as it lives.
#[derive(Debug)]
pub(crate) struct OpenWebSocket(Arc<Stats>);

impl Drop for OpenWebSocket {
    fn drop(&mut self) {
        self.0.websockets.fetch_sub(1, Relaxed);
    }
}

/// All routes' counters by route id.
#[derive(Debug, Default)]
pub(crate) struct Book(Mutex<HashMap<String, Arc<Stats>>>);

impl Book {
    pub(crate) fn stats_of_one(&self, id: &str) -> Arc<Stats> {
        let mut book = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match book.get(id) {
            Some(stats) => stats.clone(),
            None => book.entry(id.to_owned()).or_default().clone(),
        }
    }

    /// Gives each of these entries the counters of its id.
    pub(crate) fn hand_out(&self, entries: &[Arc<Entry>]) {
        let mut book = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for entry in entries {
            entry.keep_stats(match book.get(&entry.id) {
                Some(stats) => stats.clone(),
                None => book.entry(entry.id.clone()).or_default().clone(),
            });
        }
    }

    /// What is new; forgets routes that are in no table, body or tunnel any more.
    pub(crate) fn take(&self) -> Vec<Activity> {
        let mut book = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let taken = book
            .iter()
            .filter_map(|(id, stats)| stats.take(id))
            .collect();
        book.retain(|_, stats| Arc::strong_count(stats) > 1);
        taken
    }

    pub(crate) fn open_websockets(&self) -> HashMap<String, u64> {
        let book = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        book.iter()
            .map(|(id, stats)| (id.clone(), stats.websockets.load(Relaxed)))
            .filter(|(_, open)| *open > 0)
            .collect()
    }
}
