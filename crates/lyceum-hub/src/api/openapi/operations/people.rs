//! People, their tokens, and the groups they are in.

use lyceum_model::scope::ScopeName::{
    self, AdminGroups, AdminUsers, DeleteGroups, DeleteUsers, Groups, ListGroups, ListUsers,
    ReadGroups, ReadGroupsName, ReadRolesGroups, ReadRolesUsers, ReadServers, ReadTokens,
    ReadUsers, ReadUsersActivity, ReadUsersGroups, ReadUsersName, Tokens, UsersActivity,
};
use serde_json::json;

use super::super::schemas::{list_of, named, of, page_of, text};
use super::super::{Operation, Who};
use super::{delete, get, patch, post, put};

/// As who lists them in `model.rs`.
const SHOWING_PEOPLE: &[ScopeName] = &[
    ReadUsers,
    ReadUsersName,
    ReadServers,
    ReadUsersGroups,
    ReadUsersActivity,
    ReadRolesUsers,
];

pub(super) fn people() -> Vec<Operation> {
    let stopped = |operation: Operation| {
        let about = "Show servers at rest too; 0 and false mean no";
        operation.query("include_stopped_servers", text(), about)
    };
    let fields = json!({
        "admin": { "type": "boolean" },
        "name": { "type": "string" },
        "groups": { "type": "array" },
        "roles": { "type": "array" },
        "auth_state": { "type": "object" },
    });
    let one = "/hub/api/users/{user}";
    let mut many = fields.clone();
    many["usernames"] = json!({ "type": "array", "minItems": 1, "items": text() });
    let all = vec![
        stopped(get("/hub/api/user", "get_self", "Tells who calls, and what they may do."))
            .json(200, "A person or a service, with scopes", named("Self"))
            .refuses(&[404]),
        stopped(get("/hub/api/users", "list_users", "Lists people."))
            .scopes(&[ListUsers])
            .pages()
            .query("name_filter", text(), "A part of their names")
            .query(
                "sort",
                json!({ "enum": ["id", "-id", "name", "-name", "last_activity", "-last_activity"] }),
                "By what; with - from the end",
            )
            .query("state", json!({ "enum": ["active", "ready", "inactive"] }), "Those with such servers")
            .json(200, "People, as far as scopes show them", page_of(list_of("User"))),
        post("/hub/api/users", "create_users", "Makes people; those who are there already are left alone.")
            .scopes(&[AdminUsers])
            .wants(of(&["usernames"], many))
            .json(201, "Those who were made", list_of("User"))
            .refuses(&[409]),
        stopped(get(one, "get_user", "Tells of a person."))
            .scopes(SHOWING_PEOPLE)
            .json(200, "The person", named("User")),
        post(one, "create_user", "Makes a person.")
            .scopes(&[AdminUsers])
            .takes(of(&[], fields.clone()))
            .json(201, "The person", named("User"))
            .refuses(&[409]),
        patch(one, "change_user", "Gives a person another name, or makes her an administrator or none.")
            .scopes(&[AdminUsers])
            .wants(of(&[], fields))
            .json(200, "The person", named("User")),
        delete(one, "delete_user", "Deletes a person, her servers stopped before.")
            .scopes(&[DeleteUsers])
            .empty(204, "She is gone"),
        post("/hub/api/users/{user}/activity", "update_activity", "Reports when a person or her servers were last used.")
            .scopes(&[UsersActivity])
            .wants(of(
                &[],
                json!({
                    "last_activity": { "type": ["string", "null"], "format": "date-time" },
                    "servers": {
                        "type": ["object", "null"],
                        "additionalProperties": of(
                            &["last_activity"],
                            json!({ "last_activity": { "type": "string", "format": "date-time" } }),
                        ),
                    },
                }),
            ))
            .empty(200, "Noted"),
    ];
    all.into_iter().map(|one| one.tag("People")).collect()
}

pub(super) fn tokens() -> Vec<Operation> {
    let (all, one) = (
        "/hub/api/users/{user}/tokens",
        "/hub/api/users/{user}/tokens/{id}",
    );
    let texts = json!({ "type": ["array", "null"], "maxItems": 200, "items": text() });
    let wish = of(
        &[],
        json!({
            "note": { "type": ["string", "null"] },
            "expires_in": { "type": ["integer", "null"], "minimum": 0, "description": "Seconds; without it, and with 0, never" },
            "scopes": texts,
            "roles": texts,
            "auth": of(&["username", "password"], json!({ "username": text(), "password": text() })),
        }),
    );
    let told = vec![
        get(
            all,
            "list_tokens",
            "Lists a person's tokens, those of OAuth clients among them.",
        )
        .scopes(&[ReadTokens])
        .json(
            200,
            "The tokens",
            of(&["api_tokens"], json!({ "api_tokens": list_of("Token") })),
        ),
        post(
            all,
            "create_token",
            "Makes a token; instead of credentials a name and a password will do.",
        )
        .who(Who::CallersOrBody(vec![Tokens]))
        .takes(wish)
        .json(
            201,
            "The token, with its secret, which is told this once",
            named("NewToken"),
        )
        .refuses(&[429]),
        get(one, "get_token", "Tells of a token.")
            .scopes(&[ReadTokens])
            .json(200, "The token", named("Token")),
        delete(
            one,
            "delete_token",
            "Revokes a token; one of an OAuth client takes all of that client with it.",
        )
        .scopes(&[Tokens])
        .empty(204, "It is gone"),
    ];
    told.into_iter().map(|one| one.tag("Tokens")).collect()
}

pub(super) fn groups() -> Vec<Operation> {
    let (all, one) = ("/hub/api/groups", "/hub/api/groups/{group}");
    let members = "/hub/api/groups/{group}/users";
    let names = || json!({ "type": "array", "items": text() });
    let further = || json!({ "name": text(), "roles": { "type": "array" }, "users": names() });
    let mut many = further();
    many["groups"] = json!({ "type": "array", "minItems": 1, "items": text() });
    let told = vec![
        get(all, "list_groups", "Lists groups.")
            .scopes(&[ListGroups])
            .pages()
            .json(200, "The groups", page_of(list_of("Group"))),
        post(all, "create_groups", "Makes groups, all or none of them.")
            .scopes(&[AdminGroups])
            .wants(of(&["groups"], many))
            .json(201, "The groups", list_of("Group"))
            .refuses(&[404, 409]),
        get(one, "get_group", "Tells of a group.")
            .scopes(&[ReadGroups, ReadGroupsName, ReadRolesGroups])
            .json(200, "The group", named("Group")),
        post(one, "create_group", "Makes a group.")
            .scopes(&[AdminGroups])
            .takes(json!({ "type": ["object", "null"], "properties": further() }))
            .json(201, "The group", named("Group"))
            .refuses(&[409]),
        delete(one, "delete_group", "Deletes a group.")
            .scopes(&[DeleteGroups])
            .empty(204, "It is gone"),
        post(members, "add_members", "Puts people into a group.")
            .scopes(&[Groups])
            .wants(of(&["users"], further()))
            .json(200, "The group", named("Group")),
        delete(members, "remove_members", "Takes people out of a group.")
            .scopes(&[Groups])
            .wants(of(&["users"], further()))
            .json(200, "The group", named("Group")),
        put(
            "/hub/api/groups/{group}/properties",
            "set_properties",
            "Notes something about a group.",
        )
        .scopes(&[Groups])
        .wants(json!({ "type": "object" }))
        .json(200, "The group", named("Group")),
    ];
    told.into_iter().map(|one| one.tag("Groups")).collect()
}
