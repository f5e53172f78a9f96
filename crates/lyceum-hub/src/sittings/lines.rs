//! Who takes part, as it is typed: a line for each, `ada`, `ada, 17` with her seat, `ada, 17, 10.0.5.17` with
//! the seat's address; or `exam-bio-{1..30}`, which makes an account for each of thirty seats.

use std::collections::HashSet;

use lyceum_model::name::UserName;
use lyceum_model::network::Network;
use lyceum_model::say;

use super::Wrong;

/// More than any hall has.
const PLACES_MAX: usize = 2_000;
const SEAT_MAX: usize = 40;

/// Somebody's place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    pub who: UserName,
    /// Empty where nobody said which.
    pub seat: String,
    pub network: Option<Network>,
    /// An account of the sitting's own.
    pub is_numbered: bool,
}

pub fn places(text: &str) -> Result<Vec<Place>, Wrong> {
    let mut places = Vec::new();
    for (number, line) in (1_usize..).zip(text.lines()) {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let wrong = || {
            let line: String = line.chars().take(60).collect();
            Wrong::at("people", say!("sitting.line", line = number, text = line))
        };
        places.extend(read(line).ok_or_else(wrong)?);
        if places.len() > PLACES_MAX {
            let why = say!("sitting.too_many", most = PLACES_MAX);
            return Err(Wrong::at("people", why));
        }
    }
    if places.is_empty() {
        return Err(Wrong::at("people", say!("sitting.nobody")));
    }
    let mut known = HashSet::new();
    if let Some(twice) = places.iter().find(|place| !known.insert(&place.who)) {
        let why = say!("sitting.twice", name = twice.who.as_str());
        return Err(Wrong::at("people", why));
    }
    Ok(places)
}

fn read(line: &str) -> Option<Vec<Place>> {
    let mut fields = line.split([',', ';', '\t']).map(str::trim);
    let name = fields.next()?;
    let seat = fields.next().unwrap_or_default();
    let network = match fields.next().unwrap_or_default() {
        "" => None,
        text => Some(text.parse().ok()?),
    };
    if fields.next().is_some()
        || seat.chars().count() > SEAT_MAX
        || seat.chars().any(char::is_control)
    {
        return None;
    }
    if let Some((before, rest)) = name.split_once('{') {
        let (range, after) = rest.split_once('}')?;
        let alone = seat.is_empty() && network.is_none();
        return numbered(before, range, after).filter(|_| alone);
    }
    Some(vec![Place {
        who: UserName::parse(name).ok()?,
        seat: seat.to_owned(),
        network,
        is_numbered: false,
    }])
}

/// All numbers have as many digits as the last, so that lists are in order.
fn numbered(before: &str, range: &str, after: &str) -> Option<Vec<Place>> {
    let (first, last) = range.split_once("..")?;
    let width = last.trim().len();
    let number = |text: &str| text.trim().parse::<usize>().ok();
    let (first, last) = (number(first)?, number(last)?);
    if width > 5 || last < first || last - first > PLACES_MAX {
        return None;
    }
    let place = |number: usize| {
        let seat = format!("{number:0width$}");
        Some(Place {
            who: UserName::parse(&format!("{before}{seat}{after}")).ok()?,
            seat,
            network: None,
            is_numbered: true,
        })
    };
    (first..=last).map(place).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_people_at_their_seats() {
        let all = places("ada\n\n# not her\nBen, A 17\ncid;18;10.0.5.18\n").expect("good lines");
        let shown: Vec<(&str, &str, bool)> = (all.iter())
            .map(|one| (one.who.as_str(), one.seat.as_str(), one.network.is_some()))
            .collect();
        assert_eq!(
            shown,
            [
                ("ada", "", false),
                ("ben", "A 17", false),
                ("cid", "18", true)
            ]
        );
        let all = places("exam-{8..10}").expect("a good line");
        let names: Vec<&str> = all.iter().map(|one| one.who.as_str()).collect();
        assert_eq!(names, ["exam-08", "exam-09", "exam-10"]);
        assert!(
            all.iter()
                .all(|one| one.is_numbered && one.who.as_str().ends_with(&one.seat))
        );
        assert_eq!(places("exam-{1..2000}").expect("a good line").len(), 2_000);
    }

    #[test]
    fn what_is_no_line_is_told() {
        for wrong in [
            "",
            "#",
            "no body",
            "ada, 17, somewhere",
            "ada, 17, 10.0.5.17, more",
            "ada\nADA",
            "exam-{1..2}, 17",
            "exam-{2..1}",
            "exam-{1..999999}",
            "exam-{1..2001}",
            "exam-{a..b}",
            "exam-{1..3",
            "{1..3}{1..3}",
            "course:bio",
        ] {
            assert!(places(wrong).is_err(), "{wrong}");
        }
        let seat = format!("ada, {}", "x".repeat(41));
        assert!(places(&seat).is_err());
    }
}
