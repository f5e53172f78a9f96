//! What the hub counts. Names that JupyterHub's dashboards read keep their names, types and labels;
//! `conformance/jupyterhub/telling.py` compares them with a real one's.
//!
//! What is counted from rows (people, running servers) is the same on every replica, so a dashboard
//! takes the maximum of it; the rest is what this process did, and is summed up.

use std::sync::Arc;
use std::time::{Duration, Instant};

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

#[derive(Debug, Clone, Hash, PartialEq, Eq, EncodeLabelSet)]
pub struct StartLabels {
    pub status: &'static str,
    pub reason: &'static str,
}

#[derive(Debug, Clone, Hash, PartialEq, Eq, EncodeLabelSet)]
pub struct ReasonLabel {
    pub reason: &'static str,
}

#[derive(Debug, Clone, Hash, PartialEq, Eq, EncodeLabelSet)]
pub struct RoomLabel {
    pub what: &'static str,
}

#[derive(Debug, Clone, Hash, PartialEq, Eq, EncodeLabelSet)]
pub struct PeriodLabel {
    pub period: &'static str,
}

/// How something ended.
pub const SUCCESS: StatusLabel = StatusLabel { status: "success" };
pub const FAILURE: StatusLabel = StatusLabel { status: "failure" };
/// What a provider said of somebody who is here.
pub const CONFIRMED: StatusLabel = StatusLabel {
    status: "confirmed",
};
pub const ENDED: StatusLabel = StatusLabel { status: "ended" };
pub const UNCLEAR: StatusLabel = StatusLabel { status: "unclear" };
/// What the spawner says of a server.
pub const RUNNING: StatusLabel = StatusLabel { status: "running" };
pub const STOPPED: StatusLabel = StatusLabel { status: "stopped" };

/// Those that are told by how long ago people were active, in milliseconds.
pub const PERIODS: [(&str, i64); 3] = [
    ("24h", 24 * 3_600_000),
    ("7d", 7 * 24 * 3_600_000),
    ("30d", 30 * 24 * 3_600_000),
];

/// What stands before JupyterHub's names, unless the site says otherwise.
pub const PREFIX: &str = "jupyterhub";

type Times<Labels> = Family<Labels, Histogram, fn() -> Histogram>;

#[derive(Clone)]
pub struct Metrics {
    requests: Times<RequestLabels>,
    /// Starts by how they ended: success, failure, cancelled.
    pub starts: Family<StatusLabel, Counter>,
    /// Servers that were ended by rule, by what for: idle, age, room.
    pub culled: Family<ReasonLabel, Counter>,
    /// What courses lack to which many come just now: bytes of memory and disk, places.
    pub room_missing: Family<RoomLabel, Gauge>,
    pub running: Gauge,
    pub people: Gauge,
    pub active: Family<PeriodLabel, Gauge>,
    pub sign_ins: Family<StatusLabel, Counter>,
    /// Times a provider was asked about somebody who is here, by what came of it.
    pub refreshes: Family<StatusLabel, Counter>,
    start_seconds: Times<StartLabels>,
    pub stop_seconds: Times<StatusLabel>,
    pub poll_seconds: Times<StatusLabel>,
    pub route_add_seconds: Times<StatusLabel>,
    pub route_delete_seconds: Times<StatusLabel>,
    pub look_seconds: Histogram,
    pub whole_look_seconds: Histogram,
    pub login_seconds: Times<StatusLabel>,
    pub logout_seconds: Histogram,
    /// What browsers told of pages that broke their policy.
    pub policy_reports: Counter,
    pub begin_seconds: Histogram,
    pub first_watch_seconds: Histogram,
    pub turn_seconds: Histogram,
    born: Instant,
}

/// As a dashboard knows them: for what takes milliseconds.
fn short() -> Histogram {
    Histogram::new([
        0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0,
    ])
}

/// For what people wait for.
fn long() -> Histogram {
    Histogram::new([
        0.5, 1.0, 2.5, 5.0, 10.0, 15.0, 30.0, 60.0, 120.0, 180.0, 300.0, 600.0,
    ])
}

/// There is one for each route, method and status: few steps.
fn requests() -> Histogram {
    Histogram::new([0.005, 0.025, 0.1, 0.25, 1.0, 5.0, 30.0])
}

/// Below 50 ms nothing is measured.
fn turns() -> Histogram {
    Histogram::new([
        0.05, 0.055, 0.06, 0.065, 0.07, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0,
    ])
}

/// A rate needs a first value, so what can happen is there with zero before it does.
fn times(make: fn() -> Histogram, all: &[StatusLabel]) -> Times<StatusLabel> {
    let family = Family::new_with_constructor(make);
    for labels in all {
        drop(family.get_or_create(labels));
    }
    family
}

impl Default for Metrics {
    fn default() -> Self {
        let ends = [SUCCESS, FAILURE];
        let start_seconds: Times<StartLabels> = Family::new_with_constructor(long);
        for StatusLabel { status } in ends.clone() {
            drop(start_seconds.get_or_create(&StartLabels { status, reason: "" }));
        }
        let culled: Family<ReasonLabel, Counter> = Family::default();
        for reason in ["idle", "age", "room"] {
            drop(culled.get_or_create(&ReasonLabel { reason }));
        }
        let refreshes: Family<StatusLabel, Counter> = Family::default();
        for labels in [CONFIRMED, ENDED, UNCLEAR] {
            drop(refreshes.get_or_create(&labels));
        }
        Self {
            requests: Family::new_with_constructor(requests),
            starts: Family::default(),
            culled,
            room_missing: Family::default(),
            running: Gauge::default(),
            people: Gauge::default(),
            active: Family::default(),
            sign_ins: Family::default(),
            refreshes,
            start_seconds,
            stop_seconds: times(short, &ends),
            poll_seconds: times(short, &[RUNNING, STOPPED]),
            route_add_seconds: times(short, &ends),
            route_delete_seconds: times(short, &ends),
            look_seconds: short(),
            whole_look_seconds: short(),
            login_seconds: times(short, &ends),
            logout_seconds: short(),
            policy_reports: Counter::default(),
            begin_seconds: short(),
            first_watch_seconds: short(),
            turn_seconds: turns(),
            born: Instant::now(),
        }
    }
}

impl Metrics {
    /// `prefix` stands before the names that JupyterHub has too.
    pub fn register(&self, registry: &mut Registry, prefix: &str, events_lost: &Counter) {
        let hub = registry.sub_registry_with_prefix(prefix);
        macro_rules! tell {
            ($($name:literal $about:literal $metric:ident)*) => {
                $(hub.register($name, $about, self.$metric.clone());)*
            };
        }
        tell! {
            "request_duration_seconds" "Time to answer, by route" requests
            "server_spawn_duration_seconds" "Time from wish to ready, or to the failure" start_seconds
            "running_servers" "Servers that answer" running
            "total_users" "People there are" people
            "active_users" "People who were active within a period" active
            "check_routes_duration_seconds" "Time to hold all routes against the rows" whole_look_seconds
            "hub_startup_duration_seconds" "Time until the routes were in force" begin_seconds
            "init_spawners_duration_seconds" "Time to ask after all servers at the start" first_watch_seconds
            "proxy_poll_duration_seconds" "Time to look for news of routes" look_seconds
            "login_duration_seconds" "Time to look at a name and password" login_seconds
            "logout_duration_seconds" "Time to end a session" logout_seconds
            "csp_reports" "Reports of browsers about pages that broke their policy" policy_reports
            "proxy_add_duration_seconds" "Time to put the route of a server in force" route_add_seconds
            "proxy_delete_duration_seconds" "Time to take the route of a server back" route_delete_seconds
            "server_poll_duration_seconds" "Time to ask after a server" poll_seconds
            "server_stop_seconds" "Time to end a server" stop_seconds
            "event_loop_interval_seconds" "How late a task that sleeps for 50 ms is woken" turn_seconds
        }
        let own = registry.sub_registry_with_prefix("lyceum");
        own.register(
            "server_starts",
            "Starts that came to an end",
            self.starts.clone(),
        );
        own.register(
            "servers_culled",
            "Servers that were ended by rule",
            self.culled.clone(),
        );
        own.register(
            "room_missing",
            "What meetings of courses lack at the moment: bytes of memory and disk, places",
            self.room_missing.clone(),
        );
        own.register("sign_ins", "Attempts to sign in", self.sign_ins.clone());
        own.register(
            "refreshes",
            "Times a sign-in provider was asked about somebody who is here",
            self.refreshes.clone(),
        );
        own.register(
            "events_lost",
            "Events that could not be written to the event log",
            events_lost.clone(),
        );
    }

    pub fn sign_in(&self, status: &'static str) {
        self.sign_ins.get_or_create(&StatusLabel { status }).inc();
    }

    /// A start came to its end after so many seconds.
    pub fn started(&self, status: &'static str, took: f64) {
        let labels = StartLabels { status, reason: "" };
        self.start_seconds.get_or_create(&labels).observe(took);
    }

    /// How long it is since this hub was made.
    pub fn age(&self) -> Duration {
        self.born.elapsed()
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

#[cfg(test)]
mod tests {
    use super::*;

    /// `# TYPE jupyterhub_total_users gauge`
    fn types(prefix: &str) -> Vec<String> {
        let mut registry = Registry::default();
        Metrics::default().register(&mut registry, prefix, &Counter::default());
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &registry).expect("a string");
        let lines = text.lines().filter(|line| line.starts_with("# TYPE "));
        lines.map(str::to_owned).collect()
    }

    #[test]
    fn a_site_has_its_own_word_before_the_names_of_jupyterhub() {
        let (usual, own) = (types(PREFIX), types("campus"));
        let expect: Vec<String> = usual
            .iter()
            .map(|line| line.replace("# TYPE jupyterhub_", "# TYPE campus_"))
            .collect();
        assert_eq!(own, expect);
        let of_jupyterhub = own.iter().filter(|line| line.contains(" campus_"));
        assert_eq!(of_jupyterhub.count(), 15, "{own:?}");
        assert!(
            own.iter().any(|line| line.contains(" lyceum_events_lost")),
            "{own:?}"
        );
    }
}
