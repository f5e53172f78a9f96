//! All of a course, for its archive; and its end.

use lyceum_store::{Tx, on};

use crate::archive::Written;

/// A course, removed or not.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct CourseRow {
    pub id: String,
    pub name: String,
    pub made_at: Option<i64>,
    pub removed_at: Option<i64>,
    pub receipts: i64,
    pub newest_receipt: String,
}

/// All that had this name at some time, the first one first.
pub async fn courses(tx: &mut Tx, name: &str) -> sqlx::Result<Vec<CourseRow>> {
    on!(tx, |c| {
        sqlx::query_as(
        "SELECT id, name, made_at, removed_at, receipts, newest_receipt FROM exchange_courses WHERE name = $1 ORDER BY id"
    )
    .bind(name)
    .fetch_all(c)
    .await
    })
}

pub async fn course(tx: &mut Tx, id: &str) -> sqlx::Result<Option<CourseRow>> {
    on!(tx, |c| {
        sqlx::query_as(
        "SELECT id, name, made_at, removed_at, receipts, newest_receipt FROM exchange_courses WHERE id = $1"
    )
    .bind(id)
    .fetch_optional(c)
    .await
    })
}

/// Those that were removed before this time.
pub async fn removed_before(tx: &mut Tx, before: i64) -> sqlx::Result<Vec<CourseRow>> {
    on!(tx, |c| sqlx::query_as(
        "SELECT id, name, made_at, removed_at, receipts, newest_receipt FROM exchange_courses \
         WHERE removed_at < $1 ORDER BY removed_at, id"
    )
    .bind(before)
    .fetch_all(c)
    .await)
}

/// Those that can only be read since before this time, and in which nothing was handed in after they
/// became so. One whose name was freed since is among them: somebody began to let go of it and was cut off.
pub async fn archived_before(tx: &mut Tx, before: i64) -> sqlx::Result<Vec<CourseRow>> {
    on!(tx, |c| {
        sqlx::query_as(
        "SELECT c.id, c.name, c.made_at, c.removed_at, c.receipts, c.newest_receipt FROM exchange_courses c \
         WHERE c.archived_at < $1 AND NOT EXISTS (SELECT 1 FROM exchange_submissions s \
         WHERE s.course_id = c.id AND s.number = c.receipts AND s.at > c.archived_at * 1000) \
         ORDER BY c.archived_at, c.id"
    )
    .bind(before)
    .fetch_all(c)
    .await
    })
}

/// A course that is there.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct ThereRow {
    pub id: String,
    pub name: String,
    /// Since when it can only be read.
    pub archived_at: Option<i64>,
    /// When the newest submission came; in microseconds.
    pub newest_at: Option<i64>,
}

pub async fn there(tx: &mut Tx) -> sqlx::Result<Vec<ThereRow>> {
    on!(tx, |c| sqlx::query_as(
        "SELECT c.id, c.name, c.archived_at, s.at AS newest_at FROM exchange_courses c \
         LEFT JOIN exchange_submissions s ON s.course_id = c.id AND s.number = c.receipts \
         WHERE c.removed_at IS NULL ORDER BY c.id"
    )
    .fetch_all(c)
    .await)
}

pub async fn set_archived(tx: &mut Tx, id: &str, since: Option<i64>) -> sqlx::Result<()> {
    on!(tx, |c| sqlx::query(
        "UPDATE exchange_courses SET archived_at = $2 WHERE id = $1"
    )
    .bind(id)
    .bind(since)
    .execute(c)
    .await
    .map(|_| ()))
}

#[derive(Debug, sqlx::FromRow)]
pub struct AssignmentRow {
    pub id: String,
    pub name: String,
    pub version: i64,
    pub created_at: i64,
    pub withdrawn_at: Option<i64>,
}

pub async fn assignments(tx: &mut Tx, course_id: &str) -> sqlx::Result<Vec<AssignmentRow>> {
    on!(tx, |c| {
        sqlx::query_as(
        "SELECT id, name, version, created_at, withdrawn_at FROM exchange_assignments WHERE course_id = $1 ORDER BY created_at, id"
    )
    .bind(course_id)
    .fetch_all(c)
    .await
    })
}

#[derive(Debug, sqlx::FromRow)]
pub struct SubmissionRow {
    pub id: String,
    pub assignment: String,
    pub version: i64,
    pub student: String,
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
    pub feedback_by: Option<String>,
}

/// From behind receipt number `after`.
pub async fn submissions(
    tx: &mut Tx,
    course_id: &str,
    after: i64,
    limit: i64,
) -> sqlx::Result<Vec<SubmissionRow>> {
    on!(tx, |c| {
        sqlx::query_as(
        "SELECT s.id, a.name AS assignment, s.version, s.student, s.at, s.arrived, s.due, s.late, s.tree, s.number, \
         s.receipt, s.receipt_digest, s.signature, f.tree AS feedback, f.at AS feedback_at, f.given_by AS feedback_by \
         FROM exchange_submissions s JOIN exchange_assignments a ON a.id = s.assignment_id \
         LEFT JOIN exchange_feedback f ON f.submission_id = s.id \
         WHERE s.course_id = $1 AND s.number > $2 ORDER BY s.number LIMIT $3"
    )
    .bind(course_id)
    .bind(after)
    .bind(limit)
    .fetch_all(c)
    .await
    })
}

/// Every tree that a course names, once.
pub async fn trees(tx: &mut Tx, course_id: &str) -> sqlx::Result<Vec<String>> {
    on!(tx, |c| {
        sqlx::query_scalar(
        "SELECT v.tree FROM exchange_versions v JOIN exchange_assignments a ON a.id = v.assignment_id WHERE a.course_id = $1 \
         UNION SELECT s.tree FROM exchange_submissions s WHERE s.course_id = $1 \
         UNION SELECT f.tree FROM exchange_feedback f JOIN exchange_submissions s ON s.id = f.submission_id \
         WHERE s.course_id = $1 ORDER BY 1"
    )
    .bind(course_id)
    .fetch_all(c)
    .await
    })
}

/// How much is kept of a course: assignments, people with a role by request, submissions, and their bytes.
pub async fn size(tx: &mut Tx, course_id: &str) -> sqlx::Result<(i64, i64, i64, i64)> {
    on!(tx, |c| {
        sqlx::query_as(
            "SELECT (SELECT COUNT(*) FROM exchange_assignments a WHERE a.course_id = $1), \
         (SELECT COUNT(*) FROM exchange_people p WHERE p.course_id = $1 AND p.role IS NOT NULL), \
         (SELECT COUNT(*) FROM exchange_submissions s WHERE s.course_id = $1), \
         (SELECT COALESCE(CAST(SUM(t.bytes) AS BIGINT), 0) FROM exchange_submissions s \
          JOIN exchange_trees t ON t.tree = s.tree WHERE s.course_id = $1)",
        )
        .bind(course_id)
        .fetch_one(c)
        .await
    })
}

/// Whether a removed course is still as its archive has it; until the end of the transaction it stays so.
pub async fn hold(tx: &mut Tx, id: &str, archived: &Written) -> sqlx::Result<bool> {
    let is_same = on!(tx, |c| sqlx::query(
        "UPDATE exchange_courses SET receipts = receipts \
         WHERE id = $1 AND removed_at IS NOT NULL AND receipts = $2 AND newest_receipt = $3"
    )
    .bind(id)
    .bind(archived.receipts)
    .bind(&archived.newest_receipt)
    .execute(c)
    .await
    .map(|done| done.rows_affected() == 1))?;
    if !is_same {
        return Ok(false);
    }
    let here: (i64, i64, i64) = on!(tx, |c| {
        sqlx::query_as(
            "SELECT (SELECT COUNT(*) FROM exchange_assignments a WHERE a.course_id = $1), \
         (SELECT COUNT(*) FROM exchange_versions v JOIN exchange_assignments a ON a.id = v.assignment_id \
          WHERE a.course_id = $1), \
         (SELECT COUNT(*) FROM exchange_people p WHERE p.course_id = $1)",
        )
        .bind(id)
        .fetch_one(c)
        .await
    })?;
    let of_archive = [archived.assignments, archived.versions, archived.people];
    Ok([here.0, here.1, here.2].map(u64::try_from) == of_archive.map(Ok))
}

/// Takes away all rows of a course. What they referred to is collected later.
pub async fn delete(tx: &mut Tx, id: &str) -> sqlx::Result<()> {
    for sql in [
        "DELETE FROM exchange_feedback WHERE submission_id IN \
         (SELECT s.id FROM exchange_submissions s WHERE s.course_id = $1)",
        "DELETE FROM exchange_submissions WHERE course_id = $1",
        "DELETE FROM exchange_versions WHERE assignment_id IN \
         (SELECT a.id FROM exchange_assignments a WHERE a.course_id = $1)",
        "DELETE FROM exchange_assignments WHERE course_id = $1",
        "DELETE FROM exchange_people WHERE course_id = $1",
        "DELETE FROM exchange_courses WHERE id = $1",
    ] {
        on!(tx, |c| sqlx::query(sql)
            .bind(id)
            .execute(c)
            .await
            .map(|_| ()))?;
    }
    Ok(())
}
