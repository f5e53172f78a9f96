//! People who came by a provider are looked at again while they are here: whoever is disabled there is
//! logged out, and what changed of her groups and her role there changes here.
//!
//! A session that is due is asked about by one replica at a time, which holds a lease on it from before
//! the provider is asked until what it said is written: a refresh token may be good once, and another
//! one comes with the answer. A provider that is away changes nothing. When it is asked is up to
//! [`crate::jobs::refreshes`] and, for sessions that nobody used for a while, to their next use: a page
//! waits for the answer, the proxy does not.

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use lyceum_auth::sign_in::Proven;
use lyceum_auth::{NotSaid, Refused, Renewing};
use lyceum_model::clock::Millis;
use lyceum_model::digest::hash_secret;
use lyceum_model::id::new_id;
use lyceum_model::identity::Identity;
use lyceum_store::Tx;
use lyceum_web::page::contexts::LoginError;
use tokio::sync::watch;

use crate::db::refreshes::{Due, Wanted};
use crate::db::sessions::Session;
use crate::{Hub, db, metrics, pages, sessions};

mod providers;

pub use providers::Refreshes;
use providers::{AT_ONCE, FIRST_PAUSE_MS, lock, pause};

/// Longer than all calls take that one session needs.
const LEASE_MS: i64 = 150_000;
/// A session that is due for longer than this was not in use, or the job does not keep up: whoever uses it
/// waits until it has been looked at.
const LATE_MS: i64 = 60_000;
/// The longest pause between two tries about one session, and the one until a way in that can't be asked
/// as things are may be one again: it may have been written down wrong for a while.
const LONGEST_OF_ONE_MS: i64 = 600_000;
/// Whoever could not be confirmed for too long is out only after so many tries: after a night in which
/// nobody was asked about her, the first one may fail by chance.
const IN_VAIN: i64 = 2;

/// Why a session ended that nobody had logged out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Why {
    /// The provider says that her log-in there is over.
    Ended,
    /// By what it says of her she is not let in any more.
    Outsider,
    /// It could not be asked for longer than the configuration allows.
    Unconfirmed,
}

impl Why {
    pub(crate) const ALL: [Self; 3] = [Self::Ended, Self::Outsider, Self::Unconfirmed];

    /// As it is written down and told in the event log.
    pub fn word(self) -> &'static str {
        match self {
            Self::Ended => "ended at the provider",
            Self::Outsider => "not admitted any more",
            Self::Unconfirmed => "not confirmed for too long",
        }
    }

    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|why| why.word() == word)
    }

    /// As her next page says it.
    pub fn told(self) -> LoginError {
        match self {
            Self::Ended => LoginError::Gone,
            Self::Outsider => LoginError::Withdrawn,
            Self::Unconfirmed => LoginError::Unconfirmed,
        }
    }
}

/// Not all at the same moment: up to a tenth sooner or later.
fn about(milliseconds: i64) -> i64 {
    let mut chance = [0; 2];
    getrandom::fill(&mut chance).expect("the system's random source answers");
    let chance = i64::from(u16::from_le_bytes(chance)) - 32_768;
    milliseconds + milliseconds / 10 * chance / 32_768
}

fn milliseconds(time: Duration) -> i64 {
    i64::try_from(time.as_millis()).unwrap_or(i64::MAX / 4)
}

/// When a session is next looked at.
pub fn next(renewing: Renewing, now: Millis) -> Millis {
    now.plus(about(milliseconds(renewing.every)))
}

/// By this what a provider says of somebody is told from what it said before.
pub fn told(identity: &Identity) -> String {
    // Her name is not what it calls her but what she is called here.
    let said = serde_json::json!([
        identity.display_name,
        identity.groups,
        identity.admin,
        identity.posix,
        identity.mail
    ]);
    hash_secret("lyceum identity told 1", &said.to_string())
}

/// Looks at sessions of a way in that are due, as many as there are.
pub async fn round(hub: &Hub, method: &str, stop: impl Fn() -> bool) {
    loop {
        let now = hub.now();
        let places = hub.refreshes().places(method, now);
        if places < AT_ONCE
            && let Err(error) = end_unconfirmed(hub, method).await
        {
            tracing::warn!(
                error = format!("{error:#}"),
                "could not end sessions that a sign-in provider has not confirmed for too long"
            );
        }
        if places == 0 || stop() {
            return;
        }
        let wanted = Wanted {
            method,
            due_by: now.0,
            confirmed_by: now.0,
            failures: 0,
        };
        let by = claim_name(hub);
        let due = match claim(hub, &wanted, &by, places).await {
            Ok(due) => due,
            Err(error) => {
                tracing::warn!(%error, "could not look which sessions are to be asked about");
                return;
            }
        };
        let is_all = i64::try_from(due.len()).is_ok_and(|many| many < places);
        let asked = due.into_iter().map(|due| {
            let (asking, by) = (hub.clone(), by.clone());
            let asking = async move { look(&asking, due, &by).await };
            hub.refreshes().tasks.spawn(asking)
        });
        futures_util::future::join_all(asked).await;
        if is_all {
            return;
        }
    }
}

/// While a provider is away: who has been here for longer than the configuration allows.
async fn end_unconfirmed(hub: &Hub, method: &str) -> anyhow::Result<()> {
    let renewing = hub.sign_in().renewing(method);
    let Some(grace) = renewing.and_then(|renewing| renewing.grace) else {
        return Ok(());
    };
    // One that is away for long is tried with a few only.
    let failures = match hub.refreshes().is_long_away(method) {
        true => 0,
        false => IN_VAIN,
    };
    loop {
        let wanted = Wanted {
            method,
            failures,
            due_by: i64::MAX,
            confirmed_by: hub.now().plus(-milliseconds(grace)).0,
        };
        let by = claim_name(hub);
        let beyond = claim(hub, &wanted, &by, AT_ONCE).await?;
        if beyond.is_empty() {
            return Ok(());
        }
        for due in &beyond {
            let (by, grant) = (by.as_str(), None);
            Seen { due, by, grant }.ended(hub, Why::Unconfirmed).await?;
        }
    }
}

/// A claim's own name: one that ran out is told from the next of the same replica.
fn claim_name(hub: &Hub) -> String {
    format!("{} {}", hub.replica(), new_id(hub.now()))
}

fn lease(hub: &Hub) -> (i64, i64) {
    let now = hub.now();
    (now.0, now.plus(LEASE_MS).0)
}

async fn claim(hub: &Hub, wanted: &Wanted<'_>, by: &str, most: i64) -> sqlx::Result<Vec<Due>> {
    let mut tx = hub.db().write().await?;
    let due = db::refreshes::claim(&mut tx, wanted, by, lease(hub), most).await?;
    let rows = u64::try_from(due.len()).unwrap_or(u64::MAX);
    hub.seen().pass(tx, rows).await?;
    Ok(due)
}

async fn claim_one(hub: &Hub, session: &str, by: &str) -> sqlx::Result<Option<Due>> {
    let mut tx = hub.db().write().await?;
    let due = db::refreshes::claim_one(&mut tx, session, by, lease(hub)).await?;
    hub.seen().pass(tx, due.is_some().into()).await?;
    Ok(due)
}

/// Whether a session that somebody uses has to be looked at before she goes on.
pub fn is_late(hub: &Hub, session: &Session) -> bool {
    let now = hub.now();
    let is_late = |at: i64| now.since(Millis(at)) > LATE_MS;
    let may_be_asked = |method: &String| {
        hub.sign_in().renewing(method).is_some() && hub.refreshes().places(method, now) > 0
    };
    session.refresh_at.is_some_and(is_late) && session.method.as_ref().is_some_and(may_be_asked)
}

/// Looks at this session, and returns when that is done or has taken too long to be waited for: then she
/// goes on, and it is looked at all the same.
pub async fn before_use(hub: &Hub, session: &Session) {
    if let Some(mut done) = begin(hub, session) {
        // It changes never, and ends with what is waited for.
        let patience = hub.timings().refresh_patience;
        let _ended = tokio::time::timeout(patience, done.changed()).await;
    }
}

/// Begins to look at this session. What comes back ends when that is done; requests that come together get
/// the same. Nothing: as many are looked at as may be, and the next round comes to this one.
pub fn begin(hub: &Hub, session: &Session) -> Option<watch::Receiver<()>> {
    let refreshes = hub.refreshes();
    let method = session.method.as_deref()?;
    let places = refreshes.places(method, hub.now());
    let mut under_way = lock(&refreshes.under_way);
    if let Some((_, done)) = under_way.get(&session.id) {
        return Some(done.clone());
    }
    let many = under_way.values().filter(|(of, _)| of == method).count();
    if i64::try_from(many).is_ok_and(|many| many >= places) {
        return None;
    }
    let (ended, done) = watch::channel(());
    under_way.insert(session.id.clone(), (method.to_owned(), done.clone()));
    drop(under_way);
    let place = Place {
        hub: hub.clone(),
        id: session.id.clone(),
        _ended: ended,
    };
    refreshes.tasks.spawn(async move {
        let place = place;
        look_at_one(&place.hub, &place.id).await;
    });
    Some(done)
}

/// A session that is looked at before it is used; also if what is done for that breaks down, it ends.
struct Place {
    hub: Hub,
    id: String,
    _ended: watch::Sender<()>,
}

impl Drop for Place {
    fn drop(&mut self) {
        lock(&self.hub.refreshes().under_way).remove(&self.id);
    }
}

async fn look_at_one(hub: &Hub, session: &str) {
    let by = claim_name(hub);
    match claim_one(hub, session, &by).await {
        Ok(Some(due)) => look(hub, due, &by).await,
        // Another replica is at it, or was.
        Ok(None) => {}
        Err(error) => {
            tracing::warn!(%error, "could not look whether somebody is to be asked about")
        }
    }
}

/// What came of asking, after all checks of a log-in.
enum Found {
    /// She is there; nothing: and no more was said.
    There(Option<Box<Identity>>),
    Gone(Why),
    Away(anyhow::Error),
    Unclear(anyhow::Error),
    Unasked,
}

impl From<NotSaid> for Found {
    fn from(why: NotSaid) -> Self {
        match why {
            NotSaid::Ended => Self::Gone(Why::Ended),
            NotSaid::Outsider => Self::Gone(Why::Outsider),
            NotSaid::Away(error) => Self::Away(error),
            NotSaid::Unclear(error) => Self::Unclear(error),
            NotSaid::Unasked => Self::Unasked,
        }
    }
}

/// Asks the provider about a session that this replica has claimed, and writes down what comes of it.
async fn look(hub: &Hub, due: Due, by: &str) {
    let sign_in = hub.sign_in();
    let renewed = sign_in.renew(&due.method, &due.id, &due.grant).await;
    let found = match renewed.said {
        Ok(None) => Found::There(None),
        Ok(Some(proven)) => admit(hub, proven, &due).await,
        Err(why) => why.into(),
    };
    match &found {
        Found::Away(error) => hub.refreshes().failed(&due.method, error, hub.now()),
        // That she is odd there is no news of the provider.
        Found::Unclear(error) => hub.refreshes().odd(&due, error, hub.now()),
        Found::There(_) | Found::Gone(_) => hub.refreshes().worked(&due.method),
        Found::Unasked => {}
    }
    let seen = Seen {
        due: &due,
        by,
        grant: renewed.grant.as_deref(),
    };
    let status = match &found {
        Found::There(_) => Some(metrics::CONFIRMED),
        Found::Away(_) | Found::Unclear(_) => Some(metrics::UNCLEAR),
        // Counted where it ends; and nobody was asked.
        Found::Gone(_) | Found::Unasked => None,
    };
    if let Err(error) = seen.write(hub, found).await {
        tracing::error!(
            error = format!("{error:#}"),
            "could not write down what a sign-in provider said of somebody; it is asked again"
        );
        // What it gave may be all that is good by now.
        if let Err(error) = seen.try_later(hub).await {
            tracing::error!(
                error = format!("{error:#}"),
                "could not keep what a sign-in provider gave; somebody may have to log in once more"
            );
        }
        return;
    }
    if let Some(status) = status {
        hub.metrics().refreshes.get_or_create(&status).inc();
    }
}

fn address(due: &Due) -> IpAddr {
    let known = due.address.as_deref().and_then(|text| text.parse().ok());
    known.unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED))
}

async fn admit(hub: &Hub, proven: Proven, due: &Due) -> Found {
    match pages::login::let_in(hub, proven, address(due)).await {
        Ok(identity) => Found::There(Some(Box::new(identity))),
        Err(Refused::NotAdmitted) => Found::Gone(Why::Outsider),
        Err(other) => Found::Unclear(other.into()),
    }
}

/// A session that was asked about, and what has to be kept of that.
struct Seen<'a> {
    due: &'a Due,
    by: &'a str,
    grant: Option<&'a str>,
}

impl Seen<'_> {
    async fn write(&self, hub: &Hub, found: Found) -> anyhow::Result<()> {
        match found {
            Found::There(identity) => {
                self.confirmed(hub, identity.map(|identity| *identity))
                    .await
            }
            Found::Gone(why) => self.ended(hub, why).await,
            Found::Away(_) | Found::Unclear(_) => self.unclear(hub).await,
            Found::Unasked => {
                let at = hub.now().plus(about(LONGEST_OF_ONE_MS));
                let which = (self.due.id.as_str(), self.by);
                let mut tx = hub.db().write().await?;
                let rows = db::refreshes::put_off(&mut tx, which, at.0).await?;
                Ok(hub.seen().pass(tx, rows).await?)
            }
        }
    }

    async fn confirmed(&self, hub: &Hub, identity: Option<Identity>) -> anyhow::Result<()> {
        let now = hub.now();
        let said = identity.as_ref().map(told);
        let mut tx = hub.db().write().await?;
        let is_new = match &identity {
            // What was said in her other browsers may have given her more than is said now.
            Some(identity) => said != self.due.told || has_more(&mut tx, identity).await?,
            None => false,
        };
        if let Some(identity) = identity.filter(|_| is_new)
            && !pages::login::bring_again(
                hub,
                &mut tx,
                &identity,
                &self.due.user_id,
                address(self.due),
            )
            .await?
        {
            tx.rollback().await?;
            return self.ended(hub, Why::Outsider).await;
        }
        let next = match hub.sign_in().renewing(&self.due.method) {
            Some(renewing) => next(renewing, now),
            None => now,
        };
        let (which, when) = ((self.due.id.as_str(), self.by), (now.0, next.0));
        let rows =
            db::refreshes::confirmed(&mut tx, which, self.grant, said.as_deref(), when).await?;
        if rows == 0 {
            // It has ended, or the claim ran out: what was found is another's to write.
            return Ok(tx.rollback().await?);
        }
        match is_new {
            true => tx.commit().await?,
            false => hub.seen().pass(tx, rows).await?,
        }
        if is_new {
            tracing::info!(
                user_id = self.due.user_id,
                "what a sign-in provider says of somebody who is here has changed"
            );
            crate::proxy::pass_on(hub).await;
        }
        Ok(())
    }

    async fn ended(&self, hub: &Hub, why: Why) -> anyhow::Result<()> {
        let claimed = (self.due.id.as_str(), self.by);
        let loses = match why {
            Why::Outsider => hub.sign_in().whom(&self.due.id, &self.due.grant),
            Why::Ended | Why::Unconfirmed => None,
        };
        let (user_id, loses) = (&self.due.user_id, loses.as_ref());
        if let Some(user) = sessions::end_unasked(hub, claimed, user_id, why, loses).await? {
            let ended = &hub.metrics().refreshes;
            ended.get_or_create(&metrics::ENDED).inc();
            tracing::info!(%user, method = self.due.method, "logged out: {}", why.word());
        }
        Ok(())
    }

    async fn unclear(&self, hub: &Hub) -> anyhow::Result<()> {
        let now = hub.now();
        let renewing = hub.sign_in().renewing(&self.due.method);
        let grace = renewing.and_then(|renewing| renewing.grace);
        let unconfirmed = now.since(Millis(self.due.refreshed_at));
        let is_out = grace.is_some_and(|grace| unconfirmed > milliseconds(grace));
        if is_out && self.due.failures >= IN_VAIN {
            return self.ended(hub, Why::Unconfirmed).await;
        }
        self.try_later(hub).await
    }

    /// Keeps what the provider gave, if it did, and has it asked again.
    async fn try_later(&self, hub: &Hub) -> anyhow::Result<()> {
        let now = hub.now();
        let renewing = hub.sign_in().renewing(&self.due.method);
        let every = renewing.map_or(0, |renewing| milliseconds(renewing.every));
        let longest = LONGEST_OF_ONE_MS.max(every);
        let at = now.plus(about(pause(
            FIRST_PAUSE_MS.min(every),
            self.due.failures,
            longest,
        )));
        let mut tx = hub.db().write().await?;
        let which = (self.due.id.as_str(), self.by);
        let rows = db::refreshes::unclear(&mut tx, which, self.grant, at.0).await?;
        Ok(hub.seen().pass(tx, rows).await?)
    }
}

/// Whether she still has something here by her provider that it does not say of her any more.
async fn has_more(tx: &mut Tx, identity: &Identity) -> sqlx::Result<bool> {
    let Some(subject) = &identity.subject else {
        return Ok(false);
    };
    let Some(known) = db::identities::find(tx, subject).await? else {
        return Ok(false);
    };
    let given: Vec<String> = serde_json::from_str(&known.groups).unwrap_or_default();
    let is_told = |told: &Vec<String>| given.iter().all(|group| told.contains(group));
    let groups = !identity.groups.as_ref().is_none_or(is_told);
    Ok(groups || known.admin && identity.admin != Some(true))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn not_all_are_asked_about_at_one_moment() {
        for _ in 0..1_000 {
            assert!((900..=1_100).contains(&about(1_000)));
        }
    }

    #[test]
    fn reasons_are_read_as_they_are_written() {
        for why in Why::ALL {
            assert_eq!(Why::parse(why.word()), Some(why));
        }
        assert_eq!(Why::parse("of another version"), None);
    }
}
