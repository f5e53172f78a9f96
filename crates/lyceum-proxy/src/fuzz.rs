//! What strangers send, held against simple models of what it means.
//!
//! One function for each fuzz target in `fuzz/`. Each takes any bytes and panics at a finding; the
//! tests at the end of this file give the same functions a bounded number of cases each time, so
//! that they do not rot. Not a part of the program: it is there under test and under the fuzzer
//! only. How to run them for long is in CONTRIBUTING.md.
//!
//! `naive` and `peer` are the readers that we compare ourselves with: one written as simply as can
//! be, and hyper's.

mod body;
mod framing;
mod heads;
mod http2;
mod naive;
mod peer;
mod proxy_header;
mod request;
mod response;
mod routes;
#[cfg(test)]
mod tests;
mod uri;
mod world;

pub use body::chunked;
pub use framing::framing;
pub use http2::http2;
pub use proxy_header::proxy_protocol;
pub use request::request_head;
pub use response::response_head;
pub use routes::routes;
pub use uri::uri;
