//! An account of one's own. The form posts `name`, `new` and `again` to `sign-up`, and `invitation` or `mail` by
//! which somebody comes; whoever asks for approval `note` besides. For a link by mail it posts `address` alone.

use serde::Serialize;

use super::Page;
use super::password::PasswordProblem;

/// `sign_up.html`.
#[derive(Debug, Clone, Default, Serialize)]
pub struct SignUpPage {
    pub page: Page,
    pub state: SignUpState,
    pub kind: SignUpKind,
    pub invitation: String,
    /// The secret of a link that was sent.
    pub mail: String,
    /// To which it was sent, or what was typed.
    pub address: String,
    /// Where an address has to be.
    pub domains: Vec<String>,
    /// What she said of herself.
    pub note: String,
    /// What was typed, or the name that the account has now.
    pub name: String,
    /// Fewest characters of a password.
    pub shortest: u64,
    /// What is wrong with the name, or else but the passwords, in a sentence.
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
    /// An administrator decides.
    Waits,
    /// A letter is under way, if one is due.
    Sent,
    /// The invitation was used, is too old, or was taken back.
    Gone,
}

/// By what somebody comes to an account.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum SignUpKind {
    #[default]
    Invitation,
    /// A link that was sent to her address.
    Mail,
    /// An administrator's yes.
    Approval,
    /// Nothing but coming.
    Open,
    /// An address to which a link is sent.
    Address,
}
