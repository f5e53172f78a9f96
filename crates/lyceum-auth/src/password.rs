//! Passwords: hashing (argon2id), its bounds, what a new one must be.
//!
//! A hash takes tens of milliseconds and 19 MiB, so [`Hasher`] runs few at a time away from the
//! async threads and lets only so many wait; the rest are told to come back.

use std::ops::RangeInclusive;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::available_parallelism;

use anyhow::{Context, anyhow};
use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{Error as HashError, PasswordHasher, PasswordVerifier};
use argon2::{Algorithm, Argon2, Params, Version};
use lyceum_model::name::UserName;
use lyceum_model::secret::Secret;
use tokio::sync::Semaphore;
use zxcvbn::zxcvbn;

/// Bytes of a password; checked before any hashing.
pub const LENGTH: RangeInclusive<usize> = 1..=1024;
/// Fewest characters of a new password that a site can ask for, and what is asked for if it says nothing.
pub const NEW_MIN: usize = 8;
/// Most characters that a site can ask for.
pub const NEW_MIN_MOST: usize = 64;
/// Whoever guesses begins with words, names, dates and what others have chosen. A password that is found
/// among so many is none.
const FEWEST_GUESSES: u64 = 1_000_000;

/// OWASP's second choice for argon2id (Password Storage Cheat Sheet): 19 MiB, two passes, one lane.
const MEMORY_KIB: u32 = 19 * 1024;
const PASSES: u32 = 2;
const LANES: u32 = 1;
/// Most hashes at a time: each takes 19 MiB.
const WORKERS_MAX: usize = 8;
/// Waiting hashes per worker; at some 30 ms each nobody waits much above two seconds.
const WAITING_PER_WORKER: usize = 64;

/// A hash that belongs to nobody: chance bytes, no password is known. Verified against when there
/// is no account, so that the work is the same.
const NOBODY: &str = "$argon2id$v=19$m=19456,t=2,p=1$bHljZXVtIG5vIG9uZSBpcw$l0kFnqMJw6qUER/Flk8LxZCWP9iDIHQ1DqfXsFPUq6o";

/// Why a password was not set.
#[derive(Debug, thiserror::Error)]
pub enum PasswordError {
    #[error("a new password needs at least {0} characters")]
    TooShort(usize),
    #[error(
        "that password is among those that are guessed first; take a longer one, or several words that do not belong together"
    )]
    Common,
    #[error("a password has at most {} bytes", LENGTH.end())]
    TooLong,
    #[error("too many people are signing in at the moment, try again in a few seconds")]
    Busy,
    #[error("the password could not be set")]
    Internal(#[from] anyhow::Error),
}

/// There are enough hashes waiting already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Busy;

/// What a new password must be: long enough, and not what everybody guesses first. Rules about kinds of
/// characters make worse ones.
pub fn check_new(password: &Secret, name: &UserName, shortest: usize) -> Result<(), PasswordError> {
    if password.expose().len() > *LENGTH.end() {
        return Err(PasswordError::TooLong);
    }
    if password.expose().chars().count() < shortest {
        return Err(PasswordError::TooShort(shortest));
    }
    let mut known = vec![name.as_str(), "lyceum", "jupyter", "jupyterhub"];
    known.extend(name.as_str().split(['.', '_', '@', '+', '-']));
    if zxcvbn(password.expose(), &known).guesses() < FEWEST_GUESSES {
        return Err(PasswordError::Common);
    }
    Ok(())
}

/// Hashes and verifies, a bounded number at a time. Cheap to clone; clones share the bounds.
#[derive(Clone)]
pub struct Hasher(Arc<Inner>);

struct Inner {
    argon2: Argon2<'static>,
    /// Running and waiting together.
    admitted: Arc<Semaphore>,
    running: Arc<Semaphore>,
    done: AtomicU64,
}

impl Default for Hasher {
    fn default() -> Self {
        let workers = available_parallelism().map_or(1, usize::from);
        let workers = workers.min(WORKERS_MAX);
        Self::new(workers, workers * WAITING_PER_WORKER)
    }
}

impl Hasher {
    /// At most `workers` at a time, and `waiting` more in the queue.
    pub fn new(workers: usize, waiting: usize) -> Self {
        let params =
            Params::new(MEMORY_KIB, PASSES, LANES, None).expect("the figures are in range");
        Self(Arc::new(Inner {
            argon2: Argon2::new(Algorithm::Argon2id, Version::V0x13, params),
            admitted: Arc::new(Semaphore::new(workers + waiting)),
            running: Arc::new(Semaphore::new(workers)),
            done: AtomicU64::new(0),
        }))
    }

    /// How many times argon2 has run, for the metrics and for the proof that an unknown name
    /// costs as much as a wrong password.
    pub fn runs(&self) -> u64 {
        self.0.done.load(Ordering::Relaxed)
    }

    /// The PHC form of a new hash with a salt of its own.
    pub async fn hash(&self, password: Secret) -> Result<anyhow::Result<String>, Busy> {
        self.run(move |argon2| {
            let hash: PasswordHash = argon2
                .hash_password(password.expose().as_bytes())
                .map_err(|problem| anyhow!("argon2: {problem}"))?;
            Ok(hash.to_string())
        })
        .await
    }

    /// Whether `password` is the one behind `stored`. Without a stored hash it is not, after the
    /// same work.
    pub async fn verify(
        &self,
        password: Secret,
        stored: Option<String>,
    ) -> Result<anyhow::Result<bool>, Busy> {
        self.run(move |argon2| {
            let against = stored.as_deref().unwrap_or(NOBODY);
            let hash = PasswordHash::new(against)
                .map_err(|problem| anyhow!("the stored password hash is damaged: {problem}"))?;
            let right = match argon2.verify_password(password.expose().as_bytes(), &hash) {
                Ok(()) => true,
                Err(HashError::PasswordInvalid) => false,
                Err(problem) => return Err(anyhow!("argon2: {problem}")),
            };
            Ok(right && stored.is_some())
        })
        .await
    }

    async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Argon2<'static>) -> anyhow::Result<T> + Send + 'static,
    ) -> Result<anyhow::Result<T>, Busy> {
        let inner = &self.0;
        let admitted = inner
            .admitted
            .clone()
            .try_acquire_owned()
            .map_err(|_| Busy)?;
        let running = inner.running.clone().acquire_owned().await;
        let running = running.expect("the semaphore is never closed");
        let inner = inner.clone();
        let result = tokio::task::spawn_blocking(move || {
            // Both go along: a caller that goes away must not make room for another while the
            // work still runs.
            let _held = (admitted, running);
            inner.done.fetch_add(1, Ordering::Relaxed);
            work(&inner.argon2)
        })
        .await;
        Ok(result.context("hashing a password").flatten())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn new_passwords() {
        let ada = UserName::parse("ada.lovelace").unwrap();
        let check = |password: &str, good: bool| {
            let answer = check_new(&Secret::new(password), &ada, NEW_MIN);
            assert_eq!(answer.is_ok(), good, "{password:?}: {answer:?}");
        };
        check("", false);
        check("kw3-pqz", false);
        check("éöüß", false);
        check("kw3-pqzt", true);
        check("éöüßåñçø", true);
        check("battery staple", true);
        let long: String = (0..1025_u32)
            .map(|n| char::from(b'!' + u8::try_from((n * n * 31 + n * 7) % 94).unwrap()))
            .collect();
        check(&long[..1024], true);
        check(&long, false);
        // What everybody tries first.
        for common in [
            "password",
            "12345678",
            "Passw0rd",
            "qwertzuiop",
            "xxxxxxxxxxxx",
            "jupyterhub1",
        ] {
            check(common, false);
        }
        for own in ["ada.lovelace", "lovelaceada", "ada.lovelace1"] {
            check(own, false);
        }
        let short = check_new(&Secret::new("kw3-pqzt"), &ada, 12).unwrap_err();
        assert_eq!(
            short.to_string(),
            "a new password needs at least 12 characters"
        );
    }

    #[tokio::test]
    async fn nobodys_hash_costs_what_a_real_one_costs() {
        let hasher = Hasher::new(1, 1);
        let real = hasher.hash(Secret::new("correct horse")).await;
        let real = real.unwrap().unwrap();
        let figures = |hash: &str| hash.split('$').take(4).collect::<Vec<_>>().join("$");
        assert_eq!(figures(NOBODY), figures(&real));
        assert_eq!(figures(&real), "$argon2id$v=19$m=19456,t=2,p=1");
        let lengths = |hash: &str| hash.split('$').map(str::len).collect::<Vec<_>>();
        assert_eq!(lengths(NOBODY), lengths(&real));
    }

    #[tokio::test]
    async fn verifies() {
        let hasher = Hasher::new(2, 8);
        let hash = hasher.hash(Secret::new("correct horse")).await;
        let hash = hash.unwrap().unwrap();
        let verify = async |password: &str, stored: Option<&str>| {
            let stored = stored.map(str::to_owned);
            hasher.verify(Secret::new(password), stored).await.unwrap()
        };
        assert!(verify("correct horse", Some(&hash)).await.unwrap());
        assert!(!verify("battery staple", Some(&hash)).await.unwrap());
        assert!(!verify("correct horse", None).await.unwrap());
        let damaged = verify("correct horse", Some("$argon2id$x")).await;
        assert!(damaged.unwrap_err().to_string().contains("damaged"));
    }

    #[tokio::test]
    async fn a_full_queue_says_so() {
        let hasher = Hasher::new(1, 1);
        let ask = || hasher.verify(Secret::new("correct horse"), None);
        // The three are polled in turn on one thread: the first runs, the second waits.
        let (first, second, third) = tokio::join!(ask(), ask(), ask());
        assert!(first.is_ok() && second.is_ok());
        assert_eq!(third.unwrap_err(), Busy);
        assert!(ask().await.is_ok(), "there is room again");
        assert_eq!(hasher.runs(), 3);
    }
}
