//! The control API of configurable-http-proxy: routes listed, looked at, put and removed over HTTP.
//!
//! | request | answer |
//! |---|---|
//! | `GET /api/routes[/]` | 200, all routes as one object by path; `?inactive_since=` keeps older ones |
//! | `GET /api/routes/PATH` | 200, or 404 without a body |
//! | `POST /api/routes[/PATH]` `{"target": …}` | 201 without a body; replaces, and keeps all fields |
//! | `DELETE /api/routes[/PATH]` | 204 or 404 without a body |
//!
//! With a token configured everything else is 403 unless it comes as `Authorization: token …`; a
//! body that is not JSON is told before that. What can never be routed (an escape that is none, an
//! empty or `..` segment) is a 400. Bodies are bounded. The times are in `control/moment.rs`, the
//! server in `side.rs`.

mod moment;

use std::sync::Arc;

use bytes::Bytes;
use http_body_util::{BodyExt, Limited};
use hyper::{
    Method, Request, Response, StatusCode,
    body::{Body as _, Incoming},
    header::{ALLOW, AUTHORIZATION, CONTENT_TYPE, HeaderValue, ORIGIN},
};
use percent_encoding::percent_decode_str;
use serde_json::{Map, Value};
use subtle::ConstantTimeEq;

use crate::{
    Proxy,
    config::ProxySecret,
    route::{Entry, Told},
    side::{self, Answer, SideListener},
};

/// The most that the body of a change may have.
const BODY: usize = 1024 * 1024;
/// How long a body may take.
const PATIENCE: std::time::Duration = std::time::Duration::from_secs(30);

impl Proxy {
    /// Serves the control API until `shutdown`. Without a token it is open to whoever reaches it.
    pub async fn run_control(
        &self,
        listener: SideListener,
        token: Option<ProxySecret>,
        shutdown: impl Future<Output = ()>,
    ) {
        let control = Arc::new(Control {
            proxy: self.clone(),
            token,
        });
        let handler = move |request| {
            let control = control.clone();
            async move { control.answer(request).await }
        };
        side::run(listener, handler, shutdown).await;
    }
}

struct Control {
    proxy: Proxy,
    token: Option<ProxySecret>,
}

impl Control {
    async fn answer(&self, request: Request<Incoming>) -> Response<Answer> {
        let method = request.method().clone();
        let path = request.uri().path().to_owned();
        let response = self.handle(request).await;
        let status = response.status();
        self.proxy.inner.metrics.chp.count_api(status.as_u16());
        tracing::debug!(%method, path, status = status.as_u16(), "control API");
        response
    }

    async fn handle(&self, request: Request<Incoming>) -> Response<Answer> {
        let rest = match request.uri().path().strip_prefix("/api/routes") {
            Some(rest) if rest.is_empty() || rest.starts_with('/') => rest,
            _ => {
                return say(
                    StatusCode::NOT_FOUND,
                    "there is nothing here but /api/routes",
                );
            }
        };
        let path = match decode(rest) {
            Ok(path) => path,
            Err(why) => return say(StatusCode::BAD_REQUEST, why),
        };
        let method = request.method().clone();
        match method {
            Method::GET | Method::DELETE if !self.lets_in(&request) => empty(StatusCode::FORBIDDEN),
            Method::GET if path == "/" => self.list(request.uri().query()),
            Method::GET => self.get(&path),
            Method::DELETE => self.delete(&path),
            Method::POST => self.post(path, request).await,
            _ => {
                let mut response = say(
                    StatusCode::METHOD_NOT_ALLOWED,
                    "routes know GET, POST and DELETE",
                );
                let known = HeaderValue::from_static("GET, POST, DELETE");
                response.headers_mut().insert(ALLOW, known);
                response
            }
        }
    }

    fn by_host(&self) -> bool {
        self.proxy.inner.config.host_routing
    }

    /// Whether a request carries the token, if one is needed.
    fn lets_in(&self, request: &Request<Incoming>) -> bool {
        let Some(token) = &self.token else {
            // A page of a browser on this machine is not its owner's program.
            let headers = request.headers();
            return !headers.contains_key(ORIGIN) && !headers.contains_key("sec-fetch-site");
        };
        let said = request
            .headers()
            .get(AUTHORIZATION)
            .and_then(|value| value.to_str().ok())
            .and_then(|value| value.trim().split_once(char::is_whitespace))
            .filter(|(scheme, _)| *scheme == "token")
            .map_or("", |(_, token)| token.trim());
        !said.is_empty() && bool::from(said.as_bytes().ct_eq(token.expose().as_bytes()))
    }

    fn list(&self, query: Option<&str>) -> Response<Answer> {
        let before = match inactive_since(query.unwrap_or_default()) {
            Ok(before) => before,
            Err(text) => {
                let why = format!(
                    "\"{text}\" is not a time; write it like 2026-01-31T12:00:00Z or 2026-01-31"
                );
                return say(StatusCode::BAD_REQUEST, why);
            }
        };
        let mut entries = self.proxy.inner.live.load().entries();
        entries.sort_by(|one, other| path_of(one).cmp(path_of(other)));
        let mut all = Vec::with_capacity(entries.len() * 160 + 2);
        all.push(b'{');
        for entry in entries {
            let last_ms = entry.stats().last_ms();
            if before.is_some_and(|before| i128::from(last_ms) >= i128::from(before)) {
                continue;
            }
            if all.len() > 1 {
                all.push(b',');
            }
            write_json(&mut all, &Value::from(path_of(&entry)));
            all.push(b':');
            write_json(&mut all, &Value::Object(describe(&entry, last_ms)));
        }
        all.push(b'}');
        self.proxy.inner.metrics.chp.count_listed();
        json(all)
    }

    fn get(&self, path: &str) -> Response<Answer> {
        match self.proxy.inner.live.load().get_told(path, self.by_host()) {
            Some(entry) => {
                let mut body = Vec::new();
                let fields = describe(&entry, entry.stats().last_ms());
                write_json(&mut body, &Value::Object(fields));
                json(body)
            }
            None => empty(StatusCode::NOT_FOUND),
        }
    }

    fn delete(&self, path: &str) -> Response<Answer> {
        let removed = self.proxy.remove_told(path);
        self.proxy.inner.metrics.chp.count_deleted();
        if removed {
            empty(StatusCode::NO_CONTENT)
        } else {
            empty(StatusCode::NOT_FOUND)
        }
    }

    async fn post(&self, path: String, request: Request<Incoming>) -> Response<Answer> {
        let lets_in = self.lets_in(&request);
        let body = match read_body(request).await {
            Ok(body) => body,
            Err(response) => return *response,
        };
        let fields = match serde_json::from_slice(&body) {
            Ok(Value::Object(fields)) => fields,
            Ok(_) => Map::new(),
            Err(error) => {
                let why = format!("the body is not JSON: {error}");
                return say(StatusCode::BAD_REQUEST, why);
            }
        };
        if !lets_in {
            return empty(StatusCode::FORBIDDEN);
        }
        if !fields.get("target").is_some_and(Value::is_string) {
            let why = "the body must say the \"target\", an address such as http://127.0.0.1:8888";
            return say(StatusCode::BAD_REQUEST, why);
        }
        if !self.proxy.put_told(path, fields) {
            let why = "no request ever has this path: it has an empty, `.` or `..` segment, a backslash or NUL, or too many segments";
            return say(StatusCode::BAD_REQUEST, why);
        }
        self.proxy.inner.metrics.chp.count_added();
        empty(StatusCode::CREATED)
    }
}

impl Proxy {
    /// Puts a route as the control API says it; false if no request can ever have its path.
    pub(crate) fn put_told(&self, path: String, mut fields: Map<String, Value>) -> bool {
        let by_host = self.inner.config.host_routing;
        let address = fields.get("target").and_then(Value::as_str).unwrap_or("");
        let target = address.parse().ok();
        if target.is_none() {
            // Not the address itself: it may have a password in it.
            tracing::warn!(
                path,
                "requests for this route will be answered 503: its target is no address such as http://127.0.0.1:8888"
            );
        }
        if by_host && path != "/" {
            let host = path[1..].split('/').next().unwrap_or_default();
            fields.insert("host".into(), host.into());
        }
        let told = Told { path, fields };
        let Some(entry) = Entry::told(told, target, by_host) else {
            return false;
        };
        let _turn = self.inner.turn();
        let live = self.inner.live.load();
        // Whoever still uses the route it replaces goes on to count.
        if let Some(before) = live.get_same(&entry) {
            entry.keep_stats(before.stats().clone());
        }
        entry.stats().touch();
        live.put(entry);
        self.inner.make_room(&live);
        true
    }

    fn remove_told(&self, path: &str) -> bool {
        let _turn = self.inner.turn();
        let live = self.inner.live.load();
        live.remove_told(path, self.inner.config.host_routing)
            .is_some()
    }
}

/// The route's path: decoded, with a slash before it and none after.
fn decode(rest: &str) -> Result<String, &'static str> {
    let bytes = rest.as_bytes();
    let sound = bytes.iter().enumerate().all(|(at, byte)| {
        *byte != b'%'
            || matches!(bytes.get(at + 1..at + 3), Some([a, b]) if a.is_ascii_hexdigit() && b.is_ascii_hexdigit())
    });
    if !sound {
        return Err("the path has a % that begins no escape");
    }
    let path = percent_decode_str(rest)
        .decode_utf8()
        .map_err(|_| "the path is not UTF-8 once its escapes are read")?;
    let path = path.strip_suffix('/').unwrap_or(&path);
    Ok(if path.is_empty() {
        "/".to_owned()
    } else {
        path.to_owned()
    })
}

/// The time that a query asks for, in milliseconds; or what was not understood.
fn inactive_since(query: &str) -> Result<Option<i64>, String> {
    let value = |name: &str| {
        let raw = query
            .split('&')
            .filter_map(|pair| pair.split_once('='))
            .find_map(|(key, value)| (key == name).then_some(value))?;
        let text = raw.replace('+', " ");
        let text = percent_decode_str(&text).decode_utf8_lossy().into_owned();
        (!text.is_empty()).then_some(text)
    };
    match value("inactiveSince").or_else(|| value("inactive_since")) {
        None => Ok(None),
        Some(text) => moment::parse(&text).map(Some).ok_or(text),
    }
}

async fn read_body(request: Request<Incoming>) -> Result<Bytes, Box<Response<Answer>>> {
    let refused = |status, why: &str| Err(Box::new(say(status, why)));
    let too_large = "the body of a change may have 1 MiB at most";
    let body = request.into_body();
    if body.size_hint().lower() > BODY as u64 {
        return refused(StatusCode::PAYLOAD_TOO_LARGE, too_large);
    }
    let reading = Limited::new(body, BODY).collect();
    match tokio::time::timeout(PATIENCE, reading).await {
        Ok(Ok(body)) => Ok(body.to_bytes()),
        Ok(Err(error)) if error.is::<http_body_util::LengthLimitError>() => {
            refused(StatusCode::PAYLOAD_TOO_LARGE, too_large)
        }
        Ok(Err(_)) => refused(StatusCode::BAD_REQUEST, "the body broke off"),
        Err(_) => refused(StatusCode::REQUEST_TIMEOUT, "the body took too long"),
    }
}

fn path_of(entry: &Entry) -> &str {
    match &entry.told {
        Some(told) => &told.path,
        None if entry.prefix == "/" => "/",
        None => entry.prefix.trim_end_matches('/'),
    }
}

fn describe(entry: &Entry, last_ms: u64) -> Map<String, Value> {
    let mut fields = match &entry.told {
        Some(told) => told.fields.clone(),
        None => Map::new(),
    };
    if let (None, Some(target)) = (&entry.told, &entry.target) {
        fields.insert("target".into(), target.to_string().into());
    }
    fields.insert("last_activity".into(), moment::show(last_ms).into());
    fields
}

fn write_json(to: &mut Vec<u8>, value: &Value) {
    serde_json::to_writer(to, value).expect("a JSON value is JSON, and memory takes it");
}

fn json(body: Vec<u8>) -> Response<Answer> {
    let mut response = Response::new(Answer::from(Bytes::from(body)));
    let json = HeaderValue::from_static("application/json");
    response.headers_mut().insert(CONTENT_TYPE, json);
    response
}

fn empty(status: StatusCode) -> Response<Answer> {
    let mut response = Response::new(Answer::default());
    *response.status_mut() = status;
    response
}

fn say(status: StatusCode, why: impl Into<String>) -> Response<Answer> {
    let mut response = Response::new(Answer::from(Bytes::from(format!("{}\n", why.into()))));
    *response.status_mut() = status;
    let text = HeaderValue::from_static("text/plain; charset=utf-8");
    response.headers_mut().insert(CONTENT_TYPE, text);
    response
}
