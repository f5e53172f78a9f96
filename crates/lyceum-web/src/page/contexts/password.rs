//! A new password. The form posts `old`, `new` and `again` to `password`, or `link`, `new` and `again` to
//! `new-password`.

use serde::Serialize;

use super::Page;

/// `password.html`.
#[derive(Debug, Clone, Default, Serialize)]
pub struct PasswordPage {
    pub page: Page,
    pub state: PasswordState,
    /// Whose.
    pub name: String,
    /// What she came by, instead of the old password.
    pub link: Option<String>,
    /// Fewest characters.
    pub shortest: u64,
    pub problem: Option<PasswordProblem>,
    /// Seconds until the next try is allowed.
    pub wait_seconds: Option<u64>,
    /// Whether there is a page for her address of mail.
    pub has_mail: bool,
    /// Where links go if she has forgotten it.
    pub mail: Option<String>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum PasswordState {
    #[default]
    Asks,
    Done,
    /// The link was used, or is too old.
    Gone,
}

/// What is wrong with what was typed, or else why it did not work.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum PasswordProblem {
    /// The old one.
    Wrong,
    TooShort,
    TooLong,
    Common,
    Differs,
    Expired,
    Wait,
    Busy,
    Unavailable,
}
