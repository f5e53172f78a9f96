//! `people:` of a course: who is what in it, by name, group and file.

mod list;

use std::collections::BTreeMap;
use std::sync::Arc;

use lyceum_model::name::UserName;
use lyceum_model::who::{CourseId, CourseRole as Role, Forms, Who};
use lyceum_written::{Tell, table};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer};

pub use list::{By, List};

use crate::roster::{Rosters, Source, check_file};

const KEY: &str = "people";
const LABELS_MAX: usize = 100;
const FILES_MAX: usize = 32;
/// Those whom all files of a course name together.
const NAMES_MAX: usize = 100_000;
/// So many words of one file that are no role are told.
const WORDS_TOLD: usize = 5;
const OF_FILE: &str = "file:";

/// People by role, each by name (`ada`), group (`group:NAME`) or as a file with names (`file:LIST.csv`).
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RawPeople {
    /// They own the course.
    pub teachers: Vec<Entry>,
    /// They grade.
    pub graders: Vec<Entry>,
    /// They take it.
    pub students: Vec<Entry>,
    /// They see what students see, and hand nothing in.
    pub observers: Vec<Entry>,
    /// They are neither students nor observers, whoever else says so. Teachers and graders are taken off
    /// their lists instead.
    pub blocked: Vec<Entry>,
    /// People for whom something else holds, in a word of the course's own: `{extra-time: [ben]}`.
    /// `extend` of assignments says what. It makes nobody a member of the course.
    pub labels: BTreeMap<String, Vec<Entry>>,
    /// Files in which a column says what each is: `[{file: signals.csv, columns: {name: Login, role:
    /// Status}, roles: {Dozentin: teacher}}]`.
    pub rosters: Vec<RawRoster>,
}

/// A file with people and what they are.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RawRoster {
    /// Beside the course file, or below its folder: `signals.csv`.
    pub file: String,
    /// What its columns are called.
    pub columns: RawColumns,
    /// What the words in its column with roles mean: `{Dozentin: teacher, Teilnehmer: student}`. Besides,
    /// `teacher`, `grader`, `student` and `observer` are understood.
    pub roles: BTreeMap<String, RawRole>,
    /// What somebody is of whom the column says nothing, and all where there is no such column. Left out:
    /// a student where there is none, else a mistake of that row.
    pub role: Option<RawRole>,
}

/// What columns of a file are called, in whatever case.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RawColumns {
    /// The one with user names. Left out: `username`, `login` or the like, or the only one.
    pub name: Option<String>,
    /// The one that says what somebody is.
    pub role: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum RawRole {
    Teacher,
    Grader,
    Student,
    Observer,
}

impl From<RawRole> for Role {
    fn from(role: RawRole) -> Self {
        match role {
            RawRole::Teacher => Self::Teacher,
            RawRole::Grader => Self::Grader,
            RawRole::Student => Self::Student,
            RawRole::Observer => Self::Observer,
        }
    }
}

/// One entry of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Entry {
    Who(Who),
    /// `file:LIST.csv`, or `file:LIST.csv#COLUMN`.
    File {
        file: String,
        column: Option<String>,
    },
}

impl<'de> Deserialize<'de> for Entry {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = String::deserialize(from)?;
        let read = match text.strip_prefix(OF_FILE) {
            Some(file) => {
                let (file, column) = match file.rsplit_once('#') {
                    Some((file, column)) => (file, Some(column.to_owned())),
                    None => (file, None),
                };
                check_file(file).map(|()| Self::File {
                    file: file.to_owned(),
                    column,
                })
            }
            None => Who::parse(&text, Forms::People)
                .map(Self::Who)
                .map_err(|message| match text.contains(':') {
                    true => format!("{message}, or a file with names (`file:signals.csv`)"),
                    false => message,
                }),
        };
        read.map_err(serde::de::Error::custom)
    }
}

impl JsonSchema for Entry {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Who".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "description": "Somebody: `ada`, `group:NAME`, or all in a file beside this one: `file:LIST.csv`, `file:LIST.csv#COLUMN`.",
            "minLength": 1,
        })
    }
}

/// The people of a course.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct People {
    pub teachers: List,
    pub graders: List,
    pub students: List,
    pub observers: List,
    pub blocked: List,
    pub labels: BTreeMap<String, List>,
    has_files: bool,
}

/// Groups that are people of every course, by their names with `{course}` in the place of its id.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Patterns(Vec<(Role, String)>);

/// Stands for the id of the course.
const COURSE: &str = "{course}";

impl Patterns {
    /// One more, or what is wrong with it.
    pub fn add(&mut self, role: Role, pattern: &str) -> Result<(), String> {
        let longest = pattern.replace(COURSE, &"x".repeat(64));
        if !pattern.contains(COURSE) {
            return Err(format!(
                "`{}` would be the same group for every course; write `{{course}}` where the course's id stands: `jupyter-{{course}}`",
                table::short(pattern)
            ));
        }
        if pattern.starts_with("group:") {
            return Err("write the name of the group alone: `jupyter-{course}`".into());
        }
        if !lyceum_model::name::is_free_name(&longest) {
            return Err(format!(
                "`{}` can be no group's name: at most 255 bytes with the id of the course, none of them a control character, no space at its ends",
                table::short(pattern)
            ));
        }
        self.0.push((role, pattern.to_owned()));
        Ok(())
    }

    fn add_to(&self, people: &mut People, id: &CourseId) {
        for (role, pattern) in &self.0 {
            let group = pattern.replace(COURSE, id.as_str());
            people.list_mut(*role).push(Who::Group(group));
        }
    }
}

impl People {
    pub fn list(&self, role: Role) -> &List {
        match role {
            Role::Teacher => &self.teachers,
            Role::Grader => &self.graders,
            Role::Student => &self.students,
            Role::Observer => &self.observers,
        }
    }

    pub(crate) fn list_mut(&mut self, role: Role) -> &mut List {
        match role {
            Role::Teacher => &mut self.teachers,
            Role::Grader => &mut self.graders,
            Role::Student => &mut self.students,
            Role::Observer => &mut self.observers,
        }
    }

    fn lists(&self) -> impl Iterator<Item = &List> {
        let roles = Role::ALL.into_iter().map(|role| self.list(role));
        roles.chain(self.labels.values())
    }

    /// Whether somebody stands in a list by her name.
    pub(crate) fn names(&self, name: &UserName) -> bool {
        self.lists().any(|list| list.names(name))
    }

    /// As [`People::names`], in the course file itself.
    pub(crate) fn writes(&self, name: &UserName) -> bool {
        self.lists().any(|list| list.writes(name))
    }

    /// Whether there may be people whose names don't stand in the course file: what others write elsewhere
    /// makes no mistake of what stands in it.
    pub(crate) fn has_others(&self) -> bool {
        self.has_files || self.lists().any(|list| !list.groups().is_empty())
    }

    /// Checks what is written, and reads the files that it names. `id`: the course's, if it has a good one.
    pub(crate) fn check(
        raw: &RawPeople,
        id: Option<&CourseId>,
        patterns: &Patterns,
        rosters: &mut Rosters<'_>,
        problem: Tell<'_>,
    ) -> Self {
        check_labels(raw, problem);
        let mut reader = Reader::default();
        let lists = [
            ("people.teachers", &raw.teachers, false),
            ("people.graders", &raw.graders, false),
            ("people.students", &raw.students, false),
            ("people.observers", &raw.observers, false),
            // A hole in it would let somebody in.
            ("people.blocked", &raw.blocked, true),
        ];
        let lists =
            lists.map(|(path, entries, whole)| reader.list(path, entries, whole, rosters, problem));
        let [teachers, graders, students, observers, blocked] = lists;
        let mut people = Self {
            teachers,
            graders,
            students,
            observers,
            blocked,
            labels: BTreeMap::new(),
            has_files: false,
        };
        for (label, entries) in &raw.labels {
            let path = format!("people.labels.{label}");
            let labelled = reader.list(&path, entries, false, rosters, problem);
            people.labels.insert(label.clone(), labelled);
        }
        for (index, roster) in raw.rosters.iter().enumerate() {
            let path = format!("people.rosters[{index}]");
            reader.roster(&path, roster, &mut people, rosters, problem);
        }
        people.has_files = reader.files > 0;
        if reader.files > FILES_MAX {
            problem(KEY, format!("names more than {FILES_MAX} files"));
        }
        if reader.names > NAMES_MAX {
            let message = format!(
                "its files name {} people, more than the {NAMES_MAX} that a course may have",
                reader.names
            );
            problem(KEY, message);
        }
        for who in &*people.blocked {
            let staff = [("teachers", &people.teachers), ("graders", &people.graders)];
            let in_both = staff.into_iter().find(|(_, list)| list.contains(who));
            if let Some((key, _)) = in_both {
                let message = format!(
                    "`{who}` stands in `{key}`, too, and would stay what she is there; take her off one of both"
                );
                problem("people.blocked", message);
            }
        }
        if let Some(id) = id {
            patterns.add_to(&mut people, id);
        }
        people
    }
}

/// Counts what is read.
#[derive(Default)]
struct Reader {
    files: usize,
    names: usize,
}

impl Reader {
    /// `whole`: what is wrong with a file in it is a mistake of the course file.
    fn list(
        &mut self,
        path: &str,
        entries: &[Entry],
        whole: bool,
        rosters: &mut Rosters<'_>,
        problem: Tell<'_>,
    ) -> List {
        let mut list = List::default();
        for (index, entry) in entries.iter().enumerate() {
            match entry {
                Entry::Who(who) => list.push(who.clone()),
                Entry::File { .. } if self.files >= FILES_MAX => self.files += 1,
                Entry::File { file, column } => {
                    self.files += 1;
                    list.has_files = true;
                    let source = Source {
                        file: file.clone(),
                        name: column.clone(),
                        role: None,
                    };
                    let (rows, is_whole) = rosters.rows(&source);
                    if whole && !is_whole {
                        let message = format!(
                            "`{file}` has rows that can't be read, and who stands there would be let in; mend it first"
                        );
                        problem(&format!("{path}[{index}]"), message);
                    }
                    self.names += rows.len();
                    let file: Arc<str> = file.as_str().into();
                    for row in rows.iter() {
                        list.push_from(&file, &row.name, row.line);
                    }
                }
            }
        }
        list
    }

    fn roster(
        &mut self,
        path: &str,
        raw: &RawRoster,
        people: &mut People,
        rosters: &mut Rosters<'_>,
        problem: Tell<'_>,
    ) {
        if let Err(message) = check_file(&raw.file) {
            return problem(&format!("{path}.file"), message);
        }
        if !raw.roles.is_empty() && raw.columns.role.is_none() {
            let message =
                "says what words of a column mean; which column? Write `columns: {role: …}`";
            problem(&format!("{path}.roles"), message.into());
        }
        self.files += 1;
        if self.files > FILES_MAX {
            return;
        }
        let source = Source {
            file: raw.file.clone(),
            name: raw.columns.name.clone(),
            role: raw.columns.role.clone(),
        };
        let (rows, _) = rosters.rows(&source);
        self.names += rows.len();
        let file: Arc<str> = raw.file.as_str().into();
        let mut unknown = 0;
        for row in rows.iter() {
            match raw.role_of(&row.role) {
                Ok(role) => people.list_mut(role).push_from(&file, &row.name, row.line),
                Err(message) => {
                    unknown += 1;
                    if unknown <= WORDS_TOLD {
                        rosters.tell(&source, row.line, message);
                    }
                }
            }
        }
        if unknown > WORDS_TOLD {
            let message = format!(
                "{} more rows have no role that is known",
                unknown - WORDS_TOLD
            );
            rosters.tell(&source, 1, message);
        }
    }
}

impl RawRoster {
    /// What somebody is of whom the column says this.
    fn role_of(&self, word: &str) -> Result<Role, String> {
        let is_same = |known: &str| known.to_lowercase() == word.to_lowercase();
        let mut meant = self.roles.iter();
        if let Some((_, role)) = meant.find(|(known, _)| is_same(known)) {
            return Ok((*role).into());
        }
        let mut known = Role::ALL.into_iter();
        if let Some(role) = known.find(|role| is_same(role.as_str())) {
            return Ok(role);
        }
        match (word, self.role, &self.columns.role) {
            ("", Some(role), _) => Ok(role.into()),
            ("", None, None) => Ok(Role::Student),
            ("", None, Some(_)) => {
                Err("nothing stands where the role belongs; `role` of this roster says what they are who have none".into())
            }
            (word, ..) => Err(format!(
                "{:?} is no role; `roles` of this roster says what it means: `roles: {{…: student}}`",
                table::short(word)
            )),
        }
    }
}

fn check_labels(people: &RawPeople, problem: Tell<'_>) {
    const KEY: &str = "people.labels";
    if people.labels.len() > LABELS_MAX {
        problem(KEY, format!("has more than {LABELS_MAX} entries"));
    }
    for label in people.labels.keys() {
        let fits = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"-_.".contains(&b);
        if label.is_empty() || label.len() > 64 || !label.bytes().all(fits) {
            let shown: String = label.chars().take(40).collect();
            let message = format!(
                "`{shown}` is no label; use lower-case letters, digits, `-`, `_` and `.`, at most 64 of them: `extra-time`"
            );
            problem(KEY, message);
        }
    }
}
