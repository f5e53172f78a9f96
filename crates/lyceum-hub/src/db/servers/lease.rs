//! What the replica that holds the lease of a server writes.

use lyceum_model::saying::Saying;
use lyceum_store::{Engine, Tx, on};

use super::{Server, changed, columns};
use crate::servers::State;

/// Takes rows' leases where nobody has them, and tells which those are. What waited in line has its
/// place from here.
pub async fn claim(
    tx: &mut Tx,
    ids: &[&str],
    owner: &str,
    now: i64,
    until: i64,
) -> sqlx::Result<Vec<String>> {
    if ids.is_empty() {
        return Ok(Vec::new());
    }
    // Two replicas that take up the same crowd wait for each other in one order.
    let lock = match tx.engine() {
        Engine::Postgres => "FOR UPDATE",
        Engine::Sqlite => "",
    };
    let sql = format!(
        "UPDATE servers SET lease_owner = $1, lease_until = $3, \
         placed_at = CASE WHEN state = 'queued' THEN $2 ELSE placed_at END, \
         unplaced_at = CASE WHEN state = 'queued' THEN NULL ELSE unplaced_at END \
         WHERE id IN (SELECT id FROM servers WHERE id IN ({}) AND (lease_until IS NULL OR lease_until < $2) \
         AND state IN ('queued', 'starting', 'stopping') ORDER BY id {lock}) RETURNING id",
        crate::db::users::places(4, ids.len())
    );
    on!(tx, |c| {
        let mut query = sqlx::query_scalar(sqlx::AssertSqlSafe(sql))
            .bind(owner)
            .bind(now)
            .bind(until);
        for id in ids {
            query = query.bind(*id);
        }
        query.fetch_all(c).await
    })
}

/// Keeps all leases of a replica that lives, and tells which they are.
pub async fn renew_all(tx: &mut Tx, owner: &str, until: i64) -> sqlx::Result<Vec<String>> {
    let rows: Vec<(String,)> = on!(tx, |c| sqlx::query_as(
        "UPDATE servers SET lease_until = $2 WHERE lease_owner = $1 RETURNING id"
    )
    .bind(owner)
    .bind(until)
    .fetch_all(c)
    .await)?;
    Ok(rows.into_iter().map(|(id,)| id).collect())
}

/// Keeps one lease, if it is still this owner's.
pub async fn renew(tx: &mut Tx, id: &str, owner: &str, until: i64) -> sqlx::Result<bool> {
    changed(on!(tx, |c| sqlx::query(
        "UPDATE servers SET lease_until = $3 WHERE id = $1 AND lease_owner = $2"
    )
    .bind(id)
    .bind(owner)
    .bind(until)
    .execute(c)
    .await
    .map(|done| done.rows_affected())))
}

/// Gives a lease back, but nobody may take it before `until`: the work failed and needs a pause.
pub async fn postpone(tx: &mut Tx, id: &str, owner: &str, until: i64) -> sqlx::Result<bool> {
    changed(on!(tx, |c| {
        sqlx::query(
        "UPDATE servers SET lease_owner = NULL, lease_until = $3 WHERE id = $1 AND lease_owner = $2"
    )
    .bind(id)
    .bind(owner)
    .bind(until)
    .execute(c)
    .await
    .map(|done| done.rows_affected())
    }))
}

/// Servers that this replica is starting and that somebody has asked to stop.
pub async fn unwanted(tx: &mut Tx, owner: &str) -> sqlx::Result<Vec<String>> {
    let rows: Vec<(String,)> = on!(tx, |c| {
        sqlx::query_as(
        "SELECT id FROM servers WHERE state = 'starting' AND stop_requested_at IS NOT NULL AND lease_owner = $1"
    )
    .bind(owner)
    .fetch_all(c)
    .await
    })?;
    Ok(rows.into_iter().map(|(id,)| id).collect())
}

pub async fn release(tx: &mut Tx, id: &str, owner: &str) -> sqlx::Result<bool> {
    changed(on!(tx, |c| {
        sqlx::query(
        "UPDATE servers SET lease_owner = NULL, lease_until = NULL WHERE id = $1 AND lease_owner = $2"
    )
    .bind(id)
    .bind(owner)
    .execute(c)
    .await
    .map(|done| done.rows_affected())
    }))
}

/// A replica goes.
pub async fn release_of(tx: &mut Tx, owner: &str) -> sqlx::Result<u64> {
    on!(tx, |c| sqlx::query(
        "UPDATE servers SET lease_owner = NULL, lease_until = NULL WHERE lease_owner = $1"
    )
    .bind(owner)
    .execute(c)
    .await
    .map(|done| done.rows_affected()))
}

/// For the only replica of an embedded database: nobody else can hold a lease.
pub async fn release_all(tx: &mut Tx) -> sqlx::Result<()> {
    on!(tx, |c| sqlx::query(
        "UPDATE servers SET lease_owner = NULL, lease_until = NULL WHERE lease_owner IS NOT NULL"
    )
    .execute(c)
    .await
    .map(|_| ()))
}

/// What the holder of the lease may write; its lease is new with it.
pub async fn set_starting(
    tx: &mut Tx,
    id: &str,
    owner: &str,
    now: i64,
    until: i64,
) -> sqlx::Result<bool> {
    changed(on!(tx, |c| {
        sqlx::query(
        "UPDATE servers SET state = 'starting', started_at = COALESCE(started_at, $3), lease_until = $4 \
         WHERE id = $1 AND lease_owner = $2 AND state IN ('queued', 'starting')"
    )
    .bind(id)
    .bind(owner)
    .bind(now)
    .bind(until)
    .execute(c)
    .await
    .map(|done| done.rows_affected())
    }))
}

pub async fn set_ready(
    tx: &mut Tx,
    id: &str,
    owner: &str,
    address: &str,
    now: i64,
) -> sqlx::Result<bool> {
    changed(on!(tx, |c| {
        sqlx::query(
            "UPDATE servers SET state = 'ready', address = $4, ready_at = $3, last_activity_at = $3, \
         unplaced_at = COALESCE(unplaced_at, $3), lease_owner = NULL, lease_until = NULL \
         WHERE id = $1 AND lease_owner = $2 AND state = 'starting' AND stop_requested_at IS NULL",
        )
        .bind(id)
        .bind(owner)
        .bind(now)
        .bind(address)
        .execute(c)
        .await
        .map(|done| done.rows_affected())
    }))
}

/// A failure's reason goes with it, so that it survives a crash in the middle of the stop.
pub async fn set_stopping(
    tx: &mut Tx,
    id: &str,
    owner: &str,
    failure: Option<&Saying>,
) -> sqlx::Result<bool> {
    let (text, stored) = columns(failure);
    changed(on!(tx, |c| {
        sqlx::query(
        "UPDATE servers SET state = 'stopping', failure = COALESCE($3, failure), \
         failure_saying = CASE WHEN $3 IS NULL THEN failure_saying ELSE $4 END WHERE id = $1 AND lease_owner = $2"
    )
        .bind(id)
        .bind(owner)
        .bind(&text)
        .bind(&stored)
        .execute(c)
        .await
        .map(|done| done.rows_affected())
    }))
}

/// Its stop has failed again and again: for those who wait for it to read.
pub async fn set_stop_trouble(
    tx: &mut Tx,
    id: &str,
    owner: &str,
    trouble: &Saying,
) -> sqlx::Result<bool> {
    let (text, stored) = columns(Some(trouble));
    changed(on!(tx, |c| sqlx::query(
        "UPDATE servers SET stop_trouble = $3, stop_trouble_saying = $4 \
         WHERE id = $1 AND lease_owner = $2 AND state = 'stopping'"
    )
    .bind(id)
    .bind(owner)
    .bind(&text)
    .bind(&stored)
    .execute(c)
    .await
    .map(|done| done.rows_affected())))
}

/// Nothing of it is left at the spawner. `failure` is kept for the owner to read; without one, why
/// the stop was asked for, if the row says so.
pub async fn set_ended(
    tx: &mut Tx,
    id: &str,
    owner: &str,
    state: State,
    failure: Option<&Saying>,
    now: i64,
) -> sqlx::Result<bool> {
    let (text, stored) = columns(failure);
    changed(on!(tx, |c| {
        sqlx::query(
        "UPDATE servers SET state = $3, failure = COALESCE($4, stop_reason), \
         failure_saying = CASE WHEN $4 IS NULL THEN stop_reason_saying ELSE $6 END, address = NULL, stopped_at = $5, \
         stop_trouble = NULL, stop_trouble_saying = NULL, stop_requested_at = NULL, unplaced_at = COALESCE(unplaced_at, $5), lease_owner = NULL, lease_until = NULL WHERE id = $1 AND lease_owner = $2"
    )
    .bind(id)
    .bind(owner)
    .bind(state.as_str())
    .bind(&text)
    .bind(now)
    .bind(&stored)
    .execute(c)
    .await
    .map(|done| done.rows_affected())
    }))
}

/// A ready server was found ended. Ready rows have no lease; state and generation guard.
pub async fn set_gone(
    tx: &mut Tx,
    server: &Server,
    reason: &Saying,
    now: i64,
) -> sqlx::Result<bool> {
    let (text, stored) = columns(Some(reason));
    changed(on!(tx, |c| {
        sqlx::query(
            "UPDATE servers SET state = 'stopped', failure = $3, failure_saying = $5, address = NULL, stopped_at = $4 \
         WHERE id = $1 AND generation = $2 AND state = 'ready'",
        )
        .bind(&server.id)
        .bind(server.generation)
        .bind(&text)
        .bind(now)
        .bind(&stored)
        .execute(c)
        .await
        .map(|done| done.rows_affected())
    }))
}

/// A ready server whose port somebody else has: it is to be stopped, and has no address meanwhile.
pub async fn set_robbed(tx: &mut Tx, server: &Server, reason: &Saying) -> sqlx::Result<bool> {
    let (text, stored) = columns(Some(reason));
    changed(on!(tx, |c| {
        sqlx::query(
            "UPDATE servers SET state = 'stopping', failure = $3, failure_saying = $4, address = NULL, \
         lease_owner = NULL, lease_until = NULL WHERE id = $1 AND generation = $2 AND state = 'ready'",
        )
        .bind(&server.id)
        .bind(server.generation)
        .bind(&text)
        .bind(&stored)
        .execute(c)
        .await
        .map(|done| done.rows_affected())
    }))
}

/// A ready server answers elsewhere now.
pub async fn set_moved(tx: &mut Tx, server: &Server, address: &str) -> sqlx::Result<bool> {
    changed(on!(tx, |c| sqlx::query(
        "UPDATE servers SET address = $3 WHERE id = $1 AND generation = $2 AND state = 'ready'"
    )
    .bind(&server.id)
    .bind(server.generation)
    .bind(address)
    .execute(c)
    .await
    .map(|done| done.rows_affected())))
}

/// Something runs under the key of a server at rest: it has to be stopped.
pub async fn set_stray(tx: &mut Tx, key: &str) -> sqlx::Result<bool> {
    changed(on!(tx, |c| {
        sqlx::query(
            "UPDATE servers SET state = 'stopping', failure = NULL, failure_saying = NULL, \
         lease_owner = NULL, lease_until = NULL WHERE key = $1 AND state IN ('stopped', 'failed')",
        )
        .bind(key)
        .execute(c)
        .await
        .map(|done| done.rows_affected())
    }))
}
