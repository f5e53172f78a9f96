//! Who people are at places that Lyceum does not keep.

use lyceum_model::clock::Millis;
use lyceum_model::identity::Subject;
use lyceum_model::name::UserName;
use lyceum_store::{Tx, on};

/// Somebody's mark elsewhere, and whose it is here.
#[derive(Debug, Clone, sqlx::FromRow)]
pub struct Known {
    pub user_id: String,
    /// Groups that she is in because of it, as a list in JSON.
    pub groups: String,
    /// Whether she is an administrator because of it.
    pub admin: bool,
}

pub async fn find(tx: &mut Tx, subject: &Subject) -> sqlx::Result<Option<Known>> {
    on!(tx, |c| sqlx::query_as(
        "SELECT user_id, groups, admin FROM identities WHERE issuer = $1 AND subject = $2"
    )
    .bind(&subject.issuer)
    .bind(&subject.id)
    .fetch_optional(c)
    .await)
}

/// Somebody who is known here by a mark.
#[derive(Debug, Clone)]
pub struct Marked {
    pub mark: String,
    pub user_id: String,
    pub name: UserName,
}

/// So many marks are looked up at once.
const AT_ONCE: usize = 500;

/// Those of these marks at one place that lead to somebody. Whose name is damaged is left out.
pub async fn find_all(tx: &mut Tx, issuer: &str, marks: &[&str]) -> sqlx::Result<Vec<Marked>> {
    let mut found = Vec::new();
    for some in marks.chunks(AT_ONCE) {
        let sql = format!(
            "SELECT i.subject, u.id, u.name FROM identities i JOIN users u ON u.id = i.user_id \
             WHERE i.issuer = $1 AND i.subject IN ({})",
            super::users::places(2, some.len())
        );
        let rows: Vec<(String, String, String)> = on!(tx, |c| {
            let mut query = sqlx::query_as(sqlx::AssertSqlSafe(sql)).bind(issuer);
            for mark in some {
                query = query.bind(*mark);
            }
            query.fetch_all(c).await
        })?;
        found.extend(rows.into_iter().filter_map(|(mark, user_id, name)| {
            let name = UserName::parse(&name).ok()?;
            Some(Marked {
                mark,
                user_id,
                name,
            })
        }));
    }
    Ok(found)
}

/// What she is called here, whatever she is called there now.
pub async fn name_of(tx: &mut Tx, subject: &Subject) -> sqlx::Result<Option<UserName>> {
    let name: Option<String> = on!(tx, |c| {
        sqlx::query_scalar(
            "SELECT u.name FROM users u JOIN identities i ON i.user_id = u.id WHERE i.issuer = $1 AND i.subject = $2",
        )
        .bind(&subject.issuer)
        .bind(&subject.id)
        .fetch_optional(c)
        .await
    })?;
    name.map(|name| UserName::parse(&name).map_err(|error| sqlx::Error::Decode(error.into())))
        .transpose()
}

/// Leaves it alone when somebody was faster, and tells whether it was written.
pub async fn insert(
    tx: &mut Tx,
    subject: &Subject,
    user_id: &str,
    now: Millis,
) -> sqlx::Result<bool> {
    on!(tx, |c| {
        sqlx::query(
            "INSERT INTO identities (issuer, subject, user_id, created_at, seen_at) VALUES ($1, $2, $3, $4, $4) \
             ON CONFLICT (issuer, subject) DO NOTHING",
        )
        .bind(&subject.issuer)
        .bind(&subject.id)
        .bind(user_id)
        .bind(now.0)
        .execute(c)
        .await
        .map(|done| done.rows_affected() > 0)
    })
}

/// What it gave her this time.
pub async fn update(
    tx: &mut Tx,
    subject: &Subject,
    groups: &str,
    admin: bool,
    now: Millis,
) -> sqlx::Result<()> {
    on!(tx, |c| {
        sqlx::query(
            "UPDATE identities SET groups = $3, admin = $4, seen_at = $5 WHERE issuer = $1 AND subject = $2",
        )
        .bind(&subject.issuer)
        .bind(&subject.id)
        .bind(groups)
        .bind(admin)
        .bind(now.0)
        .execute(c)
        .await
        .map(|_| ())
    })
}

/// Whether any mark leads to this person.
pub async fn lead_to(tx: &mut Tx, user_id: &str) -> sqlx::Result<bool> {
    let many: i64 = on!(tx, |c| sqlx::query_scalar(
        "SELECT COUNT(*) FROM identities WHERE user_id = $1"
    )
    .bind(user_id)
    .fetch_one(c)
    .await)?;
    Ok(many > 0)
}

/// A mark as a list shows it.
#[derive(Debug, Clone, sqlx::FromRow)]
pub struct Mark {
    /// Whose it is here.
    pub user: String,
    pub issuer: String,
    pub subject: String,
    pub created_at: i64,
    pub seen_at: i64,
}

/// All marks of everybody, or of one person, in the order of names.
pub async fn list(tx: &mut Tx, user_id: Option<&str>, most: i64) -> sqlx::Result<Vec<Mark>> {
    on!(tx, |c| {
        sqlx::query_as(
            "SELECT u.name AS \"user\", i.issuer, i.subject, i.created_at, i.seen_at \
             FROM identities i JOIN users u ON u.id = i.user_id WHERE $1 IS NULL OR i.user_id = $1 \
             ORDER BY u.name, i.issuer, i.subject LIMIT $2",
        )
        .bind(user_id)
        .bind(most)
        .fetch_all(c)
        .await
    })
}

pub async fn delete(tx: &mut Tx, subject: &Subject) -> sqlx::Result<()> {
    on!(tx, |c| {
        sqlx::query("DELETE FROM identities WHERE issuer = $1 AND subject = $2")
            .bind(&subject.issuer)
            .bind(&subject.id)
            .execute(c)
            .await
            .map(|_| ())
    })
}
