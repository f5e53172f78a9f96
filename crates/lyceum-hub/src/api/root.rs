//! Version, info, health, metrics.

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderName, StatusCode, header};
use axum::response::{IntoResponse, Response};
use lyceum_model::saying::Saying;
use lyceum_model::scope::ScopeName;
use lyceum_web::{ApiError, ApiResult, Caller};
use serde_json::{Value, json};

use super::require_everywhere;
use crate::Hub;

/// Pages of other sites may read this one answer, as JupyterHub's: it tells what everybody may know.
pub async fn version() -> ([(HeaderName, &'static str); 1], Json<Value>) {
    let version = Json(json!({ "version": super::JUPYTERHUB_VERSION }));
    ([(header::ACCESS_CONTROL_ALLOW_ORIGIN, "*")], version)
}

/// What runs here. Scope: `read:hub`.
pub async fn info(State(hub): State<Hub>, caller: Caller) -> ApiResult<Json<Value>> {
    require_everywhere(&caller, ScopeName::ReadHub)?;
    Ok(Json(json!({
        "version": super::JUPYTERHUB_VERSION,
        // No Python runs this hub.
        "python": "",
        "sys_executable": "",
        "authenticator": { "class": "lyceum", "version": env!("CARGO_PKG_VERSION") },
        "spawner": { "class": hub.spawner().kind(), "version": env!("CARGO_PKG_VERSION") },
    })))
}

/// What JupyterHub had before version 2: a token or a cookie is told by its place in the address. It
/// would stand in the logs of everything on the way.
pub async fn no_secrets_in_addresses(_: Caller) -> ApiError {
    ApiError::new(
        StatusCode::NOT_FOUND,
        Saying::quote(
            "This is gone: whose a token is tells /hub/api/user, and /hub/api/users/NAME/tokens makes new ones",
        ),
    )
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
    require_everywhere(&caller, ScopeName::ReadMetrics)?;
    let text = hub
        .metrics_text()
        .map_err(|error| ApiError::from(anyhow::Error::from(error)))?;
    let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    Ok(([(header::CONTENT_TYPE, kind)], text).into_response())
}
