//! What notebook servers report about when they were last used.

use axum::Extension;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use lyceum_model::clock::Millis;
use lyceum_model::name::ServerName;
use lyceum_model::saying::Saying;
use lyceum_model::scope::{ScopeName, Target};
use lyceum_store::Tx;
use lyceum_web::{ApiError, ApiResult, Caller, Credential};
use serde_json::Value;

use super::{body, find_person};
use crate::seen::Sight;
use crate::{Hub, db, uses};

/// A clock may be ahead of ours, but not by an hour.
const AHEAD_MS: i64 = 59 * 60_000;
const SERVERS: &str = "an object of servers by their names, each with its last_activity";

/// Scope: `users:activity!user=…`.
pub async fn update_activity(
    State(hub): State<Hub>,
    caller: Caller,
    sight: Option<Extension<Sight>>,
    Path(user): Path<String>,
    body: Bytes,
) -> ApiResult<StatusCode> {
    const SCOPE: ScopeName = ScopeName::UsersActivity;
    // Each row speaks for itself.
    let mut tx = hub.db().glance().await?;
    let (owner_id, owner_name) = match caller.person() {
        // As with every notebook server: it reports on the person it is.
        Ok(own) if own.name.as_str() == user => (own.id.clone(), own.name.clone()),
        _ => {
            let owner = find_person(&mut tx, &caller, &[SCOPE], &user).await?;
            (owner.id, owner.name)
        }
    };
    caller.require(SCOPE, Target::User(&owner_name))?;
    let now = hub.now();
    let report = body::object(&body)?;
    let servers = match report.get("servers") {
        None | Some(Value::Null) => None,
        Some(Value::Array(list)) if list.is_empty() => None,
        Some(Value::Object(servers)) => Some(servers).filter(|servers| !servers.is_empty()),
        Some(_) => return Err(body::wrong("servers", SERVERS)),
    };
    let user_at = match report.get("last_activity") {
        None | Some(Value::Null) => None,
        Some(at) => Some(moment(at, now)?),
    };
    if servers.is_none() && user_at.is_none() {
        return Err(ApiError::bad_request(Saying::quote(
            "Give last_activity, servers, or both",
        )));
    }
    let mut touched = Vec::new();
    for (name, report) in servers.into_iter().flatten() {
        let at = report
            .get("last_activity")
            .ok_or_else(|| body::wrong("servers", SERVERS))?;
        let at = moment(at, now)?;
        let parsed = ServerName::parse(name).ok();
        let server = match &parsed {
            Some(name) => id_of(&mut tx, sight.as_deref(), &owner_id, name).await?,
            None => None,
        };
        match server {
            Some(id) => touched.push((id, at)),
            // Everybody has a default server, also one that never ran.
            None if name.is_empty() => {}
            None => {
                let name: String = name.chars().take(60).collect();
                return Err(ApiError::bad_request(Saying::quote(format!(
                    "No such server: {name}"
                ))));
            }
        }
    }
    drop(tx);
    // A server that reports on itself is not its owner coming by; its word on her counts.
    let people = match (user_at, &caller.credential) {
        (Some(at), Credential::Token { .. }) => vec![(owner_id, at)],
        _ => Vec::new(),
    };
    uses::report(&hub, &touched, &people).await?;
    Ok(StatusCode::OK)
}

/// Servers report on themselves, again and again.
async fn id_of(
    tx: &mut Tx,
    sight: Option<&Sight>,
    owner: &str,
    name: &ServerName,
) -> sqlx::Result<Option<String>> {
    if let Some(known) = sight.and_then(|sight| sight.server(owner, name)) {
        return Ok(Some(known));
    }
    let found = db::servers::id_of(tx, owner, name).await?;
    if let (Some(sight), Some(id)) = (sight, &found) {
        sight.know_server(owner, name, id);
    }
    Ok(found)
}

fn moment(given: &Value, now: Millis) -> ApiResult<Millis> {
    let shown = || -> String { given.to_string().chars().take(60).collect() };
    let at = given.as_str().and_then(Millis::from_iso).ok_or_else(|| {
        ApiError::bad_request(Saying::quote(format!(
            "{} is not a time; it has the form \"2026-11-21T08:00:00Z\"",
            shown()
        )))
    })?;
    if at.since(now) > AHEAD_MS {
        return Err(ApiError::bad_request(Saying::quote(format!(
            "{} is in the future; check the server's clock",
            shown()
        ))));
    }
    Ok(at)
}
