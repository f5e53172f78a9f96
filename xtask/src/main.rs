//! `cargo xtask`: the project's own commands. Alone it lists them.
//!
//! Each command is one module with a `run`; [`tools`] is how all of them call
//! other programs. Nothing here is part of the product.
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a command for the terminal"
)]

mod bench;
mod deny;
mod e2e;
mod phases;
mod postgres;
mod setup;
mod soak;
mod spdx;
mod storm;
mod test;
mod tidy;
mod tools;

use std::process::ExitCode;

const COMMANDS: &str = "\
cargo xtask COMMAND

  setup            install what tests need: Debian packages, Node packages, a Jupyter environment
  test             set up, then everything CI runs: fmt, tidy, deny, clippy, doc, tests, stories
  test --fast      the same without the stories in a browser
  e2e [NAME]       tell the stories in e2e/ (or the one named) to the real program
  bench NAME       measure (--save keeps the result); `start`: memory, time to first answer, size;
                   `login`: a lecture hall logs in (--quick, --json);
                   `exchange`: a class hands in, beside ngshare (--quick);
                   `proxy`: against configurable-http-proxy, nginx and haproxy
                   (--quick: under two minutes; --only WORD: measures with that word in their name)
  soak [SECONDS]   the proxy under random faults, five minutes unless said otherwise
  storm [--rounds N] [--seed N]
                   hubs, proxies and PostgreSQL under random trouble, 200 rounds unless said otherwise
  tidy             look over the files: headings, links, white space, paths of this machine
  deny             check licences and forbidden dependencies against deny.toml
";

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let result = match args.as_slice() {
        [] | ["help" | "--help" | "-h"] => {
            print!("{COMMANDS}");
            return ExitCode::SUCCESS;
        }
        ["setup"] => setup::run(setup::Extent::Everything),
        ["test"] => test::run(setup::Extent::Everything),
        ["test", "--fast"] => test::run(setup::Extent::WithoutBrowser),
        ["e2e"] => e2e::run(None),
        ["e2e", name] => e2e::run(Some(name)),
        ["bench", words @ ..] if !words.is_empty() => bench::run(words),
        ["soak"] => soak::run(None),
        ["soak", seconds] => soak::run(Some(seconds)),
        ["storm", options @ ..] => storm::run(options),
        ["tidy"] => tidy::run(),
        ["deny"] => deny::run(),
        _ => {
            eprintln!(
                "unknown command: cargo xtask {}\n\n{COMMANDS}",
                args.join(" ")
            );
            return ExitCode::from(2);
        }
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("\nerror: {error:#}");
            ExitCode::FAILURE
        }
    }
}
