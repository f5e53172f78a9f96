//! When servers end by themselves, and which servers a rule speaks of.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use lyceum_hub::cull::{Culling, Limits, Rule};
use lyceum_hub::notices::Audience;
use lyceum_hub::select::{People, Selector};
use lyceum_model::who::Who;
use schemars::JsonSchema;
use serde::de::{self, Deserializer, Visitor};
use serde::{Deserialize, Serialize, Serializer};

use super::raw::{RawConfig, RawPeople};
use super::site::audience;
use lyceum_written::units::Span;

/// Lists of a configuration have an end.
const RULES_MAX: usize = 200;
const USUAL_WARN: Duration = Duration::from_secs(600);
const DAY: Duration = Duration::from_secs(24 * 3600);
const YEAR: Duration = Duration::from_secs(366 * 24 * 3600);

type Tell<'a> = &'a mut dyn FnMut(&str, String);

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RawCull {
    /// A server in which nothing happens for so long is ended: `1h`. Left out: never. Pages that are
    /// open, requests, terminals and kernels that work are use.
    pub idle: Option<Limit>,
    /// A server that has run for so long is ended, whatever happens in it: `8h`. Left out: never.
    pub age: Option<Limit>,
    /// So long before, the home page warns: less than `idle`. Left out: `10m`, or half of `idle` where
    /// that is less.
    pub warn: Option<Span>,
    /// `true`: named servers are removed when they were ended so; their files stay.
    pub remove_named: bool,
    /// For whom it is different. The first rule that fits a server holds for it. Each says which
    /// servers it speaks of, all of `for` (`[ada, group:staff]`), `profiles`, `courses`, `admins`
    /// (`true`, `false`) and `named` (`true`, `false`) that are given, and what is different: `idle`,
    /// `age` (also `never`), `warn`, `remove_named`; the rest is as above.
    pub rules: Vec<RawCullRule>,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RawCullRule {
    /// Whose servers: users' names and `group:NAME`.
    #[serde(rename = "for")]
    pub people: Option<Vec<String>>,
    /// Servers made from these profiles, by their slugs.
    pub profiles: Option<Vec<String>>,
    /// Servers of these courses, by their ids.
    pub courses: Option<Vec<String>>,
    /// `true`: servers of administrators; `false`: of all others.
    pub admins: Option<bool>,
    /// `true`: named servers; `false`: default ones.
    pub named: Option<bool>,
    /// `2h`, or `never`.
    pub idle: Option<Limit>,
    /// `2h`, or `never`.
    pub age: Option<Limit>,
    /// So long before, the home page warns.
    pub warn: Option<Span>,
    /// `true`: named servers are removed when they were ended.
    pub remove_named: Option<bool>,
}

/// A length of time, or `never`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Limit {
    Never,
    After(Span),
}

impl Limit {
    fn get(self) -> Option<Duration> {
        match self {
            Self::Never => None,
            Self::After(span) => Some(span.0),
        }
    }
}

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Never => f.write_str("never"),
            Self::After(span) => span.fmt(f),
        }
    }
}

impl Serialize for Limit {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Limit {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Text;
        impl Visitor<'_> for Text {
            type Value = Limit;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a number with a unit, or `never`")
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<Limit, E> {
                match text {
                    "never" => Ok(Limit::Never),
                    text => Span::from_str(text).map(Limit::After).map_err(E::custom),
                }
            }
        }
        from.deserialize_any(Text)
    }
}

impl JsonSchema for Limit {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Limit".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "type": "string",
            "pattern": "^(never|([0-9]+(d|h|m|s|ms))+)$",
            "description": "A length of time, or `never`: `90s`, `30m`, `1h`",
        })
    }
}

pub(super) fn check_cull(raw: &RawConfig, problem: Tell<'_>) -> Culling {
    let cull = &raw.servers.cull;
    let key = "servers.cull";
    if cull.rules.len() > RULES_MAX {
        problem(
            &format!("{key}.rules"),
            format!("more than {RULES_MAX} rules; say more with one, for instance by a group"),
        );
    }
    check_limits(key, cull.idle, cull.age, cull.warn, problem);
    check_warn("servers.cull.warn", cull.warn, cull.idle, problem);
    let idle = cull.idle.and_then(Limit::get);
    let others = Limits {
        idle,
        age: cull.age.and_then(Limit::get),
        warn: warn(cull.warn, idle),
        remove: cull.remove_named,
    };
    let rules = cull.rules.iter().take(RULES_MAX).enumerate();
    let rules = rules.map(|(at, rule)| {
        let key = format!("{key}.rules[{at}]");
        check_limits(&key, rule.idle, rule.age, rule.warn, problem);
        let place = match (rule.warn, rule.idle) {
            (Some(_), _) => Some("warn"),
            (None, Some(_)) => Some("idle"),
            (None, None) => None,
        };
        if let Some(place) = place {
            let (warn, idle) = (rule.warn.or(cull.warn), rule.idle.or(cull.idle));
            check_warn(&format!("{key}.{place}"), warn, idle, problem);
        }
        let whom = RawSelector {
            people: rule.people.as_deref(),
            profiles: rule.profiles.as_deref(),
            courses: rule.courses.as_deref(),
        };
        Rule {
            whom: Selector {
                admins: rule.admins,
                named: rule.named,
                ..whom.check(&key, problem)
            },
            limits: Limits {
                idle: rule.idle.map_or(others.idle, Limit::get),
                age: rule.age.map_or(others.age, Limit::get),
                warn: warn(
                    rule.warn.or(cull.warn),
                    rule.idle.map_or(others.idle, Limit::get),
                ),
                remove: rule.remove_named.unwrap_or(others.remove),
            },
        }
    });
    Culling {
        rules: rules.collect(),
        forget_people: check_forget(&raw.people, problem),
        others,
    }
}

/// Where it is not written, a server is not warned of from its first moment on.
fn warn(written: Option<Span>, idle: Option<Duration>) -> Duration {
    let usual = idle.map_or(USUAL_WARN, |idle| USUAL_WARN.min(idle / 2));
    written.map_or(usual, |span| span.0)
}

/// Who is warned all the time no longer looks.
fn check_warn(place: &str, warn: Option<Span>, idle: Option<Limit>, problem: Tell<'_>) {
    if let (Some(warn), Some(Limit::After(idle))) = (warn, idle)
        && warn.0 <= DAY
        && warn.0 >= idle.0
    {
        problem(
            place,
            format!(
                "people would be warned all the time: `warn` is `{warn}`, and must be less than `idle`, `{idle}`"
            ),
        );
    }
}

fn check_limits(
    key: &str,
    idle: Option<Limit>,
    age: Option<Limit>,
    warn: Option<Span>,
    problem: Tell<'_>,
) {
    for (name, limit) in [("idle", idle), ("age", age)] {
        let Some(Limit::After(span)) = limit else {
            continue;
        };
        if !(Duration::from_secs(10)..=YEAR).contains(&span.0) {
            problem(
                &format!("{key}.{name}"),
                format!("a time from `10s` to `366d` is expected, or `never`; found `{span}`"),
            );
        }
    }
    if let Some(span) = warn.filter(|span| span.0 > DAY) {
        problem(
            &format!("{key}.warn"),
            format!("a time up to `1d` is expected, found `{span}`"),
        );
    }
}

fn check_forget(people: &RawPeople, problem: Tell<'_>) -> Option<Duration> {
    let after = people.forget_after?;
    if after.0 < 30 * DAY {
        problem(
            "people.forget_after",
            format!("people are forgotten after `30d` at the earliest, found `{after}`"),
        );
    }
    Some(after.0)
}

/// Which servers a rule or a quota speaks of.
pub(super) struct RawSelector<'a> {
    pub people: Option<&'a [String]>,
    pub profiles: Option<&'a [String]>,
    pub courses: Option<&'a [String]>,
}

impl RawSelector<'_> {
    pub(super) fn check(&self, key: &str, problem: Tell<'_>) -> Selector {
        let lists = [
            ("for", self.people),
            ("profiles", self.profiles),
            ("courses", self.courses),
        ];
        for (name, list) in lists {
            let Some(list) = list else {
                continue;
            };
            if list.is_empty() {
                problem(
                    &format!("{key}.{name}"),
                    "an empty list fits nobody; leave the key out to mean all".into(),
                );
            }
            if list.len() > 1000 {
                problem(
                    &format!("{key}.{name}"),
                    "more than 1000 entries; use a group".into(),
                );
            }
        }
        Selector {
            people: self
                .people
                .map(|list| who(&format!("{key}.for"), list, problem)),
            profiles: self.profiles.map(<[String]>::to_vec),
            courses: self.courses.map(<[String]>::to_vec),
            ..Selector::default()
        }
    }
}

fn who(key: &str, list: &[String], problem: Tell<'_>) -> People {
    let mut people = People::default();
    for one in audience(key, list, false, problem) {
        match one {
            Audience::Some(Who::Person(name)) => people.names.push(name.to_string()),
            Audience::Some(Who::Group(name)) => people.groups.push(name),
            // Not offered here.
            Audience::Some(Who::Course { .. } | Who::Role(_)) | Audience::All | Audience::LogIn => {
            }
        }
    }
    people
}
