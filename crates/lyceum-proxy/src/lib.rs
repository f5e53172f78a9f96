//! The data plane: takes every request from outside and brings it to the hub or to a user's
//! server. HTTP/1.1, WebSockets and other upgrades, streaming both ways.
//!
//! It imports no other Lyceum crate, so that it can run as its own process and outlive a hub. What
//! it must know it is told through [`Proxy::set_routes`] and asks through [`Access`]; what it has
//! seen it reports through [`Proxy::take_activity`].
//!
//! Reading order: `listen`, `proxy_protocol`, `tls` (connections) → `forward` (one request) → `route`, `path`, `access`,
//! `headers` (its decisions) → `pool`, `body`, `upgrade` (moving bytes) → `error_page`, `activity`,
//! `metrics`. Not here yet: HTTP/2, host routing, the control API.
//!
//! Which paths are refused, and how a path is matched: see [`RouteTable::find`] and `path.rs`.
//! A request with both `Transfer-Encoding` and `Content-Length` is read as chunked, forwarded with
//! the one true length and its connection closed after the answer (RFC 9112, section 6.3).

mod access;
mod activity;
mod body;
mod config;
mod error_page;
mod forward;
mod headers;
mod listen;
mod metrics;
mod path;
mod peer;
mod pool;
mod proxy_protocol;
mod request_id;
mod route;
mod target;
mod tls;
mod upgrade;

use std::{collections::HashMap, fmt, future::Future, sync::Arc};

use arc_swap::ArcSwap;
use tokio::{net::TcpListener, sync::Semaphore};

pub use access::{Access, Ask, Credential, CredentialHash, Decision, Revoked};
pub use activity::Activity;
pub use config::{Config, Limits, Network, ProxySecret};
/// The type of [`Ask::method`].
pub use hyper::Method;
pub use listen::{Arrivals, Door, HandOver, Handed, ListenAddress, Listener, inherited, take_over};
pub use proxy_protocol::{
    Sender as ProxySender, Wrong as ProxyHeaderWrong, parse as parse_proxy_header,
};
pub use route::{Route, RouteAccess, RouteError, RouteTable};
pub use target::Target;
pub use tls::{
    Acme, AcmeChallenge, CertificateFiles, CertificateState, Certificates, ClientCertificates, Tls,
    TlsError, TlsVersion,
};

/// A handle to the data plane; clones share everything.
#[derive(Clone)]
pub struct Proxy {
    inner: Arc<Inner>,
}

/// The routes in force, with each one's counters at its index.
struct Live {
    table: Arc<RouteTable>,
    stats: Vec<Arc<activity::Stats>>,
}

struct Inner {
    config: Config,
    fallback: Target,
    access: Arc<dyn Access>,
    hidden: headers::HiddenCookies,
    live: ArcSwap<Live>,
    book: activity::Book,
    decisions: access::Decisions,
    log: access::RevocationLog,
    tunnels: Arc<upgrade::Tunnels>,
    pool: Arc<pool::Pool>,
    metrics: metrics::Metrics,
    room: Arc<Semaphore>,
    per_client: listen::PerClient,
    arrived: listen::Arrived,
    /// TLS handshakes under way.
    handshakes: Semaphore,
    draining: listen::Draining,
}

impl fmt::Debug for Inner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Proxy")
            .field("config", &self.config)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.fmt(f)
    }
}

impl Proxy {
    /// `fallback`: where everything goes that no route matches (the hub).
    pub fn new(mut config: Config, fallback: Target, access: Arc<dyn Access>) -> Self {
        config.base_path = format!("/{}/", config.base_path.trim_matches('/')).replace("//", "/");
        let hidden = headers::HiddenCookies::new(
            config
                .hidden_cookies
                .iter()
                .chain([&config.access_cookie])
                .map(String::as_str),
        );
        let inner = Inner {
            hidden,
            live: ArcSwap::from_pointee(Live {
                table: Arc::default(),
                stats: Vec::new(),
            }),
            book: activity::Book::default(),
            decisions: access::Decisions::new(&config.limits),
            log: access::RevocationLog::default(),
            tunnels: Arc::default(),
            pool: Arc::new(pool::Pool::new(&config.limits)),
            metrics: metrics::Metrics::default(),
            room: Arc::new(Semaphore::new(
                config.limits.connections.min(Semaphore::MAX_PERMITS),
            )),
            per_client: listen::PerClient::default(),
            arrived: listen::Arrived::default(),
            handshakes: Semaphore::new(config.arrivals.handshakes.min(Semaphore::MAX_PERMITS)),
            draining: listen::Draining::default(),
            fallback,
            access,
            config,
        };
        Self {
            inner: Arc::new(inner),
        }
    }

    /// Puts a whole table in force. Requests under way keep the one they began with.
    pub fn set_routes(&self, table: RouteTable) {
        let ids = table.routes().iter().map(|route| route.id.as_str());
        let stats = self.inner.book.stats_of(ids);
        self.inner.live.store(Arc::new(Live {
            table: Arc::new(table),
            stats,
        }));
    }

    pub fn routes(&self) -> Arc<RouteTable> {
        self.inner.live.load().table.clone()
    }

    /// What moved since the last call, and every route with an open WebSocket.
    pub fn take_activity(&self) -> Vec<Activity> {
        self.inner.book.take()
    }

    /// Open WebSockets by route id; routes without any are left out.
    pub fn activity_now(&self) -> HashMap<String, u64> {
        self.inner.book.open_websockets()
    }

    /// Forgets decisions, and closes the WebSockets they let in.
    pub fn revoke(&self, what: Revoked) {
        // The order matters: see `Tunnels::enter`.
        self.inner.log.push(what.clone());
        self.inner.decisions.revoke(&what);
        self.inner.tunnels.revoke(&what);
    }

    pub fn register_metrics(&self, registry: &mut prometheus_client::registry::Registry) {
        self.inner.metrics.register(registry);
        self.inner.arrived.register(registry);
    }

    /// Whether a load balancer should send requests here: not once a shutdown has begun.
    pub fn is_ready(&self) -> bool {
        !self.inner.is_draining()
    }

    /// Says that another process accepts from the same sockets now: a shutdown leaves it what
    /// waits there, and goes by at once without [`Arrivals::unready`].
    pub fn hand_on(&self) {
        self.inner.hand_on();
    }

    /// One worker: serves until `shutdown`, then drains with the deadline and closes what is left.
    pub async fn run(&self, listener: TcpListener, shutdown: impl Future<Output = ()>) {
        listen::run(self.inner.clone(), listener, shutdown).await;
    }

    /// [`Proxy::run`] with several sockets, each with settings of its own.
    pub async fn run_doors(&self, doors: Vec<Door>, shutdown: impl Future<Output = ()>) {
        listen::run_doors(self.inner.clone(), doors, shutdown).await;
    }
}
