//! Whoever has forgotten her password has a link sent to her, and who is here says where she reads her mail.
//!
//! What is said to whoever has forgotten hers is the same, and said as fast, whether anybody is called so:
//! there is nothing looked up before it is said ([`crate::mail`]).

use axum::extract::{Extension, Form, Query, State};
use axum::http::{HeaderMap, Method, StatusCode, header};
use axum::response::Response;
use lyceum_auth::addresses::{self, MailAddress};
use lyceum_model::secret::Secret;
use lyceum_web::page::contexts::mail::{MailPage, MailProblem, MailState};
use lyceum_web::request::RequestInfo;
use lyceum_web::routes::Routes;
use lyceum_web::xsrf::Binding;
use lyceum_web::{ApiError, ApiResult, Caller, Credential};
use serde::Deserialize;

use super::login::is_foreign;
use super::password::{Trouble, own, way_in};
use super::{frame, html, language};
use crate::audit::{self, Act, Doer, What};
use crate::mail::{Errand, comes_by_password};
use crate::visit::SignedIn;
use crate::{Hub, db};

/// The longest that is looked at of what was typed.
const TYPED_MAX: usize = 254;

pub(super) fn routes() -> Routes<Hub> {
    let forgotten = "whoever has forgotten her password can't log in";
    let proof = "whoever reads her mail may be logged in elsewhere";
    Routes::default()
        .public(Method::GET, "/hub/forgotten", forgotten, show_forgotten)
        .public(Method::POST, "/hub/forgotten", forgotten, forgot)
        .public(
            Method::GET,
            "/hub/password/mail",
            "whoever is not signed in is sent to the log-in page",
            show_own,
        )
        .scoped(Method::POST, "/hub/password/mail", give_own)
        .public(Method::GET, "/hub/mail", proof, show_proof)
        .public(Method::POST, "/hub/mail", proof, prove)
}

/// Whether links to new passwords are sent.
pub(super) fn sends_links(hub: &Hub) -> bool {
    hub.mail().is_some() && way_in(hub).is_ok()
}

fn only_with_mail(hub: &Hub) -> ApiResult<()> {
    match sends_links(hub) {
        true => Ok(()),
        false => Err(ApiError::not_found()),
    }
}

async fn show_forgotten(
    State(hub): State<Hub>,
    caller: Option<Caller>,
    Extension(info): Extension<RequestInfo>,
    headers: HeaderMap,
) -> ApiResult<Response> {
    only_with_mail(&hub)?;
    let desk = Desk::new(&hub, caller.as_ref(), &info, &headers);
    desk.answer(StatusCode::OK, desk.page(MailState::Forgotten))
}

#[derive(Deserialize)]
struct Forgot {
    #[serde(default)]
    who: String,
    #[serde(default, rename = "_xsrf")]
    xsrf: String,
}

async fn forgot(
    State(hub): State<Hub>,
    caller: Option<Caller>,
    Extension(info): Extension<RequestInfo>,
    headers: HeaderMap,
    Form(form): Form<Forgot>,
) -> ApiResult<Response> {
    only_with_mail(&hub)?;
    let desk = Desk::new(&hub, caller.as_ref(), &info, &headers);
    let typed: String = (form.who.trim().chars())
        .filter(|c| !c.is_control())
        .take(TYPED_MAX)
        .collect();
    let page = MailPage {
        typed: typed.clone(),
        ..desk.page(MailState::Forgotten)
    };
    if caller.is_none() && is_foreign(&hub, &headers, &info, &form.xsrf) {
        return desk.refuse(page, StatusCode::FORBIDDEN, MailProblem::Expired);
    }
    if let Err(refused) = hub.sign_in().begin_errand(info.address).await {
        return desk.refuse_trouble(page, Trouble::of(refused));
    }
    tracing::info!(address = %info.address, "somebody asks for a link to a new password");
    let lang = language(&hub, &headers);
    hub.post().ask(Errand::Forgotten {
        typed,
        from: info.address,
        lang,
    });
    desk.answer(StatusCode::OK, desk.page(MailState::Sent))
}

async fn show_own(
    State(hub): State<Hub>,
    SignedIn(caller): SignedIn,
    Extension(info): Extension<RequestInfo>,
    headers: HeaderMap,
) -> ApiResult<Response> {
    only_with_mail(&hub)?;
    own(&hub, &caller).await?;
    let desk = Desk::new(&hub, Some(&caller), &info, &headers);
    let page = desk.own_page(&caller).await?;
    desk.answer(StatusCode::OK, page)
}

#[derive(Deserialize)]
struct Own {
    #[serde(default)]
    address: String,
    #[serde(default)]
    old: String,
}

/// Whoever sits at her open browser must not have her links sent elsewhere: the password is asked for.
async fn give_own(
    State(hub): State<Hub>,
    caller: Caller,
    Extension(info): Extension<RequestInfo>,
    headers: HeaderMap,
    Form(form): Form<Own>,
) -> ApiResult<Response> {
    only_with_mail(&hub)?;
    let accounts = own(&hub, &caller).await?;
    let name = caller.person()?.name.clone();
    let desk = Desk::new(&hub, Some(&caller), &info, &headers);
    let typed = form.address.chars().filter(|c| !c.is_control());
    let page = MailPage {
        typed: typed.take(TYPED_MAX).collect(),
        ..desk.own_page(&caller).await?
    };
    let Ok(address) = MailAddress::parse(&form.address) else {
        return desk.refuse(page, StatusCode::BAD_REQUEST, MailProblem::Address);
    };
    let sign_in = hub.sign_in();
    let password = accounts.fingerprint(&name).await?;
    let old = Secret::new(form.old);
    if let Err(refused) = sign_in.confirm(&accounts, &name, old, info.address).await {
        return desk.refuse_trouble(page, Trouble::of(refused));
    }
    if let Err(refused) = sign_in.begin_errand(info.address).await {
        return desk.refuse_trouble(page, Trouble::of(refused));
    }
    let page = MailPage {
        state: MailState::OwnSent,
        address: Some(address.to_string()),
        ..page
    };
    let lang = language(&hub, &headers);
    hub.post().ask(Errand::Prove {
        name,
        address,
        password,
        lang,
    });
    desk.answer(StatusCode::OK, page)
}

#[derive(Deserialize)]
struct ProofQuery {
    #[serde(default)]
    link: String,
}

/// Looking at it does not use it up: programs look at links in mail.
async fn show_proof(
    State(hub): State<Hub>,
    caller: Option<Caller>,
    Extension(info): Extension<RequestInfo>,
    headers: HeaderMap,
    Query(query): Query<ProofQuery>,
) -> ApiResult<Response> {
    way_in(&hub)?;
    let desk = Desk::new(&hub, caller.as_ref(), &info, &headers);
    let mut tx = hub.db().read().await?;
    let found = addresses::find_proof(&mut tx, &query.link, hub.now()).await?;
    drop(tx);
    let Some(proof) = found else {
        return desk.gone();
    };
    let page = MailPage {
        name: proof.name.to_string(),
        address: Some(proof.address.to_string()),
        link: query.link,
        ..desk.page(MailState::Prove)
    };
    desk.answer(StatusCode::OK, page)
}

#[derive(Deserialize)]
struct ProofForm {
    #[serde(default)]
    link: String,
    #[serde(default, rename = "_xsrf")]
    xsrf: String,
}

async fn prove(
    State(hub): State<Hub>,
    caller: Option<Caller>,
    Extension(info): Extension<RequestInfo>,
    headers: HeaderMap,
    Form(form): Form<ProofForm>,
) -> ApiResult<Response> {
    way_in(&hub)?;
    let desk = Desk::new(&hub, caller.as_ref(), &info, &headers);
    let mut tx = hub.db().write().await?;
    let now = hub.now();
    let Some(wanted) = addresses::find_proof(&mut tx, &form.link, now).await? else {
        tx.rollback().await?;
        return desk.gone();
    };
    if caller.is_none() && is_foreign(&hub, &headers, &info, &form.xsrf) {
        tx.rollback().await?;
        let page = MailPage {
            name: wanted.name.to_string(),
            address: Some(wanted.address.to_string()),
            link: form.link,
            ..desk.page(MailState::Prove)
        };
        return desk.refuse(page, StatusCode::FORBIDDEN, MailProblem::Expired);
    }
    if !comes_by_password(&hub, &mut tx, &wanted.name).await? {
        tx.rollback().await?;
        return desk.gone();
    }
    let before = addresses::find(&mut tx, &wanted.name).await?;
    let Some(proof) = addresses::prove(&mut tx, &form.link, now).await? else {
        tx.rollback().await?;
        return desk.gone();
    };
    if let Some(user) = db::users::find(&mut tx, &proof.name).await? {
        let doer = Doer::person(&proof.name).at(Some(info.address));
        let act = Act::new(&doer, What::MailProved)
            .about(&user)
            .with("mail", &proof.address);
        audit::note(&mut tx, act, now).await?;
    }
    tx.commit().await?;
    tracing::info!(user = %proof.name, address = %info.address, "address of mail shown to be hers");
    let before = before.and_then(|known| MailAddress::parse(&known.address).ok());
    if let Some(before) = before.filter(|before| *before != proof.address) {
        hub.post().ask(Errand::Moved {
            name: proof.name.clone(),
            before,
            lang: language(&hub, &headers),
        });
    }
    let page = MailPage {
        name: proof.name.to_string(),
        address: Some(proof.address.to_string()),
        ..desk.page(MailState::Proved)
    };
    desk.answer(StatusCode::OK, page)
}

/// One page, in all that can come of it.
struct Desk<'a> {
    hub: &'a Hub,
    headers: &'a HeaderMap,
    info: &'a RequestInfo,
    caller: Option<&'a Caller>,
}

impl<'a> Desk<'a> {
    fn new(
        hub: &'a Hub,
        caller: Option<&'a Caller>,
        info: &'a RequestInfo,
        headers: &'a HeaderMap,
    ) -> Self {
        Self {
            hub,
            headers,
            info,
            caller,
        }
    }

    fn page(&self, state: MailState) -> MailPage {
        MailPage {
            page: frame(self.hub, self.caller, self.info),
            state,
            ..MailPage::default()
        }
    }

    async fn own_page(&self, caller: &Caller) -> ApiResult<MailPage> {
        let name = &caller.person()?.name;
        let mut tx = self.hub.db().read().await?;
        let known = addresses::find(&mut tx, name).await?;
        Ok(MailPage {
            name: name.to_string(),
            address: known.map(|known| known.address),
            ..self.page(MailState::Own)
        })
    }

    fn gone(&self) -> ApiResult<Response> {
        self.answer(StatusCode::NOT_FOUND, self.page(MailState::Gone))
    }

    fn refuse_trouble(&self, page: MailPage, trouble: Trouble) -> ApiResult<Response> {
        let page = MailPage {
            wait_seconds: trouble.wait,
            ..page
        };
        self.refuse(page, trouble.status, trouble.problem.into())
    }

    fn refuse(
        &self,
        page: MailPage,
        status: StatusCode,
        problem: MailProblem,
    ) -> ApiResult<Response> {
        let page = MailPage {
            problem: Some(problem),
            ..page
        };
        self.answer(status, page)
    }

    fn answer(&self, status: StatusCode, page: MailPage) -> ApiResult<Response> {
        let Self { hub, info, .. } = *self;
        let mut response = html(hub, self.headers, status, "mail.html", &page)?;
        if let Some(seconds) = page.wait_seconds {
            (response.headers_mut()).insert(header::RETRY_AFTER, seconds.into());
        }
        let binding = match self.caller.map(|caller| &caller.credential) {
            Some(Credential::Session { binding, .. }) => Binding::Session(binding),
            _ => Binding::Anonymous(info),
        };
        super::set_xsrf(hub, &mut response, binding, super::secure(hub, info));
        Ok(response)
    }
}
