//! `cargo xtask soak [SECONDS]`: the proxy under random faults, five minutes or as long as said.
//!
//! The ordinary tests do the same for a few seconds; see `crates/lyceum-proxy/tests/it/soak.rs`.

use crate::tools::{call, cargo};
use anyhow::{Context, Result};

const FIVE_MINUTES: &str = "300";

pub(crate) fn run(seconds: Option<&str>) -> Result<()> {
    let seconds = seconds.unwrap_or(FIVE_MINUTES);
    seconds
        .parse::<u64>()
        .with_context(|| format!("`{seconds}` is no number of seconds"))?;
    call(
        cargo()
            .args(["test", "-p", "lyceum-proxy", "--test", "it", "--"])
            .args(["--exact", "soak::nothing_is_left_over_after_random_faults"])
            .arg("--nocapture")
            .env("LYCEUM_SOAK_SECONDS", seconds),
    )
}
