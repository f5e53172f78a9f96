//! When servers were last used, as the proxies saw it: collected, and written down in batches.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use lyceum_model::clock::Millis;
use tokio_util::sync::CancellationToken;

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
                let at = i64::try_from(activity.last_ms).unwrap_or(i64::MAX);
                let known = unwritten.entry(activity.route_id).or_insert(at);
                *known = at.max(*known);
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
        // Rows are locked in one order everywhere, so that two replicas don't wait for each other.
        let mut batch: Vec<(String, i64)> = unwritten
            .iter()
            .take(ACTIVITY_BATCH)
            .map(|(id, at)| (id.clone(), *at))
            .collect();
        batch.sort_unstable();
        let mut users: BTreeMap<String, i64> = BTreeMap::new();
        let mut tx = hub.db().write().await?;
        for (id, at) in &batch {
            db::servers::touch(&mut tx, id, Millis(*at)).await?;
            if let Some(server) = db::servers::get(&mut tx, id).await? {
                let known = users.entry(server.user_id).or_insert(*at);
                *known = (*at).max(*known);
            }
        }
        for (id, at) in users {
            db::users::touch(&mut tx, &id, Millis(at)).await?;
        }
        tx.commit().await?;
        for (id, _) in batch {
            unwritten.remove(&id);
        }
    }
    Ok(())
}
