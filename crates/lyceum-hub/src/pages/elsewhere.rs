//! Ways in that lead over another site: out, and back in. The addresses are JupyterHub's, so that what
//! is registered at a provider stays as it is; a second way in has its name behind them.

use axum::Json;
use axum::body::Bytes;
use axum::extract::{Extension, Path, Query, RawQuery, State};
use axum::http::{HeaderMap, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use lyceum_auth::journey::LIFE_SECONDS;
use lyceum_auth::{Grant, Refused};
use lyceum_model::id::new_secret;
use lyceum_model::identity::Identity;
use lyceum_web::cookie::{self, Cookie};
use lyceum_web::page::contexts::{LoginMethod, StillThere};
use lyceum_web::request::RequestInfo;
use lyceum_web::routes::Routes;
use lyceum_web::{ApiResult, Caller};
use url::Url;

use super::login::{NextQuery, Way, come_in, let_in};
use super::{redirect, to};
use crate::Hub;
use crate::next::local_target;
use crate::sessions;

/// Where a way out begins.
const OUT: &str = "/hub/oauth_login";
/// Where it leads back to; registered at the provider.
const BACK: &str = "/hub/oauth_callback";
/// Where a provider tells by itself that somebody has logged out there.
const TOLD: &str = "/hub/oauth_backchannel";
/// The length of what a browser keeps: that of a secret of ours.
const SECRET_LEN: usize = 43;

pub(super) fn routes() -> Routes<Hub> {
    let out = "sends browsers to the provider";
    let back = "what the provider says is made sure of";
    let told = "what the provider has signed counts, no cookie";
    Routes::default()
        .public(Method::GET, OUT, out, leave)
        .public(Method::GET, "/hub/oauth_login/{method}", out, leave_by)
        .public(Method::GET, BACK, back, return_here)
        .public(Method::GET, "/hub/oauth_callback/{method}", back, return_by)
        .public(Method::POST, TOLD, told, told_here)
        .public(
            Method::POST,
            "/hub/oauth_backchannel/{method}",
            told,
            told_by,
        )
}

/// The path of a way in.
pub(super) fn path(base: &str, method: &str) -> String {
    match method {
        "" => base.to_owned(),
        method => format!("{base}/{method}"),
    }
}

/// What stands behind the address of a way out, so that it leads on from here.
fn onward(next: &str) -> String {
    match next {
        "" => String::new(),
        next => format!(
            "?next={}",
            url::form_urlencoded::byte_serialize(next.as_bytes()).collect::<String>()
        ),
    }
}

/// Where to send a browser at the log-in page, if the configuration has chosen.
pub(super) fn by_itself(hub: &Hub, next: &str) -> Option<String> {
    let sign_in = hub.sign_in();
    let method = sign_in.automatic()?;
    way_back(hub, method.id())?;
    Some(format!(
        "{}{}",
        hub.at(&path(OUT, method.id())),
        onward(next)
    ))
}

/// The links of the log-in page.
pub(super) fn links(hub: &Hub, next: &str) -> Vec<LoginMethod> {
    let query = onward(next);
    let sign_in = hub.sign_in();
    let methods = sign_in.elsewhere().iter();
    methods
        .map(|method| LoginMethod {
            name: method.title().to_owned(),
            url: format!("{}{query}", hub.at(&path(OUT, method.id()))),
        })
        .chain(super::by_header::link(hub, &query))
        .collect()
}

/// The address that is registered at the provider.
fn way_back(hub: &Hub, method: &str) -> Option<Url> {
    let address = hub.settings().origins.hub_url(&path(BACK, method))?;
    address.parse().ok()
}

/// Name and path of the cookie that a browser has while it is away.
pub(super) fn cookie_of(hub: &Hub, info: &RequestInfo) -> (&'static str, String) {
    match super::secure(hub, info) {
        true => (cookie::JOURNEY_ONE_HOST, "/".into()),
        false => (cookie::JOURNEY, hub.base().hub()),
    }
}

/// What says that it is the same browser. Without TLS a neighbour's page could plant the cookie, so
/// there the address counts too.
pub(super) fn browser(hub: &Hub, info: &RequestInfo, secret: &str) -> String {
    match super::secure(hub, info) {
        true => secret.to_owned(),
        false => format!("{secret} {}", info.address),
    }
}

pub(super) fn kept(headers: &HeaderMap, name: &str) -> Option<String> {
    let mut values = cookie::values(headers, name);
    let value = values.next()?;
    // Two of a name: one of them was planted.
    let is_one = values.next().is_none();
    let is_ours = value.len() == SECRET_LEN && value.bytes().all(is_ours);
    (is_one && is_ours).then(|| value.to_owned())
}

fn is_ours(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_')
}

async fn leave(
    hub: State<Hub>,
    caller: Option<Caller>,
    info: Extension<RequestInfo>,
    headers: HeaderMap,
    query: Query<NextQuery>,
) -> ApiResult<Response> {
    go_out(hub, caller, info, headers, query, "").await
}

async fn leave_by(
    hub: State<Hub>,
    caller: Option<Caller>,
    info: Extension<RequestInfo>,
    headers: HeaderMap,
    query: Query<NextQuery>,
    Path(method): Path<String>,
) -> ApiResult<Response> {
    go_out(hub, caller, info, headers, query, &method).await
}

async fn go_out(
    State(hub): State<Hub>,
    caller: Option<Caller>,
    Extension(info): Extension<RequestInfo>,
    headers: HeaderMap,
    Query(query): Query<NextQuery>,
    method: &str,
) -> ApiResult<Response> {
    let sign_in = hub.sign_in();
    let next = local_target(&hub.base(), &query.next, &info.host).unwrap_or_default();
    let (Some(found), Some(back)) = (sign_in.find_elsewhere(method), way_back(&hub, method)) else {
        return Ok(to(&hub, "/hub/login"));
    };
    if caller.is_some() {
        let home = hub.at("/hub/home");
        let next = if next.is_empty() { &home } else { &next };
        return Ok(redirect(&hub.base(), next));
    }
    // The way back leads to one host only; whoever is here by another name of it goes there first.
    let own = &back[url::Position::BeforeHost..url::Position::AfterPort];
    if !info.host.eq_ignore_ascii_case(own) {
        let mut there = back.clone();
        there.set_path(&hub.at(&path(OUT, found.id())));
        there.set_query(None);
        if !next.is_empty() {
            there.query_pairs_mut().append_pair("next", &next);
        }
        return Ok(redirect(&hub.base(), there.as_str()));
    }
    let (name, _) = cookie_of(&hub, &info);
    let secret = kept(&headers, name).unwrap_or_else(new_secret);
    let browser = browser(&hub, &info, &secret);
    let left = sign_in.depart(found.id(), &browser, &next, &back).await;
    let out = match left.unwrap_or(Err(Refused::Expired)) {
        Ok(out) => out,
        Err(refused) => {
            let way = Way {
                caller: None,
                info: &info,
                headers: &headers,
                next: &next,
                method: Some(found.id()),
                grant: None,
                username: "",
                ticket: None,
            };
            return come_in(&hub, Err(refused), way).await;
        }
    };
    Ok(away(&hub, &info, &out, &secret))
}

/// Sends this browser to another site. It keeps a secret meanwhile, by which it is known when it is back.
pub(super) fn away(hub: &Hub, info: &RequestInfo, out: &Url, secret: &str) -> Response {
    let (name, path) = cookie_of(hub, info);
    let cookie = Cookie {
        name,
        value: secret,
        path: &path,
        domain: None,
        http_only: true,
        secure: super::secure(hub, info),
        max_age: Some(LIFE_SECONDS),
    };
    let mut response = redirect(&hub.base(), out.as_str());
    (response.headers_mut()).append(header::SET_COOKIE, cookie.header());
    response
}

async fn return_here(
    hub: State<Hub>,
    caller: Option<Caller>,
    info: Extension<RequestInfo>,
    headers: HeaderMap,
    query: RawQuery,
) -> ApiResult<Response> {
    come_back(hub, caller, info, headers, query, "").await
}

async fn return_by(
    hub: State<Hub>,
    caller: Option<Caller>,
    info: Extension<RequestInfo>,
    headers: HeaderMap,
    query: RawQuery,
    Path(method): Path<String>,
) -> ApiResult<Response> {
    come_back(hub, caller, info, headers, query, &method).await
}

async fn come_back(
    State(hub): State<Hub>,
    caller: Option<Caller>,
    Extension(info): Extension<RequestInfo>,
    headers: HeaderMap,
    RawQuery(query): RawQuery,
    method: &str,
) -> ApiResult<Response> {
    let (name, _) = cookie_of(&hub, &info);
    let sign_in = hub.sign_in();
    let (Some(secret), Some(back)) = (kept(&headers, name), way_back(&hub, method)) else {
        return answer(
            &hub,
            caller,
            &info,
            &headers,
            method,
            "",
            Err(Refused::Expired),
        )
        .await;
    };
    let browser = browser(&hub, &info, &secret);
    let query = query.unwrap_or_default();
    let arrival = sign_in
        .arrive(method, &browser, &query, &back, info.address)
        .await;
    let proven = match arrival.proven {
        Ok(mut proven) => {
            let grant = proven.take_grant();
            let identity = let_in(&hub, proven, info.address).await;
            identity.map(|identity| (identity, grant))
        }
        Err(refused) => Err(refused),
    };
    answer(&hub, caller, &info, &headers, method, &arrival.next, proven).await
}

async fn answer(
    hub: &Hub,
    caller: Option<Caller>,
    info: &RequestInfo,
    headers: &HeaderMap,
    method: &str,
    next: &str,
    proven: Result<(Identity, Option<Grant>), Refused>,
) -> ApiResult<Response> {
    // Who went back in her browser, or whose other tab was faster, is in already.
    if let (Some(_), Err(Refused::Expired)) = (&caller, &proven) {
        return Ok(to(hub, "/hub/home"));
    }
    let (identity, grant) = match proven {
        Ok((identity, grant)) => (Ok(identity), grant),
        Err(refused) => (Err(refused), None),
    };
    let way = Way {
        caller: caller.as_ref(),
        info,
        headers,
        next,
        method: Some(method),
        grant,
        username: "",
        ticket: None,
    };
    come_in(hub, identity, way).await
}

/// Where somebody who came by this way logs out there.
pub(super) async fn log_out(hub: &Hub, method: &str) -> Option<StillThere> {
    if method == lyceum_auth::header::METHOD {
        return super::by_header::log_out(hub);
    }
    let sign_in = hub.sign_in();
    let found = sign_in.find_elsewhere(method)?;
    let back = hub.settings().origins.hub_url("/hub/login")?;
    let url = found.log_out(&back.parse().ok()?).await?;
    Some(StillThere {
        name: found.title().to_owned(),
        url: url.into(),
        at_once: found.logs_out_there(),
    })
}

async fn told_here(hub: State<Hub>, body: Bytes) -> ApiResult<Response> {
    told(hub, &body, "").await
}

async fn told_by(hub: State<Hub>, Path(method): Path<String>, body: Bytes) -> ApiResult<Response> {
    told(hub, &body, &method).await
}

/// A message of OpenID Connect Back-Channel Logout 1.0 (2.5). It comes from the provider, not from a
/// browser: whoever sends it, what it says is signed.
async fn told(State(hub): State<Hub>, body: &[u8], method: &str) -> ApiResult<Response> {
    let mut messages = url::form_urlencoded::parse(body).filter(|(key, _)| key == "logout_token");
    let message = messages.next().filter(|_| messages.next().is_none());
    let told = match message {
        Some((_, message)) => hub.sign_in().told(method, &message).await,
        None => Err(Refused::Denied),
    };
    let status = match told {
        Ok(out) => {
            if let Some(out) = out {
                // In this order: who breaks off in between tells it again.
                sessions::end_elsewhere(&hub, method, &out).await?;
                hub.sign_in().done(&out).await?;
            }
            StatusCode::OK
        }
        Err(Refused::Internal(error)) => {
            tracing::warn!(
                error = format!("{error:#}"),
                "a message of a log-out at a provider can't be looked at"
            );
            StatusCode::SERVICE_UNAVAILABLE
        }
        Err(_) => StatusCode::BAD_REQUEST,
    };
    let body = match status {
        StatusCode::OK => Json(serde_json::json!({})),
        StatusCode::BAD_REQUEST => Json(serde_json::json!({ "error": "invalid_request" })),
        _ => Json(serde_json::json!({ "error": "temporarily_unavailable" })),
    };
    Ok((status, [(header::CACHE_CONTROL, "no-store")], body).into_response())
}
