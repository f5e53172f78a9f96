//! `lyceum server …`: notebook servers, looked at from the command line.

use clap::Subcommand;
use lyceum_hub::db;
use lyceum_model::clock::Millis;
use lyceum_model::name::{ServerName, UserName};
use lyceum_model::server::ServerKey;
use lyceum_spawn::Spawner;

use super::{ConfigArgs, DataArgs, Outcome, block_on, ground, print, print_json};
use crate::compose::{Program, local_spawner};
use crate::failure::Failure;

/// The longest list printed at once.
const LIST_MAX: i64 = 10_000;

/// List notebook servers and read what they wrote.
#[derive(Debug, Subcommand)]
pub enum ServerCommand {
    /// List the servers that are not at rest, and the failures.
    List {
        #[command(flatten)]
        data: DataArgs,
        #[command(flatten)]
        config: ConfigArgs,
        /// Print JSON, for machines.
        #[arg(long)]
        json: bool,
    },
    /// Print the last lines that a server wrote.
    #[command(
        after_help = "Examples:\n  lyceum server logs ada\n  lyceum server logs ada gpu --lines 50\n  lyceum server logs course:signals-2026"
    )]
    Logs {
        /// Whose server; `course:ID` for the one of a course.
        #[arg(value_parser = UserName::parse_kept)]
        user: UserName,
        /// Its name; left out, the default server.
        #[arg(default_value = "")]
        server: ServerName,
        #[arg(long, default_value_t = 100)]
        lines: usize,
        #[command(flatten)]
        data: DataArgs,
        #[command(flatten)]
        config: ConfigArgs,
    },
}

impl ServerCommand {
    pub(super) fn run(self) -> Result<Outcome, Failure> {
        match self {
            Self::List { data, config, json } => {
                let servers = block_on(async move {
                    let (ground, _, _) = ground(&data, &config).await?;
                    let mut tx = ground.db.read().await.map_err(failed)?;
                    db::servers::for_admin(&mut tx, LIST_MAX)
                        .await
                        .map_err(failed)
                })?;
                list(&servers, json)?;
            }
            Self::Logs {
                user,
                server,
                lines,
                data,
                config,
            } => {
                let lines = block_on(async move {
                    let (ground, config, layout) = ground(&data, &config).await?;
                    let mut tx = ground.db.read().await.map_err(failed)?;
                    let Some(owner) = db::users::find(&mut tx, &user).await.map_err(failed)? else {
                        return Err(Failure::new(format!("there is nobody called {user}"))
                            .hint("`lyceum user list` shows who there is"));
                    };
                    let rows = db::servers::of_user(&mut tx, &owner.id)
                        .await
                        .map_err(failed)?;
                    let row = rows.iter().find(|row| row.name == server);
                    let Some(key) = row.and_then(|row| ServerKey::parse(&row.key)) else {
                        return Err(no_server(&user, &server, &rows));
                    };
                    local_spawner(&Program::this(), &config, &layout)?
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

/// Which server is missing, and which there are instead.
fn no_server(user: &UserName, server: &ServerName, rows: &[db::servers::Server]) -> Failure {
    let said = match server.is_default() {
        true => format!("{user} has never started the default server"),
        false => format!("{user} has no server called {server}"),
    };
    let there: Vec<String> = rows
        .iter()
        .map(|row| match row.name.is_default() {
            true => format!("the default one (`lyceum server logs {user}`)"),
            false => format!("{0} (`lyceum server logs {user} {0}`)", row.name),
        })
        .collect();
    Failure::new(said).hint(match there.as_slice() {
        [] => format!("{user} has no servers yet"),
        there => format!("there is {}", there.join(", ")),
    })
}

fn list(servers: &[db::servers::Server], json: bool) -> Result<(), Failure> {
    if json {
        let rows: Vec<serde_json::Value> = servers
            .iter()
            .map(|server| {
                serde_json::json!({
                    "user": server.user_name,
                    "server": server.name,
                    "state": server.state.as_str(),
                    "failure": server.failure,
                    "started": server.started_at.map(|at| Millis(at).to_iso()),
                    "last_activity": server.last_activity_at.map(|at| Millis(at).to_iso()),
                })
            })
            .collect();
        return print_json(&rows);
    }
    let lines: String = servers
        .iter()
        .map(|server| {
            let name = format!("{}/{}", server.user_name, server.name);
            let since = server
                .started_at
                .map_or_else(String::new, |at| format!("since {}", Millis(at).to_iso()));
            format!(
                "{name:30}  {:8}  {since}  {}\n",
                server.state.as_str(),
                server.failure.as_deref().unwrap_or("")
            )
        })
        .collect();
    print(&lines)
}

fn failed(error: lyceum_store::DbError) -> Failure {
    Failure::new(format!("the database: {error}"))
}
