//! Exams with codes on paper.

use lyceum_model::scope::ScopeName::AdminUsers;
use serde_json::{Value, json};

use super::super::Operation;
use super::super::schemas::{maybe_moment, moment, of, text};
use super::{delete, get, post};
use crate::api::lyceum::sittings::{PLACE, SITTING, SITTINGS};

const NAMES: [&str; 8] = [
    "id",
    "title",
    "course",
    "begins",
    "ends",
    "networks",
    "invigilators",
    "made_by",
];

fn sitting() -> Value {
    let texts = json!({ "type": "array", "items": text() });
    json!({
        "id": text(),
        "title": text(),
        "course": { "type": ["string", "null"], "description": "The id of a course" },
        "begins": moment(),
        "ends": moment(),
        "networks": texts,
        "invigilators": texts,
        "made_by": text(),
    })
}

fn with(name: &'static str, items: Value) -> Value {
    let mut all = sitting();
    all[name] = json!({ "type": "array", "items": items });
    of(&[&NAMES[..], &[name]].concat(), all)
}

fn code() -> Value {
    of(
        &["place", "seat", "user", "code"],
        json!({
            "place": { "type": "integer" },
            "seat": text(),
            "user": text(),
            "code": { "type": "string", "description": "Told here and nowhere else" },
        }),
    )
}

pub(super) fn all() -> Vec<Operation> {
    let place = of(
        &["place", "seat", "user", "used", "address", "taken_back"],
        json!({
            "place": { "type": "integer" },
            "seat": text(),
            "user": text(),
            "used": maybe_moment(),
            "address": { "type": ["string", "null"], "description": "From where she came" },
            "taken_back": maybe_moment(),
        }),
    );
    let texts = json!({ "type": ["array", "null"], "items": { "type": "string" } });
    let wish = json!({
        "type": "object",
        "required": ["title", "begins", "ends", "people"],
        "additionalProperties": false,
        "properties": {
            "title": { "type": "string" },
            "course": { "type": ["string", "null"] },
            "begins": { "type": "string", "format": "date-time" },
            "ends": { "type": "string", "format": "date-time" },
            "networks": texts,
            "invigilators": texts,
            "people": {
                "type": "array",
                "items": { "type": "string" },
                "description": "`ada`, `ada, 17` with her seat, `ada, 17, 10.0.5.17` with the seat's address, or `exam-{1..30}`: accounts of the exam's own",
            },
        },
    });
    let list = json!({ "sittings": { "type": "array", "items": of(&NAMES, sitting()) } });
    let all = vec![
        get(SITTINGS, "list_sittings", "Lists exams with codes, the newest first.").json(
            200,
            "The exams",
            of(&["sittings"], list),
        ),
        post(
            SITTINGS,
            "create_sitting",
            "Makes an exam to which people come in with codes: each good once, for one account, in its window of time.",
        )
        .takes(wish)
        .refuses(&[400])
        .json(201, "The exam, and its codes", with("codes", code())),
        get(SITTING, "get_sitting", "Tells who has come.").json(
            200,
            "The exam, and its places",
            with("places", place),
        ),
        delete(
            SITTING,
            "delete_sitting",
            "Removes an exam and its codes; whoever came in with one is logged out.",
        )
        .empty(204, "It is removed"),
        post(
            PLACE,
            "renew_code",
            "Makes a new code for a place. The one before is good no more; whoever came in with it is logged out.",
        )
        .json(201, "The code", code()),
        delete(
            PLACE,
            "take_code_back",
            "Takes the code of a place back; whoever came in with it is logged out.",
        )
        .empty(204, "It is good no more"),
    ];
    let scoped = |one: Operation| one.scopes(&[AdminUsers]).tag("Exams");
    all.into_iter().map(scoped).collect()
}
