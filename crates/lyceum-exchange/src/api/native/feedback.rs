//! Feedback: given for one submission, fetched by whoever handed it in.

use axum::Json;
use axum::extract::{Path, Request, State};
use axum::http::StatusCode;
use axum::response::Response;
use lyceum_web::ApiResult;
use serde_json::Value;

use super::files::AskedPath;
use super::submissions::find;
use super::zip::Folder;
use super::{Asker, FILES, files, may_change, model, zip};
use crate::api::refusal::Refusal;
use crate::db::submissions::Told;
use crate::people::Standing;
use crate::tree::TreeFile;
use crate::{Exchange, db};

/// In the place of what was given before.
pub(super) async fn put_feedback(
    State(exchange): State<Exchange>,
    asker: Asker,
    Path((course, submission)): Path<(String, String)>,
    request: Request,
) -> ApiResult<StatusCode> {
    let mut tx = exchange.db().read().await?;
    let (entered, _) = find(&exchange, &mut tx, &asker, &course, &submission).await?;
    may_change(&entered, Standing::grades)?;
    drop(tx);
    let (tree, _) = asker.files(&exchange, request, FILES).await?;
    let mut tx = exchange.db().write().await?;
    let (entered, row) = find(&exchange, &mut tx, &asker, &course, &submission).await?;
    may_change(&entered, Standing::grades)?;
    let now = exchange.now();
    db::trees::insert(&mut tx, &tree, now).await?;
    let by = (now.0, asker.0.name().as_str());
    let tree = tree.digest().to_hex();
    db::feedback::put(&mut tx, &row.id, &tree, by).await?;
    tx.commit().await?;
    Ok(StatusCode::NO_CONTENT)
}

pub(super) async fn list_files(
    State(exchange): State<Exchange>,
    asker: Asker,
    Path((course, submission)): Path<(String, String)>,
) -> ApiResult<Json<Value>> {
    let (_, _, found) = given(&exchange, &asker, &course, &submission).await?;
    Ok(Json(model::files(&found)))
}

pub(super) async fn get_file(
    State(exchange): State<Exchange>,
    asker: Asker,
    Path((course, submission)): Path<(String, String)>,
    path: AskedPath,
) -> ApiResult<Response> {
    let (_, _, found) = given(&exchange, &asker, &course, &submission).await?;
    files::one(&exchange, found, &path).await
}

pub(super) async fn get_zip(
    State(exchange): State<Exchange>,
    asker: Asker,
    Path((course, submission)): Path<(String, String)>,
) -> ApiResult<Response> {
    let (row, tree, found) = given(&exchange, &asker, &course, &submission).await?;
    let name = format!("{course}-{}-{}-feedback", row.assignment, row.number);
    let folder = Folder {
        name: String::new(),
        tree,
        files: i64::try_from(found.len()).unwrap_or(i64::MAX),
    };
    zip::answer(&exchange, asker.0.name(), &name, vec![folder]).await
}

async fn given(
    exchange: &Exchange,
    asker: &Asker,
    course: &str,
    submission: &str,
) -> ApiResult<(Told, String, Vec<TreeFile>)> {
    let mut tx = exchange.db().read().await?;
    let (_, row) = find(exchange, &mut tx, asker, course, submission).await?;
    let tree = row.feedback.clone();
    let tree = tree.ok_or_else(|| Refusal::not_found("Feedback"))?;
    let files = db::trees::get(&mut tx, &tree).await?;
    Ok((row, tree, files))
}
