//! People of one kind: by name, wherever that stands, and by group.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

use lyceum_model::name::UserName;
use lyceum_model::who::Who;
use serde::{Serialize, Serializer};

/// The line of a file that names somebody.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Line {
    file: Arc<str>,
    line: u64,
}

/// People of one kind: all of them by name, wherever that stands, and groups.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct List {
    entries: Vec<Who>,
    /// `None`: the course file names her itself.
    people: BTreeMap<UserName, Option<Line>>,
    groups: Vec<String>,
    /// How many each file names.
    files: Vec<(Arc<str>, usize)>,
    /// Files are read for it, whether they name somebody or not.
    pub(super) has_files: bool,
}

/// By what somebody stands in a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct By<'a> {
    who: Who,
    line: Option<&'a Line>,
}

impl fmt::Display for By<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            Some(line) => write!(f, "{}, {}:{}", self.who, line.file, line.line),
            None => self.who.fmt(f),
        }
    }
}

impl List {
    pub(crate) fn push(&mut self, who: Who) {
        match &who {
            // Also where a file has named her before.
            Who::Person(name) => {
                if self.people.insert(name.clone(), None).is_some() {
                    return;
                }
            }
            Who::Group(group) if self.groups.contains(group) => return,
            Who::Group(group) => self.groups.push(group.clone()),
            Who::Course { .. } | Who::Role(_) => return,
        }
        self.entries.push(who);
    }

    pub(super) fn push_from(&mut self, file: &Arc<str>, name: &UserName, line: u64) {
        match self.files.iter_mut().find(|(known, _)| known == file) {
            Some((_, many)) => *many += 1,
            None => self.files.push((file.clone(), 1)),
        }
        if self.people.contains_key(name) {
            return;
        }
        let line = Line {
            file: file.clone(),
            line,
        };
        self.people.insert(name.clone(), Some(line));
        self.entries.push(Who::Person(name.clone()));
    }

    /// By what it names somebody who is in these groups.
    pub fn entry_of(&self, name: &UserName, groups: &[String]) -> Option<By<'_>> {
        if let Some(line) = self.people.get(name) {
            return Some(By {
                who: Who::Person(name.clone()),
                line: line.as_ref(),
            });
        }
        let group = self.groups.iter().find(|group| groups.contains(group))?;
        Some(By {
            who: Who::Group(group.clone()),
            line: None,
        })
    }

    pub fn has(&self, name: &UserName, groups: &[String]) -> bool {
        self.people.contains_key(name) || self.groups.iter().any(|group| groups.contains(group))
    }

    /// Whether it has her by her own name.
    pub(super) fn names(&self, name: &UserName) -> bool {
        self.people.contains_key(name)
    }

    /// Whether the course file itself names her.
    pub(super) fn writes(&self, name: &UserName) -> bool {
        matches!(self.people.get(name), Some(None))
    }

    /// Whether nobody can be in it, whatever comes to stand in its files.
    pub(crate) fn is_void(&self) -> bool {
        self.entries.is_empty() && !self.has_files
    }

    pub(crate) fn groups(&self) -> &[String] {
        &self.groups
    }

    /// As the course file has it, files with the number of those whom they name.
    pub fn shown(&self) -> Vec<String> {
        let is_written = |who: &&Who| match who {
            Who::Person(name) => self.writes(name),
            _ => true,
        };
        let written = self.entries.iter().filter(is_written).map(Who::to_string);
        let files = self.files.iter();
        let files = files.map(|(file, many)| format!("file:{file} ({many})"));
        written.chain(files).collect()
    }
}

impl Deref for List {
    type Target = [Who];

    fn deref(&self) -> &[Who] {
        &self.entries
    }
}

/// Everybody by name, and groups.
impl Serialize for List {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        self.entries.serialize(to)
    }
}
