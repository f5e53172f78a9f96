//! Exams with codes on paper, for programs: those who may do all make them, as on the page.

use axum::Json;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::{Method, StatusCode};
use jiff::Timestamp;
use lyceum_model::clock::Millis;
use lyceum_model::say;
use lyceum_model::saying::Saying;
use lyceum_model::scope::ScopeName;
use lyceum_web::routes::Routes;
use lyceum_web::{ApiError, ApiResult, Caller};
use serde_json::{Value, json};

use crate::api::body::{self, Fields};
use crate::api::require_everywhere;
use crate::audit::Doer;
use crate::db::sittings::Code;
use crate::sittings::{self, By, LIST_MAX, Sheet, Sitting, Which, Wish};
use crate::{Hub, db, giving};

pub(crate) const SITTINGS: &str = "/hub/api/lyceum/sittings";
pub(crate) const SITTING: &str = "/hub/api/lyceum/sittings/{sitting}";
pub(crate) const PLACE: &str = "/hub/api/lyceum/sittings/{sitting}/places/{place}";

const FIELDS: [&str; 7] = [
    "title",
    "course",
    "begins",
    "ends",
    "networks",
    "invigilators",
    "people",
];

pub(super) fn routes() -> Routes<Hub> {
    Routes::default()
        .scoped(Method::GET, SITTINGS, list)
        .scoped(Method::POST, SITTINGS, make)
        .scoped(Method::GET, SITTING, show)
        .scoped(Method::DELETE, SITTING, remove)
        .scoped(Method::POST, PLACE, renew)
        .scoped(Method::DELETE, PLACE, take_back)
}

/// Scope of all here: `admin:users`, and all else that administrators may: whoever has a code comes in by it.
fn require(caller: &Caller) -> ApiResult<()> {
    require_everywhere(caller, ScopeName::AdminUsers)?;
    match giving::holds_all(caller) {
        true => Ok(()),
        false => Err(ApiError::forbidden(say!("person.admins_only"))),
    }
}

async fn list(State(hub): State<Hub>, caller: Caller) -> ApiResult<Json<Value>> {
    require(&caller)?;
    let mut tx = hub.db().read().await?;
    let all = db::sittings::list(&mut tx, LIST_MAX).await?;
    let models: Vec<Value> = all.into_iter().map(|row| model(&row.into())).collect();
    Ok(Json(json!({ "sittings": models })))
}

fn model(sitting: &Sitting) -> Value {
    let networks: Vec<String> = sitting.networks.iter().map(ToString::to_string).collect();
    let invigilators = sitting.invigilators.iter().map(|one| one.name.as_str());
    let invigilators: Vec<&str> = invigilators.collect();
    json!({
        "id": sitting.id,
        "title": sitting.title,
        "course": sitting.course,
        "begins": sitting.begins.to_iso(),
        "ends": sitting.ends.to_iso(),
        "networks": networks,
        "invigilators": invigilators,
        "made_by": sitting.made_by,
    })
}

fn sheet(sheet: &Sheet) -> Value {
    json!({
        "place": sheet.place,
        "seat": sheet.seat,
        "user": sheet.who,
        "code": sheet.code.shown(),
    })
}

async fn make(
    State(hub): State<Hub>,
    caller: Caller,
    body: Bytes,
) -> ApiResult<(StatusCode, Json<Value>)> {
    require(&caller)?;
    let fields = body::object(&body)?;
    if let Some(unknown) = fields
        .keys()
        .find(|field| !FIELDS.contains(&field.as_str()))
    {
        let unknown: String = unknown.chars().take(60).collect();
        let known = FIELDS.join(", ");
        return Err(ApiError::bad_request(Saying::quote(format!(
            "{unknown:?} is not known; there are {known}"
        ))));
    }
    let text = |field: &str| match fields.get(field) {
        None | Some(Value::Null) => Ok(String::new()),
        Some(Value::String(text)) => Ok(text.clone()),
        Some(_) => Err(body::wrong(field, "a text")),
    };
    let texts = |field: &str| Ok::<_, ApiError>(body::texts(&fields, field)?.unwrap_or_default());
    let wish = Wish {
        title: text("title")?,
        course: Some(text("course")?),
        begins: moment(&fields, "begins")?,
        ends: moment(&fields, "ends")?,
        networks: texts("networks")?,
        invigilators: texts("invigilators")?,
        people: texts("people")?.join("\n"),
    };
    let wrong = |wrong: sittings::Wrong| {
        let words = format!("{}: {}", wrong.field, wrong.why);
        ApiError::bad_request(Saying::quote(words))
    };
    let checked = wish.check(hub.now()).map_err(wrong)?;
    let doer = Doer::of(&caller);
    let (sitting, sheets) = sittings::made_by(&hub, &checked, By::maker(&doer))
        .await?
        .map_err(wrong)?;
    let mut made = model(&sitting);
    made["codes"] = sheets.iter().map(sheet).collect();
    Ok((StatusCode::CREATED, Json(made)))
}

/// Without an offset nobody knows whose time is meant.
fn moment(fields: &Fields, field: &str) -> ApiResult<Millis> {
    let text = fields.get(field).and_then(Value::as_str);
    let at = text.and_then(|text| text.parse::<Timestamp>().ok());
    let at = at.map(|at| Millis(at.as_millisecond()));
    at.ok_or_else(|| {
        body::wrong(
            field,
            "a time with its offset such as \"2026-11-30T09:00:00+01:00\"",
        )
    })
}

async fn find(hub: &Hub, caller: &Caller, id: &str) -> ApiResult<Sitting> {
    require(caller)?;
    let mut tx = hub.db().read().await?;
    let sitting = db::sittings::find(&mut tx, id).await?;
    sitting.map(Sitting::from).ok_or_else(ApiError::not_found)
}

async fn show(
    State(hub): State<Hub>,
    caller: Caller,
    Path(id): Path<String>,
) -> ApiResult<Json<Value>> {
    let sitting = find(&hub, &caller, &id).await?;
    let mut tx = hub.db().read().await?;
    let rows = sittings::now_at(&mut tx, &sitting.id).await?;
    let mut told = model(&sitting);
    told["places"] = rows.iter().map(place).collect();
    Ok(Json(told))
}

fn place(row: &Code) -> Value {
    let iso = |at: Option<i64>| at.map(|at| Millis(at).to_iso());
    json!({
        "place": row.place,
        "seat": row.seat,
        "user": row.user_name,
        "used": iso(row.used_at),
        "address": row.used_address,
        "taken_back": iso(row.revoked_at),
    })
}

async fn remove(
    State(hub): State<Hub>,
    caller: Caller,
    Path(id): Path<String>,
) -> ApiResult<StatusCode> {
    let sitting = find(&hub, &caller, &id).await?;
    let doer = Doer::of(&caller);
    sittings::removed_by(&hub, &sitting, By::maker(&doer)).await?;
    Ok(StatusCode::NO_CONTENT)
}

fn number(place: &str) -> ApiResult<i64> {
    place.parse().map_err(|_| ApiError::not_found())
}

async fn renew(
    State(hub): State<Hub>,
    caller: Caller,
    Path((id, place)): Path<(String, String)>,
) -> ApiResult<(StatusCode, Json<Value>)> {
    let sitting = find(&hub, &caller, &id).await?;
    let which = Which::One(number(&place)?);
    let doer = Doer::of(&caller);
    let sheets = sittings::renewed_by(&hub, &sitting, which, By::maker(&doer)).await?;
    let made = sheets.first().map(sheet).ok_or_else(ApiError::not_found)?;
    Ok((StatusCode::CREATED, Json(made)))
}

async fn take_back(
    State(hub): State<Hub>,
    caller: Caller,
    Path((id, place)): Path<(String, String)>,
) -> ApiResult<StatusCode> {
    let sitting = find(&hub, &caller, &id).await?;
    let doer = Doer::of(&caller);
    match sittings::taken_back_by(&hub, &sitting, number(&place)?, By::maker(&doer)).await? {
        true => Ok(StatusCode::NO_CONTENT),
        false => Err(ApiError::not_found()),
    }
}
