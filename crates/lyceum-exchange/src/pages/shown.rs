//! Courses, assignments and submissions as pages show them.

use lyceum_courses::assignment::Per;
use lyceum_model::name::UserName;
use lyceum_web::page::contexts::courses::{
    AssignmentHead, Costs, CourseHead, FileRow, Limits, SubmissionRow,
};

use super::{Reader, assignment_path, course_path, submission_path};
use crate::Exchange;
use crate::api::native::model::State;
use crate::api::visitor::Entered;
use crate::db::assignments::Released;
use crate::db::pages::Newest;
use crate::db::submissions::Told;
use crate::moment::Moment;
use crate::rules;
use crate::tree::TreeFile;

/// What is in a form around files.
const AROUND: u64 = 64 * 1024;

pub(super) fn course(reader: &Reader, entered: &Entered) -> CourseHead {
    let (course, standing) = (&entered.course, entered.standing);
    let (name, file) = (course.name.as_str(), course.file.as_ref());
    let path = course_path(name);
    let people = standing.grades().then(|| format!("{path}/people"));
    CourseHead {
        id: name.to_owned(),
        title: file.map_or(name, |file| file.title.as_str()).to_owned(),
        term: file.and_then(|file| file.term.clone()),
        role: standing.role().map(|role| role.as_str()),
        archived: course.is_archived(),
        url: reader.at(&path),
        people_url: people.map(|path| reader.at(&path)),
    }
}

/// With the rules that count for somebody in these groups. What was released and is withdrawn comes
/// with its newest version, too.
pub(super) fn assignment(
    exchange: &Exchange,
    reader: &Reader,
    entered: &Entered,
    (name, released): (&str, Option<&Released>),
    (person, groups): (&UserName, &[String]),
) -> AssignmentHead {
    let course = &entered.course;
    let rules = course.rules(name);
    let terms = course.terms(name, person, groups);
    let opens = rules.and_then(|rules| rules.opens);
    let had = released.filter(|row| row.withdrawn_at.is_none());
    let state = match released.is_some() && had.is_none() {
        true => "withdrawn",
        false => State::of(had.is_some(), opens, terms.as_ref(), entered.now).as_str(),
    };
    let limits = course.limits(name);
    let most = limits.size.map_or(u64::MAX, |size| size.0);
    let kinds = limits.kinds.as_ref().map(|kinds| {
        let kinds: Vec<String> = kinds.iter().map(|kind| format!(".{kind}")).collect();
        kinds.join(", ")
    });
    AssignmentHead {
        name: name.to_owned(),
        url: reader.at(&assignment_path(course.name.as_str(), name)),
        state,
        opens: opens.map(|at| at.as_millisecond()),
        due: terms.map(|terms| terms.due.as_millisecond()),
        extended: terms.is_some() && rules.is_some_and(|rules| rules.terms != terms),
        grace: terms
            .filter(|terms| terms.in_time > terms.due)
            .map(|terms| terms.in_time.as_millisecond()),
        takes_late: terms.is_some_and(|terms| terms.ends.is_none_or(|ends| ends > terms.in_time)),
        ends: terms
            .and_then(|terms| terms.ends)
            .map(|at| at.as_millisecond()),
        costs: rules.and_then(|rules| rules.costs).map(|costs| Costs {
            percent: costs.percent(),
            per: costs.per.map(Per::as_str),
        }),
        version: had.map(|row| row.version),
        released: had.map(|row| row.released_at),
        limits: Limits {
            size: number(most.min(files_max(exchange.body_max()))),
            files: limits.files,
            kinds,
            submissions: limits.submissions.map(|_| rules::most(exchange, &limits)),
        },
    }
}

/// What files may have together in a form of at most so much: there are their names and a token in it, too.
pub(super) fn files_max(body_max: u64) -> u64 {
    body_max.saturating_sub(AROUND).max(body_max / 2)
}

/// A path as it is read: letters that turn the direction of what follows (`\u{202e}`) don't.
pub(super) fn readable(path: &str) -> String {
    let is_turn = |letter: char| matches!(letter, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    let mut told = String::with_capacity(path.len());
    for letter in path.chars() {
        match is_turn(letter) {
            true => told.extend(letter.escape_unicode()),
            false => told.push(letter),
        }
    }
    told
}

pub(super) fn number(bytes: u64) -> i64 {
    i64::try_from(bytes).unwrap_or(i64::MAX)
}

pub(super) fn newest(reader: &Reader, course: &str, row: &Newest) -> SubmissionRow {
    let path = submission_path(course, &row.id);
    SubmissionRow {
        url: reader.at(&path),
        number: row.number,
        version: row.version,
        student: row.student.clone(),
        at: Moment(row.at).to_millis(),
        late: row.late,
        files: row.files,
        bytes: row.bytes,
        feedback: row.feedback_at,
        zip_url: reader.at(&format!("{path}/zip")),
    }
}

pub(super) fn told(reader: &Reader, course: &str, row: &Told) -> SubmissionRow {
    let path = submission_path(course, &row.id);
    SubmissionRow {
        url: reader.at(&path),
        number: row.number,
        version: row.version,
        student: row.student.clone(),
        at: Moment(row.at).to_millis(),
        late: row.late,
        files: row.files,
        bytes: row.bytes,
        feedback: row.feedback_at,
        zip_url: reader.at(&format!("{path}/zip")),
    }
}

/// A file at a path of ours; `look`: where pages are shown.
pub(super) fn file(reader: &Reader, file: &TreeFile, path: &str, look: Option<&str>) -> FileRow {
    let query = url::form_urlencoded::Serializer::new(String::new())
        .append_pair("path", file.path.as_str())
        .finish();
    let at = |path: &str| reader.at(&format!("{path}?{query}"));
    FileRow {
        path: readable(file.path.as_str()),
        bytes: number(file.size),
        url: at(path),
        look_url: look.filter(|_| is_page(file)).map(at),
    }
}

/// Whether it is something that a browser shows.
pub(super) fn is_page(file: &TreeFile) -> bool {
    let name = file.path.as_str().to_ascii_lowercase();
    [".html", ".htm"].iter().any(|end| name.ends_with(end))
}
