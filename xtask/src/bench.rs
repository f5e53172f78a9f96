//! `cargo xtask bench NAME`: measurements that anyone can repeat. What each
//! measures and how is in `bench/README.md`; results kept with `--save` go to
//! `docs/benchmarks.md`.

mod exchange;
mod hub;
mod load;
mod login;
mod proxy;
mod start;

use crate::tools::{command, read, root};
use anyhow::{Context, Result, bail};
use std::fmt::Write as _;
use std::fs;

/// Whether the result is written down.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Keep {
    No,
    InDocs,
}

/// The name of a measurement and its options.
pub(crate) fn run(words: &[&str]) -> Result<()> {
    let save = words.contains(&"--save");
    let keep = if save { Keep::InDocs } else { Keep::No };
    let words: Vec<&str> = words
        .iter()
        .filter(|word| **word != "--save")
        .copied()
        .collect();
    match words.as_slice() {
        ["start"] => start::run(keep),
        ["proxy", options @ ..] => proxy::run(options, keep),
        ["hub", options @ ..] => hub::run(options, keep),
        ["exchange", options @ ..] => exchange::run(options, keep),
        ["login", options @ ..] => login::run(options, keep),
        _ => bail!(
            "no benchmark `{}`; there are: start, proxy [--quick] [--only WORD], hub [--quick], login [--quick] [--json], exchange [--quick], each with --save if you like",
            words.join(" ")
        ),
    }
}

impl Keep {
    /// Adds a table to the documentation, with date and machine, if that was asked for.
    fn write(self, name: &str, note: &str, table: &str) -> Result<()> {
        if self == Self::No {
            return Ok(());
        }
        let path = root().join("docs/benchmarks.md");
        let date = read(command("date").args(["-u", "+%Y-%m-%d"]))?;
        let commit = read(command("git").args(["describe", "--always", "--dirty"]))?;
        let cpu = fs::read_to_string("/proc/cpuinfo")?;
        let model = cpu
            .lines()
            .find_map(|line| line.strip_prefix("model name"))
            .map_or("unknown processor", |rest| {
                rest.trim_start_matches([' ', '\t', ':'])
            });
        let cores = std::thread::available_parallelism()?;
        let mut text =
            fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))?;
        write!(
            text,
            "\n## {name}, {}\n\n{cores} cores of {model}; commit {}.{note}\n\n{table}",
            date.trim(),
            commit.trim()
        )?;
        fs::write(&path, text).with_context(|| format!("writing {}", path.display()))?;
        println!("kept in docs/benchmarks.md");
        Ok(())
    }
}
