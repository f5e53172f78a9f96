//! What is counted for Prometheus: requests, connections, WebSockets, refusals, failures, bytes.
//!
//! Labels are few and fixed (no route, user or path), so their number is bounded.

use prometheus_client::{
    encoding::{EncodeLabelSet, EncodeLabelValue},
    metrics::{counter::Counter, family::Family, gauge::Gauge},
    registry::Registry,
};

/// What kind of place a request went to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EncodeLabelValue)]
pub(crate) enum Kind {
    /// A route whose access is checked.
    Checked,
    /// A route open to all.
    Open,
    /// The hub.
    Fallback,
    /// Answered here before a route was known.
    Proxy,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RequestLabels {
    kind: Kind,
    class: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct WhyLabels {
    why: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct BytesLabels {
    kind: Kind,
    direction: &'static str,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Metrics {
    requests: Family<RequestLabels, Counter>,
    pub(crate) connections: Gauge,
    pub(crate) websockets: Gauge,
    denied: Family<WhyLabels, Counter>,
    upstream_errors: Family<WhyLabels, Counter>,
    bytes: Family<BytesLabels, Counter>,
    pub(crate) over_limit: Counter,
}

impl Metrics {
    pub(crate) fn register(&self, registry: &mut Registry) {
        let registry = registry.sub_registry_with_prefix("lyceum_proxy");
        registry.register(
            "requests",
            "Requests answered, by kind of route and class of status",
            self.requests.clone(),
        );
        registry.register(
            "connections",
            "Client connections open now, tunnels among them",
            self.connections.clone(),
        );
        registry.register(
            "websockets",
            "WebSockets and other tunnels open now",
            self.websockets.clone(),
        );
        registry.register(
            "denied",
            "Requests not let through by the access check",
            self.denied.clone(),
        );
        registry.register(
            "upstream_errors",
            "Requests that a server did not answer properly",
            self.upstream_errors.clone(),
        );
        registry.register(
            "bytes",
            "Body and tunnel bytes, by kind of route and direction",
            self.bytes.clone(),
        );
        registry.register(
            "connections_over_limit",
            "Connections closed because their address has too many",
            self.over_limit.clone(),
        );
    }

    pub(crate) fn count_request(&self, kind: Kind, status: u16) {
        let class = match status {
            100..=199 => "1xx",
            200..=299 => "2xx",
            300..=399 => "3xx",
            400..=499 => "4xx",
            _ => "5xx",
        };
        self.requests
            .get_or_create(&RequestLabels { kind, class })
            .inc();
    }

    pub(crate) fn count_denied(&self, why: &'static str) {
        self.denied.get_or_create(&WhyLabels { why }).inc();
    }

    pub(crate) fn count_upstream_error(&self, why: &'static str) {
        self.upstream_errors.get_or_create(&WhyLabels { why }).inc();
    }

    /// The counter for one direction, to be kept by whatever moves the bytes.
    pub(crate) fn bytes(&self, kind: Kind, direction: Direction) -> Counter {
        let direction = match direction {
            Direction::In => "in",
            Direction::Out => "out",
        };
        self.bytes
            .get_or_create(&BytesLabels { kind, direction })
            .clone()
    }
}

/// Seen from the server: in from clients, out to clients.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Direction {
    In,
    Out,
}
