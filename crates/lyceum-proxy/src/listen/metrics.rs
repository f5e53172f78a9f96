//! What is counted while connections come in.

use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family},
    registry::Registry,
};

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct WhyLabels {
    why: &'static str,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Arrived {
    accept_errors: Family<WhyLabels, Counter>,
    pub(crate) waited: Counter,
    turned_away: Family<WhyLabels, Counter>,
    pub(crate) handshakes: Counter,
}

impl Arrived {
    pub(crate) fn register(&self, registry: &mut Registry) {
        let registry = registry.sub_registry_with_prefix("lyceum_proxy");
        registry.register(
            "accept_errors",
            "Times the system could not hand over a connection, by reason",
            self.accept_errors.clone(),
        );
        registry.register(
            "connections_waited",
            "Times connections had to wait because there are as many as may be",
            self.waited.clone(),
        );
        registry.register(
            "connections_turned_away",
            "Connections closed before their first request, by reason",
            self.turned_away.clone(),
        );
        registry.register(
            "tls_handshakes",
            "TLS handshakes finished",
            self.handshakes.clone(),
        );
    }

    pub(crate) fn count_accept_error(&self, why: &'static str) {
        self.accept_errors.get_or_create(&WhyLabels { why }).inc();
    }

    pub(crate) fn count_turned_away(&self, why: &'static str) {
        self.turned_away.get_or_create(&WhyLabels { why }).inc();
    }
}
