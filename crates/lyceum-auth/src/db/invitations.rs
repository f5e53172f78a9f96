//! Table `invitations`.

use lyceum_model::clock::Millis;
use lyceum_store::{Tx, on};

use crate::invitations::Invitation;

pub(crate) async fn insert(tx: &mut Tx, invitation: &Invitation, hash: &str) -> sqlx::Result<()> {
    on!(tx, |c| {
        sqlx::query(
        "INSERT INTO invitations (id, hash, note, in_groups, made_by, made_at, expires_at) VALUES ($1, $2, $3, $4, $5, $6, $7)"
    )
    .bind(&invitation.id)
    .bind(hash)
    .bind(&invitation.note)
    .bind(&invitation.in_groups)
    .bind(&invitation.made_by)
    .bind(invitation.made_at)
    .bind(invitation.expires_at)
    .execute(c)
    .await
    .map(|_| ())
    })
}

pub(crate) async fn find(tx: &mut Tx, hash: &str, now: Millis) -> sqlx::Result<Option<Invitation>> {
    on!(tx, |c| {
        sqlx::query_as(
        "SELECT id, note, in_groups, made_by, made_at, expires_at FROM invitations WHERE hash = $1 AND expires_at > $2"
    )
    .bind(hash)
    .bind(now.0)
    .fetch_optional(c)
    .await
    })
}

/// Those that are still good, the newest first.
pub(crate) async fn open(tx: &mut Tx, now: Millis, most: i64) -> sqlx::Result<Vec<Invitation>> {
    on!(tx, |c| sqlx::query_as(
        "SELECT id, note, in_groups, made_by, made_at, expires_at FROM invitations
         WHERE expires_at > $1 ORDER BY made_at DESC, id DESC LIMIT $2"
    )
    .bind(now.0)
    .bind(most)
    .fetch_all(c)
    .await)
}

/// Of two at once one gets it.
pub(crate) async fn delete(tx: &mut Tx, id: &str) -> sqlx::Result<bool> {
    on!(tx, |c| sqlx::query("DELETE FROM invitations WHERE id = $1")
        .bind(id)
        .execute(c)
        .await
        .map(|done| done.rows_affected() == 1))
}

pub(crate) async fn purge(tx: &mut Tx, now: Millis) -> sqlx::Result<()> {
    on!(tx, |c| sqlx::query(
        "DELETE FROM invitations WHERE expires_at <= $1"
    )
    .bind(now.0)
    .execute(c)
    .await
    .map(|_| ()))
}
