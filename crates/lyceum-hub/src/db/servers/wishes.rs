//! What people and programs wish of a server: made, started, stopped, changed, forgotten.

use lyceum_model::clock::Millis;
use lyceum_model::name::ServerName;
use lyceum_model::saying::Saying;
use lyceum_store::{Engine, Tx, on};

use super::{Server, changed, columns};

/// Says whether it was written; not when one of its names is taken.
pub async fn insert(tx: &mut Tx, server: &Server) -> sqlx::Result<bool> {
    changed(on!(tx, |c| {
        sqlx::query(
        "INSERT INTO servers (id, user_id, name, key, client_id, display_name, state, generation, user_options, created_at) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, 0, $8, $9) ON CONFLICT DO NOTHING"
    )
    .bind(&server.id)
    .bind(&server.user_id)
    .bind(server.name.as_str())
    .bind(&server.key)
    .bind(&server.client_id)
    .bind(&server.display_name)
    .bind(server.state.as_str())
    .bind(&server.user_options)
    .bind(server.created_at)
    .execute(c)
    .await
    .map(|done| done.rows_affected())
    }))
}

/// Until the end of the transaction nobody else adds a server for this person. Tells her name now, and
/// since when she is kept out.
pub async fn lock_owner(tx: &mut Tx, user_id: &str) -> sqlx::Result<Option<(String, Option<i64>)>> {
    let sql = match tx.engine() {
        Engine::Postgres => "SELECT name, blocked_at FROM users WHERE id = $1 FOR NO KEY UPDATE",
        // Whoever writes is alone.
        Engine::Sqlite => "SELECT name, blocked_at FROM users WHERE id = $1",
    };
    on!(tx, |c| sqlx::query_as(sql)
        .bind(user_id)
        .fetch_optional(c)
        .await)
}

/// What a start is made from, as the row keeps it.
#[derive(Debug, Clone, Copy)]
pub struct Order<'a> {
    /// JSON.
    pub spec: &'a str,
    /// JSON.
    pub options: &'a str,
    /// What she chose, where the options are something else.
    pub kept_choice: Option<&'a str>,
    pub profile: Option<&'a str>,
    pub course: Option<&'a str>,
    /// What starts of it have in common that fail together.
    pub environment: &'a str,
}

/// A person wants it: stopped or failed → queued, as a new generation.
pub async fn request_start(
    tx: &mut Tx,
    id: &str,
    order: &Order<'_>,
    now: i64,
) -> sqlx::Result<Option<i64>> {
    let row: Option<(i64,)> = on!(tx, |c| {
        sqlx::query_as(
        "UPDATE servers SET state = 'queued', generation = generation + 1, spec = $2, user_options = $3, address = NULL, \
         failure = NULL, failure_saying = NULL, requested_at = $4, started_at = NULL, ready_at = NULL, stop_requested_at = NULL, \
         stop_reason = NULL, stop_reason_saying = NULL, stop_trouble = NULL, stop_trouble_saying = NULL, profile = $5, course = $6, environment = $7, \
         remove_requested_at = NULL, lease_owner = NULL, lease_until = NULL, kept_choice = $8 \
         WHERE id = $1 AND state IN ('stopped', 'failed') RETURNING generation"
    )
    .bind(id)
    .bind(order.spec)
    .bind(order.options)
    .bind(now)
    .bind(order.profile)
    .bind(order.course)
    .bind(order.environment)
    .bind(order.kept_choice)
    .fetch_optional(c)
    .await
    })?;
    Ok(row.map(|(generation,)| generation))
}

/// Whether others have wished the same before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wished {
    First,
    Again,
}

macro_rules! stops {
    ($more:literal, $only:literal) => {
        concat!(
            "UPDATE servers SET state = CASE WHEN state = 'ready' THEN 'stopping' ELSE state END, \
             lease_until = CASE WHEN lease_owner IS NULL THEN NULL ELSE lease_until END",
            $more,
            " WHERE id = $1 AND state IN ('starting', 'ready', 'stopping')",
            $only
        )
    };
}

/// A start that nobody has begun is no longer wanted: there is nothing of it, so it ends here.
/// Whoever has just taken its lease finds it gone.
pub async fn cancel_queued(
    tx: &mut Tx,
    id: &str,
    why: Option<&Saying>,
    now: i64,
) -> sqlx::Result<bool> {
    let (text, stored) = columns(why);
    changed(on!(tx, |c| {
        sqlx::query(
        "UPDATE servers SET state = 'stopped', failure = $3, failure_saying = $4, stopped_at = $2, \
         stop_requested_at = NULL, lease_owner = NULL, lease_until = NULL WHERE id = $1 AND state = 'queued'"
    )
    .bind(id)
    .bind(now)
    .bind(&text)
    .bind(&stored)
    .execute(c)
    .await
    .map(|done| done.rows_affected())
    }))
}

/// Somebody wants it gone: marks the wish, and whoever holds the lease sees to it. A pause after a
/// failure ends with it. `why`: what is left as the reason of the end, if this is the first to wish it.
/// Nothing: it is at rest.
pub async fn request_stop(
    tx: &mut Tx,
    id: &str,
    why: Option<&Saying>,
    now: i64,
) -> sqlx::Result<Option<Wished>> {
    let (text, stored) = columns(why);
    let first = changed(on!(tx, |c| {
        sqlx::query(stops!(
            ", stop_requested_at = $2, stop_reason = $3, stop_reason_saying = $4",
            " AND stop_requested_at IS NULL"
        ))
        .bind(id)
        .bind(now)
        .bind(&text)
        .bind(&stored)
        .execute(c)
        .await
        .map(|done| done.rows_affected())
    }))?;
    if first {
        return Ok(Some(Wished::First));
    }
    let again = changed(on!(tx, |c| sqlx::query(stops!("", ""))
        .bind(id)
        .execute(c)
        .await
        .map(|done| done.rows_affected())))?;
    Ok(again.then_some(Wished::Again))
}

pub async fn touch(tx: &mut Tx, id: &str, at: Millis) -> sqlx::Result<()> {
    on!(tx, |c| {
        sqlx::query(
        "UPDATE servers SET last_activity_at = $2 WHERE id = $1 AND (last_activity_at IS NULL OR last_activity_at < $2)"
    )
    .bind(id)
    .bind(at.0)
    .execute(c)
    .await
    .map(|_| ())
    })
}

pub async fn delete(tx: &mut Tx, id: &str) -> sqlx::Result<bool> {
    changed(on!(tx, |c| sqlx::query(
        "DELETE FROM servers WHERE id = $1 AND state IN ('stopped', 'failed')"
    )
    .bind(id)
    .execute(c)
    .await
    .map(|done| done.rows_affected())))
}

/// What of a server at rest can be changed. Its key, its client and its home stay. With other options
/// it is no longer of what it was started for the last time.
pub async fn change(
    tx: &mut Tx,
    id: &str,
    name: &ServerName,
    display_name: Option<&str>,
    options: &str,
    kept_choice: Option<&str>,
) -> sqlx::Result<bool> {
    changed(on!(tx, |c| sqlx::query(
        "UPDATE servers SET name = $2, display_name = $3, user_options = $4, kept_choice = $5, \
         profile = CASE WHEN user_options = $4 THEN profile END, \
         course = CASE WHEN user_options = $4 THEN course END \
         WHERE id = $1 AND state IN ('stopped', 'failed')"
    )
    .bind(id)
    .bind(name.as_str())
    .bind(display_name)
    .bind(options)
    .bind(kept_choice)
    .execute(c)
    .await
    .map(|done| done.rows_affected())))
}

pub async fn set_display_name(tx: &mut Tx, id: &str, name: &str) -> sqlx::Result<()> {
    on!(tx, |c| sqlx::query(
        "UPDATE servers SET display_name = $2 WHERE id = $1"
    )
    .bind(id)
    .bind(name)
    .execute(c)
    .await
    .map(|_| ()))
}

/// A person wants it forgotten once it has ended. A start that is asked for later takes that back.
/// Says whether nobody had wanted that before.
pub async fn request_removal(tx: &mut Tx, id: &str, now: i64) -> sqlx::Result<bool> {
    changed(on!(tx, |c| sqlx::query(
        "UPDATE servers SET remove_requested_at = $2 WHERE id = $1 AND remove_requested_at IS NULL"
    )
    .bind(id)
    .bind(now)
    .execute(c)
    .await
    .map(|done| done.rows_affected())))
}

/// Whether [`remove_unwanted`] has something to do.
pub async fn any_unwanted(tx: &mut Tx) -> sqlx::Result<bool> {
    let found: Option<(String,)> = on!(tx, |c| {
        sqlx::query_as(
        "SELECT id FROM servers WHERE remove_requested_at IS NOT NULL AND state IN ('stopped', 'failed') LIMIT 1"
    )
    .fetch_optional(c)
    .await
    })?;
    Ok(found.is_some())
}

/// Forgets what has ended and is no longer wanted; tells the keys.
pub async fn remove_unwanted(tx: &mut Tx) -> sqlx::Result<Vec<String>> {
    on!(tx, |c| {
        sqlx::query_scalar(
        "DELETE FROM servers WHERE remove_requested_at IS NOT NULL AND state IN ('stopped', 'failed') RETURNING key"
    )
    .fetch_all(c)
    .await
    })
}
