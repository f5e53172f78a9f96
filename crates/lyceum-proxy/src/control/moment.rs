//! Moments as the control API writes and reads them (ISO 8601), in milliseconds since 1970.

/// `2026-01-31T12:00:00.000Z`.
pub(super) fn show(ms: u64) -> String {
    let (days, rest) = (ms / 86_400_000, ms % 86_400_000);
    let (year, month, day) = date_of(days as i64);
    let (hour, minute) = (rest / 3_600_000, rest / 60_000 % 60);
    let (second, milli) = (rest / 1_000 % 60, rest % 1_000);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{milli:03}Z")
}

/// A date, or a date and a time with an offset, `Z`, or nothing (then it is UTC).
pub(super) fn parse(text: &str) -> Option<i64> {
    let mut rest = text.trim();
    let year = number(&mut rest, 4)?;
    let month = after(&mut rest, '-', 2).unwrap_or(Some(1))?;
    let day = after(&mut rest, '-', 2).unwrap_or(Some(1))?;
    if !(1..=12).contains(&month) || !(1..=days_in(year, month)).contains(&day) {
        return None;
    }
    let mut ms = days_since_1970(year, month, day) * 86_400_000;
    if rest.is_empty() {
        return Some(ms);
    }
    rest = rest.strip_prefix(['T', 't', ' '])?;
    let hour = number(&mut rest, 2)?;
    let minute = after(&mut rest, ':', 2)??;
    let second = after(&mut rest, ':', 2).unwrap_or(Some(0))?;
    if hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    ms += (hour * 3_600 + minute * 60 + second) * 1_000;
    if let Some(fraction) = rest.strip_prefix(['.', ',']) {
        let digits = fraction.bytes().take_while(u8::is_ascii_digit).count();
        let milli = format!("{:0<3}", &fraction[..digits.min(3)]);
        ms += milli.parse::<i64>().ok().filter(|_| digits > 0)?;
        rest = &fraction[digits..];
    }
    Some(ms - offset(rest.trim_start_matches(' '), rest.starts_with(' '))? * 60_000)
}

/// Minutes east of Greenwich. `was_space`: a `+` that nobody escaped arrives as a space.
fn offset(text: &str, was_space: bool) -> Option<i64> {
    if matches!(text, "" | "Z" | "z") {
        return Some(0);
    }
    let (sign, mut rest) = match text.as_bytes()[0] {
        b'+' => (1, &text[1..]),
        b'-' => (-1, &text[1..]),
        _ if was_space => (1, text),
        _ => return None,
    };
    let hours = number(&mut rest, 2)?;
    rest = rest.strip_prefix(':').unwrap_or(rest);
    let minutes = if rest.is_empty() {
        0
    } else {
        number(&mut rest, 2)?
    };
    (rest.is_empty() && hours < 24 && minutes < 60).then_some(sign * (hours * 60 + minutes))
}

/// Takes a number of so many digits off the front.
fn number(rest: &mut &str, digits: usize) -> Option<i64> {
    let head = rest.get(..digits)?;
    if !head.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    *rest = &rest[digits..];
    head.parse().ok()
}

/// Takes a separator and a number; none if the separator is not there.
fn after(rest: &mut &str, separator: char, digits: usize) -> Option<Option<i64>> {
    *rest = rest.strip_prefix(separator)?;
    Some(number(rest, digits))
}

fn is_leap(year: i64) -> bool {
    year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
}

fn days_in(year: i64, month: i64) -> i64 {
    match month {
        2 if is_leap(year) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Days before a date, counted in years that begin in March, so that the leap day comes last.
fn days_since_1970(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let (era, year_of_era) = (year.div_euclid(400), year.rem_euclid(400));
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468
}

fn date_of(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let (era, day_of_era) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 {
        shifted + 3
    } else {
        shifted - 9
    };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    (year, month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_shown_and_read() {
        let check = |text: &str, expect: Option<i64>| assert_eq!(parse(text), expect, "{text}");
        check("1970-01-01", Some(0));
        check("2026-11-21T08:15:30.123Z", Some(1_795_248_930_123));
        check("2026-11-21T08:15:30.123456+00:00", Some(1_795_248_930_123));
        check("2026-11-21T09:15:30.123+01:00", Some(1_795_248_930_123));
        check("2026-11-21T09:15:30.123 01:00", Some(1_795_248_930_123));
        check("2026-11-21T03:15:30.1-0500", Some(1_795_248_930_100));
        check("2026-11-21 08:15", Some(1_795_248_900_000));
        check("2024-02-29", Some(1_709_164_800_000));
        check("2026-11", Some(1_793_491_200_000));
        for wrong in [
            "",
            "yesterday",
            "2026-02-29",
            "2026-13-01",
            "2026-1-1",
            "2026-11-21T",
            "2026-11-21T25:00",
            "2026-11-21T08:00:00.Z",
            "2026-11-21T08:00:00x",
            "2026-11-21T08:00+01:0",
            "2026-11-21T08:00\u{e9}",
        ] {
            check(wrong, None);
        }
        assert_eq!(show(1_795_248_930_123), "2026-11-21T08:15:30.123Z");
        assert_eq!(show(0), "1970-01-01T00:00:00.000Z");
    }

    #[test]
    fn every_day_survives_the_round_trip() {
        for day in 0..80_000 {
            let ms = day * 86_400_000 + 1;
            assert_eq!(parse(&show(ms)), Some(ms as i64));
        }
    }
}
