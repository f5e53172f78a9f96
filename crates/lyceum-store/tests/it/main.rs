//! The stories of the store, each on both engines.

mod backup;
mod blobs;
mod db;
mod events;
mod jobs;
mod runner;
#[cfg(feature = "s3")]
mod s3;
mod settings;
