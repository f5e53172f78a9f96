//! Names of people and servers, parsed at the edge.
//!
//! A name that passed here is safe in URLs, logs, scopes and cookies. It is *not* a file or pod
//! name: names that reach storage are made once, collision-free, and kept in the row.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::say;
use crate::saying::Saying;
use crate::who::CourseId;

/// Longest user name: an e-mail address fits, a denial of service does not.
pub const USER_NAME_MAX: usize = 128;
/// Longest server name, as JupyterHub 6 has it.
pub const SERVER_NAME_MAX: usize = 30;

/// Begins the name of the account that owns a course's server; no person's name has a colon.
const OF_COURSE: &str = "course:";

/// Longest name of a group or service.
pub const FREE_NAME_MAX: usize = 255;

/// Whether a group or a service can be called so: nearly anything, but it has to fit into a line
/// and to stay a segment of a path.
pub fn is_free_name(text: &str) -> bool {
    (1..=FREE_NAME_MAX).contains(&text.len())
        && text.trim() == text
        && !text.chars().any(char::is_control)
        && !text.bytes().all(|byte| byte == b'.')
}

/// Why a name was refused, in words that can be shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NameError {
    Empty,
    TooLong(usize),
    UserForm,
    ServerForm,
}

impl NameError {
    pub fn saying(&self) -> Saying {
        match self {
            Self::Empty => say!("name.empty"),
            Self::TooLong(most) => say!("name.too_long", most = *most),
            Self::UserForm => say!("name.user_form"),
            Self::ServerForm => say!("name.server_form"),
        }
    }
}

impl std::error::Error for NameError {}

impl fmt::Display for NameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.saying().fmt(f)
    }
}

/// The name of a person, in lower case; or of the account that owns the server of a course, which only
/// [`UserName::of_course`] and what was kept of it make.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct UserName(String);

impl UserName {
    /// Trims, lowers the case and checks. Names with look-alike letters of other alphabets are
    /// refused, not folded: folding has made one person of two before.
    pub fn parse(text: &str) -> Result<Self, NameError> {
        let text = text.trim();
        if text.is_empty() {
            return Err(NameError::Empty);
        }
        if text.len() > USER_NAME_MAX {
            return Err(NameError::TooLong(USER_NAME_MAX));
        }
        let name = text.to_ascii_lowercase();
        let starts_well = name
            .bytes()
            .next()
            .is_some_and(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
        let fits = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"._@+-".contains(&b);
        if !starts_well || !name.bytes().all(fits) {
            return Err(NameError::UserForm);
        }
        Ok(Self(name))
    }

    /// The account that owns the server of a course: `course:bio`. Nobody can be called so.
    pub fn of_course(course: &CourseId) -> Self {
        Self(format!("{OF_COURSE}{course}"))
    }

    /// A name as rows, scopes and our own addresses hold it: a person's, or that of a course's account.
    pub fn parse_kept(text: &str) -> Result<Self, NameError> {
        match text.strip_prefix(OF_COURSE).and_then(CourseId::parse) {
            Some(course) => Ok(Self::of_course(&course)),
            None => Self::parse(text),
        }
    }

    /// The course whose account it is; none of a person.
    pub fn course(&self) -> Option<CourseId> {
        self.0.strip_prefix(OF_COURSE).and_then(CourseId::parse)
    }

    pub fn is_of_course(&self) -> bool {
        self.0.starts_with(OF_COURSE)
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// As a row holds it.
impl TryFrom<String> for UserName {
    type Error = NameError;
    fn try_from(text: String) -> Result<Self, NameError> {
        Self::parse_kept(&text)
    }
}

/// The name of one of a person's servers; the default server has the empty name.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct ServerName(String);

impl ServerName {
    pub fn parse(text: &str) -> Result<Self, NameError> {
        if text.is_empty() {
            return Ok(Self::default());
        }
        if text.len() > SERVER_NAME_MAX {
            return Err(NameError::TooLong(SERVER_NAME_MAX));
        }
        let starts_well = text.bytes().next().is_some_and(|b| b.is_ascii_lowercase());
        let fits = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
        if !starts_well || !text.bytes().all(fits) || text.ends_with('-') || text.contains("--") {
            return Err(NameError::ServerForm);
        }
        Ok(Self(text.into()))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    pub fn is_default(&self) -> bool {
        self.0.is_empty()
    }
}

macro_rules! text_type {
    ($name:ident) => {
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
        impl FromStr for $name {
            type Err = NameError;
            fn from_str(text: &str) -> Result<Self, NameError> {
                Self::parse(text)
            }
        }
        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
                let text = String::deserialize(from)?;
                Self::parse(&text).map_err(serde::de::Error::custom)
            }
        }
    };
}
text_type!(UserName);
text_type!(ServerName);

impl TryFrom<String> for ServerName {
    type Error = NameError;
    fn try_from(text: String) -> Result<Self, NameError> {
        Self::parse(&text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn user_names() {
        let check = |text: &str, expect: Result<&str, NameError>| {
            assert_eq!(
                UserName::parse(text).as_ref().map(UserName::as_str),
                expect.as_ref().copied(),
                "{text:?}"
            );
        };
        check("Ada", Ok("ada"));
        check(" ada.lovelace@example.edu ", Ok("ada.lovelace@example.edu"));
        check("4711", Ok("4711"));
        check("", Err(NameError::Empty));
        check("-ada", Err(NameError::UserForm));
        check("..", Err(NameError::UserForm));
        check("a/b", Err(NameError::UserForm));
        check("ad\u{430}", Err(NameError::UserForm));
        check("a\0b", Err(NameError::UserForm));
        check("a\nb", Err(NameError::UserForm));
        check(&"a".repeat(129), Err(NameError::TooLong(128)));
    }

    #[test]
    fn a_course_has_an_account_that_nobody_can_be() {
        let bio = CourseId::parse("bio-1").expect("an id");
        let account = UserName::of_course(&bio);
        assert_eq!(account.as_str(), "course:bio-1");
        assert_eq!(UserName::parse("course:bio-1"), Err(NameError::UserForm));
        assert!("Course:bio-1".parse::<UserName>().is_err());
        let typed: Result<UserName, _> = serde_json::from_str("\"course:bio-1\"");
        assert!(typed.is_err());
        assert_eq!(UserName::parse_kept("course:bio-1"), Ok(account.clone()));
        assert_eq!(
            UserName::try_from("course:bio-1".to_owned()),
            Ok(account.clone())
        );
        assert_eq!(account.course(), Some(bio));
        let ada = UserName::parse_kept("ada").expect("a name");
        assert_eq!((ada.course(), ada.is_of_course()), (None, false));
        for bad in [
            "course:",
            "course:A",
            "course:a/b",
            "course: bio",
            "course:course:bio",
        ] {
            assert!(UserName::parse_kept(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn server_names() {
        for good in ["", "a", "gpu-1", "a1"] {
            assert!(ServerName::parse(good).is_ok(), "{good:?}");
        }
        for bad in [
            "-",
            "1a",
            "a-",
            "a--b",
            "A",
            "a/b",
            "a.b",
            "\u{1f600}",
            &"a".repeat(31),
        ] {
            assert!(ServerName::parse(bad).is_err(), "{bad:?}");
        }
    }
}
