//! What people see.

mod login;
mod rendering;
mod start;
mod tokens;
mod user_paths;
