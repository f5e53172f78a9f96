//! Beside a real JupyterHub: the programs in `conformance/jupyterhub/`, with the program just built.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

fn root() -> PathBuf {
    let top = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    top.canonicalize().expect("the project's folder")
}

/// What `cargo xtask setup` has made; the test command says where.
fn prepared(variable: &str, place: &str) -> PathBuf {
    let path = std::env::var_os(variable).map_or_else(|| root().join(place), PathBuf::from);
    assert!(
        path.exists(),
        "{} is not there: run `cargo xtask setup` once",
        path.display()
    );
    path
}

fn run(program: &str, further: &[&Path]) {
    let python = prepared("LYCEUM_TEST_JUPYTER_ENV", ".cache/jupyter-env").join("bin/python");
    let said = Command::new(python)
        // No bytecode among the sources.
        .arg("-B")
        .arg(root().join("conformance/jupyterhub").join(program))
        .args([
            Path::new("--lyceum"),
            Path::new(env!("CARGO_BIN_EXE_lyceum")),
        ])
        .args(further)
        .stdin(Stdio::null())
        .output()
        .expect("runs");
    assert!(
        said.status.success(),
        "{program}:\n{}{}",
        String::from_utf8_lossy(&said.stdout),
        String::from_utf8_lossy(&said.stderr)
    );
}

#[test]
fn both_hubs_answer_alike() {
    run("compare.py", &[]);
}

#[test]
fn metrics_and_events_are_told_as_jupyterhub_tells_them() {
    run("telling.py", &[]);
}

#[test]
fn every_answer_is_as_our_own_document_says() {
    let place = ".cache/schemathesis-env";
    let program = prepared("LYCEUM_TEST_SCHEMATHESIS_ENV", place).join("bin/schemathesis");
    run("schema.py", &[Path::new("--schemathesis"), &program]);
}

#[test]
fn every_operation_of_the_rest_document_is_answered() {
    let place = ".cache/jupyterhub-source/rest-api.yml";
    let document = prepared("LYCEUM_TEST_JUPYTERHUB_DOCUMENT", place);
    run("document.py", &[Path::new("--document"), &document]);
}
