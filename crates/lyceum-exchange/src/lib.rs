//! The exchange: teachers hand out assignments, students hand in, feedback goes back.
//!
//! What was handed in never changes and is never lost: contents lie under their digests, a row and a
//! signed receipt say who handed in what and when, and an answer is given only after both are
//! durable. Who grades, and how, is not known here: whoever wants to hears of a submission by its
//! event.
//!
//! Reading order: [`names`], [`tree`], [`moment`] and [`receipt`] (what things are), [`people`] and
//! [`course`] (who is what where), [`rules`] and [`quota`] (what is taken of whom, when, and how much of it), [`uploads`], [`upload`] and [`intake`] (how much at once, and from a request to durable files),
//! [`stored`] (from files to rows), [`submissions`] (handing in), [`agenda`] (what is to be done), [`verify`] (whether all of it is still so), [`collect`] (clearing away what nothing refers to), [`archive`] and [`removal`] (the end of a course), [`person`] (all of one person), [`api`] (what programs
//! ask), [`pages`] (what people look at), [`db`] (SQL).

pub mod agenda;
pub mod api;
pub mod archive;
pub mod collect;
pub mod course;
pub mod db;
pub mod intake;
pub mod moment;
pub mod names;
pub mod pages;
pub mod people;
pub mod person;
pub mod quota;
pub mod receipt;
pub mod removal;
pub mod rules;
pub mod stored;
pub mod submissions;
pub mod tree;
pub mod upload;
pub mod uploads;
pub mod verify;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use lyceum_courses::Shelf;
use lyceum_model::clock::{Clock, Millis};
use lyceum_model::name::UserName;
use lyceum_store::blobs::Blobs;
use lyceum_store::{Db, Tx};

use quota::Quota;
use receipt::Signer;
use uploads::Uploads;

/// By which name people's tokens are allowed to use it, as if it were a service beside the hub.
pub const SERVICE: &str = "ngshare";
/// The largest body that is taken, unless a site says otherwise.
pub const BODY_MAX: u64 = 100 * 1024 * 1024;

/// The state of the exchange; cheap to clone.
#[derive(Clone)]
pub struct Exchange(Arc<Inner>);

struct Inner {
    parts: Parts,
    uploads: Uploads,
    zips: Uploads,
    kept: agenda::Kept,
    quota: RwLock<Quota>,
}

/// What the composition root hands over.
pub struct Parts {
    pub db: Db,
    pub clock: Clock,
    pub blobs: Blobs,
    pub shelf: Shelf,
    pub groups: Arc<dyn Groups>,
    pub signer: Signer,
    /// The largest body that is taken.
    pub body_max: u64,
    pub limits: Limits,
    /// Asked while files come; nothing: nobody knows.
    pub space: fn(&Path) -> Option<Space>,
    /// Where the files go.
    pub disk: PathBuf,
}

/// How much is taken of whom; the default is for sites.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Longest time in which nothing comes of a body.
    pub idle: Duration,
    /// Longest time that a body or a zip may take.
    pub total: Duration,
    /// Bodies of one person that are read at the same time.
    pub uploads_of_one: usize,
    /// Bodies that are read at the same time.
    pub uploads: usize,
    /// Zips of one person, and of all, that are made at the same time.
    pub zips_of_one: usize,
    pub zips: usize,
    /// How long a body or a zip waits for others.
    pub wait: Duration,
    /// Of one person for one assignment.
    pub submissions: i64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            idle: Duration::from_secs(60),
            total: Duration::from_secs(30 * 60),
            uploads_of_one: 4,
            uploads: 64,
            zips_of_one: 2,
            zips: 32,
            wait: Duration::from_secs(10),
            submissions: 1000,
        }
    }
}

/// Of a disk, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Space {
    pub free: u64,
    pub total: u64,
}

impl Space {
    /// Less than this is left to the rest of Lyceum, which stops without a disk to write to.
    const FLOOR: u64 = 1 << 30;

    pub fn is_short(self) -> bool {
        self.free < Self::FLOOR.min(self.total / 20)
    }
}

/// Who is in which group of the hub, and what else the hub is asked and told.
#[async_trait]
pub trait Groups: Send + Sync + 'static {
    /// The groups of a person.
    async fn of(&self, tx: &mut Tx, name: &UserName) -> sqlx::Result<Vec<String>>;

    async fn members(&self, tx: &mut Tx, group: &str) -> sqlx::Result<BTreeSet<UserName>>;

    /// Writes down, where administrators read it, that somebody has removed a course.
    async fn note_removed(
        &self,
        _tx: &mut Tx,
        _by: &UserName,
        _course: &str,
        _now: Millis,
    ) -> sqlx::Result<()> {
        Ok(())
    }

    /// The members of these groups, each with the group; nothing where they are more than so many.
    async fn members_of_all(
        &self,
        tx: &mut Tx,
        groups: &[&str],
        most: usize,
    ) -> sqlx::Result<Option<Vec<(String, UserName)>>>;
}

impl Exchange {
    pub fn new(parts: Parts) -> Self {
        let limits = &parts.limits;
        let uploads = Uploads::new(limits.uploads_of_one, limits.uploads, limits.wait);
        let zips = Uploads::new(limits.zips_of_one, limits.zips, limits.wait);
        Self(Arc::new(Inner {
            parts,
            uploads,
            zips,
            kept: agenda::Kept::default(),
            quota: RwLock::default(),
        }))
    }

    pub fn db(&self) -> &Db {
        &self.0.parts.db
    }

    pub fn blobs(&self) -> &Blobs {
        &self.0.parts.blobs
    }

    pub fn shelf(&self) -> &Shelf {
        &self.0.parts.shelf
    }

    pub fn groups(&self) -> &dyn Groups {
        &*self.0.parts.groups
    }

    pub fn signer(&self) -> &Signer {
        &self.0.parts.signer
    }

    pub fn now(&self) -> Millis {
        self.0.parts.clock.now()
    }

    /// As [`Exchange::now`].
    pub fn time(&self) -> Timestamp {
        Timestamp::from_millisecond(self.now().0).unwrap_or(Timestamp::MAX)
    }

    pub fn body_max(&self) -> u64 {
        self.0.parts.body_max
    }

    pub fn limits(&self) -> &Limits {
        &self.0.parts.limits
    }

    /// How much is kept.
    pub fn quota(&self) -> Quota {
        *self.0.quota.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Holds for what is handed in from now on.
    pub fn set_quota(&self, quota: Quota) {
        *(self.0.quota.write()).unwrap_or_else(PoisonError::into_inner) = quota;
    }

    pub fn uploads(&self) -> &Uploads {
        &self.0.uploads
    }

    /// Places for zips, as for uploads.
    pub fn zips(&self) -> &Uploads {
        &self.0.zips
    }

    pub(crate) fn kept(&self) -> &agenda::Kept {
        &self.0.kept
    }

    /// Whether there is too little room for more files.
    pub async fn is_full(&self) -> bool {
        let (space, disk) = (self.0.parts.space, self.0.parts.disk.clone());
        let asked = tokio::task::spawn_blocking(move || space(&disk));
        asked.await.ok().flatten().is_some_and(Space::is_short)
    }
}

#[cfg(test)]
mod tests {
    use super::Space;

    #[test]
    fn a_disk_is_short() {
        let check = |free: u64, total: u64, expect: bool| {
            let space = Space { free, total };
            assert_eq!(space.is_short(), expect, "{space:?}");
        };
        let gigabyte = 1 << 30;
        check(gigabyte, 1000 * gigabyte, false);
        check(gigabyte - 1, 1000 * gigabyte, true);
        check(gigabyte / 2, 10 * gigabyte, false);
        check(gigabyte / 2 - 1, 10 * gigabyte, true);
    }
}
