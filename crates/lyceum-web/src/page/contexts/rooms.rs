//! Room for courses to which many come, as the overview tells it.

use serde::Serialize;

/// A meeting that is on or to come.
#[derive(Debug, Clone, Default, Serialize)]
pub struct RoomRow {
    pub course: String,
    pub title: String,
    pub people: u64,
    pub opens: i64,
    pub begins: i64,
    pub ends: i64,
    /// Whether places are kept for it.
    pub keeps: bool,
    /// Whether places are kept just now.
    pub open: bool,
    /// What is short, in whole sentences.
    pub short: Vec<String>,
}
