//! Browsers that are signed in. Forms post to `sessions/end` (`id`) and `sessions/end-others`.

use serde::Serialize;

use super::Page;

/// `sessions.html`.
#[derive(Debug, Clone, Default, Serialize)]
pub struct SessionsPage {
    pub page: Page,
    pub sessions: Vec<SessionRow>,
    /// How many others there are.
    pub others: u64,
    /// Whether she has a password here that she can change.
    pub password: bool,
    /// The second step behind it, if she came in by one.
    pub second_factor: Option<SecondStep>,
    /// What others did with her servers, the newest first.
    pub deeds: Vec<super::DeedRow>,
    /// What others did with her account, the newest first.
    pub acts: Vec<super::AuditRow>,
    /// When and from where she came in, or was not let in.
    pub sign_ins: Vec<super::AuditRow>,
}

#[derive(Debug, Clone, Default, Serialize)]
pub struct SecondStep {
    pub on: bool,
    /// What she should know of the last days, the newest first.
    pub news: Vec<super::second_factor::SecondFactorEvent>,
}

#[derive(Debug, Clone, Default, Serialize)]
pub struct SessionRow {
    pub id: String,
    pub address: String,
    /// The browser in short words; empty when it told nothing that is known.
    pub agent: String,
    /// In the words of its `User-Agent`.
    pub agent_text: String,
    pub since: i64,
    pub last_seen: i64,
    /// The session of this very request.
    pub this: bool,
}
