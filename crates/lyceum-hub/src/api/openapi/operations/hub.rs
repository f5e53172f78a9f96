//! The hub itself, what only proxies ask, and what is gone.

use lyceum_model::scope::ScopeName::{Proxy, ReadHub, ReadMetrics, Shutdown};
use lyceum_proxy::follow::wire;
use serde_json::{Value, json};

use super::super::schemas::{named, of, page_of, text};
use super::super::{Operation, PATH, Who};
use super::{get, patch, post};

pub(super) fn hub() -> Vec<Operation> {
    let version = |path: &str, id: &str| {
        get(
            path,
            id,
            "Tells the version of JupyterHub that this is like.",
        )
        .who(Who::Anybody)
        .json(
            200,
            "The version",
            of(&["version"], json!({ "version": text() })),
        )
    };
    let health = |path: &str, id: &str| {
        let told = of(&["status"], json!({ "status": text(), "message": text() }));
        get(path, id, "Tells whether the database answers.")
            .who(Who::Anybody)
            .json(200, "It does", told.clone())
            .json(503, "It does not", told)
    };
    let metrics = |path: &str, id: &str| {
        get(
            path,
            id,
            "The metrics, in the text form that Prometheus reads.",
        )
        .scopes(&[ReadMetrics])
        .answers(200, "The metrics", "application/openmetrics-text", text())
    };
    let refreshed = "The proxies have all news";
    vec![
        version("/hub/api", "get_version"),
        version("/hub/api/", "get_version_slash"),
        get(PATH, "get_openapi", "This document.")
            .who(Who::Anybody)
            .answers(
                200,
                "An OpenAPI 3.1 document",
                "application/openapi+json",
                json!({ "type": "object" }),
            ),
        get("/hub/api/info", "get_info", "Tells what runs here.")
            .scopes(&[ReadHub])
            .json(200, "What runs here", named("Info")),
        health("/hub/health", "get_health"),
        health("/hub/api/health", "get_api_health"),
        metrics("/hub/metrics", "get_metrics"),
        metrics("/hub/api/metrics", "get_api_metrics"),
        get("/hub/api/proxy", "list_routes", "Lists the routes: the hub's, one for each server that answers, and one for each service with an address.")
            .scopes(&[Proxy])
            .pages()
            .json(
                200,
                "Routes by their paths, with the host before it where people have hosts of their own",
                page_of(json!({ "type": "object", "additionalProperties": named("Route") })),
            ),
        post("/hub/api/proxy", "check_routes", "Looks for news and waits until the proxies have them.")
            .scopes(&[Proxy])
            .empty(200, refreshed),
        patch("/hub/api/proxy", "change_proxy", "As POST; there is nothing to be told, since proxies find the hub.")
            .scopes(&[Proxy])
            .wants(json!({ "type": "object", "maxProperties": 0 }))
            .empty(200, refreshed),
        post("/hub/api/shutdown", "shut_down", "Ends this process, as a signal would.")
            .scopes(&[Shutdown])
            .takes(of(
                &[],
                json!({
                    "servers": { "type": "boolean", "description": "Stop all servers before" },
                    "proxy": { "type": "boolean", "description": "Whether the proxy ends too; only as it runs" },
                }),
            ))
            .json(202, "It will end", of(&["message"], json!({ "message": text() }))),
    ]
}

pub(super) fn proxies() -> Vec<Operation> {
    let ask = json!({
        "type": "object",
        "required": ["route"],
        "properties": { "route": text(), "cookie": text(), "token": text() },
    });
    let whole = || json!({ "type": "integer", "format": "int64" });
    let used = of(
        &["route", "last_ms"],
        json!({ "route": text(), "last_ms": whole(), "age_ms": whole() }),
    );
    let told = vec![
        get(
            wire::STREAM_PATH,
            "watch_routes",
            "News of routes, until either side goes.",
        )
        .query("numbering", text(), "Which database the number is of")
        .query("after", whole(), "The number that is known already")
        .answers(
            200,
            "Lines of JSON: hello, then snapshot or changes, and beats",
            "application/x-ndjson",
            text(),
        ),
        post(
            wire::ACCESS_PATH,
            "check_access",
            "Decides who may use which route.",
        )
        .wants(of(
            &["asks"],
            json!({ "asks": { "type": "array", "maxItems": wire::MAX_ASKS, "items": ask } }),
        ))
        .refuses(&[415])
        .json(
            200,
            "Answers in the same order",
            of(
                &["answers"],
                json!({ "answers": { "type": "array", "items": answer() } }),
            ),
        ),
        post(
            wire::VOUCH_PATH,
            "vouch",
            "Tells whether what listens at an address is the server of a route.",
        )
        .wants(of(
            &["route", "target"],
            json!({ "route": text(), "target": text() }),
        ))
        .refuses(&[415])
        .json(
            200,
            "Whether it is",
            of(&["vouched"], json!({ "vouched": { "type": "boolean" } })),
        ),
        post(
            wire::ACTIVITY_PATH,
            "report",
            "Takes what a proxy has seen, and how far it has come.",
        )
        .wants(of(
            &["proxy"],
            json!({
                "proxy": { "type": "string", "maxLength": 64 },
                "number": { "type": ["integer", "null"], "format": "int64" },
                "activity": { "type": "array", "maxItems": wire::MAX_REPORTED, "items": used },
            }),
        ))
        .refuses(&[415])
        .json(200, "Taken", json!({ "type": "object" })),
    ];
    let told = told.into_iter();
    told.map(|one| one.tag("Proxies").who(Who::Proxies))
        .collect()
}

fn answer() -> Value {
    of(
        &["answer"],
        json!({
            "answer": { "enum": ["allow", "deny", "sign_in", "unavailable"] },
            "subject": text(),
            "keep_ms": { "type": "integer" },
            "grounds": { "type": "array", "items": text() },
        }),
    )
}

pub(super) fn gone() -> Vec<Operation> {
    let about = "Gone: a token or a cookie does not stand in an address.";
    let told = vec![
        get("/hub/api/authorizations/token/{token}", "gone_token", about),
        post("/hub/api/authorizations/token", "gone_new_token", about).refuses(&[404, 413]),
        get(
            "/hub/api/authorizations/cookie/{name}/{value}",
            "gone_cookie",
            about,
        ),
    ];
    told.into_iter().map(|one| one.tag("Gone")).collect()
}
