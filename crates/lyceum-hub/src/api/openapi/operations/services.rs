//! Services of the site, and the provider by which they and servers learn who is in front of them.

use lyceum_model::scope::ScopeName::{
    AdminServices, ListServices, ReadRolesServices, ReadServices, ReadServicesName,
};
use serde_json::json;

use super::super::schemas::{named, of, text};
use super::super::{Operation, Who};
use super::{delete, get, post};

pub(super) fn services() -> Vec<Operation> {
    let one = "/hub/api/services/{service}";
    let nullable = || json!({ "type": ["string", "null"] });
    let texts = || json!({ "type": "array", "items": text() });
    let wish = json!({
        "type": "object",
        "minProperties": 1,
        "additionalProperties": false,
        "properties": {
            "name": nullable(),
            "admin": { "type": "boolean" },
            "url": nullable(),
            "api_token": nullable(),
            "oauth_client_id": nullable(),
            "oauth_redirect_uri": nullable(),
            "oauth_client_allowed_scopes": texts(),
            "oauth_no_confirm": { "type": "boolean" },
            "display": { "type": ["boolean", "null"] },
            "info": { "type": "object" },
            "command": { "type": "array", "maxItems": 0, "items": text() },
            "cwd": nullable(),
            "environment": { "type": "object" },
            "user": nullable(),
        },
    });
    let told = vec![
        get("/hub/api/services", "list_services", "Lists services.")
            .scopes(&[ListServices])
            .json(
                200,
                "Services by their names",
                json!({ "type": "object", "additionalProperties": named("Service") }),
            ),
        get(one, "get_service", "Tells of a service.")
            .scopes(&[ReadServices, ReadServicesName, ReadRolesServices])
            .json(200, "The service", named("Service")),
        post(one, "create_service", "Makes a service.")
            .scopes(&[AdminServices])
            .wants(wish)
            .json(201, "The service", named("Service"))
            .refuses(&[409]),
        delete(
            one,
            "delete_service",
            "Deletes a service that is not the configuration's.",
        )
        .scopes(&[AdminServices])
        .empty(200, "It is gone")
        .refuses(&[405]),
    ];
    told.into_iter().map(|one| one.tag("Services")).collect()
}

pub(super) fn oauth() -> Vec<Operation> {
    let ask = |operation: Operation| {
        let method =
            "How the challenge was made from the verifier; nothing else than S256 is taken";
        operation
            .query("client_id", text(), "Which client sends the browser")
            .query(
                "redirect_uri",
                text(),
                "Where the browser goes with the answer; left out, the client's own address",
            )
            .query("response_type", text(), "Always code")
            .query("state", text(), "Comes back with the answer")
            .query(
                "scope",
                text(),
                "Scopes with spaces between; left out, all that the client may have",
            )
            .query("code_challenge", text(), "PKCE")
            .query("code_challenge_method", text(), method)
            .empty(
                302,
                "The browser goes back with a code or an error, or to the log-in page",
            )
    };
    let error = of(&["error"], json!({ "error": text() }));
    let authorize = "/hub/api/oauth2/authorize";
    let told = vec![
        ask(get(
            authorize,
            "authorize",
            "Where a client sends a browser to learn who is in front of it.",
        ))
        .who(Who::Anybody)
        .answers(200, "A page that asks", "text/html", text()),
        ask(post(
            authorize,
            "confirm",
            "What the page that asks sends when the answer is yes.",
        ))
        .who(Who::Browsers)
        .takes_form(of(
            &[],
            json!({ "scopes": { "type": "array", "items": text(), "description": "Those that were shown" } }),
        )),
        post(
            "/hub/api/oauth2/token",
            "exchange_code",
            "Changes a code for a token (RFC 6749, section 4.1.3).",
        )
        .who(Who::Anybody)
        .wants_form(of(
            &["client_id", "client_secret", "grant_type", "code"],
            json!({
                "client_id": text(),
                "client_secret": text(),
                "grant_type": { "const": "authorization_code" },
                "code": text(),
                "redirect_uri": text(),
                "code_verifier": text(),
            }),
        ))
        .json(200, "The token", named("OAuthToken"))
        .json(
            400,
            "invalid_request, invalid_grant or unsupported_grant_type",
            error.clone(),
        )
        .json(401, "invalid_client", error),
    ];
    told.into_iter().map(|one| one.tag("OAuth")).collect()
}
