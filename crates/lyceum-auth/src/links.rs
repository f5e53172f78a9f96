//! Links by which somebody gives herself a password, once: whoever administers makes one and hands it over, or
//! it is sent to her address of mail when she has forgotten hers.
//!
//! A link is a secret in an address, so it is worth little: it is good once and for three days, or an hour if
//! it was sent; a newer one of its kind for the same person ends it, and so does a new password by any other
//! way. Whoever asks for a link by mail in somebody else's name ends none that was handed over. Kept is its hash.

use lyceum_model::clock::Millis;
use lyceum_model::digest::hash_secret;
use lyceum_model::id::new_secret;
use lyceum_model::name::UserName;
use lyceum_store::Tx;

use crate::db::password_links as links;

/// How long a link is good.
pub const DAYS: i64 = 3;
/// How long one is good that was sent by mail.
pub const MAILED_MINUTES: i64 = 60;

/// A link that was just made.
pub struct Made {
    pub secret: String,
    pub expires_at: Millis,
}

/// Makes a link for this person; the one before it ends.
pub async fn make(tx: &mut Tx, name: &UserName, by: &str, now: Millis) -> sqlx::Result<Made> {
    let made = Made {
        secret: new_secret(),
        expires_at: now.plus(DAYS * 24 * 3_600_000),
    };
    links::upsert(tx, name, &hashed(&made.secret), by, made.expires_at).await?;
    Ok(made)
}

/// Makes a link to be sent to this person; the one that was sent before it ends.
pub async fn make_mailed(tx: &mut Tx, name: &UserName, now: Millis) -> sqlx::Result<Made> {
    let made = Made {
        secret: new_secret(),
        expires_at: now.plus(MAILED_MINUTES * 60_000),
    };
    links::upsert_mailed(tx, name, &hashed(&made.secret), made.expires_at).await?;
    Ok(made)
}

/// Whose link this is, if it is still good.
pub async fn find(tx: &mut Tx, secret: &str, now: Millis) -> sqlx::Result<Option<UserName>> {
    let hash = hashed(secret);
    match links::find(tx, &hash, now).await? {
        Some(name) => Ok(Some(name)),
        None => links::find_mailed(tx, &hash, now).await,
    }
}

/// Uses it up. Of two at once one gets it.
pub async fn take(tx: &mut Tx, secret: &str, now: Millis) -> sqlx::Result<Option<UserName>> {
    let hash = hashed(secret);
    if let Some(name) = links::find(tx, &hash, now).await? {
        return Ok(links::delete_hash(tx, &hash).await?.then_some(name));
    }
    match links::find_mailed(tx, &hash, now).await? {
        Some(name) if links::delete_mailed_hash(tx, &hash).await? => Ok(Some(name)),
        _ => Ok(None),
    }
}

/// Forgets those that were sent and are too old; to be called now and then.
pub async fn prune(tx: &mut Tx, now: Millis) -> sqlx::Result<()> {
    links::purge_mailed(tx, now).await
}

fn hashed(secret: &str) -> String {
    hash_secret("lyceum password link 1", secret)
}
