//! API tokens of people.

use axum::Json;
use axum::body::Bytes;
use axum::extract::{Extension, Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use lyceum_auth::Refused;
use lyceum_model::name::UserName;
use lyceum_model::say;
use lyceum_model::saying::Saying;
use lyceum_model::scope::{Members, Owner, Scope, ScopeName, ScopeSet, Target};
use lyceum_web::request::RequestInfo;
use lyceum_web::{ApiError, ApiResult, Caller};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{model, person};
use crate::grants::{self, Grants};
use crate::jobs::revocations;
use crate::standing::Standing;
use crate::tokens::{NewToken, issue};
use crate::{Hub, db};

/// Scopes one token may name.
const SCOPES_MOST: usize = 200;

/// Scope: `read:tokens!user=…`.
pub async fn list_tokens(
    State(hub): State<Hub>,
    caller: Caller,
    Path(user): Path<String>,
) -> ApiResult<Json<Value>> {
    let mut tx = hub.db().read().await?;
    let owner = tokens_owner(&mut tx, &caller, ScopeName::ReadTokens, &user).await?;
    let tokens = db::tokens::of_user(&mut tx, &owner.id, hub.now().0).await?;
    let mut standing = Standing::of_user(&hub, &mut tx, &owner).await?;
    let (mut oauth, mut api) = (Vec::new(), Vec::new());
    for token in &tokens {
        let scopes = standing.token(&mut tx, token).await?;
        let model = model::token(token, &owner, &scopes, None);
        match token.oauth_client {
            Some(_) => oauth.push(model),
            None => api.push(model),
        }
    }
    Ok(Json(json!({ "api_tokens": api, "oauth_tokens": oauth })))
}

/// Scope: `read:tokens!user=…`.
pub async fn get_token(
    State(hub): State<Hub>,
    caller: Caller,
    Path((user, id)): Path<(String, String)>,
) -> ApiResult<Json<Value>> {
    let mut tx = hub.db().read().await?;
    let owner = tokens_owner(&mut tx, &caller, ScopeName::ReadTokens, &user).await?;
    let token = db::tokens::find(&mut tx, &owner.id, &id, hub.now().0)
        .await?
        .ok_or_else(ApiError::not_found)?;
    let mut standing = Standing::of_user(&hub, &mut tx, &owner).await?;
    let scopes = standing.token(&mut tx, &token).await?;
    Ok(Json(model::token(&token, &owner, &scopes, None)))
}

/// Scope: `tokens!user=…`.
pub async fn delete_token(
    State(hub): State<Hub>,
    caller: Caller,
    Path((user, id)): Path<(String, String)>,
) -> ApiResult<StatusCode> {
    let mut tx = hub.db().write().await?;
    let owner = tokens_owner(&mut tx, &caller, ScopeName::Tokens, &user).await?;
    let token = db::tokens::find(&mut tx, &owner.id, &id, hub.now().0)
        .await?
        .ok_or_else(ApiError::not_found)?;
    let fallen = db::tokens::delete(&mut tx, &token).await?;
    revocations::announce_fallen(&mut tx, owner.name.as_str(), &fallen, hub.now()).await?;
    tx.commit().await?;
    crate::proxy::pass_on(&hub).await;
    Ok(StatusCode::NO_CONTENT)
}

#[derive(Debug, Default, Deserialize)]
struct Wish {
    #[serde(default)]
    note: Option<String>,
    #[serde(default)]
    expires_in: Option<i64>,
    #[serde(default)]
    scopes: Option<Vec<String>>,
    #[serde(default)]
    roles: Option<Vec<String>>,
    #[serde(default)]
    auth: Option<Auth>,
}

#[derive(Debug, Deserialize)]
struct Auth {
    username: String,
    password: String,
}

/// Scope: `tokens!user=…`; or, without credentials, a name and password in the body.
pub async fn create_token(
    State(hub): State<Hub>,
    caller: Option<Caller>,
    Extension(info): Extension<RequestInfo>,
    Path(user): Path<String>,
    body: Bytes,
) -> ApiResult<Response> {
    let wish: Wish = match &body[..] {
        b"" => Wish::default(),
        // By way of a map: a list must not be taken for its fields in order.
        bytes => serde_json::from_slice::<serde_json::Map<String, Value>>(bytes)
            .and_then(|fields| serde_json::from_value(fields.into()))
            .map_err(|error| {
                ApiError::bad_request(Saying::quote(format!("The body can't be read: {error}")))
            })?,
    };
    // A server that does not know whether a name exists says the same in either case.
    let nobody = || ApiError::forbidden(say!("refused.no_credentials"));
    let signed_in = match (&caller, &wish.auth) {
        (Some(_), _) => None,
        (None, Some(auth)) => {
            let identity = crate::pages::login::check(&hub, &auth.username, &auth.password, &info)
                .await
                .map_err(|refused| match refused {
                    Refused::TooMany { retry_after } => ApiError::later(
                        StatusCode::TOO_MANY_REQUESTS,
                        Saying::quote("There were too many tries; wait, then try again"),
                        retry_after.into(),
                    ),
                    Refused::Busy => ApiError::later(
                        StatusCode::SERVICE_UNAVAILABLE,
                        Saying::quote("Too many people are signing in; try again in a few seconds"),
                        5,
                    ),
                    Refused::Internal(cause) => cause.into(),
                    Refused::Credentials | Refused::NotAdmitted => nobody(),
                })?;
            Some(identity.name)
        }
        (None, None) => return Err(nobody()),
    };
    let mut tx = hub.db().write().await?;
    let held = match (&caller, &signed_in) {
        (Some(caller), _) => caller.scopes.clone(),
        (None, Some(name)) => {
            let holder = db::users::find(&mut tx, name).await?.ok_or_else(nobody)?;
            let standing = Standing::of_user(&hub, &mut tx, &holder).await?;
            standing.held().clone()
        }
        (None, None) => return Err(nobody()),
    };
    let owner = match UserName::parse(&user).ok() {
        Some(name) => db::users::find(&mut tx, &name).await?,
        None => None,
    };
    let Some(owner) = owner else {
        return Err(nobody());
    };
    let mut standing = Standing::of_user(&hub, &mut tx, &owner).await?;
    standing.know(&mut tx, &held).await?;
    let target = Target::User(&owner.name);
    let verdict = held.allows(ScopeName::Tokens, target, standing.members());
    if !verdict.is_yes() {
        return Err(nobody());
    }
    if wish.roles.as_ref().is_some_and(|roles| !roles.is_empty()) && wish.scopes.is_some() {
        return Err(ApiError::bad_request(Saying::quote(
            "Name either roles or scopes for the token, not both",
        )));
    }
    let scopes = wanted_scopes(&wish, &hub.settings().grants)?;
    let asked: ScopeSet = scopes.iter().cloned().collect();
    let inherits = asked.iter().any(|scope| scope.name == ScopeName::Inherit);
    let asked = asked.resolve(&Owner::user(owner.name.clone())).expand();
    standing.know(&mut tx, &asked).await?;
    let (owner_holds, members) = (standing.held(), standing.members());
    within(owner_holds, &asked, members, owner.name.as_str())?;
    // A token with few scopes must not be the way to one with more.
    within(&held, &asked, members, "Whoever asks")?;
    if inherits {
        within(&held, owner_holds, members, "Whoever asks")?;
    }
    let now = hub.now();
    let expires_at = match wish.expires_in {
        None | Some(0) => None,
        Some(seconds) if seconds < 0 => {
            return Err(ApiError::bad_request(Saying::quote(
                "expires_in: give seconds, more than 0",
            )));
        }
        Some(seconds) => Some(now.plus(seconds.saturating_mul(1000)).0),
    };
    let note: String = wish
        .note
        .unwrap_or_default()
        .chars()
        .filter(|c| !c.is_control())
        .take(1024)
        .collect();
    let note = if note.is_empty() {
        "Requested via api".to_owned()
    } else {
        note
    };
    let new = NewToken {
        note,
        scopes: scopes.iter().map(ToString::to_string).collect(),
        expires_at,
        ..NewToken::default()
    };
    let (token, secret) = issue(&mut tx, &owner, new, now).await?;
    let scopes = standing.token(&mut tx, &token).await?;
    tx.commit().await?;
    Ok((
        StatusCode::CREATED,
        Json(model::token(&token, &owner, &scopes, Some(&secret))),
    )
        .into_response())
}

/// Refuses what goes beyond `held`, with its names.
fn within(held: &ScopeSet, asked: &ScopeSet, members: &Members, who: &str) -> ApiResult<()> {
    let beyond: Vec<String> = held
        .missing(asked, members)
        .iter()
        .filter(|scope| scope.name != ScopeName::Inherit)
        .map(ToString::to_string)
        .collect();
    if beyond.is_empty() {
        return Ok(());
    }
    Err(ApiError::bad_request(Saying::quote(format!(
        "{who} does not hold these scopes: {}",
        beyond.join(", ")
    ))))
}

fn wanted_scopes(wish: &Wish, grants: &Grants) -> ApiResult<Vec<Scope>> {
    if let Some(scopes) = &wish.scopes {
        if scopes.len() > SCOPES_MOST {
            return Err(ApiError::bad_request(Saying::quote(format!(
                "scopes: a token has at most {SCOPES_MOST}"
            ))));
        }
        return scopes
            .iter()
            .map(|text| {
                (grants.vocabulary.parse(text))
                    .map_err(|error| ApiError::bad_request(Saying::quote(error.to_string())))
            })
            .collect();
    }
    let mut roles: Vec<&str> = wish.roles.iter().flatten().map(String::as_str).collect();
    if let Some(role) = roles.iter().find(|role| !grants.roles.contains_key(**role)) {
        let role: String = role.chars().take(60).collect();
        return Err(ApiError::bad_request(Saying::quote(format!(
            "There is no role {role:?}"
        ))));
    }
    if roles.is_empty() {
        roles.push(grants::TOKEN);
    }
    Ok(grants.scopes_of(roles).iter().collect())
}

async fn tokens_owner(
    tx: &mut lyceum_store::Tx,
    caller: &Caller,
    scope: ScopeName,
    user: &str,
) -> ApiResult<db::users::User> {
    match person(tx, user).await {
        Ok(owner) => {
            caller.require(scope, Target::User(&owner.name))?;
            Ok(owner)
        }
        Err(error) => {
            caller.require(scope, Target::Everything)?;
            Err(error)
        }
    }
}
