//! Environments whose starts fail for one person after the other: a broken image, a program that is
//! gone. They get pauses that grow, so that they don't take everybody's places, and one start at a
//! time to try; one that goes well, or a new configuration, ends that. A start has gone well when its
//! server still runs a minute after it was ready: one that ends by itself before has failed.
//!
//! One person's failures alone hold back nobody: her home may be what is broken. For the same reason
//! the pauses grow with the people for whom it failed and not with their tries, and the next try is of
//! somebody whose start has not failed in it, if such a one waits ([`crate::db::queue`]).

use lyceum_model::clock::Millis;
use lyceum_store::Tx;

use crate::db::servers::Server;
use crate::db::trouble::Failing;
use crate::queue::Held;
use crate::quota::Quota;
use crate::select::Selector;
use crate::{Hub, db, rooms};

/// So many people's starts must have failed, within this time.
pub(crate) const PEOPLE: i64 = 3;
pub(crate) const WITHIN_MS: i64 = 30 * 60_000;
/// For so long a server has to run until its start has gone well.
const PROVEN_MS: i64 = 60_000;
/// The first pause; it doubles with each person more.
const FIRST_MS: i64 = 15_000;
const LONGEST_MS: i64 = 600_000;
/// Failures that are remembered, one for each environment and person.
const KEPT: i64 = 10_000;

/// What stands before starts: a quota of the configuration, an environment's trouble, or places
/// that are kept for a course.
#[derive(Debug, Clone)]
pub struct Gate {
    pub quota: Quota,
    /// Until when nothing of a failing environment starts.
    pub until: Option<Millis>,
    /// Places are kept for a course; how many depends on what it has, so it is counted anew by
    /// whoever gives one away.
    pub room: bool,
}

impl Gate {
    pub fn held(&self, now: Millis) -> Held {
        match self.until {
            None if self.room => Held::Room,
            None if self.quota.whom == Selector::default() => Held::Site,
            None => Held::Full,
            Some(until) => {
                let seconds = until.since(now).max(0).unsigned_abs().div_ceil(1000);
                // Who watches is not told something new every second.
                Held::Trouble(i64::try_from(seconds.next_multiple_of(5)).unwrap_or(i64::MAX))
            }
        }
    }
}

/// A start of this server has failed.
pub(crate) async fn failed(tx: &mut Tx, server_id: &str, now: Millis) -> sqlx::Result<()> {
    db::trouble::failed(tx, server_id, now.plus(-WITHIN_MS).0, now.0).await
}

/// A server has ended; `by_itself`: nobody asked for that, and it was no orderly end of its own.
/// That it ran is known only up to the last look: this hub may have been stopped since, or suspended
/// with its machine, or without its database.
pub(crate) async fn ended(
    hub: &Hub,
    tx: &mut Tx,
    server: &Server,
    by_itself: bool,
    now: Millis,
) -> sqlx::Result<()> {
    let Some(ready_at) = server.ready_at else {
        return Ok(());
    };
    let ran = |until: Millis| until.0.saturating_sub(ready_at);
    if ran(hub.watched_until()) >= PROVEN_MS {
        if let Some(environment) = &server.environment {
            db::trouble::went_well(tx, environment, ready_at);
        }
    } else if by_itself && ran(now) < PROVEN_MS {
        failed(tx, &server.id, now).await?;
    }
    Ok(())
}

/// An environment that goes well again, and since when.
#[derive(Debug, Clone)]
pub(crate) struct Proven {
    environment: String,
    ready_at: i64,
}

/// Which of the environments that are held back have gone well.
pub(crate) async fn proven(hub: &Hub, tx: &mut Tx, gates: &[Gate]) -> sqlx::Result<Vec<Proven>> {
    // What is said to run may have ended since the last look.
    let before = hub.watched_until().0.saturating_sub(PROVEN_MS);
    let mut proven = Vec::new();
    for gate in gates.iter().filter(|gate| gate.until.is_some()) {
        let Some(environment) = &gate.quota.whom.environment else {
            continue;
        };
        let Some(ready_at) = db::trouble::ready_since(tx, environment, before).await? else {
            continue;
        };
        if db::trouble::failed_until(tx, environment, ready_at).await? > 0 {
            proven.push(Proven {
                environment: environment.clone(),
                ready_at,
            });
        }
    }
    Ok(proven)
}

/// What has failed before they went well is forgotten.
pub(crate) fn settle(tx: &mut Tx, proven: &[Proven]) {
    for one in proven {
        db::trouble::went_well(tx, &one.environment, one.ready_at);
    }
}

/// Failures that count no more are forgotten.
pub(crate) async fn prune(tx: &mut Tx, now: Millis) -> sqlx::Result<()> {
    db::trouble::prune(tx, now.plus(-WITHIN_MS).0, KEPT).await
}

/// All gates there are.
pub async fn gates(hub: &Hub, tx: &mut Tx, now: Millis) -> sqlx::Result<Vec<Gate>> {
    let since = now.plus(-WITHIN_MS).0;
    let failing = db::trouble::failing(tx, since, PEOPLE).await?;
    let settings = hub.settings();
    let quotas = settings.quotas.iter().map(|quota| Gate {
        quota: quota.clone(),
        until: None,
        room: false,
    });
    let rooms = rooms::gates(hub, tx, now).await?;
    Ok(quotas
        .chain(rooms)
        .chain(failing.into_iter().map(|failing| gate(failing, now)))
        .collect())
}

/// Those that have no room for one more.
pub async fn full<'a>(tx: &mut Tx, gates: &'a [Gate], now: Millis) -> sqlx::Result<Vec<&'a Gate>> {
    let mut full = Vec::new();
    for gate in gates {
        let quota = &gate.quota;
        if quota.is_full(db::quotas::count(tx, &quota.whom, now.0).await?) {
            full.push(gate);
        }
    }
    Ok(full)
}

fn gate(failing: Failing, now: Millis) -> Gate {
    let until = Millis(failing.last).plus(pause_ms(failing.people));
    let starting = u64::from(until <= now);
    Gate {
        until: Some(until),
        room: false,
        quota: Quota {
            whom: Selector {
                environment: Some(failing.environment),
                ..Selector::default()
            },
            running: None,
            starting: Some(starting),
        },
    }
}

fn pause_ms(people: i64) -> i64 {
    let doublings = u32::try_from((people - PEOPLE).clamp(0, 16)).unwrap_or(0);
    (FIRST_MS << doublings).min(LONGEST_MS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_an_end() {
        let check = |people: i64, expect: i64| assert_eq!(pause_ms(people), expect, "{people}");
        check(0, 15_000);
        check(3, 15_000);
        check(4, 30_000);
        check(6, 120_000);
        check(9, 600_000);
        check(i64::MAX, 600_000);
    }

    #[test]
    fn after_the_pause_one_may_try() {
        let check = |now: i64, starting: u64, held: i64| {
            let failing = Failing {
                environment: "x".into(),
                people: 4,
                last: 1_000,
            };
            let gate = gate(failing, Millis(now));
            assert_eq!(gate.quota.starting, Some(starting), "{now}");
            assert_eq!(gate.held(Millis(now)), Held::Trouble(held), "{now}");
        };
        check(1_000, 0, 30);
        check(30_999, 0, 5);
        check(31_000, 1, 0);
    }
}
