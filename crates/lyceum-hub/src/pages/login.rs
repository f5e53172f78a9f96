//! Log in, log out.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

use axum::extract::{Extension, Form, Query, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::Response;
use lyceum_auth::sign_in::Proven;
use lyceum_auth::{Authenticator, Grant, Refused, TryOut};
use lyceum_model::id::{new_id, new_secret};
use lyceum_model::identity::Identity;
use lyceum_model::name::UserName;
use lyceum_model::say;
use lyceum_model::scope::{ScopeName, Target};
use lyceum_model::secret::Secret;
use lyceum_store::Tx;
use lyceum_web::cookie::{self, Cookie};
use lyceum_web::page::contexts::{LoginError, LoginPage, LogoutPage, StillThere};
use lyceum_web::request::{RequestInfo, header as header_text};
use lyceum_web::xsrf::Binding;
use lyceum_web::{ApiError, ApiResult, Caller, Credential, Who};
use serde::Deserialize;

use super::{by_itself, frame, html, redirect, to};
use crate::audit::{self, Act, Doer, What};
use crate::db::users::User;
use crate::event_log::Event;
use crate::jobs::revocations;
use crate::next::local_target;
use crate::refreshing::{self, Why};
use crate::sessions::{self, Which};
use crate::sittings::Ticket;
use crate::standing::Standing;
use crate::visit::is_from_elsewhere;
use crate::{Hub, db, metrics, notices, second_factor, tokens, users};

/// How long a browser stays signed in.
const SESSION_DAYS: i64 = 14;
/// When everybody signs in at once, how long to wait before the next try.
const BUSY_SECONDS: u64 = 5;

#[derive(Debug, Default, Deserialize)]
pub struct NextQuery {
    #[serde(default)]
    pub next: String,
}

#[derive(Debug, Deserialize)]
pub struct ShowQuery {
    #[serde(default)]
    next: String,
    /// Asks for the page itself, with all ways in.
    local: Option<String>,
}

/// The form; those who are signed in already go on.
pub async fn show(
    State(hub): State<Hub>,
    caller: Option<Caller>,
    Extension(info): Extension<RequestInfo>,
    headers: HeaderMap,
    Query(query): Query<ShowQuery>,
) -> ApiResult<Response> {
    if let Some(caller) = &caller {
        let user_id = &caller.person()?.id;
        let to = target(&hub, user_id, &query.next, &info).await?;
        return Ok(redirect(&hub.base(), &to));
    }
    let mut tx = hub.db().read().await?;
    hub.note_sittings(crate::sittings::are_near(&mut tx, hub.now()).await?);
    drop(tx);
    let error = why_out(&hub, &headers).await?;
    if query.local.is_none()
        && error.is_none()
        && let Some(to) = by_itself::target(&hub, &info, &headers, &query.next)
    {
        return Ok(redirect(&hub.base(), &to));
    }
    form(
        &hub,
        &headers,
        &info,
        StatusCode::OK,
        &query.next,
        "",
        error,
        None,
    )
}

/// Why the session of this browser ended, if nobody had logged out.
async fn why_out(hub: &Hub, headers: &HeaderMap) -> ApiResult<Option<LoginError>> {
    let (login, _) = hub.settings().origins.login_cookie();
    let Some(value) = cookie::values(headers, login).next() else {
        return Ok(None);
    };
    let mut tx = hub.db().read().await?;
    let why = db::refreshes::why_ended(&mut tx, &tokens::hash_session(value)).await?;
    Ok(why.and_then(|word| Why::parse(&word)).map(Why::told))
}

#[derive(Debug, Deserialize)]
pub struct LoginForm {
    #[serde(default)]
    username: String,
    #[serde(default)]
    password: String,
    #[serde(default)]
    next: String,
    #[serde(default, rename = "_xsrf")]
    xsrf: String,
}

/// Someone tries to come in.
pub async fn sign_in(
    State(hub): State<Hub>,
    caller: Option<Caller>,
    Extension(info): Extension<RequestInfo>,
    headers: HeaderMap,
    Query(query): Query<NextQuery>,
    Form(given): Form<LoginForm>,
) -> ApiResult<Response> {
    // Nobody can be signed in as somebody else by a foreign page.
    if caller.is_none() && is_foreign(&hub, &headers, &info, &given.xsrf) {
        let status = StatusCode::FORBIDDEN;
        return form(
            &hub,
            &headers,
            &info,
            status,
            &given.next,
            &given.username,
            Some(LoginError::Expired),
            None,
        );
    }
    let next = if given.next.is_empty() {
        query.next
    } else {
        given.next
    };
    let proven = check(&hub, &given.username, &given.password, &info).await;
    let way = Way {
        caller: caller.as_ref(),
        info: &info,
        headers: &headers,
        next: &next,
        method: None,
        grant: None,
        username: &given.username,
        ticket: None,
    };
    come_in(&hub, proven, way).await
}

/// Whether a form that needs no session came from anywhere but a page of ours in this browser. With a session
/// the middleware has looked.
pub(super) fn is_foreign(hub: &Hub, headers: &HeaderMap, info: &RequestInfo, xsrf: &str) -> bool {
    let cross_site = match header_text(headers, "sec-fetch-site") {
        Some(site) => !matches!(site, "same-origin" | "none"),
        // Browsers tell it only to sites they trust (TLS, this machine), but the origin to all.
        None => header_text(headers, "origin").is_some_and(|from| !own_origin(hub, info, from)),
    };
    cross_site || !hub.xsrf().accepts(Binding::Anonymous(info), xsrf)
}

/// How somebody comes in, whatever she proved herself by.
pub(super) struct Way<'a> {
    /// Who was here before in this browser.
    pub(super) caller: Option<&'a Caller>,
    pub(super) info: &'a RequestInfo,
    pub(super) headers: &'a HeaderMap,
    pub(super) next: &'a str,
    /// The id of the way in elsewhere.
    pub(super) method: Option<&'a str>,
    /// By what that way in can be asked about her later.
    pub(super) grant: Option<Grant>,
    /// What was typed.
    pub(super) username: &'a str,
    /// The code on paper that she came with, which this uses up.
    pub(super) ticket: Option<&'a Ticket>,
}

impl Way<'_> {
    /// For the log.
    fn called(&self) -> &str {
        match self.method {
            None => "password",
            // The one that needs no name to be told from others.
            Some("") => "elsewhere",
            Some(method) => method.trim_start_matches(':'),
        }
    }

    /// The log-in page with a sentence about what went wrong.
    pub(super) fn refuse(&self, hub: &Hub, refused: Refused) -> ApiResult<Response> {
        hub.metrics().sign_in("failure");
        if self.ticket.is_some() {
            return super::seat::refuse(hub, self, refused);
        }
        let away = self.method.is_some();
        let (status, error, wait) = match refused {
            Refused::Credentials => (StatusCode::FORBIDDEN, Some(LoginError::Refused), None),
            Refused::NotAdmitted if away => {
                (StatusCode::FORBIDDEN, Some(LoginError::Outsider), None)
            }
            Refused::NotAdmitted => (StatusCode::FORBIDDEN, Some(LoginError::Excluded), None),
            Refused::Expired => (StatusCode::FORBIDDEN, Some(LoginError::Stale), None),
            Refused::Denied => (StatusCode::FORBIDDEN, Some(LoginError::Denied), None),
            Refused::Unnamed => (StatusCode::FORBIDDEN, Some(LoginError::Unnamed), None),
            Refused::Anonymous => (StatusCode::FORBIDDEN, Some(LoginError::Anonymous), None),
            Refused::Taken => (StatusCode::FORBIDDEN, Some(LoginError::Taken), None),
            Refused::Reserved => (StatusCode::FORBIDDEN, Some(LoginError::Reserved), None),
            Refused::TooMany { retry_after } => (
                StatusCode::TOO_MANY_REQUESTS,
                None,
                Some(u64::from(retry_after)),
            ),
            Refused::Busy => (StatusCode::SERVICE_UNAVAILABLE, None, Some(BUSY_SECONDS)),
            Refused::Internal(error) => {
                let error = lyceum_model::causes::told(error.as_ref());
                tracing::error!(error, "sign-in is out of order");
                let error = match away {
                    true => LoginError::Unreachable,
                    false => LoginError::Unavailable,
                };
                (StatusCode::SERVICE_UNAVAILABLE, Some(error), None)
            }
        };
        let (headers, info) = (self.headers, self.info);
        form(
            hub,
            headers,
            info,
            status,
            self.next,
            self.username,
            error,
            wait,
        )
    }
}

/// Whether course files make somebody of this name a teacher or grader.
pub(super) async fn has_power_in_courses(
    hub: &Hub,
    tx: &mut Tx,
    name: &UserName,
) -> ApiResult<bool> {
    let mut groups = match db::users::find(tx, name).await? {
        Some(user) => db::groups::names_of(tx, &user.id).await?,
        None => Vec::new(),
    };
    groups.extend(hub.settings().grants.groups_naming(name));
    let courses = hub.shelf().roles_of(name, &groups);
    let mut roles = courses.iter().flat_map(|(_, roles)| roles);
    Ok(roles.any(|role| role.is_staff()))
}

/// Her row, brought up to date with what she is where she proved herself. Of a refusal the transaction holds
/// pieces: it must not be committed.
pub(crate) async fn bring_in(
    hub: &Hub,
    tx: &mut Tx,
    identity: &Identity,
    address: IpAddr,
) -> ApiResult<Result<User, Refused>> {
    let settings = hub.settings();
    let in_force = users::InForce {
        grants: &settings.grants,
        admins: &settings.admission.admins,
        has_power_in_courses: match identity.subject {
            Some(_) => has_power_in_courses(hub, tx, &identity.name).await?,
            // A password is that name's.
            None => false,
        },
        posix: &settings.posix,
    };
    let admitted = users::admit(tx, identity, in_force, hub.now()).await?;
    Ok(admitted.map_err(|why| {
        let subject = identity.subject.as_ref().map(|subject| subject.id.as_str());
        tracing::warn!(
            name = %identity.name, subject, %address,
            "sign-in refused: {why}"
        );
        why.into()
    }))
}

/// The same for somebody who is here, as the place by which she came has been asked about her. Tells whether
/// her account is still hers. Of a no the transaction holds pieces: it must not be committed.
pub(crate) async fn bring_again(
    hub: &Hub,
    tx: &mut Tx,
    identity: &Identity,
    user_id: &str,
    address: IpAddr,
) -> anyhow::Result<bool> {
    let known = match &identity.subject {
        Some(subject) => db::identities::find(tx, subject).await?,
        None => None,
    };
    // Nothing is made for her here: that is for whoever logs in.
    if known.is_none_or(|known| known.user_id != user_id) {
        return Ok(false);
    }
    let brought = bring_in(hub, tx, identity, address).await;
    let brought = brought.map_err(|error| anyhow::anyhow!("{}", error.message))?;
    Ok(brought.is_ok_and(|user| user.id == user_id))
}

/// Somebody has proved who she is, or has not: the new session, or the log-in page once more.
pub(super) async fn come_in(
    hub: &Hub,
    proven: Result<Identity, Refused>,
    way: Way<'_>,
) -> ApiResult<Response> {
    let identity = match proven {
        Ok(identity) => identity,
        Err(refused) => {
            // Of passwords the door has told, of codes on paper whoever reads them, of what fails the refusal.
            let is_told = way.ticket.is_some() || matches!(refused, Refused::Internal(_));
            if way.method.is_some() && !is_told {
                tracing::info!(address = %way.info.address, method = way.called(), why = %refused, "sign-in refused");
            }
            note_refused(hub, way.username, &refused, way.info);
            return way.refuse(hub, refused);
        }
    };
    if let Some(refused) = held_up(hub, &identity).await? {
        return Err(refused);
    }
    let mut tx = hub.db().write().await?;
    if let Some(ticket) = way.ticket
        && !ticket.hold(&mut tx).await?
    {
        tx.rollback().await?;
        return way.refuse(hub, Refused::Expired);
    }
    let user = match bring_in(hub, &mut tx, &identity, way.info.address).await? {
        Ok(user) => user,
        Err(why) => {
            tx.rollback().await?;
            note_refused(hub, identity.name.as_str(), &why, way.info);
            return way.refuse(hub, why);
        }
    };
    // Whoever proves elsewhere who she is has her second step there.
    if way.method.is_none()
        && let Some(needed) = second_factor::needed(hub, &mut tx, &user).await?
    {
        tx.commit().await?;
        crate::proxy::pass_on(hub).await;
        return super::second_step::ask(hub, &user, &way, needed).await;
    }
    begin(hub, tx, &user, &identity, &way).await
}

/// Writes it down for the account of this name, if there is one. Where too many try, or something is out of order,
/// nobody has looked who it is.
pub(crate) fn note_refused(hub: &Hub, name: &str, refused: &Refused, info: &RequestInfo) {
    let why = match refused {
        Refused::Credentials => "credentials",
        Refused::NotAdmitted => "not_admitted",
        Refused::Taken => "taken",
        Refused::Reserved => "reserved",
        Refused::TooMany { .. }
        | Refused::Busy
        | Refused::Expired
        | Refused::Denied
        | Refused::Anonymous
        | Refused::Unnamed
        | Refused::Internal(_) => return,
    };
    audit::note_refused(hub, name, info.address, why);
}

/// The new session of somebody who has proved all that she has to.
pub(super) async fn begin(
    hub: &Hub,
    mut tx: Tx,
    user: &User,
    identity: &Identity,
    way: &Way<'_>,
) -> ApiResult<Response> {
    let (info, now, settings) = (way.info, hub.now(), hub.settings());
    let (cookie_secret, access_secret) = (new_secret(), new_secret());
    let mut ended = None;
    // Whoever signs in gets a new session; the one before it ends, so none can be planted.
    if let Some(Caller {
        credential: Credential::Session { id, .. },
        who: Who::Person(person),
        ..
    }) = way.caller
    {
        db::sessions::end(&mut tx, id, &person.id).await?;
        ended = Some((person.name.as_str(), id.clone()));
    }
    let expires = match way.ticket {
        Some(ticket) => ticket.ends(&mut tx).await?.unwrap_or(now),
        None => now.plus(longest(hub, way)),
    };
    let session = db::sessions::Session {
        id: new_id(now),
        cookie_hash: tokens::hash_session(&cookie_secret),
        access_hash: tokens::hash_access(&access_secret),
        user_id: user.id.clone(),
        created_at: now.0,
        seen_at: now.0,
        expires_at: expires.0,
        address: Some(info.address.to_string()),
        agent: Some(info.agent.clone()),
        method: way.method.map(str::to_owned),
        elsewhere: (identity.subject.as_ref().zip(identity.session.as_deref()))
            .map(|(subject, session)| sessions::elsewhere(&subject.issuer, session)),
        refresh_at: None,
    };
    db::sessions::insert(&mut tx, &session).await?;
    keep_grant(hub, &mut tx, &session, way, identity).await?;
    if let Some(ticket) = way.ticket
        && let Some(why) =
            super::seat::kept_out(hub, &mut tx, ticket, user, &session.id, info).await?
    {
        tx.rollback().await?;
        hub.metrics().sign_in("failure");
        return super::seat::tell_why(hub, way, why);
    }
    let doer = Doer::person(&user.name).at(Some(info.address));
    let act = Act::new(&doer, What::SignIn)
        .about(user)
        .with("method", way.method.unwrap_or(audit::BY_PASSWORD))
        .with("agent", &info.agent);
    audit::note(&mut tx, act, now).await?;
    let too_many = sessions::are_too_many(&mut tx, &user.id, now).await?;
    if let Some((name, id)) = ended {
        revocations::announce_fallen(&mut tx, name, &[id], now).await?;
    }
    tx.commit().await?;
    hub.metrics().sign_in("success");
    // A session may have ended, and a place elsewhere may have changed roles and groups.
    crate::proxy::pass_on(hub).await;
    hub.tell(Event::Session {
        action: "sign-in",
        user: user.name.as_str(),
    });
    if too_many {
        let nobody = Doer::nobody();
        let act = Act::new(&nobody, What::SignOut).with("by", "limit");
        let name = user.name.as_str();
        let ended = sessions::end(hub, &user.id, name, Which::Beyond, act).await;
        if let Err(error) = ended {
            // She is signed in all the same; the next log-in tries again.
            tracing::warn!(user = %user.name, error = %error.message, "old sessions could not be ended");
        }
    }
    let issuer = identity.subject.as_ref().map(|subject| &*subject.issuer);
    tracing::info!(user = %user.name, address = %info.address, method = way.called(), issuer, "signed in");
    let target = target(hub, &user.id, way.next, info).await?;
    let mut response = redirect(&hub.base(), &target);
    let secure = super::secure(hub, info);
    let age = Some(sessions::cookie_age(&session, now));
    let origins = &settings.origins;
    let (login, path) = origins.login_cookie();
    let proof = Cookie {
        name: login,
        value: &cookie_secret,
        path: &path,
        domain: None,
        http_only: true,
        secure,
        max_age: age,
    };
    let name_of_session = Cookie {
        name: cookie::SESSION_ID,
        value: &session.id,
        path: origins.base().as_str(),
        domain: origins.cookie_domain(),
        ..proof
    };
    let access = Cookie {
        name: cookie::ACCESS,
        value: &access_secret,
        path: origins.base().as_str(),
        domain: None,
        ..proof
    };
    // Where servers have hosts of their own, each gets a cookie of its own.
    let access = (!origins.are_apart()).then_some(access);
    for cookie in [Some(proof), Some(name_of_session), access]
        .into_iter()
        .flatten()
    {
        response
            .headers_mut()
            .append(header::SET_COOKIE, cookie.header());
    }
    if by_itself::has_left(way.headers) {
        let forgotten = by_itself::forget(hub, info);
        (response.headers_mut()).append(header::SET_COOKIE, forgotten);
    }
    super::set_xsrf(
        hub,
        &mut response,
        Binding::Session(&session.cookie_hash),
        secure,
    );
    Ok(response)
}

/// How long a session may last: no longer unconfirmed than the configuration allows, also where her way in gave
/// nothing to ask about her with.
fn longest(hub: &Hub, way: &Way<'_>) -> i64 {
    let all = SESSION_DAYS * 24 * 3_600_000;
    let sign_in = hub.sign_in();
    let renewing = way.method.and_then(|method| sign_in.renewing(method));
    match (renewing.and_then(|renewing| renewing.grace), &way.grant) {
        (Some(grace), None) => all.min(i64::try_from(grace.as_millis()).unwrap_or(all)),
        _ => all,
    }
}

/// Keeps what her way in can be asked about her with, if it gave that and is to be asked.
async fn keep_grant(
    hub: &Hub,
    tx: &mut Tx,
    session: &db::sessions::Session,
    way: &Way<'_>,
    identity: &Identity,
) -> sqlx::Result<()> {
    let sign_in = hub.sign_in();
    let renewing = way.method.and_then(|method| sign_in.renewing(method));
    let Some(renewing) = renewing else {
        return Ok(());
    };
    let Some(grant) = &way.grant else {
        let method = way.method;
        tracing::info!(name = %identity.name, method, "her sign-in provider gave nothing to ask about her with; she stays until her session ends");
        return Ok(());
    };
    let Some(sealed) = sign_in.seal(&session.id, grant) else {
        return Ok(());
    };
    let now = hub.now();
    let kept = (sealed.as_str(), &*refreshing::told(identity));
    let next = refreshing::next(renewing, now);
    db::refreshes::keep(tx, &session.id, kept, now.0, next.0).await
}

/// Why this person must wait until the maintenance is over.
pub(crate) async fn held_up(hub: &Hub, identity: &Identity) -> ApiResult<Option<ApiError>> {
    let settings = hub.settings();
    if settings.admission.admins.contains(&identity.name) || identity.admin == Some(true) {
        return Ok(None);
    }
    let mut tx = hub.db().read().await?;
    let user = db::users::find(&mut tx, &identity.name).await?;
    let groups = match &user {
        Some(user) => {
            // The same as decides about starts: administrators are those who hold it, by whatever role.
            let standing = Standing::of_user(hub, &mut tx, user).await?;
            let (scope, all) = (ScopeName::AdminServers, Target::Everything);
            if (standing.held().allows(scope, all, standing.members())).is_yes() {
                return Ok(None);
            }
            standing.groups().to_vec()
        }
        None => Vec::new(),
    };
    let who = (identity.name.as_str(), groups.as_slice());
    drop(tx);
    notices::refuse(hub, &settings, who).await
}

/// Whether a page of this site sent the form.
fn own_origin(hub: &Hub, info: &RequestInfo, origin: &str) -> bool {
    let host = origin
        .strip_prefix("https://")
        .or_else(|| origin.strip_prefix("http://"));
    host.is_some_and(|host| host.eq_ignore_ascii_case(&info.host))
        || hub.settings().origins.hub() == Some(origin)
}

/// Asks the sign-in methods and the lists.
pub async fn check(
    hub: &Hub,
    username: &str,
    password: &str,
    info: &RequestInfo,
) -> Result<Identity, Refused> {
    let begun = Instant::now();
    let sign_in = hub.sign_in();
    let proven = sign_in.prove(username, Secret::new(password), info.address);
    let identity = match proven.await {
        Ok(proven) => let_in(hub, proven, info.address).await,
        Err(refused) => Err(refused),
    };
    let status = match identity {
        Ok(_) => metrics::SUCCESS,
        Err(_) => metrics::FAILURE,
    };
    let seconds = &hub.metrics().login_seconds;
    let took = begun.elapsed().as_secs_f64();
    seconds.get_or_create(&status).observe(took);
    identity
}

/// From who she is to whether she may come in: whose account it is here, what the lists say, whether
/// she is kept out.
pub(crate) async fn let_in(
    hub: &Hub,
    mut proven: Proven,
    address: IpAddr,
) -> Result<Identity, Refused> {
    if let Some(subject) = &proven.identity.subject {
        let mut tx = hub.db().read().await?;
        // Whoever is known by another name keeps the one she has here.
        if let Some(name) = db::identities::name_of(&mut tx, subject).await? {
            proven.identity.name = name;
        }
    }
    let identity = hub.sign_in().admit(proven, address).await?;
    let mut tx = hub.db().read().await?;
    let Some(user) = db::users::find(&mut tx, &identity.name).await? else {
        return Ok(identity);
    };
    // By what she is now: of her groups her source has just told.
    let mut groups = users::groups_beside(&mut tx, &user, &identity).await?;
    groups.extend(identity.groups.iter().flatten().cloned());
    let settings = hub.settings();
    let lists = &settings.admission;
    let administers = db::users::was_made_admin(&mut tx, &user.id).await?
        && !lists.block.has(&user.name, &groups);
    match user.blocked_at {
        None if administers || lists.lets_in(&user.name, &groups) => Ok(identity),
        _ => Err(Refused::NotAdmitted),
    }
}

/// Where to go once signed in: where she wanted to, else her server if it runs, else home.
pub(super) async fn target(
    hub: &Hub,
    user_id: &str,
    next: &str,
    info: &RequestInfo,
) -> ApiResult<String> {
    if let Some(next) = local_target(&hub.base(), next, &info.host) {
        return Ok(next);
    }
    let mut tx = hub.db().read().await?;
    let server = db::servers::find(&mut tx, user_id, &Default::default()).await?;
    Ok(match server {
        Some(server) if server.state == crate::servers::State::Ready => {
            crate::servers::prefix(&hub.base(), &server.user_name, &server.name)
        }
        _ => hub.at("/hub/home"),
    })
}

#[expect(
    clippy::too_many_arguments,
    reason = "each is one thing the form shows"
)]
fn form(
    hub: &Hub,
    headers: &HeaderMap,
    info: &RequestInfo,
    status: StatusCode,
    next: &str,
    username: &str,
    error: Option<LoginError>,
    wait_seconds: Option<u64>,
) -> ApiResult<Response> {
    let next = local_target(&hub.base(), next, &info.host).unwrap_or_default();
    let username: String = username
        .chars()
        .filter(|c| !c.is_control())
        .take(128)
        .collect();
    let methods = super::elsewhere::links(hub, &next);
    let platforms = super::lti::links(hub);
    let sign_in = hub.sign_in();
    let by_password = sign_in.chain().methods();
    let ways = methods.len() + platforms.len() + by_password.len();
    let title = |way: &Arc<dyn Authenticator>| way.title().to_owned();
    let try_out = by_password.iter().find_map(|way| way.for_trying_out());
    let page = LoginPage {
        page: frame(hub, None, info),
        methods,
        platforms,
        code_url: hub.sittings_are_near().then(|| hub.at(super::seat::PATH)),
        password_form: !by_password.is_empty(),
        password_of: match ways {
            0 | 1 => Vec::new(),
            _ => by_password.iter().map(title).collect(),
        },
        try_out: try_out.map(|password| match password {
            TryOut::Any => "any",
            TryOut::Shared => "shared",
        }),
        next,
        username,
        error,
        wait_seconds,
        hint: hub
            .settings()
            .sign_in_hint
            .as_ref()
            .map(|hint| hint.in_lang(super::language(hub, headers))),
        forgotten: super::mail::sends_links(hub),
        sign_up: super::sign_up::is_open(hub),
    };
    let mut response = html(hub, headers, status, "login.html", &page)?;
    if let Some(seconds) = wait_seconds {
        response
            .headers_mut()
            .insert(header::RETRY_AFTER, seconds.into());
    }
    super::set_xsrf(
        hub,
        &mut response,
        Binding::Anonymous(info),
        super::secure(hub, info),
    );
    Ok(response)
}

/// Ends the session, and with it the tokens of servers and the sockets that it opened.
pub async fn sign_out(
    State(hub): State<Hub>,
    caller: Option<Caller>,
    Extension(info): Extension<RequestInfo>,
    headers: HeaderMap,
) -> ApiResult<Response> {
    let mut method = None;
    if let Some(Caller {
        credential: Credential::Session { id, .. },
        who: Who::Person(person),
        ..
    }) = &caller
    {
        let begun = Instant::now();
        let mut tx = hub.db().write().await?;
        let session = db::sessions::by_id(&mut tx, id, hub.now().0).await?;
        method = session.and_then(|session| session.method);
        db::sessions::end(&mut tx, id, &person.id).await?;
        let fallen = std::slice::from_ref(id);
        revocations::announce_fallen(&mut tx, person.name.as_str(), fallen, hub.now()).await?;
        let doer = Doer::person(&person.name).at(Some(info.address));
        let act = Act::new(&doer, What::SignOut).about_her(&person.id, person.name.as_str());
        audit::note(&mut tx, act, hub.now()).await?;
        tx.commit().await?;
        crate::proxy::pass_on(&hub).await;
        hub.tell(Event::Session {
            action: "sign-out",
            user: person.name.as_str(),
        });
        let took = begun.elapsed().as_secs_f64();
        hub.metrics().logout_seconds.observe(took);
        tracing::info!(user = %person.name, "signed out");
    }
    let settings = hub.settings();
    let there = match &method {
        Some(method) => super::elsewhere::log_out(&hub, method).await,
        None => None,
    };
    let waits = by_itself::waits(&hub, method.as_deref());
    // Whoever comes to this browser next must not be she again without a click, whether she is logged out there.
    let leaves = !waits && (there.is_some() || hub.sign_in().automatic().is_some());
    let mut response = farewell(&hub, &headers, &info, there, waits)?;
    let secure = super::secure(&hub, &info);
    if leaves {
        let left = by_itself::remember(&hub, &info);
        response.headers_mut().append(header::SET_COOKIE, left);
    }
    let base = settings.origins.base();
    let (login, path) = settings.origins.login_cookie();
    let domain = settings.origins.cookie_domain();
    for (name, path, domain) in [
        (login, path.as_str(), None),
        (cookie::SESSION_ID, base.as_str(), domain),
        (cookie::ACCESS, base.as_str(), None),
        (cookie::XSRF, base.hub().as_str(), None),
    ] {
        let expired = Cookie::expire(name, path, domain, secure);
        response.headers_mut().append(header::SET_COOKIE, expired);
    }
    Ok(response)
}

/// `GET /hub/logout`: JupyterLab's own menu leads here by a link. A link can be planted anywhere, so it
/// only ends the session when the browser says that the click came from this site.
pub async fn sign_out_link(
    hub: State<Hub>,
    caller: Option<Caller>,
    info: Extension<RequestInfo>,
    headers: HeaderMap,
) -> ApiResult<Response> {
    if let Some(caller) = &caller
        && is_from_elsewhere(&hub, caller, &headers, &info)
    {
        return Err(ApiError::forbidden(say!("refused.log_out_link")));
    }
    sign_out(hub, caller, info, headers).await
}

/// The log-in page, or a page of its own. JupyterHub shows its `logout.html` where the way in begins by
/// itself, so that nobody is back in at once. Here the log-in page waits for her, so it is shown where
/// a site brings one, and where she is still logged in at the place she came by. `waits`: the log-in page lets
/// nobody in by itself.
fn farewell(
    hub: &Hub,
    headers: &HeaderMap,
    info: &RequestInfo,
    there: Option<StillThere>,
    waits: bool,
) -> ApiResult<Response> {
    let settings = hub.settings();
    let own = (settings.theme.site()).is_some_and(|site| site.has("logout.html"));
    if !own && there.is_none() && waits {
        return Ok(to(hub, "/hub/login"));
    }
    let goes_on = there.as_ref().filter(|there| there.at_once);
    let goes_on = goes_on.and_then(|there| format!("0; url={}", there.url).parse().ok());
    let page = LogoutPage {
        page: frame(hub, None, info),
        there,
    };
    let mut response = html(hub, headers, StatusCode::OK, "logout.html", &page)?;
    // Not a redirect: browsers would hold it against `form-action`.
    if let Some(goes_on) = goes_on {
        response.headers_mut().insert(header::REFRESH, goes_on);
    }
    Ok(response)
}
