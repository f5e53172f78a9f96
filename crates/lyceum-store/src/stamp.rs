//! Whether anything was committed since: what was read may be kept for as long as the stamp that
//! was taken *before* it was read is still the database's.
//!
//! On SQLite a stamp is the header of the write-ahead log's index, which every commit of every
//! process changes before it returns (<https://sqlite.org/walformat.html>, section 2.1). To look
//! costs two system calls and no statement.
//!
//! On PostgreSQL it counts the commits of this process and the wake-ups of all replicas. What
//! another replica commits without waking anybody shows within a second.

use std::fs::File;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Of the two copies of the header the first one.
const HEADER: usize = 48;
/// So long what is kept may be behind what another replica said nothing of.
const UNTOLD: Duration = Duration::from_secs(1);

/// A state of the database. Alike means that nothing was committed in between.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stamp(Kind);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Sqlite([u8; HEADER]),
    Postgres { told: u64, turn: u128 },
}

impl Stamp {
    /// Whether exactly one thing was committed in between.
    pub(crate) fn is_next_of(self, before: Self) -> bool {
        match (self.0, before.0) {
            (Kind::Sqlite(now), Kind::Sqlite(was)) => {
                commits(&now) == commits(&was).wrapping_add(1)
            }
            (
                Kind::Postgres { told, turn },
                Kind::Postgres {
                    told: was,
                    turn: in_turn,
                },
            ) => turn == in_turn && told == was + 1,
            _ => false,
        }
    }
}

/// The header counts them: `iChange`, in the machine's order of bytes.
fn commits(header: &[u8; HEADER]) -> u32 {
    u32::from_ne_bytes([header[8], header[9], header[10], header[11]])
}

pub(crate) enum Clock {
    Sqlite {
        /// Of the log's index; nothing where there is none.
        path: Option<PathBuf>,
        index: Mutex<Option<File>>,
    },
    Postgres {
        told: AtomicU64,
        since: Instant,
    },
}

impl Clock {
    /// `database` is the file itself; nothing if it has no write-ahead log.
    pub(crate) fn sqlite(database: Option<&Path>) -> Self {
        let index = |database: &Path| {
            let mut path = database.as_os_str().to_owned();
            path.push("-shm");
            path.into()
        };
        Self::Sqlite {
            path: database.map(index),
            index: Mutex::default(),
        }
    }

    pub(crate) fn postgres() -> Self {
        Self::Postgres {
            told: AtomicU64::new(0),
            since: Instant::now(),
        }
    }

    /// Something was committed here, or a replica said that it has.
    pub(crate) fn advance(&self) {
        if let Self::Postgres { told, .. } = self {
            told.fetch_add(1, Ordering::SeqCst);
        }
    }

    /// Nothing if it can't be told: then nothing may be kept.
    pub(crate) fn now(&self) -> Option<Stamp> {
        match self {
            Self::Postgres { told, since } => Some(Stamp(Kind::Postgres {
                told: told.load(Ordering::SeqCst),
                turn: since.elapsed().as_millis() / UNTOLD.as_millis(),
            })),
            Self::Sqlite { path, index } => {
                let mut index = index.lock().unwrap_or_else(PoisonError::into_inner);
                // The last connection that closes takes the file away; the next makes another.
                let gone = |file: &File| file.metadata().is_ok_and(|about| about.nlink() == 0);
                if index.as_ref().is_none_or(gone) {
                    *index = File::open(path.as_ref()?).ok();
                }
                let mut header = [0; HEADER];
                index.as_ref()?.read_exact_at(&mut header, 0).ok()?;
                Some(Stamp(Kind::Sqlite(header)))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_very_next_commit_follows() {
        let sqlite = |commits: u32| {
            let mut header = [7; HEADER];
            header[8..12].copy_from_slice(&commits.to_ne_bytes());
            Stamp(Kind::Sqlite(header))
        };
        assert!(!sqlite(5).is_next_of(sqlite(5)));
        assert!(sqlite(6).is_next_of(sqlite(5)));
        assert!(sqlite(0).is_next_of(sqlite(u32::MAX)));
        assert!(!sqlite(7).is_next_of(sqlite(5)));
        assert!(!sqlite(5).is_next_of(sqlite(6)));
        let postgres = |told, turn| Stamp(Kind::Postgres { told, turn });
        assert!(postgres(6, 1).is_next_of(postgres(5, 1)));
        assert!(!postgres(5, 1).is_next_of(postgres(5, 1)));
        assert!(!postgres(7, 1).is_next_of(postgres(5, 1)));
        assert!(!postgres(6, 2).is_next_of(postgres(5, 1)));
        assert!(!postgres(6, 1).is_next_of(sqlite(5)));
    }
}
