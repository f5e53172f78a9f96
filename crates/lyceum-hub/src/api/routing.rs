//! The table of routes, as JupyterHub's clients know it. What the proxies really have follows from
//! the same rows ([`crate::proxy`]).

use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::StatusCode;
use lyceum_model::saying::Saying;
use lyceum_model::scope::ScopeName;
use lyceum_web::{ApiError, ApiResult, Caller};
use serde_json::{Map, Value, json};

use super::paging::{Answer, Page};
use super::{body, require_everywhere};
use crate::proxy::news::{self, Leads};
use crate::servers::prefix;
use crate::{Hub, Settings};

/// The routes by their paths, with the host before it where people have hosts of their own: the hub's,
/// one for each server that answers, and one for each service with an address. Scope: `proxy`.
pub async fn list_routes(
    State(hub): State<Hub>,
    caller: Caller,
    page: Page,
) -> ApiResult<Json<Answer<Map<String, Value>>>> {
    require_everywhere(&caller, ScopeName::Proxy)?;
    let settings = hub.settings();
    let mut tx = hub.db().read().await?;
    let led = news::led(&mut tx, &settings.origins).await?;
    drop(tx);
    let base = hub.base();
    let mut routes: Vec<(String, Value)> = led
        .iter()
        .map(|(route, leads)| {
            let (path, data) = match leads {
                Leads::ToServer(user, server) => (
                    prefix(&base, user, server),
                    json!({ "user": user, "server_name": server }),
                ),
                Leads::ToService(name) => (route.prefix.clone(), json!({ "service": name })),
            };
            let host = route.host.as_deref().unwrap_or_default();
            model(format!("{host}{path}"), &route.target.to_string(), data)
        })
        .collect();
    routes.push(own_route(&settings));
    routes.sort_by(|(one, _), (other, _)| one.cmp(other));
    let total = i64::try_from(routes.len()).unwrap_or(i64::MAX);
    let items: Map<String, Value> = page.cut(&routes).iter().cloned().collect();
    Ok(Json(page.answer(items, total)))
}

/// What leads nowhere else comes to the hub: below its path, or at any host.
fn own_route(settings: &Settings) -> (String, Value) {
    let base = settings.origins.base();
    let own = &settings.api_url;
    let own = own.trim_end_matches(&base.at("/hub/api"));
    let path = match settings.origins.are_apart() {
        true => "/".to_owned(),
        false => base.to_string(),
    };
    model(path, own, json!({ "hub": true }))
}

fn model(routespec: String, target: &str, data: Value) -> (String, Value) {
    let model = json!({ "routespec": routespec, "target": target, "data": data });
    (routespec, model)
}

/// Looks for news now and waits until the proxies have them. Scope: `proxy`.
pub async fn check_routes(State(hub): State<Hub>, caller: Caller) -> ApiResult<StatusCode> {
    require_everywhere(&caller, ScopeName::Proxy)?;
    crate::proxy::refresh(&hub).await?;
    Ok(StatusCode::OK)
}

/// Tells JupyterHub of another proxy. Here it is the proxies that find the hub, so there is nothing to
/// be told; without a field it is [`check_routes`]. Scope: `proxy`.
pub async fn change_proxy(
    State(hub): State<Hub>,
    caller: Caller,
    body: Bytes,
) -> ApiResult<StatusCode> {
    require_everywhere(&caller, ScopeName::Proxy)?;
    if !body::object(&body)?.is_empty() {
        return Err(ApiError::bad_request(Saying::quote(
            "The hub is not told where its proxies are: `lyceum proxy --hub ADDRESS` finds the hub, and proves itself with the secret that both have",
        )));
    }
    crate::proxy::refresh(&hub).await?;
    Ok(StatusCode::OK)
}
