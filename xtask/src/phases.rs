//! The parts of a long command: each has a heading and a duration, the first
//! that fails ends it.

use anyhow::{Context, Result};
use std::time::{Duration, Instant};

/// What ran so far, and how long it took.
#[derive(Default)]
pub(crate) struct Phases {
    done: Vec<(&'static str, Duration)>,
}

impl Phases {
    /// Runs one phase under its heading.
    pub(crate) fn run<T>(
        &mut self,
        name: &'static str,
        phase: impl FnOnce() -> Result<T>,
    ) -> Result<T> {
        println!("\n== {name}");
        let start = Instant::now();
        let result = phase();
        let took = start.elapsed();
        self.done.push((name, took));
        let word = if result.is_ok() { "done" } else { "FAILED" };
        println!("== {name}: {word} after {:.1} s", took.as_secs_f64());
        result.with_context(|| format!("in `{name}`"))
    }

    /// One line: where the time went.
    pub(crate) fn print_summary(&self) {
        let total: Duration = self.done.iter().map(|(_, took)| *took).sum();
        let parts: Vec<String> = self
            .done
            .iter()
            .map(|(name, took)| format!("{name} {:.1} s", took.as_secs_f64()))
            .collect();
        println!(
            "\n== time: {}; together {:.1} s",
            parts.join(", "),
            total.as_secs_f64()
        );
    }
}
