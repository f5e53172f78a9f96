//! The end of this hub, asked for by a program.

use std::time::Duration;

use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use lyceum_model::saying::Saying;
use lyceum_model::scope::ScopeName;
use lyceum_web::{ApiError, ApiResult, Caller};
use serde_json::json;

use super::{body, require_everywhere};
use crate::audit::{self, Act, Doer, What};
use crate::{Hub, db, launching};

/// How long the end waits for servers that are to be stopped before it.
const WAIT: Duration = Duration::from_secs(60);
const LOOK_EVERY: Duration = Duration::from_millis(250);

/// Ends the process of this hub, as a signal would; what that means is the composition root's. Servers
/// go on, unless `servers` says otherwise. Scope: `shutdown`.
pub async fn shut_down(State(hub): State<Hub>, caller: Caller, body: Bytes) -> ApiResult<Response> {
    require_everywhere(&caller, ScopeName::Shutdown)?;
    let fields = body::fields(&body)?;
    let servers = body::flag(&fields, "servers")?.unwrap_or(false);
    let here = hub.links().proxy().is_some();
    match (body::flag(&fields, "proxy")?, here) {
        (Some(false), true) => Err(ApiError::bad_request(Saying::quote(
            "proxy: the proxy is in the hub's own process and ends with it",
        ))),
        (Some(true), false) => Err(ApiError::bad_request(Saying::quote(
            "proxy: the proxies are processes of their own, which the hub can't end",
        ))),
        _ => Ok(()),
    }?;
    tracing::warn!(by = %caller.who, servers, "this hub is asked to end");
    tokio::spawn(async move {
        // A database that is away keeps nobody from ending the hub.
        if let Err(error) = note(&hub, &caller, servers).await {
            tracing::warn!(error = %error, "it could not be written down who asked for the end");
        }
        if servers && let Err(error) = stop_all(&hub, &caller).await {
            tracing::error!(
                error = format!("{error:#}"),
                "not all servers could be stopped before the end"
            );
        }
        hub.end();
    });
    let told = json!({ "message": "Shutting down Hub" });
    Ok((StatusCode::ACCEPTED, Json(told)).into_response())
}

async fn note(hub: &Hub, caller: &Caller, servers: bool) -> anyhow::Result<()> {
    let doer = Doer::of(caller);
    let act = Act::new(&doer, What::Shutdown).with("servers_stopped", servers);
    let mut tx = hub.db().write().await?;
    audit::note(&mut tx, act, hub.now()).await?;
    tx.commit().await?;
    Ok(())
}

async fn stop_all(hub: &Hub, caller: &Caller) -> anyhow::Result<()> {
    let deadline = tokio::time::Instant::now() + WAIT;
    loop {
        let mut tx = hub.db().read().await?;
        let active = db::servers::active(&mut tx).await?;
        drop(tx);
        if active.is_empty() {
            return Ok(());
        }
        for server in active
            .iter()
            .filter(|server| server.stop_requested_at.is_none())
        {
            launching::stop_by(hub, server, caller).await?;
        }
        if tokio::time::Instant::now() >= deadline {
            anyhow::bail!("{} servers are still there", active.len());
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}
