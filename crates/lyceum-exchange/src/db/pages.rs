//! What pages show of many submissions at once, each with one statement.

use lyceum_store::{Tx, on};

/// Somebody's newest submission for an assignment.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct Newest {
    pub id: String,
    pub assignment_id: String,
    pub student: String,
    pub version: i64,
    pub at: i64,
    pub late: Option<i64>,
    pub number: i64,
    pub files: i64,
    pub bytes: i64,
    /// When something came back for it.
    pub feedback_at: Option<i64>,
    /// How often she handed it in.
    pub times: i64,
    /// When something came back last, for whichever of them.
    pub returned_at: Option<i64>,
}

/// One person's newest for each assignment of a course.
pub async fn own(tx: &mut Tx, course_id: &str, student: &str) -> sqlx::Result<Vec<Newest>> {
    on!(tx, |c| {
        sqlx::query_as(
            "SELECT s.id, s.assignment_id, s.student, s.version, s.at, s.late, s.number, t.files, t.bytes, \
             f.at AS feedback_at, n.times, n.returned_at FROM exchange_submissions s \
             JOIN (SELECT o.assignment_id, MAX(o.number) AS number, COUNT(*) AS times, MAX(b.at) AS returned_at \
             FROM exchange_submissions o LEFT JOIN exchange_feedback b ON b.submission_id = o.id \
             WHERE o.course_id = $1 AND o.student = $2 GROUP BY o.assignment_id) n ON n.number = s.number \
             JOIN exchange_trees t ON t.tree = s.tree \
             LEFT JOIN exchange_feedback f ON f.submission_id = s.id WHERE s.course_id = $1",
        )
        .bind(course_id)
        .bind(student)
        .fetch_all(c)
        .await
    })
}

/// Everybody's newest for an assignment.
pub async fn of_all(tx: &mut Tx, assignment_id: &str) -> sqlx::Result<Vec<Newest>> {
    on!(tx, |c| {
        sqlx::query_as(
            "SELECT s.id, s.assignment_id, s.student, s.version, s.at, s.late, s.number, t.files, t.bytes, \
             f.at AS feedback_at, n.times, n.returned_at FROM exchange_submissions s \
             JOIN (SELECT o.student, MAX(o.number) AS number, COUNT(*) AS times, MAX(b.at) AS returned_at \
             FROM exchange_submissions o LEFT JOIN exchange_feedback b ON b.submission_id = o.id \
             WHERE o.assignment_id = $1 GROUP BY o.student) n ON n.student = s.student AND n.number = s.number \
             JOIN exchange_trees t ON t.tree = s.tree \
             LEFT JOIN exchange_feedback f ON f.submission_id = s.id WHERE s.assignment_id = $1",
        )
        .bind(assignment_id)
        .fetch_all(c)
        .await
    })
}
