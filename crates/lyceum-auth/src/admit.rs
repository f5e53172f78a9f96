//! Who may come in, once it is clear who it is: nobody who was not named.
//!
//! A local account was made for someone, so having one is being named. Whoever another source
//! vouches for has to be on the allow list, or to have an account here already where that is enough.
//! Where there is an allow list, it alone names people. The block list is for all; administrators are
//! always allowed, but can be blocked.

use async_trait::async_trait;
use lyceum_model::identity::Identity;

use crate::config::{Listed, People};

/// What is known here of somebody, beside what her source tells of her.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Here {
    /// She has an account.
    pub exists: bool,
    /// An administrator by a role that was given here: neither the lists nor her source gave it.
    pub administers: bool,
    /// Without those that her source told before and does not tell now.
    pub groups: Vec<String>,
}

/// Tells it. Implemented by the hub.
#[async_trait]
pub trait KnownHere: Send + Sync {
    async fn here(&self, identity: &Identity) -> anyhow::Result<Here>;
}

/// Nobody is known but by what a source tells.
#[derive(Debug, Clone, Copy, Default)]
pub struct NobodyKnown;

#[async_trait]
impl KnownHere for NobodyKnown {
    async fn here(&self, _identity: &Identity) -> anyhow::Result<Here> {
        Ok(Here::default())
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

    /// Whether it matters what is known here of somebody.
    pub fn asks(&self) -> bool {
        let People {
            admins,
            allow,
            existing,
            block,
        } = &self.people;
        let mut lists = [admins, block].into_iter();
        *existing || allow.is_some() || lists.any(|list| !list.groups.is_empty())
    }

    /// `named`: the source knows only people whom an administrator has named.
    pub fn check(&self, identity: &Identity, named: bool, here: &Here) -> Admitted {
        let (people, name) = (&self.people, &identity.name);
        let told = identity.groups.as_deref().unwrap_or_default();
        let lists = |list: &Listed| list.has(name, &here.groups) || list.has(name, told);
        let allowed = match &people.allow {
            Some(allow) => lists(allow),
            None => named,
        };
        let known = here.administers || people.existing && here.exists;
        if lists(&people.block) || !(allowed || known || lists(&people.admins)) {
            return Admitted::No;
        }
        // A group gives its members a role for as long as they are in it; that needs no mark of their own.
        let admin = people.admins.people.contains(name);
        Admitted::Yes { admin }
    }
}

#[cfg(test)]
mod tests {
    use lyceum_model::name::UserName;
    use lyceum_model::who::{Forms, Who};

    use super::*;

    fn list(text: &str) -> Listed {
        let entries = text.split_whitespace();
        let entries = entries.map(|who| Who::parse(who, Forms::People).unwrap());
        entries.collect()
    }

    fn words(text: &str) -> Vec<String> {
        text.split_whitespace().map(str::to_owned).collect()
    }

    fn identity(name: &str, told: &str) -> Identity {
        let mut identity = Identity::named(UserName::parse(name).unwrap());
        identity.groups = Some(words(told));
        identity
    }

    const YES: Admitted = Admitted::Yes { admin: false };
    const ADMIN: Admitted = Admitted::Yes { admin: true };

    #[test]
    fn nobody_unless_named() {
        let admission = Admission::new(People {
            admins: list("root group:it"),
            allow: Some(list("ada group:staff")),
            existing: false,
            block: list("mallory group:banned"),
        });
        let check = |name: &str, named: bool, told: &str, here: &str, expect: Admitted| {
            let here = Here {
                exists: true,
                administers: here.contains("granted"),
                groups: words(here),
            };
            let found = admission.check(&identity(name, told), named, &here);
            assert_eq!(found, expect, "{name}");
        };
        check("ada", false, "", "", YES);
        check("ben", false, "", "", Admitted::No);
        check("ben", true, "", "", Admitted::No);
        check("ada", true, "", "", YES);
        check("ben", false, "staff", "", YES);
        check("ben", false, "", "staff", YES);
        check("ben", false, "it", "", YES);
        check("root", false, "", "", ADMIN);
        // Who was made one here is no less one because a list does not name her.
        check("ben", true, "", "granted", YES);
        check("mallory", true, "", "granted", Admitted::No);
        check("mallory", true, "staff", "", Admitted::No);
        check("ada", true, "", "banned", Admitted::No);
        check("root", true, "banned", "", Admitted::No);
        assert!(admission.asks());
    }

    #[test]
    fn whoever_has_an_account_already_where_that_is_enough() {
        let check = |allow: Option<&str>, name: &str, exists: bool, expect: Admitted| {
            let admission = Admission::new(People {
                allow: allow.map(list),
                existing: true,
                block: list("mallory"),
                ..People::default()
            });
            assert!(admission.asks());
            let here = Here {
                exists,
                ..Here::default()
            };
            let found = admission.check(&identity(name, ""), false, &here);
            assert_eq!(found, expect, "{name}");
        };
        check(None, "ada", true, YES);
        check(None, "ada", false, Admitted::No);
        check(Some("ben"), "ada", true, YES);
        check(Some("ben"), "ada", false, Admitted::No);
        check(Some("ben"), "ben", false, YES);
        check(Some("ben"), "mallory", true, Admitted::No);
    }

    #[test]
    fn without_lists_only_local_accounts_come_in() {
        let admission = Admission::default();
        let check = |named: bool, expect: Admitted| {
            let here = Here {
                exists: true,
                ..Here::default()
            };
            assert_eq!(admission.check(&identity("ada", ""), named, &here), expect);
        };
        check(false, Admitted::No);
        check(true, YES);
        assert!(!admission.asks());
    }
}
