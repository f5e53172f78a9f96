//! Courses as files: one YAML file per course in a folder, its id is the file's name.
//!
//! Title, term, visibility, people, environment, server, nbgrader's settings, rules of assignments and schedule, read
//! strictly, reloaded when a file changes. A file that can't be read keeps its last good version in
//! force and says what is wrong and where.
//!
//! Reading order: [`course`], [`people`] and [`roster`] (who is what, by names, groups and files), [`environment`], [`server`], [`nbgrader`], [`schedule`], [`moments`] and [`assignment`]
//! (what a file may say), [`read`] (text → course and problems), [`shelf`] (the folder, followed); [`edit`] and
//! [`roll_over`] change what somebody wrote.

mod as_text;
pub mod assignment;
pub mod course;
pub mod edit;
pub mod environment;
pub mod lti;
pub mod moments;
pub mod nbgrader;
pub mod people;
pub mod read;
pub mod roll_over;
pub mod roster;
pub mod schedule;
pub mod server;
pub mod shelf;

pub use assignment::{Assignment, Terms, Verdict};
pub use course::{Course, CourseId, Role, Visibility, Who};
pub use environment::Environment;
pub use lyceum_written::{Bytes, Problem, Problems};
pub use read::Site;
pub use server::Server;
pub use shelf::Shelf;
