//! Those who ask for an account and wait until an administrator says yes or no.
//!
//! Who waits is nobody yet: her name is kept from others who ask, and from nobody else. She is forgotten
//! after two weeks, and only so many can wait. Which names are free is the hub's to say.

use lyceum_model::clock::Millis;
use lyceum_model::id::new_id;
use lyceum_model::name::UserName;
use lyceum_store::Tx;

use crate::db::sign_ups;
use crate::local::NewPassword;

/// How long somebody waits.
pub const DAYS: i64 = 14;
/// So many can wait at a time.
pub const MOST: usize = 200;
/// Characters of what somebody says of herself.
pub const NOTE_MAX: usize = 200;

/// One who waits.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct Waiting {
    pub id: String,
    pub user_name: String,
    /// Who she is, in her words.
    pub note: String,
    pub asked_at: i64,
    pub expires_at: i64,
}

/// What came of asking.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Asked {
    Waits(Waiting),
    /// Somebody waits by that name.
    Taken,
    /// Too many wait.
    Full,
}

/// Asks for an account of this name and password.
pub async fn ask(
    tx: &mut Tx,
    name: &UserName,
    password: &NewPassword,
    note: &str,
    now: Millis,
) -> sqlx::Result<Asked> {
    sign_ups::purge(tx, now).await?;
    let count = sign_ups::count(tx, now).await?;
    if usize::try_from(count).unwrap_or(usize::MAX) >= MOST {
        return Ok(Asked::Full);
    }
    let waiting = Waiting {
        id: new_id(now),
        user_name: name.to_string(),
        note: note.to_owned(),
        asked_at: now.0,
        expires_at: now.plus(DAYS * 24 * 3_600_000).0,
    };
    match sign_ups::insert(tx, &waiting, password.hash()).await? {
        true => Ok(Asked::Waits(waiting)),
        false => Ok(Asked::Taken),
    }
}

/// Whether somebody waits by this name.
pub async fn is_waiting(tx: &mut Tx, name: &UserName, now: Millis) -> sqlx::Result<bool> {
    sign_ups::is_waiting(tx, name, now).await
}

/// All who wait, who asked first at the top.
pub async fn waiting(tx: &mut Tx, now: Millis) -> sqlx::Result<Vec<Waiting>> {
    let most = i64::try_from(MOST).unwrap_or(i64::MAX);
    sign_ups::waiting(tx, now, most).await
}

/// Takes one off the list, for an account. Of two at once one gets it.
pub async fn take(
    tx: &mut Tx,
    id: &str,
    now: Millis,
) -> sqlx::Result<Option<(UserName, NewPassword)>> {
    let Some((name, hash)) = sign_ups::find(tx, id, now).await? else {
        return Ok(None);
    };
    let Ok(name) = UserName::parse(&name) else {
        return Ok(None);
    };
    let taken = sign_ups::delete(tx, id).await?;
    Ok(taken.then(|| (name, NewPassword::kept(hash))))
}

/// Takes one off the list, for nothing; the name that was asked for, if she was on it.
pub async fn refuse(tx: &mut Tx, id: &str) -> sqlx::Result<Option<String>> {
    // Also of those whose time is over.
    let found = sign_ups::find(tx, id, Millis(0)).await?;
    let gone = sign_ups::delete(tx, id).await?;
    Ok(found.map(|(name, _)| name).filter(|_| gone))
}

/// Forgets who has waited for too long; to be called now and then.
pub async fn prune(tx: &mut Tx, now: Millis) -> sqlx::Result<()> {
    sign_ups::purge(tx, now).await
}
