//! Why a request is refused, whichever surface it came by; how that looks is the surface's business.

use std::borrow::Cow;

use axum::http::StatusCode;
use lyceum_model::saying::Saying;
use lyceum_store::blobs::BlobError;
use lyceum_web::ApiError;

use crate::db;
use crate::intake::IntakeError;
use crate::rules::NotTaken;
use crate::upload::files::{FILES_MAX, Mistake};

/// Seconds, for who came when too much was asked at once.
pub(crate) const RETRY_AFTER: u64 = 10;

#[derive(Debug)]
pub(crate) enum Refusal {
    Said(StatusCode, Cow<'static, str>),
    /// Told to the log where it is answered.
    Failed(Box<ApiError>),
}

impl Refusal {
    pub(crate) fn new(status: StatusCode, message: impl Into<Cow<'static, str>>) -> Self {
        Self::Said(status, message.into())
    }

    pub(crate) fn bad(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, message)
    }

    pub(crate) fn denied() -> Self {
        Self::new(StatusCode::FORBIDDEN, "Permission denied")
    }

    pub(crate) fn archived() -> Self {
        Self::new(
            StatusCode::FORBIDDEN,
            "This course is archived: it can only be read",
        )
    }

    pub(crate) fn conflict(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::CONFLICT, message)
    }

    pub(crate) fn not_found(what: &str) -> Self {
        Self::new(StatusCode::NOT_FOUND, format!("{what} not found"))
    }
}

/// As the hub's own refusals look.
impl From<Refusal> for ApiError {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Failed(error) => *error,
            Refusal::Said(status, message) => {
                let message = Saying::quote(message.into_owned());
                match status {
                    StatusCode::SERVICE_UNAVAILABLE => Self::later(status, message, RETRY_AFTER),
                    status => Self::new(status, message),
                }
            }
        }
    }
}

impl From<sqlx::Error> for Refusal {
    fn from(error: sqlx::Error) -> Self {
        if db::collect::is_busy(&error) {
            return Self::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "Others are handing in; try again in a moment",
            );
        }
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
            IntakeError::Broken
            | IntakeError::TooManyFields
            | IntakeError::Nameless(_)
            | IntakeError::CutOff => Self::bad(sentence(&error)),
            IntakeError::TooSlow => Self::new(StatusCode::REQUEST_TIMEOUT, sentence(&error)),
            IntakeError::Busy | IntakeError::Full => {
                Self::new(StatusCode::SERVICE_UNAVAILABLE, sentence(&error))
            }
            IntakeError::NotTaken(error) => error.into(),
            IntakeError::Blob(error) => error.into(),
            IntakeError::Database(error) => error.into(),
        }
    }
}

impl From<NotTaken> for Refusal {
    fn from(error: NotTaken) -> Self {
        let status = match error {
            NotTaken::Closed(_) | NotTaken::NoPerson => StatusCode::FORBIDDEN,
            NotTaken::NoRules | NotTaken::ClearedAway => StatusCode::SERVICE_UNAVAILABLE,
            NotTaken::Withdrawn | NotTaken::NoCourse => StatusCode::NOT_FOUND,
            NotTaken::TooOften { .. } => StatusCode::CONFLICT,
            NotTaken::TooLarge(_) | NotTaken::TooMany { .. } | NotTaken::PersonFull(_) => {
                StatusCode::PAYLOAD_TOO_LARGE
            }
            NotTaken::CourseFull(_) => StatusCode::INSUFFICIENT_STORAGE,
            NotTaken::Kind { .. } => StatusCode::BAD_REQUEST,
            NotTaken::Blob(error) => return error.into(),
            NotTaken::Database(error) => return error.into(),
        };
        Self::new(status, error.to_string())
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
