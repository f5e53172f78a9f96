//! `cargo xtask bench NAME`: measurements that anyone can repeat. What each
//! measures and how is in `bench/README.md`; results kept with `--save` go to
//! `docs/benchmarks.md`.

mod start;

use anyhow::{Result, bail};

/// Whether the result is written down.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Keep {
    No,
    InDocs,
}

pub(crate) fn run(name: &str, keep: Keep) -> Result<()> {
    match name {
        "start" => start::run(keep),
        _ => bail!("no benchmark `{name}`; there is: start"),
    }
}
