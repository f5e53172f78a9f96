//! Handing in: time, lateness, receipt, row and event in one transaction, after the contents are
//! durable. How late somebody is follows from when her files had arrived, not from how long they
//! waited here.

use jiff::Timestamp;
use lyceum_model::id::new_id;
use lyceum_store::{Tx, events};
use serde_json::json;

use crate::course::Course;
use crate::db::submissions::Row;
use crate::moment::Moment;
use crate::receipt::{Content, Form};
use crate::rules::{self, Author, NotTaken};
use crate::tree::Tree;
use crate::{Exchange, db, quota, stored};

/// The topic of the events; the subject is the submission's id.
pub const TOPIC: &str = "exchange.submission";

/// Takes what somebody hands in, if the assignment's rules let her who sent it until `arrived`. It
/// counts once the transaction is committed.
///
/// Invariant: the contents of `tree` are durable before this is called.
pub async fn hand_in(
    exchange: &Exchange,
    tx: &mut Tx,
    course: &mut Course,
    assignment: &db::assignments::Row,
    author: Author<'_>,
    (tree, arrived): (&Tree, Timestamp),
) -> Result<Row, NotTaken> {
    let limits = course.limits(&assignment.name);
    rules::check_files(tx, &limits, assignment, tree).await?;
    let course_id = course.id(exchange, tx).await?.to_owned();
    stored::write_down(exchange, tx, &course_id, tree).await?;
    // From here on the course's other submissions wait, so that times and receipts follow each other.
    let bytes = i64::try_from(tree.bytes()).unwrap_or(i64::MAX);
    let (number, previous, all) = db::courses::take_number(tx, &course_id, bytes).await?;
    let before = u64::try_from(all.saturating_sub(bytes)).unwrap_or_default();
    let person = author.name.as_str();
    quota::check(exchange, tx, (&course_id, before), person, tree.bytes()).await?;
    let assignment = db::assignments::find(tx, &course_id, &assignment.name).await?;
    let assignment = assignment.filter(|row| row.withdrawn_at.is_none());
    let assignment = &assignment.ok_or(NotTaken::Withdrawn)?;
    rules::check_often(exchange, tx, &limits, assignment, author.name).await?;
    let student = author.name;
    let newest = db::submissions::newest(tx, &assignment.id, student.as_str()).await?;
    let now = Moment::of(exchange.now());
    let at = newest.map_or(now, |newest| now.max(Moment(newest.at).next()));
    let lateness = rules::lateness(exchange, course, assignment, author, arrived)?;
    let receipt = exchange.signer().sign(&Content {
        form: Form::Second,
        course: course.name.to_string(),
        course_id: course_id.clone(),
        assignment: assignment.name.clone(),
        version: assignment.version,
        student: student.to_string(),
        at,
        lateness,
        tree: tree.digest(),
        number,
        previous,
        stands_for: String::new(),
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
        arrived: lateness.arrived,
        due: lateness.due,
        late: lateness.seconds,
    };
    db::submissions::insert(tx, &row).await?;
    db::courses::set_newest_receipt(tx, &course_id, &row.receipt_digest).await?;
    let news = json!({
        "course": course.name.as_str(),
        "assignment": assignment.name,
        "student": student.as_str(),
        "time": at.to_iso(),
        "late": lateness.seconds,
    });
    events::publish(tx, TOPIC, &row.id, &news, exchange.now()).await?;
    Ok(row)
}
