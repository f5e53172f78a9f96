//! The switch of a maintenance on the overview.

use axum::response::Response;
use lyceum_model::say;
use lyceum_model::scope::ScopeName;
use lyceum_web::page::contexts::admin::MaintenanceSwitch;
use lyceum_web::{ApiError, ApiResult};

use super::{HOME, Tally, Visit};
use crate::maintenance::{self, MESSAGE_MAX, Switched};
use crate::pages::fields::Fields;

/// How long it may last by itself, in minutes.
const LASTS: [i64; 6] = [30, 60, 120, 240, 480, 1440];

/// What those see who may switch it: whoever could stop the hub as well.
pub(super) fn shown(visit: &Visit) -> Option<MaintenanceSwitch> {
    if !visit.sees_all(ScopeName::Shutdown) {
        return None;
    }
    let now = visit.hub.now();
    let order = visit.hub.switched().load_full();
    let order = order.filter(|order| !order.is_over(now));
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
    let now = hub.now();
    let mut tx = hub.db().write().await?;
    let done = match form.get("do") {
        "begin" => {
            let message = Switched::message(form.get("message"));
            let length = message.as_ref().map_or(0, |text| text.chars().count());
            if length > MESSAGE_MAX {
                return Err(ApiError::bad_request(say!(
                    "maintenance.too_long",
                    most = MESSAGE_MAX
                )));
            }
            let minutes: Option<i64> = match form.get("lasts") {
                "" => None,
                lasts => {
                    let known = lasts.parse().ok().filter(|one| LASTS.contains(one));
                    Some(known.ok_or_else(|| ApiError::bad_request(say!("admin.no_such_action")))?)
                }
            };
            let order = Switched {
                since: now,
                until: minutes.map(|minutes| now.plus(minutes * 60_000)),
                message,
                by: caller.who.to_string(),
            };
            maintenance::switch_on(&mut tx, &order).await?;
            tracing::info!(by = %caller.who, minutes, "maintenance switched on");
            "maintenance_begun"
        }
        "end" => {
            maintenance::switch_off(&mut tx, now).await?;
            tracing::info!(by = %caller.who, "maintenance switched off");
            "maintenance_ended"
        }
        _ => return Err(ApiError::bad_request(say!("admin.no_such_action"))),
    };
    tx.commit().await?;
    // The page that follows shows it.
    maintenance::look(hub).await?;
    Ok(visit.back(&form, HOME, done, &Tally::one()))
}
