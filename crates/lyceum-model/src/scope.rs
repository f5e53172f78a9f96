//! What a caller may do: JupyterHub's scopes as one table and an algebra over it.
//!
//! A [`Scope`] is a name and a [`Filter`]: `read:users!group=staff`. A [`ScopeSet`] is what a role,
//! a token or a caller holds. The rules are pure; who is in which group comes in by
//! [`Membership`].
//!
//! Reading order: [`ScopeName`] (the table: `scope/table.rs`), [`Scope`] and [`Filter`] (text and
//! back, here), [`Vocabulary`] (scopes that a site defines itself), [`Target`] and [`Verdict`] (the
//! question and its answer), [`ScopeSet`] (the algebra), the default roles.
//!
//! Not here: which route needs which scope (each part's handlers), who has which role (the hub).

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::name::{FREE_NAME_MAX, NameError, ServerName, UserName, is_free_name};

mod custom;
#[cfg(test)]
mod properties;
mod role;
mod set;
mod table;
mod target;

pub use custom::{Custom, CustomError, Definition, Vocabulary};
pub use role::{
    admin_role, identity_scopes, server_role, service_identity_scopes, token_role, user_role,
};
pub use set::{Owner, ScopeSet};
pub use table::ScopeName;
pub use target::{Members, Membership, NoGroups, Target, Verdict};

/// Longest name of a group or service in a filter.
const FILTER_NAME_MAX: usize = FREE_NAME_MAX;
/// How much of a refused text an error repeats.
const SHOWN: usize = 48;

/// One permission: a name, and to whom or what it is narrowed down.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Scope {
    pub name: ScopeName,
    pub filter: Filter,
}

/// What a scope is narrowed down to.
///
/// Invariant: a filter whose owner has not been filled in ([`Filter::is_open`]) matches nothing, so
/// forgetting [`ScopeSet::resolve`] denies and never grants.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Filter {
    /// No filter: everything there is.
    All,
    /// One person, and with her all her servers.
    User(UserName),
    /// The group itself, the people in it and their servers.
    Group(String),
    Server {
        user: UserName,
        server: ServerName,
    },
    Service(String),
    /// `!user`: the person who holds it.
    SelfUser,
    /// `!server`: the server that holds it.
    SelfServer,
    /// `!service`: the service that holds it.
    SelfService,
}

/// Why a scope can't be read, in words for whoever wrote it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ScopeError {
    #[error("there is no scope {0:?}")]
    Unknown(String),
    #[error("there is no scope {0:?}; did you mean {1:?}?")]
    Misspelt(String, &'static str),
    #[error("the scope {0:?} takes no filter")]
    Unfiltered(&'static str),
    #[error(
        "{0:?} is no filter; the filters are !user, !user=NAME, !group=NAME, !server, !server=USER/SERVER, !service, !service=NAME"
    )]
    Filter(String),
    #[error("the filter {0:?} names nobody who can exist: {1}")]
    Name(String, NameError),
    #[error(
        "the filter {0:?} needs a name of 1 to {FILTER_NAME_MAX} bytes without control characters and without spaces at its ends"
    )]
    FilterName(String),
}

impl Scope {
    pub fn new(name: ScopeName, filter: Filter) -> Self {
        Self { name, filter }
    }

    /// The scope without a filter.
    pub fn all(name: ScopeName) -> Self {
        Self::new(name, Filter::All)
    }

    /// Reads `NAME` or `NAME!FILTER`, of JupyterHub's own scopes; [`Vocabulary::parse`] knows more.
    pub fn parse(text: &str) -> Result<Self, ScopeError> {
        Self::parse_in(text, &Vocabulary::default())
    }

    fn parse_in(text: &str, vocabulary: &Vocabulary) -> Result<Self, ScopeError> {
        let (name, filter) = match text.split_once('!') {
            Some((name, filter)) => (name, Some(filter)),
            None => (text, None),
        };
        let known = ScopeName::find(name).or_else(|| vocabulary.find(name));
        let name = known.ok_or_else(|| match vocabulary.nearest(name) {
            Some(near) => ScopeError::Misspelt(shorten(name), near.as_str()),
            None => ScopeError::Unknown(shorten(name)),
        })?;
        let Some(filter) = filter else {
            return Ok(Self::all(name));
        };
        if name.is_meta() {
            return Err(ScopeError::Unfiltered(name.as_str()));
        }
        Ok(Self::new(name, Filter::parse(filter)?))
    }
}

impl Filter {
    /// Reads what stands behind the `!`.
    fn parse(text: &str) -> Result<Self, ScopeError> {
        let shown = || format!("!{}", shorten(text));
        let user = |name: &str| {
            UserName::parse_kept(name).map_err(|problem| ScopeError::Name(shown(), problem))
        };
        let free = |name: &str| {
            is_free_name(name)
                .then(|| name.to_owned())
                .ok_or_else(|| ScopeError::FilterName(shown()))
        };
        match text.split_once('=') {
            None if text == "user" => Ok(Self::SelfUser),
            None if text == "server" => Ok(Self::SelfServer),
            None if text == "service" => Ok(Self::SelfService),
            Some(("user", name)) => Ok(Self::User(user(name)?)),
            Some(("group", name)) => Ok(Self::Group(free(name)?)),
            Some(("service", name)) => Ok(Self::Service(free(name)?)),
            Some(("server", full)) => {
                let (owner, server) = full
                    .split_once('/')
                    .ok_or_else(|| ScopeError::Filter(shown()))?;
                let server = ServerName::parse(server)
                    .map_err(|problem| ScopeError::Name(shown(), problem))?;
                Ok(Self::Server {
                    user: user(owner)?,
                    server,
                })
            }
            _ => Err(ScopeError::Filter(shown())),
        }
    }

    /// Whether its owner is still to be filled in.
    pub fn is_open(&self) -> bool {
        matches!(self, Self::SelfUser | Self::SelfServer | Self::SelfService)
    }
}

/// The start of a text that came from outside, fit to be shown.
fn shorten(text: &str) -> String {
    let mut start: String = text.chars().take(SHOWN).collect();
    if start.len() < text.len() {
        start.push('…');
    }
    start
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = self.name.as_str();
        match &self.filter {
            Filter::All => f.write_str(name),
            Filter::User(user) => write!(f, "{name}!user={user}"),
            Filter::Group(group) => write!(f, "{name}!group={group}"),
            Filter::Server { user, server } => write!(f, "{name}!server={user}/{server}"),
            Filter::Service(service) => write!(f, "{name}!service={service}"),
            Filter::SelfUser => write!(f, "{name}!user"),
            Filter::SelfServer => write!(f, "{name}!server"),
            Filter::SelfService => write!(f, "{name}!service"),
        }
    }
}

impl FromStr for Scope {
    type Err = ScopeError;
    fn from_str(text: &str) -> Result<Self, ScopeError> {
        Self::parse(text)
    }
}

impl Serialize for Scope {
    fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Scope {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = String::deserialize(from)?;
        Self::parse(&text).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scopes_are_read_and_printed() {
        for text in [
            "self",
            "read:users",
            "read:users!user",
            "read:users!user=ada@example.edu",
            "list:users!group=Staff of 2026",
            "groups!group=a!b=c",
            "access:servers!server",
            "access:servers!server=ada/",
            "access:servers!server=ada/gpu-1",
            "access:servers!server=course:bio/",
            "access:services!service",
            "access:services!service=formgrader",
        ] {
            assert_eq!(Scope::parse(text).unwrap().to_string(), text);
        }
    }

    #[test]
    fn what_is_wrong_is_said() {
        let check = |text: &str, expect: &str| {
            let said = Scope::parse(text).unwrap_err().to_string();
            assert!(said.contains(expect), "{text:?}: {said}");
        };
        check("read:user", "did you mean \"read:users\"?");
        check("acess:servers", "did you mean \"access:servers\"?");
        check("xyzzyplugh", "there is no scope \"xyzzyplugh\"");
        check("", "there is no scope \"\"");
        check("self!user=ada", "takes no filter");
        check("inherit!server", "takes no filter");
        check("users!", "is no filter");
        check("users!course=bio", "is no filter");
        check("users!group", "is no filter");
        check("users!server=ada", "is no filter");
        check("users!user=", "the name is empty");
        check("users!user=a b", "names nobody who can exist");
        check("users!server=ada/A", "a server name has");
        check("users!group=", "needs a name of 1 to 255 bytes");
        check("users!group=a\nb", "needs a name of 1 to 255 bytes");
        check("users!group= a", "needs a name of 1 to 255 bytes");
    }

    #[test]
    fn a_huge_text_is_not_repeated() {
        let name = Scope::parse(&"é\n".repeat(100_000)).unwrap_err();
        assert!(name.to_string().len() < 300 && !name.to_string().contains('\n'));
        let filter = Scope::parse(&format!("users!user={}", "a".repeat(100_000))).unwrap_err();
        assert!(filter.to_string().len() < 300);
    }
}
