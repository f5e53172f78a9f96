//! Finds a Python that can make virtual environments, or says what to install.

use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use super::command;
use crate::failure::Failure;

/// What the pinned packages need.
pub const OLDEST: (u32, u32) = (3, 11);
const TIMEOUT: Duration = Duration::from_secs(30);
const NAMES: [&str; 5] = [
    "python3",
    "python3.14",
    "python3.13",
    "python3.12",
    "python3.11",
];

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Python {
    pub program: PathBuf,
    pub version: String,
}

impl Python {
    /// The first on `PATH` that is new enough and has `venv` with `ensurepip`.
    pub fn find() -> Result<Self, Failure> {
        let mut first = None;
        for name in NAMES {
            match Self::ask(name) {
                Ok(Some(python)) => return Ok(python),
                Ok(None) => {}
                Err(failure) => {
                    first.get_or_insert(failure);
                }
            }
        }
        Err(first.unwrap_or_else(|| {
            Failure::new("no Python found: there is no `python3` on PATH").hint(
                "apt-get install python3 python3-venv, or take an existing environment with --jupyter-env PATH",
            )
        }))
    }

    fn ask(name: &str) -> Result<Option<Self>, Failure> {
        let Some(program) = on_path(name) else {
            return Ok(None);
        };
        let mut version = Command::new(&program);
        version.args(["-c", "import sys; print('%d.%d.%d' % sys.version_info[:3])"]);
        let said = command::run(&mut version, TIMEOUT)?;
        let said = said.lines().last().unwrap_or_default().trim().to_owned();
        let mut parts = said.split('.').map(str::parse::<u32>);
        let (Some(Ok(major)), Some(Ok(minor))) = (parts.next(), parts.next()) else {
            return Err(Failure::new(format!(
                "{} does not answer like a Python",
                program.display()
            ))
            .hint("apt-get install python3 python3-venv"));
        };
        if (major, minor) < OLDEST {
            return Err(Failure::new(format!(
                "Python {said} at {} is too old: {}.{} or newer is needed",
                program.display(),
                OLDEST.0,
                OLDEST.1
            ))
            .hint(
                "install a newer python3, or take an existing environment with --jupyter-env PATH",
            ));
        }
        let python = Self {
            program,
            version: said,
        };
        let mut venv = Command::new(&python.program);
        venv.args(["-c", "import venv, ensurepip"]);
        command::run(&mut venv, TIMEOUT).map_err(|failure| explain_venv(failure, &python))?;
        Ok(Some(python))
    }
}

/// Debian keeps `ensurepip` in a package of its own.
pub(super) fn explain_venv(failure: Failure, python: &Python) -> Failure {
    if failure.message.contains("ensurepip") || failure.message.contains("No module named") {
        return Failure::new(format!(
            "Python {} at {} can't make virtual environments",
            python.version,
            python.program.display()
        ))
        .hint(
            "apt-get install python3-venv, or take an existing environment with --jupyter-env PATH",
        );
    }
    failure
}

fn on_path(name: &str) -> Option<PathBuf> {
    use std::os::unix::fs::PermissionsExt;
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path)
        .filter(|folder| folder.is_absolute())
        .map(|folder| folder.join(name))
        .find(|file| {
            std::fs::metadata(file)
                .is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0)
        })
}
