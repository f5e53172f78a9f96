//! The load generator, the servers behind and the peers of `cargo xtask bench proxy`.
//!
//! Everything that touches the network is written by hand over plain sockets, so that it costs
//! far less than what it measures. `backend` is the servers, `http` and `load` the clients,
//! `peers` starts and configures what is compared, `process` reads its CPU time and memory,
//! `measure` holds the measures in the order in which they run, `report` the table.
//! Installing and building what is measured is xtask's part.
//!
//! All of it is one process with two threads (backend; everything else). The peers are its
//! children; they end with it, however it ends.
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a command for the terminal: progress there, the table here"
)]

mod backend;
mod http;
mod hubs;
mod load;
mod measure;
mod peers;
mod process;
mod report;

use anyhow::{Context, Result, bail};
use rustix::process::{Resource, Rlimit, Signal};
use std::os::unix::process::CommandExt as _;
use std::process::{Command, ExitCode};
use tokio::signal::unix::{SignalKind, signal};

/// Descriptors for 20,000 WebSockets: client and server ends are both ours.
const DESCRIPTORS: u64 = 200_000;

const USAGE: &str = "\
lyceum-load measure --lyceum PROGRAM --chp PROGRAM [--quick] [--only WORD]
lyceum-load hubs --lyceum PROGRAM --chp PROGRAM --jupyter FOLDER --paint SCRIPT --postgres URL [--quick] [--only servers|replicas]
lyceum-load login --lyceum PROGRAM --chp PROGRAM --jupyter FOLDER [--quick] [--json]
lyceum-load exchange --lyceum PROGRAM --chp PROGRAM --jupyter FOLDER --ngshare FOLDER [--quick]
lyceum-load stub FOLDER    (a notebook server, started by a hub)
lyceum-load run PROGRAM [ARGUMENT ..]    (a child that ends when this one's caller does)";

/// What was asked for on the command line.
struct Options {
    programs: peers::Programs,
    /// A virtual environment with JupyterHub.
    jupyter: Option<std::path::PathBuf>,
    extent: measure::Extent,
    /// One with ngshare and a JupyterHub before it.
    ngshare: Option<std::path::PathBuf>,
    /// What a browser does, for Node.js.
    paint: Option<std::path::PathBuf>,
    /// A server with nothing in it.
    postgres: Option<String>,
    /// Only measures whose name has this word.
    only: Option<String>,
    /// For programs instead of people.
    json: bool,
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let result = match arguments.split_first() {
        Some((verb, rest)) if verb == "run" => run(rest),
        Some((verb, rest)) if verb == "stub" => hubs::stub::run(rest),
        Some((verb, rest)) if verb == "measure" => read_options(rest).and_then(measure),
        Some((verb, rest)) if verb == "login" => read_options(rest).and_then(measure_login),
        Some((verb, rest)) if verb == "exchange" => read_options(rest).and_then(measure_exchange),
        Some((verb, rest)) if verb == "hubs" => read_options(rest).and_then(measure_hubs),
        _ => {
            eprintln!("{USAGE}");
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

fn read_options(arguments: &[String]) -> Result<Options> {
    let (mut lyceum, mut chp, mut jupyter, mut only) = (None, None, None, None);
    let (mut paint, mut postgres, mut ngshare) = (None, None, None);
    let (mut extent, mut json) = (measure::Extent::Full, false);
    let mut rest = arguments.iter();
    while let Some(name) = rest.next() {
        if name == "--quick" {
            extent = measure::Extent::Quick;
            continue;
        }
        if name == "--json" {
            json = true;
            continue;
        }
        let value = rest
            .next()
            .with_context(|| format!("{name} wants a value\n{USAGE}"))?
            .clone();
        match name.as_str() {
            "--lyceum" => lyceum = Some(value.into()),
            "--paint" => paint = Some(value.into()),
            "--postgres" => postgres = Some(value),
            "--ngshare" => ngshare = Some(value.into()),
            "--chp" => chp = Some(value.into()),
            "--jupyter" => jupyter = Some(value.into()),
            "--only" => only = Some(value),
            _ => bail!("unknown option {name}\n{USAGE}"),
        }
    }
    Ok(Options {
        programs: peers::Programs {
            lyceum: lyceum.context("--lyceum is missing")?,
            chp: chp.context("--chp is missing")?,
        },
        jupyter,
        ngshare,
        paint,
        postgres,
        extent,
        only,
        json,
    })
}

/// Becomes the program, which then ends with the process that started us.
fn run(words: &[String]) -> Result<()> {
    let (program, arguments) = words.split_first().context(USAGE)?;
    rustix::process::set_parent_process_death_signal(Some(Signal::TERM))?;
    let error = Command::new(program).args(arguments).exec();
    Err(error).with_context(|| format!("starting {program}"))
}

fn measure(options: Options) -> Result<()> {
    let descriptors = raise_descriptor_limit()?;
    until_told_to_stop(measure::run(&options, descriptors))
}

fn measure_hubs(options: Options) -> Result<()> {
    let programs = hubs::Programs {
        lyceum: options.programs.lyceum,
        chp: options.programs.chp,
        jupyter: options.jupyter.context("--jupyter is missing")?,
    };
    let beside = hubs::Beside {
        paint: options.paint.context("--paint is missing")?,
        postgres: options.postgres.context("--postgres is missing")?,
    };
    raise_descriptor_limit()?;
    let quick = options.extent == measure::Extent::Quick;
    until_told_to_stop(hubs::run(
        &programs,
        &beside,
        quick,
        options.only.as_deref(),
    ))
}

fn measure_login(options: Options) -> Result<()> {
    let programs = hubs::Programs {
        lyceum: options.programs.lyceum,
        chp: options.programs.chp,
        jupyter: options.jupyter.context("--jupyter is missing")?,
    };
    raise_descriptor_limit()?;
    let quick = options.extent == measure::Extent::Quick;
    until_told_to_stop(hubs::login::run(&programs, quick, options.json))
}

fn measure_exchange(options: Options) -> Result<()> {
    let ngshare = options.ngshare.context("--ngshare is missing")?;
    let programs = hubs::Programs {
        lyceum: options.programs.lyceum,
        chp: options.programs.chp,
        jupyter: options.jupyter.context("--jupyter is missing")?,
    };
    raise_descriptor_limit()?;
    let quick = options.extent == measure::Extent::Quick;
    until_told_to_stop(hubs::exchange::run(&programs, &ngshare, quick))
}

fn until_told_to_stop(measures: impl Future<Output = Result<()>>) -> Result<()> {
    // An xtask that is killed takes us along, and we clean up.
    rustix::process::set_parent_process_death_signal(Some(Signal::TERM))?;
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?
        .block_on(async {
            let mut interrupt = signal(SignalKind::interrupt())?;
            let mut terminate = signal(SignalKind::terminate())?;
            let mut hang_up = signal(SignalKind::hangup())?;
            // Dropping the measures stops the peers and removes their folder.
            tokio::select! {
                done = measures => done,
                _ = interrupt.recv() => bail!("interrupted"),
                _ = terminate.recv() => bail!("told to stop"),
                _ = hang_up.recv() => bail!("the terminal is gone"),
            }
        })
}

/// As many as we may have; children inherit it.
fn raise_descriptor_limit() -> Result<u64> {
    let wanted = Rlimit {
        current: Some(DESCRIPTORS),
        maximum: Some(DESCRIPTORS),
    };
    let hard = rustix::process::getrlimit(Resource::Nofile).maximum;
    if hard.is_none_or(|hard| hard < DESCRIPTORS)
        && rustix::process::setrlimit(Resource::Nofile, wanted).is_ok()
    {
        return Ok(DESCRIPTORS);
    }
    let allowed = hard.unwrap_or(DESCRIPTORS);
    let within = Rlimit {
        current: Some(allowed),
        maximum: Some(allowed),
    };
    rustix::process::setrlimit(Resource::Nofile, within)
        .context("raising the limit of open descriptors")?;
    Ok(allowed)
}
