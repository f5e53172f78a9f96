//! One database behind two engines.
//!
//! `Db::read` and `Db::write` open a transaction; [`on!`](crate::on) runs one portable statement
//! on whichever engine it is for, and [`Tx::later`] leaves one for the commit. SQLite has a single
//! writer (`BEGIN IMMEDIATE`, WAL, `synchronous=FULL`: acknowledged means durable) and a pool of
//! readers.
//!
//! Not here: SQL of the domain (each part's `db/`), migrations ([`crate::migrate`]).

use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail};
use sqlx::PgPool;
use sqlx::SqlitePool;
use sqlx::postgres::PgConnectOptions;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use tokio::sync::broadcast;

use self::postgres::Line;
use crate::later::Later;
use crate::stamp::{Clock, Stamp};
use crate::wake::{Waiting, Wake};

pub mod postgres;
pub mod sqlite;

/// How many connections a replica holds at most.
const POOL_SIZE: u32 = 8;
/// How long a caller waits for a free connection before it gets an error.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(30);
/// Rows that SQLite's thread may have read before anybody took them.
const ROWS_AHEAD: usize = 512;
/// Prepared statements that a connection to SQLite keeps: more than there are in daily use.
const PREPARED: usize = 400;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Engine {
    Sqlite,
    Postgres,
}

/// How long PostgreSQL is waited for.
#[derive(Debug, Clone, Copy)]
pub struct Patience {
    /// For one statement, with its wait for the locks of others.
    pub statement: Duration,
    /// After so long a connection is asked whether there is still somebody at its other end.
    pub quiet: Duration,
    /// How long a caller waits for a connection, and a start for a server that takes changes.
    pub connection: Duration,
    /// For the end of connections that were given up. Where somebody had stopped waiting for an answer
    /// before its time, that is still waited for in her stead, for as long as it takes.
    pub farewell: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            // Longer than any of ours takes, also behind others.
            statement: Duration::from_secs(30),
            // Each time: a restart of the server leaves dead ones behind.
            quiet: Duration::ZERO,
            connection: ACQUIRE_TIMEOUT,
            farewell: Duration::from_secs(300),
        }
    }
}

/// Where the database is.
#[derive(Debug, Clone)]
pub enum Location {
    Sqlite(PathBuf),
    /// A `postgres://` URL. It may hold a password: never print it.
    Postgres(String),
}

impl Location {
    /// Reads `postgres://…`, `postgresql://…` or `sqlite:PATH`.
    pub fn parse(text: &str) -> anyhow::Result<Self> {
        if text.starts_with("postgres://") || text.starts_with("postgresql://") {
            return Ok(Self::Postgres(text.into()));
        }
        match text.strip_prefix("sqlite:") {
            Some(path) if !path.is_empty() => Ok(Self::Sqlite(PathBuf::from(path))),
            _ => bail!("a database is given as postgres://USER:PASSWORD@HOST/NAME or sqlite:PATH"),
        }
    }
}

/// The database. Cheap to clone.
#[derive(Clone)]
pub struct Db(Arc<Inner>);

struct Inner {
    pools: Pools,
    clock: Arc<Clock>,
    wake: Wake,
}

enum Pools {
    Sqlite { read: SqlitePool, write: SqlitePool },
    Postgres(Arc<Line>),
}

/// One transaction. Dropped without [`Tx::commit`], it is rolled back.
pub struct Tx {
    /// For [`on!`](crate::on).
    pub conn: Conn,
    /// Topics to wake listeners for once this is committed.
    pub(crate) news: Vec<String>,
    /// What runs right before the commit.
    later: Vec<Later>,
    wake: Wake,
    clock: Arc<Clock>,
}

pub enum Conn {
    Sqlite(sqlite::Held),
    Postgres(postgres::Held),
}

/// Runs one portable statement on whichever engine the transaction is for:
/// `on!(tx, |c| sqlx::query("DELETE FROM x WHERE id = $1").bind(id).execute(c).await.map(|done| done.rows_affected()))`.
/// Both arms must give one type, hence the `map` behind `execute`.
#[macro_export]
macro_rules! on {
    ($tx:expr, |$c:ident| $run:expr) => {
        match &mut $tx.conn {
            $crate::Conn::Sqlite(transaction) => {
                let $c = &mut **transaction;
                $run
            }
            $crate::Conn::Postgres(transaction) => {
                let watch = transaction.watch();
                let $c = &mut **transaction;
                watch.in_time(async { $run }).await
            }
        }
    };
}

/// As [`on!`](crate::on), for as long as it takes: for whole tables.
macro_rules! at_length {
    ($tx:expr, |$c:ident| $run:expr) => {
        match &mut $tx.conn {
            $crate::Conn::Sqlite(transaction) => {
                let $c = &mut **transaction;
                $run
            }
            $crate::Conn::Postgres(transaction) => {
                let $c = &mut **transaction;
                $run
            }
        }
    };
}
pub(crate) use at_length;

impl Db {
    /// Opens the database; it does not migrate (see [`crate::migrate::run`]).
    pub async fn open(location: &Location) -> anyhow::Result<Self> {
        Self::open_with(location, Patience::default()).await
    }

    /// The same, with another patience.
    pub async fn open_with(location: &Location, patience: Patience) -> anyhow::Result<Self> {
        let wake = Wake::new();
        let (pools, clock) = match location {
            Location::Sqlite(path) => {
                let options = SqliteConnectOptions::new()
                    .filename(path)
                    .create_if_missing(true)
                    .journal_mode(SqliteJournalMode::Wal)
                    .synchronous(SqliteSynchronous::Full)
                    .foreign_keys(true)
                    .busy_timeout(Duration::from_secs(15))
                    // A page of a list comes whole, instead of the two threads waking each other.
                    .row_buffer_size(ROWS_AHEAD)
                    .statement_cache_capacity(PREPARED);
                // Kept for good, so that the log's index stays the same file.
                let write = SqlitePoolOptions::new()
                    .max_connections(1)
                    .idle_timeout(None)
                    .max_lifetime(None)
                    .test_before_acquire(false)
                    .acquire_timeout(ACQUIRE_TIMEOUT)
                    .connect_with(options.clone())
                    .await
                    .with_context(|| format!("opening the database {}", path.display()))?;
                // Nothing lies between us and a file: what was connected still is.
                let read = SqlitePoolOptions::new()
                    .max_connections(POOL_SIZE)
                    .test_before_acquire(false)
                    .acquire_timeout(ACQUIRE_TIMEOUT)
                    .connect_lazy_with(options.read_only(true).create_if_missing(false));
                // The log lies beside the file itself, not beside a link to it.
                let mode: String = sqlx::query_scalar("PRAGMA journal_mode")
                    .fetch_one(&write)
                    .await?;
                let file = path.canonicalize().ok().filter(|_| mode == "wal");
                (
                    Pools::Sqlite { read, write },
                    Clock::sqlite(file.as_deref()),
                )
            }
            Location::Postgres(url) => {
                let options = PgConnectOptions::from_str(url)
                    .map_err(|_| anyhow::anyhow!("the database URL can't be read; it has the form postgres://USER:PASSWORD@HOST/NAME"))?
                    .application_name("lyceum");
                let line = Line::open(options, patience).await?;
                (Pools::Postgres(Arc::new(line)), Clock::postgres())
            }
        };
        let clock = Arc::new(clock);
        Ok(Self(Arc::new(Inner { pools, clock, wake })))
    }

    pub fn engine(&self) -> Engine {
        match self.0.pools {
            Pools::Sqlite { .. } => Engine::Sqlite,
            Pools::Postgres(_) => Engine::Postgres,
        }
    }

    /// A transaction that only reads, on one consistent state of the database.
    pub async fn read(&self) -> sqlx::Result<Tx> {
        let conn = match &self.0.pools {
            Pools::Sqlite { read, .. } => Conn::Sqlite(sqlite::Held::read(read).await?),
            Pools::Postgres(line) => Conn::Postgres(postgres::Held::read(line).await?),
        };
        Ok(self.tx(conn))
    }

    /// For one statement that reads: as [`Db::read`], without the two that open and end a
    /// transaction. Of two statements each may see another state of the database.
    pub async fn glance(&self) -> sqlx::Result<Tx> {
        let conn = match &self.0.pools {
            Pools::Sqlite { read, .. } => Conn::Sqlite(sqlite::Held::bare(read).await?),
            Pools::Postgres(line) => Conn::Postgres(postgres::Held::bare(line).await?),
        };
        Ok(self.tx(conn))
    }

    /// A transaction that writes. On SQLite there is one at a time: keep it short, never hold it
    /// across a network call.
    pub async fn write(&self) -> sqlx::Result<Tx> {
        let conn = match &self.0.pools {
            Pools::Sqlite { write, .. } => Conn::Sqlite(sqlite::Held::write(write).await?),
            Pools::Postgres(line) => Conn::Postgres(postgres::Held::write(line).await?),
        };
        Ok(self.tx(conn))
    }

    fn tx(&self, conn: Conn) -> Tx {
        Tx {
            conn,
            news: Vec::new(),
            later: Vec::new(),
            wake: self.0.wake.clone(),
            clock: Arc::clone(&self.0.clock),
        }
    }

    /// The state of the database at this moment; nothing if it can't be told.
    pub fn stamp(&self) -> Option<Stamp> {
        self.0.clock.now()
    }

    /// Wake-ups: the topics of events that were committed, here or (PostgreSQL) by any replica. A
    /// listener that lags gets an error from the channel and should look at everything.
    pub fn wake_ups(&self) -> broadcast::Receiver<String> {
        self.0.wake.subscribe()
    }

    /// Wake-ups of one topic alone, and of everything.
    pub fn wake_ups_of(&self, topic: &str) -> Waiting {
        self.0.wake.subscribe_to(topic)
    }

    /// Passes a wake-up that came from another replica on to the listeners here.
    pub(crate) fn wake(&self, topic: &str) {
        self.0.clock.advance();
        self.0.wake.send(topic);
    }

    /// The pool, when the engine is PostgreSQL.
    pub(crate) fn postgres(&self) -> Option<PgPool> {
        match &self.0.pools {
            Pools::Sqlite { .. } => None,
            Pools::Postgres(line) => Some(line.pool()),
        }
    }

    /// How many connections to PostgreSQL are there, and how many of them nobody uses.
    pub fn connections(&self) -> Option<(u32, usize)> {
        match &self.0.pools {
            Pools::Sqlite { .. } => None,
            Pools::Postgres(line) => Some(line.connections()),
        }
    }

    /// For as long as it takes: nothing ends what this transaction asks. To be used for whole tables
    /// and changes of the schema alone.
    pub(crate) async fn without_hurry(tx: &mut Tx) -> sqlx::Result<()> {
        if let Conn::Postgres(held) = &mut tx.conn {
            let watch = held.watch();
            let set = sqlx::raw_sql("SET LOCAL statement_timeout = 0").execute(&mut **held);
            watch.in_time(set).await?;
        }
        Ok(())
    }

    /// Ends all connections after what runs has finished.
    pub async fn close(&self) {
        match &self.0.pools {
            Pools::Sqlite { read, write } => {
                read.close().await;
                write.close().await;
            }
            Pools::Postgres(line) => line.pool().close().await,
        }
    }
}

/// Tells, when it is dropped, that something may have been committed.
struct Advance<'a>(&'a Clock);

impl Drop for Advance<'_> {
    fn drop(&mut self) {
        self.0.advance();
    }
}

impl Tx {
    pub fn engine(&self) -> Engine {
        match self.conn {
            Conn::Sqlite(_) => Engine::Sqlite,
            Conn::Postgres(_) => Engine::Postgres,
        }
    }

    /// Leaves a statement for the commit: what nobody in this transaction looks at costs no way to
    /// the database and back of its own. They run in the order in which they were left.
    pub fn later(&mut self, statement: Later) {
        self.later.push(statement);
    }

    /// Makes it durable, then wakes those who wait for its news.
    pub async fn commit(self) -> sqlx::Result<()> {
        match self.conn {
            Conn::Sqlite(held) => held.commit(self.later).await?,
            Conn::Postgres(mut transaction) => {
                transaction.run(self.later).await?;
                // Also when nobody waits for the answer any more: it may have been committed.
                let _told = Advance(&self.clock);
                transaction.commit().await?;
            }
        }
        for topic in self.news {
            self.wake.send(&topic);
        }
        Ok(())
    }

    /// As [`Tx::commit`]; tells the stamps of just before and after, if nothing else was committed in
    /// between. What this transaction did not touch is as it was for whoever has the first. It must have
    /// changed something: what changes nothing does not show, and another's commit would pass for it.
    pub async fn commit_alone(self) -> sqlx::Result<Option<(Stamp, Stamp)>> {
        let clock = Arc::clone(&self.clock);
        let before = clock.now();
        self.commit().await?;
        let both = before.zip(clock.now());
        Ok(both.filter(|(before, after)| after.is_next_of(*before)))
    }

    pub async fn rollback(self) -> sqlx::Result<()> {
        match self.conn {
            Conn::Sqlite(held) => held.rollback().await,
            Conn::Postgres(transaction) => transaction.rollback().await,
        }
    }
}

/// Whether a write failed because a row with that key is already there. Map it by what was
/// attempted: SQLite does not name the constraint.
pub fn is_conflict(error: &sqlx::Error) -> bool {
    error
        .as_database_error()
        .is_some_and(|error| error.is_unique_violation())
}
