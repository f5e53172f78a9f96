//! Tells the proxy whose access has changed, also when another process changed it (a command on the
//! command line, another replica): open sockets of that person end, remembered answers are forgotten.

use std::time::Duration;

use lyceum_model::clock::Millis;
use lyceum_proxy::Revoked;
use lyceum_store::{Tx, events};
use tokio_util::sync::CancellationToken;

use crate::Hub;

/// The topic; the subject is the person's name.
pub const TOPIC: &str = "access";
/// Another process on the same SQLite file can't wake us, so we look as often as this.
const LOOK_EVERY: Duration = Duration::from_secs(2);
const AT_ONCE: u32 = 500;

/// Says, in the transaction that changes it, that somebody's access has changed.
pub async fn announce(tx: &mut Tx, user: &str, now: Millis) -> sqlx::Result<()> {
    events::publish(tx, TOPIC, user, &serde_json::json!({}), now).await?;
    Ok(())
}

/// Follows the announcements until shutdown.
pub async fn run(hub: Hub, shutdown: CancellationToken) {
    let mut wake = hub.db().wake_ups();
    let mut seen: Option<i64> = None;
    loop {
        match look(&hub, seen).await {
            Ok(newest) => seen = Some(newest),
            Err(error) => {
                tracing::warn!(error = %error, "could not look for changes of access; trying again");
            }
        }
        tokio::select! {
            () = shutdown.cancelled() => return,
            () = tokio::time::sleep(LOOK_EVERY) => {}
            () = events::woken(&mut wake, &[TOPIC]) => {}
        }
    }
}

/// Passes on what is new; gives the number up to which everything has been seen.
async fn look(hub: &Hub, seen: Option<i64>) -> sqlx::Result<i64> {
    let mut tx = hub.db().read().await?;
    // What was before our start has no socket open here.
    let Some(mut seen) = seen else {
        return events::newest(&mut tx).await;
    };
    loop {
        let news = events::after(&mut tx, seen, &[TOPIC], AT_ONCE).await?;
        for event in &news {
            seen = event.seq;
            hub.links().revoke(Revoked::Subject(event.subject.clone()));
        }
        if news.len() < AT_ONCE as usize {
            return Ok(seen);
        }
    }
}
