//! Servers as Lyceum tells of them: what they were made from, what they take, when they end by
//! themselves, why they ended. JupyterHub's own model of them stays as it is.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::{Method, StatusCode};
use lyceum_model::clock::Millis;
use lyceum_model::name::ServerName;
use lyceum_model::saying::Saying;
use lyceum_model::scope::{ScopeName, Target};
use lyceum_web::routes::Routes;
use lyceum_web::{ApiError, ApiResult, Caller};
use serde_json::{Value, json};

use crate::api::find_person;
use crate::cull::End;
use crate::db::servers::Server;
use crate::select::Subject;
use crate::usage::{self, Taken};
use crate::visit::ServerPath;
use crate::{Hub, db, launching};

pub(crate) const LIST: &str = "/hub/api/lyceum/users/{user}/servers";
/// The default server has a path of its own, as in JupyterHub's API.
pub(crate) const KEEP: [&str; 2] = [
    "/hub/api/lyceum/users/{user}/server/keep",
    "/hub/api/lyceum/users/{user}/servers/{server}/keep",
];

pub(super) fn routes() -> Routes<Hub> {
    let [default, named] = KEEP;
    Routes::default()
        .scoped(Method::GET, LIST, list)
        .scoped(Method::POST, default, keep)
        .scoped(Method::POST, named, keep)
}

/// Those of a person's servers that the caller may see. Scope: `read:servers!user=…`.
async fn list(
    State(hub): State<Hub>,
    caller: Caller,
    Path(user): Path<String>,
) -> ApiResult<Json<Value>> {
    const SCOPE: ScopeName = ScopeName::ReadServers;
    let mut tx = hub.db().read().await?;
    let owner = find_person(&mut tx, &caller, &[SCOPE], &user).await?;
    let mut servers = db::servers::of_user(&mut tx, &owner.id).await?;
    let groups = db::groups::names_of(&mut tx, &owner.id).await?;
    drop(tx);
    servers.retain(|server| caller.may(SCOPE, Target::Server(&owner.name, &server.name)));
    if servers.is_empty() {
        caller.require(SCOPE, Target::User(&owner.name))?;
    }
    let taken = usage::of(&hub, &servers).await;
    let (settings, now) = (hub.settings(), hub.now());
    let models: Vec<Value> = servers
        .iter()
        .map(|server| {
            let subject = Subject {
                server,
                admin: owner.admin,
                groups: &groups,
            };
            let end = settings.culling.end_of(subject, now);
            model(server, end, taken.get(&server.id).copied())
        })
        .collect();
    Ok(Json(json!({ "servers": models })))
}

fn model(server: &Server, end: Option<End>, taken: Option<Taken>) -> Value {
    let moment = |at: Option<i64>| at.map(|at| Millis(at).to_iso());
    json!({
        "name": server.name,
        "display_name": server.display_name,
        "state": server.state.as_str(),
        "profile": server.profile,
        "course": server.course,
        "requested": moment(server.requested_at),
        "ready": moment(server.ready_at),
        "stopped": moment(server.stopped_at),
        "last_activity": moment(server.last_activity_at),
        "reason": server.why_failed().as_ref().map(Saying::to_string),
        "ends": end.map(|end| json!({
            "at": end.at.to_iso(),
            "why": end.why.word(),
            "soon": end.soon,
        })),
        "usage": taken.map(|taken| json!({
            "memory": taken.memory,
            "cpu": taken.cores,
            "processes": taken.processes,
        })),
    })
}

/// Counts as use of a server that runs. Scope: `start:servers!server=…`.
async fn keep(
    State(hub): State<Hub>,
    caller: Caller,
    ServerPath { user, server }: ServerPath,
) -> ApiResult<StatusCode> {
    const SCOPE: ScopeName = ScopeName::StartServers;
    let mut tx = hub.db().read().await?;
    let owner = find_person(&mut tx, &caller, &[SCOPE], &user).await?;
    let name = ServerName::parse(&server).map_err(|_| ApiError::not_found())?;
    caller.require(SCOPE, Target::Server(&owner.name, &name))?;
    let server = db::servers::find(&mut tx, &owner.id, &name).await?;
    drop(tx);
    let server = server.ok_or_else(ApiError::not_found)?;
    match launching::keep(&hub, &server).await? {
        true => Ok(StatusCode::NO_CONTENT),
        false => Err(ApiError::bad_request(Saying::quote(
            "The server does not run",
        ))),
    }
}
