//! Submissions: handed in, listed, collected.

use axum::extract::{Path, RawQuery, Request, State};
use lyceum_store::Tx;
use serde_json::{Value, json};

use super::answer::{Answered, Refusal, success};
use super::outgoing::{self, is_list_only, parameter};
use super::visitor::{Entered, Visitor};
use crate::intake::{Asked, receive};
use crate::moment::Moment;
use crate::people::Standing;
use crate::{Exchange, db, submissions};

const FILES: Asked = Asked {
    words: &[],
    files: true,
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
    let mut tx = exchange.db().read().await?;
    let entered = visitor.enter(&exchange, &mut tx, &course).await?;
    entered.require(Standing::belongs)?;
    entered.require_open()?;
    may_hand_in(&exchange, &mut tx, &visitor, &entered, &name).await?;
    drop(tx);
    let upload = receive(&exchange, visitor.name(), request, FILES).await?;
    let files = upload.files;
    let tree = files.ok_or_else(|| Refusal::bad("Please supply files"))??;
    // Asked again: the body may have taken its time.
    let mut tx = exchange.db().write().await?;
    let mut entered = visitor.enter(&exchange, &mut tx, &course).await?;
    entered.require(Standing::belongs)?;
    entered.require_open()?;
    let assignment = may_hand_in(&exchange, &mut tx, &visitor, &entered, &name).await?;
    let (course, student) = (&mut entered.course, visitor.name());
    let row = submissions::hand_in(&exchange, &mut tx, course, &assignment, student, &tree).await?;
    tx.commit().await?;
    Ok(success(json!({ "timestamp": Moment(row.at).to_naive() })))
}

/// What is handed in is kept for good, so there is an end to how often.
async fn may_hand_in(
    exchange: &Exchange,
    tx: &mut Tx,
    visitor: &Visitor,
    entered: &Entered,
    name: &str,
) -> Result<db::assignments::Row, Refusal> {
    let assignment = entered.assignment(tx, name).await?;
    let most = exchange.limits().submissions;
    let given = db::submissions::count(tx, &assignment.id, visitor.name().as_str()).await?;
    match given >= most {
        true => Err(Refusal::conflict(format!(
            "You have handed in this assignment {given} times; at most {most} are kept"
        ))),
        false => Ok(assignment),
    }
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
