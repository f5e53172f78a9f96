//! Instructors and students of a course.
//!
//! Whom a course file names is listed and can be given a name here, but is taken out of the course in
//! the file alone. What a request gave beyond that a request takes back.

use std::collections::BTreeMap;

use axum::extract::{Path, Request, State};
use axum::response::Response;
use lyceum_store::Tx;
use serde_json::{Value, json};

use super::answer::{Answered, done, success};
use super::courses::user_name;
use crate::api::refusal::Refusal;
use crate::api::visitor::{Entered, Visitor};
use crate::course::Member;
use crate::db::people::Row;
use crate::intake::{Asked, FilesAs, receive};
use crate::people::{Added, Standing};
use crate::{Exchange, db};

/// Longest name or address, in bytes.
const WORD_MAX: usize = 1024;

/// People in one request.
const STUDENTS_MAX: usize = 10_000;
const NAMES: Asked = Asked {
    words: &[
        ("first_name", 4 * WORD_MAX),
        ("last_name", 4 * WORD_MAX),
        ("email", 4 * WORD_MAX),
    ],
    files: FilesAs::Nothing,
    size: None,
    in_query: true,
};
const STUDENTS: Asked = Asked {
    words: &[("students", 2 * 1024 * 1024)],
    files: FilesAs::Nothing,
    size: None,
    in_query: true,
};

/// What somebody is called.
struct Called {
    first_name: String,
    last_name: String,
    email: String,
}

impl Called {
    fn read(mut fields: BTreeMap<String, String>) -> Result<Self, Refusal> {
        let mut take = |field: &str, word: &str| {
            let value = fields.remove(field);
            value.ok_or_else(|| Refusal::bad(format!("Please supply {word}")))
        };
        let called = Self {
            first_name: take("first_name", "first name")?,
            last_name: take("last_name", "last name")?,
            email: take("email", "email")?,
        };
        match called.is_short() {
            true => Ok(called),
            false => Err(Refusal::bad("A name or an address is too long")),
        }
    }

    fn is_short(&self) -> bool {
        let words = [&self.first_name, &self.last_name, &self.email];
        words
            .iter()
            .all(|word| word.len() <= WORD_MAX && !word.contains('\0'))
    }

    fn row(self, name: String, role: Option<String>) -> Row {
        Row {
            name,
            role,
            first_name: Some(self.first_name),
            last_name: Some(self.last_name),
            email: Some(self.email),
        }
    }
}

fn shown(member: &Member) -> Value {
    let called = &member.called;
    json!({
        "username": called.name,
        "first_name": called.first_name,
        "last_name": called.last_name,
        "email": called.email,
    })
}

pub(super) async fn put_instructor(
    State(exchange): State<Exchange>,
    visitor: Visitor,
    Path((course, person)): Path<(String, String)>,
    request: Request,
) -> Answered {
    may_change(&exchange, &visitor, &course, Standing::grades).await?;
    let upload = receive(&exchange, visitor.name(), request, NAMES).await?;
    let called = Called::read(upload.fields)?;
    let name = user_name(&person)?;
    let mut tx = exchange.db().write().await?;
    let mut entered = visitor.enter(&exchange, &mut tx, &course).await?;
    entered.require(Standing::grades)?;
    let member = entered.course.member(&exchange, &mut tx, &name).await?;
    let admin = visitor.0.admin;
    if !admin && !member.standing.is_instructor() {
        return Err(Refusal::bad(
            "Permission denied (cannot modify instructors)",
        ));
    }
    if !admin && name != *visitor.name() {
        return Err(Refusal::bad(
            "Permission denied (cannot modify other instructors)",
        ));
    }
    // Whom a file names stays so by the file alone.
    let in_file = member.in_file;
    let by_file = in_file.is_some_and(|role| role.is_staff());
    let role = match admin && !by_file {
        true => Some(Added::Instructor.as_str().to_owned()),
        false => member.called.role,
    };
    let row = called.row(name.to_string(), role);
    let id = entered.course.id(&exchange, &mut tx).await?.to_owned();
    db::people::put(&mut tx, &id, &row).await?;
    tx.commit().await?;
    Ok(done())
}

pub(super) async fn get_instructor(
    State(exchange): State<Exchange>,
    visitor: Visitor,
    Path((course, person)): Path<(String, String)>,
) -> Answered {
    let mut tx = exchange.db().read().await?;
    let entered = visitor.enter(&exchange, &mut tx, &course).await?;
    entered.require(Standing::belongs)?;
    let member = get(&exchange, &mut tx, &entered, &person, Added::Instructor).await?;
    Ok(success(shown(&member)))
}

pub(super) async fn delete_instructor(
    State(exchange): State<Exchange>,
    visitor: Visitor,
    Path((course, person)): Path<(String, String)>,
) -> Answered {
    visitor.require_admin()?;
    let mut tx = exchange.db().write().await?;
    let entered = visitor.enter(&exchange, &mut tx, &course).await?;
    delete(&exchange, tx, &entered, &person, Added::Instructor).await
}

pub(super) async fn list_instructors(
    State(exchange): State<Exchange>,
    visitor: Visitor,
    Path(course): Path<String>,
) -> Answered {
    let mut tx = exchange.db().read().await?;
    let entered = visitor.enter(&exchange, &mut tx, &course).await?;
    entered.require(Standing::belongs)?;
    let instructors = list(&exchange, &mut tx, &entered, Added::Instructor).await?;
    Ok(success(json!({ "instructors": instructors })))
}

pub(super) async fn put_student(
    State(exchange): State<Exchange>,
    visitor: Visitor,
    Path((course, person)): Path<(String, String)>,
    request: Request,
) -> Answered {
    may_change(&exchange, &visitor, &course, Standing::teaches).await?;
    let upload = receive(&exchange, visitor.name(), request, NAMES).await?;
    let called = Called::read(upload.fields)?;
    user_name(&person)?;
    let mut tx = exchange.db().write().await?;
    let mut entered = visitor.enter(&exchange, &mut tx, &course).await?;
    entered.require(Standing::teaches)?;
    add_student(&exchange, &mut tx, &mut entered, &person, called).await?;
    tx.commit().await?;
    Ok(done())
}

pub(super) async fn get_student(
    State(exchange): State<Exchange>,
    visitor: Visitor,
    Path((course, person)): Path<(String, String)>,
) -> Answered {
    let mut tx = exchange.db().read().await?;
    let entered = visitor.enter(&exchange, &mut tx, &course).await?;
    if !visitor.is(&person) {
        entered.require(Standing::grades)?;
    }
    let member = get(&exchange, &mut tx, &entered, &person, Added::Student).await?;
    Ok(success(shown(&member)))
}

pub(super) async fn delete_student(
    State(exchange): State<Exchange>,
    visitor: Visitor,
    Path((course, person)): Path<(String, String)>,
) -> Answered {
    let mut tx = exchange.db().write().await?;
    let entered = visitor.enter(&exchange, &mut tx, &course).await?;
    entered.require(Standing::teaches)?;
    entered.require_open()?;
    delete(&exchange, tx, &entered, &person, Added::Student).await
}

/// Many at once; what is wrong with one does not hold up the others.
pub(super) async fn put_students(
    State(exchange): State<Exchange>,
    visitor: Visitor,
    Path(course): Path<String>,
    request: Request,
) -> Answered {
    may_change(&exchange, &visitor, &course, Standing::teaches).await?;
    let upload = receive(&exchange, visitor.name(), request, STUDENTS).await?;
    let given = upload
        .fields
        .get("students")
        .filter(|text| !text.is_empty());
    let given = given.ok_or_else(|| Refusal::bad("Please supply students"))?;
    let given: Value =
        serde_json::from_str(given).map_err(|_| Refusal::bad("Students cannot be JSON decoded"))?;
    let students = read_students(&given)?;
    let mut tx = exchange.db().write().await?;
    let mut entered = visitor.enter(&exchange, &mut tx, &course).await?;
    entered.require(Standing::teaches)?;
    let mut status = Vec::new();
    for (person, called) in students {
        let added = match user_name(&person) {
            Ok(_) => add_student(&exchange, &mut tx, &mut entered, &person, called).await,
            Err(refusal) => Err(refusal),
        };
        status.push(match added {
            Ok(()) => json!({ "username": person, "success": true }),
            Err(Refusal::Said(_, message)) => {
                json!({ "username": person, "success": false, "message": message })
            }
            Err(failed) => return Err(failed),
        });
    }
    tx.commit().await?;
    Ok(success(json!({ "status": status })))
}

fn read_students(given: &Value) -> Result<Vec<(String, Called)>, Refusal> {
    let wrong = || Refusal::bad("Incorrect request format");
    let given = given.as_array().ok_or_else(wrong)?;
    if given.is_empty() {
        return Err(Refusal::bad("Please supply students"));
    }
    if given.len() > STUDENTS_MAX {
        return Err(Refusal::bad(format!(
            "Too many students; at most {STUDENTS_MAX} are taken at once"
        )));
    }
    let mut students = Vec::new();
    for student in given {
        let word = |key: &str| student[key].as_str().map(str::to_owned).ok_or_else(wrong);
        let called = Called {
            first_name: word("first_name")?,
            last_name: word("last_name")?,
            email: word("email")?,
        };
        if !called.is_short() {
            return Err(wrong());
        }
        students.push((word("username")?, called));
    }
    Ok(students)
}

pub(super) async fn list_students(
    State(exchange): State<Exchange>,
    visitor: Visitor,
    Path(course): Path<String>,
) -> Answered {
    let mut tx = exchange.db().read().await?;
    let entered = visitor.enter(&exchange, &mut tx, &course).await?;
    entered.require(Standing::grades)?;
    let students = list(&exchange, &mut tx, &entered, Added::Student).await?;
    Ok(success(json!({ "students": students })))
}

/// Asked before the body is read.
async fn may_change(
    exchange: &Exchange,
    visitor: &Visitor,
    course: &str,
    may: fn(Standing) -> bool,
) -> Result<(), Refusal> {
    let mut tx = exchange.db().read().await?;
    let entered = visitor.enter(exchange, &mut tx, course).await?;
    entered.require(may)?;
    entered.require_open()
}

/// `person` is a good name.
async fn add_student(
    exchange: &Exchange,
    tx: &mut Tx,
    entered: &mut Entered,
    person: &str,
    called: Called,
) -> Result<(), Refusal> {
    let name = user_name(person)?;
    let member = entered.course.member(exchange, tx, &name).await?;
    if member.standing.is_instructor() {
        return Err(Refusal::conflict("Cannot add instructor as student"));
    }
    if member.is_blocked {
        return Err(Refusal::conflict(format!(
            "The course file keeps {name} from taking this course (`people.blocked`)"
        )));
    }
    let row = called.row(name.to_string(), Some(Added::Student.as_str().into()));
    let id = entered.course.id(exchange, tx).await?.to_owned();
    db::people::put(tx, &id, &row).await?;
    Ok(())
}

fn is(member: &Member, what: Added) -> bool {
    match what {
        Added::Instructor => member.standing.is_instructor(),
        Added::Student => member.standing.is_student(),
    }
}

fn missing(what: Added) -> Refusal {
    Refusal::not_found(match what {
        Added::Instructor => "Instructor",
        Added::Student => "Student",
    })
}

async fn get(
    exchange: &Exchange,
    tx: &mut Tx,
    entered: &Entered,
    person: &str,
    what: Added,
) -> Result<Member, Refusal> {
    let member = entered.member(exchange, tx, person).await?;
    let member = member.map(|(_, member)| member);
    member
        .filter(|member| is(member, what))
        .ok_or_else(|| missing(what))
}

async fn list(
    exchange: &Exchange,
    tx: &mut Tx,
    entered: &Entered,
    what: Added,
) -> Result<Vec<Value>, Refusal> {
    let members = entered.course.members(exchange, tx).await?;
    let members = members.values().filter(|member| is(member, what));
    Ok(members.map(shown).collect())
}

async fn delete(
    exchange: &Exchange,
    mut tx: Tx,
    entered: &Entered,
    person: &str,
    what: Added,
) -> Result<Response, Refusal> {
    let member = entered.member(exchange, &mut tx, person).await?;
    // Whom the course is hidden from as well.
    let is_or_was_added =
        |member: &Member| is(member, what) || member.called.role.as_deref() == Some(what.as_str());
    let member = member.map(|(_, member)| member).filter(is_or_was_added);
    let member = member.ok_or_else(|| missing(what))?;
    let without = Standing {
        added: None,
        ..member.standing
    };
    if member.in_file.is_some() && without.role() != member.standing.role() {
        let called = Row {
            role: None,
            ..member.called
        };
        if let Some(id) = entered.course.known_id() {
            db::people::put(&mut tx, id, &called).await?;
        }
        tx.commit().await?;
        return Ok(done());
    }
    if member.in_file.is_some() {
        return Err(Refusal::conflict(format!(
            "The course file says that {} belongs to this course: change it there",
            member.called.name
        )));
    }
    if let Some(id) = entered.course.known_id() {
        db::people::delete(&mut tx, id, &member.called.name).await?;
    }
    tx.commit().await?;
    Ok(done())
}
