//! The OpenAPI 3.1 document of all that programs can ask: JupyterHub's API, our own, health, metrics.
//!
//! `operations` says of each route of the hub what it takes and answers, `schemas` what the nouns look
//! like, and parts that are served beside it say it of theirs; this file puts them together. A test holds the operations against the list of routes, so whoever
//! adds a route is told to describe it, and another (`conformance/jupyterhub/schema.py`) holds the
//! answers of a running hub against the document.

mod operations;
mod schemas;

use std::collections::BTreeMap;

use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use lyceum_model::base::BasePath;
use lyceum_web::openapi::{Described, Operation, PathPart, Who, responses};
use lyceum_web::routes::{Guard, RouteInfo};
use serde_json::{Map, Value, json};

use crate::Hub;

/// Where it is served.
pub const PATH: &str = "/hub/api/openapi.json";

/// Tells nothing that the manual does not tell.
pub async fn show(State(hub): State<Hub>) -> Response {
    let kind = "application/openapi+json;version=3.1";
    ([(header::CONTENT_TYPE, kind)], text(&hub)).into_response()
}

/// Made once: neither the base nor the parts change while the program runs.
fn text(hub: &Hub) -> String {
    let kept = hub.document();
    kept.get_or_init(|| document(&hub.base(), &hub.described()).to_string())
        .clone()
}

/// What the hub says of its own routes.
fn own() -> Described {
    Described {
        tags: operations::TAGS,
        path_parts: operations::PATH_PARTS,
        operations: operations::all,
        schemas: schemas::all,
    }
}

/// Whether a route is told of in the document; the rest are pages and what leads to them.
pub fn is_api(route: &RouteInfo) -> bool {
    let path = route.path.as_str();
    path == "/hub/api"
        || path.starts_with("/hub/api/")
        || path == "/hub/health"
        || path == "/hub/metrics"
}

/// What is wrong with the operations, held against the routes; each with what to do. `beside`: what
/// parts say of theirs.
pub fn faults(routes: &[RouteInfo], beside: &[Described]) -> Vec<String> {
    let all: Vec<Described> = [&[own()], beside].concat();
    let path_parts: Vec<PathPart> = all
        .iter()
        .flat_map(|part| part.path_parts)
        .copied()
        .collect();
    let described: Vec<Operation> = all.iter().flat_map(|part| (part.operations)()).collect();
    let mut faults = Vec::new();
    for route in routes.iter().filter(|route| is_api(route)) {
        let (method, path) = (&route.method, &route.path);
        match described.iter().find(|one| one.is(method, path)) {
            None => faults.push(format!(
                "{method} {path} is not in the API's document. Add to a file in crates/lyceum-hub/src/api/openapi/operations/: \
                 Operation::new(Method::{method}, \"{path}\", \"an_id\", \"What it does.\") with its scopes, query, body and answers"
            )),
            Some(one) if (route.guard == Guard::Caller) != one.is_for_callers() => faults.push(format!(
                "{method} {path}: the document says {} callers, the route says {:?}; mend who(…) in operations/",
                if one.is_for_callers() { "for" } else { "not only for" },
                route.guard
            )),
            Some(one) => faults.extend(one.faults(&path_parts)),
        }
    }
    for one in &described {
        if !routes
            .iter()
            .any(|route| one.is(&route.method, &route.path))
        {
            faults.push(format!(
                "{} {} is in the API's document, and there is no such route; take it out of operations/",
                one.method, one.path
            ));
        }
    }
    faults
}

/// The document.
pub fn document(base: &BasePath, beside: &[Described]) -> Value {
    let all: Vec<Described> = [&[own()], beside].concat();
    let mut paths: BTreeMap<String, Map<String, Value>> = BTreeMap::new();
    let mut schemas = Map::new();
    for part in &all {
        for operation in (part.operations)() {
            let path = paths.entry(operation.path.clone()).or_default();
            path.insert(
                operation.method.as_str().to_lowercase(),
                operation.to_json(part.path_parts),
            );
        }
        if let Value::Object(nouns) = (part.schemas)() {
            schemas.extend(nouns);
        }
    }
    let tags = all.iter().flat_map(|part| part.tags);
    json!({
        "openapi": "3.1.0",
        "jsonSchemaDialect": "https://json-schema.org/draft/2020-12/schema",
        "info": {
            "title": "Lyceum",
            "version": super::JUPYTERHUB_VERSION,
            "summary": "The API of JupyterHub of this version, and Lyceum's own below /hub/api/lyceum/",
            "description": "The manual has a page on it: docs/developer/api.md. Whoever may see nothing of a thing is answered as if it were not there.",
        },
        "servers": [{ "url": base.as_str() }],
        "tags": tags
            .map(|(name, about)| json!({ "name": name, "description": about }))
            .collect::<Vec<_>>(),
        "security": [],
        "paths": paths,
        "components": {
            "schemas": schemas,
            "responses": responses(),
            "securitySchemes": {
                "token": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "An API token, as Authorization: Bearer TOKEN or Authorization: token TOKEN. The list of a requirement names scopes.",
                },
                "session": {
                    "type": "apiKey",
                    "in": "cookie",
                    "name": "jupyterhub-hub-login",
                    "description": "A browser's session. What changes something, and what a script asks, carries the form token as _xsrf in the query or in X-XSRFToken.",
                },
                "proxy": {
                    "type": "apiKey",
                    "in": "header",
                    "name": "Authorization",
                    "description": "lyceum-proxy SECRET, the secret that hub and proxies share; never through a proxy.",
                },
            },
        },
    })
}
