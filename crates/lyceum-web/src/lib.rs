//! The HTTP kit: what every part's handlers share. It knows no part of the domain.
//!
//! Reading order: [`request`] (who asks from where), [`caller`] (who it is), [`xsrf`] and [`cookie`],
//! [`routes`] (registered with who may), [`openapi`] (what the
//! API's document says of them), [`error`] (what goes wrong), [`page`] (HTML), [`frame`] (pages of parts beside the hub).

pub mod caller;
pub mod cookie;
pub mod error;
pub mod frame;
pub mod openapi;
pub mod page;
pub mod request;
pub mod routes;
pub mod xsrf;

pub use caller::{Caller, Credential, Person, Who};
pub use error::{ApiError, ApiResult, Failure};
