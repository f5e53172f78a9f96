//! People as rows.

use lyceum_model::clock::Millis;
use lyceum_model::name::UserName;
use lyceum_store::{Tx, on};

#[derive(Debug, Clone, sqlx::FromRow)]
pub struct User {
    pub id: String,
    #[sqlx(try_from = "String")]
    pub name: UserName,
    pub display_name: Option<String>,
    pub admin: bool,
    pub home: String,
    pub created_at: i64,
    pub last_activity_at: Option<i64>,
    pub blocked_at: Option<i64>,
}

const COLUMNS: &str =
    "id, name, display_name, admin, home, created_at, last_activity_at, blocked_at";

macro_rules! select {
    ($rest:literal) => {
        concat!(
            "SELECT id, name, display_name, admin, home, created_at, last_activity_at, blocked_at FROM users ",
            $rest
        )
    };
}

pub async fn find(tx: &mut Tx, name: &UserName) -> sqlx::Result<Option<User>> {
    on!(tx, |c| sqlx::query_as(select!("WHERE name = $1"))
        .bind(name.as_str())
        .fetch_optional(c)
        .await)
}

pub async fn get(tx: &mut Tx, id: &str) -> sqlx::Result<Option<User>> {
    on!(tx, |c| sqlx::query_as(select!("WHERE id = $1"))
        .bind(id)
        .fetch_optional(c)
        .await)
}

/// Leaves it alone when somebody of that name came first; find out with [`find`].
pub async fn insert(tx: &mut Tx, user: &User) -> sqlx::Result<()> {
    on!(tx, |c| {
        sqlx::query(
        "INSERT INTO users (id, name, display_name, admin, home, created_at) VALUES ($1, $2, $3, $4, $5, $6) \
         ON CONFLICT (name) DO NOTHING"
    )
    .bind(&user.id)
    .bind(user.name.as_str())
    .bind(&user.display_name)
    .bind(user.admin)
    .bind(&user.home)
    .bind(user.created_at)
    .execute(c)
    .await
    .map(|_| ())
    })
}

pub async fn set_admin(tx: &mut Tx, id: &str, admin: bool) -> sqlx::Result<()> {
    on!(tx, |c| sqlx::query(
        "UPDATE users SET admin = $2 WHERE id = $1"
    )
    .bind(id)
    .bind(admin)
    .execute(c)
    .await
    .map(|_| ()))
}

pub async fn set_display_name(tx: &mut Tx, id: &str, name: &str) -> sqlx::Result<()> {
    on!(tx, |c| sqlx::query(
        "UPDATE users SET display_name = $2 WHERE id = $1"
    )
    .bind(id)
    .bind(name)
    .execute(c)
    .await
    .map(|_| ()))
}

/// Moves the last activity forward, never back.
pub async fn touch(tx: &mut Tx, id: &str, at: Millis) -> sqlx::Result<()> {
    on!(tx, |c| {
        sqlx::query(
        "UPDATE users SET last_activity_at = $2 WHERE id = $1 AND (last_activity_at IS NULL OR last_activity_at < $2)"
    )
    .bind(id)
    .bind(at.0)
    .execute(c)
    .await
    .map(|_| ())
    })
}

/// How a list of people is ordered.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Sort {
    #[default]
    Name,
    NameDown,
    Activity,
    ActivityDown,
    Created,
    CreatedDown,
}

impl Sort {
    fn sql(self) -> &'static str {
        match self {
            Self::Name => "name",
            Self::NameDown => "name DESC",
            Self::Activity => "COALESCE(last_activity_at, 0), name",
            Self::ActivityDown => "COALESCE(last_activity_at, 0) DESC, name",
            Self::Created => "created_at, name",
            Self::CreatedDown => "created_at DESC, name",
        }
    }
}

/// One page of people whose name holds `filter`.
pub async fn list(
    tx: &mut Tx,
    filter: &str,
    sort: Sort,
    offset: i64,
    limit: i64,
) -> sqlx::Result<Vec<User>> {
    let sql = format!(
        "SELECT {COLUMNS} FROM users WHERE name LIKE $1 ESCAPE '!' ORDER BY {} LIMIT $2 OFFSET $3",
        sort.sql()
    );
    on!(tx, |c| sqlx::query_as(sqlx::AssertSqlSafe(sql))
        .bind(contains(filter))
        .bind(limit)
        .bind(offset)
        .fetch_all(c)
        .await)
}

pub async fn count(tx: &mut Tx, filter: &str) -> sqlx::Result<i64> {
    let (count,): (i64,) = on!(tx, |c| sqlx::query_as(
        "SELECT COUNT(*) FROM users WHERE name LIKE $1 ESCAPE '!'"
    )
    .bind(contains(filter))
    .fetch_one(c)
    .await)?;
    Ok(count)
}

/// Whether there is an administrator who may still come in.
pub async fn any_admin(tx: &mut Tx) -> sqlx::Result<bool> {
    let found: Option<(String,)> = on!(tx, |c| sqlx::query_as(
        "SELECT id FROM users WHERE admin AND blocked_at IS NULL LIMIT 1"
    )
    .fetch_optional(c)
    .await)?;
    Ok(found.is_some())
}

pub async fn admins(tx: &mut Tx) -> sqlx::Result<Vec<User>> {
    on!(tx, |c| sqlx::query_as(select!(
        "WHERE admin ORDER BY name LIMIT 1000"
    ))
    .fetch_all(c)
    .await)
}

/// A LIKE pattern for "holds this text", with the wildcards of the text itself made harmless.
fn contains(text: &str) -> String {
    let mut pattern = String::from("%");
    for c in text.to_lowercase().chars() {
        if matches!(c, '%' | '_' | '!') {
            pattern.push('!');
        }
        pattern.push(c);
    }
    pattern.push('%');
    pattern
}

#[cfg(test)]
mod tests {
    #[test]
    fn wildcards_are_text() {
        assert_eq!(super::contains("a_b%!"), "%a!_b!%!!%");
        assert_eq!(super::contains("Ada"), "%ada%");
    }
}
