//! Who came lately: sign-ins, as far as their sessions are still there, and activity.

use lyceum_store::Tx;

use super::Statement;
use crate::db::users::Among;

#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct SignIn {
    pub name: String,
    pub at: i64,
    pub agent: Option<String>,
}

/// The latest since a moment.
pub async fn latest(
    tx: &mut Tx,
    among: Option<&Among>,
    since: i64,
    limit: i64,
) -> sqlx::Result<Vec<SignIn>> {
    let mut statement = Statement::new(
        "SELECT u.name, x.created_at AS at, x.agent FROM sessions x CROSS JOIN users u",
    );
    conditions(&mut statement, among, since);
    statement.page("x.created_at DESC", 0, limit);
    statement.all(tx).await
}

pub async fn count(tx: &mut Tx, among: Option<&Among>, since: i64) -> sqlx::Result<i64> {
    let mut statement = Statement::new("SELECT COUNT(*) FROM sessions x CROSS JOIN users u");
    conditions(&mut statement, among, since);
    statement.count(tx).await
}

fn conditions(statement: &mut Statement, among: Option<&Among>, since: i64) {
    statement.and().say("u.id = x.user_id");
    statement.and().say("x.created_at > ").number(since);
    if let Some(among) = among {
        statement.among(among, false);
    }
}

/// How many people were active since a moment.
pub async fn active(tx: &mut Tx, among: Option<&Among>, since: i64) -> sqlx::Result<i64> {
    let mut statement = Statement::new("SELECT COUNT(*) FROM users u");
    statement.and().say("COALESCE(u.last_activity_at, 0) > ");
    statement.number(since);
    statement.and().say("u.course IS NULL");
    if let Some(among) = among {
        statement.among(among, false);
    }
    statement.count(tx).await
}
