//! Shares of servers, and the codes for them.

use lyceum_model::scope::ScopeName::{
    GroupsShares, ReadGroupsShares, ReadShares, ReadUsersShares, Shares, UsersShares,
};
use serde_json::{Value, json};

use super::super::Operation;
use super::super::schemas::{list_of, named, of, text};
use super::{delete, get, patch, post};

/// A list that comes as a page whatever is accepted.
fn page(noun: &str) -> Value {
    of(
        &["items", "_pagination"],
        json!({ "items": list_of(noun), "_pagination": named("Pagination") }),
    )
}

pub(super) fn shares() -> Vec<Operation> {
    let scopes = || json!({ "type": ["array", "null"], "items": text() });
    let whom = || {
        let partner = json!({ "type": ["string", "null"] });
        of(
            &[],
            json!({ "user": partner, "group": partner, "scopes": scopes() }),
        )
    };
    let left = json!({ "oneOf": [named("Share"), { "type": "object", "maxProperties": 0 }] });
    let wish = json!({
        "type": ["object", "null"],
        "properties": { "scopes": scopes(), "expires_in": { "type": "integer", "minimum": 60, "maximum": 31_536_000 } },
    });
    let mut all = vec![
        get(
            "/hub/api/shares/{user}",
            "list_shares_of_owner",
            "Lists the shares of a person's servers.",
        )
        .scopes(&[ReadShares])
        .pages()
        .json(200, "The shares", page("Share")),
        get(
            "/hub/api/share-codes/{user}",
            "list_share_codes_of_owner",
            "Lists the codes for a person's servers.",
        )
        .scopes(&[ReadShares])
        .pages()
        .json(200, "The codes", page("ShareCode")),
        get(
            "/hub/api/users/{user}/shared",
            "list_shared_with_user",
            "Lists what was shared with a person, or with her groups.",
        )
        .scopes(&[ReadUsersShares])
        .pages()
        .json(200, "The shares", page("Share")),
        get(
            "/hub/api/groups/{group}/shared",
            "list_shared_with_group",
            "Lists what was shared with a group.",
        )
        .scopes(&[ReadGroupsShares])
        .pages()
        .json(200, "The shares", page("Share")),
    ];
    // The default server has no name.
    for (server, suffix) in [("/{server}", "named_server"), ("/", "default_server")] {
        let id = |verb: &str| format!("{verb}_{suffix}");
        let (share, code) = (
            format!("/hub/api/shares/{{user}}{server}"),
            format!("/hub/api/share-codes/{{user}}{server}"),
        );
        let with_user = format!("/hub/api/users/{{user}}/shared/{{owner}}{server}");
        let with_group = format!("/hub/api/groups/{{group}}/shared/{{owner}}{server}");
        all.extend([
            get(
                &share,
                &id("list_shares_of"),
                "Lists the shares of a server.",
            )
            .scopes(&[ReadShares])
            .pages()
            .json(200, "The shares", page("Share")),
            post(
                &share,
                &id("share"),
                "Shares a server with a person or a group; what is given comes on top of what was.",
            )
            .scopes(&[Shares])
            .wants(whom())
            .json(200, "The share", named("Share")),
            patch(
                &share,
                &id("unshare"),
                "Takes a share back, or some of its scopes.",
            )
            .scopes(&[Shares])
            .wants(whom())
            .json(200, "What is left", left.clone()),
            delete(
                &share,
                &id("unshare_all_of"),
                "Takes all shares of a server back.",
            )
            .scopes(&[Shares])
            .empty(204, "There are none"),
            get(
                &code,
                &id("list_share_codes_of"),
                "Lists the codes for a server.",
            )
            .scopes(&[ReadShares])
            .pages()
            .json(200, "The codes", page("ShareCode")),
            post(
                &code,
                &id("create_share_code_of"),
                "Makes a code that is changed for a share.",
            )
            .scopes(&[Shares])
            .takes(wish.clone())
            .json(200, "The code, this one time", named("ShareCode")),
            delete(
                &code,
                &id("delete_share_codes_of"),
                "Takes one code back, or all of a server.",
            )
            .scopes(&[Shares])
            .query("code", text(), "Itself")
            .query("id", text(), "Its id")
            .empty(204, "It is gone"),
            get(
                &with_user,
                &id("get_shared_with_user_of"),
                "Tells what of a server was shared with a person.",
            )
            .scopes(&[ReadUsersShares])
            .json(200, "The share", named("Share")),
            delete(
                &with_user,
                &id("leave_share_of"),
                "Gives up what was shared with a person.",
            )
            .scopes(&[UsersShares])
            .empty(204, "It is gone"),
            get(
                &with_group,
                &id("get_shared_with_group_of"),
                "Tells what of a server was shared with a group.",
            )
            .scopes(&[ReadGroupsShares])
            .json(200, "The share", named("Share")),
            delete(
                &with_group,
                &id("leave_share_of_group_of"),
                "Gives up what was shared with a group.",
            )
            .scopes(&[GroupsShares])
            .empty(204, "It is gone"),
        ]);
    }
    all.into_iter().map(|one| one.tag("Shares")).collect()
}
