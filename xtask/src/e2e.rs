//! `cargo xtask e2e`: the stories in `e2e/`, told to the program just built.

use crate::setup::{self, Extent};
use crate::tools::{call, cargo, command, jupyter_env, older_jupyter_env, root, target};
use anyhow::{Context, Result, bail};
use std::fs;

pub(crate) fn run(name: Option<&str>) -> Result<()> {
    setup::run(Extent::Everything)?;
    call(cargo().args(["build", "--package", "lyceum"]))?;
    tell(name)
}

/// One story by its name, or all, told to the program that was built last.
pub(crate) fn tell(name: Option<&str>) -> Result<()> {
    let stories = list_stories()?;
    let chosen: Vec<&String> = stories
        .iter()
        .filter(|story| name.is_none_or(|name| name.trim_end_matches(".test.mjs") == *story))
        .collect();
    if chosen.is_empty() {
        bail!("no story of that name; there are: {}", stories.join(", "));
    }
    // Each starts a browser and a JupyterLab, and half of its time waits for them.
    let mut node = command("node");
    node.args(["--test", "--test-concurrency=2", "--test-reporter=spec"]);
    // A story that fails may leave its browser, which would keep it from ending.
    node.arg("--test-force-exit");
    for story in chosen {
        node.arg(format!("e2e/{story}.test.mjs"));
    }
    if std::env::var_os("LYCEUM_BIN").is_none() {
        node.env("LYCEUM_BIN", target().join("debug/lyceum"));
    }
    node.env("LYCEUM_TEST_JUPYTER_ENV", jupyter_env());
    for (line, _) in setup::OLDER_JUPYTER {
        node.env(
            format!("LYCEUM_TEST_JUPYTER_ENV_{line}"),
            older_jupyter_env(line),
        );
    }
    call(&mut node)
}

fn list_stories() -> Result<Vec<String>> {
    let mut stories = Vec::new();
    for entry in fs::read_dir(root().join("e2e")).context("reading e2e/")? {
        let name = entry?.file_name();
        if let Some(story) = name
            .to_str()
            .and_then(|name| name.strip_suffix(".test.mjs"))
        {
            stories.push(story.to_owned());
        }
    }
    stories.sort();
    Ok(stories)
}
