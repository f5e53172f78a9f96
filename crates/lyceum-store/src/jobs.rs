//! The queue of background work: rows with leases, safe with several replicas.
//!
//! A job is enqueued in the transaction that makes it necessary, claimed for a lease, and done when
//! its handler says so. A replica that dies lets its leases lapse and another goes on, so handlers
//! must be idempotent. Here is the table; [`crate::runner`] runs handlers.
//!
//! Invariant: whoever holds a lease shows its `lease` with every word on the job; once the lease
//! went to another, the words of the first change nothing.

use lyceum_model::clock::Millis;
use lyceum_model::id::new_id;
use serde_json::Value;
use sqlx::AssertSqlSafe;

use crate::db::{Engine, Tx};
use crate::events::{announce, placeholders};
use crate::on;

/// The topic that wakes runners.
pub const TOPIC: &str = "jobs";
/// How often a job is tried unless it says otherwise.
pub const MAX_ATTEMPTS: i64 = 8;
/// The first pause after a failure; doubled with each further one up to the longest.
const FIRST_PAUSE: i64 = 2_000;
const LONGEST_PAUSE: i64 = 30 * 60_000;
/// Longest text of an error that is kept.
const ERROR_MAX: usize = 2_000;

/// What to put into the queue.
#[derive(Debug, Clone)]
pub struct NewJob {
    pub kind: String,
    /// Two open jobs of one kind with one key are one job.
    pub key: String,
    pub payload: Value,
    pub run_at: Millis,
    pub max_attempts: i64,
}

impl NewJob {
    /// A job that is due at once.
    pub fn now(
        kind: impl Into<String>,
        key: impl Into<String>,
        payload: Value,
        now: Millis,
    ) -> Self {
        Self {
            kind: kind.into(),
            key: key.into(),
            payload,
            run_at: now,
            max_attempts: MAX_ATTEMPTS,
        }
    }
}

/// A job that is ours until its lease ends.
#[derive(Debug, Clone, PartialEq)]
pub struct Claimed {
    pub id: String,
    pub kind: String,
    pub key: String,
    pub payload: Value,
    /// 1 for the first try.
    pub attempt: i64,
    pub max_attempts: i64,
    /// Proves that the claim is ours.
    pub lease: String,
}

/// What became of a failed job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failed {
    /// It will be tried again.
    Again { at: Millis },
    /// It has used up its attempts and waits for [`retry`].
    GivenUp,
    /// The lease was lost before; another decides.
    NotOurs,
}

/// Puts a job into the queue and gives its id. One that is open with the same kind and key takes
/// the new payload instead, and the earlier time; one that runs already runs once more afterwards,
/// so that what changed after it had looked is not missed.
pub async fn enqueue(tx: &mut Tx, job: &NewJob, now: Millis) -> sqlx::Result<String> {
    let id: String = on!(tx, |c| sqlx::query_scalar(
        "INSERT INTO jobs (id, kind, key, payload, run_at, attempts, max_attempts, created_at) \
         VALUES ($1, $2, $3, $4, $5, 0, $6, $7) \
         ON CONFLICT (kind, key) WHERE done_at IS NULL AND failed_at IS NULL DO UPDATE SET \
           payload = excluded.payload, \
           max_attempts = excluded.max_attempts, \
           again_at = CASE WHEN jobs.lease_owner IS NULL THEN NULL ELSE excluded.run_at END, \
           run_at = CASE WHEN jobs.lease_owner IS NULL AND jobs.attempts = 0 \
             AND excluded.run_at < jobs.run_at THEN excluded.run_at ELSE jobs.run_at END \
         RETURNING id"
    )
    .bind(new_id(now))
    .bind(&job.kind)
    .bind(&job.key)
    .bind(job.payload.to_string())
    .bind(job.run_at.0)
    .bind(job.max_attempts.max(1))
    .bind(now.0)
    .fetch_one(c)
    .await)?;
    announce(tx, TOPIC).await?;
    Ok(id)
}

/// Takes up to `limit` due jobs of `kinds` for `lease` milliseconds, the longest waiting first.
/// A job whose worker vanished on its last attempt is given up here.
pub async fn claim(
    tx: &mut Tx,
    owner: &str,
    kinds: &[&str],
    lease: i64,
    limit: u32,
    now: Millis,
) -> sqlx::Result<Vec<Claimed>> {
    if kinds.is_empty() || limit == 0 {
        return Ok(Vec::new());
    }
    on!(tx, |c| {
        sqlx::query(
        "UPDATE jobs SET failed_at = $1, lease_owner = NULL, lease_until = NULL, again_at = NULL, \
         last_error = 'the worker vanished during the last attempt' \
         WHERE done_at IS NULL AND failed_at IS NULL AND lease_until <= $1 AND attempts >= max_attempts \
         AND again_at IS NULL"
    )
    .bind(now.0)
    .execute(c)
    .await
    .map(|_| ())
    })?;
    // On SQLite there is one writer; on PostgreSQL rows that another claims are passed over.
    let lock = match tx.engine() {
        Engine::Sqlite => "",
        Engine::Postgres => "FOR UPDATE SKIP LOCKED",
    };
    let kind_list = placeholders(5, kinds.len());
    let sql = format!(
        "WITH due AS MATERIALIZED (SELECT id FROM jobs WHERE done_at IS NULL AND failed_at IS NULL \
           AND run_at <= $1 AND (lease_until IS NULL OR lease_until <= $1) AND kind IN ({kind_list}) \
           ORDER BY run_at, id LIMIT $2 {lock}) \
         UPDATE jobs SET lease_owner = $3, lease_until = $4, \
           attempts = CASE WHEN again_at IS NULL THEN attempts + 1 ELSE 1 END, again_at = NULL \
         WHERE id IN (SELECT id FROM due) \
         RETURNING id, kind, key, payload, attempts, max_attempts"
    );
    let lease_owner = format!("{owner}/{}", new_id(now));
    type Row = (String, String, String, String, i64, i64);
    let mut rows: Vec<Row> = on!(tx, |c| {
        let mut query = sqlx::query_as(AssertSqlSafe(sql))
            .bind(now.0)
            .bind(i64::from(limit))
            .bind(&lease_owner)
            .bind(now.plus(lease).0);
        for kind in kinds {
            query = query.bind(*kind);
        }
        query.fetch_all(c).await
    })?;
    // `RETURNING` promises no order.
    rows.sort();
    rows.into_iter()
        .map(|(id, kind, key, payload, attempt, max_attempts)| {
            Ok(Claimed {
                id,
                kind,
                key,
                payload: serde_json::from_str(&payload)
                    .map_err(|error| sqlx::Error::Decode(error.into()))?,
                attempt,
                max_attempts,
                lease: lease_owner.clone(),
            })
        })
        .collect()
}

/// Holds on to a job for `lease` milliseconds from now; false when it is no longer ours.
pub async fn renew(tx: &mut Tx, job: &Claimed, lease: i64, now: Millis) -> sqlx::Result<bool> {
    on!(tx, |c| sqlx::query(
        "UPDATE jobs SET lease_until = $3 WHERE id = $1 AND lease_owner = $2 AND lease_until > $4"
    )
    .bind(&job.id)
    .bind(&job.lease)
    .bind(now.plus(lease).0)
    .bind(now.0)
    .execute(c)
    .await
    .map(|done| done.rows_affected() == 1))
}

/// The job is done; one that was asked for again meanwhile goes back into the queue. False when it
/// was no longer ours.
pub async fn complete(tx: &mut Tx, job: &Claimed, now: Millis) -> sqlx::Result<bool> {
    let done = on!(tx, |c| {
        sqlx::query(
        "UPDATE jobs SET lease_owner = NULL, lease_until = NULL, last_error = NULL, again_at = NULL, \
         attempts = CASE WHEN again_at IS NULL THEN attempts ELSE 0 END, \
         run_at = CASE WHEN again_at IS NULL THEN run_at ELSE again_at END, \
         done_at = CASE WHEN again_at IS NULL THEN CAST($3 AS BIGINT) ELSE NULL END \
         WHERE id = $1 AND lease_owner = $2"
    )
    .bind(&job.id)
    .bind(&job.lease)
    .bind(now.0)
    .execute(c)
    .await
    .map(|done| done.rows_affected() == 1)
    })?;
    announce(tx, TOPIC).await?;
    Ok(done)
}

/// The job failed: tries again after a pause that doubles, or gives up after the last attempt.
pub async fn fail(tx: &mut Tx, job: &Claimed, error: &str, now: Millis) -> sqlx::Result<Failed> {
    let again = now.plus(pause_after(job.attempt));
    let spent = job.attempt >= job.max_attempts;
    let given_up: Option<Option<i64>> = on!(tx, |c| {
        sqlx::query_scalar(
        "UPDATE jobs SET lease_owner = NULL, lease_until = NULL, last_error = $3, again_at = NULL, \
         attempts = CASE WHEN again_at IS NULL THEN attempts ELSE 0 END, \
         run_at = $4, \
         failed_at = CASE WHEN again_at IS NULL THEN CAST($5 AS BIGINT) ELSE NULL END \
         WHERE id = $1 AND lease_owner = $2 RETURNING failed_at"
    )
    .bind(&job.id)
    .bind(&job.lease)
    .bind(shorten(error))
    .bind(again.0)
    .bind(spent.then_some(now.0))
    .fetch_optional(c)
    .await
    })?;
    Ok(match given_up {
        None => Failed::NotOurs,
        Some(Some(_)) => Failed::GivenUp,
        Some(None) => Failed::Again { at: again },
    })
}

/// Gives a job back untried: the worker has to end. False when it was no longer ours.
pub async fn release(tx: &mut Tx, job: &Claimed) -> sqlx::Result<bool> {
    let done = on!(tx, |c| sqlx::query(
        "UPDATE jobs SET lease_owner = NULL, lease_until = NULL, again_at = NULL, \
         attempts = attempts - 1 WHERE id = $1 AND lease_owner = $2"
    )
    .bind(&job.id)
    .bind(&job.lease)
    .execute(c)
    .await
    .map(|done| done.rows_affected() == 1))?;
    announce(tx, TOPIC).await?;
    Ok(done)
}

/// Tries a given-up job once more from the start. False when there is none with that id, or
/// another with its kind and key is open already.
pub async fn retry(tx: &mut Tx, id: &str, now: Millis) -> sqlx::Result<bool> {
    let done = on!(tx, |c| sqlx::query(
        "UPDATE jobs SET failed_at = NULL, attempts = 0, run_at = $2 \
         WHERE id = $1 AND failed_at IS NOT NULL AND NOT EXISTS (SELECT 1 FROM jobs twin \
           WHERE twin.kind = jobs.kind AND twin.key = jobs.key \
           AND twin.done_at IS NULL AND twin.failed_at IS NULL)"
    )
    .bind(id)
    .bind(now.0)
    .execute(c)
    .await
    .map(|done| done.rows_affected() == 1))?;
    announce(tx, TOPIC).await?;
    Ok(done)
}

/// When the next job of `kinds` can be claimed, if any is open: its time, or the end of the lease
/// of the one that has it.
pub async fn next_due(tx: &mut Tx, kinds: &[&str]) -> sqlx::Result<Option<Millis>> {
    if kinds.is_empty() {
        return Ok(None);
    }
    let sql = format!(
        "SELECT min(CASE WHEN lease_until IS NULL THEN run_at ELSE lease_until END) FROM jobs \
         WHERE done_at IS NULL AND failed_at IS NULL AND kind IN ({})",
        placeholders(1, kinds.len())
    );
    let at: Option<i64> = on!(tx, |c| {
        let mut query = sqlx::query_scalar(AssertSqlSafe(sql));
        for kind in kinds {
            query = query.bind(*kind);
        }
        query.fetch_one(c).await
    })?;
    Ok(at.map(Millis))
}

/// Forgets jobs that were done before `before`; says how many. Given-up ones stay.
pub async fn prune(tx: &mut Tx, before: Millis) -> sqlx::Result<u64> {
    on!(tx, |c| sqlx::query("DELETE FROM jobs WHERE done_at < $1")
        .bind(before.0)
        .execute(c)
        .await
        .map(|done| done.rows_affected()))
}

/// Milliseconds to wait after the failed attempt of that number.
fn pause_after(attempt: i64) -> i64 {
    let doublings = attempt.saturating_sub(1).clamp(0, 30);
    FIRST_PAUSE
        .saturating_mul(1_i64 << doublings)
        .min(LONGEST_PAUSE)
}

/// Cuts at a character's edge and drops what PostgreSQL can't keep.
fn shorten(error: &str) -> String {
    let mut text = error.replace('\0', " ");
    if text.len() > ERROR_MAX {
        let end = (0..=ERROR_MAX)
            .rev()
            .find(|at| text.is_char_boundary(*at))
            .unwrap_or(0);
        text.truncate(end);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_a_cap() {
        let check = |attempt, expect| assert_eq!(pause_after(attempt), expect, "{attempt}");
        check(1, 2_000);
        check(2, 4_000);
        check(5, 32_000);
        check(11, LONGEST_PAUSE);
        check(i64::MAX, LONGEST_PAUSE);
        check(0, 2_000);
    }

    #[test]
    fn long_errors_are_cut() {
        assert_eq!(shorten("a\0b"), "a b");
        assert_eq!(shorten(&"ä".repeat(2_000)).len(), ERROR_MAX);
        let odd = format!("x{}", "ä".repeat(2_000));
        assert_eq!(shorten(&odd).len(), ERROR_MAX - 1);
    }
}
