//! How the nouns of the API look, as `model.rs` makes them; and small pieces of schemas.

pub(super) use lyceum_web::openapi::{list_of, named, of, text};
use serde_json::{Value, json};

/// A list that comes alone, or as a page where `Accept` asks for pages.
pub(super) fn page_of(items: Value) -> Value {
    let page = of(
        &["items", "_pagination"],
        json!({ "items": items, "_pagination": named("Pagination") }),
    );
    json!({ "oneOf": [items, page] })
}

fn maybe(kind: &str) -> Value {
    json!({ "type": [kind, "null"] })
}

pub(super) fn moment() -> Value {
    json!({ "type": "string", "format": "date-time" })
}

pub(super) fn maybe_moment() -> Value {
    json!({ "type": ["string", "null"], "format": "date-time" })
}

fn texts() -> Value {
    json!({ "type": "array", "items": text() })
}

pub(super) fn all() -> Value {
    json!({
        "Error": of(
            &["status", "message"],
            json!({
                "status": { "type": "integer" },
                "message": text(),
                "request_id": { "type": "string", "description": "Where the proxy refuses by itself; else it is in X-Request-Id" },
            }),
        ),
        "Info": of(
            &["version", "python", "sys_executable", "authenticator", "spawner"],
            json!({
                "version": text(),
                "python": text(),
                "sys_executable": text(),
                "authenticator": named("Part"),
                "spawner": named("Part"),
            }),
        ),
        "Part": of(&["class", "version"], json!({ "class": text(), "version": text() })),
        "ServerState": of(
            &["name", "display_name", "state", "profile", "course", "requested", "ready", "stopped", "last_activity", "reason", "ends", "usage"],
            json!({
                "name": text(),
                "display_name": maybe("string"),
                "state": { "enum": ["stopped", "queued", "starting", "ready", "stopping", "failed"] },
                "profile": maybe("string"),
                "course": maybe("string"),
                "requested": maybe_moment(),
                "ready": maybe_moment(),
                "stopped": maybe_moment(),
                "last_activity": maybe_moment(),
                "reason": { "type": ["string", "null"], "description": "Why it ended or did not start" },
                "ends": {
                    "type": ["object", "null"],
                    "description": "When it ends by itself if nothing happens in it",
                    "required": ["at", "why", "soon"],
                    "properties": {
                        "at": moment(),
                        "why": { "enum": ["idle", "age"] },
                        "soon": { "type": "boolean" },
                    },
                },
                "usage": {
                    "type": ["object", "null"],
                    "description": "What it takes: bytes of memory, processor cores, processes",
                    "required": ["memory", "cpu", "processes"],
                    "properties": {
                        "memory": { "type": "integer" },
                        "cpu": { "type": "number" },
                        "processes": { "type": "integer" },
                    },
                },
            }),
        ),
        "Act": of(
            &["id", "at", "what", "about", "doer", "address", "times", "detail"],
            json!({
                "id": text(),
                "at": moment(),
                "what": { "type": "string", "description": "A word, `sign_in` or `person_renamed`" },
                "about": { "type": ["string", "null"], "description": "Whose account it is about, as she was called then" },
                "doer": { "type": ["string", "null"], "description": "A person, or `service:NAME`; null: the command line, the configuration, rules, and refused log-ins" },
                "address": maybe("string"),
                "times": { "type": "integer", "description": "How often, where one entry stands for several" },
                "detail": { "type": "object", "additionalProperties": { "type": "string" } },
            }),
        ),
        "Session": of(
            &["id", "address", "agent", "method", "since", "last_seen", "expires"],
            json!({
                "id": text(),
                "address": maybe("string"),
                "agent": { "type": ["string", "null"], "description": "What the browser says of itself" },
                "method": { "type": ["string", "null"], "description": "The id of the way in by which it began; null: by a password" },
                "since": moment(),
                "last_seen": moment(),
                "expires": moment(),
            }),
        ),
        "SharedServer": of(
            &["user", "name", "url", "full_url", "ready"],
            json!({
                "user": of(&["name"], json!({ "name": text() })),
                "name": text(),
                "url": text(),
                "full_url": maybe("string"),
                "ready": { "type": "boolean" },
            }),
        ),
        "Share": of(
            &["server", "scopes", "user", "group", "kind", "created_at"],
            json!({
                "server": named("SharedServer"),
                "scopes": texts(),
                "user": { "type": ["object", "null"], "properties": { "name": text() } },
                "group": { "type": ["object", "null"], "properties": { "name": text() } },
                "kind": { "enum": ["user", "group"] },
                "created_at": moment(),
            }),
        ),
        "ShareCode": of(
            &["server", "scopes", "id", "created_at", "expires_at", "exchange_count", "last_exchanged_at"],
            json!({
                "server": named("SharedServer"),
                "scopes": texts(),
                "id": text(),
                "created_at": moment(),
                "expires_at": moment(),
                "exchange_count": { "type": "integer" },
                "last_exchanged_at": maybe_moment(),
                "code": { "type": "string", "description": "Right after it was made" },
                "accept_url": text(),
                "full_accept_url": maybe("string"),
            }),
        ),
        "Route": of(
            &["routespec", "target", "data"],
            json!({ "routespec": text(), "target": text(), "data": { "type": "object" } }),
        ),
        "Pagination": of(
            &["offset", "limit", "total", "next"],
            json!({
                "offset": { "type": "integer", "minimum": 0 },
                "limit": { "type": "integer", "minimum": 1, "maximum": 200 },
                "total": { "type": "integer", "minimum": 0 },
                "next": { "oneOf": [
                    { "type": "null" },
                    of(&["offset", "limit", "url"], json!({
                        "offset": { "type": "integer" },
                        "limit": { "type": "integer" },
                        "url": text(),
                    })),
                ] },
            }),
        ),
        "User": person(json!({}), &[]),
        "Self": {
            "description": "A person or a service",
            "oneOf": [
                person(own(), &["kind", "name", "scopes", "session_id", "token_id"]),
                service(own(), &["kind", "name", "scopes", "session_id", "token_id"]),
            ],
        },
        "Server": of(
            &[
                "name", "display_name", "full_name", "last_activity", "started", "pending", "ready", "stopped", "url",
                "user_options", "progress_url", "full_url", "full_progress_url",
            ],
            json!({
                "name": { "type": "string", "description": "Empty for the default one" },
                "display_name": text(),
                "full_name": text(),
                "last_activity": maybe_moment(),
                "started": maybe_moment(),
                "pending": { "enum": ["spawn", "stop", null] },
                "ready": { "type": "boolean" },
                "stopped": { "type": "boolean" },
                "url": text(),
                "user_options": maybe("object"),
                "progress_url": text(),
                "full_url": maybe("string"),
                "full_progress_url": maybe("string"),
                "state": { "type": "object", "description": "With admin:server_state" },
            }),
        ),
        "Token": token(json!({}), &[]),
        "NewToken": token(json!({ "token": { "type": "string", "description": "The secret" } }), &["token"]),
        "Group": of(
            &["kind", "name"],
            json!({
                "kind": { "const": "group" },
                "name": text(),
                "roles": texts(),
                "users": texts(),
                "properties": { "type": "object" },
            }),
        ),
        "Service": service(json!({}), &["kind", "name"]),
        "OAuthToken": of(
            &["access_token", "expires_in", "token_type", "scope"],
            json!({
                "access_token": text(),
                "expires_in": { "type": "integer", "description": "Seconds" },
                "token_type": { "const": "Bearer" },
                "scope": { "type": "string", "description": "Separated by spaces" },
            }),
        ),
    })
}

/// What `/user` tells beside the model.
fn own() -> Value {
    json!({
        "scopes": texts(),
        "session_id": maybe("string"),
        "token_id": maybe("string"),
    })
}

fn with(mut properties: Value, further: Value) -> Value {
    if let (Value::Object(properties), Value::Object(further)) = (&mut properties, further) {
        properties.extend(further);
    }
    properties
}

/// Scopes open its fields one by one; where none does the model is empty.
fn person(further: Value, required: &[&str]) -> Value {
    let properties = json!({
        "kind": { "const": "user" },
        "name": text(),
        "admin": { "type": "boolean" },
        "roles": texts(),
        "groups": texts(),
        "server": { "type": ["string", "null"], "description": "The path of the default server that is ready" },
        "pending": { "enum": ["spawn", "stop", null] },
        "servers": { "type": "object", "additionalProperties": named("Server") },
        "created": moment(),
        "last_activity": maybe_moment(),
        "user_info": { "type": "object" },
        "auth_state": maybe("object"),
    });
    of(required, with(properties, further))
}

fn service(further: Value, required: &[&str]) -> Value {
    let properties = json!({
        "kind": { "const": "service" },
        "name": text(),
        "admin": { "type": "boolean" },
        "roles": texts(),
        "url": text(),
        "prefix": text(),
        "command": texts(),
        "pid": { "type": "integer" },
        "info": { "type": "object" },
        "display": { "type": "boolean" },
    });
    of(required, with(properties, further))
}

fn token(further: Value, required: &[&str]) -> Value {
    let properties = json!({
        "user": text(),
        "id": text(),
        "kind": { "const": "api_token" },
        "roles": texts(),
        "scopes": texts(),
        "created": moment(),
        "last_activity": maybe_moment(),
        "expires_at": maybe_moment(),
        "note": text(),
        "session_id": maybe("string"),
        "oauth_client": text(),
    });
    let always = [
        "user",
        "id",
        "kind",
        "roles",
        "scopes",
        "created",
        "last_activity",
        "expires_at",
        "note",
        "session_id",
        "oauth_client",
    ];
    of(&[&always, required].concat(), with(properties, further))
}
