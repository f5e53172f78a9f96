//! `cargo xtask storm`: hubs, proxies and PostgreSQL under random trouble, 200 rounds or as many as
//! said.
//!
//! The ordinary tests do the same for a few rounds; see `crates/lyceum/tests/it/storm.rs`.

use crate::tools::{call, cargo};
use anyhow::{Context, Result, bail};

pub(crate) fn run(options: &[&str]) -> Result<()> {
    let (mut rounds, mut seed) = (200, 1);
    let mut rest = options.iter();
    while let Some(name) = rest.next() {
        let value = rest
            .next()
            .with_context(|| format!("{name} wants a number"))?;
        let value: u64 = value
            .parse()
            .with_context(|| format!("`{value}` is no number"))?;
        match *name {
            "--rounds" => rounds = value,
            "--seed" => seed = value,
            _ => bail!("storm has no option {name}; it has --rounds N and --seed N"),
        }
    }
    call(
        cargo()
            .args(["test", "-p", "lyceum", "--test", "it", "--"])
            .args(["--exact", "storm::all_is_as_the_rows_say_after_any_trouble"])
            .arg("--nocapture")
            .env("LYCEUM_STORM_ROUNDS", rounds.to_string())
            .env("LYCEUM_STORM_SEED", seed.to_string()),
    )
}
