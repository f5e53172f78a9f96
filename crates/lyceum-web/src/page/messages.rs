//! The words of the pages: message files, and which language a browser asked for.
//!
//! A file has lines `key = text`; `#` starts a comment line. `{name}` in a text is filled in by
//! the caller. A text that depends on a number has two lines, `key.one` and `key.other`, and the
//! caller names the number `n`. Texts are plain: markup belongs in templates. What is missing in
//! another language is said in English.

use std::collections::HashMap;

use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};

/// The words of this crate and of the hub's pages.
pub(super) const OWN_MESSAGES: &[(Lang, &str)] = &[
    (Lang::En, include_str!("../../messages/en.txt")),
    (Lang::De, include_str!("../../messages/de.txt")),
];

/// A language that pages exist in.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Lang {
    #[default]
    En,
    De,
}

impl Lang {
    pub const ALL: [Self; 2] = [Self::En, Self::De];

    /// The tag for `lang=` and `Content-Language`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::En => "en",
            Self::De => "de",
        }
    }

    /// `50,000` or `50.000`.
    pub fn number(self, number: i64) -> String {
        let separator = match self {
            Self::En => ',',
            Self::De => '.',
        };
        let digits = number.unsigned_abs().to_string();
        let mut text = String::new();
        for (at, digit) in digits.chars().enumerate() {
            if at > 0 && (digits.len() - at).is_multiple_of(3) {
                text.push(separator);
            }
            text.push(digit);
        }
        if number < 0 {
            text.insert(0, '-');
        }
        text
    }
}

/// Chooses by `Accept-Language` (RFC 9110, section 12.5.4): the highest weight wins, the first of
/// equals, English when nothing fits.
pub fn pick_language(accept_language: Option<&str>) -> Lang {
    let mut best: Option<(f32, Lang)> = None;
    // A header can be long; nobody speaks more than twenty languages.
    for range in accept_language.unwrap_or_default().split(',').take(20) {
        let mut parts = range.split(';').map(str::trim);
        let tag = parts.next().unwrap_or_default().to_ascii_lowercase();
        let lang = match tag.split('-').next() {
            Some("de") => Lang::De,
            Some("en" | "*") => Lang::En,
            _ => continue,
        };
        let weight = parts
            .find_map(|part| part.strip_prefix("q="))
            .map_or(Some(1.0), |text| text.parse::<f32>().ok())
            .unwrap_or(0.0);
        if weight > 0.0 && best.is_none_or(|(highest, _)| weight > highest) {
            best = Some((weight, lang));
        }
    }
    best.map(|(_, lang)| lang).unwrap_or_default()
}

/// All texts of all languages.
#[derive(Debug, Default)]
pub struct Messages(HashMap<(Lang, &'static str), &'static str>);

impl Messages {
    /// Reads message files.
    pub fn read(files: &[(Lang, &'static str)]) -> Result<Self> {
        let mut texts = HashMap::new();
        for (lang, file) in files {
            for (at, line) in file.lines().enumerate() {
                let place = || format!("messages ({}), line {}", lang.as_str(), at + 1);
                let line = line.trim();
                if line.is_empty() || line.starts_with('#') {
                    continue;
                }
                let (key, text) = line
                    .split_once(" = ")
                    .with_context(|| format!("{}: expected `key = text`", place()))?;
                if texts.insert((*lang, key.trim()), text.trim()).is_some() {
                    bail!("{}: {key} is there twice", place());
                }
            }
        }
        Ok(Self(texts))
    }

    /// The text of exactly this key, in the language or else in English.
    pub fn find(&self, lang: Lang, key: &str) -> Option<&'static str> {
        // The key of the map borrows for ever, a look-up only for now.
        let get = |lang: Lang| self.0.get(&(lang, key) as &(Lang, &str)).copied();
        get(lang).or_else(|| get(Lang::En))
    }

    /// The text of a key, in the form that fits `n`.
    pub fn find_for(&self, lang: Lang, key: &str, n: Option<i64>) -> Option<&'static str> {
        let form = n.map(|n| if n == 1 { "one" } else { "other" });
        form.and_then(|form| self.find(lang, &format!("{key}.{form}")))
            .or_else(|| self.find(lang, key))
    }

    /// The keys of one language.
    pub fn keys(&self, lang: Lang) -> impl Iterator<Item = &'static str> {
        self.0
            .keys()
            .filter(move |(own, _)| *own == lang)
            .map(|(_, key)| *key)
    }

    /// The words of this crate alone: for tests that look at every text.
    pub fn own() -> Result<Self> {
        Self::read(OWN_MESSAGES)
    }
}

/// Puts `values` in the places of a text. A place nobody fills stays as it is, which a test sees.
pub(super) fn fill(text: &str, values: &[(String, String)]) -> String {
    let mut rest = text;
    let mut filled = String::with_capacity(text.len() + 32);
    while let Some((before, after)) = rest.split_once('{') {
        filled.push_str(before);
        let place = after.split_once('}');
        let value = place.and_then(|(name, _)| values.iter().find(|(own, _)| own == name));
        match (place, value) {
            (Some((_, after)), Some((_, value))) => {
                filled.push_str(value);
                rest = after;
            }
            _ => {
                filled.push('{');
                rest = after;
            }
        }
    }
    filled.push_str(rest);
    filled
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_language_a_browser_asks_for() {
        let check = |header: &str, expect: Lang| {
            assert_eq!(pick_language(Some(header)), expect, "{header:?}");
        };
        assert_eq!(pick_language(None), Lang::En);
        check("", Lang::En);
        check("de", Lang::De);
        check("de-AT,de;q=0.9,en;q=0.8", Lang::De);
        check("en-GB,en;q=0.9,de;q=0.8", Lang::En);
        check("fr,de;q=0.5,en;q=0.4", Lang::De);
        check("fr", Lang::En);
        check("en;q=0.2, DE ; q=0.3", Lang::De);
        check("de;q=0,en;q=0.1", Lang::En);
        check("de;q=much", Lang::En);
        check("*", Lang::En);
        check(&"x,".repeat(100_000), Lang::En);
    }

    #[test]
    fn numbers_are_grouped() {
        let check = |number: i64, en: &str, de: &str| {
            assert_eq!(Lang::En.number(number), en);
            assert_eq!(Lang::De.number(number), de);
        };
        check(0, "0", "0");
        check(999, "999", "999");
        check(50_000, "50,000", "50.000");
        check(-1_234_567, "-1,234,567", "-1.234.567");
    }

    #[test]
    fn places_are_filled_once() {
        let values = [
            ("a".to_owned(), "{b}".to_owned()),
            ("b".to_owned(), "2".to_owned()),
        ];
        assert_eq!(fill("{a} and {b}, {c} {", &values), "{b} and 2, {c} {");
    }

    #[test]
    fn a_bad_line_and_a_double_key_are_told() {
        let error = |text: &'static str| {
            Messages::read(&[(Lang::De, text)])
                .expect_err("refused")
                .to_string()
        };
        assert_eq!(
            error("# fine\na = b\nnonsense"),
            "messages (de), line 3: expected `key = text`"
        );
        assert_eq!(
            error("a = b\na = c"),
            "messages (de), line 2: a is there twice"
        );
    }

    #[test]
    fn plurals_and_the_english_fallback() {
        let messages = Messages::read(&[
            (
                Lang::En,
                "x.one = {n} thing\nx.other = {n} things\ny = only here",
            ),
            (Lang::De, "x.one = {n} Ding\nx.other = {n} Dinge"),
        ])
        .expect("good files");
        assert_eq!(messages.find_for(Lang::De, "x", Some(1)), Some("{n} Ding"));
        assert_eq!(messages.find_for(Lang::De, "x", Some(0)), Some("{n} Dinge"));
        assert_eq!(messages.find_for(Lang::De, "y", None), Some("only here"));
        assert_eq!(messages.find_for(Lang::De, "z", None), None);
    }
}
