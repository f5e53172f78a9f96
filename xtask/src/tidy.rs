//! `cargo xtask tidy`: what no compiler looks at. The rules are functions from
//! one file's text to problems; a file that has grown long is only a warning.

use crate::tools::{command, read, root};
use anyhow::{Result, bail};
use std::fs;
use std::path::{Path, PathBuf};

const LONG: usize = 600;
const CODE: &[&str] = &["rs", "mjs", "js", "css", "html", "py", "sql", "sh"];

pub(crate) fn run() -> Result<()> {
    let root = root();
    let listed = read(command("git").args([
        "ls-files",
        "--cached",
        "--others",
        "--exclude-standard",
        "-z",
    ]))?;
    let machine = machine_paths(&root);
    let mut looked_at = 0;
    let mut problems = 0;
    for name in listed.split('\0').filter(|name| !name.is_empty()) {
        // Gone from the work tree but not yet from the index, or not text.
        let Ok(text) = fs::read_to_string(root.join(name)) else {
            continue;
        };
        looked_at += 1;
        let path = Path::new(name);
        let found = [
            find_trailing_space(path, &text),
            find_missing_heading(path, &text),
            find_machine_paths(&text, &machine),
            find_strange_sources(path, &text),
            find_dead_links(&root, path, &text),
        ];
        for (line, problem) in found.into_iter().flatten() {
            println!("{name}:{line}: {problem}");
            problems += 1;
        }
        let lines = text.lines().count();
        if lines > LONG && has_extension(path, CODE) {
            println!("{name}: warning: {lines} lines; is it still one subject?");
        }
    }
    if problems > 0 {
        bail!("{problems} problems in {looked_at} files");
    }
    println!("{looked_at} files looked at");
    Ok(())
}

/// A line number and what is wrong there.
type Problem = (usize, String);

fn has_extension(path: &Path, extensions: &[&str]) -> bool {
    path.extension()
        .and_then(|extension| extension.to_str())
        .is_some_and(|extension| extensions.contains(&extension))
}

fn numbered(text: &str) -> impl Iterator<Item = (usize, &str)> {
    text.lines()
        .enumerate()
        .map(|(index, line)| (index + 1, line))
}

fn find_trailing_space(path: &Path, text: &str) -> Vec<Problem> {
    // Recorded output is as it is.
    // Seeds of fuzz targets are bytes, whatever they look like.
    let is_seed = path.components().any(|part| part.as_os_str() == "seeds");
    if is_seed || has_extension(path, &["snap"]) {
        return Vec::new();
    }
    let mut problems: Vec<Problem> = numbered(text)
        .filter(|(_, line)| line.ends_with([' ', '\t', '\r']))
        .map(|(number, _)| (number, "white space at the end of the line".to_owned()))
        .collect();
    if !text.is_empty() && !text.ends_with('\n') {
        problems.push((
            text.lines().count(),
            "no newline at the end of the file".to_owned(),
        ));
    }
    problems
}

fn find_missing_heading(path: &Path, text: &str) -> Vec<Problem> {
    let module =
        has_extension(path, &["rs"]) && path.components().any(|part| part.as_os_str() == "src");
    if module && !text.starts_with("//!") {
        return vec![(
            1,
            "a module opens with `//!`: what is here, what is not".to_owned(),
        )];
    }
    Vec::new()
}

/// Paths that hold on this machine only: the checkout, and where cargo and rustup live.
fn machine_paths(root: &Path) -> Vec<String> {
    let mut paths = vec![root.to_path_buf()];
    paths.extend(
        ["CARGO_HOME", "RUSTUP_HOME", "CARGO_TARGET_DIR"]
            .iter()
            .filter_map(std::env::var_os)
            .map(PathBuf::from),
    );
    if let Some(home) = std::env::var_os("HOME").map(PathBuf::from) {
        paths.extend([
            home.join(".cargo"),
            home.join(".rustup"),
            home.join(".cache"),
        ]);
    }
    // A path of one folder (`/src`) would be found in too much.
    paths
        .iter()
        .filter(|path| path.is_absolute() && path.components().count() > 2)
        .map(|path| path.display().to_string())
        .collect()
}

fn find_machine_paths(text: &str, machine: &[String]) -> Vec<Problem> {
    let mut problems = Vec::new();
    for (number, line) in numbered(text) {
        problems.extend(
            machine
                .iter()
                .filter(|path| line.contains(path.as_str()))
                .map(|path| (number, format!("`{path}` is a path of this machine"))),
        );
    }
    problems
}

/// Lock files name the public registries or none, never a mirror.
fn find_strange_sources(path: &Path, text: &str) -> Vec<Problem> {
    let (key, known) = match path.file_name().and_then(|name| name.to_str()) {
        Some("Cargo.lock") => (
            "source = ",
            "registry+https://github.com/rust-lang/crates.io-index",
        ),
        Some("package-lock.json") => ("\"resolved\": ", "https://registry.npmjs.org/"),
        _ => return Vec::new(),
    };
    numbered(text)
        .filter(|(_, line)| line.trim().starts_with(key) && !line.contains(known))
        .map(|(number, line)| {
            (
                number,
                format!("`{}` is not the public registry", line.trim()),
            )
        })
        .collect()
}

fn find_dead_links(root: &Path, path: &Path, text: &str) -> Vec<Problem> {
    if !has_extension(path, &["md"]) {
        return Vec::new();
    }
    let mut problems = Vec::new();
    for (number, target) in list_links(text) {
        if target.contains("://") || target.starts_with("mailto:") {
            continue;
        }
        let (file, anchor) = target
            .split_once('#')
            .map_or((target, None), |(file, anchor)| (file, Some(anchor)));
        let linked = match (file, path.parent()) {
            ("", _) => root.join(path),
            (file, Some(folder)) => root.join(folder).join(file),
            (file, None) => root.join(file),
        };
        if !linked.exists() {
            problems.push((number, format!("the link to `{target}` leads nowhere")));
        } else if let Some(anchor) = anchor
            && has_extension(&linked, &["md"])
            && !fs::read_to_string(&linked)
                .is_ok_and(|linked| list_anchors(&linked).iter().any(|one| one == anchor))
        {
            problems.push((
                number,
                format!("the link to `{target}`: no such heading there"),
            ));
        }
    }
    problems
}

/// Lines of a Markdown text that are not inside a fence.
fn prose(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut fenced = false;
    numbered(text).filter(move |(_, line)| {
        let fence = line.trim_start().starts_with("```");
        fenced ^= fence;
        !fence && !fenced
    })
}

/// Targets of `[text](target)` and `![text](target)`, not in code.
fn list_links(text: &str) -> Vec<(usize, &str)> {
    let mut links = Vec::new();
    for (number, line) in prose(text) {
        // Every second piece between backticks is code.
        for piece in line.split('`').step_by(2) {
            let mut rest = piece;
            while let Some((_, after)) = rest.split_once("](") {
                let Some((target, after)) = after.split_once(')') else {
                    break;
                };
                links.push((number, target.split(' ').next().unwrap_or(target)));
                rest = after;
            }
        }
        // A link's text may itself be code, which the split above tore apart.
        for (_, after) in line
            .match_indices("`](")
            .map(|(at, mark)| line.split_at(at + mark.len()))
        {
            if let Some((target, _)) = after.split_once(')') {
                links.push((number, target));
            }
        }
    }
    links.sort_unstable();
    links.dedup();
    links
}

/// What headings are called in links: as GitHub makes them.
fn list_anchors(text: &str) -> Vec<String> {
    prose(text)
        .filter(|(_, line)| line.starts_with('#'))
        .map(|(_, line)| line.trim_start_matches('#').trim())
        .map(|heading| {
            let kept = heading
                .chars()
                .filter(|letter| letter.is_alphanumeric() || matches!(letter, ' ' | '-' | '_'));
            kept.map(|letter| if letter == ' ' { '-' } else { letter })
                .collect::<String>()
                .to_lowercase()
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use anyhow::Context;

    #[test]
    fn white_space_at_the_end_is_found() {
        let lines = |text: &str| {
            find_trailing_space(Path::new("a.rs"), text)
                .into_iter()
                .map(|(line, _)| line)
                .collect::<Vec<_>>()
        };
        assert_eq!(lines("good\n\tgood\n"), [0_usize; 0]);
        assert_eq!(lines("bad \ngood\nbad\t\nbad\r\n"), [1, 3]);
        assert_eq!(lines("good\nno newline"), [2]);
    }

    #[test]
    fn modules_need_a_heading_and_tests_do_not() {
        let found =
            |path: &str, text: &str| !find_missing_heading(Path::new(path), text).is_empty();
        assert!(found("crates/a/src/lib.rs", "use b;\n"));
        assert!(found("crates/a/src/empty.rs", ""));
        assert!(!found("crates/a/src/lib.rs", "//! Here.\n"));
        assert!(!found("crates/a/tests/it/main.rs", "use b;\n"));
        assert!(!found("crates/a/src/page.html", "<p>\n"));
    }

    #[test]
    fn paths_of_this_machine_are_found() {
        let machine = machine_paths(Path::new("/checkouts/of/mine"));
        let found = find_machine_paths("ok\nsee /checkouts/of/mine/README.md\n", &machine);
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].0, 2);
        assert!(!machine_paths(Path::new("/app")).contains(&"/app".to_owned()));
    }

    #[test]
    fn mirrors_in_lock_files_are_found() {
        let count = |name: &str, text: &str| find_strange_sources(Path::new(name), text).len();
        assert_eq!(
            count(
                "Cargo.lock",
                "source = \"registry+https://github.com/rust-lang/crates.io-index\"\n"
            ),
            0
        );
        assert_eq!(
            count(
                "Cargo.lock",
                "source = \"registry+https://mirror.example/index\"\n"
            ),
            1
        );
        assert_eq!(
            count(
                "e2e/package-lock.json",
                "  \"resolved\": \"https://mirror.example/ws.tgz\",\n"
            ),
            1
        );
        assert_eq!(
            count("e2e/package-lock.json", "  \"version\": \"8.0.0\",\n"),
            0
        );
    }

    #[test]
    fn links_are_read_outside_code() {
        let text = "[a](b.md) and ![c](d.png \"title\")\n`[not](this)` but [`that`](e.md#f)\n```\n[nor](this)\n```\n";
        assert_eq!(list_links(text), [(1, "b.md"), (1, "d.png"), (2, "e.md#f")]);
    }

    #[test]
    fn headings_become_anchors() {
        let text = "# Log-in, then `up`\n## What's new\n```\n# not\n```\n";
        assert_eq!(list_anchors(text), ["log-in-then-up", "whats-new"]);
    }

    #[test]
    fn dead_links_are_found() -> Result<()> {
        let folder = std::env::temp_dir().join(format!("lyceum-tidy-{}", std::process::id()));
        fs::create_dir_all(folder.join("docs"))?;
        fs::write(folder.join("docs/there.md"), "# One heading\n")?;
        let count = |text: &str| find_dead_links(&folder, Path::new("docs/page.md"), text).len();
        assert_eq!(
            count(
                "[a](there.md) [b](there.md#one-heading) [c](https://example.org/x) [d](../docs/there.md)\n"
            ),
            0
        );
        assert_eq!(count("[a](gone.md)\n[b](there.md#no-heading)\n"), 2);
        fs::remove_dir_all(&folder).context("removing the test's folder")
    }
}
