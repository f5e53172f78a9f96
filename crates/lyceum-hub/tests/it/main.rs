//! Stories about the hub, told through its proxy by a browser or a program.
//!
//! `api` and `pages` mirror the folders of `src`; what concerns every route stands beside them.

mod admins;
mod api;
mod attacks;
mod audit;
mod below;
mod contract;
mod course_servers;
mod courses;
mod culling;
mod deadlocks;
mod deeds;
mod elsewhere;
mod errors;
mod event_log;
mod grants;
mod header;
mod identify;
mod kit;
mod ldap;
mod life;
mod lti;
mod maintenance;
mod markup;
mod metrics;
mod openapi;
mod origins;
mod pages;
mod person;
mod profiles;
mod proxies;
mod revocations;
mod routes;
mod secrets;
mod servers;
mod shares;
mod sittings;
mod walk;
