//! When tokens and sessions were last used, and by that the owners of tokens last seen: noted in memory with each request,
//! written down once a minute.
//!
//! A request never waits for it, and a token costs one write a minute however busy it is. What was
//! noted since the last write is lost in a crash; it is shown to people, and to programs that look for idle ones.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use lyceum_model::clock::Millis;
use tokio_util::sync::CancellationToken;

use crate::{Hub, db};

const EVERY: Duration = Duration::from_secs(60);
/// Tokens noted between two writes; those beyond are noted the next time.
const MOST: usize = 20_000;
/// Rows in one transaction, so that other writers get their turn in between.
const AT_ONCE: usize = 500;

/// What was used since the last write.
#[derive(Debug, Default)]
pub struct TokenUses {
    tokens: Uses,
    /// By whoever works in a server; pages of the hub write down themselves that they were seen.
    sessions: Uses,
}

impl TokenUses {
    pub fn note(&self, token: &str, at: Millis) {
        self.tokens.note(token, at);
    }

    pub fn note_session(&self, session: &str, at: Millis) {
        self.sessions.note(session, at);
    }
}

/// By id, and when they were last seen.
#[derive(Debug, Default)]
struct Uses(Mutex<HashMap<String, i64>>);

impl Uses {
    fn note(&self, id: &str, at: Millis) {
        let mut uses = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = uses.get_mut(id) {
            *known = (*known).max(at.0);
        } else if uses.len() < MOST {
            uses.insert(id.to_owned(), at.0);
        }
    }

    fn note_again(&self, uses: &[(String, i64)]) {
        for (id, at) in uses {
            self.note(id, Millis(*at));
        }
    }

    fn take(&self) -> Vec<(String, i64)> {
        let mut uses = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut taken: Vec<_> = std::mem::take(&mut *uses).into_iter().collect();
        drop(uses);
        // One order for all replicas: two that write the same rows must not wait for each other.
        taken.sort_unstable();
        taken
    }
}

/// Writes what was noted down until shutdown, and a last time then.
pub async fn run(hub: Hub, shutdown: CancellationToken) {
    let mut tick = tokio::time::interval(EVERY);
    loop {
        let last = tokio::select! {
            () = shutdown.cancelled() => true,
            _ = tick.tick() => false,
        };
        if let Err(error) = flush(&hub).await {
            tracing::warn!(error = %error, "could not write down when tokens were used");
        }
        if last {
            return;
        }
    }
}

/// Writes down what was noted. What can't be written comes again with the next flush.
pub async fn flush(hub: &Hub) -> sqlx::Result<()> {
    let uses = hub.token_uses();
    let batches = uses.tokens.take();
    for (at, batch) in batches.chunks(AT_ONCE).enumerate() {
        if let Err(error) = write(hub, batch).await {
            uses.tokens.note_again(&batches[at * AT_ONCE..]);
            return Err(error);
        }
    }
    let batches = uses.sessions.take();
    for (at, batch) in batches.chunks(AT_ONCE).enumerate() {
        if let Err(error) = write_sessions(hub, batch).await {
            uses.sessions.note_again(&batches[at * AT_ONCE..]);
            return Err(error);
        }
    }
    Ok(())
}

async fn write(hub: &Hub, batch: &[(String, i64)]) -> sqlx::Result<()> {
    let batch = batch.iter().cloned().collect();
    let mut tx = hub.db().write().await?;
    let owners = db::uses::owners_of_tokens(&mut tx, &batch).await?;
    let people = db::uses::of_people(&mut tx, &owners).await?;
    let tokens = db::uses::of_tokens(&mut tx, &batch).await?;
    hub.seen().pass(tx, people + tokens).await
}

async fn write_sessions(hub: &Hub, batch: &[(String, i64)]) -> sqlx::Result<()> {
    let batch = batch.iter().cloned().collect();
    let mut tx = hub.db().write().await?;
    let sessions = db::uses::of_sessions(&mut tx, &batch).await?;
    hub.seen().pass(tx, sessions).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_latest_use_counts_and_memory_is_bounded() {
        let uses = Uses::default();
        uses.note("b", Millis(5));
        uses.note("a", Millis(7));
        uses.note("b", Millis(3));
        assert_eq!(uses.take(), [("a".into(), 7), ("b".into(), 5)]);
        assert!(uses.take().is_empty());
        for n in 0..MOST + 10 {
            uses.note(&n.to_string(), Millis(1));
        }
        uses.note("0", Millis(2));
        let taken = uses.take();
        assert_eq!(taken.len(), MOST);
        assert_eq!(taken[0], ("0".into(), 2));
    }
}
