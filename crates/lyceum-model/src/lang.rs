//! The languages that people are spoken to in.

use serde::{Deserialize, Serialize};

/// A language that pages exist in.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
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

    /// The language of a tag as [`Self::as_str`] writes it.
    pub fn from_tag(tag: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|lang| lang.as_str() == tag)
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

#[cfg(test)]
mod tests {
    use super::*;

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
}
