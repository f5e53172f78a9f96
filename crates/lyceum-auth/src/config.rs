//! What of `sign_in:` and `people:` concerns local accounts and lists. Each other way in has its struct
//! beside it ([`crate::oidc::OidcConfig`]).

pub use lyceum_model::who::Who;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Local accounts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct LocalConfig {
    /// What the log-in page calls it.
    pub title: String,
    /// Fewest characters of a new password.
    pub password_length: usize,
    /// How people come to accounts that nobody made for them.
    pub sign_up: SignUp,
}

/// How people come to accounts that nobody made for them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum SignUp {
    /// Not at all.
    #[default]
    Closed,
    /// By a link that an administrator hands over.
    Invitation,
}

impl Default for LocalConfig {
    fn default() -> Self {
        Self {
            title: "Local account".into(),
            password_length: crate::password::NEW_MIN,
            sign_up: SignUp::Closed,
        }
    }
}

/// Who may come in. Without an allow list, whoever has a local account may, unless blocked: the
/// account was made for her.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct People {
    /// Administrators: they may do everything.
    pub admins: Vec<Who>,
    /// Nobody but these and administrators may come in. Left out: whoever has a local account; of those
    /// whom another source knows, nobody.
    pub allow: Option<Vec<Who>>,
    /// Who may not come in, whatever else is said.
    pub block: Vec<Who>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_schema_has_the_manual() {
        let schema = schemars::schema_for!(People).to_value().to_string();
        assert!(schema.contains("Who may not come in"));
        let schema = schemars::schema_for!(LocalConfig).to_value().to_string();
        assert!(schema.contains("What the log-in page calls it"));
    }
}
