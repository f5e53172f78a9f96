//! When something was handed in, to the microsecond, and the ways in which that is written.

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use lyceum_model::clock::Millis;

/// Microseconds since 1970 in UTC. No two submissions of one person to one assignment have the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Moment(pub i64);

impl Moment {
    pub fn of(time: Millis) -> Self {
        Self(time.0.saturating_mul(1000))
    }

    /// The millisecond that it is in, since 1970.
    pub fn to_millis(self) -> i64 {
        self.0.div_euclid(1000)
    }

    /// The next that there is.
    #[must_use]
    pub fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }

    /// `2026-11-22 08:00:00.000000`, as ngshare writes it.
    pub fn to_naive(self) -> String {
        let at = self.civil();
        format!(
            "{:04}-{:02}-{:02} {:02}:{:02}:{:02}.{:06}",
            at.year(),
            at.month(),
            at.day(),
            at.hour(),
            at.minute(),
            at.second(),
            at.subsec_nanosecond() / 1000
        )
    }

    /// `2026-11-22T08:00:00.000000Z`.
    pub fn to_iso(self) -> String {
        format!("{}Z", self.to_naive().replacen(' ', "T", 1))
    }

    /// Reads what [`Moment::to_naive`] writes, and ` UTC` or spaces behind it; the fraction may be shorter.
    pub fn from_naive(text: &str) -> Option<Self> {
        let text = text.strip_suffix(" UTC").unwrap_or(text).trim();
        let (day, time) = text.split_once(' ')?;
        let (time, fraction) = time.split_once('.')?;
        let [year, month, day] = numbers(day, '-')?;
        let [hour, minute, second] = numbers(time, ':')?;
        let is_number = !fraction.is_empty() && fraction.bytes().all(|b| b.is_ascii_digit());
        if !is_number || fraction.len() > 6 {
            return None;
        }
        let micros: i32 = format!("{fraction:0<6}").parse().ok()?;
        let small = |number: i32| i8::try_from(number).ok();
        let at = DateTime::new(
            i16::try_from(year).ok()?,
            small(month)?,
            small(day)?,
            small(hour)?,
            small(minute)?,
            small(second)?,
            micros * 1000,
        );
        let at = at.ok()?.to_zoned(TimeZone::UTC).ok()?;
        Some(Self(at.timestamp().as_microsecond()))
    }

    fn civil(self) -> DateTime {
        let at = Timestamp::from_microsecond(self.0).unwrap_or(Timestamp::MAX);
        at.to_zoned(TimeZone::UTC).datetime()
    }
}

fn numbers(text: &str, between: char) -> Option<[i32; 3]> {
    let mut parts = text.split(between).map(|part| {
        let is_number = (1..=4).contains(&part.len()) && part.bytes().all(|b| b.is_ascii_digit());
        is_number.then(|| part.parse().ok()).flatten()
    });
    let three = [parts.next()??, parts.next()??, parts.next()??];
    parts.next().is_none().then_some(three)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_written_and_read() {
        let moment = Moment(1_795_334_400_123_456);
        assert_eq!(moment.to_naive(), "2026-11-22 08:00:00.123456");
        assert_eq!(moment.to_iso(), "2026-11-22T08:00:00.123456Z");
        let check = |text: &str, expect: Option<i64>| {
            assert_eq!(Moment::from_naive(text).map(|at| at.0), expect, "{text:?}");
        };
        let whole = Some(moment.0);
        check("2026-11-22 08:00:00.123456", whole);
        check("2026-11-22 08:00:00.123456 ", whole);
        check("2026-11-22 08:00:00.123456 UTC", whole);
        check("2026-11-22 08:00:00.1", Some(1_795_334_400_100_000));
        for bad in [
            "",
            "x",
            "2026-11-22T08:00:00.123456Z",
            "2026-11-22 08:00:00",
            "2026-11-22 08:00:00.",
            "2026-11-22 08:00:00.1234567",
            "2026-13-22 08:00:00.123456",
            "2026-11-22 08:00:61.123456",
            "2026-11-22 08:00:00.123456 CET",
            "2026-11-22-1 08:00:00.123456",
            "+026-11-22 08:00:00.123456",
        ] {
            check(bad, None);
        }
        assert_eq!(Moment(i64::MAX).to_naive().len(), 26);
    }
}
