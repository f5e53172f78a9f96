//! `lyceum up` as far as it prepares. Python is a shell script here; the real
//! installation is in the end-to-end tests.

use std::os::unix::fs::PermissionsExt;
use std::process::Stdio;

use insta::assert_snapshot;

use crate::harness::{Site, wait_for};

/// Plays `python3`, its venv and its pip. Each call is a line in `calls`; pip hangs while `hang`
/// is there, and fails with the words of `pip-error` when that is there.
const FAKE_PYTHON: &str = r#"
site=SITE
echo "$*" >> $site/calls
case "$*" in
  *version_info*) echo 3.11.9 ;;
  *"import venv"*) ;;
  "-m venv "*)
    /bin/mkdir -p "$3/bin"
    /bin/cp $0 "$3/bin/python" ;;
  "-m pip --version") [ ! -e $site/broken ] || exit 1; echo pip 25 ;;
  "-m pip install "*)
    echo "Collecting jupyterlab==4.6.6"
    if [ -e $site/hang ]; then echo $$ > $site/pip-pid.new; /bin/mv $site/pip-pid.new $site/pip-pid; exec /bin/sleep 600; fi
    if [ -e $site/pip-error ]; then /bin/cat $site/pip-error >&2; exit 1; fi
    echo "Installing collected packages: a, b"
    here=${0%/*}
    printf '#!/bin/sh\necho 6.1.1\n' > $here/jupyterhub-singleuser
    /bin/chmod 755 $here/jupyterhub-singleuser ;;
esac
"#;

pub(crate) fn site_with_python() -> Site {
    let site = Site::new();
    let folder = site.path("").canonicalize().expect("there");
    let script = FAKE_PYTHON.replace("SITE", folder.to_str().expect("text"));
    site.program("python3", &script);
    site
}

const UP: [&str; 4] = ["up", "--demo", "--port", "0"];

#[test]
fn without_python_it_says_what_to_install() {
    let said = Site::new().up(&UP);
    assert_eq!(said.code, Some(1));
    assert_snapshot!(said.err, @r#"
    lyceum: preparing the Jupyter environment (once; a few minutes)
    lyceum: no Python found: there is no `python3` on PATH
            apt-get install python3 python3-venv, or take an existing environment with --jupyter-env PATH
    "#);
}

#[test]
fn too_old_a_python_is_named() {
    let site = Site::new();
    site.program("python3", "echo 3.7.3");
    let said = site.up(&UP);
    assert_eq!(said.code, Some(1));
    assert_snapshot!(said.err, @r#"
    lyceum: preparing the Jupyter environment (once; a few minutes)
    lyceum: Python 3.7.3 at SITE/bin/python3 is too old: 3.11 or newer is needed
            install a newer python3, or take an existing environment with --jupyter-env PATH
    "#);
}

#[test]
fn a_python_without_ensurepip_is_named() {
    let site = Site::new();
    site.program(
        "python3",
        "case \"$*\" in *ensurepip*) echo \"ModuleNotFoundError: No module named 'ensurepip'\" >&2; exit 1;; esac; echo 3.12.1",
    );
    assert_snapshot!(site.up(&UP).err, @r#"
    lyceum: preparing the Jupyter environment (once; a few minutes)
    lyceum: Python 3.12.1 at SITE/bin/python3 can't make virtual environments
            apt-get install python3-venv, or take an existing environment with --jupyter-env PATH
    "#);
}

#[test]
fn the_second_start_asks_nobody() {
    let site = site_with_python();
    let first = site.up(&UP);
    assert_eq!(first.code, Some(0), "{}", first.err);
    assert!(first.err.contains("Lyceum is ready:"), "{}", first.err);
    // No Python on PATH any more, and no calls.
    std::fs::remove_file(site.path("bin/python3")).expect("removed");
    let calls = site.read("calls");
    let second = site.up(&UP);
    assert_eq!(second.code, Some(0), "{}", second.err);
    assert_eq!(site.read("calls"), calls);
}

#[test]
fn an_interrupted_preparation_goes_on() {
    let site = site_with_python();
    site.write("hang", "");
    let mut child = site
        .command(&UP)
        .stderr(Stdio::null())
        .spawn()
        .expect("runs");
    wait_for(&site.path("pip-pid"), &mut child);
    child.kill().expect("killed");
    child.wait().expect("waited");
    let pip: i32 = site.read("pip-pid").trim().parse().expect("an id");
    let pip = rustix::process::Pid::from_raw(pip).expect("an id");
    rustix::process::kill_process(pip, rustix::process::Signal::KILL).expect("the fake pip ends");

    std::fs::remove_file(site.path("hang")).expect("removed");
    let said = site.up(&UP);
    assert_eq!(said.code, Some(0), "{}", said.err);
    assert!(
        said.err
            .contains("going on with an interrupted preparation"),
        "{}",
        said.err
    );
    let venvs = site.read("calls").matches("-m venv").count();
    assert_eq!(venvs, 1, "the half-made environment was kept");
}

#[test]
fn an_interruption_is_told_and_stops_pip() {
    let site = site_with_python();
    site.write("hang", "");
    let mut child = site
        .command(&UP)
        .stderr(Stdio::piped())
        .spawn()
        .expect("runs");
    wait_for(&site.path("pip-pid"), &mut child);
    let pid = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(pid, rustix::process::Signal::INT).expect("told");
    let said = site.said(child.wait_with_output().expect("ends"));
    assert_eq!(said.code, Some(1));
    assert_snapshot!(said.err, @r#"
    lyceum: preparing the Jupyter environment (once; a few minutes)
    lyceum: making a virtual environment with Python 3.11.9
    lyceum: installing JupyterLab, nbgrader and what they need
    lyceum: interrupted before the Jupyter environment was ready
            the same command goes on where it was
    "#);
    let pip: i32 = site.read("pip-pid").trim().parse().expect("an id");
    let pip = rustix::process::Pid::from_raw(pip).expect("an id");
    assert!(
        rustix::process::test_kill_process(pip).is_err(),
        "pip was stopped and waited for"
    );
    std::fs::remove_file(site.path("hang")).expect("removed");
    let said = site.up(&UP);
    assert_eq!(said.code, Some(0), "{}", said.err);
    assert!(
        said.err
            .contains("going on with an interrupted preparation"),
        "{}",
        said.err
    );
}

#[test]
fn a_broken_half_made_environment_is_made_anew() {
    let site = site_with_python();
    site.write(
        "pip-error",
        "ERROR: Could not install packages due to an OSError: [Errno 28] No space left on device\n",
    );
    let said = site.up(&UP);
    assert_eq!(said.code, Some(1));
    assert_snapshot!(said.err, @r#"
    lyceum: preparing the Jupyter environment (once; a few minutes)
    lyceum: making a virtual environment with Python 3.11.9
    lyceum: installing JupyterLab, nbgrader and what they need
    lyceum: the disk is full
            free about 2 GB and start again, or choose another data folder with --data
    "#);
    std::fs::remove_file(site.path("pip-error")).expect("removed");
    site.write("broken", "");
    let said = site.up(&UP);
    assert_eq!(said.code, Some(0), "{}", said.err);
    assert!(
        said.err.contains("removing a half-made environment"),
        "{}",
        said.err
    );
}

#[test]
fn without_network_pips_last_error_is_told() {
    let site = site_with_python();
    site.write(
        "pip-error",
        "WARNING: Retrying (Retry(total=0)) after connection broken by 'NewConnectionError'\nERROR: Could not find a version that satisfies the requirement jupyterlab==4.6.6 (from versions: none)\nERROR: No matching distribution found for jupyterlab==4.6.6\n",
    );
    assert_snapshot!(site.up(&UP).err, @r#"
    lyceum: preparing the Jupyter environment (once; a few minutes)
    lyceum: making a virtual environment with Python 3.11.9
    lyceum: installing JupyterLab, nbgrader and what they need
    lyceum: the package index could not be reached: ERROR: No matching distribution found for jupyterlab==4.6.6
            start again with network to go on (PIP_INDEX_URL and PIP_PROXY are honoured), or take an existing environment with --jupyter-env PATH
    "#);
}

#[test]
fn an_existing_environment_is_taken_or_refused() {
    let site = Site::new();
    std::fs::create_dir_all(site.path("mine")).expect("made");
    let said = site.up(&["up", "--demo", "--port", "0", "--jupyter-env", "mine"]);
    assert_snapshot!(said.err, @r#"
    lyceum: SITE/mine has no bin/jupyterhub-singleuser
            --jupyter-env takes the folder of a virtual environment with jupyterlab and jupyterhub; leave it out and Lyceum makes one
    "#);
    std::fs::create_dir_all(site.path("mine/bin")).expect("made");
    site.program("../mine/bin/python", "");
    site.program(
        "../mine/bin/jupyterhub-singleuser",
        "echo asked >> SITE/asked; echo 5.4.0"
            .replace("SITE", site.path("").to_str().expect("text"))
            .as_str(),
    );
    for _ in 0..2 {
        let said = site.up(&["up", "--demo", "--port", "0", "--jupyter-env", "mine"]);
        assert_eq!(said.code, Some(0), "{}", said.err);
        assert!(said.err.contains("Lyceum is ready:"), "{}", said.err);
    }
    assert_eq!(
        site.read("asked"),
        "asked\n",
        "the second start does not ask"
    );
}

#[test]
fn a_taken_port_and_a_bad_address() {
    let site = site_with_python();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("bound");
    let port = taken.local_addr().expect("bound").port().to_string();
    let said = site.run(&["up", "--port", &port]);
    assert_eq!(said.code, Some(1));
    assert_snapshot!(said.err.replace(&port, "PORT"), @r#"
    lyceum: port PORT is taken by another program
            choose another with --port, or set `listen` in lyceum.yaml
    "#);
    assert_snapshot!(site.run(&["up", "--listen", "192.0.2.1:0"]).err, @r#"
    lyceum: this machine has no address 192.0.2.1
            use 127.0.0.1, 0.0.0.0 or an address of this machine
    "#);
    site.write("lyceum.yaml", "proxy: {bind_addresses: [192.0.2.1]}\n");
    let said = site.run(&["up", "--port", "0"]);
    assert_eq!(said.code, Some(1));
    assert_snapshot!(said.err, @"lyceum: `proxy.bind_addresses`: 192.0.2.1 is no address of this machine: Cannot assign requested address (os error 99)");
    assert_eq!(site.read("calls"), "", "told before anything is prepared");
}

#[test]
fn a_data_folder_that_can_not_be_used() {
    let site = site_with_python();
    site.write("file", "");
    assert_snapshot!(site.run(&["up", "--data", "file"]).err, @r#"
    lyceum: file is not a folder
            choose another data folder with --data
    "#);
    std::fs::create_dir(site.path("open")).expect("made");
    std::fs::set_permissions(site.path("open"), std::fs::Permissions::from_mode(0o755))
        .expect("mode");
    assert_snapshot!(site.run(&["up", "--data", "open"]).err, @r#"
    lyceum: the data folder open is open to others (mode 755)
            chmod 700 open
    "#);
}

#[test]
fn who_runs_the_cells_is_said() {
    const WARNING: &str = "WARNING: this Lyceum runs as root, so every notebook cell that anybody runs is run as root.\n";
    let site = site_with_python();
    if rustix::process::geteuid().is_root() {
        let said = site.up(&["up", "--demo", "--port", "0", "--data", "of-root"]);
        assert!(said.err.contains(WARNING), "{}", said.err);
        // It is root already.
        assert!(
            !said.err.contains("otherwise run it as root"),
            "{}",
            said.err
        );
    }
    let of_nobody = site.command_of_nobody(&["up", "--demo", "--port", "0", "--data", "mine"]);
    let said = site.until_ready(of_nobody);
    assert_eq!(said.code, Some(0), "{}", said.err);
    assert!(!said.err.contains("WARNING"), "{}", said.err);
    assert!(said.err.contains("All notebook servers run under"));
}

#[test]
fn two_on_one_folder() {
    let site = site_with_python();
    site.write("hang", "");
    let mut child = site
        .command(&UP)
        .stderr(Stdio::null())
        .spawn()
        .expect("runs");
    wait_for(&site.path("pip-pid"), &mut child);
    let said = site.up(&UP);
    let first = child.id().to_string();
    child.kill().expect("killed");
    child.wait().expect("waited");
    let pip: i32 = site.read("pip-pid").trim().parse().expect("an id");
    let pip = rustix::process::Pid::from_raw(pip).expect("an id");
    rustix::process::kill_process(pip, rustix::process::Signal::KILL).expect("the fake pip ends");
    assert_snapshot!(said.err.replace(&first, "PID"), @r#"
    lyceum: another Lyceum (process PID) is using the data folder SITE/lyceum-data
            stop that one, or give this one a folder of its own with --data
    "#);
}

#[test]
fn usage_mistakes_are_two() {
    let said = Site::new().run(&["up", "--prot", "1"]);
    assert_eq!(said.code, Some(2));
    assert!(said.err.contains("--port"), "{}", said.err);
    assert_eq!(Site::new().run(&["--help"]).code, Some(0));
}
