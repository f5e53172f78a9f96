//! When servers and people were last used: what many report at the same time is written in one
//! transaction, and each is answered once that is durable.
//!
//! Nobody loses what she may do or what was kept of her because somebody was seen: see
//! [`crate::seen`].

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::http::StatusCode;
use lyceum_model::clock::Millis;
use lyceum_model::say;
use lyceum_web::{ApiError, ApiResult};
use tokio::sync::oneshot;
use tokio::time::Instant;

use crate::Hub;
use crate::db::uses::{self, Uses};

/// So long after the last writing the next gathers; a report that comes alone is written at once.
const GATHER: Duration = Duration::from_secs(1);

/// What was reported and is not written yet.
#[derive(Default)]
pub struct Reports(Mutex<Desk>);

#[derive(Default)]
struct Desk {
    next: Batch,
    /// Somebody sees to what is there.
    is_writing: bool,
    written: Option<Instant>,
}

#[derive(Default)]
struct Batch {
    servers: Uses,
    people: Uses,
    waiting: Vec<oneshot::Sender<bool>>,
}

impl Reports {
    fn lock(&self) -> MutexGuard<'_, Desk> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Writes down when these were used, by their ids; returns once it is durable.
pub async fn report(
    hub: &Hub,
    servers: &[(String, Millis)],
    people: &[(String, Millis)],
) -> ApiResult<()> {
    let (told, written) = oneshot::channel();
    let begins = {
        let mut desk = hub.reports().lock();
        for (id, at) in servers {
            uses::note(&mut desk.next.servers, id, *at);
        }
        for (id, at) in people {
            uses::note(&mut desk.next.people, id, *at);
        }
        desk.next.waiting.push(told);
        !std::mem::replace(&mut desk.is_writing, true)
    };
    if begins {
        // Apart from the request, which may be given up while others wait for what it began.
        tokio::spawn(write_all(hub.clone()));
    }
    match written.await {
        Ok(true) => Ok(()),
        // Told in the log where it was tried.
        _ => Err(ApiError::later(
            StatusCode::SERVICE_UNAVAILABLE,
            say!("refused.database_away"),
            5,
        )),
    }
}

/// However the writing ends, the next report begins anew; who waits is told by what is dropped.
struct Turn<'a>(&'a Hub);

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        let mut desk = self.0.reports().lock();
        desk.is_writing = false;
        desk.next = Batch::default();
    }
}

/// Until nothing is left to be written.
async fn write_all(hub: Hub) {
    let turn = Turn(&hub);
    loop {
        let written = hub.reports().lock().written;
        if let Some(written) = written {
            tokio::time::sleep_until(written + GATHER).await;
        }
        let batch = {
            let mut desk = hub.reports().lock();
            if desk.next.waiting.is_empty() {
                // Given back under the same lock, so that no report comes in between.
                desk.is_writing = false;
                std::mem::forget(turn);
                return;
            }
            std::mem::take(&mut desk.next)
        };
        let outcome = write(&hub, &batch).await;
        if let Err(error) = &outcome {
            tracing::warn!(error = %error, "could not write down when servers were used");
        }
        hub.reports().lock().written = Some(Instant::now());
        for waiting in batch.waiting {
            // Who has gone does not want to know.
            let _ = waiting.send(outcome.is_ok());
        }
    }
}

async fn write(hub: &Hub, batch: &Batch) -> sqlx::Result<()> {
    let mut tx = hub.db().write().await?;
    let people = uses::of_people(&mut tx, &batch.people).await?;
    let servers = uses::of_servers(&mut tx, &batch.servers).await?;
    hub.seen().pass(tx, people + servers).await
}
