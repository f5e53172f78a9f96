//! What becomes of a request, whichever protocol it came by: refused, answered here, or sent on,
//! and to whom.
//!
//! # For whoever speaks another protocol to clients
//!
//! 1. Fill a [`Head`] (`head.rs`): `begin`, `fields.push` for each header, `framing`, `finish`.
//! 2. Make a [`Ctx`], and call [`check`], `Inner::find`, [`find_way`], then [`Ctx::admit`].
//! 3. Each may give a [`Stop`]: a failure (`error_page` makes a page of it), a ready answer, or
//!    nothing at all because nobody is left to read it.
//! 4. After `Pool::connect` ask `Access::vouch` before anything is sent (`exchange.rs` does).
//! 5. Send it on with `upstream.rs`; `outgoing.rs` writes the head and says which headers of the
//!    answer pass. `Metrics::count_request`, `Stats` and the byte counters are up to the caller.

use std::sync::Arc;

use bytes::Bytes;
use hyper::{
    Response, StatusCode,
    header::{CACHE_CONTROL, CONTENT_TYPE, HeaderValue, LOCATION},
};

use crate::{
    Inner,
    access::{Ask, Decision},
    activity::Stats,
    cookies,
    error_page::{Failure, Unclear},
    fields::Known,
    head::Head,
    http1::Refused,
    listen::Conn,
    metrics::Kind,
    path,
    request_id::RequestId,
    route::{Entry, RouteAccess},
    target::Target,
    upgrade::Admitted,
};

/// Why a request is not forwarded, or not answered by its server.
#[derive(Debug)]
pub(crate) enum Stop {
    Failure(Failure),
    /// A ready answer, such as a redirect to the hub.
    Answer(Box<Response<Bytes>>),
    /// Nobody is left to read an answer, or it broke in the middle.
    Cut,
}

impl From<Failure> for Stop {
    fn from(failure: Failure) -> Self {
        Self::Failure(failure)
    }
}

impl From<Refused> for Failure {
    fn from(refused: Refused) -> Self {
        match refused {
            Refused::Bad(why) => Self::BadRequest(Unclear::Ambiguous(why)),
            Refused::TwoHosts => Self::BadRequest(Unclear::TwoHosts),
            Refused::NoHost => Self::BadRequest(Unclear::NoHost),
            Refused::HostsDiffer => Self::BadRequest(Unclear::HostsDiffer),
            Refused::TooLarge => Self::HeadersTooLarge,
            Refused::TrailersTooLarge => {
                Self::BadRequest(Unclear::Ambiguous("its trailers are too large"))
            }
            Refused::Unknown(why) => Self::Unknown(why),
        }
    }
}

/// Where a request goes.
#[derive(Clone, Copy)]
pub(crate) struct Way<'a> {
    pub(crate) kind: Kind,
    pub(crate) target: &'a Target,
    /// None for the hub.
    pub(crate) route: Option<&'a Entry>,
    /// Bytes of the path as sent that the route's prefix takes.
    pub(crate) prefix_len: usize,
    pub(crate) stats: Option<&'a Arc<Stats>>,
}

impl Way<'_> {
    pub(crate) fn is_hub(&self) -> bool {
        self.route.is_none()
    }
}

/// What of the client's connection and request the steps need besides the head.
#[derive(Clone, Copy)]
pub(crate) struct Ctx<'a> {
    pub(crate) inner: &'a Arc<Inner>,
    pub(crate) conn: &'a Arc<Conn>,
    pub(crate) id: &'a RequestId,
}

/// Refuses what could be understood in two ways, and answers what is for the proxy itself. What
/// only the head's text can show has been refused by its parser.
pub(crate) fn check(inner: &Inner, conn: &Conn, head: &Head) -> Result<(), Stop> {
    // TRACE would show in the answer what is added on the way.
    if matches!(head.method(), b"CONNECT" | b"TRACE") {
        return Err(Failure::MethodNotAllowed.into());
    }
    let path = head.path();
    if let Err(bad) = path::check_path(path) {
        return Err(Failure::BadRequest(Unclear::Path(bad)).into());
    }
    let host = head.host().and_then(|host| str::from_utf8(host).ok());
    let method = str::from_utf8(head.method()).unwrap_or_default();
    if let Some(early) = conn.early_answer(inner, method, host, path, head.query()) {
        return Err(Stop::Answer(Box::new(early.into())));
    }
    if path == "/_chp_healthz" {
        let trouble = inner.trouble.load();
        let text = match trouble.as_deref() {
            None => r#"{"status":"OK"}"#.to_owned(),
            Some(why) => serde_json::json!({"status": "not ready", "message": why}).to_string(),
        };
        let mut response = Response::new(Bytes::from(text));
        if trouble.is_some() {
            *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
        }
        response
            .headers_mut()
            .insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        return Err(Stop::Answer(Box::new(response)));
    }
    Ok(())
}

/// `found`: what [`Inner::find`] gave.
pub(crate) fn find_way<'a>(
    inner: &'a Inner,
    found: Option<&'a (Arc<Entry>, usize)>,
) -> Result<Way<'a>, Failure> {
    match found {
        Some((entry, prefix_len)) => Ok(Way {
            kind: match entry.access {
                RouteAccess::Checked => Kind::Checked,
                RouteAccess::Open => Kind::Open,
            },
            target: entry.target.as_ref().ok_or(Failure::NoServer)?,
            route: Some(entry),
            prefix_len: *prefix_len,
            stats: Some(entry.stats()),
        }),
        None => Ok(Way {
            kind: Kind::Fallback,
            target: inner.fallback.as_ref().ok_or(Failure::NoRoute)?.pick(),
            route: None,
            prefix_len: 0,
            stats: None,
        }),
    }
}

impl Ctx<'_> {
    /// Asks who may, where that is asked; gives who was let in.
    pub(crate) async fn admit(
        &self,
        way: &Way<'_>,
        head: &Head,
        is_websocket: bool,
    ) -> Result<Admitted, Stop> {
        match way.route {
            Some(route) if route.access == RouteAccess::Checked => {
                self.ask(route, head, is_websocket).await
            }
            _ => Ok(Admitted {
                as_of: self.inner.log.number(),
                ..Admitted::default()
            }),
        }
    }

    async fn ask(&self, route: &Entry, head: &Head, is_websocket: bool) -> Result<Admitted, Stop> {
        let as_of = self.inner.log.number();
        let (mut denied, mut unavailable) = (false, false);
        let method = head.to_method().ok_or(Failure::MethodNotAllowed)?;
        for credential in cookies::credentials(&head.fields, &self.inner.config.access_cookie) {
            let ask = Ask {
                route_id: route.id.clone(),
                prefix: route.prefix.clone(),
                owner: route.owner.clone(),
                credential,
                method: method.clone(),
                is_websocket,
            };
            let access = self.inner.access.as_ref();
            match self
                .inner
                .decisions
                .decide(access, &ask, &self.inner.metrics)
                .await
            {
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
            tracing::warn!(request = %self.id, route = %route.id, "no access decision to be had");
            self.inner.metrics.count_denied("unavailable");
            return Err(Failure::AccessUnavailable.into());
        }
        let why = if denied { "denied" } else { "sign_in" };
        self.inner.metrics.count_denied(why);
        if !is_websocket && is_navigation(head) {
            return Err(Stop::Answer(Box::new(
                self.redirect_to_hub(head)
                    .ok_or(Failure::BadRequest(Unclear::Unreadable))?,
            )));
        }
        Err(Failure::Denied.into())
    }

    /// The hub shows the log-in form, or says that there is no access.
    fn redirect_to_hub(&self, head: &Head) -> Option<Response<Bytes>> {
        let base = &self.inner.config.base_path;
        let path = head.path();
        let rest = path
            .strip_prefix(base.as_str())
            .unwrap_or_else(|| path.trim_start_matches('/'));
        let location = [base.as_bytes(), b"hub/", rest.as_bytes(), head.query()].concat();
        let mut response = Response::new(Bytes::new());
        *response.status_mut() = StatusCode::FOUND;
        let headers = response.headers_mut();
        headers.insert(LOCATION, HeaderValue::from_bytes(&location).ok()?);
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        Some(response)
    }
}

/// Whether a person looks at the answer, so that a redirect to a page makes sense.
fn is_navigation(head: &Head) -> bool {
    let accepts_html = head
        .fields
        .all(Known::Accept)
        .any(|value| memchr::memmem::find(value, b"text/html").is_some());
    let by_script = head.fields.has(Known::XRequestedWith)
        || head
            .fields
            .first(Known::SecFetchMode)
            .is_some_and(|mode| mode != b"navigate");
    matches!(head.method(), b"GET" | b"HEAD") && accepts_html && !by_script
}
