//! Who calls, and what they may do. Parts see only this, never sessions or tokens.

use axum::extract::{FromRequestParts, OptionalFromRequestParts};
use axum::http::request::Parts;
use lyceum_model::name::UserName;
use lyceum_model::say;
use lyceum_model::scope::{NoGroups, ScopeName, ScopeSet, Target, Verdict};

use crate::error::{ApiError, ApiResult};

/// Someone who has proven who they are. The hub puts it into the request's extensions.
#[derive(Debug, Clone)]
pub struct Caller {
    pub user_id: String,
    pub name: UserName,
    /// What to call her, where a source has said.
    pub display_name: Option<String>,
    pub admin: bool,
    pub credential: Credential,
    /// Expanded, with the owner filled in, no more than she holds at this moment.
    pub scopes: ScopeSet,
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

impl Caller {
    /// The common first line of a handler: goes on, or answers 403 (scope not held) or 404 (held,
    /// but not for this one, which looks the same as "does not exist").
    pub fn require(&self, scope: ScopeName, target: Target<'_>) -> ApiResult<()> {
        match self.scopes.allows(scope, target, &NoGroups) {
            Verdict::Yes => Ok(()),
            Verdict::NotFound => Err(ApiError::not_found()),
            Verdict::No => Err(ApiError::forbidden(say!(
                "refused.scope",
                scope = scope.to_string()
            ))),
        }
    }

    pub fn may(&self, scope: ScopeName, target: Target<'_>) -> bool {
        matches!(self.scopes.allows(scope, target, &NoGroups), Verdict::Yes)
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
