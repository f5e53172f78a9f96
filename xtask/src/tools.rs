//! Calling other programs: where the project is, how cargo is called from
//! inside cargo, and a second try for what fetches over the network.

use anyhow::{Context, Result, bail};
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

/// The top folder of the project. Asked at run time, so that a target folder
/// shared by several checkouts never answers with the wrong one.
pub(crate) fn root() -> PathBuf {
    let xtask = std::env::var_os("CARGO_MANIFEST_DIR")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")), PathBuf::from);
    xtask
        .parent()
        .map_or_else(|| xtask.clone(), Path::to_path_buf)
}

/// What may be thrown away but is slow to make again.
pub(crate) fn cache() -> PathBuf {
    root().join(".cache")
}

/// The Jupyter environment that tests and stories share.
pub(crate) fn jupyter_env() -> PathBuf {
    cache().join("jupyter-env")
}

/// The same with a `jupyterhub-singleuser` of an older line.
pub(crate) fn older_jupyter_env(line: &str) -> PathBuf {
    cache().join(format!("jupyter-env-{line}"))
}

/// ngshare and a JupyterHub before it; it wants an older SQLAlchemy than the rest.
pub(crate) fn ngshare_env() -> PathBuf {
    cache().join("ngshare-env")
}

/// What makes up requests from our API's document.
pub(crate) fn schemathesis_env() -> PathBuf {
    cache().join("schemathesis-env")
}

/// JupyterHub's description of its REST API, from its source package.
pub(crate) fn jupyterhub_document() -> PathBuf {
    cache().join("jupyterhub-source/rest-api.yml")
}

/// Cargo's output folder, also when it was moved.
pub(crate) fn target() -> PathBuf {
    match std::env::var_os("CARGO_TARGET_DIR") {
        Some(folder) => root().join(folder),
        None => root().join("target"),
    }
}

/// A command in the project's top folder, without standard input: nothing
/// that runs here may wait for an answer.
pub(crate) fn command(program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new(program);
    command.current_dir(root()).stdin(Stdio::null());
    command
}

/// Cargo, freed from what the cargo that runs us put into the environment.
pub(crate) fn cargo() -> Command {
    let mut cargo = command("cargo");
    for (name, _) in std::env::vars_os() {
        let ours = name.to_str().is_some_and(|name| {
            name.starts_with("CARGO_PKG_")
                || name.starts_with("CARGO_MANIFEST_")
                || name == "LD_LIBRARY_PATH"
                || name == "CARGO"
        });
        if ours {
            cargo.env_remove(name);
        }
    }
    cargo
}

/// The command line as a person would type it, without its environment.
pub(crate) fn spell(command: &Command) -> String {
    std::iter::once(command.get_program())
        .chain(command.get_args())
        .map(|word| word.to_string_lossy())
        .collect::<Vec<_>>()
        .join(" ")
}

/// Runs to the end with output shown; anything but success is an error.
pub(crate) fn call(command: &mut Command) -> Result<()> {
    println!("$ {}", spell(command));
    let status = command
        .status()
        .with_context(|| format!("starting `{}`", spell(command)))?;
    if !status.success() {
        bail!("`{}` failed ({status})", spell(command));
    }
    Ok(())
}

/// Runs to the end and gives what it printed; on failure the error holds what it complained of.
pub(crate) fn read(command: &mut Command) -> Result<String> {
    let output = command
        .output()
        .with_context(|| format!("starting `{}`", spell(command)))?;
    if !output.status.success() {
        bail!(
            "`{}` failed ({}): {}",
            spell(command),
            output.status,
            String::from_utf8_lossy(&output.stderr).trim()
        );
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Whether it runs and succeeds; what it prints is of no interest.
pub(crate) fn succeeds(command: &mut Command) -> bool {
    command
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}

/// For steps that fetch from a registry: networks hiccup, so up to three tries, each said aloud.
pub(crate) fn fetch(mut step: impl FnMut() -> Result<()>) -> Result<()> {
    const TRIES: u32 = 3;
    let mut tried = 1;
    loop {
        match step() {
            Err(error) if tried < TRIES => {
                let pause = Duration::from_secs(5 * u64::from(tried));
                println!(
                    "try {tried} of {TRIES} failed: {error:#}; again in {} s",
                    pause.as_secs()
                );
                std::thread::sleep(pause);
                tried += 1;
            }
            done => return done,
        }
    }
}

/// Root may install packages, and must not run PostgreSQL.
pub(crate) fn is_root() -> Result<bool> {
    Ok(read(Command::new("id").arg("-u"))?.trim() == "0")
}
