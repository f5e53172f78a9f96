//! How answers look: `{"success": …}`, with exactly 200 for whatever went well.

use std::borrow::Cow;

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use lyceum_store::blobs::BlobError;
use lyceum_web::{ApiError, Failure};
use serde_json::{Map, Value, json};

use crate::intake::IntakeError;
use crate::upload::files::{FILES_MAX, Mistake};

/// Seconds.
const RETRY_AFTER: HeaderValue = HeaderValue::from_static("10");

pub(super) type Answered = Result<Response, Refusal>;

#[derive(Debug)]
pub(super) enum Refusal {
    Said(StatusCode, Cow<'static, str>),
    /// Told to the log where it is answered.
    Failed(Box<ApiError>),
}

impl Refusal {
    pub(super) fn new(status: StatusCode, message: impl Into<Cow<'static, str>>) -> Self {
        Self::Said(status, message.into())
    }

    pub(super) fn bad(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, message)
    }

    pub(super) fn denied() -> Self {
        Self::new(StatusCode::FORBIDDEN, "Permission denied")
    }

    pub(super) fn conflict(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::CONFLICT, message)
    }

    pub(super) fn not_found(what: &str) -> Self {
        Self::new(StatusCode::NOT_FOUND, format!("{what} not found"))
    }
}

impl From<sqlx::Error> for Refusal {
    fn from(error: sqlx::Error) -> Self {
        Self::Failed(Box::new(error.into()))
    }
}

impl From<anyhow::Error> for Refusal {
    fn from(error: anyhow::Error) -> Self {
        Self::Failed(Box::new(error.into()))
    }
}

impl From<BlobError> for Refusal {
    fn from(error: BlobError) -> Self {
        anyhow::Error::from(error).into()
    }
}

impl From<IntakeError> for Refusal {
    fn from(error: IntakeError) -> Self {
        match error {
            IntakeError::TooLarge(_) | IntakeError::FieldTooLong(..) => {
                Self::new(StatusCode::PAYLOAD_TOO_LARGE, sentence(&error))
            }
            IntakeError::Broken | IntakeError::TooManyFields | IntakeError::CutOff => {
                Self::bad(sentence(&error))
            }
            IntakeError::TooSlow => Self::new(StatusCode::REQUEST_TIMEOUT, sentence(&error)),
            IntakeError::Busy | IntakeError::Full => {
                Self::new(StatusCode::SERVICE_UNAVAILABLE, sentence(&error))
            }
            IntakeError::Blob(error) => error.into(),
            IntakeError::Database(error) => error.into(),
        }
    }
}

impl From<Mistake> for Refusal {
    fn from(mistake: Mistake) -> Self {
        Self::bad(match mistake {
            Mistake::NoJson => "Files cannot be JSON decoded".into(),
            Mistake::Path => "Illegal path".into(),
            Mistake::Base64 => "Content cannot be base64 decoded".into(),
            Mistake::TooMany => format!("Too many files; at most {FILES_MAX} are taken"),
        })
    }
}

fn sentence(error: &IntakeError) -> String {
    let text = error.to_string();
    let (first, rest) = text.split_at(1);
    format!("{}{rest}", first.to_ascii_uppercase())
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let (status, message, headers) = match self {
            Self::Said(status, message) => {
                let retry = (status == StatusCode::SERVICE_UNAVAILABLE).then_some(RETRY_AFTER);
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
