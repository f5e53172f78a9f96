//! What a course file may say.

use lyceum_model::name::UserName;
pub use lyceum_model::who::{CourseId, CourseRole as Role, Who};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::schedule::Meeting;

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
    /// When many come at once; room is made for them before.
    #[serde(default)]
    pub schedule: Vec<Meeting>,
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
    pub teachers: Vec<Who>,
    /// They grade.
    pub graders: Vec<Who>,
    /// They take it.
    pub students: Vec<Who>,
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
            .filter(|(_, members)| {
                members
                    .iter()
                    .any(|member| member.is_among(user.as_str(), groups))
            })
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
