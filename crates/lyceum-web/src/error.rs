//! What goes wrong at the edge: a status and a sentence for the caller, the cause for the log.
//!
//! Handlers return [`ApiError`]; how it *looks* (hub JSON, HTML page) is a layer on the router
//! (the hub's pages have it), so handlers never know.

use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use lyceum_model::say;
use lyceum_model::saying::Saying;

pub type ApiResult<T> = Result<T, ApiError>;

/// An answer that is not the good one.
#[derive(Debug)]
pub struct ApiError {
    pub status: StatusCode,
    /// For the caller; programs get it in English, a page says it in its language. Never the inner
    /// cause of a 5xx.
    pub message: Saying,
    /// Boxed, so that the common `Result` stays small.
    headers: Box<HeaderMap>,
    cause: Option<anyhow::Error>,
}

/// Travels in the response's extensions, so that a layer can dress the error.
#[derive(Debug, Clone)]
pub struct Failure {
    pub status: StatusCode,
    pub message: Saying,
}

impl ApiError {
    pub fn new(status: StatusCode, message: Saying) -> Self {
        Self {
            status,
            message,
            headers: Box::default(),
            cause: None,
        }
    }

    pub fn bad_request(message: Saying) -> Self {
        Self::new(StatusCode::BAD_REQUEST, message)
    }

    pub fn forbidden(message: Saying) -> Self {
        Self::new(StatusCode::FORBIDDEN, message)
    }

    /// The one text for what is not there and for what is not to be seen.
    pub fn not_found() -> Self {
        Self::new(StatusCode::NOT_FOUND, say!("refused.not_found"))
    }

    pub fn conflict(message: Saying) -> Self {
        Self::new(StatusCode::CONFLICT, message)
    }

    /// The caller should come back after some seconds.
    pub fn later(status: StatusCode, message: Saying, seconds: u64) -> Self {
        Self::new(status, message)
            .with_header(axum::http::header::RETRY_AFTER, &seconds.to_string())
    }

    #[must_use]
    pub fn with_header(mut self, name: HeaderName, value: &str) -> Self {
        if let Ok(value) = HeaderValue::from_str(value) {
            self.headers.insert(name, value);
        }
        self
    }
}

impl From<anyhow::Error> for ApiError {
    fn from(cause: anyhow::Error) -> Self {
        Self {
            status: StatusCode::INTERNAL_SERVER_ERROR,
            message: say!("refused.internal"),
            headers: Box::default(),
            cause: Some(cause),
        }
    }
}

/// PostgreSQL's code for text that it can't keep, such as one with a zero character.
const UNKEEPABLE_TEXT: &str = "22021";
/// Its code for what it ended because it took too long.
const TOO_LONG: &str = "57014";

impl From<sqlx::Error> for ApiError {
    fn from(error: sqlx::Error) -> Self {
        if let sqlx::Error::Database(error) = &error
            && error.code().as_deref() == Some(UNKEEPABLE_TEXT)
        {
            return Self::bad_request(say!("refused.zero_character"));
        }
        // A database that is away for a moment is no fault of the request: say "try again".
        let took_too_long = error
            .as_database_error()
            .is_some_and(|error| error.code().as_deref() == Some(TOO_LONG));
        let is_away = matches!(
            error,
            sqlx::Error::PoolTimedOut | sqlx::Error::Io(_) | sqlx::Error::PoolClosed
        );
        if is_away || took_too_long {
            let mut answer = Self::later(
                StatusCode::SERVICE_UNAVAILABLE,
                say!("refused.database_away"),
                5,
            );
            answer.cause = Some(error.into());
            return answer;
        }
        Self::from(anyhow::Error::from(error))
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        if let Some(cause) = &self.cause {
            // Logged once, here; the request's span carries the id that the page shows.
            tracing::error!(
                status = self.status.as_u16(),
                error = format!("{cause:#}"),
                "request failed"
            );
        }
        let failure = Failure {
            status: self.status,
            message: self.message,
        };
        let mut response = json_body(&failure);
        response.headers_mut().extend(*self.headers);
        response.extensions_mut().insert(failure);
        response
    }
}

/// `{"status":404,"message":"…"}`, the shape that JupyterHub's clients read.
fn json_body(failure: &Failure) -> Response {
    let body = serde_json::json!({ "status": failure.status.as_u16(), "message": failure.message.to_string() });
    (
        failure.status,
        [(axum::http::header::CACHE_CONTROL, "no-store")],
        axum::Json(body),
    )
        .into_response()
}
