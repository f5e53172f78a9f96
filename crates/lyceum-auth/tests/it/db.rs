//! A migrated database of one's own, in the shape of the test kit's `TestDb`.

use lyceum_store::db::Location;
use lyceum_store::{Db, migrate};
use tempfile::TempDir;

pub(crate) struct TestDb {
    db: Db,
    _folder: TempDir,
}

impl TestDb {
    pub(crate) async fn sqlite() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let location = Location::Sqlite(folder.path().join("lyceum.db"));
        let db = Db::open(&location).await.unwrap();
        migrate::run(&db).await.unwrap();
        Self {
            db,
            _folder: folder,
        }
    }

    /// One of each engine there is.
    pub(crate) async fn both() -> Vec<Self> {
        vec![Self::sqlite().await]
    }

    pub(crate) fn db(&self) -> &Db {
        &self.db
    }
}
