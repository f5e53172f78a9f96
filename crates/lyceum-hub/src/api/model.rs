//! How nouns look in the API.

use lyceum_model::clock::Millis;
use lyceum_model::name::UserName;
use lyceum_model::scope::{ScopeName, ScopeSet, Target};
use lyceum_web::Caller;
use serde_json::{Value, json};

use crate::db::groups::Group;
use crate::db::servers::Server;
use crate::db::tokens::Token;
use crate::db::users::User;
use crate::grants::{Grants, service_prefix};
use crate::origins::Origins;
use crate::servers::{State, encode};
use crate::services::Known;

fn iso(at: Option<i64>) -> Value {
    at.map_or(Value::Null, |at| Value::String(Millis(at).to_iso()))
}

/// A user; `servers` holds what is active.
pub fn user(
    user: &User,
    grants: &Grants,
    groups: &[String],
    servers: &[Server],
    origins: &Origins,
) -> Value {
    let default = servers
        .iter()
        .find(|s| s.name.is_default() && s.state.is_active());
    let models: serde_json::Map<String, Value> = servers
        .iter()
        .filter(|s| s.state.is_active())
        .map(|s| (s.name.to_string(), server(s, origins)))
        .collect();
    json!({
        "kind": "user",
        "name": user.name,
        "admin": user.admin,
        "roles": grants.roles_of_user(&user.name, user.admin),
        "groups": groups,
        "server": default.filter(|s| s.state == State::Ready).map(|s| origins.url(&s.user_name, &s.name)),
        "pending": default.and_then(|s| s.state.pending()),
        "servers": models,
        "created": iso(Some(user.created_at)),
        "last_activity": iso(user.last_activity_at),
        "user_info": {},
    })
}

/// The fields of a user's model that the caller's scopes open; who it is is always among them.
pub fn visible(mut model: Value, user: &User, caller: &Caller) -> Value {
    let may = |scope| caller.may(scope, Target::User(&user.name));
    let Some(fields) = model.as_object_mut() else {
        return model;
    };
    let all = may(ScopeName::ReadUsers);
    fields.retain(|field, _| match field.as_str() {
        "kind" | "name" | "admin" => true,
        "groups" => may(ScopeName::ReadUsersGroups),
        "last_activity" => may(ScopeName::ReadUsersActivity),
        "servers" => may(ScopeName::ReadServers),
        "roles" => all || may(ScopeName::ReadRolesUsers),
        "server" | "pending" => all || may(ScopeName::ReadServers),
        _ => all,
    });
    model
}

/// Only what tells who it is.
pub fn identity(user: &User, groups: &[String]) -> Value {
    json!({
        "kind": "user",
        "name": user.name,
        "admin": user.admin,
        "groups": groups,
    })
}

pub fn server(server: &Server, origins: &Origins) -> Value {
    let user = encode(server.user_name.as_str());
    let progress = if server.name.is_default() {
        format!("/hub/api/users/{user}/server/progress")
    } else {
        format!("/hub/api/users/{user}/servers/{}/progress", server.name)
    };
    let options: Value = serde_json::from_str(&server.user_options).unwrap_or(Value::Null);
    json!({
        "name": server.name,
        "display_name": server.display_name.clone().unwrap_or_default(),
        "full_name": format!("{}/{}", server.user_name, server.name),
        "last_activity": iso(server.last_activity_at.or(server.requested_at)),
        "started": iso(server.started_at.or(server.requested_at)),
        "pending": server.state.pending(),
        "ready": server.state == State::Ready,
        "stopped": !server.state.is_active(),
        "url": origins.url(&server.user_name, &server.name),
        "user_options": options,
        "progress_url": progress,
        "full_url": origins.full_url(&server.user_name, &server.name),
        "full_progress_url": origins.hub().map(|origin| format!("{origin}{progress}")),
    })
}

/// Those of the fields of a model that some scopes open; `kind` and `name` are among each one's.
fn opened(
    mut model: Value,
    caller: &Caller,
    target: Target<'_>,
    by: &[(ScopeName, &[&str])],
) -> Value {
    let open: Vec<&str> = by
        .iter()
        .filter(|(scope, _)| caller.may(*scope, target))
        .flat_map(|(_, fields)| ["kind", "name"].into_iter().chain(fields.iter().copied()))
        .collect();
    if let Some(fields) = model.as_object_mut() {
        fields.retain(|field, _| open.contains(&field.as_str()));
    }
    model
}

/// The scopes by which a group is seen, and what each opens.
pub const GROUP_FIELDS: &[(ScopeName, &[&str])] = &[
    (ScopeName::ReadGroups, &["users", "properties"]),
    (ScopeName::ReadGroupsName, &[]),
    (ScopeName::ReadRolesGroups, &["roles"]),
];

/// A group, as far as the caller may see it.
pub fn group<'a>(
    group: &Group,
    members: impl IntoIterator<Item = &'a UserName>,
    grants: &Grants,
    caller: &Caller,
) -> Value {
    let properties: Value = serde_json::from_str(&group.properties).unwrap_or_else(|_| json!({}));
    let model = json!({
        "kind": "group",
        "name": group.name,
        "roles": grants.roles_of_group(&group.name),
        "users": members.into_iter().collect::<Vec<_>>(),
        "properties": properties,
    });
    opened(model, caller, Target::Group(&group.name), GROUP_FIELDS)
}

/// The scopes by which a service is seen, and what each opens.
pub const SERVICE_FIELDS: &[(ScopeName, &[&str])] = &[
    (
        ScopeName::ReadServices,
        &[
            "admin", "url", "prefix", "command", "pid", "info", "display",
        ],
    ),
    (ScopeName::ReadServicesName, &["admin"]),
    (ScopeName::ReadRolesServices, &["roles", "admin"]),
];

/// A service, as far as the caller may see it. It is never a child of the hub.
pub fn service(known: &Known, grants: &Grants, caller: &Caller) -> Value {
    let (name, service) = (known.name.as_str(), &known.service);
    let prefix = service.url.as_ref().map(|_| service_prefix(name));
    let model = json!({
        "kind": "service",
        "name": name,
        "roles": known.roles(grants),
        "admin": service.admin,
        "url": service.url.as_deref().unwrap_or_default(),
        "prefix": prefix.unwrap_or_default(),
        "command": [],
        "pid": 0,
        "info": service.info,
        "display": service.display,
    });
    opened(model, caller, Target::Service(name), SERVICE_FIELDS)
}

/// A token; the secret itself only right after it was made.
pub fn token(token: &Token, owner: &User, scopes: &ScopeSet, secret: Option<&str>) -> Value {
    let mut model = json!({
        "user": owner.name,
        "id": token.id,
        "kind": "api_token",
        "roles": [],
        "scopes": scopes.to_list(),
        "created": iso(Some(token.created_at)),
        "last_activity": iso(token.last_used_at),
        "expires_at": iso(token.expires_at),
        "note": token.note,
        "session_id": token.session_id,
        "oauth_client": token.oauth_client.clone().unwrap_or_else(|| "JupyterHub".into()),
    });
    if let Some(secret) = secret {
        model["token"] = secret.into();
    }
    model
}
