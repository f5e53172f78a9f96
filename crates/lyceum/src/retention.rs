//! What of the exchange is over for as long as the configuration says (`exchange.keep`): it goes into an
//! archive and leaves the database; and archives that are old enough go for good.
//!
//! Each course goes by itself and can be tried again; one that fails holds up no other.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use anyhow::{Context, ensure};
use lyceum_courses::{CourseId, Shelf, Visibility};
use lyceum_exchange::archive::{self, Written};
use lyceum_exchange::receipt::Signer;
use lyceum_exchange::{db, removal};
use lyceum_hub::audit::{self, Act, Doer, What};
use lyceum_model::clock::Millis;
use lyceum_store::Db;
use lyceum_store::blobs::Blobs;

use crate::config::exchange::Keep;

/// How archives' names end.
const ENDING: &str = ".tar.zst";

/// What it is done with.
pub struct Retention<'a> {
    pub db: &'a Db,
    pub blobs: &'a Blobs,
    pub signer: &'a Signer,
    pub shelf: &'a Shelf,
    /// Where archives go.
    pub archives: &'a Path,
    pub keep: Keep,
    pub now: Millis,
    /// Who is said to have done it: `retention`.
    pub by: &'static str,
}

/// What went, or would go.
#[derive(Debug, Default)]
pub struct Gone {
    /// Names of courses whose things leave the exchange.
    pub courses: Vec<String>,
    pub archives: Vec<PathBuf>,
    /// Courses and archives that could not go, with the reason.
    pub failed: Vec<String>,
}

impl Retention<'_> {
    /// `dry`: tells only what would go. Since when courses are archived is written down all the same.
    pub async fn run(&self, dry: bool) -> anyhow::Result<Gone> {
        self.mark_archived().await?;
        let mut gone = Gone::default();
        for course in self.due().await? {
            let done = match dry {
                true => Ok(()),
                false => self.let_go(&course).await.map(|_| ()),
            };
            match done {
                Ok(()) => gone.courses.push(course.name),
                Err(error) => gone
                    .failed
                    .push(format!("course {}: {error:#}", course.name)),
            }
        }
        for archive in self.old_archives()? {
            let done = match dry {
                true => Ok(()),
                false => self.delete_archive(&archive).await,
            };
            match done {
                Ok(()) => gone.archives.push(archive),
                Err(error) => {
                    let archive = archive.display();
                    gone.failed.push(format!("archive {archive}: {error:#}"));
                }
            }
        }
        Ok(gone)
    }

    /// Writes down which courses are archived since now, and which are not any more.
    async fn mark_archived(&self) -> anyhow::Result<()> {
        let ids = self.shelf.ids().into_iter();
        let archived = ids.filter(|id| {
            let course = self.shelf.course(id);
            course.is_some_and(|course| course.visible == Visibility::Archived)
        });
        let archived: Vec<String> = archived.map(|id| id.to_string()).collect();
        let known = db::removal::archived(&mut self.db.glance().await?).await?;
        for (id, name, since) in known {
            let is_archived = archived.contains(&name);
            // Nothing is known of a file with a mistake.
            let is_unclear = CourseId::parse(&name).is_some_and(|id| self.shelf.is_unclear(&id));
            if is_unclear || is_archived == since.is_some() {
                continue;
            }
            let since = is_archived.then_some(self.now.0);
            let mut tx = self.db.write().await?;
            db::removal::set_archived(&mut tx, &id, since).await?;
            tx.commit().await?;
        }
        Ok(())
    }

    async fn due(&self) -> anyhow::Result<Vec<db::removal::CourseRow>> {
        let before = |kept: std::time::Duration| {
            let kept = i64::try_from(kept.as_millis()).unwrap_or(i64::MAX);
            self.now.0.saturating_sub(kept)
        };
        let mut tx = self.db.read().await?;
        let mut due = Vec::new();
        if let Some(kept) = self.keep.archived {
            due.extend(db::removal::archived_before(&mut tx, before(kept)).await?);
        }
        if let Some(kept) = self.keep.removed {
            due.extend(db::removal::removed_before(&mut tx, before(kept)).await?);
        }
        Ok(due)
    }

    /// Archives a course and takes it out of the exchange.
    pub async fn let_go(
        &self,
        course: &db::removal::CourseRow,
    ) -> anyhow::Result<(PathBuf, Written)> {
        removal::mark(self.db, &course.id, self.now).await?;
        let (db, blobs, signer) = (self.db, self.blobs, self.signer);
        let archived = removal::archive(db, blobs, signer, &course.id, self.archives, self.now);
        let (file, written) = archived.await.context("writing its archive")?;
        let mut tx = self.db.write().await?;
        let gone = removal::purge(&mut tx, &course.id, &written).await?;
        ensure!(
            gone,
            "something was handed in while its archive was written; nothing was removed"
        );
        let nobody = Doer::nobody();
        let act = Act::new(&nobody, What::CourseRemoved)
            .with("course", &course.name)
            .with("archive", file.display())
            .with("submissions", written.submissions)
            .with("by", self.by);
        audit::note(&mut tx, act, self.now).await?;
        tx.commit().await?;
        tracing::info!(
            course = course.name,
            archive = %file.display(),
            submissions = written.submissions,
            "a course is in its archive and out of the exchange"
        );
        Ok((file, written))
    }

    /// Archives alone, whatever else lies there; by the times of their files, which a backup that was brought back may have made older.
    fn old_archives(&self) -> anyhow::Result<Vec<PathBuf>> {
        let Some(kept) = self.keep.archives else {
            return Ok(Vec::new());
        };
        let entries = match fs::read_dir(self.archives) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries
                .with_context(|| format!("listing the archives in {}", self.archives.display()))?,
        };
        let mut old = Vec::new();
        for entry in entries {
            let entry = entry?;
            let name = entry.file_name();
            let about = entry.metadata()?;
            let age = SystemTime::now().duration_since(about.modified()?);
            let is_old = about.is_file() && age.is_ok_and(|age| age > kept);
            if is_old && is_archive(&entry.path(), &name.to_string_lossy()) {
                old.push(entry.path());
            }
        }
        old.sort();
        Ok(old)
    }

    async fn delete_archive(&self, archive: &Path) -> anyhow::Result<()> {
        // Said before: what is gone and not said would be worse than the other way round.
        let mut tx = self.db.write().await?;
        let nobody = Doer::nobody();
        let act = Act::new(&nobody, What::ArchiveDeleted)
            .with("archive", archive.display())
            .with("by", self.by);
        audit::note(&mut tx, act, self.now).await?;
        tx.commit().await?;
        fs::remove_file(archive)?;
        tracing::info!(archive = %archive.display(), "an archive of a course is deleted");
        Ok(())
    }
}

/// By its name and by what is in it.
fn is_archive(path: &Path, name: &str) -> bool {
    let Some(stem) = name.strip_suffix(ENDING) else {
        return false;
    };
    let id = fs::File::open(path).ok().and_then(archive::course_id);
    id.is_some_and(|id| stem.ends_with(&format!("-{id}")))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use lyceum_courses::Site;
    use lyceum_model::clock::Millis;
    use lyceum_store::blobs::Disk;
    use lyceum_store::on;
    use lyceum_testkit::TestDb;

    use super::*;

    const DAY: Duration = Duration::from_secs(24 * 3600);
    const DAY_MS: i64 = 24 * 3_600_000;

    async fn run(db: &Db, sql: &'static str) {
        let mut tx = db.write().await.expect("a transaction");
        on!(tx, |c| sqlx::raw_sql(sql).execute(c).await.map(|_| ())).expect("done");
        tx.commit().await.expect("written");
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn what_is_over_goes_and_nothing_else() {
        for db in TestDb::both().await {
            let folder = tempfile::tempdir().expect("a folder");
            let at = |name: &str| folder.path().join(name);
            fs::create_dir_all(at("courses")).expect("made");
            let write = |visible: &str| {
                let text = format!("title: Old\nvisible: {visible}\n");
                fs::write(at("courses/old.yaml"), text).expect("written");
            };
            write("archived");
            let shelf = Shelf::open(&at("courses"), Site::default()).expect("opened");
            let blobs = Disk::open(&at("blobs")).await.expect("opened");
            let (blobs, signer) = (Blobs::Disk(blobs), Signer::new([5; 32]));
            let archives = at("archives");
            let retention = |now: i64| Retention {
                db: db.db(),
                blobs: &blobs,
                signer: &signer,
                shelf: &shelf,
                archives: &archives,
                keep: Keep {
                    archived: Some(5 * DAY),
                    archives: Some(DAY),
                    removed: Some(2 * DAY),
                },
                now: Millis(now),
                by: "retention",
            };
            run(
                db.db(),
                "INSERT INTO exchange_courses (id, name, made_at, removed_at) VALUES \
                 ('1', 'gone', 1, 1), ('2', 'here', 1, NULL), ('3', 'old', NULL, NULL)",
            )
            .await;
            let go = async |now: i64, dry: bool| {
                let gone = retention(now).run(dry).await.expect("looked");
                assert!(gone.failed.is_empty(), "{:?}", gone.failed);
                gone
            };
            let none: [&str; 0] = [];
            assert_eq!(go(DAY_MS, false).await.courses, none);
            assert_eq!(go(3 * DAY_MS, true).await.courses, ["gone"]);
            assert_eq!(go(3 * DAY_MS, false).await.courses, ["gone"]);
            assert_eq!(go(5 * DAY_MS, false).await.courses, none);
            // It was seen to be archived on the first day; but then it was not for a time.
            write("enrolled");
            shelf.look().expect("looked");
            assert_eq!(go(6 * DAY_MS, false).await.courses, none);
            write("archived");
            shelf.look().expect("looked");
            assert_eq!(go(7 * DAY_MS, false).await.courses, none);
            assert_eq!(go(12 * DAY_MS, false).await.courses, none);
            assert_eq!(go(12 * DAY_MS + 1, false).await.courses, ["old"]);
            let mut tx = db.db().read().await.expect("a transaction");
            let left: Vec<String> = on!(tx, |c| sqlx::query_scalar(
                "SELECT name FROM exchange_courses"
            )
            .fetch_all(c)
            .await)
            .expect("read");
            assert_eq!(left, ["here"]);
            let noted: i64 = on!(tx, |c| sqlx::query_scalar(
                "SELECT COUNT(*) FROM audit WHERE what = 'course_removed'"
            )
            .fetch_one(c)
            .await)
            .expect("read");
            assert_eq!(noted, 2);
            drop(tx);

            // Of what lies there only old archives go.
            let old = archives.join("gone-1.tar.zst");
            fs::write(archives.join("mine-1.tar.zst"), "mine").expect("written");
            fs::copy(&old, archives.join("other.tar.zst")).expect("copied");
            for entry in fs::read_dir(&archives).expect("listed") {
                let path = entry.expect("an entry").path();
                if path.ends_with("old-3.tar.zst") {
                    continue;
                }
                let file = fs::File::options().write(true).open(path).expect("opened");
                let long_ago = SystemTime::now() - 3 * DAY;
                file.set_modified(long_ago).expect("made old");
            }
            let gone = go(13 * DAY_MS, true).await.archives;
            assert_eq!(gone, [old.clone()]);
            assert!(old.exists());
            assert_eq!(go(13 * DAY_MS, false).await.archives, [old.clone()]);
            assert!(!old.exists());
            assert_eq!(fs::read_dir(&archives).expect("listed").count(), 3);
        }
    }
}
