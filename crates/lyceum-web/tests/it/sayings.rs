//! What the program says: every `say!` in the sources against the texts in every language.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use lyceum_model::messages::Messages;
use lyceum_model::saying::FILES;
use lyceum_web::page::Lang;

use crate::places;

/// The key of quoted text, which only the module of sayings itself names.
const QUOTED: &str = "quoted";

#[test]
fn every_saying_has_its_text_in_every_language_and_every_text_is_said() {
    let texts = Messages::read(FILES).expect("good files");
    let mut said: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let mut files = 0;
    for path in sources() {
        files += 1;
        for call in calls(&fs::read_to_string(&path).expect("readable")) {
            let place = path.display();
            let before = said.entry(call.key.clone()).or_insert(call.values.clone());
            assert_eq!(*before, call.values, "{place}: {} elsewhere", call.key);
        }
    }
    assert!(files > 100 && said.len() > 100, "the sources were found");
    for lang in Lang::BUILT_IN {
        let mut unsaid: BTreeSet<&str> = texts.keys(&lang).collect();
        unsaid.remove(QUOTED);
        for (key, values) in &said {
            let forms: Vec<String> = match values.contains("n") {
                true => vec![format!("{key}.one"), format!("{key}.other")],
                false => vec![key.clone()],
            };
            for form in forms {
                assert!(
                    unsaid.remove(form.as_str()),
                    "{form} is said but has no text in {}",
                    lang.as_str()
                );
                let text = texts.find(&lang, &form).expect("just found");
                let places: BTreeSet<String> = places(text).map(str::to_owned).collect();
                assert_eq!(places, *values, "{form} in {}", lang.as_str());
            }
        }
        assert_eq!(unsaid, BTreeSet::new(), "nothing says these");
    }
}

/// A text that nobody translates must not be said in the name of a page.
#[test]
fn pages_refuse_in_sayings_only() {
    let hub = crates().join("lyceum-hub/src");
    for path in sources() {
        let of_hub = path.starts_with(hub.join("api")) && !path.ends_with("api/oauth.rs");
        let for_programs = of_hub || path.starts_with(crates().join("lyceum-exchange/src/api"));
        let text = fs::read_to_string(&path).expect("readable");
        let dense: String = code(&text).split_whitespace().collect();
        let quotes = dense.matches("Saying::quote(\"").count()
            + dense.matches("Saying::quote(format!").count();
        let own = path.ends_with("lyceum-model/src/saying.rs");
        assert!(
            quotes == 0 || own || for_programs || path.starts_with(crates().join("lyceum-testkit")),
            "{}: say! it",
            path.display()
        );
    }
}

#[test]
fn a_call_is_read_as_it_is_written() {
    let text = "//! say!(\"no\")\nsay!(\"a.b\", x = f(\",)\\\"\", [1, 2]), n = say!(\"c\"),)\n\
                #[cfg(test)]\nsay!(\"no\")";
    let found: Vec<String> = calls(text)
        .into_iter()
        .map(|call| format!("{} {:?}", call.key, call.values))
        .collect();
    assert_eq!(found, ["a.b {\"n\", \"x\"}", "c {}"]);
}

struct Call {
    key: String,
    values: BTreeSet<String>,
}

/// What a file says outside comments and tests.
fn calls(text: &str) -> Vec<Call> {
    let code = code(text);
    code.match_indices("say!(")
        .map(|(at, start)| {
            let parts = arguments(&code[at + start.len()..]);
            let key = parts[0].trim().trim_matches('"').to_owned();
            let values = parts[1..]
                .iter()
                .filter_map(|part| Some(part.split_once(" = ")?.0.trim().to_owned()))
                .collect();
            Call { key, values }
        })
        .collect()
}

fn code(text: &str) -> String {
    let text = text.split("#[cfg(test)]\nmod tests").next().unwrap_or(text);
    let text = text.split("#[cfg(test)]\nsay!").next().unwrap_or(text);
    text.lines()
        .filter(|line| !line.trim_start().starts_with("//"))
        .map(|line| format!("{line}\n"))
        .collect()
}

/// Splits at the commas of this call alone, up to its closing bracket.
fn arguments(text: &str) -> Vec<String> {
    let mut parts = vec![String::new()];
    let mut depth = 0;
    let mut in_text = false;
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        let last = parts.last_mut().expect("one at least");
        last.push(c);
        match c {
            '\\' if in_text => last.extend(chars.next()),
            '"' => in_text = !in_text,
            _ if in_text => {}
            '(' | '[' | '{' => depth += 1,
            ')' if depth == 0 => {
                last.pop();
                return parts;
            }
            ')' | ']' | '}' => depth -= 1,
            ',' if depth == 0 => {
                last.pop();
                parts.push(String::new());
            }
            _ => {}
        }
    }
    panic!("a call without an end: {text}");
}

fn crates() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("crates lie in a folder")
        .to_owned()
}

fn sources() -> Vec<PathBuf> {
    let mut files = Vec::new();
    let mut folders: Vec<PathBuf> = fs::read_dir(crates())
        .expect("the folder is there")
        .map(|entry| entry.expect("readable").path().join("src"))
        .collect();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).into_iter().flatten() {
            let path = entry.expect("readable").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|end| end == "rs") {
                files.push(path);
            }
        }
    }
    files
}
