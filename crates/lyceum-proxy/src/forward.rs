//! One request, from its head to its answer: check, route, admit, forward.
//!
//! Method, path, query and `Host` go on byte for byte; bodies are streams; lengths are hyper's own
//! reading of the message, never two headers of the client's. A request is sent a second time only
//! if the first attempt went to a kept connection that turned out closed, and then only if nothing
//! of it was sent or it may safely be repeated (RFC 9110, section 9.2.2).

use std::{
    net::IpAddr,
    pin::pin,
    sync::{Arc, Weak},
    time::{Duration, Instant},
};

use hyper::{
    HeaderMap, Method, Request, Response, StatusCode, Uri, Version,
    body::{Body as _, Incoming},
    header::{
        ACCEPT, CACHE_CONTROL, CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, HOST, HeaderName,
        HeaderValue, LOCATION, STRICT_TRANSPORT_SECURITY, TRANSFER_ENCODING, UPGRADE,
    },
    http::request::Parts,
    upgrade::OnUpgrade,
};
use hyper_util::rt::TokioIo;

use crate::{
    Inner, Live,
    access::{Ask, Decision},
    activity::Stats,
    body::{Body, Metered, TICK, Upload},
    error_page::{self, Failure, Lang, Unclear, X_REQUEST_ID},
    headers,
    listen::{Conn, Early},
    metrics::{Direction, Kind},
    path,
    peer::Peer,
    pool::{ConnectError, Lease, Sender},
    request_id::new_request_id,
    route::{Route, RouteAccess},
    target::Target,
    upgrade::{self, Admitted, Gauges},
};

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const X_FORWARDED_PORT: HeaderName = HeaderName::from_static("x-forwarded-port");
const X_LYCEUM_PROXY: HeaderName = HeaderName::from_static("x-lyceum-proxy");
/// For the hub: whom the request comes from, worked out from the chain.
const X_LYCEUM_CLIENT: HeaderName = HeaderName::from_static("x-lyceum-client");
const X_REQUESTED_WITH: HeaderName = HeaderName::from_static("x-requested-with");
const SEC_FETCH_MODE: HeaderName = HeaderName::from_static("sec-fetch-mode");

/// How long both sides may take to change protocols once they agreed to.
const UPGRADE_TIME_OUT: Duration = Duration::from_secs(10);

/// The connection is cut without an answer: nobody is left to read one.
#[derive(Debug, thiserror::Error)]
#[error("the client has left")]
pub(crate) struct Cut;

/// Why a request is not forwarded, or not answered by its server.
enum Stop {
    Failure(Failure),
    /// A ready answer, such as a redirect to the hub.
    Answer(Box<Response<Body>>),
    Cut,
}

impl From<Failure> for Stop {
    fn from(failure: Failure) -> Self {
        Self::Failure(failure)
    }
}

/// Where a request goes.
struct Way<'a> {
    kind: Kind,
    target: &'a Target,
    route: Option<&'a Route>,
    stats: Option<&'a Arc<Stats>>,
}

/// What of the client's connection and request the steps need besides the head.
struct Ctx<'a> {
    inner: &'a Arc<Inner>,
    conn: &'a Arc<Conn>,
    id: &'a str,
}

pub(crate) async fn serve(
    inner: Arc<Inner>,
    conn: Arc<Conn>,
    request: Request<Incoming>,
) -> Result<Response<Body>, Cut> {
    let began = Instant::now();
    let id = new_request_id();
    let (parts, body) = request.into_parts();
    let method = parts.method.clone();
    let uri = parts.uri.clone();
    let json = error_page::wants_json(&parts.headers, uri.path());
    let lang = Lang::wanted(&parts.headers);
    let ctx = Ctx {
        inner: &inner,
        conn: &conn,
        id: &id,
    };
    let live = inner.live.load_full();
    let mut kind = Kind::Proxy;
    let mut route_id = "";
    let outcome = match check_request(&inner, &conn, &parts) {
        Err(stop) => Err(stop),
        Ok(()) => {
            let way = find_way(&inner, &live, uri.path());
            kind = way.kind;
            route_id = way.route.map_or("", |route| route.id.as_str());
            ctx.admit_and_forward(&way, parts, body).await
        }
    };
    let response = match outcome {
        Ok(response) => response,
        Err(Stop::Answer(response)) => *response,
        Err(Stop::Failure(failure)) => {
            error_page::render(&failure, json, lang, &id, &inner.config.base_path)
        }
        Err(Stop::Cut) => {
            tracing::debug!(request = %id, route = route_id, "the client left before its answer");
            return Err(Cut);
        }
    };
    let mut response = response;
    if let Some(strict) = conn.strict_transport().and_then(|text| text.parse().ok()) {
        response
            .headers_mut()
            .insert(STRICT_TRANSPORT_SECURITY, strict);
    }
    let status = response.status();
    inner.metrics.count_request(kind, status.as_u16());
    // Never the query: tokens and codes travel there.
    tracing::debug!(
        request = %id,
        %method,
        path = uri.path(),
        status = status.as_u16(),
        route = route_id,
        client = %conn.address,
        micros = began.elapsed().as_micros() as u64,
        "request"
    );
    Ok(response)
}

/// Refuses what could be understood in two ways, and answers what is for the proxy itself.
fn check_request(inner: &Inner, conn: &Conn, parts: &Parts) -> Result<(), Stop> {
    if parts.method == Method::CONNECT {
        return Err(Failure::MethodNotAllowed.into());
    }
    let refused = |why: Unclear| Err(Failure::BadRequest(why).into());
    let mut hosts = parts.headers.get_all(HOST).iter();
    match (hosts.next(), hosts.next(), parts.uri.authority()) {
        (_, Some(_), _) => return refused(Unclear::TwoHosts),
        (None, None, _) if parts.version >= Version::HTTP_11 => {
            return refused(Unclear::NoHost);
        }
        (Some(host), None, Some(authority))
            if !host
                .as_bytes()
                .eq_ignore_ascii_case(authority.as_str().as_bytes()) =>
        {
            return refused(Unclear::HostsDiffer);
        }
        _ => {}
    }
    let size: usize = parts
        .headers
        .iter()
        .map(|(name, value)| name.as_str().len() + value.len() + 4)
        .sum();
    let path_size = parts.uri.path_and_query().map_or(0, |pq| pq.as_str().len());
    if size + path_size > inner.config.limits.header_bytes {
        return Err(Failure::HeadersTooLarge.into());
    }
    if let Err(bad) = path::check_path(parts.uri.path()) {
        return Err(Failure::BadRequest(Unclear::Path(bad)).into());
    }
    let host = parts
        .headers
        .get(HOST)
        .and_then(|host| host.to_str().ok())
        .or(parts.uri.authority().map(|authority| authority.as_str()));
    let path = parts.uri.path_and_query().map_or("", |path| path.as_str());
    if let Some(early) = conn.early_answer(inner, parts.method.as_str(), host, path) {
        return Err(Stop::Answer(Box::new(early_answer(early))));
    }
    if parts.uri.path() == "/_chp_healthz" {
        let mut response = Response::new(Body::Full(Some(r#"{"status":"OK"}"#.into())));
        response
            .headers_mut()
            .insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        return Err(Stop::Answer(Box::new(response)));
    }
    Ok(())
}

fn early_answer(early: Early) -> Response<Body> {
    let mut response = Response::new(Body::Full(Some(early.body.into_owned().into())));
    *response.status_mut() =
        StatusCode::from_u16(early.status).expect("early answers have statuses of ours");
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(early.content_type));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if let Some(location) = early
        .location
        .and_then(|url| HeaderValue::try_from(url).ok())
    {
        headers.insert(LOCATION, location);
    }
    response
}

fn find_way<'a>(inner: &'a Inner, live: &'a Live, path: &str) -> Way<'a> {
    match live.table.find_index(path) {
        Some(index) => {
            let route = &live.table.routes()[index];
            Way {
                kind: match route.access {
                    RouteAccess::Checked => Kind::Checked,
                    RouteAccess::Open => Kind::Open,
                },
                target: &route.target,
                route: Some(route),
                stats: Some(&live.stats[index]),
            }
        }
        None => Way {
            kind: Kind::Fallback,
            target: &inner.fallback,
            route: None,
            stats: None,
        },
    }
}

impl Ctx<'_> {
    async fn admit_and_forward(
        &self,
        way: &Way<'_>,
        mut parts: Parts,
        body: Incoming,
    ) -> Result<Response<Body>, Stop> {
        // A request with a body cannot be a tunnel's beginning: its body would be the first bytes.
        let upgrade = headers::asked_upgrade(&parts.headers)
            .filter(|_| body.is_end_stream() && parts.version == Version::HTTP_11);
        let admitted = match way.route {
            Some(route) if route.access == RouteAccess::Checked => {
                self.admit(route, &parts, upgrade.is_some()).await?
            }
            _ => Admitted {
                as_of: self.inner.log.number(),
                ..Admitted::default()
            },
        };
        match upgrade {
            Some(protocol) => {
                let ours = parts.extensions.remove::<OnUpgrade>();
                self.tunnel(way, &parts, protocol, ours, admitted).await
            }
            None => self.forward(way, &parts, body).await,
        }
    }

    /// Asks who may; gives who was let in.
    async fn admit(
        &self,
        route: &Route,
        parts: &Parts,
        is_websocket: bool,
    ) -> Result<Admitted, Stop> {
        let as_of = self.inner.log.number();
        let (mut denied, mut unavailable) = (false, false);
        for credential in headers::credentials(&parts.headers, &self.inner.config.access_cookie) {
            let ask = Ask {
                route_id: route.id.clone(),
                prefix: route.prefix.clone(),
                owner: route.owner.clone(),
                credential,
                method: parts.method.clone(),
                is_websocket,
            };
            let access = self.inner.access.as_ref();
            match self.inner.decisions.decide(access, &ask).await {
                Decision::Allow { subject, .. } => {
                    return Ok(Admitted {
                        credential: ask.credential.hash(),
                        subject: Some(subject),
                        as_of,
                    });
                }
                Decision::Deny => denied = true,
                Decision::SignIn => {}
                Decision::Unavailable => unavailable = true,
            }
        }
        if unavailable {
            tracing::warn!(request = self.id, route = %route.id, "no access decision to be had");
            self.inner.metrics.count_denied("unavailable");
            return Err(Failure::AccessUnavailable.into());
        }
        let why = if denied { "denied" } else { "sign_in" };
        self.inner.metrics.count_denied(why);
        if !is_websocket && is_navigation(parts) {
            return Err(Stop::Answer(Box::new(
                self.redirect_to_hub(&parts.uri)
                    .ok_or(Failure::BadRequest(Unclear::Unreadable))?,
            )));
        }
        Err(Failure::Denied.into())
    }

    /// The hub shows the log-in form, or says that there is no access.
    fn redirect_to_hub(&self, uri: &Uri) -> Option<Response<Body>> {
        let base = &self.inner.config.base_path;
        let path = uri.path();
        let rest = path
            .strip_prefix(base.as_str())
            .unwrap_or_else(|| path.trim_start_matches('/'));
        let query = uri.query().map(|q| format!("?{q}")).unwrap_or_default();
        let location = format!("{base}hub/{rest}{query}");
        let mut response = Response::new(Body::empty());
        *response.status_mut() = StatusCode::FOUND;
        let headers = response.headers_mut();
        headers.insert(LOCATION, HeaderValue::from_bytes(location.as_bytes()).ok()?);
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        Some(response)
    }

    async fn forward(
        &self,
        way: &Way<'_>,
        parts: &Parts,
        body: Incoming,
    ) -> Result<Response<Body>, Stop> {
        let limits = &self.inner.config.limits;
        let upload = Upload::new();
        let has_body = !body.is_end_stream();
        let mut outgoing = self.head(way, parts);
        if has_body {
            if parts.headers.contains_key(TRANSFER_ENCODING) {
                // Said outright: for some methods hyper would otherwise assume no body.
                outgoing
                    .headers_mut()
                    .insert(TRANSFER_ENCODING, HeaderValue::from_static("chunked"));
            }
            let counter = self.inner.metrics.bytes(way.kind, Direction::In);
            let metered = Metered::new(
                body,
                Direction::In,
                counter,
                way.stats.cloned(),
                limits.idle,
            );
            *outgoing.body_mut() = Body::Stream(Box::new(metered.with_upload(upload.clone())));
        }
        let repeatable = !has_body && parts.method.is_idempotent();

        let mut kept = self.inner.pool.take(way.target);
        let (response, sender) = loop {
            let reused = kept.is_some();
            let mut sender = match kept.take() {
                Some(sender) => sender,
                None => self.connect(way).await?,
            };
            let answer = self
                .answer(sender.try_send_request(outgoing), &upload)
                .await?;
            match answer {
                Ok(response) => break (response, sender),
                Err(mut failed) => {
                    let unsent = failed.take_message();
                    let error = failed.into_error();
                    if upload.has_failed() {
                        return Err(Stop::Cut);
                    }
                    outgoing = match unsent {
                        Some(request) if reused => request,
                        None if reused && repeatable && is_closed(&error) => self.head(way, parts),
                        _ => return Err(self.bad_answer(way, &error)),
                    };
                }
            }
        };
        if response.status().is_informational() {
            // Nobody asked to change protocols.
            self.inner.metrics.count_upstream_error("bad_answer");
            return Err(Failure::BadAnswer.into());
        }
        Ok(self.pass_on(way, parts, response, Some(sender)))
    }

    /// Waits for the head of an answer. Time counts from the last piece of the request's body.
    async fn answer<T>(&self, sent: impl Future<Output = T>, upload: &Upload) -> Result<T, Stop> {
        let limit = self.inner.config.limits.first_byte;
        let mut sent = pin!(sent);
        loop {
            let wait = limit.saturating_sub(upload.still_for()).min(TICK);
            match tokio::time::timeout(wait, sent.as_mut()).await {
                Ok(answer) => return Ok(answer),
                Err(_) if is_gone(&self.conn.peer) => return Err(Stop::Cut),
                Err(_) if upload.still_for() >= limit => {
                    self.inner.metrics.count_upstream_error("first_byte");
                    return Err(Failure::TooSlow.into());
                }
                Err(_) => {}
            }
        }
    }

    /// A new connection, made to whom the route is meant for.
    async fn connect(&self, way: &Way<'_>) -> Result<Sender, Stop> {
        let target = way.target;
        let why = match self.inner.pool.connect(target).await {
            Ok(sender) if self.is_meant(way).await => return Ok(sender),
            Ok(_) => {
                let error = "another program listens there, or the server has just ended";
                tracing::warn!(request = self.id, %target, error, "a server cannot be reached");
                "stranger"
            }
            Err(error) => {
                tracing::info!(request = self.id, %target, %error, "a server cannot be reached");
                match error {
                    ConnectError::TimeOut => "connect_time_out",
                    ConnectError::Refused(_) | ConnectError::Http(_) => "connect",
                }
            }
        };
        self.inner.metrics.count_upstream_error(why);
        Err(Failure::NoServer.into())
    }

    async fn is_meant(&self, way: &Way<'_>) -> bool {
        let Some(route) = way.route else {
            return true;
        };
        let vouched = self.inner.access.vouch(&route.id, way.target);
        let limit = self.inner.config.limits.connect;
        tokio::time::timeout(limit, vouched).await.unwrap_or(false)
    }

    fn bad_answer(&self, way: &Way<'_>, error: &hyper::Error) -> Stop {
        let closed = is_closed(error);
        let why = if closed { "closed" } else { "bad_answer" };
        self.inner.metrics.count_upstream_error(why);
        tracing::info!(request = self.id, target = %way.target, %error, "a server gave no proper answer");
        if closed {
            Failure::NoServer.into()
        } else {
            Failure::BadAnswer.into()
        }
    }

    /// The request as the next hop gets it, still without a body.
    fn head(&self, way: &Way<'_>, parts: &Parts) -> Request<Body> {
        let config = &self.inner.config;
        let conn = self.conn;
        let mut out = headers::copy_end_to_end(&parts.headers, |name| {
            !headers::is_ours(name) && (conn.is_trusted || !headers::is_forwarding_header(name))
        });
        let to_hub = way.route.is_none();
        if !to_hub {
            self.inner.hidden.strip_request(&mut out);
        }
        if !out.contains_key(HOST)
            && let Ok(host) = HeaderValue::from_str(way.target.authority())
        {
            // Only HTTP/1.0 clients may leave it out.
            out.insert(HOST, host);
        }
        forwarded(&mut out, conn);
        if let Ok(id) = HeaderValue::from_str(self.id) {
            out.insert(X_REQUEST_ID, id);
        }
        if to_hub
            && !config.proxy_secret.expose().is_empty()
            && let Ok(mut secret) = HeaderValue::from_str(config.proxy_secret.expose())
        {
            secret.set_sensitive(true);
            out.insert(X_LYCEUM_PROXY, secret);
            let chain = out
                .get(X_FORWARDED_FOR)
                .and_then(|chain| chain.to_str().ok());
            let client = conn.client(self.inner, chain.unwrap_or_default());
            if let Ok(client) = HeaderValue::try_from(client.to_string()) {
                out.insert(X_LYCEUM_CLIENT, client);
            }
        }
        let mut request = Request::new(Body::empty());
        *request.method_mut() = parts.method.clone();
        if let Some(path_and_query) = parts.uri.path_and_query() {
            *request.uri_mut() = Uri::from(path_and_query.clone());
        }
        *request.headers_mut() = out;
        request
    }

    /// The server's answer as the client gets it.
    fn pass_on(
        &self,
        way: &Way<'_>,
        parts: &Parts,
        response: Response<Incoming>,
        sender: Option<Sender>,
    ) -> Response<Body> {
        let (head, incoming) = response.into_parts();
        let is_hub = way.route.is_none();
        let mut out = headers::copy_end_to_end(&head.headers, |name| {
            is_hub || !headers::speaks_for_the_site(name)
        });
        out.remove(CONNECTION);
        let two_lengths =
            head.headers.contains_key(TRANSFER_ENCODING) && out.remove(CONTENT_LENGTH).is_some();
        if way.route.is_some() {
            self.inner.hidden.strip_response(&mut out);
        }
        let is_success = head.status.as_u16() < 300;
        if is_success && let Some(stats) = way.stats {
            stats.touch();
        }
        let lease = sender.filter(|_| !two_lengths).map(|sender| Lease {
            pool: self.inner.pool.clone(),
            target: way.target.clone(),
            sender,
        });
        let counter = self.inner.metrics.bytes(way.kind, Direction::Out);
        let stats = way.stats.filter(|_| is_success).cloned();
        // Without a length an HTTP/1.0 client takes the close for the end.
        let reset_if_cut = parts.version < Version::HTTP_11;
        let mut body = Metered::new(
            incoming,
            Direction::Out,
            counter,
            stats,
            self.inner.config.limits.idle,
        )
        .bound_for(self.conn.peer.clone(), reset_if_cut);
        if let Some(lease) = lease {
            body = body.with_lease(lease);
        }
        let mut response = Response::new(Body::Stream(Box::new(body)));
        *response.status_mut() = head.status;
        *response.headers_mut() = out;
        response
    }

    /// Forwards a request to change protocols, and carries the bytes once both sides agreed.
    async fn tunnel(
        &self,
        way: &Way<'_>,
        parts: &Parts,
        protocol: HeaderValue,
        ours: Option<OnUpgrade>,
        admitted: Admitted,
    ) -> Result<Response<Body>, Stop> {
        let mut outgoing = self.head(way, parts);
        let headers = outgoing.headers_mut();
        headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
        headers.insert(UPGRADE, protocol);
        let mut sender = self.connect(way).await?;
        let upload = Upload::new();
        let mut response = match self
            .answer(sender.try_send_request(outgoing), &upload)
            .await?
        {
            Ok(response) => response,
            Err(failed) => return Err(self.bad_answer(way, &failed.into_error())),
        };
        if response.status() != StatusCode::SWITCHING_PROTOCOLS {
            return Ok(self.pass_on(way, parts, response, Some(sender)));
        }
        let theirs = hyper::upgrade::on(&mut response);
        let Some(ours) = ours else {
            return Err(Failure::BadRequest(Unclear::NoUpgrade).into());
        };
        let entered = self
            .inner
            .tunnels
            .enter(
                admitted,
                &self.inner.log,
                self.inner.metrics.websockets.clone(),
            )
            .ok_or(Failure::Denied)?;
        let gauges = Gauges {
            stats: way.stats.cloned(),
            _websocket: way.stats.map(Stats::open_websocket),
            bytes_in: self.inner.metrics.bytes(way.kind, Direction::In),
            bytes_out: self.inner.metrics.bytes(way.kind, Direction::Out),
        };
        if let Some(stats) = way.stats {
            stats.touch();
        }
        let (inner, conn, id) = (self.inner.clone(), self.conn.clone(), self.id.to_owned());
        let revoked = entered.cancelled();
        self.conn.tasks.spawn(async move {
            let both = async { tokio::try_join!(ours, theirs) };
            let Ok(Ok((client, server))) = tokio::time::timeout(UPGRADE_TIME_OUT, both).await
            else {
                tracing::debug!(request = %id, "the change of protocols failed");
                return;
            };
            let (client, server) = (TokioIo::new(client), TokioIo::new(server));
            let carry = upgrade::carry(
                client,
                server,
                conn.peer.clone(),
                &inner.config.limits,
                &gauges,
            );
            let end = tokio::select! {
                end = carry => end.map_or("broken", |()| "finished"),
                () = revoked.cancelled() => "revoked",
                () = conn.kill.cancelled() => "shutdown",
            };
            tracing::debug!(request = %id, end, "a tunnel ended");
            drop((entered, gauges, conn));
        });

        let agreed = response.headers().get(UPGRADE).cloned();
        let mut out = headers::copy_end_to_end(response.headers(), |_| true);
        if way.route.is_some() {
            self.inner.hidden.strip_response(&mut out);
        }
        out.insert(CONNECTION, HeaderValue::from_static("upgrade"));
        if let Some(agreed) = agreed {
            out.insert(UPGRADE, agreed);
        }
        let mut switching = Response::new(Body::empty());
        *switching.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
        *switching.headers_mut() = out;
        Ok(switching)
    }
}

fn is_gone(peer: &Weak<Peer>) -> bool {
    peer.upgrade().is_none_or(|peer| peer.is_gone())
}

/// Whether the connection just ended, rather than carried something unreadable.
fn is_closed(error: &hyper::Error) -> bool {
    error.is_incomplete_message()
        || error.is_canceled()
        || error.is_closed()
        || std::error::Error::source(error)
            .is_some_and(|source| source.downcast_ref::<std::io::Error>().is_some())
}

/// Whether a person looks at the answer, so that a redirect to a page makes sense.
fn is_navigation(parts: &Parts) -> bool {
    let headers = &parts.headers;
    let accepts_html = headers
        .get_all(ACCEPT)
        .iter()
        .any(|value| value.as_bytes().windows(9).any(|part| part == b"text/html"));
    let by_script = headers.contains_key(X_REQUESTED_WITH)
        || headers
            .get(SEC_FETCH_MODE)
            .is_some_and(|mode| mode != "navigate");
    matches!(parts.method, Method::GET | Method::HEAD) && accepts_html && !by_script
}

/// Says who asked for what. A trusted peer's word is kept and added to; anyone else's has been
/// taken out before.
fn forwarded(out: &mut HeaderMap, conn: &Conn) {
    let is_trusted = conn.is_trusted;
    let address: IpAddr = conn.address.ip().to_canonical();
    let chain = out
        .get_all(X_FORWARDED_FOR)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .chain([address.to_string().as_str()])
        .collect::<Vec<_>>()
        .join(", ");
    if let Ok(chain) = HeaderValue::from_str(&chain) {
        out.insert(X_FORWARDED_FOR, chain);
    }
    if !(is_trusted && out.contains_key(X_FORWARDED_PROTO)) {
        let proto = if conn.is_https { "https" } else { "http" };
        out.insert(X_FORWARDED_PROTO, HeaderValue::from_static(proto));
    }
    let is_https = out
        .get(X_FORWARDED_PROTO)
        .is_some_and(|proto| proto == "https");
    let Some(host) = out.get(HOST).cloned() else {
        return;
    };
    if !(is_trusted && out.contains_key(X_FORWARDED_PORT)) {
        let port = host
            .to_str()
            .ok()
            .and_then(|host| host.parse::<hyper::http::uri::Authority>().ok())
            .and_then(|authority| authority.port_u16())
            .unwrap_or(if is_https { 443 } else { 80 });
        out.insert(X_FORWARDED_PORT, HeaderValue::from(port));
    }
    if !(is_trusted && out.contains_key(X_FORWARDED_HOST)) {
        out.insert(X_FORWARDED_HOST, host);
    }
}
