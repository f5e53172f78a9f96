//! For trying out: whoever comes is whoever she says, with one password for all or with any.
//!
//! Only from this machine, unless the configuration says in so many words that it may be from anywhere.

use async_trait::async_trait;
use lyceum_model::identity::{Adopts, Identity, Subject};
use lyceum_model::secret::Secret;
use subtle::ConstantTimeEq;

use crate::attempt::{Attempt, Refused};
use crate::{Authenticator, TryOut};

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DummyConfig {
    pub title: String,
    /// `None`: any will do.
    pub password: Option<Secret>,
    pub anywhere: bool,
}

pub struct Dummy(DummyConfig);

impl Dummy {
    pub fn new(config: DummyConfig) -> Self {
        Self(config)
    }
}

#[async_trait]
impl Authenticator for Dummy {
    fn kind(&self) -> &'static str {
        "dummy"
    }

    fn title(&self) -> &str {
        &self.0.title
    }

    fn names_people(&self) -> bool {
        true
    }

    fn for_trying_out(&self) -> Option<TryOut> {
        Some(match self.0.password {
            None => TryOut::Any,
            Some(_) => TryOut::Shared,
        })
    }

    async fn sign_in(&self, attempt: &Attempt) -> Result<Identity, Refused> {
        if !self.0.anywhere && !attempt.address.to_canonical().is_loopback() {
            tracing::warn!(
                address = %attempt.address,
                "sign-in refused: `kind: dummy` lets people in from this machine only; `anywhere: true` lets anybody in from anywhere"
            );
            return Err(Refused::Credentials);
        }
        let is_right = |password: &Secret| -> bool {
            let digest = |secret: &Secret| blake3::hash(secret.expose().as_bytes());
            let (given, right) = (digest(&attempt.password), digest(password));
            given.as_bytes().ct_eq(right.as_bytes()).into()
        };
        if !self.0.password.as_ref().is_none_or(is_right) {
            return Err(Refused::Credentials);
        }
        Ok(Identity {
            // So that an account with a password of its own, from another time, is not given away.
            subject: Some(Subject {
                issuer: "dummy".into(),
                id: attempt.name.to_string(),
            }),
            adopts: Adopts {
                people: true,
                administrators: true,
            },
            ..Identity::named(attempt.name.clone())
        })
    }
}
