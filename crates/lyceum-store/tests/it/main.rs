//! The stories of the store, each on both engines.
#![expect(
    clippy::unwrap_used,
    reason = "these are tests, also where helpers stand outside of test functions"
)]

mod backup;
mod blobs;
mod db;
mod events;
mod follower;
mod jobs;
mod replicas;
mod runner;
#[cfg(feature = "s3")]
mod s3;
mod settings;
mod silence;
mod stamp;
