//! A maintenance that is begun and ended while the hub runs, and the state of its configuration.

use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{Method, StatusCode};
use jiff::Timestamp;
use lyceum_model::clock::Millis;
use lyceum_model::saying::Saying;
use lyceum_model::scope::ScopeName;
use lyceum_web::routes::Routes;
use lyceum_web::{ApiError, ApiResult, Caller};
use serde_json::{Value, json};

use crate::api::body::{self, Fields};
use crate::api::require_everywhere;
use crate::launch::FaultyFile;
use crate::{Hub, maintenance};

pub(crate) const MAINTENANCE: &str = "/hub/api/lyceum/maintenance";
pub(crate) const CONFIGURATION: &str = "/hub/api/lyceum/configuration";

pub(super) fn routes() -> Routes<Hub> {
    Routes::default()
        .scoped(Method::GET, MAINTENANCE, tell)
        .scoped(Method::PUT, MAINTENANCE, begin)
        .scoped(Method::DELETE, MAINTENANCE, end)
        .scoped(Method::GET, CONFIGURATION, configuration)
}

/// What was switched on; one of the configuration is not told here. Scope: `read:hub`.
async fn tell(State(hub): State<Hub>, caller: Caller) -> ApiResult<Json<Value>> {
    require_everywhere(&caller, ScopeName::ReadHub)?;
    let order = maintenance::in_force(&hub);
    let order = order.as_deref();
    Ok(Json(json!({
        "on": order.is_some(),
        "since": order.map(|order| order.since.to_iso()),
        "until": order.and_then(|order| order.until).map(Millis::to_iso),
        "message": order.and_then(|order| order.message.clone()),
        "by": order.map(|order| order.by.clone()),
    })))
}

/// Scope: `shutdown`, as on the page: whoever may stop the hub may do less.
async fn begin(State(hub): State<Hub>, caller: Caller, body: Bytes) -> ApiResult<StatusCode> {
    require_everywhere(&caller, ScopeName::Shutdown)?;
    // A word that is not understood could be the end that was meant.
    let fields = match body.is_empty() {
        true => Fields::new(),
        false => body::object(&body)?,
    };
    let is_unknown = |field: &&String| !matches!(field.as_str(), "message" | "until");
    if let Some(unknown) = fields.keys().find(is_unknown) {
        let unknown: String = unknown.chars().take(60).collect();
        return Err(ApiError::bad_request(Saying::quote(format!(
            "{unknown:?} is not known; there are message and until"
        ))));
    }
    let message = match fields.get("message") {
        None | Some(Value::Null) => "",
        Some(Value::String(text)) => text,
        Some(_) => return Err(body::wrong("message", "a text, or null")),
    };
    let until = until(&fields, hub.now())?;
    maintenance::begin(&hub, &caller, message, until).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// A moment that is still to come.
fn until(fields: &Fields, now: Millis) -> ApiResult<Option<Millis>> {
    let Some(given) = fields.get("until").filter(|given| !given.is_null()) else {
        return Ok(None);
    };
    // Without an offset nobody knows whose time is meant: elsewhere it would be the site's.
    let at = given
        .as_str()
        .and_then(|text| text.parse::<Timestamp>().ok());
    let at = at.map(|at| Millis(at.as_millisecond())).ok_or_else(|| {
        body::wrong(
            "until",
            "a time with its offset such as \"2026-11-30T18:00:00+01:00\", or null",
        )
    })?;
    match at.0 > now.0 {
        true => Ok(Some(at)),
        false => Err(ApiError::bad_request(Saying::quote(
            "until: that time has passed",
        ))),
    }
}

/// Scope: `shutdown`.
async fn end(State(hub): State<Hub>, caller: Caller) -> ApiResult<StatusCode> {
    require_everywhere(&caller, ScopeName::Shutdown)?;
    maintenance::end(&hub, &caller).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Scope: `read:hub`.
async fn configuration(State(hub): State<Hub>, caller: Caller) -> ApiResult<Json<Value>> {
    require_everywhere(&caller, ScopeName::ReadHub)?;
    let settings = hub.settings();
    let state = &settings.config_state;
    let problem = settings.config_problem(hub.now());
    let faulty: Vec<Value> = (hub.shelf().faulty_files().iter())
        .map(file_model)
        .collect();
    Ok(Json(json!({
        "generation": state.generation,
        "loaded": Millis(state.loaded_at).to_iso(),
        "source": state.source,
        "problem": problem.map(|(at, text)| json!({ "at": Millis(at).to_iso(), "text": text })),
        "course_files": faulty,
    })))
}

fn file_model(file: &FaultyFile) -> Value {
    let mistakes = file.mistakes.iter();
    let mistakes = mistakes.map(|one| json!({ "line": one.line, "text": one.words }));
    json!({
        "course": file.course,
        "file": file.file,
        "mistakes": mistakes.collect::<Vec<_>>(),
        "in_force": file.holds.as_str(),
        "written": file.holds.written().map(Millis::to_iso),
    })
}
