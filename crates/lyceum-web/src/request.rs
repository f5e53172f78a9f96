//! What the hub knows of a request besides its path: from whom, under which id, by which scheme.
//!
//! Forwarded headers count only when they come from our own proxy, which proves itself with a
//! secret; anybody else's are ignored.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use axum::extract::{ConnectInfo, Request};
use axum::http::HeaderMap;
use axum::middleware::Next;
use axum::response::Response;
use lyceum_model::digest::Digest;
use lyceum_model::secret::Secret;
use subtle::ConstantTimeEq;
use tracing::Instrument;

/// Header by which the proxy proves that it is ours.
pub const PROXY_HEADER: &str = "x-lyceum-proxy";

/// Header by which it says whom a request comes from.
pub const CLIENT_HEADER: &str = "x-lyceum-client";

/// Header by which it says who made the connection to it, where that one may say who people are. A proxy
/// that does not know of such says nothing.
pub const PEER_HEADER: &str = "x-lyceum-peer";

/// What a proxy's secret is known by: its hash, so that the secret does not lie in memory.
#[derive(Clone)]
pub struct ProxyKey([u8; 32]);

impl ProxyKey {
    pub fn of(secret: &Secret) -> Self {
        Self::hash(secret.expose())
    }

    fn hash(secret: &str) -> Self {
        Self(*Digest::of(format!("lyceum 2026 proxy secret\n{secret}").as_bytes()).as_bytes())
    }

    /// Whether this is the secret; takes the same time for every wrong one.
    pub fn accepts(&self, given: &str) -> bool {
        self.0.ct_eq(&Self::hash(given).0).into()
    }
}

impl std::fmt::Debug for ProxyKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ProxyKey(***)")
    }
}

/// In the request's extensions, put there by [`describe`].
#[derive(Debug, Clone)]
pub struct RequestInfo {
    pub id: String,
    pub address: IpAddr,
    /// Who made the connection to our proxy, if by the proxy's own configuration that one may say who
    /// people are.
    pub peer: Option<IpAddr>,
    pub secure: bool,
    /// `host[:port]` as the browser typed it.
    pub host: String,
    pub agent: String,
}

/// Middleware: fills in [`RequestInfo`], opens the span of the request, returns its id.
pub async fn describe(proxy_key: ProxyKey, mut request: Request, next: Next) -> Response {
    let headers = request.headers();
    let trusted = header(headers, PROXY_HEADER).is_some_and(|given| proxy_key.accepts(given));
    let peer = request
        .extensions()
        .get::<ConnectInfo<SocketAddr>>()
        .map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |info| info.0.ip());
    let forwarded = |name: &str| trusted.then(|| header(headers, name)).flatten();
    let info = RequestInfo {
        id: forwarded("x-request-id").map_or_else(
            || lyceum_model::id::new_id(lyceum_model::clock::Clock::system().now()),
            str::to_owned,
        ),
        // Our proxy knows which of those that the request came by are to be believed.
        address: forwarded(CLIENT_HEADER)
            .and_then(|client| client.parse().ok())
            .or_else(|| {
                let list = forwarded("x-forwarded-for")?;
                list.rsplit(',').next()?.trim().parse().ok()
            })
            .unwrap_or(peer),
        peer: forwarded(PEER_HEADER).and_then(|peer| peer.parse().ok()),
        secure: forwarded("x-forwarded-proto") == Some("https"),
        host: header(headers, "host").unwrap_or_default().to_owned(),
        agent: header(headers, "user-agent")
            .unwrap_or_default()
            .chars()
            .take(200)
            .collect(),
    };
    let span = tracing::info_span!(
        "request",
        id = %info.id,
        method = %request.method(),
        // The path only: queries can carry codes and tokens.
        path = %request.uri().path().chars().take(200).collect::<String>(),
    );
    let id = info.id.clone();
    request.extensions_mut().insert(info);
    let mut response = next.run(request).instrument(span).await;
    if let Ok(value) = id.parse() {
        response.headers_mut().insert("x-request-id", value);
    }
    response
}

/// Whether a request was started by a page of another site. Browsers say so; old ones, and all on
/// plain HTTP, only tell the page itself.
pub fn is_from_elsewhere(headers: &HeaderMap, own_host: &str) -> bool {
    if let Some(site) = header(headers, "sec-fetch-site") {
        return !matches!(site, "same-origin" | "none");
    }
    let page = header(headers, "origin").or_else(|| header(headers, "referer"));
    page.is_some_and(|page| {
        let host = page
            .split_once("://")
            .map(|(_, rest)| rest.split(['/', '?', '#']).next().unwrap_or_default());
        !host.is_some_and(|host| host.eq_ignore_ascii_case(own_host))
    })
}

pub fn header<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}
