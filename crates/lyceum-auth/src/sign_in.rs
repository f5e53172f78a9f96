//! The door: the one way in for pages and the API.

use std::net::IpAddr;
use std::sync::Arc;

use lyceum_model::identity::{Identity, Subject};
use lyceum_model::name::UserName;
use lyceum_model::secret::Secret;
use url::Url;

use crate::Authenticator;
use crate::admit::{Admission, Admitted, Here, KnownHere};
use crate::attempt::{Attempt, Refused};
use crate::chain::{Chain, Unproven};
use crate::elsewhere::{Elsewhere, LoggedOut, Return};
use crate::header::{ByHeader, Lines};
use crate::journey::Journeys;
use crate::local::LocalAccounts;
use crate::lti::{Lti, OldLti};
use crate::renewal::{Grant, NotSaid, Renewed, Renewing};
use crate::second_factor::SecondFactors;
use crate::throttle::{CountedAddress, Throttle};

mod launch;

pub use launch::Held;

/// Throttle, authenticators and admission in one. Cheap to clone.
#[derive(Clone)]
pub struct SignIn {
    throttle: Throttle,
    chain: Chain,
    away: Option<Away>,
    header: Option<Arc<ByHeader>>,
    second_factors: Option<SecondFactors>,
    /// Learning platforms from which people come; they go back by the same journeys.
    platforms: Arc<[Arc<Lti>]>,
    old_platforms: Arc<[Arc<OldLti>]>,
    admission: Arc<Admission>,
    known: Arc<dyn KnownHere>,
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
    grant: Option<Grant>,
}

impl Proven {
    /// What a provider gave by which it can be asked about her later.
    pub fn take_grant(&mut self) -> Option<Grant> {
        self.grant.take()
    }
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
        known: Arc<dyn KnownHere>,
    ) -> Self {
        Self {
            throttle,
            chain,
            away: None,
            header: None,
            second_factors: None,
            platforms: Arc::default(),
            old_platforms: Arc::default(),
            admission: Arc::new(admission),
            known,
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

    /// With a proxy in front that says who it is.
    #[must_use]
    pub fn with_header(mut self, way: Option<ByHeader>) -> Self {
        self.header = way.map(Arc::new);
        self
    }

    pub fn header(&self) -> Option<&ByHeader> {
        self.header.as_deref()
    }

    /// Whom a proxy in front names. Nobody: it says nothing, or does not count here.
    pub fn prove_by_header(
        &self,
        peer: Option<IpAddr>,
        lines: Lines<'_>,
    ) -> Option<Result<Proven, Refused>> {
        let way = self.header()?;
        let identity = way.identity(peer, lines)?;
        Some(identity.map(|identity| Proven {
            identity,
            kind: "header",
            names_people: way.names_people(),
            grant: None,
        }))
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

    /// Somebody types a code: counted for her address as a wrong one, until it is found to be none.
    pub async fn begin_code(&self, address: IpAddr) -> Result<CountedAddress, Refused> {
        self.throttle.begin_unnamed(address).await
    }

    /// It is one of ours, whatever becomes of it.
    pub async fn is_a_code(&self, counted: CountedAddress) {
        self.settle(self.throttle.no_guess(counted).await);
    }

    /// Whom a code of ours is for. Whoever made it has named her.
    pub fn prove_by_code(&self, name: UserName) -> Proven {
        Proven {
            identity: Identity::named(name),
            kind: "code",
            names_people: true,
            grant: None,
        }
    }

    pub fn chain(&self) -> &Chain {
        &self.chain
    }

    /// Ways in that lead over other sites, in the order of the log-in page.
    pub fn elsewhere(&self) -> &[Arc<dyn Elsewhere>] {
        self.away.as_ref().map_or(&[], |away| &away.methods)
    }

    /// The one to which browsers are sent without being asked.
    pub fn automatic(&self) -> Option<&Arc<dyn Elsewhere>> {
        self.elsewhere().iter().find(|method| method.is_automatic())
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
                    grant: None,
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
            grant: _,
        } = proven;
        let here = match self.admission.asks() {
            true => self.known.here(&identity).await?,
            false => Here::default(),
        };
        match self.admission.check(&identity, names_people, &here) {
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
        // What we did not seal for this very browser counts as a guess does. It keeps nobody out who brings what
        // we did seal, however many sit behind the same address.
        if away.journeys.wish(&answer.state, browser).is_none() {
            let _guess = self.throttle.begin_unnamed(address).await?;
        } else {
            // However long the provider takes, and however often she reloads the page meanwhile.
            let counted = self.throttle.begin_return(address).await?;
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
                    .begin_return(address)
                    .await
                    .map(|_| ())
                    .map_err(Into::into),
            );
        }
        let arrived = arrived?;
        Ok(Proven {
            identity: arrived.identity,
            kind: method.kind(),
            names_people: method.names_people(),
            grant: arrived.grant,
        })
    }

    /// What is kept with a session so that its way in can be asked later; it opens for this session alone.
    pub fn seal(&self, session: &str, grant: &Grant) -> Option<String> {
        let away = self.away.as_ref()?;
        Some(grant.seal(away.journeys.keys(), session))
    }

    /// How often the way in of this id is asked about those who are here.
    pub fn renewing(&self, method: &str) -> Option<Renewing> {
        self.find_elsewhere(method)?.renewing()
    }

    /// Asks a way in about somebody who came by it, with what was sealed for her session. Whether she may
    /// come in is to be asked once more, as at a log-in.
    pub async fn renew(
        &self,
        method: &str,
        session: &str,
        sealed: &str,
    ) -> Renewed<Proven, String> {
        let (Some(away), Some(found)) = (&self.away, self.find_elsewhere(method)) else {
            return Renewed::without(NotSaid::Unasked);
        };
        let keys = away.journeys.keys();
        let grant = match Grant::open(keys, session, sealed) {
            Ok(grant) if found.renewing().is_some() => grant,
            Ok(_) => return Renewed::without(NotSaid::Unasked),
            Err(error) => return Renewed::without(NotSaid::Unclear(error)),
        };
        let renewed = found.renew(&grant).await;
        let proven = |identity| Proven {
            identity,
            kind: found.kind(),
            names_people: found.names_people(),
            grant: None,
        };
        Renewed {
            grant: renewed.grant.map(|grant| grant.seal(keys, session)),
            said: renewed.said.map(|said| said.map(proven)),
        }
    }

    /// Whom what is kept of a session is about.
    pub fn whom(&self, session: &str, sealed: &str) -> Option<Subject> {
        let keys = self.away.as_ref()?.journeys.keys();
        let grant = Grant::open(keys, session, sealed).ok()?;
        Some(grant.subject)
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

    /// Whether a wish from this address may make work for others now: a letter, a line on a list.
    pub async fn begin_errand(&self, address: IpAddr) -> Result<(), Refused> {
        self.throttle.begin_errand(address).await
    }

    /// Whether one more letter goes to this mailbox now.
    pub async fn begin_letter(&self, mailbox: &str) -> Result<(), Refused> {
        self.throttle.begin_letter(mailbox).await
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
