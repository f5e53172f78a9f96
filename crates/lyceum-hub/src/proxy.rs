//! Keeps the proxy's route table true and takes its activity reports.
//!
//! Routes are derived from the rows of ready servers; a proxy gets a whole snapshot at each change.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::Context;
use arc_swap::ArcSwap;
use lyceum_model::clock::Millis;
use lyceum_model::name::{ServerName, UserName};
use lyceum_proxy::{Proxy, Revoked, Route, RouteAccess, RouteTable, Target};
use std::collections::HashMap;
use tokio_util::sync::CancellationToken;

use crate::jobs::keeper;
use crate::{Hub, db, servers};

/// Without news the table is made anew this often.
const REFRESH_EVERY: Duration = Duration::from_secs(10);
const ACTIVITY_EVERY: Duration = Duration::from_secs(15);

/// The proxies this hub feeds. In one process there is one.
#[derive(Default)]
pub struct Links {
    proxy: Mutex<Option<Proxy>>,
    /// Whose server is behind a route's id.
    owners: ArcSwap<HashMap<String, Owner>>,
    /// Writers of the table take turns, so that an older snapshot never replaces a newer.
    turn: tokio::sync::Mutex<()>,
}

#[derive(Debug, Clone)]
pub struct Owner {
    pub user: UserName,
    pub server: ServerName,
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

/// Makes the table anew from the rows and puts it in force.
pub async fn refresh(hub: &Hub) -> anyhow::Result<()> {
    let _turn = hub.links().turn.lock().await;
    let mut tx = hub.db().read().await?;
    let rows = db::servers::routes(&mut tx).await?;
    drop(tx);
    let mut owners = HashMap::with_capacity(rows.len());
    let mut routes = Vec::with_capacity(rows.len());
    for (id, user, server, address) in rows {
        let user = UserName::parse(&user).context("a user name in the database")?;
        let server = ServerName::parse(&server).context("a server name in the database")?;
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
        owners.insert(id, Owner { user, server });
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
    let mut tick = tokio::time::interval(REFRESH_EVERY);
    loop {
        if let Err(error) = refresh(&hub).await {
            tracing::warn!(
                error = format!("{error:#}"),
                "could not renew the routes; the last ones stay"
            );
        }
        loop {
            tokio::select! {
                () = shutdown.cancelled() => return,
                _ = tick.tick() => break,
                news = wake.recv() => match news {
                    Ok(topic) if topic != keeper::TOPIC => continue,
                    _ => { wake = hub.db().wake_ups(); break }
                },
            }
        }
    }
}

/// Writes down, in batches, when servers were last used.
pub async fn activity(hub: Hub, shutdown: CancellationToken) {
    let mut tick = tokio::time::interval(ACTIVITY_EVERY);
    loop {
        tokio::select! {
            () = shutdown.cancelled() => return,
            _ = tick.tick() => {}
        }
        let Some(proxy) = hub.links().proxy() else {
            continue;
        };
        let batch = proxy.take_activity();
        if batch.is_empty() {
            continue;
        }
        let outcome = async {
            let mut tx = hub.db().write().await?;
            for activity in &batch {
                let at = Millis(i64::try_from(activity.last_ms).unwrap_or(i64::MAX));
                db::servers::touch(&mut tx, &activity.route_id, at).await?;
                if let Some(server) = db::servers::get(&mut tx, &activity.route_id).await? {
                    db::users::touch(&mut tx, &server.user_id, at).await?;
                }
            }
            tx.commit().await
        };
        if let Err(error) = outcome.await {
            tracing::warn!(error = %error, "could not write activity down; it comes again with the next batch");
        }
    }
}

/// The path of a server as the browser sees it.
pub fn public_path(owner: &Owner) -> String {
    servers::prefix(&owner.user, &owner.server)
}
