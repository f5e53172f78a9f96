//! Removing the contents that nothing refers to any more: no version, no submission, no feedback.
//!
//! Three steps, each of which may be cut off anywhere and leaves nothing wrong: lists of files that
//! nothing names, rows of contents that no list names, contents that have no row. The last takes only
//! what is old, so that uploads under way, whose contents have no row yet, keep theirs; and a content
//! that loses its row begins its age anew. Should an upload take longer than that all the same, it is
//! refused: [`crate::stored`] says how neither overlooks the other. Several at a time do no harm.

use std::time::Duration;

use anyhow::Context;
use lyceum_model::digest::Digest;
use lyceum_store::blobs::Blobs;
use lyceum_store::{Db, Tx};

use crate::db::collect as rows;

/// How old a content must be that nothing refers to.
pub const GRACE: Duration = Duration::from_secs(24 * 3600);
/// Less than the longest upload takes, and what clocks of machines may differ by, makes no sense.
pub const SHORTEST_GRACE: Duration = Duration::from_secs(3600);
/// Contents that are looked at between two questions to the database.
const PAGE: usize = 500;
/// Removed while others wait.
const TREES_AT_ONCE: i64 = 20;
const BLOBS_AT_ONCE: usize = 100;

/// What was collected, or would be.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Collected {
    /// Lists of files.
    pub trees: u64,
    /// Contents that nothing refers to since then.
    pub blobs: u64,
    /// Contents that are off the disk, and the bytes that they took there.
    pub files: u64,
    pub bytes: u64,
}

/// All three steps.
pub async fn collect(db: &Db, blobs: &Blobs, grace: Duration) -> anyhow::Result<Collected> {
    let mut collected = Collected {
        trees: trees(db).await.context("removing lists of files")?,
        blobs: blob_rows(db, blobs)
            .await
            .context("removing rows of contents")?,
        ..Collected::default()
    };
    files(db, blobs, grace, true, &mut collected)
        .await
        .context("removing contents")?;
    Ok(collected)
}

/// What [`collect`] would do now. Of contents that it would only give up now, the files stay until they
/// are old.
pub async fn look(db: &Db, blobs: &Blobs, grace: Duration) -> anyhow::Result<Collected> {
    let (trees, rows) = rows::count(&mut db.read().await?).await?;
    let mut found = Collected {
        trees: trees.try_into().unwrap_or_default(),
        blobs: rows.try_into().unwrap_or_default(),
        ..Collected::default()
    };
    files(db, blobs, grace, false, &mut found).await?;
    Ok(found)
}

/// The first step; says how many lists went.
pub async fn trees(db: &Db) -> anyhow::Result<u64> {
    let (mut after, mut gone) = (String::new(), 0);
    loop {
        let page = rows::unnamed_trees(&mut db.glance().await?, &after, TREES_AT_ONCE).await?;
        let Some(last) = page.last() else {
            return Ok(gone);
        };
        after.clone_from(last);
        let Some(mut tx) = gated(db).await? else {
            continue;
        };
        gone += rows::delete_trees(&mut tx, &page).await?;
        tx.commit().await?;
    }
}

/// The second step; says how many rows went.
pub async fn blob_rows(db: &Db, blobs: &Blobs) -> anyhow::Result<u64> {
    let (mut after, mut gone) = (String::new(), 0);
    let page = i64::try_from(PAGE).unwrap_or(i64::MAX);
    loop {
        let page = rows::unnamed_blobs(&mut db.glance().await?, &after, page).await?;
        let Some(last) = page.last() else {
            return Ok(gone);
        };
        after.clone_from(last);
        // Before the rows go: an upload that has seen one has written nothing itself.
        let digests = page.iter().filter_map(|blob| Digest::parse(blob));
        blobs.freshen(digests.collect()).await?;
        let Some(mut tx) = gated(db).await? else {
            continue;
        };
        gone += rows::delete_blob_rows(&mut tx, &page).await?;
        tx.commit().await?;
    }
}

/// The third step.
async fn files(
    db: &Db,
    blobs: &Blobs,
    grace: Duration,
    delete: bool,
    collected: &mut Collected,
) -> anyhow::Result<()> {
    let mut after = None;
    loop {
        let page = blobs.list(after, PAGE).await?;
        let Some(last) = page.last() else {
            return Ok(());
        };
        after = Some(*last);
        let without = rows::without_row(&mut db.glance().await?, &page).await?;
        let old = blobs.old(without, grace).await?;
        if !delete {
            collected.count(&old);
            continue;
        }
        for some in old.chunks(BLOBS_AT_ONCE) {
            let some: Vec<Digest> = some.iter().map(|(blob, _)| *blob).collect();
            let (db, blobs) = (db.clone(), blobs.clone());
            // Whoever is cut off here leaves nobody behind who deletes while nobody else waits for it.
            let deleting = tokio::spawn(async move { delete_some(&db, &blobs, some, grace).await });
            collected.count(&deleting.await??);
        }
    }
}

async fn delete_some(
    db: &Db,
    blobs: &Blobs,
    some: Vec<Digest>,
    grace: Duration,
) -> anyhow::Result<Vec<(Digest, u64)>> {
    let Some(mut tx) = gated(db).await? else {
        return Ok(Vec::new());
    };
    // Asked again, now that nobody can add a row until these are gone.
    let without = rows::without_row(&mut tx, &some).await?;
    let gone = blobs.delete_old(without, grace).await?;
    tx.rollback().await?;
    Ok(gone)
}

/// A transaction behind the gate. Nothing: others are busy there, and what was to go now goes another day.
async fn gated(db: &Db) -> sqlx::Result<Option<Tx>> {
    let mut tx = db.write().await?;
    match rows::gate(&mut tx).await {
        Err(error) if rows::is_busy(&error) => {
            tx.rollback().await?;
            tracing::info!("others write to the exchange for long; some is collected another day");
            Ok(None)
        }
        done => done.map(|()| Some(tx)),
    }
}

impl Collected {
    fn count(&mut self, files: &[(Digest, u64)]) {
        self.files += files.len() as u64;
        self.bytes += files.iter().map(|(_, bytes)| bytes).sum::<u64>();
    }
}
