//! The end of a course: its name is freed, all of it goes into an archive, and then its rows go. The
//! contents that nobody else refers to are collected later ([`crate::collect`]).
//!
//! Each step can be repeated. Until the last is committed all is still there; and the last does nothing
//! when what is there is not what the archive has.

use std::fs::{self, File};
use std::io::{self, BufReader};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use anyhow::{Context, bail, ensure};
use lyceum_model::clock::Millis;
use lyceum_store::blobs::Blobs;
use lyceum_store::{Db, Tx};
use tokio::task::spawn_blocking;

use crate::archive::{self, Written};
use crate::db;
use crate::receipt::Signer;

/// Characters of a course's name that are in the name of its archive.
const NAME_MAX: usize = 40;

/// Frees the name of a course, which is from then on not there for anybody. Whatever is still on its way
/// to it is refused.
pub async fn mark(db: &Db, id: &str, now: Millis) -> sqlx::Result<()> {
    let mut tx = db.write().await?;
    mark_in(&mut tx, id, now).await?;
    tx.commit().await
}

/// The same, at the beginning of a transaction.
pub async fn mark_in(tx: &mut Tx, id: &str, now: Millis) -> sqlx::Result<()> {
    // What was written down before is seen by the archive; what comes behind sees that it is removed.
    db::collect::gate(tx).await?;
    if db::courses::is_there(tx, id).await? {
        db::courses::remove(tx, id, now.0).await?;
    }
    Ok(())
}

/// Writes a removed course's archive into a folder, which is made if need be, and reads it again whole.
/// When this returns, it is durable. Gives its file.
pub async fn archive(
    db: &Db,
    blobs: &Blobs,
    signer: &Signer,
    id: &str,
    folder: &Path,
    now: Millis,
) -> anyhow::Result<(PathBuf, Written)> {
    let course = db::removal::course(&mut db.read().await?, id).await?;
    let course = course.context("the course is not there any more")?;
    ensure!(
        course.removed_at.is_some(),
        "the course has to be removed before its archive is written"
    );
    // A course's name may be as long as a file's.
    let short: String = course.name.chars().take(NAME_MAX).collect();
    let name = format!("{short}-{id}.tar.zst");
    let (partial, whole) = (folder.join(format!("{name}.partial")), folder.join(name));
    let (at, to) = (partial.clone(), folder.to_owned());
    let made = spawn_blocking(move || create(&to, &at)).await?;
    let file = made.with_context(|| format!("making {}", partial.display()))?;
    let written = archive::write(db, blobs, signer, &course, file, now).await;
    let (written, file) = match written {
        Ok(written) => written,
        Err(error) => {
            let _ = fs::remove_file(&partial);
            return Err(error.context(format!("writing {}", partial.display())));
        }
    };
    let sync = spawn_blocking(move || file.sync_all());
    sync.await?
        .with_context(|| format!("syncing {}", partial.display()))?;
    check(&partial, signer).await?;
    let (from, to, folder) = (partial, whole.clone(), folder.to_owned());
    let named = spawn_blocking(move || {
        fs::rename(from, to)?;
        File::open(folder)?.sync_all()
    });
    named
        .await?
        .with_context(|| format!("naming {}", whole.display()))?;
    Ok((whole, written))
}

/// For nobody else; what an earlier try has left there goes.
fn create(folder: &Path, at: &Path) -> io::Result<File> {
    let mut private = fs::DirBuilder::new();
    private.recursive(true).mode(0o700).create(folder)?;
    match fs::remove_file(at) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut options = File::options();
    options.write(true).create_new(true).mode(0o600).open(at)
}

/// Nothing is taken away that can't be read in its archive.
async fn check(file: &Path, signer: &Signer) -> anyhow::Result<()> {
    let opened = File::open(file).with_context(|| format!("opening {}", file.display()))?;
    let mut first = None;
    let read = tokio::task::block_in_place(|| {
        archive::verify(BufReader::new(opened), signer, |fault| {
            first.get_or_insert(fault);
        })
    });
    read.with_context(|| format!("reading {} again", file.display()))?;
    match first {
        None => Ok(()),
        Some(fault) => bail!(
            "{} does not hold what it should, so nothing was removed; {fault}",
            file.display()
        ),
    }
}

/// Takes away all rows of a course, if they are still what its archive has; says whether they were. It
/// counts once the transaction is committed.
pub async fn purge(tx: &mut Tx, id: &str, archived: &Written) -> sqlx::Result<bool> {
    let (receipts, newest) = (archived.receipts, &archived.newest_receipt);
    if !db::removal::hold(tx, id, receipts, newest).await? {
        return Ok(false);
    }
    db::removal::delete(tx, id).await?;
    Ok(true)
}
