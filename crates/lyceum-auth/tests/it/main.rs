//! The stories of signing in, against a real database.

mod db;
mod local;
mod sign_in;
mod throttle;
