//! `bench exchange`: a class hands in at a real ngshare behind a real JupyterHub, and here; measured by
//! `bench/load`.

use super::{Keep, proxy};
use crate::setup::{self, Extent};
use crate::tools::{command, jupyter_env, ngshare_env, target};
use anyhow::{Context, Result, bail};
use std::process::Stdio;

pub(crate) fn run(options: &[&str], keep: Keep) -> Result<()> {
    if let Some(other) = options.iter().find(|option| **option != "--quick") {
        bail!("bench exchange has no option {other}; it has --quick and --save");
    }
    if keep == Keep::InDocs && !options.is_empty() {
        bail!("only a whole measurement is kept: --save goes without other options");
    }
    setup::run(Extent::Everything)?;
    let ngshare = setup::install_ngshare()?;
    let chp = proxy::install_chp()?;
    let lyceum = proxy::build()?;
    let mut load = command(target().join("release/lyceum-load"));
    load.arg("exchange").arg("--lyceum").arg(lyceum);
    load.arg("--chp").arg(chp);
    load.arg("--jupyter").arg(jupyter_env());
    load.arg("--ngshare").arg(ngshare_env());
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
        " {ngshare} behind {}, with configurable-http-proxy {}.",
        setup::jupyterhub_version()?,
        proxy::CHP_VERSION
    );
    keep.write("exchange", &note, &table)
}
