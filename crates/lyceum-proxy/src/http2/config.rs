//! What an operator may set about HTTP/2.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::config::span;

/// How HTTP/2 is spoken with clients. Servers are always spoken to in HTTP/1.1.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Http2 {
    /// Whether clients may begin to speak HTTP/2 without TLS and without asking. For load
    /// balancers that do; browsers never do.
    pub prior_knowledge: bool,
    /// Requests and WebSockets at once on one connection.
    pub streams: u32,
    /// Bytes of one request's body that may wait here for its server.
    pub stream_window: u32,
    /// Bytes of all bodies of one connection that may wait here for their servers.
    pub connection_window: u32,
    /// Bytes of one answer that may wait here for the client.
    pub send_buffer: usize,
    /// Frames without a use of their own (settings, pings, resets, empty data and the like) that a
    /// client may send in one burst; more is taken for an attack and ends the connection.
    pub control_frames: u32,
    /// How many of them it may send per second in the long run.
    pub control_frames_per_second: u32,
    /// A client that is silent for this long while something is open is asked whether it is still
    /// there, and given up if it is silent for as long again.
    #[serde(with = "span")]
    pub ping: Duration,
}

impl Default for Http2 {
    fn default() -> Self {
        Self {
            prior_knowledge: false,
            streams: 128,
            stream_window: 256 * 1024,
            connection_window: 1024 * 1024,
            send_buffer: 64 * 1024,
            control_frames: 1_000,
            control_frames_per_second: 100,
            ping: Duration::from_secs(60),
        }
    }
}
