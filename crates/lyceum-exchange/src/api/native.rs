//! The exchange's own API, below `/hub/api/lyceum/exchange/`: what ngshare's clients have no word for.
//!
//! Errors look like the hub's. Whoever is nothing in a course is answered as if it were not there.
//! Files come as the fields of a multipart form, each named by its path, and go out one by one or as a
//! zip; of neither much is in memory.

mod courses;
mod described;
pub(crate) mod feedback;
pub(crate) mod files;
pub(crate) mod held;
pub(crate) mod model;
pub(crate) mod submissions;
pub(crate) mod versions;
pub(crate) mod zip;

pub(crate) use zip::names;

use axum::extract::FromRequestParts;
use axum::extract::Request;
use axum::http::request::Parts;
use axum::http::{Method, StatusCode, header};
use jiff::Timestamp;
use lyceum_model::saying::Saying;
use lyceum_store::Tx;
use lyceum_web::routes::{Part, Routes};
use lyceum_web::{ApiError, ApiResult};

use super::refusal::Refusal;
use super::visitor::{Entered, Visitor};
use crate::Exchange;
use crate::intake::{Asked, FilesAs, IntakeError, receive};
use crate::people::Standing;
use crate::tree::Tree;
use crate::upload::files::Mistake;

pub use described::DESCRIBED;

/// Below which path all of it is.
pub const PREFIX: &str = "/hub/api/lyceum/exchange/";

const FILES: Asked = Asked {
    words: &[],
    files: FilesAs::Fields,
    size: None,
    in_query: false,
};

/// The routes, ready to be served.
pub fn part(exchange: &Exchange) -> Part {
    let (router, routes) = routes().into_parts();
    Part {
        router: router.with_state(exchange.clone()),
        routes,
        large: &[PREFIX],
        described: DESCRIBED,
        templates: &[],
    }
}

/// Where a thing is, below [`PREFIX`].
fn at(rest: &str) -> String {
    format!("{PREFIX}{rest}")
}

const COURSE: &str = "courses/{course}";
const ASSIGNMENT: &str = "courses/{course}/assignments/{assignment}";
const SUBMISSION: &str = "courses/{course}/submissions/{submission}";

fn routes() -> Routes<Exchange> {
    let get = Method::GET;
    let version = format!("{ASSIGNMENT}/versions/{{version}}");
    Routes::default()
        .scoped(get.clone(), &at("courses"), courses::list_courses)
        .scoped(get.clone(), &at(COURSE), courses::get_course)
        .scoped(
            get.clone(),
            &at(&format!("{COURSE}/submissions")),
            submissions::list_submissions,
        )
        .scoped(get.clone(), &at(ASSIGNMENT), versions::get_assignment)
        .scoped(
            Method::DELETE,
            &at(ASSIGNMENT),
            versions::withdraw_assignment,
        )
        .scoped(
            Method::POST,
            &at(&format!("{ASSIGNMENT}/versions")),
            versions::release_version,
        )
        .scoped(
            get.clone(),
            &at(&format!("{version}/files")),
            held::list::<versions::VersionFiles>,
        )
        .scoped(
            get.clone(),
            &at(&format!("{version}/file")),
            held::one::<versions::VersionFiles>,
        )
        .scoped(
            get.clone(),
            &at(&format!("{version}/zip")),
            held::zip::<versions::VersionFiles>,
        )
        .scoped(
            get.clone(),
            &at(&format!("{ASSIGNMENT}/submissions")),
            submissions::list_submissions_of_assignment,
        )
        .scoped(
            Method::POST,
            &at(&format!("{ASSIGNMENT}/submissions")),
            submissions::submit,
        )
        .scoped(
            get.clone(),
            &at(&format!("{ASSIGNMENT}/zip")),
            submissions::get_zip_of_assignment,
        )
        .scoped(get.clone(), &at(SUBMISSION), submissions::get_submission)
        .scoped(
            get.clone(),
            &at(&format!("{SUBMISSION}/receipt")),
            submissions::get_receipt,
        )
        .scoped(
            get.clone(),
            &at(&format!("{SUBMISSION}/files")),
            held::list::<submissions::SubmissionFiles>,
        )
        .scoped(
            get.clone(),
            &at(&format!("{SUBMISSION}/file")),
            held::one::<submissions::SubmissionFiles>,
        )
        .scoped(
            get.clone(),
            &at(&format!("{SUBMISSION}/zip")),
            held::zip::<submissions::SubmissionFiles>,
        )
        .scoped(
            Method::PUT,
            &at(&format!("{SUBMISSION}/feedback")),
            feedback::put_feedback,
        )
        .scoped(
            get.clone(),
            &at(&format!("{SUBMISSION}/feedback/files")),
            held::list::<feedback::FeedbackFiles>,
        )
        .scoped(
            get.clone(),
            &at(&format!("{SUBMISSION}/feedback/file")),
            held::one::<feedback::FeedbackFiles>,
        )
        .scoped(
            get,
            &at(&format!("{SUBMISSION}/feedback/zip")),
            held::zip::<feedback::FeedbackFiles>,
        )
}

/// A person whose token or session may use the exchange.
pub(crate) struct Asker(pub(crate) Visitor);

impl<S: Sync> FromRequestParts<S> for Asker {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> ApiResult<Self> {
        let visitor = Visitor::from_request_parts(parts, state).await;
        Ok(Self(visitor?))
    }
}

impl Asker {
    /// Into a course that she belongs to.
    pub(crate) async fn enter(
        &self,
        exchange: &Exchange,
        tx: &mut Tx,
        course: &str,
    ) -> ApiResult<Entered> {
        let entered = self.0.enter(exchange, tx, course).await?;
        match entered.standing.belongs() {
            true => Ok(entered),
            false => Err(Refusal::not_found("Course").into()),
        }
    }

    /// What she sends, on the disk, and when it had arrived.
    async fn files(
        &self,
        exchange: &Exchange,
        request: Request,
        asked: Asked,
    ) -> ApiResult<(Tree, Timestamp)> {
        require_form(&request)?;
        Ok(self.read(exchange, request, asked).await?)
    }

    async fn read(
        &self,
        exchange: &Exchange,
        request: Request,
        asked: Asked,
    ) -> Result<(Tree, Timestamp), NotRead> {
        let upload = receive(exchange, self.0.name(), request, asked).await?;
        let tree = upload.files.transpose()?;
        let tree = tree.filter(|tree| !tree.files().is_empty());
        Ok((tree.ok_or(NotRead::Empty)?, upload.arrived))
    }
}

/// That files come in the one way in which they do.
fn require_form(request: &Request) -> ApiResult<()> {
    let kind = lyceum_web::request::header(request.headers(), header::CONTENT_TYPE.as_str());
    match kind.is_some_and(|kind| kind.trim_start().starts_with("multipart/form-data")) {
        true => Ok(()),
        false => Err(ApiError::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Saying::quote(
                "send the files as multipart/form-data, each as a field that is named by its path",
            ),
        )),
    }
}

/// Why there are no files of what somebody sent.
pub(crate) enum NotRead {
    Intake(IntakeError),
    Mistake(Mistake),
    Empty,
}

impl From<IntakeError> for NotRead {
    fn from(error: IntakeError) -> Self {
        Self::Intake(error)
    }
}

impl From<Mistake> for NotRead {
    fn from(mistake: Mistake) -> Self {
        Self::Mistake(mistake)
    }
}

impl From<NotRead> for ApiError {
    fn from(error: NotRead) -> Self {
        let refusal: Refusal = match error {
            NotRead::Intake(error) => error.into(),
            NotRead::Mistake(mistake) => mistake.into(),
            NotRead::Empty => Refusal::bad("There are no files in it"),
        };
        refusal.into()
    }
}

/// That something may be changed by somebody who may.
fn may_change(entered: &Entered, may: impl Fn(Standing) -> bool) -> Result<(), Refusal> {
    entered.require(may)?;
    entered.require_open()
}
