//! For proxies that run apart: the numbered stream of routes, access decisions, reports.
//!
//! The same operations as for the proxy in this process ([`crate::proxy`], [`crate::access`]), by
//! HTTP. What is said is in [`lyceum_proxy::follow::wire`].

use std::collections::{HashMap, VecDeque};
use std::convert::Infallible;
use std::sync::Arc;

use axum::Json;
use axum::body::{Body, Bytes};
use axum::extract::{FromRequestParts, Query, State};
use axum::http::header;
use axum::http::request::Parts;
use axum::response::{IntoResponse, Response};
use futures_util::{StreamExt, stream};
use hyper::Method;
use lyceum_model::clock::Millis;
use lyceum_model::saying::Saying;
use lyceum_proxy::follow::wire::{
    AUTH_SCHEME, AccessAnswer, AccessAnswers, AccessAsk, AccessRequest, MAX_ASKS, MAX_CREDENTIAL,
    MAX_REPORTED, News, ROUTES_PER_LINE, Report, VouchRequest, Vouched,
};
use lyceum_proxy::{Access, Ask, Credential};
use lyceum_web::request::{PROXY_HEADER, header as header_text};
use lyceum_web::{ApiError, ApiResult};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::sync::broadcast;
use tokio::sync::broadcast::error::RecvError;

use crate::Hub;
use crate::languages;
use crate::proxy::{self, activity, news};

/// Questions of one request looked into at a time; the database has few connections.
const ASKED_AT_ONCE: usize = 4;
const NAME_MOST: usize = 64;

/// Proof that a proxy itself calls.
///
/// What a proxy forwards carries the secret too, whoever sent it, but in another header; such a
/// request never counts as the proxy's own.
pub struct FromProxy;

impl FromRequestParts<Hub> for FromProxy {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, hub: &Hub) -> Result<Self, ApiError> {
        let given = header_text(&parts.headers, "authorization")
            .and_then(|value| value.split_once(' '))
            .filter(|(scheme, _)| scheme.eq_ignore_ascii_case(AUTH_SCHEME))
            .map(|(_, secret)| secret.trim());
        let forwarded = parts.headers.contains_key(PROXY_HEADER);
        match given {
            Some(secret) if !forwarded && hub.proxy_secret().accepts(secret) => Ok(Self),
            _ => Err(ApiError::forbidden(Saying::quote(
                "This is for proxies that share this hub's secret",
            ))),
        }
    }
}

#[derive(Debug, Deserialize)]
pub struct After {
    numbering: Option<String>,
    after: Option<i64>,
}

/// What is new, line by line, until the proxy or this hub goes.
pub async fn watch_routes(
    State(hub): State<Hub>,
    _: FromProxy,
    Query(query): Query<After>,
) -> ApiResult<Response> {
    let numbering = proxy::numbering(&hub).await?;
    let seen = query
        .after
        .filter(|_| query.numbering.as_deref() == Some(numbering.as_str()));
    // Before the rows are read, or news in between would be missed.
    let feed = hub.links().subscribe();
    let mut watcher = Watcher {
        feed,
        seen,
        lines: VecDeque::new(),
        hub,
    };
    watcher.push(&News::Hello {
        numbering,
        hub: watcher.hub.replica().to_owned(),
    });
    watcher.catch_up().await?;
    let lines = stream::unfold(watcher, |mut watcher| async move {
        let line = watcher.next().await?;
        Some((Ok::<_, Infallible>(line), watcher))
    });
    Ok((
        [
            (header::CONTENT_TYPE, "application/x-ndjson"),
            (header::CACHE_CONTROL, "no-store"),
        ],
        Body::from_stream(lines),
    )
        .into_response())
}

struct Watcher {
    hub: Hub,
    feed: broadcast::Receiver<Arc<News>>,
    /// The number the proxy has, once it has what is in `lines`.
    seen: Option<i64>,
    lines: VecDeque<Bytes>,
}

impl Watcher {
    /// The next line; `None` ends the stream.
    async fn next(&mut self) -> Option<Bytes> {
        loop {
            if let Some(line) = self.lines.pop_front() {
                return Some(line);
            }
            let news = tokio::select! {
                () = self.hub.links().closing().cancelled() => return None,
                news = self.feed.recv() => news,
            };
            match news {
                Ok(news) => self.take(&news),
                Err(RecvError::Lagged(_)) => {
                    if let Err(error) = self.catch_up().await {
                        // The proxy goes on at another hub, or comes back.
                        tracing::warn!(
                            error = format!("{error:#}"),
                            "news for a proxy could not be read"
                        );
                        return None;
                    }
                }
                Err(RecvError::Closed) => return None,
            }
        }
    }

    /// Reads what the proxy lacks.
    async fn catch_up(&mut self) -> anyhow::Result<()> {
        let mut tx = self.hub.db().read().await?;
        let settings = self.hub.settings();
        let news = news::since(&mut tx, self.seen, &settings.origins).await?;
        drop(tx);
        // Always, since the proxy may have those of an earlier configuration.
        let languages = languages::for_proxies(&settings.theme);
        self.push(&News::Languages { languages });
        self.push(&news);
        Ok(())
    }

    fn take(&mut self, news: &News) {
        if matches!(news, News::Languages { .. }) {
            return self.push(news);
        }
        let (News::Snapshot { number, .. } | News::Changes { number, .. } | News::Beat { number }) =
            news
        else {
            return;
        };
        let is_beat = matches!(news, News::Beat { .. });
        // What was read while we subscribed is there already; a beat says that we live.
        if self.seen.is_none_or(|seen| seen < *number) || is_beat {
            self.push(news);
        }
    }

    fn push(&mut self, news: &News) {
        match news {
            News::Snapshot { number, routes, .. } => {
                self.seen = Some(*number);
                let mut parts = routes.chunks(ROUTES_PER_LINE).peekable();
                if parts.peek().is_none() {
                    self.line(news);
                }
                while let Some(part) = parts.next() {
                    self.line(&News::Snapshot {
                        number: *number,
                        routes: part.to_vec(),
                        more: parts.peek().is_some(),
                    });
                }
            }
            News::Changes { number, .. } | News::Beat { number } => {
                self.seen = self.seen.max(Some(*number));
                self.line(news);
            }
            News::Hello { .. } | News::Languages { .. } | News::Unknown => self.line(news),
        }
    }

    fn line(&mut self, news: &News) {
        let mut line = serde_json::to_vec(news).expect("our own types are JSON");
        line.push(b'\n');
        self.lines.push_back(line.into());
    }
}

/// Decides who may use which route.
pub async fn check_access(
    State(hub): State<Hub>,
    _: FromProxy,
    Json(request): Json<AccessRequest>,
) -> ApiResult<Json<AccessAnswers>> {
    if request.asks.len() > MAX_ASKS {
        return Err(ApiError::bad_request(Saying::quote(format!(
            "At most {MAX_ASKS} questions at once"
        ))));
    }
    let answers = stream::iter(request.asks)
        .map(|ask| answer(&hub, ask))
        .buffered(ASKED_AT_ONCE)
        .collect()
        .await;
    Ok(Json(AccessAnswers { answers }))
}

async fn answer(hub: &Hub, ask: AccessAsk) -> AccessAnswer {
    let credential = ask.credential();
    if let Credential::AccessCookie(secret) | Credential::Token(secret) = &credential
        && secret.len() > MAX_CREDENTIAL
    {
        return AccessAnswer::Deny;
    }
    let ask = Ask {
        route_id: ask.route,
        // A decision holds for every request of a credential on a route; the rest is of no weight.
        prefix: String::new(),
        owner: String::new(),
        credential,
        method: Method::GET,
        is_websocket: false,
    };
    hub.check(&ask).await.into()
}

/// Says whether what listens at a server's address is that server.
pub async fn vouch(
    State(hub): State<Hub>,
    _: FromProxy,
    Json(question): Json<VouchRequest>,
) -> ApiResult<Json<Vouched>> {
    if !hub.links().knows(&question.route) {
        // The proxy has heard of it at another hub.
        proxy::look_now(&hub).await?;
    }
    let vouched = hub.vouch(&question.route, &question.target).await;
    Ok(Json(Vouched { vouched }))
}

/// Takes what a proxy has seen, and how far it has come.
pub async fn take_report(
    State(hub): State<Hub>,
    _: FromProxy,
    Json(report): Json<Report>,
) -> ApiResult<Json<Value>> {
    if report.activity.len() > MAX_REPORTED || report.proxy.len() > NAME_MOST {
        return Err(ApiError::bad_request(Saying::quote(format!(
            "A report has at most {MAX_REPORTED} routes"
        ))));
    }
    match report.number {
        Some(number) => hub.links().followers().note(&report.proxy, number),
        None => hub.links().followers().forget(&report.proxy),
    }
    let Millis(now) = hub.now();
    let mut uses: HashMap<String, i64> = HashMap::with_capacity(report.activity.len());
    for used in report.activity {
        let last = used.last(now);
        let known = uses.entry(used.route).or_insert(last);
        *known = last.max(*known);
    }
    if !uses.is_empty() {
        activity::write(&hub, &mut uses).await?;
    }
    Ok(Json(json!({})))
}
