//! Announcements that somebody's access has changed. They reach every proxy of every replica, also
//! from another process (a command on the command line): open sockets of that person end,
//! remembered answers are forgotten. Of all that she has, or of what rests on single grounds: a
//! session, a token, a share ([`crate::access`] says what an answer rests upon).
//!
//! Who passes them on is [`crate::proxy`].

use lyceum_model::clock::Millis;
use lyceum_store::{Tx, events};

use crate::shares;

/// The topic; the subject is the person's name.
pub const TOPIC: &str = "access";
/// The subject that means everybody; no name is like that.
const EVERYBODY: &str = "*";
const GROUNDS: &str = "grounds";
/// News have to fit into a line for the proxies, many announcements in one.
const MOST_GROUNDS: usize = 32;

/// Says, in the transaction that changes it, that somebody's access has changed; and with it that of
/// those who hold what she shared, since they hold no more than she may give.
pub async fn announce(tx: &mut Tx, user: &str, now: Millis) -> sqlx::Result<()> {
    let Some(holders) = shares::resting_on(tx, user).await? else {
        return announce_all(tx, now).await;
    };
    say(tx, user, now).await?;
    for (holder, servers) in holders {
        announce_fallen(tx, &holder, &servers, now).await?;
    }
    Ok(())
}

async fn say(tx: &mut Tx, subject: &str, now: Millis) -> sqlx::Result<()> {
    events::publish(tx, TOPIC, subject, &serde_json::json!({}), now).await?;
    Ok(())
}

/// As [`announce`], of what rests on one of these sessions, tokens or shared servers only.
pub async fn announce_fallen(
    tx: &mut Tx,
    user: &str,
    fallen: &[String],
    now: Millis,
) -> sqlx::Result<()> {
    if fallen.len() > MOST_GROUNDS {
        return say(tx, user, now).await;
    }
    let body = serde_json::json!({ GROUNDS: fallen });
    events::publish(tx, TOPIC, user, &body, now).await?;
    Ok(())
}

/// What an announcement is limited to; nothing: it is about all that the person has.
pub(crate) fn grounds(body: &serde_json::Value) -> Option<Vec<String>> {
    let fallen = body.get(GROUNDS)?.as_array()?.iter();
    fallen.map(|one| one.as_str().map(str::to_owned)).collect()
}

/// Says that the rules have changed, and everybody is to be asked about anew.
pub async fn announce_all(tx: &mut Tx, now: Millis) -> sqlx::Result<()> {
    say(tx, EVERYBODY, now).await
}
