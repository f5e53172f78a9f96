//! Of which servers a rule of the configuration speaks: whose they are, what they were made from.
//!
//! Rules about idle servers ([`crate::cull`]) and quotas ([`crate::quota`]) say it in the same way.
//! Servers that were read are held against it here; [`crate::db::quotas`] says the same in SQL.

use crate::db::servers::Server;

/// All that is given must fit; what is left out fits everything.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Selector {
    pub people: Option<People>,
    /// Slugs of profiles.
    pub profiles: Option<Vec<String>>,
    /// Ids of courses.
    pub courses: Option<Vec<String>>,
    /// Ids of courses that they are not of.
    pub beside_courses: Option<Vec<String>>,
    /// Servers of administrators, or of nobody else.
    pub admins: Option<bool>,
    /// Named servers, or default ones.
    pub named: Option<bool>,
    /// What starts have in common that fail together; no rule of a configuration names it.
    pub environment: Option<String>,
}

/// Somebody of these names, or of these groups.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct People {
    pub names: Vec<String>,
    pub groups: Vec<String>,
}

/// A server and what its own row does not tell.
#[derive(Debug, Clone, Copy)]
pub struct Subject<'a> {
    pub server: &'a Server,
    /// Whether its owner is an administrator.
    pub admin: bool,
    /// Her groups.
    pub groups: &'a [String],
}

impl Selector {
    pub fn takes(&self, subject: Subject<'_>) -> bool {
        let server = subject.server;
        let people = self.people.as_ref().is_none_or(|people| {
            people
                .names
                .iter()
                .any(|name| *name == server.user_name.as_str())
                || people
                    .groups
                    .iter()
                    .any(|group| subject.groups.contains(group))
        });
        people
            && among(self.profiles.as_deref(), server.profile.as_deref())
            && among(self.courses.as_deref(), server.course.as_deref())
            && self.beside_courses.as_deref().is_none_or(|list| {
                !list
                    .iter()
                    .any(|entry| server.course.as_deref() == Some(entry))
            })
            && self.admins.is_none_or(|admins| admins == subject.admin)
            && self
                .named
                .is_none_or(|named| named != server.name.is_default())
            && (self.environment.is_none() || self.environment == server.environment)
    }
}

fn among(list: Option<&[String]>, one: Option<&str>) -> bool {
    list.is_none_or(|list| one.is_some_and(|one| list.iter().any(|entry| entry == one)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::db::users::User;
    use lyceum_model::name::{ServerName, UserName};

    #[test]
    fn all_that_is_given_must_fit() {
        let owner = User::named(UserName::parse("ada").expect("a name"));
        let name = ServerName::parse("gpu").expect("a name");
        let server = Server {
            profile: Some("big".into()),
            course: Some("bio".into()),
            ..Server::unborn(&owner, name)
        };
        let groups = ["staff".to_owned()];
        let check = |selector: Selector, expect: bool| {
            let subject = Subject {
                server: &server,
                admin: false,
                groups: &groups,
            };
            assert_eq!(selector.takes(subject), expect, "{selector:?}");
        };
        let people = |names: &[&str], groups: &[&str]| {
            let list = |list: &[&str]| list.iter().map(|&one| one.to_owned()).collect();
            Some(People {
                names: list(names),
                groups: list(groups),
            })
        };
        let list = |one: &str| Some(vec![one.to_owned()]);
        let any = Selector::default;
        check(any(), true);
        check(
            Selector {
                people: people(&["ada"], &[]),
                ..any()
            },
            true,
        );
        check(
            Selector {
                people: people(&["ben"], &["staff"]),
                ..any()
            },
            true,
        );
        check(
            Selector {
                people: people(&["ben"], &["students"]),
                ..any()
            },
            false,
        );
        check(
            Selector {
                people: people(&[], &[]),
                ..any()
            },
            false,
        );
        check(
            Selector {
                profiles: list("big"),
                ..any()
            },
            true,
        );
        check(
            Selector {
                profiles: list("small"),
                ..any()
            },
            false,
        );
        check(
            Selector {
                courses: list("bio"),
                ..any()
            },
            true,
        );
        for (course, expect) in [("bio", false), ("chem", true)] {
            check(
                Selector {
                    beside_courses: list(course),
                    ..any()
                },
                expect,
            );
        }
        check(
            Selector {
                courses: list("bio"),
                profiles: list("small"),
                ..any()
            },
            false,
        );
        check(
            Selector {
                admins: Some(true),
                ..any()
            },
            false,
        );
        check(
            Selector {
                admins: Some(false),
                ..any()
            },
            true,
        );
        check(
            Selector {
                named: Some(true),
                ..any()
            },
            true,
        );
        check(
            Selector {
                named: Some(false),
                ..any()
            },
            false,
        );
        check(
            Selector {
                environment: Some("x".into()),
                ..any()
            },
            false,
        );
    }
}
