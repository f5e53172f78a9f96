//! Tables `mail_addresses`, `mail_proofs` and `sign_up_mails`.

use lyceum_model::clock::Millis;
use lyceum_model::name::UserName;
use lyceum_store::{Tx, on};

use crate::addresses::Known;

pub(crate) async fn find(tx: &mut Tx, name: &UserName) -> sqlx::Result<Option<Known>> {
    on!(tx, |c| sqlx::query_as(
        "SELECT address, given_by, verified_at FROM mail_addresses WHERE user_name = $1"
    )
    .bind(name.as_str())
    .fetch_optional(c)
    .await)
}

/// Whose it is, in the order of names.
pub(crate) async fn names(tx: &mut Tx, address: &str, most: i64) -> sqlx::Result<Vec<String>> {
    on!(tx, |c| sqlx::query_scalar(
        "SELECT user_name FROM mail_addresses WHERE address = $1 ORDER BY user_name LIMIT $2"
    )
    .bind(address)
    .bind(most)
    .fetch_all(c)
    .await)
}

pub(crate) async fn upsert(tx: &mut Tx, name: &UserName, known: &Known) -> sqlx::Result<()> {
    on!(tx, |c| {
        sqlx::query(
        "INSERT INTO mail_addresses (user_name, address, given_by, verified_at) VALUES ($1, $2, $3, $4)
         ON CONFLICT (user_name) DO UPDATE SET address = $2, given_by = $3, verified_at = $4"
    )
    .bind(name.as_str())
    .bind(&known.address)
    .bind(&known.given_by)
    .bind(known.verified_at)
    .execute(c)
    .await
    .map(|_| ())
    })
}

pub(crate) async fn delete(tx: &mut Tx, name: &UserName) -> sqlx::Result<bool> {
    on!(tx, |c| sqlx::query(
        "DELETE FROM mail_addresses WHERE user_name = $1"
    )
    .bind(name.as_str())
    .execute(c)
    .await
    .map(|done| done.rows_affected() > 0))
}

/// To a name of which nothing is kept.
pub(crate) async fn rename(tx: &mut Tx, from: &UserName, to: &UserName) -> sqlx::Result<()> {
    on!(tx, |c| sqlx::query(
        "UPDATE mail_addresses SET user_name = $2 WHERE user_name = $1"
    )
    .bind(from.as_str())
    .bind(to.as_str())
    .execute(c)
    .await
    .map(|_| ()))
}

pub(crate) async fn upsert_proof(
    tx: &mut Tx,
    name: &UserName,
    (hash, address): (&str, &str),
    expires_at: Millis,
) -> sqlx::Result<()> {
    on!(tx, |c| sqlx::query(
        "INSERT INTO mail_proofs (user_name, hash, address, expires_at) VALUES ($1, $2, $3, $4)
         ON CONFLICT (user_name) DO UPDATE SET hash = $2, address = $3, expires_at = $4"
    )
    .bind(name.as_str())
    .bind(hash)
    .bind(address)
    .bind(expires_at.0)
    .execute(c)
    .await
    .map(|_| ()))
}

/// Name and address.
pub(crate) async fn find_proof(
    tx: &mut Tx,
    hash: &str,
    now: Millis,
) -> sqlx::Result<Option<(String, String)>> {
    on!(tx, |c| sqlx::query_as(
        "SELECT user_name, address FROM mail_proofs WHERE hash = $1 AND expires_at > $2"
    )
    .bind(hash)
    .bind(now.0)
    .fetch_optional(c)
    .await)
}

/// Of two at once one gets it.
pub(crate) async fn delete_proof_hash(tx: &mut Tx, hash: &str) -> sqlx::Result<bool> {
    on!(tx, |c| sqlx::query(
        "DELETE FROM mail_proofs WHERE hash = $1"
    )
    .bind(hash)
    .execute(c)
    .await
    .map(|done| done.rows_affected() > 0))
}

pub(crate) async fn delete_proof(tx: &mut Tx, name: &UserName) -> sqlx::Result<()> {
    on!(tx, |c| sqlx::query(
        "DELETE FROM mail_proofs WHERE user_name = $1"
    )
    .bind(name.as_str())
    .execute(c)
    .await
    .map(|_| ()))
}

pub(crate) async fn upsert_sign_up(
    tx: &mut Tx,
    address: &str,
    hash: &str,
    expires_at: Millis,
) -> sqlx::Result<()> {
    on!(tx, |c| sqlx::query(
        "INSERT INTO sign_up_mails (address, hash, expires_at) VALUES ($1, $2, $3)
         ON CONFLICT (address) DO UPDATE SET hash = $2, expires_at = $3"
    )
    .bind(address)
    .bind(hash)
    .bind(expires_at.0)
    .execute(c)
    .await
    .map(|_| ()))
}

pub(crate) async fn find_sign_up(
    tx: &mut Tx,
    hash: &str,
    now: Millis,
) -> sqlx::Result<Option<String>> {
    on!(tx, |c| sqlx::query_scalar(
        "SELECT address FROM sign_up_mails WHERE hash = $1 AND expires_at > $2"
    )
    .bind(hash)
    .bind(now.0)
    .fetch_optional(c)
    .await)
}

/// Of two at once one gets it.
pub(crate) async fn delete_sign_up(tx: &mut Tx, hash: &str) -> sqlx::Result<bool> {
    on!(tx, |c| sqlx::query(
        "DELETE FROM sign_up_mails WHERE hash = $1"
    )
    .bind(hash)
    .execute(c)
    .await
    .map(|done| done.rows_affected() > 0))
}

pub(crate) async fn purge(tx: &mut Tx, now: Millis) -> sqlx::Result<()> {
    for statement in [
        "DELETE FROM mail_proofs WHERE expires_at <= $1",
        "DELETE FROM sign_up_mails WHERE expires_at <= $1",
    ] {
        on!(tx, |c| sqlx::query(statement)
            .bind(now.0)
            .execute(c)
            .await
            .map(|_| ()))?;
    }
    Ok(())
}
