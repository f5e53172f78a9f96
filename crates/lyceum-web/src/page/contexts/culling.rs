//! When a server ends by itself; the home page tells of it.

use serde::Serialize;

/// Of one that runs.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct ServerEnd {
    pub at: i64,
    /// Seconds until then, by the server's clock.
    pub left: i64,
    /// `idle`: because nobody uses it, and who does puts it off. `age`: in any case.
    pub why: &'static str,
    /// Whether it is time to do something about it.
    pub soon: bool,
}
