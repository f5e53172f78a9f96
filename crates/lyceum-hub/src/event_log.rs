//! The event log: one line of JSON for what people and programs did, for whoever counts it.
//!
//! Starts and stops are told as JupyterHub tells them, under its schema; what it has no schema for
//! stands under one of our own. The schemas are in `docs/admin/event-schemas/`. Nobody waits for a
//! line to be written: it is put in a queue, and a thread of its own (`writer`) writes it down.
//! What finds no place there, or can't be written, is lost and counted.

mod writer;

use std::sync::Mutex;

use lyceum_model::clock::Millis;
use prometheus_client::metrics::counter::Counter;
use serde_json::{Value, json};

pub use writer::Target;
use writer::Writer;

/// What has happened, in the words of its schema.
#[derive(Debug, Clone, Copy)]
pub enum Event<'a> {
    /// A server was started or stopped by the hub.
    Server {
        action: &'static str,
        user: &'a str,
        server: &'a str,
    },
    /// A server was ended by rule, and what for. Its stop is told besides.
    Culled {
        user: &'a str,
        server: &'a str,
        reason: &'static str,
    },
    /// Somebody signed in or out.
    Session { action: &'static str, user: &'a str },
    /// A session ended that nobody had logged out, and why.
    SessionEnded { user: &'a str, reason: &'static str },
    /// A token was made or revoked: whose, which, and by whom.
    Token {
        action: &'static str,
        user: &'a str,
        id: &'a str,
        by: &'a str,
    },
}

impl Event<'_> {
    /// The line, without its end.
    fn line(&self, now: Millis) -> String {
        let (schema, fields) = match self {
            Self::Server {
                action,
                user,
                server,
            } => (
                "https://schema.jupyter.org/jupyterhub/events/server-action",
                json!({ "action": action, "username": user, "servername": server }),
            ),
            Self::Culled {
                user,
                server,
                reason,
            } => (
                "urn:lyceum:events:server-culled",
                json!({ "username": user, "servername": server, "reason": reason }),
            ),
            Self::Session { action, user } => (
                "urn:lyceum:events:session-action",
                json!({ "action": action, "username": user }),
            ),
            Self::SessionEnded { user, reason } => (
                "urn:lyceum:events:session-action",
                json!({ "action": "sign-out", "username": user, "reason": reason }),
            ),
            Self::Token {
                action,
                user,
                id,
                by,
            } => (
                "urn:lyceum:events:token-action",
                json!({ "action": action, "username": user, "token_id": id, "by": by }),
            ),
        };
        let mut told = json!({
            "__timestamp__": now.to_iso(),
            "__schema__": schema,
            "__schema_version__": "1",
            "__metadata_version__": 1,
        });
        if let (Value::Object(told), Value::Object(fields)) = (&mut told, fields) {
            told.extend(fields);
        }
        told.to_string()
    }
}

/// Where events go: nowhere until a file is named.
#[derive(Default)]
pub struct EventLog {
    writer: Mutex<Option<Writer>>,
    lost: Counter,
}

impl EventLog {
    /// Writes to another file from now on, or to none.
    pub fn open(&self, target: Option<Target>) {
        let mut writer = self.writer();
        if writer.as_ref().map(Writer::target) == target.as_ref() {
            return;
        }
        *writer = target.and_then(|target| {
            let file = target.file.clone();
            Writer::start(target, self.lost.clone())
                .inspect_err(|error| {
                    tracing::error!(file = %file.display(), %error, "there is no event log");
                })
                .ok()
        });
    }

    /// Returns at once, whatever the disk does.
    pub fn tell(&self, event: Event<'_>, now: Millis) {
        if let Some(writer) = &*self.writer()
            && !writer.put(event.line(now))
        {
            self.lost.inc();
        }
    }

    /// Writes what is in the queue, and ends. Blocks as long as that takes.
    pub fn close(&self) {
        let writer = self.writer().take();
        if let Some(writer) = writer {
            writer.finish();
        }
    }

    pub fn lost(&self) -> &Counter {
        &self.lost
    }

    fn writer(&self) -> std::sync::MutexGuard<'_, Option<Writer>> {
        // What is in it is whole at any moment.
        self.writer
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::time::Duration;

    use super::*;
    use crate::cull::Why;
    use crate::refreshing;

    #[test]
    fn what_is_told_of_ended_sessions_fits_its_schema() {
        let schema = include_str!("../../../docs/admin/event-schemas/session-action.json");
        let schema: Value = serde_json::from_str(schema).expect("JSON");
        let told = refreshing::Why::ALL.map(|why| {
            let event = Event::SessionEnded {
                user: "ada",
                reason: why.word(),
            };
            let line: Value = serde_json::from_str(&event.line(Millis(0))).expect("JSON");
            let fields = line.as_object().expect("an object");
            assert_eq!(fields["__schema__"], schema["$id"]);
            let own = fields.keys().filter(|key| !key.starts_with("__"));
            let own: BTreeSet<&str> = own.map(String::as_str).collect();
            let known = schema["properties"].as_object().expect("an object");
            assert_eq!(own, known.keys().map(String::as_str).collect());
            fields["reason"].clone()
        });
        assert_eq!(schema["properties"]["reason"]["enum"], json!(told));
    }

    #[test]
    fn what_is_told_of_ended_servers_fits_its_schema() {
        let schema = include_str!("../../../docs/admin/event-schemas/server-culled.json");
        let schema: Value = serde_json::from_str(schema).expect("JSON");
        let hour = Duration::from_secs(3600);
        let mut told = Vec::new();
        for why in [Why::Idle(hour), Why::Age(hour), Why::Room(hour)] {
            let event = Event::Culled {
                user: "ada",
                server: "",
                reason: why.word(),
            };
            let line: Value = serde_json::from_str(&event.line(Millis(0))).expect("JSON");
            let fields = line.as_object().expect("an object");
            assert_eq!(fields["__schema__"], schema["$id"]);
            let own = fields.keys().filter(|key| !key.starts_with("__"));
            let own: BTreeSet<&str> = own.map(String::as_str).collect();
            let known = schema["properties"].as_object().expect("an object");
            assert_eq!(own, known.keys().map(String::as_str).collect());
            told.push(fields["reason"].clone());
        }
        assert_eq!(schema["properties"]["reason"]["enum"], Value::from(told));
    }
}
