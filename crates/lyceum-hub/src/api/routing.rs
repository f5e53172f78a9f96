//! The table of routes, as JupyterHub's clients know it. What the proxies really have follows from
//! the same rows ([`crate::proxy`]).

use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::StatusCode;
use lyceum_model::name::{ServerName, UserName};
use lyceum_model::saying::Saying;
use lyceum_model::scope::ScopeName;
use lyceum_web::{ApiError, ApiResult, Caller};
use serde_json::{Map, Value, json};

use super::paging::{Answer, Page};
use super::{body, require_everywhere};
use crate::servers::prefix;
use crate::{Hub, db};

/// The routes by their paths: the hub's, and one for each server that answers. Scope: `proxy`.
pub async fn list_routes(
    State(hub): State<Hub>,
    caller: Caller,
    page: Page,
) -> ApiResult<Json<Answer<Map<String, Value>>>> {
    require_everywhere(&caller, ScopeName::Proxy)?;
    let mut tx = hub.db().read().await?;
    let rows = db::servers::routes(&mut tx).await?;
    drop(tx);
    let own = hub.settings().api_url.clone();
    let base = hub.base();
    let own = own.trim_end_matches(&base.at("/hub/api"));
    let mut routes: Vec<(String, Value)> = rows
        .into_iter()
        .filter_map(|(_, user, server, _, address)| {
            let (user, server) = (
                UserName::parse_kept(&user).ok()?,
                ServerName::parse(&server).ok()?,
            );
            let data = json!({ "user": user, "server_name": server });
            Some(route(prefix(&base, &user, &server), &address, data))
        })
        .collect();
    routes.push(route(base.to_string(), own, json!({ "hub": true })));
    routes.sort_by(|(one, _), (other, _)| one.cmp(other));
    let total = i64::try_from(routes.len()).unwrap_or(i64::MAX);
    let items: Map<String, Value> = page.cut(&routes).iter().cloned().collect();
    Ok(Json(page.answer(items, total)))
}

fn route(path: String, target: &str, data: Value) -> (String, Value) {
    let model = json!({ "routespec": path, "target": target, "data": data });
    (path, model)
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
