//! How nouns look in the API.

use lyceum_model::clock::Millis;
use lyceum_model::name::ServerName;
use lyceum_model::scope::{ScopeName, Target};
use lyceum_web::Caller;
use serde_json::{Value, json};

use super::body::Fields;
use crate::db::servers::Server;
use crate::db::tokens::Token;
use crate::db::users::User;
use crate::identify;
use crate::servers::{State, encode, prefix};

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
    pub origin: Option<&'a str>,
}

/// A person, as far as the caller's scopes show her; nothing when they show nothing.
pub fn user(person: &Person<'_>, showing: &Showing<'_>) -> Option<Value> {
    let Person {
        user,
        groups,
        servers,
    } = person;
    let caller = showing.caller;
    let may = |scope| caller.may(scope, Target::User(&user.name));
    let all = may(ScopeName::ReadUsers);
    let name = all || may(ScopeName::ReadUsersName);
    let roles = all || may(ScopeName::ReadRolesUsers);
    let mut model = Fields::new();
    let mut show = |shown: bool, field: &str, value: Value| {
        if shown {
            model.insert(field.into(), value);
        }
        shown
    };
    let default = servers
        .iter()
        .find(|server| server.name.is_default() && server.state.is_active());
    let ready = default.filter(|server| server.state == State::Ready);
    let url = ready.map(|server| prefix(&server.user_name, &server.name));
    let mut any = show(all, "created", iso(Some(user.created_at)));
    any |= show(all, "server", url.into());
    any |= show(
        all,
        "pending",
        default.and_then(|s| s.state.pending()).into(),
    );
    any |= show(roles, "roles", roles_of(user).into());
    any |= show(name || roles, "admin", user.admin.into());
    any |= show(name, "user_info", json!({}));
    any |= show(
        all || may(ScopeName::ReadUsersGroups),
        "groups",
        groups.to_vec().into(),
    );
    any |= show(
        all || may(ScopeName::ReadUsersActivity),
        "last_activity",
        iso(user.last_activity_at),
    );
    // Nothing is left behind by the ways to sign in that there are.
    any |= show(may(ScopeName::AdminAuthState), "auth_state", Value::Null);
    let models = servers_of(user, servers, showing);
    any |= show(
        may(ScopeName::ReadServers) || !models.is_empty(),
        "servers",
        models.into(),
    );
    if !any {
        return None;
    }
    show(true, "kind", "user".into());
    show(true, "name", user.name.as_str().into());
    Some(model.into())
}

fn roles_of(user: &User) -> Vec<&'static str> {
    match user.admin {
        true => vec!["admin", "user"],
        false => vec!["user"],
    }
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
    let url = prefix(&server.user_name, &server.name);
    let user = encode(server.user_name.as_str());
    let progress = if server.name.is_default() {
        format!("/hub/api/users/{user}/server/progress")
    } else {
        format!("/hub/api/users/{user}/servers/{}/progress", server.name)
    };
    let options: Value = serde_json::from_str(&server.user_options).unwrap_or(Value::Null);
    let title = server.display_name.as_deref();
    let active = server.state.is_active();
    let absolute = |path: &str| showing.origin.map(|origin| format!("{origin}{path}"));
    let mut model = json!({
        "name": server.name,
        "display_name": title.unwrap_or(server.name.as_str()),
        "full_name": format!("{}/{}", server.user_name, server.name),
        "last_activity": iso(server.last_activity_at.or(server.requested_at)),
        "started": iso(server.started_at.or(server.requested_at).filter(|_| active)),
        "pending": server.state.pending(),
        "ready": server.state == State::Ready,
        "stopped": !active,
        "user_options": options,
        "full_url": absolute(&url),
        "full_progress_url": absolute(&progress),
        "url": url,
        "progress_url": progress,
    });
    let target = Target::Server(&server.user_name, &server.name);
    if showing.caller.may(ScopeName::AdminServerState, target) {
        model["state"] = json!({ "key": server.key });
    }
    model
}

/// A token; the secret itself only right after it was made.
pub fn token(token: &Token, owner: &User, secret: Option<&str>) -> Value {
    let mut model = json!({
        "user": owner.name,
        "id": token.id,
        "kind": "api_token",
        "roles": [],
        "scopes": identify::token_scopes(owner, &token.scopes).to_list(),
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
