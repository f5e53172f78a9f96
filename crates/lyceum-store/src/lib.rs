//! Keeping: the database (SQLite embedded or PostgreSQL, one SQL text for both), blobs, jobs,
//! events between replicas, sealed secrets, backup.
//!
//! A kit: it knows no part of the domain. Each part keeps its SQL in its own `db/` modules.
//!
//! Reading order: [`db`] (open, read, write), [`migrate`], [`events`] (the outbox) with [`listen`]
//! (wake-ups between replicas), [`time`] (one clock for all), [`stamp`] (has anything changed?), [`jobs`] (the queue) with [`runner`] (what runs it),
//! [`blobs`] (content by digest), [`secret`] (sealed text) and [`settings`] (small values),
//! [`backup`] (everything in one file, and back).

pub mod backup;
pub mod blobs;
pub mod db;
pub mod events;
pub mod jobs;
mod later;
pub mod listen;
pub mod migrate;
pub mod runner;
pub mod secret;
pub mod settings;
pub mod stamp;
pub mod time;
mod wake;

pub use db::{Conn, Db, Engine, Tx};
pub use later::Later;
/// What every statement can fail with; named here so that others need no driver.
pub use sqlx::Error as DbError;
pub use stamp::Stamp;
pub use wake::Waiting;
