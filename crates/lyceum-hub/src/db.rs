//! The hub's SQL: plain functions, transaction first, domain types out. One file per noun.

pub mod audit;
pub mod census;
pub mod cull;
pub mod deeds;
pub mod failures;
pub mod groups;
pub mod identities;
pub mod lti_picks;
pub mod managed;
pub mod oauth;
pub mod person;
pub mod posix;
pub mod queue;
pub mod quotas;
pub mod refreshes;
pub mod rosters;
pub mod search;
pub mod servers;
pub mod services;
pub mod sessions;
pub mod shares;
pub mod sittings;
pub mod tokens;
pub mod trouble;
pub mod users;
pub mod uses;
