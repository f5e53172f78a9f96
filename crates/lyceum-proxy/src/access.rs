//! Who may use a route: the question, the answer, and the memory of answers.
//!
//! The proxy knows no users. It asks [`Access`] (the hub, in process or over HTTP) and remembers
//! the answer for as long as the answer says. Secrets are not kept: a decision is found by a
//! BLAKE3 hash of credential and route. Simultaneous requests with one credential ask once.
//!
//! Invariant: after [`crate::Proxy::revoke`] returned, no decision made before it lets a *new*
//! request through, not even one whose question was on its way.

use std::{
    collections::{HashMap, VecDeque},
    fmt,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering::SeqCst},
    },
    time::{Duration, Instant},
};

use async_trait::async_trait;
use hyper::Method;
use tokio::sync::OnceCell;

use crate::{metrics::Metrics, target::Target};

/// Decides whether a credential may use a route.
#[async_trait]
pub trait Access: Send + Sync {
    /// The decision holds for every request of this credential on this route; `method` and
    /// `is_websocket` describe only the request that happened to be first.
    async fn check(&self, ask: &Ask) -> Decision;

    /// Whether the program that takes connections at a route's target is the one the route is
    /// meant for. Asked after a connection was made and before anything is sent on it, so that a
    /// program that took the port of a server that ended gets nobody's request.
    async fn vouch(&self, _route_id: &str, _target: &Target) -> bool {
        true
    }
}

/// For where every server decides for itself: no route is checked, and if one were, nobody may.
pub(crate) struct NobodyAsked;

#[async_trait]
impl Access for NobodyAsked {
    async fn check(&self, _ask: &Ask) -> Decision {
        Decision::Deny
    }
}

/// One question to [`Access`].
#[derive(Clone, Debug)]
pub struct Ask {
    pub route_id: String,
    pub prefix: String,
    pub owner: String,
    pub credential: Credential,
    pub method: Method,
    pub is_websocket: bool,
}

#[derive(Clone, PartialEq, Eq)]
pub enum Credential {
    /// The value of the access cookie.
    AccessCookie(String),
    /// From `Authorization: token …` or `bearer …`.
    Token(String),
    None,
}

impl Credential {
    /// Kept in place of the secret, as it is written on the wire.
    fn hash(&self) -> [u8; 32] {
        match self {
            Self::AccessCookie(secret) | Self::Token(secret) => {
                *blake3::hash(secret.as_bytes()).as_bytes()
            }
            Self::None => [0; 32],
        }
    }

    fn kind(&self) -> u8 {
        match self {
            Self::AccessCookie(_) => b'c',
            Self::Token(_) => b't',
            Self::None => b'n',
        }
    }
}

impl fmt::Debug for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::AccessCookie(_) => "AccessCookie(***)",
            Self::Token(_) => "Token(***)",
            Self::None => "None",
        })
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    Allow {
        /// The person or service, for [`Revoked::Subject`].
        subject: String,
        /// Names of what the decision rests upon, for [`Revoked::Grounds`]: of the session, of the
        /// token. None are named: it falls whenever something of the subject's does.
        grounds: Arc<[String]>,
        for_how_long: Duration,
    },
    /// Known, but may not.
    Deny,
    /// Nobody known; logging in may help.
    SignIn,
    /// No decision can be had now.
    Unavailable,
}

/// Whose decisions and WebSockets end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Revoked {
    /// What of the subject's rests on one of these.
    Grounds {
        subject: String,
        fallen: Vec<String>,
    },
    Subject(String),
    All,
}

impl Revoked {
    pub(crate) fn concerns(&self, subject: Option<&str>, grounds: &[String]) -> bool {
        match self {
            Self::Grounds {
                subject: name,
                fallen,
            } => {
                subject == Some(name.as_str())
                    && (grounds.is_empty() || grounds.iter().any(|one| fallen.contains(one)))
            }
            Self::Subject(name) => subject == Some(name.as_str()),
            Self::All => true,
        }
    }
}

/// The last revocations, numbered, so that something under way can tell whether it was meant.
#[derive(Debug, Default)]
pub(crate) struct RevocationLog(Mutex<(u64, VecDeque<Revoked>)>);

impl RevocationLog {
    const KEPT: usize = 1_024;

    pub(crate) fn number(&self) -> u64 {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).0
    }

    pub(crate) fn push(&self, what: Revoked) {
        let mut log = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        log.0 += 1;
        log.1.push_back(what);
        if log.1.len() > Self::KEPT {
            log.1.pop_front();
        }
    }

    /// Whether a revocation after `number` concerns this one. When in doubt, yes.
    pub(crate) fn hit_since(&self, number: u64, subject: Option<&str>, grounds: &[String]) -> bool {
        let log = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let news = (log.0 - number) as usize;
        news > log.1.len()
            || log
                .1
                .iter()
                .rev()
                .take(news)
                .any(|what| what.concerns(subject, grounds))
    }
}

/// One question with its answer once it is there.
#[derive(Debug)]
struct Entry {
    answer: OnceCell<(Decision, Instant)>,
    revoked: AtomicBool,
}

impl Entry {
    fn is_over(&self, now: Instant) -> bool {
        self.revoked.load(SeqCst) || self.answer.get().is_some_and(|(_, until)| *until <= now)
    }
}

/// Remembered decisions; bounded, in shards so that many cores do not wait for one lock.
#[derive(Debug)]
pub(crate) struct Decisions {
    shards: Vec<Mutex<HashMap<[u8; 32], Arc<Entry>>>>,
    per_shard: usize,
    refusal: Duration,
    time_out: Duration,
}

const SHARDS: usize = 16;
/// How often a question is asked anew because a revocation overtook it.
const TRIES: usize = 4;

impl Decisions {
    pub(crate) fn new(limits: &crate::config::Limits) -> Self {
        Self {
            shards: (0..SHARDS).map(|_| Mutex::default()).collect(),
            per_shard: limits.decisions.div_ceil(SHARDS).max(1),
            refusal: limits.refusal,
            time_out: limits.access,
        }
    }

    pub(crate) async fn decide(
        &self,
        access: &dyn Access,
        ask: &Ask,
        metrics: &Metrics,
    ) -> Decision {
        let key = key_of(ask);
        for _ in 0..TRIES {
            let entry = self.entry(key, metrics);
            let (decision, _) = entry
                .answer
                .get_or_init(|| async {
                    let decision = tokio::time::timeout(self.time_out, access.check(ask))
                        .await
                        .unwrap_or(Decision::Unavailable);
                    let keep = match &decision {
                        Decision::Allow { for_how_long, .. } => *for_how_long,
                        Decision::Deny | Decision::SignIn => self.refusal,
                        Decision::Unavailable => Duration::ZERO,
                    };
                    let now = Instant::now();
                    (decision, now.checked_add(keep).unwrap_or(now))
                })
                .await;
            if !entry.revoked.load(SeqCst) {
                return decision.clone();
            }
        }
        Decision::Unavailable
    }

    fn entry(&self, key: [u8; 32], metrics: &Metrics) -> Arc<Entry> {
        let now = Instant::now();
        let mut shard = self.shard(key);
        if let Some(entry) = shard.get(&key)
            && !entry.is_over(now)
        {
            return entry.clone();
        }
        if shard.len() >= self.per_shard && !shard.contains_key(&key) {
            shard.retain(|_, entry| !entry.is_over(now));
            // Still full: forget some at random (the map's order); they only have to ask again.
            // One whose question is on its way stays, so that a revocation can find it.
            let surplus = (shard.len() + self.per_shard.div_ceil(8)).saturating_sub(self.per_shard);
            let victims: Vec<[u8; 32]> = shard
                .iter()
                .filter(|(_, entry)| entry.answer.initialized())
                .take(surplus)
                .map(|(key, _)| *key)
                .collect();
            if !victims.is_empty() {
                metrics.count_limit("decisions");
            }
            for victim in victims {
                shard.remove(&victim);
            }
        }
        let entry = Arc::new(Entry {
            answer: OnceCell::new(),
            revoked: AtomicBool::new(false),
        });
        shard.insert(key, entry.clone());
        entry
    }

    pub(crate) fn revoke(&self, what: &Revoked) {
        for shard in &self.shards {
            let mut shard = shard.lock().unwrap_or_else(PoisonError::into_inner);
            shard.retain(|_, entry| {
                let hit = match entry.answer.get() {
                    Some((
                        Decision::Allow {
                            subject, grounds, ..
                        },
                        _,
                    )) => what.concerns(Some(subject), grounds),
                    Some(_) => what.concerns(None, &[]),
                    // Whom it will name is not known yet: ask again to be sure.
                    None => true,
                };
                if hit {
                    entry.revoked.store(true, SeqCst);
                }
                !hit
            });
        }
    }

    /// Has everything asked for anew, without a word against anybody.
    pub(crate) fn forget(&self) {
        for shard in &self.shards {
            // A question on its way stays, so that a revocation can find it.
            let mut shard = shard.lock().unwrap_or_else(PoisonError::into_inner);
            shard.retain(|_, entry| !entry.answer.initialized());
        }
    }

    fn shard(&self, key: [u8; 32]) -> std::sync::MutexGuard<'_, HashMap<[u8; 32], Arc<Entry>>> {
        self.shards[usize::from(key[0]) % SHARDS]
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

fn key_of(ask: &Ask) -> [u8; 32] {
    let mut hasher = blake3::Hasher::new();
    hasher.update(&[ask.credential.kind()]);
    hasher.update(&ask.credential.hash());
    hasher.update(ask.route_id.as_bytes());
    *hasher.finalize().as_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_do_not_print() {
        let shown = format!(
            "{:?} {:?}",
            Credential::Token("hunter2".into()),
            Credential::AccessCookie("hunter2".into()),
        );
        assert!(!shown.contains("hunter2"), "{shown}");
    }

    #[test]
    fn a_revocation_is_seen_by_what_began_before_it() {
        let log = RevocationLog::default();
        let before = log.number();
        log.push(Revoked::Subject("ada".into()));
        assert!(log.hit_since(before, Some("ada"), &[]));
        assert!(!log.hit_since(before, Some("bob"), &[]));
        assert!(!log.hit_since(log.number(), Some("ada"), &[]));
        for _ in 0..=RevocationLog::KEPT {
            log.push(Revoked::Subject("carl".into()));
        }
        assert!(
            log.hit_since(before, Some("bob"), &[]),
            "forgotten news count as a hit"
        );
    }

    #[test]
    fn what_rests_on_something_else_stays() {
        let check = |subject: Option<&str>, grounds: &[&str], expect: bool| {
            let fallen = Revoked::Grounds {
                subject: "ada".into(),
                fallen: vec!["s1".into(), "t1".into()],
            };
            let grounds: Vec<String> = grounds.iter().map(|one| (*one).to_owned()).collect();
            let hit = fallen.concerns(subject, &grounds);
            assert_eq!(hit, expect, "{subject:?} {grounds:?}");
        };
        check(Some("ada"), &["s1"], true);
        check(Some("ada"), &["t2", "s1"], true);
        check(Some("ada"), &["s2"], false);
        check(Some("ada"), &[], true);
        check(Some("bob"), &["s1"], false);
        check(Some("bob"), &[], false);
        check(None, &[], false);
    }
}
