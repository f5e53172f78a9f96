//! `cargo xtask test`: what CI runs, in the order in which faults show soonest.
//!
//! Tests learn what is there from the environment: `LYCEUM_TEST_POSTGRES` is
//! the address of a PostgreSQL server made for this run, `LYCEUM_TEST_JUPYTER_ENV`
//! a virtual environment with JupyterLab and `jupyterhub-singleuser`,
//! `LYCEUM_TEST_JUPYTERHUB_DOCUMENT` JupyterHub's description of its REST API,
//! `LYCEUM_TEST_SCHEMATHESIS_ENV` one with schemathesis.

use crate::phases::Phases;
use crate::postgres::Postgres;
use crate::setup::Extent;
use crate::tools::{call, cargo, jupyter_env, jupyterhub_document, schemathesis_env};
use crate::{deny, e2e, setup, tidy};
use anyhow::Result;
use std::num::NonZeroUsize;

/// Stories of the hub that know of no path but by their client, which puts the base there.
const TOLD_BELOW: [&str; 15] = [
    "api::root::",
    "api::users::",
    "api::activity::",
    "course_servers::",
    "deeds::",
    "errors::",
    "identify::",
    "pages::admin::",
    "pages::home::",
    "pages::lists::",
    "pages::rendering::",
    "pages::sessions::",
    "pages::start::",
    "pages::user_paths::",
    "shares::",
];

pub(crate) fn run(extent: Extent) -> Result<()> {
    let mut phases = Phases::default();
    let result = run_phases(&mut phases, extent);
    phases.print_summary();
    result
}

fn run_phases(phases: &mut Phases, extent: Extent) -> Result<()> {
    phases.run("setup", || setup::run(extent))?;
    phases.run("fmt", || call(cargo().args(["fmt", "--all", "--check"])))?;
    phases.run("tidy", tidy::run)?;
    phases.run("deny", deny::run)?;
    phases.run("clippy", || {
        call(cargo().args([
            "clippy",
            "--workspace",
            "--all-targets",
            "--",
            "-D",
            "warnings",
        ]))
    })?;
    phases.run("doc", || {
        call(
            cargo()
                .args([
                    "doc",
                    "--workspace",
                    "--no-deps",
                    "--document-private-items",
                ])
                .env("RUSTDOCFLAGS", "-D warnings"),
        )
    })?;
    // Built first, so that the database is not kept waiting for the compiler. The program itself
    // is among it, since tests start it too.
    phases.run("build tests", || {
        call(cargo().args(["test", "--workspace", "--no-run"]))
    })?;
    let postgres = phases.run("postgres", Postgres::start)?;
    // Most of their time tests wait, for processes and databases.
    let threads = 2 * std::thread::available_parallelism().map_or(2, NonZeroUsize::get);
    phases.run("tests", || {
        call(
            cargo()
                .args(["test", "--workspace"])
                .env("RUST_TEST_THREADS", threads.to_string())
                .env("LYCEUM_TEST_POSTGRES", postgres.url())
                .env("LYCEUM_TEST_JUPYTER_ENV", jupyter_env())
                .env("LYCEUM_TEST_JUPYTERHUB_DOCUMENT", jupyterhub_document())
                .env("LYCEUM_TEST_SCHEMATHESIS_ENV", schemathesis_env()),
        )
    })?;
    // What needs a library of the system to be built, a small crate by itself.
    phases.run("tests with PAM", || {
        call(cargo().args(["test", "-p", "lyceum-pam", "--features", "system"]))
    })?;
    // The same words told once more where all of it is below a path.
    phases.run("tests below a path", || {
        call(
            cargo()
                .args(["test", "--workspace", "--test", "it", "--"])
                .args(TOLD_BELOW)
                .env("RUST_TEST_THREADS", threads.to_string())
                .env("LYCEUM_TEST_BASE", "/below/")
                .env("LYCEUM_TEST_POSTGRES", postgres.url()),
        )
    })?;
    drop(postgres);
    if extent == Extent::Everything {
        phases.run("stories", || e2e::tell(None))?;
    }
    Ok(())
}
