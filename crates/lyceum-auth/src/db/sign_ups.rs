//! Table `sign_ups`.

use lyceum_model::clock::Millis;
use lyceum_model::name::UserName;
use lyceum_store::{Tx, on};

use crate::sign_ups::Waiting;

/// Not when somebody waits by that name.
pub(crate) async fn insert(tx: &mut Tx, waiting: &Waiting, hash: &str) -> sqlx::Result<bool> {
    on!(tx, |c| {
        sqlx::query(
        "INSERT INTO sign_ups (id, user_name, password_hash, note, asked_at, expires_at) VALUES ($1, $2, $3, $4, $5, $6)
         ON CONFLICT (user_name) DO NOTHING"
    )
    .bind(&waiting.id)
    .bind(&waiting.user_name)
    .bind(hash)
    .bind(&waiting.note)
    .bind(waiting.asked_at)
    .bind(waiting.expires_at)
    .execute(c)
    .await
    .map(|done| done.rows_affected() == 1)
    })
}

/// The oldest first.
pub(crate) async fn waiting(tx: &mut Tx, now: Millis, most: i64) -> sqlx::Result<Vec<Waiting>> {
    on!(tx, |c| sqlx::query_as(
        "SELECT id, user_name, note, asked_at, expires_at FROM sign_ups
         WHERE expires_at > $1 ORDER BY asked_at, id LIMIT $2"
    )
    .bind(now.0)
    .bind(most)
    .fetch_all(c)
    .await)
}

pub(crate) async fn count(tx: &mut Tx, now: Millis) -> sqlx::Result<i64> {
    on!(tx, |c| sqlx::query_scalar(
        "SELECT COUNT(*) FROM sign_ups WHERE expires_at > $1"
    )
    .bind(now.0)
    .fetch_one(c)
    .await)
}

pub(crate) async fn is_waiting(tx: &mut Tx, name: &UserName, now: Millis) -> sqlx::Result<bool> {
    let found: Option<String> = on!(tx, |c| sqlx::query_scalar(
        "SELECT id FROM sign_ups WHERE user_name = $1 AND expires_at > $2"
    )
    .bind(name.as_str())
    .bind(now.0)
    .fetch_optional(c)
    .await)?;
    Ok(found.is_some())
}

/// Name and hash of the password.
pub(crate) async fn find(
    tx: &mut Tx,
    id: &str,
    now: Millis,
) -> sqlx::Result<Option<(String, String)>> {
    on!(tx, |c| sqlx::query_as(
        "SELECT user_name, password_hash FROM sign_ups WHERE id = $1 AND expires_at > $2"
    )
    .bind(id)
    .bind(now.0)
    .fetch_optional(c)
    .await)
}

/// Of two at once one gets it.
pub(crate) async fn delete(tx: &mut Tx, id: &str) -> sqlx::Result<bool> {
    on!(tx, |c| sqlx::query("DELETE FROM sign_ups WHERE id = $1")
        .bind(id)
        .execute(c)
        .await
        .map(|done| done.rows_affected() == 1))
}

pub(crate) async fn purge(tx: &mut Tx, now: Millis) -> sqlx::Result<()> {
    on!(tx, |c| sqlx::query(
        "DELETE FROM sign_ups WHERE expires_at <= $1"
    )
    .bind(now.0)
    .execute(c)
    .await
    .map(|_| ()))
}
