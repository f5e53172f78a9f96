//! Several authenticators, asked in the order of the configuration.

use std::sync::Arc;

use lyceum_model::identity::Identity;

use crate::Authenticator;
use crate::attempt::{Attempt, Refused};

/// Nobody let her in.
#[derive(Debug)]
pub(crate) struct Unproven {
    pub(crate) refused: Refused,
    /// Some method has found name and password wrong, whatever came of the others.
    pub(crate) is_guess: bool,
}

/// The authenticators there are. Cheap to clone.
#[derive(Clone)]
pub struct Chain(Arc<[Arc<dyn Authenticator>]>);

impl Chain {
    pub fn new(methods: Vec<Arc<dyn Authenticator>>) -> Self {
        Self(methods.into())
    }

    /// For the log-in page.
    pub fn methods(&self) -> &[Arc<dyn Authenticator>] {
        &self.0
    }

    /// The first that knows the person lets her in. One that is busy or out of order does not
    /// keep the others from being asked, but then the answer is not "wrong password": nobody
    /// knows that. A guess it is all the same where another has looked at the password.
    pub(crate) async fn sign_in(
        &self,
        attempt: &Attempt,
    ) -> Result<(Identity, &dyn Authenticator), Unproven> {
        let mut refused = Refused::Credentials;
        let mut is_guess = false;
        for method in self.0.iter() {
            match method.sign_in(attempt).await {
                Ok(identity) => return Ok((identity, method.as_ref())),
                Err(Refused::Credentials) => is_guess = true,
                Err(other) => {
                    if let Refused::Internal(problem) = &other {
                        tracing::error!(
                            kind = method.kind(),
                            problem = format!("{problem:#}"),
                            "an authenticator failed"
                        );
                    }
                    refused = other;
                }
            }
        }
        Err(Unproven { refused, is_guess })
    }
}
