//! The door: the one way in for pages and the API.

use std::net::IpAddr;
use std::sync::Arc;

use lyceum_model::identity::Identity;
use lyceum_model::secret::Secret;

use crate::admit::{Admission, Admitted, GroupsOf};
use crate::attempt::{Attempt, Refused};
use crate::chain::Chain;
use crate::throttle::Throttle;

/// Throttle, authenticators and admission in one. Cheap to clone.
#[derive(Clone)]
pub struct SignIn {
    throttle: Throttle,
    chain: Chain,
    admission: Arc<Admission>,
    groups: Arc<dyn GroupsOf>,
}

impl SignIn {
    pub fn new(
        throttle: Throttle,
        chain: Chain,
        admission: Admission,
        groups: Arc<dyn GroupsOf>,
    ) -> Self {
        Self {
            throttle,
            chain,
            admission: Arc::new(admission),
            groups,
        }
    }

    pub fn chain(&self) -> &Chain {
        &self.chain
    }

    /// Lets someone in or says why not. `name` is what was typed; `address` is the client's own,
    /// not that of a proxy in front. What comes back in `admin` is `Some(true)` when the
    /// configuration lists her as an administrator, else what her source says.
    pub async fn sign_in(
        &self,
        name: &str,
        password: Secret,
        address: IpAddr,
    ) -> Result<Identity, Refused> {
        let attempt = Attempt::new(name, password, address)?;
        let name = &attempt.name;
        let counted = match self.throttle.begin(name, address).await {
            Ok(counted) => counted,
            Err(refused) => {
                if let Refused::TooMany { retry_after } = refused {
                    tracing::info!(%name, %address, retry_after, "sign-in refused: too many attempts");
                }
                return Err(refused);
            }
        };
        let (mut identity, method) = match self.chain.sign_in(&attempt).await {
            Ok(known) => {
                self.settle(self.throttle.succeeded(counted).await);
                known
            }
            Err(Refused::Credentials) => {
                tracing::info!(%name, %address, "sign-in refused: wrong name or password");
                return Err(Refused::Credentials);
            }
            Err(other) => {
                self.settle(self.throttle.undecided(counted).await);
                return Err(other);
            }
        };
        let groups = match self.admission.needs_groups() {
            true => self.groups.groups_of(&identity.name).await?,
            false => Vec::new(),
        };
        match self
            .admission
            .check(&identity, method.names_people(), &groups)
        {
            Admitted::Yes { admin: true } => identity.admin = Some(true),
            Admitted::Yes { admin: false } => {}
            Admitted::No => {
                tracing::info!(name = %identity.name, %address, kind = method.kind(), "sign-in refused: not admitted");
                return Err(Refused::NotAdmitted);
            }
        }
        tracing::info!(name = %identity.name, %address, kind = method.kind(), "signed in");
        Ok(identity)
    }

    /// An attempt that could not be taken back counts as a failure; nobody is kept out for that.
    fn settle(&self, result: anyhow::Result<()>) {
        if let Err(problem) = result {
            tracing::warn!(
                problem = format!("{problem:#}"),
                "a sign-in could not be taken off the count of failures"
            );
        }
    }
}
