//! Who is in a course, for those who grade there.

use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::Response;
use lyceum_web::ApiResult;
use lyceum_web::page::contexts::courses::{CoursePeoplePage, CoursePerson};
use lyceum_web::page::list::{Asked, ListQuery};

use super::members::{self, From};
use super::{Desk, Reader, course_path, shown};

const COLUMNS: [(&str, bool); 3] = [("name", true), ("role", true), ("comes_from", false)];

pub(super) async fn show(
    State(desk): State<Desk>,
    reader: Reader,
    Path(course): Path<String>,
    Query(query): Query<ListQuery>,
) -> ApiResult<Response> {
    let exchange = &desk.exchange;
    let mut tx = exchange.db().read().await?;
    let entered = reader.enter_to_grade(exchange, &mut tx, &course).await?;
    let members = members::of(exchange, &mut tx, &entered.course).await?;
    drop(tx);
    let path = format!("{}/people", course_path(&course));
    let asked = Asked::read(reader.visit.base(), path, &query, &["name", "role"]);
    let roles = &["all", "student", "observer", "grader", "teacher"];
    let asked = asked.filter("role", &query.role, roles);
    let list = members.map(|members| {
        let people = members.into_iter().map(|(name, member)| {
            let (from, group) = match member.from {
                From::File => ("file", None),
                From::Group(group) => ("group", Some(group)),
                From::Request => ("added", None),
            };
            CoursePerson {
                name,
                called: member.called,
                role: member.role.as_str(),
                from,
                group,
            }
        });
        narrowed(asked, people.collect())
    });
    let page = CoursePeoplePage {
        page: reader.visit.page(),
        course: shown::course(&reader, &entered),
        list,
    };
    reader
        .visit
        .show(StatusCode::OK, "course_people.html", &page)
}

fn narrowed(
    mut asked: Asked,
    mut people: Vec<CoursePerson>,
) -> lyceum_web::page::contexts::admin::Listing<CoursePerson> {
    let (q, role) = (asked.q.to_lowercase(), asked.value("role").to_owned());
    people.retain(|one| {
        let is_named = is_named(&q, &one.name, one.called.as_deref());
        is_named && (role == "all" || one.role == role)
    });
    let (by, down) = asked.sort();
    if by == "role" {
        people.sort_by(|one, other| (one.role, &one.name).cmp(&(other.role, &other.name)));
    }
    if down {
        people.reverse();
    }
    let rows = asked.page_of(&people);
    let total = i64::try_from(people.len()).unwrap_or(i64::MAX);
    asked.listing(rows, total, &COLUMNS, None)
}

/// Whether that is in her name, or in what she is called. `q` is in small letters.
pub(super) fn is_named(q: &str, name: &str, called: Option<&str>) -> bool {
    let called = called.map(str::to_lowercase).unwrap_or_default();
    name.contains(q) || called.contains(q)
}
