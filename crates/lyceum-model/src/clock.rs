//! Time as a parameter: tests need no sleep, and replicas agree on it.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use jiff::fmt::temporal::DateTimePrinter;
use serde::{Deserialize, Serialize};

/// A format string would be read anew for each of a list's moments.
const ISO: DateTimePrinter = DateTimePrinter::new().precision(Some(6));

/// A moment: milliseconds since 1970 in UTC, the form it has in the database.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Millis(pub i64);

impl Millis {
    /// The moment `milliseconds` later (or earlier, when negative).
    #[must_use]
    pub fn plus(self, milliseconds: i64) -> Self {
        Self(self.0.saturating_add(milliseconds))
    }

    /// Milliseconds from `earlier` to here; negative when `earlier` is later.
    pub fn since(self, earlier: Self) -> i64 {
        self.0.saturating_sub(earlier.0)
    }

    /// `2026-11-21T08:00:00.000000Z`, the form JupyterHub's API uses.
    pub fn to_iso(self) -> String {
        match jiff::Timestamp::from_millisecond(self.0) {
            Ok(time) => ISO.timestamp_to_string(&time),
            Err(_) => "9999-12-31T23:59:59.000000Z".into(),
        }
    }

    /// Reads an ISO 8601 time; one without an offset is taken as UTC.
    pub fn from_iso(text: &str) -> Option<Self> {
        if let Ok(time) = text.parse::<jiff::Timestamp>() {
            return Some(Self(time.as_millisecond()));
        }
        let naive: jiff::civil::DateTime = text.parse().ok()?;
        let zoned = naive.to_zoned(jiff::tz::TimeZone::UTC).ok()?;
        Some(Self(zoned.timestamp().as_millisecond()))
    }
}

/// Where a part takes the time from.
#[derive(Debug, Clone, Default)]
pub struct Clock(Source);

#[derive(Debug, Clone, Default)]
enum Source {
    #[default]
    System,
    Manual(Arc<AtomicI64>),
    Told(Arc<Told>),
}

/// A clock that somebody else's time was told to; it goes on by itself from there.
#[derive(Debug)]
struct Told {
    /// Not the machine's time of day, which may be set meanwhile.
    began: Instant,
    /// The other's time when it began.
    then: AtomicI64,
}

impl Told {
    fn elapsed(&self) -> i64 {
        i64::try_from(self.began.elapsed().as_millis()).unwrap_or(i64::MAX)
    }
}

impl Clock {
    /// The machine's clock.
    pub fn system() -> Self {
        Self(Source::System)
    }

    /// A clock that stands still until [`Clock::advance`] moves it.
    pub fn manual(start: Millis) -> Self {
        Self(Source::Manual(Arc::new(AtomicI64::new(start.0))))
    }

    /// A clock that shows what it was [told](Clock::tell) last, and what has passed since.
    pub fn told(now: Millis) -> Self {
        Self(Source::Told(Arc::new(Told {
            began: Instant::now(),
            then: AtomicI64::new(now.0),
        })))
    }

    pub fn now(&self) -> Millis {
        match &self.0 {
            Source::Told(told) => Millis(told.then.load(Ordering::SeqCst)).plus(told.elapsed()),
            Source::System => {
                let since = SystemTime::now()
                    .duration_since(UNIX_EPOCH)
                    .unwrap_or_default();
                Millis(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
            }
            Source::Manual(at) => Millis(at.load(Ordering::SeqCst)),
        }
    }

    /// Tells it and all its copies what time it is; only a [told](Clock::told) clock listens.
    pub fn tell(&self, now: Millis) {
        if let Source::Told(told) = &self.0 {
            let then = now.plus(-told.elapsed());
            told.then.store(then.0, Ordering::SeqCst);
        }
    }

    /// Moves a manual clock; the machine's clock can't be moved.
    pub fn advance(&self, milliseconds: i64) {
        if let Source::Manual(at) = &self.0 {
            at.fetch_add(milliseconds, Ordering::SeqCst);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn iso_times_round_trip() {
        let moment = Millis(1_795_000_000_123);
        assert_eq!(Millis::from_iso(&moment.to_iso()), Some(moment));
        assert_eq!(moment.to_iso(), "2026-11-18T11:06:40.123000Z");
    }

    #[test]
    fn a_time_without_offset_is_utc() {
        assert_eq!(
            Millis::from_iso("2026-11-18T11:06:40.123"),
            Some(Millis(1_795_000_000_123))
        );
        assert_eq!(
            Millis::from_iso("2026-11-18T12:06:40.123+01:00"),
            Some(Millis(1_795_000_000_123))
        );
        assert_eq!(Millis::from_iso("yesterday"), None);
    }

    #[test]
    fn a_manual_clock_moves_when_told() {
        let clock = Clock::manual(Millis(5));
        clock.advance(10);
        assert_eq!(clock.now(), Millis(15));
    }

    #[test]
    fn a_clock_goes_on_from_what_it_was_told() {
        let clock = Clock::told(Millis(1_000_000));
        let copy = clock.clone();
        assert!(copy.now() >= Millis(1_000_000));
        clock.tell(Millis(5_000));
        let now = copy.now();
        assert!(now >= Millis(5_000) && now < Millis(1_000_000), "{now:?}");
        while copy.now() < now.plus(5) {
            std::thread::yield_now();
        }
    }
}
