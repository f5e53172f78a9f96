//! `lyceum explain --server COURSE`: the server that a course has for those who teach it, and who opens
//! it, or why there is none.

use lyceum_courses::{Course, Shelf, Visibility};
use lyceum_hub::db;
use lyceum_model::name::UserName;
use lyceum_model::who::{CourseId, CourseRole, Who};

use super::course::{base_row, told_of_course, unknown};
use super::{DataArgs, Explained, Person, Told, block_on};
use crate::compose::{self, Ground};
use crate::config::Loaded;
use crate::data::Layout;
use crate::failure::Failure;
use crate::plan;

pub(super) fn explain(
    id: &CourseId,
    person: Option<&Person>,
    data: &DataArgs,
    loaded: &Loaded,
) -> Result<Explained, Failure> {
    let opened;
    let shelf = match person {
        Some(person) => &person.shelf,
        None => {
            opened = compose::shelf(&Layout::existing(&data.data)?, &loaded.config)?;
            &opened
        }
    };
    let course = shelf.course(id).ok_or_else(|| unknown(id, shelf))?;
    let explained = |may_start: bool, why: String, (values, notes): Told| Explained {
        person: person.map(|person| person.name.clone()),
        server: Some(id.clone()),
        may_start,
        why,
        values,
        notes: notes.into_iter().chain(problems(id, shelf)).collect(),
        ..Explained::default()
    };
    let is_service = block_on(is_service(id, data, loaded))?;
    if let Some(why) = why_none(id, &course, is_service) {
        return Ok(explained(false, why, Told::default()));
    }
    let server = course.server.as_ref().expect("there is one");
    let base = server.begins_with(&course);
    let base = base.map(|base| base_row(base, server.base_key()));
    let said = plan::of_courses_own(&loaded.config.environments, &course, server);
    let values = told_of_course(base, said, loaded)?;
    let (_, open_to) = course.open_server().expect("it was looked at");
    let all: Vec<String> = open_to.iter().map(ToString::to_string).collect();
    let Some(person) = person else {
        return Ok(match all.is_empty() {
            true => explained(false, nobody(id, &server.open_to), values),
            false => explained(true, format!("open to {}", all.join(", ")), values),
        });
    };
    if let Some(why) = person.kept_out {
        return Ok(explained(false, why.to_owned(), values));
    }
    let groups = &person.standing.groups;
    let by = |who: &&&Who| who.is_among(person.name.as_str(), groups);
    Ok(match open_to.iter().find(by) {
        Some(who) => explained(true, format!("open to {who}"), values),
        None => {
            let why = not_open(id, &course, &person.name, groups, &server.open_to);
            explained(false, why, values)
        }
    })
}

/// Why a course has no server.
fn why_none(id: &CourseId, course: &Course, is_service: bool) -> Option<String> {
    if is_service {
        return Some(format!(
            "there is a service `{id}`, which is found at /services/{id}/"
        ));
    }
    if course.server.is_none() {
        return Some(format!("{id} has no `server`"));
    }
    let archived = course.visible == Visibility::Archived;
    archived.then(|| format!("{id} is archived"))
}

/// Whether a service has its place, by the configuration or made by request.
async fn is_service(id: &CourseId, data: &DataArgs, loaded: &Loaded) -> Result<bool, Failure> {
    let config = &loaded.config;
    if config.grants.services.contains_key(id.as_str()) {
        return Ok(true);
    }
    let ground = Ground::open(config, &Layout::existing(&data.data)?).await?;
    let failed = |error: lyceum_store::DbError| Failure::new(format!("the database: {error}"));
    let mut tx = ground.db.read().await.map_err(failed)?;
    let row = db::services::find(&mut tx, id.as_str()).await;
    // A row without it is of a service that the configuration had once.
    Ok(row.map_err(failed)?.is_some_and(|row| row.made.is_some()))
}

fn nobody(id: &CourseId, open_to: &[CourseRole]) -> String {
    format!("{id} names no {}", either(open_to))
}

fn not_open(
    id: &CourseId,
    course: &Course,
    name: &UserName,
    groups: &[String],
    open_to: &[CourseRole],
) -> String {
    let roles = course.roles_of(name, groups);
    match roles.first() {
        Some(role) => format!(
            "{name} is {} in {id}; its server is for each {}",
            role.as_str(),
            either(open_to)
        ),
        None => format!("{name} does not belong to {id}"),
    }
}

fn either(roles: &[CourseRole]) -> String {
    let roles: Vec<&str> = roles.iter().map(|role| role.as_str()).collect();
    roles.join(" or ")
}

/// What is wrong with the file: what was said there in its last good version holds.
fn problems(id: &CourseId, shelf: &Shelf) -> Vec<String> {
    let problems = shelf.problems_of(id);
    problems.iter().map(ToString::to_string).collect()
}
