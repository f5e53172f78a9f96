//! Names of courses and assignments, parsed at the edge.
//!
//! Other clients name them freely, so nearly everything goes; but a name becomes a folder in
//! somebody's home, and a line of a receipt.

use std::fmt;

/// Longest name, in bytes: what a file system takes.
const LONGEST: usize = 255;

/// Of a course or an assignment.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Name(String);

impl Name {
    pub fn parse(text: &str) -> Option<Self> {
        let fits = (1..=LONGEST).contains(&text.len())
            && text.trim() == text
            && !matches!(text, "." | "..")
            && !text.chars().any(|c| c.is_control() || c == '/');
        fits.then(|| Self(text.to_owned()))
    }

    /// Of something new. Paths with a backslash in them don't come through the proxy, so nobody could
    /// open its pages.
    pub fn parse_new(text: &str) -> Option<Self> {
        Self::parse(text).filter(|name| !name.0.contains('\\'))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        let check = |text: &str, expect: bool| {
            assert_eq!(Name::parse(text).is_some(), expect, "{text:?}");
        };
        check("course101", true);
        check("Problem set 1 (ä)", true);
        check("a\\b?#%", true);
        check("..a", true);
        assert_eq!(Name::parse_new("a\\b"), None);
        assert!(Name::parse_new("a b").is_some());
        for bad in ["", ".", "..", " a", "a ", "a/b", "a\nb", "a\0b", "\u{85}"] {
            check(bad, false);
        }
        check(&"a".repeat(LONGEST), true);
        check(&"a".repeat(LONGEST + 1), false);
    }
}
