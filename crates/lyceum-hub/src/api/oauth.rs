//! The OAuth 2 provider (RFC 6749 with PKCE): how a notebook server learns who is in front of it.

use axum::Json;
use axum::extract::rejection::FormRejection;
use axum::extract::{Extension, Form, Query, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use lyceum_model::digest::hash_secret;
use lyceum_model::id::new_secret;
use lyceum_model::say;
use lyceum_model::scope::{ScopeName, Target};
use lyceum_web::request::RequestInfo;
use lyceum_web::{ApiError, ApiResult, Caller, Credential};
use serde::Deserialize;
use serde_json::json;
use subtle::ConstantTimeEq;

use crate::db::servers::Server;
use crate::oauth::{
    CODE_LIFE_MS, CODE_PURPOSE, TOKEN_LIFE_S, client_scopes, redirect_fits, verifier_fits,
};
use crate::pages::{self, redirect};
use crate::tokens::{self, NewToken, issue};
use crate::{Hub, db};

#[derive(Debug, Deserialize)]
pub struct Ask {
    #[serde(default)]
    client_id: String,
    #[serde(default)]
    redirect_uri: String,
    #[serde(default)]
    response_type: String,
    #[serde(default)]
    state: String,
    code_challenge: Option<String>,
    code_challenge_method: Option<String>,
}

/// A request that has been looked at and may go on.
struct Checked {
    server: Server,
    session_id: String,
    /// Where the browser goes with the answer: the redirect URI, with a host where it needs one.
    back: String,
}

/// Where a browser is sent by a notebook server that wants to know who it is.
pub async fn authorize(
    State(hub): State<Hub>,
    caller: Option<Caller>,
    Extension(info): Extension<RequestInfo>,
    headers: HeaderMap,
    Query(ask): Query<Ask>,
    uri: axum::http::Uri,
) -> ApiResult<Response> {
    let Some(caller) = caller else {
        let here = uri
            .path_and_query()
            .map_or("/hub/home", |path| path.as_str());
        return Ok(redirect(&pages::login_url(here)));
    };
    let checked = match check(&hub, &caller, &info, &ask).await? {
        Ok(checked) => checked,
        Err(response) => return Ok(*response),
    };
    let own = checked.server.user_id == caller.user_id;
    if own || granted_before(&hub, &caller, &checked.server).await? {
        return grant(&hub, &caller, &ask, checked).await;
    }
    pages::oauth_confirm(&hub, &caller, &headers, &info, &checked.server, &uri)
}

/// The person said yes on the confirmation page.
pub async fn confirm(
    State(hub): State<Hub>,
    caller: Caller,
    Extension(info): Extension<RequestInfo>,
    Query(ask): Query<Ask>,
) -> ApiResult<Response> {
    match check(&hub, &caller, &info, &ask).await? {
        Ok(checked) => grant(&hub, &caller, &ask, checked).await,
        Err(response) => Ok(*response),
    }
}

async fn check(
    hub: &Hub,
    caller: &Caller,
    info: &RequestInfo,
    ask: &Ask,
) -> ApiResult<Result<Checked, Box<Response>>> {
    let Credential::Session { id: session_id, .. } = &caller.credential else {
        return Err(ApiError::forbidden(say!("refused.oauth_session")));
    };
    let mut tx = hub.db().read().await?;
    let server = db::servers::by_client(&mut tx, &ask.client_id).await?;
    drop(tx);
    // Nothing is sent to an address that isn't known to be the client's.
    let Some(server) = server else {
        return Err(ApiError::bad_request(say!("refused.oauth_client")));
    };
    let scheme = if info.secure { "https" } else { "http" };
    let settings = hub.settings();
    let origin = settings
        .origins
        .of(&server.user_name)
        .unwrap_or_else(|| format!("{scheme}://{}", info.host));
    if !redirect_fits(&server, &origin, &ask.redirect_uri) {
        return Err(ApiError::bad_request(say!("refused.oauth_return")));
    }
    let back = match ask.redirect_uri.starts_with('/') && settings.origins.are_apart() {
        true => format!("{origin}{}", ask.redirect_uri),
        false => ask.redirect_uri.clone(),
    };
    if ask.response_type != "code" {
        let to = with_query(
            &back,
            &[
                ("error", "unsupported_response_type"),
                ("state", &ask.state),
            ],
        );
        return Ok(Err(Box::new(redirect(&to))));
    }
    if ask.code_challenge.is_some() && ask.code_challenge_method.as_deref() != Some("S256") {
        let to = with_query(
            &back,
            &[("error", "invalid_request"), ("state", &ask.state)],
        );
        return Ok(Err(Box::new(redirect(&to))));
    }
    if !caller.may(
        ScopeName::AccessServers,
        Target::Server(&server.user_name, &server.name),
    ) {
        return Err(ApiError::forbidden(say!(
            "refused.oauth_access",
            user = server.user_name.as_str()
        )));
    }
    Ok(Ok(Checked {
        server,
        session_id: session_id.clone(),
        back,
    }))
}

async fn granted_before(hub: &Hub, caller: &Caller, server: &Server) -> ApiResult<bool> {
    let mut tx = hub.db().read().await?;
    let earlier =
        db::tokens::granted(&mut tx, &caller.user_id, &server.client_id, hub.now().0).await?;
    Ok(!earlier.is_empty())
}

async fn grant(hub: &Hub, caller: &Caller, ask: &Ask, checked: Checked) -> ApiResult<Response> {
    let code = new_secret();
    let mut tx = hub.db().write().await?;
    db::oauth::insert(
        &mut tx,
        &db::oauth::Code {
            hash: hash_secret(CODE_PURPOSE, &code),
            client_id: checked.server.client_id.clone(),
            user_id: caller.user_id.clone(),
            session_id: checked.session_id,
            redirect_uri: ask.redirect_uri.clone(),
            scopes: serde_json::to_string(&client_scopes(&checked.server))
                .map_err(anyhow::Error::from)?,
            challenge: ask.code_challenge.clone(),
            expires_at: hub.now().plus(CODE_LIFE_MS).0,
        },
    )
    .await?;
    tx.commit().await?;
    Ok(redirect(&with_query(
        &checked.back,
        &[("code", &code), ("state", &ask.state)],
    )))
}

#[derive(Debug, Deserialize)]
pub struct TokenAsk {
    #[serde(default)]
    client_id: String,
    #[serde(default)]
    client_secret: String,
    #[serde(default)]
    grant_type: String,
    #[serde(default)]
    code: String,
    #[serde(default)]
    redirect_uri: String,
    code_verifier: Option<String>,
}

/// A client changes its code for a token (RFC 6749 section 4.1.3).
pub async fn token(
    State(hub): State<Hub>,
    form: Result<Form<TokenAsk>, FormRejection>,
) -> ApiResult<Response> {
    let Ok(Form(ask)) = form else {
        return Ok(refuse(StatusCode::BAD_REQUEST, "invalid_request"));
    };
    let now = hub.now();
    // Strangers cost a look, never the one writer's turn.
    let mut tx = hub.db().read().await?;
    let own = db::tokens::by_hash(&mut tx, &tokens::hash(&ask.client_secret), now.0).await?;
    let server = match own.as_ref().and_then(|token| token.server_id.as_deref()) {
        Some(id) => db::servers::get(&mut tx, id).await?,
        None => None,
    };
    let server = server.filter(|server| {
        server
            .client_id
            .as_bytes()
            .ct_eq(ask.client_id.as_bytes())
            .into()
    });
    let Some(server) = server else {
        return Ok(refuse(StatusCode::UNAUTHORIZED, "invalid_client"));
    };
    if ask.grant_type != "authorization_code" {
        return Ok(refuse(StatusCode::BAD_REQUEST, "unsupported_grant_type"));
    }
    drop(tx);
    let mut tx = hub.db().write().await?;
    let code = db::oauth::take(&mut tx, &hash_secret(CODE_PURPOSE, &ask.code)).await?;
    let good = code.filter(|code| {
        code.client_id == server.client_id
            && code.redirect_uri == ask.redirect_uri
            && code.expires_at > now.0
            && verifier_fits(code.challenge.as_deref(), ask.code_verifier.as_deref())
    });
    // A code that was asked for just as the session ended opens nothing any more.
    let good = match good {
        Some(code) if !db::sessions::is_alive(&mut tx, &code.session_id, now.0).await? => None,
        good => good,
    };
    let user = match &good {
        Some(code) => db::users::get(&mut tx, &code.user_id)
            .await?
            .filter(|user| !hub.shuts_out(user)),
        None => None,
    };
    let (Some(code), Some(user)) = (good, user) else {
        // Whoever tried has used the code up.
        tx.commit().await?;
        return Ok(refuse(StatusCode::BAD_REQUEST, "invalid_grant"));
    };
    let scopes: Vec<String> = serde_json::from_str(&code.scopes).map_err(anyhow::Error::from)?;
    let new = NewToken {
        note: say!(
            "token.of_client",
            prefix = crate::servers::prefix(&server.user_name, &server.name)
        )
        .to_string(),
        scopes,
        expires_at: Some(now.plus(TOKEN_LIFE_S * 1000).0),
        session_id: Some(code.session_id),
        oauth_client: Some(server.client_id.clone()),
    };
    let (token, secret) = issue(&mut tx, &user, new, now).await?;
    tx.commit().await?;
    let granted = crate::identify::token_scopes(&user, &token.scopes)
        .to_list()
        .join(" ");
    let answer = json!({
        "access_token": secret,
        "expires_in": TOKEN_LIFE_S,
        "token_type": "Bearer",
        "scope": granted,
    });
    Ok((
        [
            (header::CACHE_CONTROL, "no-store"),
            (header::PRAGMA, "no-cache"),
        ],
        Json(answer),
    )
        .into_response())
}

fn refuse(status: StatusCode, error: &str) -> Response {
    (
        status,
        [(header::CACHE_CONTROL, "no-store")],
        Json(json!({ "error": error })),
    )
        .into_response()
}

fn with_query(uri: &str, pairs: &[(&str, &str)]) -> String {
    let query = url::form_urlencoded::Serializer::new(String::new())
        .extend_pairs(pairs.iter().filter(|(_, value)| !value.is_empty()))
        .finish();
    let mark = if uri.contains('?') { '&' } else { '?' };
    format!("{uri}{mark}{query}")
}
