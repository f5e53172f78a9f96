//! API tokens of people.

use axum::Json;
use axum::body::Bytes;
use axum::extract::{Extension, Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use lyceum_auth::Refused;
use lyceum_model::clock::Millis;
use lyceum_model::identity::Identity;
use lyceum_model::name::UserName;
use lyceum_model::say;
use lyceum_model::saying::Saying;
use lyceum_model::scope::{Members, Owner, Scope, ScopeName, ScopeSet, Target};
use lyceum_store::Tx;
use lyceum_web::request::RequestInfo;
use lyceum_web::{ApiError, ApiResult, Caller};
use serde_json::{Value, json};

use super::body::{self, Fields};
use super::{find_person, model};
use crate::audit::{self, Act, Doer, What};
use crate::event_log::Event;
use crate::grants::{self, Grants};
use crate::jobs::revocations;
use crate::standing::Standing;
use crate::tokens::{NewToken, issue, room_for_one_more};
use crate::{Hub, db, second_factor, sittings};

/// Scopes one token may name.
const SCOPES_MOST: usize = 200;
/// Characters of a note.
const NOTE_MOST: usize = 1023;

/// Scope: `read:tokens!user=…`.
pub async fn list_tokens(
    State(hub): State<Hub>,
    caller: Caller,
    Path(user): Path<String>,
) -> ApiResult<Json<Value>> {
    let mut tx = hub.db().read().await?;
    let owner = tokens_owner(&mut tx, &caller, ScopeName::ReadTokens, &user).await?;
    let mut tokens = db::tokens::of_user(&mut tx, &owner.id, hub.now().0).await?;
    // Those of OAuth clients too. What was used last comes last.
    tokens.sort_by_key(|token| {
        (
            token.last_used_at.unwrap_or(token.created_at),
            token.id.clone(),
        )
    });
    let mut standing = Standing::of_user(&hub, &mut tx, &owner).await?;
    let mut models = Vec::new();
    for token in &tokens {
        let scopes = standing.token(&mut tx, token).await?;
        models.push(model::token(token, &owner, &scopes, None));
    }
    Ok(Json(json!({ "api_tokens": models })))
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
    let doer = Doer::of(&caller);
    if !doer.is(&owner.name) {
        let act = Act::new(&doer, What::TokenRevoked)
            .about(&owner)
            .with("token", &token.id)
            .with("note", &token.note);
        audit::note(&mut tx, act, hub.now()).await?;
    }
    tx.commit().await?;
    hub.tell(Event::Token {
        action: "revoke",
        user: owner.name.as_str(),
        id: &token.id,
        by: &caller.who.to_string(),
    });
    tracing::info!(by = %caller.who, user = %owner.name, id, "token revoked");
    crate::proxy::pass_on(&hub).await;
    Ok(StatusCode::NO_CONTENT)
}

/// Whether the account of her name is hers. Somebody whose mark leads nowhere yet brings but a name, which
/// may be another's here; coming in by the page says whose it is.
async fn is_known(hub: &Hub, identity: &Identity) -> sqlx::Result<bool> {
    let Some(subject) = &identity.subject else {
        return Ok(true);
    };
    let mut tx = hub.db().read().await?;
    let known = db::identities::name_of(&mut tx, subject).await?;
    Ok(known.as_ref() == Some(&identity.name))
}

/// The row of whoever has said her name and password. What another place says of her counts as of now, as
/// on the log-in page: what she was there when she last came may be more than what she is.
async fn holder(
    hub: &Hub,
    tx: &mut Tx,
    identity: &Identity,
    info: &RequestInfo,
) -> ApiResult<Option<db::users::User>> {
    match identity.subject {
        Some(_) => {
            let brought = crate::pages::login::bring_in(hub, tx, identity, info.address).await?;
            Ok(brought.ok())
        }
        None => Ok(db::users::find(tx, &identity.name).await?),
    }
}

/// Scope: `tokens!user=…`; or, without credentials, a name and password in the body.
pub async fn create_token(
    State(hub): State<Hub>,
    caller: Option<Caller>,
    Extension(info): Extension<RequestInfo>,
    Path(user): Path<String>,
    body: Bytes,
) -> ApiResult<Response> {
    let fields = body::fields(&body)?;
    // A server that does not know whether a name exists says the same in either case.
    let nobody = || ApiError::forbidden(say!("refused.no_credentials"));
    let signed_in = match (&caller, auth(&fields)) {
        (Some(_), _) => None,
        (None, Some((name, password))) => {
            let identity = crate::pages::login::check(&hub, name, password, &info)
                .await
                .inspect_err(|refused| {
                    crate::pages::login::note_refused(&hub, name, refused, &info);
                })
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
                    Refused::Credentials
                    | Refused::NotAdmitted
                    | Refused::Expired
                    | Refused::Denied
                    | Refused::Unnamed
                    | Refused::Anonymous
                    | Refused::Taken
                    | Refused::Reserved => nobody(),
                })?;
            if let Some(refused) = crate::pages::login::held_up(&hub, &identity).await? {
                return Err(refused);
            }
            if !is_known(&hub, &identity).await? {
                return Err(nobody());
            }
            Some(identity)
        }
        (None, None) => return Err(nobody()),
    };
    let mut tx = hub.db().write().await?;
    if let Some(caller) = &caller
        && sittings::let_in(&mut tx, caller).await?
    {
        return Err(ApiError::forbidden(say!("token.not_by_code")));
    }
    let held = match (&caller, &signed_in) {
        (Some(caller), _) => caller.scopes.as_ref().clone(),
        (None, Some(identity)) => {
            let holder = holder(&hub, &mut tx, identity, &info).await?;
            let holder = holder.ok_or_else(nobody)?;
            // There is no second step here; whoever has one makes tokens on the page for them.
            if second_factor::needed(&hub, &mut tx, &holder)
                .await?
                .is_some()
            {
                return Err(ApiError::forbidden(say!("refused.second_factor")));
            }
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
    let scopes = wanted_scopes(&fields, &hub.settings().grants)?;
    check_scopes(&mut tx, &mut standing, &owner.name, &held, &scopes).await?;
    let now = hub.now();
    let expires_at = expiry(&fields, now)?;
    let (by, own) = match (&caller, &signed_in) {
        (Some(caller), _) => (caller.who.to_string(), caller.is(&owner.name)),
        (None, Some(Identity { name, .. })) => (name.to_string(), *name == owner.name),
        (None, None) => return Err(nobody()),
    };
    let note = note(&fields)?.unwrap_or_else(|| match own {
        true => "Requested via api".into(),
        false if by.starts_with("service ") => format!("Requested via api by {by}"),
        false => format!("Requested via api by user {by}"),
    });
    let new = NewToken {
        note,
        scopes: scopes.iter().map(ToString::to_string).collect(),
        expires_at,
        ..NewToken::default()
    };
    room_for_one_more(&mut tx, &owner, now).await?;
    let (token, secret) = issue(&mut tx, &owner, new, now).await?;
    let scopes = standing.token(&mut tx, &token).await?;
    let doer = match (&caller, &signed_in) {
        (Some(caller), _) => Doer::of(caller),
        (None, Some(identity)) => Doer::person(&identity.name).at(Some(info.address)),
        (None, None) => return Err(nobody()),
    };
    // Who makes one for herself by her password has come in by it, too.
    if !own || caller.is_none() {
        let act = Act::new(&doer, What::TokenMade)
            .about(&owner)
            .with("token", &token.id)
            .with("note", &token.note);
        audit::note(&mut tx, act, now).await?;
    }
    tx.commit().await?;
    hub.tell(Event::Token {
        action: "make",
        user: owner.name.as_str(),
        id: &token.id,
        by: &by,
    });
    tracing::info!(%by, user = %owner.name, id = %token.id, "token made");
    if signed_in.is_some_and(|identity| identity.subject.is_some()) {
        // What she is there may have changed roles and groups.
        crate::proxy::pass_on(&hub).await;
    }
    Ok((
        StatusCode::CREATED,
        Json(model::token(&token, &owner, &scopes, Some(&secret))),
    )
        .into_response())
}

/// Refuses scopes of a new token that its owner does not hold, or that whoever asks does not hold.
pub(crate) async fn check_scopes(
    tx: &mut Tx,
    standing: &mut Standing,
    owner: &UserName,
    held: &ScopeSet,
    scopes: &[Scope],
) -> ApiResult<()> {
    if scopes.len() > SCOPES_MOST {
        return Err(ApiError::bad_request(say!(
            "token.too_many_scopes",
            most = SCOPES_MOST
        )));
    }
    let asked: ScopeSet = scopes.iter().cloned().collect();
    let inherits = asked.iter().any(|scope| scope.name == ScopeName::Inherit);
    let asked = asked.resolve(&Owner::user(owner.clone())).expand();
    standing.know(tx, &asked).await?;
    let (owner_holds, members) = (standing.held(), standing.members());
    within(owner_holds, &asked, members, |scopes| {
        say!("token.owner_lacks", who = owner.as_str(), scopes = scopes)
    })?;
    // A token with few scopes must not be the way to one with more.
    let asker = |scopes| say!("token.asker_lacks", scopes = scopes);
    within(held, &asked, members, asker)?;
    if inherits {
        within(held, owner_holds, members, asker)?;
    }
    Ok(())
}

/// Refuses what goes beyond `held`, with its names.
fn within(
    held: &ScopeSet,
    asked: &ScopeSet,
    members: &Members,
    refusal: impl Fn(String) -> Saying,
) -> ApiResult<()> {
    let beyond: Vec<String> = held
        .missing(asked, members)
        .iter()
        .filter(|scope| scope.name != ScopeName::Inherit)
        .map(ToString::to_string)
        .collect();
    if beyond.is_empty() {
        return Ok(());
    }
    Err(ApiError::bad_request(refusal(beyond.join(", "))))
}

/// The scopes that were named, or those of the roles that were named, or those of the role for tokens.
fn wanted_scopes(fields: &Fields, grants: &Grants) -> ApiResult<Vec<Scope>> {
    let roles = body::texts(fields, "roles")?;
    let scopes = match (body::texts(fields, "scopes")?, roles) {
        (Some(_), Some(_)) => {
            return Err(ApiError::bad_request(Saying::quote(
                "Name either roles or scopes for the token, not both",
            )));
        }
        (None, None) => grants.scopes_of([grants::TOKEN]).iter().collect(),
        (Some(scopes), None) => scopes
            .iter()
            .take(SCOPES_MOST + 1)
            .map(|text| {
                (grants.vocabulary.parse(text))
                    .map_err(|error| ApiError::bad_request(Saying::quote(error.to_string())))
            })
            .collect::<ApiResult<Vec<_>>>()?,
        (None, Some(roles)) => {
            if let Some(role) = roles.iter().find(|role| !grants.roles.contains_key(*role)) {
                let role: String = role.chars().take(60).collect();
                return Err(ApiError::bad_request(Saying::quote(format!(
                    "There is no role {role:?}"
                ))));
            }
            let roles = roles.iter().map(String::as_str);
            grants.scopes_of(roles).iter().collect()
        }
    };
    Ok(scopes)
}

/// A name and a password, where both are texts.
fn auth(fields: &Fields) -> Option<(&str, &str)> {
    let auth = fields.get("auth")?;
    Some((
        auth.get("username")?.as_str()?,
        auth.get("password")?.as_str()?,
    ))
}

/// What the token is for; nothing for an empty text.
fn note(fields: &Fields) -> ApiResult<Option<String>> {
    let note = match fields.get("note") {
        None | Some(Value::Null) => return Ok(None),
        Some(Value::String(note)) => note,
        Some(_) => return Err(body::wrong("note", "a string, or null")),
    };
    let note: String = note
        .chars()
        .filter(|c| !c.is_control())
        .take(NOTE_MOST)
        .collect();
    Ok((!note.is_empty()).then_some(note))
}

/// When the token ends to be good. Zero and `null` mean never, as JupyterHub's REST document says.
fn expiry(fields: &Fields, now: Millis) -> ApiResult<Option<i64>> {
    match fields.get("expires_in") {
        None | Some(Value::Null) => Ok(None),
        Some(Value::Number(number)) if number.as_u64().is_some() => {
            let seconds = number.as_i64().unwrap_or(i64::MAX);
            Ok((seconds > 0).then(|| now.plus(seconds.saturating_mul(1000)).0))
        }
        Some(_) => Err(body::wrong(
            "expires_in",
            "whole seconds, more than 0, or null",
        )),
    }
}

async fn tokens_owner(
    tx: &mut Tx,
    caller: &Caller,
    scope: ScopeName,
    user: &str,
) -> ApiResult<db::users::User> {
    let owner = find_person(tx, caller, &[scope], user).await?;
    caller.require(scope, Target::User(&owner.name))?;
    Ok(owner)
}
