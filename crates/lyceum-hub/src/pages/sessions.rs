//! Where I am signed in and was, and what others did with my servers and with my account.

use axum::extract::{Extension, Form, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use lyceum_model::say;
use lyceum_web::page::contexts::sessions::SessionsPage;
use lyceum_web::request::RequestInfo;
use lyceum_web::{ApiError, ApiResult, Caller, Credential};

use super::tokens::IdForm;
use super::{frame, html, to};
use crate::audit::{self, Act, Doer, What};
use crate::sessions::{self, Which};
use crate::visit::SignedIn;
use crate::{Hub, db, deeds};

pub(super) const PAGE: &str = "/hub/sessions";

pub async fn show(
    State(hub): State<Hub>,
    SignedIn(caller): SignedIn,
    Extension(info): Extension<RequestInfo>,
    headers: HeaderMap,
) -> ApiResult<Response> {
    let this = this(&caller)?;
    let mut tx = hub.db().read().await?;
    let person = caller.person()?;
    let all = db::sessions::of_user(&mut tx, &person.id, hub.now().0).await?;
    let deeds = deeds::all(&mut tx, &person.id, hub.now()).await?;
    let acts = audit::by_others(&mut tx, &person.id).await?;
    let sign_ins = audit::sign_ins(&mut tx, &person.id).await?;
    drop(tx);
    let password = super::password::has_own(&hub, &caller).await?;
    let rows: Vec<_> = all
        .into_iter()
        .map(|session| sessions::row(session, this))
        .collect();
    let others = rows.iter().filter(|row| !row.this).count();
    let page = SessionsPage {
        page: frame(&hub, Some(&caller), &info),
        sessions: rows,
        deeds,
        acts,
        sign_ins,
        password,
        second_factor: super::second_factor::on_sessions(&hub, &caller).await?,
        others: others.try_into().unwrap_or(u64::MAX),
    };
    html(&hub, &headers, StatusCode::OK, "sessions.html", &page)
}

/// `POST /hub/sessions/end`: one of one's own; this one too.
pub async fn end(
    State(hub): State<Hub>,
    caller: Caller,
    Form(form): Form<IdForm>,
) -> ApiResult<Response> {
    this(&caller)?;
    end_own(&hub, &caller, Which::One(&form.id)).await
}

/// `POST /hub/sessions/end-others`: all but this one.
pub async fn end_others(State(hub): State<Hub>, caller: Caller) -> ApiResult<Response> {
    let this = this(&caller)?;
    end_own(&hub, &caller, Which::AllBut(this)).await
}

async fn end_own(hub: &Hub, caller: &Caller, which: Which<'_>) -> ApiResult<Response> {
    let person = caller.person()?;
    let doer = Doer::of(caller);
    let act = Act::new(&doer, What::SignOut);
    let ended = sessions::end(hub, &person.id, person.name.as_str(), which, act).await?;
    tracing::info!(user = %person.name, ended, "sessions ended");
    Ok(to(hub, PAGE))
}

/// The session of this browser.
fn this(caller: &Caller) -> ApiResult<&str> {
    match &caller.credential {
        Credential::Session { id, .. } => Ok(id),
        Credential::Token { .. } => Err(ApiError::forbidden(say!("refused.for_browsers"))),
    }
}
