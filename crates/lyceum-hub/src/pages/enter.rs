//! The way into somebody's servers where these have a host of their own.
//!
//! The hub's cookie does not go there. So the hub sends a browser with a ticket, good once and for a
//! minute, and at that host it is changed for a cookie ([`crate::origins`]).

use axum::extract::{Extension, Query, Request, State};
use axum::http::{Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use lyceum_model::digest::hash_secret;
use lyceum_model::id::new_secret;
use lyceum_model::name::UserName;
use lyceum_model::say;
use lyceum_web::cookie::{self, Cookie};
use lyceum_web::request::{RequestInfo, header as header_text};
use lyceum_web::{ApiError, ApiResult, Caller, Credential};
use serde::Deserialize;

use super::{redirect, to, user_paths, wants_page};
use crate::origins::without_port;
use crate::{Hub, db, sessions};

/// The one path of the hub's that hosts of people have.
pub const PATH: &str = "/hub/enter";
const TICKET_LIFE_MS: i64 = 60_000;
const TICKET_PURPOSE: &str = "lyceum 2026 ticket";

#[derive(Debug, Default, Deserialize)]
pub struct TicketQuery {
    #[serde(default)]
    ticket: String,
}

/// Sends a browser on to a page of this person's servers, at their own host if they have one.
pub async fn lead_to(
    hub: &Hub,
    caller: &Caller,
    owner: &UserName,
    page: &str,
) -> ApiResult<Response> {
    let settings = hub.settings();
    let (Some(host), Some(origin)) = (settings.origins.host_of(owner), settings.origins.of(owner))
    else {
        return Ok(redirect(&hub.base(), page));
    };
    let (Credential::Session { id, .. }, Ok(person)) = (&caller.credential, caller.person()) else {
        return Ok(redirect(&hub.base(), &format!("{origin}{page}")));
    };
    let ticket = new_secret();
    let code = db::oauth::Code {
        hash: hash_secret(TICKET_PURPOSE, &ticket),
        client_id: client(&host),
        user_id: person.id.clone(),
        session_id: id.clone(),
        redirect_uri: page.to_owned(),
        scopes: "[]".into(),
        challenge: None,
        expires_at: hub.now().plus(TICKET_LIFE_MS).0,
    };
    let mut tx = hub.db().write().await?;
    db::oauth::insert(&mut tx, &code).await?;
    tx.commit().await?;
    let way = hub.at(&format!("{PATH}?ticket={ticket}"));
    Ok(redirect(&hub.base(), &format!("{origin}{way}")))
}

/// No OAuth client has a name with a space.
fn client(host: &str) -> String {
    format!("host {host}")
}

/// `GET /hub/enter?ticket=…` at the host of somebody's servers.
pub async fn enter(
    State(hub): State<Hub>,
    Extension(info): Extension<RequestInfo>,
    Query(query): Query<TicketQuery>,
) -> ApiResult<Response> {
    let settings = hub.settings();
    let origins = &settings.origins;
    if !origins.is_below(&info.host) {
        return Ok(to(&hub, "/hub/home"));
    }
    let host = without_port(&info.host).to_ascii_lowercase();
    let now = hub.now();
    let mut tx = hub.db().write().await?;
    let code = db::oauth::take(&mut tx, &hash_secret(TICKET_PURPOSE, &query.ticket)).await?;
    let code = code.filter(|code| code.client_id == client(&host) && code.expires_at > now.0);
    let session = match &code {
        Some(code) => db::sessions::by_id(&mut tx, &code.session_id, now.0).await?,
        None => None,
    };
    tx.commit().await?;
    let (Some(code), Some(session)) = (code, session) else {
        // Used or too old: somebody went back in her browser, or was slow. The hub knows the way.
        let home = origins.hub_url("/hub/home").unwrap_or_default();
        return Ok(redirect(origins.base(), &home));
    };
    // Browsers keep a cookie to one host only at its root.
    let (name, path) = match origins.are_secure() {
        true => (cookie::ACCESS_ONE_HOST, "/"),
        false => (cookie::ACCESS, origins.base().as_str()),
    };
    let cookie = Cookie {
        name,
        value: &hub.host_key().cookie(&session.id, &host),
        path,
        domain: None,
        http_only: true,
        secure: super::secure(&hub, &info),
        max_age: Some(sessions::cookie_age(&session, now)),
    };
    let mut response = redirect(origins.base(), &code.redirect_uri);
    response
        .headers_mut()
        .append(header::SET_COOKIE, cookie.header());
    Ok(response)
}

/// Layer: at the hosts of people's servers the hub has no pages and knows nobody. It sends browsers to
/// its own host, and tells programs that the server they want is not there. Who typed the number of
/// this machine is sent to its name, below which the others are.
pub async fn keep_to_hosts(State(hub): State<Hub>, request: Request, next: Next) -> Response {
    let settings = hub.settings();
    let origins = &settings.origins;
    let Some(info) = request.extensions().get::<RequestInfo>() else {
        return next.run(request).await;
    };
    let below = origins.is_below(&info.host);
    let path = request.uri().path();
    if !(below || origins.is_alias(&info.host)) || path == PATH {
        return next.run(request).await;
    }
    let looks = matches!(*request.method(), Method::GET | Method::HEAD)
        && wants_page(request.headers(), path)
        && matches!(
            header_text(request.headers(), "sec-fetch-mode"),
            None | Some("navigate")
        );
    if looks {
        let here = request.uri().path_and_query();
        let here = here.map_or("/", |here| here.as_str());
        let below_hub = if path.starts_with("/hub/") {
            ""
        } else {
            "/hub"
        };
        let there = origins.hub_url(&format!("{below_hub}{here}"));
        return redirect(origins.base(), &there.unwrap_or_default());
    }
    if !below {
        return next.run(request).await;
    }
    user_paths::gone_outside(&hub, path).unwrap_or_else(|| {
        ApiError::new(StatusCode::NOT_FOUND, say!("refused.nothing_here")).into_response()
    })
}
