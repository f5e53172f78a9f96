//! What the exchange has of one person, in all courses: those that were removed among them.

use lyceum_store::{Tx, on};

/// Where she is called something.
#[derive(Debug, sqlx::FromRow)]
pub struct PlaceRow {
    pub course: String,
    pub role: Option<String>,
    pub first_name: Option<String>,
    pub last_name: Option<String>,
    pub email: Option<String>,
}

pub async fn places(tx: &mut Tx, name: &str) -> sqlx::Result<Vec<PlaceRow>> {
    on!(tx, |c| {
        sqlx::query_as(
        "SELECT c.name AS course, p.role, p.first_name, p.last_name, p.email FROM exchange_people p \
         JOIN exchange_courses c ON c.id = p.course_id WHERE p.name = $1 ORDER BY c.id"
    )
    .bind(name)
    .fetch_all(c)
    .await
    })
}

/// Something she handed in.
#[derive(Debug, Clone, sqlx::FromRow)]
pub struct SubmissionRow {
    pub id: String,
    pub course: String,
    pub course_id: String,
    pub assignment: String,
    pub version: i64,
    pub at: i64,
    pub arrived: Option<i64>,
    pub due: Option<i64>,
    pub late: Option<i64>,
    pub tree: String,
    pub number: i64,
    pub receipt: String,
    pub receipt_digest: String,
    pub signature: String,
    pub feedback: Option<String>,
    pub feedback_at: Option<i64>,
}

pub async fn submissions(tx: &mut Tx, name: &str) -> sqlx::Result<Vec<SubmissionRow>> {
    // Course by course, as the index has them.
    on!(tx, |c| {
        sqlx::query_as(
        "SELECT s.id, c.name AS course, c.id AS course_id, a.name AS assignment, s.version, s.at, s.arrived, s.due, s.late, \
         s.tree, s.number, s.receipt, s.receipt_digest, s.signature, f.tree AS feedback, f.at AS feedback_at \
         FROM exchange_courses c JOIN exchange_submissions s ON s.course_id = c.id AND s.student = $1 \
         JOIN exchange_assignments a ON a.id = s.assignment_id \
         LEFT JOIN exchange_feedback f ON f.submission_id = s.id ORDER BY c.id, s.number"
    )
    .bind(name)
    .fetch_all(c)
    .await
    })
}

/// What she gave back to others, and what she released, in numbers.
pub async fn deeds(tx: &mut Tx, name: &str) -> sqlx::Result<(i64, i64)> {
    on!(tx, |c| {
        sqlx::query_as(
            "SELECT (SELECT COUNT(*) FROM exchange_feedback WHERE given_by = $1), \
         (SELECT COUNT(*) FROM exchange_versions WHERE released_by = $1)",
        )
        .bind(name)
        .fetch_one(c)
        .await
    })
}

/// The digest of the receipt before one of a course; nothing before the first.
pub async fn receipt_before(tx: &mut Tx, course_id: &str, number: i64) -> sqlx::Result<String> {
    let digest: Option<String> = on!(tx, |c| sqlx::query_scalar(
        "SELECT receipt_digest FROM exchange_submissions WHERE course_id = $1 AND number = $2"
    )
    .bind(course_id)
    .bind(number - 1)
    .fetch_optional(c)
    .await)?;
    Ok(digest.unwrap_or_default())
}

/// Another receipt, name and list of files in the place of those that were there. The digest by which
/// the next receipt names this one stays.
pub async fn replace(
    tx: &mut Tx,
    id: &str,
    student: &str,
    tree: &str,
    (receipt, signature): (&str, &str),
) -> sqlx::Result<()> {
    on!(tx, |c| {
        sqlx::query(
        "UPDATE exchange_submissions SET student = $2, tree = $3, receipt = $4, signature = $5 WHERE id = $1"
    )
    .bind(id)
    .bind(student)
    .bind(tree)
    .bind(receipt)
    .bind(signature)
    .execute(c)
    .await
    .map(|_| ())
    })
}

pub async fn delete_feedback(tx: &mut Tx, submission_id: &str) -> sqlx::Result<()> {
    on!(tx, |c| sqlx::query(
        "DELETE FROM exchange_feedback WHERE submission_id = $1"
    )
    .bind(submission_id)
    .execute(c)
    .await
    .map(|_| ()))
}

/// She is in no course by request any more, and what she gave and released somebody else did. Says how many
/// rows said so.
pub async fn forget(tx: &mut Tx, name: &str, pseudonym: &str) -> sqlx::Result<u64> {
    let mut changed = on!(tx, |c| sqlx::query(
        "DELETE FROM exchange_people WHERE name = $1"
    )
    .bind(name)
    .execute(c)
    .await
    .map(|done| done.rows_affected()))?;
    for sql in [
        "UPDATE exchange_feedback SET given_by = $2 WHERE given_by = $1",
        "UPDATE exchange_versions SET released_by = $2 WHERE released_by = $1",
    ] {
        changed += on!(tx, |c| sqlx::query(sql)
            .bind(name)
            .bind(pseudonym)
            .execute(c)
            .await
            .map(|done| done.rows_affected()))?;
    }
    Ok(changed)
}
