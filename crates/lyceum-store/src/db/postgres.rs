//! A connection to PostgreSQL that is ours for a while, and what holds when nothing answers.
//!
//! A machine that is gone tells nobody, so each statement has a limit. When it has passed, whatever
//! comes next goes over new connections; the old ones are left to themselves, since to end them in
//! good order would mean to wait for the same answer.

use std::ops::{Deref, DerefMut};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::Context as _;
use sqlx::pool::PoolConnection;
use sqlx::postgres::{PgConnectOptions, PgConnection, PgPoolOptions};
use sqlx::{Connection as _, PgPool, Postgres, SqlSafeStr as _, Transaction};
use tokio::time::timeout;

use super::{ACQUIRE_TIMEOUT, POOL_SIZE};
use crate::later::Later;

/// After so long a connection is asked whether there is still somebody at its other end.
const LONG_QUIET: Duration = Duration::from_secs(5);
const PING_LIMIT: Duration = Duration::from_secs(3);

/// The way to the server.
pub(super) struct Line {
    /// For one statement, with its wait for the locks of others.
    limit: Duration,
    now: Mutex<Now>,
}

#[derive(Clone)]
struct Now {
    pool: PgPool,
    /// Counts the pools that were given up.
    age: u64,
}

impl Line {
    pub(super) async fn open(options: PgConnectOptions, limit: Duration) -> anyhow::Result<Self> {
        let pool = rules().connect_with(options).await;
        let pool = pool.context("connecting to PostgreSQL")?;
        let now = Mutex::new(Now { pool, age: 0 });
        Ok(Self { limit, now })
    }

    fn lock(&self) -> MutexGuard<'_, Now> {
        self.now.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn pool(&self) -> PgPool {
        self.lock().pool.clone()
    }

    /// New connections from here on, if nobody else has seen to that.
    fn renew(&self, age: u64) {
        let mut now = self.lock();
        if now.age != age {
            return;
        }
        let options = (*now.pool.connect_options()).clone();
        let left = std::mem::replace(&mut now.pool, rules().connect_lazy_with(options));
        now.age += 1;
        drop(now);
        tracing::warn!(
            limit_s = self.limit.as_secs(),
            "PostgreSQL gave no answer in time; going on with new connections"
        );
        // What is in use there and does get its answer comes to its end.
        tokio::spawn(async move { left.close().await });
    }
}

fn rules() -> PgPoolOptions {
    PgPoolOptions::new()
        .max_connections(POOL_SIZE)
        .acquire_timeout(ACQUIRE_TIMEOUT)
        // Instead of the pool's own way, which waits for as long as the caller does.
        .test_before_acquire(false)
        .before_acquire(|connection, meta| {
            Box::pin(async move {
                if meta.idle_for >= LONG_QUIET {
                    let answer = timeout(PING_LIMIT, connection.ping()).await;
                    answer.map_err(|_| silent(PING_LIMIT))??;
                }
                Ok(true)
            })
        })
        // In the middle of a fail-over the address may lead to one that only follows.
        .after_connect(|connection, _| Box::pin(refuse_follower(connection)))
}

async fn refuse_follower(connection: &mut PgConnection) -> sqlx::Result<()> {
    let asked = sqlx::query_scalar("SELECT pg_is_in_recovery()").fetch_one(connection);
    let follows: bool = timeout(PING_LIMIT, asked)
        .await
        .map_err(|_| silent(PING_LIMIT))??;
    match follows {
        false => Ok(()),
        true => Err(sqlx::Error::Io(std::io::Error::new(
            std::io::ErrorKind::NotConnected,
            "this PostgreSQL follows another one and takes no changes",
        ))),
    }
}

fn silent(limit: Duration) -> sqlx::Error {
    let text = format!("PostgreSQL gave no answer within {} s", limit.as_secs());
    sqlx::Error::Io(std::io::Error::new(std::io::ErrorKind::TimedOut, text))
}

/// Watches over one statement.
pub struct Watch {
    line: Arc<Line>,
    age: u64,
}

impl Watch {
    fn over(line: &Arc<Line>) -> (Self, PgPool) {
        let Now { pool, age } = line.lock().clone();
        let line = Arc::clone(line);
        (Self { line, age }, pool)
    }

    /// For [`on!`](crate::on).
    pub async fn in_time<T>(
        &self,
        answer: impl Future<Output = sqlx::Result<T>>,
    ) -> sqlx::Result<T> {
        match timeout(self.line.limit, answer).await {
            Ok(answer) => answer,
            Err(_) => {
                self.line.renew(self.age);
                Err(silent(self.line.limit))
            }
        }
    }
}

pub struct Held {
    conn: Kind,
    watch: Watch,
}

enum Kind {
    Transaction(Transaction<'static, Postgres>),
    /// For one statement that reads.
    Bare(PoolConnection<Postgres>),
}

impl Held {
    pub(super) async fn bare(line: &Arc<Line>) -> sqlx::Result<Self> {
        let (watch, pool) = Watch::over(line);
        let conn = Kind::Bare(pool.acquire().await?);
        Ok(Self { conn, watch })
    }

    pub(super) async fn read(line: &Arc<Line>) -> sqlx::Result<Self> {
        Self::begin(line, "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY").await
    }

    pub(super) async fn write(line: &Arc<Line>) -> sqlx::Result<Self> {
        Self::begin(line, "BEGIN").await
    }

    async fn begin(line: &Arc<Line>, how: &'static str) -> sqlx::Result<Self> {
        let (watch, pool) = Watch::over(line);
        // That there is none to be had says nothing of the server.
        let conn = pool.acquire().await?;
        let begun = watch.in_time(Transaction::begin(conn, Some(how.into_sql_str())));
        let conn = Kind::Transaction(begun.await?);
        Ok(Self { conn, watch })
    }

    pub fn watch(&self) -> Watch {
        Watch {
            line: Arc::clone(&self.watch.line),
            age: self.watch.age,
        }
    }

    pub(super) async fn run(&mut self, later: Vec<Later>) -> sqlx::Result<()> {
        for statement in later {
            let watch = self.watch();
            watch.in_time(statement.run(self)).await?;
        }
        Ok(())
    }

    pub(super) async fn commit(self) -> sqlx::Result<()> {
        match self.conn {
            Kind::Transaction(transaction) => self.watch.in_time(transaction.commit()).await,
            Kind::Bare(_) => Ok(()),
        }
    }

    pub(super) async fn rollback(self) -> sqlx::Result<()> {
        match self.conn {
            Kind::Transaction(transaction) => self.watch.in_time(transaction.rollback()).await,
            Kind::Bare(_) => Ok(()),
        }
    }
}

impl Deref for Held {
    type Target = PgConnection;

    fn deref(&self) -> &Self::Target {
        match &self.conn {
            Kind::Transaction(transaction) => transaction,
            Kind::Bare(connection) => connection,
        }
    }
}

impl DerefMut for Held {
    fn deref_mut(&mut self) -> &mut Self::Target {
        match &mut self.conn {
            Kind::Transaction(transaction) => transaction,
            Kind::Bare(connection) => connection,
        }
    }
}
