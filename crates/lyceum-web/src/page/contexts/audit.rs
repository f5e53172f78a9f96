//! Who did what.

use serde::Serialize;

/// In the administrators' list, on a person's page there, and on her own page of sessions.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct AuditRow {
    pub at: i64,
    /// A person's name, or a service's; none where no caller stands behind it.
    pub who: Option<String>,
    pub who_url: Option<String>,
    pub is_service: bool,
    pub address: Option<String>,
    /// A word of `lyceum_hub::audit::What`.
    pub what: String,
    /// Whose account it is about, as she was called then.
    pub about: Option<String>,
    pub about_url: Option<String>,
    pub detail: Vec<(String, String)>,
    /// How often.
    pub times: u64,
}
