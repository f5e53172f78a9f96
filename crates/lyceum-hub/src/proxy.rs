//! Keeps the proxy's route table true and takes its activity reports.
//!
//! Routes are derived from the rows of ready servers; a proxy gets a whole snapshot at each change.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::Context;
use arc_swap::ArcSwap;
use lyceum_model::clock::Millis;
use lyceum_model::name::{ServerName, UserName};
use lyceum_model::server::ServerKey;
use lyceum_proxy::{Proxy, Revoked, Route, RouteAccess, RouteTable, Target};
use lyceum_store::events;
use tokio_util::sync::CancellationToken;

use crate::jobs::keeper;
use crate::{Hub, db, servers};

/// Without news the table is made anew this often.
const REFRESH_EVERY: Duration = Duration::from_secs(10);
const RETRY_EVERY: Duration = Duration::from_secs(1);
const ACTIVITY_LIMIT: Duration = Duration::from_secs(20);
/// Rows written in one transaction.
const ACTIVITY_BATCH: usize = 500;

/// The proxies this hub feeds. In one process there is one.
#[derive(Default)]
pub struct Links {
    proxy: Mutex<Option<Proxy>>,
    /// Whose server is behind a route's id.
    owners: ArcSwap<HashMap<String, Owner>>,
    /// Writers of the table take turns, so that an older snapshot never replaces a newer.
    turn: tokio::sync::Mutex<()>,
    /// How many times the rows were begun to be read for a table; counted in turn.
    begun: AtomicU64,
    /// The number of the last one whose table is in force.
    done: AtomicU64,
}

#[derive(Debug, Clone)]
pub struct Owner {
    pub user: UserName,
    pub server: ServerName,
    /// What the spawner knows it by.
    pub key: ServerKey,
}

impl Links {
    pub fn attach(&self, proxy: Proxy) {
        *self.proxy.lock().unwrap_or_else(PoisonError::into_inner) = Some(proxy);
    }

    pub fn proxy(&self) -> Option<Proxy> {
        self.proxy
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    pub fn owner(&self, route: &str) -> Option<Owner> {
        self.owners.load().get(route).cloned()
    }

    /// A session ended, a role was lost: what was allowed before is asked again, at once.
    pub fn revoke(&self, what: Revoked) {
        if let Some(proxy) = self.proxy() {
            proxy.revoke(what);
        }
    }
}

/// Makes the table anew from the rows and puts it in force. Many callers at once share the work.
pub async fn refresh(hub: &Hub) -> anyhow::Result<()> {
    let begun = &hub.links().begun;
    let before = begun.load(Ordering::SeqCst);
    let turn = hub.links().turn.lock().await;
    // The one under way when we came may have read the rows too early for us; one that began
    // later, and is over since it is our turn, has not.
    if hub.links().done.load(Ordering::SeqCst) > before {
        return Ok(());
    }
    let this = begun.fetch_add(1, Ordering::SeqCst) + 1;
    renew(hub).await?;
    hub.links().done.store(this, Ordering::SeqCst);
    drop(turn);
    Ok(())
}

async fn renew(hub: &Hub) -> anyhow::Result<()> {
    let mut tx = hub.db().read().await?;
    let rows = db::servers::routes(&mut tx).await?;
    drop(tx);
    let mut owners = HashMap::with_capacity(rows.len());
    let mut routes = Vec::with_capacity(rows.len());
    for (id, user, server, key, address) in rows {
        let (Ok(user), Ok(server), Some(key)) = (
            UserName::parse(&user),
            ServerName::parse(&server),
            ServerKey::parse(&key),
        ) else {
            tracing::error!(
                server = id,
                "a damaged name in the database can't be routed to"
            );
            continue;
        };
        // Routes are matched on decoded segments; names need no decoding.
        let prefix = if server.is_default() {
            format!("/user/{user}/")
        } else {
            format!("/user/{user}/{server}/")
        };
        let target: Target = match address.parse() {
            Ok(target) => target,
            Err(error) => {
                tracing::error!(server = id, error = %error, "a server's address can't be routed to");
                continue;
            }
        };
        routes.push(Route {
            prefix,
            id: id.clone(),
            target,
            access: RouteAccess::Checked,
            owner: user.to_string(),
        });
        owners.insert(id, Owner { user, server, key });
    }
    hub.links().owners.store(Arc::new(owners));
    hub.metrics()
        .running
        .set(i64::try_from(routes.len()).unwrap_or(i64::MAX));
    if let Some(proxy) = hub.links().proxy() {
        proxy.set_routes(RouteTable::new(routes).context("the routes of ready servers")?);
    }
    Ok(())
}

/// Follows the rows until shutdown.
pub async fn follow(hub: Hub, shutdown: CancellationToken) {
    let mut wake = hub.db().wake_ups();
    let rounds = async {
        let mut failing = false;
        loop {
            match refresh(&hub).await {
                Ok(()) => failing = false,
                Err(error) if !failing => {
                    failing = true;
                    tracing::warn!(
                        error = format!("{error:#}"),
                        "could not renew the routes; the last ones stay until it works again"
                    );
                }
                Err(_) => {}
            }
            let pause = if failing { RETRY_EVERY } else { REFRESH_EVERY };
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = events::woken(&mut wake, &[keeper::TOPIC]) => wake = hub.db().wake_ups(),
            }
        }
    };
    let _ = shutdown.run_until_cancelled(rounds).await;
}

/// Writes down, in batches, when servers were last used; the last batch at shutdown.
pub async fn activity(hub: Hub, shutdown: CancellationToken) {
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
        let written = write_activity(&hub, &mut unwritten);
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

/// What was written is taken out of the map.
async fn write_activity(hub: &Hub, unwritten: &mut HashMap<String, i64>) -> anyhow::Result<()> {
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

/// The path of a server as the browser sees it.
pub fn public_path(owner: &Owner) -> String {
    servers::prefix(&owner.user, &owner.server)
}
