//! The data plane over real sockets: every test has its own proxy and servers on free ports.

#![expect(
    clippy::unwrap_used,
    reason = "a test fails by panicking, in its helpers too"
)]

mod access;
mod acme;
mod defects;
mod drain;
mod forward;
mod limits;
mod listen;
mod pages;
mod proxy_protocol;
mod routes;
mod support;
mod tls;
mod websocket;
