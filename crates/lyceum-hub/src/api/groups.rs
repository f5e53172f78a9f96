//! Groups: who is in them, and what is noted about them.

use axum::Json;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::{Method, StatusCode};
use axum::response::{IntoResponse, Response};
use lyceum_model::clock::Millis;
use lyceum_model::lti::is_platforms;
use lyceum_model::name::{UserName, is_free_name};
use lyceum_model::say;
use lyceum_model::saying::Saying;
use lyceum_model::scope::{Filter, ScopeName, Target};
use lyceum_store::Tx;
use lyceum_web::routes::Routes;
use lyceum_web::{ApiError, ApiResult, Caller};
use serde_json::{Map, Value};

use super::model::{self, GROUP_FIELDS};
use super::paging::Page;
use crate::audit::{self, Act, Doer, What};
use crate::db::groups::Group;
use crate::db::users::User;
use crate::{Hub, db, giving, groups};

pub fn routes() -> Routes<Hub> {
    const ALL: &str = "/hub/api/groups";
    const ONE: &str = "/hub/api/groups/{group}";
    const USERS: &str = "/hub/api/groups/{group}/users";
    Routes::default()
        .scoped(Method::GET, ALL, list_groups)
        .scoped(Method::POST, ALL, create_groups)
        .scoped(Method::GET, ONE, get_group)
        .scoped(Method::POST, ONE, create_group)
        .scoped(Method::DELETE, ONE, delete_group)
        .scoped(Method::POST, USERS, add_users)
        .scoped(Method::DELETE, USERS, remove_users)
        .scoped(
            Method::PUT,
            "/hub/api/groups/{group}/properties",
            set_properties,
        )
}

/// Scope: `list:groups`.
pub async fn list_groups(
    State(hub): State<Hub>,
    caller: Caller,
    page: Page,
) -> ApiResult<Response> {
    let mut tx = hub.db().read().await?;
    let (found, total) = if caller.may(ScopeName::ListGroups, Target::Everything) {
        let total = db::groups::count(&mut tx).await?;
        (
            db::groups::list(&mut tx, page.offset, page.limit).await?,
            total,
        )
    } else {
        let mut named = caller.scopes.reach(ScopeName::ListGroups);
        // Others name no groups.
        named.retain(|one| matches!(one, Filter::Group(_)));
        if named.is_empty() {
            return Err(super::lacking(&[ScopeName::ListGroups]));
        }
        let mut own = Vec::new();
        for filter in &named {
            if let Filter::Group(name) = filter {
                own.extend(db::groups::find(&mut tx, name).await?);
            }
        }
        let total = i64::try_from(own.len()).unwrap_or(i64::MAX);
        (page.cut(&own).to_vec(), total)
    };
    let mut items = Vec::with_capacity(found.len());
    for group in &found {
        items.push(show(&hub, &mut tx, &caller, group).await?);
    }
    Ok(Json(page.answer(items, total)).into_response())
}

/// Makes several. Scope: `admin:groups`.
pub async fn create_groups(
    State(hub): State<Hub>,
    caller: Caller,
    body: Bytes,
) -> ApiResult<Response> {
    caller.require(ScopeName::AdminGroups, Target::Everything)?;
    let nothing = || bad("Must specify at least one group to create");
    let mut wish = match read(&body)? {
        Some(Value::Object(wish)) => wish,
        _ => return Err(nothing()),
    };
    let names = match wish.remove("groups") {
        Some(Value::Array(names)) if !names.is_empty() => names,
        Some(Value::Null | Value::Array(_)) | None => return Err(nothing()),
        Some(_) => return Err(bad("groups: a list of names is expected")),
    };
    let users = check(&wish)?;
    let mut tx = hub.db().write().await?;
    let mut items = Vec::with_capacity(names.len());
    for (index, name) in names.iter().enumerate() {
        let name = name
            .as_str()
            .ok_or_else(|| bad("groups: a list of names is expected"))?;
        items.push(create(&hub, &mut tx, &caller, name, index, &users).await?);
    }
    tx.commit().await?;
    crate::proxy::pass_on(&hub).await;
    Ok((StatusCode::CREATED, Json(items)).into_response())
}

/// Scope: `read:groups!group=…`, `read:groups:name!group=…` or `read:roles:groups!group=…`.
pub async fn get_group(
    State(hub): State<Hub>,
    caller: Caller,
    Path(name): Path<String>,
) -> ApiResult<Json<Value>> {
    let scopes: Vec<ScopeName> = GROUP_FIELDS.iter().map(|(scope, _)| *scope).collect();
    caller.require_any(&scopes, Target::Group(&name))?;
    let mut tx = hub.db().read().await?;
    let group = find(&mut tx, &name).await?;
    Ok(Json(show(&hub, &mut tx, &caller, &group).await?))
}

/// Scope: `admin:groups!group=…`.
pub async fn create_group(
    State(hub): State<Hub>,
    caller: Caller,
    Path(name): Path<String>,
    body: Bytes,
) -> ApiResult<Response> {
    caller.require(ScopeName::AdminGroups, Target::Group(&name))?;
    let users = match read(&body)? {
        None | Some(Value::Null) => Vec::new(),
        Some(wish) => check(object(&wish)?)?,
    };
    let model = make(&hub, &caller, &name, &users).await?;
    Ok((StatusCode::CREATED, Json(model)).into_response())
}

/// Makes one. Scope: `admin:groups!group=…`.
pub(crate) async fn make(
    hub: &Hub,
    caller: &Caller,
    name: &str,
    users: &[String],
) -> ApiResult<Value> {
    caller.require(ScopeName::AdminGroups, Target::Group(name))?;
    let mut tx = hub.db().write().await?;
    let model = create(hub, &mut tx, caller, name, 0, users).await?;
    tx.commit().await?;
    crate::proxy::pass_on(hub).await;
    Ok(model)
}

/// Scope: `delete:groups!group=…`.
pub async fn delete_group(
    State(hub): State<Hub>,
    caller: Caller,
    Path(name): Path<String>,
) -> ApiResult<StatusCode> {
    caller.require(ScopeName::DeleteGroups, Target::Group(&name))?;
    let mut tx = hub.db().write().await?;
    let group = find(&mut tx, &name).await?;
    let members = db::groups::members(&mut tx, &name).await?;
    let members: Vec<UserName> = members.into_iter().collect();
    // Before it is gone: those who hold scopes over it are found by its members, too.
    let grants = &hub.settings().grants;
    groups::announce(&mut tx, grants, &name, &members, hub.now()).await?;
    db::groups::delete(&mut tx, &group.id).await?;
    let doer = Doer::of(&caller);
    let act = Act::new(&doer, What::GroupDeleted)
        .with("group", &name)
        .with("members", members.len());
    audit::note(&mut tx, act, hub.now()).await?;
    tx.commit().await?;
    crate::proxy::pass_on(&hub).await;
    tracing::info!(by = %caller.who, group = name, members = members.len(), "group deleted");
    Ok(StatusCode::NO_CONTENT)
}

/// Scope: `groups!group=…`.
pub async fn add_users(
    State(hub): State<Hub>,
    caller: Caller,
    Path(name): Path<String>,
    body: Bytes,
) -> ApiResult<Json<Value>> {
    change_users(&hub, &caller, &name, &body, true).await
}

/// Scope: `groups!group=…`.
pub async fn remove_users(
    State(hub): State<Hub>,
    caller: Caller,
    Path(name): Path<String>,
    body: Bytes,
) -> ApiResult<Json<Value>> {
    change_users(&hub, &caller, &name, &body, false).await
}

async fn change_users(
    hub: &Hub,
    caller: &Caller,
    name: &str,
    body: &[u8],
    add: bool,
) -> ApiResult<Json<Value>> {
    caller.require(ScopeName::Groups, Target::Group(name))?;
    let mut tx = hub.db().read().await?;
    find(&mut tx, name).await?;
    drop(tx);
    let wish = read(body)?.unwrap_or(Value::Null);
    let wish = object(&wish)?;
    let names = check(wish)?;
    if !wish.contains_key("users") {
        return Err(bad(match add {
            true => "Must specify users to add",
            false => "Must specify users to delete",
        }));
    }
    Ok(Json(move_people(hub, caller, name, &names, add).await?))
}

/// Puts people into a group or takes them out. Scope: `groups!group=…`.
pub(crate) async fn move_people(
    hub: &Hub,
    caller: &Caller,
    name: &str,
    names: &[String],
    add: bool,
) -> ApiResult<Value> {
    caller.require(ScopeName::Groups, Target::Group(name))?;
    let mut tx = hub.db().write().await?;
    let group = find(&mut tx, name).await?;
    let users = people(&mut tx, names).await?;
    if add {
        join(hub, &mut tx, caller, name, &users).await?;
    } else {
        let mut gone = Vec::new();
        for user in &users {
            if db::groups::remove_member(&mut tx, name, &user.id).await? {
                note_member(
                    &mut tx,
                    caller,
                    What::MemberRemoved,
                    (name, user),
                    hub.now(),
                )
                .await?;
                gone.push(user.name.clone());
            }
        }
        let grants = &hub.settings().grants;
        groups::announce(&mut tx, grants, name, &gone, hub.now()).await?;
        tracing::info!(by = %caller.who, group = name, users = ?gone, "people taken out of a group");
    }
    let model = show(hub, &mut tx, caller, &group).await?;
    tx.commit().await?;
    crate::proxy::pass_on(hub).await;
    Ok(model)
}

/// Scope: `groups!group=…`.
pub async fn set_properties(
    State(hub): State<Hub>,
    caller: Caller,
    Path(name): Path<String>,
    body: Bytes,
) -> ApiResult<Json<Value>> {
    caller.require(ScopeName::Groups, Target::Group(&name))?;
    let mut tx = hub.db().write().await?;
    find(&mut tx, &name).await?;
    let Some(Value::Object(properties)) = read(&body)? else {
        return Err(bad("Must specify properties"));
    };
    let text = Value::Object(properties).to_string();
    db::groups::set_properties(&mut tx, &name, &text).await?;
    let group = find(&mut tx, &name).await?;
    let model = show(&hub, &mut tx, &caller, &group).await?;
    tx.commit().await?;
    tracing::info!(by = %caller.who, group = name, "properties of a group changed");
    Ok(Json(model))
}

async fn create(
    hub: &Hub,
    tx: &mut Tx,
    caller: &Caller,
    name: &str,
    index: usize,
    users: &[String],
) -> ApiResult<Value> {
    if !is_free_name(name) {
        return Err(ApiError::bad_request(say!("group.bad_name")));
    }
    // Lists are in this order.
    let later = i64::try_from(index).unwrap_or_default();
    if !db::groups::ensure(tx, name, hub.now().plus(later)).await? {
        return Err(ApiError::conflict(say!("group.exists", name = name)));
    }
    let users = people(tx, users).await?;
    let doer = Doer::of(caller);
    let act = Act::new(&doer, What::GroupMade).with("group", name);
    audit::note(tx, act, hub.now()).await?;
    tracing::info!(by = %caller.who, group = name, "group created");
    join(hub, tx, caller, name, &users).await?;
    let group = find(tx, name).await?;
    show(hub, tx, caller, &group).await
}

async fn note_member(
    tx: &mut Tx,
    caller: &Caller,
    what: What,
    (group, user): (&str, &User),
    now: Millis,
) -> sqlx::Result<()> {
    let doer = Doer::of(caller);
    let act = Act::new(&doer, what).about(user).with("group", group);
    audit::note(tx, act, now).await
}

async fn join(
    hub: &Hub,
    tx: &mut Tx,
    caller: &Caller,
    group: &str,
    users: &[User],
) -> ApiResult<()> {
    if is_platforms(group) {
        return Err(ApiError::bad_request(say!("group.is_platforms")));
    }
    let there = db::groups::members(tx, group).await?;
    let mut added = Vec::new();
    for user in users.iter().filter(|user| !there.contains(&user.name)) {
        giving::may_add(hub, tx, caller, group, user).await?;
        if db::groups::add_member(tx, group, &user.id).await? {
            note_member(tx, caller, What::MemberAdded, (group, user), hub.now()).await?;
            added.push(user.name.clone());
        }
    }
    let grants = &hub.settings().grants;
    groups::announce(tx, grants, group, &added, hub.now()).await?;
    tracing::info!(by = %caller.who, group, users = ?added, "people put into a group");
    Ok(())
}

async fn find(tx: &mut Tx, name: &str) -> ApiResult<Group> {
    let group = db::groups::find(tx, name).await?;
    group.ok_or_else(ApiError::not_found)
}

async fn show(hub: &Hub, tx: &mut Tx, caller: &Caller, group: &Group) -> ApiResult<Value> {
    let members = db::groups::members(tx, &group.name).await?;
    Ok(model::group(
        group,
        &members,
        &hub.settings().grants,
        caller,
    ))
}

async fn people(tx: &mut Tx, names: &[String]) -> ApiResult<Vec<User>> {
    let mut users = Vec::with_capacity(names.len());
    for name in names {
        let found = match UserName::parse(name) {
            Ok(name) => db::users::find(tx, &name).await?,
            Err(_) => None,
        };
        users.push(found.ok_or_else(|| {
            let name: String = name.chars().take(60).collect();
            ApiError::bad_request(say!("group.no_such_user", name = name))
        })?);
    }
    Ok(users)
}

fn bad(message: &str) -> ApiError {
    ApiError::bad_request(Saying::quote(message))
}

/// A body as JSON; nothing when there is none.
fn read(body: &[u8]) -> ApiResult<Option<Value>> {
    if body.is_empty() {
        return Ok(None);
    }
    serde_json::from_slice(body)
        .map(Some)
        .map_err(|error| bad(&format!("The body is not JSON: {error}")))
}

fn object(wish: &Value) -> ApiResult<&Map<String, Value>> {
    wish.as_object()
        .ok_or_else(|| bad("The body is no JSON object"))
}

/// The users that a body names, when all of it is as JupyterHub takes it.
fn check(wish: &Map<String, Value>) -> ApiResult<Vec<String>> {
    for (key, value) in wish {
        let good = match key.as_str() {
            "name" => value.is_string(),
            "users" | "roles" => value.is_array(),
            _ => {
                let key: String = key.chars().take(60).collect();
                return Err(bad(&format!("{key:?} is no key of a group")));
            }
        };
        if !good {
            return Err(bad(&format!("{key}: this is not of the right kind")));
        }
    }
    let users = wish.get("users").and_then(Value::as_array);
    let names = users.into_iter().flatten().map(|name| {
        name.as_str()
            .map(str::to_owned)
            .ok_or_else(|| bad("users: a list of names is expected"))
    });
    names.collect()
}
