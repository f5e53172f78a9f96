//! The exchange over HTTP, behind a whole hub and proxy, on both databases.

mod agenda;
mod assignments;
mod courses;
mod feedback;
mod files;
mod kit;
mod native;
mod pages;
mod people;
mod rules;
mod submissions;
mod verify;
mod visitors;
