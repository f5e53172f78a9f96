//! Asking a provider anew about somebody who came by it, as long as she is here: what is kept for that,
//! and what can come of it. When it is asked, and what ends with a no, is the hub's.
//!
//! A no is only what the provider says in the standard's own words, or what the rules make of what it
//! says. An answer that can't be read, or none, is no news of her: she stays.

use std::collections::BTreeSet;
use std::fmt;
use std::time::Duration;

use anyhow::anyhow;
use lyceum_model::identity::{Identity, Subject};
use lyceum_model::name::UserName;
use lyceum_model::secret::Secret;
use lyceum_store::secret::Keys;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::attempt::Refused;
use crate::claims::{Claims, find};

/// Longer than any token; one that is longer is not kept.
const TOKEN_MAX: usize = 16 * 1024;

/// How often a provider is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Renewing {
    pub every: Duration,
    /// For how long she may be here without being confirmed, when the provider is away. Nothing: as long
    /// as it is.
    pub grace: Option<Duration>,
}

/// Somebody came, and left what she can be asked about with.
#[derive(Debug)]
pub struct Arrived {
    pub identity: Identity,
    pub grant: Option<Grant>,
}

/// What a provider gave for somebody at her log-in.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Grant {
    pub(crate) token: Token,
    /// Whom it is about.
    pub(crate) subject: Subject,
    /// Of the sign-in that it came with.
    pub(crate) nonce: String,
    /// The client that it was given to.
    client: String,
    /// What she was called at the log-in: a name is not asked for twice.
    pub(crate) name: UserName,
    /// The claims that decide about something here and were told at the log-in. Where one is missing later,
    /// less is told of her, and not that she has lost something.
    had: BTreeSet<String>,
    /// Whether the token was refused when it was last brought.
    pub(crate) refused: bool,
}

#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Token {
    Refresh(Secret),
    /// One that does not end by itself.
    Access(Secret),
}

impl fmt::Debug for Grant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Grant").finish_non_exhaustive()
    }
}

impl Grant {
    /// `had`: the claims that were told and decide about something.
    pub(crate) fn new(
        token: Token,
        identity: &Identity,
        client: &str,
        had: BTreeSet<String>,
    ) -> Option<Self> {
        Some(Self {
            token,
            subject: identity.subject.clone()?,
            nonce: String::new(),
            client: client.to_owned(),
            name: identity.name.clone(),
            had,
            refused: false,
        })
    }

    pub(crate) fn of_sign_in(self, nonce: &str) -> Self {
        Self {
            nonce: nonce.to_owned(),
            ..self
        }
    }

    /// Whether it was given by this issuer to this client: another one's is shown to nobody.
    pub(crate) fn is_of(&self, issuer: &str, client: &str) -> bool {
        self.subject.issuer == issuer && self.client == client
    }

    /// Whether these tell no less of her than at the log-in.
    pub(crate) fn is_told_by(&self, claims: &Claims) -> bool {
        self.had.iter().all(|claim| find(claims, claim).is_some())
    }

    /// The same with the refresh token that was given instead, if one was.
    pub(crate) fn turned(&self, given: Option<&Value>) -> Option<Self> {
        let token = Token::Refresh(token(given)?);
        (token != self.token).then(|| Self {
            token,
            ..self.clone()
        })
    }

    /// The same, the token having been refused or not; nothing where that is known.
    pub(crate) fn noting(&self, refused: bool) -> Option<Self> {
        (refused != self.refused).then(|| Self {
            refused,
            ..self.clone()
        })
    }

    pub(crate) fn seal(&self, keys: &Keys, session: &str) -> String {
        let text = serde_json::to_vec(self).expect("texts");
        keys.seal(&purpose(session), &text)
    }

    pub(crate) fn open(keys: &Keys, session: &str, sealed: &str) -> anyhow::Result<Self> {
        let text = keys.open(&purpose(session), sealed)?;
        // The parser's own words would repeat what is in it.
        serde_json::from_slice(&text).map_err(|_| anyhow!("it is not what was kept of a log-in"))
    }
}

/// One session's can't be passed off as another's.
fn purpose(session: &str) -> String {
    format!("sign-in grant {session}")
}

/// A token as it was told; whatever else stands there is none.
pub(crate) fn token(given: Option<&Value>) -> Option<Secret> {
    let text = given?.as_str()?;
    (!text.is_empty() && text.len() <= TOKEN_MAX).then(|| Secret::new(text))
}

/// What came of asking: what has to be kept instead of the grant, and what was said. Nothing said of her:
/// the provider confirms that she is there and tells no more.
#[derive(Debug)]
pub struct Renewed<T, G = Grant> {
    pub grant: Option<G>,
    pub said: Result<Option<T>, NotSaid>,
}

impl<T, G> Renewed<T, G> {
    pub fn without(why: NotSaid) -> Self {
        Self {
            grant: None,
            said: Err(why),
        }
    }
}

/// Why a provider does not confirm somebody.
#[derive(Debug)]
pub enum NotSaid {
    /// It says that her log-in there is over.
    Ended,
    /// By what it says she is not let in any more.
    Outsider,
    /// It does not answer, or says that it is out of order: nobody can be asked about.
    Away(anyhow::Error),
    /// What it says of her can't be understood or trusted.
    Unclear(anyhow::Error),
    /// As things are it can't be asked about her.
    Unasked,
}

impl From<anyhow::Error> for NotSaid {
    fn from(error: anyhow::Error) -> Self {
        match error.is::<OutOfOrder>() {
            true => Self::Away(error),
            false => Self::Unclear(error),
        }
    }
}

impl From<Refused> for NotSaid {
    fn from(refused: Refused) -> Self {
        match refused {
            Refused::NotAdmitted => Self::Outsider,
            Refused::Internal(error) => error.into(),
            other => Self::Unclear(other.into()),
        }
    }
}

/// The provider itself is in trouble, whoever is asked about. Holds what was done.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct OutOfOrder(pub(crate) String);

/// An access token is worth nothing.
#[derive(Debug, thiserror::Error)]
#[error("it does not take the access token")]
pub(crate) struct TokenRefused;

#[cfg(test)]
mod tests {
    use lyceum_model::name::UserName;
    use serde_json::json;

    use super::*;

    fn grant() -> Grant {
        let identity = Identity {
            subject: Some(Subject {
                issuer: "https://login.example.edu".into(),
                id: "1".into(),
            }),
            ..Identity::named(UserName::parse("ada").unwrap())
        };
        let had = BTreeSet::from(["groups".to_owned()]);
        let token = Token::Refresh(Secret::new("hunter2"));
        Grant::new(token, &identity, "lyceum", had).unwrap()
    }

    #[test]
    fn what_is_kept_opens_for_its_session_alone_and_prints_nothing() {
        let keys = Keys::from_bytes([3; 32]);
        let sealed = grant().seal(&keys, "one");
        assert!(Grant::open(&keys, "one", &sealed).unwrap() == grant());
        assert!(Grant::open(&keys, "two", &sealed).is_err());
        assert!(!sealed.contains("hunter2") && !format!("{:?}", grant()).contains("hunter2"));
        let other = keys.seal(&purpose("one"), b"\"hunter2\"");
        let error = Grant::open(&keys, "one", &other).unwrap_err();
        assert!(!format!("{error:#}").contains("hunter2"));
    }

    #[test]
    fn what_is_not_told_any_more_is_less_and_what_is_empty_is_not() {
        let told = |claims: Value| grant().is_told_by(claims.as_object().unwrap());
        assert!(told(json!({"groups": ["a"], "more": 1})));
        assert!(told(json!({"groups": []})));
        assert!(!told(json!({"more": 1})));
    }

    #[test]
    fn it_is_brought_for_the_client_that_it_was_given_to() {
        assert!(grant().is_of("https://login.example.edu", "lyceum"));
        assert!(!grant().is_of("https://login.example.edu", "another"));
        assert!(!grant().is_of("https://login.example.org", "lyceum"));
    }

    #[test]
    fn a_token_that_is_none_takes_no_ones_place() {
        let turned = |given: Value| grant().turned(Some(&given)).is_some();
        assert!(turned(json!("another")));
        assert!(!turned(json!("hunter2")), "the same");
        for odd in [json!(null), json!(7), json!(""), json!(["a"])] {
            assert!(!turned(odd.clone()), "{odd}");
        }
        assert!(!turned(json!("x".repeat(TOKEN_MAX + 1))));
        assert!(grant().turned(None).is_none());
    }
}
