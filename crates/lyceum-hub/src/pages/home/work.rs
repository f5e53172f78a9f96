//! What is to be done in her courses, as rows of the page.

use lyceum_model::base::BasePath;
use lyceum_model::clock::Millis;
use lyceum_web::page::contexts::{
    ArrivalRow, CourseRow, FeedbackRow, MistakeRow, TaskRow, WaitingRow,
};

use crate::course_work::{self, Arrivals, CourseWork, Task};

/// Of one course no more are shown.
const ARRIVALS_MAX: usize = 5;
const FEEDBACK_MAX: usize = 3;

/// Puts the courses beside hers to which she was added, after hers; on the cards of hers, what more she
/// became there.
pub(super) fn add(rows: &mut Vec<CourseRow>, all: &[CourseWork]) {
    for work in all {
        let Some(added) = &work.added else {
            continue;
        };
        let role = added.role.as_str().to_owned();
        match rows.iter_mut().find(|row| row.id == work.course) {
            Some(row) if row.roles.contains(&role) => {}
            // It is more than what she is otherwise.
            Some(row) => row.roles.insert(0, role),
            None => rows.push(CourseRow {
                anchor: anchor(&work.course),
                id: work.course.clone(),
                title: added.title.clone(),
                term: added.term.clone(),
                roles: vec![role],
                archived: added.archived,
                ..CourseRow::default()
            }),
        }
    }
    // What is over stands below the rest.
    rows.sort_by_key(|row| row.archived);
}

/// Where it is on the page. Courses that were made by a request have any name.
pub(super) fn anchor(course: &str) -> String {
    let course: String = url::form_urlencoded::byte_serialize(course.as_bytes()).collect();
    format!("course-{course}")
}

/// Puts what is to be done in each course on its card.
pub(super) fn put(rows: &mut [CourseRow], all: &[CourseWork], base: &BasePath, now: Millis) {
    for work in all {
        let Some(row) = rows.iter_mut().find(|row| row.id == work.course) else {
            continue;
        };
        row.task = work.next().map(|next| task(&row.title, next, base, now));
        row.open = count(work.open());
        let feedback = work.feedback.iter().take(FEEDBACK_MAX);
        row.feedback = feedback
            .map(|back| FeedbackRow {
                name: back.name.clone(),
                at: back.at.0,
            })
            .collect();
    }
}

/// The card of the course in which the next thing is to be done.
pub(super) fn next<'a>(rows: &'a [CourseRow], all: &[CourseWork]) -> Option<&'a CourseRow> {
    let shown = all
        .iter()
        .filter(|work| rows.iter().any(|row| row.id == work.course));
    let (work, _) = course_work::next(shown)?;
    rows.iter().find(|row| row.id == work.course)
}

/// What waits for those who teach, in the order of the cards.
pub(super) fn waiting(
    rows: &[CourseRow],
    all: &[CourseWork],
    base: &BasePath,
    now: Millis,
) -> Vec<WaitingRow> {
    let waiting = rows.iter().filter_map(|row| {
        let work = all.iter().find(|work| work.course == row.id)?;
        work.waits().then(|| waits(row, work, base, now))
    });
    waiting.collect()
}

fn waits(row: &CourseRow, work: &CourseWork, base: &BasePath, now: Millis) -> WaitingRow {
    let shown = work.arrivals.iter().take(ARRIVALS_MAX);
    let mistake = work.mistakes.first().map(|mistake| MistakeRow {
        line: mistake.line,
        words: mistake.words.clone(),
    });
    WaitingRow {
        course: row.id.clone(),
        title: row.title.clone(),
        url: row
            .url
            .clone()
            .unwrap_or_else(|| format!("#{}", row.anchor)),
        arrivals: shown.map(|one| arrival(one, base, now)).collect(),
        more: count(work.arrivals.len().saturating_sub(ARRIVALS_MAX)),
        mistake,
        rest_holds: work.rest_holds,
        more_mistakes: count(work.mistakes.len().saturating_sub(1)),
    }
}

fn arrival(one: &Arrivals, base: &BasePath, now: Millis) -> ArrivalRow {
    ArrivalRow {
        name: one.name.clone(),
        due: one.due.map(|due| due.0),
        past: one.due.is_some_and(|due| due < now),
        given: one.given,
        students: one.students,
        waiting: one.waiting,
        newest: one.newest.map(|at| at.0),
        url: one.page.as_ref().map(|page| base.at(page)),
    }
}

fn task(course: &str, task: &Task, base: &BasePath, now: Millis) -> TaskRow {
    let is_past = task.due.is_some_and(|due| due < now);
    let grace = task.in_time_until.filter(|_| is_past && !task.late);
    TaskRow {
        course: course.to_owned(),
        name: task.name.clone(),
        due: task.due.map(|due| due.0),
        grace: grace.map(|until| until.0),
        late: task.late,
        taken_until: task.taken_until.map(|until| until.0),
        handed_in: task.handed_in.map(|at| at.0),
        url: task.page.as_ref().map(|page| base.at(page)),
    }
}

fn count(many: usize) -> u64 {
    u64::try_from(many).unwrap_or(u64::MAX)
}
