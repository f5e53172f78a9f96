//! What running servers take at the moment: measured when somebody looks, and not otherwise.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use futures_util::{StreamExt, stream};
use lyceum_model::say;
use lyceum_model::saying::{Saying, size};
use lyceum_model::server::ServerKey;
use lyceum_spawn::Usage;

use crate::Hub;
use crate::db::servers::Server;
use crate::servers::State;

/// Servers that are measured at once, and how long one may take.
const AT_ONCE: usize = 16;
const LIMIT: Duration = Duration::from_secs(2);
/// Processor time is told since the last look, unless that is just over or long ago.
const FRESH: Duration = Duration::from_secs(2);
const OLD: Duration = Duration::from_secs(600);
/// Looks that are remembered.
const MOST: usize = 10_000;

/// What a server takes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Taken {
    /// Bytes.
    pub memory: u64,
    /// Processor cores: on average since somebody looked last, or else since it began.
    pub cores: f64,
    pub processes: u64,
}

impl Taken {
    /// `312 MB, 0.4 cores`
    pub fn saying(&self) -> Saying {
        let cores = Duration::try_from_secs_f64(self.cores).unwrap_or_default();
        say!("usage.taken", memory = size(self.memory), cores = cores)
    }
}

/// Earlier looks, by the server's key.
#[derive(Default)]
pub struct Samples(Mutex<HashMap<String, Sample>>);

#[derive(Clone, Copy)]
struct Sample {
    at: Instant,
    cpu_seconds: f64,
    cores: f64,
}

/// By the row's id; of those that run and can be measured.
pub async fn of(hub: &Hub, servers: &[Server]) -> HashMap<String, Taken> {
    let running = servers.iter().filter(|one| one.state == State::Ready);
    let running: Vec<Server> = running.cloned().collect();
    let looks = stream::iter(running).map(|server| async move {
        let key = ServerKey::parse(&server.key)?;
        let usage = tokio::time::timeout(LIMIT, hub.spawner().usage(&key)).await;
        let usage = usage.ok()?.ok()??;
        let ran = hub.now().0.saturating_sub(server.ready_at?).max(0);
        let ran = Duration::from_millis(ran.unsigned_abs());
        let cores = hub.samples().cores(&server.key, usage, ran, Instant::now());
        let taken = Taken {
            memory: usage.memory,
            cores,
            processes: usage.processes,
        };
        Some((server.id, taken))
    });
    let mut looks = looks.buffer_unordered(AT_ONCE);
    let mut found = HashMap::new();
    while let Some(one) = looks.next().await {
        found.extend(one);
    }
    found
}

impl Samples {
    fn cores(&self, key: &str, usage: Usage, ran: Duration, now: Instant) -> f64 {
        let mut samples = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let before = samples.get(key).copied();
        let per = |cpu: f64, time: Duration| (cpu / time.as_secs_f64().max(1.0)).max(0.0);
        let cores = match before {
            Some(before) if now - before.at < FRESH => return before.cores,
            // A server of the same key that was started anew has used less.
            Some(before) if now - before.at <= OLD && usage.cpu_seconds >= before.cpu_seconds => {
                per(usage.cpu_seconds - before.cpu_seconds, now - before.at)
            }
            _ => per(usage.cpu_seconds, ran),
        };
        if samples.len() >= MOST && before.is_none() {
            samples.retain(|_, sample| now - sample.at <= OLD);
        }
        if samples.len() < MOST || before.is_some() {
            let sample = Sample {
                at: now,
                cpu_seconds: usage.cpu_seconds,
                cores,
            };
            samples.insert(key.to_owned(), sample);
        }
        cores
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_taken_in_words() {
        let taken = Taken {
            memory: 312 << 20,
            cores: 0.4321,
            processes: 5,
        };
        assert_eq!(taken.saying().to_string(), "312 MB, 0.4 cores");
        assert_eq!(
            taken.saying().in_lang(lyceum_model::lang::Lang::De),
            "312 MB, 0,4 Kerne"
        );
    }

    #[test]
    fn processor_time_is_told_since_the_last_look() {
        let samples = Samples::default();
        let begun = Instant::now();
        let look = |seconds: u64, cpu_seconds: f64, expect: f64| {
            let usage = Usage {
                memory: 1,
                cpu_seconds,
                processes: 1,
            };
            let now = begun + Duration::from_secs(seconds);
            let found = samples.cores("a", usage, Duration::from_secs(100), now);
            assert!((found - expect).abs() < 1e-9, "{seconds}: {found}");
        };
        // The first time: since it began.
        look(0, 50.0, 0.5);
        look(1, 51.0, 0.5);
        look(10, 70.0, 2.0);
        // Started anew, and after a long time.
        look(20, 10.0, 0.1);
        look(1000, 200.0, 2.0);
    }
}
