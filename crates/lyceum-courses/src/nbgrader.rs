//! `formgrader:` and `nbgrader:` of a course: where it is graded, and what nbgrader is told in its servers.
//!
//! What is told are traits of nbgrader's classes with values, never lines of a program. Whoever starts
//! servers hands them over as data.

use std::borrow::Cow;
use std::fmt;

use lyceum_model::environment::{Said, Setting};
use lyceum_written::tree::{Step, Value};
use lyceum_written::{Node, Tell};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{IgnoredAny, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::Value as Json;

use crate::environment::said_at;

pub(crate) const FORMGRADER: &str = "formgrader";
pub(crate) const KEY: &str = "nbgrader";
/// In JupyterLab: the page alone has links that lead nowhere below a hub.
const PAGE: &str = "/lab?formgrader=true";
const GRADEBOOK: &str = "CourseDirectory.db_url";
const LINES_MAX: usize = 100;
const TEXT_MAX: usize = 64 * 1024;
const DEPTH_MAX: usize = 8;
/// Classes of nbgrader and of what it works with that people set something of. Others are taken as
/// well, for there are plug-ins; a word that is almost one of these is a slip.
const CLASSES: [&str; 48] = [
    "AssignLatePenalties",
    "Assignment",
    "Authenticator",
    "Autograde",
    "BaseConverter",
    "CheckCellMetadata",
    "ClearAlwaysHiddenTests",
    "ClearHiddenTests",
    "ClearMarkScheme",
    "ClearOutput",
    "ClearSolutions",
    "ComputeChecksums",
    "CourseDirectory",
    "CsvExportPlugin",
    "DeduplicateIds",
    "Exchange",
    "ExchangeCollect",
    "ExchangeFactory",
    "ExchangeFetch",
    "ExchangeFetchAssignment",
    "ExchangeFetchFeedback",
    "ExchangeList",
    "ExchangeRelease",
    "ExchangeReleaseAssignment",
    "ExchangeReleaseFeedback",
    "ExchangeSubmit",
    "Execute",
    "ExecutePreprocessor",
    "ExportApp",
    "ExportPlugin",
    "FileNameCollectorPlugin",
    "FormgradeExtension",
    "GenerateAssignment",
    "GenerateFeedback",
    "GenerateSolution",
    "GetGrades",
    "IncludeHeaderFooter",
    "InstantiateTests",
    "LateSubmissionPlugin",
    "LimitOutput",
    "LockCells",
    "NbGrader",
    "NbGraderAPI",
    "OverwriteCells",
    "OverwriteKernelspec",
    "SaveAutoGrades",
    "SaveCells",
    "Validator",
];

/// `Class.trait: value`. What is in it is looked at in the tree, where each value has its place.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RawLines;

impl<'de> Deserialize<'de> for RawLines {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Lines;
        impl<'de> Visitor<'de> for Lines {
            type Value = RawLines;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("keys and values such as `{ExecutePreprocessor.timeout: 120}`")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut lines: A) -> Result<RawLines, A::Error> {
                while lines.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
                Ok(RawLines)
            }
        }
        from.deserialize_any(Lines)
    }
}

impl JsonSchema for RawLines {
    fn schema_name() -> Cow<'static, str> {
        "Nbgrader".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "object",
            "propertyNames": { "pattern": "^[A-Z][A-Za-z0-9_]*\\.[a-z_][A-Za-z0-9_]*$" },
            "default": {},
        })
    }
}

/// The page with which a course's server opens that has the formgrader.
pub(crate) fn opens() -> Said {
    Said::new(FORMGRADER, Setting::Opens(PAGE.into()))
}

/// What nbgrader is told, each with its line.
pub(crate) fn check(file: &str, tree: &Node, problem: Tell<'_>) -> Vec<Said> {
    // That it is no mapping is told already.
    let Some(Value::Map(entries)) = tree.find(&[Step::Key(KEY.into())]).map(|node| &node.value)
    else {
        return Vec::new();
    };
    if entries.len() > LINES_MAX {
        problem(KEY, format!("has more than {LINES_MAX} entries"));
        return Vec::new();
    }
    let mut said = Vec::new();
    let mut room = TEXT_MAX;
    for entry in entries {
        let path = format!("{KEY}.{}", entry.key);
        if let Err(message) = check_name(&entry.key) {
            problem(&path, message);
            continue;
        }
        match as_json(&entry.node, DEPTH_MAX, &mut room) {
            Ok(value) => said.push(Said::new(path, Setting::Nbgrader(entry.key.clone(), value))),
            Err(message) => problem(&path, message),
        }
    }
    said_at(said, file, tree)
}

/// Where the gradebook is, with a password perhaps, is nothing for students.
pub(crate) fn is_for_its_own_server(said: &Said) -> bool {
    matches!(&said.setting, Setting::Nbgrader(name, _) if name == GRADEBOOK)
}

/// `Class.trait`, and none that Lyceum says.
fn check_name(name: &str) -> Result<(), String> {
    if let Some(rest) = name.strip_prefix("c.").filter(|rest| is_name(rest)) {
        return Err(format!("leave out the `c.`: `{rest}`"));
    }
    if !is_name(name) {
        let shown: String = name.chars().take(60).collect();
        return Err(format!(
            "`{shown}` is no class and trait of nbgrader, such as `ExecutePreprocessor.timeout`"
        ));
    }
    let (class, _) = name.split_once('.').unwrap_or((name, ""));
    let is_slip = |known: &&&str| {
        **known != class
            && strsim::damerau_levenshtein(&class.to_lowercase(), &known.to_lowercase()) <= 2
    };
    if let Some(known) = CLASSES.iter().find(is_slip)
        && !CLASSES.contains(&class)
        && class.len() >= 6
    {
        return Err(format!(
            "nbgrader has no `{class}`; did you mean `{known}`?"
        ));
    }
    match name {
        "CourseDirectory.course_id" => {
            Err("that is the id of the course by itself; leave it out".into())
        }
        "CourseDirectory.root" => {
            Err("that is a folder of the course's server by itself; leave it out".into())
        }
        _ => Ok(()),
    }
}

fn is_name(name: &str) -> bool {
    let Some((class, trait_)) = name.split_once('.') else {
        return false;
    };
    let letters = |text: &str| text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
    let first = |text: &str, fits: fn(&u8) -> bool| text.as_bytes().first().is_some_and(fits);
    let is_class = first(class, u8::is_ascii_uppercase) && letters(class);
    let is_trait = first(trait_, |b| b.is_ascii_lowercase() || *b == b'_') && letters(trait_);
    is_class && is_trait && name.len() <= 200
}

/// A value as data. `room`: how much text there may still be.
fn as_json(node: &Node, depth: usize, room: &mut usize) -> Result<Json, String> {
    let is_nested = matches!(node.value, Value::List(_) | Value::Map(_));
    if is_nested && depth == 0 {
        return Err(format!("nested deeper than {DEPTH_MAX} levels"));
    }
    match &node.value {
        Value::Null => Ok(Json::Null),
        Value::Bool(value) => Ok((*value).into()),
        Value::Int(value) => Ok((*value).into()),
        // The reader takes none without an end.
        Value::Float(value) => Ok((*value).into()),
        Value::Text(text) => take(text, room).map(|()| text.as_str().into()),
        Value::List(items) => {
            let items = items.iter().map(|item| as_json(item, depth - 1, room));
            items.collect::<Result<_, _>>().map(Json::Array)
        }
        Value::Map(entries) => {
            let entries = entries.iter().map(|entry| {
                take(&entry.key, room)?;
                let value = as_json(&entry.node, depth - 1, room)?;
                Ok((entry.key.clone(), value))
            });
            entries.collect::<Result<_, String>>().map(Json::Object)
        }
    }
}

fn take(text: &str, room: &mut usize) -> Result<(), String> {
    let left = room.checked_sub(text.len() + 1);
    *room = left.ok_or_else(|| format!("`{KEY}` has more than {TEXT_MAX} bytes of text"))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use serde_json::json;

    use super::*;
    use crate::course::Course;
    use crate::read::{Site, read_course};

    fn read(more: &str) -> Course {
        let text = format!("title: A\npeople: {{teachers: [ada], graders: [ben]}}\n{more}\n");
        let read = read_course(Path::new("courses/bio.yaml"), &text, &Site::default());
        read.unwrap_or_else(|problems| panic!("{more}: {problems}"))
    }

    #[test]
    fn traits_have_values_of_all_kinds_and_lines() {
        let course = read(
            "nbgrader:
  ExecutePreprocessor.timeout: 240
  ClearSolutions.code_stub: {python: \"raise 'x'\\n\", R: stop()}
  Exchange._ngshare_url: null
  CourseDirectory.ignore: ['*.pyc', 1.5, true]
  E2xExam.mode: exam",
        );
        let told = course.nbgrader.iter().map(|said| {
            let Setting::Nbgrader(name, value) = &said.setting else {
                panic!("{said:?}");
            };
            let place = said.place.as_deref().expect("a place");
            json!([name, value, place])
        });
        let expect = json!([
            ["ExecutePreprocessor.timeout", 240, "courses/bio.yaml:4"],
            ["ClearSolutions.code_stub", {"python": "raise 'x'\n", "R": "stop()"}, "courses/bio.yaml:5"],
            ["Exchange._ngshare_url", null, "courses/bio.yaml:6"],
            ["CourseDirectory.ignore", ["*.pyc", 1.5, true], "courses/bio.yaml:7"],
            ["E2xExam.mode", "exam", "courses/bio.yaml:8"],
        ]);
        assert_eq!(Json::Array(told.collect()), expect);
        assert!(read("").nbgrader.is_empty());
        let secret =
            read("nbgrader: {CourseDirectory.db_url: 'postgresql://a:b@c/d', Execute.timeout: 1}");
        assert_eq!(secret.nbgrader(true).count(), 2);
        let elsewhere: Vec<&Said> = secret.nbgrader(false).collect();
        assert_eq!(elsewhere.len(), 1);
        assert_eq!(elsewhere[0].path, "nbgrader.Execute.timeout");
    }

    #[test]
    fn mistakes_say_where() {
        let check = |text: &str, place: (u64, u64), words: &str| {
            let text = format!("title: A\nnbgrader:\n  {text}\n");
            let problems = read_course(Path::new("c.yaml"), &text, &Site::default());
            let problems = problems.expect_err("a mistake");
            assert_eq!(problems.0.len(), 1, "{problems}");
            let problem = &problems.0[0];
            assert!(problem.message.contains(words), "{problem}");
            let found = problem.place.map(|place| (place.line, place.column));
            assert_eq!(found, Some(place), "{problem}");
        };
        check("- a", (3, 3), "`{ExecutePreprocessor.timeout: 120}`");
        check(
            "c.ExecutePreprocessor.timeout = 240",
            (3, 3),
            "`{ExecutePreprocessor.timeout: 120}`",
        );
        check(
            "c.ExecutePreprocessor.timeout: 240",
            (3, 34),
            "leave out the `c.`",
        );
        let at = |key: &str| (3, 5 + key.chars().count() as u64);
        let wrong = |key: &str, words: &str| check(&format!("{key}: 1"), at(key), words);
        for bad in [
            "timeout",
            "executePreprocessor.timeout",
            "Execute.Timeout",
            "Execute.",
            ".timeout",
            "A.b.c",
            "A b.c",
            "A.b;import os",
            "A.b=1",
            "Ä.b",
        ] {
            wrong(bad, "is no class and trait of nbgrader");
        }
        wrong("'Execute.timeout\\n'", "is no class and trait");
        wrong(
            "ExecutePreproccesor.timeout",
            "did you mean `ExecutePreprocessor`?",
        );
        wrong("clearSolutions.x", "is no class and trait");
        wrong(
            "CourseDirectory.course_id",
            "the id of the course by itself",
        );
        wrong("CourseDirectory.root", "a folder of the course's server");
        let deep = format!("Execute.x: {}1{}", "[".repeat(9), "]".repeat(9));
        check(&deep, (3, 14), "nested deeper than 8");
        let long = format!("Execute.x: {}", "x".repeat(TEXT_MAX));
        check(&long, (3, 14), "bytes of text");
        let many: String = (0..=LINES_MAX)
            .map(|n| format!("Execute.x{n}: 1\n  "))
            .collect();
        check(&many, (3, 3), "more than 100 entries");
    }

    #[test]
    fn a_formgrader_comes_with_a_server() {
        let opens = |more: &str| {
            let course = read(more);
            let (server, who) = course.open_server().expect("there is one");
            assert!(course.grades_in_its_server(), "{more}");
            let said = server.said(&course);
            let mut pages = said.iter().filter_map(|said| match &said.setting {
                Setting::Opens(page) => {
                    Some((page.as_str(), said.place.as_deref().expect("a place")))
                }
                _ => None,
            });
            let page = pages
                .next_back()
                .map(|(page, place)| format!("{page} {place}"));
            (page.expect("a page"), who.len())
        };
        let teacher = "environment: {teachers: {opens: /tree}}\n";
        let page = |line: u32| format!("{PAGE} courses/bio.yaml:{line}");
        assert_eq!(opens("formgrader: true"), (page(3), 2));
        assert_eq!(opens(&format!("{teacher}formgrader: true")), (page(4), 2));
        assert_eq!(
            opens("formgrader: true\nserver: {for: [teachers]}"),
            (page(3), 1)
        );
        let own = "formgrader: true\nserver: {opens: /lab}";
        assert_eq!(opens(own), ("/lab courses/bio.yaml:4".to_owned(), 2));
        for off in ["", "server: true", "formgrader: true\nvisible: archived"] {
            assert!(!read(off).grades_in_its_server(), "{off}");
        }
        let check = |text: &str, words: &str| {
            let text = format!("title: A\n{text}\n");
            let problems = read_course(Path::new("c.yaml"), &text, &Site::default());
            let said = problems.expect_err("a mistake").to_string();
            assert!(said.contains(words), "{said}");
        };
        check(
            "formgrader: true\nserver: false",
            "c.yaml:3:9: `server`: the formgrader runs in it",
        );
        check("formgrader: {}", "`true` or `false`");
    }
}
