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

type Texts = HashMap<&'static str, &'static str>;

/// All texts of the built-in languages. Those that a site adds bring their own ([`Lang::Added`]).
#[derive(Debug, Default)]
pub struct Messages(Vec<(Lang, Texts)>);

impl Messages {
    /// Reads message files.
    pub fn read(files: &[(Lang, &'static str)]) -> Result<Self, BadMessages> {
        let mut messages = Self::default();
        for (lang, file) in files {
            for (at, line) in file.lines().enumerate() {
                let bad = |what: String| BadMessages {
                    lang: lang.clone(),
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
                let texts = messages.texts_mut(lang);
                if texts.insert(key.trim(), text.trim()).is_some() {
                    return Err(bad(format!("{key} is there twice")));
                }
            }
        }
        Ok(messages)
    }

    fn texts_mut(&mut self, lang: &Lang) -> &mut Texts {
        let at = self.0.iter().position(|(own, _)| own == lang);
        let at = at.unwrap_or_else(|| {
            self.0.push((lang.clone(), Texts::new()));
            self.0.len() - 1
        });
        &mut self.0[at].1
    }

    fn texts(&self, lang: &Lang) -> Option<&Texts> {
        let own = self.0.iter().find(|(own, _)| own == lang);
        own.map(|(_, texts)| texts)
    }

    /// The text of exactly this key in exactly this language.
    fn own<'a>(&self, lang: &'a Lang, key: &str) -> Option<&'a str> {
        match lang {
            // Of the texts we have it takes those that are ours.
            Lang::Added(_) => lang.added_text(key),
            built_in => self.texts(built_in)?.get(key).copied(),
        }
    }

    /// The text of exactly this key, in the language or else in English.
    pub fn find<'a>(&self, lang: &'a Lang, key: &str) -> Option<&'a str> {
        self.own(lang, key).or_else(|| self.own(&Lang::En, key))
    }

    /// The text of a key, in the form that fits `n`.
    pub fn find_for<'a>(&self, lang: &'a Lang, key: &str, n: Option<i64>) -> Option<&'a str> {
        self.form_for(lang, key, n)
            .or_else(|| self.form_for(&Lang::En, key, n))
    }

    fn form_for<'a>(&self, lang: &'a Lang, key: &str, n: Option<i64>) -> Option<&'a str> {
        let form = |form: &str| self.own(lang, &format!("{key}.{form}"));
        n.and_then(|n| form(lang.form(n)).or_else(|| form("other")))
            .or_else(|| self.own(lang, key))
    }

    /// The keys of one built-in language.
    pub fn keys(&self, lang: &Lang) -> impl Iterator<Item = &'static str> {
        self.texts(lang)
            .into_iter()
            .flat_map(|texts| texts.keys().copied())
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
        assert_eq!(messages.find_for(&Lang::De, "x", Some(1)), Some("{n} Ding"));
        assert_eq!(
            messages.find_for(&Lang::De, "x", Some(0)),
            Some("{n} Dinge")
        );
        assert_eq!(messages.find_for(&Lang::De, "y", None), Some("only here"));
        assert_eq!(messages.find_for(&Lang::De, "z", None), None);
    }
}
