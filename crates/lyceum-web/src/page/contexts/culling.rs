//! When a server ends by itself, which the home page tells; and what keeps a start back.

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

/// Of a start that waits.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Hold {
    /// `full`: as many servers of its kind run as may. `trouble`: starts of its environment fail.
    pub why: &'static str,
    /// Seconds until the next try after trouble.
    pub again: i64,
}
