//! `lyceum config …`: check, explain and document the configuration.

use std::path::PathBuf;

use clap::Subcommand;

use super::{ConfigArgs, Outcome, guarantees, print, print_json};
use crate::config::{self, DEFAULT_FILE, Problems};
use crate::failure::Failure;

/// Check, show and document the configuration.
#[derive(Debug, Subcommand)]
pub enum ConfigCommand {
    /// Say everything that is wrong in a configuration, with its place, and in its templates and
    /// languages.
    #[command(
        after_help = "Exit code 3 when there are problems.\n\nExample:\n  lyceum config check /etc/lyceum/lyceum.yaml"
    )]
    Check {
        /// The file to check, which may stand without `--config` too.
        file: Option<PathBuf>,
        #[command(flatten)]
        config: ConfigArgs,
        /// Print JSON, for machines.
        #[arg(long)]
        json: bool,
    },
    /// Print every value in force and where it comes from. Secrets show as ***.
    Show {
        #[command(flatten)]
        config: ConfigArgs,
        /// Print JSON, for machines.
        #[arg(long)]
        json: bool,
    },
    /// Print the JSON Schema of the configuration, for editors.
    Schema,
    /// Print a configuration with every key, its meaning and its default.
    Example,
}

impl ConfigCommand {
    pub(super) fn run(self) -> Result<Outcome, Failure> {
        match self {
            Self::Check { file, config, json } => {
                let file = file.or(config.config);
                let Some(file) = config::locate(file.as_deref()) else {
                    return without_file(json);
                };
                let (problems, notes) = match config::load(Some(&file)) {
                    Ok(loaded) => {
                        let mut notes = loaded.config.notes();
                        notes.extend(guarantees::of_config(&loaded));
                        let mut problems = loaded.config.theme.check()?;
                        problems.extend(refused_by_up(&loaded));
                        (problems, notes)
                    }
                    Err(Problems(problems)) => (problems, Vec::new()),
                };
                if json {
                    print_json(
                        &serde_json::json!({ "file": file, "problems": problems, "notes": notes }),
                    )?;
                } else {
                    let lines: String = problems
                        .iter()
                        .map(|problem| format!("{problem}\n"))
                        .collect();
                    let count = match problems.len() {
                        0 => "no problems".into(),
                        1 => "1 problem".into(),
                        count => format!("{count} problems"),
                    };
                    let notes: String =
                        notes.iter().map(|note| format!("note: {note}\n")).collect();
                    print(&format!("{lines}{notes}{}: {count}\n", file.display()))?;
                }
                Ok(match problems.is_empty() {
                    true => Outcome::Good,
                    false => Outcome::Problems,
                })
            }
            Self::Show { config, json } => {
                let path = config::locate(config.config.as_deref());
                let rows = load(path.as_deref())?.show();
                if json {
                    print_json(&rows)?;
                } else {
                    let width = rows.iter().map(|row| row.key.len()).max().unwrap_or(0);
                    let lines: Vec<String> = rows
                        .iter()
                        .map(|row| {
                            let value = match &row.value {
                                serde_json::Value::Null => "-".into(),
                                serde_json::Value::String(text) => text.clone(),
                                other => other.to_string(),
                            };
                            format!("{:width$}  {value:30}  {}\n", row.key, row.from)
                        })
                        .collect();
                    print(&lines.concat())?;
                }
                Ok(Outcome::Good)
            }
            Self::Schema => print_json(&config::schema()).map(|()| Outcome::Good),
            Self::Example => print(&config::example()).map(|()| Outcome::Good),
        }
    }
}

/// What is good in the file and yet no start for whoever looks, because of the account that runs it.
fn refused_by_up(loaded: &config::Loaded) -> Option<config::Problem> {
    let refused = crate::serve::look_at_names(&loaded.config).err()?;
    Some(config::Problem {
        file: loaded.file.clone(),
        place: None,
        message: format!("started as root: {}", refused.message),
    })
}

/// Nothing to check is no problem: the defaults are good.
fn without_file(json: bool) -> Result<Outcome, Failure> {
    if json {
        print_json(&serde_json::json!({ "file": null, "problems": [], "notes": [] }))?;
    } else {
        print(&format!(
            "there is no {DEFAULT_FILE} in this folder: the defaults are in force (`lyceum config example` shows every key)\n"
        ))?;
    }
    Ok(Outcome::Good)
}

/// Loads, and makes one failure of all problems.
pub(crate) fn load(path: Option<&std::path::Path>) -> Result<config::Loaded, Failure> {
    config::load(path).map_err(|problems| {
        Failure::new(format!("the configuration has problems\n{problems}"))
            .hint("`lyceum config check` looks again, `lyceum config example` shows every key")
    })
}
