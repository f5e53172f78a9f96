//! Table `local_accounts`.

use lyceum_model::clock::Millis;
use lyceum_model::name::UserName;
use lyceum_store::{Tx, on};

pub(crate) async fn find_hash(tx: &mut Tx, name: &UserName) -> sqlx::Result<Option<String>> {
    on!(tx, |c| sqlx::query_scalar(
        "SELECT password_hash FROM local_accounts WHERE user_name = $1"
    )
    .bind(name.as_str())
    .fetch_optional(c)
    .await)
}

pub(crate) async fn upsert(
    tx: &mut Tx,
    name: &UserName,
    hash: &str,
    now: Millis,
) -> sqlx::Result<()> {
    on!(tx, |c| sqlx::query(
        "INSERT INTO local_accounts (user_name, password_hash, changed_at) VALUES ($1, $2, $3)
         ON CONFLICT (user_name) DO UPDATE SET password_hash = $2, changed_at = $3"
    )
    .bind(name.as_str())
    .bind(hash)
    .bind(now.0)
    .execute(c)
    .await
    .map(|_| ()))
}

pub(crate) async fn delete(tx: &mut Tx, name: &UserName) -> sqlx::Result<bool> {
    on!(tx, |c| sqlx::query(
        "DELETE FROM local_accounts WHERE user_name = $1"
    )
    .bind(name.as_str())
    .execute(c)
    .await
    .map(|done| done.rows_affected() > 0))
}

/// Not when there is an account of the other name.
pub(crate) async fn rename(tx: &mut Tx, from: &UserName, to: &UserName) -> sqlx::Result<bool> {
    if find_hash(tx, to).await?.is_some() {
        return Ok(false);
    }
    on!(tx, |c| sqlx::query(
        "UPDATE local_accounts SET user_name = $2 WHERE user_name = $1"
    )
    .bind(from.as_str())
    .bind(to.as_str())
    .execute(c)
    .await
    .map(|_| true))
}
