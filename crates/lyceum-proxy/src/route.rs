//! The route table: which server a path belongs to.
//!
//! A table is built once and then only read; [`crate::Proxy::set_routes`] swaps the whole. How a
//! path is cut into segments is in `path.rs`. Routing by host name will be a second level above.

use std::collections::HashMap;

use crate::{path, target::Target};

/// One prefix and where it leads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route {
    /// Whole decoded segments with a slash at both ends: `/user/ada/`.
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
        "the route \"{id}\" has the prefix \"{prefix}\"; it must begin and end with a slash and have no empty, `.` or `..` segment, backslash or NUL"
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

/// Finds the route with the longest prefix, by whole decoded segments.
#[derive(Debug)]
pub struct RouteTable {
    routes: Vec<Route>,
    nodes: Vec<Node>,
}

#[derive(Debug, Default)]
struct Node {
    children: HashMap<Box<[u8]>, usize>,
    route: Option<usize>,
}

impl Default for RouteTable {
    fn default() -> Self {
        Self {
            routes: Vec::new(),
            nodes: vec![Node::default()],
        }
    }
}

impl RouteTable {
    pub fn new(routes: Vec<Route>) -> Result<Self, RouteError> {
        let mut table = Self::default();
        let mut ids = std::collections::HashSet::with_capacity(routes.len());
        for (index, route) in routes.iter().enumerate() {
            if !ids.insert(route.id.as_str()) {
                return Err(RouteError::SameId {
                    id: route.id.clone(),
                });
            }
            let at = table.insert_prefix(route)?;
            if let Some(first) = table.nodes[at].route.replace(index) {
                return Err(RouteError::SamePrefix {
                    first: routes[first].id.clone(),
                    second: route.id.clone(),
                    prefix: route.prefix.clone(),
                });
            }
        }
        table.routes = routes;
        Ok(table)
    }

    fn insert_prefix(&mut self, route: &Route) -> Result<usize, RouteError> {
        let wrong = || RouteError::Prefix {
            id: route.id.clone(),
            prefix: route.prefix.clone(),
        };
        if route.prefix == "/" {
            return Ok(0);
        }
        let inner = route
            .prefix
            .strip_prefix('/')
            .and_then(|rest| rest.strip_suffix('/'))
            .ok_or_else(wrong)?;
        let mut at = 0;
        for segment in inner.split('/') {
            if segment.is_empty() || matches!(segment, "." | "..") || segment.contains(['\\', '\0'])
            {
                return Err(wrong());
            }
            at = match self.nodes[at].children.get(segment.as_bytes()) {
                Some(next) => *next,
                None => {
                    let next = self.nodes.len();
                    self.nodes.push(Node::default());
                    self.nodes[at]
                        .children
                        .insert(segment.as_bytes().into(), next);
                    next
                }
            };
        }
        Ok(at)
    }

    /// The route a request path (as sent, still percent-encoded) belongs to.
    pub fn find(&self, path: &str) -> Option<&Route> {
        self.find_index(path).map(|index| &self.routes[index])
    }

    pub(crate) fn find_index(&self, path: &str) -> Option<usize> {
        let mut node = &self.nodes[0];
        let mut best = node.route;
        for segment in path::segments(path) {
            let Some(next) = node.children.get(segment.as_ref()) else {
                break;
            };
            node = &self.nodes[*next];
            best = node.route.or(best);
        }
        best
    }

    pub fn routes(&self) -> &[Route] {
        &self.routes
    }
}
