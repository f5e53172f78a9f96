//! Launches from learning platforms by LTI 1.3, and by LTI 1.1 from old ones. The addresses are those of JupyterHub's
//! `ltiauthenticator`, so that what is registered at a platform stays as it is; a second platform has its
//! name behind them.
//!
//! # How a launch is bound to a browser
//! A platform posts it from its own site. A cookie that browsers send along then (`SameSite=None`) is one
//! that they send from everywhere, and more and more of them send none at all inside of other sites' pages.
//! So the cookie of the way out is as strict as every other here (`Lax`), and a launch that comes without it
//! is posted once more by a page of ours: now it comes from this site, with the cookie, or it is refused.
//! That page believes nothing: what it holds counts only in the browser whose cookie the sealed `state`
//! knows, and once.
//!
//! Inside a frame of the platform's page no browser would send the cookie, nor that of the session
//! afterwards. There a button opens a window in which the launch begins anew. That page may stand in frames
//! because whoever is led to press it gets no further than to her own platform.

use axum::body::Bytes;
use axum::extract::{Extension, Path, RawQuery, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::response::Response;
use lyceum_auth::Refused;
use lyceum_auth::lti::{Initiation, Launch, Lti, Posted};
use lyceum_model::base::BasePath;
use lyceum_model::id::new_secret;
use lyceum_model::identity::Identity;
use lyceum_web::page::contexts::{LtiOnwardPage, Platform};
use lyceum_web::request::{RequestInfo, header as header_text};
use lyceum_web::routes::Routes;
use lyceum_web::{ApiResult, Caller, Credential};
use percent_encoding::percent_decode_str;
use url::Url;

use super::elsewhere::{away, browser, cookie_of, kept, path};
use super::login::{Way, bring_in, come_in, held_up, let_in, target};
use super::start::start_url;
use super::{frame, html, lti_pick, redirect, to};
use crate::db::users::User;
use crate::next::local_target;
use crate::{Hub, db, lti};

mod old;
mod other;
mod registration;

/// Where a platform asks for a launch.
const BEGIN: &str = "/hub/lti13/oauth_login";
/// Where it posts it.
const LAUNCH: &str = "/hub/lti13/oauth_callback";
/// Where it finds the keys by which we ask it for something.
const KEYS: &str = "/hub/lti13/jwks";
/// Where platforms post launches by LTI 1.1.
const OLD: &str = "/hub/lti/launch";
/// Where it reads how this tool is registered.
const CONFIG: &str = "/hub/lti13/config";
/// Everything may show it: see above.
const IN_FRAMES: &str = "default-src 'self'; img-src 'self' data:; frame-ancestors *; base-uri 'none'; form-action *; object-src 'none'";

pub(super) fn routes() -> Routes<Hub> {
    let begin = "sends browsers to the platform";
    let launch = "what the platform has signed is made sure of";
    let why = "how this tool is registered, which anybody may know";
    Routes::default()
        .public(Method::GET, BEGIN, begin, begin_by_link)
        .public(Method::POST, BEGIN, begin, begin_by_form)
        .public(
            Method::GET,
            "/hub/lti13/oauth_login/{method}",
            begin,
            begin_by_link,
        )
        .public(
            Method::POST,
            "/hub/lti13/oauth_login/{method}",
            begin,
            begin_by_form,
        )
        .public(
            Method::GET,
            KEYS,
            "public keys, which anybody may know",
            registration::keys,
        )
        .public(Method::GET, CONFIG, why, registration::config)
        .public(
            Method::GET,
            "/hub/lti13/config/{method}",
            why,
            registration::config,
        )
        .public(Method::POST, LAUNCH, launch, launch_here)
        .public(
            Method::POST,
            "/hub/lti13/oauth_callback/{method}",
            launch,
            launch_here,
        )
        .public(Method::POST, OLD, launch, old::launch)
        .public(
            Method::POST,
            "/hub/lti/launch/{method}",
            launch,
            old::launch,
        )
        .scoped(Method::POST, other::PATH, other::go_on)
}

/// Whether a platform's forms come to this path.
pub(super) fn takes(path: &str) -> bool {
    let is_at = |place: &str| {
        let rest = path.strip_prefix(place);
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    is_at(BEGIN) || is_at(LAUNCH) || is_at(OLD)
}

/// The platforms that the log-in page names.
pub(super) fn links(hub: &Hub) -> Vec<Platform> {
    let sign_in = hub.sign_in();
    let new = sign_in.platforms().iter();
    let new = new.map(|one| (one.title(), one.home()));
    let old = sign_in.old_platforms().iter();
    let old = old.map(|one| (one.title(), one.home()));
    new.chain(old)
        .map(|(title, home)| Platform {
            name: title.to_owned(),
            url: home.map(Url::to_string),
        })
        .collect()
}

/// An address of ours as a platform knows it.
fn address(hub: &Hub, base: &str, id: &str) -> Option<Url> {
    let address = hub.settings().origins.hub_url(&path(base, id))?;
    address.parse().ok()
}

/// From which platform somebody came, and by which kind of launch.
#[derive(Clone, Copy)]
struct Source<'a> {
    /// What the session's way in begins with; no id of a way that leads out has such a sign.
    kind: &'static str,
    id: &'a str,
}

fn by_new(id: &str) -> Source<'_> {
    Source { kind: "lti", id }
}

fn by_old(id: &str) -> Source<'_> {
    Source { kind: "lti11", id }
}

/// The id in the path; none stands for the one platform without.
type Id = Option<Path<String>>;

fn id_of(id: &Id) -> &str {
    id.as_ref().map_or("", |Path(id)| id.as_str())
}

async fn begin_by_link(
    hub: State<Hub>,
    caller: Option<Caller>,
    info: Extension<RequestInfo>,
    headers: HeaderMap,
    id: Id,
    RawQuery(query): RawQuery,
) -> ApiResult<Response> {
    let asked = query.unwrap_or_default();
    begin(hub, caller, info, headers, id_of(&id), asked.as_bytes()).await
}

async fn begin_by_form(
    hub: State<Hub>,
    caller: Option<Caller>,
    info: Extension<RequestInfo>,
    headers: HeaderMap,
    id: Id,
    body: Bytes,
) -> ApiResult<Response> {
    begin(hub, caller, info, headers, id_of(&id), &body).await
}

async fn begin(
    State(hub): State<Hub>,
    caller: Option<Caller>,
    Extension(info): Extension<RequestInfo>,
    headers: HeaderMap,
    id: &str,
    asked: &[u8],
) -> ApiResult<Response> {
    let sign_in = hub.sign_in();
    let (Some(platform), Some(back), Some(here)) = (
        sign_in.find_platform(id),
        address(&hub, LAUNCH, id),
        address(&hub, BEGIN, id),
    ) else {
        return Ok(to(&hub, "/hub/login"));
    };
    let Some(asked) = Initiation::parse(asked) else {
        tracing::info!(platform = id, address = %info.address, "a launch was asked for without `iss`, `login_hint` and `target_link_uri`, or with one of them twice");
        return refuse(
            &hub,
            caller.as_ref(),
            &info,
            &headers,
            by_new(id),
            Refused::Denied,
        )
        .await;
    };
    if is_framed(&headers) {
        let mut response = onward(
            &hub,
            &info,
            &headers,
            platform,
            asked.fields(back.as_str()),
            true,
        )?;
        response.headers_mut().insert(
            header::CONTENT_SECURITY_POLICY,
            HeaderValue::from_static(IN_FRAMES),
        );
        return Ok(response);
    }
    // A launch is posted to one host only; whoever is here by another name of it goes there first.
    let own = &back[url::Position::BeforeHost..url::Position::AfterPort];
    if !info.host.eq_ignore_ascii_case(own) {
        let mut there = here;
        there
            .query_pairs_mut()
            .extend_pairs(asked.fields(back.as_str()));
        return Ok(redirect(&hub.base(), there.as_str()));
    }
    let (name, _) = cookie_of(&hub, &info);
    let secret = kept(&headers, name).unwrap_or_else(new_secret);
    let browser = browser(&hub, &info, &secret);
    let out = sign_in.begin_launch(id, &asked, &browser, &back);
    let out = match out.unwrap_or(Err(Refused::Expired)) {
        Ok(out) => out,
        Err(refused) => {
            return refuse(&hub, caller.as_ref(), &info, &headers, by_new(id), refused).await;
        }
    };
    Ok(away(&hub, &info, &out, &secret))
}

/// Whether the answer is shown inside another page. Browsers tell it to sites that they trust (TLS, this
/// machine).
fn is_framed(headers: &HeaderMap) -> bool {
    let dest = header_text(headers, "sec-fetch-dest");
    dest.is_some_and(|dest| {
        matches!(
            dest,
            "iframe" | "frame" | "embed" | "object" | "fencedframe"
        )
    })
}

/// The page that goes on with these fields, where they were sent.
fn onward(
    hub: &Hub,
    info: &RequestInfo,
    headers: &HeaderMap,
    platform: &Lti,
    fields: Vec<(&'static str, String)>,
    new_window: bool,
) -> ApiResult<Response> {
    let base = if new_window { BEGIN } else { LAUNCH };
    let page = LtiOnwardPage {
        page: frame(hub, None, info),
        platform: platform.title().to_owned(),
        action: hub.at(&path(base, platform.id())),
        fields: (fields.into_iter())
            .map(|(key, value)| (key.to_owned(), value))
            .collect(),
        new_window,
        answer: false,
    };
    html(hub, headers, StatusCode::OK, "lti_onward.html", &page)
}

async fn launch_here(
    State(hub): State<Hub>,
    caller: Option<Caller>,
    Extension(info): Extension<RequestInfo>,
    headers: HeaderMap,
    id: Id,
    body: Bytes,
) -> ApiResult<Response> {
    let id = id_of(&id);
    let sign_in = hub.sign_in();
    let expired = Err(Refused::Expired);
    let (Some(platform), Some(posted)) = (sign_in.find_platform(id), Posted::parse(&body)) else {
        return answer(&hub, caller.as_ref(), &info, &headers, by_new(id), expired).await;
    };
    let (name, _) = cookie_of(&hub, &info);
    let Some(secret) = kept(&headers, name) else {
        if posted.again {
            tracing::info!(platform = id, address = %info.address, "a launch is refused: the browser keeps no cookie of this site");
            return answer(&hub, caller.as_ref(), &info, &headers, by_new(id), expired).await;
        }
        return onward(&hub, &info, &headers, platform, posted.fields(), false);
    };
    let browser = browser(&hub, &info, &secret);
    let launched = sign_in.launch(id, &browser, &posted, info.address).await;
    let came = match launched {
        Ok((proven, launch)) => let_in(&hub, proven, info.address)
            .await
            .map(|identity| (identity, launch)),
        Err(refused) => Err(refused),
    };
    answer(&hub, caller.as_ref(), &info, &headers, by_new(id), came).await
}

async fn refuse(
    hub: &Hub,
    caller: Option<&Caller>,
    info: &RequestInfo,
    headers: &HeaderMap,
    source: Source<'_>,
    refused: Refused,
) -> ApiResult<Response> {
    answer(hub, caller, info, headers, source, Err(refused)).await
}

async fn answer(
    hub: &Hub,
    caller: Option<&Caller>,
    info: &RequestInfo,
    headers: &HeaderMap,
    source: Source<'_>,
    came: Result<(Identity, Launch), Refused>,
) -> ApiResult<Response> {
    let Source { kind, id } = source;
    // Who reloads a launch by which she is here already is here already.
    if let (Some(_), Err(Refused::Expired)) = (caller, &came) {
        return Ok(to(hub, "/hub/home"));
    }
    // Nobody is sent to log out there.
    let method = format!("{kind}/{id}");
    let mut way = Way {
        caller,
        info,
        headers,
        next: "",
        method: Some(&method),
        grant: None,
        username: "",
        ticket: None,
    };
    let (identity, launch) = match came {
        Ok(came) => came,
        Err(refused) => return come_in(hub, Err(refused), way).await,
    };
    let Some(next) = wish(hub, &launch) else {
        tracing::warn!(
            platform = id,
            target = launch.target.chars().take(200).collect::<String>(),
            "a launch is refused: its link leads to another site (`target_link_uri`); write `public_url` of this one there"
        );
        return come_in(hub, Err(Refused::Denied), way).await;
    };
    if held_up(hub, &identity).await?.is_some() {
        return come_in(hub, Ok(identity), way).await;
    }
    // What she is in her course there she is before she sees it here.
    let mut tx = hub.db().write().await?;
    let user = match bring_in(hub, &mut tx, &identity, info.address).await? {
        Ok(user) => user,
        Err(_) => {
            tx.rollback().await?;
            // Why not is said there.
            return come_in(hub, Ok(identity), way).await;
        }
    };
    lti::settle(hub, &mut tx, &user, &launch).await?;
    let picks = lti_pick::check(&launch);
    let next = match launch.wanted() {
        Some(wanted) if picks.is_ok() => lti_pick::put(hub, &mut tx, &user, id, &wanted).await?,
        _ => next,
    };
    tx.commit().await?;
    crate::proxy::pass_on(hub).await;
    if launch.message.picking.is_some() {
        picks?;
    }
    let next = match next.as_str() {
        "" => course_page(hub, &user, &launch).await?,
        _ => next,
    };
    if is_hers(caller, &user) {
        let next = target(hub, &user.id, &next, info).await?;
        return Ok(redirect(&hub.base(), &next));
    }
    if let Some(present) = other::present(caller, &user) {
        let comes = other::Comes {
            user: &user,
            identity: &identity,
            next: &next,
            method: &method,
            platform: title_of(hub, source),
        };
        return other::ask(hub, present, info, headers, &comes);
    }
    way.next = &next;
    come_in(hub, Ok(identity), way).await
}

fn title_of(hub: &Hub, source: Source<'_>) -> String {
    let sign_in = hub.sign_in();
    let new = sign_in.find_platform(source.id).map(|one| one.title());
    let old = || sign_in.find_old_platform(source.id).map(|one| one.title());
    let title = match source.kind {
        "lti" => new,
        _ => old(),
    };
    title.unwrap_or_default().to_owned()
}

/// Where her server for the one course is opened or offered that she comes from; nothing: there is none.
async fn course_page(hub: &Hub, user: &User, launch: &Launch) -> ApiResult<String> {
    let courses = lti::courses_of(hub, launch);
    let [course] = courses.as_slice() else {
        return Ok(String::new());
    };
    let mut tx = hub.db().read().await?;
    let groups = db::groups::names_of(&mut tx, &user.id).await?;
    drop(tx);
    let starts = hub.shelf().starts(&user.name, &groups, course.as_str());
    Ok(match starts.await? {
        Some(start) => {
            let server = Default::default();
            start_url(
                &hub.base(),
                &user.name,
                &server,
                "",
                Some(start.id.as_str()),
            )
        }
        None => String::new(),
    })
}

/// Where the link leads, on this site; nothing: nowhere in particular. None: to another site.
fn wish(hub: &Hub, launch: &Launch) -> Option<String> {
    let target = linked(hub, launch)?;
    if !acts(&hub.base(), &target) {
        return Some(target);
    }
    tracing::warn!(
        link = target.chars().take(200).collect::<String>(),
        "a link at a learning platform leads to what begins or ends something, which links there can't; it opens what the course starts with, or the home page"
    );
    Some(String::new())
}

/// Whether looking at it begins or ends something. That is for a click on a page of ours. The link of a launch may
/// be anybody's, and browsers say of all that follows a launch that it began here.
fn acts(base: &BasePath, target: &str) -> bool {
    let path = target.split(['?', '#']).next().unwrap_or_default();
    let path = percent_decode_str(path).decode_utf8_lossy();
    let Some(inner) = base.within(&path) else {
        return false;
    };
    let is_at = |inner: &str, place: &str| {
        let rest = inner.strip_prefix(place);
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    // What has no route is led below the hub.
    let inner = match is_at(inner, "/hub") {
        true => &inner["/hub".len()..],
        false => inner,
    };
    // The log-in page leads whoever is logged in on to what it is told.
    let places = [
        "/api",
        "/login",
        "/logout",
        "/lti13",
        "/oauth_callback",
        "/oauth_login",
        "/spawn",
    ];
    // Jupyter's servers have a page that ends the session here, too.
    let is_servers_end = inner.trim_end_matches('/').ends_with("/logout")
        && !inner.contains("/tree/")
        && (is_at(inner, "/user") || is_at(inner, "/user-redirect"));
    is_servers_end || places.iter().any(|place| is_at(inner, place))
}

/// What the link says, as it may be written in several places.
fn linked(hub: &Hub, launch: &Launch) -> Option<String> {
    let base = hub.base();
    let settings = hub.settings();
    let own = settings.origins.hub()?;
    let host = own.split_once("://").map_or(own, |(_, host)| host);
    if launch.message.picking.is_some() {
        return Some(String::new());
    }
    if let Some(next) = &launch.message.next {
        return local_target(&base, next, host);
    }
    let target = local_target(&base, &launch.target, host)?;
    let path = target.split(['?', '#']).next().unwrap_or_default();
    let inner = base.within(path)?;
    if matches!(inner, "/" | "/hub" | "/hub/") {
        return Some(String::new());
    }
    if !takes(inner) {
        return Some(target);
    }
    // Many platforms have one address for everything; where it leads stands behind it.
    let query = target.split_once('?').map_or("", |(_, query)| query);
    let mut fields = url::form_urlencoded::parse(query.as_bytes());
    match fields.find(|(key, _)| key == "next") {
        Some((_, next)) => local_target(&base, &next, host),
        None => Some(String::new()),
    }
}

/// Whoever follows one link after the other stays in the session that she has: with it would end what she
/// has open.
fn is_hers(caller: Option<&Caller>, user: &User) -> bool {
    let Some(caller) = caller else {
        return false;
    };
    let person = caller.person();
    matches!(caller.credential, Credential::Session { .. })
        && person.is_ok_and(|person| person.id == user.id)
}
