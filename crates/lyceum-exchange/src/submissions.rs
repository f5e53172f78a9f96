//! Handing in: tree, receipt, row and event in one transaction, after the contents are durable.

use lyceum_model::id::new_id;
use lyceum_model::name::UserName;
use lyceum_store::{Tx, events};
use serde_json::json;

use crate::course::Course;
use crate::db::submissions::Row;
use crate::moment::Moment;
use crate::receipt::Content;
use crate::tree::Tree;
use crate::{Exchange, db};

/// The topic of the events; the subject is the submission's id.
pub const TOPIC: &str = "exchange.submission";

/// Takes what a student hands in. It counts once the transaction is committed.
///
/// Invariant: the contents of `tree` are durable before this is called.
pub async fn hand_in(
    exchange: &Exchange,
    tx: &mut Tx,
    course: &mut Course,
    assignment: &db::assignments::Row,
    student: &UserName,
    tree: &Tree,
) -> sqlx::Result<Row> {
    let course_id = course.id(exchange, tx).await?.to_owned();
    db::trees::insert(tx, tree, exchange.now()).await?;
    // From here on the course's other submissions wait, so that times and receipts follow each other.
    let (number, previous) = db::courses::take_number(tx, &course_id).await?;
    let newest = db::submissions::newest(tx, &assignment.id, student.as_str()).await?;
    let now = Moment::of(exchange.now());
    let at = newest.map_or(now, |newest| now.max(Moment(newest.at).next()));
    let receipt = exchange.signer().sign(&Content {
        course: course.name.to_string(),
        course_id: course_id.clone(),
        assignment: assignment.name.clone(),
        version: assignment.version,
        student: student.to_string(),
        at,
        tree: tree.digest(),
        number,
        previous,
    });
    let row = Row {
        id: new_id(exchange.now()),
        assignment_id: assignment.id.clone(),
        version: assignment.version,
        student: student.to_string(),
        at: at.0,
        tree: tree.digest().to_hex(),
        course_id: course_id.clone(),
        number,
        receipt: receipt.text,
        receipt_digest: receipt.digest,
        signature: receipt.signature,
    };
    db::submissions::insert(tx, &row).await?;
    db::courses::set_newest_receipt(tx, &course_id, &row.receipt_digest).await?;
    let news = json!({
        "course": course.name.as_str(),
        "assignment": assignment.name,
        "student": student.as_str(),
        "time": at.to_iso(),
    });
    events::publish(tx, TOPIC, &row.id, &news, exchange.now()).await?;
    Ok(row)
}
