//! The second step of the log-in, after the right password: the code of an app, a recovery code, or setting an
//! app up where one is required.
//!
//! Until it is done there is no session. What the browser keeps meanwhile ([`lyceum_auth::half_way`]) is good
//! for this page alone, for some minutes, and for nothing once the password is another one.

use axum::extract::{Extension, Form, State};
use axum::http::{HeaderMap, Method, StatusCode, header};
use axum::response::Response;
use lyceum_auth::half_way::{CODE_SECONDS, HalfWay, SET_UP_SECONDS};
use lyceum_auth::second_factor::{self, Asked, CodeRefused, Doer, What};
use lyceum_auth::totp::Key;
use lyceum_auth::{Refused, SecondFactors};
use lyceum_model::identity::Identity;
use lyceum_model::secret::Secret;
use lyceum_store::Tx;
use lyceum_web::cookie::{self, Cookie};
use lyceum_web::page::contexts::second_factor::{SecondFactorPage, SecondFactorState};
use lyceum_web::request::RequestInfo;
use lyceum_web::routes::Routes;
use lyceum_web::{ApiError, ApiResult, Caller};
use serde::Deserialize;

use super::login::{Way, begin, held_up, is_foreign};
use super::second_factor::{Trouble, answer, key_to_show};
use super::{frame, to};
use crate::audit::{self, Act};
use crate::db::users::User;
use crate::next::local_target;
use crate::second_factor::Needed;
use crate::{Hub, db};

const PATH: &str = "/hub/login/code";

pub(super) fn routes() -> Routes<Hub> {
    let why = "whoever has said her password has no session yet";
    Routes::default()
        .public(Method::GET, PATH, why, show)
        .public(Method::POST, PATH, why, prove)
}

/// The factors, where there are passwords.
pub(super) fn factors(hub: &Hub) -> ApiResult<SecondFactors> {
    let sign_in = hub.sign_in();
    let factors = sign_in.second_factors().cloned();
    factors.ok_or_else(ApiError::not_found)
}

/// Changes with her password, if it is kept here.
pub(super) async fn mark(hub: &Hub, tx: &mut Tx, user: &User) -> sqlx::Result<String> {
    let sign_in = hub.sign_in();
    let mark = match sign_in.accounts() {
        Some(accounts) => accounts.fingerprint_in(tx, &user.name).await?,
        None => None,
    };
    Ok(mark.unwrap_or_default())
}

/// Name and path of the cookie.
fn cookie_of(hub: &Hub, info: &RequestInfo) -> (&'static str, String) {
    match super::secure(hub, info) {
        true => (cookie::HALF_WAY_ONE_HOST, "/".into()),
        false => (cookie::HALF_WAY, hub.base().hub()),
    }
}

/// The password was right: on to the page that asks for the rest.
pub(super) async fn ask(
    hub: &Hub,
    user: &User,
    way: &Way<'_>,
    needed: Needed,
) -> ApiResult<Response> {
    let mut tx = hub.db().read().await?;
    let password = mark(hub, &mut tx, user).await?;
    drop(tx);
    let (key, age) = match needed {
        Needed::Code => (None, CODE_SECONDS),
        Needed::SetUp => (Some(Key::new()), SET_UP_SECONDS),
    };
    let sealed = factors(hub)?.seal_half_way(HalfWay {
        user_id: user.id.clone(),
        password,
        next: local_target(&hub.base(), way.next, &way.info.host).unwrap_or_default(),
        key,
    });
    let (name, path) = cookie_of(hub, way.info);
    let cookie = Cookie {
        name,
        value: &sealed,
        path: &path,
        domain: None,
        http_only: true,
        secure: super::secure(hub, way.info),
        max_age: Some(age),
    };
    let mut response = to(hub, PATH);
    (response.headers_mut()).append(header::SET_COOKIE, cookie.header());
    Ok(response)
}

/// Somebody whose password was right in this browser, and is still the same.
struct Here {
    user: User,
    half_way: HalfWay,
    /// Of an app that is to be set up; none: she has one.
    key: Option<Key>,
}

async fn here(hub: &Hub, headers: &HeaderMap, info: &RequestInfo) -> ApiResult<Option<Here>> {
    let (name, _) = cookie_of(hub, info);
    let mut values = cookie::values(headers, name);
    // Two of a name: one of them was planted.
    let (Some(sealed), None) = (values.next(), values.next()) else {
        return Ok(None);
    };
    let Some(half_way) = factors(hub)?.open_half_way(sealed) else {
        return Ok(None);
    };
    let mut tx = hub.db().read().await?;
    let Some(user) = db::users::get(&mut tx, &half_way.user_id).await? else {
        return Ok(None);
    };
    if mark(hub, &mut tx, &user).await? != half_way.password {
        return Ok(None);
    }
    // She may have set one up meanwhile, in another tab.
    let key = match second_factor::is_on(&mut tx, &user.id).await? {
        true => None,
        false if half_way.key.is_none() => return Ok(None),
        false => half_way.key.clone(),
    };
    Ok(Some(Here {
        user,
        half_way,
        key,
    }))
}

async fn show(
    State(hub): State<Hub>,
    caller: Option<Caller>,
    Extension(info): Extension<RequestInfo>,
    headers: HeaderMap,
) -> ApiResult<Response> {
    let Some(here) = here(&hub, &headers, &info).await? else {
        return Ok(to(&hub, "/hub/login?local"));
    };
    let visit = Visit {
        hub: &hub,
        caller: caller.as_ref(),
        info: &info,
        headers: &headers,
    };
    visit.page(&here, None)
}

#[derive(Deserialize)]
struct CodeForm {
    #[serde(default)]
    code: String,
    #[serde(default, rename = "_xsrf")]
    xsrf: String,
}

async fn prove(
    State(hub): State<Hub>,
    caller: Option<Caller>,
    Extension(info): Extension<RequestInfo>,
    headers: HeaderMap,
    Form(form): Form<CodeForm>,
) -> ApiResult<Response> {
    let visit = Visit {
        hub: &hub,
        caller: caller.as_ref(),
        info: &info,
        headers: &headers,
    };
    let Some(here) = here(&hub, &headers, &info).await? else {
        return visit.way("").refuse(&hub, Refused::Expired);
    };
    if caller.is_none() && is_foreign(&hub, &headers, &info, &form.xsrf) {
        return visit.page(&here, Some(Trouble::expired()));
    }
    let way = visit.way(&here.half_way.next);
    let mut tx = hub.db().read().await?;
    let is_out = hub.shuts_out(&mut tx, &here.user).await?;
    drop(tx);
    if is_out {
        audit::note_refused(&hub, here.user.name.as_str(), info.address, "not_admitted");
        return way.refuse(&hub, Refused::NotAdmitted);
    }
    let mut identity = Identity::named(here.user.name.clone());
    identity.admin = Some(here.user.admin);
    if let Some(refused) = held_up(&hub, &identity).await? {
        return Err(refused);
    }
    match visit.look(&here, &form.code).await {
        Ok((tx, codes)) => {
            let entered = begin(&hub, tx, &here.user, &identity, &way).await?;
            visit.enter(entered, codes)
        }
        Err(CodeRefused::Gone) => way.refuse(&hub, Refused::Expired),
        Err(refused) => {
            hub.metrics().sign_in("failure");
            if let CodeRefused::Wrong | CodeRefused::Used = refused {
                tracing::info!(user = %here.user.name, address = %info.address, "sign-in refused: {refused}");
                audit::note_refused(&hub, here.user.name.as_str(), info.address, "wrong_code");
            }
            visit.page(&here, Some(Trouble::of(refused)))
        }
    }
}

/// One request, in all that can come of it.
struct Visit<'a> {
    hub: &'a Hub,
    caller: Option<&'a Caller>,
    info: &'a RequestInfo,
    headers: &'a HeaderMap,
}

impl<'a> Visit<'a> {
    fn way(&self, next: &'a str) -> Way<'a> {
        Way {
            caller: self.caller,
            info: self.info,
            headers: self.headers,
            next,
            method: None,
            grant: None,
            username: "",
            ticket: None,
        }
    }

    /// The transaction in which she comes in, and the recovery codes of an app that she has just set up.
    async fn look(
        &self,
        here: &Here,
        code: &str,
    ) -> Result<(Tx, Option<Vec<Secret>>), CodeRefused> {
        let (hub, user) = (self.hub, &here.user);
        let address = self.info.address;
        let factors = factors(hub).map_err(|_| CodeRefused::Gone)?;
        let Some(key) = &here.key else {
            let asked = Asked {
                user_id: &user.id,
                password: &here.half_way.password,
                address,
            };
            let turn = factors.begin(asked).await?;
            let tx = self.still(here).await?;
            factors.prove(tx, turn, code).await?;
            return Ok((self.still(here).await?, None));
        };
        let mut tx = self.still(here).await?;
        let codes = factors.set_up(&mut tx, &user.id, key, code).await?;
        let doer = Doer::At(address);
        second_factor::note(&mut tx, &user.id, What::SetUp, doer, hub.now()).await?;
        let doer = audit::Doer::person(&user.name).at(Some(address));
        let act = Act::new(&doer, audit::What::SecondFactorOn).about(user);
        audit::note(&mut tx, act, hub.now())
            .await
            .map_err(anyhow::Error::from)?;
        tracing::info!(user = %user.name, %address, "second factor set up");
        Ok((tx, Some(codes)))
    }

    /// A transaction in which she stays who she is, with the password that she has said.
    async fn still(&self, here: &Here) -> Result<Tx, CodeRefused> {
        let hub = self.hub;
        let mut tx = hub.db().write().await.map_err(anyhow::Error::from)?;
        db::servers::lock_owner(&mut tx, &here.user.id).await?;
        let now = db::users::get(&mut tx, &here.user.id).await?;
        let now = hub
            .let_in(&mut tx, now)
            .await
            .map_err(anyhow::Error::from)?;
        let is_her = now.is_some_and(|now| now.name == here.user.name);
        if !is_her || mark(hub, &mut tx, &here.user).await? != here.half_way.password {
            return Err(CodeRefused::Gone);
        }
        Ok(tx)
    }

    fn page(&self, here: &Here, trouble: Option<Trouble>) -> ApiResult<Response> {
        let (hub, name) = (self.hub, here.user.name.as_str());
        let key = here.key.as_ref();
        let page = SecondFactorPage {
            page: frame(hub, self.caller, self.info),
            state: match key {
                Some(_) => SecondFactorState::SetUp,
                None => SecondFactorState::Code,
            },
            name: name.to_owned(),
            at_log_in: true,
            required: key.is_some(),
            key: key.map(|key| key_to_show(hub, key, name, String::new())),
            ..SecondFactorPage::default()
        };
        answer(hub, self.headers, self.info, self.caller, page, trouble)
    }

    /// She is in: on to where she wanted, or first to her recovery codes, which are shown now or never.
    fn enter(&self, mut entered: Response, codes: Option<Vec<Secret>>) -> ApiResult<Response> {
        let hub = self.hub;
        let (name, path) = cookie_of(hub, self.info);
        let secure = super::secure(hub, self.info);
        let expired = Cookie::expire(name, &path, None, secure);
        (entered.headers_mut()).append(header::SET_COOKIE, expired);
        let Some(codes) = codes else {
            return Ok(entered);
        };
        let next = entered.headers().get(header::LOCATION);
        let next = next.and_then(|next| next.to_str().ok()).unwrap_or_default();
        let page = SecondFactorPage {
            page: frame(hub, None, self.info),
            state: SecondFactorState::Codes,
            at_log_in: true,
            codes: codes.iter().map(|code| code.expose().to_owned()).collect(),
            next: next.to_owned(),
            ..SecondFactorPage::default()
        };
        let (headers, status) = (self.headers, StatusCode::OK);
        let mut response = super::html(hub, headers, status, "second_factor.html", &page)?;
        for cookie in entered.headers().get_all(header::SET_COOKIE) {
            (response.headers_mut()).append(header::SET_COOKIE, cookie.clone());
        }
        Ok(response)
    }
}
