//! What others did with somebody's servers, as rows.

use lyceum_store::{Tx, on};

/// So many of each kind are kept of a person, the newest: who changes a server all day hides no visit.
const KEPT: i64 = 200;

#[derive(Debug, Clone, sqlx::FromRow)]
pub struct Deed {
    pub server: String,
    pub what: String,
    pub doer: String,
    pub at: i64,
}

/// Writes it down, and forgets those that are too many then.
pub async fn insert(tx: &mut Tx, id: &str, user_id: &str, deed: &Deed) -> sqlx::Result<()> {
    on!(tx, |c| {
        sqlx::query(
            "INSERT INTO deeds (id, user_id, server, what, doer, at) VALUES ($1, $2, $3, $4, $5, $6)",
        )
        .bind(id)
        .bind(user_id)
        .bind(&deed.server)
        .bind(&deed.what)
        .bind(&deed.doer)
        .bind(deed.at)
        .execute(c)
        .await
        .map(|_| ())
    })?;
    on!(tx, |c| {
        sqlx::query(
            "DELETE FROM deeds WHERE id IN \
             (SELECT id FROM deeds WHERE user_id = $1 AND what = $3 ORDER BY at DESC, id DESC LIMIT 100 OFFSET $2)",
        )
        .bind(user_id)
        .bind(KEPT)
        .bind(&deed.what)
        .execute(c)
        .await
        .map(|_| ())
    })
}

/// Whether the same was written down after this moment.
pub async fn is_known(tx: &mut Tx, user_id: &str, deed: &Deed, after: i64) -> sqlx::Result<bool> {
    let found: Option<(String,)> = on!(tx, |c| {
        sqlx::query_as(
            "SELECT id FROM deeds WHERE user_id = $1 AND at > $2 AND server = $3 AND what = $4 AND doer = $5 LIMIT 1",
        )
        .bind(user_id)
        .bind(after)
        .bind(&deed.server)
        .bind(&deed.what)
        .bind(&deed.doer)
        .fetch_optional(c)
        .await
    })?;
    Ok(found.is_some())
}

/// The newest first.
pub async fn of_user(
    tx: &mut Tx,
    user_id: &str,
    after: i64,
    limit: i64,
) -> sqlx::Result<Vec<Deed>> {
    on!(tx, |c| {
        sqlx::query_as(
            "SELECT server, what, doer, at FROM deeds WHERE user_id = $1 AND at > $2 \
             ORDER BY at DESC, id DESC LIMIT $3",
        )
        .bind(user_id)
        .bind(after)
        .bind(limit)
        .fetch_all(c)
        .await
    })
}

pub async fn prune(tx: &mut Tx, before: i64) -> sqlx::Result<()> {
    on!(tx, |c| sqlx::query("DELETE FROM deeds WHERE at < $1")
        .bind(before)
        .execute(c)
        .await
        .map(|_| ()))
}
