//! What each route of the API takes and answers. Statuses that many give (403, 500, 503, and what a
//! path, a query or a body is refused for) come by themselves; see [`Operation`].

mod culling;
mod hub;
mod people;
mod servers;
mod services;
mod shares;
mod sittings;
mod upkeep;

use axum::http::Method;
use lyceum_web::openapi::PathPart;

use super::Operation;

pub(super) const TAGS: &[(&str, &str)] = &[
    (
        "Hub",
        "The hub itself: version, health, metrics, routes, its end",
    ),
    ("People", "Who there is, and who calls"),
    ("Servers", "The servers of a person"),
    ("Tokens", "Keys for programs"),
    ("Shares", "Servers that are shared"),
    ("Groups", "Groups of people"),
    ("Services", "Programs of the site that the hub knows"),
    ("Exams", "Exams to which people come in with codes on paper"),
    (
        "OAuth",
        "The provider by which servers and services learn who is in front of them",
    ),
    ("Proxies", "For `lyceum proxy` alone"),
    ("Gone", "What JupyterHub had before its version 2"),
];

/// What may stand in a path: its name, how it looks, what it is. What looks otherwise is not there.
pub(super) const PATH_PARTS: &[PathPart] = &[
    ("user", "^[^/]+$", "The name of a person"),
    ("server", "^[^/]+$", "The name of a server"),
    (
        "owner",
        "^[^/]+$",
        "The name of the person whose server it is",
    ),
    ("group", "^[^/]+$", "The name of a group"),
    ("service", "^[^/]+$", "The name of a service"),
    ("id", "^[^/]+$", "The id of a token"),
    ("token", "^[^/]+$", "A token"),
    ("name", "^[^/]+$", "The name of a cookie"),
    ("value", "^[^/]+$", "The value of a cookie"),
    ("session", "^[^/]+$", "The id of a session"),
    ("sitting", "^[^/]+$", "The id of an exam with codes"),
    ("place", "^[^/]+$", "The number of a place in an exam"),
];

pub(super) fn all() -> Vec<Operation> {
    [
        hub::hub(),
        people::people(),
        servers::servers(),
        culling::servers(),
        upkeep::people(),
        people::tokens(),
        people::groups(),
        services::services(),
        shares::shares(),
        services::oauth(),
        upkeep::hub(),
        sittings::all(),
        hub::proxies(),
        hub::gone(),
    ]
    .into_iter()
    .flatten()
    .collect()
}

fn get(path: &str, id: &str, about: &'static str) -> Operation {
    Operation::new(Method::GET, path, id, about)
}

fn post(path: &str, id: &str, about: &'static str) -> Operation {
    Operation::new(Method::POST, path, id, about)
}

fn patch(path: &str, id: &str, about: &'static str) -> Operation {
    Operation::new(Method::PATCH, path, id, about)
}

fn put(path: &str, id: &str, about: &'static str) -> Operation {
    Operation::new(Method::PUT, path, id, about)
}

fn delete(path: &str, id: &str, about: &'static str) -> Operation {
    Operation::new(Method::DELETE, path, id, about)
}
