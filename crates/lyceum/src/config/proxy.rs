//! The `proxy` section: its keys with their manual, and what they become for the proxy.
//!
//! The limits have the names and the meaning of `lyceum proxy --limit NAME=VALUE`, so that
//! docs/admin/proxy.md describes both; a test holds names and defaults together.

use std::net::IpAddr;
use std::time::Duration;

use lyceum_proxy::{AccessLog, Limits, Upstream};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::raw::RawConfig;
use super::secret_ref::SecretRef;
use lyceum_written::units::{Bytes, Span};

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RawProxy {
    /// `file:PATH` or `env:NAME`, holding the secret that hubs and proxies share. Left out: made from the
    /// master key and written to `keys/proxy` in the data folder, for proxies on the same machine.
    /// Takes effect at the next start.
    pub secret: Option<SecretRef>,
    /// Which requests the proxy of `lyceum up` tells in the log: `off`, `full`, or `1/100` for one in a
    /// hundred. Takes effect at once.
    pub access_log: String,
    /// `true`: load balancers may speak HTTP/2 without TLS. Takes effect at the next start.
    pub plain_http2: bool,
    /// Addresses of this machine that the proxy's connections to servers come from, in turn. Left out:
    /// the system chooses. Takes effect at the next start.
    pub bind_addresses: Vec<String>,
    /// The bounds of the proxy of `lyceum up`; `lyceum proxy` takes the same as `--limit NAME=VALUE`.
    /// They take effect at the next start.
    pub limits: RawLimits,
}

impl Default for RawProxy {
    fn default() -> Self {
        Self {
            secret: None,
            access_log: AccessLog::Off.to_string(),
            plain_http2: false,
            bind_addresses: Vec::new(),
            limits: RawLimits::default(),
        }
    }
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RawLimits {
    /// Connections of clients at once; further ones wait. Left out: as many as open files allow.
    pub connections: Option<u32>,
    /// How many of them may come from one address; `trusted_proxies` are exempt. Left out: a quarter of
    /// `connections`, at most 4096.
    pub connections_per_client: Option<u32>,
    /// Connections to one server at once, WebSockets among them; further requests wait.
    pub connections_per_server: u32,
    /// A request's first line and headers; more is answered 431.
    pub header_bytes: Bytes,
    /// Headers of a request, at most 128; more are answered 431.
    pub header_count: u32,
    /// A request's body to the hub, which has rules of its own; more is answered 413. Left out: any.
    pub body_bytes_hub: Option<Bytes>,
    /// A request's body to people's servers, uploads among them; more is answered 413. Left out: any.
    pub body_bytes_servers: Option<Bytes>,
    /// A request's body to routes that are open to all; more is answered 413. Left out: any.
    pub body_bytes_open: Option<Bytes>,
    /// How long a client may take to send its headers. A kept connection may idle as long.
    pub header_read: Span,
    /// How long a server may take to accept a connection.
    pub connect: Span,
    /// How long a server may take to begin its answer.
    pub first_byte: Span,
    /// How long a body may stand still, in either direction.
    pub idle: Span,
    /// So much a second a client must send of a body, or take of an answer, on average while it alone
    /// is waited for. `0B`: any speed will do.
    pub least_speed: Bytes,
    /// How long a client may be slower than that.
    pub slow_grace: Span,
    /// How long a WebSocket may be silent. Left out: for ever.
    pub websocket_idle: Option<Span>,
    /// How long a WebSocket may go on silently once one side has ended.
    pub half_closed: Span,
    /// How long a decision about access may take.
    pub access: Span,
    /// How long a refusal is remembered.
    pub refusal: Span,
    /// Decisions about access that are remembered.
    pub decisions: u32,
    /// Idle connections kept to one server.
    pub pooled_per_target: u32,
    /// How long they are kept.
    pub pooled: Span,
    /// How long to go on taking connections after a stop was asked for, while `/_lyceum/ready` already
    /// answers 503: as long as a load balancer takes to notice.
    pub unready: Span,
    /// How long open requests may go on after a stop was asked for and `unready` is over.
    pub drain: Span,
}

/// How long requests and sockets may go on after Ctrl-C, unless something else is said.
const DRAIN: Duration = Duration::from_secs(3);

impl Default for RawLimits {
    fn default() -> Self {
        let limits = Limits {
            drain: DRAIN,
            ..Limits::default()
        };
        let bytes = |most: u64| (most > 0).then_some(Bytes(most));
        let own = |count: usize| (count > 0).then(|| number(count));
        Self {
            connections: own(limits.connections),
            connections_per_client: own(limits.connections_per_client),
            connections_per_server: number(limits.connections_per_server),
            header_bytes: Bytes(limits.header_bytes as u64),
            header_count: number(limits.header_count),
            body_bytes_hub: bytes(limits.body_bytes_hub),
            body_bytes_servers: bytes(limits.body_bytes_servers),
            body_bytes_open: bytes(limits.body_bytes_open),
            header_read: Span(limits.header_read),
            connect: Span(limits.connect),
            first_byte: Span(limits.first_byte),
            idle: Span(limits.idle),
            least_speed: Bytes(limits.least_speed),
            slow_grace: Span(limits.slow_grace),
            websocket_idle: limits.websocket_idle.map(Span),
            half_closed: Span(limits.half_closed),
            access: Span(limits.access),
            refusal: Span(limits.refusal),
            decisions: number(limits.decisions),
            pooled_per_target: number(limits.pooled_per_target),
            pooled: Span(limits.pooled),
            unready: Span(limits.unready),
            drain: Span(limits.drain),
        }
    }
}

fn number(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}

fn count(number: u32) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

impl RawLimits {
    /// Each key is named, so that a limit without one does not compile.
    fn meant(&self) -> Limits {
        let bytes = |most: Option<Bytes>| most.map_or(0, |most| most.0);
        Limits {
            connections: self.connections.map_or(0, count),
            connections_per_client: self.connections_per_client.map_or(0, count),
            connections_per_server: count(self.connections_per_server),
            header_bytes: usize::try_from(self.header_bytes.0).unwrap_or(usize::MAX),
            header_count: count(self.header_count),
            body_bytes_hub: bytes(self.body_bytes_hub),
            body_bytes_servers: bytes(self.body_bytes_servers),
            body_bytes_open: bytes(self.body_bytes_open),
            header_read: self.header_read.0,
            connect: self.connect.0,
            first_byte: self.first_byte.0,
            idle: self.idle.0,
            least_speed: self.least_speed.0,
            slow_grace: self.slow_grace.0,
            websocket_idle: self.websocket_idle.map(|span| span.0),
            half_closed: self.half_closed.0,
            access: self.access.0,
            refusal: self.refusal.0,
            decisions: count(self.decisions),
            pooled_per_target: count(self.pooled_per_target),
            pooled: self.pooled.0,
            unready: self.unready.0,
            drain: self.drain.0,
        }
    }
}

/// The proxy in this process.
#[derive(Debug, Clone, PartialEq)]
pub struct ProxySettings {
    pub access_log: AccessLog,
    pub plain_http2: bool,
    pub bind_addresses: Vec<IpAddr>,
    pub limits: Limits,
}

impl ProxySettings {
    pub fn upstream(&self) -> Upstream {
        Upstream {
            bind_addresses: self.bind_addresses.clone(),
            ..Upstream::default()
        }
    }
}

pub(super) fn check_proxy(raw: &RawConfig, problem: &mut dyn FnMut(&str, String)) -> ProxySettings {
    let access_log = raw.proxy.access_log.parse().unwrap_or_else(|message| {
        problem("proxy.access_log", message);
        AccessLog::Off
    });
    let mut bind_addresses = Vec::new();
    for (index, text) in raw.proxy.bind_addresses.iter().enumerate() {
        match text.parse() {
            Ok(address) => bind_addresses.push(address),
            Err(_) => {
                let message =
                    format!("\"{text}\" is no address; write it like 10.0.0.5 or fd00::5");
                problem(&format!("proxy.bind_addresses[{index}]"), message);
            }
        }
    }
    let limits = &raw.proxy.limits;
    for (name, number) in [
        ("connections", limits.connections),
        ("connections_per_client", limits.connections_per_client),
        (
            "connections_per_server",
            Some(limits.connections_per_server),
        ),
        ("decisions", Some(limits.decisions)),
    ] {
        if number == Some(0) {
            let path = format!("proxy.limits.{name}");
            let message = "a number from 1 on is expected, found 0: nobody would get in";
            problem(&path, message.into());
        }
    }
    if !(16..=128).contains(&limits.header_count) {
        let message = format!(
            "a number from 16 to 128 is expected, found {}; browsers send about 20 headers",
            limits.header_count
        );
        problem("proxy.limits.header_count", message);
    }
    if !(4 << 10..=1 << 20).contains(&limits.header_bytes.0) {
        let message = format!(
            "a size from `4Ki` to `1Mi` is expected, found `{}`; cookies alone may take `4Ki`",
            limits.header_bytes
        );
        problem("proxy.limits.header_bytes", message);
    }
    for (name, most) in [
        ("body_bytes_hub", limits.body_bytes_hub),
        ("body_bytes_servers", limits.body_bytes_servers),
        ("body_bytes_open", limits.body_bytes_open),
    ] {
        if most.is_some_and(|most| most.0 == 0) {
            let path = format!("proxy.limits.{name}");
            let message = "found `0`: nothing could be sent; left out, bodies may have any size";
            problem(&path, message.into());
        }
    }
    for (name, span) in [
        ("header_read", Some(limits.header_read)),
        ("connect", Some(limits.connect)),
        ("first_byte", Some(limits.first_byte)),
        ("idle", Some(limits.idle)),
        ("websocket_idle", limits.websocket_idle),
        ("half_closed", Some(limits.half_closed)),
        ("access", Some(limits.access)),
    ] {
        if let Some(span) = span.filter(|span| span.0 < Duration::from_millis(100)) {
            let path = format!("proxy.limits.{name}");
            let message = format!("a time from `100ms` on is expected, found `{span}`");
            problem(&path, message);
        }
    }
    for (name, span) in [("unready", limits.unready), ("drain", limits.drain)] {
        if span.0 > Duration::from_secs(3600) {
            let message = format!("a time up to `1h` is expected, found `{span}`");
            problem(&format!("proxy.limits.{name}"), message);
        }
    }
    ProxySettings {
        access_log,
        plain_http2: raw.proxy.plain_http2,
        bind_addresses,
        limits: limits.meant(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_keys_are_the_names_of_the_command_line_with_its_defaults() {
        let names = |value: serde_json::Value| -> Vec<String> {
            let mut names: Vec<_> = value.as_object().expect("a map").keys().cloned().collect();
            names.sort();
            names
        };
        let keys = serde_json::to_value(RawLimits::default()).expect("JSON");
        let limits = serde_json::to_value(Limits::default()).expect("JSON");
        assert_eq!(names(keys), names(limits));
        let expect = Limits {
            drain: DRAIN,
            ..Limits::default()
        };
        assert_eq!(RawLimits::default().meant(), expect);
    }
}
