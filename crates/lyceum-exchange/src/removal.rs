//! The end of a course: its name is freed, all of it goes into an archive, and then its rows go. The
//! contents that nobody else refers to are collected later ([`crate::collect`]).
//!
//! Each step can be repeated. Until the last is committed all is still there; and the last does nothing
//! when what is there is not what the archive has. Several at a time write archives of their own, and one of
//! them takes the rows.

use std::fs::{self, File};
use std::io::{self, BufReader};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use anyhow::{Context, bail, ensure};
use lyceum_model::clock::Millis;
use lyceum_model::id::new_id;
use lyceum_store::blobs::Blobs;
use lyceum_store::{Db, Tx};
use tokio::task::spawn_blocking;

use crate::archive::{self, Written};
use crate::db;
use crate::db::removal::CourseRow;
use crate::receipt::Signer;

/// Characters of a course's name that are in the name of its archive.
const NAME_MAX: usize = 40;
/// How archives' names end, and those of what becomes one.
pub const ENDING: &str = ".tar.zst";
const PARTIAL: &str = ".tar.zst.partial";

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
/// When this returns, it is durable. Gives its file, which is a new one each time.
pub async fn archive(
    db: &Db,
    blobs: &Blobs,
    signer: &Signer,
    id: &str,
    folder: &Path,
    now: Millis,
) -> anyhow::Result<(PathBuf, Written)> {
    let course = course_of(db, id).await?;
    ensure!(
        course.removed_at.is_some(),
        "the course has to be removed before its archive is written"
    );
    let (partial, written) = write(db, blobs, signer, &course, folder, now).await?;
    check(&partial.0, signer).await?;
    // Whoever else lets go of it may have been quicker; then this may be half of it, or nothing.
    let after = course_of(db, id).await?;
    ensure!(
        after == course,
        "the course changed while its archive was written; nothing was removed"
    );
    let stem = stem(&course.name);
    let (id, folder) = (course.id, folder.to_owned());
    let named = spawn_blocking(move || name(partial, &folder, &stem, &id));
    let whole = named.await?.context("naming the archive")?;
    Ok((whole, written))
}

/// Writes a course's archive and throws it away: so it is known, while the course is still there for everybody,
/// that nothing stands in the way of its archive.
pub async fn rehearse(
    db: &Db,
    blobs: &Blobs,
    signer: &Signer,
    id: &str,
    folder: &Path,
    now: Millis,
) -> anyhow::Result<()> {
    let course = course_of(db, id).await?;
    write(db, blobs, signer, &course, folder, now).await?;
    Ok(())
}

async fn course_of(db: &Db, id: &str) -> anyhow::Result<CourseRow> {
    let course = db::removal::course(&mut db.read().await?, id).await?;
    course.context("the course is not there any more")
}

/// A file that goes when nobody wants it any more, however that comes.
struct Partial(PathBuf);

impl Drop for Partial {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

/// Into a file that nobody else writes; it is durable.
async fn write(
    db: &Db,
    blobs: &Blobs,
    signer: &Signer,
    course: &CourseRow,
    folder: &Path,
    now: Millis,
) -> anyhow::Result<(Partial, Written)> {
    let (stem, id, unique) = (stem(&course.name), &course.id, new_id(now));
    let partial = Partial(folder.join(format!("{stem}-{id}.{unique}{PARTIAL}")));
    let at = partial.0.display().to_string();
    let (to, file) = (folder.to_owned(), partial.0.clone());
    let made = spawn_blocking(move || create(&to, &file)).await?;
    let file = made.with_context(|| format!("making {at}"))?;
    let written = archive::write(db, blobs, signer, course, file, now).await;
    let (written, file) = written.with_context(|| format!("writing {at}"))?;
    let sync = spawn_blocking(move || file.sync_all());
    sync.await?.with_context(|| format!("syncing {at}"))?;
    Ok((partial, written))
}

/// A course's name may be as long as a file's.
fn stem(course: &str) -> String {
    course.chars().take(NAME_MAX).collect()
}

/// For nobody else; the folders that are made are durable.
fn create(folder: &Path, at: &Path) -> io::Result<File> {
    let missing = folder.ancestors();
    let missing = missing.take_while(|at| !at.as_os_str().is_empty() && !at.exists());
    let missing: Vec<PathBuf> = missing.map(Path::to_owned).collect();
    let mut private = fs::DirBuilder::new();
    private.recursive(true).mode(0o700).create(folder)?;
    for made in missing {
        let above = made.parent().filter(|at| !at.as_os_str().is_empty());
        File::open(above.unwrap_or(Path::new(".")))?.sync_all()?;
    }
    let mut options = File::options();
    options.write(true).create_new(true).mode(0o600).open(at)
}

/// Gives it the first name that no file has: what is there is never replaced.
fn name(partial: Partial, folder: &Path, stem: &str, id: &str) -> io::Result<PathBuf> {
    for number in 1.. {
        let whole = folder.join(match number {
            1 => format!("{stem}-{id}{ENDING}"),
            number => format!("{stem}-{number}-{id}{ENDING}"),
        });
        let named = fs::hard_link(&partial.0, &whole).or_else(|error| match error.kind() {
            io::ErrorKind::AlreadyExists => Err(error),
            // Some disks have no links: the name is taken first, and is then nobody else's.
            _ => {
                File::options().write(true).create_new(true).open(&whole)?;
                let renamed = fs::rename(&partial.0, &whole);
                renamed.inspect_err(|_| drop(fs::remove_file(&whole)))
            }
        });
        match named {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            named => {
                named?;
                drop(partial);
                File::open(folder)?.sync_all()?;
                return Ok(whole);
            }
        }
    }
    Err(io::ErrorKind::AlreadyExists.into())
}

/// Removes what writers that are dead have left in the folder of archives: what nobody has written to for so
/// long.
pub fn remove_leftovers(folder: &Path, age: Duration) -> io::Result<Vec<PathBuf>> {
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries?,
    };
    let mut gone = Vec::new();
    for entry in entries {
        let entry = entry?;
        // Another hub may do the same.
        let Ok(about) = entry.metadata() else {
            continue;
        };
        let quiet = SystemTime::now().duration_since(about.modified()?);
        let is_old = about.is_file() && quiet.is_ok_and(|quiet| quiet > age);
        if is_old && is_partial(&entry.file_name().to_string_lossy()) {
            match fs::remove_file(entry.path()) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                removed => removed.map(|()| gone.push(entry.path()))?,
            }
        }
    }
    Ok(gone)
}

/// `bio-ID.UNIQUE.tar.zst.partial`
fn is_partial(name: &str) -> bool {
    let is_id = |text: &str| text.len() == 26 && text.bytes().all(|b| b.is_ascii_alphanumeric());
    let unique = name
        .strip_suffix(PARTIAL)
        .and_then(|stem| stem.rsplit_once('.'));
    unique.is_some_and(|(_, unique)| is_id(unique))
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
    if !db::removal::hold(tx, id, archived).await? {
        return Ok(false);
    }
    db::removal::delete(tx, id).await?;
    Ok(true)
}
