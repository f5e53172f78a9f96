//! Tables `second_factors`, `recovery_codes` and `second_factor_events`.

use lyceum_model::clock::Millis;
use lyceum_store::{Tx, on};

use crate::second_factor::Happened;

#[derive(sqlx::FromRow)]
pub(crate) struct Row {
    pub(crate) key: String,
    pub(crate) since: i64,
}

pub(crate) async fn find(tx: &mut Tx, user_id: &str) -> sqlx::Result<Option<Row>> {
    on!(tx, |c| sqlx::query_as(
        "SELECT key, since FROM second_factors WHERE user_id = $1"
    )
    .bind(user_id)
    .fetch_optional(c)
    .await)
}

/// Whether there was none.
pub(crate) async fn insert(
    tx: &mut Tx,
    user_id: &str,
    key: &str,
    step: i64,
    now: Millis,
) -> sqlx::Result<bool> {
    on!(tx, |c| sqlx::query(
        "INSERT INTO second_factors (user_id, key, step, since) VALUES ($1, $2, $3, $4)
         ON CONFLICT (user_id) DO NOTHING"
    )
    .bind(user_id)
    .bind(key)
    .bind(step)
    .bind(now.0)
    .execute(c)
    .await
    .map(|done| done.rows_affected() == 1))
}

/// Another key in the place of the one that is there since `before`; whether that was still so.
pub(crate) async fn replace(
    tx: &mut Tx,
    user_id: &str,
    before: i64,
    key: &str,
    step: i64,
    now: Millis,
) -> sqlx::Result<bool> {
    on!(tx, |c| {
        sqlx::query(
        "UPDATE second_factors SET key = $3, step = $4, since = $5 WHERE user_id = $1 AND since = $2"
    )
    .bind(user_id)
    .bind(before)
    .bind(key)
    .bind(step)
    .bind(now.0)
    .execute(c)
    .await
    .map(|done| done.rows_affected() == 1)
    })
}

/// Of two that bring a code of one step, or an older one later, one gets it.
pub(crate) async fn take_step(
    tx: &mut Tx,
    user_id: &str,
    since: i64,
    step: i64,
) -> sqlx::Result<bool> {
    on!(tx, |c| sqlx::query(
        "UPDATE second_factors SET step = $3 WHERE user_id = $1 AND since = $2 AND step < $3"
    )
    .bind(user_id)
    .bind(since)
    .bind(step)
    .execute(c)
    .await
    .map(|done| done.rows_affected() == 1))
}

pub(crate) async fn delete(tx: &mut Tx, user_id: &str) -> sqlx::Result<bool> {
    forget_codes(tx, user_id).await?;
    on!(tx, |c| sqlx::query(
        "DELETE FROM second_factors WHERE user_id = $1"
    )
    .bind(user_id)
    .execute(c)
    .await
    .map(|done| done.rows_affected() == 1))
}

pub(crate) async fn add_code(tx: &mut Tx, user_id: &str, hash: &str) -> sqlx::Result<()> {
    on!(tx, |c| sqlx::query(
        "INSERT INTO recovery_codes (user_id, hash) VALUES ($1, $2)"
    )
    .bind(user_id)
    .bind(hash)
    .execute(c)
    .await
    .map(|_| ()))
}

/// Of two that bring it one gets it.
pub(crate) async fn take_code(tx: &mut Tx, user_id: &str, hash: &str) -> sqlx::Result<bool> {
    on!(tx, |c| sqlx::query(
        "DELETE FROM recovery_codes WHERE user_id = $1 AND hash = $2"
    )
    .bind(user_id)
    .bind(hash)
    .execute(c)
    .await
    .map(|done| done.rows_affected() == 1))
}

pub(crate) async fn forget_codes(tx: &mut Tx, user_id: &str) -> sqlx::Result<()> {
    on!(tx, |c| sqlx::query(
        "DELETE FROM recovery_codes WHERE user_id = $1"
    )
    .bind(user_id)
    .execute(c)
    .await
    .map(|_| ()))
}

pub(crate) async fn codes_left(tx: &mut Tx, user_id: &str) -> sqlx::Result<i64> {
    on!(tx, |c| sqlx::query_scalar(
        "SELECT COUNT(*) FROM recovery_codes WHERE user_id = $1"
    )
    .bind(user_id)
    .fetch_one(c)
    .await)
}

pub(crate) async fn add_event(
    tx: &mut Tx,
    id: &str,
    user_id: &str,
    event: &Happened,
) -> sqlx::Result<()> {
    on!(tx, |c| {
        sqlx::query(
        "INSERT INTO second_factor_events (id, user_id, what, doer, address, at) VALUES ($1, $2, $3, $4, $5, $6)"
    )
    .bind(id)
    .bind(user_id)
    .bind(&event.what)
    .bind(&event.doer)
    .bind(&event.address)
    .bind(event.at)
    .execute(c)
    .await
    .map(|_| ())
    })
}

/// The newest first.
pub(crate) async fn events(
    tx: &mut Tx,
    user_id: &str,
    since: i64,
    most: i64,
) -> sqlx::Result<Vec<Happened>> {
    on!(tx, |c| sqlx::query_as(
        "SELECT what, doer, address, at FROM second_factor_events
         WHERE user_id = $1 AND at >= $2 ORDER BY at DESC, id DESC LIMIT $3"
    )
    .bind(user_id)
    .bind(since)
    .bind(most)
    .fetch_all(c)
    .await)
}

pub(crate) async fn forget_events(tx: &mut Tx, before: i64) -> sqlx::Result<()> {
    on!(tx, |c| sqlx::query(
        "DELETE FROM second_factor_events WHERE at < $1"
    )
    .bind(before)
    .execute(c)
    .await
    .map(|_| ()))
}
