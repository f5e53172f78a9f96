//! Services: the configuration names them, and here they are told.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::Method;
use lyceum_model::scope::{Filter, ScopeName, Target};
use lyceum_web::routes::Routes;
use lyceum_web::{ApiError, ApiResult, Caller};
use serde_json::{Map, Value};

use super::model::{self, SERVICE_FIELDS};
use crate::Hub;

pub fn routes() -> Routes<Hub> {
    Routes::default()
        .scoped(Method::GET, "/hub/api/services", list_services)
        .scoped(Method::GET, "/hub/api/services/{service}", get_service)
}

/// Scope: `list:services`.
pub async fn list_services(State(hub): State<Hub>, caller: Caller) -> ApiResult<Json<Value>> {
    let reach = caller.scopes.reach(ScopeName::ListServices);
    if reach.is_empty() {
        caller.require(ScopeName::ListServices, Target::Everything)?;
    }
    let grants = &hub.settings().grants;
    let listed = grants.services.iter().filter(|(name, _)| {
        reach.iter().any(|filter| match filter {
            Filter::All => true,
            Filter::Service(held) => held == *name,
            _ => false,
        })
    });
    let models: Map<String, Value> = listed
        .map(|(name, service)| (name.clone(), model::service(name, service, grants, &caller)))
        .collect();
    Ok(Json(models.into()))
}

/// Scope: `read:services!service=…`, `read:services:name!service=…` or `read:roles:services!service=…`.
pub async fn get_service(
    State(hub): State<Hub>,
    caller: Caller,
    Path(name): Path<String>,
) -> ApiResult<Json<Value>> {
    let scopes: Vec<ScopeName> = SERVICE_FIELDS.iter().map(|(scope, _)| *scope).collect();
    caller.require_any(&scopes, Target::Service(&name))?;
    let grants = &hub.settings().grants;
    let service = grants.services.get(&name).ok_or_else(ApiError::not_found)?;
    Ok(Json(model::service(&name, service, grants, &caller)))
}
