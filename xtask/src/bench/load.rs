//! What the measurements beside a JupyterHub share: everything is installed and built, `bench/load` measures,
//! and the table is shown and kept.

use super::{Keep, proxy};
use crate::setup::{self, Extent};
use crate::tools::{command, jupyter_env, target};
use anyhow::{Context, Result, bail};
use std::ffi::OsString;
use std::process::Stdio;

pub(super) struct Load<'a> {
    /// As `bench` and as `bench/load` call it.
    pub(super) name: &'a str,
    pub(super) verb: &'a str,
    pub(super) options: &'a [&'a str],
    /// What may stand among them.
    pub(super) known: &'a [&'a str],
    /// What else it is measured beside, for the note.
    pub(super) peer: &'a str,
    pub(super) keep: Keep,
}

impl Load<'_> {
    /// Whether it can be what was asked for, before anything is installed.
    pub(super) fn prepare(&self) -> Result<()> {
        let (name, known) = (self.name, self.known.join(", "));
        if let Some(other) = self.options.iter().find(|one| !self.known.contains(one)) {
            bail!("bench {name} has no option {other}; it has {known}, --save");
        }
        if self.keep == Keep::InDocs && !self.options.is_empty() {
            bail!(
                "only a whole measurement is kept, as a table: --save goes without other options"
            );
        }
        setup::run(Extent::Everything)
    }

    /// `more` are arguments of this measurement alone.
    pub(super) fn measure(&self, more: &[(&str, OsString)]) -> Result<()> {
        let chp = proxy::install_chp()?;
        let lyceum = proxy::build()?;
        let mut load = command(target().join("release/lyceum-load"));
        load.arg(self.verb).arg("--lyceum").arg(lyceum);
        load.arg("--chp").arg(chp);
        load.arg("--jupyter").arg(jupyter_env());
        for (option, value) in more {
            load.arg(option).arg(value);
        }
        // Its progress goes straight to the terminal, the table comes here.
        let output = load
            .args(self.options)
            .stderr(Stdio::inherit())
            .output()
            .context("starting lyceum-load")?;
        let table = String::from_utf8(output.stdout).context("reading the table")?;
        println!("\n{table}");
        if !output.status.success() {
            bail!("the measurement is not complete; nothing was kept");
        }
        let note = format!(
            " {}{}, with configurable-http-proxy {}.",
            self.peer,
            setup::jupyterhub_version()?,
            proxy::CHP_VERSION
        );
        self.keep.write(self.name, &note, &table)
    }
}
