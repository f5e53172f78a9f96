//! A second step behind a password: a code of an app, or one of ten recovery codes.
//!
//! It belongs to the person, not to her account here: whichever method has looked at her password, she is
//! asked. Ways in that lead elsewhere have steps of their own there, and are not asked here. Who *must* have
//! one is the hub's to say; pages and sessions are the hub's too.
//!
//! - Each step of time is taken once of each person, on all replicas, and each recovery code once: whoever looks
//!   over her shoulder, or listens, comes too late.
//! - The app's key is sealed; of recovery codes hashes are kept, made with that key, so that without the key of
//!   this place nobody can try them out.
//! - Codes are slowed down for the account ([`crate::throttle`]), and wrong ones are written down for her to
//!   see, for whoever types one knows her password.

use std::net::IpAddr;

use lyceum_model::clock::{Clock, Millis};
use lyceum_model::id::new_id;
use lyceum_model::secret::Secret;
use lyceum_store::secret::Keys;
use lyceum_store::{Db, Tx};

use crate::attempt::Refused;
use crate::db::second_factors as factors;
use crate::throttle::{CountedCode, Throttle};
use crate::totp::{DIGITS, Key};

/// How many recovery codes somebody is given.
pub const CODES: usize = 10;
/// Digits of one: a phone shows the same keys as for a code of the app.
const CODE_LEN: usize = 12;
/// What is longer was not typed.
const TYPED_MAX: usize = 64;
const PURPOSE: &str = "second factor";
/// What happened is told for so long, and then forgotten.
const KEEP_MS: i64 = 90 * 24 * 3_600_000;
/// No more is shown.
const SHOWN: i64 = 50;

/// What is kept of second factors. Cheap to clone.
#[derive(Clone)]
pub struct SecondFactors {
    keys: Keys,
    clock: Clock,
    throttle: Throttle,
}

/// What is known of somebody's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct State {
    pub since: Millis,
    pub codes_left: i64,
}

/// What she brought.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Proof {
    App,
    Recovery { left: i64 },
}

/// Why a code was not taken.
#[derive(Debug, thiserror::Error)]
pub enum CodeRefused {
    #[error("the code is wrong")]
    Wrong,
    #[error("the code was used already")]
    Used,
    /// There is no second factor any more, or another one.
    #[error("there is nothing that this code could be for")]
    Gone,
    #[error("too many codes, try again in {retry_after} s")]
    TooMany { retry_after: u32 },
    #[error("codes can't be looked at")]
    Internal(#[from] anyhow::Error),
}

impl From<sqlx::Error> for CodeRefused {
    fn from(error: sqlx::Error) -> Self {
        Self::Internal(error.into())
    }
}

impl From<Refused> for CodeRefused {
    fn from(refused: Refused) -> Self {
        match refused {
            Refused::TooMany { retry_after } => Self::TooMany { retry_after },
            other => Self::Internal(other.into()),
        }
    }
}

/// Whose code is looked at, and whence it came.
#[derive(Debug, Clone, Copy)]
pub struct Asked<'a> {
    pub user_id: &'a str,
    /// Something that changes with her password.
    pub password: &'a str,
    pub address: IpAddr,
}

/// A code that was let through, and counts as a wrong one until it was looked at.
#[derive(Debug)]
#[must_use = "a code that was let through is to be looked at"]
pub struct Turn<'a> {
    asked: Asked<'a>,
    counted: CountedCode,
}

/// What can happen to a second factor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum What {
    SetUp,
    Moved,
    NewCodes,
    Recovery,
    Wrong,
    SwitchedOff,
    TakenOff,
}

impl What {
    fn word(self) -> &'static str {
        match self {
            Self::SetUp => "set_up",
            Self::Moved => "moved",
            Self::NewCodes => "codes",
            Self::Recovery => "recovery",
            Self::Wrong => "wrong",
            Self::SwitchedOff => "switched_off",
            Self::TakenOff => "taken_off",
        }
    }
}

/// Something that happened, as it is kept.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct Happened {
    pub what: String,
    /// Who it was, if somebody else; of [`What::TakenOff`], nobody is whoever runs this place.
    pub doer: Option<String>,
    pub address: Option<String>,
    pub at: i64,
}

enum Typed {
    Code(String),
    Recovery(String),
}

impl SecondFactors {
    pub fn new(keys: Keys, db: Db, clock: Clock) -> Self {
        let throttle = Throttle::new(db, clock.clone());
        Self {
            keys,
            clock,
            throttle,
        }
    }

    pub(crate) fn keys(&self) -> &Keys {
        &self.keys
    }

    pub(crate) fn clock(&self) -> &Clock {
        &self.clock
    }

    /// Sets up the app with this key, if the code is one of it; gives the recovery codes. `Gone`: she has an
    /// app already.
    pub async fn set_up(
        &self,
        tx: &mut Tx,
        user_id: &str,
        key: &Key,
        code: &str,
    ) -> Result<Vec<Secret>, CodeRefused> {
        let now = self.clock.now();
        let step = self.step_of(key, code, now)?;
        let sealed = self.keys.seal(PURPOSE, key.as_bytes());
        if !factors::insert(tx, user_id, &sealed, step, now).await? {
            return Err(CodeRefused::Gone);
        }
        Ok(put_codes(tx, user_id, key).await?)
    }

    /// The same in the place of the app that is there since `before`. `Gone`: that is not there any more.
    pub async fn move_to(
        &self,
        tx: &mut Tx,
        user_id: &str,
        (key, before): (&Key, i64),
        code: &str,
    ) -> Result<Vec<Secret>, CodeRefused> {
        let now = self.clock.now();
        let step = self.step_of(key, code, now)?;
        let sealed = self.keys.seal(PURPOSE, key.as_bytes());
        if !factors::replace(tx, user_id, before, &sealed, step, now).await? {
            return Err(CodeRefused::Gone);
        }
        Ok(put_codes(tx, user_id, key).await?)
    }

    fn step_of(&self, key: &Key, code: &str, now: Millis) -> Result<i64, CodeRefused> {
        let step = match typed(code) {
            Some(Typed::Code(code)) => key.step_of(&code, now),
            _ => None,
        };
        step.ok_or(CodeRefused::Wrong)
    }

    /// New recovery codes; those before them are nothing any more. `Gone`: there is no app.
    pub async fn give_codes(&self, tx: &mut Tx, user_id: &str) -> Result<Vec<Secret>, CodeRefused> {
        let row = factors::find(tx, user_id).await?;
        let key = self.open(&row.ok_or(CodeRefused::Gone)?.key)?;
        Ok(put_codes(tx, user_id, &key).await?)
    }

    /// Lets a code through to be looked at, or says how long to wait. Not within a transaction.
    pub async fn begin<'a>(&self, asked: Asked<'a>) -> Result<Turn<'a>, CodeRefused> {
        let counted = self.throttle.begin_code(asked.user_id, asked.password);
        Ok(Turn {
            counted: counted.await?,
            asked,
        })
    }

    /// Looks at a code, which is used up by it, and ends the transaction. A wrong one is counted, and written
    /// down for her.
    pub async fn prove(&self, tx: Tx, turn: Turn<'_>, code: &str) -> Result<Proof, CodeRefused> {
        let looked = self.look(tx, turn.asked, code).await;
        match &looked {
            Ok(_) => self.settle(turn.counted, true).await,
            Err(CodeRefused::Wrong) => {}
            Err(_) => self.settle(turn.counted, false).await,
        }
        looked
    }

    async fn look(&self, mut tx: Tx, asked: Asked<'_>, code: &str) -> Result<Proof, CodeRefused> {
        let (now, user_id) = (self.clock.now(), asked.user_id);
        let row = factors::find(&mut tx, user_id).await?;
        let row = row.ok_or(CodeRefused::Gone)?;
        let key = self.open(&row.key)?;
        let (happened, answer) = match typed(code) {
            Some(Typed::Code(code)) => match key.step_of(&code, now) {
                Some(step) if factors::take_step(&mut tx, user_id, row.since, step).await? => {
                    (None, Ok(Proof::App))
                }
                Some(_) => (None, Err(CodeRefused::Used)),
                None => (Some(What::Wrong), Err(CodeRefused::Wrong)),
            },
            Some(Typed::Recovery(code)) => {
                match factors::take_code(&mut tx, user_id, &hashed(&key, &code)).await? {
                    true => {
                        let left = factors::codes_left(&mut tx, user_id).await?;
                        (Some(What::Recovery), Ok(Proof::Recovery { left }))
                    }
                    false => (Some(What::Wrong), Err(CodeRefused::Wrong)),
                }
            }
            None => (Some(What::Wrong), Err(CodeRefused::Wrong)),
        };
        if let Some(what) = happened {
            note(&mut tx, user_id, what, Doer::At(asked.address), now).await?;
        }
        tx.commit().await.map_err(anyhow::Error::from)?;
        answer
    }

    fn open(&self, sealed: &str) -> anyhow::Result<Key> {
        let bytes = self.keys.open(PURPOSE, sealed)?;
        Key::from_slice(&bytes).ok_or_else(|| anyhow::anyhow!("a key has another length"))
    }

    /// A count that could not be taken back makes somebody wait a little; nobody is kept out for that.
    async fn settle(&self, counted: CountedCode, right: bool) {
        if let Err(problem) = self.throttle.code_counts_not(counted, right).await {
            tracing::warn!(
                problem = format!("{problem:#}"),
                "a code could not be taken off the count of wrong ones"
            );
        }
    }
}

/// What somebody has, if she has one.
pub async fn state(tx: &mut Tx, user_id: &str) -> sqlx::Result<Option<State>> {
    let Some(row) = factors::find(tx, user_id).await? else {
        return Ok(None);
    };
    Ok(Some(State {
        since: Millis(row.since),
        codes_left: factors::codes_left(tx, user_id).await?,
    }))
}

pub async fn is_on(tx: &mut Tx, user_id: &str) -> sqlx::Result<bool> {
    Ok(factors::find(tx, user_id).await?.is_some())
}

/// Takes it off, recovery codes and all; whether there was one.
pub async fn remove(tx: &mut Tx, user_id: &str) -> sqlx::Result<bool> {
    factors::delete(tx, user_id).await
}

/// Who did something.
#[derive(Debug, Clone, Copy)]
pub enum Doer<'a> {
    /// Whoever sat at this address, as her.
    At(IpAddr),
    Another(&'a str),
    /// Whoever runs this place.
    Operator,
}

/// Writes down what happened, in the transaction in which it does.
pub async fn note(
    tx: &mut Tx,
    user_id: &str,
    what: What,
    doer: Doer<'_>,
    now: Millis,
) -> sqlx::Result<()> {
    let (doer, address) = match doer {
        Doer::At(address) => (None, Some(address.to_canonical().to_string())),
        Doer::Another(name) => (Some(name.to_owned()), None),
        Doer::Operator => (None, None),
    };
    let happened = Happened {
        what: what.word().to_owned(),
        doer,
        address,
        at: now.0,
    };
    factors::add_event(tx, &new_id(now), user_id, &happened).await
}

/// What happened, the newest first.
pub async fn events(tx: &mut Tx, user_id: &str, now: Millis) -> sqlx::Result<Vec<Happened>> {
    factors::events(tx, user_id, now.plus(-KEEP_MS).0, SHOWN).await
}

/// Forgets what is not told any more; to be called now and then.
pub async fn prune(tx: &mut Tx, now: Millis) -> sqlx::Result<()> {
    factors::forget_events(tx, now.plus(-KEEP_MS).0).await
}

async fn put_codes(tx: &mut Tx, user_id: &str, key: &Key) -> sqlx::Result<Vec<Secret>> {
    factors::forget_codes(tx, user_id).await?;
    let mut codes = Vec::with_capacity(CODES);
    for _ in 0..CODES {
        let code = new_code();
        factors::add_code(tx, user_id, &hashed(key, &code)).await?;
        codes.push(Secret::new(in_groups(&code)));
    }
    Ok(codes)
}

fn new_code() -> String {
    let mut chance = [0; 8];
    getrandom::fill(&mut chance).expect("the system's random source answers");
    let code = u64::from_le_bytes(chance) % 10_u64.pow(12);
    format!("{code:0CODE_LEN$}")
}

fn in_groups(code: &str) -> String {
    let groups = code.as_bytes().chunks(4).map(String::from_utf8_lossy);
    groups.collect::<Vec<_>>().join("-")
}

fn hashed(key: &Key, code: &str) -> String {
    let key = blake3::derive_key("lyceum recovery code 1", key.as_bytes());
    let hash = blake3::keyed_hash(&key, code.as_bytes());
    hash.to_hex().to_string()
}

/// What somebody meant to type: blanks and hyphens are hers to choose.
fn typed(text: &str) -> Option<Typed> {
    if text.len() > TYPED_MAX {
        return None;
    }
    let drops = |c: &char| !c.is_whitespace() && !matches!(c, '-' | '\u{2013}');
    let code: String = text.chars().filter(drops).collect();
    let is_digits = code.bytes().all(|byte| byte.is_ascii_digit());
    match code.len() {
        DIGITS if is_digits => Some(Typed::Code(code)),
        CODE_LEN if is_digits => Some(Typed::Recovery(code)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_people_type_is_understood() {
        let check = |text: &str, expect: Option<(&str, bool)>| {
            let found = typed(text);
            let found = found.as_ref().map(|found| match found {
                Typed::Code(code) => (code.as_str(), false),
                Typed::Recovery(code) => (code.as_str(), true),
            });
            assert_eq!(found, expect, "{text:?}");
        };
        check("123456", Some(("123456", false)));
        check(" 123 456\n", Some(("123456", false)));
        check("12345", None);
        check("1234567", None);
        check("１２３４５６", None);
        let code = Some(("012345678901", true));
        check("0123-4567-8901", code);
        check("0123 4567\u{2013}8901 ", code);
        check("012345678901", code);
        check("0123-4567-890a", None);
        check("0123-4567-890", None);
        check("", None);
        check(&"1".repeat(1_000_000), None);
        check(&" ".repeat(1_000_000), None);
    }

    #[test]
    fn recovery_codes_are_of_chance() {
        let (one, other) = (new_code(), new_code());
        assert_ne!(one, other);
        let shown = in_groups(&one);
        assert_eq!(shown.len(), 14);
        assert!(matches!(typed(&shown), Some(Typed::Recovery(code)) if code == one));
        let key = Key::new();
        assert_ne!(hashed(&key, &one), hashed(&Key::new(), &one));
        assert_ne!(hashed(&key, &one), hashed(&key, &other));
    }
}
