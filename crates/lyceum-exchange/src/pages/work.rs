//! All that one person has handed in for an assignment, for those who grade.

use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::Response;
use lyceum_model::name::UserName;
use lyceum_web::page::contexts::courses::WorkPage;
use lyceum_web::{ApiError, ApiResult};

use super::assignment::{self, Before};
use super::{Desk, Reader, assignment_path, part_of_path, shown};

pub(super) async fn show(
    State(desk): State<Desk>,
    reader: Reader,
    Path((course, name, person)): Path<(String, String, String)>,
    Query(asked): Query<Before>,
) -> ApiResult<Response> {
    let person = UserName::parse(&person).map_err(|_| ApiError::not_found())?;
    let exchange = &desk.exchange;
    let mut tx = exchange.db().read().await?;
    reader.enter_to_grade(exchange, &mut tx, &course).await?;
    let found = assignment::find(exchange, &mut tx, &reader, (&course, &name)).await?;
    let before = asked.before;
    let (rows, older) =
        assignment::handed_in(&mut tx, &reader, &found, person.as_str(), before).await?;
    // Who is in the course stands in its list; whoever is not, and handed in nothing, is nobody here.
    if rows.is_empty() && before.is_none() {
        let member = found
            .entered
            .course
            .member(exchange, &mut tx, &person)
            .await?;
        if member.standing.role().is_none() {
            return Err(ApiError::not_found());
        }
    }
    // Until when it is hers to hand in, which may be longer than it is for others.
    let groups = exchange.groups().of(&mut tx, &person).await?;
    drop(tx);
    let released = (name.as_str(), found.row.as_ref());
    let whose = (&person, &groups[..]);
    let head = shown::assignment(exchange, &reader, &found.entered, released, whose);
    let path = format!(
        "{}/people/{}",
        assignment_path(&course, &name),
        part_of_path(person.as_str())
    );
    let page = WorkPage {
        page: reader.visit.page(),
        course: shown::course(&reader, &found.entered),
        assignment: head,
        name: person.to_string(),
        rows,
        older: older.map(|number| reader.at(&format!("{path}?before={number}"))),
    };
    reader.visit.show(StatusCode::OK, "work.html", &page)
}
