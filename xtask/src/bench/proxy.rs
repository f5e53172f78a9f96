//! `bench proxy`: installs and builds what is compared, then runs `bench/load`, which measures.

use super::Keep;
use crate::setup::{self, Need};
use crate::tools::{cache, call, cargo, command, fetch, succeeds, target};
use anyhow::{Context, Result, bail};
use std::path::PathBuf;
use std::process::{Command, Stdio};

const CHP: &str = "configurable-http-proxy@5.3.0";
pub(super) const CHP_VERSION: &str = "5.3.0";

const NEEDS: &[Need] = &[
    Need {
        what: "nginx",
        packages: &["nginx-light"],
        there: || succeeds(command("nginx").arg("-v")),
        browser: false,
    },
    Need {
        what: "haproxy",
        packages: &["haproxy"],
        there: || succeeds(command("haproxy").arg("-v")),
        browser: false,
    },
    Need {
        what: "Node.js with npm",
        packages: &["nodejs", "npm"],
        there: || succeeds(command("npm").arg("--version")),
        browser: false,
    },
];

pub(crate) fn run(options: &[&str], keep: Keep) -> Result<()> {
    check(options, keep)?;
    setup::install_missing(NEEDS.iter())?;
    let chp = install_chp()?;
    let lyceum = build()?;
    let mut load = command(target().join("release/lyceum-load"));
    load.arg("measure").arg("--lyceum").arg(lyceum);
    load.arg("--chp").arg(chp).args(options);
    // Its progress goes straight to the terminal, the table comes here.
    let output = load
        .stderr(Stdio::inherit())
        .output()
        .context("starting lyceum-load")?;
    let table = String::from_utf8(output.stdout).context("reading the table")?;
    println!("\n{table}");
    if !output.status.success() {
        bail!("the measurement is not complete; nothing was kept");
    }
    let note = format!(
        " configurable-http-proxy {}, nginx {}, haproxy {}.",
        CHP_VERSION,
        find_version(command("nginx").arg("-v"))?,
        find_version(command("haproxy").arg("-v"))?
    );
    keep.write("proxy", &note, &table)
}

fn check(options: &[&str], keep: Keep) -> Result<()> {
    let mut rest = options.iter();
    while let Some(option) = rest.next() {
        match *option {
            "--quick" => {}
            "--only" if rest.next().is_some() => {}
            "--only" => bail!("--only wants a word of a measure's name"),
            other => {
                bail!("bench proxy has no option {other}; it has --quick, --only WORD, --save")
            }
        }
    }
    if keep == Keep::InDocs && !options.is_empty() {
        bail!(
            "only a whole measurement is kept: --save goes without {}",
            options.join(" ")
        );
    }
    Ok(())
}

/// From the npm registry, into the cache; never part of the project.
pub(super) fn install_chp() -> Result<PathBuf> {
    let folder = cache().join("configurable-http-proxy");
    let program = folder.join("node_modules/.bin/configurable-http-proxy");
    setup::step("configurable-http-proxy", CHP, &program, || {
        std::fs::create_dir_all(&folder)?;
        let mut npm = command("npm");
        npm.arg("install").arg("--prefix").arg(&folder).args([
            "--ignore-scripts",
            "--no-audit",
            "--no-fund",
            "--loglevel=error",
            CHP,
        ]);
        fetch(|| call(&mut npm))
    })?;
    Ok(program)
}

/// The load generator always; Lyceum unless `LYCEUM_BIN` names one.
pub(super) fn build() -> Result<PathBuf> {
    let mut build = cargo();
    build.args(["build", "--release", "--package", "lyceum-load"]);
    let named = std::env::var_os("LYCEUM_BIN").map(PathBuf::from);
    if named.is_none() {
        build.args(["--package", "lyceum"]);
    }
    call(&mut build)?;
    Ok(named.unwrap_or_else(|| target().join("release/lyceum")))
}

/// The first word that begins with a digit, or has one after a slash: nginx says it on standard
/// error.
fn find_version(command: &mut Command) -> Result<String> {
    let output = command.output().context("asking for a version")?;
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said);
    said.split([' ', '/', '\n'])
        .find(|word| word.starts_with(|first: char| first.is_ascii_digit()))
        .map(str::to_owned)
        .context("no version in the answer")
}
