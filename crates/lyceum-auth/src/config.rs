//! What of `sign_in:` and `people:` concerns local accounts and lists. Each other way in has its struct
//! beside it ([`crate::oidc::OidcConfig`]).

pub use lyceum_model::who::{Listed, Who};
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
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum SignUp {
    /// Not at all.
    #[default]
    Closed,
    /// By a link that an administrator hands over.
    Invitation,
    /// By asking for one, and an administrator's yes.
    Approval,
    /// By coming: whoever does makes one.
    Open,
    /// Whoever reads an address of mail in one of these domains, without being asked about further.
    Domains(Vec<String>),
}

impl SignUp {
    /// Whether whoever reads mail at this domain makes an account.
    pub fn takes_domain(&self, domain: &str) -> bool {
        match self {
            Self::Domains(domains) => domains.iter().any(|one| one.eq_ignore_ascii_case(domain)),
            _ => false,
        }
    }

    /// Whether whoever comes takes a name without anybody's yes.
    pub fn gives_names_away(&self) -> bool {
        matches!(self, Self::Open | Self::Domains(_))
    }
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
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct People {
    /// Administrators: they may come in whatever the allow list says.
    pub admins: Listed,
    /// Nobody but these and administrators may come in. Left out: whoever has a local account; of those
    /// whom another source knows, nobody.
    pub allow: Option<Listed>,
    /// Whoever has an account here already may come in, too.
    pub existing: bool,
    /// Who may not come in, whatever else is said.
    pub block: Listed,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_schema_has_the_manual() {
        let schema = schemars::schema_for!(LocalConfig).to_value().to_string();
        assert!(schema.contains("What the log-in page calls it"));
    }
}
