//! What nobody refers to: lists of files, and contents.

use lyceum_model::digest::Digest;
use lyceum_store::{Engine, Tx, on};
use sqlx::AssertSqlSafe;

/// That no version, submission or feedback names the tree `t`.
const UNNAMED: &str = "NOT EXISTS (SELECT 1 FROM exchange_versions v WHERE v.tree = t.tree) \
     AND NOT EXISTS (SELECT 1 FROM exchange_submissions s WHERE s.tree = t.tree) \
     AND NOT EXISTS (SELECT 1 FROM exchange_feedback f WHERE f.tree = t.tree)";

/// Until the end of the transaction nobody else writes a tree down, and whoever had has committed.
///
/// To be called first of all in a transaction, which has to be short.
pub async fn gate(tx: &mut Tx) -> sqlx::Result<()> {
    // On SQLite one transaction writes at a time.
    if tx.engine() == Engine::Sqlite {
        return Ok(());
    }
    // Behind one that waits for long, all others would.
    on!(tx, |c| sqlx::query("SET LOCAL lock_timeout = '2s'")
        .execute(c)
        .await
        .map(|_| ()))?;
    on!(tx, |c| sqlx::query(
        "LOCK TABLE exchange_trees IN SHARE ROW EXCLUSIVE MODE"
    )
    .execute(c)
    .await
    .map(|_| ()))
}

/// Whether the [`gate`] was shut for too long: somebody else's transaction took its time.
pub fn is_busy(error: &sqlx::Error) -> bool {
    let code = error.as_database_error().and_then(|error| error.code());
    code.is_some_and(|code| code == "55P03")
}

/// Trees that nothing names, in order, from behind `after`.
pub async fn unnamed_trees(tx: &mut Tx, after: &str, limit: i64) -> sqlx::Result<Vec<String>> {
    let sql = format!(
        "SELECT t.tree FROM exchange_trees t WHERE t.tree > $1 AND {UNNAMED} ORDER BY t.tree LIMIT $2"
    );
    on!(tx, |c| sqlx::query_scalar(AssertSqlSafe(sql))
        .bind(after)
        .bind(limit)
        .fetch_all(c)
        .await)
}

/// Deletes those of these that nothing names, behind the [`gate`]; says how many.
pub async fn delete_trees(tx: &mut Tx, trees: &[String]) -> sqlx::Result<u64> {
    let list = places(trees.len());
    let sql = format!("SELECT t.tree FROM exchange_trees t WHERE t.tree IN ({list}) AND {UNNAMED}");
    let unnamed: Vec<String> = on!(tx, |c| {
        let mut query = sqlx::query_scalar(AssertSqlSafe(sql));
        for tree in trees {
            query = query.bind(tree);
        }
        query.fetch_all(c).await
    })?;
    if unnamed.is_empty() {
        return Ok(0);
    }
    for table in ["exchange_tree_files", "exchange_trees"] {
        let list = places(unnamed.len());
        let sql = format!("DELETE FROM {table} WHERE tree IN ({list})");
        on!(tx, |c| {
            let mut query = sqlx::query(AssertSqlSafe(sql));
            for tree in &unnamed {
                query = query.bind(tree);
            }
            query.execute(c).await.map(|_| ())
        })?;
    }
    Ok(unnamed.len() as u64)
}

/// Blobs with a row that no tree names, in order, from behind `after`.
pub async fn unnamed_blobs(tx: &mut Tx, after: &str, limit: i64) -> sqlx::Result<Vec<String>> {
    on!(tx, |c| {
        sqlx::query_scalar(
        "SELECT b.blob FROM exchange_blobs b WHERE b.blob > $1 \
         AND NOT EXISTS (SELECT 1 FROM exchange_tree_files f WHERE f.blob = b.blob) ORDER BY b.blob LIMIT $2"
    )
    .bind(after)
    .bind(limit)
    .fetch_all(c)
    .await
    })
}

/// Deletes the rows of those of these that no tree names, behind the [`gate`]; says how many.
pub async fn delete_blob_rows(tx: &mut Tx, blobs: &[String]) -> sqlx::Result<u64> {
    let list = places(blobs.len());
    let sql = format!(
        "DELETE FROM exchange_blobs WHERE blob IN ({list}) \
         AND NOT EXISTS (SELECT 1 FROM exchange_tree_files f WHERE f.blob = exchange_blobs.blob)"
    );
    on!(tx, |c| {
        let mut query = sqlx::query(AssertSqlSafe(sql));
        for blob in blobs {
            query = query.bind(blob);
        }
        query.execute(c).await.map(|done| done.rows_affected())
    })
}

/// Those of these that have no row.
pub async fn without_row(tx: &mut Tx, blobs: &[Digest]) -> sqlx::Result<Vec<Digest>> {
    let sql = format!(
        "SELECT blob FROM exchange_blobs WHERE blob IN ({})",
        places(blobs.len())
    );
    let known: Vec<String> = on!(tx, |c| {
        let mut query = sqlx::query_scalar(AssertSqlSafe(sql));
        for blob in blobs {
            query = query.bind(blob.to_hex());
        }
        query.fetch_all(c).await
    })?;
    let mut without = blobs.to_vec();
    without.retain(|blob| !known.contains(&blob.to_hex()));
    Ok(without)
}

/// How many trees nothing names, and how many blobs with a row would be without one if those were gone.
pub async fn count(tx: &mut Tx) -> sqlx::Result<(i64, i64)> {
    let sql = format!("SELECT COUNT(*) FROM exchange_trees t WHERE {UNNAMED}");
    let trees: i64 = on!(tx, |c| sqlx::query_scalar(AssertSqlSafe(sql))
        .fetch_one(c)
        .await)?;
    let sql = format!(
        "SELECT COUNT(*) FROM exchange_blobs b WHERE NOT EXISTS (SELECT 1 FROM exchange_tree_files t \
         WHERE t.blob = b.blob AND NOT ({UNNAMED}))"
    );
    let blobs: i64 = on!(tx, |c| sqlx::query_scalar(AssertSqlSafe(sql))
        .fetch_one(c)
        .await)?;
    Ok((trees, blobs))
}

/// `$1, $2, $3` for three.
fn places(many: usize) -> String {
    let places: Vec<String> = (1..=many).map(|at| format!("${at}")).collect();
    places.join(", ")
}
