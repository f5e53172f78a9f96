//! Links by which somebody makes an account of her own, once: whoever administers makes one and hands it over.
//!
//! An invitation is for nobody by name: whoever has the link chooses a name that is free. It is good once and
//! for a week, and can be taken back before. Kept is its hash. Which names are free is the hub's to say.

use lyceum_model::clock::Millis;
use lyceum_model::digest::hash_secret;
use lyceum_model::id::{new_id, new_secret};
use lyceum_store::Tx;

use crate::db::invitations;

/// How long an invitation is good.
pub const DAYS: i64 = 7;
/// So many can be open at a time.
pub const MOST: usize = 500;

/// One that was made.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct Invitation {
    pub id: String,
    /// For whom, in the words of whoever made it.
    pub note: String,
    pub(crate) in_groups: String,
    pub made_by: String,
    pub made_at: i64,
    pub expires_at: i64,
}

impl Invitation {
    /// The groups that she is in then.
    pub fn groups(&self) -> Vec<String> {
        serde_json::from_str(&self.in_groups).unwrap_or_default()
    }
}

/// Makes one; gives it and its secret.
pub async fn make(
    tx: &mut Tx,
    note: &str,
    groups: &[String],
    by: &str,
    now: Millis,
) -> sqlx::Result<(Invitation, String)> {
    invitations::purge(tx, now).await?;
    let secret = new_secret();
    let invitation = Invitation {
        id: new_id(now),
        note: note.to_owned(),
        in_groups: serde_json::to_string(groups).expect("texts"),
        made_by: by.to_owned(),
        made_at: now.0,
        expires_at: now.plus(DAYS * 24 * 3_600_000).0,
    };
    invitations::insert(tx, &invitation, &hashed(&secret)).await?;
    Ok((invitation, secret))
}

/// The one with this secret, if it is still good.
pub async fn find(tx: &mut Tx, secret: &str, now: Millis) -> sqlx::Result<Option<Invitation>> {
    invitations::find(tx, &hashed(secret), now).await
}

/// Uses it up. Of two at once one gets it.
pub async fn take(tx: &mut Tx, secret: &str, now: Millis) -> sqlx::Result<Option<Invitation>> {
    match find(tx, secret, now).await? {
        Some(found) if invitations::delete(tx, &found.id).await? => Ok(Some(found)),
        _ => Ok(None),
    }
}

/// Those that are still good, the newest first.
pub async fn open(tx: &mut Tx, now: Millis) -> sqlx::Result<Vec<Invitation>> {
    let most = i64::try_from(MOST).unwrap_or(i64::MAX);
    invitations::open(tx, now, most).await
}

/// Takes one back; whether it was there.
pub async fn withdraw(tx: &mut Tx, id: &str) -> sqlx::Result<bool> {
    invitations::delete(tx, id).await
}

fn hashed(secret: &str) -> String {
    hash_secret("lyceum invitation 1", secret)
}
