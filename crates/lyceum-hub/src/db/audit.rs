//! Who did what, as rows. Lists of them are in [`super::search::audit`].

use lyceum_store::{Tx, on};

/// Rows that are forgotten at a time, so that others get their turn.
const AT_ONCE: i64 = 10_000;

#[derive(Debug, Clone, sqlx::FromRow)]
pub struct Row {
    pub id: String,
    pub at: i64,
    pub doer: Option<String>,
    pub address: Option<String>,
    pub what: String,
    pub about_id: Option<String>,
    pub about_name: Option<String>,
    pub detail: String,
    pub times: i64,
}

pub async fn insert(tx: &mut Tx, row: &Row) -> sqlx::Result<()> {
    on!(tx, |c| {
        sqlx::query(
            "INSERT INTO audit (id, at, doer, address, what, about_id, about_name, detail, times) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
        )
        .bind(&row.id)
        .bind(row.at)
        .bind(&row.doer)
        .bind(&row.address)
        .bind(&row.what)
        .bind(&row.about_id)
        .bind(&row.about_name)
        .bind(&row.detail)
        .bind(row.times)
        .execute(c)
        .await
        .map(|_| ())
    })
}

/// One more of what there is a row of already; its last time counts.
pub async fn insert_or_count(tx: &mut Tx, row: &Row) -> sqlx::Result<()> {
    on!(tx, |c| {
        sqlx::query(
            "INSERT INTO audit (id, at, doer, address, what, about_id, about_name, detail, times) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) \
             ON CONFLICT (id) DO UPDATE SET times = audit.times + 1, at = excluded.at",
        )
        .bind(&row.id)
        .bind(row.at)
        .bind(&row.doer)
        .bind(&row.address)
        .bind(&row.what)
        .bind(&row.about_id)
        .bind(&row.about_name)
        .bind(&row.detail)
        .bind(row.times)
        .execute(c)
        .await
        .map(|_| ())
    })
}

/// The oldest of those before a moment; the next time the others.
pub async fn prune(tx: &mut Tx, before: i64) -> sqlx::Result<()> {
    on!(tx, |c| {
        sqlx::query(
            "DELETE FROM audit WHERE id IN \
             (SELECT id FROM audit WHERE at < $1 ORDER BY at, id LIMIT $2)",
        )
        .bind(before)
        .bind(AT_ONCE)
        .execute(c)
        .await
        .map(|_| ())
    })
}
