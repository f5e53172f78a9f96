//! The stories of signing in, against a real database.

#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests fail the test; the lint knows only test functions themselves"
)]

mod addresses;
mod db;
mod header;
mod ldap;
mod local;
mod renewal;
mod sign_in;
mod throttle;
