//! `lyceum exchange …`: what was handed in, looked at from the command line.

use std::fs::File;
use std::io::BufReader;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Subcommand;
use lyceum_exchange::collect::{self, Collected, SHORTEST_GRACE};
use lyceum_exchange::quota::shown;
use lyceum_exchange::verify::{Counts, Fault, verify};
use lyceum_exchange::{archive, db};
use lyceum_written::units::Span;
use serde_json::json;

use super::people::failed;
use super::{ConfigArgs, DataArgs, Outcome, block_on, ground, print, print_json};
use crate::compose;
use crate::exchange::signer;
use crate::failure::Failure;
use crate::retention::Retention;

/// More than these are counted and not told.
const FAULTS_TOLD: usize = 1000;

/// Look after what was handed in.
#[derive(Debug, Subcommand)]
pub enum ExchangeCommand {
    /// Look whether everything handed in is as it was: receipts and their order, lists of files, contents.
    #[command(
        after_help = "It changes nothing, and Lyceum may run meanwhile or not. Exit code 3: something is not as it was.\n\n\
                      Examples:\n  lyceum exchange verify\n  lyceum exchange verify --archive lyceum-data/archives/bio-01J9….tar.zst"
    )]
    Verify {
        /// Look at the archive of a course that was removed, instead.
        #[arg(long, value_name = "FILE")]
        archive: Option<PathBuf>,
        #[command(flatten)]
        data: DataArgs,
        #[command(flatten)]
        config: ConfigArgs,
        /// Print JSON, for machines.
        #[arg(long)]
        json: bool,
    },
    /// Remove contents that nothing refers to any more.
    #[command(
        after_help = "A hub does this by itself once a day. Lyceum may run meanwhile or not.\n\n\
                      Examples:\n  lyceum exchange collect --dry-run\n  lyceum exchange collect --older-than 2h"
    )]
    Collect {
        /// Tell only what would be removed.
        #[arg(long)]
        dry_run: bool,
        /// How old a content must be that nothing refers to; at least 1h, which uploads under way may take.
        #[arg(long, value_name = "TIME", default_value = "24h", value_parser = grace)]
        older_than: Duration,
        #[command(flatten)]
        data: DataArgs,
        #[command(flatten)]
        config: ConfigArgs,
        /// Print JSON, for machines.
        #[arg(long)]
        json: bool,
    },
    /// Tell how much was handed in in each course, and how much may be.
    Usage {
        #[command(flatten)]
        data: DataArgs,
        #[command(flatten)]
        config: ConfigArgs,
        /// Print JSON, for machines.
        #[arg(long)]
        json: bool,
    },
    /// Let go of what the configuration keeps no longer (`exchange.keep`).
    #[command(
        after_help = "A hub does this by itself once a day. Exit code 3: something could not go.\n\n\
                      Example:\n  lyceum exchange retention --dry-run"
    )]
    Retention {
        /// Tell only what would go.
        #[arg(long)]
        dry_run: bool,
        #[command(flatten)]
        data: DataArgs,
        #[command(flatten)]
        config: ConfigArgs,
        /// Print JSON, for machines.
        #[arg(long)]
        json: bool,
    },
    /// Look whether a receipt that somebody has downloaded was signed here, and is as it was.
    #[command(
        after_help = "Exit code 3: it was not signed here, or something of it was changed.\n\n\
                      Example:\n  lyceum exchange receipt signals-2026-ps1-17-receipt.txt"
    )]
    Receipt {
        /// The file.
        file: PathBuf,
        #[command(flatten)]
        data: DataArgs,
        #[command(flatten)]
        config: ConfigArgs,
    },
    /// Print the public key by which receipts can be checked elsewhere (Ed25519, in hexadecimal).
    Key {
        #[command(flatten)]
        data: DataArgs,
        #[command(flatten)]
        config: ConfigArgs,
    },
}

impl ExchangeCommand {
    pub(super) fn run(self) -> Result<Outcome, Failure> {
        match self {
            Self::Verify {
                archive: Some(file),
                data,
                config,
                json,
            } => verify_archive(&file, &data, &config, json),
            Self::Verify {
                archive: None,
                data,
                config,
                json,
            } => {
                let mut faults = Vec::new();
                let counts = block_on(async {
                    let (ground, _, _) = ground(&data, &config).await?;
                    let signer = signer(&ground.keys);
                    let tell = |fault| {
                        if faults.len() < FAULTS_TOLD {
                            faults.push(fault);
                        }
                    };
                    let looked = verify(&ground.db, &ground.blobs, &signer, tell).await;
                    looked.map_err(|error| Failure::new(format!("could not look: {error:#}")))
                })?;
                match json {
                    true => print_json(&as_json(counts, &faults))?,
                    false => print(&as_text(counts, &faults))?,
                }
                Ok(match counts.faults {
                    0 => Outcome::Good,
                    _ => Outcome::Problems,
                })
            }
            Self::Collect {
                dry_run,
                older_than,
                data,
                config,
                json,
            } => {
                let collected = block_on(async {
                    let (ground, _, _) = ground(&data, &config).await?;
                    let (db, blobs) = (&ground.db, &ground.blobs);
                    let collected = match dry_run {
                        true => collect::look(db, blobs, older_than).await,
                        false => collect::collect(db, blobs, older_than).await,
                    };
                    collected.map_err(|error| {
                        Failure::new(format!("could not collect: {error:#}"))
                            .hint("nothing is lost by that; run it again")
                    })
                })?;
                let Collected {
                    trees,
                    blobs,
                    files,
                    bytes,
                } = collected;
                match json {
                    true => print_json(&json!({
                        "dry_run": dry_run, "trees": trees, "blobs": blobs, "files": files, "bytes": bytes,
                    }))?,
                    false => {
                        let would = if dry_run { "would be" } else { "are" };
                        print(&format!(
                            "{files} contents {would} off the disk, {bytes} bytes; nothing refers any more to {trees} lists of files \
                             and {blobs} contents, whose time runs from now on\n"
                        ))?;
                    }
                }
                Ok(Outcome::Good)
            }
            Self::Usage { data, config, json } => usage(&data, &config, json),
            Self::Retention {
                dry_run,
                data,
                config,
                json,
            } => retention(dry_run, &data, &config, json),
            Self::Receipt { file, data, config } => {
                let text = std::fs::read_to_string(&file).map_err(|error| {
                    Failure::new(format!("{} can't be read: {error}", file.display()))
                })?;
                let is_ours = block_on(async {
                    let (ground, _, _) = ground(&data, &config).await?;
                    let signer = signer(&ground.keys);
                    Ok(signer.downloaded(&text))
                })?;
                match is_ours {
                    true => print("signed here, and as it was\n")?,
                    false => print("not signed here, or changed since\n")?,
                }
                Ok(match is_ours {
                    true => Outcome::Good,
                    false => Outcome::Problems,
                })
            }
            Self::Key { data, config } => {
                let key = block_on(async {
                    let (ground, _, _) = ground(&data, &config).await?;
                    Ok(signer(&ground.keys).public_key())
                })?;
                print(&format!("{key}\n"))?;
                Ok(Outcome::Good)
            }
        }
    }
}

fn usage(data: &DataArgs, config: &ConfigArgs, json: bool) -> Result<Outcome, Failure> {
    let (courses, most) = block_on(async {
        let (ground, config, _) = ground(data, config).await?;
        let mut tx = ground.db.read().await.map_err(failed)?;
        let courses = db::courses::largest(&mut tx).await.map_err(failed)?;
        Ok((courses, config.exchange.quota))
    })?;
    if json {
        let rows = courses.iter().map(|(course, submissions, bytes)| {
            json!({ "course": course, "submissions": submissions, "bytes": bytes })
        });
        print_json(&json!({
            "courses": rows.collect::<Vec<_>>(),
            "quota": { "course": most.course.map(|most| most.0), "person": most.person.map(|most| most.0) },
        }))?;
        return Ok(Outcome::Good);
    }
    let width = courses.iter().map(|(name, ..)| name.chars().count()).max();
    let width = width.unwrap_or_default();
    let of = most
        .course
        .map_or_else(String::new, |most| format!(" of {}", shown(most.0)));
    let lines = courses.iter().map(|(course, submissions, bytes)| {
        let bytes = shown(u64::try_from(*bytes).unwrap_or_default());
        format!("{course:width$}  {submissions:>7} submissions  {bytes}{of}\n")
    });
    print(&lines.collect::<String>())?;
    Ok(Outcome::Good)
}

fn retention(
    dry: bool,
    data: &DataArgs,
    config: &ConfigArgs,
    json: bool,
) -> Result<Outcome, Failure> {
    let gone = block_on(async {
        let (ground, config, layout) = ground(data, config).await?;
        let shelf = compose::shelf(&layout, &config)?;
        let kept = &config.exchange;
        let archives = kept.archives.clone().unwrap_or_else(|| layout.archives());
        let signer = signer(&ground.keys);
        let retention = Retention {
            db: &ground.db,
            blobs: &ground.blobs,
            signer: &signer,
            shelf: &shelf,
            archives: &archives,
            keep: kept.keep,
            now: ground.clock.now(),
            by: "retention",
            by_hand: true,
        };
        let gone = retention.run(dry).await;
        gone.map_err(|error| Failure::new(format!("could not look: {error:#}")))
    })?;
    if json {
        print_json(&json!({
            "dry_run": dry, "courses": gone.courses, "archives": gone.archives, "failed": gone.failed,
        }))?;
    } else {
        let would = if dry { "would go" } else { "went" };
        let courses = gone.courses.iter();
        let mut text: String = courses
            .map(|course| format!("course {course}: {would} into an archive\n"))
            .collect();
        for archive in &gone.archives {
            text.push_str(&format!("archive {}: {would}\n", archive.display()));
        }
        for failed in &gone.failed {
            text.push_str(&format!("{failed}\n"));
        }
        if text.is_empty() {
            text.push_str("nothing is kept longer than `exchange.keep` says\n");
        }
        print(&text)?;
    }
    Ok(match gone.failed.is_empty() {
        true => Outcome::Good,
        false => Outcome::Problems,
    })
}

/// `24h`, and not less than uploads take.
fn grace(text: &str) -> Result<Duration, String> {
    let span: Span = text.parse()?;
    match span.0 {
        short if short < SHORTEST_GRACE => {
            Err("this is less than 1h, which uploads may take".into())
        }
        grace => Ok(grace),
    }
}

fn verify_archive(
    file: &Path,
    data: &DataArgs,
    config: &ConfigArgs,
    json: bool,
) -> Result<Outcome, Failure> {
    let signer = block_on(async {
        let (ground, _, _) = ground(data, config).await?;
        Ok(signer(&ground.keys))
    })?;
    let opened = File::open(file)
        .map_err(|error| Failure::io(format!("{} can't be read", file.display()), &error))?;
    let mut faults = Vec::new();
    let tell = |fault| {
        if faults.len() < FAULTS_TOLD {
            faults.push(fault);
        }
    };
    let looked = archive::verify(BufReader::new(opened), &signer, tell);
    let counts = looked.map_err(|error| {
        Failure::new(format!("{}: {error:#}", file.display()))
            .hint("use another copy of the archive, if there is one")
    })?;
    let course = counts.course;
    let counts = Counts {
        receipts: counts.receipts,
        trees: counts.trees,
        blobs: counts.contents,
        faults: counts.faults,
    };
    match json {
        true => {
            let mut told = as_json(counts, &faults);
            told["course"] = course.into();
            print_json(&told)?;
        }
        false => print(&format!("course {course}: {}", as_text(counts, &faults)))?,
    }
    Ok(match counts.faults {
        0 => Outcome::Good,
        _ => Outcome::Problems,
    })
}

fn as_json(counts: Counts, faults: &[Fault]) -> serde_json::Value {
    let told = |fault: &Fault| json!({ "place": fault.place, "what": fault.what });
    json!({
        "receipts": counts.receipts,
        "trees": counts.trees,
        "blobs": counts.blobs,
        "faults": counts.faults,
        "told": faults.iter().map(told).collect::<Vec<_>>(),
    })
}

fn as_text(counts: Counts, faults: &[Fault]) -> String {
    let lines = faults.iter().map(|fault| format!("{fault}\n"));
    let mut text: String = lines.collect();
    let Counts {
        receipts,
        trees,
        blobs,
        faults,
    } = counts;
    let looked =
        format!("{receipts} receipts, {trees} lists of files and {blobs} contents looked at");
    text.push_str(&match faults {
        0 => format!("{looked}: all as it was\n"),
        1 => format!("{looked}: 1 fault\n"),
        faults => format!("{looked}: {faults} faults\n"),
    });
    text
}
