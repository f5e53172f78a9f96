//! A person's servers: one of them, start and stop, made and changed without a start.

use std::time::Duration;

use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{Method, StatusCode};
use axum::response::{IntoResponse, Response};
use lyceum_model::name::ServerName;
use lyceum_model::say;
use lyceum_model::saying::Saying;
use lyceum_model::scope::{ScopeName, Target};
use lyceum_store::Tx;
use lyceum_web::routes::Routes;
use lyceum_web::{ApiError, ApiResult, Caller};
use serde_json::Value;

use super::body;
use super::model::Showing;
use super::{find_person, model, progress};
use crate::db::servers::Server;
use crate::db::users::User;
use crate::launching::{self, Change, Options, Started, Wish, WishError};
use crate::servers::{State as ServerState, is_display_name};
use crate::visit::ServerPath;
use crate::{Hub, db, notices};

/// How long a caller is kept waiting before it gets "accepted, under way".
const WAIT: Duration = Duration::from_secs(10);

/// The default server has three names: `server`, `servers/` with nothing behind it, and its own.
pub fn routes() -> Routes<Hub> {
    let mut routes = Routes::default();
    for path in [
        "/hub/api/users/{user}/server",
        "/hub/api/users/{user}/servers/",
        "/hub/api/users/{user}/servers/{server}",
    ] {
        let slash = if path.ends_with('/') { "/" } else { "" };
        routes = routes
            .scoped(Method::GET, path, show)
            .scoped(Method::PUT, path, create)
            .scoped(Method::POST, path, start)
            .scoped(Method::PATCH, path, change)
            .scoped(Method::DELETE, path, stop)
            .scoped(
                Method::GET,
                &format!("{}{slash}/progress", path.trim_end_matches('/')),
                progress::watch,
            );
    }
    routes
}

/// One server. Scope: `read:servers`.
pub async fn show(
    State(hub): State<Hub>,
    caller: Caller,
    ServerPath { user, server }: ServerPath,
) -> ApiResult<Json<Value>> {
    let mut tx = hub.db().read().await?;
    let (owner, name) = asked(&mut tx, &caller, ScopeName::ReadServers, &user, &server).await?;
    let name = name.map_err(|_| ApiError::not_found())?;
    let server = match db::servers::find(&mut tx, &owner.id, &name).await? {
        Some(server) => server,
        None if name.is_default() => Server::unborn(&owner, name),
        None => return Err(ApiError::not_found()),
    };
    Ok(Json(seen(&hub, &caller, &server)))
}

/// Makes a named server without starting it. Scope: `start:servers`.
pub async fn create(
    State(hub): State<Hub>,
    caller: Caller,
    ServerPath { user, server }: ServerPath,
    body: Bytes,
) -> ApiResult<Response> {
    let mut tx = hub.db().read().await?;
    let (owner, name) = asked(&mut tx, &caller, ScopeName::StartServers, &user, &server).await?;
    let name = name?;
    drop(tx);
    if name.is_default() {
        return Err(WishError::NameTaken.into());
    }
    let wish = wish(&body)?.by(&caller);
    let server = launching::add(&hub, &owner, &name, wish)
        .await?
        .ok_or(WishError::NameTaken)?;
    tracing::info!(by = %caller.who, user = %owner.name, server = %name, "server added");
    Ok((StatusCode::CREATED, Json(seen(&hub, &caller, &server))).into_response())
}

/// Another name, title or other options for a server at rest. Scope: `start:servers`.
pub async fn change(
    State(hub): State<Hub>,
    caller: Caller,
    ServerPath { user, server }: ServerPath,
    body: Bytes,
) -> ApiResult<Json<Value>> {
    let mut tx = hub.db().read().await?;
    let (owner, name) = asked(&mut tx, &caller, ScopeName::StartServers, &user, &server).await?;
    let name = name?;
    drop(tx);
    let fields = body::fields(&body)?;
    body::known(&fields, &["name", "display_name", "user_options"])?;
    if fields.is_empty() {
        return Err(ApiError::bad_request(Saying::quote(
            "Give at least one of name, display_name, user_options",
        )));
    }
    let to = match fields.get("name") {
        None | Some(Value::Null) => None,
        Some(Value::String(text)) => {
            Some(ServerName::parse(text).map_err(|error| ApiError::bad_request(error.saying()))?)
        }
        Some(_) => return Err(body::wrong("name", "a string")),
    };
    let options = match fields.get("user_options") {
        None => Options::Last,
        Some(options @ Value::Object(_)) => Options::Chosen(options.clone()),
        Some(_) => return Err(body::wrong("user_options", "an object")),
    };
    let display_name = match fields.get("display_name") {
        None | Some(Value::Null) => None,
        Some(value) => title(value)?,
    };
    if let Some(to) = &to {
        caller.require(ScopeName::StartServers, Target::Server(&owner.name, to))?;
    }
    let change = Change {
        name: to,
        wish: Wish {
            options,
            display_name,
            by: None,
        }
        .by(&caller),
    };
    let server = launching::change(&hub, &owner, &name, change).await?;
    tracing::info!(by = %caller.who, user = %owner.name, from = %name, server = %server.name, "server changed");
    Ok(Json(seen(&hub, &caller, &server)))
}

/// Scope: `start:servers`.
pub async fn start(
    State(hub): State<Hub>,
    caller: Caller,
    ServerPath { user, server }: ServerPath,
    body: Bytes,
) -> ApiResult<Response> {
    let mut tx = hub.db().glance().await?;
    let (owner, name) = asked(&mut tx, &caller, ScopeName::StartServers, &user, &server).await?;
    let name = name?;
    drop(tx);
    notices::require_open(&hub, &caller).await?;
    let started = launching::start(&hub, &owner, &name, wish(&body)?.by(&caller));
    let (server, news) = match started.await? {
        Started::Pending(_) => return Ok(StatusCode::ACCEPTED.into_response()),
        Started::Queued(server, news) => (server, news),
    };
    let server = launching::wait_for_start(&hub, &server, news, WAIT).await?;
    match server.state {
        ServerState::Ready => {
            // Who is told "ready" can go there at once.
            crate::proxy::refresh(&hub).await?;
            Ok(StatusCode::CREATED.into_response())
        }
        ServerState::Failed | ServerState::Stopped => Err(ApiError::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            Saying::quote(format!(
                "The server did not start: {}",
                server
                    .failure
                    .as_deref()
                    .unwrap_or("it was stopped meanwhile")
            )),
        )),
        _ => Ok(StatusCode::ACCEPTED.into_response()),
    }
}

/// Stops a server, and with `{"remove": true}` forgets it once it has ended. Scope: `delete:servers`.
pub async fn stop(
    State(hub): State<Hub>,
    caller: Caller,
    ServerPath { user, server }: ServerPath,
    body: Bytes,
) -> ApiResult<Response> {
    let mut tx = hub.db().read().await?;
    let (owner, name) = asked(&mut tx, &caller, ScopeName::DeleteServers, &user, &server).await?;
    let name = name.map_err(|_| ApiError::not_found())?;
    let found = db::servers::find(&mut tx, &owner.id, &name).await?;
    drop(tx);
    let fields = body::fields(&body)?;
    let remove = match fields.get("remove") {
        None | Some(Value::Null) => false,
        Some(_) => body::flag(&fields, "remove")?.unwrap_or(false),
    };
    if remove && name.is_default() {
        return Err(ApiError::bad_request(say!("wish.remove_default")));
    }
    let Some(server) = found else {
        if name.is_default() {
            return Ok(StatusCode::NO_CONTENT.into_response());
        }
        return Err(ApiError::not_found());
    };
    if remove {
        launching::want_removed(&hub, &server, &caller).await?;
        tracing::info!(by = %caller.who, user = %owner.name, server = %name, "server to be removed");
    }
    if server.state == ServerState::Stopping {
        return Ok(StatusCode::ACCEPTED.into_response());
    }
    if server.state.is_active() {
        launching::stop_by(&hub, &server, &caller).await?;
        if !launching::has_ended(&hub, &server, WAIT).await? {
            return Ok(StatusCode::ACCEPTED.into_response());
        }
    }
    if remove {
        launching::forget_unwanted(&hub).await?;
        let mut tx = hub.db().read().await?;
        if db::servers::get(&mut tx, &server.id).await?.is_some() {
            return Err(ApiError::bad_request(Saying::quote(
                "The server was started again meanwhile; stop it before it can be removed",
            )));
        }
    }
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// Whose server, and which one. What is wrong with its name is said only to those who may know that
/// its owner exists.
async fn asked(
    tx: &mut Tx,
    caller: &Caller,
    scope: ScopeName,
    user: &str,
    server: &str,
) -> ApiResult<(User, ApiResult<ServerName>)> {
    let owner = find_person(tx, caller, &[scope], user).await?;
    let name = ServerName::parse(server);
    let target = match &name {
        Ok(name) => Target::Server(&owner.name, name),
        Err(_) => Target::User(&owner.name),
    };
    caller.require(scope, target)?;
    let name = name.map_err(|error| ApiError::bad_request(error.saying()));
    Ok((owner, name))
}

/// What is wanted of a start. An object without the fields that JupyterHub 6 knows is the options
/// themselves, as it was before.
fn wish(body: &[u8]) -> ApiResult<Wish> {
    let mut fields = body::fields(body)?;
    if fields.is_empty() {
        return Ok(Wish::default());
    }
    let given = fields.remove("display_name");
    let named = given.is_some();
    let display_name = match given {
        None => None,
        Some(value) => title(&value)?,
    };
    let options = match fields.remove("user_options") {
        None if named => Options::Last,
        None => Options::Chosen(Value::Object(fields)),
        Some(Value::Null) => Options::Last,
        Some(options @ Value::Object(_)) => Options::Chosen(options),
        Some(_) => return Err(body::wrong("user_options", "an object, or null")),
    };
    Ok(Wish {
        options,
        display_name,
        by: None,
    })
}

/// What a server is called; nothing for an empty text, which changes nothing.
fn title(value: &Value) -> ApiResult<Option<String>> {
    let wanted =
        "a string of 1 to 255 printable characters, without spaces at its ends or two in a row";
    match value {
        Value::String(text) if text.is_empty() => Ok(None),
        Value::String(text) if is_display_name(text) => Ok(Some(text.clone())),
        _ => Err(body::wrong("display_name", wanted)),
    }
}

fn seen(hub: &Hub, caller: &Caller, server: &Server) -> Value {
    let settings = hub.settings();
    let showing = Showing {
        caller,
        stopped: true,
        origins: &settings.origins,
        grants: &settings.grants,
    };
    model::server(server, &showing)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn bodies_of_a_start() {
        let check = |body: &str, options: Option<Value>, name: Option<&str>| {
            let wish = wish(body.as_bytes()).expect(body);
            let options = options.map_or(Options::Last, Options::Chosen);
            assert_eq!(wish.options, options, "{body}");
            assert_eq!(wish.display_name.as_deref(), name, "{body}");
        };
        check("", None, None);
        check("{}", None, None);
        check("null", None, None);
        check(r#"{"a": 1}"#, Some(json!({ "a": 1 })), None);
        check(r#"{"display_name": "One"}"#, None, Some("One"));
        check(r#"{"display_name": ""}"#, None, None);
        check(
            r#"{"display_name": "One", "user_options": {"a": 1}}"#,
            Some(json!({ "a": 1 })),
            Some("One"),
        );
        check(r#"{"user_options": {}, "b": 1}"#, Some(json!({})), None);
        check(r#"{"user_options": null}"#, None, None);
        for bad in [
            "1",
            "[1]",
            r#"{"display_name": 5}"#,
            r#"{"display_name": null}"#,
            r#"{"display_name": "a  b"}"#,
            r#"{"user_options": []}"#,
            r#"{"user_options": "x"}"#,
        ] {
            assert!(wish(bad.as_bytes()).is_err(), "{bad}");
        }
    }
}
