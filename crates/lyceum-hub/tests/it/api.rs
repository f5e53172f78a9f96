//! What programs see.

mod activity;
mod oauth;
mod root;
mod servers;
mod tokens;
mod users;

pub(crate) use oauth::token as oauth_token;
