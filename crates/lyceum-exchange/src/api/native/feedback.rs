//! Feedback: given for one submission, fetched by whoever handed it in.

use axum::extract::{Path, Request, State};
use axum::http::StatusCode;
use lyceum_store::Tx;
use lyceum_web::ApiResult;
use serde::Deserialize;

use super::held::{Held, Holder};
use super::submissions::find;
use super::{Asker, FILES, may_change};
use crate::api::refusal::Refusal;
use crate::people::Standing;
use crate::{Exchange, db, stored};

/// In the place of what was given before.
pub(crate) async fn put_feedback(
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
    let course = entered.course.known_id().unwrap_or_default();
    stored::write_down(&exchange, &mut tx, course, &tree)
        .await
        .map_err(Refusal::from)?;
    let by = (now.0, asker.0.name().as_str());
    let tree = tree.digest().to_hex();
    db::feedback::put(&mut tx, &row.id, &tree, by).await?;
    tx.commit().await?;
    Ok(StatusCode::NO_CONTENT)
}

/// What was given for a submission.
#[derive(Deserialize)]
pub(crate) struct FeedbackFiles {
    course: String,
    submission: String,
}

impl Holder for FeedbackFiles {
    async fn find(self, exchange: &Exchange, tx: &mut Tx, asker: &Asker) -> ApiResult<Held> {
        let course = self.course;
        let (_, row) = find(exchange, tx, asker, &course, &self.submission).await?;
        let name = format!("{course}-{}-{}-feedback", row.assignment, row.number);
        let tree = row.feedback.ok_or_else(|| Refusal::not_found("Feedback"))?;
        let at = row.feedback_at.unwrap_or_default();
        Ok(Held { name, tree, at })
    }
}
