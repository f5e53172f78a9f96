//! Assignments: released, fetched, withdrawn, and released again as a new version.

use axum::extract::{Path, RawQuery, Request, State};
use lyceum_model::id::new_id;
use serde_json::json;

use super::answer::{Answered, done, success};
use super::outgoing::{self, is_list_only};
use crate::api::refusal::Refusal;
use crate::api::visitor::{Entered, Visitor};
use crate::intake::{Asked, FilesAs, receive};
use crate::names::Name;
use crate::people::Standing;
use crate::{Exchange, db, stored};

const FILES: Asked = Asked {
    words: &[],
    files: FilesAs::Json,
    size: None,
    in_query: true,
};

pub(super) async fn list_assignments(
    State(exchange): State<Exchange>,
    visitor: Visitor,
    Path(course): Path<String>,
) -> Answered {
    let mut tx = exchange.db().read().await?;
    let entered = visitor.enter(&exchange, &mut tx, &course).await?;
    entered.require(Standing::belongs)?;
    let mut assignments = match entered.course.known_id() {
        Some(id) => db::assignments::list(&mut tx, id).await?,
        None => Vec::new(),
    };
    assignments.retain(|name| entered.sees(name));
    Ok(success(json!({ "assignments": assignments })))
}

pub(super) async fn get_assignment(
    State(exchange): State<Exchange>,
    visitor: Visitor,
    Path((course, assignment)): Path<(String, String)>,
    RawQuery(query): RawQuery,
) -> Answered {
    let mut tx = exchange.db().read().await?;
    let entered = visitor.enter(&exchange, &mut tx, &course).await?;
    entered.require(Standing::belongs)?;
    let assignment = entered.assignment(&mut tx, &assignment).await?;
    let tree = db::assignments::tree(&mut tx, &assignment.id, assignment.version).await?;
    let files = db::trees::get(&mut tx, &tree).await?;
    drop(tx);
    outgoing::answer(&exchange, files, is_list_only(query.as_deref()), None).await
}

/// One that was withdrawn is there again with all that was handed in, as a new version.
pub(super) async fn release_assignment(
    State(exchange): State<Exchange>,
    visitor: Visitor,
    Path((course, assignment)): Path<(String, String)>,
    request: Request,
) -> Answered {
    let taken = || Refusal::conflict("Assignment already exists");
    let mut tx = exchange.db().read().await?;
    let entered = visitor.enter(&exchange, &mut tx, &course).await?;
    may_release(&entered)?;
    let name = Name::parse_new(&assignment).ok_or_else(|| {
        Refusal::bad(
            "An assignment's name has 1 to 255 bytes, no slash, no backslash and no control character",
        )
    })?;
    if entered.assignment(&mut tx, name.as_str()).await.is_ok() {
        return Err(taken());
    }
    drop(tx);
    let upload = receive(&exchange, visitor.name(), request, FILES).await?;
    let files = upload.files;
    let tree = files.ok_or_else(|| Refusal::bad("Please supply files"))??;
    let mut tx = exchange.db().write().await?;
    let mut entered = visitor.enter(&exchange, &mut tx, &course).await?;
    may_release(&entered)?;
    let now = exchange.now();
    let course_id = entered.course.id(&exchange, &mut tx).await?.to_owned();
    stored::write_down(&exchange, &mut tx, &course_id, &tree).await?;
    let new = new_id(now);
    let (id, version) =
        match db::assignments::insert(&mut tx, &new, &course_id, name.as_str(), now.0).await? {
            true => (new, 1),
            false => {
                let known = db::assignments::find(&mut tx, &course_id, name.as_str()).await?;
                let known = known.ok_or_else(taken)?;
                let version = db::assignments::renew(&mut tx, &known.id).await?;
                (known.id, version.ok_or_else(taken)?)
            }
        };
    let by = (now.0, visitor.name().as_str());
    let tree = tree.digest().to_hex();
    db::assignments::insert_version(&mut tx, &id, version, &tree, by).await?;
    tx.commit().await?;
    Ok(done())
}

/// What was handed in stays, and is there again when the assignment is.
pub(super) async fn withdraw_assignment(
    State(exchange): State<Exchange>,
    visitor: Visitor,
    Path((course, assignment)): Path<(String, String)>,
) -> Answered {
    let mut tx = exchange.db().write().await?;
    let entered = visitor.enter(&exchange, &mut tx, &course).await?;
    may_release(&entered)?;
    let assignment = entered.assignment(&mut tx, &assignment).await?;
    db::assignments::withdraw(&mut tx, &assignment.id, exchange.now().0).await?;
    tx.commit().await?;
    Ok(done())
}

fn may_release(entered: &Entered) -> Result<(), Refusal> {
    entered.require(Standing::teaches)?;
    entered.require_open()
}
