//! What people see.

mod admin;
mod german;
mod home;
mod languages;
mod lists;
mod login;
mod password;
mod rendering;
mod sessions;
mod start;
mod themes;
mod tokens;
mod user_paths;
