//! The routes: which server a path, or a host and a path, belongs to.
//!
//! The hub puts whole tables in force ([`crate::Proxy::set_routes`]) or changes single routes
//! ([`crate::Proxy::put_route`], [`crate::Proxy::remove_route`]); so does the control API. How a
//! path is cut into segments is in `path.rs`, how prefixes are found in `prefix_map.rs`.
//!
//! Under host routing a route's first segment is a host name, compared without regard to case and
//! without the port; the route `/` is there for all hosts.
//!
//! Lyceum's hubs name the host of single routes, `//ada.lab.example.edu/user/ada/`. Those are kept
//! apart and looked at first, so that no path can be taken for a host. Hosts keep the pages of
//! browsers apart; a program that brings a token finds a checked route at every host.

use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, OnceLock},
};

use crate::{
    activity::Stats,
    prefix_map::{self, Keyed, PrefixMap},
    target::Target,
};

/// One prefix and where it leads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route {
    /// Whole decoded segments with a slash at both ends: `/user/ada/`. With two slashes before it
    /// the first segment is the host that the route is for alone.
    pub prefix: String,
    /// The publisher's name for it; decisions and activity are kept by this.
    pub id: String,
    pub target: Target,
    pub access: RouteAccess,
    /// Whose server it is; handed on to the access check.
    pub owner: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RouteAccess {
    /// Anyone may; the server decides for itself.
    Open,
    /// [`crate::Access`] is asked first.
    Checked,
}

/// Why a list of routes cannot become a table.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum RouteError {
    #[error(
        "the route \"{id}\" has the prefix \"{prefix}\"; it must begin and end with a slash, have at most {} segments, and no empty, `.` or `..` segment, backslash or NUL",
        prefix_map::DEPTH
    )]
    Prefix { id: String, prefix: String },
    #[error("the routes \"{first}\" and \"{second}\" have the same prefix \"{prefix}\"")]
    SamePrefix {
        first: String,
        second: String,
        prefix: String,
    },
    #[error("two routes have the id \"{id}\"")]
    SameId { id: String },
}

/// A route in a table, with what the proxy keeps about it.
#[derive(Debug)]
pub(crate) struct Entry {
    /// As [`Keyed::key`] has it; hosts are in small letters.
    key: String,
    /// Whether the first segment of the key is a host, and this not a table of host routing.
    pub(crate) has_host: bool,
    /// As [`Route::prefix`] has it.
    pub(crate) prefix: String,
    pub(crate) id: String,
    /// None if the control API was told something that cannot be a target.
    pub(crate) target: Option<Target>,
    pub(crate) access: RouteAccess,
    pub(crate) owner: String,
    /// Filled before the entry is in force.
    stats: OnceLock<Arc<Stats>>,
    pub(crate) told: Option<Told>,
}

/// What the control API was told about a route, to be told again.
#[derive(Debug)]
pub(crate) struct Told {
    /// The path as it was given.
    pub(crate) path: String,
    /// All fields; the target among them.
    pub(crate) fields: serde_json::Map<String, serde_json::Value>,
}

impl Keyed for Entry {
    fn key(&self) -> &str {
        &self.key
    }
}

impl Entry {
    fn new(route: Route) -> Result<Self, RouteError> {
        let (key, has_host) = match key_at(&route.prefix) {
            Some(place) => place,
            None => {
                return Err(RouteError::Prefix {
                    id: route.id,
                    prefix: route.prefix,
                });
            }
        };
        Ok(Self {
            key,
            has_host,
            prefix: route.prefix,
            id: route.id,
            target: Some(route.target),
            access: route.access,
            owner: route.owner,
            stats: OnceLock::new(),
            told: None,
        })
    }

    /// A route of the control API; none if its path can never be that of a request.
    pub(crate) fn told(told: Told, target: Option<Target>, by_host: bool) -> Option<Self> {
        let prefix = match told.path.as_str() {
            "/" => "/".to_owned(),
            path => format!("{path}/"),
        };
        let key = control_key(key_of(&prefix)?, by_host);
        Some(Self {
            key,
            has_host: false,
            id: told.path.clone(),
            prefix,
            target,
            access: RouteAccess::Open,
            owner: String::new(),
            stats: OnceLock::new(),
            told: Some(told),
        })
    }

    pub(crate) fn stats(&self) -> &Arc<Stats> {
        self.stats.get_or_init(Arc::default)
    }

    /// Takes over the counters of the same route before.
    pub(crate) fn keep_stats(&self, stats: Arc<Stats>) {
        let _ = self.stats.set(stats);
    }

    fn as_route(&self) -> Option<Route> {
        Some(Route {
            prefix: self.prefix.clone(),
            id: self.id.clone(),
            target: self.target.clone()?,
            access: self.access,
            owner: self.owner.clone(),
        })
    }
}

impl Route {
    /// Whether a table takes its prefix.
    pub(crate) fn has_sound_prefix(&self) -> bool {
        key_at(&self.prefix).is_some()
    }
}

/// The key of a prefix, and whether it begins with a host.
fn key_at(prefix: &str) -> Option<(String, bool)> {
    match prefix.strip_prefix('/') {
        Some(with_host) if with_host.starts_with('/') && with_host != "/" => {
            Some((control_key(key_of(with_host)?, true), true))
        }
        _ => Some((key_of(prefix)?.to_owned(), false)),
    }
}

/// The key of a prefix such as `/user/ada/`, if it is one.
fn key_of(prefix: &str) -> Option<&str> {
    if prefix == "/" {
        return Some("");
    }
    let key = prefix.strip_suffix('/')?;
    let inner = key.strip_prefix('/')?;
    let sound = inner.split('/').all(|segment| {
        !segment.is_empty() && !matches!(segment, "." | "..") && !segment.contains(['\\', '\0'])
    });
    (sound && prefix_map::depth_of(key) <= prefix_map::DEPTH).then_some(key)
}

/// Under host routing the first segment is a host.
fn control_key(key: &str, by_host: bool) -> String {
    let mut key = key.to_owned();
    if by_host {
        let end = key
            .match_indices('/')
            .nth(1)
            .map_or(key.len(), |(at, _)| at);
        key[..end].make_ascii_lowercase();
    }
    key
}

/// Routes in force, or about to be. Finds the one with the longest prefix, by whole decoded
/// segments.
#[derive(Debug, Default)]
pub struct RouteTable {
    map: PrefixMap<Entry>,
    /// Routes for one host alone.
    hosts: PrefixMap<Entry>,
    /// Those of them that are checked, by their paths.
    by_token: PrefixMap<Anywhere>,
}

/// A route for one host alone, for whoever needs no host.
#[derive(Debug)]
struct Anywhere(Arc<Entry>);

impl Keyed for Anywhere {
    fn key(&self) -> &str {
        let key = self.0.key();
        key.match_indices('/')
            .nth(1)
            .map_or("", |(at, _)| &key[at..])
    }
}

impl RouteTable {
    pub fn new(routes: Vec<Route>) -> Result<Self, RouteError> {
        let mut ids = HashSet::with_capacity(routes.len());
        for route in &routes {
            if !ids.insert(route.id.as_str()) {
                return Err(RouteError::SameId {
                    id: route.id.clone(),
                });
            }
        }
        drop(ids);
        let entries: Result<Vec<Arc<Entry>>, RouteError> = routes
            .into_iter()
            .map(|route| Entry::new(route).map(Arc::new))
            .collect();
        let (hosts, entries): (Vec<_>, Vec<_>) =
            entries?.into_iter().partition(|entry| entry.has_host);
        let build = |entries: Vec<Arc<Entry>>| {
            PrefixMap::build(entries).map_err(|(first, second)| RouteError::SamePrefix {
                first: first.id.clone(),
                second: second.id.clone(),
                prefix: first.prefix.clone(),
            })
        };
        let table = Self {
            map: build(entries)?,
            by_token: anywhere(&hosts),
            hosts: build(hosts)?,
        };
        Ok(table)
    }

    /// The route a request path (as sent, still percent-encoded) belongs to.
    pub fn find(&self, path: &str) -> Option<Route> {
        self.map.find(None, path)?.0.as_route()
    }

    /// The entry for a path, and how many bytes of the path its prefix takes.
    pub(crate) fn find_entry(&self, host: Option<&str>, path: &str) -> Option<(Arc<Entry>, usize)> {
        match host {
            Some(host) => self
                .map
                .find(Some(&prefix_map::small(bare_host(host))), path),
            None => self.map.find(None, path),
        }
    }

    /// As [`RouteTable::find_entry`] without host routing, where single routes may be a host's.
    pub(crate) fn find_at(
        &self,
        host: &str,
        path: &str,
        has_token: impl FnOnce() -> bool,
    ) -> Option<(Arc<Entry>, usize)> {
        if self.hosts.len() > 0 {
            let host = prefix_map::small(bare_host(host));
            if let Some(found) = self.hosts.find(Some(&host), path) {
                return Some(found);
            }
            if let Some((found, taken)) = self.by_token.find(None, path)
                && has_token()
            {
                return Some((found.0.clone(), taken));
            }
        }
        self.find_entry(None, path)
    }

    /// The entry that the control API calls by this path.
    pub(crate) fn get_told(&self, path: &str, by_host: bool) -> Option<Arc<Entry>> {
        self.map.get(&told_key(path, by_host)?)
    }

    /// What an entry would replace.
    pub(crate) fn get_same(&self, entry: &Entry) -> Option<Arc<Entry>> {
        self.map.get(entry.key())
    }

    pub(crate) fn remove_told(&self, path: &str, by_host: bool) -> Option<Arc<Entry>> {
        self.map.remove(&told_key(path, by_host)?)
    }

    pub(crate) fn put(&self, entry: Entry) {
        let entry = Arc::new(entry);
        if !entry.has_host {
            self.map.insert(entry);
            return;
        }
        if entry.access == RouteAccess::Checked {
            self.by_token.insert(Arc::new(Anywhere(entry.clone())));
        }
        self.hosts.insert(entry);
    }

    pub(crate) fn put_route(
        &self,
        route: Route,
        stats_of: impl FnOnce(&str) -> Arc<Stats>,
    ) -> Result<(), RouteError> {
        let entry = Entry::new(route)?;
        entry.keep_stats(stats_of(&entry.id));
        self.put(entry);
        Ok(())
    }

    pub(crate) fn remove_route(&self, prefix: &str) -> bool {
        match key_at(prefix) {
            Some((key, true)) => self.remove_of_host(&key),
            Some((key, false)) => self.map.remove(&key).is_some(),
            None => false,
        }
    }

    fn remove_of_host(&self, key: &str) -> bool {
        let Some(entry) = self.hosts.remove(key) else {
            return false;
        };
        let anywhere = Anywhere(entry);
        let known = self.by_token.get(anywhere.key());
        // One of another host may have taken the place.
        if known.is_some_and(|known| Arc::ptr_eq(&known.0, &anywhere.0)) {
            self.by_token.remove(anywhere.key());
        }
        true
    }

    /// The same table with more room, once this one is crowded.
    pub(crate) fn roomier(&self) -> Option<Self> {
        let is_crowded = self.map.is_crowded() || self.hosts.is_crowded();
        let (hosts, entries): (Vec<_>, Vec<_>) = is_crowded
            .then(|| self.entries())?
            .into_iter()
            .partition(|entry| entry.has_host);
        Some(Self {
            map: PrefixMap::build(entries).ok()?,
            by_token: anywhere(&hosts),
            hosts: PrefixMap::build(hosts).ok()?,
        })
    }

    pub(crate) fn entries(&self) -> Vec<Arc<Entry>> {
        let mut entries = self.map.values();
        entries.extend(self.hosts.values());
        entries
    }

    /// All of them, sorted by prefix.
    pub fn routes(&self) -> Vec<Route> {
        let entries = self.entries();
        let mut routes: Vec<Route> = entries.iter().filter_map(|e| e.as_route()).collect();
        routes.sort_by(|a, b| a.prefix.cmp(&b.prefix));
        routes
    }
}

/// Where two hosts have the same path, one of the two routes.
fn anywhere(of_hosts: &[Arc<Entry>]) -> PrefixMap<Anywhere> {
    let checked = of_hosts
        .iter()
        .filter(|entry| entry.access == RouteAccess::Checked)
        .map(|entry| Arc::new(Anywhere(entry.clone())));
    let by_path: HashMap<String, Arc<Anywhere>> = checked
        .map(|route| (route.key().to_owned(), route))
        .collect();
    PrefixMap::build(by_path.into_values().collect()).unwrap_or_default()
}

fn told_key(path: &str, by_host: bool) -> Option<String> {
    if path == "/" {
        return Some(String::new());
    }
    path.starts_with('/').then(|| control_key(path, by_host))
}

/// A `Host` without its port.
fn bare_host(host: &str) -> &str {
    if host.starts_with('[') {
        return host.find(']').map_or(host, |end| &host[..=end]);
    }
    host.split(':').next().unwrap_or_default()
}
