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
    /// When the last of it was there, in milliseconds.
    pub arrived: Option<i64>,
    /// When it was due for whoever handed it in, in milliseconds.
    pub due: Option<i64>,
    /// Seconds.
    pub late: Option<i64>,
}

macro_rules! select {
    ($rest:literal) => {
        concat!(
            "SELECT id, assignment_id, version, student, at, tree, course_id, number, receipt, receipt_digest, signature, arrived, due, late \
             FROM exchange_submissions ",
            $rest
        )
    };
}

pub async fn insert(tx: &mut Tx, row: &Row) -> sqlx::Result<()> {
    on!(tx, |c| {
        sqlx::query(
        "INSERT INTO exchange_submissions (id, assignment_id, version, student, at, tree, course_id, number, receipt, \
         receipt_digest, signature, arrived, due, late) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)"
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
    .bind(row.arrived)
    .bind(row.due)
    .bind(row.late)
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

/// How many bytes somebody has handed in in a course.
pub async fn bytes_of(tx: &mut Tx, course_id: &str, student: &str) -> sqlx::Result<i64> {
    on!(tx, |c| {
        sqlx::query_scalar(
            "SELECT COALESCE(CAST(SUM(t.bytes) AS BIGINT), 0) FROM exchange_submissions s \
         JOIN exchange_trees t ON t.tree = s.tree WHERE s.course_id = $1 AND s.student = $2",
        )
        .bind(course_id)
        .bind(student)
        .fetch_one(c)
        .await
    })
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

/// A submission as it is told of.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct Told {
    pub id: String,
    pub assignment: String,
    pub version: i64,
    pub student: String,
    pub at: i64,
    pub due: Option<i64>,
    pub late: Option<i64>,
    pub number: i64,
    pub tree: String,
    pub files: i64,
    pub bytes: i64,
    pub receipt: String,
    pub signature: String,
    pub feedback: Option<String>,
    pub feedback_at: Option<i64>,
}

macro_rules! told {
    ($rest:literal) => {
        concat!(
            "SELECT s.id, a.name AS assignment, s.version, s.student, s.at, s.due, s.late, s.number, s.tree, t.files, t.bytes, \
             s.receipt, s.signature, f.tree AS feedback, f.at AS feedback_at FROM exchange_submissions s \
             JOIN exchange_assignments a ON a.id = s.assignment_id JOIN exchange_trees t ON t.tree = s.tree \
             LEFT JOIN exchange_feedback f ON f.submission_id = s.id ",
            $rest
        )
    };
}

/// Which of a course; what is empty says nothing.
#[derive(Debug, Clone, Copy)]
pub struct Wanted<'a> {
    pub assignment_id: &'a str,
    pub student: &'a str,
    /// With a smaller number.
    pub before: i64,
    pub limit: i64,
}

/// The newest first.
pub async fn page(tx: &mut Tx, course_id: &str, wanted: Wanted<'_>) -> sqlx::Result<Vec<Told>> {
    // Two texts, so that one student's are found by their index.
    let text = match wanted.student {
        "" => told!(
            "WHERE s.course_id = $1 AND ($2 = '' OR s.assignment_id = $2) AND $3 = '' AND s.number < $4 \
             ORDER BY s.number DESC LIMIT $5"
        ),
        _ => told!(
            "WHERE s.course_id = $1 AND ($2 = '' OR s.assignment_id = $2) AND s.student = $3 AND s.number < $4 \
             ORDER BY s.number DESC LIMIT $5"
        ),
    };
    on!(tx, |c| {
        sqlx::query_as(text)
            .bind(course_id)
            .bind(wanted.assignment_id)
            .bind(wanted.student)
            .bind(wanted.before)
            .bind(wanted.limit)
            .fetch_all(c)
            .await
    })
}

pub async fn find_told(tx: &mut Tx, course_id: &str, id: &str) -> sqlx::Result<Option<Told>> {
    on!(tx, |c| sqlx::query_as(told!(
        "WHERE s.course_id = $1 AND s.id = $2"
    ))
    .bind(course_id)
    .bind(id)
    .fetch_optional(c)
    .await)
}

/// Each person's newest of an assignment.
pub async fn newest_of_all(tx: &mut Tx, assignment_id: &str) -> sqlx::Result<Vec<Told>> {
    on!(tx, |c| {
        sqlx::query_as(told!(
        "JOIN (SELECT student, MAX(at) AS at FROM exchange_submissions WHERE assignment_id = $1 GROUP BY student) n \
         ON n.student = s.student AND n.at = s.at WHERE s.assignment_id = $1 ORDER BY s.student"
    ))
    .bind(assignment_id)
    .fetch_all(c)
    .await
    })
}
