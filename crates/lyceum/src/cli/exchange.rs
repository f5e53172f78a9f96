//! `lyceum exchange …`: what was handed in, looked at from the command line.

use std::path::PathBuf;

use clap::Subcommand;
use lyceum_exchange::receipt;
use lyceum_exchange::verify::{Counts, Fault, verify};
use serde_json::json;

use super::{ConfigArgs, DataArgs, Outcome, block_on, ground, print, print_json};
use crate::exchange::signer;
use crate::failure::Failure;

/// More than these are counted and not told.
const FAULTS_TOLD: usize = 1000;

/// Look after what was handed in.
#[derive(Debug, Subcommand)]
pub enum ExchangeCommand {
    /// Look whether everything handed in is as it was: receipts and their order, lists of files, contents.
    #[command(
        after_help = "It changes nothing, and Lyceum may run meanwhile or not. Exit code 3: something is not as it was.\n\n\
                      Example:\n  lyceum exchange verify"
    )]
    Verify {
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
            Self::Verify { data, config, json } => {
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
            Self::Receipt { file, data, config } => {
                let text = std::fs::read_to_string(&file).map_err(|error| {
                    Failure::new(format!("{} can't be read: {error}", file.display()))
                })?;
                let is_ours = block_on(async {
                    let (ground, _, _) = ground(&data, &config).await?;
                    let signer = signer(&ground.keys);
                    let parts = receipt::of_download(&text);
                    Ok(parts.is_some_and(|(text, signature)| signer.signed(&text, &signature)))
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
