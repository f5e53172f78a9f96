//! Requests to the hub are small. One that is large is refused in words, whether it says so or not.

use std::future::ready;

use axum::body::{Body, BodyDataStream, HttpBody};
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use bytes::{Bytes, BytesMut};
use futures_util::{StreamExt, stream};
use lyceum_model::say;
use lyceum_web::ApiError;

use crate::Hub;

/// Forms and JSON of ours are a few kilobytes.
pub const BODY_LIMIT: usize = 256 * 1024;
/// So much of a large body is read and thrown away: whoever is still sending when the connection
/// closes never gets to read why.
const THROWN_AWAY: usize = 16 * 1024 * 1024;

/// Layer: refuses what is more than [`BODY_LIMIT`], where no part says that it takes more.
pub async fn refuse_large(State(hub): State<Hub>, request: Request, next: Next) -> Response {
    if hub.takes_large(request.uri().path()) {
        return next.run(request).await;
    }
    // What the connection goes by. A header of that name may stand beside one that overrules it.
    let announced = request.body().size_hint().upper();
    let fits = announced.map(|length| length <= BODY_LIMIT as u64);
    if fits == Some(true) {
        return next.run(request).await;
    }
    let (head, body) = request.into_parts();
    let mut pieces = body.into_data_stream();
    if fits.is_none()
        && let Some(body) = read(&mut pieces).await
    {
        return next.run(Request::from_parts(head, body)).await;
    }
    throw_away(pieces).await;
    ApiError::new(StatusCode::PAYLOAD_TOO_LARGE, say!("refused.too_large")).into_response()
}

/// A body that does not say how long it is; none: it is longer than it may be.
async fn read(pieces: &mut BodyDataStream) -> Option<Body> {
    let mut body = BytesMut::new();
    while let Some(piece) = pieces.next().await {
        let piece = match piece {
            Ok(piece) => piece,
            // It broke off: whoever was to have it says so, as of one with a length.
            Err(error) => {
                let broken = stream::once(ready(Err::<Bytes, axum::Error>(error)));
                return Some(Body::from_stream(broken));
            }
        };
        if body.len() + piece.len() > BODY_LIMIT {
            return None;
        }
        body.extend_from_slice(&piece);
    }
    Some(Body::from(body.freeze()))
}

async fn throw_away(mut pieces: BodyDataStream) {
    let mut left = THROWN_AWAY;
    while let Some(Ok(piece)) = pieces.next().await {
        match left.checked_sub(piece.len()) {
            Some(less) => left = less,
            None => return,
        }
    }
}
