//! The data plane: takes every request from outside and brings it to the hub or to a user's
//! server. HTTP/1.1, WebSockets and other upgrades, streaming both ways.
//!
//! It imports no other Lyceum crate, so that it can run as its own process and outlive a hub. What
//! it must know it is told through [`Proxy::set_routes`] and asks through [`Access`]; what it has
//! seen it reports through [`Proxy::take_activity`].
//!
//! Reading order: `listen` (connections) → `serve` (one client connection) → `request` (what
//! becomes of a request: `head`, `path`, `route`, `access`, `cookies`) → `exchange` (a request and
//! its answer, both ways at once) → `outgoing` (the heads that are sent on) → `upstream` (servers'
//! connections) → `link`, `io`, `alarm` (moving bytes) → `upgrade` (tunnels) → `error_page`,
//! `activity`, `metrics`. HTTP/1 as bytes, without IO, is `http1`.
//!
//! Invariant: what two readers of a message could understand in two ways is refused; where its end
//! is in doubt, the connection it came on is closed. That holds for paths (`path.rs`) as for lengths
//! (`http1/framing.rs`): a request with both `Transfer-Encoding` and `Content-Length` is answered
//! 400 (RFC 9112, section 6.3, lets us choose).

mod access;
mod activity;
mod alarm;
mod config;
mod cookies;
mod error_page;
mod exchange;
mod fields;
mod head;
mod http1;
mod io;
mod link;
mod listen;
mod metrics;
mod outgoing;
mod path;
mod request;
mod request_id;
mod rewrite;
mod route;
mod serve;
mod target;
mod upgrade;
mod upstream;

use std::{collections::HashMap, fmt, future::Future, sync::Arc};

use arc_swap::ArcSwap;
use tokio::{net::TcpListener, sync::Semaphore};

pub use access::{Access, Ask, Credential, CredentialHash, Decision, Revoked};
pub use activity::Activity;
pub use config::{Config, Limits, Network, ProxySecret};
/// The type of [`Ask::method`].
pub use hyper::Method;
pub use rewrite::{Rewrite, Scheme};
pub use route::{Route, RouteAccess, RouteError, RouteTable};
pub use target::Target;
pub use upstream::Upstream;

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
    hidden: cookies::HiddenCookies,
    custom: outgoing::Custom,
    live: ArcSwap<Live>,
    book: activity::Book,
    decisions: access::Decisions,
    log: access::RevocationLog,
    tunnels: Arc<upgrade::Tunnels>,
    connector: Arc<upstream::Connector>,
    metrics: metrics::Metrics,
    room: Arc<Semaphore>,
    per_client: listen::PerClient,
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
        let hidden = cookies::HiddenCookies::new(
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
            connector: upstream::Connector::new(config.upstream.clone()),
            custom: outgoing::Custom::new(&config.rewrite),
            metrics: metrics::Metrics::default(),
            room: Arc::new(Semaphore::new(
                config.limits.connections.min(Semaphore::MAX_PERMITS),
            )),
            per_client: listen::PerClient::default(),
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
    }

    /// Serves until `shutdown`, then drains with the deadline and closes what is left.
    pub async fn run(&self, listener: TcpListener, shutdown: impl Future<Output = ()>) {
        listen::run(self.inner.clone(), listener, shutdown).await;
    }
}
