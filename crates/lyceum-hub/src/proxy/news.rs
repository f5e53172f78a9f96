//! Rows and events become news, in one reading of the database each.
//!
//! Invariant: news of number N say how things are after the event N and before the event N + 1.
//! Every change of a route or of somebody's access publishes an event in its own transaction, the
//! numbers are given in commit order, and all is read in one snapshot. So each replica makes the
//! same table of the same number, and a proxy may go on at another one.

use std::collections::{BTreeSet, HashMap, HashSet};

use lyceum_model::name::{ServerName, UserName};
use lyceum_proxy::Target;
use lyceum_proxy::follow::wire::{News, PublishedRoute, Taken};
use lyceum_store::{Tx, events};

use crate::db::services::Row;
use crate::jobs::{keeper, revocations};
use crate::origins::Origins;
use crate::{course_servers, db, grants, groups};

/// A proxy that missed more gets the whole table.
const MOST_EVENTS: u32 = 2_000;
/// People and grounds that news name; with more they would not fit into a line, and everybody is asked
/// about anew.
const MOST_NAMED: usize = 10_000;
/// Above, all rows are read in place of single ones.
const MOST_SINGLE: usize = 32;

/// What came after `seen`: a beat when nothing did; the whole table when that can't be told.
pub async fn since(tx: &mut Tx, seen: Option<i64>, origins: &Origins) -> anyhow::Result<News> {
    // First of all: on SQLite this reading is what fixes the state that the rest sees.
    let number = events::newest(tx).await?;
    let Some(seen) = seen else {
        return snapshot(tx, number, origins).await;
    };
    if seen == number {
        return Ok(News::Beat { number });
    }
    // A larger one comes from another database, or from this one before it was restored.
    let forgotten = events::oldest(tx)
        .await?
        .is_none_or(|oldest| seen + 1 < oldest);
    if seen > number || forgotten {
        return snapshot(tx, number, origins).await;
    }
    let topics = [keeper::TOPIC, grants::SERVICE_TOPIC, revocations::TOPIC];
    let news = events::after(tx, seen, &topics, MOST_EVENTS).await?;
    if news.len() >= MOST_EVENTS as usize {
        return snapshot(tx, number, origins).await;
    }
    let mut ids = BTreeSet::new();
    let mut taken = revocations::Fallen::new();
    let mut named = 0;
    for event in news {
        match event.topic.as_str() {
            keeper::TOPIC => {
                ids.insert(event.subject);
            }
            grants::SERVICE_TOPIC => {
                ids.insert(grants::service_route(&event.subject));
            }
            _ => {
                for (name, fallen) in revocations::told(&event.subject, &event.body) {
                    named += 1 + fallen.as_ref().map_or(0, Vec::len);
                    let known = taken.entry(name).or_insert_with(|| Some(Vec::new()));
                    // Who has lost everything has nothing that could stay.
                    *known = known
                        .take()
                        .zip(fallen)
                        .map(|(all, new)| [all, new].concat());
                }
            }
        }
    }
    // Where a service comes or goes, the server of the course of that name goes or comes.
    let services: Vec<String> = ids
        .iter()
        .filter_map(|id| grants::service_of_route(id).map(str::to_owned))
        .collect();
    for service in services {
        let server = course_servers::row_of(tx, &service).await?;
        ids.extend(server.map(|server| server.id));
    }
    if named > MOST_NAMED {
        taken = [(revocations::EVERYBODY.to_owned(), None)].into();
    }
    let put = current(tx, &ids, origins).await?;
    let there: BTreeSet<&str> = put.iter().map(|route| route.id.as_str()).collect();
    let removed = ids.iter().filter(|id| !there.contains(id.as_str()));
    Ok(News::Changes {
        number,
        removed: removed.cloned().collect(),
        revoked: taken.keys().map(|name| Taken::of(name)).collect(),
        only: taken
            .into_iter()
            .filter_map(|(name, fallen)| Some((name, fallen?)))
            .collect(),
        put,
    })
}

/// Every route, by its id.
pub async fn all(
    tx: &mut Tx,
    origins: &Origins,
) -> anyhow::Result<HashMap<String, PublishedRoute>> {
    let routes = led(tx, origins).await?.into_iter();
    Ok(routes.map(|(route, _)| (route.id.clone(), route)).collect())
}

/// Where a route leads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Leads {
    ToServer(UserName, ServerName),
    ToService(String),
}

/// Every route, and where it leads.
pub async fn led(tx: &mut Tx, origins: &Origins) -> anyhow::Result<Vec<(PublishedRoute, Leads)>> {
    let rows = db::servers::routes(tx).await?;
    let services = db::services::all(tx).await?;
    let services = services.into_iter().filter_map(|row| {
        let leads = Leads::ToService(row.name.clone());
        Some((service(row, origins)?, leads))
    });
    let services: Vec<(PublishedRoute, Leads)> = services.collect();
    // Of a service and a server of a course at one place the service is there.
    let taken: HashSet<_> = services.iter().map(|(route, _)| place(route)).collect();
    let servers = rows.into_iter().filter_map(|row| published(row, origins));
    let servers = servers.filter(|(route, _)| !taken.contains(&place(route)));
    let mut routes: Vec<_> = servers.collect();
    routes.extend(services);
    Ok(routes)
}

fn place(route: &PublishedRoute) -> (Option<String>, String) {
    (route.host.clone(), route.prefix.clone())
}

async fn snapshot(tx: &mut Tx, number: i64, origins: &Origins) -> anyhow::Result<News> {
    Ok(News::Snapshot {
        number,
        routes: all(tx, origins).await?.into_values().collect(),
        more: false,
    })
}

/// The routes of those of these servers that are ready.
async fn current(
    tx: &mut Tx,
    ids: &BTreeSet<String>,
    origins: &Origins,
) -> anyhow::Result<Vec<PublishedRoute>> {
    if ids.len() > MOST_SINGLE {
        let mut all = all(tx, origins).await?;
        return Ok(ids.iter().filter_map(|id| all.remove(id)).collect());
    }
    let mut routes = Vec::new();
    let (services, servers): (Vec<&str>, Vec<&str>) = ids
        .iter()
        .map(String::as_str)
        .partition(|id| grants::service_of_route(id).is_some());
    for name in services.into_iter().filter_map(grants::service_of_route) {
        let row = db::services::find(tx, name).await?;
        routes.extend(row.and_then(|row| service(row, origins)));
    }
    for row in db::servers::routes_of(tx, &servers).await? {
        let Some((route, _)) = published(row, origins) else {
            continue;
        };
        if let Some(course) = course_servers::course_named(&route.owner) {
            let row = db::services::find(tx, course.as_str()).await?;
            let there = row.and_then(|row| service(row, origins));
            if there.is_some_and(|there| place(&there) == place(&route)) {
                continue;
            }
        }
        routes.push(route);
    }
    Ok(routes)
}

/// A service asks the hub itself who comes; what may be said to it is not the proxy's business. It is
/// found at the hub's host, not at those of people.
fn service(row: Row, origins: &Origins) -> Option<PublishedRoute> {
    let (name, url) = (row.name.as_str(), row.url?);
    match url.parse::<Target>() {
        Ok(target) => Some(PublishedRoute {
            id: grants::service_route(name),
            prefix: origins.base().at(&format!("/services/{name}/")),
            host: origins.domain().map(str::to_owned),
            target,
            owner: groups::service_subject(name),
            checked: false,
            key: String::new(),
        }),
        Err(error) => {
            tracing::error!(service = name, error = %error, "a service's address can't be routed to");
            None
        }
    }
}

/// A row that can't be routed to is told in the log and left out.
fn published(
    (id, user, server, key, address): db::servers::RouteRow,
    origins: &Origins,
) -> Option<(PublishedRoute, Leads)> {
    let (Ok(user), Ok(server)) = (UserName::parse_kept(&user), ServerName::parse(&server)) else {
        tracing::error!(
            server = id,
            "a damaged name in the database can't be routed to"
        );
        return None;
    };
    // Routes are matched on decoded segments; names need no decoding.
    let base = origins.base();
    let prefix = match user.course() {
        Some(course) => base.at(&format!("/services/{course}/")),
        None if server.is_default() => base.at(&format!("/user/{user}/")),
        None => base.at(&format!("/user/{user}/{server}/")),
    };
    match address.parse::<Target>() {
        Ok(target) => {
            let route = PublishedRoute {
                id,
                prefix,
                host: origins.host_of(&user),
                target,
                owner: user.to_string(),
                checked: true,
                key,
            };
            Some((route, Leads::ToServer(user, server)))
        }
        Err(error) => {
            tracing::error!(server = id, error = %error, "a server's address can't be routed to");
            None
        }
    }
}
