//! Parses the command line, runs, and alone makes exit codes: 0 good, 1 failed, 2 usage, 3 looked
//! and found problems.

use std::process::ExitCode;

use clap::Parser;
use lyceum::cli::{self, Cli, Outcome};
use lyceum::progress::say;

fn main() -> ExitCode {
    // The keeper of a notebook server is this program again, before anything else is set up.
    if std::env::args_os()
        .nth(1)
        .is_some_and(|word| word == "shim")
    {
        return lyceum_spawn::local::shim::run();
    }
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(usage) => {
            // Help and version are no errors; clap knows where each goes.
            let _ = usage.print();
            return ExitCode::from(if usage.use_stderr() { 2 } else { 0 });
        }
    };
    match cli::run(cli) {
        Ok(Outcome::Good) => ExitCode::SUCCESS,
        Ok(Outcome::Problems) => ExitCode::from(3),
        Err(failure) => {
            say(&format!("lyceum: {failure}"));
            if let Some(hint) = failure.hint {
                say(&format!("        {hint}"));
            }
            ExitCode::FAILURE
        }
    }
}
