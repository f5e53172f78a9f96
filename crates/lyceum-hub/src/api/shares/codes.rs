//! Codes by which others come to a share.

use axum::Json;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use lyceum_model::clock::Millis;
use lyceum_model::saying::Saying;
use lyceum_model::scope::ScopeName;
use lyceum_store::Tx;
use lyceum_web::{ApiError, ApiResult, Caller};
use serde_json::{Value, json};

use super::wish::{Going, Wish};
use super::{
    Many, ServerOf, accept_url, asked, existing, filtered, may_give, owner_of, server_model,
};
use crate::api::body::{self, Fields};
use crate::api::paging::{Page, Query};
use crate::db::shares::{Code, Of};
use crate::origins::Origins;
use crate::{Hub, db, shares};

/// What the id of a code begins with.
const CODE_ID: &str = "sc_";

/// The codes for somebody's servers. Scope: `read:shares!user=…`.
pub(super) async fn list_codes_of_owner(
    State(hub): State<Hub>,
    caller: Caller,
    Path(owner): Path<String>,
    page: Page,
) -> ApiResult<Json<Many>> {
    let owner = owner_of(&hub, &caller, &owner).await?;
    let mut tx = hub.db().read().await?;
    answer_codes(&hub, &mut tx, Of::Owner(&owner.id), &page).await
}

/// Scope: `read:shares!server=…`.
pub(super) async fn list_codes_of_server(
    State(hub): State<Hub>,
    caller: Caller,
    Path(path): Path<ServerOf>,
    page: Page,
) -> ApiResult<Json<Many>> {
    let server = asked(&hub, &caller, ScopeName::ReadShares, &path).await?;
    let mut tx = hub.db().read().await?;
    let server = existing(&mut tx, server).await?;
    answer_codes(&hub, &mut tx, Of::Server(&server.id), &page).await
}

/// Makes a code by which others come to a share. It is told here and never again. Scope:
/// `shares!server=…`, and each scope that is given.
pub(super) async fn create_code(
    State(hub): State<Hub>,
    caller: Caller,
    Path(path): Path<ServerOf>,
    body: Bytes,
) -> ApiResult<Json<Value>> {
    let now = hub.now();
    let (owner, name) = asked(&hub, &caller, ScopeName::Shares, &path).await?;
    let fields = body::fields(&body)?;
    let wish = Wish::read(
        &hub,
        &fields,
        &["expires_in"],
        &owner.name,
        &name,
        Going::Out,
    )?;
    let life_s = life(&fields)?;
    let scopes = wish.or_access();
    let mut tx = hub.db().write().await?;
    let server = existing(&mut tx, (owner, name)).await?;
    may_give(&caller, &scopes, &server)?;
    if db::shares::count_codes(&mut tx, Of::Server(&server.id), now.0).await? >= shares::MOST_CODES
    {
        return Err(ApiError::bad_request(Saying::quote(format!(
            "There are {} codes for this server already; take some back first",
            shares::MOST_CODES
        ))));
    }
    let giver = shares::giver(&caller.who);
    let (_, code) = shares::new_code(&mut tx, &server.id, &scopes, &giver, life_s, now).await?;
    let row = shares::find_code(&mut tx, &code, now).await?;
    let row = row.ok_or_else(ApiError::not_found)?;
    tx.commit().await?;
    tracing::info!(by = %caller.who, owner = %server.user_name, server = %server.name, id = row.id, scopes = ?scopes, "code for a share made");
    let origins = &hub.settings().origins;
    let mut model = code_model(origins, &row);
    let url = accept_url(&code);
    model["full_accept_url"] = origins.hub_url(&url).into();
    model["accept_url"] = origins.base().at(&url).into();
    model["code"] = code.into();
    Ok(Json(model))
}

/// Takes one code back (`?id=` or `?code=`), or all of a server. Scope: `shares!server=…`.
pub(super) async fn delete_codes(
    State(hub): State<Hub>,
    caller: Caller,
    Path(path): Path<ServerOf>,
    query: Query,
) -> ApiResult<StatusCode> {
    let server = asked(&hub, &caller, ScopeName::Shares, &path).await?;
    let mut tx = hub.db().write().await?;
    let server = existing(&mut tx, server).await?;
    let given = |key| query.get(key).filter(|text| !text.is_empty());
    let id = match (given("code"), given("id")) {
        (Some(code), _) => {
            let code = shares::find_code(&mut tx, code, hub.now()).await?;
            Some(code.map(|code| code.id).unwrap_or_default())
        }
        (None, Some(id)) => Some(id.strip_prefix(CODE_ID).unwrap_or_default().to_owned()),
        (None, None) => None,
    };
    match id {
        Some(id) => {
            if !db::shares::delete_code(&mut tx, &server.id, &id).await? {
                return Err(ApiError::not_found());
            }
        }
        None => {
            db::shares::delete_codes_of_server(&mut tx, &server.id).await?;
        }
    }
    tx.commit().await?;
    tracing::info!(by = %caller.who, owner = %server.user_name, server = %server.name, "codes for a share taken back");
    Ok(StatusCode::NO_CONTENT)
}

/// Seconds that a code is to live.
fn life(fields: &Fields) -> ApiResult<i64> {
    let (least, most) = (shares::CODE_LIFE_LEAST_S, shares::CODE_LIFE_MOST_S);
    let wanted = || body::wrong("expires_in", &format!("seconds, from {least} to {most}"));
    match fields.get("expires_in") {
        None => Ok(shares::CODE_LIFE_S),
        Some(value) => match seconds(value) {
            Some(given) if (least..=most).contains(&given) => Ok(given),
            _ => Err(wanted()),
        },
    }
}

/// A whole number, also one that is written as a text or with a zero behind the point.
fn seconds(value: &Value) -> Option<i64> {
    match value {
        Value::Number(number) => number.as_i64().or_else(|| {
            let number = number.as_f64()?;
            let whole = number.fract() == 0.0 && number.abs() < 1e15;
            #[expect(clippy::cast_possible_truncation, reason = "whole and small")]
            whole.then_some(number as i64)
        }),
        Value::String(text) => text.trim().parse().ok(),
        _ => None,
    }
}

async fn answer_codes(hub: &Hub, tx: &mut Tx, of: Of<'_>, page: &Page) -> ApiResult<Json<Many>> {
    let now = hub.now().0;
    let total = db::shares::count_codes(tx, of, now).await?;
    let found = db::shares::list_codes(tx, of, now, page.offset, page.limit).await?;
    let origins = &hub.settings().origins;
    let items: Vec<Value> = found.iter().map(|code| code_model(origins, code)).collect();
    Ok(Json(page.wrap(items, total)))
}

fn code_model(origins: &Origins, code: &Code) -> Value {
    let scopes: Vec<String> = serde_json::from_str(&code.scopes).unwrap_or_default();
    let own = scopes.iter().map(String::as_str);
    json!({
        "server": server_model(origins, &code.owner, &code.server, code.state),
        "scopes": filtered(own, &code.owner, &code.server),
        "id": format!("{CODE_ID}{}", code.id),
        "created_at": Millis(code.created_at).to_iso(),
        "expires_at": Millis(code.expires_at).to_iso(),
        "exchange_count": code.exchange_count,
        "last_exchanged_at": code.last_exchanged_at.map(|at| Millis(at).to_iso()),
    })
}
