//! Courses: which there are, and those that administrators make.

use axum::extract::{Path, Request, State};
use axum::http::StatusCode;
use lyceum_courses::CourseId;
use lyceum_model::name::UserName;
use serde_json::json;

use super::answer::{Answered, done, success};
use crate::api::refusal::Refusal;
use crate::api::visitor::Visitor;
use crate::course::{self, Course};
use crate::db::people::Row;
use crate::intake::{Asked, FilesAs, receive};
use crate::names::Name;
use crate::people::Added;
use crate::{Exchange, db};

/// A page of people, not a town.
const INSTRUCTORS_MAX: usize = 1000;
const INSTRUCTORS: Asked = Asked {
    words: &[("instructors", 512 * 1024)],
    files: FilesAs::Nothing,
    size: None,
    in_query: true,
};

pub(super) async fn list_courses(State(exchange): State<Exchange>, visitor: Visitor) -> Answered {
    let mut tx = exchange.db().read().await?;
    let courses = course::names_for(&exchange, &mut tx, &visitor.0).await?;
    Ok(success(json!({ "courses": courses })))
}

pub(super) async fn create_course(
    State(exchange): State<Exchange>,
    visitor: Visitor,
    Path(course): Path<String>,
    request: Request,
) -> Answered {
    visitor.require_admin()?;
    let taken = || Refusal::conflict("Course already exists");
    let name = Name::parse_new(&course).ok_or_else(|| {
        Refusal::bad(
            "A course's name has 1 to 255 bytes, no slash, no backslash and no control character",
        )
    })?;
    // One that differs from a course file's only by the size of its letters would be taken for it.
    let small = CourseId::parse(&course.to_lowercase());
    if small.is_some_and(|id| exchange.shelf().course(&id).is_some()) {
        return Err(taken());
    }
    let mut tx = exchange.db().read().await?;
    if Course::find(&exchange, &mut tx, &name).await?.is_some() {
        return Err(taken());
    }
    drop(tx);
    let upload = receive(&exchange, visitor.name(), request, INSTRUCTORS).await?;
    let given = upload.fields.get("instructors");
    let given = given.map_or("[]", String::as_str);
    let instructors: Vec<String> = serde_json::from_str(given)
        .map_err(|_| Refusal::bad("Instructors cannot be JSON decoded"))?;
    if instructors.len() > INSTRUCTORS_MAX {
        return Err(Refusal::bad("Too many instructors"));
    }
    let instructors = instructors.iter().map(|name| user_name(name));
    let instructors: Vec<UserName> = instructors.collect::<Result<_, _>>()?;
    let mut tx = exchange.db().write().await?;
    let made = Course::make(&exchange, &mut tx, &name).await?;
    let mut made = made.ok_or_else(taken)?;
    let id = made.id(&exchange, &mut tx).await?.to_owned();
    for instructor in instructors {
        let row = Row {
            name: instructor.to_string(),
            role: Some(Added::Instructor.as_str().into()),
            ..Row::default()
        };
        db::people::put(&mut tx, &id, &row).await?;
    }
    tx.commit().await?;
    Ok(done())
}

pub(super) async fn delete_course(
    State(exchange): State<Exchange>,
    visitor: Visitor,
    Path(course): Path<String>,
) -> Answered {
    visitor.require_admin()?;
    let mut tx = exchange.db().write().await?;
    let entered = visitor.enter(&exchange, &mut tx, &course).await?;
    if entered.course.file.is_some() {
        return Err(Refusal::conflict(
            "This course is described by a course file, and is there as long as the file is",
        ));
    }
    entered.course.remove(&exchange, &mut tx).await?;
    let (hub, now) = (exchange.groups(), exchange.now());
    hub.note_removed(&mut tx, visitor.name(), &course, now)
        .await?;
    tx.commit().await?;
    Ok(done())
}

/// What ngshare has for its developers.
pub(super) async fn dump(_: Visitor) -> Answered {
    Err(Refusal::new(StatusCode::FORBIDDEN, "Debug mode is off"))
}

pub(super) fn user_name(name: &str) -> Result<UserName, Refusal> {
    let shown: String = name.chars().take(60).collect();
    UserName::parse(name)
        .map_err(|error| Refusal::bad(format!("{shown:?} is no user name: {error}")))
}
