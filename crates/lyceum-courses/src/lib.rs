//! Courses as files: one YAML file per course in a folder, its id is the file's name.
//!
//! First cut: title, term, visibility and people, read strictly, reloaded when a file changes. A
//! file that can't be read keeps its last good version in force and says what is wrong and where.
//!
//! Reading order: [`course`] and [`schedule`] (what a file may say), [`read`] (text → course and problems),
//! [`shelf`] (the folder, followed).

pub mod course;
pub mod read;
pub mod schedule;
pub mod shelf;

pub use course::{Course, CourseId, Role, Visibility, Who};
pub use read::Problem;
pub use shelf::Shelf;
