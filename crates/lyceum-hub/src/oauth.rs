//! The OAuth 2 provider's rules: redirect targets, PKCE (RFC 7636), what a client gets.
//! What a token may do is in [`consent`]; the endpoints are in [`crate::api::oauth`].

pub mod consent;

use std::sync::LazyLock;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use lyceum_model::base::BasePath;
use lyceum_model::scope::{ScopeName, ScopeSet, Target, Vocabulary};
use subtle::ConstantTimeEq;

use lyceum_web::Caller;

use crate::db::servers::Server;
use crate::grants::{Grants, Service, service_prefix};
use crate::origins::Origins;
use crate::servers;
use crate::services::Known;

static NOTHING: LazyLock<ScopeSet> = LazyLock::new(ScopeSet::new);

/// Codes live five minutes.
pub const CODE_LIFE_MS: i64 = 300_000;
/// Access tokens live fourteen days, or as long as the browser's session.
pub const TOKEN_LIFE_S: i64 = 1_209_600;

/// Purposes under which secrets are hashed.
pub const CODE_PURPOSE: &str = "lyceum 2026 oauth code";

/// Who wants to know who is in front of it.
#[expect(
    clippy::large_enum_variant,
    reason = "made once for a request and not kept"
)]
pub enum Client {
    Server(Server),
    /// With its name.
    Service(String, Service),
}

impl From<Known> for Client {
    fn from(known: Known) -> Self {
        Self::Service(known.name, known.service)
    }
}

impl Client {
    pub fn id(&self) -> &str {
        match self {
            Self::Server(server) => &server.client_id,
            Self::Service(_, service) => &service.client_id,
        }
    }

    /// The path below which it is found.
    pub fn prefix(&self, base: &BasePath) -> String {
        match self {
            Self::Server(server) => servers::prefix(base, &server.user_name, &server.name),
            Self::Service(name, _) => service_prefix(base, name),
        }
    }

    /// Where browsers find it, if that is known.
    pub fn origin(&self, origins: &Origins) -> Option<String> {
        match self {
            Self::Server(server) => origins.of(&server.user_name),
            Self::Service(..) => origins.hub().map(str::to_owned),
        }
    }

    /// Where codes are sent when it does not say where.
    pub fn redirect_uri(&self, base: &BasePath) -> String {
        let default = || format!("{}oauth_callback", self.prefix(base));
        match self {
            Self::Server(_) => default(),
            Self::Service(_, service) => service.redirect_uri.clone().unwrap_or_else(default),
        }
    }

    /// Whether a code may be sent there. A service may be elsewhere; then the configuration says
    /// where, to the letter.
    pub fn redirect_fits(&self, base: &BasePath, own_origin: &str, given: &str) -> bool {
        match self {
            Self::Server(_) => redirect_fits(&self.prefix(base), own_origin, given),
            Self::Service(..) => {
                let uri = self.redirect_uri(base);
                let on_this_host = uri.starts_with('/') && !own_origin.is_empty();
                given == uri || (on_this_host && given == format!("{own_origin}{uri}"))
            }
        }
    }

    /// What every token of it may do: let somebody in, and say who she is.
    pub fn always(&self) -> Vec<String> {
        let access = match self {
            Self::Server(server) => {
                format!("access:servers!server={}/{}", server.user_name, server.name)
            }
            Self::Service(name, _) => format!("access:services!service={name}"),
        };
        let identity = ["read:users:name!user", "read:users:groups!user"];
        [&[access.as_str()][..], &identity]
            .concat()
            .iter()
            .map(ToString::to_string)
            .collect()
    }

    /// What it may ask for besides.
    pub fn allowed<'a>(&'a self, grants: &'a Grants) -> &'a ScopeSet {
        match self {
            // Many run programs there: it learns who comes, and no more.
            Self::Server(server) if server.user_name.is_of_course() => &NOTHING,
            Self::Server(_) => &grants.server_clients,
            Self::Service(_, service) => &service.allowed_scopes,
        }
    }

    /// All that a token of it can do, the owner not filled in; none: whatever its owner may.
    pub fn most(&self, grants: &Grants) -> Option<ScopeSet> {
        let mut most = self.allowed(grants).clone();
        if most.iter().any(|scope| scope.name == ScopeName::Inherit) {
            return None;
        }
        most.extend(known_scopes(&grants.vocabulary, &self.always()).iter());
        Some(most)
    }

    pub fn may_be_entered_by(&self, caller: &Caller) -> bool {
        match self {
            Self::Server(server) => caller.may(
                ScopeName::AccessServers,
                Target::Server(&server.user_name, &server.name),
            ),
            Self::Service(name, _) => caller.may(ScopeName::AccessServices, Target::Service(name)),
        }
    }

    /// Whether this person is asked no question first.
    pub fn needs_no_word(&self, user_id: &str) -> bool {
        match self {
            Self::Server(server) => server.user_id == user_id,
            Self::Service(_, service) => service.no_confirm,
        }
    }
}

/// The redirect URIs a server's client may name: its callback as path, or the same on this host.
fn redirect_fits(prefix: &str, own_origin: &str, given: &str) -> bool {
    let path = format!("{prefix}oauth_callback");
    given == path || (!own_origin.is_empty() && given == format!("{own_origin}{path}"))
}

/// Checks a verifier against the challenge that came with the authorization request.
pub fn verifier_fits(challenge: Option<&str>, verifier: Option<&str>) -> bool {
    match (challenge, verifier) {
        (None, None) => true,
        (None, Some(_)) => false,
        (Some(_), None) => false,
        (Some(challenge), Some(verifier)) => {
            // RFC 7636 section 4.1: 43 to 128 characters.
            if !(43..=128).contains(&verifier.len()) {
                return false;
            }
            let digest = sha256(verifier.as_bytes());
            URL_SAFE_NO_PAD
                .encode(digest)
                .as_bytes()
                .ct_eq(challenge.as_bytes())
                .into()
        }
    }
}

fn sha256(content: &[u8]) -> [u8; 32] {
    use sha2::Digest;
    sha2::Sha256::digest(content).into()
}

/// The scopes that open one server, for `JUPYTERHUB_OAUTH_ACCESS_SCOPES`.
pub fn access_scopes(server: &Server) -> Vec<String> {
    vec![
        format!("access:servers!server={}/{}", server.user_name, server.name),
        format!("access:servers!user={}", server.user_name),
    ]
}

/// A set from the JSON list a row holds. What no longer parses grants nothing.
pub fn stored_scopes(vocabulary: &Vocabulary, text: &str) -> ScopeSet {
    let list: Vec<String> = serde_json::from_str(text).unwrap_or_default();
    known_scopes(vocabulary, &list)
}

/// Those of a list that there are.
pub fn known_scopes(vocabulary: &Vocabulary, list: &[String]) -> ScopeSet {
    let known = list.iter().filter_map(|scope| vocabulary.parse(scope).ok());
    known.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pkce_as_in_the_rfc() {
        // RFC 7636 appendix B.
        let verifier = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
        let challenge = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";
        assert!(verifier_fits(Some(challenge), Some(verifier)));
        assert!(!verifier_fits(
            Some(challenge),
            Some(&verifier.replace('d', "e"))
        ));
        assert!(!verifier_fits(Some(challenge), None));
        assert!(!verifier_fits(Some(challenge), Some("short")));
        assert!(verifier_fits(None, None));
        assert!(!verifier_fits(None, Some(verifier)));
    }
}
