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
use sqlx::{AssertSqlSafe, Connection as _, PgPool, Postgres, SqlSafeStr as _, Transaction};
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout};

use super::{POOL_SIZE, Patience};
use crate::later::Later;

/// So many pools that were given up may still wait for their end, each for as long as
/// [`Patience::farewell`] says; a server that is only slow is not asked by more and more connections.
const LEFT_MOST: usize = 3;
const PING_LIMIT: Duration = Duration::from_secs(3);

/// The way to the server.
pub(super) struct Line {
    patience: Patience,
    /// Where the server is, for messages.
    place: Arc<str>,
    now: Mutex<Now>,
}

struct Now {
    pool: PgPool,
    /// Counts the pools that were given up.
    age: u64,
    /// Those of them that are not at their end yet.
    left: Vec<JoinHandle<()>>,
    /// When the server was heard the last time.
    heard: Instant,
}

impl Line {
    pub(super) async fn open(
        options: PgConnectOptions,
        patience: Patience,
    ) -> anyhow::Result<Self> {
        let place: Arc<str> = place(&options).into();
        let pool = match rules(patience, &place).connect_with(options.clone()).await {
            // What the pool met while it tried is not told by it.
            Err(sqlx::Error::PoolTimedOut) => Err(greeting(&options, patience, &place).await),
            pool => pool,
        };
        let now = Mutex::new(Now {
            pool: pool.context("connecting to PostgreSQL")?,
            age: 0,
            left: Vec::new(),
            heard: Instant::now(),
        });
        Ok(Self {
            patience,
            place,
            now,
        })
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
        now.left.retain(|left| !left.is_finished());
        if now.age != age || now.left.len() >= LEFT_MOST {
            return;
        }
        let options = (*now.pool.connect_options()).clone();
        let new = rules(self.patience, &self.place).connect_lazy_with(options);
        let left = std::mem::replace(&mut now.pool, new);
        now.age += 1;
        // Closed from here on, so that who comes back there is not asked once more.
        drop(left.close());
        let farewell = self.patience.farewell;
        // What is in use there and does get its answer comes to its end.
        now.left.push(tokio::spawn(async move {
            let _ = timeout(farewell, left.close()).await;
        }));
        drop(now);
        tracing::warn!(
            server = &*self.place,
            "PostgreSQL gave no answer in time; going on with new connections"
        );
    }

    /// A connection, and who watches over what is asked there.
    async fn acquire(self: &Arc<Self>) -> sqlx::Result<(PoolConnection<Postgres>, Watch)> {
        loop {
            let (watch, pool) = Watch::over(self);
            let begun = Instant::now();
            match pool.acquire().await {
                // Those who waited there go on with the next.
                Err(sqlx::Error::PoolClosed) if self.lock().age != watch.age => {}
                Err(sqlx::Error::PoolTimedOut) => {
                    // Either there is much to do, or nobody gets an answer: whoever stops waiting for
                    // one leaves a connection behind that waits on.
                    if self.lock().heard < begun {
                        self.renew(watch.age);
                        return Err(unreachable(&self.place, self.patience.connection));
                    }
                    return Err(sqlx::Error::PoolTimedOut);
                }
                connection => return Ok((connection?, watch)),
            }
        }
    }

    /// How many connections are there, and how many of them nobody uses.
    pub(super) fn connections(&self) -> (u32, usize) {
        let pool = self.pool();
        (pool.size(), pool.num_idle())
    }
}

/// Why a server that was tried for so long is not taken.
async fn greeting(options: &PgConnectOptions, patience: Patience, place: &str) -> sqlx::Error {
    let asked = async {
        let mut connection = PgConnection::connect_with(options).await?;
        greet(&mut connection, patience, place).await
    };
    match timeout(PING_LIMIT, asked).await {
        Ok(Err(why)) => why,
        _ => unreachable(place, patience.connection),
    }
}

/// Where a server is: not who asks it, nor with which password.
pub(crate) fn place(options: &PgConnectOptions) -> String {
    let port = options.get_port();
    match options.get_socket() {
        Some(folder) => format!("{}/.s.PGSQL.{port}", folder.display()),
        None => format!("{}:{port}", options.get_host()),
    }
}

fn rules(patience: Patience, place: &Arc<str>) -> PgPoolOptions {
    let (asked, greeted) = (Arc::clone(place), Arc::clone(place));
    PgPoolOptions::new()
        .max_connections(POOL_SIZE)
        .acquire_timeout(patience.connection)
        // Instead of the pool's own way, which waits for as long as the caller does.
        .test_before_acquire(false)
        .before_acquire(move |connection, meta| {
            let place = Arc::clone(&asked);
            Box::pin(async move {
                if meta.idle_for >= patience.quiet {
                    let answer = timeout(PING_LIMIT, connection.ping()).await;
                    answer.map_err(|_| silent(&place, PING_LIMIT))??;
                }
                Ok(true)
            })
        })
        .after_connect(move |connection, _| {
            let place = Arc::clone(&greeted);
            Box::pin(async move { greet(connection, patience, &place).await })
        })
}

/// The server ends by itself what takes too long, before we take it for gone. In the middle of a
/// fail-over the address may lead to one that only follows.
async fn greet(connection: &mut PgConnection, patience: Patience, place: &str) -> sqlx::Result<()> {
    let own = (patience.statement / 10 * 9).as_millis();
    let limit = AssertSqlSafe(format!("SET statement_timeout = {own}"));
    let asked = async {
        sqlx::raw_sql(limit).execute(&mut *connection).await?;
        refuse_follower(connection).await
    };
    let greeted = timeout(PING_LIMIT, asked).await;
    greeted.map_err(|_| silent(place, PING_LIMIT))?
}

async fn refuse_follower(connection: &mut PgConnection) -> sqlx::Result<()> {
    let asked = sqlx::query_scalar("SELECT pg_is_in_recovery()").fetch_one(connection);
    match asked.await? {
        false => Ok(()),
        true => Err(sqlx::Error::Io(std::io::Error::new(
            std::io::ErrorKind::NotConnected,
            "this PostgreSQL follows another one and takes no changes",
        ))),
    }
}

/// Over a connection that there was.
fn silent(place: &str, limit: Duration) -> sqlx::Error {
    late(format!(
        "PostgreSQL at {place} gave no answer within {} s",
        limit.as_secs()
    ))
}

/// There came no connection that is good for anything.
pub(crate) fn unreachable(place: &str, limit: Duration) -> sqlx::Error {
    late(format!(
        "no connection to PostgreSQL at {place} within {} s: it gave no answer, or takes no changes",
        limit.as_secs()
    ))
}

fn late(text: String) -> sqlx::Error {
    sqlx::Error::Io(std::io::Error::new(std::io::ErrorKind::TimedOut, text))
}

/// Watches over one statement.
pub struct Watch {
    line: Arc<Line>,
    age: u64,
}

impl Watch {
    fn over(line: &Arc<Line>) -> (Self, PgPool) {
        let now = line.lock();
        let (pool, age) = (now.pool.clone(), now.age);
        drop(now);
        let line = Arc::clone(line);
        (Self { line, age }, pool)
    }

    /// For [`on!`](crate::on).
    pub async fn in_time<T>(
        &self,
        answer: impl Future<Output = sqlx::Result<T>>,
    ) -> sqlx::Result<T> {
        let limit = self.line.patience.statement;
        match timeout(limit, answer).await {
            Ok(answer) => {
                self.line.lock().heard = Instant::now();
                answer
            }
            Err(_) => {
                self.line.renew(self.age);
                Err(silent(&self.line.place, limit))
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
        let (connection, watch) = line.acquire().await?;
        let conn = Kind::Bare(connection);
        Ok(Self { conn, watch })
    }

    pub(super) async fn read(line: &Arc<Line>) -> sqlx::Result<Self> {
        Self::begin(line, "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY").await
    }

    pub(super) async fn write(line: &Arc<Line>) -> sqlx::Result<Self> {
        Self::begin(line, "BEGIN").await
    }

    async fn begin(line: &Arc<Line>, how: &'static str) -> sqlx::Result<Self> {
        let (conn, watch) = line.acquire().await?;
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
