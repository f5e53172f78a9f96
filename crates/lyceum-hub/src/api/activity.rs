//! What notebook servers report about when they were last used.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use lyceum_model::clock::Millis;
use lyceum_model::name::ServerName;
use lyceum_model::saying::Saying;
use lyceum_model::scope::{ScopeName, Target};
use lyceum_web::{ApiError, ApiResult, Caller, Credential};
use serde::Deserialize;

use super::person;
use crate::{Hub, db};

/// A clock may be ahead of ours, but not by an hour.
const AHEAD_MS: i64 = 59 * 60_000;

#[derive(Debug, Deserialize)]
pub struct Report {
    #[serde(default)]
    servers: BTreeMap<String, ServerReport>,
    last_activity: Option<String>,
}

#[derive(Debug, Deserialize)]
struct ServerReport {
    last_activity: String,
}

/// Scope: `users:activity!user=…`.
pub async fn update_activity(
    State(hub): State<Hub>,
    caller: Caller,
    Path(user): Path<String>,
    Json(report): Json<Report>,
) -> ApiResult<StatusCode> {
    let mut tx = hub.db().read().await?;
    let Ok(owner) = person(&mut tx, &user).await else {
        caller.require(ScopeName::UsersActivity, Target::Everything)?;
        return Err(ApiError::not_found());
    };
    caller.require(ScopeName::UsersActivity, Target::User(&owner.name))?;
    let now = hub.now();
    let read = |text: &str| -> ApiResult<Millis> {
        let at = Millis::from_iso(text).ok_or_else(|| {
            ApiError::bad_request(Saying::quote(format!(
                "{text:?} is not a time; it has the form 2026-11-21T08:00:00Z"
            )))
        })?;
        if at.since(now) > AHEAD_MS {
            return Err(ApiError::bad_request(Saying::quote(format!(
                "{text:?} is in the future; check the server's clock"
            ))));
        }
        Ok(at)
    };
    let mut touched = Vec::new();
    for (name, report) in &report.servers {
        let at = read(&report.last_activity)?;
        let parsed = ServerName::parse(name).ok();
        let server = match parsed {
            Some(name) => db::servers::find(&mut tx, &owner.id, &name).await?,
            None => None,
        };
        let server = server.ok_or_else(|| {
            ApiError::bad_request(Saying::quote(format!(
                "No such server: {}",
                name.chars().take(60).collect::<String>()
            )))
        })?;
        touched.push((server.id, at));
    }
    let user_at = report.last_activity.as_deref().map(read).transpose()?;
    drop(tx);
    let mut tx = hub.db().write().await?;
    for (id, at) in &touched {
        db::servers::touch(&mut tx, id, *at).await?;
    }
    // A server that reports on itself is not its owner coming by; its word on her counts.
    if let (Some(at), Credential::Token { .. }) = (user_at, &caller.credential) {
        db::users::touch(&mut tx, &owner.id, at).await?;
    }
    tx.commit().await?;
    Ok(StatusCode::OK)
}
