//! How courses of learning platforms are called here: as groups, three of each, for those who teach, grade
//! and take it. Course files name them as their people; who is in them the platform says, and nobody else.

use crate::digest::Digest;
use crate::name::FREE_NAME_MAX;
use crate::who::CourseRole;

/// What the names of all such groups begin with.
const MARK: &str = "lti:";

/// By what of a course at a platform it is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum By {
    /// The platform's own mark for it, which nobody chooses.
    Context,
    /// Its short name there.
    Label,
    /// The parameter `course` of the link.
    Link,
}

impl By {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Context => "context",
            Self::Label => "label",
            Self::Link => "link",
        }
    }
}

/// A course at a platform.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// The id of the way in; it has letters, digits and hyphens, or nothing.
    pub platform: String,
    pub by: By,
    pub value: String,
}

impl Place {
    /// The group of those who are this in it. Two places never have one group: what stands between the
    /// second colon and the last slash is the value whole, or behind a `#` its digest where it is long or
    /// can't be a part of a name.
    pub fn group(&self, role: CourseRole) -> String {
        let (platform, by) = (&self.platform, self.by.as_str());
        let role = role.as_str();
        let taken = MARK.len() + platform.len() + by.len() + role.len() + 4;
        let room = FREE_NAME_MAX.saturating_sub(taken);
        let fits = self.value.len() <= room && !self.value.chars().any(char::is_control);
        match fits {
            true => format!("{MARK}{platform}:{by}:{}/{role}", self.value),
            false => {
                let digest = Digest::of(self.value.as_bytes()).to_hex();
                format!("{MARK}{platform}:{by}#{digest}/{role}")
            }
        }
    }
}

/// Whether only a platform says who is in a group of this name.
pub fn is_platforms(group: &str) -> bool {
    group.starts_with(MARK)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::name::is_free_name;

    #[test]
    fn every_place_has_groups_of_its_own() {
        let place = |platform: &str, by: By, value: &str| Place {
            platform: platform.into(),
            by,
            value: value.into(),
        };
        let long = "x".repeat(255);
        let digest = Digest::of(long.as_bytes()).to_hex();
        let places = [
            place("", By::Context, "42"),
            place("", By::Label, "42"),
            place("moodle", By::Context, "42"),
            place("moodle", By::Context, "42/teacher"),
            place("moodle", By::Context, "42:teacher"),
            place("moodle", By::Context, " 42 "),
            place("moodle", By::Context, &long),
            place("moodle", By::Context, &format!("#{digest}")),
            place("moodle", By::Context, &digest),
            place("moodle", By::Context, ""),
        ];
        let mut groups: Vec<String> = places
            .iter()
            .flat_map(|place| CourseRole::ALL.map(|role| place.group(role)))
            .collect();
        assert_eq!(groups[2], "lti::context:42/student");
        for group in &groups {
            assert!(is_free_name(group) && is_platforms(group), "{group}");
        }
        let many = groups.len();
        groups.sort();
        groups.dedup();
        assert_eq!(groups.len(), many);
    }
}
