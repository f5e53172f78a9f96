//! Who came lately with which token. It is kept for as long as nothing was committed since it was
//! looked up ([`lyceum_store::stamp`]) and the configuration is the same, so that nobody holds more
//! than a look at the rows would give.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use axum::body::Bytes;
use lyceum_model::clock::Millis;
use lyceum_store::Stamp;
use lyceum_web::Caller;

use crate::Settings;

/// How many are kept; then it begins anew.
const MOST: usize = 4096;
/// What is longer is made anew each time.
const LONGEST: usize = 8 * 1024;

/// Somebody who came with a token.
pub struct Seen {
    pub caller: Caller,
    /// What she was told of herself: without and with the servers at rest.
    told: [OnceLock<Bytes>; 2],
}

impl Seen {
    pub fn told(&self, stopped: bool) -> Option<Bytes> {
        self.told[usize::from(stopped)].get().cloned()
    }

    pub fn tell(&self, stopped: bool, body: &Bytes) {
        if body.len() <= LONGEST {
            // Another request may have been first, with the same.
            let _ = self.told[usize::from(stopped)].set(body.clone());
        }
    }
}

/// By the hash of the token.
#[derive(Default)]
pub struct Callers(Mutex<Kept>);

/// All of one moment: what was kept of another can never be right again.
#[derive(Default)]
struct Kept {
    of: Option<(Stamp, Arc<Settings>)>,
    callers: HashMap<String, (Option<i64>, Arc<Seen>)>,
}

impl Kept {
    fn is_of(&self, stamp: Stamp, settings: &Arc<Settings>) -> bool {
        let same = |(of, by): &(Stamp, Arc<Settings>)| *of == stamp && Arc::ptr_eq(by, settings);
        self.of.as_ref().is_some_and(same)
    }
}

impl Callers {
    /// Who came with it before, if the rows and the configuration are still as they were.
    pub fn find(
        &self,
        hash: &str,
        stamp: Stamp,
        settings: &Arc<Settings>,
        now: Millis,
    ) -> Option<Arc<Seen>> {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if !kept.is_of(stamp, settings) {
            return None;
        }
        let (until, seen) = kept.callers.get(hash)?;
        let lives = until.is_none_or(|until| until > now.0);
        lives.then(|| Arc::clone(seen))
    }

    /// `stamp` and `settings` are those from before it was looked up who that is.
    pub fn keep(
        &self,
        hash: String,
        stamp: Option<Stamp>,
        settings: Arc<Settings>,
        until: Option<i64>,
        caller: Caller,
    ) -> Arc<Seen> {
        let seen = Arc::new(Seen {
            caller,
            told: Default::default(),
        });
        let Some(stamp) = stamp else {
            return seen;
        };
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if !kept.is_of(stamp, &settings) || kept.callers.len() >= MOST {
            kept.callers.clear();
            kept.of = Some((stamp, settings));
        }
        kept.callers.insert(hash, (until, Arc::clone(&seen)));
        seen
    }
}
