//! Assignments and their versions.

use lyceum_store::{Tx, on};

#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct Row {
    pub id: String,
    pub name: String,
    pub version: i64,
    pub withdrawn_at: Option<i64>,
}

/// Also one that was withdrawn.
pub async fn find(tx: &mut Tx, course_id: &str, name: &str) -> sqlx::Result<Option<Row>> {
    on!(tx, |c| {
        sqlx::query_as(
        "SELECT id, name, version, withdrawn_at FROM exchange_assignments WHERE course_id = $1 AND name = $2"
    )
    .bind(course_id)
    .bind(name)
    .fetch_optional(c)
    .await
    })
}

/// The names of those that can be had, the oldest first.
pub async fn list(tx: &mut Tx, course_id: &str) -> sqlx::Result<Vec<String>> {
    on!(tx, |c| {
        sqlx::query_scalar(
        "SELECT name FROM exchange_assignments WHERE course_id = $1 AND withdrawn_at IS NULL ORDER BY created_at, id"
    )
    .bind(course_id)
    .fetch_all(c)
    .await
    })
}

/// Does nothing when there is one of this name; says whether there was none.
pub async fn insert(
    tx: &mut Tx,
    id: &str,
    course_id: &str,
    name: &str,
    now: i64,
) -> sqlx::Result<bool> {
    on!(tx, |c| {
        sqlx::query(
        "INSERT INTO exchange_assignments (id, course_id, name, version, created_at) VALUES ($1, $2, $3, 1, $4) \
         ON CONFLICT (course_id, name) DO NOTHING"
    )
    .bind(id)
    .bind(course_id)
    .bind(name)
    .bind(now)
    .execute(c)
    .await
    .map(|done| done.rows_affected() > 0)
    })
}

/// Counts on and makes it available again; gives the new version. Nothing when it is available.
pub async fn renew(tx: &mut Tx, id: &str) -> sqlx::Result<Option<i64>> {
    on!(tx, |c| sqlx::query_scalar(
        "UPDATE exchange_assignments SET version = version + 1, withdrawn_at = NULL \
         WHERE id = $1 AND withdrawn_at IS NOT NULL RETURNING version"
    )
    .bind(id)
    .fetch_optional(c)
    .await)
}

pub async fn withdraw(tx: &mut Tx, id: &str, now: i64) -> sqlx::Result<()> {
    on!(tx, |c| sqlx::query(
        "UPDATE exchange_assignments SET withdrawn_at = $2 WHERE id = $1 AND withdrawn_at IS NULL"
    )
    .bind(id)
    .bind(now)
    .execute(c)
    .await
    .map(|_| ()))
}

pub async fn insert_version(
    tx: &mut Tx,
    assignment_id: &str,
    version: i64,
    tree: &str,
    (released_at, released_by): (i64, &str),
) -> sqlx::Result<()> {
    on!(tx, |c| {
        sqlx::query(
        "INSERT INTO exchange_versions (assignment_id, version, tree, released_at, released_by) VALUES ($1, $2, $3, $4, $5)"
    )
    .bind(assignment_id)
    .bind(version)
    .bind(tree)
    .bind(released_at)
    .bind(released_by)
    .execute(c)
    .await
    .map(|_| ())
    })
}

/// The tree of a version.
pub async fn tree(tx: &mut Tx, assignment_id: &str, version: i64) -> sqlx::Result<String> {
    on!(tx, |c| sqlx::query_scalar(
        "SELECT tree FROM exchange_versions WHERE assignment_id = $1 AND version = $2"
    )
    .bind(assignment_id)
    .bind(version)
    .fetch_one(c)
    .await)
}

/// The paths of all files that were ever handed out with it.
pub async fn paths(tx: &mut Tx, assignment_id: &str) -> sqlx::Result<Vec<String>> {
    on!(tx, |c| {
        sqlx::query_scalar(
        "SELECT DISTINCT f.path FROM exchange_versions v JOIN exchange_tree_files f ON f.tree = v.tree \
         WHERE v.assignment_id = $1"
    )
    .bind(assignment_id)
    .fetch_all(c)
    .await
    })
}

/// An assignment that was released at some time, with its newest version.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct Released {
    pub id: String,
    pub name: String,
    pub version: i64,
    pub withdrawn_at: Option<i64>,
    pub released_at: i64,
    pub released_by: String,
}

/// All of a course, the oldest first.
pub async fn released(tx: &mut Tx, course_id: &str) -> sqlx::Result<Vec<Released>> {
    on!(tx, |c| {
        sqlx::query_as(
        "SELECT a.id, a.name, a.version, a.withdrawn_at, v.released_at, v.released_by FROM exchange_assignments a \
         JOIN exchange_versions v ON v.assignment_id = a.id AND v.version = a.version \
         WHERE a.course_id = $1 ORDER BY a.created_at, a.id"
    )
    .bind(course_id)
    .fetch_all(c)
    .await
    })
}

#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct Version {
    pub version: i64,
    pub tree: String,
    pub files: i64,
    pub bytes: i64,
    pub released_at: i64,
    pub released_by: String,
}

/// From the newest on.
pub async fn versions(tx: &mut Tx, assignment_id: &str, limit: i64) -> sqlx::Result<Vec<Version>> {
    on!(tx, |c| {
        sqlx::query_as(
        "SELECT v.version, v.tree, t.files, t.bytes, v.released_at, v.released_by FROM exchange_versions v \
         JOIN exchange_trees t ON t.tree = v.tree WHERE v.assignment_id = $1 ORDER BY v.version DESC LIMIT $2"
    )
    .bind(assignment_id)
    .bind(limit)
    .fetch_all(c)
    .await
    })
}

pub async fn find_tree(
    tx: &mut Tx,
    assignment_id: &str,
    version: i64,
) -> sqlx::Result<Option<(String, i64)>> {
    on!(tx, |c| sqlx::query_as(
        "SELECT tree, released_at FROM exchange_versions WHERE assignment_id = $1 AND version = $2"
    )
    .bind(assignment_id)
    .bind(version)
    .fetch_optional(c)
    .await)
}

/// Counts on, whether it is available or not, and makes it available; gives the new version.
pub async fn next_version(tx: &mut Tx, id: &str) -> sqlx::Result<i64> {
    on!(tx, |c| {
        sqlx::query_scalar(
        "UPDATE exchange_assignments SET version = version + 1, withdrawn_at = NULL WHERE id = $1 RETURNING version"
    )
    .bind(id)
    .fetch_one(c)
    .await
    })
}
