//! Requests to the hub are small. One that says it is large is refused in words.

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use futures_util::StreamExt;
use lyceum_model::say;
use lyceum_web::ApiError;
use lyceum_web::request::header;

use crate::Hub;

/// Forms and JSON of ours are a few kilobytes.
pub const BODY_LIMIT: usize = 256 * 1024;
/// So much of a large body is read and thrown away: whoever is still sending when the connection
/// closes never gets to read why.
const THROWN_AWAY: usize = 16 * 1024 * 1024;

/// Layer: refuses what announces more than [`BODY_LIMIT`], where no part says that it takes more.
pub async fn refuse_large(State(hub): State<Hub>, request: Request, next: Next) -> Response {
    if hub.takes_large(request.uri().path()) {
        return next.run(request).await;
    }
    let announced: Option<usize> =
        header(request.headers(), "content-length").and_then(|length| length.parse().ok());
    if announced.is_none_or(|length| length <= BODY_LIMIT) {
        return next.run(request).await;
    }
    throw_away(request.into_body()).await;
    ApiError::new(StatusCode::PAYLOAD_TOO_LARGE, say!("refused.too_large")).into_response()
}

async fn throw_away(body: Body) {
    let mut left = THROWN_AWAY;
    let mut pieces = body.into_data_stream();
    while let Some(Ok(piece)) = pieces.next().await {
        match left.checked_sub(piece.len()) {
            Some(less) => left = less,
            None => return,
        }
    }
}
