//! What programs see.

mod activity;
mod named;
pub(crate) mod oauth;
mod people;
mod root;
mod routing;
mod servers;
mod tokens;
mod upkeep;
mod users;

pub(crate) use oauth::token as oauth_token;
