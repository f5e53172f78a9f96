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
        let (mut refused, mut by) = (Refused::Credentials, "");
        let mut is_guess = false;
        for method in self.0.iter() {
            match method.sign_in(attempt).await {
                Ok(identity) => {
                    passed_over(by, &refused);
                    return Ok((identity, method.as_ref()));
                }
                Err(Refused::Credentials) => is_guess = true,
                Err(other) => {
                    passed_over(by, &refused);
                    (refused, by) = (other, method.kind());
                }
            }
        }
        Err(Unproven { refused, is_guess })
    }
}

/// What nobody else tells of: the one whose refusal is the answer is told by whoever gets it.
fn passed_over(kind: &str, refused: &Refused) {
    if let Refused::Internal(problem) = refused {
        let problem = lyceum_model::causes::told(problem.as_ref());
        tracing::error!(kind, problem, "an authenticator failed");
    }
}
