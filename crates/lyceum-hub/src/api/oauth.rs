//! The OAuth 2 provider (RFC 6749 with PKCE): how a notebook server learns who is in front of it.

use axum::Json;
use axum::body::Bytes;
use axum::extract::rejection::FormRejection;
use axum::extract::{Extension, Form, OriginalUri, Query, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use lyceum_model::digest::hash_secret;
use lyceum_model::id::new_secret;
use lyceum_model::say;
use lyceum_store::Tx;
use lyceum_web::cookie;
use lyceum_web::request::RequestInfo;
use lyceum_web::xsrf::Binding;
use lyceum_web::{ApiError, ApiResult, Caller, Credential};
use serde::Deserialize;
use serde_json::json;
use subtle::ConstantTimeEq;

use crate::oauth::consent::{self, NotAllowed};
use crate::oauth::{CODE_LIFE_MS, CODE_PURPOSE, Client, TOKEN_LIFE_S, verifier_fits};
use crate::pages::{self, redirect};
use crate::standing::Standing;
use crate::tokens::{self, NewToken, issue_to_client};
use crate::{Hub, course_servers, db, services};

#[derive(Debug, Deserialize)]
pub struct Ask {
    #[serde(default)]
    client_id: String,
    /// Left out: the client's own, of which there is one.
    redirect_uri: Option<String>,
    #[serde(default)]
    response_type: String,
    #[serde(default)]
    state: String,
    /// With spaces between; nothing for all that the client may have.
    #[serde(default)]
    scope: String,
    code_challenge: Option<String>,
    code_challenge_method: Option<String>,
}

/// A request that has been looked at and may go on.
pub struct Checked {
    pub client: Client,
    user_id: String,
    session_id: String,
    /// Where the browser goes with the answer: the redirect URI, with a host where it needs one.
    pub back: String,
    /// What the client would be given.
    pub offered: Vec<String>,
}

/// Where a browser is sent by a notebook server that wants to know who it is.
pub async fn authorize(
    State(hub): State<Hub>,
    caller: Option<Caller>,
    Extension(info): Extension<RequestInfo>,
    headers: HeaderMap,
    Query(ask): Query<Ask>,
    OriginalUri(uri): OriginalUri,
) -> ApiResult<Response> {
    let Some(caller) = caller else {
        return Ok(pages::to_login(&hub.base(), &uri));
    };
    let checked = match check(&hub, &caller, &info, &ask).await? {
        Ok(checked) => checked,
        Err(response) => return Ok(*response),
    };
    let no_word = checked.client.needs_no_word(&checked.user_id);
    // Those who teach a course share its server: to each of them it is her own.
    let shares_it = match (&checked.client, caller.person()) {
        (Client::Server(server), Ok(her)) => {
            course_servers::opens(&hub, &server.user_name, &her.name, &her.groups)
        }
        _ => false,
    };
    let agreed = has_agreed(&hub, &caller, &headers, &checked);
    if no_word || shares_it || agreed || granted_before(&hub, &checked).await? {
        return grant(&hub, &ask, checked).await;
    }
    pages::oauth_confirm(&hub, &caller, &headers, &info, &checked, &uri)
}

/// The person said yes on the confirmation page.
pub async fn confirm(
    State(hub): State<Hub>,
    caller: Caller,
    Extension(info): Extension<RequestInfo>,
    Query(ask): Query<Ask>,
    form: Bytes,
) -> ApiResult<Response> {
    let mut checked = match check(&hub, &caller, &info, &ask).await? {
        Ok(checked) => checked,
        Err(response) => return Ok(*response),
    };
    // She has seen what was offered then; what has come to it since is for another time.
    let said: Vec<String> = url::form_urlencoded::parse(&form)
        .filter(|(name, _)| name == "scopes")
        .map(|(_, scope)| scope.into_owned())
        .collect();
    checked.offered = consent::agreed(checked.offered, &checked.client, &said);
    grant(&hub, &ask, checked).await
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
    let user_id = caller.person()?.id.clone();
    let mut tx = hub.db().read().await?;
    let settings = hub.settings();
    let service = services::by_client(&settings.grants, &mut tx, &ask.client_id).await?;
    let client = match service {
        Some(known) => Some(known.into()),
        None => {
            let server = db::servers::by_client(&mut tx, &ask.client_id).await?;
            server.map(Client::Server)
        }
    };
    // Nothing is sent to an address that isn't known to be the client's.
    let Some(client) = client else {
        return Err(ApiError::bad_request(say!("refused.oauth_client")));
    };
    let scheme = if info.secure { "https" } else { "http" };
    let origin = client
        .origin(&settings.origins)
        .unwrap_or_else(|| format!("{scheme}://{}", info.host));
    let base = settings.origins.base();
    let back = (ask.redirect_uri.clone()).unwrap_or_else(|| client.redirect_uri(base));
    if !client.redirect_fits(base, &origin, &back) {
        return Err(ApiError::bad_request(say!("refused.oauth_return")));
    }
    let back = match back.starts_with('/') && settings.origins.are_apart() {
        true => format!("{origin}{back}"),
        false => back,
    };
    let refused = |error: &str| {
        let to = with_query(&back, &[("error", error), ("state", &ask.state)]);
        Ok(Err(Box::new(redirect(&hub.base(), &to))))
    };
    match ask.response_type.as_str() {
        "code" => {}
        "" => return refused("invalid_request"),
        _ => return refused("unsupported_response_type"),
    }
    let missing = settings.grants.needs_pkce && ask.code_challenge.is_none();
    let unsafe_method = ask.code_challenge_method.as_deref() != Some("S256");
    if missing || (ask.code_challenge.is_some() && unsafe_method) {
        return refused("invalid_request");
    }
    if !client.may_be_entered_by(caller) {
        return Err(ApiError::forbidden(match &client {
            Client::Server(server) => {
                say!("refused.oauth_access", user = server.user_name.as_str())
            }
            Client::Service(name, _) => say!("refused.oauth_service", name = name),
        }));
    }
    let Some(user) = db::users::get(&mut tx, &user_id).await? else {
        return Err(ApiError::forbidden(say!("refused.oauth_session")));
    };
    let offered = match consent::offer(hub, &mut tx, &client, &user, &ask.scope).await? {
        Ok(offered) => offered,
        Err(NotAllowed(scope)) => {
            tracing::warn!(
                client = client.id(),
                scope,
                "a client asks for more than it may have"
            );
            return refused("invalid_scope");
        }
    };
    Ok(Ok(Checked {
        client,
        user_id,
        session_id: session_id.clone(),
        back,
        offered,
    }))
}

/// Whether she has just accepted this server, on a page that told her what it always gets. More is asked
/// for here.
fn has_agreed(hub: &Hub, caller: &Caller, headers: &HeaderMap, checked: &Checked) -> bool {
    let Credential::Session { binding, .. } = &caller.credential else {
        return false;
    };
    let always = checked.client.always();
    if !checked.offered.iter().all(|scope| always.contains(scope)) {
        return false;
    }
    let (session, client) = (binding.as_str(), checked.client.id());
    cookie::values(headers, cookie::AGREED)
        .any(|given| (hub.xsrf()).accepts(Binding::Agreed { session, client }, given))
}

/// Whether a token that she gave this client, and that still holds, may do all that is wanted now.
async fn granted_before(hub: &Hub, checked: &Checked) -> ApiResult<bool> {
    let (user_id, client_id) = (&checked.user_id, checked.client.id());
    let mut tx = hub.db().read().await?;
    let earlier = db::tokens::granted(&mut tx, user_id, client_id, hub.now().0).await?;
    Ok(earlier.iter().any(|scopes| {
        let held: Vec<String> = serde_json::from_str(scopes).unwrap_or_default();
        checked.offered.iter().all(|scope| held.contains(scope))
    }))
}

async fn grant(hub: &Hub, ask: &Ask, checked: Checked) -> ApiResult<Response> {
    let code = new_secret();
    let mut tx = hub.db().write().await?;
    db::oauth::insert(
        &mut tx,
        &db::oauth::Code {
            hash: hash_secret(CODE_PURPOSE, &code),
            client_id: checked.client.id().to_owned(),
            user_id: checked.user_id,
            session_id: checked.session_id,
            redirect_uri: ask.redirect_uri.clone().unwrap_or_default(),
            scopes: serde_json::to_string(&checked.offered).map_err(anyhow::Error::from)?,
            challenge: ask.code_challenge.clone(),
            expires_at: hub.now().plus(CODE_LIFE_MS).0,
        },
    )
    .await?;
    tx.commit().await?;
    let to = with_query(&checked.back, &[("code", &code), ("state", &ask.state)]);
    Ok(redirect(&hub.base(), &to))
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
    let client = by_secret(&hub, &mut tx, &ask.client_secret).await?;
    let client = client.filter(|client| {
        let same = client.id().as_bytes().ct_eq(ask.client_id.as_bytes());
        same.into()
    });
    let Some(client) = client else {
        return Ok(refuse(StatusCode::UNAUTHORIZED, "invalid_client"));
    };
    if ask.grant_type != "authorization_code" {
        return Ok(refuse(StatusCode::BAD_REQUEST, "unsupported_grant_type"));
    }
    if ask.code.is_empty() {
        return Ok(refuse(StatusCode::BAD_REQUEST, "invalid_request"));
    }
    drop(tx);
    let mut tx = hub.db().write().await?;
    let code = db::oauth::take(&mut tx, &hash_secret(CODE_PURPOSE, &ask.code)).await?;
    let good = code.filter(|code| {
        code.client_id == client.id()
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
        Some(code) => {
            let user = db::users::get(&mut tx, &code.user_id).await?;
            hub.let_in(&mut tx, user).await?
        }
        None => None,
    };
    let (Some(code), Some(user)) = (good, user) else {
        // Whoever tried has used the code up.
        tx.commit().await?;
        return Ok(refuse(StatusCode::BAD_REQUEST, "invalid_grant"));
    };
    let scopes: Vec<String> = serde_json::from_str(&code.scopes).map_err(anyhow::Error::from)?;
    let new = NewToken {
        note: say!("token.of_client", prefix = client.prefix(&hub.base())).to_string(),
        scopes,
        expires_at: Some(now.plus(TOKEN_LIFE_S * 1000).0),
        session_id: Some(code.session_id),
        ..NewToken::default()
    };
    let made = issue_to_client(&mut tx, &user, client.id(), new, now).await?;
    let (token, secret, fell) = made;
    let mut standing = Standing::of_user(&hub, &mut tx, &user).await?;
    let granted = standing.token(&mut tx, &token).await?.to_list().join(" ");
    tx.commit().await?;
    if fell {
        crate::proxy::pass_on(&hub).await;
    }
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

/// The client whose own token this is: of a server, or of a service.
async fn by_secret(hub: &Hub, tx: &mut Tx, secret: &str) -> ApiResult<Option<Client>> {
    let hash = tokens::hash(secret);
    let service = services::by_token(&hub.settings().grants, tx, &hash).await?;
    if let Some(known) = service {
        let is_client = known.service.is_client();
        return Ok(is_client.then(|| known.into()));
    }
    let own = db::tokens::by_hash(tx, &hash, hub.now().0).await?;
    Ok(match own.and_then(|token| token.server_id) {
        Some(id) => db::servers::get(tx, &id).await?.map(Client::Server),
        None => None,
    })
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
