//! Feedback: given for one submission, seen by whoever handed it in.

use axum::extract::{Path, RawQuery, Request, State};
use lyceum_model::name::UserName;
use lyceum_store::Tx;

use super::answer::{Answered, done};
use super::outgoing::{self, is_list_only, parameter};
use crate::api::refusal::Refusal;
use crate::api::visitor::Visitor;
use crate::db::submissions::Row;
use crate::intake::{Asked, FilesAs, receive};
use crate::moment::Moment;
use crate::people::Standing;
use crate::{Exchange, db, stored};

const FEEDBACK: Asked = Asked {
    words: &[("timestamp", 1024)],
    files: FilesAs::Json,
    size: None,
    in_query: false,
};

pub(super) async fn put_feedback(
    State(exchange): State<Exchange>,
    visitor: Visitor,
    Path((course, assignment, person)): Path<(String, String, String)>,
    request: Request,
) -> Answered {
    let mut tx = exchange.db().read().await?;
    let entered = visitor.enter(&exchange, &mut tx, &course).await?;
    entered.require(Standing::grades)?;
    entered.require_open()?;
    entered.assignment(&mut tx, &assignment).await?;
    entered.student(&exchange, &mut tx, &person).await?;
    drop(tx);
    let upload = receive(&exchange, visitor.name(), request, FEEDBACK).await?;
    let mut tx = exchange.db().write().await?;
    let entered = visitor.enter(&exchange, &mut tx, &course).await?;
    entered.require(Standing::grades)?;
    entered.require_open()?;
    let row = entered.assignment(&mut tx, &assignment).await?;
    let student = entered.student(&exchange, &mut tx, &person).await?;
    let at = upload.fields.get("timestamp").cloned();
    let submission = submission(&mut tx, &row, &student, at).await?;
    let files = upload.files;
    let tree = files.ok_or_else(|| Refusal::bad("Please supply files"))??;
    let now = exchange.now();
    stored::write_down(&exchange, &mut tx, &submission.course_id, &tree).await?;
    let by = (now.0, visitor.name().as_str());
    let tree = tree.digest().to_hex();
    db::feedback::put(&mut tx, &submission.id, &tree, by).await?;
    tx.commit().await?;
    Ok(done())
}

pub(super) async fn get_feedback(
    State(exchange): State<Exchange>,
    visitor: Visitor,
    Path((course, assignment, person)): Path<(String, String, String)>,
    RawQuery(query): RawQuery,
) -> Answered {
    let mut tx = exchange.db().read().await?;
    let entered = visitor.enter(&exchange, &mut tx, &course).await?;
    if !visitor.is(&person) {
        entered.require(Standing::grades)?;
    }
    let assignment = entered.assignment(&mut tx, &assignment).await?;
    let student = entered.student(&exchange, &mut tx, &person).await?;
    let query = query.as_deref();
    let at = parameter(query, "timestamp");
    let submission = submission(&mut tx, &assignment, &student, at).await?;
    let files = match db::feedback::find(&mut tx, &submission.id).await? {
        Some(tree) => db::trees::get(&mut tx, &tree).await?,
        None => Vec::new(),
    };
    drop(tx);
    let at = Moment(submission.at).to_naive();
    outgoing::answer(&exchange, files, is_list_only(query), Some(at)).await
}

async fn submission(
    tx: &mut Tx,
    assignment: &db::assignments::Row,
    student: &UserName,
    at: Option<String>,
) -> Result<Row, Refusal> {
    let at = at.ok_or_else(|| Refusal::bad("Please supply timestamp"))?;
    let at = Moment::from_naive(&at).ok_or_else(|| Refusal::bad("Time format incorrect"))?;
    let found = db::submissions::find(tx, &assignment.id, student.as_str(), at.0).await?;
    found.ok_or_else(|| Refusal::not_found("Submission"))
}
