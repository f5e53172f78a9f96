//! The next term's course file, made from this term's.
//!
//! What says what the course is stays as it is written, with its comments. Teachers stay; everybody else
//! belonged to the term. Days move by so many, or are left out. What was left out is told.

use std::fmt::Write;

use lyceum_model::who::CourseId;
use lyceum_written::tree::{Entry, Node, Value};

use crate::edit::offset;
use crate::moments::Moment;
use crate::schedule::{At, Day};

/// What shall be different.
#[derive(Debug, Clone, Copy)]
pub struct Wish<'a> {
    /// The course that it is made from.
    pub from: &'a CourseId,
    pub term: Option<&'a str>,
    /// By so many days everything moves; `None`: what has a day is left out.
    pub days: Option<i64>,
}

/// The text of the new file, and what whoever made it should know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rolled {
    pub text: String,
    pub notes: Vec<String>,
}

/// Makes it of a file without mistakes.
pub fn roll_over(text: &str, wish: Wish<'_>) -> Result<Rolled, String> {
    let tree = Node::parse(text).map_err(|(_, message)| message)?;
    let Value::Map(entries) = &tree.value else {
        return Err("it is no course file".into());
    };
    let mut roll = Roll {
        wish,
        notes: Vec::new(),
    };
    let mut new = String::new();
    let mut has_term = false;
    for (index, entry) in entries.iter().enumerate() {
        let written = section(text, entries, index);
        match entry.key.as_str() {
            "term" => {
                has_term = true;
                roll.term(&mut new);
            }
            "people" => roll.people(&mut new, &entry.node),
            "assignments" => roll.assignments(&mut new, &entry.node),
            "schedule" => roll.schedule(&mut new, &entry.node),
            "lti" => {
                roll.note("`lti` is left out: it named the course of this term at the platform")
            }
            "visible" if is_word(&entry.node, "archived") => {
                roll.note("`visible: archived` is left out");
            }
            key => {
                if written
                    .as_ref()
                    .is_some_and(|text| text.contains(wish.from.as_str()))
                {
                    let from = wish.from;
                    roll.note(&format!(
                        "`{key}` names `{from}`; look whether that is still right"
                    ));
                }
                match written {
                    Some(written) => new.push_str(&written),
                    None => put(&mut new, 0, &entry.key, &entry.node),
                }
            }
        }
        if entry.key == "title" && !entries.iter().any(|entry| entry.key == "term") {
            roll.term(&mut new);
            has_term = true;
        }
    }
    if !has_term {
        roll.term(&mut new);
    }
    Ok(Rolled {
        text: new,
        notes: roll.notes,
    })
}

/// The lines of a key at the top, with those above it that only comment; `None` where keys share lines.
fn section(text: &str, entries: &[Entry], index: usize) -> Option<String> {
    if entries.iter().any(|entry| entry.key_place.column != 1) {
        return None;
    }
    let start = |entry: &Entry| {
        let own = offset(text, entry.key_place.line, 1)?;
        let mut at = own;
        for line in text[..own].split_inclusive('\n').rev() {
            let is_comment = line.starts_with('#') || line.trim().is_empty();
            if !is_comment {
                break;
            }
            at -= line.len();
        }
        Some(at)
    };
    let from = match index {
        0 => 0,
        index => start(&entries[index])?,
    };
    let to = match entries.get(index + 1) {
        Some(next) => start(next)?,
        None => text.len(),
    };
    let mut lines = text.get(from..to)?.to_owned();
    if !lines.ends_with('\n') {
        lines.push('\n');
    }
    Some(lines)
}

struct Roll<'a> {
    wish: Wish<'a>,
    notes: Vec<String>,
}

impl Roll<'_> {
    fn note(&mut self, text: &str) {
        self.notes.push(text.to_owned());
    }

    fn term(&mut self, new: &mut String) {
        match self.wish.term {
            Some(term) => {
                let _ = writeln!(new, "term: {}", scalar_text(term));
            }
            None => self.note("`term` is left out; --term says the next one"),
        }
    }

    fn people(&mut self, new: &mut String, node: &Node) {
        let mut kept = Vec::new();
        for entry in map(node) {
            let Value::List(list) = &entry.node.value else {
                self.note(&format!("`people.{}` is left out", entry.key));
                continue;
            };
            if entry.key != "teachers" {
                self.note(&format!(
                    "`people.{}` is left out ({})",
                    entry.key,
                    list.len()
                ));
                continue;
            }
            for one in list {
                let Value::Text(who) = &one.value else {
                    continue;
                };
                if who.starts_with("file:") {
                    self.note(&format!("`{who}` among the teachers is left out"));
                    continue;
                }
                if who.starts_with("group:") && who.contains(self.wish.from.as_str()) {
                    self.note(&format!(
                        "`{who}` among the teachers is kept; look whether that is still right"
                    ));
                }
                kept.push(one.clone());
            }
        }
        let teachers = Entry {
            key: "teachers".into(),
            key_place: node.place,
            node: Node {
                place: node.place,
                value: Value::List(kept),
            },
        };
        let people = Node {
            place: node.place,
            value: Value::Map(vec![teachers]),
        };
        put(new, 0, "people", &people);
    }

    /// A value with its days moved; `None`: there is nothing to move them by, or no such day.
    fn moved(&self, text: &str) -> Option<String> {
        let days = self.wish.days?;
        if let Ok(moment) = text.parse::<Moment>() {
            return moment.plus_days(days).map(|moment| moment.to_string());
        }
        if let Ok(day) = text.parse::<Day>() {
            return day.plus_days(days).map(|day| day.to_string());
        }
        None
    }

    /// What a key says in the next term.
    fn shifted(&mut self, path: &str, entry: &Entry) -> Option<Entry> {
        let Value::Text(text) = &entry.node.value else {
            return Some(entry.clone());
        };
        let has_day = text.parse::<Moment>().is_ok() || text.parse::<Day>().is_ok();
        if !has_day {
            return Some(entry.clone());
        }
        match self.moved(text) {
            Some(moved) => Some(with(entry, Value::Text(moved))),
            None => {
                self.note(&format!("`{path}.{}` is left out ({text})", entry.key));
                None
            }
        }
    }

    fn assignments(&mut self, new: &mut String, node: &Node) {
        let assignments = map(node).iter().map(|one| {
            let path = format!("assignments.{}", one.key);
            let kept = self.assignment(&path, map(&one.node));
            with(one, Value::Map(kept))
        });
        let assignments = Value::Map(assignments.collect());
        let node = Node {
            place: node.place,
            value: assignments,
        };
        put(new, 0, "assignments", &node);
    }

    fn assignment(&mut self, path: &str, keys: &[Entry]) -> Vec<Entry> {
        let has_due = self.wish.days.is_some();
        let mut kept = Vec::new();
        for entry in keys {
            match entry.key.as_str() {
                "extend" => self.note(&format!(
                    "`{path}.extend` is left out: it was for people of this term"
                )),
                // They say what comes after `due`.
                "grace" | "late" if !has_due => {
                    self.note(&format!("`{path}.{}` is left out", entry.key));
                }
                "late" => {
                    let path = format!("{path}.late");
                    let late = map(&entry.node).iter();
                    let late = late.filter_map(|one| self.shifted(&path, one));
                    kept.push(with(entry, Value::Map(late.collect())));
                }
                _ => kept.extend(self.shifted(path, entry)),
            }
        }
        kept
    }

    fn schedule(&mut self, new: &mut String, node: &Node) {
        let Value::List(meetings) = &node.value else {
            return;
        };
        let mut kept = Vec::new();
        for (index, meeting) in meetings.iter().enumerate() {
            let path = format!("schedule[{index}]");
            let mut keys = Vec::new();
            let mut is_there = true;
            for entry in map(meeting) {
                let once = match &entry.node.value {
                    Value::Text(text) if entry.key == "at" => {
                        matches!(text.parse(), Ok(At::Once(..)))
                    }
                    _ => false,
                };
                match self.shifted(&path, entry) {
                    Some(entry) => keys.push(entry),
                    None => is_there &= !once,
                }
            }
            if is_there {
                kept.push(Node {
                    place: meeting.place,
                    value: Value::Map(keys),
                });
            }
        }
        if !kept.is_empty() {
            let kept = Node {
                place: node.place,
                value: Value::List(kept),
            };
            put(new, 0, "schedule", &kept);
        }
    }
}

fn map(node: &Node) -> &[Entry] {
    match &node.value {
        Value::Map(entries) => entries,
        _ => &[],
    }
}

fn with(entry: &Entry, value: Value) -> Entry {
    Entry {
        node: Node {
            place: entry.node.place,
            value,
        },
        ..entry.clone()
    }
}

fn is_word(node: &Node, word: &str) -> bool {
    matches!(&node.value, Value::Text(text) if text == word)
}

/// Writes a key and its value, what is flat in one line.
fn put(out: &mut String, depth: usize, key: &str, node: &Node) {
    let indent = "  ".repeat(depth);
    let key = scalar_text(key);
    let _ = match &node.value {
        Value::Map(entries) if !entries.is_empty() && (depth == 0 || !is_flat(node)) => {
            let _ = writeln!(out, "{indent}{key}:");
            for entry in entries {
                put(out, depth + 1, &entry.key, &entry.node);
            }
            Ok(())
        }
        Value::List(items) if !is_flat(node) => {
            let _ = writeln!(out, "{indent}{key}:");
            for item in items {
                let _ = writeln!(out, "{indent}  - {}", flow(item));
            }
            Ok(())
        }
        _ => writeln!(out, "{indent}{key}: {}", flow(node)),
    };
}

/// Whether it is short enough for one line: in it are words, and lists of words.
fn is_flat(node: &Node) -> bool {
    fn is_word(node: &Node) -> bool {
        match &node.value {
            Value::List(items) => items.is_empty(),
            Value::Map(entries) => entries.is_empty(),
            _ => true,
        }
    }
    fn is_list(node: &Node) -> bool {
        match &node.value {
            Value::List(items) => items.iter().all(is_word),
            _ => is_word(node),
        }
    }
    match &node.value {
        Value::Map(entries) => entries.iter().all(|entry| is_list(&entry.node)),
        _ => is_list(node),
    }
}

fn flow(node: &Node) -> String {
    match &node.value {
        Value::Null => "null".into(),
        Value::Bool(value) => value.to_string(),
        Value::Int(value) => value.to_string(),
        Value::Float(value) => format!("{value:?}"),
        Value::Text(text) => scalar_text(text),
        Value::List(items) => {
            let items: Vec<String> = items.iter().map(flow).collect();
            format!("[{}]", items.join(", "))
        }
        Value::Map(entries) => {
            let entries = entries.iter();
            let entries: Vec<String> = entries
                .map(|entry| format!("{}: {}", scalar_text(&entry.key), flow(&entry.node)))
                .collect();
            format!("{{{}}}", entries.join(", "))
        }
    }
}

/// A text as YAML has it, in quotation marks where it would be something else without.
fn scalar_text(text: &str) -> String {
    let is_same = |written: &str| {
        let read = Node::parse(&format!("- [{written}]"));
        let Ok(Value::List(outer)) = read.map(|node| node.value) else {
            return false;
        };
        match outer.as_slice() {
            [
                Node {
                    value: Value::List(inner),
                    ..
                },
            ] => {
                matches!(inner.as_slice(), [one] if is_word(one, text))
            }
            _ => false,
        }
    };
    if is_same(text) {
        return text.to_owned();
    }
    let mut quoted = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            c if c.is_control() => {
                let _ = write!(quoted, "\\u{:04x}", u32::from(c));
            }
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "# Of the institute
title: \"Signals: and Systems\"
term: autumn 2026
visible: archived
people:
  teachers: [ada, 'group:jupyter-signals-2026', 'file:staff.csv']   # all of them
  students: ['file:signals.csv', ben]
  labels: {extra-time: [ben]}
# What they start
environment:
  use: python   # the usual
  env: {DATA: /srv/signals-2026}
assignments:
  ps1:
    opens: 2026-09-24 08:00
    due: 2026-10-01 18:00
    grace: 5m
    late: {until: 2026-10-04 18:00, costs: 10% per day}
    extend: {extra-time: 2d}
    limits: {size: 20M, kinds: [ipynb]}
  \"2\": {}
schedule:
  - {at: Mon 09:00, people: 300, until: 2027-02-01}
  - {at: 2026-10-01 09:00, people: 10}
lti:
  - {context: '42'}
";

    fn rolled(term: Option<&str>, days: Option<i64>) -> Rolled {
        let from = CourseId::parse("signals-2026").expect("an id");
        let wish = Wish {
            from: &from,
            term,
            days,
        };
        roll_over(TEXT, wish).expect("made")
    }

    #[test]
    fn what_the_course_is_stays_and_its_people_go() {
        let rolled = rolled(Some("autumn 2027"), Some(364));
        let expect = "# Of the institute
title: \"Signals: and Systems\"
term: autumn 2027
people:
  teachers: [ada, group:jupyter-signals-2026]
# What they start
environment:
  use: python   # the usual
  env: {DATA: /srv/signals-2026}
assignments:
  ps1:
    opens: 2027-09-23 08:00
    due: 2027-09-30 18:00
    grace: 5m
    late: {until: 2027-10-03 18:00, costs: 10% per day}
    limits: {size: 20M, kinds: [ipynb]}
  \"2\": {}
schedule:
  - {at: Mon 09:00, people: 300, until: 2028-01-31}
  - {at: 2027-09-30 09:00, people: 10}
";
        assert_eq!(rolled.text, expect);
        let told = rolled.notes.join("\n");
        for part in [
            "visible: archived",
            "people.students` is left out (2)",
            "people.labels` is left out",
            "`group:jupyter-signals-2026` among the teachers is kept",
            "`file:staff.csv` among the teachers is left out",
            "`environment` names `signals-2026`",
            "ps1.extend` is left out",
            "`lti` is left out",
        ] {
            assert!(told.contains(part), "{part}: {told}");
        }
    }

    #[test]
    fn days_that_nobody_moves_are_left_out() {
        let rolled = rolled(None, None);
        for gone in [
            "due", "opens", "grace", "late", "2026-10", "term:", "extend",
        ] {
            assert!(!rolled.text.contains(gone), "{gone}: {}", rolled.text);
        }
        assert!(rolled.text.contains("size: 20M"));
        assert!(
            rolled.text.contains("- {at: Mon 09:00, people: 300}"),
            "{}",
            rolled.text
        );
        let told = rolled.notes.join("\n");
        assert!(
            told.contains("`assignments.ps1.due` is left out (2026-10-01 18:00)"),
            "{told}"
        );
        assert!(told.contains("--term"), "{told}");
    }

    #[test]
    fn texts_are_quoted_where_they_would_be_something_else() {
        for (text, expect) in [
            ("ada", "ada"),
            ("2026-10-01 18:00", "2026-10-01 18:00"),
            ("2026", "\"2026\""),
            ("true", "\"true\""),
            ("a: b", "\"a: b\""),
            ("a # b", "\"a # b\""),
            ("", "\"\""),
            ("[x", "\"[x\""),
            ("a\nb", "\"a\\u000ab\""),
            ("say \"a\"", "say \"a\""),
        ] {
            assert_eq!(scalar_text(text), expect);
        }
    }
}
