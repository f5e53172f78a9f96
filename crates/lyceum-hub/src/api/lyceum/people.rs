//! Who is kept out, and the browsers that somebody is signed in with: what the pages of
//! administrators do, for programs.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::{Method, StatusCode};
use lyceum_model::clock::Millis;
use lyceum_model::scope::{ScopeName, Target};
use lyceum_web::routes::Routes;
use lyceum_web::{ApiError, ApiResult, Caller};
use serde_json::{Value, json};

use crate::api::find_person;
use crate::api::users::change;
use crate::db::sessions::Session;
use crate::db::users::User;
use crate::sessions::{self, Which};
use crate::{Hub, db};

pub(crate) const BLOCK: &str = "/hub/api/lyceum/users/{user}/block";
pub(crate) const SESSIONS: &str = "/hub/api/lyceum/users/{user}/sessions";
pub(crate) const SESSION: &str = "/hub/api/lyceum/users/{user}/sessions/{session}";

const SCOPE: ScopeName = ScopeName::AdminUsers;

pub(super) fn routes() -> Routes<Hub> {
    Routes::default()
        .scoped(Method::GET, BLOCK, is_blocked)
        .scoped(Method::PUT, BLOCK, block)
        .scoped(Method::DELETE, BLOCK, unblock)
        .scoped(Method::GET, SESSIONS, list)
        .scoped(Method::DELETE, SESSIONS, end_all)
        .scoped(Method::DELETE, SESSION, end_one)
}

/// Whose it is. Scope of all here: `admin:users!user=…`.
async fn person(hub: &Hub, caller: &Caller, name: &str) -> ApiResult<User> {
    let mut tx = hub.db().read().await?;
    let user = find_person(&mut tx, caller, &[SCOPE], name).await?;
    caller.require(SCOPE, Target::User(&user.name))?;
    Ok(user)
}

async fn is_blocked(
    State(hub): State<Hub>,
    caller: Caller,
    Path(name): Path<String>,
) -> ApiResult<Json<Value>> {
    let user = person(&hub, &caller, &name).await?;
    let since = user.blocked_at.map(|at| Millis(at).to_iso());
    Ok(Json(json!({ "blocked": since.is_some(), "since": since })))
}

async fn block(
    State(hub): State<Hub>,
    caller: Caller,
    Path(name): Path<String>,
) -> ApiResult<StatusCode> {
    set(&hub, &caller, &name, true).await
}

async fn unblock(
    State(hub): State<Hub>,
    caller: Caller,
    Path(name): Path<String>,
) -> ApiResult<StatusCode> {
    set(&hub, &caller, &name, false).await
}

async fn set(hub: &Hub, caller: &Caller, name: &str, blocked: bool) -> ApiResult<StatusCode> {
    let user = person(hub, caller, name).await?;
    change::block(hub, caller, &user, blocked).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn list(
    State(hub): State<Hub>,
    caller: Caller,
    Path(name): Path<String>,
) -> ApiResult<Json<Value>> {
    let user = person(&hub, &caller, &name).await?;
    let mut tx = hub.db().read().await?;
    let all = db::sessions::of_user(&mut tx, &user.id, hub.now().0).await?;
    let models: Vec<Value> = all.into_iter().map(model).collect();
    Ok(Json(json!({ "sessions": models })))
}

fn model(session: Session) -> Value {
    json!({
        "id": session.id,
        "address": session.address,
        "agent": session.agent,
        "method": session.method,
        "since": Millis(session.created_at).to_iso(),
        "last_seen": Millis(session.seen_at).to_iso(),
        "expires": Millis(session.expires_at).to_iso(),
    })
}

async fn end_all(
    State(hub): State<Hub>,
    caller: Caller,
    Path(name): Path<String>,
) -> ApiResult<Json<Value>> {
    let user = person(&hub, &caller, &name).await?;
    let ended = sessions::end_of_other(&hub, &caller, &user, Which::All).await?;
    Ok(Json(json!({ "ended": ended })))
}

async fn end_one(
    State(hub): State<Hub>,
    caller: Caller,
    Path((name, id)): Path<(String, String)>,
) -> ApiResult<StatusCode> {
    let user = person(&hub, &caller, &name).await?;
    match sessions::end_of_other(&hub, &caller, &user, Which::One(&id)).await? {
        0 => Err(ApiError::not_found()),
        _ => Ok(StatusCode::NO_CONTENT),
    }
}
