//! What is to be done in courses.

use serde::Serialize;

/// Something to hand in.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct TaskRow {
    /// The course's title.
    pub course: String,
    pub name: String,
    pub due: Option<i64>,
    /// Set when it is past `due`, and still counts as in time until then.
    pub grace: Option<i64>,
    pub late: bool,
    /// It is taken until then; none: without end.
    pub taken_until: Option<i64>,
    pub handed_in: Option<i64>,
    /// Its page.
    pub url: Option<String>,
}

/// What came back for something that was handed in.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct FeedbackRow {
    pub name: String,
    pub at: i64,
}

/// What waits in a course for those who teach it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct WaitingRow {
    pub course: String,
    pub title: String,
    /// The page of the course, or its place on this one.
    pub url: String,
    pub arrivals: Vec<ArrivalRow>,
    /// How many more there are.
    pub more: u64,
    /// The first mistake in the course's file.
    pub mistake: Option<MistakeRow>,
    pub more_mistakes: u64,
    /// All of them are in something of which the rest counts.
    pub rest_holds: bool,
}

/// What people handed in for an assignment.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct ArrivalRow {
    pub name: String,
    pub due: Option<i64>,
    pub past: bool,
    /// How many people handed it in.
    pub given: u64,
    /// Of how many; none: not known.
    pub students: Option<u64>,
    /// How many wait for feedback.
    pub waiting: u64,
    pub newest: Option<i64>,
    /// Its page.
    pub url: Option<String>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct MistakeRow {
    pub line: Option<u64>,
    /// In English.
    pub words: String,
}
