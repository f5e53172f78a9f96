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

/// Somebody who came with a token.
pub struct Seen {
    pub caller: Caller,
    /// What she was told of herself: without and with the servers at rest.
    pub told: [OnceLock<Bytes>; 2],
}

/// By the hash of the token.
#[derive(Default)]
pub struct Callers(Mutex<HashMap<String, Kept>>);

struct Kept {
    stamp: Stamp,
    settings: Arc<Settings>,
    until: Option<i64>,
    seen: Arc<Seen>,
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
        let callers = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let kept = callers.get(hash)?;
        let same = kept.stamp == stamp && Arc::ptr_eq(&kept.settings, settings);
        let lives = kept.until.is_none_or(|until| until > now.0);
        (same && lives).then(|| Arc::clone(&kept.seen))
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
        let mut callers = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if callers.len() >= MOST {
            callers.clear();
        }
        let kept = Kept {
            stamp,
            settings,
            until,
            seen: Arc::clone(&seen),
        };
        callers.insert(hash, kept);
        seen
    }
}
