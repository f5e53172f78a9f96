//! The stories of the store, each on both engines.

mod db;
mod events;
mod jobs;
mod runner;
