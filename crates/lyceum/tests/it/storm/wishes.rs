//! What people wish in a round of the storm, and what may come of it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use lyceum_hub::db::servers::Server;
use lyceum_hub::servers::State;
use lyceum_testkit::Client;
use serde_json::{Value, json};

use super::Dice;

pub(super) const NAMED: &str = "gpu";
/// How long one request may take; hubs wait for servers up to ten seconds, for PostgreSQL thirty.
pub(super) const ANSWER: Duration = Duration::from_secs(60);

/// What somebody asks of a hub.
#[derive(Debug, Clone, Copy)]
pub(super) enum Wish {
    Start,
    Stop,
    StartNamed,
    StopNamed,
    ForgetNamed,
    Make,
    Delete,
}

impl Wish {
    pub(super) fn any(dice: &mut Dice) -> Self {
        match dice.roll(20) {
            0..=6 => Self::Start,
            7..=10 => Self::Stop,
            11..=13 => Self::StartNamed,
            14 => Self::StopNamed,
            15 => Self::ForgetNamed,
            16..=17 => Self::Make,
            _ => Self::Delete,
        }
    }

    pub(super) async fn ask(self, client: &Client, person: &str) -> Option<u16> {
        let user = format!("/hub/api/users/{person}");
        let (method, path, body) = match self {
            Self::Start => ("POST", format!("{user}/server"), json!({})),
            Self::Stop => ("DELETE", format!("{user}/server"), Value::Null),
            Self::StartNamed => ("POST", format!("{user}/servers/{NAMED}"), json!({})),
            Self::StopNamed => ("DELETE", format!("{user}/servers/{NAMED}"), Value::Null),
            Self::ForgetNamed => (
                "DELETE",
                format!("{user}/servers/{NAMED}"),
                json!({"remove": true}),
            ),
            Self::Make => ("POST", user, json!({})),
            Self::Delete => ("DELETE", user, Value::Null),
        };
        let method = method.parse().expect("a method");
        let answer = client.dare(method, &path, &body, ANSWER).await?;
        Some(answer.status.as_u16())
    }
}

/// A person and the name of a server.
type Key = (String, String);

fn key(row: &Server) -> Key {
    (row.user_name.to_string(), row.name.to_string())
}

/// A server at the end of a round.
pub(super) struct Before {
    pub(super) key: Key,
    id: String,
    generation: i64,
    /// Of its process, when it was ready.
    pub(super) pid: Option<i32>,
    /// It stood in line.
    pub(super) waited: bool,
}

impl Before {
    pub(super) fn of(row: &Server, pid: Option<i32>) -> Self {
        Self {
            key: key(row),
            id: row.id.clone(),
            generation: row.generation,
            pid,
            waited: row.state == State::Queued,
        }
    }

    /// It may have been forgotten at any time, when that was asked for in a round before.
    pub(super) fn is_at_rest(&self) -> bool {
        self.pid.is_none() && !self.waited
    }
}

/// What was asked in a round of which servers, by person and name, and whose process was killed.
#[derive(Default)]
pub(super) struct Asked {
    pub(super) started: BTreeSet<Key>,
    /// How often a start was asked for, whether or not it was answered.
    pub(super) starts: BTreeMap<Key, usize>,
    /// Whether or not it was answered.
    pub(super) ended: BTreeSet<Key>,
    /// By its client.
    pub(super) victim: Option<String>,
    /// The service was killed, or a hub was asked to end: it ends its services, and another starts them.
    pub(super) service_ended: bool,
}

impl Asked {
    pub(super) fn note(&mut self, wish: Wish, person: &str, answer: Option<u16>) {
        let of = |name: &str| (person.to_owned(), name.to_owned());
        let begins = matches!(answer, Some(201 | 202));
        let name = match wish {
            Wish::Start => Some(""),
            Wish::StartNamed => Some(NAMED),
            _ => None,
        };
        if let Some(name) = name {
            *self.starts.entry(of(name)).or_default() += 1;
        }
        match wish {
            Wish::Start if begins => drop(self.started.insert(of(""))),
            Wish::StartNamed if begins => drop(self.started.insert(of(NAMED))),
            Wish::Stop => drop(self.ended.insert(of(""))),
            Wish::StopNamed | Wish::ForgetNamed => drop(self.ended.insert(of(NAMED))),
            Wish::Delete => self.ended.extend(["", NAMED].map(of)),
            Wish::Start | Wish::StartNamed | Wish::Make => {}
        }
    }

    /// Whether somebody or something ended it, so that nothing is sure.
    fn may_be_gone(&self, row: &Server) -> bool {
        self.ended.contains(&key(row)) || self.victim.as_ref() == Some(&row.client_id)
    }
}

/// No wish was carried out twice, none was lost, and nothing happened that nobody wished. `anew`: so many
/// processes of it came in the round.
pub(super) fn check_wishes(
    row: &Server,
    before: Option<&Before>,
    now: &Before,
    anew: usize,
    asked: &Asked,
) {
    let (same, other) = match before {
        Some(before) if before.id == now.id => (Some(before), None),
        other => (None, other),
    };
    assert!(
        other.is_none_or(|other| other.is_at_rest() || asked.ended.contains(&now.key)),
        "{} was made anew, and nobody ended the one before",
        row.client_id
    );
    let generations = now.generation - same.map_or(0, |before| before.generation);
    let mut wished = usize::try_from(generations).expect("forward");
    if same.is_none() && asked.ended.contains(&now.key) {
        // Rows that came and went in the round may have had starts of their own.
        wished = asked.starts.get(&now.key).copied().unwrap_or_default();
    }
    let waited = before.is_some_and(|before| before.waited);
    let may = wished + usize::from(waited);
    assert!(
        anew <= may,
        "{}: {anew} processes for {may} starts",
        row.client_id
    );
    if asked.may_be_gone(row) {
        return;
    }
    if let Some(pid) = same.and_then(|before| before.pid) {
        assert_eq!(
            (row.state, now.pid),
            (State::Ready, Some(pid)),
            "{} ran, and nobody ended it: {:?}",
            row.client_id,
            row.failure
        );
    }
    // A start that the row knows of counts, also where whoever asked for it had no answer.
    if generations > 0 || waited || asked.started.contains(&now.key) {
        // Who waits does so because there is no place.
        assert!(
            matches!(row.state, State::Ready | State::Queued),
            "{} was started, and nobody ended it: {} {:?}",
            row.client_id,
            row.state,
            row.failure
        );
    }
}
