//! What people see.

mod german;
mod login;
mod rendering;
mod start;
mod tokens;
mod user_paths;
