//! Submissions: handed in, listed, collected.

use axum::extract::{Path, RawQuery, Request, State};
use lyceum_courses::assignment::Limits;
use serde_json::{Value, json};

use super::answer::{Answered, success};
use super::outgoing::{self, is_list_only, parameter};
use crate::api::refusal::Refusal;
use crate::api::visitor::Visitor;
use crate::intake::{Asked, FilesAs, pass_over, receive};
use crate::moment::Moment;
use crate::people::Standing;
use crate::rules::{self, NotTaken};
use crate::{Exchange, db, submissions};

const FILES: Asked = Asked {
    words: &[],
    files: FilesAs::Json,
    size: None,
    in_query: false,
};

pub(super) async fn list_submissions(
    State(exchange): State<Exchange>,
    visitor: Visitor,
    Path((course, assignment)): Path<(String, String)>,
) -> Answered {
    let mut tx = exchange.db().read().await?;
    let entered = visitor.enter(&exchange, &mut tx, &course).await?;
    entered.require(Standing::grades)?;
    let assignment = entered.assignment(&mut tx, &assignment).await?;
    let list = db::submissions::list(&mut tx, &assignment.id).await?;
    Ok(success(shown(list)))
}

pub(super) async fn list_submissions_of(
    State(exchange): State<Exchange>,
    visitor: Visitor,
    Path((course, assignment, person)): Path<(String, String, String)>,
) -> Answered {
    let mut tx = exchange.db().read().await?;
    let entered = visitor.enter(&exchange, &mut tx, &course).await?;
    if !visitor.is(&person) {
        entered.require(Standing::grades)?;
    }
    let assignment = entered.assignment(&mut tx, &assignment).await?;
    let student = entered.student(&exchange, &mut tx, &person).await?;
    let list = db::submissions::list_of(&mut tx, &assignment.id, student.as_str()).await?;
    Ok(success(shown(list)))
}

fn shown(list: Vec<(String, i64)>) -> Value {
    let one = |(student, at): (String, i64)| json!({ "student_id": student, "timestamp": Moment(at).to_naive() });
    let list: Vec<Value> = list.into_iter().map(one).collect();
    json!({ "submissions": list })
}

pub(super) async fn submit(
    State(exchange): State<Exchange>,
    visitor: Visitor,
    Path((course, name)): Path<(String, String)>,
    request: Request,
) -> Answered {
    let limits = match look(&exchange, &visitor, &course, &name).await? {
        Ok(limits) => limits,
        Err(error) => {
            pass_over(&exchange, visitor.name(), request).await;
            return Err(error.into());
        }
    };
    let asked = Asked {
        size: limits.size,
        ..FILES
    };
    let upload = receive(&exchange, visitor.name(), request, asked).await?;
    let (files, arrived) = (upload.files, upload.arrived);
    let tree = files.ok_or_else(|| Refusal::bad("Please supply files"))??;
    // Asked again: the body may have taken its time.
    let mut tx = exchange.db().write().await?;
    let mut entered = visitor.enter(&exchange, &mut tx, &course).await?;
    entered.require_hands_in()?;
    entered.require_open()?;
    let assignment = entered.assignment(&mut tx, &name).await?;
    let author = visitor.as_author(entered.standing);
    let course = &mut entered.course;
    let sent = (&tree, arrived);
    let row = submissions::hand_in(&exchange, &mut tx, course, &assignment, author, sent).await?;
    tx.commit().await?;
    Ok(success(json!({ "timestamp": Moment(row.at).to_naive() })))
}

/// Before files are read: what may come of them, or why nothing is taken.
async fn look(
    exchange: &Exchange,
    visitor: &Visitor,
    course: &str,
    name: &str,
) -> Result<Result<Limits, NotTaken>, Refusal> {
    let mut tx = exchange.db().read().await?;
    let entered = visitor.enter(exchange, &mut tx, course).await?;
    entered.require_hands_in()?;
    entered.require_open()?;
    let assignment = entered.assignment(&mut tx, name).await?;
    let author = visitor.as_author(entered.standing);
    Ok(rules::check_early(exchange, &mut tx, &entered.course, &assignment, author).await)
}

pub(super) async fn get_submission(
    State(exchange): State<Exchange>,
    visitor: Visitor,
    Path((course, assignment, person)): Path<(String, String, String)>,
    RawQuery(query): RawQuery,
) -> Answered {
    let mut tx = exchange.db().read().await?;
    let entered = visitor.enter(&exchange, &mut tx, &course).await?;
    entered.require(Standing::grades)?;
    let assignment = entered.assignment(&mut tx, &assignment).await?;
    let student = entered.student(&exchange, &mut tx, &person).await?;
    let query = query.as_deref();
    let asked = parameter(query, "timestamp").filter(|text| !text.is_empty());
    let (id, student) = (&assignment.id, student.as_str());
    let found = match asked {
        None => db::submissions::newest(&mut tx, id, student).await?,
        // To the letter.
        Some(text) => match Moment::from_naive(&text).filter(|at| at.to_naive() == text) {
            Some(at) => db::submissions::find(&mut tx, id, student, at.0).await?,
            None => None,
        },
    };
    let found = found.ok_or_else(|| Refusal::not_found("Submission"))?;
    let files = db::trees::get(&mut tx, &found.tree).await?;
    drop(tx);
    let at = Moment(found.at).to_naive();
    outgoing::answer(&exchange, files, is_list_only(query), Some(at)).await
}
