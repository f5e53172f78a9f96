//! `bench login`: what somebody costs who is logged in, beside a real JupyterHub, and a lecture hall that logs
//! in within a minute; measured by `bench/load`.

use super::Keep;
use super::load::Load;
use anyhow::Result;

pub(crate) fn run(options: &[&str], keep: Keep) -> Result<()> {
    let load = Load {
        name: "login",
        verb: "login",
        options,
        known: &["--quick", "--json"],
        peer: "",
        keep,
    };
    load.prepare()?;
    load.measure(&[])
}
