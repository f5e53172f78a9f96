//! How answers look: `{"success": …}`, with exactly 200 for whatever went well.

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use lyceum_web::Failure;
use serde_json::{Map, Value, json};

use crate::api::refusal::{RETRY_AFTER, Refusal};

pub(super) type Answered = Result<Response, Refusal>;

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let (status, message, headers) = match self {
            Self::Said(status, message) => {
                let retry = (status == StatusCode::SERVICE_UNAVAILABLE)
                    .then(|| HeaderValue::from(RETRY_AFTER));
                (status, message, retry)
            }
            Self::Failed(error) => {
                let response = error.into_response();
                let said = response.extensions().get::<Failure>();
                let message = said.map(|failure| failure.message.to_string());
                let retry = response.headers().get(header::RETRY_AFTER).cloned();
                (response.status(), message.unwrap_or_default().into(), retry)
            }
        };
        let body = json!({ "success": false, "message": message });
        let mut response = (status, axum::Json(body)).into_response();
        if let Some(retry) = headers {
            response.headers_mut().insert(header::RETRY_AFTER, retry);
        }
        response
    }
}

/// What went well, and what there is to tell of it.
pub(super) fn success(more: Value) -> Response {
    let mut body = Map::new();
    body.insert("success".into(), true.into());
    if let Value::Object(more) = more {
        body.extend(more);
    }
    axum::Json(Value::Object(body)).into_response()
}

pub(super) fn done() -> Response {
    success(Value::Null)
}

pub(super) async fn healthy() -> Response {
    done()
}
