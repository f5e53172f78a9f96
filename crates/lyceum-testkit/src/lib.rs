//! Only for tests: what stories of several crates start before they can be told.
//!
//! Reading order: [`postgres`] (a PostgreSQL server that ends with the test process), [`db`]
//! (a fresh database per test, on either engine), [`slapd`] (a directory that ends likewise), [`smtp`] (a mail server), [`fake`] (small real servers on loopback), [`hub`]
//! (a whole hub with its proxy), [`follower`] (a proxy apart from its hubs), [`relay`] (a way to PostgreSQL that fails),
//! [`client`] (a browser without a screen).

pub mod below;
pub mod client;
pub mod db;
pub mod fake;
pub mod follower;
pub mod hub;
pub mod postgres;
pub mod relay;
pub mod slapd;
pub mod smtp;

pub use client::Client;
pub use db::TestDb;
pub use follower::TestFollower;
pub use hub::TestHub;
pub use relay::Relay;
pub use slapd::Slapd;
pub use smtp::Smtp;
