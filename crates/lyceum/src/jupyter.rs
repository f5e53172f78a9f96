//! The Jupyter environment: a virtual environment with pinned packages that servers run in.
//!
//! [`prepare`] makes it in `jupyter/<digest of the pins>/` and writes a marker last, so that an
//! interrupted preparation goes on and a finished one costs two looks at the disk. [`existing`]
//! takes one that somebody else made. Calls block: use `spawn_blocking` in async code.
//!
//! Servers must have [`Environment::bin`] first on their `PATH` (nbgrader calls `alembic` and
//! `jupyter` by name) and `USER` set (ngshare_exchange reads it).
//!
//! `python.rs` finds an interpreter, `command.rs` runs programs with a time-out and reads pip.

mod command;
mod python;

use std::fs;
use std::io::Write;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use lyceum_model::digest::Digest;
use serde::{Deserialize, Serialize};

use crate::data::{ROOM_FOR_JUPYTER, free_space};
use crate::failure::Failure;
use crate::interrupt::Interrupt;
use crate::progress::Progress;

pub use self::python::{OLDEST, Python};

/// What is asked for; everything these need is pinned by [`CONSTRAINTS`].
pub const PACKAGES: [&str; 5] = [
    "jupyterlab==4.6.6",
    "jupyterhub==6.1.1",
    "nbgrader==0.9.6",
    "ngshare-exchange==0.5.2",
    "notebook==7.6.5",
];
pub const CONSTRAINTS: &str = include_str!("../jupyter-constraints.txt");

const MARKER: &str = "ready.json";
const SINGLEUSER: &str = "jupyterhub-singleuser";
const VENV_TIMEOUT: Duration = Duration::from_secs(300);
const PIP_TIMEOUT: Duration = Duration::from_secs(3600);
const VERSION_TIMEOUT: Duration = Duration::from_secs(120);

/// A Jupyter environment that was seen to work.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Environment {
    /// Goes first on `PATH`.
    pub bin: PathBuf,
    pub singleuser: PathBuf,
    /// What `jupyterhub-singleuser --version` said.
    pub version: String,
}

/// What was seen of a working environment.
#[derive(Debug, Serialize, Deserialize, PartialEq, Eq)]
struct Marker {
    /// A virtual environment does not survive being moved.
    path: PathBuf,
    version: String,
    /// Modification time and inode of `jupyterhub-singleuser`.
    seen: (i64, i64, u64),
}

impl Environment {
    fn at(root: &Path, version: String) -> Self {
        let bin = root.join("bin");
        Self {
            singleuser: bin.join(SINGLEUSER),
            bin,
            version,
        }
    }
}

/// Where the environment of this version of Lyceum is, below the `jupyter` folder.
pub fn folder_of_pins(jupyter: &Path) -> PathBuf {
    let pins = format!("{}\n{CONSTRAINTS}", PACKAGES.join("\n"));
    jupyter.join(&Digest::of(pins.as_bytes()).to_hex()[..16])
}

/// The prepared environment, if it is there: no process, no network.
pub fn find(jupyter: &Path) -> Option<Environment> {
    let root = folder_of_pins(jupyter);
    read_marker(&root.join(MARKER), &root)
}

/// Makes the environment, or goes on where an interrupted preparation was.
pub fn prepare(
    jupyter: &Path,
    progress: &Progress,
    interrupt: &Interrupt,
) -> Result<Environment, Failure> {
    if let Some(ready) = find(jupyter) {
        return Ok(ready);
    }
    let root = folder_of_pins(jupyter);
    progress.step("preparing the Jupyter environment (once; a few minutes)");
    let python = Python::find()?;
    let free = free_space(jupyter)?;
    if free < ROOM_FOR_JUPYTER {
        return Err(Failure::new(format!(
            "the Jupyter environment needs 2 GB, and {} has {} MB left",
            jupyter.display(),
            free / 1_000_000
        ))
        .hint("free some space, choose another data folder with --data, or take an existing environment with --jupyter-env PATH"));
    }
    make_venv(&python, &root, progress, interrupt)?;
    let constraints = root.join("constraints.txt");
    fs::write(&constraints, CONSTRAINTS).map_err(|error| {
        Failure::io(
            format!("{} can't be written", constraints.display()),
            &error,
        )
    })?;
    progress.step("installing JupyterLab, nbgrader and what they need");
    let total = CONSTRAINTS
        .lines()
        .filter(|line| line.contains("=="))
        .count();
    let mut install = venv_python(&root);
    install
        .args([
            "-m",
            "pip",
            "install",
            "--no-input",
            "--disable-pip-version-check",
        ])
        .args(["--progress-bar", "off", "--constraint"])
        .arg(&constraints)
        .args(PACKAGES);
    command::pip_install(&mut install, PIP_TIMEOUT, total, progress, interrupt)?;
    progress.step("checking the Jupyter environment");
    let version = ask_version(&root)?;
    write_marker(&root.join(MARKER), &root, &version)?;
    Ok(Environment::at(&root, version))
}

/// Takes an environment made by somebody else. It is asked once, then again when it changed.
pub fn existing(path: &Path, cache: &Path) -> Result<Environment, Failure> {
    // Not canonical: `bin/python` of a virtual environment must be called by this path.
    let root = std::path::absolute(path).map_err(|error| Failure::io(path.display(), &error))?;
    let marker = cache.join(format!(
        "{}.json",
        &Digest::of(root.as_os_str().as_encoded_bytes()).to_hex()[..16]
    ));
    if let Some(ready) = read_marker(&marker, &root) {
        return Ok(ready);
    }
    if !root.join("bin").join(SINGLEUSER).is_file() {
        return Err(Failure::new(format!("{} has no bin/{SINGLEUSER}", root.display())).hint(
            "--jupyter-env takes the folder of a virtual environment with jupyterlab and jupyterhub; leave it out and Lyceum makes one",
        ));
    }
    let version = ask_version(&root)?;
    write_marker(&marker, &root, &version)?;
    Ok(Environment::at(&root, version))
}

/// A virtual environment whose pip answers is kept; a half-made one is made anew.
fn make_venv(
    python: &Python,
    root: &Path,
    progress: &Progress,
    interrupt: &Interrupt,
) -> Result<(), Failure> {
    if root.exists() {
        let mut pip = venv_python(root);
        pip.args(["-m", "pip", "--version"]);
        if command::run(&mut pip, VERSION_TIMEOUT).is_ok() {
            progress.step("going on with an interrupted preparation");
            return Ok(());
        }
        progress.step("removing a half-made environment");
        fs::remove_dir_all(root)
            .map_err(|error| Failure::io(format!("{} can't be removed", root.display()), &error))?;
    }
    progress.step(&format!(
        "making a virtual environment with Python {}",
        python.version
    ));
    let mut venv = std::process::Command::new(&python.program);
    venv.args(["-m", "venv"]).arg(root);
    command::run_until(&mut venv, VENV_TIMEOUT, interrupt)
        .map_err(|failure| python::explain_venv(failure, python))?;
    Ok(())
}

fn venv_python(root: &Path) -> std::process::Command {
    std::process::Command::new(root.join("bin/python"))
}

fn ask_version(root: &Path) -> Result<String, Failure> {
    let program = root.join("bin").join(SINGLEUSER);
    let mut ask = std::process::Command::new(&program);
    ask.arg("--version");
    let said = command::run(&mut ask, VERSION_TIMEOUT)?;
    let version = said.lines().last().unwrap_or_default().trim().to_owned();
    if !version.starts_with(|c: char| c.is_ascii_digit()) {
        return Err(Failure::new(format!(
            "{} --version did not answer with a version",
            program.display()
        ))
        .hint("remove that environment and start again"));
    }
    Ok(version)
}

fn seen(root: &Path) -> Option<(i64, i64, u64)> {
    // Follows links: a Python that was uninstalled takes its environments with it.
    fs::metadata(root.join("bin/python")).ok()?;
    let meta = fs::metadata(root.join("bin").join(SINGLEUSER)).ok()?;
    Some((meta.mtime(), meta.mtime_nsec(), meta.ino()))
}

fn read_marker(file: &Path, root: &Path) -> Option<Environment> {
    let marker: Marker = serde_json::from_slice(&fs::read(file).ok()?).ok()?;
    let same = marker.path == root && seen(root) == Some(marker.seen);
    same.then(|| Environment::at(root, marker.version))
}

/// Written beside, synced, then renamed: the marker is there wholly or not at all.
fn write_marker(file: &Path, root: &Path, version: &str) -> Result<(), Failure> {
    let failed =
        |error: &std::io::Error| Failure::io(format!("{} can't be written", file.display()), error);
    let marker = Marker {
        path: root.into(),
        version: version.into(),
        seen: seen(root).ok_or_else(|| {
            Failure::new(format!(
                "{} has no bin/python beside bin/{SINGLEUSER}",
                root.display()
            ))
        })?,
    };
    let text = serde_json::to_vec(&marker).expect("paths of ours are text");
    let folder = file.parent().expect("a file in a folder");
    let mut temp = tempfile::NamedTempFile::new_in(folder).map_err(|error| failed(&error))?;
    temp.write_all(&text)
        .and_then(|()| temp.as_file().sync_all())
        .map_err(|error| failed(&error))?;
    temp.persist(file).map_err(|error| failed(&error.error))?;
    Ok(())
}
