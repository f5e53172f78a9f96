//! Style sheet, script, icon: served under their content's hash, so browsers keep them for ever.

use axum::extract::{Path, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use lyceum_model::say;
use lyceum_web::page::{Asset, assets};
use lyceum_web::{ApiError, ApiResult};

use super::site_files;
use crate::Hub;

const FOR_EVER: &str = "public, max-age=31536000, immutable";

pub async fn get(State(hub): State<Hub>, Path(path): Path<String>) -> ApiResult<Response> {
    if path == "theme.css" {
        let css = hub.settings().theme.css().to_owned();
        return Ok((
            [
                (header::CONTENT_TYPE, "text/css; charset=utf-8"),
                (header::CACHE_CONTROL, FOR_EVER),
            ],
            css,
        )
            .into_response());
    }
    match assets(&path) {
        Some(own) if !replaceable(&path) => Ok(serve(own)),
        // Who brings JupyterHub's own files gets them.
        own => match (site_files::find(&hub, &path).await, own) {
            (Err(_), Some(own)) => Ok(serve(own)),
            (found, _) => found,
        },
    }
}

/// What stands at JupyterHub's paths.
fn replaceable(path: &str) -> bool {
    path.starts_with("components/") || path.starts_with("css/")
}

pub async fn favicon() -> ApiResult<Response> {
    assets("favicon.svg")
        .map(serve)
        .ok_or_else(|| ApiError::new(StatusCode::NOT_FOUND, say!("refused.no_file")))
}

fn serve(asset: Asset) -> Response {
    let keep = asset.cache_control();
    (
        [
            (header::CONTENT_TYPE, asset.content_type),
            (header::CACHE_CONTROL, keep),
        ],
        asset.bytes,
    )
        .into_response()
}
