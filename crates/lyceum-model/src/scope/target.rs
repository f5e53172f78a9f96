//! The question "may I?": on what it is asked, and what can be answered.

use std::collections::{BTreeMap, BTreeSet};

use super::Filter;
use crate::name::{ServerName, UserName};

/// On what something is to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target<'a> {
    /// The whole hub, or all resources of a kind. Only an unfiltered scope reaches it; to list
    /// what a filtered one reaches, see [`super::ScopeSet::reach`].
    Everything,
    User(&'a UserName),
    Server(&'a UserName, &'a ServerName),
    Group(&'a str),
    Service(&'a str),
}

/// The answer. The middle one keeps what exists from those who may not know it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    Yes,
    /// The scope is held, but not for this target: answer as if the target did not exist (404).
    NotFound,
    /// The scope is not held at all (403).
    No,
}

impl Verdict {
    pub fn is_yes(self) -> bool {
        self == Self::Yes
    }
}

/// Who is in which group, as far as the question at hand needs it.
pub trait Membership {
    fn user_in_group(&self, user: &UserName, group: &str) -> bool;
}

impl<F: Fn(&UserName, &str) -> bool> Membership for F {
    fn user_in_group(&self, user: &UserName, group: &str) -> bool {
        self(user, group)
    }
}

/// Nobody is in any group: for questions where groups play no part.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoGroups;

impl Membership for NoGroups {
    fn user_in_group(&self, _user: &UserName, _group: &str) -> bool {
        false
    }
}

/// The members of some groups, as they were at one moment. In the others nobody is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Members(BTreeMap<String, BTreeSet<UserName>>);

impl Members {
    pub fn set(&mut self, group: &str, members: BTreeSet<UserName>) {
        self.0.insert(group.to_owned(), members);
    }

    /// Whether it was looked up who is in this group.
    pub fn knows(&self, group: &str) -> bool {
        self.0.contains_key(group)
    }

    pub fn of(&self, group: &str) -> impl Iterator<Item = &UserName> {
        self.0.get(group).into_iter().flatten()
    }
}

impl Membership for Members {
    fn user_in_group(&self, user: &UserName, group: &str) -> bool {
        self.0.get(group).is_some_and(|known| known.contains(user))
    }
}

impl Filter {
    /// Whether it lets through what is asked for.
    pub fn matches(&self, target: Target<'_>, members: &dyn Membership) -> bool {
        match (self, target) {
            (Self::All, _) => true,
            (Self::User(held), Target::User(user) | Target::Server(user, _)) => held == user,
            (Self::Group(held), Target::User(user) | Target::Server(user, _)) => {
                members.user_in_group(user, held)
            }
            (Self::Group(held), Target::Group(group)) => held == group,
            (Self::Server { user, server }, Target::Server(of, name)) => {
                user == of && server == name
            }
            (Self::Service(held), Target::Service(service)) => held == service,
            _ => false,
        }
    }

    /// Whether it lets through everything that `other` does.
    pub fn covers(&self, other: &Self, members: &dyn Membership) -> bool {
        if self == other {
            return true;
        }
        match other {
            Self::User(user) => self.matches(Target::User(user), members),
            Self::Server { user, server } => self.matches(Target::Server(user, server), members),
            // A group's members change; only everything covers it for good.
            Self::All
            | Self::Group(_)
            | Self::Service(_)
            | Self::SelfUser
            | Self::SelfServer
            | Self::SelfService => *self == Self::All,
        }
    }

    /// What both let through. Two different groups meet in nothing: "in both" is no filter.
    pub fn meet(&self, other: &Self, members: &dyn Membership) -> Option<Self> {
        if self.covers(other, members) {
            Some(other.clone())
        } else if other.covers(self, members) {
            Some(self.clone())
        } else {
            None
        }
    }
}
