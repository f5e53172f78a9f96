//! Who may come in, once it is clear who it is: nobody who was not named.
//!
//! A local account was made for someone, so having one is being named. Whoever another source
//! vouches for has to be on the allow list. Where there is an allow list, it alone names people. The block list is for all; administrators are
//! always allowed, but can be blocked.

use async_trait::async_trait;
use lyceum_model::identity::Identity;
use lyceum_model::name::UserName;

use crate::config::{People, Who};

/// The groups that a person is in here, beside those her source tells. Implemented by the hub.
#[async_trait]
pub trait GroupsOf: Send + Sync {
    async fn groups_of(&self, name: &UserName) -> anyhow::Result<Vec<String>>;
}

/// There are no groups but those a source tells.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoGroupsKnown;

#[async_trait]
impl GroupsOf for NoGroupsKnown {
    async fn groups_of(&self, _name: &UserName) -> anyhow::Result<Vec<String>> {
        Ok(Vec::new())
    }
}

/// The lists of the configuration as a rule.
#[derive(Debug, Clone, Default)]
pub struct Admission {
    people: People,
}

/// What the lists say of someone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Admitted {
    Yes { admin: bool },
    No,
}

impl Admission {
    pub fn new(people: People) -> Self {
        Self { people }
    }

    /// Whether any list names a group; only then does it matter who is in which.
    pub fn needs_groups(&self) -> bool {
        let People {
            admins,
            allow,
            block,
        } = &self.people;
        let allow = allow.as_deref().unwrap_or_default();
        [admins, allow, block]
            .into_iter()
            .flatten()
            .any(|who| matches!(who, Who::Group(_)))
    }

    /// `named`: the source knows only people whom an administrator has named. `groups`: those the
    /// person is in here; the ones her source tells are added.
    pub fn check(&self, identity: &Identity, named: bool, groups: &[String]) -> Admitted {
        let told = identity.groups.as_deref().unwrap_or_default();
        let lists = |list: &[Who]| {
            list.iter().any(|who| {
                let name = identity.name.as_str();
                who.is_among(name, groups) || who.is_among(name, told)
            })
        };
        let admin = lists(&self.people.admins);
        let allowed = match &self.people.allow {
            Some(allow) => lists(allow),
            None => named,
        };
        if lists(&self.people.block) || !(admin || allowed) {
            return Admitted::No;
        }
        Admitted::Yes { admin }
    }
}

#[cfg(test)]
mod tests {
    use lyceum_model::who::Forms;

    use super::*;

    #[test]
    fn nobody_unless_named() {
        let list = |text: &str| {
            text.split_whitespace()
                .map(|who| Who::parse(who, Forms::People).unwrap())
                .collect::<Vec<_>>()
        };
        let admission = Admission::new(People {
            admins: list("root group:it"),
            allow: Some(list("ada group:staff")),
            block: list("mallory group:banned"),
        });
        let check = |name: &str, named: bool, told: &str, here: &str, expect: Admitted| {
            let words = |text: &str| text.split_whitespace().map(str::to_owned).collect();
            let mut identity = Identity::named(UserName::parse(name).unwrap());
            identity.groups = Some(words(told));
            let here: Vec<String> = words(here);
            assert_eq!(admission.check(&identity, named, &here), expect, "{name}");
        };
        let (yes, admin) = (
            Admitted::Yes { admin: false },
            Admitted::Yes { admin: true },
        );
        check("ada", false, "", "", yes);
        check("ben", false, "", "", Admitted::No);
        check("ben", true, "", "", Admitted::No);
        check("ada", true, "", "", yes);
        check("ben", false, "staff", "", yes);
        check("ben", false, "", "staff", yes);
        check("ben", false, "it", "", admin);
        check("root", false, "", "", admin);
        check("mallory", true, "staff", "", Admitted::No);
        check("ada", true, "", "banned", Admitted::No);
        check("root", true, "banned", "", Admitted::No);
        assert!(admission.needs_groups());
    }

    #[test]
    fn without_lists_only_local_accounts_come_in() {
        let admission = Admission::default();
        let ada = Identity::named(UserName::parse("ada").unwrap());
        assert_eq!(admission.check(&ada, false, &[]), Admitted::No);
        assert_eq!(
            admission.check(&ada, true, &[]),
            Admitted::Yes { admin: false }
        );
        assert!(!admission.needs_groups());
    }
}
