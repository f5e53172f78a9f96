//! Announcements that somebody's access has changed. They reach every proxy of every replica, also
//! from another process (a command on the command line): open sockets of that person end,
//! remembered answers are forgotten.
//!
//! Who passes them on is [`crate::proxy`].

use lyceum_model::clock::Millis;
use lyceum_store::{Tx, events};

/// The topic; the subject is the person's name.
pub const TOPIC: &str = "access";
/// The subject that means everybody; no name is like that.
const EVERYBODY: &str = "*";

/// Says, in the transaction that changes it, that somebody's access has changed.
pub async fn announce(tx: &mut Tx, user: &str, now: Millis) -> sqlx::Result<()> {
    events::publish(tx, TOPIC, user, &serde_json::json!({}), now).await?;
    Ok(())
}

/// Says that the rules have changed, and everybody is to be asked about anew.
pub async fn announce_all(tx: &mut Tx, now: Millis) -> sqlx::Result<()> {
    announce(tx, EVERYBODY, now).await
}
