//! What people look at: the page of a course, of an assignment, of what was handed in; and the form by
//! which a browser hands in.
//!
//! Who may what is the API's: the same questions are asked before anything is shown. Whoever is
//! nothing in a course is answered as if it were not there. The frame around the pages is the hub's,
//! and comes through [`lyceum_web::frame`].
//!
//! What people hand in goes out as something to keep, never to be shown; feedback may be looked at, in
//! a page that can do nothing (`download`).

mod assignment;
mod course;
mod download;
mod hand_in;
mod members;
mod people;
mod shown;
mod submission;
mod work;

use std::sync::Arc;

use axum::extract::{FromRef, FromRequestParts};
use axum::http::request::Parts;
use axum::http::{Method, StatusCode};
use axum::response::{IntoResponse, Response};
use lyceum_model::say;
use lyceum_model::who::CourseRole;
use lyceum_store::Tx;
use lyceum_web::frame::Visit;
use lyceum_web::openapi::Described;
use lyceum_web::page::Templates;
use lyceum_web::routes::{Part, Routes};
use lyceum_web::{ApiError, ApiResult, Person};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use crate::Exchange;
use crate::api::native::Asker;
use crate::api::native::feedback::FeedbackFiles;
use crate::api::native::submissions::SubmissionFiles;
use crate::api::native::versions::VersionFiles;
use crate::api::visitor::{Entered, Visitor};

/// Below which path all of them are.
pub const PREFIX: &str = "/hub/courses/";

pub const TEMPLATES: Templates = &[
    (
        "assignment.html",
        include_str!("../templates/assignment.html"),
    ),
    ("course.html", include_str!("../templates/course.html")),
    (
        "course_people.html",
        include_str!("../templates/course_people.html"),
    ),
    ("courses.html", include_str!("../templates/courses.html")),
    (
        "submission.html",
        include_str!("../templates/submission.html"),
    ),
    ("work.html", include_str!("../templates/work.html")),
];

/// What stays as it is in a part of a path.
const PLAIN: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'_')
    .remove(b'.')
    .remove(b'~');

/// Something that is said of what is started for a course.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Setting {
    /// As `lyceum explain` calls it.
    pub what: String,
    pub value: String,
    /// The line of the course's file that says it; none: the site's configuration does.
    pub place: Option<String>,
    /// Of the program's environment, where secrets may be.
    pub is_env: bool,
}

/// What is started for courses; who knows it joins the configuration with the courses' files.
pub trait Starts: Send + Sync + 'static {
    /// By those who are this in it; nothing: they start nothing for it.
    fn by_role(&self, course: &str, role: CourseRole) -> Option<Vec<Setting>>;

    /// As the course's own server.
    fn own_server(&self, course: &str) -> Option<Vec<Setting>>;
}

/// Where courses start nothing.
pub struct StartsNothing;

impl Starts for StartsNothing {
    fn by_role(&self, _: &str, _: CourseRole) -> Option<Vec<Setting>> {
        None
    }

    fn own_server(&self, _: &str) -> Option<Vec<Setting>> {
        None
    }
}

#[derive(Clone)]
struct Desk {
    exchange: Exchange,
    starts: Arc<dyn Starts>,
}

impl FromRef<Desk> for Exchange {
    fn from_ref(desk: &Desk) -> Self {
        desk.exchange.clone()
    }
}

/// The routes, ready to be served.
pub fn part(exchange: &Exchange, starts: Arc<dyn Starts>) -> Part {
    let (router, routes) = routes().into_parts();
    let exchange = exchange.clone();
    Part {
        router: router.with_state(Desk { exchange, starts }),
        routes,
        large: &[PREFIX],
        described: Described::default(),
        templates: TEMPLATES,
    }
}

fn routes() -> Routes<Desk> {
    const COURSE: &str = "{course}";
    const ASSIGNMENT: &str = "{course}/assignments/{assignment}";
    const SUBMISSION: &str = "{course}/submissions/{submission}";
    let anon = "sends anonymous visitors to the log-in page";
    let at = |rest: &str| format!("{PREFIX}{rest}");
    let of_assignment = |rest: &str| format!("{PREFIX}{ASSIGNMENT}/{rest}");
    let of_submission = |rest: &str| format!("{PREFIX}{SUBMISSION}/{rest}");
    let get = || Method::GET;
    Routes::default()
        .public(get(), &at(COURSE), anon, course::show)
        .public(get(), &at(&format!("{COURSE}/people")), anon, people::show)
        .public(get(), &at(ASSIGNMENT), anon, assignment::show)
        .scoped(Method::POST, &at(ASSIGNMENT), hand_in::hand_in)
        .public(
            get(),
            &of_assignment("zip"),
            anon,
            download::zip_of_assignment,
        )
        .public(
            get(),
            &of_assignment("versions/{version}/zip"),
            anon,
            download::zip::<VersionFiles>,
        )
        .public(get(), &of_assignment("people/{person}"), anon, work::show)
        .public(get(), &at(SUBMISSION), anon, submission::show)
        .public(get(), &of_submission("receipt"), anon, download::receipt)
        .public(
            get(),
            &of_submission("file"),
            anon,
            download::one::<SubmissionFiles>,
        )
        .public(
            get(),
            &of_submission("zip"),
            anon,
            download::zip::<SubmissionFiles>,
        )
        .public(
            get(),
            &of_submission("feedback/file"),
            anon,
            download::one::<FeedbackFiles>,
        )
        .public(
            get(),
            &of_submission("feedback/look"),
            anon,
            download::look_at_feedback,
        )
        .public(
            get(),
            &of_submission("feedback/zip"),
            anon,
            download::zip::<FeedbackFiles>,
        )
}

/// The page of a course, as routes are registered.
pub fn course_path(course: &str) -> String {
    format!("{PREFIX}{}", part_of_path(course))
}

/// The page of an assignment, as routes are registered.
pub fn assignment_path(course: &str, assignment: &str) -> String {
    let course = course_path(course);
    format!("{course}/assignments/{}", part_of_path(assignment))
}

fn submission_path(course: &str, submission: &str) -> String {
    let course = course_path(course);
    format!("{course}/submissions/{}", part_of_path(submission))
}

fn part_of_path(text: &str) -> String {
    utf8_percent_encode(text, PLAIN).to_string()
}

/// Somebody with a browser who may use the exchange.
struct Reader {
    visit: Visit,
    asker: Asker,
}

impl<S: Sync> FromRequestParts<S> for Reader {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Response> {
        let visit = Visit::from_request_parts(parts, state).await?;
        let visitor = Visitor::from_request_parts(parts, state).await;
        let visitor = visitor.map_err(|_| {
            let scope = "access:services!service=ngshare";
            ApiError::forbidden(say!("refused.scope", scope = scope)).into_response()
        })?;
        Ok(Self {
            visit,
            asker: Asker(visitor),
        })
    }
}

impl Reader {
    fn person(&self) -> &Person {
        &self.asker.0.0
    }

    fn at(&self, path: &str) -> String {
        self.visit.at(path)
    }

    /// Into a course that she belongs to.
    async fn enter(&self, exchange: &Exchange, tx: &mut Tx, course: &str) -> ApiResult<Entered> {
        let entered = self.asker.enter(exchange, tx, course).await;
        entered.map_err(in_words)
    }

    /// As [`Reader::enter`], for those who grade there; to others the page is not there.
    async fn enter_to_grade(
        &self,
        exchange: &Exchange,
        tx: &mut Tx,
        course: &str,
    ) -> ApiResult<Entered> {
        let entered = self.enter(exchange, tx, course).await?;
        match entered.standing.grades() {
            true => Ok(entered),
            false => Err(ApiError::not_found()),
        }
    }
}

/// What programs are told by the name of a thing, people are told in their language.
fn in_words(error: ApiError) -> ApiError {
    match error.status {
        StatusCode::NOT_FOUND => ApiError::not_found(),
        _ => error,
    }
}
