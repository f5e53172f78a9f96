//! A proxy's table, kept true by news. The same for news that come in process and by the stream.

use std::collections::HashMap;

use super::wire::{News, PublishedRoute, Taken};
use crate::{Proxy, Revoked, RouteTable, route::RouteError};

/// More routes than any site has: a hub that says so is broken.
const MAX_ROUTES: usize = 1_000_000;

/// Why news can't be followed; a snapshot mends it.
#[derive(Debug, thiserror::Error)]
pub enum NewsError {
    #[error("changes came before a table to change")]
    NoTable,
    #[error("the hub sends more than {MAX_ROUTES} routes")]
    TooMany,
    #[error("the table can't be made: {0}")]
    Table(#[from] RouteError),
}

/// The routes by their ids, the number they are of, and the proxy they are put in force at.
#[derive(Debug)]
pub struct Mirror {
    proxy: Proxy,
    routes: HashMap<String, PublishedRoute>,
    number: Option<i64>,
    /// The parts of a snapshot that have come so far.
    parts: HashMap<String, PublishedRoute>,
}

impl Mirror {
    pub fn new(proxy: Proxy) -> Self {
        Self {
            proxy,
            routes: HashMap::new(),
            number: None,
            parts: HashMap::new(),
        }
    }

    /// The number of the table in force.
    pub fn number(&self) -> Option<i64> {
        self.number
    }

    pub fn routes(&self) -> impl Iterator<Item = &PublishedRoute> {
        self.routes.values()
    }

    /// Puts news in force; says whether the table or its number is another now.
    pub fn apply(&mut self, news: News) -> Result<bool, NewsError> {
        match news {
            News::Hello { .. } | News::Unknown => Ok(false),
            News::Beat { number } => {
                // The hub looked at everything up to here and there was nothing for us.
                let further = self.number.is_some_and(|ours| ours < number);
                if further {
                    self.number = Some(number);
                }
                Ok(further)
            }
            News::Snapshot {
                number,
                routes,
                more,
            } => {
                let parts = routes.into_iter().map(|route| (route.id.clone(), route));
                self.parts.extend(parts);
                if self.parts.len() > MAX_ROUTES {
                    return Err(NewsError::TooMany);
                }
                if !more {
                    let routes = std::mem::take(&mut self.parts);
                    self.replace(routes)?;
                    self.number = Some(number);
                    // What was taken away in the time that the snapshot jumps over is not known.
                    self.proxy.revoke(Revoked::All);
                }
                Ok(!more)
            }
            News::Changes {
                number,
                put,
                removed,
                revoked,
            } => {
                let ours = self.number.ok_or(NewsError::NoTable)?;
                if number <= ours {
                    return Ok(false);
                }
                self.change(put, removed)?;
                self.number = Some(number);
                for taken in revoked {
                    self.proxy.revoke(taken.into());
                }
                Ok(true)
            }
        }
    }

    /// Forgets the parts of a snapshot that was cut off.
    pub(crate) fn forget_parts(&mut self) {
        self.parts.clear();
    }

    /// A table from earlier.
    pub(crate) fn restore(
        &mut self,
        number: i64,
        routes: Vec<PublishedRoute>,
    ) -> Result<(), RouteError> {
        let routes = routes.into_iter().map(|route| (route.id.clone(), route));
        self.replace(routes.collect())?;
        self.number = Some(number);
        Ok(())
    }

    fn change(&mut self, put: Vec<PublishedRoute>, removed: Vec<String>) -> Result<(), RouteError> {
        let mut routes = self.routes.clone();
        let mut changed = false;
        for id in removed {
            changed |= routes.remove(&id).is_some();
        }
        for route in put {
            let before = routes.insert(route.id.clone(), route.clone());
            changed |= before.is_none_or(|before| before != route);
        }
        if changed {
            self.replace(routes)
        } else {
            Ok(())
        }
    }

    /// Only a table that can be made replaces the one before.
    fn replace(&mut self, routes: HashMap<String, PublishedRoute>) -> Result<(), RouteError> {
        // The whole table is made anew for each change; single changes of it belong here.
        let table = RouteTable::new(routes.values().cloned().map(Into::into).collect())?;
        self.proxy.set_routes(table);
        self.routes = routes;
        Ok(())
    }
}

/// The news by which a table `before` becomes `after`.
pub fn difference(
    before: &HashMap<String, PublishedRoute>,
    after: &HashMap<String, PublishedRoute>,
) -> (Vec<PublishedRoute>, Vec<String>) {
    let put = after
        .values()
        .filter(|route| before.get(&route.id) != Some(*route));
    let removed = before.keys().filter(|id| !after.contains_key(*id));
    (put.cloned().collect(), removed.cloned().collect())
}

impl Taken {
    /// The word for whom an announcement concerns; `*` is everybody.
    pub fn of(subject: &str) -> Self {
        match subject {
            "*" => Self::All,
            name => Self::Subject(name.to_owned()),
        }
    }
}
