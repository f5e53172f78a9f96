//! Who is in a course, and why.

use std::collections::BTreeMap;

use lyceum_courses::Who;
use lyceum_model::name::UserName;
use lyceum_model::who::CourseRole;
use lyceum_store::Tx;

use crate::course::{Course, added, listed};
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

/// Everybody by name, with three statements; nothing where they are too many.
pub(super) async fn of(
    exchange: &Exchange,
    tx: &mut Tx,
    course: &Course,
) -> sqlx::Result<Option<BTreeMap<String, Member>>> {
    let file = course.file.as_deref();
    let entries: Vec<(CourseRole, &Who)> = file.into_iter().flat_map(listed).collect();
    let groups: Vec<&str> = entries
        .iter()
        .filter_map(|(_, who)| match who {
            Who::Group(group) => Some(group.as_str()),
            Who::Person(_) | Who::Course { .. } | Who::Role(_) => None,
        })
        .collect();
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
    let mut members = BTreeMap::new();
    // The most powerful come first, and count.
    for (role, who) in entries {
        let (names, from) = match who {
            Who::Person(name) => (vec![name.to_string()], From::File),
            Who::Group(group) => {
                let names = grouped.get(group).into_iter().flatten();
                let names = names.map(ToString::to_string).collect();
                (names, From::Group(group.clone()))
            }
            Who::Course { .. } | Who::Role(_) => continue,
        };
        for name in names {
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
        let role = added(file, row.role.as_deref()).map(Added::role);
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

fn called(row: &Row) -> Option<String> {
    let names = [&row.first_name, &row.last_name];
    let names = names.into_iter().flatten().filter(|name| !name.is_empty());
    let names: Vec<&str> = names.map(String::as_str).collect();
    (!names.is_empty()).then(|| names.join(" "))
}
