//! Courses that were made by request, and what is kept of those that course files describe.

use lyceum_store::{Tx, on};

#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct Row {
    pub id: String,
    pub name: String,
    /// Nothing: it is there as long as a course file says so.
    pub made_at: Option<i64>,
}

pub async fn find(tx: &mut Tx, name: &str) -> sqlx::Result<Option<Row>> {
    on!(tx, |c| sqlx::query_as(
        "SELECT id, name, made_at FROM exchange_courses WHERE name = $1 AND removed_at IS NULL"
    )
    .bind(name)
    .fetch_optional(c)
    .await)
}

/// Those that were made by request.
pub async fn list_made(tx: &mut Tx) -> sqlx::Result<Vec<String>> {
    on!(tx, |c| sqlx::query_scalar(
        "SELECT name FROM exchange_courses WHERE removed_at IS NULL AND made_at IS NOT NULL"
    )
    .fetch_all(c)
    .await)
}

/// Does nothing when there is one of this name.
pub async fn insert(tx: &mut Tx, id: &str, name: &str) -> sqlx::Result<()> {
    on!(tx, |c| sqlx::query(
        "INSERT INTO exchange_courses (id, name) VALUES ($1, $2) ON CONFLICT DO NOTHING"
    )
    .bind(id)
    .bind(name)
    .execute(c)
    .await
    .map(|_| ()))
}

/// Says whether it was not made before.
pub async fn make(tx: &mut Tx, id: &str, now: i64) -> sqlx::Result<bool> {
    on!(tx, |c| sqlx::query(
        "UPDATE exchange_courses SET made_at = $2 WHERE id = $1 AND made_at IS NULL"
    )
    .bind(id)
    .bind(now)
    .execute(c)
    .await
    .map(|done| done.rows_affected() > 0))
}

pub async fn remove(tx: &mut Tx, id: &str, now: i64) -> sqlx::Result<()> {
    on!(tx, |c| sqlx::query(
        "UPDATE exchange_courses SET removed_at = $2 WHERE id = $1"
    )
    .bind(id)
    .bind(now)
    .execute(c)
    .await
    .map(|_| ()))
}

/// Whether its name is still its own.
pub async fn is_there(tx: &mut Tx, id: &str) -> sqlx::Result<bool> {
    let found: Option<String> = on!(tx, |c| sqlx::query_scalar(
        "SELECT id FROM exchange_courses WHERE id = $1 AND removed_at IS NULL"
    )
    .bind(id)
    .fetch_optional(c)
    .await)?;
    Ok(found.is_some())
}

/// Takes the number of the next receipt, and the digest of the one before, for so many bytes; and tells
/// how many bytes it makes altogether. Until the end of the transaction nobody else gets one of this
/// course.
pub async fn take_number(tx: &mut Tx, id: &str, bytes: i64) -> sqlx::Result<(i64, String, i64)> {
    on!(tx, |c| {
        sqlx::query_as(
            "UPDATE exchange_courses SET receipts = receipts + 1, bytes = bytes + $2 WHERE id = $1 \
         RETURNING receipts, newest_receipt, bytes",
        )
        .bind(id)
        .bind(bytes)
        .fetch_one(c)
        .await
    })
}

pub async fn set_newest_receipt(tx: &mut Tx, id: &str, digest: &str) -> sqlx::Result<()> {
    on!(tx, |c| sqlx::query(
        "UPDATE exchange_courses SET newest_receipt = $2 WHERE id = $1"
    )
    .bind(id)
    .bind(digest)
    .execute(c)
    .await
    .map(|_| ()))
}

/// How many bytes were handed in in it.
pub async fn bytes(tx: &mut Tx, id: &str) -> sqlx::Result<i64> {
    let bytes: Option<i64> = on!(tx, |c| sqlx::query_scalar(
        "SELECT bytes FROM exchange_courses WHERE id = $1"
    )
    .bind(id)
    .fetch_optional(c)
    .await)?;
    Ok(bytes.unwrap_or_default())
}

/// Counts anew how many bytes were handed in in one: a program from before they were counted may have
/// taken something meanwhile.
pub async fn count_bytes(tx: &mut Tx, id: &str) -> sqlx::Result<()> {
    // Who hands in takes the row first; so what is counted behind this is whole.
    on!(tx, |c| sqlx::query(
        "UPDATE exchange_courses SET receipts = receipts WHERE id = $1"
    )
    .bind(id)
    .execute(c)
    .await
    .map(|_| ()))?;
    on!(tx, |c| {
        sqlx::query(
        "UPDATE exchange_courses SET bytes = (SELECT COALESCE(CAST(SUM(t.bytes) AS BIGINT), 0) \
         FROM exchange_submissions s JOIN exchange_trees t ON t.tree = s.tree WHERE s.course_id = $1) WHERE id = $1"
    )
    .bind(id)
    .execute(c)
    .await
    .map(|_| ())
    })
}

/// Every course that is there, with its bytes, the largest first.
pub async fn largest(tx: &mut Tx) -> sqlx::Result<Vec<(String, i64, i64)>> {
    on!(tx, |c| {
        sqlx::query_as(
        "SELECT name, receipts, bytes FROM exchange_courses WHERE removed_at IS NULL ORDER BY bytes DESC, name"
    )
    .fetch_all(c)
    .await
    })
}
