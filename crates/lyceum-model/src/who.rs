//! Whom a list names: in the configuration, in course files, everywhere in the same forms.
//!
//! `ada` and `group:NAME` are understood in every list; `course:ID`, `course:ID/ROLE` and `role:NAME`
//! where it is known who holds them ([`Forms`]). What somebody is stands in [`Standing`]; who finds
//! that out is the caller's business.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::name::{UserName, is_free_name};

/// How much of a form that is not understood is shown again.
const SHOWN: usize = 32;

/// The id of a course: lower-case letters, digits, `-`, `_` and `.`; the file's name without `.yaml`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct CourseId(String);

impl CourseId {
    pub fn parse(text: &str) -> Option<Self> {
        let fits = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"-_.".contains(&b);
        let starts = text
            .bytes()
            .next()
            .is_some_and(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
        (starts && text.len() <= 64 && text.bytes().all(fits)).then(|| Self(text.into()))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for CourseId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What somebody is in a course.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum CourseRole {
    Teacher,
    Grader,
    Student,
    /// Sees what students see, and changes nothing.
    Observer,
}

impl CourseRole {
    /// The most powerful first.
    pub const ALL: [Self; 4] = [Self::Teacher, Self::Grader, Self::Student, Self::Observer];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Teacher => "teacher",
            Self::Grader => "grader",
            Self::Student => "student",
            Self::Observer => "observer",
        }
    }

    /// Whether who is this sees what others hand in.
    pub fn is_staff(self) -> bool {
        self.covers(Self::Grader)
    }

    /// Whether who is this may do in the course what the other may: teachers what graders may, these
    /// what students may, and they what observers may.
    pub fn covers(self, other: Self) -> bool {
        let rank = |role: Self| match role {
            Self::Teacher => 3,
            Self::Grader => 2,
            Self::Student => 1,
            Self::Observer => 0,
        };
        rank(self) >= rank(other)
    }
}

impl FromStr for CourseRole {
    type Err = String;

    fn from_str(word: &str) -> Result<Self, String> {
        let found = Self::ALL.into_iter().find(|role| role.as_str() == word);
        found.ok_or_else(|| {
            let known = Self::ALL.map(Self::as_str);
            let word: String = word.chars().take(SHOWN).collect();
            format!(
                "{word:?} is no role in a course; known: {}",
                known.join(", ")
            )
        })
    }
}

/// One entry of a list.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Who {
    Person(UserName),
    Group(String),
    /// Everybody who belongs to a course, or those who are something in it.
    Course {
        id: CourseId,
        role: Option<CourseRole>,
    },
    /// Whoever has a role of the hub.
    Role(String),
}

/// Which forms a list understands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Forms {
    /// `ada` and `group:NAME`.
    People,
    /// `course:ID`, `course:ID/ROLE` and `role:NAME` besides.
    All,
}

impl Forms {
    fn words(self) -> &'static str {
        match self {
            Self::People => "write a user name (`ada`) or a group (`group:staff`)",
            Self::All => {
                "write a user name (`ada`), a group (`group:staff`), people of a course (`course:signals-2026/teacher`) or of a role (`role:admin`)"
            }
        }
    }
}

/// What is known of somebody.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Standing {
    pub groups: Vec<String>,
    /// Roles of the hub.
    pub roles: Vec<String>,
    pub courses: Vec<(CourseId, Vec<CourseRole>)>,
}

impl Standing {
    pub fn of_groups(groups: &[String]) -> Self {
        Self {
            groups: groups.to_vec(),
            ..Self::default()
        }
    }
}

impl Who {
    pub fn parse(text: &str, forms: Forms) -> Result<Self, String> {
        let Some((form, rest)) = text.split_once(':') else {
            let name = UserName::parse(text).map_err(|error| format!("{text:?}: {error}"))?;
            return Ok(Self::Person(name));
        };
        let named = |form: &str| match is_free_name(rest) {
            true => Ok(rest.to_owned()),
            false => Err(format!(
                "`{form}:` needs a name of 1 to 255 bytes right behind it"
            )),
        };
        match (form, forms) {
            ("group", _) => named("group").map(Self::Group),
            ("role", Forms::All) => named("role").map(Self::Role),
            ("course", Forms::All) => course(rest),
            _ => {
                let form: String = form.chars().take(SHOWN).collect();
                Err(format!(
                    "`{form}:` is no way to name people here; {}",
                    forms.words()
                ))
            }
        }
    }

    /// Whether it names this person.
    pub fn is(&self, name: &UserName, standing: &Standing) -> bool {
        match self {
            Self::Person(own) => own == name,
            Self::Group(group) => standing.groups.contains(group),
            Self::Role(role) => standing.roles.contains(role),
            Self::Course { id, role } => standing.courses.iter().any(|(course, roles)| {
                course == id
                    && match role {
                        None => !roles.is_empty(),
                        Some(role) => roles.contains(role),
                    }
            }),
        }
    }

    /// As [`Who::is`], of somebody of whom only groups are known.
    pub fn is_among(&self, name: &str, groups: &[String]) -> bool {
        match self {
            Self::Person(own) => own.as_str() == name,
            Self::Group(group) => groups.contains(group),
            Self::Course { .. } | Self::Role(_) => false,
        }
    }
}

/// A whole list, however long: people by name, and groups.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Listed {
    pub people: BTreeSet<UserName>,
    pub groups: BTreeSet<String>,
}

impl Listed {
    /// Whether it names somebody who is in these groups.
    pub fn has(&self, name: &UserName, groups: &[String]) -> bool {
        self.people.contains(name) || groups.iter().any(|group| self.groups.contains(group))
    }
}

impl FromIterator<Who> for Listed {
    /// Of those forms that lists of people understand.
    fn from_iter<I: IntoIterator<Item = Who>>(list: I) -> Self {
        let mut listed = Self::default();
        for who in list {
            match who {
                Who::Person(name) => drop(listed.people.insert(name)),
                Who::Group(group) => drop(listed.groups.insert(group)),
                Who::Course { .. } | Who::Role(_) => {}
            }
        }
        listed
    }
}

impl From<BTreeSet<UserName>> for Listed {
    fn from(people: BTreeSet<UserName>) -> Self {
        Self {
            people,
            groups: BTreeSet::new(),
        }
    }
}

fn course(text: &str) -> Result<Who, String> {
    let (id, role) = match text.split_once('/') {
        Some((id, role)) => (id, Some(role)),
        None => (text, None),
    };
    let id = CourseId::parse(id).ok_or_else(|| {
        let id: String = id.chars().take(SHOWN).collect();
        format!(
            "{id:?} is not the id of a course: lower-case letters, digits, `-`, `_` and `.`, such as `course:signals-2026/teacher`"
        )
    })?;
    let role = match role {
        None => None,
        Some(word) => Some(word.parse()?),
    };
    Ok(Who::Course { id, role })
}

impl fmt::Display for Who {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Person(name) => write!(f, "{name}"),
            Self::Group(group) => write!(f, "group:{group}"),
            Self::Role(role) => write!(f, "role:{role}"),
            Self::Course { id, role: None } => write!(f, "course:{id}"),
            Self::Course {
                id,
                role: Some(role),
            } => write!(f, "course:{id}/{}", role.as_str()),
        }
    }
}

impl Serialize for Who {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

/// In the forms that every list understands.
impl<'de> Deserialize<'de> for Who {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = String::deserialize(from)?;
        Self::parse(&text, Forms::People).map_err(serde::de::Error::custom)
    }
}

impl JsonSchema for Who {
    fn schema_name() -> Cow<'static, str> {
        "Who".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "description": "Somebody: `ada` or `group:NAME`.",
            "minLength": 1,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> UserName {
        UserName::parse(text).expect("a good name")
    }

    #[test]
    fn forms_are_read_and_print_as_they_are_written() {
        let check = |text: &str, people: bool, all: bool| {
            for (forms, good) in [(Forms::People, people), (Forms::All, all)] {
                let who = Who::parse(text, forms);
                assert_eq!(who.is_ok(), good, "{text:?}: {who:?}");
                if let Ok(who) = who {
                    assert_eq!(who.to_string(), text);
                }
            }
        };
        check("ada", true, true);
        check("group:it jupyter", true, true);
        check("group:a:b", true, true);
        check("course:signals-2026", false, true);
        check("course:signals-2026/teacher", false, true);
        check("role:admin", false, true);
        for bad in [
            "",
            "a b",
            "group:",
            "group: it",
            "file:blocked.csv",
            "course:",
            "course:Signals",
            "course:signals/",
            "course:signals/teachers",
            "role:",
        ] {
            check(bad, false, false);
        }
    }

    #[test]
    fn mistakes_say_what_to_write() {
        let check = |text: &str, words: &str| {
            let said = Who::parse(text, Forms::All).expect_err("a mistake");
            assert!(said.contains(words), "{said}");
        };
        check("file:x.csv", "`file:`");
        check(
            "course:bio/teachers",
            "known: teacher, grader, student, observer",
        );
        check("group:", "`group:` needs a name");
    }

    #[test]
    fn whom_they_name() {
        let id = |text: &str| CourseId::parse(text).expect("a good id");
        let standing = Standing {
            groups: vec!["staff".into()],
            roles: vec!["user".into(), "helps".into()],
            courses: vec![
                (id("bio"), vec![CourseRole::Grader, CourseRole::Student]),
                (id("art"), vec![]),
            ],
        };
        let check = |text: &str, expect: bool| {
            let who = Who::parse(text, Forms::All).expect("good");
            assert_eq!(who.is(&name("ada"), &standing), expect, "{text}");
        };
        check("ada", true);
        check("ad", false);
        check("group:staff", true);
        check("group:staf", false);
        check("role:helps", true);
        check("role:help", false);
        check("course:bio", true);
        check("course:bio/grader", true);
        check("course:bio/teacher", false);
        check("course:art", false);
        check("course:bi", false);
    }
}
