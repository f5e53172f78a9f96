//! What was handed in. Rows are added, never changed.

use lyceum_store::{Tx, on};

#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct Row {
    pub id: String,
    pub assignment_id: String,
    pub version: i64,
    pub student: String,
    pub at: i64,
    pub tree: String,
    pub course_id: String,
    pub number: i64,
    pub receipt: String,
    pub receipt_digest: String,
    pub signature: String,
}

macro_rules! select {
    ($rest:literal) => {
        concat!(
            "SELECT id, assignment_id, version, student, at, tree, course_id, number, receipt, receipt_digest, signature \
             FROM exchange_submissions ",
            $rest
        )
    };
}

pub async fn insert(tx: &mut Tx, row: &Row) -> sqlx::Result<()> {
    on!(tx, |c| {
        sqlx::query(
        "INSERT INTO exchange_submissions (id, assignment_id, version, student, at, tree, course_id, number, receipt, \
         receipt_digest, signature) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)"
    )
    .bind(&row.id)
    .bind(&row.assignment_id)
    .bind(row.version)
    .bind(&row.student)
    .bind(row.at)
    .bind(&row.tree)
    .bind(&row.course_id)
    .bind(row.number)
    .bind(&row.receipt)
    .bind(&row.receipt_digest)
    .bind(&row.signature)
    .execute(c)
    .await
    .map(|_| ())
    })
}

/// Who handed something in and when, the oldest first.
pub async fn list(tx: &mut Tx, assignment_id: &str) -> sqlx::Result<Vec<(String, i64)>> {
    on!(tx, |c| sqlx::query_as(
        "SELECT student, at FROM exchange_submissions WHERE assignment_id = $1 ORDER BY at, number"
    )
    .bind(assignment_id)
    .fetch_all(c)
    .await)
}

pub async fn list_of(
    tx: &mut Tx,
    assignment_id: &str,
    student: &str,
) -> sqlx::Result<Vec<(String, i64)>> {
    on!(tx, |c| {
        sqlx::query_as(
        "SELECT student, at FROM exchange_submissions WHERE assignment_id = $1 AND student = $2 ORDER BY at"
    )
    .bind(assignment_id)
    .bind(student)
    .fetch_all(c)
    .await
    })
}

/// How often somebody handed in.
pub async fn count(tx: &mut Tx, assignment_id: &str, student: &str) -> sqlx::Result<i64> {
    on!(tx, |c| sqlx::query_scalar(
        "SELECT COUNT(*) FROM exchange_submissions WHERE assignment_id = $1 AND student = $2"
    )
    .bind(assignment_id)
    .bind(student)
    .fetch_one(c)
    .await)
}

pub async fn newest(tx: &mut Tx, assignment_id: &str, student: &str) -> sqlx::Result<Option<Row>> {
    on!(tx, |c| sqlx::query_as(select!(
        "WHERE assignment_id = $1 AND student = $2 ORDER BY at DESC LIMIT 1"
    ))
    .bind(assignment_id)
    .bind(student)
    .fetch_optional(c)
    .await)
}

pub async fn find(
    tx: &mut Tx,
    assignment_id: &str,
    student: &str,
    at: i64,
) -> sqlx::Result<Option<Row>> {
    on!(tx, |c| sqlx::query_as(select!(
        "WHERE assignment_id = $1 AND student = $2 AND at = $3"
    ))
    .bind(assignment_id)
    .bind(student)
    .bind(at)
    .fetch_optional(c)
    .await)
}
