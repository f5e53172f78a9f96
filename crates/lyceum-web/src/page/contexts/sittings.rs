//! Exams to which people come in with codes on paper. Forms post to `login/seat` (`code`, `next`), to
//! `sittings` (`title`, `course`, `begins`, `ends`, `networks`, `invigilators`, `people`) and to
//! `sitting/ID` (`do`, and what it needs).

use serde::Serialize;

use super::Page;
use super::admin::Area;

/// `seat.html`: where a code is typed.
#[derive(Debug, Clone, Default, Serialize)]
pub struct SeatPage {
    pub page: Page,
    #[serde(rename = "next_path")]
    pub next: String,
    pub problem: Option<SeatProblem>,
    /// When it was used, is good from, or was good until.
    pub at: Option<i64>,
    /// Which seat it is for.
    pub seat: Option<String>,
    pub wait_seconds: Option<u64>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum SeatProblem {
    /// Too few or too many letters.
    Length,
    /// One of them is wrong.
    Slip,
    /// There is none such.
    Unknown,
    Used,
    TakenBack,
    Early,
    Over,
    /// Not from this network.
    Elsewhere,
    OtherSeat,
    /// Good a moment ago.
    NotNow,
    /// Whom it is for may not come in.
    NotAdmitted,
    /// No code opens the account of somebody with power over others.
    Power,
    /// Nor of somebody with a second step at the log-in.
    SecondStep,
    /// A numbered account that another way in leads to.
    NotFree,
    Expired,
    Wait,
    Unavailable,
}

/// `sittings.html`: all that the reader looks after.
#[derive(Debug, Clone, Default, Serialize)]
pub struct SittingsPage {
    pub page: Page,
    /// Where administrators go from here.
    pub area: Option<Area>,
    pub sittings: Vec<SittingRow>,
    /// Whether she may make one.
    pub may_make: bool,
    pub form: SittingForm,
    /// What became of the last thing that was done.
    pub done: Option<&'static str>,
}

#[derive(Debug, Clone, Default, Serialize)]
pub struct SittingRow {
    pub id: String,
    pub url: String,
    pub title: String,
    pub course: Option<String>,
    pub begins: i64,
    pub ends: i64,
    /// `coming`, `running` or `over`.
    pub state: &'static str,
    pub came: u64,
    pub places: u64,
}

/// What was typed, and what is wrong with it.
#[derive(Debug, Clone, Default, Serialize)]
pub struct SittingForm {
    pub title: String,
    pub course: String,
    pub begins: String,
    pub ends: String,
    pub networks: String,
    pub invigilators: String,
    pub people: String,
    pub error: Option<String>,
    /// The field that it is about.
    pub wrong: Option<&'static str>,
    /// Of the times that are typed.
    pub zone: String,
}

/// `sitting.html`: who has come.
#[derive(Debug, Clone, Default, Serialize)]
pub struct SittingPage {
    pub page: Page,
    pub sitting: SittingRow,
    pub networks: Vec<String>,
    pub invigilators: Vec<String>,
    pub made_by: String,
    pub rows: Vec<PlaceRow>,
    /// Whether seats are named.
    pub has_seats: bool,
    pub may_remove: bool,
    /// Whether she gives more time, and new codes.
    pub may_change: bool,
    /// As a field takes it.
    pub ends_text: String,
    pub zone: String,
    pub done: Option<&'static str>,
    pub error: Option<String>,
}

#[derive(Debug, Clone, Default, Serialize)]
pub struct PlaceRow {
    pub place: i64,
    pub seat: String,
    pub who: String,
    /// `waiting`, `came` or `back`.
    pub state: &'static str,
    pub at: Option<i64>,
    pub address: String,
    /// How many codes there were before.
    pub before: u64,
}

/// `sheets.html`: codes that were just made, to be printed. They are shown once.
#[derive(Debug, Clone, Default, Serialize)]
pub struct SheetsPage {
    pub page: Page,
    pub sitting: SittingRow,
    /// Where people go.
    pub address: String,
    pub sheets: Vec<Sheet>,
    /// The same as a file.
    pub file: String,
}

#[derive(Debug, Clone, Default, Serialize)]
pub struct Sheet {
    pub seat: String,
    pub who: String,
    pub code: String,
    /// The path of a picture that leads there with the code.
    pub qr: String,
    pub qr_size: u32,
}
