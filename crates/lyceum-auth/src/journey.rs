//! A way out of the site and back: what makes sure that whoever comes back is who left, once.
//!
//! Nothing is kept while she is away. What the way back needs is sealed into the `state` that the
//! provider hands back, together with a hash of what the browser keeps in a cookie; what must not
//! travel (the nonce and the secret of PKCE) is made anew from key, cookie and `state`. So many tabs
//! share one cookie, any replica takes the way back, and flooding the way out writes no row. A way
//! that has led back is written down until it would have ended by itself.

use data_encoding::BASE64URL_NOPAD;
use lyceum_model::clock::{Clock, Millis};
use lyceum_model::digest::hash_secret;
use lyceum_model::id::new_secret;
use lyceum_model::secret::Secret;
use lyceum_store::Db;
use lyceum_store::secret::Keys;
use serde::{Deserialize, Serialize};
use subtle::ConstantTimeEq;

use crate::db::sign_in_returns as returns;

/// How long a journey may take, second factors and forgotten passwords included.
pub const LIFE_SECONDS: i64 = 30 * 60;
/// A longer wish where to go afterwards is dropped: it has to fit into an address twice.
const NEXT_MAX: usize = 1_024;
const STATE_MAX: usize = 4_096;
const PURPOSE: &str = "sign-in journey";
const TOLD: &str = "lyceum log-out told 1";

/// Seals journeys and makes sure of those who return. Cheap to clone.
#[derive(Clone)]
pub struct Journeys {
    keys: Keys,
    db: Db,
    clock: Clock,
}

/// What goes with a journey to the provider and comes back.
#[derive(Debug, Clone)]
pub struct Proofs {
    pub state: String,
    pub nonce: String,
    /// The secret of PKCE (RFC 7636).
    pub verifier: Secret,
}

/// Somebody who left from here has come back.
#[derive(Debug)]
pub struct Returned {
    /// The id of the method by which she left.
    pub method: String,
    /// Where she wanted to go; not checked here.
    pub next: String,
    pub proofs: Proofs,
}

#[derive(Serialize, Deserialize)]
struct Sealed {
    /// The journey's own chance.
    journey: String,
    method: String,
    next: String,
    /// The hash of what the browser keeps.
    browser: String,
    until: i64,
}

impl Journeys {
    pub fn new(keys: Keys, db: Db, clock: Clock) -> Self {
        Self { keys, db, clock }
    }

    pub(crate) fn now(&self) -> Millis {
        self.clock.now()
    }

    pub(crate) fn keys(&self) -> &Keys {
        &self.keys
    }

    /// `browser`: a secret that this browser alone has.
    pub fn begin(&self, method: &str, browser: &str, next: &str) -> Proofs {
        let journey = new_secret();
        let sealed = Sealed {
            method: method.into(),
            next: match next.len() > NEXT_MAX {
                true => String::new(),
                false => next.into(),
            },
            browser: hash_secret("lyceum sign-in browser 1", browser),
            until: self.clock.now().plus(LIFE_SECONDS * 1_000).0,
            journey,
        };
        let text = serde_json::to_vec(&sealed).expect("texts and a number");
        let state = self.keys.seal(PURPOSE, &text);
        self.proofs(state, browser, &sealed.journey)
    }

    fn proofs(&self, state: String, browser: &str, journey: &str) -> Proofs {
        let of = |purpose: &str| {
            let key = self.keys.derive(purpose);
            let mac = blake3::keyed_hash(&key, format!("{browser}\n{journey}").as_bytes());
            BASE64URL_NOPAD.encode(mac.as_bytes())
        };
        Proofs {
            state,
            nonce: of("sign-in nonce"),
            verifier: Secret::new(of("sign-in verifier")),
        }
    }

    /// Whether this is one of our journeys, made by this browser not long ago, back for the first
    /// time. From here on it can't come back again.
    pub async fn end(&self, state: &str, browser: &str) -> anyhow::Result<Option<Returned>> {
        let Some(sealed) = self.open(state, browser) else {
            return Ok(None);
        };
        let used = mark_of(&sealed);
        let mut tx = self.db.write().await?;
        let first = returns::insert(&mut tx, &used, Millis(sealed.until)).await?;
        tx.commit().await?;
        Ok(self.returned(state, browser, sealed, first))
    }

    /// As [`Self::end`], but nothing is written down: it can still come back.
    pub async fn peek(&self, state: &str, browser: &str) -> anyhow::Result<Option<Returned>> {
        let Some(sealed) = self.open(state, browser) else {
            return Ok(None);
        };
        let mut tx = self.db.read().await?;
        let first = !returns::is_there(&mut tx, &mark_of(&sealed)).await?;
        Ok(self.returned(state, browser, sealed, first))
    }

    fn returned(
        &self,
        state: &str,
        browser: &str,
        sealed: Sealed,
        is_first: bool,
    ) -> Option<Returned> {
        if !is_first {
            tracing::info!("sign-in refused: this way back was taken before");
            return None;
        }
        Some(Returned {
            proofs: self.proofs(state.to_owned(), browser, &sealed.journey),
            method: sealed.method,
            next: sealed.next,
        })
    }

    /// Whether this message of somebody else's was seen to.
    pub(crate) async fn is_done(&self, message: &str) -> anyhow::Result<bool> {
        let mut tx = self.db.read().await?;
        Ok(returns::is_there(&mut tx, &hash_secret(TOLD, message)).await?)
    }

    /// `until`: longer it would not be taken anyway.
    pub(crate) async fn note_done(&self, message: &str, until: Millis) -> anyhow::Result<()> {
        let mut tx = self.db.write().await?;
        returns::insert(&mut tx, &hash_secret(TOLD, message), until).await?;
        tx.commit().await?;
        Ok(())
    }

    /// Whether this was never seen before; it will not be taken after `until` anyway.
    pub(crate) async fn is_first(
        &self,
        purpose: &str,
        mark: &str,
        until: Millis,
    ) -> anyhow::Result<bool> {
        let mut tx = self.db.write().await?;
        let first = returns::insert(&mut tx, &hash_secret(purpose, mark), until).await?;
        tx.commit().await?;
        Ok(first)
    }

    /// Where she wanted to go, if this is a journey of hers, whatever became of it.
    pub fn wish(&self, state: &str, browser: &str) -> Option<String> {
        self.open(state, browser).map(|sealed| sealed.next)
    }

    fn open(&self, state: &str, browser: &str) -> Option<Sealed> {
        if state.len() > STATE_MAX {
            return None;
        }
        let text = self.keys.open(PURPOSE, state).ok()?;
        let sealed: Sealed = serde_json::from_slice(&text).ok()?;
        let given = hash_secret("lyceum sign-in browser 1", browser);
        let same: bool = given.as_bytes().ct_eq(sealed.browser.as_bytes()).into();
        (same && self.clock.now().0 < sealed.until).then_some(sealed)
    }

    /// Forgets ways that nobody could take any more; to be called now and then.
    pub async fn purge(&self) -> anyhow::Result<()> {
        let mut tx = self.db.write().await?;
        returns::purge(&mut tx, self.clock.now()).await?;
        tx.commit().await?;
        Ok(())
    }
}

/// By what a journey that has led back is known.
fn mark_of(sealed: &Sealed) -> String {
    hash_secret("lyceum sign-in journey 1", &sealed.journey)
}
