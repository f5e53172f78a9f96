//! The page of an assignment: for those who take it what is due and the form, for those who grade what
//! has come in.

use std::collections::BTreeMap;

use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::Response;
use lyceum_model::who::CourseRole;
use lyceum_store::Tx;
use lyceum_web::page::contexts::admin::Listing;
use lyceum_web::page::contexts::courses::{
    AssignmentHead, AssignmentPage, HandIn, SubmissionRow, Taught, TaughtAssignment, VersionRow,
    WorkRow,
};
use lyceum_web::page::list::{Asked, ListQuery};
use lyceum_web::{ApiError, ApiResult};
use serde::Deserialize;

use super::course::takes;
use super::members::{self, Member};
use super::people::is_named;
use super::{Desk, Reader, assignment_path, part_of_path, shown};
use crate::api::visitor::Entered;
use crate::db::assignments::{Released, Version};
use crate::db::pages::Newest;
use crate::db::submissions::Wanted;
use crate::{Exchange, db, rules};

const COLUMNS: [(&str, bool); 6] = [
    ("name", true),
    ("handed_in", true),
    ("late", true),
    ("tries", true),
    ("feedback", false),
    ("zip", false),
];
const SORTED: [&str; 4] = ["name", "handed_in", "late", "tries"];
const STATES: &[&str] = &["all", "given", "missing", "late", "waiting"];
/// One person's that are shown at once.
const SHOWN: i64 = 20;
const VERSIONS: i64 = 20;
/// Whoever handed in and is not in the course, as one who has left it.
const GONE: &str = "gone";

/// Older ones of one person than that of this number.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Before {
    pub(super) before: Option<i64>,
}

pub(super) async fn show(
    State(desk): State<Desk>,
    reader: Reader,
    Path((course, name)): Path<(String, String)>,
    Query(query): Query<ListQuery>,
    Query(before): Query<Before>,
) -> ApiResult<Response> {
    let asked = Shown {
        query,
        before: before.before,
        ..Shown::default()
    };
    page(&desk, &reader, (&course, &name), asked).await
}

/// What is asked of the page.
#[derive(Default)]
pub(super) struct Shown {
    pub(super) query: ListQuery,
    pub(super) before: Option<i64>,
    /// What is wrong with what was sent.
    pub(super) problem: Option<(StatusCode, String)>,
}

/// An assignment that the reader may know of.
pub(super) struct Found {
    pub(super) entered: Entered,
    /// The newest version, where there is one; also while it is withdrawn or not open yet.
    pub(super) row: Option<Released>,
    /// Whether she can have it.
    pub(super) is_had: bool,
    pub(super) head: AssignmentHead,
}

pub(super) async fn find(
    exchange: &Exchange,
    tx: &mut Tx,
    reader: &Reader,
    (course, name): (&str, &str),
) -> ApiResult<Found> {
    let entered = reader.enter(exchange, tx, course).await?;
    let released = match entered.course.known_id() {
        Some(id) => db::assignments::released(tx, id).await?,
        None => Vec::new(),
    };
    let row = released.into_iter().find(|row| row.name == name);
    let can_be_had = row.as_ref().is_some_and(|row| row.withdrawn_at.is_none());
    let is_had = can_be_had && entered.sees(name);
    let person = reader.person();
    let may_see = match &row {
        None => entered.standing.grades() && entered.course.rules(name).is_some(),
        Some(_) if is_had || entered.standing.grades() => true,
        // What somebody has handed in stays hers to look at.
        Some(row) => db::submissions::count(tx, &row.id, person.name.as_str()).await? > 0,
    };
    if !may_see {
        return Err(ApiError::not_found());
    }
    let whose = (&person.name, &person.groups[..]);
    let head = shown::assignment(exchange, reader, &entered, (name, row.as_ref()), whose);
    Ok(Found {
        entered,
        row,
        is_had,
        head,
    })
}

/// What one person has handed in, and whether there is more: before which number.
pub(super) async fn handed_in(
    tx: &mut Tx,
    reader: &Reader,
    found: &Found,
    student: &str,
    before: Option<i64>,
) -> ApiResult<(Vec<SubmissionRow>, Option<i64>)> {
    let course = &found.entered.course;
    let (Some(course_id), Some(row)) = (course.known_id(), &found.row) else {
        return Ok((Vec::new(), None));
    };
    let wanted = Wanted {
        assignment_id: &row.id,
        student,
        before: before.unwrap_or(i64::MAX),
        limit: SHOWN + 1,
    };
    let mut rows = db::submissions::page(tx, course_id, wanted).await?;
    let fits = usize::try_from(SHOWN).unwrap_or(usize::MAX);
    let has_more = rows.len() > fits;
    rows.truncate(fits);
    let older = rows.last().filter(|_| has_more).map(|row| row.number);
    let name = course.name.as_str();
    let rows = rows.iter().map(|row| shown::told(reader, name, row));
    Ok((rows.collect(), older))
}

pub(super) async fn page(
    desk: &Desk,
    reader: &Reader,
    (course, name): (&str, &str),
    asked: Shown,
) -> ApiResult<Response> {
    let exchange = &desk.exchange;
    let mut tx = exchange.db().read().await?;
    let found = find(exchange, &mut tx, reader, (course, name)).await?;
    let person = &reader.person().name;
    let (own, older) = handed_in(&mut tx, reader, &found, person.as_str(), asked.before).await?;
    let times = match &found.row {
        Some(row) => db::submissions::count(&mut tx, &row.id, person.as_str()).await?,
        None => 0,
    };
    let path = assignment_path(course, name);
    let taught = match found.entered.standing.grades() {
        true => Some(taught(exchange, &mut tx, reader, &found, &path, &asked.query).await?),
        false => None,
    };
    drop(tx);
    let limits = found.entered.course.limits(name);
    let left = (rules::most(exchange, &limits) - times).max(0);
    // Those who teach may try at any time.
    let state = match taught.is_some() && found.is_had {
        true => "open",
        false => found.head.state,
    };
    let is_taken = takes(&found.entered, state);
    let hand_in = (is_taken && left > 0).then(|| HandIn {
        action: reader.at(&path),
        left: limits.submissions.map(|_| left),
        late: found.head.state == "late",
    });
    let (status, problem) = match asked.problem {
        Some((status, problem)) => (status, Some(problem)),
        None => (StatusCode::OK, None),
    };
    let files = found.is_had.then(|| format!("{path}/versions/newest/zip"));
    let page = AssignmentPage {
        page: reader.visit.page(),
        course: shown::course(reader, &found.entered),
        files_url: files.map(|path| reader.at(&path)),
        spent: is_taken && left == 0,
        hand_in,
        problem,
        own,
        older: older.map(|number| reader.at(&format!("{path}?before={number}#own"))),
        taught,
        assignment: found.head,
    };
    reader.visit.show(status, "assignment.html", &page)
}

async fn taught(
    exchange: &Exchange,
    tx: &mut Tx,
    reader: &Reader,
    found: &Found,
    path: &str,
    query: &ListQuery,
) -> ApiResult<Taught> {
    let course = &found.entered.course;
    let members = members::enrolled(exchange, tx, course).await?;
    let students = members.as_ref().map(|members| {
        let students = members
            .values()
            .filter(|one| one.role == CourseRole::Student);
        students.count() as u64
    });
    let (mut newest, mut versions) = (Vec::new(), Vec::new());
    if let Some(row) = &found.row {
        newest = db::pages::of_all(tx, &row.id).await?;
        versions = db::assignments::versions(tx, &row.id, VERSIONS).await?;
    }
    let is_any = !newest.is_empty() && found.is_had;
    let all = merged(reader, course.name.as_str(), path, members, newest);
    let gone = all.iter().filter(|row| row.other == Some(GONE)).count() as u64;
    Ok(Taught {
        sum: sum(&all, &found.head),
        students,
        gone,
        list: narrowed(reader, path, query, all),
        all_url: is_any.then(|| reader.at(&format!("{path}/zip"))),
        versions: versions
            .iter()
            .map(|row| version(reader, path, row))
            .collect(),
    })
}

fn version(reader: &Reader, path: &str, row: &Version) -> VersionRow {
    VersionRow {
        version: row.version,
        at: row.released_at,
        by: row.released_by.clone(),
        files: row.files,
        bytes: row.bytes,
        url: reader.at(&format!("{path}/versions/{}/zip", row.version)),
    }
}

/// Everybody who takes the course, and everybody else who has handed in.
fn merged(
    reader: &Reader,
    course: &str,
    path: &str,
    members: Option<BTreeMap<String, Member>>,
    newest: Vec<Newest>,
) -> Vec<WorkRow> {
    let are_known = members.is_some();
    let mut members = members.unwrap_or_default();
    let mut rows: Vec<WorkRow> = Vec::new();
    for row in newest {
        let member = members.remove(&row.student);
        let other = match member.as_ref().map(|member| member.role) {
            Some(CourseRole::Student) => None,
            Some(role) => Some(role.as_str()),
            None => are_known.then_some(GONE),
        };
        let url = format!("{path}/people/{}", part_of_path(&row.student));
        rows.push(WorkRow {
            name: row.student.clone(),
            called: member.and_then(|member| member.called),
            other,
            url: Some(reader.at(&url)),
            newest: Some(shown::newest(reader, course, &row)),
            times: row.times,
        });
    }
    let students = members
        .into_iter()
        .filter(|(_, member)| member.role == CourseRole::Student);
    rows.extend(students.map(|(name, member)| WorkRow {
        name,
        called: member.called,
        ..WorkRow::default()
    }));
    rows
}

/// Of those who take the course.
fn sum(rows: &[WorkRow], head: &AssignmentHead) -> TaughtAssignment {
    let given = rows.iter().filter(|row| row.other.is_none());
    let given: Vec<&SubmissionRow> = given.filter_map(|row| row.newest.as_ref()).collect();
    let count = |is: fn(&&&SubmissionRow) -> bool| given.iter().filter(is).count() as u64;
    TaughtAssignment {
        assignment: head.clone(),
        counted: true,
        given: given.len() as u64,
        late: count(|row| is_late(row)),
        waiting: count(|row| row.feedback.is_none()),
        newest: given.iter().map(|row| row.at).max(),
    }
}

fn is_late(row: &SubmissionRow) -> bool {
    row.late.is_some_and(|late| late > 0)
}

fn narrowed(
    reader: &Reader,
    path: &str,
    query: &ListQuery,
    mut rows: Vec<WorkRow>,
) -> Listing<WorkRow> {
    let asked = Asked::read(reader.visit.base(), path.to_owned(), query, &SORTED);
    let mut asked = asked.filter("state", &query.state, STATES);
    let (q, state) = (asked.q.to_lowercase(), asked.value("state").to_owned());
    rows.retain(|row| {
        // What those who teach or grade tried is listed among all.
        let is_try = row.other.is_some_and(|other| other != GONE);
        let newest = row.newest.as_ref().filter(|_| !is_try);
        let fits = match state.as_str() {
            "given" => newest.is_some(),
            "missing" => row.newest.is_none(),
            "late" => newest.is_some_and(is_late),
            "waiting" => newest.is_some_and(|row| row.feedback.is_none()),
            _ => true,
        };
        fits && is_named(&q, &row.name, row.called.as_deref())
    });
    let (by, down) = asked.sort();
    rows.sort_by(|one, other| {
        let key = |row: &WorkRow| {
            let newest = row.newest.as_ref();
            match by {
                "handed_in" => newest.map(|row| row.at),
                "late" => newest.map(|row| row.late.unwrap_or(-1)),
                "tries" => Some(row.times),
                _ => None,
            }
        };
        (key(one), &one.name).cmp(&(key(other), &other.name))
    });
    if down {
        rows.reverse();
    }
    let shown = asked.page_of(&rows);
    let total = i64::try_from(rows.len()).unwrap_or(i64::MAX);
    asked.listing(shown, total, &COLUMNS, None)
}
