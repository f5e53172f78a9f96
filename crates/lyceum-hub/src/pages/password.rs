//! A new password for an account that is kept here: for oneself, by the old one, or by a link that an
//! administrator handed over.

use axum::extract::{Extension, Form, Query, State};
use axum::http::{HeaderMap, Method, StatusCode, header};
use axum::response::Response;
use lyceum_auth::local::NewPassword;
use lyceum_auth::password::PasswordError;
use lyceum_auth::{LocalAccounts, Refused, addresses, links};
use lyceum_model::name::UserName;
use lyceum_model::secret::Secret;
use lyceum_store::Tx;
use lyceum_web::page::contexts::password::{PasswordPage, PasswordProblem, PasswordState};
use lyceum_web::request::RequestInfo;
use lyceum_web::routes::Routes;
use lyceum_web::xsrf::Binding;
use lyceum_web::{ApiError, ApiResult, Caller, Credential};
use serde::Deserialize;

use super::login::is_foreign;
use super::{frame, html};
use crate::audit::{self, Act, Doer, What};
use crate::db::users::User;
use crate::jobs::revocations;
use crate::visit::SignedIn;
use crate::{Hub, db, proxy};

/// When everybody does it at once, how long to wait before the next try.
const BUSY_SECONDS: u64 = 5;

pub(super) fn routes() -> Routes<Hub> {
    Routes::default()
        .public(
            Method::GET,
            "/hub/password",
            "whoever is not signed in is sent to the log-in page",
            show,
        )
        .scoped(Method::POST, "/hub/password", change)
        .public(
            Method::GET,
            "/hub/new-password",
            "whoever has a link may have no password yet",
            show_link,
        )
        .public(
            Method::POST,
            "/hub/new-password",
            "whoever has a link may have no password yet",
            use_link,
        )
}

/// One's own.
async fn show(
    State(hub): State<Hub>,
    SignedIn(caller): SignedIn,
    Extension(info): Extension<RequestInfo>,
    headers: HeaderMap,
) -> ApiResult<Response> {
    let accounts = own(&hub, &caller).await?;
    let desk = Desk {
        hub: &hub,
        headers: &headers,
        info: &info,
        caller: Some(&caller),
        name: &caller.person()?.name,
        link: None,
        shortest: accounts.shortest(),
        mail: address_of(&hub, &caller.person()?.name).await?,
    };
    desk.answer(StatusCode::OK, PasswordState::Asks, None)
}

#[derive(Deserialize)]
struct Own {
    #[serde(default)]
    old: String,
    #[serde(default)]
    new: String,
    #[serde(default)]
    again: String,
}

async fn change(
    State(hub): State<Hub>,
    caller: Caller,
    Extension(info): Extension<RequestInfo>,
    headers: HeaderMap,
    Form(form): Form<Own>,
) -> ApiResult<Response> {
    let accounts = own(&hub, &caller).await?;
    let person = caller.person()?;
    let desk = Desk {
        hub: &hub,
        headers: &headers,
        info: &info,
        caller: Some(&caller),
        name: &person.name,
        link: None,
        shortest: accounts.shortest(),
        mail: None,
    };
    let known = accounts.fingerprint(&person.name).await?;
    let sign_in = hub.sign_in();
    let old = Secret::new(form.old);
    let confirmed = sign_in.confirm(&accounts, &person.name, old, info.address);
    if let Err(refused) = confirmed.await {
        return desk.refuse(Trouble::of(refused));
    }
    let new = match prepare(&accounts, &person.name, form.new, &form.again).await {
        Ok(new) => new,
        Err(trouble) => return desk.refuse(trouble),
    };
    let mut tx = hub.db().write().await?;
    // Nobody renames or deletes her meanwhile, and a password that was set meanwhile stays.
    db::servers::lock_owner(&mut tx, &person.id).await?;
    if accounts.fingerprint_in(&mut tx, &person.name).await? != known {
        tx.rollback().await?;
        return desk.refuse(Trouble::is(StatusCode::FORBIDDEN, PasswordProblem::Wrong));
    }
    let user = db::users::get(&mut tx, &person.id).await?;
    // Renamed meanwhile, it would be somebody else's.
    let user = user.filter(|user| user.name == person.name);
    let user = user.ok_or_else(ApiError::not_found)?;
    let doer = Doer::of(&caller);
    let act = Act::new(&doer, What::PasswordSet).about(&user);
    put(&hub, tx, &accounts, (&user, &new), act).await?;
    tracing::info!(user = %user.name, address = %info.address, "password changed");
    Desk {
        caller: None,
        mail: address_of(&hub, &user.name).await?,
        ..desk
    }
    .answer(StatusCode::OK, PasswordState::Done, None)
}

#[derive(Deserialize)]
struct LinkQuery {
    #[serde(default)]
    link: String,
}

/// By a link; looking at it does not use it up.
async fn show_link(
    State(hub): State<Hub>,
    caller: Option<Caller>,
    Extension(info): Extension<RequestInfo>,
    headers: HeaderMap,
    Query(query): Query<LinkQuery>,
) -> ApiResult<Response> {
    let accounts = way_in(&hub)?;
    let mut tx = hub.db().read().await?;
    let found = whose(&hub, &mut tx, &query.link).await?;
    drop(tx);
    let Some(user) = found else {
        return gone(&hub, caller.as_ref(), &headers, &info);
    };
    let desk = Desk {
        hub: &hub,
        headers: &headers,
        info: &info,
        caller: caller.as_ref(),
        name: &user.name,
        link: Some(&query.link),
        shortest: accounts.shortest(),
        mail: None,
    };
    desk.answer(StatusCode::OK, PasswordState::Asks, None)
}

#[derive(Deserialize)]
struct ByLink {
    #[serde(default)]
    link: String,
    #[serde(default)]
    new: String,
    #[serde(default)]
    again: String,
    #[serde(default, rename = "_xsrf")]
    xsrf: String,
}

async fn use_link(
    State(hub): State<Hub>,
    caller: Option<Caller>,
    Extension(info): Extension<RequestInfo>,
    headers: HeaderMap,
    Form(form): Form<ByLink>,
) -> ApiResult<Response> {
    let accounts = way_in(&hub)?;
    let mut tx = hub.db().read().await?;
    let found = whose(&hub, &mut tx, &form.link).await?;
    drop(tx);
    let Some(user) = found else {
        return gone(&hub, caller.as_ref(), &headers, &info);
    };
    let desk = Desk {
        hub: &hub,
        headers: &headers,
        info: &info,
        caller: caller.as_ref(),
        name: &user.name,
        link: Some(&form.link),
        shortest: accounts.shortest(),
        mail: None,
    };
    if caller.is_none() && is_foreign(&hub, &headers, &info, &form.xsrf) {
        return desk.refuse(Trouble::is(StatusCode::FORBIDDEN, PasswordProblem::Expired));
    }
    let new = match prepare(&accounts, &user.name, form.new, &form.again).await {
        Ok(new) => new,
        Err(trouble) => return desk.refuse(trouble),
    };
    let mut tx = hub.db().write().await?;
    // Nobody renames or deletes her meanwhile, or comes in elsewhere for the first time.
    db::servers::lock_owner(&mut tx, &user.id).await?;
    let taken = links::take(&mut tx, &form.link, hub.now()).await?;
    let now = whose_name(&mut tx, &user.name).await?;
    // Used up by another, or hers no more, while the password was hashed.
    if taken.as_ref() != Some(&user.name) || now.is_none_or(|now| now.id != user.id) {
        tx.rollback().await?;
        return gone(&hub, caller.as_ref(), &headers, &info);
    }
    let doer = Doer::person(&user.name).at(Some(info.address));
    let act = Act::new(&doer, What::PasswordSet)
        .about(&user)
        .with("by", "link");
    put(&hub, tx, &accounts, (&user, &new), act).await?;
    tracing::info!(user = %user.name, address = %info.address, "password set by a link");
    // Her own session, if it was hers, has ended.
    let other = caller.as_ref().filter(|caller| !caller.is(&user.name));
    Desk {
        caller: other,
        mail: address_of(&hub, &user.name).await?,
        ..desk
    }
    .answer(StatusCode::OK, PasswordState::Done, None)
}

/// Where a link to a new password would go: who has changed hers sees whether that is still her.
async fn address_of(hub: &Hub, name: &UserName) -> ApiResult<Option<String>> {
    if !super::mail::sends_links(hub) {
        return Ok(None);
    }
    let mut tx = hub.db().read().await?;
    let known = addresses::find(&mut tx, name).await?;
    Ok(known.map(|known| known.address))
}

/// The accounts, if passwords of this place are a way in.
pub(super) fn way_in(hub: &Hub) -> ApiResult<LocalAccounts> {
    let sign_in = hub.sign_in();
    sign_in.accounts().cloned().ok_or_else(ApiError::not_found)
}

/// The same, if this browser's person came in by one.
pub(super) async fn own(hub: &Hub, caller: &Caller) -> ApiResult<LocalAccounts> {
    match has_own(hub, caller).await? {
        true => way_in(hub),
        false => Err(ApiError::not_found()),
    }
}

/// Whether she has a password here, and came by it.
pub(super) async fn has_own(hub: &Hub, caller: &Caller) -> ApiResult<bool> {
    let Ok(accounts) = way_in(hub) else {
        return Ok(false);
    };
    let came_by_it = came_by_password(hub, caller).await?;
    Ok(came_by_it && accounts.exists(&caller.person()?.name).await?)
}

/// Whether this browser's person came in by a password, of this place or of a directory.
pub(super) async fn came_by_password(hub: &Hub, caller: &Caller) -> ApiResult<bool> {
    let Credential::Session { id, .. } = &caller.credential else {
        return Ok(false);
    };
    let mut tx = hub.db().read().await?;
    let session = db::sessions::by_id(&mut tx, id, hub.now().0).await?;
    Ok(session.is_some_and(|session| session.method.is_none()))
}

async fn whose(hub: &Hub, tx: &mut Tx, link: &str) -> ApiResult<Option<User>> {
    match links::find(tx, link, hub.now()).await? {
        Some(name) => whose_name(tx, &name).await,
        None => Ok(None),
    }
}

/// Whose account a link for this name is about. Who proves elsewhere who she is has no password here.
async fn whose_name(tx: &mut Tx, name: &UserName) -> ApiResult<Option<User>> {
    let Some(user) = db::users::find(tx, name).await? else {
        return Ok(None);
    };
    let elsewhere = db::identities::lead_to(tx, &user.id).await?;
    Ok((!elsewhere).then_some(user))
}

pub(super) async fn prepare(
    accounts: &LocalAccounts,
    name: &UserName,
    new: String,
    again: &str,
) -> Result<NewPassword, Trouble> {
    if new != again {
        let status = StatusCode::BAD_REQUEST;
        return Err(Trouble::is(status, PasswordProblem::Differs));
    }
    let new = accounts.prepare(name, Secret::new(new)).await;
    new.map_err(|error| match error {
        PasswordError::TooShort(_) => {
            Trouble::is(StatusCode::BAD_REQUEST, PasswordProblem::TooShort)
        }
        PasswordError::TooLong => Trouble::is(StatusCode::BAD_REQUEST, PasswordProblem::TooLong),
        PasswordError::Common => Trouble::is(StatusCode::BAD_REQUEST, PasswordProblem::Common),
        PasswordError::Busy => Trouble::busy(),
        PasswordError::Internal(error) => Trouble::internal(&error),
    })
}

/// The new password, and the end of all that was held by the old one.
async fn put(
    hub: &Hub,
    mut tx: Tx,
    accounts: &LocalAccounts,
    (user, new): (&User, &NewPassword),
    act: Act<'_>,
) -> ApiResult<()> {
    accounts.put(&mut tx, &user.name, new).await?;
    audit::note(&mut tx, act, hub.now()).await?;
    db::sessions::end_all(&mut tx, &user.id).await?;
    revocations::announce(&mut tx, user.name.as_str(), hub.now()).await?;
    tx.commit().await?;
    proxy::pass_on(hub).await;
    Ok(())
}

/// What came in the way.
pub(super) struct Trouble {
    pub(super) status: StatusCode,
    pub(super) problem: PasswordProblem,
    pub(super) wait: Option<u64>,
}

impl Trouble {
    pub(super) fn is(status: StatusCode, problem: PasswordProblem) -> Self {
        Self {
            status,
            problem,
            wait: None,
        }
    }

    fn busy() -> Self {
        Self {
            wait: Some(BUSY_SECONDS),
            ..Self::is(StatusCode::SERVICE_UNAVAILABLE, PasswordProblem::Busy)
        }
    }

    fn internal(error: &anyhow::Error) -> Self {
        tracing::error!(
            error = format!("{error:#}"),
            "a password could not be changed"
        );
        Self::is(
            StatusCode::SERVICE_UNAVAILABLE,
            PasswordProblem::Unavailable,
        )
    }

    pub(super) fn of(refused: Refused) -> Self {
        match refused {
            Refused::TooMany { retry_after } => {
                let (status, problem) = (StatusCode::TOO_MANY_REQUESTS, PasswordProblem::Wait);
                Self {
                    wait: Some(u64::from(retry_after)),
                    ..Self::is(status, problem)
                }
            }
            Refused::Busy => Self::busy(),
            Refused::Internal(error) => Self::internal(&error),
            _ => Self::is(StatusCode::FORBIDDEN, PasswordProblem::Wrong),
        }
    }
}

fn gone(
    hub: &Hub,
    caller: Option<&Caller>,
    headers: &HeaderMap,
    info: &RequestInfo,
) -> ApiResult<Response> {
    let page = PasswordPage {
        page: frame(hub, caller, info),
        state: PasswordState::Gone,
        ..PasswordPage::default()
    };
    html(hub, headers, StatusCode::NOT_FOUND, "password.html", &page)
}

/// One page, in all that can come of it.
struct Desk<'a> {
    hub: &'a Hub,
    headers: &'a HeaderMap,
    info: &'a RequestInfo,
    caller: Option<&'a Caller>,
    name: &'a UserName,
    link: Option<&'a str>,
    shortest: usize,
    /// Where links go if she has forgotten it.
    mail: Option<String>,
}

impl Desk<'_> {
    fn refuse(&self, trouble: Trouble) -> ApiResult<Response> {
        self.answer(trouble.status, PasswordState::Asks, Some(trouble))
    }

    fn answer(
        &self,
        status: StatusCode,
        state: PasswordState,
        trouble: Option<Trouble>,
    ) -> ApiResult<Response> {
        let Self {
            hub, headers, info, ..
        } = *self;
        let wait = trouble.as_ref().and_then(|trouble| trouble.wait);
        let page = PasswordPage {
            page: frame(hub, self.caller, info),
            state,
            name: self.name.to_string(),
            link: self.link.map(str::to_owned),
            shortest: self.shortest.try_into().unwrap_or(u64::MAX),
            problem: trouble.map(|trouble| trouble.problem),
            wait_seconds: wait,
            has_mail: self.link.is_none() && super::mail::sends_links(hub),
            mail: self.mail.clone(),
        };
        let mut response = html(hub, headers, status, "password.html", &page)?;
        if let Some(seconds) = wait {
            response
                .headers_mut()
                .insert(header::RETRY_AFTER, seconds.into());
        }
        let binding = match self.caller.map(|caller| &caller.credential) {
            Some(Credential::Session { binding, .. }) => Binding::Session(binding),
            _ => Binding::Anonymous(info),
        };
        super::set_xsrf(hub, &mut response, binding, super::secure(hub, info));
        Ok(response)
    }
}
