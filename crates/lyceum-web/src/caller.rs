//! Who calls, and what they may do. Parts see only this, never sessions or tokens.

use std::collections::BTreeSet;
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use axum::extract::{FromRequestParts, OptionalFromRequestParts};
use axum::http::request::Parts;
use lyceum_model::name::UserName;
use lyceum_model::say;
use lyceum_model::scope::{Filter, Members, ScopeName, ScopeSet, Target, Verdict};

use crate::error::{ApiError, ApiResult};

/// Someone who has proven who they are. The hub puts it into the request's extensions.
#[derive(Debug, Clone)]
pub struct Caller {
    pub who: Who,
    pub credential: Credential,
    /// Expanded, with the owner filled in, no more than they hold at this moment.
    pub scopes: Arc<ScopeSet>,
    /// Who is in the groups that the scopes are narrowed down to.
    pub members: Arc<Members>,
    /// From where this request comes; what is kept of a caller between requests has none.
    pub from: Option<IpAddr>,
}

/// A person, or a service of the site.
#[derive(Debug, Clone)]
pub enum Who {
    Person(Person),
    /// By its name.
    Service(String),
}

#[derive(Debug, Clone)]
pub struct Person {
    pub id: String,
    pub name: UserName,
    /// What to call her, where a source has said.
    pub display_name: Option<String>,
    pub admin: bool,
    pub groups: Vec<String>,
}

#[derive(Debug, Clone)]
pub enum Credential {
    /// A browser; `binding` is what XSRF tokens are bound to.
    Session { id: String, binding: String },
    Token {
        id: String,
        session_id: Option<String>,
        server_id: Option<String>,
    },
}

/// For the log.
impl fmt::Display for Who {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Person(person) => person.name.fmt(f),
            Self::Service(name) => write!(f, "service {name}"),
        }
    }
}

impl Caller {
    /// The common first line of a handler: goes on, or answers 403 (scope not held) or 404 (held,
    /// but not for this one, which looks the same as "does not exist").
    pub fn require(&self, scope: ScopeName, target: Target<'_>) -> ApiResult<()> {
        self.require_any(&[scope], target)
    }

    /// As [`Caller::require`], where any of several scopes will do.
    pub fn require_any(&self, scopes: &[ScopeName], target: Target<'_>) -> ApiResult<()> {
        let verdicts = || scopes.iter().map(|scope| self.verdict(*scope, target));
        if verdicts().any(Verdict::is_yes) {
            return Ok(());
        }
        if verdicts().any(|verdict| verdict == Verdict::NotFound) {
            return Err(ApiError::not_found());
        }
        let scopes: Vec<&str> = scopes.iter().map(|scope| scope.as_str()).collect();
        Err(ApiError::forbidden(say!(
            "refused.scope",
            scope = scopes.join(", ")
        )))
    }

    pub fn may(&self, scope: ScopeName, target: Target<'_>) -> bool {
        self.verdict(scope, target).is_yes()
    }

    fn verdict(&self, scope: ScopeName, target: Target<'_>) -> Verdict {
        self.scopes.allows(scope, target, &*self.members)
    }

    /// The people that a scope reaches, when it does not reach everybody: those it names and those
    /// in the groups it names. Some may not exist.
    pub fn people(&self, scope: ScopeName) -> BTreeSet<UserName> {
        let mut people = BTreeSet::new();
        for filter in self.scopes.reach(scope) {
            match filter {
                Filter::User(name) => {
                    people.insert(name);
                }
                Filter::Group(group) => people.extend(self.members.of(&group).cloned()),
                _ => {}
            }
        }
        people
    }

    /// Who she is, for what concerns people only.
    pub fn person(&self) -> ApiResult<&Person> {
        match &self.who {
            Who::Person(person) => Ok(person),
            Who::Service(_) => Err(ApiError::forbidden(say!("refused.for_people"))),
        }
    }

    /// Whether this person calls.
    pub fn is(&self, name: &UserName) -> bool {
        matches!(&self.who, Who::Person(person) if person.name == *name)
    }

    pub fn is_session(&self) -> bool {
        matches!(self.credential, Credential::Session { .. })
    }
}

impl<S: Sync> FromRequestParts<S> for Caller {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        parts
            .extensions
            .get::<Caller>()
            .cloned()
            .ok_or_else(|| ApiError::forbidden(say!("refused.no_credentials")))
    }
}

impl<S: Sync> OptionalFromRequestParts<S> for Caller {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Option<Self>, ApiError> {
        Ok(parts.extensions.get::<Caller>().cloned())
    }
}
