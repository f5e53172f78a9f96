//! The door: the one way in for pages and the API.

use std::net::IpAddr;
use std::sync::Arc;

use lyceum_model::identity::Identity;
use lyceum_model::name::UserName;
use lyceum_model::secret::Secret;
use url::Url;

use crate::Authenticator;
use crate::admit::{Admission, Admitted, GroupsOf};
use crate::attempt::{Attempt, Refused};
use crate::chain::{Chain, Unproven};
use crate::elsewhere::{Elsewhere, LoggedOut, Return};
use crate::journey::Journeys;
use crate::local::LocalAccounts;
use crate::second_factor::SecondFactors;
use crate::throttle::{CountedAddress, Throttle};

/// Throttle, authenticators and admission in one. Cheap to clone.
#[derive(Clone)]
pub struct SignIn {
    throttle: Throttle,
    chain: Chain,
    away: Option<Away>,
    second_factors: Option<SecondFactors>,
    admission: Arc<Admission>,
    groups: Arc<dyn GroupsOf>,
}

/// The ways in that lead over other sites.
#[derive(Clone)]
struct Away {
    methods: Arc<[Arc<dyn Elsewhere>]>,
    journeys: Journeys,
}

/// Somebody who has proved who she is. Whether she may come in is still to be asked, once it is clear
/// whose account here is meant.
#[derive(Debug)]
pub struct Proven {
    pub identity: Identity,
    kind: &'static str,
    names_people: bool,
}

/// Somebody who came back from elsewhere.
#[derive(Debug)]
pub struct Arrival {
    /// Where she wanted to go; not checked.
    pub next: String,
    pub proven: Result<Proven, Refused>,
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
            away: None,
            second_factors: None,
            admission: Arc::new(admission),
            groups,
        }
    }

    /// With ways in that lead over other sites.
    #[must_use]
    pub fn with_elsewhere(mut self, methods: Vec<Arc<dyn Elsewhere>>, journeys: Journeys) -> Self {
        self.away = Some(Away {
            methods: methods.into(),
            journeys,
        });
        self
    }

    /// With a second step behind passwords.
    #[must_use]
    pub fn with_second_factors(mut self, second_factors: SecondFactors) -> Self {
        self.second_factors = Some(second_factors);
        self
    }

    /// The second step behind passwords, if there are any.
    pub fn second_factors(&self) -> Option<&SecondFactors> {
        let asks = !self.chain.methods().is_empty();
        self.second_factors.as_ref().filter(|_| asks)
    }

    pub fn chain(&self) -> &Chain {
        &self.chain
    }

    /// Ways in that lead over other sites, in the order of the log-in page.
    pub fn elsewhere(&self) -> &[Arc<dyn Elsewhere>] {
        self.away.as_ref().map_or(&[], |away| &away.methods)
    }

    /// The one of this id.
    pub fn find_elsewhere(&self, id: &str) -> Option<&Arc<dyn Elsewhere>> {
        self.elsewhere().iter().find(|method| method.id() == id)
    }

    /// Looks whether somebody is who she says. `name` is what was typed; `address` is the client's
    /// own, not that of a proxy in front.
    pub async fn prove(
        &self,
        name: &str,
        password: Secret,
        address: IpAddr,
    ) -> Result<Proven, Refused> {
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
        match self.chain.sign_in(&attempt).await {
            Ok((identity, method)) => {
                self.settle(self.throttle.succeeded(counted).await);
                Ok(Proven {
                    identity,
                    kind: method.kind(),
                    names_people: method.names_people(),
                })
            }
            Err(Unproven { refused, is_guess }) => {
                match (&refused, is_guess) {
                    (Refused::Credentials, _) => {
                        tracing::info!(%name, %address, "sign-in refused: wrong name or password");
                    }
                    // Else whoever guesses at accounts of this place would wait for the directory beside
                    // them to be away.
                    (Refused::Internal(_) | Refused::Busy, true) => {
                        self.settle(self.throttle.half_decided(counted).await);
                    }
                    _ => self.settle(self.throttle.undecided(counted).await),
                }
                Err(refused)
            }
        }
    }

    /// The accounts that are kept here, if they are a way in.
    pub fn accounts(&self) -> Option<&LocalAccounts> {
        let mut methods = self.chain.methods().iter();
        methods.find_map(|method| method.accounts())
    }

    /// Looks whether somebody who is here already knows the password of her account here. A wrong one
    /// counts as in a sign-in.
    pub async fn confirm(
        &self,
        accounts: &LocalAccounts,
        name: &UserName,
        password: Secret,
        address: IpAddr,
    ) -> Result<(), Refused> {
        let attempt = Attempt::new(name.as_str(), password, address)?;
        let counted = self.throttle.begin(name, address).await?;
        match accounts.sign_in(&attempt).await {
            Ok(_) => {
                self.settle(self.throttle.succeeded(counted).await);
                Ok(())
            }
            Err(Refused::Credentials) => Err(Refused::Credentials),
            Err(other) => {
                self.settle(self.throttle.undecided(counted).await);
                Err(other)
            }
        }
    }

    /// Asks the lists. What comes back in `admin` is `Some(true)` when the configuration lists her as
    /// an administrator, else what her source says.
    pub async fn admit(&self, proven: Proven, address: IpAddr) -> Result<Identity, Refused> {
        let Proven {
            mut identity,
            kind,
            names_people,
        } = proven;
        let groups = match self.admission.needs_groups() {
            true => self.groups.groups_of(&identity.name).await?,
            false => Vec::new(),
        };
        match self.admission.check(&identity, names_people, &groups) {
            Admitted::Yes { admin: true } => identity.admin = Some(true),
            Admitted::Yes { admin: false } => {}
            Admitted::No => {
                tracing::info!(name = %identity.name, %address, kind, "sign-in refused: not admitted");
                return Err(Refused::NotAdmitted);
            }
        }
        Ok(identity)
    }

    /// Both, where names are what people are known by.
    pub async fn sign_in(
        &self,
        name: &str,
        password: Secret,
        address: IpAddr,
    ) -> Result<Identity, Refused> {
        let proven = self.prove(name, password, address).await?;
        self.admit(proven, address).await
    }

    /// Where to send a browser that shall come in by this method. `browser`: a secret that it alone
    /// has. Nobody: there is no such method.
    pub async fn depart(
        &self,
        method: &str,
        browser: &str,
        next: &str,
        back: &Url,
    ) -> Option<Result<Url, Refused>> {
        let method = self.find_elsewhere(method)?;
        let journeys = &self.away.as_ref()?.journeys;
        let proofs = journeys.begin(method.id(), browser, next);
        Some(method.depart(&proofs, back).await)
    }

    /// A browser has come back to the address of this method.
    pub async fn arrive(
        &self,
        method: &str,
        browser: &str,
        query: &str,
        back: &Url,
        address: IpAddr,
    ) -> Arrival {
        let answer = Return::parse(query);
        let away = self.away.as_ref();
        let next = (away.zip(answer.as_ref()))
            .and_then(|(away, answer)| away.journeys.wish(&answer.state, browser));
        let proven = match (away, answer) {
            (Some(away), Some(answer)) => {
                self.arrive_by(away, method, browser, &answer, back, address)
                    .await
            }
            _ => Err(Refused::Expired),
        };
        Arrival {
            next: next.unwrap_or_default(),
            proven,
        }
    }

    async fn arrive_by(
        &self,
        away: &Away,
        id: &str,
        browser: &str,
        answer: &Return,
        back: &Url,
        address: IpAddr,
    ) -> Result<Proven, Refused> {
        let method = self.find_elsewhere(id).ok_or(Refused::Expired)?;
        let counted = self.throttle.begin_unnamed(address).await?;
        // What we sealed for this very browser is no guess, however long the provider takes and however
        // often she reloads the page meanwhile.
        if away.journeys.wish(&answer.state, browser).is_some() {
            self.settle(self.throttle.no_guess(counted).await);
        }
        let returned = away.journeys.end(&answer.state, browser).await?;
        // Who left for one provider does not come back from another.
        let Some(returned) = returned.filter(|returned| returned.method == id) else {
            tracing::info!(%address, kind = method.kind(), method = id, "sign-in refused: no way back of this browser");
            return Err(Refused::Expired);
        };
        let arrived = method.arrive(&returned.proofs, back, answer).await;
        if let Err(Refused::Expired) = &arrived {
            // A code that was made up costs the provider, who may hold it against this place.
            self.settle(
                self.throttle
                    .begin_unnamed(address)
                    .await
                    .map(|_| ())
                    .map_err(Into::into),
            );
        }
        let identity = arrived?;
        Ok(Proven {
            identity,
            kind: method.kind(),
            names_people: method.names_people(),
        })
    }

    /// A site says to the address of this method that somebody has logged out there. Nobody: that was
    /// done before. Nothing is counted: a signature is cheap to look at, and keys are not asked for often.
    pub async fn told(&self, method: &str, message: &str) -> Result<Option<LoggedOut>, Refused> {
        let (Some(away), Some(found)) = (&self.away, self.find_elsewhere(method)) else {
            return Err(Refused::Denied);
        };
        let told = found.told(message).await?;
        let is_done = away.journeys.is_done(&told.message()).await?;
        Ok((!is_done).then_some(told))
    }

    /// What was told is done; the same message means nothing any more.
    pub async fn done(&self, told: &LoggedOut) -> anyhow::Result<()> {
        match &self.away {
            Some(away) => away.journeys.note_done(&told.message(), told.until).await,
            None => Ok(()),
        }
    }

    /// Counts for an address what may be a guess at something else than a password, or says how long to wait.
    pub async fn begin_unnamed(&self, address: IpAddr) -> Result<CountedAddress, Refused> {
        self.throttle.begin_unnamed(address).await
    }

    /// It was none.
    pub async fn no_guess(&self, counted: CountedAddress) {
        self.settle(self.throttle.no_guess(counted).await);
    }

    /// Forgets what nobody needs any more; to be called now and then.
    pub async fn tidy(&self) -> anyhow::Result<()> {
        self.throttle.purge().await?;
        match &self.away {
            Some(away) => away.journeys.purge().await,
            None => Ok(()),
        }
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
