//! What went wrong with servers in the last day: starts that failed, and servers that ended by themselves.
//! What is read of it, and by whom, is in [`super::search::failures`].

use lyceum_model::clock::Millis;
use lyceum_model::id::new_id;
use lyceum_model::saying::Saying;
use lyceum_store::{Tx, on};

use super::servers::columns;

/// For so long they are kept, and so many at most.
pub const KEEP_MS: i64 = 24 * 3_600_000;
const KEPT: i64 = 10_000;

/// Something went wrong with this server.
pub async fn insert(
    tx: &mut Tx,
    server_id: &str,
    reason: &Saying,
    now: Millis,
) -> sqlx::Result<()> {
    let (text, stored) = columns(Some(reason));
    on!(tx, |c| {
        sqlx::query(
        "INSERT INTO server_failures (id, server_id, at, failure, failure_saying) VALUES ($1, $2, $3, $4, $5)"
    )
    .bind(new_id(now))
    .bind(server_id)
    .bind(now.0)
    .bind(&text)
    .bind(&stored)
    .execute(c)
    .await
    .map(|_| ())
    })
}

/// Forgets what is old or too much.
pub async fn prune(tx: &mut Tx, now: Millis) -> sqlx::Result<()> {
    on!(tx, |c| sqlx::query(
        "DELETE FROM server_failures WHERE at <= $1 OR at <= COALESCE( \
         (SELECT at FROM server_failures ORDER BY at DESC LIMIT 1 OFFSET $2), $1)"
    )
    .bind(now.plus(-KEEP_MS).0)
    .bind(KEPT)
    .execute(c)
    .await
    .map(|_| ()))
}
