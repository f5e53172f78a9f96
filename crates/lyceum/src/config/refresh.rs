//! How often a provider is asked about those who came by it and are here: `refresh` and `refresh_grace` of
//! a way in.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use lyceum_auth::Renewing;
use lyceum_written::units::Span;
use schemars::JsonSchema;
use serde::de::{self, Deserializer, Visitor};
use serde::{Deserialize, Serialize, Serializer};

use super::sign_in::Say;

const USUAL: Duration = Duration::from_secs(300);
const SHORTEST: Duration = Duration::from_secs(10);
const LONGEST: Duration = Duration::from_secs(24 * 3600);

/// A length of time, or `off`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refresh {
    Off,
    Every(Span),
}

impl fmt::Display for Refresh {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Off => f.write_str("off"),
            Self::Every(span) => span.fmt(f),
        }
    }
}

impl Serialize for Refresh {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Refresh {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Text;
        impl Visitor<'_> for Text {
            type Value = Refresh;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a number with a unit such as `5m`, or `off`")
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<Refresh, E> {
                match text {
                    "off" => Ok(Refresh::Off),
                    text => Span::from_str(text).map(Refresh::Every).map_err(E::custom),
                }
            }
            fn visit_bool<E: de::Error>(self, truth: bool) -> Result<Refresh, E> {
                match truth {
                    // As some write and read `off`.
                    false => Ok(Refresh::Off),
                    true => Err(E::custom("how often? Write `5m`, or `off`")),
                }
            }
        }
        from.deserialize_any(Text)
    }
}

impl JsonSchema for Refresh {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Refresh".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "type": ["string", "boolean"],
            "pattern": "^(off|([0-9]+(d|h|m|s|ms))+)$",
            "description": "A length of time, or `off`: `90s`, `5m`, `1h`",
        })
    }
}

pub(super) fn check_refresh(
    refresh: Option<Refresh>,
    grace: Option<Span>,
    say: Say<'_>,
) -> Option<Renewing> {
    let every = match refresh {
        Some(Refresh::Off) => {
            if grace.is_some() {
                say(
                    "refresh_grace",
                    "with `refresh: off` the provider is never asked; remove one of the two".into(),
                );
            }
            return None;
        }
        Some(Refresh::Every(span)) => span.0,
        None => USUAL,
    };
    if !(SHORTEST..=LONGEST).contains(&every) {
        say(
            "refresh",
            "it is between `10s` and `24h`, or `off`: so often the provider is asked about each who is here".into(),
        );
    }
    let grace = grace.map(|span| span.0);
    if grace.is_some_and(|grace| grace < 2 * every) {
        say(
            "refresh_grace",
            "it is at least twice as long as `refresh`; else a moment in which the provider does not answer would log people out".into(),
        );
    }
    Some(Renewing { every, grace })
}
