//! Trees, the files in them, and what is known of their blobs.

use lyceum_model::clock::Millis;
use lyceum_model::digest::Digest;
use lyceum_store::{Tx, on};
use sqlx::AssertSqlSafe;

use crate::tree::{FilePath, Tree, TreeFile};

/// Rows that are written, or blobs that are asked about, with one statement.
const AT_ONCE: usize = 500;

/// Of these blobs those that are known, with their MD5s.
pub async fn known(tx: &mut Tx, blobs: &[Digest]) -> sqlx::Result<Vec<(String, String)>> {
    let mut known = Vec::new();
    for some in blobs.chunks(AT_ONCE) {
        let names: Vec<String> = (1..=some.len()).map(|n| format!("${n}")).collect();
        let sql = format!(
            "SELECT blob, md5 FROM exchange_blobs WHERE blob IN ({})",
            names.join(", ")
        );
        let rows: Vec<(String, String)> = on!(tx, |c| {
            let mut query = sqlx::query_as(AssertSqlSafe(sql));
            for blob in some {
                query = query.bind(blob.to_hex());
            }
            query.fetch_all(c).await
        })?;
        known.extend(rows);
    }
    Ok(known)
}

/// Writes down a tree whose blobs are durable. Does nothing when it is there. Tells the blobs that no row
/// named before: only [`crate::stored`] may call it, which looks whether they are there.
pub async fn insert(tx: &mut Tx, tree: &Tree, now: Millis) -> sqlx::Result<Vec<Digest>> {
    let name = tree.digest().to_hex();
    let is_new = on!(tx, |c| {
        sqlx::query(
        "INSERT INTO exchange_trees (tree, files, bytes, created_at) VALUES ($1, $2, $3, $4) ON CONFLICT (tree) DO NOTHING"
    )
    .bind(&name)
    .bind(count(tree.files().len()))
    .bind(number(tree.bytes()))
    .bind(now.0)
    .execute(c)
    .await
    .map(|done| done.rows_affected() > 0)
    })?;
    let mut new = Vec::new();
    if !is_new {
        return Ok(new);
    }
    // In the order of their names, so that two who write the same ones don't wait for each other.
    let mut blobs: Vec<&TreeFile> = tree.files().iter().collect();
    blobs.sort_by_key(|file| file.blob);
    blobs.dedup_by_key(|file| file.blob);
    for some in blobs.chunks(AT_ONCE) {
        let sql = format!(
            "INSERT INTO exchange_blobs (blob, size, md5, created_at) VALUES {} ON CONFLICT (blob) DO NOTHING RETURNING blob",
            rows(some.len(), 4)
        );
        let inserted: Vec<String> = on!(tx, |c| {
            let mut query = sqlx::query_scalar(AssertSqlSafe(sql));
            for file in some {
                query = query
                    .bind(file.blob.to_hex())
                    .bind(number(file.size))
                    .bind(&file.md5)
                    .bind(now.0);
            }
            query.fetch_all(c).await
        })?;
        new.extend(inserted.iter().filter_map(|blob| Digest::parse(blob)));
    }
    for some in tree.files().chunks(AT_ONCE) {
        let sql = format!(
            "INSERT INTO exchange_tree_files (tree, path, blob) VALUES {}",
            rows(some.len(), 3)
        );
        on!(tx, |c| {
            let mut query = sqlx::query(AssertSqlSafe(sql));
            for file in some {
                query = query
                    .bind(&name)
                    .bind(file.path.as_str())
                    .bind(file.blob.to_hex());
            }
            query.execute(c).await.map(|_| ())
        })?;
    }
    Ok(new)
}

/// What is in a tree.
pub async fn get(tx: &mut Tx, tree: &str) -> sqlx::Result<Vec<TreeFile>> {
    let rows: Vec<(String, String, i64, String)> = on!(tx, |c| {
        sqlx::query_as(
        "SELECT f.path, f.blob, b.size, b.md5 FROM exchange_tree_files f JOIN exchange_blobs b ON b.blob = f.blob \
         WHERE f.tree = $1"
    )
    .bind(tree)
    .fetch_all(c)
    .await
    })?;
    let mut files = Vec::with_capacity(rows.len());
    for (path, blob, size, md5) in rows {
        let damaged = || sqlx::Error::Decode(format!("the tree {tree} is damaged").into());
        files.push(TreeFile {
            path: FilePath::parse(&path).ok_or_else(damaged)?,
            blob: Digest::parse(&blob).ok_or_else(damaged)?,
            size: u64::try_from(size).map_err(|_| damaged())?,
            md5,
        });
    }
    files.sort_by(|one, other| one.path.cmp(&other.path));
    Ok(files)
}

/// `($1, $2), ($3, $4)` for two rows of two.
fn rows(rows: usize, columns: usize) -> String {
    let row = |row: usize| {
        let places: Vec<String> = (1..=columns)
            .map(|column| format!("${}", row * columns + column))
            .collect();
        format!("({})", places.join(", "))
    };
    (0..rows).map(row).collect::<Vec<_>>().join(", ")
}

fn number(size: u64) -> i64 {
    i64::try_from(size).unwrap_or(i64::MAX)
}

fn count(files: usize) -> i64 {
    i64::try_from(files).unwrap_or(i64::MAX)
}
