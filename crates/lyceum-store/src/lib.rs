//! Keeping: the database (SQLite embedded or PostgreSQL, one SQL text for both), blobs, jobs,
//! events between replicas, sealed secrets, backup.
//!
//! A kit: it knows no part of the domain. Each part keeps its SQL in its own `db/` modules.
//!
//! Reading order: [`db`] (open, read, write), [`migrate`].

pub mod db;
pub mod migrate;

pub use db::{Conn, Db, Engine, Tx};
