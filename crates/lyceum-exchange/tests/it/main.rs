//! The exchange over HTTP, behind a whole hub and proxy, on both databases.

mod agenda;
mod assignments;
mod course_account;
mod courses;
mod feedback;
mod files;
mod kit;
mod native;
mod people;
mod rules;
mod submissions;
mod verify;
mod visitors;
