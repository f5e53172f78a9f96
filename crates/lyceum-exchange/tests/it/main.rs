//! The exchange over HTTP, behind a whole hub and proxy, on both databases.

mod agenda;
mod assignments;
mod collect;
mod course_account;
mod courses;
mod feedback;
mod files;
mod kit;
mod lookers;
mod native;
mod pages;
mod people;
mod person;
mod quota;
mod removal;
mod rules;
mod submissions;
mod verify;
mod visitors;
