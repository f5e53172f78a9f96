//! `lyceum import …`: what other systems were told, as a configuration of Lyceum.

use std::fmt::Write as _;
use std::fs;
use std::io::{Read, Write as _};
use std::path::{Path, PathBuf};

use clap::Subcommand;
use lyceum_model::secret::Secret;
use serde_json::json;

use super::{Outcome, print, print_json};
use crate::config::{self, Problems};
use crate::failure::Failure;
use crate::import::report::Entry;
use crate::import::{Fate, z2jh};

/// Larger than any file of values.
const MAX_BYTES: u64 = 1024 * 1024;
const CONFIG: &str = "lyceum.yaml";

/// Translate what other systems were told.
#[derive(Debug, Subcommand)]
pub enum ImportCommand {
    /// Read values of the Zero-to-JupyterHub chart: who may come in, and how.
    ///
    /// Of each key the report says what became of it. A key that is not known, or that can't be said here
    /// and would keep people out, is a problem; then nothing is written. So far `hub.config` of the
    /// authenticators and the older `auth` are read.
    #[command(
        name = "z2jh",
        after_help = "Exit code 3 when there are problems.\n\nExamples:\n  \
            lyceum import z2jh values.yaml                    print the configuration, and the report to standard error\n  \
            lyceum import z2jh values.yaml --out /etc/lyceum  write lyceum.yaml there, and secrets beside it"
    )]
    Z2jh {
        /// The file of values.
        values: PathBuf,
        /// A folder for lyceum.yaml and the files of its secrets. What is there is not replaced.
        #[arg(long, value_name = "FOLDER")]
        out: Option<PathBuf>,
        /// Print JSON, for machines.
        #[arg(long)]
        json: bool,
    },
}

impl ImportCommand {
    pub(super) fn run(self) -> Result<Outcome, Failure> {
        let Self::Z2jh { values, out, json } = self;
        let file = values.display().to_string();
        let translated = match z2jh::translate(&file, &read(&values)?) {
            Ok(translated) => translated,
            Err(found) => return refused(&file, &found, json),
        };
        let open = still_open(&translated)?;
        if let Some(folder) = &out {
            write(folder, &translated)?;
        }
        let mut todo: Vec<String> = translated.report.todo().to_vec();
        todo.extend(open);
        if out.is_none() {
            let names = translated.secrets.iter().map(|(name, _)| name);
            todo.extend(names.map(|name| {
                format!(
                    "{}/{name}: put the secret there, or have it done by `--out FOLDER`",
                    z2jh::SECRETS
                )
            }));
        }
        let entries = translated.report.entries();
        if json {
            print_json(&json!({
                "config": translated.text,
                "keys": entries,
                "to_do": todo,
                "problems": [],
            }))?;
            return Ok(Outcome::Good);
        }
        let mut told = told(&file, &entries);
        for what in &todo {
            let _ = writeln!(told, "left to do: {what}");
        }
        // Who reads no report has its configuration all the same.
        let _ = std::io::stderr().lock().write_all(told.as_bytes());
        match &out {
            Some(folder) => print(&format!("{}\n", folder.join(CONFIG).display()))?,
            None => print(&translated.text)?,
        }
        Ok(Outcome::Good)
    }
}

/// What became of each key, a line each.
fn told(file: &str, entries: &[&Entry]) -> String {
    let mut told = String::new();
    for entry in entries {
        let (word, why) = match &entry.fate {
            Fate::Taken(key) => ("taken", key.as_str()),
            Fate::Changed(how) => ("changed", how.as_str()),
            Fate::NotNeeded(why) => ("not needed", why.as_str()),
            Fate::NotRead => ("not read", "not about who comes in"),
        };
        let _ = writeln!(told, "{file}:{}: {}: {word}: {why}", entry.line, entry.key);
    }
    told
}

fn refused(file: &str, found: &z2jh::Refused, json: bool) -> Result<Outcome, Failure> {
    let (problems, entries) = (&found.problems, found.report.entries());
    if json {
        print_json(&json!({ "keys": entries, "problems": problems.0 }))?;
        return Ok(Outcome::Problems);
    }
    // Where keys were taken to, once there is a configuration.
    let _ = std::io::stderr()
        .lock()
        .write_all(told(file, &entries).as_bytes());
    print(&format!("{problems}\n"))?;
    Ok(Outcome::Problems)
}

fn read(path: &Path) -> Result<String, Failure> {
    let failed = |why: String| Failure::new(format!("{}: {why}", path.display()));
    let mut text = String::new();
    let file = fs::File::open(path).map_err(|error| failed(format!("can't be read: {error}")))?;
    file.take(MAX_BYTES + 1)
        .read_to_string(&mut text)
        .map_err(|error| failed(format!("can't be read: {error}")))?;
    match text.len() as u64 > MAX_BYTES {
        true => Err(failed(
            "larger than 1 MiB, which no file of values is".into(),
        )),
        false => Ok(text),
    }
}

/// What Lyceum itself still finds wrong with it.
fn still_open(translated: &z2jh::Translated) -> Result<Vec<String>, Failure> {
    let failed = |error: std::io::Error| Failure::new(format!("a folder for a moment: {error}"));
    let folder = tempfile::tempdir().map_err(failed)?;
    write(folder.path(), translated)?;
    Ok(match config::load(Some(&folder.path().join(CONFIG))) {
        Ok(_) => Vec::new(),
        Err(Problems(problems)) => problems.into_iter().map(|one| one.message).collect(),
    })
}

fn write(folder: &Path, translated: &z2jh::Translated) -> Result<(), Failure> {
    let secrets = folder.join(z2jh::SECRETS);
    let make = |path: &Path| {
        fs::create_dir_all(path)
            .map_err(|error| Failure::new(format!("{}: {error}", path.display())))
    };
    make(folder)?;
    if !translated.secrets.is_empty() {
        make(&secrets)?;
    }
    for (name, secret) in &translated.secrets {
        put(&secrets.join(name), secret)?;
    }
    put(&folder.join(CONFIG), &Secret::new(translated.text.as_str()))
}

/// For whoever runs Lyceum alone, and never over what is there.
fn put(path: &Path, text: &Secret) -> Result<(), Failure> {
    use std::os::unix::fs::OpenOptionsExt as _;
    let failed = |error: std::io::Error| {
        Failure::new(format!("{}: {error}", path.display()))
            .hint("name another folder, or remove what is there")
    };
    let mut file = fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
        .map_err(failed)?;
    file.write_all(text.expose().as_bytes()).map_err(failed)?;
    file.sync_all().map_err(failed)
}
