//! Who calls: from a token or a cookie to a [`Caller`], in one place for all routes.
//!
//! The XSRF rule is enforced here too, so no handler can forget it: a request that a cookie
//! authenticates and that needs a token either carries a good one or is refused.

mod first_field;

use lyceum_model::say;
use std::sync::Arc;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, Method, header};
use axum::middleware::{Next, from_fn, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use lyceum_model::clock::Millis;
use lyceum_model::scope::ScopeSet;
use lyceum_store::Tx;
use lyceum_web::cookie;
use lyceum_web::request::{self, RequestInfo};
use lyceum_web::xsrf::{self, Binding};
use lyceum_web::{ApiError, ApiResult, Caller, Credential, Person, Who};
use tower::ServiceBuilder;

use crate::db::tokens::Token;
use crate::db::users::User;
use crate::moment::Moment;
use crate::seen::{Seen, Sight, Ticket};
use crate::services::Known;
use crate::size::{BODY_LIMIT, refuse_large};
use crate::standing::Standing;
use crate::{Hub, db, pages, refreshing, services, tokens};

/// Cookies of the login's name that are looked at: more than a browser sends unless they were planted.
const COOKIES_TRIED: usize = 16;
/// No cookie of ours is longer.
const COOKIE_MAX: usize = 256;
/// A session's "last seen" is written at most this often.
const SEEN_EVERY_MS: i64 = 60_000;
/// A request with this in its query is nobody's activity.
const NO_ACTIVITY: &str = "no_track_activity";

/// Wraps the hub's routes: request info, caller, XSRF, dress of errors, security headers.
pub fn layers(hub: Hub, router: Router<Hub>) -> Router {
    let secret = hub.proxy_secret().clone();
    // From the outside in. In one stack: each `Router::layer` of its own would be one more that is
    // copied for every layer around it, at each request.
    let stack = ServiceBuilder::new()
        .layer(from_fn(move |request: Request, next: Next| {
            request::describe(secret.clone(), request, next)
        }))
        .layer(from_fn(security_headers))
        .layer(from_fn_with_state(hub.clone(), measure))
        .layer(from_fn_with_state(hub.clone(), pages::dress))
        .layer(from_fn_with_state(hub.clone(), refuse_large))
        .layer(from_fn_with_state(hub.clone(), pages::enter::keep_to_hosts))
        .layer(from_fn_with_state(hub.clone(), identify))
        .layer(from_fn(crate::survive::survive));
    router
        .fallback(pages::fallback)
        .layer(stack)
        .with_state(hub)
}

async fn identify(State(hub): State<Hub>, mut request: Request, next: Next) -> Response {
    if let Some(token) = bearer(request.headers()).filter(|_| !is_for_everybody(&request)) {
        return match by_token(&hub, &token).await {
            Ok(Some(sight)) => {
                let caller = here(sight.seen.caller.clone(), &request);
                request.extensions_mut().insert(caller.clone());
                request.extensions_mut().insert(sight);
                tell_failure(next.run(request).await, caller)
            }
            Ok(None) => next.run(request).await,
            Err(error) => error.into_response(),
        };
    }
    match caller(&hub, &mut request).await {
        Ok(Some(caller)) => {
            let caller = here(caller, &request);
            request.extensions_mut().insert(caller.clone());
            tell_failure(next.run(request).await, caller)
        }
        Ok(None) => next.run(request).await,
        Err(error) => error.into_response(),
    }
}

/// The caller with the address that this request comes from.
fn here(mut caller: Caller, request: &Request) -> Caller {
    let info = request.extensions().get::<RequestInfo>();
    caller.from = info.map(|info| info.address);
    caller
}

/// An error page is dressed outside of here and shows who is signed in.
fn tell_failure(mut response: Response, caller: Caller) -> Response {
    if response.status().is_client_error() || response.status().is_server_error() {
        response.extensions_mut().insert(caller);
    }
    response
}

/// Files that are the same for everybody. A page's own module script is fetched in mode `cors`
/// without a token, so asking for one here would break every page.
fn is_for_everybody(request: &Request) -> bool {
    request.uri().path().starts_with("/hub/static/")
}

/// Whether a page asks by itself, and not the person who has it open. Jupyter's servers know the same
/// name.
fn is_unattended(query: Option<&str>) -> bool {
    let fields = url::form_urlencoded::parse(query.unwrap_or_default().as_bytes());
    fields
        .into_iter()
        .any(|(name, value)| name == NO_ACTIVITY && !value.is_empty())
}

/// Who comes with a cookie.
async fn caller(hub: &Hub, request: &mut Request) -> ApiResult<Option<Caller>> {
    if is_for_everybody(request) {
        return Ok(None);
    }
    // To look is all that a page does by itself.
    let looks = matches!(*request.method(), Method::GET | Method::HEAD);
    let counts = !(looks && is_unattended(request.uri().query()));
    let before = Moment::now(hub);
    let info = request.extensions().get::<RequestInfo>();
    let Some(caller) = by_cookie(hub, request.headers(), info, counts, before.clone()).await?
    else {
        return Ok(None);
    };
    if let Some(before) = before {
        request.extensions_mut().insert(before);
    }
    let Credential::Session { binding, .. } = &caller.credential else {
        return Ok(Some(caller));
    };
    let method = request.method().clone();
    let is_api = request.uri().path().starts_with("/hub/api/")
        && !request.uri().path().starts_with("/hub/api/oauth2/");
    if is_api
        && method == Method::POST
        && request.headers().contains_key(header::CONTENT_TYPE)
        && !has_type(request.headers(), "application/json")
    {
        // A form on another site can be posted without asking; JSON can't. As in JupyterHub, such
        // a request counts as nobody's.
        return Ok(None);
    }
    // A platform's launch, which a page of ours may post once more: bound to this browser by its own state.
    let is_launch = method == Method::POST && pages::is_launch(request.uri().path());
    if !is_launch && xsrf::needed(&method, request.headers()) {
        let mut given = xsrf::given_outside_body(request.headers(), request.uri().query());
        if given.is_none() && has_type(request.headers(), "application/x-www-form-urlencoded") {
            given = from_form(request).await?;
        } else if given.is_none() && has_type(request.headers(), "multipart/form-data") {
            given = first_field::of(request).await;
        }
        let Some(given) = given else {
            return Err(ApiError::forbidden(say!(
                "refused.no_xsrf",
                method = method.as_str()
            )));
        };
        if !hub.xsrf().accepts(Binding::Session(binding), &given) {
            return Err(ApiError::forbidden(say!("refused.wrong_xsrf")));
        }
    }
    Ok(Some(caller))
}

/// `Authorization: token X` or `Bearer X`; other schemes and `?token=` are no credentials here.
pub fn bearer(headers: &HeaderMap) -> Option<String> {
    let (scheme, token) = request::header(headers, "authorization")?
        .trim()
        .split_once(' ')?;
    let known = scheme.eq_ignore_ascii_case("token") || scheme.eq_ignore_ascii_case("bearer");
    (known && !token.trim().is_empty()).then(|| token.trim().to_owned())
}

/// Whose token it is: a person's or a service's.
pub enum Bearer {
    Person { user: User, token: Token },
    Service(Known),
}

/// Who comes with this token; nobody who may not come in.
pub async fn bearer_of(
    hub: &Hub,
    tx: &mut Tx,
    secret: &str,
    now: Millis,
) -> sqlx::Result<Option<Bearer>> {
    let hash = tokens::hash(secret);
    let Some(token) = db::tokens::by_hash(tx, &hash, now.0).await? else {
        let service = services::by_token(&hub.settings().grants, tx, &hash).await?;
        return Ok(service.map(Bearer::Service));
    };
    let user = db::users::get(tx, &token.user_id).await?;
    let user = hub.let_in(tx, user).await?;
    Ok(user.map(|user| Bearer::Person { user, token }))
}

async fn by_token(hub: &Hub, secret: &str) -> ApiResult<Option<Sight>> {
    let now = hub.now();
    let hash = tokens::hash(secret);
    // Before anything is read: what is read later may be newer, never older.
    let moment = Moment::now(hub);
    let stamp = moment.as_ref().map(Moment::stamp);
    if let Some(moment) = &moment
        && let Some(seen) = hub.seen().find(&hash, moment, now)
    {
        if let (Who::Person(_), Credential::Token { id, .. }) =
            (&seen.caller.who, &seen.caller.credential)
        {
            hub.token_uses().note(id, now);
        }
        return Ok(Some(Sight::new(seen, stamp)));
    }
    let mut tx = hub.db().read().await?;
    let (user, token) = match bearer_of(hub, &mut tx, secret, now).await? {
        None => return Ok(None),
        Some(Bearer::Person { user, token }) => (user, token),
        Some(Bearer::Service(known)) => {
            let standing = Standing::of_service(hub, &mut tx, &known).await?;
            let scopes = standing.held().clone();
            let (_, members) = standing.into_parts();
            let caller = Caller {
                credential: Credential::Token {
                    id: format!("s-{}", known.name),
                    session_id: None,
                    server_id: None,
                },
                who: Who::Service(known.name),
                scopes: scopes.into(),
                members,
                from: None,
            };
            let seen = keep(hub, hash, moment, Ticket::default(), caller);
            return Ok(Some(Sight::new(seen, stamp)));
        }
    };
    let mut standing = Standing::of_user(hub, &mut tx, &user).await?;
    let scopes = standing.token(&mut tx, &token).await?;
    drop(tx);
    hub.token_uses().note(&token.id, now);
    let ticket = Ticket {
        until: token.expires_at,
        server: token.server_id.clone(),
        client: token.oauth_client,
    };
    let credential = Credential::Token {
        id: token.id,
        session_id: token.session_id,
        server_id: token.server_id,
    };
    let caller = person(user, credential, scopes, standing);
    let seen = keep(hub, hash, moment, ticket, caller);
    Ok(Some(Sight::new(seen, stamp)))
}

/// For the next time; not when what was read is older than what others keep by now.
fn keep(
    hub: &Hub,
    hash: String,
    moment: Option<Moment>,
    ticket: Ticket,
    caller: Caller,
) -> Arc<Seen> {
    let is_new = matches!((&moment, Moment::now(hub)), (Some(then), Some(now)) if now.is(then));
    hub.seen().keep(hash, moment, is_new, ticket, caller)
}

/// Who sent these headers, as things are now. What can't be looked up counts as nobody. To ask again
/// while an answer is under way is no use of the session.
pub async fn now(hub: &Hub, headers: &HeaderMap) -> Option<Caller> {
    match bearer(headers) {
        Some(token) => {
            let sight = by_token(hub, &token).await.ok()??;
            Some(sight.seen.caller.clone())
        }
        None => {
            let before = Moment::now(hub);
            by_cookie(hub, headers, None, false, before).await.ok()?
        }
    }
}

/// Whether whoever sent these headers is still the one she was, with the same rights.
pub async fn is_still(hub: &Hub, headers: &HeaderMap, caller: &Caller) -> bool {
    let same =
        |now: &Caller| now.who.to_string() == caller.who.to_string() && now.scopes == caller.scopes;
    now(hub, headers).await.as_ref().is_some_and(same)
}

/// A person as a caller; `scopes` are those of what she came with.
pub fn person(user: User, credential: Credential, scopes: ScopeSet, standing: Standing) -> Caller {
    let (groups, members) = standing.into_parts();
    Caller {
        who: Who::Person(Person {
            id: user.id,
            name: user.name,
            display_name: user.display_name,
            admin: user.admin,
            groups,
        }),
        credential,
        scopes: scopes.into(),
        members,
        from: None,
    }
}

/// `counts`: this is use of the session, and activity of the person. `before`: from before anything was read;
/// what is read later may be newer, never older.
async fn by_cookie(
    hub: &Hub,
    headers: &HeaderMap,
    info: Option<&RequestInfo>,
    counts: bool,
    before: Option<Moment>,
) -> ApiResult<Option<Caller>> {
    let (now, settings) = (hub.now(), hub.settings());
    let (login, _) = settings.origins.login_cookie();
    let kept_as = only_cookie(headers, login);
    if let (Some(kept_as), Some(before)) = (&kept_as, &before)
        && let Some(seen) = hub.seen().find(kept_as, before, now)
    {
        return Ok(Some(seen.caller.clone()));
    }
    // A browser may hold several of one name (tossed by a sibling); only a real one counts. Where two
    // people's are real, one was planted to make her work as somebody else: then nobody is there.
    let mut found: Option<(db::sessions::Session, User)> = None;
    for value in cookie::values(headers, login).take(COOKIES_TRIED) {
        if value.len() > COOKIE_MAX {
            continue;
        }
        let mut tx = hub.db().read().await?;
        let Some(session) =
            db::sessions::by_cookie(&mut tx, &tokens::hash_session(value), now.0).await?
        else {
            continue;
        };
        let Some(user) = db::users::get(&mut tx, &session.user_id).await? else {
            continue;
        };
        if hub.shuts_out(&mut tx, &user).await? {
            continue;
        }
        match &found {
            None => found = Some((session, user)),
            Some((_, first)) if first.id == user.id => {}
            Some((_, first)) => {
                tracing::warn!(one = %first.name, other = %user.name, "a browser came with two people's sessions");
                return Ok(None);
            }
        }
    }
    let Some((session, mut user)) = found else {
        return Ok(None);
    };
    if refreshing::is_late(hub, &session) {
        refreshing::before_use(hub, &session).await;
        match again(hub, &session.id, now).await? {
            Some(now) => user = now,
            None => return Ok(None),
        }
    }
    if let Some(info) = info
        && !pages::by_header::goes_on(hub, &session, info, headers).await?
    {
        return Ok(None);
    }
    let mut tx = hub.db().read().await?;
    let standing = Standing::of_user(hub, &mut tx, &user).await?;
    drop(tx);
    if counts && now.since(Millis(session.seen_at)) > SEEN_EVERY_MS {
        // Nobody is kept from her page because this can't be written down just now.
        if let Err(error) = saw(hub, &session.id, &user.id, now).await {
            tracing::warn!(error = %error, "could not write down that a session was seen");
        }
    }
    let until = kept_until(&session).filter(|until| *until > now.0);
    let credential = Credential::Session {
        id: session.id,
        binding: session.cookie_hash,
    };
    let scopes = standing.held().clone();
    let caller = person(user, credential, scopes, standing);
    if let (Some(kept_as), Some(_)) = (kept_as, until) {
        let ticket = Ticket {
            until,
            ..Ticket::default()
        };
        keep(hub, kept_as, before, ticket, caller.clone());
    }
    Ok(Some(caller))
}

/// By what a browser's caller is kept, which no token is: only where it came with one session.
fn only_cookie(headers: &HeaderMap, login: &str) -> Option<String> {
    let mut values = cookie::values(headers, login);
    let only = values.next().filter(|value| value.len() <= COOKIE_MAX)?;
    let is_alone = values.next().is_none();
    is_alone.then(|| format!("session {}", tokens::hash_session(only)))
}

/// Until when a session may be taken for what it was: not when it has ended, nor when it is to be written down
/// that it is used. Of one that began elsewhere something else is asked at each request.
fn kept_until(session: &db::sessions::Session) -> Option<i64> {
    let seen_again = session.seen_at.saturating_add(SEEN_EVERY_MS);
    let until = seen_again.min(session.expires_at);
    session.method.is_none().then_some(until)
}

/// Whose session this is, if she may still be here.
async fn again(hub: &Hub, session: &str, now: Millis) -> sqlx::Result<Option<User>> {
    let mut tx = hub.db().read().await?;
    let Some(session) = db::sessions::by_id(&mut tx, session, now.0).await? else {
        return Ok(None);
    };
    let user = db::users::get(&mut tx, &session.user_id).await?;
    hub.let_in(&mut tx, user).await
}

async fn saw(hub: &Hub, session: &str, user: &str, now: Millis) -> sqlx::Result<()> {
    let mut tx = hub.db().write().await?;
    db::users::touch(&mut tx, user, now).await?;
    db::sessions::seen(&mut tx, session, now.0).await?;
    tx.commit().await
}

/// Reads `_xsrf` out of a form and puts the body back.
async fn from_form(request: &mut Request) -> ApiResult<Option<String>> {
    let body = std::mem::replace(request.body_mut(), Body::empty());
    let bytes = to_bytes(body, BODY_LIMIT).await.map_err(|_| {
        ApiError::new(
            axum::http::StatusCode::PAYLOAD_TOO_LARGE,
            say!("refused.form_too_large"),
        )
    })?;
    let given = url::form_urlencoded::parse(&bytes)
        .find(|(key, _)| key == cookie::XSRF)
        .map(|(_, value)| value.into_owned());
    *request.body_mut() = Body::from(bytes);
    Ok(given)
}

fn has_type(headers: &HeaderMap, wanted: &str) -> bool {
    request::header(headers, "content-type")
        .and_then(|value| value.split(';').next())
        .is_some_and(|kind| kind.trim().eq_ignore_ascii_case(wanted))
}

async fn security_headers(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    // Who is sent on still comes from the page she came from: a link in somebody's server, say.
    let is_page = !response.status().is_redirection();
    let headers = response.headers_mut();
    if is_page {
        headers
            .entry(header::REFERRER_POLICY)
            .or_insert(HeaderValue::from_static("same-origin"));
    }
    for (name, value) in [
        (
            header::CONTENT_SECURITY_POLICY,
            "default-src 'self'; img-src 'self' data:; frame-ancestors 'none'; base-uri 'none'; form-action *; object-src 'none'",
        ),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::X_FRAME_OPTIONS, "DENY"),
    ] {
        headers
            .entry(name)
            .or_insert(HeaderValue::from_static(value));
    }
    headers.insert(
        "x-jupyterhub-version",
        HeaderValue::from_static(crate::api::JUPYTERHUB_VERSION),
    );
    headers
        .entry(header::CACHE_CONTROL)
        .or_insert(HeaderValue::from_static("no-store"));
    response
}

async fn measure(State(hub): State<Hub>, request: Request, next: Next) -> Response {
    let path = request
        .extensions()
        .get::<axum::extract::MatchedPath>()
        .map(|path| Arc::from(path.as_str()));
    let method = request.method().clone();
    let begun = std::time::Instant::now();
    let response = next.run(request).await;
    hub.metrics()
        .request(path, &method, response.status(), begun.elapsed());
    response
}

/// What an anonymous visitor's form token is bound to.
pub fn anonymous(info: &RequestInfo) -> Binding<'_> {
    Binding::Anonymous(info)
}
