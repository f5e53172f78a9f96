//! When a server has to end: for whom how long nothing may happen in it, and how old it may get.
//!
//! The rules alone; who keeps to them is [`crate::jobs::culler`]. The first rule that fits a server
//! says all about it.

use std::time::Duration;

use lyceum_model::clock::Millis;
use lyceum_model::say;
use lyceum_model::saying::Saying;

use crate::db::servers::Server;
use crate::select::{Selector, Subject};
use crate::servers::State;

/// What the configuration says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Culling {
    pub rules: Vec<Rule>,
    /// For those of whom no rule speaks.
    pub others: Limits,
    /// People who have not come for so long are forgotten; their files stay.
    pub forget_people: Option<Duration>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    pub whom: Selector,
    pub limits: Limits,
}

/// What holds for one server.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Limits {
    /// For so long nothing may happen in it.
    pub idle: Option<Duration>,
    /// So old it may get, whatever happens in it.
    pub age: Option<Duration>,
    /// So long before its end the owner is told.
    pub warn: Duration,
    /// Whether a named server is forgotten when it was ended; its files stay.
    pub remove: bool,
}

/// Why a server has to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Why {
    Idle(Duration),
    Age(Duration),
    /// Nobody used it for so long, and a course needs its place.
    Room(Duration),
}

/// The end that is in sight.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct End {
    pub at: Millis,
    pub why: Why,
    /// Whether it is time to tell the owner.
    pub soon: bool,
}

impl Culling {
    pub fn limits_of(&self, subject: Subject<'_>) -> &Limits {
        let rule = self.rules.iter().find(|rule| rule.whom.takes(subject));
        rule.map_or(&self.others, |rule| &rule.limits)
    }

    /// When a server that runs ends if nothing happens in it.
    pub fn end_of(&self, subject: Subject<'_>, now: Millis) -> Option<End> {
        self.limits_of(subject).end_of(subject.server, now)
    }

    /// Whether anything ends by these rules.
    pub fn is_on(&self) -> bool {
        self.shortest(|limits| limits.idle).is_some()
            || self.shortest(|limits| limits.age).is_some()
    }

    /// The smallest of all limits: who has not reached that needs no look.
    pub fn shortest(&self, which: impl Fn(&Limits) -> Option<Duration>) -> Option<Duration> {
        let rules = self.rules.iter().map(|rule| &rule.limits);
        rules.chain([&self.others]).filter_map(which).min()
    }
}

impl Limits {
    /// See [`Culling::end_of`].
    pub fn end_of(&self, server: &Server, now: Millis) -> Option<End> {
        if server.state != State::Ready {
            return None;
        }
        let since = Millis(server.ready_at?);
        let used = Millis(server.last_activity_at.unwrap_or(since.0).max(since.0));
        let idle = self
            .idle
            .map(|idle| (used.plus(in_ms(idle)), Why::Idle(idle)));
        let age = self.age.map(|age| (since.plus(in_ms(age)), Why::Age(age)));
        let (at, why) = [age, idle]
            .into_iter()
            .flatten()
            .min_by_key(|(at, _)| *at)?;
        Some(End {
            at,
            why,
            soon: at.since(now) <= in_ms(self.warn),
        })
    }
}

impl Why {
    /// What the owner reads afterwards.
    pub fn saying(self) -> Saying {
        match self {
            Self::Idle(idle) => say!("culled.idle", time = span(idle)),
            Self::Age(age) => say!("culled.age", time = span(age)),
            Self::Room(unused) => say!("culled.room", time = span(unused)),
        }
    }

    /// For those who count.
    pub fn word(self) -> &'static str {
        match self {
            Self::Idle(_) => "idle",
            Self::Age(_) => "age",
            Self::Room(_) => "room",
        }
    }
}

/// A length of time in the largest unit that leaves no rest.
pub fn span(time: Duration) -> Saying {
    let seconds = time.as_secs();
    match seconds {
        0 => say!("span.seconds", n = 0),
        _ if seconds.is_multiple_of(3600) => say!("span.hours", n = seconds / 3600),
        _ if seconds.is_multiple_of(60) => say!("span.minutes", n = seconds / 60),
        _ => say!("span.seconds", n = seconds),
    }
}

pub(crate) fn in_ms(time: Duration) -> i64 {
    i64::try_from(time.as_millis()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::db::users::User;
    use lyceum_model::lang::Lang;
    use lyceum_model::name::{ServerName, UserName};

    const HOUR: Duration = Duration::from_secs(3600);
    const HOUR_MS: i64 = 3_600_000;

    fn server(state: State, ready: i64, used: Option<i64>) -> Server {
        let owner = User::named(UserName::parse("ada").expect("a name"));
        Server {
            state,
            ready_at: Some(ready),
            last_activity_at: used,
            ..Server::unborn(&owner, ServerName::default())
        }
    }

    #[test]
    fn the_nearer_end_counts() {
        let limits = Limits {
            idle: Some(HOUR),
            age: Some(8 * HOUR),
            warn: Duration::from_secs(600),
            remove: false,
        };
        let check = |server: Server, expect: Option<(i64, Why)>| {
            let end = limits.end_of(&server, Millis(0));
            assert_eq!(end.map(|end| (end.at.0, end.why)), expect, "{server:?}");
        };
        let idle = Why::Idle(HOUR);
        check(server(State::Ready, 5, None), Some((5 + HOUR_MS, idle)));
        check(
            server(State::Ready, 5, Some(70)),
            Some((70 + HOUR_MS, idle)),
        );
        // What an earlier life did does not count.
        check(server(State::Ready, 5, Some(2)), Some((5 + HOUR_MS, idle)));
        let late = 7 * HOUR_MS + 6;
        let age = Why::Age(8 * HOUR);
        check(
            server(State::Ready, 5, Some(late)),
            Some((5 + 8 * HOUR_MS, age)),
        );
        check(server(State::Stopping, 5, None), None);
        let never = Limits::default();
        assert_eq!(
            never.end_of(&server(State::Ready, 5, None), Millis(0)),
            None
        );
    }

    #[test]
    fn people_are_told_in_time() {
        let limits = Limits {
            idle: Some(HOUR),
            warn: Duration::from_secs(600),
            ..Limits::default()
        };
        let check = |now: i64, expect: bool| {
            let end = limits.end_of(&server(State::Ready, 0, None), Millis(now));
            assert_eq!(end.map(|end| end.soon), Some(expect), "{now}");
        };
        check(HOUR_MS - 600_001, false);
        check(HOUR_MS - 600_000, true);
        check(HOUR_MS + 1, true);
    }

    #[test]
    fn the_first_rule_that_fits_counts() {
        let named = |named, idle| Rule {
            whom: Selector {
                named: Some(named),
                ..Selector::default()
            },
            limits: Limits {
                idle,
                ..Limits::default()
            },
        };
        let culling = Culling {
            rules: vec![
                named(false, None),
                named(false, Some(HOUR)),
                named(true, Some(HOUR * 2)),
            ],
            others: Limits {
                idle: Some(HOUR * 3),
                ..Limits::default()
            },
            forget_people: None,
        };
        let server = server(State::Ready, 0, None);
        let subject = Subject {
            server: &server,
            admin: false,
            groups: &[],
        };
        assert_eq!(culling.limits_of(subject).idle, None);
        assert_eq!(culling.shortest(|limits| limits.idle), Some(HOUR));
        assert!(culling.is_on());
        assert!(!Culling::default().is_on());
    }

    #[test]
    fn reasons_in_words() {
        let check = |why: Why, en: &str, de: &str| {
            assert_eq!(why.saying().in_lang(Lang::En), en);
            assert_eq!(why.saying().in_lang(Lang::De), de);
        };
        check(
            Why::Idle(HOUR),
            "stopped because nothing happened in it for 1 hour",
            "beendet, weil darin 1 Stunde lang nichts geschehen ist",
        );
        check(
            Why::Age(8 * HOUR),
            "stopped because it had been running for 8 hours, as long as servers may run here",
            "beendet, weil er 8 Stunden lang gelaufen ist; länger laufen Server hier nicht",
        );
        assert_eq!(span(HOUR * 3 / 2).in_lang(Lang::De), "90 Minuten");
        assert_eq!(span(Duration::from_secs(61)).to_string(), "61 seconds");
    }
}
