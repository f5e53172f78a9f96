//! What an OpenAPI document says of the routes of a part: who may ask, what is taken, what is answered.
//! Each part describes its own; the hub puts them together and holds them against the routes.

use std::collections::BTreeMap;

use axum::http::Method;
use lyceum_model::scope::ScopeName;
use serde_json::{Map, Value, json};

/// A name that stands in paths, how it looks, what it is.
pub type PathPart = (&'static str, &'static str, &'static str);

/// What a part says of its routes.
#[derive(Debug, Clone, Copy)]
pub struct Described {
    /// Name and meaning of each group of operations.
    pub tags: &'static [(&'static str, &'static str)],
    pub path_parts: &'static [PathPart],
    pub operations: fn() -> Vec<Operation>,
    /// Nouns by their names.
    pub schemas: fn() -> Value,
}

impl Default for Described {
    fn default() -> Self {
        Self {
            tags: &[],
            path_parts: &[],
            operations: Vec::new,
            schemas: || json!({}),
        }
    }
}

pub fn text() -> Value {
    json!({ "type": "string" })
}

/// One of the nouns.
pub fn named(name: &str) -> Value {
    json!({ "$ref": format!("#/components/schemas/{name}") })
}

pub fn list_of(name: &str) -> Value {
    json!({ "type": "array", "items": named(name) })
}

/// An object with these fields, and those of them that are always there.
pub fn of(required: &[&str], properties: Value) -> Value {
    match required.is_empty() {
        true => json!({ "type": "object", "properties": properties }),
        false => json!({ "type": "object", "required": required, "properties": properties }),
    }
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

pub fn responses() -> Map<String, Value> {
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
pub enum Who {
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
#[derive(Debug, Clone)]
pub struct Operation {
    pub method: Method,
    pub path: String,
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
    pub fn new(method: Method, path: &str, id: &str, about: &'static str) -> Self {
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

    #[must_use]
    pub fn tag(mut self, tag: &'static str) -> Self {
        self.tag = tag;
        self
    }

    /// For callers who hold one of these.
    #[must_use]
    pub fn scopes(mut self, scopes: &[ScopeName]) -> Self {
        self.who = Who::Callers(scopes.to_vec());
        self
    }

    #[must_use]
    pub fn who(mut self, who: Who) -> Self {
        self.who = who;
        self
    }

    #[must_use]
    pub fn query(mut self, name: &str, schema: Value, about: &str) -> Self {
        self.query.push(json!({
            "name": name, "in": "query", "required": false, "schema": schema, "description": about,
        }));
        // A value may be one that can't be asked for.
        self.refuses(&[400])
    }

    #[must_use]
    pub fn pages(self) -> Self {
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
    #[must_use]
    pub fn takes(mut self, schema: Value) -> Self {
        self.body = Some(
            json!({ "required": false, "content": { "application/json": { "schema": schema } } }),
        );
        self.refuses(&[400, 413])
    }

    /// A JSON body that has to be there.
    #[must_use]
    pub fn wants(self, schema: Value) -> Self {
        self.takes(schema).required()
    }

    fn required(mut self) -> Self {
        if let Some(body) = &mut self.body {
            body["required"] = true.into();
        }
        self
    }

    #[must_use]
    pub fn takes_form(mut self, schema: Value) -> Self {
        let content = json!({ "application/x-www-form-urlencoded": { "schema": schema } });
        self.body = Some(json!({ "required": false, "content": content }));
        self.refuses(&[400, 413])
    }

    #[must_use]
    pub fn wants_form(self, schema: Value) -> Self {
        self.takes_form(schema).required()
    }

    /// Files as a multipart form.
    #[must_use]
    pub fn wants_files(mut self, about: &str) -> Self {
        let schema = json!({
            "type": "object",
            "description": about,
            "additionalProperties": { "type": "string", "format": "binary" },
        });
        let content = json!({ "multipart/form-data": { "schema": schema } });
        self.body = Some(json!({ "required": true, "content": content }));
        self.refuses(&[400])
    }

    #[must_use]
    pub fn answers(mut self, status: u16, about: &str, kind: &str, schema: Value) -> Self {
        let content = json!({ kind: { "schema": schema } });
        self.answers
            .insert(status, json!({ "description": about, "content": content }));
        self
    }

    #[must_use]
    pub fn json(self, status: u16, about: &str, schema: Value) -> Self {
        self.answers(status, about, "application/json", schema)
    }

    #[must_use]
    pub fn empty(mut self, status: u16, about: &str) -> Self {
        self.answers.insert(status, json!({ "description": about }));
        self
    }

    #[must_use]
    pub fn refuses(mut self, statuses: &[u16]) -> Self {
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

    pub fn is(&self, method: &Method, path: &str) -> bool {
        self.method == *method && self.path == path
    }

    pub fn is_for_callers(&self) -> bool {
        matches!(self.who, Who::Callers(_) | Who::Browsers)
    }

    /// What is missing; each with what to do.
    pub fn faults(&self, path_parts: &[PathPart]) -> Vec<String> {
        let good = self.answers.keys().any(|status| *status < 400);
        let mut faults = Vec::new();
        // What JupyterHub had long ago is answered with its refusal only.
        if !good && !self.tag.starts_with("Gone") {
            faults.push(format!("{}: no answer below 400 is described", self.id));
        }
        let known = |name: &str| path_parts.iter().any(|(part, _, _)| *part == name);
        faults.extend(
            self.parts()
                .filter(|part| !known(part))
                .map(|part| format!("{}: say in PATH_PARTS what {{{part}}} is", self.id)),
        );
        faults
    }

    /// What is named in the path.
    fn parts(&self) -> impl Iterator<Item = &str> {
        let pieces = self.path.split('/');
        pieces.filter_map(|piece| piece.strip_prefix('{')?.strip_suffix('}'))
    }

    pub fn to_json(&self, path_parts: &[PathPart]) -> Value {
        let mut parameters: Vec<Value> = self
            .parts()
            .filter_map(|name| {
                let (_, pattern, about) = path_parts.iter().find(|(part, _, _)| *part == name)?;
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
