//! The page of a course.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Response;
use lyceum_model::who::CourseRole;
use lyceum_web::ApiResult;
use lyceum_web::page::contexts::courses::{
    CoursePage, OwnAssignment, Started, StartedValue, TaughtAssignment,
};

use super::{Desk, Reader, Setting, shown};
use crate::api::visitor::Entered;
use crate::db::agenda::Arrived;
use crate::db::assignments::Released;
use crate::db::pages::Newest;
use crate::moment::Moment;
use crate::{Exchange, agenda, db, rules};

pub(super) async fn show(
    State(desk): State<Desk>,
    reader: Reader,
    Path(course): Path<String>,
) -> ApiResult<Response> {
    let exchange = &desk.exchange;
    let mut tx = exchange.db().read().await?;
    let entered = reader.enter(exchange, &mut tx, &course).await?;
    let grades = entered.standing.grades();
    let (mut released, mut own) = (Vec::new(), Vec::new());
    if let Some(id) = entered.course.known_id() {
        released = db::assignments::released(&mut tx, id).await?;
        if !grades {
            own = db::pages::own(&mut tx, id, reader.person().name.as_str()).await?;
        }
    }
    drop(tx);
    let mut page = CoursePage {
        page: reader.visit.page(),
        course: shown::course(&reader, &entered),
        starts: starts(&desk, &reader, &entered),
        server_url: server_url(&reader, &entered),
        ..CoursePage::default()
    };
    match grades {
        true => {
            let (arrived, students) = arrivals(exchange, &entered, &released).await?;
            page.taught = Some(taught(exchange, &reader, &entered, &released, &arrived));
            page.students = students;
            page.started = started(&desk, &entered);
        }
        false => page.own = own_of(exchange, &reader, &entered, &released, &own),
    }
    reader.visit.show(StatusCode::OK, "course.html", &page)
}

/// Whether she starts a server of hers for it.
fn starts(desk: &Desk, reader: &Reader, entered: &Entered) -> bool {
    let person = reader.person();
    let Some(file) = &entered.course.file else {
        return false;
    };
    let role = file.starts_as(&file.roles_of(&person.name, &person.groups));
    let course = entered.course.name.as_str();
    role.is_some_and(|role| desk.starts.by_role(course, role).is_some())
}

/// The course's own server, for those who open it. There it is started, too.
fn server_url(reader: &Reader, entered: &Entered) -> Option<String> {
    let person = reader.person();
    let (_, openers) = entered.course.file.as_ref()?.open_server()?;
    let is_one = openers
        .iter()
        .any(|who| who.is_among(person.name.as_str(), &person.groups));
    let course = entered.course.name.as_str();
    is_one.then(|| reader.at(&format!("/services/{course}/")))
}

/// What has come in, as home tells it, too.
async fn arrivals(
    exchange: &Exchange,
    entered: &Entered,
    released: &[Released],
) -> ApiResult<(BTreeMap<String, Arrived>, Option<u64>)> {
    let course = &entered.course;
    let rows: Vec<db::agenda::Released> = counted(released)
        .into_iter()
        .map(|row| db::agenda::Released {
            course_id: course.known_id().unwrap_or_default().to_owned(),
            course: course.name.as_str().to_owned(),
            id: row.id.clone(),
            name: row.name.clone(),
            created_at: row.released_at,
        })
        .collect();
    let name = course.name.as_str();
    Ok(agenda::of_course(exchange, name, course.file.as_ref(), &rows).await?)
}

/// Those that were released last: of each much is read to count what came in.
fn counted(released: &[Released]) -> Vec<&Released> {
    let mut newest: Vec<&Released> = released.iter().collect();
    newest.sort_by_key(|row| Reverse(row.released_at));
    newest.truncate(agenda::COUNTED_MAX);
    newest
}

/// What she can have, first what is to be done.
fn own_of(
    exchange: &Exchange,
    reader: &Reader,
    entered: &Entered,
    released: &[Released],
    own: &[Newest],
) -> Vec<OwnAssignment> {
    let course = entered.course.name.as_str();
    let own: BTreeMap<&str, &Newest> = own
        .iter()
        .map(|row| (row.assignment_id.as_str(), row))
        .collect();
    let person = reader.person();
    let whose = (&person.name, &person.groups[..]);
    // What she handed in stays hers to look at, whatever becomes of the assignment.
    let seen = released.iter().filter(|row| {
        let is_had = row.withdrawn_at.is_none() && entered.sees(&row.name);
        is_had || own.contains_key(row.id.as_str())
    });
    let mut rows: Vec<OwnAssignment> = seen
        .map(|row| {
            let newest = own.get(row.id.as_str()).copied();
            let times = newest.map_or(0, |row| row.times);
            let limits = entered.course.limits(&row.name);
            let left = (rules::most(exchange, &limits) - times).max(0);
            let released = (row.name.as_str(), Some(row));
            let assignment = shown::assignment(exchange, reader, entered, released, whose);
            let is_over = matches!(assignment.state, "withdrawn" | "early");
            OwnAssignment {
                takes: left > 0 && takes(entered, assignment.state),
                left: limits.submissions.filter(|_| !is_over).map(|_| left),
                newest: newest.map(|row| shown::newest(reader, course, row)),
                times,
                returned: newest.and_then(|row| row.returned_at),
                assignment,
            }
        })
        .collect();
    rows.sort_by(|one, other| turn(one).cmp(&turn(other)));
    rows
}

fn turn(row: &OwnAssignment) -> (bool, bool, bool, Option<i64>, &str) {
    let due = row.assignment.due;
    let is_done = row.newest.is_some();
    (
        !row.takes,
        is_done,
        due.is_none(),
        due,
        &row.assignment.name,
    )
}

/// Whether something is taken of her in this course, of an assignment in this state.
pub(super) fn takes(entered: &Entered, state: &str) -> bool {
    let is_shut = entered.course.is_archived() || entered.course.is_unclear;
    !is_shut && entered.standing.hands_in() && matches!(state, "open" | "late")
}

fn taught(
    exchange: &Exchange,
    reader: &Reader,
    entered: &Entered,
    released: &[Released],
    arrived: &BTreeMap<String, Arrived>,
) -> Vec<TaughtAssignment> {
    let person = reader.person();
    let whose = (&person.name, &person.groups[..]);
    let counted: BTreeSet<&str> = counted(released)
        .into_iter()
        .map(|row| row.id.as_str())
        .collect();
    let known: BTreeSet<&str> = released.iter().map(|row| row.name.as_str()).collect();
    let file = entered.course.file.iter();
    let planned = file
        .flat_map(|file| file.assignments.keys())
        .filter(|name| !known.contains(name.as_str()));
    let planned = planned.map(|name| (name.as_str(), None));
    let all = released.iter().map(|row| (row.name.as_str(), Some(row)));
    let mut rows: Vec<TaughtAssignment> = all
        .chain(planned)
        .map(|(name, row)| {
            let arrived = row.and_then(|row| arrived.get(&row.id));
            TaughtAssignment {
                assignment: shown::assignment(exchange, reader, entered, (name, row), whose),
                counted: row.is_none_or(|row| counted.contains(row.id.as_str())),
                given: arrived.map_or(0, |one| count(one.given)),
                late: arrived.map_or(0, |one| count(one.late)),
                waiting: arrived.map_or(0, |one| count(one.given - one.returned)),
                newest: arrived.map(|one| Moment(one.newest).to_millis()),
            }
        })
        .collect();
    rows.sort_by(|one, other| {
        let turn = |row: &TaughtAssignment| (row.assignment.due.is_none(), row.assignment.due);
        (turn(one), &one.assignment.name).cmp(&(turn(other), &other.assignment.name))
    });
    rows
}

fn count(many: i64) -> u64 {
    u64::try_from(many).unwrap_or(0)
}

/// What is started for it, by whom. What stands in the environment of programs is for those who teach
/// it, and of that only what the course's file says.
fn started(desk: &Desk, entered: &Entered) -> Vec<Started> {
    let course = entered.course.name.as_str();
    let teaches = entered.standing.teaches();
    let may_see = |one: &Setting| !one.is_env || (teaches && one.place.is_some());
    let rows = |who: &'static str, settings: Option<Vec<Setting>>| {
        let values = settings?
            .into_iter()
            .filter(may_see)
            .map(|one| StartedValue {
                what: one.what,
                value: one.value,
                place: one.place,
            });
        let values: Vec<StartedValue> = values.collect();
        Some(Started { who, values })
    };
    let roles = [CourseRole::Student, CourseRole::Grader, CourseRole::Teacher];
    let by_role = roles
        .into_iter()
        .filter_map(|role| rows(role.as_str(), desk.starts.by_role(course, role)));
    by_role
        .chain(rows("server", desk.starts.own_server(course)))
        .collect()
}
