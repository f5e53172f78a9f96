//! Brings a database to the newest shape; several replicas may call it at once, also while a program
//! from before the newest steps serves.
//!
//! A step that only adds things leaves that program in peace. One that takes something away says so
//! in its first line, `-- needs: NNNN`: a program that doesn't know step NNNN can't go on with the
//! database, and refuses to start on it.
//!
//! Some steps leave it in peace only until what they brought is used; who uses it first says so
//! ([`needed_from_now_on`]).
//!
//! The files are in `migrations/` (its README says how to add one).

use anyhow::{Context, bail};

use crate::db::at_length;
use crate::db::{Db, Engine, Tx};

/// All steps, oldest first.
pub const STEPS: &[Step] = &[
    Step {
        version: 1,
        name: "store",
        sql: include_str!("../../../migrations/0001_store.sql"),
    },
    Step {
        version: 2,
        name: "people",
        sql: include_str!("../../../migrations/0002_people.sql"),
    },
    Step {
        version: 3,
        name: "servers",
        sql: include_str!("../../../migrations/0003_servers.sql"),
    },
    Step {
        version: 4,
        name: "sayings",
        sql: include_str!("../../../migrations/0004_sayings.sql"),
    },
    Step {
        version: 5,
        name: "queue",
        sql: include_str!("../../../migrations/0005_queue.sql"),
    },
    Step {
        version: 6,
        name: "grants",
        sql: include_str!("../../../migrations/0006_grants.sql"),
    },
    Step {
        version: 7,
        name: "removals",
        sql: include_str!("../../../migrations/0007_removals.sql"),
    },
    Step {
        version: 8,
        name: "shares",
        sql: include_str!("../../../migrations/0008_shares.sql"),
    },
    Step {
        version: 9,
        name: "lists",
        sql: include_str!("../../../migrations/0009_lists.sql"),
    },
    Step {
        version: 10,
        name: "culling",
        sql: include_str!("../../../migrations/0010_culling.sql"),
    },
    Step {
        version: 11,
        name: "replicas",
        sql: include_str!("../../../migrations/0011_replicas.sql"),
    },
    Step {
        version: 12,
        name: "managed_services",
        sql: include_str!("../../../migrations/0012_managed_services.sql"),
    },
    Step {
        version: 14,
        name: "identities",
        sql: include_str!("../../../migrations/0014_identities.sql"),
    },
    Step {
        version: 15,
        name: "kept_choices",
        sql: include_str!("../../../migrations/0015_kept_choices.sql"),
    },
    Step {
        version: 16,
        name: "course_accounts",
        sql: include_str!("../../../migrations/0016_course_accounts.sql"),
    },
    Step {
        version: 17,
        name: "exchange",
        sql: include_str!("../../../migrations/0017_exchange.sql"),
    },
    Step {
        version: 18,
        name: "lateness",
        sql: include_str!("../../../migrations/0018_lateness.sql"),
    },
    Step {
        version: 19,
        name: "deeds",
        sql: include_str!("../../../migrations/0019_deeds.sql"),
    },
    Step {
        version: 20,
        name: "troubles",
        sql: include_str!("../../../migrations/0020_troubles.sql"),
    },
    Step {
        version: 21,
        name: "sessions_elsewhere",
        sql: include_str!("../../../migrations/0021_sessions_elsewhere.sql"),
    },
    Step {
        version: 23,
        name: "password_links",
        sql: include_str!("../../../migrations/0023_password_links.sql"),
    },
    Step {
        version: 24,
        name: "session_refreshes",
        sql: include_str!("../../../migrations/0024_session_refreshes.sql"),
    },
    Step {
        version: 25,
        name: "second_factors",
        sql: include_str!("../../../migrations/0025_second_factors.sql"),
    },
    Step {
        version: 26,
        name: "invitations",
        sql: include_str!("../../../migrations/0026_invitations.sql"),
    },
    Step {
        version: 28,
        name: "lti_rosters",
        sql: include_str!("../../../migrations/0028_lti_rosters.sql"),
    },
    Step {
        version: 30,
        name: "sittings",
        sql: include_str!("../../../migrations/0030_sittings.sql"),
    },
    Step {
        version: 32,
        name: "audit",
        sql: include_str!("../../../migrations/0032_audit.sql"),
    },
    Step {
        version: 33,
        name: "mail",
        sql: include_str!("../../../migrations/0033_mail.sql"),
    },
    Step {
        version: 34,
        name: "lti_picks",
        sql: include_str!("../../../migrations/0034_lti_picks.sql"),
    },
    Step {
        version: 36,
        name: "posix",
        sql: include_str!("../../../migrations/0036_posix.sql"),
    },
    Step {
        version: 37,
        name: "keeping",
        sql: include_str!("../../../migrations/0037_keeping.sql"),
    },
];

pub struct Step {
    pub version: i64,
    pub name: &'static str,
    pub sql: &'static str,
}

impl Step {
    /// Tells a changed file from the one that was applied.
    pub fn digest(&self) -> String {
        blake3::hash(self.sql.as_bytes()).to_hex().to_string()
    }

    /// The step that programs must know once this one is done; 0 if any can go on.
    pub fn needs(&self) -> i64 {
        let first = self.sql.lines().next().unwrap_or_default();
        let needs = first.strip_prefix("-- needs: ");
        needs.map_or(0, |number| {
            number.trim().parse().expect("a step names another")
        })
    }
}

/// The step since which the table of steps tells what each needs.
const TELLS_NEEDS: i64 = 11;

/// How often a migration gives way to those who work meanwhile, and for how long.
const MOST_TRIES: u32 = 300;
const PAUSE: std::time::Duration = std::time::Duration::from_millis(200);

/// The version this program expects.
pub fn newest() -> i64 {
    STEPS.iter().map(|step| step.version).max().unwrap_or(0)
}

/// Applies what is missing, in one transaction. A database that a newer program has migrated is
/// fine as long as that took nothing away which this one needs.
pub async fn run(db: &Db) -> anyhow::Result<u64> {
    run_steps(db, STEPS).await
}

/// As [`run`], with the first few steps only: how a test makes a database of an older program.
pub async fn run_steps(db: &Db, steps: &[Step]) -> anyhow::Result<u64> {
    let mut tries = 0;
    loop {
        let mut tx = db.write().await?;
        match apply(&mut tx, steps).await {
            Ok(applied) => {
                tx.commit().await?;
                return Ok(applied);
            }
            Err(error) if tries < MOST_TRIES && is_in_the_way(&error) => {
                tx.rollback().await?;
                tries += 1;
                tokio::time::sleep(PAUSE).await;
            }
            Err(error) => return Err(error),
        }
    }
}

/// Whether it was held up by those who work with the database meanwhile: a lock that did not come in
/// time, or a deadlock.
fn is_in_the_way(error: &anyhow::Error) -> bool {
    let Some(sqlx::Error::Database(error)) = error.downcast_ref::<sqlx::Error>() else {
        return false;
    };
    matches!(error.code().as_deref(), Some("55P03" | "40P01"))
}

pub(crate) async fn apply(tx: &mut Tx, steps: &[Step]) -> anyhow::Result<u64> {
    Db::without_hurry(tx).await?;
    if tx.engine() == Engine::Postgres {
        // Replicas that start together wait here for each other; released with the transaction.
        at_length!(tx, |c| sqlx::query("SELECT pg_advisory_xact_lock(4953170)")
            .execute(c)
            .await
            .map(|_| ()))?;
        // A step that has one table and waits for another could stand against a request that has that
        // one and waits for the first. It gives way before PostgreSQL takes it for a deadlock, which it
        // does after a second, and then the request might be the one that fails.
        at_length!(tx, |c| sqlx::query("SET LOCAL lock_timeout = '400ms'")
            .execute(c)
            .await
            .map(|_| ()))?;
    }
    at_length!(tx, |c| {
        sqlx::query(
        "CREATE TABLE IF NOT EXISTS schema_steps (version BIGINT PRIMARY KEY, name TEXT NOT NULL, digest TEXT NOT NULL)"
    )
    .execute(c)
    .await
    .map(|_| ())
    })?;
    let done: Vec<(i64, String)> = at_length!(tx, |c| sqlx::query_as(
        "SELECT version, digest FROM schema_steps"
    )
    .fetch_all(c)
    .await)?;
    refuse_what_needs_more(tx, steps, &done).await?;
    let mut applied = 0;
    for step in steps {
        let digest = step.digest();
        match done.iter().find(|(version, _)| *version == step.version) {
            Some((_, known)) if *known == digest => continue,
            Some(_) => bail!(
                "migration {:04}_{} was changed after it had been applied to this database; use the program that made the database, or restore a backup",
                step.version,
                step.name
            ),
            None => {}
        }
        at_length!(tx, |c| sqlx::raw_sql(step.sql).execute(c).await.map(|_| ()))
            .with_context(|| format!("migration {:04}_{}", step.version, step.name))?;
        at_length!(tx, |c| sqlx::query(
            "INSERT INTO schema_steps (version, name, digest) VALUES ($1, $2, $3)"
        )
        .bind(step.version)
        .bind(step.name)
        .bind(&digest)
        .execute(c)
        .await
        .map(|_| ()))?;
        if step.needs() > 0 {
            at_length!(tx, |c| sqlx::query(
                "UPDATE schema_steps SET needs = $2 WHERE version = $1"
            )
            .bind(step.version)
            .bind(step.needs())
            .execute(c)
            .await
            .map(|_| ()))?;
        }
        applied += 1;
    }
    Ok(applied)
}

/// From this transaction on, programs that don't know the step refuse to start on the database: it
/// holds something that they can't read.
pub async fn needed_from_now_on(tx: &mut Tx, version: i64) -> sqlx::Result<()> {
    at_length!(tx, |c| sqlx::query(
        "UPDATE schema_steps SET needs = $1 WHERE version = $1 AND needs < $1"
    )
    .bind(version)
    .execute(c)
    .await
    .map(|_| ()))
}

async fn refuse_what_needs_more(
    tx: &mut Tx,
    steps: &[Step],
    done: &[(i64, String)],
) -> anyhow::Result<()> {
    if !done.iter().any(|(version, _)| *version == TELLS_NEEDS) {
        return Ok(());
    }
    let known = steps.iter().map(|step| step.version).max().unwrap_or(0);
    let beyond: Option<(i64, String)> = at_length!(tx, |c| sqlx::query_as(
        "SELECT version, name FROM schema_steps WHERE needs > $1 ORDER BY version DESC LIMIT 1"
    )
    .bind(known)
    .fetch_optional(c)
    .await)?;
    if let Some((version, name)) = beyond {
        bail!(
            "a newer program has brought this database to a shape ({version:04}_{name}) that this one can't go on with; use the newer program, or restore a backup from before"
        );
    }
    Ok(())
}
