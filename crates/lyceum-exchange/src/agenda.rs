//! What is to be done in somebody's courses: what she can hand in and until when, what came back, and
//! what came in where she grades.
//!
//! It is asked for with each look at a page, so the database is asked a fixed number of times, however
//! many courses and assignments there are. Nobody learns of more than the exchange would give her.
//! What she handed in herself is as it is now; what came in from others may be some seconds old
//! (`kept`).

mod arrivals;
mod kept;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::Timestamp;
use lyceum_courses::{Assignment, Course as CourseFile, CourseId, Terms, Verdict};
use lyceum_model::name::UserName;
use lyceum_model::who::CourseRole;
use lyceum_store::Tx;

pub(crate) use arrivals::{COUNTED_MAX, of_course};
pub(crate) use kept::Kept;

use crate::db::agenda::{Own, Released};
use crate::moment::Moment;
use crate::people::{self, Standing};
use crate::{Exchange, course, db, rules};

/// Of more courses than this nobody is told.
const COURSES_MAX: usize = 200;
/// What came back is told of for so long.
const RETURNED_FOR_MS: i64 = 14 * 24 * 3_600_000;

/// Whoever asks.
#[derive(Debug, Clone, Copy)]
pub struct Asking<'a> {
    pub name: &'a UserName,
    pub groups: &'a [String],
}

/// What is to be done in one course.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Agenda {
    /// Its name in the exchange, which is the id of a course that has a file.
    pub course: String,
    /// Where no file makes her that much there, what somebody's request did.
    pub added: Option<AddedTo>,
    /// What she can hand in now.
    pub open: Vec<Open>,
    /// What she got back lately, the newest first.
    pub returned: Vec<Returned>,
    /// What came in or is about to, only where she grades: first that for which somebody waits, and of it
    /// what is or was due nearest to now.
    pub arrivals: Vec<Arrivals>,
}

/// A course to which she was added by a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AddedTo {
    pub role: CourseRole,
    /// The file's, where it has one; else its name.
    pub title: String,
    pub term: Option<String>,
    /// It can only be read, so nothing is to be done in it.
    pub archived: bool,
}

/// An assignment that is taken now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Open {
    pub assignment: String,
    /// As they are for her; none: it is taken at any time.
    pub terms: Option<Terms>,
    pub is_late: bool,
    pub handed_in: Option<Moment>,
    /// Whether it may be handed in (once more).
    pub again: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Returned {
    pub assignment: String,
    /// Milliseconds since 1970.
    pub at: i64,
}

/// What people handed in for an assignment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Arrivals {
    pub assignment: String,
    pub due: Option<Timestamp>,
    /// How many people handed it in.
    pub given: u64,
    /// Of how many who take the course; nothing: too many to be counted.
    pub students: Option<u64>,
    /// How many wait for something to come back for their newest.
    pub waiting: u64,
    pub newest: Option<Moment>,
}

/// A course in which she is something.
struct Mine<'a> {
    name: &'a str,
    file: Option<&'a Arc<CourseFile>>,
    standing: Standing,
}

/// What is to be done in these courses and in those to which she was added by a request. Those in which
/// she is nothing are left out, and those of the files in which nothing is to be done.
pub async fn of(
    exchange: &Exchange,
    asking: Asking<'_>,
    courses: &[(CourseId, Arc<CourseFile>)],
) -> sqlx::Result<Vec<Agenda>> {
    let mut tx = exchange.db().read().await?;
    let added = db::people::courses_of(&mut tx, asking.name.as_str()).await?;
    let beside = beside(exchange, courses, &added);
    let mine = mine(asking, courses, &beside, &added);
    if mine.is_empty() {
        return Ok(Vec::new());
    }
    // In one that is archived nothing is to be done any more.
    let going_on = mine.iter().filter(|course| !course.is_archived());
    let names: Vec<&str> = going_on.map(|course| course.name).collect();
    let released = db::agenda::released(&mut tx, &names).await?;
    let own = own(&mut tx, asking, &mine, &released).await?;
    // Who waits for what others count keeps no connection from them.
    drop(tx);
    let arrivals = arrivals::of(exchange, &mine, &released).await?;
    let now = exchange.time();
    let agendas = mine.iter().zip(arrivals).map(|(course, arrivals)| {
        let (open, returned) = match course.standing.is_student() {
            true => course.tasks(exchange, asking, &released, &own, now),
            false => (Vec::new(), Vec::new()),
        };
        Agenda {
            course: course.name.to_owned(),
            added: course.added_to(),
            open,
            returned,
            arrivals,
        }
    });
    let is_empty = |agenda: &Agenda| {
        agenda.added.is_none()
            && agenda.open.is_empty()
            && agenda.returned.is_empty()
            && agenda.arrivals.is_empty()
    };
    Ok(agendas.filter(|agenda| !is_empty(agenda)).collect())
}

/// To what somebody was added: the name, whether it was made by a request, and as what.
type Request = (String, bool, String);

/// The courses beside those that are asked about to which she was added, by name.
fn beside<'a>(
    exchange: &Exchange,
    courses: &[(CourseId, Arc<CourseFile>)],
    added: &'a [Request],
) -> BTreeMap<&'a str, Option<Arc<CourseFile>>> {
    let asked: BTreeSet<&str> = courses.iter().map(|(id, _)| id.as_str()).collect();
    let others = added
        .iter()
        .filter(|(name, ..)| !asked.contains(name.as_str()));
    let found = others.filter_map(|(name, made, _)| {
        let id = CourseId::parse(name);
        let file = id.as_ref().and_then(|id| exchange.shelf().course(id));
        // Without the rules of a file that can't be read nothing is taken.
        let is_clear = || id.is_none_or(|id| !exchange.shelf().is_unclear(&id));
        let is_there = file.is_some() || (*made && is_clear());
        is_there.then_some((name.as_str(), file))
    });
    found.collect()
}

fn mine<'a>(
    asking: Asking<'_>,
    courses: &'a [(CourseId, Arc<CourseFile>)],
    beside: &'a BTreeMap<&'a str, Option<Arc<CourseFile>>>,
    added: &[Request],
) -> Vec<Mine<'a>> {
    let added: BTreeMap<&str, &str> = added
        .iter()
        .map(|(course, _, role)| (course.as_str(), role.as_str()))
        .collect();
    // Those of the files that are archived have cards of their own.
    let seen = courses.iter().filter(|(_, file)| !file.is_archived());
    let seen = seen.map(|(id, file)| (id.as_str(), Some(file)));
    let beside = beside.iter().map(|(name, file)| (*name, file.as_ref()));
    let mine = seen.chain(beside).filter_map(|(name, file)| {
        let by_file = file.and_then(|file| people::by_file(file, asking.name, asking.groups));
        let standing = Standing {
            // What waits for an administrator is not what waits in everybody's courses.
            admin: false,
            by_file,
            added: course::added(
                file.map(Arc::as_ref),
                added.get(name).copied(),
                file.is_some_and(|file| file.is_blocked(asking.name, asking.groups)),
            ),
        };
        standing.role()?;
        Some(Mine {
            name,
            file,
            standing,
        })
    });
    mine.take(COURSES_MAX).collect()
}

/// What she handed in where she is a student, by assignment.
async fn own(
    tx: &mut Tx,
    asking: Asking<'_>,
    mine: &[Mine<'_>],
    released: &[Released],
) -> sqlx::Result<BTreeMap<String, Own>> {
    let taken = mine.iter().filter(|course| course.standing.is_student());
    let ids: Vec<&str> = ids_of(taken, released).into_values().collect();
    if ids.is_empty() {
        return Ok(BTreeMap::new());
    }
    let own = db::agenda::own(tx, asking.name.as_str(), &ids).await?;
    let own = own.into_iter().map(|row| (row.assignment_id.clone(), row));
    Ok(own.collect())
}

/// Under which ids the exchange keeps those of the courses in which something was released.
fn ids_of<'a>(
    courses: impl Iterator<Item = &'a Mine<'a>>,
    released: &'a [Released],
) -> BTreeMap<&'a str, &'a str> {
    let names: BTreeSet<&str> = courses.map(|course| course.name).collect();
    let rows = released.iter();
    rows.filter(|row| names.contains(row.course.as_str()))
        .map(|row| (row.course.as_str(), row.course_id.as_str()))
        .collect()
}

impl Mine<'_> {
    fn added_to(&self) -> Option<AddedTo> {
        let by_file = self.standing.by_file;
        let role = self.standing.role().filter(|role| by_file != Some(*role))?;
        let title = self.file.map_or(self.name, |file| file.title.as_str());
        Some(AddedTo {
            role,
            title: title.to_owned(),
            term: self.file.and_then(|file| file.term.clone()),
            archived: self.is_archived(),
        })
    }

    fn is_archived(&self) -> bool {
        self.file.is_some_and(|file| file.is_archived())
    }

    fn released<'a>(
        &'a self,
        released: &'a [Released],
    ) -> impl Iterator<Item = (&'a Released, Option<&'a Assignment>)> {
        let rows = released.iter().filter(move |row| row.course == self.name);
        let rules = |name: &str| self.file.and_then(|file| rules::of_file(file, name));
        rows.map(move |row| (row, rules(&row.name)))
    }

    fn tasks(
        &self,
        exchange: &Exchange,
        asking: Asking<'_>,
        released: &[Released],
        own: &BTreeMap<String, Own>,
        now: Timestamp,
    ) -> (Vec<Open>, Vec<Returned>) {
        let (mut open, mut returned) = (Vec::new(), Vec::new());
        for (row, rules) in self.released(released) {
            if !is_open(rules, now) {
                continue;
            }
            let own = own.get(&row.id);
            let lately = now.as_millisecond() - RETURNED_FOR_MS;
            let came = own.and_then(|own| own.returned_at);
            if let Some(at) = came.filter(|at| *at >= lately) {
                let assignment = row.name.clone();
                returned.push(Returned { assignment, at });
            }
            let terms = (self.file.zip(rules))
                .and_then(|(file, rules)| rules.terms_for(file, asking.name, asking.groups));
            let verdict = terms.map(|terms| terms.judge(now));
            if matches!(verdict, Some(Verdict::Closed(_))) {
                continue;
            }
            let limits = rules.map(|rules| rules.limits.clone()).unwrap_or_default();
            open.push(Open {
                assignment: row.name.clone(),
                terms,
                is_late: matches!(verdict, Some(Verdict::Late(_))),
                handed_in: own.map(|own| Moment(own.newest)),
                again: own.is_none_or(|own| own.times < rules::most(exchange, &limits)),
            });
        }
        returned.sort_by_key(|back| std::cmp::Reverse(back.at));
        (open, returned)
    }
}

fn is_open(rules: Option<&Assignment>, now: Timestamp) -> bool {
    rules.is_none_or(|rules| rules.is_open(now))
}
