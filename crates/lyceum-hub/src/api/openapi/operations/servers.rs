//! The servers of a person.

use lyceum_model::scope::ScopeName::{DeleteServers, ReadServers, StartServers};
use serde_json::{Value, json};

use super::super::Operation;
use super::super::schemas::{named, of, text};
use super::{delete, get, patch, post, put};

/// The profiles that somebody may use.
fn profiles() -> Value {
    let maybe = || json!({ "type": ["string", "null"] });
    let list = |item: Value| json!({ "type": "array", "items": item });
    let choice = of(
        &["name", "display_name", "default"],
        json!({
            "name": { "type": "string", "description": "The value of the option in `user_options`" },
            "display_name": text(),
            "default": { "type": "boolean" },
        }),
    );
    let unlisted = json!({
        "type": ["object", "null"],
        "description": "A value of one's own is taken, in `user_options` as `NAME--unlisted-choice`",
        "required": ["display_name", "validation_message"],
        "properties": { "display_name": maybe(), "validation_message": maybe() },
    });
    let option = of(
        &["name", "display_name", "choices", "unlisted_choice"],
        json!({
            "name": { "type": "string", "description": "The key in `user_options`" },
            "display_name": text(),
            "choices": list(choice),
            "unlisted_choice": unlisted,
        }),
    );
    let profile = of(
        &["slug", "display_name", "description", "default", "options"],
        json!({
            "slug": { "type": "string", "description": "`profile` in `user_options`" },
            "display_name": text(),
            "description": maybe(),
            "default": { "type": "boolean" },
            "options": list(option),
        }),
    );
    of(&["profiles"], json!({ "profiles": list(profile) }))
}

pub(super) fn servers() -> Vec<Operation> {
    let wish = || {
        json!({
            "type": ["object", "null"],
            "description": "Any object without these fields is the options themselves",
            "properties": {
                "display_name": { "type": "string", "maxLength": 255 },
                "user_options": { "type": ["object", "null"] },
            },
        })
    };
    let change = of(
        &[],
        json!({
            "name": { "type": ["string", "null"] },
            "display_name": { "type": ["string", "null"], "maxLength": 255 },
            "user_options": { "type": "object" },
        }),
    );
    let remove = of(
        &[],
        json!({ "remove": {
            "type": ["boolean", "null"],
            "description": "Forget a named server once it has ended; its files stay",
        } }),
    );
    let mut all = Vec::new();
    // The default server has three names.
    for (path, suffix) in [
        ("/hub/api/users/{user}/server", "server"),
        ("/hub/api/users/{user}/servers/", "default_server"),
        ("/hub/api/users/{user}/servers/{server}", "named_server"),
    ] {
        let id = |verb: &str| format!("{verb}_{suffix}");
        all.extend([
            get(path, &id("get"), "Tells of a server.")
                .scopes(&[ReadServers])
                .json(200, "The server", named("Server")),
            put(path, &id("create"), "Makes a named server without starting it.")
                .scopes(&[StartServers])
                .takes(wish())
                .json(201, "The server", named("Server"))
                .refuses(&[409]),
            post(path, &id("start"), "Starts a server, and makes a named one that is not there.")
                .scopes(&[StartServers])
                .takes(wish())
                .empty(201, "It is ready")
                .empty(202, "It is under way, or waits for a place"),
            patch(path, &id("change"), "Gives a server at rest another name, title or options.")
                .scopes(&[StartServers])
                .wants(change.clone())
                .json(200, "The server", named("Server"))
                .refuses(&[409]),
            delete(path, &id("stop"), "Stops a server.")
                .scopes(&[DeleteServers])
                .takes(remove.clone())
                .empty(204, "It is at rest")
                .empty(202, "It is being stopped"),
            get(&format!("{path}/progress"), &id("watch"), "Tells what happens on the way up, until it is ready or has failed.")
                .scopes(&[ReadServers])
                .query("lang", text(), "A language, in which events then have `words`")
                .answers(
                    200,
                    "Server-sent events, each with an object as its data: progress, message; at last ready and url, or failed",
                    "text/event-stream",
                    of(
                        &["data"],
                        json!({
                            "data": { "type": "string", "contentMediaType": "application/json" },
                            "event": text(),
                        }),
                    ),
                ),
        ]);
    }
    all.push(
        get(
            "/hub/api/lyceum/profiles",
            "list_profiles",
            "Tells what the caller may start: profiles, and the options of each.",
        )
        .scopes(&[StartServers])
        .json(
            200,
            "The profiles; none where there is nothing to choose",
            profiles(),
        ),
    );
    all.into_iter().map(|one| one.tag("Servers")).collect()
}
