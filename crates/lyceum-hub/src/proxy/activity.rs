//! When servers were last used, as the proxies saw it: collected, and written down in batches.

use std::collections::HashMap;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::cull::in_ms;
use crate::db::uses::Uses;
use crate::{Hub, db};

const ACTIVITY_LIMIT: Duration = Duration::from_secs(20);
/// Rows written in one transaction.
const ACTIVITY_BATCH: usize = 500;

/// Writes down, in batches, when servers were last used; the last batch at shutdown.
pub async fn run(hub: Hub, shutdown: CancellationToken) {
    let mut unwritten: HashMap<String, i64> = HashMap::new();
    let mut failing = false;
    loop {
        let pause = tokio::time::sleep(hub.timings().activity_every);
        let last = shutdown.run_until_cancelled(pause).await.is_none();
        if let Some(proxy) = hub.links().proxy() {
            for activity in proxy.take_activity() {
                if activity.moved {
                    // By the clock that all replicas go by, which need not be the machine's.
                    let at = hub.now().plus(-in_ms(activity.last.age()));
                    unwritten.insert(activity.route_id, at.0);
                }
            }
        }
        let written = write(&hub, &mut unwritten);
        match tokio::time::timeout(ACTIVITY_LIMIT, written).await {
            Ok(Ok(())) => failing = false,
            outcome if !failing => {
                failing = true;
                let error = match outcome {
                    Ok(Err(error)) => format!("{error:#}"),
                    _ => "the database is too slow".into(),
                };
                tracing::warn!(
                    error,
                    "could not write activity down; kept for the next time"
                );
            }
            _ => {}
        }
        if last {
            return;
        }
    }
}

/// Writes down when which server was last used; what was written is taken out of the map.
pub async fn write(hub: &Hub, unwritten: &mut HashMap<String, i64>) -> anyhow::Result<()> {
    while !unwritten.is_empty() {
        let batch: Uses = unwritten
            .iter()
            .take(ACTIVITY_BATCH)
            .map(|(id, at)| (id.clone(), *at))
            .collect();
        let mut tx = hub.db().write().await?;
        let owners = db::uses::owners_of_servers(&mut tx, &batch).await?;
        let people = db::uses::of_people(&mut tx, &owners).await?;
        let servers = db::uses::of_servers(&mut tx, &batch).await?;
        hub.seen().pass(tx, people + servers).await?;
        for id in batch.keys() {
            unwritten.remove(id);
        }
    }
    Ok(())
}
