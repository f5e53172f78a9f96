//! The OpenAPI 3.1 document of all that programs can ask: JupyterHub's API, our own, health, metrics.
//!
//! `operations` says of each route what it takes and answers, `schemas` what the nouns look like;
//! this file puts them together. A test holds the operations against the list of routes, so whoever
//! adds a route is told to describe it, and another (`conformance/jupyterhub/schema.py`) holds the
//! answers of a running hub against the document.

mod operations;
mod schemas;

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use axum::extract::State;
use axum::http::{Method, header};
use axum::response::{IntoResponse, Response};
use lyceum_model::base::BasePath;
use lyceum_model::scope::ScopeName;
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

/// Made once: the base does not change while the program runs.
fn text(hub: &Hub) -> String {
    static OF_BASE: Mutex<Option<(BasePath, String)>> = Mutex::new(None);
    let base = hub.base();
    let mut kept = OF_BASE.lock().unwrap_or_else(PoisonError::into_inner);
    match &*kept {
        Some((of, text)) if *of == base => text.clone(),
        _ => {
            let text = document(&base).to_string();
            *kept = Some((base, text.clone()));
            text
        }
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

/// What is wrong with the operations, held against the routes; each with what to do.
pub fn faults(routes: &[RouteInfo]) -> Vec<String> {
    let described = operations::all();
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
            Some(one) => faults.extend(one.faults()),
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
pub fn document(base: &BasePath) -> Value {
    let mut paths: BTreeMap<String, Map<String, Value>> = BTreeMap::new();
    for operation in operations::all() {
        let path = paths.entry(operation.path.clone()).or_default();
        path.insert(
            operation.method.as_str().to_lowercase(),
            operation.to_json(),
        );
    }
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
        "tags": operations::TAGS.iter()
            .map(|(name, about)| json!({ "name": name, "description": about }))
            .collect::<Vec<_>>(),
        "security": [],
        "paths": paths,
        "components": {
            "schemas": schemas::all(),
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

/// Refusals that look alike everywhere.
const REFUSALS: &[(u16, &str, &str)] = &[
    (
        400,
        "NotUnderstood",
        "The request is not understood or can't be done now; the message says why",
    ),
    (
        403,
        "Refused",
        "No or bad credentials, or a scope that is not held",
    ),
    (404, "NotFound", "Not there, or not within the scope held"),
    (405, "NotThisWay", "Not with this method"),
    (409, "Conflict", "It is there already"),
    (413, "TooLarge", "The body has more than 256 kB"),
    (
        415,
        "NotJson",
        "The body does not say that it is application/json",
    ),
    (
        429,
        "TooMany",
        "Too many tries; Retry-After says how long to wait",
    ),
    (
        500,
        "Fault",
        "A fault of the hub or a server that did not start; X-Request-Id finds it in the log",
    ),
    (
        503,
        "NotNow",
        "The database does not answer, or too much is asked at once; Retry-After says when to try again",
    ),
];

fn responses() -> Map<String, Value> {
    let refusals = REFUSALS.iter().map(|(_, name, about)| {
        let content =
            json!({ "application/json": { "schema": { "$ref": "#/components/schemas/Error" } } });
        (
            (*name).to_owned(),
            json!({ "description": about, "content": content }),
        )
    });
    refusals.collect()
}

/// Who may ask.
#[derive(Debug, Clone)]
enum Who {
    Anybody,
    /// Callers; with one of these scopes, or with any credentials where there is none.
    Callers(Vec<ScopeName>),
    /// As callers, or who proves in the body who she is.
    CallersOrBody(Vec<ScopeName>),
    /// Callers with a session, whatever they may do.
    Browsers,
    Proxies,
}

/// A route as programs see it.
struct Operation {
    method: Method,
    path: String,
    id: String,
    about: &'static str,
    tag: &'static str,
    who: Who,
    query: Vec<Value>,
    body: Option<Value>,
    answers: BTreeMap<u16, Value>,
}

impl Operation {
    /// With the refusals that every route may give: 500 and 503, and what its path may be refused for.
    fn new(method: Method, path: &str, id: &str, about: &'static str) -> Self {
        let new = Self {
            method,
            path: path.to_owned(),
            id: id.to_owned(),
            about,
            tag: "Hub",
            who: Who::Callers(Vec::new()),
            query: Vec::new(),
            body: None,
            answers: BTreeMap::new(),
        };
        let new = new.refuses(&[403, 500, 503]);
        match path.contains('{') {
            // A part of a path may be no text at all.
            true => new.refuses(&[400, 404]),
            false => new,
        }
    }

    fn tag(mut self, tag: &'static str) -> Self {
        self.tag = tag;
        self
    }

    /// For callers who hold one of these.
    fn scopes(mut self, scopes: &[ScopeName]) -> Self {
        self.who = Who::Callers(scopes.to_vec());
        self
    }

    fn who(mut self, who: Who) -> Self {
        self.who = who;
        self
    }

    fn query(mut self, name: &str, schema: Value, about: &str) -> Self {
        self.query.push(json!({
            "name": name, "in": "query", "required": false, "schema": schema, "description": about,
        }));
        // A value may be one that can't be asked for.
        self.refuses(&[400])
    }

    fn pages(self) -> Self {
        self.query(
            "offset",
            json!({ "type": "integer", "minimum": 0, "default": 0 }),
            "How many to leave out",
        )
        .query(
            "limit",
            json!({ "type": "integer", "minimum": 1, "maximum": 200 }),
            "How many at most: 50 in pages, else 200",
        )
    }

    /// A JSON body that may be left out.
    fn takes(mut self, schema: Value) -> Self {
        self.body = Some(
            json!({ "required": false, "content": { "application/json": { "schema": schema } } }),
        );
        self.refuses(&[400, 413])
    }

    /// A JSON body that has to be there.
    fn wants(self, schema: Value) -> Self {
        self.takes(schema).required()
    }

    fn required(mut self) -> Self {
        if let Some(body) = &mut self.body {
            body["required"] = true.into();
        }
        self
    }

    fn takes_form(mut self, schema: Value) -> Self {
        let content = json!({ "application/x-www-form-urlencoded": { "schema": schema } });
        self.body = Some(json!({ "required": false, "content": content }));
        self.refuses(&[400, 413])
    }

    fn wants_form(self, schema: Value) -> Self {
        self.takes_form(schema).required()
    }

    fn answers(mut self, status: u16, about: &str, kind: &str, schema: Value) -> Self {
        let content = json!({ kind: { "schema": schema } });
        self.answers
            .insert(status, json!({ "description": about, "content": content }));
        self
    }

    fn json(self, status: u16, about: &str, schema: Value) -> Self {
        self.answers(status, about, "application/json", schema)
    }

    fn empty(mut self, status: u16, about: &str) -> Self {
        self.answers.insert(status, json!({ "description": about }));
        self
    }

    fn refuses(mut self, statuses: &[u16]) -> Self {
        for status in statuses {
            let (_, name, _) = REFUSALS
                .iter()
                .find(|(one, _, _)| one == status)
                .expect("one of the refusals above");
            let response = json!({ "$ref": format!("#/components/responses/{name}") });
            self.answers.entry(*status).or_insert(response);
        }
        self
    }

    fn is(&self, method: &Method, path: &str) -> bool {
        self.method == *method && self.path == path
    }

    fn is_for_callers(&self) -> bool {
        matches!(self.who, Who::Callers(_) | Who::Browsers)
    }

    fn faults(&self) -> Vec<String> {
        let good = self.answers.keys().any(|status| *status < 400);
        let mut faults = Vec::new();
        // What JupyterHub had long ago is answered with its refusal only.
        if !good && !self.tag.starts_with("Gone") {
            faults.push(format!("{}: no answer below 400 is described", self.id));
        }
        let known = |name: &str| {
            operations::PATH_PARTS
                .iter()
                .any(|(part, _, _)| *part == name)
        };
        faults.extend(self.parts().filter(|part| !known(part)).map(|part| {
            format!(
                "{}: say in PATH_PARTS of operations.rs what {{{part}}} is",
                self.id
            )
        }));
        faults
    }

    /// What is named in the path.
    fn parts(&self) -> impl Iterator<Item = &str> {
        let pieces = self.path.split('/');
        pieces.filter_map(|piece| piece.strip_prefix('{')?.strip_suffix('}'))
    }

    fn to_json(&self) -> Value {
        let mut parameters: Vec<Value> = self
            .parts()
            .filter_map(|name| {
                let (_, pattern, about) = operations::PATH_PARTS
                    .iter()
                    .find(|(part, _, _)| *part == name)?;
                Some(json!({
                    "name": name, "in": "path", "required": true,
                    "schema": { "type": "string", "pattern": pattern }, "description": about,
                }))
            })
            .collect();
        parameters.extend(self.query.iter().cloned());
        let answers: Map<String, Value> = self
            .answers
            .iter()
            .map(|(status, answer)| (status.to_string(), answer.clone()))
            .collect();
        let mut told = json!({
            "operationId": self.id,
            "tags": [self.tag],
            "summary": self.about,
            "security": self.security(),
            "responses": answers,
        });
        if !parameters.is_empty() {
            told["parameters"] = parameters.into();
        }
        if let Some(body) = &self.body {
            told["requestBody"] = body.clone();
        }
        told
    }

    /// Any one of these will do.
    fn security(&self) -> Value {
        let by = |scheme: &str, scopes: &[ScopeName]| -> Vec<Value> {
            let scopes: Vec<&str> = scopes.iter().map(|scope| scope.as_str()).collect();
            match scopes.is_empty() {
                true => vec![json!({ scheme: [] })],
                false => scopes.iter().map(|one| json!({ scheme: [one] })).collect(),
            }
        };
        let both = |scopes: &[ScopeName]| [by("token", scopes), by("session", scopes)].concat();
        match &self.who {
            Who::Anybody => json!([]),
            Who::Callers(scopes) => both(scopes).into(),
            Who::CallersOrBody(scopes) => {
                let mut all = both(scopes);
                all.push(json!({}));
                all.into()
            }
            Who::Browsers => by("session", &[]).into(),
            Who::Proxies => json!([{ "proxy": [] }]),
        }
    }
}
