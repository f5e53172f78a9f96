//! ngshare's HTTP API, for clients that know no other: nbgrader with ngshare_exchange, and
//! ngshare-course-management. Paths, parameters, answers and the order of the checks are theirs.
//!
//! Otherwise than there: whoever comes without a good token is answered in JSON, and so is what makes
//! ngshare fail; deleting an assignment keeps what was handed in, and so does deleting a course; what a
//! course file gives can't be taken away here; graders of a course file see and give back, but don't
//! release.

mod answer;
mod assignments;
mod courses;
mod feedback;
mod outgoing;
mod people;
mod submissions;

use axum::http::{Method, StatusCode};
use axum::response::Html;
use axum::routing::any;
use lyceum_web::openapi::Described;
use lyceum_web::routes::{Part, Routes};

use crate::Exchange;

/// Where clients expect it.
pub const PREFIX: &str = "/services/ngshare/";

/// The routes, ready to be served.
pub fn part(exchange: &Exchange) -> Part {
    let (router, routes) = routes().into_parts();
    let router = router
        .route("/services/ngshare/{*path}", any(nothing_here))
        .with_state(exchange.clone());
    Part {
        router,
        routes,
        large: &[PREFIX],
        described: Described::default(),
        templates: &[],
    }
}

async fn nothing_here() -> (StatusCode, Html<&'static str>) {
    (StatusCode::NOT_FOUND, Html("<h1>404 Not Found</h1>\n"))
}

fn routes() -> Routes<Exchange> {
    let (get, post, delete) = (Method::GET, Method::POST, Method::DELETE);
    Routes::default()
        .public(
            get.clone(),
            "/services/ngshare/healthz",
            "load balancers and probes ask it",
            answer::healthy,
        )
        .scoped(
            get.clone(),
            "/services/ngshare/courses",
            courses::list_courses,
        )
        .scoped(
            post.clone(),
            "/services/ngshare/course/{course}",
            courses::create_course,
        )
        .scoped(
            delete.clone(),
            "/services/ngshare/course/{course}",
            courses::delete_course,
        )
        .scoped(
            get.clone(),
            "/services/ngshare/initialize-Data6ase",
            courses::dump,
        )
        .scoped(
            post.clone(),
            "/services/ngshare/instructor/{course}/{person}",
            people::put_instructor,
        )
        .scoped(
            get.clone(),
            "/services/ngshare/instructor/{course}/{person}",
            people::get_instructor,
        )
        .scoped(
            delete.clone(),
            "/services/ngshare/instructor/{course}/{person}",
            people::delete_instructor,
        )
        .scoped(
            get.clone(),
            "/services/ngshare/instructors/{course}",
            people::list_instructors,
        )
        .scoped(
            post.clone(),
            "/services/ngshare/student/{course}/{person}",
            people::put_student,
        )
        .scoped(
            get.clone(),
            "/services/ngshare/student/{course}/{person}",
            people::get_student,
        )
        .scoped(
            delete.clone(),
            "/services/ngshare/student/{course}/{person}",
            people::delete_student,
        )
        .scoped(
            post.clone(),
            "/services/ngshare/students/{course}",
            people::put_students,
        )
        .scoped(
            get.clone(),
            "/services/ngshare/students/{course}",
            people::list_students,
        )
        .scoped(
            get.clone(),
            "/services/ngshare/assignments/{course}",
            assignments::list_assignments,
        )
        .scoped(
            get.clone(),
            "/services/ngshare/assignment/{course}/{assignment}",
            assignments::get_assignment,
        )
        .scoped(
            post.clone(),
            "/services/ngshare/assignment/{course}/{assignment}",
            assignments::release_assignment,
        )
        .scoped(
            delete,
            "/services/ngshare/assignment/{course}/{assignment}",
            assignments::withdraw_assignment,
        )
        .scoped(
            get.clone(),
            "/services/ngshare/submissions/{course}/{assignment}",
            submissions::list_submissions,
        )
        .scoped(
            get.clone(),
            "/services/ngshare/submissions/{course}/{assignment}/{person}",
            submissions::list_submissions_of,
        )
        .scoped(
            post.clone(),
            "/services/ngshare/submission/{course}/{assignment}",
            submissions::submit,
        )
        .scoped(
            get.clone(),
            "/services/ngshare/submission/{course}/{assignment}/{person}",
            submissions::get_submission,
        )
        .scoped(
            post,
            "/services/ngshare/feedback/{course}/{assignment}/{person}",
            feedback::put_feedback,
        )
        .scoped(
            get,
            "/services/ngshare/feedback/{course}/{assignment}/{person}",
            feedback::get_feedback,
        )
}
