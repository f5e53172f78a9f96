//! Who has said the right password, and not yet the code that belongs to it; and who is about to set one up.
//!
//! Both are sealed and kept by the browser, so nothing is written down for them, and any replica goes on with
//! them. Neither is a session: the one is good for the page that asks for the code, the other for the
//! page that shows a key.

use lyceum_model::clock::Millis;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::second_factor::SecondFactors;
use crate::totp::Key;

/// How long somebody may take who has an app already.
pub const CODE_SECONDS: i64 = 10 * 60;
/// How long, where an app has to be found first.
pub const SET_UP_SECONDS: i64 = 30 * 60;
/// A longer wish where to go afterwards is dropped: a cookie has no room for it.
const NEXT_MAX: usize = 1_024;
const SEALED_MAX: usize = 4_096;

/// The password was right.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HalfWay {
    pub user_id: String,
    /// Something that changes with her password: with a new one this is nothing any more.
    pub password: String,
    /// Where she wanted to go; not checked here.
    pub next: String,
    /// The key of an app that she has to set up before she comes in.
    #[serde(with = "key", default, skip_serializing_if = "Option::is_none")]
    pub key: Option<Key>,
}

/// Somebody who is signed in is about to set up an app.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SetUp {
    pub user_id: String,
    /// Only this session of hers goes on with it.
    pub session: String,
    #[serde(with = "key")]
    pub key: Option<Key>,
    /// Since when she has the one whose place it takes, by a code of which she got here.
    pub instead_of: Option<i64>,
}

#[derive(Serialize, Deserialize)]
struct Sealed<T> {
    it: T,
    until: i64,
}

impl SecondFactors {
    pub fn seal_half_way(&self, mut half_way: HalfWay) -> String {
        if half_way.next.len() > NEXT_MAX {
            half_way.next.clear();
        }
        let life = match half_way.key {
            Some(_) => SET_UP_SECONDS,
            None => CODE_SECONDS,
        };
        self.seal_for("half way in", half_way, life)
    }

    /// If it was sealed here not long ago.
    pub fn open_half_way(&self, sealed: &str) -> Option<HalfWay> {
        self.open_for("half way in", sealed)
    }

    pub fn seal_set_up(&self, set_up: SetUp) -> String {
        self.seal_for("second factor set-up", set_up, SET_UP_SECONDS)
    }

    pub fn open_set_up(&self, sealed: &str) -> Option<SetUp> {
        self.open_for("second factor set-up", sealed)
    }

    fn seal_for<T: Serialize>(&self, purpose: &str, it: T, seconds: i64) -> String {
        let until = self.clock().now().plus(seconds * 1_000).0;
        let text = serde_json::to_vec(&Sealed { it, until }).expect("texts and numbers");
        self.keys().seal(purpose, &text)
    }

    fn open_for<T: DeserializeOwned>(&self, purpose: &str, sealed: &str) -> Option<T> {
        if sealed.len() > SEALED_MAX {
            return None;
        }
        let text = self.keys().open(purpose, sealed).ok()?;
        let sealed: Sealed<T> = serde_json::from_slice(&text).ok()?;
        (self.clock().now() < Millis(sealed.until)).then_some(sealed.it)
    }
}

mod key {
    use super::{Deserialize, Deserializer, Key, Serialize, Serializer};

    pub(super) fn serialize<S: Serializer>(key: &Option<Key>, to: S) -> Result<S::Ok, S::Error> {
        key.as_ref().map(Key::as_bytes).serialize(to)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Key>, D::Error> {
        let bytes = Option::<Vec<u8>>::deserialize(from)?;
        Ok(bytes.and_then(|bytes| Key::from_slice(&bytes)))
    }
}
