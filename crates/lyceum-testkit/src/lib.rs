//! Only for tests: what stories of several crates start before they can be told.
//!
//! Reading order: [`postgres`] (a PostgreSQL server that ends with the test process), [`db`]
//! (a fresh database per test, on either engine).

pub mod db;
pub mod postgres;

pub use db::TestDb;
