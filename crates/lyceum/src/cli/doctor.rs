//! `lyceum doctor`: looks for what would keep Lyceum from running, and says what to do.
//!
//! A check is a function `fn(&Doctor) -> Check`; parts add theirs to [`CHECKS`].

use std::net::TcpListener;

use clap::Args;
use serde::Serialize;

use super::{ConfigArgs, DataArgs, Outcome, print, print_json};
use crate::data::{self, ROOM_FOR_JUPYTER};
use crate::failure::Failure;
use crate::{config, jupyter};

/// Look for what would keep Lyceum from running.
#[derive(Debug, Args)]
#[command(after_help = "Exit code 3 when something must be mended. Nothing is changed.")]
pub struct Doctor {
    #[command(flatten)]
    pub data: DataArgs,
    #[command(flatten)]
    pub config: ConfigArgs,
    /// Print JSON, for machines.
    #[arg(long)]
    pub json: bool,
}

/// What one look found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Check {
    pub name: &'static str,
    pub result: CheckResult,
    pub message: String,
    pub hint: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum CheckResult {
    Good,
    /// Must be mended.
    Problem,
}

impl Check {
    pub(crate) fn of(name: &'static str, result: Result<String, Failure>) -> Self {
        let (result, message, hint) = match result {
            Ok(message) => (CheckResult::Good, message, None),
            Err(failure) => (CheckResult::Problem, failure.message, failure.hint),
        };
        Self {
            name,
            result,
            message,
            hint,
        }
    }
}

/// Every check, in the order people read them.
pub const CHECKS: &[fn(&Doctor) -> Check] = &[
    check_config,
    check_data,
    check_disk,
    check_python,
    check_port,
    check_limits,
];

fn check_config(doctor: &Doctor) -> Check {
    let path = config::locate(doctor.config.config.as_deref());
    let said = super::config::load(path.as_deref()).map(|loaded| match path {
        Some(_) => format!("{} is good", loaded.file),
        None => "no lyceum.yaml, the defaults hold".into(),
    });
    Check::of("config", said)
}

fn check_data(doctor: &Doctor) -> Check {
    let root = &doctor.data.data;
    let said = if root.exists() {
        data::check_private(root).and_then(|()| {
            // Not the lock: doctor must be usable beside a running Lyceum.
            rustix::fs::access(root, rustix::fs::Access::WRITE_OK).map_err(|error| {
                Failure::io(
                    format!("{} can't be written", root.display()),
                    &error.into(),
                )
            })?;
            Ok(format!("{} is private and writable", root.display()))
        })
    } else {
        Ok(format!(
            "{} is not there yet and will be made",
            root.display()
        ))
    };
    Check::of("data", said)
}

fn check_disk(doctor: &Doctor) -> Check {
    let root = std::path::absolute(&doctor.data.data).unwrap_or_else(|_| doctor.data.data.clone());
    let ready = jupyter::find(&root.join("jupyter")).is_some();
    let said = data::free_space(&root).and_then(|free| {
        let text = format!("{:.1} GB free for {}", free as f64 / 1e9, root.display());
        if free < ROOM_FOR_JUPYTER && !ready {
            return Err(Failure::new(text).hint("the Jupyter environment needs 2 GB"));
        }
        Ok(text)
    });
    Check::of("disk", said)
}

fn check_python(doctor: &Doctor) -> Check {
    let root = std::path::absolute(&doctor.data.data).unwrap_or_else(|_| doctor.data.data.clone());
    let said = match jupyter::find(&root.join("jupyter")) {
        Some(ready) => Ok(format!(
            "the Jupyter environment is prepared ({})",
            ready.version
        )),
        None => jupyter::Python::find()
            .map(|python| format!("Python {} at {}", python.version, python.program.display())),
    };
    Check::of("python", said)
}

fn check_port(doctor: &Doctor) -> Check {
    let path = config::locate(doctor.config.config.as_deref());
    let Ok(loaded) = config::load(path.as_deref()) else {
        return Check::of(
            "port",
            Ok("not looked at: the configuration has problems".into()),
        );
    };
    let listen = loaded.config.listen;
    if let Some(process) = data::running_on(&doctor.data.data) {
        let said = format!("not looked at: Lyceum runs on this data folder (process {process})");
        return Check::of("port", Ok(said));
    }
    let said = TcpListener::bind(listen)
        .map(|_| format!("{listen} is free"))
        .map_err(|error| crate::public::explain_bind(listen, &error));
    Check::of("port", said)
}

/// Which limits servers get here, and why not better ones.
fn check_limits(doctor: &Doctor) -> Check {
    let said = || {
        let loaded =
            super::config::load(config::locate(doctor.config.config.as_deref()).as_deref())?;
        let Ok(layout) = data::Layout::existing(&doctor.data.data) else {
            return Ok("looked at once the data folder is there".to_owned());
        };
        let report = crate::compose::local_spawner(&loaded.config, &layout)?.capabilities();
        Ok(report.to_string())
    };
    Check::of("limits", said())
}

impl Doctor {
    pub(super) fn run(&self) -> Result<Outcome, Failure> {
        let checks: Vec<Check> = CHECKS.iter().map(|check| check(self)).collect();
        let problems = checks
            .iter()
            .filter(|check| check.result == CheckResult::Problem)
            .count();
        if self.json {
            print_json(&serde_json::json!({ "checks": checks, "problems": problems }))?;
        } else {
            for check in &checks {
                let word = match check.result {
                    CheckResult::Good => "good   ",
                    CheckResult::Problem => "PROBLEM",
                };
                print(&format!("{word}  {:8}  {}\n", check.name, check.message))?;
                if let Some(hint) = &check.hint {
                    print(&format!("{:21}{hint}\n", ""))?;
                }
            }
        }
        Ok(if problems == 0 {
            Outcome::Good
        } else {
            Outcome::Problems
        })
    }
}
