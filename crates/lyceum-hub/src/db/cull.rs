//! Servers that may have to end by rule, and people who never came again.

use lyceum_model::saying::Saying;
use lyceum_store::{Tx, on};

use super::servers::{Server, changed, columns};
use super::users::places;

/// Running servers of which nothing was heard since `unused_since`, or that run since before
/// `old_since`; told by their ids.
pub async fn candidates(
    tx: &mut Tx,
    unused_since: i64,
    old_since: i64,
) -> sqlx::Result<Vec<String>> {
    // Each half has an index of its own, which holds nothing but running servers.
    on!(tx, |c| sqlx::query_scalar(
        "SELECT id FROM servers WHERE state = 'ready' AND last_activity_at < $1 \
         UNION SELECT id FROM servers WHERE state = 'ready' AND ready_at < $2"
    )
    .bind(unused_since)
    .bind(old_since)
    .fetch_all(c)
    .await)
}

/// Which of these people are administrators.
pub async fn admins_among(tx: &mut Tx, ids: &[&str]) -> sqlx::Result<Vec<String>> {
    let sql = format!(
        "SELECT id FROM users WHERE admin AND id IN ({})",
        places(1, ids.len())
    );
    on!(tx, |c| {
        let mut query = sqlx::query_scalar(sqlx::AssertSqlSafe(sql));
        for id in ids {
            query = query.bind(*id);
        }
        query.fetch_all(c).await
    })
}

/// What a server has to end for.
#[derive(Debug, Clone, Copy)]
pub struct Sentence<'a> {
    pub reason: &'a Saying,
    /// Only if nothing was heard of it after this moment.
    pub unused_since: i64,
    pub remove: bool,
}

/// Asks for the end of a server that still runs as it was seen; says whether that was so.
pub async fn end(
    tx: &mut Tx,
    server: &Server,
    sentence: Sentence<'_>,
    now: i64,
) -> sqlx::Result<bool> {
    let (text, stored) = columns(Some(sentence.reason));
    let remove = sentence.remove && !server.name.is_default();
    changed(on!(tx, |c| {
        sqlx::query(
            "UPDATE servers SET state = 'stopping', stop_requested_at = $3, stop_reason = $4, stop_reason_saying = $5, \
         remove_requested_at = COALESCE(remove_requested_at, $6), lease_owner = NULL, lease_until = NULL \
         WHERE id = $1 AND generation = $2 AND state = 'ready' AND COALESCE(last_activity_at, 0) <= $7",
        )
        .bind(&server.id)
        .bind(server.generation)
        .bind(now)
        .bind(&text)
        .bind(&stored)
        .bind(remove.then_some(now))
        .bind(sentence.unused_since)
        .execute(c)
        .await
        .map(|done| done.rows_affected())
    }))
}

/// People who are no administrators, have not come since, and have nothing under way.
/// Told by id and name, those first who came last the longest ago.
pub async fn strangers(tx: &mut Tx, since: i64) -> sqlx::Result<Vec<(String, String)>> {
    on!(tx, |c| {
        sqlx::query_as(
            "SELECT u.id, u.name FROM users u WHERE COALESCE(u.last_activity_at, 0) < $1 AND u.created_at < $1 AND NOT u.admin AND u.course IS NULL \
         AND NOT EXISTS (SELECT 1 FROM servers s WHERE s.user_id = u.id AND s.state NOT IN ('stopped', 'failed')) \
         ORDER BY COALESCE(u.last_activity_at, 0), u.created_at, u.name",
        )
        .bind(since)
        .fetch_all(c)
        .await
    })
}
