//! When many come at once: `at: Mon 09:00, people: 300`. Room is made for them before.
//!
//! Here: what may be written, and which meeting is next. What is done about it is the hub's.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use jiff::civil::{Date, Time, Weekday};
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan};
use schemars::JsonSchema;
use serde::de::{self, Deserializer};
use serde::{Deserialize, Serialize};

use crate::as_text::written_as_text;

/// More people at once are a slip of the pen.
const PEOPLE_MAX: u32 = 100_000;
const DAY: Duration = Duration::from_secs(24 * 3600);

/// A meeting to which many come.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Meeting {
    /// When it begins: `Mon 09:00` each week, or `2026-10-01 09:00` once. In the time zone of the
    /// configuration (`time_zone`).
    pub at: At,
    /// How many come.
    pub people: People,
    /// For so long after the beginning their places are kept.
    #[serde(default = "half_an_hour", rename = "for")]
    pub lasts: Within,
    /// So long before room is made.
    #[serde(default = "quarter_of_an_hour")]
    pub before: Within,
    /// The first and the last day of one that is each week: `2026-10-12`.
    #[serde(default)]
    pub from: Option<Day>,
    #[serde(default)]
    pub until: Option<Day>,
}

fn half_an_hour() -> Within {
    Within(Duration::from_secs(1800))
}

fn quarter_of_an_hour() -> Within {
    Within(Duration::from_secs(900))
}

/// When room is made for a meeting, when it begins, and until when places are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    pub opens: Timestamp,
    pub begins: Timestamp,
    pub ends: Timestamp,
}

impl Meeting {
    /// The one whose places are kept now, or else the next.
    pub fn next(&self, zone: &TimeZone, now: Timestamp) -> Option<Window> {
        match &self.at {
            At::Once(date, time) => self.window(*date, *time, zone, now),
            At::Weekly(weekday, time) => {
                let today = now.to_zoned(zone.clone()).date();
                // It may begin before another one of these days does not; places are kept for a day
                // at most.
                let first = match self.from {
                    Some(Day(from)) => from.max(today.checked_sub(2.days()).ok()?),
                    None => today.checked_sub(2.days()).ok()?,
                };
                let days = (0..10).filter_map(|ahead| first.checked_add(ahead.days()).ok());
                days.filter(|date| date.weekday() == *weekday)
                    .filter(|date| self.until.is_none_or(|until| *date <= until.0))
                    .find_map(|date| self.window(date, *time, zone, now))
            }
        }
    }

    /// None if it is over. An hour that a day does not have is the one after it.
    fn window(&self, date: Date, time: Time, zone: &TimeZone, now: Timestamp) -> Option<Window> {
        let begins = date.to_datetime(time).to_zoned(zone.clone()).ok()?;
        let begins = begins.timestamp();
        let ends = begins.checked_add(self.lasts.0).ok()?;
        let opens = begins.checked_sub(self.before.0).ok()?;
        (now < ends).then_some(Window {
            opens,
            begins,
            ends,
        })
    }
}

/// When a meeting begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum At {
    Weekly(Weekday, Time),
    Once(Date, Time),
}

const AT: &str = "write when it begins: `Mon 09:00` each week, or `2026-10-01 09:00` once";

impl FromStr for At {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("`{}`: {AT}", shown(text));
        let (day, time) = text.trim().split_once(' ').ok_or_else(wrong)?;
        let time = clock(time.trim()).ok_or_else(wrong)?;
        if let Some(weekday) = weekday(day) {
            return Ok(Self::Weekly(weekday, time));
        }
        let date = date(day).ok_or_else(wrong)?;
        Ok(Self::Once(date, time))
    }
}

impl fmt::Display for At {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Weekly(day, time) => write!(f, "{day:?} {}", time.strftime("%H:%M")),
            Self::Once(date, time) => write!(f, "{date} {}", time.strftime("%H:%M")),
        }
    }
}

fn weekday(text: &str) -> Option<Weekday> {
    const DAYS: [(&str, Weekday); 7] = [
        ("monday", Weekday::Monday),
        ("tuesday", Weekday::Tuesday),
        ("wednesday", Weekday::Wednesday),
        ("thursday", Weekday::Thursday),
        ("friday", Weekday::Friday),
        ("saturday", Weekday::Saturday),
        ("sunday", Weekday::Sunday),
    ];
    let text = text.to_ascii_lowercase();
    let means = |name: &str| text == name || text == name[..3];
    DAYS.into_iter()
        .find_map(|(name, day)| means(name).then_some(day))
}

/// `9:00`, `09:00`.
pub(crate) fn clock(text: &str) -> Option<Time> {
    let (hour, minute) = text.split_once(':')?;
    let number = |text: &str, digits: std::ops::RangeInclusive<usize>| -> Option<i8> {
        let plain = digits.contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit());
        plain.then(|| text.parse().ok()).flatten()
    };
    Time::new(number(hour, 1..=2)?, number(minute, 2..=2)?, 0, 0).ok()
}

/// `2026-10-01` and nothing else that a date may look like.
pub(crate) fn date(text: &str) -> Option<Date> {
    let date: Date = text.parse().ok()?;
    (date.to_string() == text).then_some(date)
}

/// The beginning of what somebody wrote.
pub(crate) fn shown(text: &str) -> String {
    text.chars().take(40).collect()
}

/// A day of the calendar.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Day(pub Date);

impl FromStr for Day {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        date(text)
            .map(Self)
            .ok_or_else(|| format!("`{}` is no day; write it like `2026-10-01`", shown(text)))
    }
}

impl Day {
    /// So many days later, if there is such a day.
    pub(crate) fn plus_days(self, days: i64) -> Option<Self> {
        let span = jiff::Span::new().try_days(days).ok()?;
        self.0.checked_add(span).ok().map(Self)
    }
}

impl fmt::Display for Day {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A length of time up to a day.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Within(pub Duration);

impl FromStr for Within {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || {
            format!(
                "`{}`: write a length of time with its unit, at most a day: `45m`, `2h`, `1h30m`",
                shown(text)
            )
        };
        let mut seconds: u64 = 0;
        let mut rest = text.trim();
        while !rest.is_empty() {
            let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
            let number: u64 = rest[..digits].parse().map_err(|_| wrong())?;
            let unit = match rest[digits..].chars().next() {
                Some('d') => 86_400,
                Some('h') => 3600,
                Some('m') => 60,
                Some('s') => 1,
                _ => return Err(wrong()),
            };
            seconds = number
                .checked_mul(unit)
                .and_then(|more| seconds.checked_add(more))
                .ok_or_else(wrong)?;
            rest = rest[digits + 1..].trim_start();
        }
        let time = Duration::from_secs(seconds);
        let fits = !text.trim().is_empty() && time <= DAY;
        fits.then_some(Self(time)).ok_or_else(wrong)
    }
}

/// How many people come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(transparent)]
pub struct People(pub u32);

impl<'de> Deserialize<'de> for People {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let many = u32::deserialize(from)?;
        if (1..=PEOPLE_MAX).contains(&many) {
            return Ok(Self(many));
        }
        Err(de::Error::custom(format!(
            "`{many}`: write how many people come, from 1 to {PEOPLE_MAX}"
        )))
    }
}

written_as_text!(
    At,
    "^([A-Za-z]+|[0-9]{4}-[0-9]{2}-[0-9]{2}) [0-9]{1,2}:[0-9]{2}$",
    "`Mon 09:00` each week, or `2026-10-01 09:00` once."
);
written_as_text!(Day, "^[0-9]{4}-[0-9]{2}-[0-9]{2}$", "A day: `2026-10-01`.");
written_as_text!(
    Within,
    "^([0-9]+[dhms] ?)+$",
    "A length of time up to a day: `45m`, `2h`."
);

#[cfg(test)]
mod tests {
    use super::*;

    fn meeting(text: &str) -> Meeting {
        serde_saphyr::from_str(text).unwrap_or_else(|error| panic!("{text}: {error}"))
    }

    fn at(text: &str) -> Timestamp {
        text.parse().expect("a moment")
    }

    #[test]
    fn the_next_meeting() {
        let berlin = TimeZone::get("Europe/Berlin").expect("the zone");
        let check = |text: &str, now: &str, expect: Option<[&str; 3]>| {
            let window = meeting(text).next(&berlin, at(now));
            let expect = expect.map(|[opens, begins, ends]| Window {
                opens: at(opens),
                begins: at(begins),
                ends: at(ends),
            });
            assert_eq!(window, expect, "{text} at {now}");
        };
        let weekly = "{at: Mon 09:00, people: 300}";
        let first = [
            "2026-10-19T06:45:00Z",
            "2026-10-19T07:00:00Z",
            "2026-10-19T07:30:00Z",
        ];
        check(weekly, "2026-10-13T10:00:00Z", Some(first));
        check(weekly, "2026-10-19T07:29:59Z", Some(first));
        // Summer time ended meanwhile: it is nine o'clock there, an hour later elsewhere.
        let second = [
            "2026-10-26T07:45:00Z",
            "2026-10-26T08:00:00Z",
            "2026-10-26T08:30:00Z",
        ];
        check(weekly, "2026-10-19T07:30:00Z", Some(second));
        // What began yesterday is not over yet.
        check(
            "{at: Sunday 23:30, people: 5, for: 1h30m, before: 0s}",
            "2026-10-18T22:10:00Z",
            Some([
                "2026-10-18T21:30:00Z",
                "2026-10-18T21:30:00Z",
                "2026-10-18T23:00:00Z",
            ]),
        );
        let term = "{at: mon 9:00, people: 300, from: 2026-10-20, until: 2026-10-26}";
        check(term, "2026-10-01T00:00:00Z", Some(second));
        check(term, "2026-10-26T08:30:00Z", None);
        let once = "{at: 2026-10-19 09:00, people: 300}";
        check(once, "2026-01-01T00:00:00Z", Some(first));
        check(once, "2026-10-19T07:30:00Z", None);
        // There is no half past two in the night when summer time begins.
        check(
            "{at: 2026-03-29 02:30, people: 1}",
            "2026-01-01T00:00:00Z",
            Some([
                "2026-03-29T01:15:00Z",
                "2026-03-29T01:30:00Z",
                "2026-03-29T02:00:00Z",
            ]),
        );
    }

    #[test]
    fn mistakes_say_what_to_write() {
        let check = |text: &str, words: &str| {
            let read: Result<Meeting, _> = serde_saphyr::from_str(text);
            let error = read.expect_err(text).to_string();
            assert!(error.contains(words), "{text}: {error}");
        };
        for at in [
            "Mo 09:00",
            "Mon 25:00",
            "Mon 9",
            "09:00",
            "2026-02-30 09:00",
            "20261001 09:00",
            "Mon 09:0",
            "Mon +9:00",
        ] {
            check(&format!("{{at: '{at}', people: 1}}"), "`Mon 09:00`");
        }
        check("{at: Mon 09:00, people: 0}", "from 1 to");
        check("{at: Mon 09:00, people: -1}", "");
        check("{at: Mon 09:00}", "people");
        check("{at: Mon 09:00, people: 1, for: 25h}", "at most a day");
        check("{at: Mon 09:00, people: 1, for: 90}", "");
        check("{at: Mon 09:00, people: 1, for: ''}", "its unit");
        check("{at: Mon 09:00, people: 1, before: -5m}", "its unit");
        check("{at: Mon 09:00, people: 1, from: Mon}", "`2026-10-01`");
        check("{at: Mon 09:00, people: 1, til: 2026-10-01}", "til");
    }

    #[test]
    fn moments_are_shown_as_they_are_written() {
        let check = |text: &str, expect: &str| {
            let at: At = text.parse().expect("good");
            assert_eq!(at.to_string(), expect);
        };
        check("mon 9:00", "Monday 09:00");
        check("2026-10-01 09:05", "2026-10-01 09:05");
    }
}
