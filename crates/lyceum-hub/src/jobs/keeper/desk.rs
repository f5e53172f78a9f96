//! What this replica works on, and the places for it.
//!
//! Stops have places of their own, since they make room. A start holds one of few places, of which
//! one person gets a share; when its server takes long to answer it steps aside, and waits on among
//! ten times as many, so that what hangs holds up nobody and is still bounded.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::config::StartLimits;
use crate::db::queue::Due;
use crate::db::servers::Server;
use crate::servers::State;

/// Stops never wait for starts: they make room. But they are not without number either.
const STOPPING_AT_ONCE: usize = 64;
/// So many starts may have stepped aside for each that holds a place.
const ASIDE_PER_PLACE: usize = 10;
/// Far longer than the longest pause before the next try: another replica has brought it to its end, or it
/// is deleted.
const FAILURES_COUNT: Duration = Duration::from_secs(24 * 3600);

/// By the row's id.
#[derive(Clone, Default)]
pub(super) struct Desk(Arc<Papers>);

#[derive(Default)]
struct Papers {
    pieces: Mutex<HashMap<String, Piece>>,
    /// How often work on a server has failed in a row, and for which of its generations: what failed
    /// before another replica brought it to its end is no failure of the next.
    failures: Mutex<HashMap<String, Failures>>,
    /// Somebody has left.
    left: Notify,
}

struct Failures {
    generation: i64,
    count: u32,
    last: Instant,
}

#[derive(Clone)]
pub(super) struct Piece {
    /// Somebody wants the server stopped.
    pub(super) stop: CancellationToken,
    /// The lease is gone.
    pub(super) lost: CancellationToken,
    user_id: String,
    holds: Holds,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Holds {
    Stop,
    Place,
    /// A start that stepped aside.
    Aside,
}

impl Desk {
    pub(super) fn lock(&self) -> MutexGuard<'_, HashMap<String, Piece>> {
        let pieces = &self.0.pieces;
        pieces.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A place for this piece of work, if there is one. Taken before the lease, so that a lease
    /// without a place is known to be one that nobody works on.
    pub(super) fn sit_down(&self, due: &Due, limits: &StartLimits) -> Option<(Piece, Seat)> {
        let mut desk = self.lock();
        if desk.contains_key(&due.id) {
            return None;
        }
        let holds = match due.state {
            State::Stopping if count(&desk, Holds::Stop, None) < STOPPING_AT_ONCE => Holds::Stop,
            State::Stopping => return None,
            // It had stepped aside under another hand.
            _ if due.unplaced_at.is_some()
                && due.state == State::Starting
                && may_step_aside(&desk, &due.user_id, limits) =>
            {
                Holds::Aside
            }
            _ if may_hold(&desk, &due.user_id, limits, 1, Holds::Place) => Holds::Place,
            _ => return None,
        };
        let piece = Piece {
            stop: CancellationToken::new(),
            lost: CancellationToken::new(),
            user_id: due.user_id.clone(),
            holds,
        };
        desk.insert(due.id.clone(), piece.clone());
        let seat = Seat {
            desk: self.clone(),
            id: due.id.clone(),
        };
        Some((piece, seat))
    }

    /// Whether a start could be taken up.
    pub(super) fn has_free_place(&self, limits: &StartLimits) -> bool {
        count(&self.lock(), Holds::Place, None) < limits.in_force().at_once
    }

    pub(super) fn failures(&self, server: &Server) -> u32 {
        match self.counts().get(&server.id) {
            Some(failures) if failures.generation == server.generation => failures.count,
            _ => 0,
        }
    }

    pub(super) fn failed(&self, server: &Server) -> u32 {
        self.failed_at(server, Instant::now())
    }

    fn failed_at(&self, server: &Server, now: Instant) -> u32 {
        let failures = Failures {
            generation: server.generation,
            count: self.failures(server).saturating_add(1),
            last: now,
        };
        let count = failures.count;
        let mut counts = self.counts();
        counts.retain(|_, failures| now.duration_since(failures.last) < FAILURES_COUNT);
        counts.insert(server.id.clone(), failures);
        count
    }

    pub(super) fn succeeded(&self, id: &str) {
        self.counts().remove(id);
    }

    fn counts(&self) -> MutexGuard<'_, HashMap<String, Failures>> {
        let failures = &self.0.failures;
        failures.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn count(desk: &HashMap<String, Piece>, holds: Holds, user_id: Option<&str>) -> usize {
    desk.values()
        .filter(|piece| piece.holds == holds)
        .filter(|piece| user_id.is_none_or(|user_id| piece.user_id == user_id))
        .count()
}

fn may_hold(
    desk: &HashMap<String, Piece>,
    user_id: &str,
    limits: &StartLimits,
    times: usize,
    holds: Holds,
) -> bool {
    let limits = limits.in_force();
    count(desk, holds, None) < limits.at_once.saturating_mul(times)
        && count(desk, holds, Some(user_id)) < limits.per_person.saturating_mul(times)
}

fn may_step_aside(desk: &HashMap<String, Piece>, user_id: &str, limits: &StartLimits) -> bool {
    may_hold(desk, user_id, limits, ASIDE_PER_PLACE, Holds::Aside)
}

/// Takes a piece off the desk, however its work ends.
pub(super) struct Seat {
    desk: Desk,
    id: String,
}

impl Seat {
    pub(super) fn desk(&self) -> &Desk {
        &self.desk
    }

    pub(super) fn is_aside(&self) -> bool {
        let desk = self.desk.lock();
        desk.get(&self.id)
            .is_some_and(|piece| piece.holds == Holds::Aside)
    }

    /// Gives the place to the next, if there is room beside.
    pub(super) fn step_aside(&self, limits: &StartLimits) -> bool {
        let mut desk = self.desk.lock();
        let Some(piece) = desk.get(&self.id) else {
            return false;
        };
        if !may_step_aside(&desk, &piece.user_id, limits) {
            return false;
        }
        if let Some(piece) = desk.get_mut(&self.id) {
            piece.holds = Holds::Aside;
        }
        true
    }

    /// Until somebody left, or it is time to look again.
    pub(super) async fn somebody_left(&self, at_most: Duration) {
        // Late is as good: the limits are looked at anew.
        let _ = tokio::time::timeout(at_most, self.desk.0.left.notified()).await;
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.desk.lock().remove(&self.id);
        self.desk.0.left.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use lyceum_model::name::ServerName;

    use super::*;
    use crate::db::users::User;

    fn limits(at_once: usize, per_person: usize) -> StartLimits {
        StartLimits {
            at_once,
            per_person,
            slow_after: Duration::from_secs(20),
        }
    }

    fn due(id: usize, user: &str, state: State) -> Due {
        Due {
            id: id.to_string(),
            user_id: user.into(),
            state,
            unplaced_at: None,
        }
    }

    /// Takes up what it can; gives the seats.
    fn sit(
        desk: &Desk,
        user: &str,
        ids: std::ops::Range<usize>,
        limits: &StartLimits,
    ) -> Vec<Seat> {
        ids.filter_map(|id| desk.sit_down(&due(id, user, State::Queued), limits))
            .map(|(_, seat)| seat)
            .collect()
    }

    #[test]
    fn one_person_gets_a_share_and_all_get_the_whole() {
        let (desk, limits) = (Desk::default(), limits(5, 2));
        let adas = sit(&desk, "ada", 0..30, &limits);
        assert_eq!(adas.len(), 2);
        assert!(desk.has_free_place(&limits));
        let bobs = sit(&desk, "bob", 100..130, &limits);
        let eves = sit(&desk, "eve", 200..230, &limits);
        assert_eq!((bobs.len(), eves.len()), (2, 1));
        assert!(!desk.has_free_place(&limits));
        drop(adas);
        assert_eq!(sit(&desk, "eve", 300..330, &limits).len(), 1);
        // Stops have places of their own.
        assert!(
            desk.sit_down(&due(400, "ada", State::Stopping), &limits)
                .is_some()
        );
    }

    #[test]
    fn who_steps_aside_makes_room_until_there_is_none_beside() {
        let (desk, limits) = (Desk::default(), limits(2, 1));
        let mut aside = Vec::new();
        for round in 0..10 {
            let seats = sit(&desk, "ada", round * 10..round * 10 + 9, &limits);
            assert_eq!(seats.len(), 1, "round {round}");
            assert!(!seats[0].is_aside());
            assert!(seats[0].step_aside(&limits), "round {round}");
            assert!(seats[0].is_aside());
            aside.extend(seats);
        }
        let seats = sit(&desk, "ada", 500..501, &limits);
        assert!(!seats[0].step_aside(&limits), "ten times her share is hers");
        // Another still has both.
        let bobs = sit(&desk, "bob", 600..601, &limits);
        assert!(bobs[0].step_aside(&limits));
        aside.pop();
        assert!(seats[0].step_aside(&limits));
    }

    #[test]
    fn one_that_had_stepped_aside_needs_no_place() {
        let (desk, limits) = (Desk::default(), limits(1, 1));
        let held = sit(&desk, "bob", 0..1, &limits);
        let mut slow = due(1, "ada", State::Starting);
        assert!(desk.sit_down(&slow, &limits).is_none());
        slow.unplaced_at = Some(1);
        let (_, seat) = desk.sit_down(&slow, &limits).expect("room beside");
        assert!(seat.is_aside());
        // A new start of the same row begins with a place, whatever an earlier one did.
        let mut anew = due(2, "ada", State::Queued);
        anew.unplaced_at = Some(1);
        assert!(desk.sit_down(&anew, &limits).is_none());
        drop(held);
        let (_, seat) = desk.sit_down(&anew, &limits).expect("a place");
        assert!(!seat.is_aside());
    }

    #[test]
    fn failures_count_for_the_generation_that_had_them() {
        let desk = Desk::default();
        let ada = User::named("ada".parse().expect("a name"));
        let server = |generation| Server {
            id: "1".into(),
            generation,
            ..Server::unborn(&ada, ServerName::default())
        };
        assert_eq!([1, 2], [(); 2].map(|()| desk.failed(&server(7))));
        assert_eq!(desk.failures(&server(7)), 2);
        assert_eq!(desk.failures(&server(8)), 0);
        assert_eq!(desk.failed(&server(8)), 1);
    }

    #[test]
    fn failures_of_what_others_brought_to_its_end_are_forgotten() {
        let desk = Desk::default();
        let ada = User::named("ada".parse().expect("a name"));
        let server = |id: usize| Server {
            id: id.to_string(),
            ..Server::unborn(&ada, ServerName::default())
        };
        let begun = Instant::now();
        for id in 0..100 {
            desk.failed_at(&server(id), begun);
        }
        let soon = begun + FAILURES_COUNT / 2;
        assert_eq!(desk.failed_at(&server(1), soon), 2);
        assert_eq!(desk.counts().len(), 100);
        assert_eq!(desk.failed_at(&server(200), begun + FAILURES_COUNT), 1);
        assert_eq!(desk.counts().len(), 2);
        assert_eq!(desk.failures(&server(1)), 2);
    }

    #[test]
    fn a_limit_of_nothing_is_one() {
        let (desk, limits) = (Desk::default(), limits(0, 0));
        let seats = sit(&desk, "ada", 0..9, &limits);
        assert_eq!(seats.len(), 1);
    }
}
