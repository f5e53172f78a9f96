//! Handing in by a form: files as a browser sends what somebody chose. Whoever sends it by itself is
//! led on to the receipt; the page's script is told where that is.

use axum::Json;
use axum::extract::{Path, Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use lyceum_model::say;
use lyceum_model::saying::{Saying, file_size};
use lyceum_web::ApiResult;
use lyceum_web::request::header as header_text;
use serde_json::json;

use super::assignment::{self, Shown};
use super::shown::{files_max, readable};
use super::submission::PLACED;
use super::{Desk, Reader, in_words, submission_path};
use crate::api::native::NotRead;
use crate::api::native::submissions::{NotKept, take};
use crate::api::refusal::Refusal;
use crate::intake::{FilesAs, IntakeError};
use crate::rules::NotTaken;
use crate::upload::files::{FILES_MAX, Mistake};

pub(super) async fn hand_in(
    State(desk): State<Desk>,
    reader: Reader,
    Path((course, name)): Path<(String, String)>,
    request: Request,
) -> ApiResult<Response> {
    let by_script = is_script(request.headers());
    let (asker, place) = (&reader.asker, (course.as_str(), name.as_str()));
    match take(&desk.exchange, asker, place, request, FilesAs::Chosen).await {
        Ok(kept) => {
            let path = submission_path(&course, &kept.row.id);
            let done = if kept.is_placed { PLACED } else { "1" };
            let url = reader.at(&format!("{path}?done={done}"));
            Ok(match by_script {
                true => (StatusCode::CREATED, Json(json!({ "url": url }))).into_response(),
                false => (StatusCode::SEE_OTHER, [(header::LOCATION, url)]).into_response(),
            })
        }
        Err(error) => {
            let language = reader.visit.language();
            let (status, words) = match said(error).map_err(in_words) {
                Ok(said) => said,
                Err(error) if by_script => {
                    let said = (error.status, error.message.clone());
                    // Its cause is logged where it becomes an answer.
                    drop(error.into_response());
                    said
                }
                Err(error) => return Err(error),
            };
            let problem = words.sentence(language);
            if by_script {
                return Ok((status, Json(json!({ "problem": problem }))).into_response());
            }
            let asked = Shown {
                problem: Some((status, problem)),
                ..Shown::default()
            };
            assignment::page(&desk, &reader, place, asked).await
        }
    }
}

fn is_script(headers: &HeaderMap) -> bool {
    header_text(headers, header::ACCEPT.as_str()) == Some("application/json")
}

/// Why nothing was taken, for the page with the form; else for a page of its own.
fn said(error: NotKept) -> ApiResult<(StatusCode, Saying)> {
    match error {
        NotKept::Archived => Ok((StatusCode::FORBIDDEN, say!("handin.archived"))),
        NotKept::NotTaken(error)
        | NotKept::NotRead(NotRead::Intake(IntakeError::NotTaken(error))) => of_rules(error),
        NotKept::NotRead(NotRead::Empty) => Ok((StatusCode::BAD_REQUEST, say!("handin.no_files"))),
        NotKept::NotRead(NotRead::Mistake(Mistake::TooMany)) => {
            Ok((StatusCode::PAYLOAD_TOO_LARGE, too_many(FILES_MAX as u64)))
        }
        NotKept::NotRead(NotRead::Mistake(_)) => Ok((StatusCode::BAD_REQUEST, say!("handin.name"))),
        NotKept::NotRead(NotRead::Intake(error)) => of_intake(error),
        NotKept::Other(error) => Err(error),
    }
}

fn too_many(most: u64) -> Saying {
    say!("handin.too_many", n = most)
}

fn of_rules(error: NotTaken) -> ApiResult<(StatusCode, Saying)> {
    Ok(match error {
        NotTaken::Closed(_) => (StatusCode::FORBIDDEN, say!("handin.closed")),
        NotTaken::TooOften { most, .. } => {
            (StatusCode::CONFLICT, say!("handin.too_often", n = most))
        }
        NotTaken::TooLarge(most) => too_large(most.0),
        NotTaken::TooMany { most, .. } => {
            (StatusCode::PAYLOAD_TOO_LARGE, too_many(u64::from(most)))
        }
        NotTaken::Kind { path, kinds } => (
            StatusCode::BAD_REQUEST,
            say!("handin.kind", path = readable(&path), kinds = kinds),
        ),
        NotTaken::NoRules => (StatusCode::SERVICE_UNAVAILABLE, say!("handin.no_rules")),
        NotTaken::Withdrawn | NotTaken::NoCourse => {
            (StatusCode::NOT_FOUND, say!("handin.withdrawn"))
        }
        NotTaken::PersonFull(full) => (
            StatusCode::PAYLOAD_TOO_LARGE,
            say!("handin.person_full", most = full.most, left = full.left),
        ),
        NotTaken::CourseFull(full) => (
            StatusCode::INSUFFICIENT_STORAGE,
            say!("handin.course_full", most = full.most, left = full.left),
        ),
        NotTaken::ClearedAway => (StatusCode::SERVICE_UNAVAILABLE, say!("handin.cleared_away")),
        error @ (NotTaken::NoPerson | NotTaken::Blob(_)) => return Err(Refusal::from(error).into()),
        NotTaken::Database(error) => return Err(error.into()),
    })
}

fn too_large(most: u64) -> (StatusCode, Saying) {
    (
        StatusCode::PAYLOAD_TOO_LARGE,
        say!("handin.too_large", size = file_size(most)),
    )
}

fn of_intake(error: IntakeError) -> ApiResult<(StatusCode, Saying)> {
    Ok(match error {
        IntakeError::TooLarge(most) => too_large(files_max(most)),
        IntakeError::Broken
        | IntakeError::Nameless(_)
        | IntakeError::FieldTooLong(..)
        | IntakeError::CutOff => (StatusCode::BAD_REQUEST, say!("handin.broken")),
        IntakeError::TooManyFields => (StatusCode::PAYLOAD_TOO_LARGE, too_many(FILES_MAX as u64)),
        IntakeError::TooSlow => (StatusCode::REQUEST_TIMEOUT, say!("handin.too_slow")),
        IntakeError::Busy => (StatusCode::SERVICE_UNAVAILABLE, say!("handin.busy")),
        IntakeError::Full => (StatusCode::SERVICE_UNAVAILABLE, say!("handin.full")),
        IntakeError::NotTaken(error) => return of_rules(error),
        IntakeError::Blob(error) => return Err(anyhow::Error::from(error).into()),
        IntakeError::Database(error) => return Err(error.into()),
    })
}
