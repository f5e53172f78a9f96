//! What a course file may say.

use std::fmt;

use lyceum_model::name::UserName;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

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

/// A course.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Course {
    /// The title people see.
    pub title: String,
    /// The term, in the words of the university: `autumn 2026`.
    #[serde(default)]
    pub term: Option<String>,
    /// Who sees that the course exists.
    #[serde(default)]
    pub visible: Visibility,
    /// Who belongs to it.
    #[serde(default)]
    pub people: People,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Visibility {
    /// Everybody.
    Listed,
    /// Those who belong to it.
    #[default]
    Enrolled,
    /// Its teachers.
    Private,
    /// Nobody any more; the files stay.
    Archived,
}

/// People by role, each by name (`ada`) or group (`group:NAME`).
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct People {
    /// They own the course.
    pub teachers: Vec<Member>,
    /// They grade.
    pub graders: Vec<Member>,
    /// They take it.
    pub students: Vec<Member>,
}

/// One entry of a list of people.
#[derive(Debug, Clone, PartialEq, Eq, JsonSchema)]
#[schemars(with = "String")]
pub enum Member {
    Person(UserName),
    Group(String),
}

impl Member {
    pub fn parse(text: &str) -> Result<Self, String> {
        match text.split_once(':') {
            None => UserName::parse(text)
                .map(Self::Person)
                .map_err(|error| format!("{text:?}: {error}")),
            Some(("group", name)) if !name.trim().is_empty() => Ok(Self::Group(name.trim().into())),
            Some(("group", _)) => Err("`group:` needs the name of a group behind it".into()),
            Some((kind, _)) => Err(format!(
                "`{kind}:` is no way to name people; write a user name (`ada`) or a group (`group:staff`)"
            )),
        }
    }

    fn is(&self, user: &UserName, groups: &[String]) -> bool {
        match self {
            Self::Person(name) => name == user,
            Self::Group(name) => groups.contains(name),
        }
    }
}

impl<'de> Deserialize<'de> for Member {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = String::deserialize(from)?;
        Self::parse(&text).map_err(serde::de::Error::custom)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    Teacher,
    Grader,
    Student,
}

impl Role {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Teacher => "teacher",
            Self::Grader => "grader",
            Self::Student => "student",
        }
    }
}

impl Course {
    /// The roles of a person here, the most powerful first.
    pub fn roles_of(&self, user: &UserName, groups: &[String]) -> Vec<Role> {
        let lists = [
            (Role::Teacher, &self.people.teachers),
            (Role::Grader, &self.people.graders),
            (Role::Student, &self.people.students),
        ];
        lists
            .into_iter()
            .filter(|(_, members)| members.iter().any(|member| member.is(user, groups)))
            .map(|(role, _)| role)
            .collect()
    }

    /// Whether a person with these roles sees it on her page.
    pub fn shows(&self, roles: &[Role]) -> bool {
        match self.visible {
            Visibility::Listed => true,
            Visibility::Enrolled => !roles.is_empty(),
            Visibility::Private => roles.contains(&Role::Teacher),
            Visibility::Archived => false,
        }
    }
}
