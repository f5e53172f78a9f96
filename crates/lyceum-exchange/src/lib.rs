//! The exchange: teachers hand out assignments, students hand in, feedback goes back.
//!
//! What was handed in never changes and is never lost: contents lie under their digests, a row and a
//! signed receipt say who handed in what and when, and an answer is given only after both are
//! durable. Who grades, and how, is not known here: whoever wants to hears of a submission by its
//! event.
//!
//! Reading order: [`names`], [`tree`], [`moment`] and [`receipt`] (what things are), [`people`] and
//! [`course`] (who is what where), [`upload`] and [`intake`] (from a request to durable files),
//! [`submissions`] (handing in), [`verify`] (whether all of it is still so), [`api`] (what programs
//! ask), [`db`] (SQL).

pub mod api;
pub mod course;
pub mod db;
pub mod intake;
pub mod moment;
pub mod names;
pub mod people;
pub mod receipt;
pub mod submissions;
pub mod tree;
pub mod upload;
pub mod verify;

use std::collections::BTreeSet;
use std::sync::Arc;

use async_trait::async_trait;
use lyceum_courses::Shelf;
use lyceum_model::clock::{Clock, Millis};
use lyceum_model::name::UserName;
use lyceum_store::blobs::Blobs;
use lyceum_store::{Db, Tx};

use receipt::Signer;

/// By which name people's tokens are allowed to use it, as if it were a service beside the hub.
pub const SERVICE: &str = "ngshare";
/// The largest body that is taken, unless a site says otherwise.
pub const BODY_MAX: u64 = 100 * 1024 * 1024;

/// The state of the exchange; cheap to clone.
#[derive(Clone)]
pub struct Exchange(Arc<Parts>);

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
}

/// Who is in which group of the hub.
#[async_trait]
pub trait Groups: Send + Sync + 'static {
    /// The groups of a person.
    async fn of(&self, tx: &mut Tx, name: &UserName) -> sqlx::Result<Vec<String>>;

    async fn members(&self, tx: &mut Tx, group: &str) -> sqlx::Result<BTreeSet<UserName>>;
}

impl Exchange {
    pub fn new(parts: Parts) -> Self {
        Self(Arc::new(parts))
    }

    pub fn db(&self) -> &Db {
        &self.0.db
    }

    pub fn blobs(&self) -> &Blobs {
        &self.0.blobs
    }

    pub fn shelf(&self) -> &Shelf {
        &self.0.shelf
    }

    pub fn groups(&self) -> &dyn Groups {
        &*self.0.groups
    }

    pub fn signer(&self) -> &Signer {
        &self.0.signer
    }

    pub fn now(&self) -> Millis {
        self.0.clock.now()
    }

    pub fn body_max(&self) -> u64 {
        self.0.body_max
    }
}
