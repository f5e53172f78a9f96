//! How nouns look in the API.

use lyceum_model::base::BasePath;
use lyceum_model::clock::Millis;
use lyceum_model::name::{ServerName, UserName};
use lyceum_model::scope::{ScopeName, ScopeSet, Target};
use lyceum_web::Caller;
use serde::{Serialize, Serializer};
use serde_json::{Value, json};
use std::collections::BTreeSet;

use super::body::Fields;
use crate::db::groups::Group;
use crate::db::servers::Server;
use crate::db::tokens::Token;
use crate::db::users::User;
use crate::grants::{Grants, service_prefix};
use crate::origins::Origins;
use crate::servers::{State, progress};
use crate::services::Known;

fn iso(at: Option<i64>) -> Value {
    at.map_or(Value::Null, |at| Value::String(Millis(at).to_iso()))
}

/// What is known of a person.
pub struct Person<'a> {
    pub user: &'a User,
    pub groups: &'a [String],
    pub servers: &'a [Server],
}

/// How much of it is shown.
pub struct Showing<'a> {
    pub caller: &'a Caller,
    /// Servers at rest too.
    pub stopped: bool,
    pub origins: &'a Origins,
    pub grants: &'a Grants,
}

/// A person; what is not there the caller may not see.
#[derive(Serialize)]
pub struct UserModel<'a> {
    kind: &'static str,
    name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    created: Option<Time>,
    #[serde(skip_serializing_if = "Option::is_none")]
    server: Option<Option<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pending: Option<Option<&'static str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    roles: Option<BTreeSet<&'a str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    admin: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    user_info: Option<Nothing>,
    #[serde(skip_serializing_if = "Option::is_none")]
    groups: Option<&'a [String]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_activity: Option<Option<Time>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    auth_state: Option<()>,
    #[serde(skip_serializing_if = "Option::is_none")]
    servers: Option<Fields>,
}

/// What nothing is kept in.
#[derive(Serialize)]
struct Nothing {}

#[derive(Clone, Copy)]
struct Time(i64);

impl Serialize for Time {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&Millis(self.0).to_iso())
    }
}

/// A person, as far as the caller's scopes show her; nothing when they show nothing.
pub fn user<'a>(person: &Person<'a>, showing: &Showing<'a>) -> Option<UserModel<'a>> {
    let Person {
        user,
        groups,
        servers,
    } = *person;
    let caller = showing.caller;
    let may = |scope| caller.may(scope, Target::User(&user.name));
    let all = may(ScopeName::ReadUsers);
    let name = all || may(ScopeName::ReadUsersName);
    let roles = all || may(ScopeName::ReadRolesUsers);
    let in_groups = all || may(ScopeName::ReadUsersGroups);
    let activity = all || may(ScopeName::ReadUsersActivity);
    let auth_state = may(ScopeName::AdminAuthState);
    let models = servers_of(user, servers, showing);
    let her_servers = !models.is_empty() || may(ScopeName::ReadServers);
    if !(name || roles || in_groups || activity || auth_state || her_servers) {
        return None;
    }
    let default = servers
        .iter()
        .find(|server| server.name.is_default() && server.state.is_active());
    let ready = default.filter(|server| server.state == State::Ready);
    let url = || ready.map(|server| showing.origins.url(&server.user_name, &server.name));
    let has_roles = || showing.grants.roles_of_user(&user.name, user.admin);
    Some(UserModel {
        kind: "user",
        name: user.name.as_str(),
        created: all.then_some(Time(user.created_at)),
        server: all.then(url),
        pending: all.then(|| default.and_then(|server| server.state.pending())),
        roles: roles.then(has_roles),
        admin: (name || roles).then_some(user.admin),
        user_info: name.then_some(Nothing {}),
        groups: in_groups.then_some(groups),
        last_activity: activity.then(|| user.last_activity_at.map(Time)),
        // Nothing is left behind by the ways to sign in that there are.
        auth_state: auth_state.then_some(()),
        servers: her_servers.then_some(models),
    })
}

/// Her servers by their names. The default one is always there, if only as one that never ran.
fn servers_of(user: &User, servers: &[Server], showing: &Showing<'_>) -> Fields {
    let mut models = Fields::new();
    for shown in servers
        .iter()
        .filter(|server| showing.stopped || server.state.is_active())
    {
        let target = Target::Server(&user.name, &shown.name);
        if showing.caller.may(ScopeName::ReadServers, target) {
            models.insert(shown.name.to_string(), server(shown, showing));
        }
    }
    let default = ServerName::default();
    if showing.stopped
        && !servers.iter().any(|server| server.name.is_default())
        && showing
            .caller
            .may(ScopeName::ReadServers, Target::Server(&user.name, &default))
    {
        let unborn = Server::unborn(user, default);
        models.insert(String::new(), server(&unborn, showing));
    }
    models
}

/// A server; whoever shows it has asked whether it may be seen.
pub fn server(server: &Server, showing: &Showing<'_>) -> Value {
    let progress = progress(&server.user_name, &server.name);
    let options: Value = serde_json::from_str(&server.user_options).unwrap_or(Value::Null);
    let title = server.display_name.as_deref();
    let active = server.state.is_active();
    let mut model = json!({
        "name": server.name,
        "display_name": title.unwrap_or(server.name.as_str()),
        "full_name": format!("{}/{}", server.user_name, server.name),
        "last_activity": iso(server.last_activity_at.or(server.requested_at)),
        "started": iso(server.started_at.or(server.requested_at).filter(|_| active)),
        "pending": server.state.pending(),
        "ready": server.state == State::Ready,
        "stopped": !active,
        "url": showing.origins.url(&server.user_name, &server.name),
        "user_options": options,
        "progress_url": showing.origins.base().at(&progress),
        "full_url": showing.origins.full_url(&server.user_name, &server.name),
        "full_progress_url": showing.origins.hub_url(&progress),
    });
    let target = Target::Server(&server.user_name, &server.name);
    if showing.caller.may(ScopeName::AdminServerState, target) {
        model["state"] = json!({ "key": server.key });
    }
    model
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

/// A service, as far as the caller may see it. Which process it is the hub does not tell: another
/// replica may run it.
pub fn service(known: &Known, base: &BasePath, grants: &Grants, caller: &Caller) -> Value {
    let (name, service) = (known.name.as_str(), &known.service);
    let prefix = service.url.as_ref().map(|_| service_prefix(base, name));
    let model = json!({
        "kind": "service",
        "name": name,
        "roles": known.roles(grants),
        "admin": service.admin,
        "url": service.url.as_deref().unwrap_or_default(),
        "prefix": prefix.unwrap_or_default(),
        "command": service.managed.as_ref().map(|managed| &managed.command[..]).unwrap_or_default(),
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
