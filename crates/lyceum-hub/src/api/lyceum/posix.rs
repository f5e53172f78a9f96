//! The numbers by which somebody's files are hers, for programs. To read them is for whoever may change her
//! account; to say others, for those who may do all: another number opens other files.

use axum::Json;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::Method;
use lyceum_model::posix::Posix;
use lyceum_model::say;
use lyceum_model::scope::{ScopeName, Target};
use lyceum_web::routes::Routes;
use lyceum_web::{ApiError, ApiResult, Caller};
use serde_json::{Value, json};

use crate::api::body::{self, Fields};
use crate::api::find_person;
use crate::audit::Doer;
use crate::db::users::User;
use crate::posix::{self, NotHers, Wish};
use crate::{Hub, db, giving};

pub(crate) const POSIX: &str = "/hub/api/lyceum/users/{user}/posix";
const SCOPE: ScopeName = ScopeName::AdminUsers;
const FIELDS: &[&str] = &["uid", "gid", "group", "groups"];

pub(super) fn routes() -> Routes<Hub> {
    Routes::default()
        .scoped(Method::GET, POSIX, show)
        .scoped(Method::PATCH, POSIX, change)
}

async fn person(hub: &Hub, caller: &Caller, name: &str) -> ApiResult<User> {
    let mut tx = hub.db().read().await?;
    let user = find_person(&mut tx, caller, &[SCOPE], name).await?;
    caller.require(SCOPE, Target::User(&user.name))?;
    Ok(user)
}

fn model(posix: Option<&Posix>) -> Value {
    json!({
        "uid": posix.map(|posix| posix.uid),
        "gid": posix.and_then(|posix| posix.gid),
        "group": posix.and_then(|posix| posix.group.as_deref()),
        "groups": posix.map_or(&[][..], |posix| &posix.gids),
    })
}

async fn show(
    State(hub): State<Hub>,
    caller: Caller,
    Path(name): Path<String>,
) -> ApiResult<Json<Value>> {
    let user = person(&hub, &caller, &name).await?;
    let mut tx = hub.db().read().await?;
    let known = db::posix::of(&mut tx, &user.id).await?;
    Ok(Json(model(known.as_ref().map(|known| &known.posix))))
}

async fn change(
    State(hub): State<Hub>,
    caller: Caller,
    Path(name): Path<String>,
    bytes: Bytes,
) -> ApiResult<Json<Value>> {
    let user = person(&hub, &caller, &name).await?;
    if !giving::holds_all(&caller) {
        return Err(ApiError::forbidden(say!("person.admins_only")));
    }
    let wish = wish(&body::object(&bytes)?)?;
    let mut tx = hub.db().write().await?;
    db::servers::lock_owner(&mut tx, &user.id).await?;
    let now = db::users::get(&mut tx, &user.id).await?;
    if now.is_none_or(|now| now.name != user.name) {
        tx.rollback().await?;
        return Err(ApiError::not_found());
    }
    let doer = Doer::of(&caller);
    let rules = &hub.settings().posix;
    let set = posix::set(&mut tx, &user, &wish, (&doer, None), rules, hub.now()).await;
    let set = match set {
        Ok(set) => set,
        Err(NotHers::Database(error)) => return Err(error.into()),
        Err(why) => {
            tx.rollback().await?;
            return Err(ApiError::bad_request(why.saying()));
        }
    };
    tx.commit().await?;
    tracing::info!(by = %caller.who, user = %user.name, "numbers for files said");
    Ok(Json(model(Some(&set))))
}

fn wish(fields: &Fields) -> ApiResult<Wish> {
    body::known(fields, FIELDS)?;
    let read = |value: &Value| value.as_u64().and_then(|number| u32::try_from(number).ok());
    let number = |key: &str| match fields.get(key) {
        None | Some(Value::Null) => Ok(None),
        Some(value) => read(value)
            .map(Some)
            .ok_or_else(|| body::wrong(key, "a number, or null")),
    };
    let gids = match fields.get("groups") {
        None | Some(Value::Null) => None,
        Some(Value::Array(all)) => {
            let all: Option<Vec<u32>> = all.iter().map(read).collect();
            Some(all.ok_or_else(|| body::wrong("groups", "a list of numbers"))?)
        }
        Some(_) => return Err(body::wrong("groups", "a list of numbers, or null")),
    };
    let group = match fields.get("group") {
        None | Some(Value::Null) => None,
        Some(Value::String(name)) => Some(name.clone()),
        Some(_) => return Err(body::wrong("group", "a string, or null")),
    };
    Ok(Wish {
        uid: number("uid")?,
        gid: number("gid")?,
        group,
        gids,
    })
}
