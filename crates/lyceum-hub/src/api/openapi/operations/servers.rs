//! The servers of a person.

use lyceum_model::scope::ScopeName::{DeleteServers, ReadServers, StartServers};
use serde_json::json;

use super::super::Operation;
use super::super::schemas::{named, of, text};
use super::{delete, get, patch, post, put};

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
    all.into_iter().map(|one| one.tag("Servers")).collect()
}
