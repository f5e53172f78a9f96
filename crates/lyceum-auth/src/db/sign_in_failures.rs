//! Table `sign_in_failures`: one row per subject that failed lately.

use lyceum_model::clock::Millis;
use lyceum_store::{Tx, on};

use crate::throttle::Tally;

/// The row of a subject, made if there is none, and locked until the transaction ends.
///
/// Invariant: callers go through their subjects in sorted order, so that two of them never wait
/// for each other.
pub(crate) async fn lock(tx: &mut Tx, subject: &str, now: Millis) -> sqlx::Result<Tally> {
    // The update changes nothing; on PostgreSQL it takes the row's lock and sees its newest state.
    let (failures, since, last): (i64, i64, i64) = on!(tx, |c| {
        sqlx::query_as(
        "INSERT INTO sign_in_failures (subject, failures, window_started_at, last_at) VALUES ($1, 0, $2, $2)
         ON CONFLICT (subject) DO UPDATE SET failures = sign_in_failures.failures
         RETURNING failures, window_started_at, last_at"
    )
    .bind(subject)
    .bind(now.0)
    .fetch_one(c)
    .await
    })?;
    Ok(Tally {
        failures,
        since: Millis(since),
        last: Millis(last),
    })
}

pub(crate) async fn update(tx: &mut Tx, subject: &str, tally: Tally) -> sqlx::Result<()> {
    on!(tx, |c| {
        sqlx::query(
        "UPDATE sign_in_failures SET failures = $2, window_started_at = $3, last_at = $4 WHERE subject = $1"
    )
    .bind(subject)
    .bind(tally.failures)
    .bind(tally.since.0)
    .bind(tally.last.0)
    .execute(c)
    .await
    .map(|_| ())
    })
}

/// Takes one failure back, or all of them.
pub(crate) async fn take_back(tx: &mut Tx, subject: &str, all: bool) -> sqlx::Result<()> {
    on!(tx, |c| {
        sqlx::query(
        "UPDATE sign_in_failures SET failures = CASE WHEN $2 OR failures < 1 THEN 0 ELSE failures - 1 END WHERE subject = $1"
    )
    .bind(subject)
    .bind(all)
    .execute(c)
    .await
    .map(|_| ())
    })?;
    on!(tx, |c| sqlx::query(
        "DELETE FROM sign_in_failures WHERE subject = $1 AND failures = 0"
    )
    .bind(subject)
    .execute(c)
    .await
    .map(|_| ()))
}

/// Forgets those who have been quiet since `before`; how many.
pub(crate) async fn purge(tx: &mut Tx, before: Millis) -> sqlx::Result<u64> {
    on!(tx, |c| sqlx::query(
        "DELETE FROM sign_in_failures WHERE last_at < $1"
    )
    .bind(before.0)
    .execute(c)
    .await
    .map(|done| done.rows_affected()))
}
