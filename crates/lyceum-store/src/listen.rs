//! Wake-ups from other replicas: one connection that listens to PostgreSQL's notifications.
//!
//! What is sent and why: [`crate::events`]. SQLite has one process and needs none of this.

use std::time::Duration;

use sqlx::PgPool;
use sqlx::postgres::{PgListener, PgPoolOptions};
use tokio_util::sync::CancellationToken;

use crate::db::Db;
use crate::db::postgres::{place, unreachable};
use crate::events::{CHANNEL, EVERYTHING};

/// The first pause after a lost connection; doubled up to the longest.
const SHORTEST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(10);
/// Without a word for so long, the server is asked whether it is still there: a connection that a
/// firewall has forgotten looks like a quiet one.
const QUIET: Duration = Duration::from_secs(30);
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);

impl Db {
    /// Passes wake-ups of other replicas on to the listeners here, until `cancel`. Every start of
    /// listening wakes everybody, since news may have passed before. On SQLite it returns at once.
    pub async fn listen(&self, cancel: CancellationToken) {
        let Some(pool) = self.postgres() else {
            return;
        };
        let _ = cancel
            .run_until_cancelled(self.listen_for_ever(&pool))
            .await;
    }

    async fn listen_for_ever(&self, pool: &PgPool) {
        let mut pause = SHORTEST_PAUSE;
        loop {
            let Err(error) = self.listen_once(pool, &mut pause).await;
            tracing::warn!(
                error = %error,
                "listening for news of other replicas was interrupted; trying again"
            );
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    async fn listen_once(
        &self,
        pool: &PgPool,
        pause: &mut Duration,
    ) -> sqlx::Result<std::convert::Infallible> {
        let options = (*pool.connect_options()).clone();
        let late = || unreachable(&place(&options), ANSWER_TIMEOUT);
        // A pool of its own, so that listening takes no connection from those who work.
        let own = PgPoolOptions::new()
            .max_connections(1)
            .acquire_timeout(ANSWER_TIMEOUT)
            .idle_timeout(None)
            .max_lifetime(None)
            .connect_lazy_with(options.clone());
        let listener = PgListener::connect_with(&own).await;
        let mut listener = listener.map_err(|error| match error {
            sqlx::Error::PoolTimedOut => late(),
            error => error,
        })?;
        listener.listen(CHANNEL).await?;
        *pause = SHORTEST_PAUSE;
        self.wake(EVERYTHING);
        loop {
            match tokio::time::timeout(QUIET, listener.try_recv()).await {
                Ok(Ok(Some(notification))) => self.wake(notification.payload()),
                // It has connected again by itself; what came in between is lost.
                Ok(Ok(None)) => self.wake(EVERYTHING),
                Ok(Err(error)) => return Err(error),
                Err(_) => {
                    let alive = sqlx::query("SELECT 1").execute(&mut listener);
                    tokio::time::timeout(ANSWER_TIMEOUT, alive)
                        .await
                        .map_err(|_| late())??;
                }
            }
        }
    }
}
