//! The data plane over real sockets: every test has its own proxy and servers on free ports.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test fails by panicking and says what it measured, in its helpers too"
)]

mod access;
mod acme;
mod alone;
mod big;
mod control;
mod control_tls;
mod defects;
mod drain;
mod drop_in;
mod engine;
mod error_pages;
mod follow;
mod forward;
mod http2;
mod limits;
mod listen;
mod pages;
mod proxy_protocol;
mod routes;
mod slowloris;
mod smuggling;
mod soak;
mod support;
mod telling;
mod tls;
mod torture;
mod upstream_tls;
mod websocket;
