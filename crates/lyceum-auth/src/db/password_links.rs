//! Tables `password_links` and `mailed_password_links`.

use lyceum_model::clock::Millis;
use lyceum_model::name::UserName;
use lyceum_store::{Tx, on};

pub(crate) async fn upsert(
    tx: &mut Tx,
    name: &UserName,
    hash: &str,
    by: &str,
    expires_at: Millis,
) -> sqlx::Result<()> {
    on!(tx, |c| sqlx::query(
        "INSERT INTO password_links (user_name, hash, made_by, expires_at) VALUES ($1, $2, $3, $4)
         ON CONFLICT (user_name) DO UPDATE SET hash = $2, made_by = $3, expires_at = $4"
    )
    .bind(name.as_str())
    .bind(hash)
    .bind(by)
    .bind(expires_at.0)
    .execute(c)
    .await
    .map(|_| ()))
}

pub(crate) async fn find(tx: &mut Tx, hash: &str, now: Millis) -> sqlx::Result<Option<UserName>> {
    let name: Option<String> = on!(tx, |c| sqlx::query_scalar(
        "SELECT user_name FROM password_links WHERE hash = $1 AND expires_at > $2"
    )
    .bind(hash)
    .bind(now.0)
    .fetch_optional(c)
    .await)?;
    Ok(name.and_then(|name| UserName::parse(&name).ok()))
}

pub(crate) async fn delete_hash(tx: &mut Tx, hash: &str) -> sqlx::Result<bool> {
    on!(tx, |c| sqlx::query(
        "DELETE FROM password_links WHERE hash = $1"
    )
    .bind(hash)
    .execute(c)
    .await
    .map(|done| done.rows_affected() > 0))
}

/// The one that is sent by mail; the one before it ends.
pub(crate) async fn upsert_mailed(
    tx: &mut Tx,
    name: &UserName,
    hash: &str,
    expires_at: Millis,
) -> sqlx::Result<()> {
    on!(tx, |c| sqlx::query(
        "INSERT INTO mailed_password_links (user_name, hash, expires_at) VALUES ($1, $2, $3)
         ON CONFLICT (user_name) DO UPDATE SET hash = $2, expires_at = $3"
    )
    .bind(name.as_str())
    .bind(hash)
    .bind(expires_at.0)
    .execute(c)
    .await
    .map(|_| ()))
}

pub(crate) async fn find_mailed(
    tx: &mut Tx,
    hash: &str,
    now: Millis,
) -> sqlx::Result<Option<UserName>> {
    let name: Option<String> = on!(tx, |c| sqlx::query_scalar(
        "SELECT user_name FROM mailed_password_links WHERE hash = $1 AND expires_at > $2"
    )
    .bind(hash)
    .bind(now.0)
    .fetch_optional(c)
    .await)?;
    Ok(name.and_then(|name| UserName::parse(&name).ok()))
}

pub(crate) async fn delete_mailed_hash(tx: &mut Tx, hash: &str) -> sqlx::Result<bool> {
    on!(tx, |c| sqlx::query(
        "DELETE FROM mailed_password_links WHERE hash = $1"
    )
    .bind(hash)
    .execute(c)
    .await
    .map(|done| done.rows_affected() > 0))
}

pub(crate) async fn delete_mailed(tx: &mut Tx, name: &UserName) -> sqlx::Result<()> {
    on!(tx, |c| sqlx::query(
        "DELETE FROM mailed_password_links WHERE user_name = $1"
    )
    .bind(name.as_str())
    .execute(c)
    .await
    .map(|_| ()))
}

pub(crate) async fn purge_mailed(tx: &mut Tx, now: Millis) -> sqlx::Result<()> {
    on!(tx, |c| sqlx::query(
        "DELETE FROM mailed_password_links WHERE expires_at <= $1"
    )
    .bind(now.0)
    .execute(c)
    .await
    .map(|_| ()))
}

/// All of hers, however she came by them.
pub(crate) async fn delete(tx: &mut Tx, name: &UserName) -> sqlx::Result<()> {
    delete_mailed(tx, name).await?;
    on!(tx, |c| sqlx::query(
        "DELETE FROM password_links WHERE user_name = $1"
    )
    .bind(name.as_str())
    .execute(c)
    .await
    .map(|_| ()))
}
