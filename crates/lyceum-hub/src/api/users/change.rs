//! People are made, renamed, made administrators, deleted.
//!
//! Invariant: nobody becomes an administrator by somebody who is none, or who holds less than
//! administrators do: not by the role, and not by a name that the configuration gives it to.

use std::time::Duration;

use axum::Json;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use lyceum_model::name::{NameError, UserName};
use lyceum_model::saying::Saying;
use lyceum_model::scope::{ScopeName, Target};
use lyceum_web::{ApiError, ApiResult, Caller};
use serde_json::Value;

use super::super::body::{self, Fields};
use super::super::model::Person;
use super::super::{find_person, require_everywhere};
use crate::db::users::User;
use crate::servers::State as ServerState;
use crate::users::{self, NotNow};
use crate::{Hub, db, giving, launching};

const FIELDS: &[&str] = &["name", "admin", "groups", "roles", "auth_state"];
/// How long a deletion waits for servers to end.
const WAIT: Duration = Duration::from_secs(10);
/// People made in one transaction, so that others get their turn.
const AT_ONCE: usize = 500;

/// Makes a person. Scope: `admin:users!user=…`.
pub async fn create_user(
    State(hub): State<Hub>,
    caller: Caller,
    Path(name): Path<String>,
    body: Bytes,
) -> ApiResult<Response> {
    let name = match new_name(&name) {
        Ok(name) => name,
        Err(error) => {
            caller.require(ScopeName::AdminUsers, Target::Everything)?;
            return Err(ApiError::bad_request(error.saying()));
        }
    };
    caller.require(ScopeName::AdminUsers, Target::User(&name))?;
    let fields = body::fields(&body)?;
    let mut tx = hub.db().read().await?;
    if db::users::find(&mut tx, &name).await?.is_some() {
        return Err(exists(&name));
    }
    drop(tx);
    let admin = checked(&fields)?.admin == Some(true);
    if admin {
        make_sure_of_admin(&caller)?;
    }
    giving::may_name(&hub, &caller, &name)?;
    let mut tx = hub.db().write().await?;
    let user = make(&hub, &mut tx, &caller, &name, admin)
        .await?
        .ok_or_else(|| exists(&name))?;
    tx.commit().await?;
    Ok((StatusCode::CREATED, Json(new_model(&hub, &caller, &user))).into_response())
}

/// Makes many people; those who are there already are left alone. Scope: `admin:users`.
pub async fn create_users(
    State(hub): State<Hub>,
    caller: Caller,
    body: Bytes,
) -> ApiResult<Response> {
    require_everywhere(&caller, ScopeName::AdminUsers)?;
    let mut fields = body::fields(&body)?;
    let names = body::texts(&fields, "usernames")?.unwrap_or_default();
    fields.remove("usernames");
    if names.is_empty() {
        return Err(ApiError::bad_request(Saying::quote(
            "usernames: give at least one",
        )));
    }
    let admin = checked(&fields)?.admin == Some(true);
    let mut wanted = Vec::new();
    for text in &names {
        let name = new_name(text).map_err(|error| {
            let text: String = text.chars().take(60).collect();
            ApiError::bad_request(Saying::quote(format!("usernames: {text:?}: {error}")))
        })?;
        if admin {
            make_sure_of_admin(&caller)?;
        }
        giving::may_name(&hub, &caller, &name)?;
        wanted.push(name);
    }
    let mut models = Vec::new();
    for names in wanted.chunks(AT_ONCE) {
        let mut tx = hub.db().write().await?;
        for name in names {
            if let Some(user) = make(&hub, &mut tx, &caller, name, admin).await? {
                models.push(new_model(&hub, &caller, &user));
            }
        }
        tx.commit().await?;
    }
    if models.is_empty() {
        return Err(ApiError::conflict(Saying::quote(
            "All of these users are there already",
        )));
    }
    Ok((StatusCode::CREATED, Json(Value::Array(models))).into_response())
}

/// Another name, or another role. Scope: `admin:users!user=…`.
pub async fn change_user(
    State(hub): State<Hub>,
    caller: Caller,
    Path(name): Path<String>,
    body: Bytes,
) -> ApiResult<Json<Value>> {
    const SCOPE: ScopeName = ScopeName::AdminUsers;
    let mut tx = hub.db().read().await?;
    let user = find_person(&mut tx, &caller, &[SCOPE], &name).await?;
    caller.require(SCOPE, Target::User(&user.name))?;
    drop(tx);
    let wish = checked(&body::object(&body)?)?;
    if wish.unchangeable {
        return Err(ApiError::bad_request(Saying::quote(
            "groups, roles and auth_state are not changed here",
        )));
    }
    let to = match wish.name {
        None => None,
        Some(text) => {
            let name = new_name(&text).map_err(|error| ApiError::bad_request(error.saying()))?;
            (name != user.name).then_some(name)
        }
    };
    if wish.admin == Some(true) {
        make_sure_of_admin(&caller)?;
    }
    if let Some(to) = &to {
        // A name is more than a word: courses, lists and accounts of the system go by it. Who may
        // change the people of a group only can't give out any name there is.
        caller.require(SCOPE, Target::User(to))?;
    }
    let mut tx = hub.db().write().await?;
    // She may have been renamed meanwhile, out of the caller's reach.
    let mut user = db::users::get(&mut tx, &user.id)
        .await?
        .filter(|now| now.name == user.name)
        .ok_or_else(ApiError::not_found)?;
    if user.admin {
        make_sure_of_admin(&caller)?;
    }
    giving::still_reaches(&hub, &mut tx, &caller, SCOPE, &user).await?;
    if let Some(to) = &to {
        giving::may_rename(&hub, &mut tx, &caller, &user, to).await?;
        users::rename(&mut tx, &user, to, hub.now()).await?;
        tracing::info!(by = %caller.who, from = %user.name, %to, "person renamed");
        user.name = to.clone();
    }
    if let Some(admin) = wish.admin
        && admin != user.admin
    {
        match admin {
            true => users::grant_admin(&mut tx, &user, hub.now()).await?,
            false => users::revoke_admin(&mut tx, &user, hub.now()).await?,
        }
        tracing::info!(by = %caller.who, user = %user.name, admin, "role of administrator changed");
        user.admin = admin;
    }
    let model = super::read(&hub, &mut tx, &caller, false, &user).await?;
    tx.commit().await?;
    crate::proxy::pass_on(&hub).await;
    Ok(Json(model))
}

/// Deletes a person, her servers stopped first. Scope: `delete:users!user=…`.
pub async fn delete_user(
    State(hub): State<Hub>,
    caller: Caller,
    Path(name): Path<String>,
) -> ApiResult<StatusCode> {
    const SCOPE: ScopeName = ScopeName::DeleteUsers;
    let mut tx = hub.db().read().await?;
    let user = find_person(&mut tx, &caller, &[SCOPE], &name).await?;
    caller.require(SCOPE, Target::User(&user.name))?;
    if caller.is(&user.name) {
        return Err(ApiError::bad_request(Saying::quote(
            "Nobody can delete herself",
        )));
    }
    if user.admin {
        make_sure_of_admin(&caller)?;
    }
    let servers = db::servers::of_user(&mut tx, &user.id).await?;
    drop(tx);
    if servers
        .iter()
        .any(|server| server.state == ServerState::Stopping)
    {
        return Err(NotNow::Busy(user.name).into());
    }
    let running: Vec<_> = servers
        .iter()
        .filter(|server| server.state.is_active())
        .collect();
    for server in &running {
        launching::stop(&hub, server).await?;
    }
    let deadline = tokio::time::Instant::now() + WAIT;
    for server in running {
        let left = deadline.saturating_duration_since(tokio::time::Instant::now());
        if !launching::has_ended(&hub, server, left).await? {
            return Err(NotNow::Busy(user.name).into());
        }
    }
    let mut tx = hub.db().write().await?;
    // Meanwhile she may have become an administrator, or have left the caller's reach.
    let user = db::users::get(&mut tx, &user.id)
        .await?
        .filter(|now| now.name == user.name)
        .ok_or_else(ApiError::not_found)?;
    if user.admin {
        make_sure_of_admin(&caller)?;
    }
    giving::still_reaches(&hub, &mut tx, &caller, SCOPE, &user).await?;
    let keys = users::remove(&mut tx, &user, hub.now()).await?;
    tx.commit().await?;
    tracing::info!(by = %caller.who, user = %user.name, "person deleted");
    crate::proxy::pass_on(&hub).await;
    launching::forget(&hub, &keys).await;
    Ok(StatusCode::NO_CONTENT)
}

/// The model of somebody who was just made.
fn new_model(hub: &Hub, caller: &Caller, user: &User) -> Value {
    let person = Person {
        user,
        groups: &[],
        servers: &[],
    };
    super::show(hub, caller, false, &person).unwrap_or_else(|| Value::Object(Fields::new()))
}

/// Makes the row; none when there is one of that name.
async fn make(
    hub: &Hub,
    tx: &mut lyceum_store::Tx,
    caller: &Caller,
    name: &UserName,
    admin: bool,
) -> ApiResult<Option<User>> {
    let Some(mut user) = users::create(tx, name, hub.now()).await? else {
        return Ok(None);
    };
    if admin {
        users::grant_admin(tx, &user, hub.now()).await?;
        user.admin = true;
    }
    tracing::info!(by = %caller.who, user = %name, admin, "person added");
    Ok(Some(user))
}

/// Whether the caller may do what makes somebody an administrator, or what concerns one.
fn make_sure_of_admin(caller: &Caller) -> ApiResult<()> {
    if giving::holds_all(caller) {
        return Ok(());
    }
    Err(ApiError::forbidden(Saying::quote(
        "Only administrators, with all that they may do, can make, change or delete administrators",
    )))
}

/// The fields of a person's model, of the right types.
#[derive(Debug, Default)]
struct Wish {
    name: Option<String>,
    admin: Option<bool>,
    /// Others were given, that only JupyterHub's own code changes.
    unchangeable: bool,
}

fn checked(fields: &Fields) -> ApiResult<Wish> {
    body::known(fields, FIELDS)?;
    let name = match fields.get("name") {
        None => None,
        Some(Value::String(name)) => Some(name.clone()),
        Some(_) => return Err(body::wrong("name", "a string")),
    };
    for key in ["groups", "roles"] {
        if fields.get(key).is_some_and(|value| !value.is_array()) {
            return Err(body::wrong(key, "a list"));
        }
    }
    if fields
        .get("auth_state")
        .is_some_and(|value| !value.is_object())
    {
        return Err(body::wrong("auth_state", "an object"));
    }
    let unchangeable = ["groups", "roles", "auth_state"]
        .iter()
        .any(|key| fields.contains_key(*key));
    Ok(Wish {
        name,
        admin: body::flag(fields, "admin")?,
        unchangeable,
    })
}

/// Spaces around a name are a slip when somebody logs in; of a new one they are a part that it can't
/// have.
fn new_name(text: &str) -> Result<UserName, NameError> {
    match text.trim() == text {
        true => UserName::parse(text),
        false => Err(NameError::UserForm),
    }
}

fn exists(name: &UserName) -> ApiError {
    ApiError::conflict(Saying::quote(format!("The user {name} is there already")))
}

impl From<NotNow> for ApiError {
    fn from(error: NotNow) -> Self {
        match error {
            NotNow::Busy(user) => Self::bad_request(lyceum_model::say!(
                "person.has_servers",
                user = user.as_str()
            )),
            NotNow::Taken(name) => Self::bad_request(lyceum_model::say!(
                "person.name_taken",
                name = name.as_str()
            )),
            NotNow::Gone => Self::not_found(),
            NotNow::Database(error) => error.into(),
        }
    }
}
