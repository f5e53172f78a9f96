//! `lyceum service …`: the services that the hub runs, looked at from the command line.

use clap::Subcommand;
use lyceum_hub::db;
use lyceum_model::clock::Millis;
use lyceum_model::server::ServerKey;
use lyceum_spawn::Spawner;

use super::{ConfigArgs, DataArgs, Outcome, block_on, ground, print, print_json};
use crate::compose::{Program, service_spawner};
use crate::failure::Failure;

/// List the services that Lyceum runs itself and read what they wrote.
#[derive(Debug, Subcommand)]
pub enum ServiceCommand {
    /// List the services that have a `command` in the configuration.
    List {
        #[command(flatten)]
        data: DataArgs,
        #[command(flatten)]
        config: ConfigArgs,
        /// Print JSON, for machines.
        #[arg(long)]
        json: bool,
    },
    /// Print the last lines that a service wrote.
    #[command(after_help = "Example:\n  lyceum service logs culler --lines 50")]
    Logs {
        /// Its name.
        service: String,
        #[arg(long, default_value_t = 100)]
        lines: usize,
        #[command(flatten)]
        data: DataArgs,
        #[command(flatten)]
        config: ConfigArgs,
    },
}

impl ServiceCommand {
    pub(super) fn run(self) -> Result<Outcome, Failure> {
        match self {
            Self::List { data, config, json } => {
                let rows = block_on(async move {
                    let (ground, _, _) = ground(&data, &config).await?;
                    let mut tx = ground.db.read().await.map_err(failed)?;
                    db::managed::all(&mut tx).await.map_err(failed)
                })?;
                list(&rows, json)?;
            }
            Self::Logs {
                service,
                lines,
                data,
                config,
            } => {
                let lines = block_on(async move {
                    let (ground, _, layout) = ground(&data, &config).await?;
                    let mut tx = ground.db.read().await.map_err(failed)?;
                    let rows = db::managed::all(&mut tx).await.map_err(failed)?;
                    let row = rows.iter().find(|row| row.name == service);
                    let Some(key) = row.and_then(|row| ServerKey::parse(&row.key)) else {
                        return Err(no_service(&service, &rows));
                    };
                    service_spawner(&Program::this(), &layout)?
                        .log_tail(&key, lines)
                        .await
                        .map_err(|error| Failure::new(error.to_string()))
                })?;
                let text: String = lines.into_iter().map(|line| line + "\n").collect();
                print(&text)?;
            }
        }
        Ok(Outcome::Good)
    }
}

fn no_service(name: &str, rows: &[db::managed::Row]) -> Failure {
    let there: Vec<&str> = rows.iter().map(|row| row.name.as_str()).collect();
    Failure::new(format!("Lyceum runs no service called {name}")).hint(match there.as_slice() {
        [] => {
            "it runs those that have a `command` under `services`, once it was started".to_owned()
        }
        there => format!("it runs {}", there.join(", ")),
    })
}

fn list(rows: &[db::managed::Row], json: bool) -> Result<(), Failure> {
    let state = |row: &db::managed::Row| match row.started_at {
        Some(_) => "runs",
        None => "waits",
    };
    let since = |row: &db::managed::Row| row.started_at.map(|at| Millis(at).to_iso());
    if json {
        let rows: Vec<serde_json::Value> = rows
            .iter()
            .map(|row| {
                serde_json::json!({
                    "service": row.name,
                    "state": state(row),
                    "started": since(row),
                    "failures": row.failures,
                    "ended": row.said,
                })
            })
            .collect();
        return print_json(&rows);
    }
    let lines: String = rows
        .iter()
        .map(|row| {
            let since = since(row).map_or_else(String::new, |at| format!("since {at}"));
            let said = row.said.as_deref().unwrap_or("");
            format!("{:30}  {:8}  {since}  {said}\n", row.name, state(row))
        })
        .collect();
    print(&lines)
}

fn failed(error: lyceum_store::DbError) -> Failure {
    Failure::new(format!("the database: {error}"))
}
