//! `bench login`: what somebody costs who is logged in, beside a real JupyterHub, and a lecture hall that logs
//! in within a minute; measured by `bench/load`.

use super::{Keep, proxy};
use crate::setup::{self, Extent};
use crate::tools::{command, jupyter_env, target};
use anyhow::{Context, Result, bail};
use std::process::Stdio;

pub(crate) fn run(options: &[&str], keep: Keep) -> Result<()> {
    let known = |option: &str| ["--quick", "--json"].contains(&option);
    if let Some(other) = options.iter().find(|option| !known(option)) {
        bail!("bench login has no option {other}; it has --quick, --json, --save");
    }
    if keep == Keep::InDocs && !options.is_empty() {
        bail!("only a whole measurement is kept, as a table: --save goes without other options");
    }
    setup::run(Extent::Everything)?;
    let chp = proxy::install_chp()?;
    let lyceum = proxy::build()?;
    let mut load = command(target().join("release/lyceum-load"));
    load.arg("login").arg("--lyceum").arg(lyceum);
    load.arg("--chp")
        .arg(chp)
        .arg("--jupyter")
        .arg(jupyter_env());
    // Its progress goes straight to the terminal, the table comes here.
    let output = load
        .args(options)
        .stderr(Stdio::inherit())
        .output()
        .context("starting lyceum-load")?;
    let table = String::from_utf8(output.stdout).context("reading the table")?;
    println!("\n{table}");
    if !output.status.success() {
        bail!("the measurement is not complete; nothing was kept");
    }
    let note = format!(
        " {}, with configurable-http-proxy {}.",
        setup::jupyterhub_version()?,
        proxy::CHP_VERSION
    );
    keep.write("login", &note, &table)
}
