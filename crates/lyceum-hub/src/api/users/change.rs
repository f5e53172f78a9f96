//! People are made, renamed, made administrators, kept out, deleted: by the API, and by the pages of
//! administrators, which call the same operations.
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
use lyceum_model::say;
use lyceum_model::saying::Saying;
use lyceum_model::scope::{ScopeName, Target};
use lyceum_store::Tx;
use lyceum_web::{ApiError, ApiResult, Caller};
use serde_json::Value;

use super::super::body::{self, Fields};
use super::super::model::Person;
use super::super::{find_person, require_everywhere};
use crate::audit::{self, Act, Doer, What};
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
    let admin = checked(&fields)?.admin == Some(true);
    if admin {
        make_sure_of_admin(&caller)?;
    }
    giving::may_name(&hub, &mut tx, &caller, &name).await?;
    drop(tx);
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
        wanted.push(new_name(text).map_err(|error| {
            let text: String = text.chars().take(60).collect();
            ApiError::bad_request(Saying::quote(format!("usernames: {text:?}: {error}")))
        })?);
    }
    let made = make_all(&hub, &caller, &wanted, admin).await?;
    let models: Vec<Value> = made
        .iter()
        .map(|user| new_model(&hub, &caller, user))
        .collect();
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
    let mut tx = hub.db().write().await?;
    let user = alter(&hub, &mut tx, &caller, &user, to.as_ref(), wish.admin).await?;
    let model = super::read(&hub, &mut tx, &caller, false, &user).await?;
    tx.commit().await?;
    crate::proxy::pass_on(&hub).await;
    Ok(Json(model))
}

/// Gives somebody another name or another role, in a transaction of the caller's, who commits it and
/// passes it on. Scope: `admin:users!user=…`.
pub(crate) async fn alter(
    hub: &Hub,
    tx: &mut Tx,
    caller: &Caller,
    user: &User,
    to: Option<&UserName>,
    admin: Option<bool>,
) -> ApiResult<User> {
    if admin == Some(true) {
        make_sure_of_admin(caller)?;
    }
    if let Some(to) = to {
        // A name is more than a word: courses, lists and accounts of the system go by it. Who may
        // change the people of a group only can't give out any name there is.
        caller.require(ScopeName::AdminUsers, Target::User(to))?;
    }
    let doer = Doer::of(caller);
    let mut user = still_changeable(hub, tx, caller, user).await?;
    if let Some(to) = to {
        giving::may_rename(hub, tx, caller, &user, to).await?;
        users::rename(tx, &user, to, hub.now()).await?;
        let act = Act::new(&doer, What::PersonRenamed)
            .about(&user)
            .with("to", to);
        audit::note(tx, act, hub.now()).await?;
        tracing::info!(by = %caller.who, from = %user.name, %to, "person renamed");
        user.name = to.clone();
    }
    if let Some(admin) = admin
        && admin != user.admin
    {
        match admin {
            true => users::grant_admin(tx, &user, hub.now()).await?,
            false => users::revoke_admin(tx, &user, hub.now()).await?,
        }
        let what = match admin {
            true => What::AdminGiven,
            false => What::AdminTaken,
        };
        audit::note(tx, Act::new(&doer, what).about(&user), hub.now()).await?;
        tracing::info!(by = %caller.who, user = %user.name, admin, "role of administrator changed");
        user.admin = admin;
    }
    Ok(user)
}

/// Keeps somebody out, or lets her in again. Scope: `admin:users!user=…`.
pub(crate) async fn block(hub: &Hub, caller: &Caller, user: &User, blocked: bool) -> ApiResult<()> {
    caller.require(ScopeName::AdminUsers, Target::User(&user.name))?;
    if blocked && caller.is(&user.name) {
        return Err(ApiError::bad_request(say!("person.not_herself")));
    }
    let mut tx = hub.db().write().await?;
    let user = still_changeable(hub, &mut tx, caller, user).await?;
    if user.blocked_at.is_some() == blocked {
        return Ok(());
    }
    users::set_blocked(&mut tx, &user, blocked, hub.now()).await?;
    let doer = Doer::of(caller);
    let (what, over) = match blocked {
        true => {
            let over = launching::end_starts(&mut tx, &user, &doer, hub.now()).await?;
            (What::PersonKeptOut, over)
        }
        false => (What::PersonLetIn, Vec::new()),
    };
    audit::note(&mut tx, Act::new(&doer, what).about(&user), hub.now()).await?;
    tx.commit().await?;
    launching::starts_ended(hub, &over);
    tracing::info!(by = %caller.who, user = %user.name, blocked, "person kept out or let in");
    crate::proxy::pass_on(hub).await;
    Ok(())
}

/// Who is to be changed, as she is at this moment: she may have been renamed meanwhile, out of the
/// caller's reach, or have become an administrator.
async fn still_changeable(hub: &Hub, tx: &mut Tx, caller: &Caller, user: &User) -> ApiResult<User> {
    // Two who dismiss each other do so one after the other, and the second may no longer.
    users::hold_administrators(tx, hub.now()).await?;
    let user = db::users::get(tx, &user.id)
        .await?
        .filter(|now| now.name == user.name)
        .ok_or_else(ApiError::not_found)?;
    if user.admin {
        make_sure_of_admin(caller)?;
    }
    giving::still_reaches(hub, tx, caller, ScopeName::AdminUsers, &user).await?;
    Ok(user)
}

/// Makes those who are not there yet, and tells whom. Scope: `admin:users`.
pub(crate) async fn make_all(
    hub: &Hub,
    caller: &Caller,
    names: &[UserName],
    admin: bool,
) -> ApiResult<Vec<User>> {
    require_everywhere(caller, ScopeName::AdminUsers)?;
    if admin {
        make_sure_of_admin(caller)?;
    }
    let mut tx = hub.db().read().await?;
    for name in names {
        giving::may_name(hub, &mut tx, caller, name).await?;
    }
    drop(tx);
    let mut made = Vec::new();
    for names in names.chunks(AT_ONCE) {
        let mut tx = hub.db().write().await?;
        for name in names {
            made.extend(make(hub, &mut tx, caller, name, admin).await?);
        }
        tx.commit().await?;
    }
    Ok(made)
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
        return Err(ApiError::bad_request(say!("person.not_delete_herself")));
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
        launching::stop_by(&hub, server, &caller).await?;
    }
    let deadline = tokio::time::Instant::now() + WAIT;
    for server in running {
        let left = deadline.saturating_duration_since(tokio::time::Instant::now());
        if !launching::has_ended(&hub, server, left).await? {
            return Err(NotNow::Busy(user.name).into());
        }
    }
    let mut tx = hub.db().write().await?;
    users::hold_administrators(&mut tx, hub.now()).await?;
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
    let doer = Doer::of(&caller);
    let act = Act::new(&doer, What::PersonDeleted).about(&user);
    audit::note(&mut tx, act, hub.now()).await?;
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
    tx: &mut Tx,
    caller: &Caller,
    name: &UserName,
    admin: bool,
) -> ApiResult<Option<User>> {
    let Some(mut user) = users::create(tx, name, hub.now()).await? else {
        return Ok(None);
    };
    let doer = Doer::of(caller);
    let act = Act::new(&doer, What::PersonMade).about(&user);
    audit::note(tx, act, hub.now()).await?;
    if admin {
        users::grant_admin(tx, &user, hub.now()).await?;
        let act = Act::new(&doer, What::AdminGiven).about(&user);
        audit::note(tx, act, hub.now()).await?;
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
    Err(ApiError::forbidden(say!("person.admins_only")))
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
pub(crate) fn new_name(text: &str) -> Result<UserName, NameError> {
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
            NotNow::Busy(user) => {
                Self::bad_request(say!("person.has_servers", user = user.as_str()))
            }
            NotNow::Taken(name) => {
                Self::bad_request(say!("person.name_taken", name = name.as_str()))
            }
            NotNow::Gone => Self::not_found(),
            NotNow::Database(error) => error.into(),
        }
    }
}
