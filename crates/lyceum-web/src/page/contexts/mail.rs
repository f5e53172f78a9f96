//! Mail to somebody: a link to a new password, and whose an address is. The forms post `who` to `forgotten`,
//! `address` and `old` to `password/mail`, and `link` to `mail`.

use serde::Serialize;

use super::Page;
use super::password::PasswordProblem;

/// `mail.html`.
#[derive(Debug, Clone, Default, Serialize)]
pub struct MailPage {
    pub page: Page,
    pub state: MailState,
    /// Whose account it is about.
    pub name: String,
    /// The address that is known, or that it is about.
    pub address: Option<String>,
    /// What was typed before.
    pub typed: String,
    /// By which an address is shown to be read.
    pub link: String,
    pub problem: Option<MailProblem>,
    /// Seconds until the next try is allowed.
    pub wait_seconds: Option<u64>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum MailState {
    /// Who has forgotten her password?
    #[default]
    Forgotten,
    /// Whoever there is gets a letter.
    Sent,
    /// One's own address.
    Own,
    /// A letter goes to the new one.
    OwnSent,
    /// Is it hers?
    Prove,
    Proved,
    /// The link was used, or is too old.
    Gone,
}

/// What is wrong with what was typed, or else why it did not work.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum MailProblem {
    /// It is no address.
    Address,
    /// The password.
    Wrong,
    Expired,
    Wait,
    Busy,
    Unavailable,
}

impl From<PasswordProblem> for MailProblem {
    fn from(problem: PasswordProblem) -> Self {
        match problem {
            PasswordProblem::Expired => Self::Expired,
            PasswordProblem::Wait => Self::Wait,
            PasswordProblem::Busy => Self::Busy,
            PasswordProblem::Unavailable => Self::Unavailable,
            _ => Self::Wrong,
        }
    }
}
