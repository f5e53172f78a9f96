//! What administrators do besides what JupyterHub has a word for.

use lyceum_model::scope::ScopeName::{AdminUsers, ReadHub, Shutdown};
use serde_json::{Value, json};

use super::super::Operation;
use super::super::schemas::{list_of, maybe_moment, moment, named, of, text};
use super::{delete, get, patch, put};
use crate::api::lyceum::audit::AUDIT;
use crate::api::lyceum::people::{BLOCK, SESSION, SESSIONS};
use crate::api::lyceum::posix::POSIX;
use crate::api::lyceum::upkeep::{CONFIGURATION, MAINTENANCE};
use crate::audit::Kind;

pub(super) fn people() -> Vec<Operation> {
    let blocked = json!({ "blocked": { "type": "boolean" }, "since": maybe_moment() });
    let sessions = json!({ "sessions": { "type": "array", "items": named("Session") } });
    let ended = json!({ "ended": { "type": "integer" } });
    let number = || json!({ "type": ["integer", "null"], "minimum": 0, "maximum": u32::MAX });
    let numbers = || {
        json!({
            "uid": number(),
            "gid": number(),
            "group": { "type": ["string", "null"], "description": "What the group of `gid` is called" },
            "groups": {
                "type": ["array", "null"],
                "items": { "type": "integer", "minimum": 0, "maximum": u32::MAX },
            },
        })
    };
    let all = vec![
        get(POSIX, "get_posix", "Tells by which numbers somebody's files are hers.").json(
            200,
            "Her numbers",
            of(&["uid", "gid", "group", "groups"], numbers()),
        ),
        patch(
            POSIX,
            "set_posix",
            "Says by which numbers somebody's files are hers; for those who may do all. What is left out or null stays. A uid is one person's for ever.",
        )
        .takes(of(&[], numbers()))
        .refuses(&[400])
        .json(
            200,
            "Her numbers",
            of(&["uid", "gid", "group", "groups"], numbers()),
        ),
        get(BLOCK, "get_block", "Tells whether somebody is kept out.").json(
            200,
            "Whether, and since when",
            of(&["blocked", "since"], blocked),
        ),
        put(
            BLOCK,
            "block_user",
            "Keeps somebody out: what she holds, sessions and tokens, counts for nothing, and her connections are closed.",
        )
        .refuses(&[400])
        .empty(204, "She is kept out"),
        delete(BLOCK, "unblock_user", "Lets somebody in again.").empty(204, "She is let in"),
        get(
            SESSIONS,
            "list_sessions",
            "Lists the browsers that somebody is signed in with, the one that was seen last first.",
        )
        .json(200, "The sessions", of(&["sessions"], sessions)),
        delete(
            SESSIONS,
            "end_sessions",
            "Logs somebody out everywhere, with the tokens and connections that came by these sessions.",
        )
        .json(200, "How many were ended", of(&["ended"], ended)),
        delete(SESSION, "end_session", "Logs somebody out in one browser.")
            .empty(204, "It has ended"),
    ];
    let scoped = |one: Operation| one.scopes(&[AdminUsers]).tag("People");
    all.into_iter().map(scoped).collect()
}

pub(super) fn hub() -> Vec<Operation> {
    let maintenance = json!({
        "on": { "type": "boolean" },
        "since": maybe_moment(),
        "until": maybe_moment(),
        "message": { "type": ["string", "null"] },
        "by": { "type": ["string", "null"] },
    });
    let wish = json!({
        "message": { "type": ["string", "null"], "description": "What people are told besides" },
        "until": { "type": ["string", "null"], "format": "date-time", "description": "When it ends by itself" },
    });
    let problem = json!({
        "type": ["object", "null"],
        "description": "Why the last edit is not in force",
        "required": ["at", "text"],
        "properties": { "at": moment(), "text": text() },
    });
    let configuration = json!({
        "generation": { "type": "integer", "description": "How many there were since the start" },
        "loaded": moment(),
        "source": { "type": ["string", "null"], "description": "The file" },
        "problem": problem,
        "course_files": {
            "type": "array",
            "description": "Those in which something is wrong, after the folder itself if it can't be read",
            "items": course_file(),
        },
    });
    let all = vec![
        get(
            MAINTENANCE,
            "get_maintenance",
            "Tells of a maintenance that was begun by the page, the command line or here; of one of the configuration it tells nothing.",
        )
        .scopes(&[ReadHub])
        .json(
            200,
            "What is in force",
            of(&["on", "since", "until", "message", "by"], maintenance),
        ),
        put(
            MAINTENANCE,
            "begin_maintenance",
            "Begins a maintenance: only some may come in and start servers. What runs goes on.",
        )
        .scopes(&[Shutdown])
        .takes(json!({ "type": "object", "properties": wish, "additionalProperties": false }))
        .empty(204, "It has begun, on all hubs"),
        delete(MAINTENANCE, "end_maintenance", "Ends it. One of the configuration stays.")
            .scopes(&[Shutdown])
            .empty(204, "What was begun has ended"),
        get(
            CONFIGURATION,
            "get_configuration",
            "Tells which configuration is in force, and what is wrong with the last edit and in course files.",
        )
        .scopes(&[ReadHub])
        .json(
            200,
            "Its state",
            of(
                &["generation", "loaded", "source", "problem", "course_files"],
                configuration,
            ),
        ),
    ];
    let all = all.into_iter().chain([list_audit()]);
    all.map(|one| one.tag("Hub")).collect()
}

fn list_audit() -> Operation {
    let page = of(
        &["items", "_pagination"],
        json!({ "items": list_of("Act"), "_pagination": named("Pagination") }),
    );
    get(
        AUDIT,
        "list_audit",
        "Lists who logged in and what administrators and services did, and from where, the newest first.",
    )
    .scopes(&[AdminUsers])
    .query("person", text(), "Only what she did, and what is about her account")
    .query("kind", json!({ "enum": Kind::WORDS }), "Only what is of this kind")
    .query("since", moment(), "Only what was done since then")
    .pages()
    .json(200, "What was done", page)
    .refuses(&[400])
}

fn course_file() -> Value {
    let mistake = json!({ "line": { "type": ["integer", "null"] }, "text": text() });
    of(
        &["course", "file", "mistakes", "in_force", "written"],
        json!({
            "course": { "type": ["string", "null"], "description": "Null where the file is that of no course, and of the folder" },
            "file": text(),
            "mistakes": { "type": "array", "items": of(&["line", "text"], mistake) },
            "in_force": {
                "enum": ["nothing", "earlier", "all_earlier", "rest"],
                "description": "Meanwhile: nothing of the file, its last good version, of the folder those of all files, or all but what is wrong",
            },
            "written": { "type": ["string", "null"], "format": "date-time", "description": "When that last good version was" },
        }),
    )
}
