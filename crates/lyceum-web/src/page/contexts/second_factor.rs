//! The second step behind a password. The form of the log-in posts `code` to `login/code`; those of one's own
//! page post `do` (`set_up`, `move`, `codes`, `off`), `code`, and for a new app `set_up` and `password`, to
//! `second-factor`.

use serde::Serialize;

use super::Page;

/// `second_factor.html`.
#[derive(Debug, Clone, Default, Serialize)]
pub struct SecondFactorPage {
    pub page: Page,
    pub state: SecondFactorState,
    /// Whose.
    pub name: String,
    /// Where it is asked for, before she is in.
    pub at_log_in: bool,
    /// The configuration wants her to have one.
    pub required: bool,
    /// Of an app that is set up.
    pub key: Option<KeyToShow>,
    /// Whether her password is asked for, too.
    pub asks_password: bool,
    /// Since when she has one.
    pub since: Option<i64>,
    /// Recovery codes that are left.
    pub codes_left: i64,
    /// New recovery codes.
    pub codes: Vec<String>,
    /// Where she goes on to from there.
    pub next: String,
    /// The newest first.
    pub events: Vec<SecondFactorEvent>,
    pub problem: Option<SecondFactorProblem>,
    /// Seconds until the next try is allowed.
    pub wait_seconds: Option<u64>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum SecondFactorState {
    /// Asks for a code at the log-in.
    #[default]
    Code,
    /// Shows a key.
    SetUp,
    /// She has one.
    On,
    /// Shows recovery codes, once.
    Codes,
}

/// A key, for a camera and for fingers.
#[derive(Debug, Clone, Default, Serialize)]
pub struct KeyToShow {
    pub text: String,
    /// An `otpauth:` address, which opens an app on the same phone.
    pub address: String,
    /// The outline of the QR code and its width.
    pub outline: String,
    pub width: u64,
    /// What the form sends back; empty at the log-in, where the browser keeps it.
    pub sealed: String,
}

#[derive(Debug, Clone, Default, Serialize)]
pub struct SecondFactorEvent {
    /// `set_up`, `moved`, `codes`, `recovery`, `wrong`, `switched_off`, `taken_off`.
    pub what: String,
    /// Who it was, if somebody else.
    pub who: Option<String>,
    pub address: Option<String>,
    pub at: i64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum SecondFactorProblem {
    /// The code.
    Wrong,
    Used,
    /// The password.
    Password,
    /// The form was open for too long, or is of another time.
    Expired,
    /// She must have one.
    Required,
    Wait,
    Unavailable,
}
