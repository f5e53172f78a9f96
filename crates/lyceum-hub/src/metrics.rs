//! What the hub counts. Names that JupyterHub's dashboards read keep their names.

use std::sync::Arc;
use std::time::Duration;

use axum::http::{Method, StatusCode};
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

#[derive(Debug, Clone, Hash, PartialEq, Eq, EncodeLabelSet)]
pub struct RequestLabels {
    method: String,
    handler: String,
    code: u16,
}

#[derive(Debug, Clone, Hash, PartialEq, Eq, EncodeLabelSet)]
pub struct StatusLabel {
    pub status: &'static str,
}

#[derive(Clone)]
pub struct Metrics {
    requests: Family<RequestLabels, Histogram>,
    /// Starts by how they ended: success, failure.
    pub starts: Family<StatusLabel, Counter>,
    pub start_seconds: Histogram,
    pub running: Gauge,
    pub sign_ins: Family<StatusLabel, Counter>,
}

impl Default for Metrics {
    fn default() -> Self {
        let times = || Histogram::new([0.005, 0.025, 0.1, 0.25, 1.0, 5.0, 30.0]);
        Self {
            requests: Family::new_with_constructor(times),
            starts: Family::default(),
            start_seconds: Histogram::new([0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0]),
            running: Gauge::default(),
            sign_ins: Family::default(),
        }
    }
}

impl Metrics {
    pub fn register(&self, registry: &mut Registry) {
        let hub = registry.sub_registry_with_prefix("jupyterhub");
        hub.register(
            "request_duration_seconds",
            "Time to answer, by route",
            self.requests.clone(),
        );
        hub.register(
            "server_spawn_duration_seconds",
            "Time from wish to ready",
            self.start_seconds.clone(),
        );
        hub.register(
            "running_servers",
            "Servers that answer",
            self.running.clone(),
        );
        let own = registry.sub_registry_with_prefix("lyceum");
        own.register(
            "server_starts",
            "Starts that came to an end",
            self.starts.clone(),
        );
        own.register("sign_ins", "Attempts to sign in", self.sign_ins.clone());
    }

    pub fn sign_in(&self, status: &'static str) {
        self.sign_ins.get_or_create(&StatusLabel { status }).inc();
    }

    pub fn request(
        &self,
        path: Option<Arc<str>>,
        method: &Method,
        status: StatusCode,
        took: Duration,
    ) {
        let labels = RequestLabels {
            method: match *method {
                Method::GET
                | Method::POST
                | Method::PUT
                | Method::PATCH
                | Method::DELETE
                | Method::HEAD => method.to_string(),
                // Anything may be sent; labels are few.
                _ => "other".into(),
            },
            handler: path.map_or_else(|| "none".into(), |path| path.to_string()),
            code: status.as_u16(),
        };
        self.requests
            .get_or_create(&labels)
            .observe(took.as_secs_f64());
    }
}
