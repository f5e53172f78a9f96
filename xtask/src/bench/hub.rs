//! `bench hub`: a real JupyterHub beside Lyceum, both with 50,000 people, measured by `bench/load`.

use super::{Keep, proxy};
use crate::postgres::Postgres;
use crate::setup::{self, Extent};
use crate::tools::{command, jupyter_env, root, target};
use anyhow::{Context, Result, bail};
use std::process::Stdio;

pub(crate) fn run(options: &[&str], keep: Keep) -> Result<()> {
    let known = |option: &str| ["--quick", "--only", "servers", "replicas"].contains(&option);
    if let Some(other) = options.iter().find(|option| !known(option)) {
        bail!(
            "bench hub has no option {other}; it has --quick, --only servers, --only replicas, --save"
        );
    }
    if keep == Keep::InDocs && !options.is_empty() {
        bail!("only a whole measurement is kept: --save goes without other options");
    }
    setup::run(Extent::Everything)?;
    let chp = proxy::install_chp()?;
    let lyceum = proxy::build()?;
    let postgres = Postgres::start()?;
    let mut load = command(target().join("release/lyceum-load"));
    load.arg("hubs").arg("--lyceum").arg(lyceum);
    load.arg("--chp")
        .arg(chp)
        .arg("--jupyter")
        .arg(jupyter_env())
        .arg("--paint")
        .arg(root().join("bench/paint.mjs"))
        .arg("--postgres")
        .arg(postgres.url());
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
    keep.write("hub", &note, &table)
}
