//! Who is in a course, and why.

use std::collections::{BTreeMap, BTreeSet};

use lyceum_courses::{Visibility, Who};
use lyceum_model::name::UserName;
use lyceum_model::who::CourseRole;
use lyceum_store::Tx;

use crate::course::Course;
use crate::db::people::Row;
use crate::people::Added;
use crate::{Exchange, db};

/// More are not listed.
const MOST: usize = 60_000;

pub(super) struct Member {
    pub(super) role: CourseRole,
    pub(super) from: From,
    /// What she is called in the course.
    pub(super) called: Option<String>,
}

/// What makes somebody a member.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum From {
    File,
    Group(String),
    Request,
}

/// Everybody who is something there by name, with three statements; nothing where they are too many.
pub(super) async fn of(
    exchange: &Exchange,
    tx: &mut Tx,
    course: &Course,
) -> sqlx::Result<Option<BTreeMap<String, Member>>> {
    let file = course.file.as_deref();
    let is_private = file.is_some_and(|file| file.visible == Visibility::Private);
    gather(exchange, tx, course, is_private).await
}

/// As [`of`], also those who are nothing while the course is private.
pub(super) async fn enrolled(
    exchange: &Exchange,
    tx: &mut Tx,
    course: &Course,
) -> sqlx::Result<Option<BTreeMap<String, Member>>> {
    gather(exchange, tx, course, false).await
}

/// `alone`: those who teach, and no others.
async fn gather(
    exchange: &Exchange,
    tx: &mut Tx,
    course: &Course,
    alone: bool,
) -> sqlx::Result<Option<BTreeMap<String, Member>>> {
    let file = course.file.as_deref();
    let counts = |role: CourseRole| !alone || role == CourseRole::Teacher;
    let mut entries: Vec<(CourseRole, &Who)> = Vec::new();
    let mut blocks: Vec<&Who> = Vec::new();
    if let Some(file) = file {
        for role in CourseRole::ALL.into_iter().filter(|role| counts(*role)) {
            entries.extend(file.people.list(role).iter().map(|who| (role, who)));
        }
        blocks.extend(file.people.blocked.iter());
    }
    let named = entries.iter().map(|(_, who)| *who);
    let groups: BTreeSet<&str> = named
        .chain(blocks.iter().copied())
        .filter_map(|who| match who {
            Who::Group(group) => Some(group.as_str()),
            Who::Person(_) | Who::Course { .. } | Who::Role(_) => None,
        })
        .collect();
    let groups: Vec<&str> = groups.into_iter().collect();
    let mut grouped: BTreeMap<String, Vec<UserName>> = BTreeMap::new();
    if !groups.is_empty() {
        let all = exchange.groups().members_of_all(tx, &groups, MOST).await?;
        let Some(all) = all else {
            return Ok(None);
        };
        for (group, name) in all {
            grouped.entry(group).or_default().push(name);
        }
    }
    let blocked: BTreeSet<String> = blocks
        .into_iter()
        .flat_map(|who| names_of(who, &grouped))
        .collect();
    let mut members: BTreeMap<String, Member> = BTreeMap::new();
    // The most powerful come first, and count.
    for (role, who) in entries {
        let from = match who {
            Who::Group(group) => From::Group(group.clone()),
            Who::Person(_) | Who::Course { .. } | Who::Role(_) => From::File,
        };
        for name in names_of(who, &grouped) {
            if !role.is_staff() && blocked.contains(&name) {
                continue;
            }
            members.entry(name).or_insert_with(|| Member {
                role,
                from: from.clone(),
                called: None,
            });
        }
    }
    let rows = match course.known_id() {
        Some(id) => db::people::list(tx, id).await?,
        None => Vec::new(),
    };
    for row in rows {
        let role = row.role.as_deref().and_then(Added::parse).map(Added::role);
        let is_blocked = blocked.contains(&row.name);
        let role = role.filter(|role| counts(*role) && (role.is_staff() || !is_blocked));
        let called = called(&row);
        match (members.get_mut(&row.name), role) {
            (Some(known), role) => {
                known.called = called;
                if let Some(role) = role.filter(|role| !known.role.covers(*role)) {
                    (known.role, known.from) = (role, From::Request);
                }
            }
            (None, Some(role)) => {
                let member = Member {
                    role,
                    from: From::Request,
                    called,
                };
                members.insert(row.name, member);
            }
            (None, None) => {}
        }
    }
    Ok((members.len() <= MOST).then_some(members))
}

/// Those whom an entry names.
fn names_of(who: &Who, grouped: &BTreeMap<String, Vec<UserName>>) -> Vec<String> {
    match who {
        Who::Person(name) => vec![name.to_string()],
        Who::Group(group) => {
            let names = grouped.get(group).into_iter().flatten();
            names.map(ToString::to_string).collect()
        }
        Who::Course { .. } | Who::Role(_) => Vec::new(),
    }
}

fn called(row: &Row) -> Option<String> {
    let names = [&row.first_name, &row.last_name];
    let names = names.into_iter().flatten().filter(|name| !name.is_empty());
    let names: Vec<&str> = names.map(String::as_str).collect();
    (!names.is_empty()).then(|| names.join(" "))
}
