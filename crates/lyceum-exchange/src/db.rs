//! The exchange's SQL, one file for each noun. A transaction comes first, rows go out as they are.

pub mod agenda;
pub mod assignments;
pub mod audit;
pub mod collect;
pub mod courses;
pub mod feedback;
pub mod pages;
pub mod people;
pub mod person;
pub mod removal;
pub mod submissions;
pub mod trees;
