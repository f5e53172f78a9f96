//! Slows password guessing down without locking anyone out.
//!
//! Failures are counted for three subjects. Counts run down with time, one per `leak`, so the
//! window moves instead of ending at once.
//!
//! | subject | what is free | then a wait of | one forgotten per |
//! |---|---|---|---|
//! | account *at* an address | 5 | 1 s, doubling to 5 min | 10 min |
//! | the same, account under attack (30 failures from anywhere) | 1 | 60 s, doubling to 15 min | 10 min |
//! | address, any account | 300 | 1 s, doubling to 60 s | 2 s |
//! | ways back from providers with what is made up, at an address | 300 | 1 s, doubling to 60 s | 2 s |
//! | codes behind one password, from anywhere | 5 | 5 s, doubling to 15 min | 30 min |
//! | wishes for mail or an account, at an address | 40 | 5 s, doubling to 5 min | 30 s |
//! | letters to one mailbox, from anywhere | 3 | 20 min, doubling to 1 h | 20 min |
//!
//! What follows from it:
//! - Who guesses at one account is slowed down where *she* is. The owner at another address, one
//!   that has not failed for this account, gets through at any time, however hard the account is
//!   attacked from elsewhere. Each address of a botnet has one guess, then waits.
//! - Who tries one password on many accounts gets 300 guesses, then one every two seconds. Her
//!   neighbours behind the same NAT are asked to wait for seconds, never for good. Successful
//!   sign-ins do not count: hundreds a minute from one address are fine.
//! - An attempt counts *before* the password is looked at and is taken back when it was right, so
//!   a thousand at once, or hanging up early, gains nothing. Attempts that were told to wait do
//!   not count: hammering does not prolong the wait.
//! - Where one source finds a password wrong while another is busy or away, the attempt counts for
//!   the account, but not for the address: everybody there may be waiting for the same source. Where
//!   nobody could look at the password, it does not count at all.
//! - Codes of a second factor count for the account alone, wherever they are typed: a thousand addresses gain
//!   nothing, and a guess at six digits would take years. Only who knows the password gets to them, so
//!   nobody else can make the owner wait; and with a new password the count begins anew.
//! - Names nobody has are counted like the others, so the waits tell nothing.
//! - Whoever wants letters sent to others is slowed down where she is, and fills nobody's mailbox: three in an
//!   hour go there, whoever asks. The last of them is still good, so she keeps nobody from hers.
//!
//! Subjects are kept as hashes (people type passwords into the name field), IPv6 addresses by
//! their /64 network.

use std::net::{IpAddr, Ipv6Addr};

use lyceum_model::clock::{Clock, Millis};
use lyceum_model::digest::hash_secret;
use lyceum_model::name::UserName;
use lyceum_store::Db;

use crate::attempt::Refused;
use crate::db::sign_in_failures as failures;

const SECOND: i64 = 1_000;
const MINUTE: i64 = 60 * SECOND;

const HERE: Rule = Rule {
    free: 5,
    first: SECOND,
    most: 5 * MINUTE,
    leak: 10 * MINUTE,
};
const HERE_UNDER_ATTACK: Rule = Rule {
    free: 1,
    first: 60 * SECOND,
    most: 15 * MINUTE,
    leak: 10 * MINUTE,
};
const ADDRESS: Rule = Rule {
    free: 300,
    first: SECOND,
    most: 60 * SECOND,
    leak: 2 * SECOND,
};
const CODE: Rule = Rule {
    free: 5,
    first: 5 * SECOND,
    most: 15 * MINUTE,
    leak: 30 * MINUTE,
};
const ERRAND: Rule = Rule {
    free: 40,
    first: 5 * SECOND,
    most: 5 * MINUTE,
    leak: 30 * SECOND,
};
const MAILBOX: Rule = Rule {
    free: 3,
    first: 20 * MINUTE,
    most: 60 * MINUTE,
    leak: 20 * MINUTE,
};
/// From so many failures on an account is under attack; one is forgotten per `ACCOUNT_LEAK`.
const ATTACK: i64 = 30;
const ACCOUNT_LEAK: i64 = MINUTE;
/// Counts never go higher, so that an attack of weeks is forgotten in hours.
const HIGHEST: i64 = 1_000;
/// Who was quiet for so long has no row any more.
const QUIET: i64 = 24 * 60 * MINUTE;

#[derive(Debug, Clone, Copy)]
struct Rule {
    /// Failures without a wait.
    free: i64,
    /// The first wait, which doubles up to the longest.
    first: i64,
    most: i64,
    /// One failure is forgotten in this time.
    leak: i64,
}

/// Failures of one subject as the row has them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Tally {
    pub(crate) failures: i64,
    /// Up to here what is to be forgotten has been forgotten.
    pub(crate) since: Millis,
    pub(crate) last: Millis,
}

impl Tally {
    /// What is left at `now`.
    fn leaked(self, leak: i64, now: Millis) -> Self {
        let gone = now.since(self.since).max(0) / leak;
        match self.failures > gone {
            true => Self {
                failures: self.failures - gone,
                since: self.since.plus(gone * leak),
                last: self.last,
            },
            false => Self {
                failures: 0,
                since: now,
                last: self.last,
            },
        }
    }

    fn with_another(self, now: Millis) -> Self {
        Self {
            failures: (self.failures + 1).min(HIGHEST),
            last: now,
            ..self
        }
    }
}

impl Rule {
    /// Milliseconds until the next attempt is let through.
    fn wait(&self, tally: Tally, now: Millis) -> i64 {
        let above = tally.failures - self.free;
        if above < 0 {
            return 0;
        }
        let delay = self.first.saturating_mul(1 << above.min(32)).min(self.most);
        // A clock that was set back must not make the wait longer.
        (delay - now.since(tally.last).max(0)).max(0)
    }
}

/// Counts failures in the store, so that all replicas count together. Cheap to clone.
#[derive(Clone)]
pub struct Throttle {
    db: Db,
    clock: Clock,
}

/// An attempt that was let through and is counted as a failure until it is taken back.
#[derive(Debug)]
#[must_use = "an attempt that was not a wrong guess has to be taken back"]
pub struct Counted {
    account: String,
    address: String,
    here: String,
}

/// The same of a way back from elsewhere, where no account was named.
#[derive(Debug)]
#[must_use = "what was not a guess has to be taken back"]
pub struct CountedAddress(String);

/// The same of a code that is typed after the right password.
#[derive(Debug)]
#[must_use = "a right code has to be taken back"]
pub struct CountedCode(String);

/// What is counted is kept as a hash.
fn subject(text: &str) -> String {
    hash_secret("lyceum sign-in failures 1", text)
}

fn too_many(wait: i64) -> Refused {
    let seconds = wait.div_euclid(SECOND) + i64::from(wait % SECOND != 0);
    Refused::TooMany {
        retry_after: u32::try_from(seconds).unwrap_or(u32::MAX),
    }
}

impl Counted {
    fn of(name: &UserName, address: IpAddr) -> Self {
        let network = network(address);
        Self {
            account: subject(&format!("account {name}")),
            address: subject(&format!("address {network}")),
            here: subject(&format!("account {name} address {network}")),
        }
    }

    /// In the order in which rows are locked.
    fn sorted(&self) -> [&str; 3] {
        let mut subjects = [&*self.account, &*self.address, &*self.here];
        subjects.sort_unstable();
        subjects
    }
}

impl Throttle {
    pub fn new(db: Db, clock: Clock) -> Self {
        Self { db, clock }
    }

    /// Lets an attempt through and counts it, or says how long to wait.
    pub async fn begin(&self, name: &UserName, address: IpAddr) -> Result<Counted, Refused> {
        let counted = Counted::of(name, address);
        let mut tx = self.db.write().await?;
        // Read behind the lock: who waited for it must not use a time from before.
        let mut tallies = Vec::with_capacity(3);
        for subject in counted.sorted() {
            let tally = failures::lock(&mut tx, subject, self.clock.now()).await?;
            tallies.push((subject, tally));
        }
        let now = self.clock.now();
        let tally_of = |wanted: &str, leak: i64| {
            let found = tallies.iter().find(|(subject, _)| *subject == wanted);
            found
                .map(|(_, tally)| tally.leaked(leak, now))
                .expect("all three were read above")
        };
        let account = tally_of(&counted.account, ACCOUNT_LEAK);
        let rule = match account.failures >= ATTACK {
            true => HERE_UNDER_ATTACK,
            false => HERE,
        };
        let here = tally_of(&counted.here, rule.leak);
        let at_address = tally_of(&counted.address, ADDRESS.leak);
        let wait = rule.wait(here, now).max(ADDRESS.wait(at_address, now));
        if wait > 0 {
            tx.rollback().await?;
            return Err(too_many(wait));
        }
        for (subject, tally) in [
            (&counted.account, account),
            (&counted.address, at_address),
            (&counted.here, here),
        ] {
            failures::update(&mut tx, subject, tally.with_another(now)).await?;
        }
        tx.commit().await?;
        Ok(counted)
    }

    /// The password was right: the attempt does not count, and earlier slips of this person at
    /// this address are forgotten.
    pub async fn succeeded(&self, counted: Counted) -> anyhow::Result<()> {
        self.take_back(counted, true).await
    }

    /// The attempt was not decided (busy, source out of order): it does not count.
    pub async fn undecided(&self, counted: Counted) -> anyhow::Result<()> {
        self.take_back(counted, false).await
    }

    /// One source found the password wrong, another could not look at it: it counts for the account,
    /// and not for the address.
    pub async fn half_decided(&self, counted: Counted) -> anyhow::Result<()> {
        let mut tx = self.db.write().await?;
        failures::take_back(&mut tx, &counted.address, false).await?;
        tx.commit().await?;
        Ok(())
    }

    async fn take_back(&self, counted: Counted, forget: bool) -> anyhow::Result<()> {
        let mut tx = self.db.write().await?;
        for subject in counted.sorted() {
            let all = forget && subject == counted.here;
            failures::take_back(&mut tx, subject, all).await?;
        }
        tx.commit().await?;
        Ok(())
    }

    /// Lets a way back from elsewhere through and counts it for its address alone: nobody says a name.
    pub async fn begin_unnamed(&self, address: IpAddr) -> Result<CountedAddress, Refused> {
        let subject = subject(&format!("address {}", network(address)));
        self.begin_one(&subject, ADDRESS).await?;
        Ok(CountedAddress(subject))
    }

    /// Lets a way back through that we did seal, and counts it for its address alone: what it brings may be made
    /// up, which costs the provider. Guesses at ways back do not count for it.
    pub async fn begin_return(&self, address: IpAddr) -> Result<CountedAddress, Refused> {
        let subject = subject(&format!("return {}", network(address)));
        self.begin_one(&subject, ADDRESS).await?;
        Ok(CountedAddress(subject))
    }

    /// Lets a code through and counts it for its account. `password`: something that changes with her password.
    pub async fn begin_code(&self, account: &str, password: &str) -> Result<CountedCode, Refused> {
        let subject = subject(&format!("code {account} {password}"));
        self.begin_one(&subject, CODE).await?;
        Ok(CountedCode(subject))
    }

    /// The code was right: those before it are forgotten. Otherwise it was no guess, and does not count.
    pub async fn code_counts_not(&self, counted: CountedCode, right: bool) -> anyhow::Result<()> {
        let mut tx = self.db.write().await?;
        failures::take_back(&mut tx, &counted.0, right).await?;
        tx.commit().await?;
        Ok(())
    }

    /// Lets a wish through that makes work for others (a letter, a line on a list), and counts it for its address.
    pub async fn begin_errand(&self, address: IpAddr) -> Result<(), Refused> {
        let subject = subject(&format!("errand {}", network(address)));
        self.begin_one(&subject, ERRAND).await
    }

    /// Lets a letter to this mailbox through and counts it.
    pub async fn begin_letter(&self, mailbox: &str) -> Result<(), Refused> {
        let subject = subject(&format!("letter {mailbox}"));
        self.begin_one(&subject, MAILBOX).await
    }

    async fn begin_one(&self, subject: &str, rule: Rule) -> Result<(), Refused> {
        let mut tx = self.db.write().await?;
        let tally = failures::lock(&mut tx, subject, self.clock.now()).await?;
        let now = self.clock.now();
        let tally = tally.leaked(rule.leak, now);
        let wait = rule.wait(tally, now);
        if wait > 0 {
            tx.rollback().await?;
            return Err(too_many(wait));
        }
        failures::update(&mut tx, subject, tally.with_another(now)).await?;
        tx.commit().await?;
        Ok(())
    }

    /// It was no guess: it does not count.
    pub async fn no_guess(&self, counted: CountedAddress) -> anyhow::Result<()> {
        let mut tx = self.db.write().await?;
        failures::take_back(&mut tx, &counted.0, false).await?;
        tx.commit().await?;
        Ok(())
    }

    /// Forgets who was quiet for a day; to be called now and then. Returns how many.
    pub async fn purge(&self) -> anyhow::Result<u64> {
        let mut tx = self.db.write().await?;
        let purged = failures::purge(&mut tx, self.clock.now().plus(-QUIET)).await?;
        tx.commit().await?;
        Ok(purged)
    }
}

/// What one holder of a connection has: an IPv4 address, or the /64 network of an IPv6 one.
pub fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) => {
            let [a, b, c, d, ..] = v6.segments();
            IpAddr::V6(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0))
        }
        v4 => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_and_end() {
        let check = |rule: Rule, failures: i64, ago: i64, expect: i64| {
            let now = Millis(1_000_000_000);
            let last = now.plus(-ago);
            let tally = Tally {
                failures,
                since: last,
                last,
            };
            assert_eq!(rule.wait(tally, now), expect, "{failures} failures");
        };
        check(HERE, 0, 0, 0);
        check(HERE, 4, 0, 0);
        check(HERE, 5, 0, SECOND);
        check(HERE, 5, 400, 600);
        check(HERE, 5, SECOND, 0);
        check(HERE, 6, 0, 2 * SECOND);
        check(HERE, 7, 0, 4 * SECOND);
        check(HERE, HIGHEST, 0, 5 * MINUTE);
        check(HERE, i64::MAX, 0, 5 * MINUTE);
        check(HERE, 6, -MINUTE, 2 * SECOND);
        check(HERE_UNDER_ATTACK, 0, 0, 0);
        check(HERE_UNDER_ATTACK, 1, 0, MINUTE);
        check(ADDRESS, 299, 0, 0);
        check(ADDRESS, 300, 0, SECOND);
    }

    #[test]
    fn the_window_moves() {
        let start = Tally {
            failures: 3,
            since: Millis(0),
            last: Millis(0),
        };
        let check = |at: i64, failures: i64, since: i64| {
            let left = start.leaked(10, Millis(at));
            assert_eq!(
                (left.failures, left.since),
                (failures, Millis(since)),
                "{at}"
            );
        };
        check(-5, 3, 0);
        check(9, 3, 0);
        check(10, 2, 10);
        check(25, 1, 20);
        check(30, 0, 30);
        check(1_000, 0, 1_000);
    }

    #[test]
    fn networks() {
        let check = |text: &str, expect: &str| {
            assert_eq!(network(text.parse().unwrap()).to_string(), expect);
        };
        check("192.0.2.7", "192.0.2.7");
        check("::ffff:192.0.2.7", "192.0.2.7");
        check("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::");
    }
}
