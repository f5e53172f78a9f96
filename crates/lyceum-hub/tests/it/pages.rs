//! What people see.

mod admin;
mod german;
mod home;
mod languages;
mod lists;
mod login;
mod mail;
mod password;
mod rendering;
pub(crate) mod second_factor;
mod sessions;
mod sign_up;
mod start;
mod themes;
mod tokens;
mod user_paths;
