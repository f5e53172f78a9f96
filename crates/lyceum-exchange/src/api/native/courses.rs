//! Courses, and where their assignments stand.

use std::collections::BTreeSet;

use axum::Json;
use axum::extract::{Path, State};
use lyceum_courses::Bytes;
use lyceum_store::Tx;
use lyceum_web::ApiResult;
use serde_json::{Value, json};

use super::{Asker, model};
use crate::api::visitor::Entered;
use crate::course::{Course, names_for};
use crate::db::assignments::Released;
use crate::names::Name;
use crate::{Exchange, db};

/// Those that the caller belongs to; all for administrators.
pub(super) async fn list_courses(
    State(exchange): State<Exchange>,
    asker: Asker,
) -> ApiResult<Json<Value>> {
    let mut tx = exchange.db().read().await?;
    let person = &asker.0.0;
    let mut courses = Vec::new();
    for name in names_for(&exchange, &mut tx, person).await? {
        let Some(name) = Name::parse(&name) else {
            continue;
        };
        if let Some(course) = Course::find(&exchange, &mut tx, &name).await? {
            let standing = course.standing(&mut tx, person).await?;
            courses.push(model::course(&course, standing));
        }
    }
    Ok(Json(json!({ "courses": courses })))
}

pub(super) async fn get_course(
    State(exchange): State<Exchange>,
    asker: Asker,
    Path(course): Path<String>,
) -> ApiResult<Json<Value>> {
    let mut tx = exchange.db().read().await?;
    let entered = asker.enter(&exchange, &mut tx, &course).await?;
    let released = match entered.course.known_id() {
        Some(id) => db::assignments::released(&mut tx, id).await?,
        None => Vec::new(),
    };
    let mut told = model::course(&entered.course, entered.standing);
    told["assignments"] = assignments(&asker, &entered, &released).into();
    told["stored"] = stored(&exchange, &mut tx, &asker, &entered).await?;
    Ok(Json(told))
}

/// How much was handed in, and how much may be: by the caller, and for those who grade by all.
async fn stored(
    exchange: &Exchange,
    tx: &mut Tx,
    asker: &Asker,
    entered: &Entered,
) -> sqlx::Result<Value> {
    let quota = exchange.quota();
    let (mut own, mut all) = (0, 0);
    if let Some(id) = entered.course.known_id() {
        own = db::submissions::bytes_of(tx, id, asker.0.name().as_str()).await?;
        all = db::courses::bytes(tx, id).await?;
    }
    let most = |most: Option<Bytes>| most.map(|most| most.0);
    let mut stored = json!({ "own": { "bytes": own, "most": most(quota.person) } });
    if entered.standing.grades() {
        stored["course"] = json!({ "bytes": all, "most": most(quota.course) });
    }
    Ok(stored)
}

/// Those that can be had; for those who teach also those that can't, or that have only rules.
fn assignments(asker: &Asker, entered: &Entered, released: &[Released]) -> Vec<Value> {
    let grades = entered.standing.grades();
    let seen = released
        .iter()
        .filter(|row| grades || (row.withdrawn_at.is_none() && entered.sees(&row.name)));
    let mut told: Vec<Value> = seen
        .map(|row| assignment(asker, entered, &row.name, Some(row)))
        .collect();
    if grades {
        let known: BTreeSet<&str> = released.iter().map(|row| row.name.as_str()).collect();
        let file = entered.course.file.iter();
        let names = file.flat_map(|file| file.assignments.keys());
        let others = names.filter(|name| !known.contains(name.as_str()));
        told.extend(others.map(|name| assignment(asker, entered, name, None)));
    }
    told
}

/// As it is for the caller.
pub(super) fn assignment(
    asker: &Asker,
    entered: &Entered,
    name: &str,
    released: Option<&Released>,
) -> Value {
    let person = &asker.0.0;
    let terms = entered.course.terms(name, &person.name, &person.groups);
    model::assignment(entered, name, released, terms)
}
