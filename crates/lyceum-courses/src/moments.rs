//! Moments as teachers write them, `2026-10-01 18:00`, in the time zone of the configuration; and
//! lengths of time that come behind them.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use jiff::civil::DateTime;
use jiff::tz::{AmbiguousOffset, TimeZone};
use jiff::{Timestamp, ToSpan};
use lyceum_written::Span;

use crate::as_text::written_as_text;
use crate::schedule::{clock, date, shown};

/// What is longer is a slip of the pen.
const LONGEST: Duration = Duration::from_secs(366 * DAY);
const DAY: u64 = 86_400;

/// A day and a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moment(DateTime);

/// So much later, or then.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Later {
    By(Span),
    At(Moment),
}

impl Moment {
    pub fn of(at: DateTime) -> Self {
        Self(at)
    }

    /// The same time so many days later, if there is one.
    pub(crate) fn plus_days(self, days: i64) -> Option<Self> {
        let span = jiff::Span::new().try_days(days).ok()?;
        self.0.checked_add(span).ok().map(Self)
    }

    /// When that is. Of an hour that a day has twice the second is meant, so that nobody is cut off
    /// early.
    pub fn in_zone(self, zone: &TimeZone) -> Result<Timestamp, String> {
        let found = zone.to_ambiguous_timestamp(self.0);
        if matches!(found.offset(), AmbiguousOffset::Gap { .. }) {
            let zone = zone.iana_name().unwrap_or("this site's time zone");
            return Err(format!(
                "there is no {self} in {zone}: clocks are put forward over it; write a time before or after"
            ));
        }
        found.later().map_err(|_| too_far(&self.to_string()))
    }
}

/// Whole days are days of the calendar: at the same time of the day, whatever clocks do meanwhile.
pub fn after(at: Timestamp, span: Span, zone: &TimeZone) -> Result<Timestamp, String> {
    if span.0 > LONGEST {
        return Err(format!("`{span}` is longer than a year"));
    }
    let days = i64::try_from(span.0.as_secs() / DAY).expect("at most 366");
    let rest = span.0 - Duration::from_secs(span.0.as_secs() / DAY * DAY);
    let later = at
        .to_zoned(zone.clone())
        .checked_add(days.days())
        .and_then(|at| at.timestamp().checked_add(rest));
    later.map_err(|_| too_far(&span.to_string()))
}

fn too_far(written: &str) -> String {
    format!("`{written}` is too far in the future")
}

const MOMENT: &str = "write a day and a time: `2026-10-01 18:00`";

impl FromStr for Moment {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let read = || {
            let (day, time) = text.trim().split_once(' ')?;
            Some(Self(date(day)?.to_datetime(clock(time.trim())?)))
        };
        read().ok_or_else(|| format!("`{}`: {MOMENT}", shown(text)))
    }
}

impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.strftime("%Y-%m-%d %H:%M").fmt(f)
    }
}

impl FromStr for Later {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Ok(span) = text.parse() {
            return Ok(Self::By(span));
        }
        let moment = text.parse().map(Self::At);
        moment.map_err(|_| {
            format!(
                "`{}`: write a length of time (`2d`, `12h`), or a day and a time (`2026-10-05 12:00`)",
                shown(text)
            )
        })
    }
}

written_as_text!(
    Moment,
    "^[0-9]{4}-[0-9]{2}-[0-9]{2} [0-9]{1,2}:[0-9]{2}$",
    "A day and a time: `2026-10-01 18:00`."
);
written_as_text!(
    Later,
    "^(([0-9]+(d|h|ms|m|s))+|[0-9]{4}-[0-9]{2}-[0-9]{2} [0-9]{1,2}:[0-9]{2})$",
    "A length of time (`2d`), or a day and a time (`2026-10-05 12:00`)."
);

#[cfg(test)]
mod tests {
    use super::*;

    fn berlin() -> TimeZone {
        TimeZone::get("Europe/Berlin").expect("the zone")
    }

    #[test]
    fn when_a_moment_is() {
        let check = |text: &str, expect: Option<&str>| {
            let moment: Moment = text.parse().expect("a moment");
            let at = moment.in_zone(&berlin()).map(|at| at.to_string());
            match expect {
                Some(expect) => assert_eq!(at.as_deref(), Ok(expect), "{text}"),
                None => {
                    let said = at.expect_err(text);
                    assert!(said.contains("put forward"), "{said}");
                }
            }
        };
        check("2026-10-01 18:00", Some("2026-10-01T16:00:00Z"));
        check("2026-12-01 9:05", Some("2026-12-01T08:05:00Z"));
        check("2026-03-29 01:59", Some("2026-03-29T00:59:00Z"));
        check("2026-03-29 02:00", None);
        check("2026-03-29 02:59", None);
        check("2026-03-29 03:00", Some("2026-03-29T01:00:00Z"));
        // Twice, and the second is meant.
        check("2026-10-25 02:30", Some("2026-10-25T01:30:00Z"));
    }

    #[test]
    fn so_much_later() {
        let check = |at: &str, span: &str, expect: &str| {
            let at: Timestamp = at.parse().expect("a moment");
            let later = after(at, span.parse().expect("a span"), &berlin());
            assert_eq!(later.map(|at| at.to_string()).as_deref(), Ok(expect));
        };
        check("2026-10-01T16:00:00Z", "90m", "2026-10-01T17:30:00Z");
        // Clocks are put back meanwhile: at the same time of the day.
        check("2026-10-24T16:00:00Z", "1d", "2026-10-25T17:00:00Z");
        check("2026-10-24T16:00:00Z", "1d2h", "2026-10-25T19:00:00Z");
        check("2026-10-24T16:00:00Z", "12h", "2026-10-25T04:00:00Z");
        let at: Timestamp = "2026-10-24T16:00:00Z".parse().expect("a moment");
        let long = after(at, "367d".parse().expect("a span"), &berlin());
        assert!(long.expect_err("too long").contains("a year"));
    }

    #[test]
    fn mistakes_say_what_to_write() {
        for bad in [
            "",
            "2026-10-01",
            "18:00",
            "Thu 18:00",
            "2026-02-30 18:00",
            "2026-10-01 24:00",
            "2026-10-01 18",
            "2026-10-01T18:00",
            "01.10.2026 18:00",
        ] {
            let said = bad.parse::<Moment>().expect_err(bad);
            assert!(said.contains("`2026-10-01 18:00`"), "{said}");
            let said = bad.parse::<Later>().expect_err(bad);
            assert!(said.contains("`2d`"), "{said}");
        }
        assert!("3".parse::<Later>().is_err());
        let moment: Moment = "2026-10-01 8:00".parse().expect("a moment");
        assert_eq!(moment.to_string(), "2026-10-01 08:00");
    }
}
