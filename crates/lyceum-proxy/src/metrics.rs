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

const KINDS: [Kind; 4] = [Kind::Checked, Kind::Open, Kind::Fallback, Kind::Proxy];
const CLASSES: [&str; 5] = ["1xx", "2xx", "3xx", "4xx", "5xx"];
const DIRECTIONS: [&str; 2] = ["in", "out"];

/// The counters that each request moves, found ahead.
#[derive(Clone, Debug)]
struct Ready {
    requests: [[Counter; 5]; 4],
    bytes: [[Counter; 2]; 4],
}

impl Default for Metrics {
    fn default() -> Self {
        let requests = Family::<RequestLabels, Counter>::default();
        let bytes = Family::<BytesLabels, Counter>::default();
        let ready = Ready {
            requests: KINDS.map(|kind| {
                CLASSES.map(|class| {
                    let labels = RequestLabels { kind, class };
                    requests.get_or_create(&labels).clone()
                })
            }),
            bytes: KINDS.map(|kind| {
                DIRECTIONS.map(|direction| {
                    let labels = BytesLabels { kind, direction };
                    bytes.get_or_create(&labels).clone()
                })
            }),
        };
        Self {
            requests,
            connections: Gauge::default(),
            websockets: Gauge::default(),
            denied: Family::default(),
            upstream_errors: Family::default(),
            bytes,
            over_limit: Counter::default(),
            ready,
        }
    }
}

#[derive(Clone, Debug)]
pub(crate) struct Metrics {
    ready: Ready,
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
        let class = usize::from(status / 100).clamp(1, 5) - 1;
        self.ready.requests[kind as usize][class].inc();
    }

    pub(crate) fn count_denied(&self, why: &'static str) {
        self.denied.get_or_create(&WhyLabels { why }).inc();
    }

    pub(crate) fn count_upstream_error(&self, why: &'static str) {
        self.upstream_errors.get_or_create(&WhyLabels { why }).inc();
    }

    /// The counter for one direction, to be kept by whatever moves the bytes.
    pub(crate) fn bytes(&self, kind: Kind, direction: Direction) -> Counter {
        self.ready.bytes[kind as usize][direction as usize].clone()
    }
}

/// Seen from the server: in from clients, out to clients.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Direction {
    In,
    Out,
}
