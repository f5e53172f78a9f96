//! Routes are registered with who may call them, never bare, and the list can be walked by a test.

use axum::Router;
use axum::handler::Handler;
use axum::http::Method;
use axum::routing::{MethodFilter, on};

use crate::openapi::Described;
use crate::page::Templates;

/// Who may call a route at all. What they may do there is the handler's first line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Guard {
    /// Anybody, and why that is right.
    Public(&'static str),
    /// Somebody who has proven who they are.
    Caller,
}

#[derive(Debug, Clone)]
pub struct RouteInfo {
    pub method: Method,
    pub path: String,
    pub guard: Guard,
}

/// A router that remembers what was put in.
pub struct Routes<S> {
    router: Router<S>,
    list: Vec<RouteInfo>,
}

impl<S: Clone + Send + Sync + 'static> Default for Routes<S> {
    fn default() -> Self {
        Self {
            router: Router::new(),
            list: Vec::new(),
        }
    }
}

impl<S: Clone + Send + Sync + 'static> Routes<S> {
    /// Open to anybody; `why` says for what reason.
    #[must_use]
    pub fn public<H, T>(self, method: Method, path: &str, why: &'static str, handler: H) -> Self
    where
        H: Handler<T, S>,
        T: 'static,
    {
        self.add(method, path, Guard::Public(why), handler)
    }

    /// For callers only: the handler takes a `Caller` and asks it first.
    #[must_use]
    pub fn scoped<H, T>(self, method: Method, path: &str, handler: H) -> Self
    where
        H: Handler<T, S>,
        T: 'static,
    {
        self.add(method, path, Guard::Caller, handler)
    }

    fn add<H, T>(mut self, method: Method, path: &str, guard: Guard, handler: H) -> Self
    where
        H: Handler<T, S>,
        T: 'static,
    {
        let filter = MethodFilter::try_from(method.clone()).expect("a method that axum routes");
        self.router = self.router.route(path, on(filter, handler));
        self.list.push(RouteInfo {
            method,
            path: path.to_owned(),
            guard,
        });
        self
    }

    #[must_use]
    pub fn merge(mut self, other: Self) -> Self {
        self.router = self.router.merge(other.router);
        self.list.extend(other.list);
        self
    }

    pub fn list(&self) -> &[RouteInfo] {
        &self.list
    }

    pub fn into_parts(self) -> (Router<S>, Vec<RouteInfo>) {
        (self.router, self.list)
    }
}

/// The routes of a part with its state in them, for the hub to serve beside its own.
#[derive(Clone)]
pub struct Part {
    pub router: Router,
    pub routes: Vec<RouteInfo>,
    /// Paths below these take large bodies; the part sees to it that they have an end.
    pub large: &'static [&'static str],
    /// What the API's document says of those that are in it.
    pub described: Described,
    /// Of its pages. Whoever has some is given the frame for them with each request
    /// ([`crate::frame`]).
    pub templates: Templates,
}
