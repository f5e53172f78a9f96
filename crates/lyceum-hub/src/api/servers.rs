//! Start and stop.

use std::time::Duration;

use axum::body::Bytes;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use lyceum_model::name::ServerName;
use lyceum_model::say;
use lyceum_model::saying::Saying;
use lyceum_model::scope::{ScopeName, Target};
use lyceum_model::server::ServerKey;
use lyceum_web::{ApiError, ApiResult, Caller};
use serde_json::Value;

use super::person;
use crate::launching::{self, Started};
use crate::servers::State as ServerState;
use crate::visit::ServerPath;
use crate::{Hub, db};

/// How long a caller is kept waiting before it gets "accepted, under way".
const WAIT: Duration = Duration::from_secs(10);

/// Scope: `servers` (`start:servers`).
pub async fn start(
    State(hub): State<Hub>,
    caller: Caller,
    ServerPath { user, server }: ServerPath,
    body: Bytes,
) -> ApiResult<Response> {
    let mut tx = hub.db().read().await?;
    let Ok(owner) = person(&mut tx, &user).await else {
        caller.require(ScopeName::StartServers, Target::Everything)?;
        return Err(ApiError::not_found());
    };
    drop(tx);
    let name = match ServerName::parse(&server) {
        Ok(name) => name,
        Err(error) => {
            // What is wrong with the name is said only to those who may know that its owner exists.
            caller.require(ScopeName::StartServers, Target::User(&owner.name))?;
            return Err(ApiError::bad_request(error.saying()));
        }
    };
    caller.require(ScopeName::StartServers, Target::Server(&owner.name, &name))?;
    let options = match &body[..] {
        b"" => Value::Object(Default::default()),
        bytes => serde_json::from_slice(bytes).map_err(|error| {
            ApiError::bad_request(Saying::quote(format!("The body is not JSON: {error}")))
        })?,
    };
    if !options.is_object() {
        return Err(ApiError::bad_request(Saying::quote(
            "The options of a server are a JSON object",
        )));
    }
    let server = match launching::start(&hub, &owner, &name, options).await? {
        Started::Pending(_) => return Ok(StatusCode::ACCEPTED.into_response()),
        Started::Queued(server) => server,
    };
    let server = launching::wait(&hub, &server, WAIT).await?;
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

/// Scope: `delete:servers`.
pub async fn stop(
    State(hub): State<Hub>,
    caller: Caller,
    ServerPath { user, server }: ServerPath,
    body: Bytes,
) -> ApiResult<Response> {
    let mut tx = hub.db().read().await?;
    let Ok(owner) = person(&mut tx, &user).await else {
        caller.require(ScopeName::DeleteServers, Target::Everything)?;
        return Err(ApiError::not_found());
    };
    let name = ServerName::parse(&server).map_err(|_| ApiError::not_found())?;
    caller.require(ScopeName::DeleteServers, Target::Server(&owner.name, &name))?;
    let found = db::servers::find(&mut tx, &owner.id, &name).await?;
    drop(tx);
    let remove = match &body[..] {
        b"" => false,
        bytes => serde_json::from_slice::<Value>(bytes)
            .map_err(|error| {
                ApiError::bad_request(Saying::quote(format!("The body is not JSON: {error}")))
            })?
            .get("remove")
            .and_then(Value::as_bool)
            .unwrap_or(false),
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
    if server.state.is_active() {
        launching::stop(&hub, &server).await?;
        if !launching::has_ended(&hub, &server, WAIT).await? {
            return Ok(StatusCode::ACCEPTED.into_response());
        }
    }
    if remove {
        let mut tx = hub.db().write().await?;
        let removed = db::servers::delete(&mut tx, &server.id).await?;
        let there = db::servers::get(&mut tx, &server.id).await?.is_some();
        tx.commit().await?;
        if !removed && there {
            return Err(ApiError::bad_request(Saying::quote(
                "The server was started again meanwhile; stop it before it can be removed",
            )));
        }
        if let Some(key) = ServerKey::parse(&server.key) {
            hub.spawner()
                .forget(&key)
                .await
                .map_err(anyhow::Error::from)?;
        }
    }
    Ok(StatusCode::NO_CONTENT.into_response())
}
