//! My API tokens and my sessions.

use axum::extract::{Extension, Form, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use lyceum_model::say;
use lyceum_model::saying::Saying;
use lyceum_web::page::Lang;
use lyceum_web::page::contexts::{
    NewToken as ShownToken, SessionRow, TokenForm, TokenPage, TokenRow,
};
use lyceum_web::request::RequestInfo;
use lyceum_web::{ApiError, ApiResult, Caller, Credential};
use serde::Deserialize;

use super::{frame, html, language, redirect};
use crate::db::tokens::Token;
use crate::event_log::Event;
use crate::jobs::revocations;
use crate::tokens::{NewToken, issue};
use crate::visit::SignedIn;
use crate::{Hub, db};

pub async fn show(
    State(hub): State<Hub>,
    SignedIn(caller): SignedIn,
    Extension(info): Extension<RequestInfo>,
    headers: HeaderMap,
) -> ApiResult<Response> {
    let form = TokenForm::default();
    page(&hub, &caller, &headers, &info, StatusCode::OK, None, form).await
}

async fn page(
    hub: &Hub,
    caller: &Caller,
    headers: &HeaderMap,
    info: &RequestInfo,
    status: StatusCode,
    new_token: Option<ShownToken>,
    form: TokenForm,
) -> ApiResult<Response> {
    let now = hub.now().0;
    let mut tx = hub.db().read().await?;
    let person = caller.person()?;
    let tokens = db::tokens::of_user(&mut tx, &person.id, now).await?;
    let sessions = db::sessions::of_user(&mut tx, &person.id, now).await?;
    drop(tx);
    let this = match &caller.credential {
        Credential::Session { id, .. } => id.as_str(),
        Credential::Token { .. } => "",
    };
    let context = TokenPage {
        page: frame(hub, Some(caller), info),
        tokens: tokens
            .into_iter()
            .map(|token| TokenRow {
                scopes: serde_json::from_str(&token.scopes).unwrap_or_default(),
                note: note_in(&token, language(headers)),
                id: token.id,
                client: token.oauth_client,
                created: token.created_at,
                last_used: token.last_used_at,
                expires: token.expires_at,
            })
            .collect(),
        new_token,
        form,
        sessions: sessions
            .into_iter()
            .map(|session| SessionRow {
                this: session.id == this,
                id: session.id,
                address: session.address.unwrap_or_default(),
                agent: session.agent.unwrap_or_default(),
                since: session.created_at,
                last_seen: session.seen_at,
            })
            .collect(),
    };
    html(hub, headers, status, "token.html", &context)
}

/// What a token is for. The hub's own are noted in English, as JupyterHub's API has it.
fn note_in(token: &Token, lang: Lang) -> String {
    let own: fn(&str) -> Saying = match (&token.server_id, &token.oauth_client) {
        (Some(_), _) => |prefix| say!("token.of_server", prefix = prefix),
        (None, Some(_)) => |prefix| say!("token.of_client", prefix = prefix),
        (None, None) => return token.note.clone(),
    };
    match token.note.strip_prefix(&own("").to_string()) {
        Some(prefix) => own(prefix).in_lang(lang),
        None => token.note.clone(),
    }
}

#[derive(Debug, Deserialize)]
pub struct NewForm {
    #[serde(default)]
    note: String,
    #[serde(default)]
    expires_in: String,
}

pub async fn create(
    State(hub): State<Hub>,
    caller: Caller,
    Extension(info): Extension<RequestInfo>,
    headers: HeaderMap,
    Form(given): Form<NewForm>,
) -> ApiResult<Response> {
    if !caller.is_session() {
        return Err(ApiError::forbidden(say!("refused.for_browsers_not_api")));
    }
    let note: String = given
        .note
        .chars()
        .filter(|c| !c.is_control())
        .take(200)
        .collect();
    let now = hub.now();
    let expires_at = match given.expires_in.trim() {
        "" => None,
        text => match text.parse::<i64>() {
            Ok(seconds) if seconds > 0 => Some(now.plus(seconds.saturating_mul(1000)).0),
            _ => {
                let error = Some(say!("token.bad_life").sentence(language(&headers)));
                let form = TokenForm {
                    note,
                    error,
                    max_lifetime: None,
                };
                return page(
                    &hub,
                    &caller,
                    &headers,
                    &info,
                    StatusCode::BAD_REQUEST,
                    None,
                    form,
                )
                .await;
            }
        },
    };
    let mut tx = hub.db().write().await?;
    let user = db::users::get(&mut tx, &caller.person()?.id)
        .await?
        .ok_or_else(ApiError::not_found)?;
    let new = NewToken {
        note: if note.is_empty() {
            say!("token.unnamed").in_lang(language(&headers))
        } else {
            note.clone()
        },
        scopes: hub.settings().grants.token_scopes(),
        expires_at,
        ..NewToken::default()
    };
    let (token, secret) = issue(&mut tx, &user, new, now).await?;
    tx.commit().await?;
    tell(&hub, "make", user.name.as_str(), &token.id);
    let shown = ShownToken {
        token: secret,
        note,
        expires: expires_at,
    };
    page(
        &hub,
        &caller,
        &headers,
        &info,
        StatusCode::OK,
        Some(shown),
        TokenForm::default(),
    )
    .await
}

/// Her own token, by herself.
fn tell(hub: &Hub, action: &'static str, user: &str, id: &str) {
    hub.tell(Event::Token {
        action,
        user,
        id,
        by: user,
    });
}

#[derive(Debug, Deserialize)]
pub struct IdForm {
    #[serde(default)]
    id: String,
}

pub async fn revoke(
    State(hub): State<Hub>,
    caller: Caller,
    Form(form): Form<IdForm>,
) -> ApiResult<Response> {
    if !caller.is_session() {
        return Err(ApiError::forbidden(say!("refused.for_browsers_not_api")));
    }
    let person = caller.person()?;
    let mut tx = hub.db().write().await?;
    let found = db::tokens::find(&mut tx, &person.id, &form.id, hub.now().0).await?;
    if let Some(token) = &found {
        let fallen = db::tokens::delete(&mut tx, token).await?;
        revocations::announce_fallen(&mut tx, person.name.as_str(), &fallen, hub.now()).await?;
    }
    tx.commit().await?;
    if let Some(token) = &found {
        tell(&hub, "revoke", person.name.as_str(), &token.id);
    }
    crate::proxy::pass_on(&hub).await;
    Ok(redirect("/hub/token"))
}

pub async fn end_session(
    State(hub): State<Hub>,
    caller: Caller,
    Form(form): Form<IdForm>,
) -> ApiResult<Response> {
    if !caller.is_session() {
        return Err(ApiError::forbidden(say!("refused.for_browsers")));
    }
    let person = caller.person()?;
    let mut tx = hub.db().write().await?;
    let ended = db::sessions::end(&mut tx, &form.id, &person.id).await?;
    if ended {
        revocations::announce_fallen(&mut tx, person.name.as_str(), &[form.id], hub.now()).await?;
    }
    tx.commit().await?;
    if ended {
        hub.tell(Event::Session {
            action: "sign-out",
            user: person.name.as_str(),
        });
    }
    crate::proxy::pass_on(&hub).await;
    Ok(redirect("/hub/token"))
}
