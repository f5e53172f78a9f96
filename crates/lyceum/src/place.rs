//! Where local servers run: one machine and one folder for all hubs of a database.
//!
//! A hub on another machine would not find the processes of the first and take their servers for
//! ended. So whoever runs local servers holds a lease on "here" in the database, shared by all hubs
//! of the same place; a hub of another place does not start while it holds. SQLite has one hub, and
//! its data folder is locked.

use std::path::Path;
use std::time::Duration;

use lyceum_model::clock::{Clock, Millis};
use lyceum_store::{Db, Engine, settings};
use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;

use crate::failure::Failure;

const SETTING: &str = "local-servers";
const LEASE_MS: i64 = 20_000;
const RENEW_EVERY: Duration = Duration::from_secs(5);

#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Lease {
    place: String,
    until: i64,
}

/// This machine and this folder of running servers.
#[derive(Clone)]
pub struct Place {
    db: Db,
    clock: Clock,
    name: String,
}

impl Place {
    /// Takes the lease, or says who has it. None where none is needed.
    pub async fn take(db: &Db, clock: &Clock, run: &Path) -> Result<Option<Self>, Failure> {
        if db.engine() == Engine::Sqlite {
            return Ok(None);
        }
        let place = Self {
            db: db.clone(),
            clock: clock.clone(),
            name: format!("{}:{}", machine(), run.display()),
        };
        match place.renew().await {
            Ok(None) => Ok(Some(place)),
            Ok(Some(other)) => Err(Failure::new(format!(
                "another hub on this database runs servers at {other}, this one would at {}",
                place.name
            ))
            .hint("with local servers all hubs run on one machine with one data folder (--data); after a move, wait half a minute after the old hub has stopped")),
            Err(error) => Err(Failure::new(format!(
                "where servers run can't be looked up: {error:#}"
            ))),
        }
    }

    /// Keeps the lease until shutdown. Lost, it stops the hub before that ends servers not its own.
    pub async fn keep(self, shutdown: CancellationToken) {
        loop {
            tokio::select! {
                () = shutdown.cancelled() => return,
                () = tokio::time::sleep(RENEW_EVERY) => {}
            }
            match self.renew().await {
                Ok(None) => {}
                Ok(Some(other)) => {
                    tracing::error!(
                        other,
                        "a hub on another machine runs the servers now; this hub stops"
                    );
                    shutdown.cancel();
                }
                Err(error) => tracing::warn!(
                    error = format!("{error:#}"),
                    "could not tell the database that servers run here; trying again"
                ),
            }
        }
    }

    /// Takes or renews the lease; gives the other place that has it.
    async fn renew(&self) -> anyhow::Result<Option<String>> {
        let Millis(now) = self.clock.now();
        let ours = Lease {
            place: self.name.clone(),
            until: now + LEASE_MS,
        };
        let text = serde_json::to_string(&ours)?;
        let mut tx = self.db.write().await?;
        // Hubs that start at once come one after the other here.
        settings::lock(&mut tx, SETTING, &text, Millis(now)).await?;
        let known = settings::get(&mut tx, SETTING).await?;
        let known: Option<Lease> = known.and_then(|text| serde_json::from_str(&text).ok());
        if let Some(known) = known
            && known.place != self.name
            && known.until > now
        {
            return Ok(Some(known.place));
        }
        settings::set(&mut tx, SETTING, &text, Millis(now)).await?;
        tx.commit().await?;
        Ok(None)
    }
}

/// What names this machine as long as it is installed.
fn machine() -> String {
    let id = std::fs::read_to_string("/etc/machine-id").unwrap_or_default();
    match id.trim() {
        "" => rustix::system::uname()
            .nodename()
            .to_string_lossy()
            .into_owned(),
        id => id.to_owned(),
    }
}
