//! Shares of servers, and the codes that are changed for them. Scopes stand here without filters: each
//! is for the one server.

use lyceum_model::clock::Millis;
use lyceum_model::id::new_id;
use lyceum_model::name::{ServerName, UserName};
use lyceum_store::{Tx, on};

use super::users::places;
use crate::servers::State;

/// More than anybody is given; what is beyond counts for nothing.
const MOST_GIVEN: i64 = 2_000;

/// A server that was shared with a person or a group.
#[derive(Debug, Clone, sqlx::FromRow)]
pub struct Share {
    pub id: String,
    pub server_id: String,
    #[sqlx(try_from = "String")]
    pub owner: UserName,
    #[sqlx(try_from = "String")]
    pub server: ServerName,
    pub title: Option<String>,
    #[sqlx(try_from = "String")]
    pub state: State,
    pub user_name: Option<String>,
    /// What she is called.
    pub user_title: Option<String>,
    pub group_name: Option<String>,
    pub created_at: i64,
}

/// Whom a server is shared with.
#[derive(Debug, Clone, Copy)]
pub enum With<'a> {
    /// By the id.
    User(&'a str),
    Group(&'a str),
}

/// Which shares, or codes, by the id of what they are of.
#[derive(Debug, Clone, Copy)]
pub enum Of<'a> {
    Server(&'a str),
    /// All of a person's servers.
    Owner(&'a str),
    /// With her, or with a group that she is in.
    Holder(&'a str),
    /// With the group itself.
    Group(&'a str),
}

impl<'a> Of<'a> {
    fn id(self) -> &'a str {
        match self {
            Self::Server(id) | Self::Owner(id) | Self::Holder(id) | Self::Group(id) => id,
        }
    }

    fn condition(self) -> &'static str {
        match self {
            Self::Server(_) => "s.server_id = $1",
            Self::Owner(_) => "v.user_id = $1",
            Self::Holder(_) => {
                "s.id IN (SELECT id FROM shares WHERE user_id = $1 UNION \
                 SELECT h.id FROM shares h JOIN group_members m ON m.group_id = h.group_id WHERE m.user_id = $1)"
            }
            Self::Group(_) => "s.group_id = $1",
        }
    }
}

const SHARES: &str = "FROM shares s JOIN servers v ON v.id = s.server_id JOIN users o ON o.id = v.user_id \
     LEFT JOIN users u ON u.id = s.user_id LEFT JOIN groups g ON g.id = s.group_id";
const SHARE: &str = "SELECT s.id, s.server_id, o.name AS owner, v.name AS server, v.display_name AS title, v.state, \
     u.name AS user_name, u.display_name AS user_title, g.name AS group_name, s.created_at";

/// One page of shares, the oldest first.
pub async fn list(tx: &mut Tx, of: Of<'_>, offset: i64, limit: i64) -> sqlx::Result<Vec<Share>> {
    let sql = format!(
        "{SHARE} {SHARES} WHERE {} ORDER BY s.id LIMIT $2 OFFSET $3",
        of.condition()
    );
    on!(tx, |c| sqlx::query_as(sqlx::AssertSqlSafe(sql))
        .bind(of.id())
        .bind(limit)
        .bind(offset)
        .fetch_all(c)
        .await)
}

pub async fn count(tx: &mut Tx, of: Of<'_>) -> sqlx::Result<i64> {
    let sql = format!("SELECT COUNT(*) {SHARES} WHERE {}", of.condition());
    on!(tx, |c| sqlx::query_scalar(sqlx::AssertSqlSafe(sql))
        .bind(of.id())
        .fetch_one(c)
        .await)
}

pub async fn find(tx: &mut Tx, server_id: &str, with: With<'_>) -> sqlx::Result<Option<Share>> {
    let (column, id) = match with {
        With::User(id) => ("s.user_id", id),
        With::Group(id) => ("s.group_id", id),
    };
    let sql = format!("{SHARE} {SHARES} WHERE s.server_id = $1 AND {column} = $2");
    on!(tx, |c| sqlx::query_as(sqlx::AssertSqlSafe(sql))
        .bind(server_id)
        .bind(id)
        .fetch_optional(c)
        .await)
}

pub async fn get(tx: &mut Tx, id: &str) -> sqlx::Result<Option<Share>> {
    let sql = format!("{SHARE} {SHARES} WHERE s.id = $1");
    on!(tx, |c| sqlx::query_as(sqlx::AssertSqlSafe(sql))
        .bind(id)
        .fetch_optional(c)
        .await)
}

/// The scopes of these shares: ids with names.
pub async fn scopes(tx: &mut Tx, ids: &[&str]) -> sqlx::Result<Vec<(String, String)>> {
    let sql = format!(
        "SELECT DISTINCT share_id, scope FROM share_scopes WHERE share_id IN ({}) ORDER BY scope",
        places(1, ids.len())
    );
    on!(tx, |c| {
        let mut query = sqlx::query_as(sqlx::AssertSqlSafe(sql));
        for id in ids {
            query = query.bind(*id);
        }
        query.fetch_all(c).await
    })
}

/// Adds scopes to what is shared already.
pub async fn grant(
    tx: &mut Tx,
    server_id: &str,
    with: With<'_>,
    scopes: &[String],
    giver: &str,
    now: Millis,
) -> sqlx::Result<()> {
    let (user, group) = match with {
        With::User(id) => (Some(id), None),
        With::Group(id) => (None, Some(id)),
    };
    on!(tx, |c| {
        sqlx::query(
        "INSERT INTO shares (id, server_id, user_id, group_id, created_at) VALUES ($1, $2, $3, $4, $5) ON CONFLICT DO NOTHING"
    )
    .bind(new_id(now))
    .bind(server_id)
    .bind(user)
    .bind(group)
    .bind(now.0)
    .execute(c)
    .await
    .map(|_| ())
    })?;
    for scope in scopes {
        on!(tx, |c| {
            sqlx::query(
            "INSERT INTO share_scopes (share_id, scope, giver) \
             SELECT id, $2, $3 FROM shares WHERE server_id = $1 AND (user_id = $4 OR group_id = $5) ON CONFLICT DO NOTHING"
        )
        .bind(server_id)
        .bind(scope)
        .bind(giver)
        .bind(user)
        .bind(group)
        .execute(c)
        .await
        .map(|_| ())
        })?;
    }
    Ok(())
}

/// Takes one scope out of a share, whoever gave it. A share of nothing is none. Tells whether it
/// was in there.
pub async fn revoke(tx: &mut Tx, id: &str, scope: &str) -> sqlx::Result<bool> {
    let taken = on!(tx, |c| sqlx::query(
        "DELETE FROM share_scopes WHERE share_id = $1 AND scope = $2"
    )
    .bind(id)
    .bind(scope)
    .execute(c)
    .await
    .map(|done| done.rows_affected()))?;
    on!(tx, |c| {
        sqlx::query(
        "DELETE FROM shares WHERE id = $1 AND NOT EXISTS (SELECT 1 FROM share_scopes WHERE share_id = $1)"
    )
    .bind(id)
    .execute(c)
    .await
    .map(|_| ())
    })?;
    Ok(taken > 0)
}

pub async fn delete(tx: &mut Tx, id: &str) -> sqlx::Result<()> {
    on!(tx, |c| sqlx::query("DELETE FROM shares WHERE id = $1")
        .bind(id)
        .execute(c)
        .await
        .map(|_| ()))
}

pub async fn delete_of_server(tx: &mut Tx, server_id: &str) -> sqlx::Result<u64> {
    on!(tx, |c| sqlx::query(
        "DELETE FROM shares WHERE server_id = $1"
    )
    .bind(server_id)
    .execute(c)
    .await
    .map(|done| done.rows_affected()))
}

/// One scope that was given, and by whom.
#[derive(Debug, Clone, sqlx::FromRow)]
pub struct Given {
    pub server_id: String,
    pub owner_id: String,
    #[sqlx(try_from = "String")]
    pub owner: UserName,
    #[sqlx(try_from = "String")]
    pub server: ServerName,
    pub user_id: Option<String>,
    pub group_name: Option<String>,
    pub scope: String,
    pub giver: String,
}

const GIVEN: &str = "SELECT s.server_id, v.user_id AS owner_id, o.name AS owner, v.name AS server, s.user_id, \
     g.name AS group_name, c.scope, c.giver FROM shares s JOIN share_scopes c ON c.share_id = s.id \
     JOIN servers v ON v.id = s.server_id JOIN users o ON o.id = v.user_id LEFT JOIN groups g ON g.id = s.group_id";

/// All that was given over this server, or to this person.
pub async fn given(tx: &mut Tx, of: Of<'_>) -> sqlx::Result<Vec<Given>> {
    let sql = format!(
        "{GIVEN} WHERE {} ORDER BY s.id, c.scope, c.giver LIMIT $2",
        of.condition()
    );
    on!(tx, |c| sqlx::query_as(sqlx::AssertSqlSafe(sql))
        .bind(of.id())
        .bind(MOST_GIVEN)
        .fetch_all(c)
        .await)
}

const HOLDERS: &str = "SELECT DISTINCT u.name, s.server_id FROM shares s \
     LEFT JOIN group_members m ON m.group_id = s.group_id JOIN users u ON u.id = COALESCE(s.user_id, m.user_id)";

/// Who holds something by these shares, and of which servers; at most so many.
pub async fn holders(
    tx: &mut Tx,
    server_id: &str,
    most: usize,
) -> sqlx::Result<Vec<(String, String)>> {
    let sql = format!("{HOLDERS} WHERE s.server_id = $1 LIMIT $2");
    on!(tx, |c| sqlx::query_as(sqlx::AssertSqlSafe(sql))
        .bind(server_id)
        .bind(i64::try_from(most).unwrap_or(i64::MAX))
        .fetch_all(c)
        .await)
}

/// Who holds something that this one gave: a person by her name, or `service/NAME`.
pub async fn holders_by(
    tx: &mut Tx,
    subject: &str,
    most: usize,
) -> sqlx::Result<Vec<(String, String)>> {
    let sql = format!(
        "{HOLDERS} WHERE s.id IN (SELECT share_id FROM share_scopes \
         WHERE giver = $1 OR giver IN (SELECT id FROM users WHERE name = $1)) LIMIT $2"
    );
    on!(tx, |c| sqlx::query_as(sqlx::AssertSqlSafe(sql))
        .bind(subject)
        .bind(i64::try_from(most).unwrap_or(i64::MAX))
        .fetch_all(c)
        .await)
}

/// The services that gave something which is there still, as givers are called.
pub async fn services_that_gave(tx: &mut Tx) -> sqlx::Result<Vec<String>> {
    on!(tx, |c| sqlx::query_scalar(
        "SELECT giver FROM share_scopes WHERE giver LIKE 'service/%' \
         UNION SELECT giver FROM share_codes WHERE giver LIKE 'service/%'"
    )
    .fetch_all(c)
    .await)
}

/// What somebody gave who is gone, and the codes she made.
pub async fn forget_giver(tx: &mut Tx, giver: &str) -> sqlx::Result<()> {
    for sql in [
        "DELETE FROM share_codes WHERE giver = $1",
        "DELETE FROM shares WHERE id IN (SELECT share_id FROM share_scopes WHERE giver = $1) \
         AND NOT EXISTS (SELECT 1 FROM share_scopes c WHERE c.share_id = shares.id AND c.giver <> $1)",
        "DELETE FROM share_scopes WHERE giver = $1",
    ] {
        on!(tx, |c| sqlx::query(sql)
            .bind(giver)
            .execute(c)
            .await
            .map(|_| ()))?;
    }
    Ok(())
}

/// What can be changed for a share, by whoever comes with the code.
#[derive(Debug, Clone, sqlx::FromRow)]
pub struct Code {
    pub id: String,
    pub hash: String,
    pub server_id: String,
    pub owner_id: String,
    #[sqlx(try_from = "String")]
    pub owner: UserName,
    /// What she is called.
    pub owner_title: Option<String>,
    #[sqlx(try_from = "String")]
    pub server: ServerName,
    pub title: Option<String>,
    #[sqlx(try_from = "String")]
    pub state: State,
    /// JSON list.
    pub scopes: String,
    pub giver: String,
    pub created_at: i64,
    pub expires_at: i64,
    pub exchange_count: i64,
    pub last_exchanged_at: Option<i64>,
}

const CODES: &str =
    "FROM share_codes s JOIN servers v ON v.id = s.server_id JOIN users o ON o.id = v.user_id";
const CODE: &str = "SELECT s.id, s.hash, s.server_id, v.user_id AS owner_id, o.name AS owner, o.display_name AS owner_title, v.name AS server, \
     v.display_name AS title, v.state, s.scopes, s.giver, s.created_at, s.expires_at, s.exchange_count, s.last_exchanged_at";

/// A code that is to be made.
#[derive(Debug)]
pub struct NewCode<'a> {
    pub id: &'a str,
    pub hash: &'a str,
    pub server_id: &'a str,
    pub scopes: &'a str,
    pub giver: &'a str,
    pub created_at: i64,
    pub expires_at: i64,
}

pub async fn insert_code(tx: &mut Tx, code: &NewCode<'_>) -> sqlx::Result<()> {
    on!(tx, |c| {
        sqlx::query(
        "INSERT INTO share_codes (id, hash, server_id, scopes, giver, created_at, expires_at, exchange_count) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, 0)"
    )
    .bind(code.id)
    .bind(code.hash)
    .bind(code.server_id)
    .bind(code.scopes)
    .bind(code.giver)
    .bind(code.created_at)
    .bind(code.expires_at)
    .execute(c)
    .await
    .map(|_| ())
    })
}

/// Those that are good still, the oldest first; of a server or of an owner.
pub async fn list_codes(
    tx: &mut Tx,
    of: Of<'_>,
    now: i64,
    offset: i64,
    limit: i64,
) -> sqlx::Result<Vec<Code>> {
    let sql = format!(
        "{CODE} {CODES} WHERE {} AND s.expires_at > $2 ORDER BY s.id LIMIT $3 OFFSET $4",
        of.condition()
    );
    on!(tx, |c| sqlx::query_as(sqlx::AssertSqlSafe(sql))
        .bind(of.id())
        .bind(now)
        .bind(limit)
        .bind(offset)
        .fetch_all(c)
        .await)
}

pub async fn count_codes(tx: &mut Tx, of: Of<'_>, now: i64) -> sqlx::Result<i64> {
    let sql = format!(
        "SELECT COUNT(*) {CODES} WHERE {} AND s.expires_at > $2",
        of.condition()
    );
    on!(tx, |c| sqlx::query_scalar(sqlx::AssertSqlSafe(sql))
        .bind(of.id())
        .bind(now)
        .fetch_one(c)
        .await)
}

pub async fn find_code(tx: &mut Tx, hash: &str, now: i64) -> sqlx::Result<Option<Code>> {
    let sql = format!("{CODE} {CODES} WHERE s.hash = $1 AND s.expires_at > $2");
    on!(tx, |c| sqlx::query_as(sqlx::AssertSqlSafe(sql))
        .bind(hash)
        .bind(now)
        .fetch_optional(c)
        .await)
}

/// Counts a use. A code that is being taken back at this moment is waited for, and then gone.
pub async fn use_code(tx: &mut Tx, id: &str, now: i64) -> sqlx::Result<bool> {
    on!(tx, |c| {
        sqlx::query(
        "UPDATE share_codes SET exchange_count = exchange_count + 1, last_exchanged_at = $2 WHERE id = $1 AND expires_at > $2"
    )
    .bind(id)
    .bind(now)
    .execute(c)
    .await
    .map(|done| done.rows_affected() > 0)
    })
}

pub async fn delete_code(tx: &mut Tx, server_id: &str, id: &str) -> sqlx::Result<bool> {
    on!(tx, |c| sqlx::query(
        "DELETE FROM share_codes WHERE server_id = $1 AND id = $2"
    )
    .bind(server_id)
    .bind(id)
    .execute(c)
    .await
    .map(|done| done.rows_affected() > 0))
}

pub async fn delete_codes_of_server(tx: &mut Tx, server_id: &str) -> sqlx::Result<u64> {
    on!(tx, |c| sqlx::query(
        "DELETE FROM share_codes WHERE server_id = $1"
    )
    .bind(server_id)
    .execute(c)
    .await
    .map(|done| done.rows_affected()))
}

pub async fn prune_codes(tx: &mut Tx, now: i64) -> sqlx::Result<()> {
    on!(tx, |c| sqlx::query(
        "DELETE FROM share_codes WHERE expires_at <= $1"
    )
    .bind(now)
    .execute(c)
    .await
    .map(|_| ()))
}
