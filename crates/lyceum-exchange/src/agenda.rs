//! What is to be done in somebody's courses: what she can hand in and until when, what came back, and
//! what came in where she grades.
//!
//! It is asked for with each look at a page, so the database is asked a fixed number of times, however
//! many courses and assignments there are. Nobody learns of more than the exchange would give her.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::Timestamp;
use lyceum_courses::{Assignment, Course as CourseFile, CourseId, Terms, Verdict, Who};
use lyceum_model::name::UserName;
use lyceum_model::who::CourseRole;
use lyceum_store::Tx;

use crate::db::agenda::{Arrived, Own, Released};
use crate::moment::Moment;
use crate::people::{self, Standing};
use crate::{Exchange, course, db, rules};

/// Of more courses than this nobody is told.
const COURSES_MAX: usize = 200;
/// What came in is counted for so many assignments, those that are or were due nearest to now.
const COUNTED_MAX: usize = 20;
/// Of how many something came in is told only where the people are no more than so many.
const PEOPLE_MAX: usize = 5000;
/// Those who teach one course, whose own tries don't count.
const STAFF_MAX: usize = 200;
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
    pub course: CourseId,
    /// What she can hand in now.
    pub open: Vec<Open>,
    /// What she got back lately, the newest first.
    pub returned: Vec<Returned>,
    /// What came in or is about to, only where she grades: first that for which somebody waits, and of it
    /// what is or was due nearest to now.
    pub arrivals: Vec<Arrivals>,
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
    id: &'a CourseId,
    file: &'a CourseFile,
    standing: Standing,
}

/// What is to be done in these of her courses. Those in which she is nothing, or in which nothing is to be
/// done, are left out.
pub async fn of(
    exchange: &Exchange,
    tx: &mut Tx,
    asking: Asking<'_>,
    courses: &[(CourseId, Arc<CourseFile>)],
) -> sqlx::Result<Vec<Agenda>> {
    let mine = mine(tx, asking, courses).await?;
    if mine.is_empty() {
        return Ok(Vec::new());
    }
    let names: Vec<&str> = mine.iter().map(|course| course.id.as_str()).collect();
    let released = db::agenda::released(tx, &names).await?;
    let own = own(tx, asking, &mine, &released).await?;
    let arrivals = arrivals(exchange, tx, &mine, &released).await?;
    let now = exchange.time();
    let agendas = mine.iter().zip(arrivals).map(|(course, arrivals)| {
        let (open, returned) = match course.standing.is_student() {
            true => course.tasks(exchange, asking, &released, &own, now),
            false => (Vec::new(), Vec::new()),
        };
        Agenda {
            course: course.id.clone(),
            open,
            returned,
            arrivals,
        }
    });
    let is_empty = |agenda: &Agenda| {
        agenda.open.is_empty() && agenda.returned.is_empty() && agenda.arrivals.is_empty()
    };
    Ok(agendas.filter(|agenda| !is_empty(agenda)).collect())
}

async fn mine<'a>(
    tx: &mut Tx,
    asking: Asking<'_>,
    courses: &'a [(CourseId, Arc<CourseFile>)],
) -> sqlx::Result<Vec<Mine<'a>>> {
    let added = db::people::courses_of(tx, asking.name.as_str()).await?;
    let added: BTreeMap<&str, &str> = added
        .iter()
        .map(|(course, _, role)| (course.as_str(), role.as_str()))
        .collect();
    let mine = courses.iter().filter_map(|(id, file)| {
        let standing = Standing {
            // What waits for an administrator is not what waits in everybody's courses.
            admin: false,
            by_file: people::by_file(file, asking.name, asking.groups),
            added: course::added(Some(file), added.get(id.as_str()).copied()),
        };
        standing.role()?;
        Some(Mine { id, file, standing })
    });
    Ok(mine.take(COURSES_MAX).collect())
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
    let names: BTreeSet<&str> = courses.map(|course| course.id.as_str()).collect();
    let rows = released.iter();
    rows.filter(|row| names.contains(row.course.as_str()))
        .map(|row| (row.course.as_str(), row.course_id.as_str()))
        .collect()
}

impl Mine<'_> {
    fn released<'a>(
        &'a self,
        released: &'a [Released],
    ) -> impl Iterator<Item = (&'a Released, Option<&'a Assignment>)> {
        let rows = released
            .iter()
            .filter(move |row| row.course == self.id.as_str());
        rows.map(move |row| (row, rules::of_file(self.file, &row.name)))
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
            let terms =
                rules.and_then(|rules| rules.terms_for(self.file, asking.name, asking.groups));
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

/// Those who are something in a course.
struct Crowd<'a> {
    /// Those who teach or grade.
    staff: Vec<&'a str>,
    students: Option<u64>,
}

/// For each of her courses what came in.
async fn arrivals(
    exchange: &Exchange,
    tx: &mut Tx,
    mine: &[Mine<'_>],
    released: &[Released],
) -> sqlx::Result<Vec<Vec<Arrivals>>> {
    let counted = counted(mine, released, exchange.time());
    if counted.is_empty() {
        return Ok(mine.iter().map(|_| Vec::new()).collect());
    }
    let taught = || mine.iter().filter(|course| course.standing.grades());
    let ids = ids_of(taught(), released);
    let members = members(exchange, tx, taught(), &ids).await?;
    let crowds: BTreeMap<&str, Crowd<'_>> = taught()
        .map(|course| (course.id.as_str(), members.crowd(course)))
        .collect();
    let asked_in: BTreeSet<&str> = counted.iter().map(|row| row.course.as_str()).collect();
    let staff: Vec<(&str, Vec<&str>)> = ids
        .iter()
        .filter(|(course, _)| asked_in.contains(*course))
        .filter_map(|(course, id)| Some((*id, crowds.get(course)?.staff.clone())))
        .collect();
    let asked: Vec<&str> = counted.iter().map(|row| row.id.as_str()).collect();
    let arrived = db::agenda::arrived(tx, &asked, &staff).await?;
    let arrived: BTreeMap<&str, &Arrived> = arrived
        .iter()
        .map(|row| (row.assignment_id.as_str(), row))
        .collect();
    let now = exchange.time();
    let told = mine.iter().map(|course| {
        let students = crowds
            .get(course.id.as_str())
            .and_then(|crowd| crowd.students);
        let mut told: Vec<Arrivals> = course
            .released(&counted)
            .filter_map(|(row, rules)| {
                told(row, rules, arrived.get(row.id.as_str()), students, now)
            })
            .collect();
        told.sort_by_key(|one| {
            let far = one.due.map(|due| distance(due.as_millisecond(), now));
            (one.waiting == 0, far.is_none(), far)
        });
        told
    });
    Ok(told.collect())
}

fn distance(at: i64, now: Timestamp) -> u64 {
    at.abs_diff(now.as_millisecond())
}

/// Of what is open in the courses in which she grades, what is or was due nearest to now.
fn counted(mine: &[Mine<'_>], released: &[Released], now: Timestamp) -> Vec<Released> {
    let taught = mine.iter().filter(|course| course.standing.grades());
    let open = taught.flat_map(|course| {
        let all = course.released(released);
        all.filter(|(_, rules)| is_open(*rules, now))
    });
    let mut open: Vec<(&Released, i64)> = open
        .map(|(row, rules)| {
            let due = rules.and_then(|rules| rules.terms).map(|terms| terms.due);
            (row, due.map_or(row.created_at, Timestamp::as_millisecond))
        })
        .collect();
    open.sort_by_key(|(_, at)| distance(*at, now));
    let nearest = open.into_iter().take(COUNTED_MAX);
    nearest.map(|(row, _)| row.clone()).collect()
}

/// Nothing where nobody waits and nobody is about to hand in.
fn told(
    row: &Released,
    rules: Option<&Assignment>,
    arrived: Option<&&Arrived>,
    students: Option<u64>,
    now: Timestamp,
) -> Option<Arrivals> {
    let terms = rules.and_then(|rules| rules.terms);
    let number = |count: i64| u64::try_from(count).unwrap_or_default();
    let given = arrived.map_or(0, |row| number(row.given));
    let told = Arrivals {
        assignment: row.name.clone(),
        due: terms.map(|terms| terms.due),
        given,
        // Who handed in and left the course since counts among them.
        students: students.map(|students| students.max(given)),
        waiting: arrived.map_or(0, |row| number(row.given - row.returned)),
        newest: arrived.map(|row| Moment(row.newest)),
    };
    let is_expected = terms.is_some_and(|terms| now <= terms.in_time);
    (told.waiting > 0 || is_expected).then_some(told)
}

/// Everybody in the courses in which she grades, as far as they are not too many.
struct Members<'a> {
    /// By group.
    grouped: Option<BTreeMap<String, Vec<UserName>>>,
    /// By the exchange's id of a course, with the word of their role.
    added: Option<BTreeMap<String, Vec<(String, String)>>>,
    ids: &'a BTreeMap<&'a str, &'a str>,
}

async fn members<'a>(
    exchange: &Exchange,
    tx: &mut Tx,
    taught: impl Iterator<Item = &'a Mine<'a>>,
    ids: &'a BTreeMap<&'a str, &'a str>,
) -> sqlx::Result<Members<'a>> {
    let groups: BTreeSet<&str> = taught
        .flat_map(|course| course::listed(course.file))
        .filter_map(|(_, who)| match who {
            Who::Group(group) => Some(group.as_str()),
            Who::Person(_) | Who::Course { .. } | Who::Role(_) => None,
        })
        .collect();
    let groups: Vec<&str> = groups.into_iter().collect();
    let grouped = match groups.is_empty() {
        true => Some(Vec::new()),
        false => {
            let asked = exchange.groups();
            asked.members_of_all(tx, &groups, PEOPLE_MAX).await?
        }
    };
    let asked: Vec<&str> = ids.values().copied().collect();
    let most = i64::try_from(PEOPLE_MAX).unwrap_or(i64::MAX);
    let added = db::agenda::added(tx, &asked, most).await?;
    Ok(Members {
        grouped: grouped.map(by_first),
        added: added.map(|rows| {
            let rows = rows.into_iter();
            by_first(rows.map(|(course, name, role)| (course, (name, role))))
        }),
        ids,
    })
}

fn by_first<T>(pairs: impl IntoIterator<Item = (String, T)>) -> BTreeMap<String, Vec<T>> {
    let mut map = BTreeMap::<String, Vec<T>>::new();
    for (key, value) in pairs {
        map.entry(key).or_default().push(value);
    }
    map
}

impl Members<'_> {
    /// As [`course::Course::members`] has it: the more powerful role counts.
    fn crowd<'a>(&'a self, course: &Mine<'a>) -> Crowd<'a> {
        let mut roles = BTreeMap::<&str, CourseRole>::new();
        let mut put = |name: &'a str, role: CourseRole| {
            let known = roles.entry(name).or_insert(role);
            if role.covers(*known) {
                *known = role;
            }
        };
        for (role, who) in course::listed(course.file) {
            match who {
                Who::Person(name) => put(name.as_str(), role),
                Who::Group(group) => {
                    let members = self.grouped.as_ref().and_then(|map| map.get(group));
                    for name in members.into_iter().flatten() {
                        put(name.as_str(), role);
                    }
                }
                Who::Course { .. } | Who::Role(_) => {}
            }
        }
        let id = self.ids.get(course.id.as_str()).copied();
        let added = self.added.as_ref();
        let added = added.zip(id).and_then(|(map, id)| map.get(id));
        for (name, word) in added.into_iter().flatten() {
            let added = course::added(Some(course.file), Some(word));
            if let Some(role) = added.map(people::Added::role) {
                put(name, role);
            }
        }
        let is_whole = self.grouped.is_some() && self.added.is_some();
        let students = roles.values().filter(|role| **role == CourseRole::Student);
        let students = is_whole.then(|| students.count() as u64);
        let staff = roles
            .iter()
            .filter(|(_, role)| **role != CourseRole::Student);
        Crowd {
            staff: staff.map(|(name, _)| *name).take(STAFF_MAX).collect(),
            students,
        }
    }
}
