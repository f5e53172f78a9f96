//! What this replica knows of the providers that it asks, and whom it asks about just now.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use lyceum_model::clock::Millis;
use tokio::sync::watch;
use tokio_util::task::TaskTracker;

use crate::db::refreshes::Due;

/// So many of one provider at a time.
pub(super) const AT_ONCE: i64 = 16;
/// After so many failures in a row it is the provider that is away, not one person that is odd there.
const AWAY: u32 = 3;
pub(super) const FIRST_PAUSE_MS: i64 = 30_000;
const LONGEST_PAUSE_MS: i64 = 300_000;
/// Whoever is away for longer is so by no chance.
const LONG_MS: i64 = 600_000;

/// Of all providers.
#[derive(Default)]
pub struct Refreshes {
    outages: Mutex<HashMap<String, Outage>>,
    /// Until when nothing more is told of answers about single people.
    told: Mutex<HashMap<String, Millis>>,
    /// Sessions that are looked at before they are used, each with its way in: as many at a time as a round
    /// takes, so that at least half of the calls to a provider are left to log-ins.
    pub(super) under_way: Mutex<HashMap<String, (String, watch::Receiver<()>)>>,
    /// Whatever asks is finished, also when whoever waited for it has gone: a token that came with the
    /// answer and was not kept would be lost.
    pub(super) tasks: TaskTracker,
}

/// A provider that does not answer as it should.
struct Outage {
    failures: u32,
    since: Millis,
    /// When it was tried last.
    tried: Millis,
    until: Millis,
}

pub(super) fn lock<T>(of: &Mutex<T>) -> MutexGuard<'_, T> {
    of.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Refreshes {
    /// How many sessions may be looked at at once: after an outage it is tried with one.
    pub(super) fn places(&self, method: &str, now: Millis) -> i64 {
        match lock(&self.outages).get(method) {
            Some(outage) if outage.failures >= AWAY && now < outage.until => 0,
            Some(outage) if outage.failures >= AWAY => 1,
            _ => AT_ONCE,
        }
    }

    pub(super) fn worked(&self, method: &str) {
        let before = lock(&self.outages).remove(method);
        if before.is_some_and(|outage| outage.failures >= AWAY) {
            tracing::info!(
                method,
                "a sign-in provider can be asked again about those who are here"
            );
        }
    }

    /// Told once, until it has answered.
    pub(super) fn failed(&self, method: &str, error: &anyhow::Error, now: Millis) {
        let mut outages = lock(&self.outages);
        let outage = outages.entry(method.to_owned()).or_insert(Outage {
            failures: 0,
            since: now,
            tried: now,
            until: now,
        });
        // Those that were asked about together fail together, and count as one.
        if outage.failures >= AWAY && now < outage.until {
            return;
        }
        outage.failures += 1;
        outage.tried = now;
        let beyond = outage.failures.saturating_sub(AWAY);
        outage.until = now.plus(pause(FIRST_PAUSE_MS, beyond.into(), LONGEST_PAUSE_MS));
        let is_first = outage.failures == 1;
        drop(outages);
        let error = format!("{error:#}");
        match is_first {
            true => tracing::warn!(
                method,
                error,
                "a sign-in provider can't be asked about those who are here; they stay, and it is asked again"
            ),
            false => tracing::debug!(method, error, "a sign-in provider still can't be asked"),
        }
    }

    /// Whether it was tried again and again, for long.
    pub(super) fn is_long_away(&self, method: &str) -> bool {
        let outages = lock(&self.outages);
        outages.get(method).is_some_and(|outage| {
            outage.failures > AWAY && outage.tried.since(outage.since) > LONG_MS
        })
    }

    /// What was said of somebody can't be understood: told now and then.
    pub(super) fn odd(&self, due: &Due, error: &anyhow::Error, now: Millis) {
        let (method, user_id) = (&due.method, &due.user_id);
        let mut told = lock(&self.told);
        let is_told = told.get(method).is_some_and(|until| now < *until);
        if !is_told {
            told.insert(method.clone(), now.plus(LONG_MS));
        }
        drop(told);
        let error = format!("{error:#}");
        match is_told {
            false => tracing::warn!(
                method,
                user_id,
                error,
                "what a sign-in provider says of somebody who is here can't be used; she stays as she is, and it is asked again"
            ),
            true => tracing::debug!(method, user_id, error, "so is what it says of another one"),
        }
    }

    /// Ends when what is under way has been written down.
    pub async fn finish(&self, limit: Duration) {
        self.tasks.close();
        if tokio::time::timeout(limit, self.tasks.wait())
            .await
            .is_err()
        {
            tracing::warn!("some answers of sign-in providers could not be waited for");
        }
    }
}

/// Twice as long with each failure.
pub(super) fn pause(first: i64, failures: i64, longest: i64) -> i64 {
    let doubled = first << failures.clamp(0, 20);
    doubled.min(longest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_and_end_somewhere() {
        let check = |failures, expect| assert_eq!(pause(30, failures, 300), expect, "{failures}");
        check(0, 30);
        check(1, 60);
        check(3, 240);
        check(4, 300);
        check(i64::MAX, 300);
    }

    #[test]
    fn a_provider_that_is_away_is_asked_seldom_and_by_one_first() {
        let refreshes = Refreshes::default();
        let (error, now) = (anyhow::anyhow!("away"), Millis(1_000_000));
        for _ in 0..AWAY {
            assert_eq!(refreshes.places("", now), AT_ONCE);
            refreshes.failed("", &error, now);
        }
        assert_eq!(refreshes.places("", now), 0);
        assert_eq!(refreshes.places("another", now), AT_ONCE);
        refreshes.failed("", &error, now);
        let then = now.plus(FIRST_PAUSE_MS);
        assert_eq!(refreshes.places("", then), 1);
        refreshes.failed("", &error, then);
        assert_eq!(refreshes.places("", then.plus(FIRST_PAUSE_MS)), 0);
        assert_eq!(refreshes.places("", then.plus(2 * FIRST_PAUSE_MS)), 1);
        assert!(!refreshes.is_long_away(""));
        refreshes.failed("", &error, now.plus(LONG_MS + 1));
        assert!(refreshes.is_long_away(""));
        refreshes.worked("");
        assert!(!refreshes.is_long_away(""));
        assert_eq!(refreshes.places("", now), AT_ONCE);
    }
}
