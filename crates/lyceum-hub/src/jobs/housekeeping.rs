//! What must be cleared away now and then: expired sessions and why others ended, tokens, codes of all kinds, old events, failures of starts and servers, what others did with servers, the list of what was done, failed sign-ins, links sent by mail, those who asked for an account in vain, removed servers.

use std::time::Duration;

use lyceum_store::events;
use tokio_util::sync::CancellationToken;

use crate::{Hub, db};

const EVERY: Duration = Duration::from_secs(300);
/// Events are kept this long for readers that were away.
const KEEP_EVENTS_MS: i64 = 7 * 24 * 3_600_000;

pub async fn run(hub: Hub, shutdown: CancellationToken) {
    let mut tick = tokio::time::interval(EVERY);
    loop {
        tokio::select! {
            () = shutdown.cancelled() => return,
            _ = tick.tick() => {}
        }
        if let Err(error) = once(&hub).await {
            tracing::warn!(
                error = format!("{error:#}"),
                "could not clear away what has expired"
            );
        }
    }
}

async fn once(hub: &Hub) -> anyhow::Result<()> {
    let now = hub.now();
    let mut tx = hub.db().write().await?;
    crate::sittings::close_over(&mut tx, now).await?;
    db::sessions::prune(&mut tx, now.0).await?;
    db::refreshes::prune_ends(&mut tx, now.0).await?;
    db::shares::prune_codes(&mut tx, now.0).await?;
    crate::trouble::prune(&mut tx, now).await?;
    db::failures::prune(&mut tx, now).await?;
    crate::deeds::prune(&mut tx, now).await?;
    crate::audit::prune(hub, &mut tx).await?;
    lyceum_auth::second_factor::prune(&mut tx, now).await?;
    lyceum_auth::links::prune(&mut tx, now).await?;
    lyceum_auth::addresses::prune(&mut tx, now).await?;
    lyceum_auth::sign_ups::prune(&mut tx, now).await?;
    events::prune(&mut tx, now.plus(-KEEP_EVENTS_MS)).await?;
    tx.commit().await?;
    hub.sign_in().tidy().await?;
    crate::launching::forget_unwanted(hub).await?;
    Ok(())
}
