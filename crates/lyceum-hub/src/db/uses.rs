//! When many servers, people or tokens were last used, each kind in one statement.
//!
//! Who writes several kinds in one transaction begins with the people, then come servers, then tokens
//! and sessions: so does who deletes a person, with whom all that is hers goes. In another order the
//! two could wait for each other, and PostgreSQL would end one of them.

use std::collections::BTreeMap;

use lyceum_model::clock::Millis;
use lyceum_store::{Engine, Tx, on};
use sqlx::AssertSqlSafe;

/// Ids, and when each was used.
pub type Uses = BTreeMap<String, i64>;

/// Notes a use; the latest counts.
pub fn note(uses: &mut Uses, id: &str, at: Millis) {
    match uses.get_mut(id) {
        Some(known) => *known = at.0.max(*known),
        None => {
            uses.insert(id.to_owned(), at.0);
        }
    }
}

/// Tells, as its likes below, how many rows it has changed.
pub async fn of_servers(tx: &mut Tx, uses: &Uses) -> sqlx::Result<u64> {
    write(tx, "servers", "last_activity_at", uses).await
}

pub async fn of_people(tx: &mut Tx, uses: &Uses) -> sqlx::Result<u64> {
    write(tx, "users", "last_activity_at", uses).await
}

pub async fn of_tokens(tx: &mut Tx, uses: &Uses) -> sqlx::Result<u64> {
    write(tx, "tokens", "last_used_at", uses).await
}

pub async fn of_sessions(tx: &mut Tx, uses: &Uses) -> sqlx::Result<u64> {
    write(tx, "sessions", "seen_at", uses).await
}

/// Whose tokens they are, and when each person used one; a server's own are left out: that it calls
/// is not its owner coming by.
pub async fn owners_of_tokens(tx: &mut Tx, uses: &Uses) -> sqlx::Result<Uses> {
    // Not `IS NULL`: SQLite would go through all such tokens, and through the whole list for each.
    let sql = format!(
        "SELECT t.user_id, MAX(v.at) FROM {} v JOIN tokens t ON t.id = v.id \
         WHERE COALESCE(t.server_id, '') = '' GROUP BY t.user_id",
        listed(tx)
    );
    owners(tx, sql, uses).await
}

/// Whose servers they are, and when each person used one.
pub async fn owners_of_servers(tx: &mut Tx, uses: &Uses) -> sqlx::Result<Uses> {
    let sql = format!(
        "SELECT s.user_id, MAX(v.at) FROM {} v JOIN servers s ON s.id = v.id GROUP BY s.user_id",
        listed(tx)
    );
    owners(tx, sql, uses).await
}

async fn owners(tx: &mut Tx, sql: String, uses: &Uses) -> sqlx::Result<Uses> {
    if uses.is_empty() {
        return Ok(Uses::new());
    }
    let rows: Vec<(String, i64)> = on!(tx, |c| sqlx::query_as(AssertSqlSafe(sql))
        .bind(text(uses))
        .fetch_all(c)
        .await)?;
    Ok(rows.into_iter().collect())
}

/// The list that `$1` holds, as rows of `id` and `at`: one text however many there are, so that it is
/// prepared once.
fn listed(tx: &Tx) -> &'static str {
    match tx.engine() {
        Engine::Sqlite => "(SELECT key AS id, value AS at FROM json_each($1))",
        Engine::Postgres => {
            "(SELECT key AS id, CAST(value AS BIGINT) AS at FROM json_each_text(CAST($1 AS JSON)))"
        }
    }
}

fn text(uses: &Uses) -> String {
    serde_json::to_string(uses).expect("numbers by texts are JSON")
}

async fn write(tx: &mut Tx, table: &str, column: &str, uses: &Uses) -> sqlx::Result<u64> {
    if uses.is_empty() {
        return Ok(0);
    }
    let listed = listed(tx);
    if tx.engine() == Engine::Postgres {
        // One order for all replicas: two that write the same rows must not wait for each other.
        let sql = format!(
            "SELECT id FROM {table} WHERE id IN (SELECT v.id FROM {listed} v) ORDER BY id FOR NO KEY UPDATE"
        );
        on!(tx, |c| sqlx::query(AssertSqlSafe(sql))
            .bind(text(uses))
            .execute(c)
            .await
            .map(|_| ()))?;
    }
    let sql = format!(
        "UPDATE {table} SET {column} = v.at FROM {listed} v \
         WHERE {table}.id = v.id AND ({table}.{column} IS NULL OR {table}.{column} < v.at)"
    );
    on!(tx, |c| sqlx::query(AssertSqlSafe(sql))
        .bind(text(uses))
        .execute(c)
        .await
        .map(|done| done.rows_affected()))
}
