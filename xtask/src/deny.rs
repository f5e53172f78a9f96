//! `cargo xtask deny`: licences and forbidden crates, against `deny.toml`.
//!
//! What is checked here needs nothing but cargo, so every machine checks it;
//! where cargo-deny is installed it runs too and knows more (advisories are
//! left to it where it can fetch them).

use crate::spdx;
use crate::tools::{call, cargo, read, root, succeeds};
use anyhow::{Context, Result, bail};
use serde::Deserialize;
use std::fs;

/// The part of deny.toml that is checked here.
#[derive(Deserialize)]
struct Policy {
    licenses: Licenses,
    bans: Bans,
}

#[derive(Deserialize)]
struct Licenses {
    allow: Vec<String>,
    #[serde(default)]
    exceptions: Vec<Exception>,
}

#[derive(Deserialize)]
struct Exception {
    #[serde(rename = "crate")]
    name: String,
    allow: Vec<String>,
}

#[derive(Deserialize)]
struct Bans {
    deny: Vec<Ban>,
}

#[derive(Deserialize)]
struct Ban {
    #[serde(rename = "crate")]
    name: String,
    reason: String,
}

pub(crate) fn run() -> Result<()> {
    let text = fs::read_to_string(root().join("deny.toml")).context("reading deny.toml")?;
    let policy: Policy = basic_toml::from_str(&text).context("reading deny.toml")?;
    // What is built on any platform with the features that are on: the lock
    // file also names crates that no build of ours ever uses.
    let tree = read(cargo().args([
        "tree",
        "--locked",
        "--workspace",
        "--target",
        "all",
        "--prefix",
        "none",
        "--format",
        "{p}|{l}",
    ]))?;
    let problems = check(&policy, &tree)?;
    for problem in &problems {
        println!("{problem}");
    }
    if !problems.is_empty() {
        bail!(
            "{} dependencies break the rules of deny.toml",
            problems.len()
        );
    }
    if succeeds(cargo().args(["deny", "--version"])) {
        call(cargo().args(["deny", "--locked", "check", "bans", "licenses", "sources"]))?;
    }
    Ok(())
}

/// One line per problem. `tree` has lines `name vVERSION …|LICENCE`.
fn check(policy: &Policy, tree: &str) -> Result<Vec<String>> {
    let mut problems = Vec::new();
    let mut packages: Vec<&str> = tree
        .lines()
        .filter(|line| !line.trim().is_empty())
        .map(|line| line.trim_end_matches(" (*)"))
        .collect();
    packages.sort_unstable();
    packages.dedup();
    for package in &packages {
        let (id, licence) = package
            .split_once('|')
            .with_context(|| format!("`cargo tree` printed `{package}`"))?;
        let name = id.split(' ').next().unwrap_or(id);
        if let Some(ban) = policy.bans.deny.iter().find(|ban| ban.name == name) {
            problems.push(format!(
                "{name} is forbidden: {} (`cargo tree -i {name}` tells who brings it)",
                ban.reason
            ));
        }
        let excepted = |licence: &str| {
            policy.licenses.exceptions.iter().any(|exception| {
                exception.name == name && exception.allow.iter().any(|one| one == licence)
            })
        };
        let allowed = |licence: &str| {
            policy.licenses.allow.iter().any(|one| one == licence) || excepted(licence)
        };
        match spdx::is_allowed(licence, &allowed) {
            Ok(true) => {}
            Ok(false) => problems.push(format!("{id}: licence `{licence}` is not allowed")),
            Err(error) => problems.push(format!("{id}: {error:#}")),
        }
    }
    println!("{} packages looked at", packages.len());
    Ok(problems)
}

#[cfg(test)]
mod tests {
    use super::{Policy, check};

    #[test]
    fn problems_are_found_in_a_tree() {
        let policy: Policy = basic_toml::from_str(
            r#"
            [licenses]
            allow = ["MIT"]
            exceptions = [{ crate = "roots", allow = ["CDLA-Permissive-2.0"] }]
            [bans]
            deny = [{ crate = "ring", reason = "one provider" }]
            "#,
        )
        .unwrap();
        let expect = |tree: &str, words: &[&str]| {
            let problems = check(&policy, tree).unwrap();
            assert_eq!(problems.len(), words.len(), "{problems:?}");
            for (problem, word) in problems.iter().zip(words) {
                assert!(problem.contains(word), "{problem} should speak of {word}");
            }
        };
        expect(
            "a v1.0.0|MIT\na v1.0.0|MIT (*)\n\nroots v1.0.0|CDLA-Permissive-2.0\n",
            &[],
        );
        expect("other v1.0.0|CDLA-Permissive-2.0\n", &["not allowed"]);
        expect("ring v0.17.14|MIT\n", &["forbidden"]);
        expect("nameless v0.1.0|\n", &["a licence is missing"]);
    }
}
