//! How this site is registered at a platform, as far as that can be read.

use axum::Json;
use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use lyceum_web::{ApiError, ApiResult};
use serde_json::{Value, json};

use super::{BEGIN, Id, KEYS, LAUNCH, address, id_of};
use crate::Hub;

/// A set of keys (RFC 7517); empty where no platform is known.
pub(super) async fn keys(State(hub): State<Hub>) -> ApiResult<Response> {
    let sign_in = hub.sign_in();
    let tool = sign_in.platforms().iter().find_map(|one| one.tool());
    let keys = match tool {
        Some(tool) => tool.published().await?,
        None => json!({"keys": []}),
    };
    let kept = (header::CACHE_CONTROL, "public, max-age=300");
    Ok(([kept], Json(keys)).into_response())
}

/// What Canvas, and whoever reads its form, registers this tool by.
pub(super) async fn config(State(hub): State<Hub>, id: Id) -> ApiResult<Json<Value>> {
    let id = id_of(&id);
    let sign_in = hub.sign_in();
    let (Some(platform), Some(begin), Some(launch), Some(keys)) = (
        sign_in.find_platform(id),
        address(&hub, BEGIN, id),
        address(&hub, LAUNCH, id),
        address(&hub, KEYS, ""),
    ) else {
        return Err(ApiError::not_found());
    };
    let name = &hub.settings().site_name;
    let canvas = "canvas.instructure.com";
    let placement = |place: &str, message: &str| {
        json!({
            "placement": place, "message_type": message, "text": name, "enabled": true,
            "target_link_uri": launch.as_str(), "windowTarget": "_blank",
        })
    };
    Ok(Json(json!({
        "title": name,
        "description": format!("JupyterLab and notebooks at {name}"),
        "target_link_uri": launch.as_str(),
        "oidc_initiation_url": begin.as_str(),
        "public_jwk_url": keys.as_str(),
        "scopes": platform.scopes(),
        "custom_fields": {"login": "$Canvas.user.loginId"},
        "extensions": [{
            "platform": canvas,
            "privacy_level": "public",
            "settings": {
                "platform": canvas,
                "text": name,
                "placements": [
                    placement("course_navigation", "LtiResourceLinkRequest"),
                    placement("link_selection", "LtiDeepLinkingRequest"),
                ],
            },
        }],
    })))
}
