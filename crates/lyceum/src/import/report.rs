//! What became of each key.

use std::fmt;

use lyceum_written::{Place, Problem, Problems};
use serde::Serialize;

/// What became of one key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case", tag = "fate", content = "why")]
pub enum Fate {
    /// It says the same here, under this key.
    Taken(String),
    /// It is said otherwise here, or Lyceum does it by itself.
    Changed(String),
    /// It says nothing that Lyceum would have to know.
    NotNeeded(String),
    /// It is about something else than what is read.
    NotRead,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Entry {
    pub key: String,
    pub line: u64,
    #[serde(flatten)]
    pub fate: Fate,
}

/// All that is to be told of a file.
#[derive(Debug, Default)]
pub struct Report {
    entries: Vec<Entry>,
    problems: Vec<(Option<Place>, String)>,
    /// What is left to do by hand.
    todo: Vec<String>,
}

impl Report {
    pub(super) fn note(&mut self, key: &str, place: Place, fate: Fate) {
        self.entries.push(Entry {
            key: key.to_owned(),
            line: place.line,
            fate,
        });
    }

    pub(super) fn problem(&mut self, key: &str, place: Place, message: impl fmt::Display) {
        self.problems
            .push((Some(place), format!("`{key}`: {message}")));
    }

    pub(super) fn leave(&mut self, what: impl Into<String>) {
        let what = what.into();
        if !self.todo.contains(&what) {
            self.todo.push(what);
        }
    }

    /// In the order of the file.
    pub fn entries(&self) -> Vec<&Entry> {
        let mut entries: Vec<&Entry> = self.entries.iter().collect();
        entries.sort_by_key(|entry| entry.line);
        entries
    }

    pub fn todo(&self) -> &[String] {
        &self.todo
    }

    pub fn is_bad(&self) -> bool {
        !self.problems.is_empty()
    }

    pub fn problems(&self, file: &str) -> Problems {
        let mut problems = self.problems.clone();
        problems.sort_by_key(|(place, _)| *place);
        let problems = problems.into_iter().map(|(place, message)| Problem {
            file: file.to_owned(),
            place,
            message,
        });
        Problems(problems.collect())
    }
}
