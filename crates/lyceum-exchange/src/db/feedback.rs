//! What students get back. One tree for each submission, the newest.

use lyceum_store::{Tx, on};

pub async fn put(
    tx: &mut Tx,
    submission_id: &str,
    tree: &str,
    (at, given_by): (i64, &str),
) -> sqlx::Result<()> {
    on!(tx, |c| {
        sqlx::query(
        "INSERT INTO exchange_feedback (submission_id, tree, at, given_by) VALUES ($1, $2, $3, $4) \
         ON CONFLICT (submission_id) DO UPDATE SET tree = excluded.tree, at = excluded.at, given_by = excluded.given_by"
    )
    .bind(submission_id)
    .bind(tree)
    .bind(at)
    .bind(given_by)
    .execute(c)
    .await
    .map(|_| ())
    })
}

/// Its tree.
pub async fn find(tx: &mut Tx, submission_id: &str) -> sqlx::Result<Option<String>> {
    on!(tx, |c| sqlx::query_scalar(
        "SELECT tree FROM exchange_feedback WHERE submission_id = $1"
    )
    .bind(submission_id)
    .fetch_optional(c)
    .await)
}
