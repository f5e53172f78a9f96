//! A proxy's table, kept true by news. The same for news that come in process and by the stream.

use std::collections::{HashMap, HashSet};

use super::wire::{News, PublishedRoute, Taken};
use crate::{Proxy, Revoked, Route, RouteTable, route::RouteError};

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
    /// The id of the route with each prefix.
    by_prefix: HashMap<String, String>,
    number: Option<i64>,
    /// The parts of a snapshot that have come so far.
    parts: HashMap<String, PublishedRoute>,
}

impl Mirror {
    pub fn new(proxy: Proxy) -> Self {
        Self {
            proxy,
            routes: HashMap::new(),
            by_prefix: HashMap::new(),
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
            News::Languages { languages } => {
                self.proxy.set_languages(languages);
                Ok(false)
            }
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
                mut only,
            } => {
                let ours = self.number.ok_or(NewsError::NoTable)?;
                if number <= ours {
                    return Ok(false);
                }
                self.change(put, removed)?;
                self.number = Some(number);
                for taken in revoked {
                    self.proxy.revoke(taken.narrowed(&mut only));
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

    /// Costs as much as there are changes, not routes.
    fn change(&mut self, put: Vec<PublishedRoute>, removed: Vec<String>) -> Result<(), RouteError> {
        if !self.are_simple(&put, &removed) {
            return self.change_whole(put, removed);
        }
        // One that takes another's place is put over it, so that there is always one.
        let taken: HashSet<_> = put.iter().map(PublishedRoute::place).collect();
        for id in removed {
            let Some(route) = self.routes.remove(&id) else {
                continue;
            };
            if !taken.contains(&route.place()) {
                self.by_prefix.remove(&*route.place());
                self.proxy.remove_route(&route.place());
            }
        }
        for route in put {
            if self.routes.get(&route.id) == Some(&route) {
                continue;
            }
            self.proxy.put_route(route.clone().into())?;
            self.by_prefix
                .insert(route.place().into_owned(), route.id.clone());
            self.routes.insert(route.id.clone(), route);
        }
        Ok(())
    }

    /// Whether no change can fail: prefixes are sound, none moves to another prefix, and none takes
    /// a prefix that another keeps.
    fn are_simple(&self, put: &[PublishedRoute], removed: &[String]) -> bool {
        let removed: HashSet<&str> = removed.iter().map(String::as_str).collect();
        let (mut ids, mut prefixes) = (HashSet::new(), HashSet::new());
        put.iter().all(|route| {
            let place = route.place();
            let holder = self.by_prefix.get(&*place).map(String::as_str);
            let before = self.routes.get(&route.id);
            Route::from(route.clone()).has_sound_prefix()
                && holder.is_none_or(|holder| holder == route.id || removed.contains(holder))
                && before.is_none_or(|before| before.place() == place)
                && ids.insert(&route.id)
                && prefixes.insert(place)
        })
    }

    fn change_whole(
        &mut self,
        put: Vec<PublishedRoute>,
        removed: Vec<String>,
    ) -> Result<(), RouteError> {
        let mut routes = self.routes.clone();
        for id in removed {
            routes.remove(&id);
        }
        routes.extend(put.into_iter().map(|route| (route.id.clone(), route)));
        self.replace(routes)
    }

    /// Only a table that can be made replaces the one before.
    fn replace(&mut self, routes: HashMap<String, PublishedRoute>) -> Result<(), RouteError> {
        let table = RouteTable::new(routes.values().cloned().map(Into::into).collect())?;
        self.proxy.set_routes(table);
        let prefixes = routes.values();
        self.by_prefix = prefixes
            .map(|route| (route.place().into_owned(), route.id.clone()))
            .collect();
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

#[cfg(test)]
mod tests {
    use std::{collections::BTreeMap, sync::Arc};

    use proptest::prelude::*;

    use super::*;
    use crate::{Config, Target, access::NobodyAsked};

    fn mirror() -> Mirror {
        let hub: Target = "http://hub".parse().expect("a target");
        let proxy = Proxy::new(Config::default(), hub, Arc::new(NobodyAsked));
        let mut mirror = Mirror::new(proxy);
        mirror.restore(0, Vec::new()).expect("empty");
        mirror
    }

    fn route(id: u8, place: u8, port: u16) -> PublishedRoute {
        PublishedRoute {
            id: format!("r{id}"),
            prefix: format!("/user/u{}/", place / 2),
            host: (place % 2 == 1).then(|| "ada.lab".to_owned()),
            target: format!("http://lab:{port}").parse().expect("a target"),
            owner: "ada".into(),
            checked: true,
            key: String::new(),
        }
    }

    /// What the proxy has, as far as it differs between routes.
    fn in_force(mirror: &Mirror) -> BTreeMap<String, (String, Target)> {
        let routes = mirror.proxy.routes().routes();
        let pairs = routes
            .into_iter()
            .map(|route| (route.prefix, (route.id, route.target)));
        pairs.collect()
    }

    fn said(routes: &HashMap<String, PublishedRoute>) -> BTreeMap<String, (String, Target)> {
        let pairs = routes.values().map(|route| {
            (
                route.place().into_owned(),
                (route.id.clone(), route.target.clone()),
            )
        });
        pairs.collect()
    }

    proptest! {
        #[test]
        fn changes_agree_with_tables_made_anew(
            steps in prop::collection::vec((
                prop::collection::vec((0_u8..6, 0_u8..6, 1_u16..4), 0..4),
                prop::collection::vec(0_u8..6, 0..3),
            ), 1..12)
        ) {
            let mut mirror = mirror();
            let mut model = HashMap::new();
            for (put, removed) in steps {
                let put: Vec<_> = put.into_iter().map(|(id, at, port)| route(id, at, port)).collect();
                let removed: Vec<String> = removed.into_iter().map(|id| format!("r{id}")).collect();
                let mut after = model.clone();
                for id in &removed {
                    after.remove(id);
                }
                after.extend(put.iter().map(|route| (route.id.clone(), route.clone())));
                let can_be = RouteTable::new(after.values().cloned().map(Into::into).collect()).is_ok();
                let done = mirror.change(put, removed);
                prop_assert_eq!(done.is_ok(), can_be);
                if can_be {
                    model = after;
                }
                prop_assert_eq!(in_force(&mirror), said(&model));
                prop_assert_eq!(&mirror.routes, &model);
            }
        }
    }

    #[test]
    fn a_simple_change_leaves_the_table_where_it_is() {
        let mut mirror = mirror();
        mirror
            .change((0..20).map(|id| route(id, id, 1)).collect(), Vec::new())
            .expect("put");
        let before = mirror.proxy.routes();
        mirror
            .change(
                vec![route(3, 3, 9), route(77, 5, 9)],
                vec!["r5".into(), "r6".into()],
            )
            .expect("changed");
        assert!(Arc::ptr_eq(&before, &mirror.proxy.routes()));
        let wrong = PublishedRoute {
            prefix: "/a/../".into(),
            ..route(1, 1, 1)
        };
        assert!(
            mirror
                .change(vec![route(2, 2, 7), wrong], Vec::new())
                .is_err()
        );
        assert_eq!(in_force(&mirror), said(&mirror.routes));
        assert_eq!(mirror.routes["r2"], route(2, 2, 1));
    }
}
