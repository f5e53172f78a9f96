//! Servers that were asked and did not answer.
//!
//! Silence is no sign that nobody works: a kernel that computes with all that its server may take leaves
//! nothing for an answer. So one that is silent is left alone until it has been so in several rounds one
//! after the other, and for as long again as it may be idle. Each replica remembers its own questions;
//! one that is new begins anew.

use std::collections::{HashMap, HashSet};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use lyceum_model::clock::Millis;

use crate::cull::in_ms;
use crate::db::servers::Server;

/// So often in a row it must not have answered.
const ROUNDS: u32 = 5;

/// By the server's row.
#[derive(Debug, Default)]
pub(super) struct Silences(Mutex<HashMap<String, Silence>>);

#[derive(Debug, Clone, Copy)]
struct Silence {
    generation: i64,
    /// What was known of its use: whoever heard of it later, also elsewhere, broke the silence.
    used: Option<i64>,
    since: Millis,
    rounds: u32,
    /// It is left alone until then: whoever computes with all there is needs no questions.
    next: Millis,
}

impl Silences {
    /// Whether it was silent a moment ago, and is not to be asked yet.
    pub(super) fn is_left_alone(&self, server: &Server, now: Millis) -> bool {
        self.lock()
            .get(&server.id)
            .is_some_and(|one| one.is_of(server) && now < one.next)
    }

    /// It was silent now as well: whether that has been so for long.
    pub(super) fn was_long(&self, server: &Server, idle: Duration, now: Millis) -> bool {
        let begins = Silence {
            generation: server.generation,
            used: server.last_activity_at,
            since: now,
            rounds: 0,
            next: now,
        };
        let mut all = self.lock();
        let one = all.entry(server.id.clone()).or_insert(begins);
        if !one.is_of(server) {
            *one = begins;
        }
        one.rounds = one.rounds.saturating_add(1);
        one.next = now.plus(in_ms(idle) / i64::from(ROUNDS));
        one.rounds >= ROUNDS && now.since(one.since) >= in_ms(idle)
    }

    /// It has answered.
    pub(super) fn broken(&self, server: &Server) {
        self.lock().remove(&server.id);
    }

    /// Forgets those that are not among these.
    pub(super) fn keep(&self, ids: &[String]) {
        let mut all = self.lock();
        if !all.is_empty() {
            let ids: HashSet<&String> = ids.iter().collect();
            all.retain(|id, _| ids.contains(id));
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Silence>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Silence {
    fn is_of(&self, server: &Server) -> bool {
        self.generation == server.generation && self.used == server.last_activity_at
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::db::users::User;
    use lyceum_model::name::{ServerName, UserName};

    const IDLE: Duration = Duration::from_secs(10);

    fn server(generation: i64) -> Server {
        let owner = User::named(UserName::parse("ada").expect("a name"));
        Server {
            id: "s".into(),
            generation,
            ..Server::unborn(&owner, ServerName::default())
        }
    }

    #[test]
    fn it_takes_rounds_and_time() {
        let silences = Silences::default();
        let check = |generation: i64, at: i64, expect: bool| {
            let long = silences.was_long(&server(generation), IDLE, Millis(at));
            assert_eq!(long, expect, "{generation} at {at}");
        };
        // Time alone is not enough, and rounds alone neither.
        check(1, 0, false);
        check(1, 60_000, false);
        check(1, 60_001, false);
        check(1, 60_002, false);
        check(1, 60_003, true);
        // Another life, an answer, and whatever else was heard of it: each begins anew.
        for at in 0..9 {
            check(2, 100_000 + at, false);
        }
        check(2, 110_000, true);
        silences.broken(&server(2));
        check(2, 120_000, false);
        for at in 1..5 {
            check(2, 120_000 + at, false);
        }
        silences.keep(&["other".into()]);
        check(2, 140_000, false);
        silences.keep(&["s".into()]);
        for at in 1..5 {
            check(2, 140_000 + at, false);
        }
        check(2, 150_000, true);
    }

    #[test]
    fn it_is_not_asked_all_the_time() {
        let silences = Silences::default();
        let alone = |at: i64| silences.is_left_alone(&server(1), Millis(at));
        assert!(!alone(0));
        silences.was_long(&server(1), IDLE, Millis(0));
        assert!(alone(1_999));
        assert!(!alone(2_000));
        // Somebody else heard of it meanwhile: all begins anew.
        let used = Server {
            last_activity_at: Some(1_000),
            ..server(1)
        };
        assert!(!silences.is_left_alone(&used, Millis(1_500)));
        assert!(!silences.was_long(&used, IDLE, Millis(60_000)));
    }
}
