//! Amounts as people write them: `2G`, `512M`, `10Gi`, `30m`, `1h`, `90s`.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{self, Deserialize, Deserializer, Visitor};
use serde::{Serialize, Serializer};

/// An amount of memory or disk. `K M G T` are powers of 1000, `Ki Mi Gi Ti` of 1024.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Bytes(pub u64);

/// A length of time: `90s`, `30m`, `1h`, `14d`, also joined: `1h30m`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Span(pub Duration);

const BYTE_UNITS: [(&str, u64); 9] = [
    ("Ti", 1 << 40),
    ("Gi", 1 << 30),
    ("Mi", 1 << 20),
    ("Ki", 1 << 10),
    ("T", 1_000_000_000_000),
    ("G", 1_000_000_000),
    ("M", 1_000_000),
    ("K", 1_000),
    ("B", 1),
];
const SPAN_UNITS: [(&str, u64); 5] = [
    ("d", 86_400_000),
    ("h", 3_600_000),
    ("ms", 1),
    ("m", 60_000),
    ("s", 1_000),
];

fn bad_bytes(text: &str) -> String {
    format!(
        "{text:?} is not an amount of memory; write a number and a unit, such as `512M`, `2G` or `10Gi`"
    )
}

fn bad_span(text: &str) -> String {
    format!(
        "{text:?} is not a length of time; write a number and a unit, such as `90s`, `30m` or `1h`"
    )
}

impl FromStr for Bytes {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let bad = || bad_bytes(text);
        let trimmed = text.trim();
        let (number, factor) = BYTE_UNITS
            .iter()
            .find_map(|(unit, factor)| {
                // `2GB` and `2GiB` mean what they say; `2g` and `2b` are guesses and refused.
                let number = trimmed
                    .strip_suffix(unit)
                    .or_else(|| trimmed.strip_suffix('B')?.strip_suffix(unit))?;
                Some((number.trim_end(), *factor))
            })
            .ok_or_else(bad)?;
        // One and a half gigabytes is a fair wish, a millionth of a byte is not.
        let (whole, part) = number.split_once('.').unwrap_or((number, "0"));
        let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        if !digits(whole) || !digits(part) || part.len() > 3 {
            return Err(bad());
        }
        let scale = 10_u128.pow(u32::try_from(part.len()).expect("at most 3"));
        let whole: u128 = whole.parse().map_err(|_| bad())?;
        let part: u128 = part.parse().map_err(|_| bad())?;
        let bytes = whole
            .checked_mul(scale)
            .and_then(|n| n.checked_add(part))
            .and_then(|n| n.checked_mul(u128::from(factor)))
            .map(|n| n / scale)
            .ok_or_else(bad)?;
        u64::try_from(bytes)
            .map(Self)
            .map_err(|_| format!("{text:?} is more than a machine can have"))
    }
}

impl fmt::Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (unit, factor) = BYTE_UNITS
            .iter()
            .filter(|(_, factor)| self.0 > 0 && self.0.is_multiple_of(*factor))
            .max_by_key(|(_, factor)| *factor)
            .unwrap_or(&("B", 1));
        write!(f, "{}{unit}", self.0 / factor)
    }
}

impl FromStr for Span {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let bad = || bad_span(text);
        let mut rest = text.trim();
        if rest.is_empty() {
            return Err(bad());
        }
        let mut total: u64 = 0;
        let mut last = u64::MAX;
        while !rest.is_empty() {
            let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
            let number: u64 = rest[..digits].parse().map_err(|_| bad())?;
            rest = &rest[digits..];
            let letters = rest.bytes().take_while(u8::is_ascii_alphabetic).count();
            let (_, factor) = SPAN_UNITS
                .iter()
                .find(|(unit, _)| *unit == &rest[..letters])
                .ok_or_else(bad)?;
            // `1h30m`, never `30m1h` or `1h1h`.
            if *factor >= last {
                return Err(bad());
            }
            last = *factor;
            total = number
                .checked_mul(*factor)
                .and_then(|n| total.checked_add(n))
                .ok_or_else(bad)?;
            rest = &rest[letters..];
        }
        Ok(Self(Duration::from_millis(total)))
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut rest = u64::try_from(self.0.as_millis()).unwrap_or(u64::MAX);
        if rest == 0 {
            return f.write_str("0s");
        }
        for (unit, factor) in [
            ("d", 86_400_000),
            ("h", 3_600_000),
            ("m", 60_000),
            ("s", 1_000),
            ("ms", 1),
        ] {
            if rest >= factor {
                write!(f, "{}{unit}", rest / factor)?;
                rest %= factor;
            }
        }
        Ok(())
    }
}

macro_rules! written_with_unit {
    ($type:ident, $bad:ident, $schema:literal, $pattern:literal, $about:literal) => {
        impl Serialize for $type {
            fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
                to.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
                struct Text;
                impl Visitor<'_> for Text {
                    type Value = $type;
                    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                        f.write_str("a number with a unit")
                    }
                    fn visit_str<E: de::Error>(self, text: &str) -> Result<$type, E> {
                        text.parse().map_err(E::custom)
                    }
                    // A bare number: the unit is never guessed.
                    fn visit_i64<E: de::Error>(self, value: i64) -> Result<$type, E> {
                        Err(E::custom($bad(&value.to_string())))
                    }
                    fn visit_u64<E: de::Error>(self, value: u64) -> Result<$type, E> {
                        Err(E::custom($bad(&value.to_string())))
                    }
                    fn visit_f64<E: de::Error>(self, value: f64) -> Result<$type, E> {
                        Err(E::custom($bad(&value.to_string())))
                    }
                }
                from.deserialize_any(Text)
            }
        }

        impl JsonSchema for $type {
            fn schema_name() -> Cow<'static, str> {
                $schema.into()
            }
            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!({ "type": "string", "pattern": $pattern, "description": $about })
            }
        }
    };
}
written_with_unit!(
    Bytes,
    bad_bytes,
    "Bytes",
    "^[0-9]+(\\.[0-9]{1,3})? ?([KMGT]i?B?|B)$",
    "An amount: `512M`, `2G`, `10Gi`."
);
written_with_unit!(
    Span,
    bad_span,
    "Span",
    "^([0-9]+(d|h|ms|m|s))+$",
    "A length of time: `90s`, `30m`, `1h`."
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes() {
        let check = |text: &str, expect: Option<u64>| {
            assert_eq!(text.parse::<Bytes>().ok().map(|b| b.0), expect, "{text:?}");
        };
        check("2G", Some(2_000_000_000));
        check("2 GB", Some(2_000_000_000));
        check("10Gi", Some(10 << 30));
        check("10GiB", Some(10 << 30));
        check("1.5G", Some(1_500_000_000));
        check("512M", Some(512_000_000));
        check("7B", Some(7));
        for bad in [
            "",
            "2",
            "G",
            "2g",
            "-2G",
            "2GG",
            "2.G",
            ".5G",
            "1.2345G",
            "2G!",
            "\u{0662}G",
        ] {
            check(bad, None);
        }
        check("99999999999T", None);
        check("999999999999999999999999999999999999999T", None);
    }

    #[test]
    fn spans() {
        let check = |text: &str, expect: Option<u64>| {
            let seconds = text.parse::<Span>().ok().map(|s| s.0.as_secs());
            assert_eq!(seconds, expect, "{text:?}");
        };
        check("90s", Some(90));
        check("30m", Some(1800));
        check("1h30m", Some(5400));
        check("14d", Some(14 * 86400));
        check("2000ms", Some(2));
        for bad in [
            "",
            "30",
            "m",
            "30 m",
            "-1h",
            "30m1h",
            "1h1h",
            "1y",
            "1h ",
            "99999999999999999999s",
        ] {
            // A blank at the end is trimmed, everything else is a mistake.
            check(bad, (bad == "1h ").then_some(3600));
        }
        check("99999999999999999d", None);
    }

    #[test]
    fn amounts_print_as_they_are_written() {
        for text in ["2G", "10Gi", "512M", "1500M", "7B"] {
            assert_eq!(text.parse::<Bytes>().expect("good").to_string(), text);
        }
        for text in ["90s", "1h", "1h30m", "14d", "5ms"] {
            let span: Span = text.parse().expect("good");
            assert_eq!(span.to_string().parse::<Span>(), Ok(span));
        }
        assert_eq!("1h30m".parse::<Span>().expect("good").to_string(), "1h30m");
    }
}
