//! Tells people (a spinner on a terminal, else plain lines) or machines (JSON lines on standard
//! output) how far a preparation is.

use std::io::{IsTerminal, Write};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

pub enum Progress {
    Terminal(ProgressBar),
    Lines,
    Json,
    /// For tests and for callers that have nothing to say.
    Silent,
}

impl Progress {
    /// What suits standard error, or JSON lines when asked for.
    pub fn suited(json: bool) -> Self {
        if json {
            return Self::Json;
        }
        if !std::io::stderr().is_terminal() {
            return Self::Lines;
        }
        let bar = ProgressBar::new_spinner();
        let style = ProgressStyle::with_template("{spinner} {wide_msg}").expect("a good template");
        bar.set_style(style);
        bar.enable_steady_tick(Duration::from_millis(120));
        Self::Terminal(bar)
    }

    /// A step begins.
    pub fn step(&self, text: &str) {
        match self {
            Self::Terminal(bar) => bar.set_message(text.to_owned()),
            Self::Lines => say(&format!("lyceum: {text}")),
            Self::Json => put(&serde_json::json!({"event": "progress", "step": text})),
            Self::Silent => {}
        }
    }

    /// Something moved within a step. Plain lines leave it out: nobody reads 119 of them.
    pub fn moved(&self, text: &str, done: usize, total: usize) {
        match self {
            Self::Terminal(bar) => bar.set_message(format!("{text} ({done}/{total})")),
            Self::Json => put(
                &serde_json::json!({"event": "progress", "step": text, "done": done, "total": total}),
            ),
            Self::Lines | Self::Silent => {}
        }
    }

    /// The spinner goes away before anything else is printed.
    pub fn finish(&self) {
        if let Self::Terminal(bar) = self {
            bar.finish_and_clear();
        }
    }
}

/// A line to standard error; nobody to read it is no reason to fail.
pub fn say(line: &str) {
    let _ = writeln!(std::io::stderr().lock(), "{line}");
}

pub fn put(line: &serde_json::Value) {
    let mut out = std::io::stdout().lock();
    let _ = writeln!(out, "{line}").and_then(|()| out.flush());
}
