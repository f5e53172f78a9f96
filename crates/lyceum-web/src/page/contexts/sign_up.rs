//! An account of one's own, by an invitation. The form posts `invitation`, `name`, `new` and `again` to
//! `sign-up`.

use serde::Serialize;

use super::Page;
use super::password::PasswordProblem;

/// `sign_up.html`.
#[derive(Debug, Clone, Default, Serialize)]
pub struct SignUpPage {
    pub page: Page,
    pub state: SignUpState,
    pub invitation: String,
    /// What was typed, or the name that the account has now.
    pub name: String,
    /// Fewest characters of a password.
    pub shortest: u64,
    /// What is wrong with the name, in a sentence.
    pub name_problem: Option<String>,
    /// What is wrong with the passwords, or else why it did not work.
    pub problem: Option<PasswordProblem>,
    /// Seconds until the next try is allowed.
    pub wait_seconds: Option<u64>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum SignUpState {
    #[default]
    Asks,
    Done,
    /// The invitation was used, is too old, or was taken back.
    Gone,
}
