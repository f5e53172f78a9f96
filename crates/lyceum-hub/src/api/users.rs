//! People.

use axum::Json;
use axum::extract::{Path, Query, State};
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Response};
use lyceum_model::name::USER_NAME_MAX;
use lyceum_model::saying::Saying;
use lyceum_model::scope::{ScopeName, Target, service_identity_scopes};
use lyceum_web::request::header;
use lyceum_web::{ApiError, ApiResult, Caller, Credential, Person, Who};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{model, person};
use crate::db::users::Sort;
use crate::{Hub, db, services};

/// Who calls, and what she may do: the question every notebook server asks.
pub async fn read_self(State(hub): State<Hub>, caller: Caller) -> ApiResult<Json<Value>> {
    let settings = hub.settings();
    let grants = &settings.grants;
    let (session_id, token_id) = match &caller.credential {
        Credential::Session { id, .. } => (Some(id.as_str()), None),
        Credential::Token { id, session_id, .. } => (session_id.as_deref(), Some(id.as_str())),
    };
    let mut model = match &caller.who {
        Who::Person(person) => own_model(&hub, &caller, person).await?,
        Who::Service(name) => {
            let mut tx = hub.db().read().await?;
            let known = services::find(grants, &mut tx, name).await?;
            let known = known.ok_or_else(ApiError::not_found)?;
            let mut own = caller.clone();
            own.scopes = own.scopes.union(&service_identity_scopes(name));
            model::service(&known, grants, &own)
        }
    };
    model["scopes"] = caller.scopes.to_list().into();
    model["session_id"] = session_id.into();
    model["token_id"] = token_id.into();
    Ok(Json(model))
}

async fn own_model(hub: &Hub, caller: &Caller, person: &Person) -> ApiResult<Value> {
    let settings = hub.settings();
    let mut tx = hub.db().read().await?;
    let user = db::users::get(&mut tx, &person.id)
        .await?
        .ok_or_else(ApiError::not_found)?;
    let full = caller.may(ScopeName::ReadUsers, Target::User(&user.name));
    if !full {
        return Ok(model::identity(&user, &person.groups));
    }
    let servers = db::servers::of_user(&mut tx, &user.id).await?;
    let model = model::user(
        &user,
        &settings.grants,
        &person.groups,
        &servers,
        &settings.origins,
    );
    Ok(model::visible(model, &user, caller))
}

/// One person. Scope: `read:users:name!user=…`, and more for the rest.
pub async fn get_user(
    State(hub): State<Hub>,
    caller: Caller,
    Path(name): Path<String>,
) -> ApiResult<Json<Value>> {
    let mut tx = hub.db().read().await?;
    let Ok(user) = person(&mut tx, &name).await else {
        caller.require(ScopeName::ReadUsersName, Target::Everything)?;
        return Err(ApiError::not_found());
    };
    caller.require(ScopeName::ReadUsersName, Target::User(&user.name))?;
    let groups = db::groups::names_of(&mut tx, &user.id).await?;
    let servers = db::servers::of_user(&mut tx, &user.id).await?;
    let settings = hub.settings();
    let model = model::user(
        &user,
        &settings.grants,
        &groups,
        &servers,
        &settings.origins,
    );
    Ok(Json(model::visible(model, &user, &caller)))
}

#[derive(Debug, Deserialize)]
pub struct ListQuery {
    offset: Option<String>,
    limit: Option<String>,
    #[serde(default)]
    name_filter: String,
    #[serde(default)]
    sort: String,
}

/// A page of people. Scope: `list:users`, or `read:users` of some.
pub async fn list_users(
    State(hub): State<Hub>,
    caller: Caller,
    headers: HeaderMap,
    Query(query): Query<ListQuery>,
) -> ApiResult<Response> {
    let paged = header(&headers, "accept")
        .is_some_and(|accept| accept.contains("application/jupyterhub-pagination+json"));
    let limit = number(
        "limit",
        query.limit.as_deref(),
        if paged { 50 } else { 200 },
    )?
    .clamp(1, 200);
    let offset = number("offset", query.offset.as_deref(), 0)?.max(0);
    let sort = match query.sort.as_str() {
        "" | "id" => Sort::Created,
        "-id" => Sort::CreatedDown,
        "name" => Sort::Name,
        "-name" => Sort::NameDown,
        "last_activity" => Sort::Activity,
        "-last_activity" => Sort::ActivityDown,
        other => {
            return Err(ApiError::bad_request(Saying::quote(format!(
                "sort: {other:?} is not one of id, name, last_activity"
            ))));
        }
    };
    if query.name_filter.chars().count() > USER_NAME_MAX {
        return Err(ApiError::bad_request(Saying::quote(format!(
            "name_filter: no name is longer than {USER_NAME_MAX} characters"
        ))));
    }
    let origins = hub.settings().origins.clone();
    let mut tx = hub.db().read().await?;
    let (users, total) = if caller.may(ScopeName::ListUsers, Target::Everything) {
        let total = db::users::count(&mut tx, &query.name_filter).await?;
        (
            db::users::list(&mut tx, &query.name_filter, sort, offset, limit).await?,
            total,
        )
    } else {
        // A filtered scope sees those it names, and those in the groups it names.
        let mut own = Vec::new();
        for name in caller.people(ScopeName::ReadUsersName) {
            if name.as_str().contains(&query.name_filter.to_lowercase())
                && let Some(user) = db::users::find(&mut tx, &name).await?
            {
                own.push(user);
            }
        }
        if own.is_empty() {
            caller.require(ScopeName::ListUsers, Target::Everything)?;
        }
        let total = i64::try_from(own.len()).unwrap_or(i64::MAX);
        let skip = usize::try_from(offset).unwrap_or(usize::MAX);
        let take = usize::try_from(limit).unwrap_or(200);
        (own.into_iter().skip(skip).take(take).collect(), total)
    };
    let mut items = Vec::with_capacity(users.len());
    for user in &users {
        let groups = db::groups::names_of(&mut tx, &user.id).await?;
        let servers = db::servers::of_user(&mut tx, &user.id).await?;
        let grants = &hub.settings().grants;
        let model = model::user(user, grants, &groups, &servers, &origins);
        items.push(model::visible(model, user, &caller));
    }
    if !paged {
        return Ok(Json(Value::Array(items)).into_response());
    }
    let following = offset.saturating_add(limit);
    let next = (following < total).then(|| {
        let filter: String =
            url::form_urlencoded::byte_serialize(query.name_filter.as_bytes()).collect();
        let url = format!(
            "{}/hub/api/users?offset={following}&limit={limit}&name_filter={filter}&sort={}",
            origins.hub().unwrap_or_default(),
            query.sort
        );
        json!({ "offset": following, "limit": limit, "url": url })
    });
    Ok(Json(json!({
        "items": items,
        "_pagination": { "offset": offset, "limit": limit, "total": total, "next": next },
    }))
    .into_response())
}

fn number(name: &str, text: Option<&str>, default: i64) -> ApiResult<i64> {
    match text {
        None | Some("") => Ok(default),
        Some(text) => text.parse().map_err(|_| {
            ApiError::bad_request(Saying::quote(format!(
                "{name}: {text:?} is not a whole number"
            )))
        }),
    }
}
