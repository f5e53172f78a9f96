//! Message files: the texts of each language, by key.
//!
//! A file has lines `key = text`; `#` starts a comment line. `{name}` in a text is filled in by
//! the caller. A text that depends on a number has two lines, `key.one` and `key.other`, and the
//! caller names the number `n`. Texts are plain: markup belongs in templates. What is missing in
//! another language is said in English.
//!
//! Two parts have such files: this crate, for what the program says ([`crate::saying`]), and
//! `lyceum-web`, for the words of templates.

use std::collections::HashMap;

use crate::lang::Lang;

/// A file that can't be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("messages ({lang}), line {line}: {what}", lang = .lang.as_str())]
pub struct BadMessages {
    pub lang: Lang,
    pub line: usize,
    pub what: String,
}

/// All texts of all languages.
#[derive(Debug, Default)]
pub struct Messages(HashMap<(Lang, &'static str), &'static str>);

impl Messages {
    /// Reads message files.
    pub fn read(files: &[(Lang, &'static str)]) -> Result<Self, BadMessages> {
        let mut texts = HashMap::new();
        for (lang, file) in files {
            for (at, line) in file.lines().enumerate() {
                let bad = |what: String| BadMessages {
                    lang: *lang,
                    line: at + 1,
                    what,
                };
                let line = line.trim();
                if line.is_empty() || line.starts_with('#') {
                    continue;
                }
                let (key, text) = line
                    .split_once(" = ")
                    .ok_or_else(|| bad("expected `key = text`".into()))?;
                if texts.insert((*lang, key.trim()), text.trim()).is_some() {
                    return Err(bad(format!("{key} is there twice")));
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
}

/// Puts `values` in the places of a text. A place nobody fills stays as it is, which a test sees.
pub fn fill(text: &str, values: &[(String, String)]) -> String {
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
