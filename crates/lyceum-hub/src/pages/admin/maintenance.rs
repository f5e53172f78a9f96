//! The switch of a maintenance on the overview.

use axum::response::Response;
use lyceum_model::say;
use lyceum_model::scope::ScopeName;
use lyceum_web::page::contexts::admin::MaintenanceSwitch;
use lyceum_web::{ApiError, ApiResult};

use super::{HOME, Tally, Visit};
use crate::maintenance;
use crate::pages::fields::Fields;

/// How long it may last by itself, in minutes.
const LASTS: [i64; 6] = [30, 60, 120, 240, 480, 1440];

/// What those see who may switch it: whoever could stop the hub as well.
pub(super) fn shown(visit: &Visit) -> Option<MaintenanceSwitch> {
    if !visit.sees_all(ScopeName::Shutdown) {
        return None;
    }
    let order = maintenance::in_force(&visit.hub);
    Some(MaintenanceSwitch {
        on: order.is_some(),
        by: order.as_ref().map(|order| order.by.clone()),
        since: order.as_ref().map(|order| order.since.0),
        until: order.as_ref().and_then(|order| Some(order.until?.0)),
        message: order.as_ref().and_then(|order| order.message.clone()),
        lasts: LASTS.to_vec(),
    })
}

pub(super) async fn switch(visit: Visit, form: Fields) -> ApiResult<Response> {
    let (hub, caller) = (&visit.hub, &visit.caller);
    crate::api::require_everywhere(caller, ScopeName::Shutdown)?;
    let done = match form.get("do") {
        "begin" => {
            let minutes: Option<i64> = match form.get("lasts") {
                "" => None,
                lasts => {
                    let known = lasts.parse().ok().filter(|one| LASTS.contains(one));
                    Some(known.ok_or_else(|| ApiError::bad_request(say!("admin.no_such_action")))?)
                }
            };
            let until = minutes.map(|minutes| hub.now().plus(minutes * 60_000));
            maintenance::begin(hub, caller, form.get("message"), until).await?;
            "maintenance_begun"
        }
        "end" => {
            maintenance::end(hub, caller).await?;
            "maintenance_ended"
        }
        _ => return Err(ApiError::bad_request(say!("admin.no_such_action"))),
    };
    Ok(visit.back(&form, HOME, done, &Tally::one()))
}
