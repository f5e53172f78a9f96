//! Table `sign_in_returns`: ways out of the site that have led back.

use lyceum_model::clock::Millis;
use lyceum_store::{Tx, on};

/// Whether it is the first time.
pub(crate) async fn insert(tx: &mut Tx, journey: &str, until: Millis) -> sqlx::Result<bool> {
    on!(tx, |c| {
        sqlx::query(
        "INSERT INTO sign_in_returns (journey, expires_at) VALUES ($1, $2) ON CONFLICT (journey) DO NOTHING"
    )
    .bind(journey)
    .bind(until.0)
    .execute(c)
    .await
    .map(|done| done.rows_affected() > 0)
    })
}

pub(crate) async fn is_there(tx: &mut Tx, journey: &str) -> sqlx::Result<bool> {
    let found: Option<(String,)> = on!(tx, |c| sqlx::query_as(
        "SELECT journey FROM sign_in_returns WHERE journey = $1"
    )
    .bind(journey)
    .fetch_optional(c)
    .await)?;
    Ok(found.is_some())
}

pub(crate) async fn purge(tx: &mut Tx, now: Millis) -> sqlx::Result<()> {
    on!(tx, |c| sqlx::query(
        "DELETE FROM sign_in_returns WHERE expires_at <= $1"
    )
    .bind(now.0)
    .execute(c)
    .await
    .map(|_| ()))
}
