//! People: who calls, one of them, all of them. How they are made, changed and deleted: `change`.

pub mod change;

use std::collections::HashMap;
use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::{Extension, Path, State};
use axum::http::header;
use axum::response::{IntoResponse, Response};
use lyceum_model::name::USER_NAME_MAX;
use lyceum_model::saying::Saying;
use lyceum_model::scope::{Filter, ScopeName, Target, identity_scopes, service_identity_scopes};
use lyceum_store::Tx;
use lyceum_web::{ApiError, ApiResult, Caller, Credential, Who};
use serde_json::Value;

use super::model::{Person, Showing, UserModel};
use super::paging::{Page, Query};
use super::{find_person, model, require_everywhere};
use crate::db::servers::Server;
use crate::db::users::{Among, Busy, Listed, Search, Sort, User};
use crate::seen::Sight;
use crate::{Hub, db, services};

/// Any of these shows something of a person.
pub(super) const SHOWING: &[ScopeName] = &[
    ScopeName::ReadUsers,
    ScopeName::ReadUsersName,
    ScopeName::ReadServers,
    ScopeName::ReadUsersGroups,
    ScopeName::ReadUsersActivity,
    ScopeName::ReadRolesUsers,
];

/// Who calls, and what they may do: the question every notebook server asks. Everybody may know who
/// they are.
pub async fn read_self(
    State(hub): State<Hub>,
    caller: Caller,
    sight: Option<Extension<Sight>>,
    query: Query,
) -> ApiResult<Response> {
    let stopped = query.says("include_stopped_servers");
    let body = match sight.as_ref().and_then(|sight| sight.told(stopped)) {
        Some(body) => body,
        None => {
            let model = own(&hub, &caller, &query).await?;
            let body = serde_json::to_vec(&model).map_err(anyhow::Error::from)?;
            let body = Bytes::from(body);
            if let Some(sight) = &sight {
                sight.tell(stopped, &body);
            }
            body
        }
    };
    Ok(([(header::CONTENT_TYPE, "application/json")], body).into_response())
}

async fn own(hub: &Hub, caller: &Caller, query: &Query) -> ApiResult<Value> {
    let settings = hub.settings();
    let grants = &settings.grants;
    let (session_id, token_id) = match &caller.credential {
        Credential::Session { id, .. } => (Some(id.as_str()), None),
        Credential::Token { id, session_id, .. } => (session_id.as_deref(), Some(id.as_str())),
    };
    let mut model = match &caller.who {
        Who::Person(person) => own_model(hub, caller, person, query).await?,
        Who::Service(name) => {
            let mut tx = hub.db().read().await?;
            let known = services::find(grants, &mut tx, name).await?;
            let known = known.ok_or_else(ApiError::not_found)?;
            let mut own = caller.clone();
            own.scopes = Arc::new(
                own.scopes
                    .as_ref()
                    .clone()
                    .union(&service_identity_scopes(name)),
            );
            model::service(&known, &hub.base(), grants, &own)
        }
    };
    model["scopes"] = caller.scopes.to_list().into();
    model["session_id"] = session_id.into();
    model["token_id"] = token_id.into();
    Ok(model)
}

async fn own_model(
    hub: &Hub,
    caller: &Caller,
    person: &lyceum_web::Person,
    query: &Query,
) -> ApiResult<Value> {
    let mut tx = hub.db().read().await?;
    let user = db::users::get(&mut tx, &person.id)
        .await?
        .ok_or_else(ApiError::not_found)?;
    let servers = db::servers::of_user(&mut tx, &user.id).await?;
    drop(tx);
    let mut seeing = caller.clone();
    seeing.scopes = Arc::new(
        seeing
            .scopes
            .as_ref()
            .clone()
            .union(&identity_scopes(&user.name)),
    );
    let stopped = query.says("include_stopped_servers");
    let person = Person {
        user: &user,
        groups: &person.groups,
        servers: &servers,
    };
    Ok(show(hub, &seeing, stopped, &person).unwrap_or_default())
}

/// One person. Scope: `read:users!user=…`, or one for a part of what is known of her.
pub async fn get_user(
    State(hub): State<Hub>,
    caller: Caller,
    Path(name): Path<String>,
    query: Query,
) -> ApiResult<Json<Value>> {
    let mut tx = hub.db().read().await?;
    let user = find_person(&mut tx, &caller, SHOWING, &name).await?;
    caller.require_any(SHOWING, Target::User(&user.name))?;
    let stopped = query.says("include_stopped_servers");
    let model = read(&hub, &mut tx, &caller, stopped, &user).await?;
    Ok(Json(model))
}

/// A page of people. Scope: `list:users`, or it with a filter for some.
pub async fn list_users(State(hub): State<Hub>, caller: Caller, page: Page) -> ApiResult<Response> {
    let among = listed(&caller)?;
    let query = &page.query;
    let sort = sort(query.get("sort"))?;
    let busy = match query.get("state") {
        None | Some("") => None,
        Some("active") => Some(Busy::Active),
        Some("ready") => Some(Busy::Ready),
        Some("inactive") => Some(Busy::Inactive),
        Some(other) => return Err(not_among("state", other, "active, ready, inactive")),
    };
    let filter = query.get("name_filter").unwrap_or_default();
    if filter.len() > USER_NAME_MAX {
        // No name holds it, and a database need not look.
        let nobody: [UserModel<'_>; 0] = [];
        return Ok(Json(page.answer(nobody, 0)).into_response());
    }
    let search = Search {
        filter,
        busy,
        among,
        ..Search::default()
    };
    let stopped = query.says("include_stopped_servers");
    let mut tx = hub.db().glance().await?;
    let total = match page.wrapped() {
        true => search.count(&mut tx).await?,
        false => 0,
    };
    let (offset, limit) = (page.offset, page.limit);
    let people = search.listed(&mut tx, sort, offset, limit).await?;
    let servers = servers_of(&mut tx, &people, stopped).await?;
    drop(tx);
    let settings = hub.settings();
    let showing = Showing {
        caller: &caller,
        stopped,
        origins: &settings.origins,
        grants: &settings.grants,
    };
    let items: Vec<UserModel<'_>> = people
        .iter()
        .filter_map(|Listed { user, groups, .. }| {
            let servers = servers.get(&user.id).map_or(&[][..], Vec::as_slice);
            let person = Person {
                user,
                groups,
                servers,
            };
            model::user(&person, &showing)
        })
        .collect();
    Ok(Json(page.answer(items, total)).into_response())
}

/// Whom this caller may list; nothing: everybody.
fn listed(caller: &Caller) -> ApiResult<Option<Among>> {
    let mut among = Among::default();
    for filter in caller.scopes.reach(ScopeName::ListUsers) {
        match filter {
            Filter::All => return Ok(None),
            Filter::User(name) => among.users.push(name.to_string()),
            Filter::Group(name) => among.groups.push(name),
            // They name nobody, and must not open all; another may have been given unasked.
            _ => {}
        }
    }
    if among.users.is_empty() && among.groups.is_empty() {
        require_everywhere(caller, ScopeName::ListUsers)?;
    }
    Ok(Some(among))
}

fn sort(given: Option<&str>) -> ApiResult<Sort> {
    Ok(match given {
        None | Some("id") => Sort::Created,
        Some("-id") => Sort::CreatedDown,
        Some("name") => Sort::Name,
        Some("-name") => Sort::NameDown,
        Some("last_activity") => Sort::Activity,
        Some("-last_activity") => Sort::ActivityDown,
        Some(other) => return Err(not_among("sort", other, "id, name, last_activity")),
    })
}

fn not_among(key: &str, given: &str, words: &str) -> ApiError {
    let given: String = given.chars().take(60).collect();
    ApiError::bad_request(Saying::quote(format!(
        "{key}: {given:?} is not one of {words}"
    )))
}

/// The servers of each of these people who has any to tell of, by their ids; `at_rest`: servers at
/// rest too.
async fn servers_of(
    tx: &mut Tx,
    people: &[Listed],
    at_rest: bool,
) -> sqlx::Result<HashMap<String, Vec<Server>>> {
    let told = people.iter().filter(|listed| at_rest || listed.has_active);
    let ids: Vec<&str> = told.map(|listed| listed.user.id.as_str()).collect();
    let mut servers: HashMap<String, Vec<Server>> = HashMap::new();
    if ids.is_empty() {
        return Ok(servers);
    }
    for server in db::servers::of_users(tx, &ids, at_rest).await? {
        let hers = servers.entry(server.user_id.clone()).or_default();
        hers.push(server);
    }
    Ok(servers)
}

/// The model of one person, as this caller may see it.
async fn read(
    hub: &Hub,
    tx: &mut Tx,
    caller: &Caller,
    stopped: bool,
    user: &User,
) -> ApiResult<Value> {
    let groups = db::groups::names_of(tx, &user.id).await?;
    let servers = db::servers::of_user(tx, &user.id).await?;
    let person = Person {
        user,
        groups: &groups,
        servers: &servers,
    };
    // Whoever holds none of the scopes that show something sees an empty model.
    Ok(show(hub, caller, stopped, &person).unwrap_or_else(|| Value::Object(Default::default())))
}

/// A model by itself, for what is added to it.
fn show(hub: &Hub, caller: &Caller, stopped: bool, person: &Person<'_>) -> Option<Value> {
    let settings = hub.settings();
    let showing = Showing {
        caller,
        stopped,
        origins: &settings.origins,
        grants: &settings.grants,
    };
    let model = model::user(person, &showing)?;
    Some(serde_json::to_value(model).expect("our own types are JSON"))
}
