//! What others did with one's servers.

use serde::Serialize;

/// On the home page and on that of sessions.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct DeedRow {
    /// A person's name, or a service's.
    pub who: String,
    pub is_service: bool,
    /// `opened`, `started`, `stopped`, `added`, `changed` or `removed`.
    pub what: String,
    /// The name of the server; empty for the default one.
    pub server: String,
    pub at: i64,
}
