//! With the real clients of ngshare: the program in `conformance/ngshare/`, with the program just built.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

fn root() -> PathBuf {
    let top = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    top.canonicalize().expect("the project's folder")
}

#[test]
fn teacher_and_student_go_through_the_tutorial() {
    let environment = std::env::var_os("LYCEUM_TEST_JUPYTER_ENV");
    let environment = environment.map_or_else(|| root().join(".cache/jupyter-env"), PathBuf::from);
    let python = environment.join("bin/python");
    assert!(
        python.exists(),
        "{} is not there: run `cargo xtask setup` once",
        python.display()
    );
    let said = Command::new(python)
        // No bytecode among the sources.
        .arg("-B")
        .arg(root().join("conformance/ngshare/tutorial.py"))
        .args(["--lyceum", env!("CARGO_BIN_EXE_lyceum")])
        .stdin(Stdio::null())
        .output()
        .expect("runs");
    assert!(
        said.status.success(),
        "{}{}",
        String::from_utf8_lossy(&said.stdout),
        String::from_utf8_lossy(&said.stderr)
    );
}
