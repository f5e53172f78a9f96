//! What is counted of HTTP/2 besides what every request counts.

use h2::Reason;
use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family, gauge::Gauge},
    registry::Registry,
};

use super::meter::Flood;

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct FloodLabels {
    frame: &'static str,
}

#[derive(Debug, Default)]
pub(crate) struct Metrics {
    pub(crate) connections: Gauge,
    pub(crate) streams: Gauge,
    pub(super) websockets: Counter,
    pub(super) resets: Counter,
    pub(super) unanswered_pings: Counter,
    pub(super) protocol_errors: Counter,
    floods: Family<FloodLabels, Counter>,
}

impl Metrics {
    pub(crate) fn register(&self, registry: &mut Registry) {
        let registry = registry.sub_registry_with_prefix("lyceum_proxy_http2");
        registry.register(
            "connections",
            "Client connections that speak HTTP/2",
            self.connections.clone(),
        );
        registry.register(
            "streams",
            "Requests and WebSockets open on HTTP/2 connections",
            self.streams.clone(),
        );
        registry.register(
            "websockets",
            "WebSockets opened on HTTP/2 connections",
            self.websockets.clone(),
        );
        registry.register(
            "resets",
            "Requests that their client took back before the answer's end",
            self.resets.clone(),
        );
        registry.register(
            "unanswered_pings",
            "HTTP/2 connections given up because the client was silent",
            self.unanswered_pings.clone(),
        );
        registry.register(
            "protocol_errors",
            "HTTP/2 connections ended because of what the client sent",
            self.protocol_errors.clone(),
        );
        registry.register(
            "floods",
            "HTTP/2 connections ended because of too many useless frames, by the last one's kind where it is known",
            self.floods.clone(),
        );
    }

    pub(super) fn count_flood(&self, flood: Flood) {
        self.count_flood_of(flood.name());
    }

    /// What the codec has ended by itself.
    pub(super) fn count_error(&self, reason: Option<Reason>) {
        match reason {
            Some(Reason::ENHANCE_YOUR_CALM) => self.count_flood_of("any"),
            _ => {
                self.protocol_errors.inc();
            }
        }
    }

    fn count_flood_of(&self, frame: &'static str) {
        self.floods.get_or_create(&FloodLabels { frame }).inc();
    }
}
