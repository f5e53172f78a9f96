//! Version, info, health, metrics.

use axum::Json;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use lyceum_model::scope::{ScopeName, Target};
use lyceum_web::{ApiError, ApiResult, Caller};
use serde_json::{Value, json};

use crate::Hub;

pub async fn version() -> Json<Value> {
    Json(json!({ "version": super::JUPYTERHUB_VERSION }))
}

/// What runs here. Scope: `read:hub`.
pub async fn info(State(hub): State<Hub>, caller: Caller) -> ApiResult<Json<Value>> {
    caller.require(ScopeName::ReadHub, Target::Everything)?;
    Ok(Json(json!({
        "version": super::JUPYTERHUB_VERSION,
        "python": null,
        "sys_executable": null,
        "authenticator": { "class": "lyceum", "version": env!("CARGO_PKG_VERSION") },
        "spawner": { "class": hub.spawner().kind(), "version": env!("CARGO_PKG_VERSION") },
    })))
}

/// Healthy means: the database answers.
pub async fn health(State(hub): State<Hub>) -> Response {
    let answer = async {
        let mut tx = hub.db().read().await?;
        crate::db::users::any_admin(&mut tx).await
    };
    match tokio::time::timeout(std::time::Duration::from_secs(3), answer).await {
        Ok(Ok(_)) => Json(json!({ "status": "ok" })).into_response(),
        Ok(Err(_)) | Err(_) => (
            StatusCode::SERVICE_UNAVAILABLE,
            Json(json!({ "status": "unavailable", "message": "the database does not answer" })),
        )
            .into_response(),
    }
}

/// Prometheus' text form. Scope: `read:metrics`.
pub async fn metrics(State(hub): State<Hub>, caller: Caller) -> ApiResult<Response> {
    caller.require(ScopeName::ReadMetrics, Target::Everything)?;
    let text = hub
        .metrics_text()
        .map_err(|error| ApiError::from(anyhow::Error::from(error)))?;
    let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    Ok(([(header::CONTENT_TYPE, kind)], text).into_response())
}
