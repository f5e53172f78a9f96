//! The words of the error pages, and the choice between languages.
//!
//! The proxy runs without the hub and knows none of its texts, so it has files of its own, in
//! `messages/`. To add a language: a file, a variant of [`Lang`], and what the compiler then misses.
//! Those that a site adds it is told ([`AddedLanguage`]); what they lack is said in English.

use std::{
    collections::HashMap,
    sync::{Arc, LazyLock},
};

use super::{Failure, Unclear, added::AddedLanguage};
use crate::path::BadPath;

/// The English texts of the pages that the proxy makes itself: lines `key = text`, what is in braces
/// is filled in. What a language that is added can have is the same keys.
pub const ENGLISH_TEXTS: &str = include_str!("../../messages/en.txt");
const GERMAN_TEXTS: &str = include_str!("../../messages/de.txt");

type Texts = HashMap<&'static str, &'static str>;

static ENGLISH: LazyLock<Texts> = LazyLock::new(|| read(ENGLISH_TEXTS));
static GERMAN: LazyLock<Texts> = LazyLock::new(|| read(GERMAN_TEXTS));

fn read(file: &'static str) -> Texts {
    let lines = file.lines().filter(|line| !line.starts_with('#'));
    lines.filter_map(|line| line.split_once(" = ")).collect()
}

pub(super) fn is_key(key: &str) -> bool {
    ENGLISH.contains_key(key)
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum Lang {
    #[default]
    En,
    De,
    Added(Arc<AddedLanguage>),
}

impl Lang {
    pub(super) const BUILT_IN: [Self; 2] = [Self::En, Self::De];

    pub(super) fn tag(&self) -> &str {
        match self {
            Self::En => "en",
            Self::De => "de",
            Self::Added(language) => &language.tag,
        }
    }

    pub(super) fn is_right_to_left(&self) -> bool {
        matches!(self, Self::Added(language) if language.right_to_left)
    }

    /// A text as it is in the file, or else the English one.
    pub(super) fn text(&self, key: &str) -> &str {
        let own = match self {
            Self::En => None,
            Self::De => GERMAN.get(key).copied(),
            Self::Added(language) => language.texts.get(key).map(String::as_str),
        };
        own.or_else(|| ENGLISH.get(key).copied())
            .unwrap_or_default()
    }

    /// The one of this very tag.
    pub(super) fn find(tag: &[u8], added: &[Arc<AddedLanguage>]) -> Option<Self> {
        let mut there = Self::there(added);
        there.find(|lang| lang.tag().as_bytes() == tag)
    }

    fn there(added: &[Arc<AddedLanguage>]) -> impl Iterator<Item = Self> {
        let added = added.iter().cloned().map(Self::Added);
        Self::BUILT_IN.into_iter().chain(added)
    }

    /// By `Accept-Language` (RFC 9110, section 12.5.4), as the hub chooses: the highest weight
    /// wins, the first of equals, English when nothing fits. `pt` is content with `pt-BR`, and the
    /// other way about.
    pub(crate) fn wanted(accepted: &[u8], added: &[Arc<AddedLanguage>]) -> Self {
        let there = || Self::there(added);
        let primary = |tag: &str| {
            let own = tag.split('-').next().unwrap_or_default();
            own.to_ascii_lowercase()
        };
        let accepted = std::str::from_utf8(accepted);
        let mut best: Option<(f32, Self)> = None;
        for range in accepted.unwrap_or("").split(',').take(20) {
            let mut parts = range.split(';').map(str::trim);
            let lang = match parts.next().unwrap_or_default() {
                "*" => Some(Self::default()),
                tag => there()
                    .find(|lang| lang.tag().eq_ignore_ascii_case(tag))
                    .or_else(|| there().find(|lang| primary(lang.tag()) == primary(tag))),
            };
            let Some(lang) = lang else { continue };
            let weight = parts
                .find_map(|part| part.strip_prefix("q="))
                .map_or(Some(1.0), |text| text.parse().ok())
                .unwrap_or(0.0);
            if weight > 0.0 && best.as_ref().is_none_or(|(highest, _)| weight > *highest) {
                best = Some((weight, lang));
            }
        }
        best.map(|(_, lang)| lang).unwrap_or_default()
    }
}

pub(super) struct Words<'a> {
    pub(super) title: &'a str,
    pub(super) meaning: &'a str,
    pub(super) remedy: &'a str,
}

pub(super) fn words<'a>(failure: &Failure, lang: &'a Lang) -> Words<'a> {
    let page = match failure {
        Failure::BadRequest(_) => "bad_request",
        Failure::HeadersTooLarge => "headers_too_large",
        Failure::BodyTooLarge => "body_too_large",
        Failure::MethodNotAllowed | Failure::Unknown(_) => "not_served",
        Failure::Denied => "denied",
        Failure::AccessUnavailable => "access_unavailable",
        Failure::NoServer => "no_server",
        Failure::BadAnswer => "bad_answer",
        Failure::TooSlow => "too_slow",
        Failure::NoHub => "no_hub",
        Failure::NoService => "no_service",
        Failure::NoRoute => "no_route",
    };
    let text = |part: &str| lang.text(&format!("proxy.{page}.{part}"));
    Words {
        title: text("title"),
        meaning: text("meaning"),
        remedy: text("remedy"),
    }
}

/// What could be understood in two ways.
pub(super) fn why(unclear: Unclear, lang: &Lang) -> &str {
    let key = match unclear {
        Unclear::TwoHosts => "proxy.why.two_hosts",
        Unclear::NoHost => "proxy.why.no_host",
        Unclear::HostsDiffer => "proxy.why.hosts_differ",
        Unclear::Unreadable => "proxy.why.unreadable",
        // Said in full where it can be.
        Unclear::Ambiguous(what) if *lang == Lang::En => return what,
        Unclear::Ambiguous(_) => "proxy.why.ambiguous",
        Unclear::Path(BadPath::NotAbsolute) => "proxy.why.not_absolute",
        Unclear::Path(BadPath::Nul) => "proxy.why.nul",
        Unclear::Path(BadPath::Backslash) => "proxy.why.backslash",
        Unclear::Path(BadPath::DotSegment) => "proxy.why.dot_segment",
    };
    lang.text(key)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn added(tag: &str) -> Arc<AddedLanguage> {
        Arc::new(AddedLanguage {
            tag: tag.into(),
            ..AddedLanguage::default()
        })
    }

    #[test]
    fn the_language_a_browser_asks_for() {
        let check = |header: &[u8], expect: Lang| {
            assert_eq!(Lang::wanted(header, &[]), expect, "{header:?}");
        };
        assert_eq!(Lang::wanted(b"", &[]), Lang::En);
        check(b"de-AT,de;q=0.9,en;q=0.8", Lang::De);
        check(b"en-GB,en;q=0.9,de;q=0.8", Lang::En);
        check(b"fr,DE ; q=0.5,en;q=0.4", Lang::De);
        check(b"*,de;q=0.5", Lang::En);
        check(b"de;q=0,fr", Lang::En);
        check(b"de;q=much", Lang::En);
        check(b"\xff", Lang::En);
        check("x,".repeat(10_000).as_bytes(), Lang::En);
    }

    #[test]
    fn languages_that_were_added_are_chosen_too() {
        let there = [added("pt-BR"), added("pt-PT")];
        let check = |header: &str, expect: &str| {
            let lang = Lang::wanted(header.as_bytes(), &there);
            assert_eq!(lang.tag(), expect, "{header}");
        };
        check("fr,pt;q=0.9,de;q=0.8", "pt-BR");
        check("pt-pt", "pt-PT");
        check("PT-ao,de;q=0.2", "pt-BR");
        check("de,pt;q=0.9", "de");
    }

    #[test]
    fn a_language_is_chosen_by_its_very_tag() {
        let there = [added("pt-BR")];
        let check = |tag: &[u8], expect: Option<&str>| {
            let lang = Lang::find(tag, &there);
            assert_eq!(lang.as_ref().map(Lang::tag), expect, "{tag:?}");
        };
        check(b"en", Some("en"));
        check(b"pt-BR", Some("pt-BR"));
        for odd in [&b"pt"[..], b"DE", b"", b"de ", b"fr", b"\xff"] {
            check(odd, None);
        }
    }

    #[test]
    fn both_files_have_the_same_keys_and_places() {
        let places = |text: &str| {
            let parts = text.split('{').skip(1);
            let names = parts.filter_map(|part| part.split_once('}').map(|(name, _)| name.into()));
            names.collect::<Vec<String>>()
        };
        assert_eq!(ENGLISH.len(), GERMAN.len());
        for (key, english) in ENGLISH.iter() {
            let german = GERMAN.get(key).copied().expect(key);
            assert_ne!(*english, german, "{key}");
            assert_eq!(places(english), places(german), "{key}");
        }
        let lines = ENGLISH_TEXTS.lines().filter(|line| line.contains(" = "));
        assert_eq!(lines.count(), ENGLISH.len(), "a key is there twice");
    }
}
