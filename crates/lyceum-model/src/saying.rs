//! What the program tells people: a key and named values, put into words only when somebody looks.
//!
//! Handlers, background work and spawners say things that end up on a page, whose language is
//! the reader's: the reason of a failure, the step of a start, a refusal. They make a [`Saying`]
//! with [`say!`](crate::say); pages show it by [`Saying::in_lang`]. Logs, the command line and
//! programs get English, which is what it prints as.
//!
//! The texts are in `sayings/en.txt` and `sayings/de.txt` (their form: [`crate::messages`]); the
//! words of templates are not here but in `lyceum-web`. What the system or other programs say
//! (`Permission denied (os error 13)`) goes in as a value and stays as it is. A value can be a
//! saying itself.
//!
//! To add one: `say!("part.what_happened", name = value)` and a line in each file. A test reads
//! the sources and finds keys without text, texts without use, and values that don't fit.

use std::borrow::{Borrow, Cow};
use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;
use std::sync::LazyLock;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::lang::Lang;
use crate::messages::{Messages, fill};

/// The texts in every language.
pub const FILES: &[(Lang, &str)] = &[
    (Lang::En, include_str!("../sayings/en.txt")),
    (Lang::De, include_str!("../sayings/de.txt")),
];

static TEXTS: LazyLock<Messages> =
    LazyLock::new(|| Messages::read(FILES).expect("a test reads these very files"));

/// The key of text that is not ours to translate.
const QUOTED: &str = "quoted";
/// A value longer than this is cut: it is a path or what a program printed, and it is stored.
const VALUE_MAX: usize = 2000;
/// What is longer as JSON is not worth keeping in a row.
const STORED_MAX: usize = 16 * 1024;

/// Something to tell a person. Prints as English.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Saying {
    key: Cow<'static, str>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    values: BTreeMap<Cow<'static, str>, Value>,
}

/// What goes into a text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Value {
    /// Grouped as the language has it. Numbers that only name something (a user id) are text.
    Number(i64),
    Text(String),
    Saying(Saying),
}

/// `say!("spawn.busy", key = key)`: a [`Saying`].
#[macro_export]
macro_rules! say {
    ($key:literal $(, $name:ident = $value:expr)* $(,)?) => {
        $crate::saying::Saying::new($key)$(.with(stringify!($name), $value))*
    };
}

impl Saying {
    /// Use [`say!`](crate::say), which the test of the texts can read.
    #[doc(hidden)]
    pub fn new(key: &'static str) -> Self {
        Self {
            key: Cow::Borrowed(key),
            values: BTreeMap::new(),
        }
    }

    #[doc(hidden)]
    #[must_use]
    pub fn with(mut self, name: &'static str, value: impl Into<Value>) -> Self {
        self.values.insert(Cow::Borrowed(name), value.into());
        self
    }

    /// Text that stays as it is in every language: what another program said, or what only
    /// programs get to read.
    pub fn quote(text: impl Into<String>) -> Self {
        Self::new(QUOTED).with("text", text.into())
    }

    /// Which text it is.
    pub fn key(&self) -> &str {
        &self.key
    }

    /// The text that was quoted, if that is all there is.
    pub fn quoted(&self) -> Option<&str> {
        match self.values.get("text") {
            Some(Value::Text(text)) if self.key == QUOTED => Some(text),
            _ => None,
        }
    }

    /// In the words of a language. A key that this program doesn't know (a newer one wrote it)
    /// shows itself with its values.
    pub fn in_lang(&self, lang: impl Borrow<Lang>) -> String {
        let lang = lang.borrow();
        let mut n = None;
        let values: Vec<(String, String)> = self
            .values
            .iter()
            .map(|(name, value)| {
                if let (Value::Number(number), "n") = (value, name.as_ref()) {
                    n = Some(*number);
                }
                (name.clone().into_owned(), value.in_lang(lang))
            })
            .collect();
        match TEXTS.find_for(lang, &self.key, n) {
            Some(text) => fill(text, &values),
            None => {
                let values: Vec<_> = values.into_iter().map(|(_, value)| value).collect();
                format!("{} ({})", self.key, values.join(", "))
            }
        }
    }

    /// To stand by itself in a paragraph: with a capital at its beginning, unless that is a value,
    /// and a full stop where the text has none.
    pub fn sentence(&self, lang: impl Borrow<Lang>) -> String {
        let lang = lang.borrow();
        let mut text = self.in_lang(lang);
        let words = TEXTS.find_for(lang, &self.key, None);
        if words.is_some_and(|words| words.starts_with(char::is_lowercase)) {
            let first: String = text.chars().take(1).flat_map(char::to_uppercase).collect();
            let rest = text.chars().skip(1);
            text = first.chars().chain(rest).collect();
        }
        // Behind a colon something else follows.
        if !text.ends_with(['.', '!', '?', '…', ':']) {
            text.push('.');
        }
        text
    }

    /// For a column beside the one with the English text; none when it is too long for a row.
    pub fn to_stored(&self) -> Option<String> {
        let text = serde_json::to_string(self).ok()?;
        (self.quoted().is_none() && text.len() <= STORED_MAX).then_some(text)
    }

    /// Back from a row: `text` is the English column, `stored` the one beside it. When they don't
    /// say the same, another version of this program wrote the text, which then counts alone.
    pub fn from_stored(text: &str, stored: Option<&str>) -> Self {
        stored
            .and_then(|stored| serde_json::from_str::<Self>(stored).ok())
            // The text may have been cut to what its column is meant to hold.
            .filter(|saying| saying.to_string().starts_with(text))
            .unwrap_or_else(|| Self::quote(text))
    }
}

impl fmt::Display for Saying {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.in_lang(Lang::En))
    }
}

impl Value {
    pub fn in_lang(&self, lang: &Lang) -> String {
        match self {
            Self::Number(number) => lang.number(*number),
            Self::Text(text) => text.clone(),
            Self::Saying(saying) => saying.in_lang(lang),
        }
    }
}

impl From<Saying> for Value {
    fn from(saying: Saying) -> Self {
        Self::Saying(saying)
    }
}

impl From<String> for Value {
    /// Without what would break a line of a log or a page.
    fn from(mut text: String) -> Self {
        if let Some((end, _)) = text.char_indices().nth(VALUE_MAX) {
            text.truncate(end);
            text.push('…');
        }
        if text.chars().any(char::is_control) {
            text = text.chars().fold(String::new(), |mut clean, c| {
                match c {
                    c if c.is_whitespace() => clean.push(' '),
                    c if c.is_control() => clean.extend(c.escape_default()),
                    c => clean.push(c),
                }
                clean
            });
        }
        Self::Text(text)
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        text.to_owned().into()
    }
}

impl From<&String> for Value {
    fn from(text: &String) -> Self {
        text.clone().into()
    }
}

impl From<&Path> for Value {
    fn from(path: &Path) -> Self {
        path.display().to_string().into()
    }
}

impl From<i64> for Value {
    fn from(number: i64) -> Self {
        Self::Number(number)
    }
}

impl From<i32> for Value {
    fn from(number: i32) -> Self {
        Self::Number(number.into())
    }
}

impl From<u16> for Value {
    fn from(number: u16) -> Self {
        Self::Number(number.into())
    }
}

impl From<u64> for Value {
    fn from(number: u64) -> Self {
        Self::Number(i64::try_from(number).unwrap_or(i64::MAX))
    }
}

impl From<usize> for Value {
    fn from(number: usize) -> Self {
        Self::Number(i64::try_from(number).unwrap_or(i64::MAX))
    }
}

impl From<Duration> for Value {
    /// In seconds, to the tenth where they are not whole.
    fn from(duration: Duration) -> Self {
        tenths(u64::try_from(duration.as_millis()).unwrap_or(u64::MAX) / 100)
    }
}

/// A size as the notebook shows it: `2 GB`, `1.5 GB`, `300 MB`, in powers of 1024.
pub fn size(bytes: u64) -> Value {
    in_units(bytes, 1 << 10)
}

/// As [`size`], of files, whose limits are written in thousands: `20M` is 20 MB.
pub fn file_size(bytes: u64) -> Value {
    in_units(bytes, 1000)
}

fn in_units(bytes: u64, step: u64) -> Value {
    let units = [(step.pow(3), "GB"), (step.pow(2), "MB"), (step, "kB")];
    let (number, unit) = units
        .iter()
        .find(|(size, _)| bytes >= *size)
        .map_or((bytes.into(), "B"), |(size, unit)| {
            (tenths(bytes.saturating_mul(10) / size), *unit)
        });
    say!("size", number = number, unit = unit).into()
}

fn tenths(tenths: u64) -> Value {
    match tenths % 10 {
        0 => (tenths / 10).into(),
        tenth => say!("decimal", whole = tenths / 10, tenth = tenth).into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_language_says_it() {
        let saying = say!(
            "spawn.run_as",
            account = "ada",
            why = say!("run_as.root_forbidden")
        );
        assert_eq!(
            saying.to_string(),
            "cannot run as the system account \"ada\": servers of people must not run as root"
        );
        assert!(saying.in_lang(Lang::De).contains("Systemkonto „ada“"));
    }

    #[test]
    fn a_sentence_begins_and_ends_as_one() {
        let check = |saying: Saying, lang: Lang, expect: &str| {
            assert_eq!(saying.sentence(lang), expect);
        };
        check(say!("name.empty"), Lang::En, "The name is empty.");
        check(say!("name.empty"), Lang::De, "Der Name ist leer.");
        // What is said next is no sentence of its own.
        let made = say!("letter.sign_up_what", site = "Uni");
        assert!(made.sentence(Lang::En).ends_with("Make it here:"));
        assert!(made.sentence(Lang::De).ends_with("Legen Sie es hier an:"));
        // A value stays as it is written.
        check(Saying::quote("ada fell"), Lang::En, "ada fell.");
    }

    #[test]
    fn an_unknown_key_shows_itself() {
        let stored = r#"{"key":"from.the.future","values":{"a":"x","b":{"key":"too"},"n":2}}"#;
        let saying: Saying = serde_json::from_str(stored).expect("its form is good");
        assert_eq!(saying.in_lang(Lang::De), "from.the.future (x, too (), 2)");
    }

    #[test]
    fn rows_of_any_age_can_be_read() {
        let saying = say!("spawn.disk_full", path = "/srv/homes/ada");
        let text = saying.to_string();
        let stored = saying.to_stored().expect("short");
        let read = |text: &str, stored: Option<&str>| Saying::from_stored(text, stored);
        assert_eq!(read(&text, Some(&stored)), saying);
        assert_eq!(read(&text[..20], Some(&stored)), saying);
        // An older program wrote a text of its own and left the other column as it was.
        let old = "ended by itself";
        for stored in [
            None,
            Some(stored.as_str()),
            Some("{"),
            Some("{}"),
            Some("7"),
        ] {
            assert_eq!(read(old, stored), Saying::quote(old));
            assert_eq!(read(old, stored).in_lang(Lang::De), old);
        }
        assert_eq!(Saying::quote(old).to_stored(), None);
    }

    #[test]
    fn values_are_clean_and_short() {
        let text = Saying::quote("a\nb\0c\u{1b}[1m").to_string();
        assert_eq!(text, "a b\\u{0}c\\u{1b}[1m");
        let long = Saying::quote("ä".repeat(VALUE_MAX + 1)).to_string();
        assert_eq!(long.chars().count(), VALUE_MAX + 1);
        assert!(long.ends_with('…'));
        // What is filled in is not looked at again.
        assert_eq!(Saying::quote("{text}").to_string(), "{text}");
    }

    #[test]
    fn sizes_and_times() {
        let check = |value: Value, en: &str, de: &str| {
            assert_eq!(value.in_lang(&Lang::En), en);
            assert_eq!(value.in_lang(&Lang::De), de);
        };
        check(size(2 << 30), "2 GB", "2 GB");
        check(size(3 << 29), "1.5 GB", "1,5 GB");
        check(size(300 << 20), "300 MB", "300 MB");
        check(size(12), "12 B", "12 B");
        check(file_size(999), "999 B", "999 B");
        check(file_size(20_000_000), "20 MB", "20 MB");
        // Never more than it is.
        check(file_size(1_999_999), "1.9 MB", "1,9 MB");
        check(Duration::from_millis(1500).into(), "1.5", "1,5");
        check(Duration::from_secs(3000).into(), "3,000", "3.000");
    }
}
