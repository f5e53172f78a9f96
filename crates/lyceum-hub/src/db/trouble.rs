//! Whose starts of which environment have failed since one of it went well. The column `times` counts
//! one person's failures; nothing hangs on it.

use lyceum_store::{Later, Tx, on};

/// An environment that fails for several people.
#[derive(Debug, Clone, sqlx::FromRow)]
pub struct Failing {
    pub environment: String,
    /// For how many people, and when last.
    pub people: i64,
    pub last: i64,
}

/// Those that have failed for so many people since.
pub async fn failing(tx: &mut Tx, since: i64, people: i64) -> sqlx::Result<Vec<Failing>> {
    on!(tx, |c| {
        sqlx::query_as(
        "SELECT environment, COUNT(*) AS people, MAX(failed_at) AS last FROM failing_starts \
         WHERE failed_at > $1 GROUP BY environment HAVING COUNT(*) >= $2 ORDER BY MAX(failed_at) DESC, environment LIMIT 100"
    )
    .bind(since)
    .bind(people)
    .fetch_all(c)
    .await
    })
}

/// A start of this server has failed.
pub async fn failed(tx: &mut Tx, server_id: &str, since: i64, now: i64) -> sqlx::Result<()> {
    on!(tx, |c| sqlx::query(
        "INSERT INTO failing_starts (environment, user_id, times, failed_at) \
         SELECT environment, user_id, 1, $2 FROM servers WHERE id = $1 AND environment IS NOT NULL \
         ON CONFLICT (environment, user_id) DO UPDATE SET failed_at = excluded.failed_at, \
         times = CASE WHEN failing_starts.failed_at > $3 THEN failing_starts.times + 1 ELSE 1 END"
    )
    .bind(server_id)
    .bind(now)
    .bind(since)
    .execute(c)
    .await
    .map(|_| ()))
}

/// A server of this environment that was ready at `ready_at` has gone well: whatever failed before is over.
pub fn went_well(tx: &mut Tx, environment: &str, ready_at: i64) {
    tx.later(
        Later::new("DELETE FROM failing_starts WHERE environment = $1 AND failed_at <= $2")
            .bind(environment)
            .bind(ready_at),
    );
}

/// When the youngest of the servers of this environment became ready that are so since `before`.
pub async fn ready_since(tx: &mut Tx, environment: &str, before: i64) -> sqlx::Result<Option<i64>> {
    on!(tx, |c| {
        sqlx::query_scalar(
        "SELECT MAX(ready_at) FROM servers WHERE state = 'ready' AND environment = $1 AND ready_at <= $2"
    )
    .bind(environment)
    .bind(before)
    .fetch_one(c)
    .await
    })
}

/// How many people's starts of it have failed up to this moment.
pub async fn failed_until(tx: &mut Tx, environment: &str, until: i64) -> sqlx::Result<i64> {
    on!(tx, |c| sqlx::query_scalar(
        "SELECT COUNT(*) FROM failing_starts WHERE environment = $1 AND failed_at <= $2"
    )
    .bind(environment)
    .bind(until)
    .fetch_one(c)
    .await)
}

/// Forgets what failed so long ago that it counts no more, and of the rest what is too much: each
/// environment that a person may write herself would be one more.
pub async fn prune(tx: &mut Tx, since: i64, most: i64) -> sqlx::Result<()> {
    on!(tx, |c| sqlx::query(
        "DELETE FROM failing_starts WHERE failed_at <= $1 OR failed_at <= COALESCE( \
         (SELECT failed_at FROM failing_starts ORDER BY failed_at DESC LIMIT 1 OFFSET $2), $1)"
    )
    .bind(since)
    .bind(most)
    .execute(c)
    .await
    .map(|_| ()))
}

/// What was wrong may be put right now.
pub async fn forget(tx: &mut Tx) -> sqlx::Result<()> {
    on!(tx, |c| sqlx::query("DELETE FROM failing_starts")
        .execute(c)
        .await
        .map(|_| ()))
}
