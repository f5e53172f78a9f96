//! The languages that people are spoken to in.

use std::sync::Arc;

use crate::language::Language;
use crate::plural;

/// A language that pages exist in.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Lang {
    #[default]
    En,
    De,
    /// One that a site adds, with its texts.
    Added(Arc<Language>),
}

impl Lang {
    pub const BUILT_IN: [Self; 2] = [Self::En, Self::De];

    /// The tag for `lang=` and `Content-Language`.
    pub fn as_str(&self) -> &str {
        match self {
            Self::En => "en",
            Self::De => "de",
            Self::Added(language) => language.tag(),
        }
    }

    /// As those who speak it call it.
    pub fn name(&self) -> &str {
        match self {
            Self::En => "English",
            Self::De => "Deutsch",
            Self::Added(language) => language.name(),
        }
    }

    /// For `dir=`.
    pub fn direction(&self) -> &'static str {
        match self {
            Self::Added(language) if language.is_right_to_left() => "rtl",
            _ => "ltr",
        }
    }

    /// `50,000` or `50.000`.
    pub fn number(&self, number: i64) -> String {
        let separator = match self {
            Self::En => ",",
            Self::De => ".",
            Self::Added(language) => language.thousands(),
        };
        let digits = number.unsigned_abs().to_string();
        let mut text = String::new();
        for (at, digit) in digits.chars().enumerate() {
            if at > 0 && (digits.len() - at).is_multiple_of(3) {
                text.push_str(separator);
            }
            text.push(digit);
        }
        if number < 0 {
            text.insert(0, '-');
        }
        text
    }

    /// The form of a text that fits a number: `one`, `other`, and what else the language has.
    pub fn form(&self, n: i64) -> &'static str {
        plural::form(self.as_str(), n)
    }

    /// What the site's file has for a key.
    pub(crate) fn added_text(&self, key: &str) -> Option<&str> {
        match self {
            Self::Added(language) => language.text(key),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_grouped() {
        let file = "language.thousands = space";
        let french = Language::read("fr", file, &Default::default()).language;
        let french = Lang::Added(Arc::new(french));
        let check = |number: i64, en: &str, de: &str, fr: &str| {
            assert_eq!(Lang::En.number(number), en);
            assert_eq!(Lang::De.number(number), de);
            assert_eq!(french.number(number), fr.replace(' ', "\u{202f}"));
        };
        check(0, "0", "0", "0");
        check(999, "999", "999", "999");
        check(50_000, "50,000", "50.000", "50 000");
        check(-1_234_567, "-1,234,567", "-1.234.567", "-1 234 567");
    }
}
