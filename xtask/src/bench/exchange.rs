//! `bench exchange`: a class hands in at a real ngshare behind a real JupyterHub, and here; measured by
//! `bench/load`.

use super::Keep;
use super::load::Load;
use crate::setup::{self, NGSHARE};
use crate::tools::ngshare_env;
use anyhow::Result;

pub(crate) fn run(options: &[&str], keep: Keep) -> Result<()> {
    let load = Load {
        name: "exchange",
        verb: "exchange",
        options,
        known: &["--quick"],
        peer: &format!("{NGSHARE} behind "),
        keep,
    };
    load.prepare()?;
    setup::install_ngshare()?;
    load.measure(&[("--ngshare", ngshare_env().into())])
}
