//! One time for all replicas: PostgreSQL's.
//!
//! What one replica writes another compares with its own clock: leases, what expires, who came
//! first. Machines' clocks differ by seconds and are set while programs run, so on PostgreSQL
//! nobody's own is used: a replica asks the database for the time, lets it go on by itself and asks
//! again now and then. While the database is away its time goes on, too. SQLite has one process at
//! a time that writes such things, and the machine's clock.

use std::time::{Duration, Instant};

use lyceum_model::clock::{Clock, Millis};
use tokio_util::sync::CancellationToken;

use crate::db::Db;

const ASK_EVERY: Duration = Duration::from_secs(10);
/// An answer that took longer says too little: half of it may be the way there or the way back.
const QUICK: Duration = Duration::from_millis(250);
/// How often is asked again for a quick one before the first use.
const TRIES: u32 = 5;
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);

impl Db {
    /// The clock that whatever works on this database goes by.
    pub async fn clock(&self) -> sqlx::Result<Clock> {
        let mut best: Option<Answer> = None;
        for _ in 0..TRIES {
            let Some(answer) = self.ask().await? else {
                return Ok(Clock::system());
            };
            if best.as_ref().is_none_or(|best| answer.took < best.took) {
                best = Some(answer);
            }
            if best.as_ref().is_some_and(Answer::is_quick) {
                break;
            }
        }
        Ok(best.map_or_else(Clock::system, |best| Clock::told(best.now())))
    }

    /// Keeps a clock of [`Db::clock`] right until `cancel`. On SQLite it returns at once.
    pub async fn keep_time(&self, clock: Clock, cancel: CancellationToken) {
        if self.postgres().is_some() {
            let _ = cancel.run_until_cancelled(self.keep_telling(clock)).await;
        }
    }

    async fn keep_telling(&self, clock: Clock) {
        loop {
            tokio::time::sleep(ASK_EVERY).await;
            let answer = tokio::time::timeout(ANSWER_TIMEOUT, self.ask()).await;
            // Away, or too slow: others say so in the log, and the clock goes on.
            let Ok(Ok(Some(answer))) = answer else {
                continue;
            };
            if answer.is_quick() {
                clock.tell(answer.now());
            }
        }
    }

    /// None on SQLite.
    async fn ask(&self) -> sqlx::Result<Option<Answer>> {
        let Some(pool) = self.postgres() else {
            return Ok(None);
        };
        let mut connection = pool.acquire().await?;
        let asked = Instant::now();
        let time: i64 = sqlx::query_scalar(
            "SELECT CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000 AS BIGINT)",
        )
        .fetch_one(&mut *connection)
        .await?;
        Ok(Some(Answer {
            time: Millis(time),
            took: asked.elapsed(),
            came: Instant::now(),
        }))
    }
}

/// What the database said, and how sure that is.
struct Answer {
    time: Millis,
    took: Duration,
    came: Instant,
}

impl Answer {
    fn is_quick(&self) -> bool {
        self.took <= QUICK
    }

    fn now(&self) -> Millis {
        let since = self.took / 2 + self.came.elapsed();
        let since = i64::try_from(since.as_millis()).unwrap_or(i64::MAX);
        self.time.plus(since)
    }
}
