//! What came in from others, for those who grade.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::Timestamp;
use lyceum_courses::{Assignment, Course as CourseFile, Who};
use lyceum_model::name::UserName;
use lyceum_model::who::CourseRole;
use lyceum_store::Tx;

use super::{Arrivals, Mine, ids_of, is_open};
use crate::db::agenda::{Arrived, Released};
use crate::moment::Moment;
use crate::people::{self, Standing};
use crate::{Exchange, course, db};

/// What came in is counted for so many assignments, those that are or were due nearest to now.
pub(crate) const COUNTED_MAX: usize = 20;
/// Of how many something came in is told only where the people are no more than so many.
const PEOPLE_MAX: usize = 5000;
/// Those who teach one course, whose own tries don't count.
const STAFF_MAX: usize = 200;

/// What came in for some assignments; it does not depend on who asks.
#[derive(Debug, Default)]
pub(crate) struct Counted {
    /// By the assignments' ids.
    arrived: BTreeMap<String, Arrived>,
    /// By the courses' names; of those that are not here it is not known.
    students: BTreeMap<String, u64>,
}

/// For each of her courses what came in.
pub(super) async fn of(
    exchange: &Exchange,
    mine: &[Mine<'_>],
    released: &[Released],
) -> sqlx::Result<Vec<Vec<Arrivals>>> {
    let asked = asked(mine, released, exchange.time());
    if asked.is_empty() {
        return Ok(mine.iter().map(|_| Vec::new()).collect());
    }
    let mut ids: Vec<String> = asked.iter().map(|row| row.id.clone()).collect();
    ids.sort();
    let counting = count(exchange, mine, &asked);
    let counted = exchange.kept().get(ids, exchange.now(), counting).await?;
    let now = exchange.time();
    let told = mine.iter().map(|course| {
        let students = counted.students.get(course.name).copied();
        let mut told: Vec<Arrivals> = course
            .released(&asked)
            .filter_map(|(row, rules)| {
                told(row, rules, counted.arrived.get(&row.id), students, now)
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

/// What came in for these assignments of one course, by their ids, and how many take it, as far as that is
/// known. It may be some seconds old.
pub(crate) async fn of_course(
    exchange: &Exchange,
    name: &str,
    file: Option<&Arc<CourseFile>>,
    released: &[Released],
) -> sqlx::Result<(BTreeMap<String, Arrived>, Option<u64>)> {
    let mine = [Mine {
        name,
        file,
        standing: Standing::default(),
    }];
    if released.is_empty() {
        return Ok((BTreeMap::new(), None));
    }
    let mut ids: Vec<String> = released.iter().map(|row| row.id.clone()).collect();
    ids.sort();
    let counting = count(exchange, &mine, released);
    let counted = exchange.kept().get(ids, exchange.now(), counting).await?;
    let students = counted.students.get(name).copied();
    Ok((counted.arrived.clone(), students))
}

fn distance(at: i64, now: Timestamp) -> u64 {
    at.abs_diff(now.as_millisecond())
}

/// Of what is open in the courses in which she grades, what is or was due nearest to now.
fn asked(mine: &[Mine<'_>], released: &[Released], now: Timestamp) -> Vec<Released> {
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

async fn count(
    exchange: &Exchange,
    mine: &[Mine<'_>],
    asked: &[Released],
) -> sqlx::Result<Counted> {
    let mut tx = exchange.db().read().await?;
    let ids = ids_of(mine.iter(), asked);
    let taught: Vec<&Mine<'_>> = mine
        .iter()
        .filter(|course| ids.contains_key(course.name))
        .collect();
    let members = members(exchange, &mut tx, &taught, &ids).await?;
    let crowds: BTreeMap<&str, Crowd<'_>> = taught
        .iter()
        .map(|course| (course.name, members.crowd(course)))
        .collect();
    let staff: Vec<(&str, Vec<&str>)> = ids
        .iter()
        .filter_map(|(course, id)| Some((*id, crowds.get(course)?.staff.clone())))
        .collect();
    let asked: Vec<&str> = asked.iter().map(|row| row.id.as_str()).collect();
    let arrived = db::agenda::arrived(&mut tx, &asked, &staff).await?;
    let arrived = arrived.into_iter();
    let students = crowds.iter();
    Ok(Counted {
        arrived: arrived
            .map(|row| (row.assignment_id.clone(), row))
            .collect(),
        students: students
            .filter_map(|(course, crowd)| Some(((*course).to_owned(), crowd.students?)))
            .collect(),
    })
}

/// Nothing where nobody waits and nobody is about to hand in.
fn told(
    row: &Released,
    rules: Option<&Assignment>,
    arrived: Option<&Arrived>,
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

/// Those who are something in a course.
struct Crowd<'a> {
    /// Those who teach or grade.
    staff: Vec<&'a str>,
    students: Option<u64>,
}

/// Everybody in the courses that are asked about, as far as they are not too many.
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
    taught: &[&Mine<'_>],
    ids: &'a BTreeMap<&'a str, &'a str>,
) -> sqlx::Result<Members<'a>> {
    let groups: BTreeSet<&str> = taught
        .iter()
        .filter_map(|course| course.file)
        .flat_map(|file| {
            let listed = course::listed(file).map(|(_, who)| who);
            listed.chain(file.people.blocked.iter())
        })
        .filter_map(|who| match who {
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
    /// Those whom an entry names, as far as they are known.
    fn named<'a>(&'a self, who: &'a Who) -> Vec<&'a str> {
        match who {
            Who::Person(name) => vec![name.as_str()],
            Who::Group(group) => {
                let members = self.grouped.as_ref().and_then(|map| map.get(group));
                let members = members.into_iter().flatten();
                members.map(UserName::as_str).collect()
            }
            Who::Course { .. } | Who::Role(_) => Vec::new(),
        }
    }

    /// As [`course::Course::members`] has it: the more powerful role counts.
    fn crowd<'a>(&'a self, course: &Mine<'a>) -> Crowd<'a> {
        let mut roles = BTreeMap::<&str, CourseRole>::new();
        let file = course.file.map(Arc::as_ref);
        let blocked = file.into_iter().flat_map(|file| file.people.blocked.iter());
        let blocked: BTreeSet<&str> = blocked.flat_map(|who| self.named(who)).collect();
        let mut put = |name: &'a str, role: CourseRole| {
            if !role.is_staff() && blocked.contains(name) {
                return;
            }
            let known = roles.entry(name).or_insert(role);
            if role.covers(*known) {
                *known = role;
            }
        };
        for (role, who) in file.into_iter().flat_map(course::listed) {
            for name in self.named(who) {
                put(name, role);
            }
        }
        let id = self.ids.get(course.name).copied();
        let added = self.added.as_ref();
        let added = added.zip(id).and_then(|(map, id)| map.get(id));
        for (name, word) in added.into_iter().flatten() {
            let added = course::added(file, Some(word), blocked.contains(name.as_str()));
            if let Some(role) = added.map(people::Added::role) {
                put(name, role);
            }
        }
        let is_whole = self.grouped.is_some() && self.added.is_some();
        let students = roles.values().filter(|role| **role == CourseRole::Student);
        let students = is_whole.then(|| students.count() as u64);
        let staff = roles.iter().filter(|(_, role)| role.is_staff());
        Crowd {
            staff: staff.map(|(name, _)| *name).take(STAFF_MAX).collect(),
            students,
        }
    }
}
