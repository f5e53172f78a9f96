//! What is counted for Prometheus: requests, connections, WebSockets, refusals, failures, bytes.
//!
//! Labels are few and fixed (no route, user or path), so their number is bounded.

use std::{
    fmt::Write,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

use hyper::{
    Request, Response, StatusCode,
    body::Incoming,
    header::{CONTENT_TYPE, HeaderValue},
};
use prometheus_client::{
    encoding::{EncodeLabelSet, EncodeLabelValue},
    metrics::{counter::Counter, family::Family, gauge::Gauge},
    registry::{Registry, Unit},
};

use crate::{
    Proxy,
    durations::Durations,
    http1::Refused,
    sampled::Sampled,
    side::{self, Answer, SideListener},
    tls::Certificates,
    upstream::Connector,
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

impl Kind {
    /// As in the labels.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Checked => "Checked",
            Self::Open => "Open",
            Self::Fallback => "Fallback",
            Self::Proxy => "Proxy",
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct LimitLabels {
    limit: &'static str,
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

pub(crate) const KINDS: [Kind; 4] = [Kind::Checked, Kind::Open, Kind::Fallback, Kind::Proxy];
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
            long_answers: Gauge::default(),
            denied: Family::default(),
            upstream_errors: Family::default(),
            bytes,
            over_limit: Counter::default(),
            chp: Chp::default(),
            limits: Family::default(),
            durations: Durations::default(),
            ready,
        }
    }
}

#[derive(Debug)]
pub(crate) struct Metrics {
    ready: Ready,
    requests: Family<RequestLabels, Counter>,
    pub(crate) connections: Gauge,
    pub(crate) websockets: Gauge,
    pub(crate) long_answers: Gauge,
    denied: Family<WhyLabels, Counter>,
    upstream_errors: Family<WhyLabels, Counter>,
    bytes: Family<BytesLabels, Counter>,
    pub(crate) over_limit: Counter,
    pub(crate) chp: Chp,
    limits: Family<LimitLabels, Counter>,
    pub(crate) durations: Durations,
}

impl Metrics {
    pub(crate) fn register(&self, registry: &mut Registry, connector: &Connector) {
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
            "long_answers",
            "Answers of checked routes open now that were not there whole at once",
            self.long_answers.clone(),
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
        registry.register(
            "limits",
            "Times that a limit was reached, by its name",
            self.limits.clone(),
        );
        registry.register_with_unit(
            "request_duration",
            "From a request's head to the last byte of its answer, by kind of route",
            Unit::Seconds,
            self.durations.clone(),
        );
        registry.register(
            "upstream_connections",
            "Connections to servers open now, kept and tunnels among them",
            connector.open.clone(),
        );
        registry.register(
            "upstream_connections_made",
            "Connections made to servers",
            connector.made.clone(),
        );
        registry.register(
            "upstream_waited",
            "Requests that waited because their server had its most connections",
            connector.waited.clone(),
        );
    }

    pub(crate) fn count_request(&self, kind: Kind, status: u16) {
        let class = usize::from(status / 100).clamp(1, 5) - 1;
        self.ready.requests[kind as usize][class].inc();
    }

    /// `limit`: its name among [`crate::Limits`], or among those that are fixed.
    pub(crate) fn count_limit(&self, limit: &'static str) {
        self.limits.get_or_create(&LimitLabels { limit }).inc();
    }

    /// The same for several at once.
    pub(crate) fn count_limits(&self, limit: &'static str, times: usize) {
        let counter = self.limits.get_or_create(&LimitLabels { limit });
        counter.inc_by(times as u64);
    }

    /// A body that cannot be passed on, where that is for a bound of ours.
    pub(crate) fn count_refused(&self, refused: Refused) {
        if refused == Refused::TrailersTooLarge {
            self.count_limit("trailers");
        }
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

/// What configurable-http-proxy counts, under the names that it has there.
#[derive(Debug, Default)]
pub(crate) struct Chp {
    web: AtomicU64,
    websockets: AtomicU64,
    proxied: ByStatus,
    api: ByStatus,
    listed: AtomicU64,
    added: AtomicU64,
    deleted: AtomicU64,
    pub(crate) found: Sampled,
}

impl Chp {
    /// A request that is not for the proxy itself.
    pub(crate) fn count_begun(&self, is_websocket: bool) {
        let counter = if is_websocket {
            &self.websockets
        } else {
            &self.web
        };
        counter.fetch_add(1, Relaxed);
    }

    /// An answer of a server, or the error told in its place.
    pub(crate) fn count_proxied(&self, status: u16) {
        self.proxied.count(status);
    }

    pub(crate) fn count_api(&self, status: u16) {
        self.api.count(status);
    }

    pub(crate) fn count_listed(&self) {
        self.listed.fetch_add(1, Relaxed);
    }

    pub(crate) fn count_added(&self) {
        self.added.fetch_add(1, Relaxed);
    }

    pub(crate) fn count_deleted(&self) {
        self.deleted.fetch_add(1, Relaxed);
    }

    /// In Prometheus' own text format, which unlike OpenMetrics lets a counter have any name.
    pub(crate) fn show(&self) -> String {
        let mut text = String::new();
        let counters = [
            ("requests_web", "Requests that are no WebSockets", &self.web),
            (
                "requests_ws",
                "Requests to open a WebSocket",
                &self.websockets,
            ),
            (
                "api_route_get",
                "Times that all routes were listed",
                &self.listed,
            ),
            (
                "api_route_add",
                "Routes put through the control API",
                &self.added,
            ),
            (
                "api_route_delete",
                "Requests to remove a route",
                &self.deleted,
            ),
        ];
        for (name, help, counter) in counters {
            head(&mut text, name, help, "counter");
            let _ = writeln!(text, "{name} {}", counter.load(Relaxed));
        }
        let families = [
            (
                "requests_proxy",
                "Answers of servers and errors told in their place, by status",
                &self.proxied,
            ),
            (
                "requests_api",
                "Answers of the control API, by status",
                &self.api,
            ),
        ];
        for (name, help, family) in families {
            head(&mut text, name, help, "counter");
            family.show(&mut text, name);
        }
        let summaries = [
            (
                "find_target_for_req",
                "Seconds to find the route of a request, from a sample",
                &self.found,
            ),
            (
                "last_activity_updating",
                "Seconds to note a route's last activity, from a sample",
                &crate::activity::TOUCHES,
            ),
        ];
        for (name, help, sampled) in summaries {
            head(&mut text, name, help, "summary");
            sampled.show(&mut text, name);
        }
        text
    }
}

fn head(text: &mut String, name: &str, help: &str, kind: &str) {
    let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} {kind}");
}

/// One counter for each status there can be.
#[derive(Debug)]
struct ByStatus(Box<[AtomicU64]>);

impl Default for ByStatus {
    fn default() -> Self {
        Self((0..1_000).map(|_| AtomicU64::new(0)).collect())
    }
}

impl ByStatus {
    fn count(&self, status: u16) {
        if let Some(counter) = self.0.get(usize::from(status)) {
            counter.fetch_add(1, Relaxed);
        }
    }

    fn show(&self, text: &mut String, name: &str) {
        for (status, counter) in self.0.iter().enumerate() {
            let count = counter.load(Relaxed);
            if count > 0 {
                let _ = writeln!(text, "{name}{{status=\"{status}\"}} {count}");
            }
        }
    }
}

impl Proxy {
    /// Serves `/metrics` until `shutdown`: configurable-http-proxy's names, then ours, among them
    /// those of `certificates`.
    pub async fn run_metrics(
        &self,
        listener: SideListener,
        certificates: Option<&Certificates>,
        shutdown: impl Future<Output = ()>,
    ) {
        let mut registry = Registry::default();
        self.register_metrics(&mut registry);
        if let Some(certificates) = certificates {
            certificates.register_metrics(&mut registry);
        }
        let (proxy, registry) = (self.clone(), Arc::new(registry));
        let handler = move |request: Request<Incoming>| {
            let text = (request.uri().path() == "/metrics").then(|| {
                let mut ours = String::new();
                let _ = prometheus_client::encoding::text::encode(&mut ours, &registry);
                proxy.inner.metrics.chp.show() + &as_prometheus(&ours)
            });
            async move {
                let Some(text) = text else {
                    let mut response = Response::new(Answer::from("only /metrics is here\n"));
                    *response.status_mut() = StatusCode::NOT_FOUND;
                    return response;
                };
                let mut response = Response::new(Answer::from(text));
                let kind = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
                response.headers_mut().insert(CONTENT_TYPE, kind);
                response
            }
        };
        side::run(listener, handler, shutdown).await;
    }
}

/// OpenMetrics as Prometheus' older text format: there a counter's type is told under the name its
/// samples have, and there is no end mark.
fn as_prometheus(open_metrics: &str) -> String {
    let mut text = String::with_capacity(open_metrics.len());
    for line in open_metrics.lines().filter(|line| *line != "# EOF") {
        let counter = line
            .strip_prefix("# TYPE ")
            .and_then(|rest| rest.strip_suffix(" counter"));
        let _ = match counter {
            Some(name) => writeln!(text, "# TYPE {name}_total counter"),
            None => writeln!(text, "{line}"),
        };
    }
    text
}

/// Seen from the server: in from clients, out to clients.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Direction {
    In,
    Out,
}
