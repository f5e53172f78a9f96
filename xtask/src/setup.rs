//! `cargo xtask setup`: everything tests need, installed where it is missing.
//! Run again it only looks: each step keeps in `.cache/setup/` what it was
//! made from, and is done again when that text changed or its result is gone.

use crate::postgres;
use crate::tools::{
    cache, call, command, fetch, is_root, jupyter_env, jupyterhub_document, ngshare_env,
    older_jupyter_env, read, root, schemathesis_env, succeeds,
};
use anyhow::{Context, Result, bail};
use std::fs;
use std::path::Path;

/// How much of it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Extent {
    Everything,
    WithoutBrowser,
}

/// The Jupyter that stories and tests meet: the versions `lyceum up` installs, and the usual culler
/// of idle servers.
const JUPYTER: &[&str] = &[
    "jupyterlab==4.6.6",
    "jupyterhub==6.1.1",
    "jupyterhub-idle-culler==2.0.0",
    "nbgrader==0.9.6",
    "ngshare-exchange==0.5.2",
    "notebook==7.6.5",
];
/// The newest of older lines, which many images still have.
pub(crate) const OLDER_JUPYTER: &[(&str, &[&str])] = &[
    (
        "4",
        &["jupyterhub==4.1.6", "jupyterlab==4.6.6", "notebook==7.6.5"],
    ),
    (
        "5",
        &["jupyterhub==5.5.4", "jupyterlab==4.6.6", "notebook==7.6.5"],
    ),
];
/// What makes up requests from our API's document and looks at the answers.
const SCHEMATHESIS: &[&str] = &["schemathesis==4.32.5"];
const SCHEMATHESIS_CONSTRAINTS: &str = "conformance/jupyterhub/schemathesis-constraints.txt";
/// With SQLAlchemy 2 it answers that it stored what it did not.
pub(crate) const NGSHARE: &str = "ngshare==0.6.0";
const NGSHARE_SQLALCHEMY: &str = "SQLAlchemy==1.4.54";
/// Pins for what these depend on.
const CONSTRAINTS: &str = "crates/lyceum/jupyter-constraints.txt";
const OLDEST_NODE: u32 = 20;

pub(crate) fn run(extent: Extent) -> Result<()> {
    install_debian_packages(extent)?;
    install_environment("jupyter", &jupyter_env(), JUPYTER)?;
    install_schemathesis()?;
    fetch_document()?;
    // What only stories need.
    if extent == Extent::Everything {
        install_node_packages()?;
        for (line, packages) in OLDER_JUPYTER {
            install_environment(
                &format!("jupyter-{line}"),
                &older_jupyter_env(line),
                packages,
            )?;
        }
    }
    Ok(())
}

/// Something a Debian package brings, and how to see that it is there.
pub(crate) struct Need {
    pub(crate) what: &'static str,
    pub(crate) packages: &'static [&'static str],
    pub(crate) there: fn() -> bool,
    pub(crate) browser: bool,
}

const NEEDS: &[Need] = &[
    Need {
        what: "PostgreSQL server",
        packages: &["postgresql"],
        there: || postgres::programs().is_some(),
        browser: false,
    },
    Need {
        what: "OpenLDAP server",
        packages: &["slapd"],
        there: || Path::new("/usr/sbin/slapd").exists(),
        browser: false,
    },
    Need {
        what: "PAM, and libraries by which tests have rules and accounts of their own",
        packages: &["libpam0g-dev", "libpam-wrapper", "libnss-wrapper"],
        there: || {
            let folder = Path::new("/usr/lib/x86_64-linux-gnu");
            let wanted = ["libpam.so", "libpam_wrapper.so", "libnss_wrapper.so"];
            wanted.iter().all(|file| folder.join(file).exists())
        },
        browser: false,
    },
    Need {
        what: "Python 3 with venv",
        packages: &["python3", "python3-venv"],
        there: || succeeds(command("python3").args(["-c", "import venv, ensurepip"])),
        browser: false,
    },
    Need {
        what: "Chromium",
        packages: &["chromium"],
        there: || Path::new("/usr/bin/chromium").exists(),
        browser: true,
    },
    Need {
        what: "openssl, for certificates of tests",
        packages: &["openssl"],
        there: || succeeds(command("openssl").arg("version")),
        browser: true,
    },
    Need {
        what: "a font for Chromium",
        packages: &["fonts-dejavu-core"],
        there: || Path::new("/usr/share/fonts/truetype/dejavu/DejaVuSans.ttf").exists(),
        browser: true,
    },
    Need {
        what: "Node.js with npm",
        packages: &["nodejs", "npm"],
        there: || succeeds(command("npm").arg("--version")),
        browser: true,
    },
];

fn install_debian_packages(extent: Extent) -> Result<()> {
    install_missing(
        NEEDS
            .iter()
            .filter(|need| extent == Extent::Everything || !need.browser),
    )?;
    if extent == Extent::Everything {
        check_node()?;
    }
    Ok(())
}

/// Installs the packages of what is not there.
pub(crate) fn install_missing<'a>(needs: impl Iterator<Item = &'a Need>) -> Result<()> {
    let missing: Vec<&Need> = needs.filter(|need| !(need.there)()).collect();
    let packages: Vec<&str> = missing
        .iter()
        .flat_map(|need| need.packages)
        .copied()
        .collect();
    if missing.is_empty() {
        println!("Debian packages: all there");
    } else {
        let names: Vec<&str> = missing.iter().map(|need| need.what).collect();
        println!("Debian packages: missing {}", names.join(", "));
        if !is_root()? {
            bail!(
                "only root can install them; as root run: apt-get update && apt-get install {}",
                packages.join(" ")
            );
        }
        let apt = || {
            let mut apt = command("apt-get");
            apt.env("DEBIAN_FRONTEND", "noninteractive")
                .args(["-q", "-o", "Dpkg::Use-Pty=0"]);
            apt
        };
        fetch(|| call(apt().arg("update")))?;
        fetch(|| {
            call(
                apt()
                    .args(["install", "--yes", "--no-install-recommends"])
                    .args(&packages),
            )
        })?;
        for need in missing {
            if !(need.there)() {
                bail!(
                    "{} is still missing after installing {}",
                    need.what,
                    need.packages.join(" ")
                );
            }
        }
    }
    Ok(())
}

fn check_node() -> Result<()> {
    let version = read(command("node").arg("--version"))?;
    let major = version
        .trim()
        .trim_start_matches('v')
        .split('.')
        .next()
        .and_then(|major| major.parse::<u32>().ok());
    if major.is_none_or(|major| major < OLDEST_NODE) {
        bail!(
            "the stories need Node.js {OLDEST_NODE} or newer; `node --version` says {}",
            version.trim()
        );
    }
    Ok(())
}

/// Playwright's driver and axe, as locked; never a browser of Playwright's own.
fn install_node_packages() -> Result<()> {
    let folder = root().join("e2e");
    let lock = fs::read_to_string(folder.join("package-lock.json"))
        .context("reading e2e/package-lock.json")?;
    step("node-packages", &lock, &folder.join("node_modules"), || {
        let mut npm = command("npm");
        npm.current_dir(&folder)
            .env("PLAYWRIGHT_SKIP_BROWSER_DOWNLOAD", "1")
            .args([
                "ci",
                "--ignore-scripts",
                "--no-audit",
                "--no-fund",
                "--loglevel=error",
            ]);
        fetch(|| call(&mut npm))
    })
}

/// A virtual environment with these packages, and the pins of `lyceum up` for the rest.
fn install_environment(name: &str, env: &Path, packages: &[&str]) -> Result<()> {
    let pins = read_pins(CONSTRAINTS, packages)?;
    install_packages(name, env, packages, &pins, "jupyterhub-singleuser")
}

fn install_schemathesis() -> Result<()> {
    let (env, packages) = (schemathesis_env(), SCHEMATHESIS);
    let pins = read_pins(SCHEMATHESIS_CONSTRAINTS, packages)?;
    install_packages("schemathesis", &env, packages, &pins, "schemathesis")
}

/// What the exchange is measured beside.
pub(crate) fn install_ngshare() -> Result<()> {
    let hub = jupyterhub_version()?;
    let packages = [hub, NGSHARE, NGSHARE_SQLALCHEMY];
    install_packages("ngshare", &ngshare_env(), &packages, "", "jupyterhub")
}

/// A virtual environment with these packages, which bring `program`, and these pins for the rest.
fn install_packages(
    name: &str,
    env: &Path,
    packages: &[&str],
    pins: &str,
    program: &str,
) -> Result<()> {
    let python = read(command("python3").arg("--version"))?;
    let made_from = format!("{python}{}\n{}\n{pins}", env.display(), packages.join("\n"));
    step(name, &made_from, &env.join("bin").join(program), || {
        if env.exists() {
            fs::remove_dir_all(env).with_context(|| format!("removing {}", env.display()))?;
        }
        call(command("python3").args(["-m", "venv"]).arg(env))?;
        let constraints = env.join("constraints.txt");
        fs::write(&constraints, pins)
            .with_context(|| format!("writing {}", constraints.display()))?;
        let mut pip = command(env.join("bin/python"));
        pip.args([
            "-m",
            "pip",
            "install",
            "--quiet",
            "--disable-pip-version-check",
            "--no-input",
            "--progress-bar=off",
            "--constraint",
        ])
        .arg(&constraints)
        .args(packages);
        fetch(|| call(&mut pip))
    })
}

/// `jupyterhub==6.1.1`.
pub(crate) fn jupyterhub_version() -> Result<&'static str> {
    let mut packages = JUPYTER.iter().copied();
    packages
        .find(|package| package.starts_with("jupyterhub=="))
        .context("JupyterHub is among the packages")
}

/// JupyterHub's own description of its REST API, which its installed package does not have.
fn fetch_document() -> Result<()> {
    let document = jupyterhub_document();
    let folder = document.parent().context("a file in a folder")?;
    let package = jupyterhub_version()?;
    step("jupyterhub-source", package, &document, || {
        if folder.exists() {
            fs::remove_dir_all(folder).with_context(|| format!("removing {}", folder.display()))?;
        }
        let mut pip = command(jupyter_env().join("bin/python"));
        pip.args([
            "-m",
            "pip",
            "download",
            "--quiet",
            "--disable-pip-version-check",
        ])
        .args(["--no-input", "--progress-bar=off", "--no-deps"])
        .args(["--no-binary=jupyterhub", "--dest"])
        .arg(folder)
        .arg(package);
        fetch(|| call(&mut pip))?;
        let archive = folder.join(format!("{}.tar.gz", package.replace("==", "-")));
        call(
            command("tar")
                .args(["--extract", "--gzip", "--strip-components=4", "--wildcards"])
                .arg("--directory")
                .arg(folder)
                .arg("--file")
                .arg(archive)
                .arg("*/docs/source/_static/rest-api.yml"),
        )
    })
}

/// The pins of a file, without those that say otherwise than the packages asked for.
fn read_pins(constraints: &str, packages: &[&str]) -> Result<String> {
    let file = root().join(constraints);
    let text = fs::read_to_string(&file).with_context(|| format!("reading {}", file.display()))?;
    let name = |line: &str| line.split("==").next().unwrap_or_default().to_lowercase();
    let agrees = |line: &str| {
        packages
            .iter()
            .all(|package| name(package) != name(line) || *package == line)
    };
    Ok(text
        .lines()
        .filter(|line| agrees(line))
        .map(|line| format!("{line}\n"))
        .collect())
}

/// Does a step unless its result is there and was made from the same text.
pub(crate) fn step(
    name: &str,
    made_from: &str,
    result: &Path,
    make: impl FnOnce() -> Result<()>,
) -> Result<()> {
    let marker = cache().join("setup").join(name);
    if result.exists() && fs::read_to_string(&marker).is_ok_and(|text| text == made_from) {
        println!("{name}: up to date");
        return Ok(());
    }
    println!("{name}: installing");
    // Gone first: a step that is interrupted is not taken for done.
    if marker.exists() {
        fs::remove_file(&marker)?;
    }
    make()?;
    if !result.exists() {
        bail!(
            "{name}: installed without error, but {} is not there",
            result.display()
        );
    }
    fs::create_dir_all(cache().join("setup"))?;
    fs::write(&marker, made_from).with_context(|| format!("writing {}", marker.display()))
}
