//! What people wish in a round of the storm, and what may come of it.

use std::collections::BTreeSet;
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

/// A server at the end of a round.
pub(super) struct Before {
    pub(super) id: String,
    pub(super) generation: i64,
    pub(super) births: usize,
    /// Of its process, when it was ready.
    pub(super) pid: Option<i32>,
    /// It stood in line.
    pub(super) waited: bool,
}

/// What was asked in a round of which servers, by person and name, and whose process was killed.
#[derive(Default)]
pub(super) struct Asked {
    pub(super) started: BTreeSet<(String, String)>,
    /// Whether or not it was answered.
    pub(super) ended: BTreeSet<(String, String)>,
    /// By its client.
    pub(super) victim: Option<String>,
    /// The service was killed, or a hub was asked to end: it ends its services, and another starts them.
    pub(super) service_ended: bool,
}

impl Asked {
    pub(super) fn note(&mut self, wish: Wish, person: &str, answer: Option<u16>) {
        let of = |name: &str| (person.to_owned(), name.to_owned());
        let begins = matches!(answer, Some(201 | 202));
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
        let key = (row.user_name.to_string(), row.name.to_string());
        self.ended.contains(&key) || self.victim.as_ref() == Some(&row.client_id)
    }
}

/// No wish was carried out twice, none was lost, and nothing happened that nobody wished.
pub(super) fn check_wishes(row: &Server, before: Option<&Before>, now: &Before, asked: &Asked) {
    let before = before.filter(|before| before.id == now.id);
    if let Some(before) = before {
        let wished = usize::try_from(now.generation - before.generation).expect("forward")
            + usize::from(before.waited);
        assert!(
            now.births - before.births <= wished,
            "{}: {} processes for {wished} starts",
            row.client_id,
            now.births - before.births
        );
    }
    if asked.may_be_gone(row) {
        return;
    }
    if let Some(pid) = before.and_then(|before| before.pid) {
        assert_eq!(
            (row.state, now.pid),
            (State::Ready, Some(pid)),
            "{} ran, and nobody ended it: {:?}",
            row.client_id,
            row.failure
        );
    }
    let key = (row.user_name.to_string(), row.name.to_string());
    if asked.started.contains(&key) || before.is_some_and(|before| before.waited) {
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
