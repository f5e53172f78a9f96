//! What a site tells people: links at the foot of pages, announcements, maintenance.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use lyceum_courses::moments::Moment;
use lyceum_hub::notices::{Announcement, Audience, Maintenance, Notices, Window, Words};
use lyceum_model::clock::Millis;
use lyceum_model::who::{Forms, Who};
use lyceum_web::page::plain::{Document, is_address};
use lyceum_web::page::theme::FooterLink;
use schemars::JsonSchema;
use serde::de::value::MapAccessDeserializer;
use serde::de::{self, Deserializer, MapAccess, Visitor};
use serde::{Deserialize, Serialize};

use super::raw::RawConfig;
use super::theme::read_file;

/// A line above the pages, not a letter.
const WORDS_MAX: usize = 1000;
const ANNOUNCEMENTS_MAX: usize = 20;

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RawSite {
    /// Where people get help: an address such as `https://wiki.example.edu`, or a mail address.
    pub help: Option<String>,
    /// What is kept about people: an address, or a file with text or simple Markdown.
    pub privacy: Option<String>,
    /// The terms of use: an address, or a file with text or simple Markdown.
    pub terms: Option<String>,
    /// Who runs the site: an address, or a file with text or simple Markdown.
    pub imprint: Option<String>,
}

/// A text, or texts by language: `{en: …, de: …}`.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
#[serde(untagged)]
pub enum RawWords {
    One(String),
    ByLanguage(BTreeMap<String, String>),
}

impl Default for RawWords {
    fn default() -> Self {
        Self::One(String::new())
    }
}

impl<'de> Deserialize<'de> for RawWords {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Either;
        impl<'de> Visitor<'de> for Either {
            type Value = RawWords;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a text, or texts by language such as `{en: …, de: …}`")
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<RawWords, E> {
                Ok(RawWords::One(text.to_owned()))
            }
            fn visit_map<A: MapAccess<'de>>(self, keys: A) -> Result<RawWords, A::Error> {
                BTreeMap::deserialize(MapAccessDeserializer::new(keys)).map(RawWords::ByLanguage)
            }
        }
        from.deserialize_any(Either)
    }
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RawAnnouncement {
    /// Plain text; `[words](https://…)` and addresses become links.
    pub text: RawWords,
    /// When it begins, `2026-11-30 18:00`, in `time_zone` unless an offset (`+01:00`, `Z`) stands behind it.
    pub from: Option<String>,
    /// When it ends.
    pub until: Option<String>,
    /// Who sees it: `all`, `course:ID`, `course:ID/teacher`, `role:NAME`, `group:NAME`, a user's name,
    /// `login` (those who are not signed in).
    #[serde(rename = "for", default = "everybody")]
    pub readers: Vec<String>,
    /// `info` or `warning`.
    #[serde(default)]
    pub level: RawLevel,
}

fn everybody() -> Vec<String> {
    vec!["all".into()]
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum RawLevel {
    #[default]
    Info,
    Warning,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RawMaintenance {
    /// When it begins, `2026-11-30 18:00`, in `time_zone` unless an offset stands behind it; before that
    /// pages announce it. Left out: there is none.
    pub from: Option<String>,
    /// When it ends. Left out: when this is taken out.
    pub until: Option<String>,
    /// What people are told besides: a text, or texts by language.
    pub text: Option<RawWords>,
    /// Who may come in and start servers all the same, besides administrators: users' names and
    /// `group:NAME`. It holds for a maintenance that was switched on, too.
    pub allow: Vec<String>,
}

/// The checked sections.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct SiteWords {
    pub notices: Notices,
    pub links: Vec<FooterLink>,
    /// Files to look at for edits.
    pub watched: Vec<PathBuf>,
}

type Tell<'a> = &'a mut dyn FnMut(&str, String);

/// `languages`: the tags of those that pages are in; `zone`: of times without an offset.
pub(super) fn check_site(
    raw: &RawConfig,
    folder: &Path,
    languages: &[String],
    zone: &TimeZone,
    problem: Tell<'_>,
) -> SiteWords {
    let mut site = SiteWords::default();
    if let Some(help) = &raw.site.help {
        match address(help) {
            Some(url) => site.links.push(FooterLink {
                kind: "help",
                url,
                own: false,
            }),
            None => {
                let words =
                    "is no address such as `https://wiki.example.edu` or `help@example.edu`";
                problem("site.help", format!("{help:?} {words}"));
            }
        }
    }
    for (kind, value) in [
        ("privacy", &raw.site.privacy),
        ("terms", &raw.site.terms),
        ("imprint", &raw.site.imprint),
    ] {
        let Some(value) = value else { continue };
        let url = if value.contains("://") || value.starts_with("mailto:") {
            let found = address(value);
            if found.is_none() {
                let words = "is neither an address such as `https://example.edu/terms` nor a file";
                problem(&format!("site.{kind}"), format!("{value:?} {words}"));
            }
            found
        } else {
            let path = folder.join(value);
            site.watched.push(path.clone());
            let text = read_file(&path).and_then(|bytes| {
                String::from_utf8(bytes).map_err(|_| format!("{} is not text", path.display()))
            });
            match text {
                Ok(text) => {
                    site.notices.documents.insert(kind, Document::read(&text));
                    Some(format!("/hub/pages/{kind}"))
                }
                Err(message) => {
                    problem(&format!("site.{kind}"), message);
                    None
                }
            }
        };
        let own = site.notices.documents.contains_key(kind);
        site.links
            .extend(url.map(|url| FooterLink { kind, url, own }));
    }
    if raw.announcements.len() > ANNOUNCEMENTS_MAX {
        problem(
            "announcements",
            format!("more than {ANNOUNCEMENTS_MAX}, which nobody reads"),
        );
    }
    for (at, one) in raw.announcements.iter().enumerate() {
        let key = |name: &str| format!("announcements[{at}].{name}");
        let announcement = Announcement {
            words: words(&key("text"), &one.text, languages, true, problem),
            window: window(
                (&key("from"), &one.from),
                (&key("until"), &one.until),
                zone,
                problem,
            ),
            audience: audience(&key("for"), &one.readers, true, problem),
            warning: one.level == RawLevel::Warning,
        };
        site.notices.announcements.push(announcement);
    }
    site.notices.maintenance = maintenance(&raw.maintenance, languages, zone, problem);
    let allow = &raw.maintenance.allow;
    site.notices.let_in = audience("maintenance.allow", allow, false, problem);
    site
}

fn maintenance(
    raw: &RawMaintenance,
    languages: &[String],
    zone: &TimeZone,
    problem: Tell<'_>,
) -> Option<Maintenance> {
    let window = window(
        ("maintenance.from", &raw.from),
        ("maintenance.until", &raw.until),
        zone,
        problem,
    );
    let text = raw.text.clone().unwrap_or_default();
    let words = words("maintenance.text", &text, languages, false, problem);
    // Who is let in may stand alone: a maintenance can be switched on without the configuration.
    if raw.from.is_none() && (raw.until.is_some() || raw.text.is_some()) {
        let message = "say when it begins, such as `from: 2026-11-30 18:00+01:00`";
        problem("maintenance", message.into());
    }
    Some(Maintenance {
        from: window.from?,
        until: window.until,
        words,
    })
}

/// An address as a link, or `None`.
fn address(text: &str) -> Option<String> {
    let url = match text.contains("://") || text.starts_with(['/', 'm']) && text.contains(':') {
        false if text.contains('@') => format!("mailto:{text}"),
        _ => text.to_owned(),
    };
    is_address(&url).then_some(url)
}

fn words(
    key: &str,
    raw: &RawWords,
    languages: &[String],
    needed: bool,
    problem: Tell<'_>,
) -> Words {
    let one;
    let texts = match raw {
        RawWords::One(text) => {
            one = [("en".to_owned(), text.clone())].into();
            &one
        }
        RawWords::ByLanguage(texts) => texts,
    };
    let mut words = Words::default();
    for (tag, text) in texts {
        let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
        match languages.contains(tag) {
            true if !text.is_empty() => {
                words.0.insert(tag.clone(), text);
            }
            true => {}
            false => {
                let known: Vec<&str> = languages.iter().map(String::as_str).collect();
                let known = lyceum_written::problem::suggest(tag, &known);
                problem(key, format!("there are no pages in {tag:?}; {known}"));
            }
        }
    }
    if words.0.values().any(|text| text.len() > WORDS_MAX) {
        problem(key, format!("longer than {WORDS_MAX} characters"));
    }
    if needed && words.0.is_empty() {
        problem(key, "the text is empty".into());
    }
    words
}

/// Both ends with their keys.
fn window(
    (from_key, from): (&str, &Option<String>),
    (until_key, until): (&str, &Option<String>),
    zone: &TimeZone,
    problem: Tell<'_>,
) -> Window {
    let mut at = |key: &str, text: &Option<String>| {
        let text = text.as_ref()?;
        moment(text, zone).map_err(|words| problem(key, words)).ok()
    };
    let window = Window {
        from: at(from_key, from),
        until: at(until_key, until),
    };
    if let (Some(from), Some(until)) = (window.from, window.until)
        && until.0 <= from.0
    {
        problem(until_key, "the end is not after the beginning".into());
    }
    window
}

/// `2026-11-30 18:00`, with or without seconds and offset; without one it is as in course files.
pub fn moment(text: &str, zone: &TimeZone) -> Result<Millis, String> {
    let text = text.trim();
    let stamp = match (text.parse::<Timestamp>(), text.parse::<DateTime>()) {
        (Ok(stamp), _) => stamp,
        (Err(_), Ok(civil)) => Moment::of(civil).in_zone(zone)?,
        (Err(_), Err(_)) => {
            return Err(format!(
                "{text:?} is not a time such as `2026-11-30 18:00`, in the site's `time_zone`, or `2026-11-30 18:00+01:00`"
            ));
        }
    };
    Ok(Millis(stamp.as_millisecond()))
}

/// The other way: `2026-11-30 18:00 CET`.
pub fn told(at: Millis, zone: &TimeZone) -> String {
    let Ok(at) = Timestamp::from_millisecond(at.0) else {
        return at.to_iso();
    };
    let zone = match zone.is_unknown() {
        true => TimeZone::UTC,
        false => zone.clone(),
    };
    at.to_zoned(zone).strftime("%Y-%m-%d %H:%M %Z").to_string()
}

pub(super) fn audience(
    key: &str,
    names: &[String],
    shown: bool,
    problem: Tell<'_>,
) -> Vec<Audience> {
    let mut found = Vec::new();
    for (at, name) in names.iter().enumerate() {
        let one = match (name.as_str(), shown) {
            ("all", true) => Some(Audience::All),
            ("login", true) => Some(Audience::LogIn),
            (name, true) => Who::parse(name, Forms::All).ok().map(Audience::Some),
            (name, false) => Who::parse(name, Forms::People).ok().map(Audience::Some),
        };
        match one {
            Some(one) => found.push(one),
            None => {
                let words = match shown {
                    true => {
                        "is none of `all`, `login`, `course:ID`, `course:ID/ROLE`, `role:NAME`, `group:NAME` and a user's name"
                    }
                    false => "is neither a user's name nor `group:NAME`",
                };
                problem(&format!("{key}[{at}]"), format!("{name:?} {words}"));
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_with_and_without_an_offset() {
        let berlin = TimeZone::get("Europe/Berlin").expect("the zone");
        let check = |text: &str, expect: Option<i64>| {
            let found = moment(text, &berlin).ok();
            assert_eq!(found.map(|at| at.0 / 1000), expect, "{text}");
        };
        check("2026-11-30 18:00+01:00", Some(1_796_058_000));
        check("2026-11-30T18:00:00+01:00", Some(1_796_058_000));
        check("2026-11-30 18:00", Some(1_796_058_000));
        check("2026-11-30T17:00:00Z", Some(1_796_058_000));
        check("2026-11-30", Some(1_795_993_200));
        check("tomorrow", None);
        check("2026-13-30 18:00", None);
        // Clocks are put forward over it.
        check("2026-03-29 02:30", None);
        check("2026-03-29 02:30Z", Some(1_774_751_400));
        let of_utc = moment("2026-11-30 17:00", &TimeZone::UTC).map(|at| at.0 / 1000);
        assert_eq!(of_utc, Ok(1_796_058_000));
    }

    #[test]
    fn addresses_of_help() {
        let check = |text: &str, expect: Option<&str>| {
            assert_eq!(address(text).as_deref(), expect, "{text}");
        };
        check(
            "https://wiki.example.edu/x",
            Some("https://wiki.example.edu/x"),
        );
        check("help@example.edu", Some("mailto:help@example.edu"));
        check("mailto:help@example.edu", Some("mailto:help@example.edu"));
        check(
            "/hub/static/site/help.pdf",
            Some("/hub/static/site/help.pdf"),
        );
        check("javascript:alert(1)", None);
        check("wiki", None);
    }
}
