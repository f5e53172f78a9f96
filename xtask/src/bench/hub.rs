//! `bench hub`: a real JupyterHub beside Lyceum, both with 50,000 people, measured by `bench/load`.

use super::Keep;
use super::load::Load;
use crate::postgres::Postgres;
use crate::tools::root;
use anyhow::Result;

pub(crate) fn run(options: &[&str], keep: Keep) -> Result<()> {
    let load = Load {
        name: "hub",
        verb: "hubs",
        options,
        known: &["--quick", "--only", "servers", "replicas"],
        peer: "",
        keep,
    };
    load.prepare()?;
    let postgres = Postgres::start()?;
    load.measure(&[
        ("--paint", root().join("bench/paint.mjs").into()),
        ("--postgres", postgres.url().into()),
    ])
}
