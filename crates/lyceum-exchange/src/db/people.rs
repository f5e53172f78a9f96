//! People who were added by request, and what people are called in a course.

use lyceum_store::{Tx, on};

#[derive(Debug, Clone, Default, PartialEq, Eq, sqlx::FromRow)]
pub struct Row {
    pub name: String,
    /// A word of [`crate::people::Added`].
    pub role: Option<String>,
    pub first_name: Option<String>,
    pub last_name: Option<String>,
    pub email: Option<String>,
}

pub async fn find(tx: &mut Tx, course_id: &str, name: &str) -> sqlx::Result<Option<Row>> {
    on!(tx, |c| {
        sqlx::query_as(
        "SELECT name, role, first_name, last_name, email FROM exchange_people WHERE course_id = $1 AND name = $2"
    )
    .bind(course_id)
    .bind(name)
    .fetch_optional(c)
    .await
    })
}

pub async fn list(tx: &mut Tx, course_id: &str) -> sqlx::Result<Vec<Row>> {
    on!(tx, |c| sqlx::query_as(
        "SELECT name, role, first_name, last_name, email FROM exchange_people WHERE course_id = $1"
    )
    .bind(course_id)
    .fetch_all(c)
    .await)
}

/// The courses to which somebody was added, each with whether it was made by request, and as what.
pub async fn courses_of(tx: &mut Tx, name: &str) -> sqlx::Result<Vec<(String, bool, String)>> {
    let rows: Vec<(String, Option<i64>, String)> = on!(tx, |c| {
        sqlx::query_as(
        "SELECT c.name, c.made_at, p.role FROM exchange_people p JOIN exchange_courses c ON c.id = p.course_id \
         WHERE p.name = $1 AND p.role IS NOT NULL AND c.removed_at IS NULL"
    )
    .bind(name)
    .fetch_all(c)
    .await
    })?;
    let rows = rows.into_iter();
    Ok(rows
        .map(|(name, made, role)| (name, made.is_some(), role))
        .collect())
}

/// Whether a name is that of somebody: she was added to a course, or has handed something in.
pub async fn is_named(tx: &mut Tx, name: &str) -> sqlx::Result<bool> {
    // Course by course, since what was handed in is found by course and student.
    let found: Option<String> = on!(tx, |c| {
        sqlx::query_scalar(
        "SELECT c.id FROM exchange_courses c WHERE \
         EXISTS (SELECT 1 FROM exchange_people p WHERE p.course_id = c.id AND p.name = $1 AND p.role IS NOT NULL) \
         OR EXISTS (SELECT 1 FROM exchange_submissions s WHERE s.course_id = c.id AND s.student = $1) LIMIT 1"
    )
    .bind(name)
    .fetch_optional(c)
    .await
    })?;
    Ok(found.is_some())
}

/// Takes the place of what was there.
pub async fn put(tx: &mut Tx, course_id: &str, row: &Row) -> sqlx::Result<()> {
    on!(tx, |c| {
        sqlx::query(
        "INSERT INTO exchange_people (course_id, name, role, first_name, last_name, email) \
         VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (course_id, name) DO UPDATE SET role = excluded.role, \
         first_name = excluded.first_name, last_name = excluded.last_name, email = excluded.email"
    )
    .bind(course_id)
    .bind(&row.name)
    .bind(&row.role)
    .bind(&row.first_name)
    .bind(&row.last_name)
    .bind(&row.email)
    .execute(c)
    .await
    .map(|_| ())
    })
}

pub async fn delete(tx: &mut Tx, course_id: &str, name: &str) -> sqlx::Result<()> {
    on!(tx, |c| sqlx::query(
        "DELETE FROM exchange_people WHERE course_id = $1 AND name = $2"
    )
    .bind(course_id)
    .bind(name)
    .execute(c)
    .await
    .map(|_| ()))
}
