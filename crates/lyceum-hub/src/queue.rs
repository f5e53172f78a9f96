//! What those hear who wait for their turn to start: their place in line, and about when it comes.
//!
//! The order is made in [`crate::db::queue`]; who takes starts up, and how many at a time, in
//! [`crate::jobs::keeper`]. Many look at the line at once, so each replica reads it at most twice a
//! second and keeps what it has seen that long.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwapOption;
use lyceum_model::clock::Millis;
use lyceum_store::Tx;
use tokio::time::Instant;

use crate::config::StartLimits;
use crate::db::queue::{Among, Kept, Waiting};
use crate::db::servers::Server;
use crate::select::{Selector, Subject};
use crate::servers::State;
use crate::trouble::{self, Gate};
use crate::{Hub, db, maintenance};

/// A place given so recently counts for its person as one that is held: who has just had one lets
/// others go first.
const COUNTS_FOR_MS: i64 = 60_000;
/// A start that waits for less than this is on its way rather than in line.
const GRACE_MS: i64 = 500;
/// How old the line may be that is told.
const SEEN_FOR: Duration = Duration::from_millis(500);
/// Estimates are made of what was measured in this time, and of so many starts at most.
const MEASURED_FOR_MS: i64 = 15 * 60_000;
const MEASURED_MAX: i64 = 64;

/// What somebody who waits is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wait {
    /// From 1: next.
    pub place: u64,
    /// About how many seconds until its turn; none when no start was measured lately.
    pub estimate: Option<i64>,
    /// It waits for its owner's other starts, who has her share of the places.
    pub own_first: bool,
    /// What keeps it back besides; its place is then one among those that wait for the same.
    pub held: Option<Held>,
}

/// Why a start does not begin though there are places.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Held {
    /// As many servers run, or start, as may altogether.
    Site,
    /// As many of those that it counts among run, or start, as may.
    Full,
    /// A maintenance has begun.
    Maintenance,
    /// The places there are are kept for a course.
    Room,
    /// Starts of its environment have failed again and again; the next try is about so many seconds
    /// ahead.
    Trouble(i64),
}

/// The line as this replica saw it last.
#[derive(Default)]
pub struct Line(ArcSwapOption<Seen>);

struct Seen {
    at: Instant,
    waiting: InLine,
    measured: Measured,
}

/// By their ids: the place, and what stands before them besides.
type InLine = HashMap<String, (u64, Waiting, Option<Barrier>)>;

#[derive(Debug, Clone)]
enum Barrier {
    Gate(Arc<Gate>),
    Maintenance,
}

/// What estimates are made of.
#[derive(Debug, Default)]
struct Measured {
    /// For how long places were held, in milliseconds.
    held: Vec<i64>,
    replicas: u64,
}

/// Since when a place given counts.
pub fn counts_since(now: Millis) -> Millis {
    now.plus(-COUNTS_FOR_MS)
}

/// Whether somebody who watched this start has been told that it waits.
pub fn has_waited(server: &Server, now: Millis) -> bool {
    let since = server.requested_at.unwrap_or(server.created_at);
    now.0.saturating_sub(since) >= GRACE_MS
}

/// What to tell of this server, if it is in line.
pub async fn wait_of(hub: &Hub, server: &Server) -> sqlx::Result<Option<Wait>> {
    if server.state != State::Queued || !has_waited(server, hub.now()) {
        return Ok(None);
    }
    let seen = match hub.line().fresh() {
        Some(seen) => seen,
        None => look(hub).await?,
    };
    let limits = hub.settings().starts.in_force();
    let now = hub.now();
    Ok(seen
        .waiting
        .get(&server.id)
        .map(|(place, waiting, barrier)| {
            let held = barrier.as_ref().map(|barrier| match barrier {
                Barrier::Gate(gate) => gate.held(now),
                Barrier::Maintenance => Held::Maintenance,
            });
            Wait {
                place: *place,
                estimate: match held {
                    None => estimate(&seen.measured, *place, waiting, &limits),
                    Some(_) => None,
                },
                own_first: held.is_none() && own_first(&seen.measured, waiting, &limits),
                held,
            }
        }))
}

/// What somebody would wait for who stops a server and starts another in its stead: its place is not
/// kept for her.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ahead {
    /// So many starts wait for the same.
    pub waiting: u64,
    /// What keeps the new one back even with the place that gets free; none: that place would do, if
    /// nobody waited for it.
    pub held: Option<Held>,
}

/// Nothing: as far as quotas go it would begin at once.
pub async fn ahead(hub: &Hub, ends: &Server, then: &Server) -> sqlx::Result<Option<Ahead>> {
    let now = hub.now();
    let mut tx = hub.db().read().await?;
    let gates = trouble::gates(hub, &mut tx, now).await?;
    let owner = db::users::get(&mut tx, &then.user_id).await?;
    let groups = db::groups::names_of(&mut tx, &then.user_id).await?;
    let takes = |gate: &Gate, server| {
        gate.quota.whom.takes(Subject {
            server,
            admin: owner.as_ref().is_some_and(|owner| owner.admin),
            groups: &groups,
        })
    };
    // Each with the room that there is once the server has ended.
    let (mut full, mut freed) = (Vec::new(), Vec::new());
    for gate in &gates {
        let before = db::quotas::count(&mut tx, &gate.quota.whom, now.0).await?;
        let after = match holds_place(ends, now) && takes(gate, ends) {
            true => before.without(is_on_its_way(ends)),
            false => before,
        };
        match (gate.quota.is_full(before), gate.quota.room(after)) {
            (_, 0) => full.push(gate),
            (true, room) => freed.push((gate, room)),
            (false, _) => {}
        }
    }
    let whom: Vec<&Selector> = full.iter().map(|gate| &gate.quota.whom).collect();
    if let Some(at) = full.iter().position(|gate| takes(gate, then)) {
        return Ok(Some(Ahead {
            waiting: others(&mut tx, ends, &whom[..at], full[at], now).await?,
            held: Some(full[at].held(now)),
        }));
    }
    for (gate, room) in freed.into_iter().filter(|(gate, _)| takes(gate, then)) {
        let waiting = others(&mut tx, ends, &whom, gate, now).await?;
        if waiting >= room {
            let held = None;
            return Ok(Some(Ahead { waiting, held }));
        }
    }
    Ok(None)
}

/// How many others wait at a gate, without those that wait at these.
async fn others(
    tx: &mut Tx,
    own: &Server,
    without: &[&Selector],
    gate: &Gate,
    now: Millis,
) -> sqlx::Result<u64> {
    let among = Among {
        without,
        only: Some(&gate.quota.whom),
        maintenance: None,
    };
    let line = db::queue::line(tx, among, now.0, counts_since(now).0).await?;
    let others = line.iter().filter(|waiting| waiting.id != own.id);
    Ok(u64::try_from(others.count()).unwrap_or(u64::MAX))
}

/// Whether a server counts in quotas, as [`db::quotas::count`] has it.
fn holds_place(server: &Server, now: Millis) -> bool {
    match server.state {
        State::Starting | State::Ready | State::Stopping => true,
        State::Queued => {
            server.lease_owner.is_some() && server.lease_until.is_some_and(|until| until >= now.0)
        }
        State::Stopped | State::Failed => false,
    }
}

/// Whether one that counts does so among those on their way up.
fn is_on_its_way(server: &Server) -> bool {
    server.state == State::Queued
        || (server.state == State::Starting && server.unplaced_at.is_none())
}

impl Line {
    fn fresh(&self) -> Option<Arc<Seen>> {
        let seen = self.0.load_full();
        seen.filter(|seen| seen.at.elapsed() < SEEN_FOR)
    }
}

async fn look(hub: &Hub) -> sqlx::Result<Arc<Seen>> {
    let mut tx = hub.db().read().await?;
    // Who waited for a connection may find that another has looked meanwhile.
    if let Some(seen) = hub.line().fresh() {
        return Ok(seen);
    }
    let (at, now) = (Instant::now(), hub.now());
    let gates = trouble::gates(hub, &mut tx, now).await?;
    let full = trouble::full(&mut tx, &gates, now).await?;
    let whom: Vec<&Selector> = full.iter().map(|gate| &gate.quota.whom).collect();
    let counts_since = counts_since(now).0;
    let closed = maintenance::closed(hub, &mut tx).await?;
    let closed = closed.as_ref();
    let maintenance = closed.map(|closed| (closed, Kept::Passes));
    let free = Among {
        without: &whom,
        maintenance,
        ..Among::default()
    };
    let mut waiting = InLine::new();
    let line = db::queue::line(&mut tx, free, now.0, counts_since).await?;
    enter(&mut waiting, line, None);
    for (at, gate) in full.iter().enumerate() {
        let held = Among {
            without: &whom[..at],
            only: Some(whom[at]),
            maintenance,
        };
        let line = db::queue::line(&mut tx, held, now.0, counts_since).await?;
        enter(
            &mut waiting,
            line,
            Some(&Barrier::Gate(Arc::new((*gate).clone()))),
        );
    }
    if let Some(closed) = closed {
        let kept = Among {
            maintenance: Some((closed, Kept::Waits)),
            ..Among::default()
        };
        let line = db::queue::line(&mut tx, kept, now.0, counts_since).await?;
        enter(&mut waiting, line, Some(&Barrier::Maintenance));
    }
    let since = now.plus(-MEASURED_FOR_MS).0;
    let measured = Measured {
        held: db::queue::held(&mut tx, since, MEASURED_MAX).await?,
        replicas: u64::try_from(db::queue::replicas(&mut tx, now.0).await?).unwrap_or(0),
    };
    drop(tx);
    let seen = Arc::new(Seen {
        at,
        waiting,
        measured,
    });
    hub.line().0.store(Some(seen.clone()));
    Ok(seen)
}

fn enter(seen: &mut InLine, line: Vec<Waiting>, barrier: Option<&Barrier>) {
    for (place, waiting) in (1..).zip(line) {
        seen.insert(waiting.id.clone(), (place, waiting, barrier.cloned()));
    }
}

/// Places there are on all replicas: in all, and for one person.
fn places(measured: &Measured, limits: &StartLimits) -> (u64, u64) {
    let replicas = measured.replicas.max(1);
    let on_all = |places: usize| {
        u64::try_from(places)
            .unwrap_or(u64::MAX)
            .saturating_mul(replicas)
    };
    (on_all(limits.at_once), on_all(limits.per_person))
}

fn own_first(measured: &Measured, waiting: &Waiting, limits: &StartLimits) -> bool {
    let (_, share) = places(measured, limits);
    u64::try_from(waiting.holding).unwrap_or(0) >= share
}

/// Those ahead go through all places at the pace that was measured, and a person's own starts
/// through her share; whatever takes longer counts.
fn estimate(
    measured: &Measured,
    place: u64,
    waiting: &Waiting,
    limits: &StartLimits,
) -> Option<i64> {
    let count = i64::try_from(measured.held.len()).ok()?;
    let total: i64 = measured.held.iter().map(|held| held.max(&0)).sum();
    let mean = u64::try_from(total.checked_div(count)?).ok()?;
    let (all, share) = places(measured, limits);
    let own = match own_first(measured, waiting, limits) {
        true => u64::try_from(waiting.nth).unwrap_or(1),
        false => 0,
    };
    let wait = (mean.saturating_mul(place) / all).max(mean.saturating_mul(own) / share);
    Some(rounded(wait.div_ceil(1000)))
}

/// Up, to five seconds, and from a minute on to half minutes: it is no more exact than that.
fn rounded(seconds: u64) -> i64 {
    let step = if seconds <= 60 { 5 } else { 30 };
    i64::try_from(seconds.max(1).next_multiple_of(step)).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn waiting(nth: i64, holding: i64) -> Waiting {
        Waiting {
            id: "a".into(),
            nth,
            holding,
        }
    }

    #[test]
    fn estimates_come_from_what_was_measured() {
        let limits = StartLimits {
            at_once: 4,
            per_person: 2,
            slow_after: Duration::from_secs(20),
        };
        let check = |held: &[i64], replicas, place, own: (i64, i64), expect: Option<i64>| {
            let held = held.to_vec();
            let measured = Measured { held, replicas };
            let waiting = waiting(own.0, own.1);
            let estimate = estimate(&measured, place, &waiting, &limits);
            assert_eq!(estimate, expect, "{measured:?}, place {place}, {waiting:?}");
        };
        check(&[], 1, 1, (1, 0), None);
        check(&[8_000], 1, 1, (1, 0), Some(5));
        check(&[8_000], 1, 8, (1, 0), Some(20));
        check(&[4_000, 12_000], 1, 8, (1, 0), Some(20));
        // Two replicas have twice the places; before the first start nobody is known to have any.
        check(&[8_000], 2, 8, (1, 0), Some(10));
        check(&[8_000], 0, 8, (1, 0), Some(20));
        check(&[8_000], 1, 100, (1, 0), Some(210));
        // Her own starts take her share, which is smaller.
        check(&[20_000], 1, 3, (3, 2), Some(30));
        check(&[20_000], 1, 3, (3, 1), Some(15));
        // A clock that jumped measures nothing sensible, but breaks nothing either.
        check(&[-5_000], 1, 3, (1, 0), Some(5));
    }

    #[test]
    fn seconds_are_rounded_up() {
        let check = |seconds: u64, expect: i64| assert_eq!(rounded(seconds), expect, "{seconds}");
        check(0, 5);
        check(5, 5);
        check(6, 10);
        check(60, 60);
        check(61, 90);
        check(600, 600);
    }
}
