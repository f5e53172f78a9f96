//! What of the exchange is over for as long as the configuration says (`exchange.keep`): it goes into an
//! archive and leaves the database; and archives that are old enough go for good.
//!
//! Each course goes by itself and can be tried again; one that fails holds up no other.

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};
use std::{fs, io};

use anyhow::{Context, bail};
use lyceum_courses::{CourseId, Shelf, Visibility};
use lyceum_exchange::archive::{self, Written};
use lyceum_exchange::receipt::Signer;
use lyceum_exchange::{db, removal};
use lyceum_hub::audit::{self, Act, Doer, What};
use lyceum_model::clock::Millis;
use lyceum_store::blobs::Blobs;
use lyceum_store::{Db, settings};

use crate::config::exchange::Keep;

/// When it was done last, in milliseconds since 1970.
const LAST: &str = "exchange.retention_at";
/// A clock that went on by more than this since the last time, or back, is asked about.
const LEAP_MS: i64 = 30 * 24 * 3_600_000;
/// By so much clocks of several hubs may differ.
const BACK_MS: i64 = 3_600_000;
/// What nobody has written to for so long becomes no archive any more.
const LEFTOVER_AGE: Duration = Duration::from_secs(24 * 3600);

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
    /// Somebody stands by it: whatever the clock says is meant.
    pub by_hand: bool,
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
    /// `dry`: tells only what would go, and writes nothing.
    pub async fn run(&self, dry: bool) -> anyhow::Result<Gone> {
        if let Some(why) = self.wrong_clock().await? {
            let failed = vec![why];
            return Ok(Gone {
                failed,
                ..Gone::default()
            });
        }
        if !dry {
            self.mark_archived().await?;
            let leftovers = removal::remove_leftovers(self.archives, LEFTOVER_AGE);
            let leftovers = leftovers.context("removing what dead writers left")?;
            for file in leftovers {
                tracing::info!(file = %file.display(), "removed an unfinished archive");
            }
        }
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
        if !dry {
            let mut tx = self.db.write().await?;
            settings::set(&mut tx, LAST, &self.now.0.to_string(), self.now).await?;
            tx.commit().await?;
        }
        Ok(gone)
    }

    /// Why what the clock says is not believed without somebody: by it everything could be over at once.
    async fn wrong_clock(&self) -> anyhow::Result<Option<String>> {
        let last = settings::get(&mut self.db.glance().await?, LAST).await?;
        let last: Option<i64> = last.and_then(|last| last.parse().ok());
        let Some(last) = last.filter(|_| !self.by_hand) else {
            return Ok(None);
        };
        let passed = self.now.0.saturating_sub(last);
        if (-BACK_MS..=LEAP_MS).contains(&passed) {
            return Ok(None);
        }
        let (now, last) = (self.now.to_iso(), Millis(last).to_iso());
        Ok(Some(format!(
            "the clock says {now}, and said {last} when this was done last, so nothing was let go of; \
             if the clock is right, run `lyceum exchange retention` once by hand"
        )))
    }

    /// Writes down which courses are archived since now, and which are not any more.
    async fn mark_archived(&self) -> anyhow::Result<()> {
        let there = db::removal::there(&mut self.db.glance().await?).await?;
        for row in there {
            let id = CourseId::parse(&row.name);
            let file = id.and_then(|id| match self.shelf.is_unclear(&id) {
                // Nothing is known of a file with a mistake.
                true => None,
                false => self.shelf.course(&id),
            });
            // It can't have been so before the last thing was handed in, nor be so from tomorrow on.
            let newest = row.newest_at.map_or(i64::MIN, |at| at.div_euclid(1000) + 1);
            let is_true = |since: &i64| (newest..=self.now.0).contains(since);
            let since = match file.map(|file| file.visible == Visibility::Archived) {
                Some(false) => None,
                Some(true) => Some(row.archived_at.filter(is_true).unwrap_or(self.now.0)),
                // Where a file is not there, what it said last holds.
                None => (row.archived_at).map(|at| Some(at).filter(is_true).unwrap_or(self.now.0)),
            };
            if since == row.archived_at {
                continue;
            }
            let mut tx = self.db.write().await?;
            db::removal::set_archived(&mut tx, &row.id, since).await?;
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
        let mut due: Vec<db::removal::CourseRow> = Vec::new();
        if let Some(kept) = self.keep.archived {
            due.extend(db::removal::archived_before(&mut tx, before(kept)).await?);
        }
        if let Some(kept) = self.keep.removed {
            let removed = db::removal::removed_before(&mut tx, before(kept)).await?;
            for course in removed {
                if due.iter().all(|other| other.id != course.id) {
                    due.push(course);
                }
            }
        }
        Ok(due)
    }

    /// Archives a course and takes it out of the exchange. What stands in the way of its archive is found
    /// before anybody misses it; and what was cut off behind that goes on the next time.
    pub async fn let_go(
        &self,
        course: &db::removal::CourseRow,
    ) -> anyhow::Result<(PathBuf, Written)> {
        let (db, blobs, signer) = (self.db, self.blobs, self.signer);
        if course.removed_at.is_none() {
            let (id, to) = (&course.id, self.archives);
            let rehearsed = removal::rehearse(db, blobs, signer, id, to, self.now).await;
            rehearsed.context("nothing was removed")?;
        }
        removal::mark(self.db, &course.id, self.now).await?;
        let archived = removal::archive(db, blobs, signer, &course.id, self.archives, self.now);
        let (file, written) = archived.await.context("writing its archive")?;
        let mut tx = self.db.write().await?;
        if !removal::purge(&mut tx, &course.id, &written).await? {
            tx.rollback().await?;
            let _ = fs::remove_file(&file);
            bail!("the course changed while its archive was written; nothing was removed");
        }
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
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
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
        let mut tx = self.db.write().await?;
        let nobody = Doer::nobody();
        let act = Act::new(&nobody, What::ArchiveDeleted)
            .with("archive", archive.display())
            .with("by", self.by);
        audit::note(&mut tx, act, self.now).await?;
        // Between the two: where either fails it is not said, and is tried again if it is still there.
        match fs::remove_file(archive) {
            // Another hub was quicker, and has said so.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Ok(tx.rollback().await?);
            }
            removed => removed?,
        }
        tx.commit().await?;
        tracing::info!(archive = %archive.display(), "an archive of a course is deleted");
        Ok(())
    }
}

/// By its name and by what is in it.
fn is_archive(path: &Path, name: &str) -> bool {
    let Some(stem) = name.strip_suffix(removal::ENDING) else {
        return false;
    };
    let id = fs::File::open(path).ok().and_then(archive::course_id);
    id.is_some_and(|id| stem.ends_with(&format!("-{id}")))
}

#[cfg(test)]
mod tests {
    use lyceum_courses::Site;
    use lyceum_exchange::tree::{FilePath, Tree, TreeFile};
    use lyceum_model::clock::Millis;
    use lyceum_model::digest::Digest;
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

    /// With a file of the course `old`.
    struct Place {
        folder: tempfile::TempDir,
        shelf: Shelf,
        blobs: Blobs,
        signer: Signer,
        archives: PathBuf,
    }

    impl Place {
        async fn open() -> Self {
            let folder = tempfile::tempdir().expect("a folder");
            let courses = folder.path().join("courses");
            fs::create_dir_all(&courses).expect("made");
            fs::write(courses.join("old.yaml"), "title: Old\nvisible: archived\n")
                .expect("written");
            let blobs = Disk::open(&folder.path().join("blobs")).await;
            Self {
                shelf: Shelf::open(&courses, Site::default()).expect("opened"),
                blobs: Blobs::Disk(blobs.expect("opened")),
                signer: Signer::new([5; 32]),
                archives: folder.path().join("new/archives"),
                folder,
            }
        }

        fn retention<'a>(&'a self, db: &'a Db, now: i64) -> Retention<'a> {
            Retention {
                db,
                blobs: &self.blobs,
                signer: &self.signer,
                shelf: &self.shelf,
                archives: &self.archives,
                keep: Keep {
                    archived: Some(5 * DAY),
                    archives: None,
                    removed: None,
                },
                now: Millis(now),
                by: "retention",
                by_hand: false,
            }
        }
    }

    async fn archived_at(db: &Db) -> Option<i64> {
        let mut tx = db.read().await.expect("a transaction");
        let there = db::removal::there(&mut tx).await.expect("listed");
        there[0].archived_at
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn what_could_not_go_is_there_as_before_and_goes_later() {
        for db in TestDb::both().await {
            let place = Place::open().await;
            let content = b"handed out";
            let file = TreeFile {
                path: FilePath::parse("a").expect("a path"),
                blob: Digest::of(content),
                size: content.len() as u64,
                md5: "0".repeat(32),
            };
            let tree = Tree::new(vec![file]).expect("a tree");
            let mut tx = db.db().write().await.expect("a transaction");
            let written = db::trees::insert(&mut tx, &tree, Millis(1)).await;
            written.expect("written");
            tx.commit().await.expect("written");
            run(
                db.db(),
                "INSERT INTO exchange_courses (id, name, archived_at) VALUES ('3', 'old', 1); \
                 INSERT INTO exchange_assignments (id, course_id, name, version, created_at) VALUES ('4', '3', 'hw', 1, 1); \
                 INSERT INTO exchange_versions (assignment_id, version, tree, released_at, released_by) \
                 SELECT '4', 1, tree, 1, 'tess' FROM exchange_trees",
            )
            .await;
            let go = async |now: i64| {
                let gone = place.retention(db.db(), now).run(false).await;
                gone.expect("looked")
            };
            let gone = go(9 * DAY_MS).await;
            assert!(gone.courses.is_empty(), "{:?}", gone.courses);
            let missing = Digest::of(content).to_hex();
            assert!(gone.failed[0].contains(&missing), "{:?}", gone.failed);
            // Nobody misses it, and nothing half is left.
            assert_eq!(archived_at(db.db()).await, Some(1));
            let left = fs::read_dir(&place.archives).expect("listed").count();
            assert_eq!(left, 0);

            // Cut off behind the first step: it goes on the next time.
            removal::mark(db.db(), "3", Millis(9 * DAY_MS))
                .await
                .expect("marked");
            assert_eq!(go(9 * DAY_MS + 1).await.failed.len(), 1);
            place.blobs.put_bytes(content).await.expect("repaired");
            let gone = go(9 * DAY_MS + 2).await;
            assert!(gone.failed.is_empty(), "{:?}", gone.failed);
            assert_eq!(gone.courses, ["old"]);
            assert_eq!(go(9 * DAY_MS + 3).await.courses.len(), 0);
            let left = fs::read_dir(&place.archives).expect("listed").count();
            assert_eq!(left, 1);
        }
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_clock_that_leaps_lets_nothing_go() {
        for db in TestDb::both().await {
            let place = Place::open().await;
            let course = "INSERT INTO exchange_courses (id, name) VALUES ('3', 'old')";
            run(db.db(), course).await;
            let go = async |days: i64, by_hand: bool| {
                let retention = place.retention(db.db(), days * DAY_MS);
                let gone = Retention {
                    by_hand,
                    ..retention
                };
                let gone = gone.run(false).await.expect("looked");
                (gone.courses.len(), gone.failed.len())
            };
            assert_eq!(go(1, false).await, (0, 0));
            assert_eq!(go(60, false).await, (0, 1));
            // That it said so once makes it no truer.
            assert_eq!(go(61, false).await, (0, 1));
            assert_eq!(go(61, true).await, (1, 0));
            assert_eq!(go(60, false).await, (0, 1));
            assert_eq!(go(62, false).await, (0, 0));
        }
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn since_when_a_course_is_archived() {
        for db in TestDb::both().await {
            let place = Place::open().await;
            let course = "INSERT INTO exchange_courses (id, name) VALUES ('3', 'old')";
            run(db.db(), course).await;
            let go = async |now: i64, dry: bool| {
                let gone = place.retention(db.db(), now).run(dry).await;
                let gone = gone.expect("looked");
                assert!(gone.failed.is_empty(), "{:?}", gone.failed);
                gone.courses.len()
            };
            go(DAY_MS, true).await;
            assert_eq!(archived_at(db.db()).await, None);
            go(DAY_MS, false).await;
            assert_eq!(archived_at(db.db()).await, Some(DAY_MS));
            // A file that is not there says nothing.
            let file = place.folder.path().join("courses/old.yaml");
            fs::remove_file(file).expect("removed");
            place.shelf.look().expect("looked");
            go(2 * DAY_MS, false).await;
            assert_eq!(archived_at(db.db()).await, Some(DAY_MS));
            // What was handed in later proves a wrong clock.
            run(
                db.db(),
                "INSERT INTO exchange_trees (tree, files, bytes, created_at) VALUES ('t', 0, 0, 1); \
                 INSERT INTO exchange_assignments (id, course_id, name, version, created_at) VALUES ('4', '3', 'hw', 1, 1); \
                 INSERT INTO exchange_submissions (id, assignment_id, version, student, at, tree, course_id, number, \
                 receipt, receipt_digest, signature) VALUES ('5', '4', 1, 'ada', 172800000001, 't', '3', 1, '', '', ''); \
                 UPDATE exchange_courses SET receipts = 1",
            )
            .await;
            assert_eq!(go(9 * DAY_MS, true).await, 0);
            assert_eq!(go(9 * DAY_MS, false).await, 0);
            assert_eq!(archived_at(db.db()).await, Some(9 * DAY_MS));
            assert_eq!(go(15 * DAY_MS, true).await, 1);
        }
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
                by_hand: false,
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
            assert_eq!(gone, std::slice::from_ref(&old));
            assert!(old.exists());
            assert_eq!(
                go(13 * DAY_MS, false).await.archives,
                std::slice::from_ref(&old)
            );
            assert!(!old.exists());
            assert_eq!(fs::read_dir(&archives).expect("listed").count(), 3);
        }
    }
}
