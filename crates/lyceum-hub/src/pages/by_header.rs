//! A proxy in front that says who is there: the way in, and the end of a session when it says somebody else.

use axum::extract::{Extension, Query, State};
use axum::http::{HeaderMap, Method};
use axum::response::Response;
use lyceum_auth::header::METHOD;
use lyceum_auth::sign_in::Proven;
use lyceum_auth::{Refused, SignIn};
use lyceum_web::page::contexts::{LoginMethod, StillThere};
use lyceum_web::request::RequestInfo;
use lyceum_web::routes::Routes;
use lyceum_web::{ApiResult, Caller};

use super::login::{NextQuery, Way, come_in, let_in};
use super::{redirect, to};
use crate::audit::{Act, Doer, What};
use crate::db::sessions::Session;
use crate::next::local_target;
use crate::sessions::{self, Which};
use crate::{Hub, db};

const IN: &str = "/hub/login/header";

pub(super) fn routes() -> Routes<Hub> {
    Routes::default().public(
        Method::GET,
        IN,
        "a proxy in front says who it is, if it is believed",
        enter,
    )
}

fn proven(
    sign_in: &SignIn,
    info: &RequestInfo,
    headers: &HeaderMap,
) -> Option<Result<Proven, Refused>> {
    sign_in.prove_by_header(info.peer, &|name| lines(headers, name))
}

fn lines<'a>(headers: &'a HeaderMap, name: &str) -> Vec<&'a [u8]> {
    let lines = headers.get_all(name).iter();
    lines.map(|line| line.as_bytes()).collect()
}

/// Its button on the log-in page.
pub(super) fn link(hub: &Hub, query: &str) -> Option<LoginMethod> {
    let sign_in = hub.sign_in();
    let way = sign_in.header()?;
    Some(LoginMethod {
        name: way.title().to_owned(),
        url: format!("{}{query}", hub.at(IN)),
    })
}

/// Where to send a browser at the log-in page of which the proxy in front says whose it is, if there is no
/// other way in, or the configuration wants it.
pub(super) fn by_itself(
    hub: &Hub,
    info: &RequestInfo,
    headers: &HeaderMap,
    next: &str,
) -> Option<String> {
    let sign_in = hub.sign_in();
    let is_alone = sign_in.chain().methods().is_empty() && sign_in.elsewhere().is_empty();
    let is_taken = is_alone || sign_in.header()?.is_automatic();
    if !is_taken || proven(&sign_in, info, headers).is_none() {
        return None;
    }
    let next: String = url::form_urlencoded::byte_serialize(next.as_bytes()).collect();
    Some(format!("{}?next={next}", hub.at(IN)))
}

async fn enter(
    State(hub): State<Hub>,
    caller: Option<Caller>,
    Extension(info): Extension<RequestInfo>,
    headers: HeaderMap,
    Query(query): Query<NextQuery>,
) -> ApiResult<Response> {
    let next = local_target(&hub.base(), &query.next, &info.host).unwrap_or_default();
    let sign_in = hub.sign_in();
    if sign_in.header().is_none() {
        return Ok(to(&hub, "/hub/login"));
    }
    if caller.is_some() {
        let home = hub.at("/hub/home");
        let next = if next.is_empty() { &home } else { &next };
        return Ok(redirect(&hub.base(), next));
    }
    let identity = match proven(&sign_in, &info, &headers) {
        Some(Ok(proven)) => let_in(&hub, proven, info.address).await,
        Some(Err(refused)) => Err(refused),
        None => {
            let why = (sign_in.header())
                .map(|way| way.why_nobody(info.peer, &|name| lines(&headers, name)));
            let peer = info.peer.map(|peer| peer.to_string());
            tracing::info!(address = %info.address, peer, why, "sign-in refused: the proxy in front names nobody");
            Err(Refused::Denied)
        }
    };
    let way = Way {
        caller: None,
        info: &info,
        headers: &headers,
        next: &next,
        method: Some(METHOD),
        grant: None,
        username: "",
        ticket: None,
    };
    come_in(&hub, identity, way).await
}

/// Whether this session goes on. One that began by the header ends when the proxy in front names somebody
/// else: on a shared machine the next person would have it. What is said by whom does not count says nothing.
pub(crate) async fn goes_on(
    hub: &Hub,
    session: &Session,
    info: &RequestInfo,
    headers: &HeaderMap,
) -> ApiResult<bool> {
    if session.method.as_deref() != Some(METHOD) {
        return Ok(true);
    }
    let sign_in = hub.sign_in();
    let Some(way) = sign_in.header() else {
        return Ok(true);
    };
    let Some(subject) = way.subject(info.peer, &|name| lines(headers, name)) else {
        return Ok(true);
    };
    let mut tx = hub.db().read().await?;
    let known = match &subject {
        Ok(subject) => db::identities::find(&mut tx, subject).await?,
        Err(_) => None,
    };
    if known.is_some_and(|known| known.user_id == session.user_id) {
        return Ok(true);
    }
    let user = db::users::get(&mut tx, &session.user_id).await?;
    drop(tx);
    if let Some(user) = user {
        tracing::info!(user = %user.name, address = %info.address, "the proxy in front names somebody else: the session ends");
        let which = Which::One(&session.id);
        let nobody = Doer::nobody().at(Some(info.address));
        let act = Act::new(&nobody, What::SignOut).with("by", "proxy");
        sessions::end(hub, &user.id, user.name.as_str(), which, act).await?;
    }
    Ok(false)
}

/// Where somebody who came by this way logs out at the proxy in front.
pub(super) fn log_out(hub: &Hub) -> Option<StillThere> {
    let sign_in = hub.sign_in();
    let way = sign_in.header()?;
    Some(StillThere {
        name: way.title().to_owned(),
        url: way.log_out()?.to_string(),
        at_once: true,
    })
}
