//! Everything in its order, for whoever checks it.

use lyceum_store::{Tx, on};

#[derive(Debug, sqlx::FromRow)]
pub struct CourseRow {
    pub id: String,
    pub name: String,
    pub receipts: i64,
    pub newest_receipt: String,
}

/// Those that were removed among them.
pub async fn courses(tx: &mut Tx) -> sqlx::Result<Vec<CourseRow>> {
    on!(tx, |c| sqlx::query_as(
        "SELECT id, name, receipts, newest_receipt FROM exchange_courses ORDER BY id"
    )
    .fetch_all(c)
    .await)
}

/// Whether one is still there, removed or not.
pub async fn has_course(tx: &mut Tx, id: &str) -> sqlx::Result<bool> {
    has(tx, "SELECT id FROM exchange_courses WHERE id = $1", id).await
}

/// Whether a content is still referred to.
pub async fn has_blob(tx: &mut Tx, blob: &str) -> sqlx::Result<bool> {
    has(tx, "SELECT blob FROM exchange_blobs WHERE blob = $1", blob).await
}

async fn has(tx: &mut Tx, sql: &'static str, id: &str) -> sqlx::Result<bool> {
    let found: Option<String> = on!(tx, |c| sqlx::query_scalar(sql)
        .bind(id)
        .fetch_optional(c)
        .await)?;
    Ok(found.is_some())
}

#[derive(Debug, sqlx::FromRow)]
pub struct SubmissionRow {
    pub assignment: String,
    pub version: i64,
    pub student: String,
    pub at: i64,
    pub tree: String,
    pub number: i64,
    pub receipt: String,
    pub receipt_digest: String,
    pub signature: String,
    pub arrived: Option<i64>,
    pub due: Option<i64>,
    pub late: Option<i64>,
}

/// A course's submissions from behind receipt number `after`.
pub async fn submissions(
    tx: &mut Tx,
    course_id: &str,
    after: i64,
    limit: i64,
) -> sqlx::Result<Vec<SubmissionRow>> {
    on!(tx, |c| {
        sqlx::query_as(
        "SELECT a.name AS assignment, s.version, s.student, s.at, s.tree, s.number, s.receipt, s.receipt_digest, s.signature, s.arrived, s.due, s.late \
         FROM exchange_submissions s JOIN exchange_assignments a ON a.id = s.assignment_id \
         WHERE s.course_id = $1 AND s.number > $2 ORDER BY s.number LIMIT $3"
    )
    .bind(course_id)
    .bind(after)
    .bind(limit)
    .fetch_all(c)
    .await
    })
}

/// How many of a course's submissions have numbers that it has not given, at one moment.
pub async fn beyond(tx: &mut Tx, course_id: &str) -> sqlx::Result<i64> {
    on!(tx, |c| sqlx::query_scalar(
        "SELECT COUNT(*) FROM exchange_submissions s JOIN exchange_courses c ON c.id = s.course_id \
         WHERE c.id = $1 AND s.number > c.receipts"
    )
    .bind(course_id)
    .fetch_one(c)
    .await)
}

#[derive(Debug, sqlx::FromRow)]
pub struct TreeRow {
    pub tree: String,
    pub files: i64,
    pub bytes: i64,
}

pub async fn trees(tx: &mut Tx, after: &str, limit: i64) -> sqlx::Result<Vec<TreeRow>> {
    on!(tx, |c| sqlx::query_as(
        "SELECT tree, files, bytes FROM exchange_trees WHERE tree > $1 ORDER BY tree LIMIT $2"
    )
    .bind(after)
    .bind(limit)
    .fetch_all(c)
    .await)
}

#[derive(Debug, sqlx::FromRow)]
pub struct BlobRow {
    pub blob: String,
    pub size: i64,
    pub md5: String,
}

pub async fn blobs(tx: &mut Tx, after: &str, limit: i64) -> sqlx::Result<Vec<BlobRow>> {
    on!(tx, |c| sqlx::query_as(
        "SELECT blob, size, md5 FROM exchange_blobs WHERE blob > $1 ORDER BY blob LIMIT $2"
    )
    .bind(after)
    .bind(limit)
    .fetch_all(c)
    .await)
}
