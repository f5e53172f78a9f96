//! The data plane: takes every request from outside and brings it to the hub or to a user's
//! server. HTTP/1.1 and HTTP/2, WebSockets and other upgrades, streaming both ways.
//!
//! It imports no other Lyceum crate, so that it can run as its own process and outlive a hub. What
//! it must know it is told through [`Proxy::set_routes`] and asks through [`Access`]; what it has
//! seen it reports through [`Proxy::take_activity`].
//!
//! It is told and asks in process, or over HTTP by [`follow`], which keeps it true as a process of
//! its own in front of any number of hubs.
//!
//! Reading order: `listen` (connections) → `serve` (one client connection) → `request` (what
//! becomes of a request: `head`, `path`, `route`, `access`, `cookies`) → `exchange` (a request and
//! its answer, both ways at once) → `outgoing` (the heads that are sent on) → `upstream` (servers'
//! connections) → `link`, `io`, `alarm`, `pace` (moving bytes) → `upgrade` (tunnels) → `error_page`,
//! `activity`, `metrics`, `durations`, `access_log`. HTTP/1 as bytes, without IO, is `http1`; clients that
//! speak HTTP/2 are served by `http2`, by the same decisions. Beside the data path: `control`
//! (routes over HTTP), `side` (small servers).
//!
//! Invariant: what two readers of a message could understand in two ways is refused; where its end
//! is in doubt, the connection it came on is closed. That holds for paths (`path.rs`) as for lengths
//! (`http1/framing.rs`): a request with both `Transfer-Encoding` and `Content-Length` is answered
//! 400 (RFC 9112, section 6.3, lets us choose).

mod access;
mod access_log;
mod activity;
mod alarm;
mod config;
mod control;
mod cookies;
mod descriptors;
mod durations;
mod error_page;
mod exchange;
mod fallback;
mod fields;
pub mod follow;
#[cfg(any(test, fuzzing))]
pub mod fuzz;
mod head;
mod heap;
mod http1;
mod http2;
mod identity;
mod io;
mod link;
mod listen;
mod metrics;
mod moment;
mod outgoing;
mod pace;
mod passage;
mod path;
mod prefix_map;
mod proxy_protocol;
mod request;
mod request_id;
mod rewrite;
mod route;
mod sampled;
mod serve;
mod side;
mod target;
mod tls;
mod upgrade;
mod upstream;

use std::{
    collections::HashMap,
    fmt,
    future::Future,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use arc_swap::{ArcSwap, ArcSwapOption};
use tokio::{net::TcpListener, sync::Semaphore};

pub use access::{Access, Ask, Credential, Decision, Revoked};
pub use access_log::AccessLog;
pub use activity::Activity;
pub use config::{Config, Limits, Network, ProxySecret};
pub use descriptors::raise_descriptor_limit;
pub use error_page::{AddedLanguage, ENGLISH_TEXTS as ERROR_PAGE_TEXTS, ErrorPages, ErrorTarget};
pub use fallback::Fallback;
pub use heap::give_back as give_back_memory;
pub use http2::Http2;
/// The type of [`Ask::method`].
pub use hyper::Method;
pub use identity::Identity;
pub use listen::{Arrivals, Door, HandOver, Handed, ListenAddress, Listener, inherited, take_over};
pub use moment::Moment;
pub use passage::{Passage, passage};
pub use proxy_protocol::{
    Sender as ProxySender, Wrong as ProxyHeaderWrong, parse as parse_proxy_header,
};
pub use rewrite::{Rewrite, Scheme};
pub use route::{Route, RouteAccess, RouteError, RouteTable};
pub use side::SideListener;
pub use target::Target;
pub use tls::{
    Acme, AcmeChallenge, CertificateFiles, CertificateState, Certificates, ClientCertificates, Tls,
    TlsError, TlsVersion,
};
pub use upstream::Upstream;

/// A handle to the data plane; clones share everything.
#[derive(Clone)]
pub struct Proxy {
    inner: Arc<Inner>,
}

struct Inner {
    config: Config,
    access_log: access_log::InForce,
    identity: identity::InForce,
    /// Of error pages, besides the built-in ones.
    languages: error_page::Languages,
    /// Where everything goes that no route matches; none in front of somebody else's hub.
    fallback: Option<Fallback>,
    /// Why nothing can be served yet; told on the health page.
    trouble: ArcSwapOption<String>,
    access: Arc<dyn Access>,
    hidden: cookies::HiddenCookies,
    custom: outgoing::Custom,
    live: ArcSwap<RouteTable>,
    /// Who changes the routes: one at a time, so that a change is never lost to a whole new table.
    turn: Mutex<()>,
    book: activity::Book,
    decisions: access::Decisions,
    log: access::RevocationLog,
    tunnels: Arc<upgrade::Tunnels>,
    connector: Arc<upstream::Connector>,
    metrics: metrics::Metrics,
    http2: http2::Metrics,
    room: Arc<Semaphore>,
    /// Of these for one client.
    most_per_client: usize,
    per_client: listen::PerClient,
    heap: heap::Heap,
    arrived: listen::Arrived,
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

impl Inner {
    fn turn(&self) -> MutexGuard<'_, ()> {
        self.turn.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Client connections, and the tunnels among or within them once more.
    fn open(&self) -> i64 {
        self.metrics.connections.get() + self.metrics.websockets.get()
    }

    /// Gives up room that many connections needed and few no longer do; to be called now and then.
    fn tidy(&self) {
        self.per_client.shrink();
        self.heap.tidy(self.open());
    }

    /// To be called in turn, after something was put.
    fn make_room(&self, live: &RouteTable) {
        if let Some(roomier) = live.roomier() {
            self.live.store(Arc::new(roomier));
        }
    }

    /// The route of a request, and how many bytes of the path its prefix takes. `host` is what
    /// the request says, port and all.
    fn find(&self, host: &str, head: &head::Head) -> Option<(Arc<route::Entry>, usize)> {
        let path = head.path();
        let has_token = || cookies::token(&head.fields).is_some();
        let find = || match self.config.host_routing {
            true => self.live.load().find_entry(Some(host), path),
            false => self.live.load().find_at(host, path, has_token),
        };
        let found = self.metrics.chp.found.time(find);
        // Whoever answers there gets certificates for the name; that is nobody's server.
        let names_host = |entry: &route::Entry| self.config.host_routing || entry.has_host;
        found.filter(|(entry, _)| !(path.starts_with(tls::acme::HTTP_PATH) && names_host(entry)))
    }
}

impl Proxy {
    /// `fallback`: where everything goes that no route matches (the hub, or several).
    pub fn new(config: Config, fallback: impl Into<Fallback>, access: Arc<dyn Access>) -> Self {
        Self::with(config, Some(fallback.into()), access)
    }

    /// In place of configurable-http-proxy: routes come through the control API, the hub's among
    /// them, and every server decides for itself who may.
    pub fn drop_in(config: Config, default_target: Option<&str>) -> Self {
        let config = Config {
            access_cookie: String::new(),
            hidden_cookies: Vec::new(),
            language_cookie: String::new(),
            drop_in: true,
            ..config
        };
        let proxy = Self::with(config, None, Arc::new(access::NobodyAsked));
        if let Some(target) = default_target {
            let mut fields = serde_json::Map::new();
            fields.insert("target".into(), target.into());
            proxy.put_told("/".into(), fields);
        }
        proxy
    }

    fn with(mut config: Config, fallback: Option<Fallback>, access: Arc<dyn Access>) -> Self {
        config.base_path = format!("/{}/", config.base_path.trim_matches('/')).replace("//", "/");
        let hidden = cookies::HiddenCookies::new(
            config
                .hidden_cookies
                .iter()
                .chain([&config.access_cookie])
                .map(String::as_str)
                .filter(|name| !name.is_empty()),
        );
        let inner = Inner {
            hidden,
            access_log: access_log::InForce::new(config.access_log),
            identity: identity::InForce::new(config.identity.clone()),
            languages: error_page::Languages::default(),
            live: ArcSwap::default(),
            turn: Mutex::default(),
            book: activity::Book::default(),
            decisions: access::Decisions::new(&config.limits),
            log: access::RevocationLog::default(),
            tunnels: Arc::default(),
            connector: upstream::Connector::new(&config),
            custom: outgoing::Custom::new(&config.rewrite),
            metrics: metrics::Metrics::default(),
            http2: http2::Metrics::default(),
            most_per_client: config.limits.connections_of_one(),
            room: Arc::new(Semaphore::new(
                config.limits.all_connections().min(Semaphore::MAX_PERMITS),
            )),
            per_client: listen::PerClient::default(),
            heap: heap::Heap::default(),
            arrived: listen::Arrived::default(),
            draining: listen::Draining::default(),
            fallback,
            trouble: ArcSwapOption::empty(),
            access,
            config,
        };
        Self {
            inner: Arc::new(inner),
        }
    }

    /// Puts a whole table in force. Requests under way keep the route they began with.
    pub fn set_routes(&self, table: RouteTable) {
        self.inner.book.hand_out(&table.entries());
        let _turn = self.inner.turn();
        self.inner.live.store(Arc::new(table));
    }

    /// Puts one route in force, in place of the one with the same prefix.
    pub fn put_route(&self, route: Route) -> Result<(), RouteError> {
        let _turn = self.inner.turn();
        let live = self.inner.live.load();
        live.put_route(route, |id| self.inner.book.stats_of_one(id))?;
        self.inner.make_room(&live);
        Ok(())
    }

    /// Whether there was a route with this prefix. Its open WebSockets go on.
    pub fn remove_route(&self, prefix: &str) -> bool {
        let _turn = self.inner.turn();
        self.inner.live.load().remove_route(prefix)
    }

    /// The table in force. Single changes show in it until another takes its place.
    pub fn routes(&self) -> Arc<RouteTable> {
        self.inner.live.load_full()
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

    /// Forgets decisions, so that each is asked for again. WebSockets go on.
    pub fn forget_decisions(&self) {
        self.inner.decisions.forget();
    }

    /// Another proxy in front says who people are from now on than [`Config::identity`] says, or none.
    pub fn set_identity(&self, identity: Option<Identity>) {
        self.inner.identity.set(identity);
    }

    /// Tells other requests in the log from now on than [`Config::access_log`] says.
    pub fn set_access_log(&self, which: AccessLog) {
        self.inner.access_log.set(which);
    }

    /// Error pages are in these languages from now on, besides the built-in ones; says whether they
    /// are others than before.
    pub fn set_languages(&self, languages: Vec<AddedLanguage>) -> bool {
        self.inner.languages.set(languages)
    }

    /// Says on the health page that nothing can be served, and why; or that all is well.
    pub fn set_trouble(&self, why: Option<String>) {
        self.inner.trouble.store(why.map(Arc::new));
    }

    /// What [`Proxy::set_trouble`] said last.
    pub fn trouble(&self) -> Option<Arc<String>> {
        self.inner.trouble.load_full()
    }

    pub fn register_metrics(&self, registry: &mut prometheus_client::registry::Registry) {
        self.inner.metrics.register(registry, &self.inner.connector);
        self.inner.arrived.register(registry);
        self.inner.http2.register(registry);
    }

    /// Whether a load balancer should send requests here: neither before there are routes nor once
    /// a shutdown has begun.
    pub fn is_ready(&self) -> bool {
        !self.inner.is_draining() && self.inner.trouble.load().is_none()
    }

    /// Says that another process accepts from the same sockets now: a shutdown leaves it what
    /// waits there, and goes by at once without [`Limits::unready`].
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
