//! A connection to SQLite that is ours for a while, in a transaction or for one statement.
//!
//! Transactions are opened and ended by plain statements. The driver's own way prepares them anew
//! each time and has the connection's thread wait until its answer was taken, which costs more than
//! most of what is done in between.

use std::ops::{Deref, DerefMut};

use futures_util::TryStreamExt;
use sqlx::pool::PoolConnection;
use sqlx::sqlite::SqliteConnection;
use sqlx::{Executor as _, Sqlite, SqlitePool};
use tokio::runtime::Handle;

use crate::later::{Later, together};

pub struct Held {
    /// Nothing only while it is dropped.
    conn: Option<PoolConnection<Sqlite>>,
    /// There may be a transaction that has to be ended before the next.
    open: bool,
}

impl Held {
    pub(super) async fn bare(pool: &SqlitePool) -> sqlx::Result<Self> {
        Ok(Self {
            conn: Some(pool.acquire().await?),
            open: false,
        })
    }

    pub(super) async fn read(pool: &SqlitePool) -> sqlx::Result<Self> {
        Self::begin(pool, "BEGIN").await
    }

    pub(super) async fn write(pool: &SqlitePool) -> sqlx::Result<Self> {
        Self::begin(pool, "BEGIN IMMEDIATE").await
    }

    async fn begin(pool: &SqlitePool, how: &'static str) -> sqlx::Result<Self> {
        let mut held = Self::bare(pool).await?;
        // Before it is asked for: whoever stops waiting for the answer leaves one behind.
        held.open = true;
        sqlx::query(how).execute(&mut *held).await?;
        Ok(held)
    }

    pub(super) async fn commit(mut self, later: Vec<Later>) -> sqlx::Result<()> {
        if self.open {
            let all = later.len() + 1;
            let (text, arguments) = together(later, "COMMIT")?;
            let conn: &mut SqliteConnection = &mut self;
            let mut answers = conn.fetch_many(sqlx::query_with(text, arguments));
            let mut done = 0;
            while let Some(answer) = answers.try_next().await? {
                done += usize::from(answer.is_left());
            }
            drop(answers);
            // A thread that died says nothing more, and then nothing is sure.
            if done < all {
                return Err(sqlx::Error::WorkerCrashed);
            }
            self.open = false;
        }
        Ok(())
    }

    pub(super) async fn rollback(mut self) -> sqlx::Result<()> {
        if self.open {
            sqlx::query("ROLLBACK").execute(&mut *self).await?;
            self.open = false;
        }
        Ok(())
    }
}

impl Deref for Held {
    type Target = SqliteConnection;

    fn deref(&self) -> &Self::Target {
        self.conn.as_ref().expect("it is not dropped")
    }
}

impl DerefMut for Held {
    fn deref_mut(&mut self) -> &mut Self::Target {
        self.conn.as_mut().expect("it is not dropped")
    }
}

impl Drop for Held {
    /// The connection goes back to the others when its transaction has ended.
    fn drop(&mut self) {
        let Some(mut conn) = self.conn.take().filter(|_| self.open) else {
            return;
        };
        match Handle::try_current() {
            Ok(runtime) => {
                runtime.spawn(async move {
                    // It fails if there is none: it never began, or its commit went through.
                    let ended = sqlx::query("ROLLBACK").execute(&mut *conn).await;
                    if let Err(error) = ended {
                        tracing::trace!(%error, "no transaction was left");
                    }
                });
            }
            // Closed, it ends as well.
            Err(_) => conn.close_on_drop(),
        }
    }
}
