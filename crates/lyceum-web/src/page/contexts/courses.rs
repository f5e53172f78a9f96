//! The pages of a course. Their forms:
//!
//! | path | fields | from |
//! |---|---|---|
//! | [`HandIn::action`] | `files`, each a file | assignment |

use serde::Serialize;

use super::Page;
use super::admin::Listing;

/// The course that a page is of.
#[derive(Debug, Clone, Default, Serialize)]
pub struct CourseHead {
    pub id: String,
    pub title: String,
    pub term: Option<String>,
    /// What the reader is in it.
    pub role: Option<&'static str>,
    /// It can only be read.
    pub archived: bool,
    pub url: String,
    /// Who is in it, for those who may see that.
    pub people_url: Option<String>,
}

/// `course.html`.
#[derive(Debug, Clone, Default, Serialize)]
pub struct CoursePage {
    pub page: Page,
    pub course: CourseHead,
    /// Whether the reader starts something for it.
    pub starts: bool,
    /// The course's own server, for those who open it.
    pub server_url: Option<String>,
    /// What is released, for those who take it.
    pub own: Vec<OwnAssignment>,
    /// Every assignment, for those who grade.
    pub taught: Option<Vec<TaughtAssignment>>,
    /// How many take it, where that is known.
    pub students: Option<u64>,
    /// What is started for it, for those who grade.
    pub started: Vec<Started>,
}

/// An assignment, with the rules that count for the reader.
#[derive(Debug, Clone, Default, Serialize)]
pub struct AssignmentHead {
    pub name: String,
    pub url: String,
    /// `planned`, `early`, `open`, `late`, `closed` or `withdrawn`.
    pub state: &'static str,
    pub opens: Option<i64>,
    pub due: Option<i64>,
    /// She has longer than others.
    pub extended: bool,
    /// Where that is after it was due: until when it is not late.
    pub grace: Option<i64>,
    /// It is taken when it is late.
    pub takes_late: bool,
    /// Until when it is taken at all; none: always.
    pub ends: Option<i64>,
    pub costs: Option<Costs>,
    /// The newest that was handed out.
    pub version: Option<i64>,
    pub released: Option<i64>,
    pub limits: Limits,
}

/// What being late costs.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Costs {
    pub percent: String,
    /// `hour`, `day` or `week`; none: once.
    pub per: Option<&'static str>,
}

/// How much is taken.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Limits {
    /// Of all files together, in bytes.
    pub size: i64,
    pub files: Option<u32>,
    /// How names of files end, with their dots: `.ipynb, .csv`.
    pub kinds: Option<String>,
    /// How often.
    pub submissions: Option<i64>,
}

/// What somebody has done about an assignment.
#[derive(Debug, Clone, Default, Serialize)]
pub struct OwnAssignment {
    pub assignment: AssignmentHead,
    pub newest: Option<SubmissionRow>,
    pub times: i64,
    /// How often she may hand it in still, where the rules say it.
    pub left: Option<i64>,
    /// When something came back last, for whichever version of hers.
    pub returned: Option<i64>,
    /// Whether it is taken of her now.
    pub takes: bool,
}

/// What has come in for an assignment.
#[derive(Debug, Clone, Default, Serialize)]
pub struct TaughtAssignment {
    pub assignment: AssignmentHead,
    /// Whether it was counted: not for those that were released long ago.
    pub counted: bool,
    pub given: u64,
    pub late: u64,
    pub waiting: u64,
    pub newest: Option<i64>,
}

/// One that was handed in.
#[derive(Debug, Clone, Default, Serialize)]
pub struct SubmissionRow {
    pub url: String,
    /// Of the receipt, counted in the course.
    pub number: i64,
    /// Of the assignment.
    pub version: i64,
    pub student: String,
    pub at: i64,
    /// Seconds; none: there was no time until which it had to be there.
    pub late: Option<i64>,
    pub files: i64,
    pub bytes: i64,
    pub feedback: Option<i64>,
    pub zip_url: String,
}

/// `assignment.html`.
#[derive(Debug, Clone, Default, Serialize)]
pub struct AssignmentPage {
    pub page: Page,
    pub course: CourseHead,
    pub assignment: AssignmentHead,
    /// What was handed out, as a zip.
    pub files_url: Option<String>,
    /// Nothing where nothing is taken of the reader.
    pub hand_in: Option<HandIn>,
    /// She has no try left.
    pub spent: bool,
    /// What went wrong with what she sent.
    pub problem: Option<String>,
    /// Hers, the newest first.
    pub own: Vec<SubmissionRow>,
    /// The rest of them.
    pub older: Option<String>,
    /// For those who grade.
    pub taught: Option<Taught>,
}

/// The form by which files are handed in.
#[derive(Debug, Clone, Default, Serialize)]
pub struct HandIn {
    pub action: String,
    /// How often it may be handed in still, where the rules say it.
    pub left: Option<i64>,
    /// It would count as late now.
    pub late: bool,
}

/// Everybody's work for an assignment.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Taught {
    /// Of those who take the course.
    pub sum: TaughtAssignment,
    pub students: Option<u64>,
    /// How many handed in who are not in the course, or not any more.
    pub gone: u64,
    pub list: Listing<WorkRow>,
    /// Everybody's newest as a zip.
    pub all_url: Option<String>,
    pub versions: Vec<VersionRow>,
}

/// Somebody's work for an assignment.
#[derive(Debug, Clone, Default, Serialize)]
pub struct WorkRow {
    pub name: String,
    /// What she is called in the course.
    pub called: Option<String>,
    /// Where she is no student: `observer`, `grader`, `teacher`, or `gone`.
    pub other: Option<&'static str>,
    /// All that she has handed in.
    pub url: Option<String>,
    pub newest: Option<SubmissionRow>,
    pub times: i64,
}

/// A version of an assignment.
#[derive(Debug, Clone, Default, Serialize)]
pub struct VersionRow {
    pub version: i64,
    pub at: i64,
    pub by: String,
    pub files: i64,
    pub bytes: i64,
    pub url: String,
}

/// `work.html`: all that one person has handed in for an assignment.
#[derive(Debug, Clone, Default, Serialize)]
pub struct WorkPage {
    pub page: Page,
    pub course: CourseHead,
    pub assignment: AssignmentHead,
    pub name: String,
    pub rows: Vec<SubmissionRow>,
    pub older: Option<String>,
}

/// `submission.html`.
#[derive(Debug, Clone, Default, Serialize)]
pub struct SubmissionPage {
    pub page: Page,
    pub course: CourseHead,
    pub assignment: String,
    pub assignment_url: String,
    pub submission: SubmissionRow,
    /// Where all that this person handed in for it is, for those who grade.
    pub work_url: Option<String>,
    /// The reader's own.
    pub own: bool,
    /// She has handed it in just now.
    pub done: bool,
    /// The paths of files that were put, just now, where the assignment has one of that name.
    pub placed: Vec<String>,
    pub files_rows: Vec<FileRow>,
    /// How many more there are.
    pub files_more: usize,
    pub feedback: Option<FeedbackFiles>,
    pub receipt: ReceiptText,
}

#[derive(Debug, Clone, Default, Serialize)]
pub struct FileRow {
    pub path: String,
    pub bytes: i64,
    pub url: String,
    /// Where it is shown, if it is a page.
    pub look_url: Option<String>,
}

#[derive(Debug, Clone, Default, Serialize)]
pub struct FeedbackFiles {
    pub at: i64,
    pub files: Vec<FileRow>,
    /// How many more there are.
    pub more: usize,
    pub zip_url: String,
}

#[derive(Debug, Clone, Default, Serialize)]
pub struct ReceiptText {
    pub due: Option<i64>,
    /// By which all files together are named.
    pub digest: String,
    /// As it was signed.
    pub text: String,
    pub url: String,
}

/// `course_people.html`.
#[derive(Debug, Clone, Default, Serialize)]
pub struct CoursePeoplePage {
    pub page: Page,
    pub course: CourseHead,
    /// Nothing: they are too many to be listed.
    pub list: Option<Listing<CoursePerson>>,
}

#[derive(Debug, Clone, Default, Serialize)]
pub struct CoursePerson {
    pub name: String,
    pub called: Option<String>,
    pub role: &'static str,
    /// `file`, `group` or `added`.
    pub from: &'static str,
    pub group: Option<String>,
}

/// What is started for a course.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Started {
    /// `student`, `grader`, `teacher`, or `server` for the course's own.
    pub who: &'static str,
    pub values: Vec<StartedValue>,
}

#[derive(Debug, Clone, Default, Serialize)]
pub struct StartedValue {
    /// As `lyceum explain` has it.
    pub what: String,
    pub value: String,
    /// The line of the course's file that says it.
    pub place: Option<String>,
}
