//! The last lines a server wrote, for its owner.

use axum::extract::{Extension, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use lyceum_model::name::ServerName;
use lyceum_model::scope::{ScopeName, Target};
use lyceum_model::server::ServerKey;
use lyceum_web::page::contexts::LogsPage;
use lyceum_web::request::RequestInfo;
use lyceum_web::{ApiError, ApiResult};

use super::{frame, html, language};
use crate::visit::{ServerPath, SignedIn};
use crate::{Hub, course_servers, db};

const LINES: usize = 200;

pub async fn show(
    State(hub): State<Hub>,
    SignedIn(caller): SignedIn,
    Extension(info): Extension<RequestInfo>,
    headers: HeaderMap,
    ServerPath { user, server }: ServerPath,
) -> ApiResult<Response> {
    let mut tx = hub.db().read().await?;
    let owner = course_servers::owner(&mut tx, &user).await?;
    let name = ServerName::parse(&server).map_err(|_| ApiError::not_found())?;
    if !caller.may(ScopeName::Servers, Target::Server(&owner.name, &name)) {
        return Err(ApiError::not_found());
    }
    let row = db::servers::find(&mut tx, &owner.id, &name)
        .await?
        .ok_or_else(ApiError::not_found)?;
    drop(tx);
    let key = ServerKey::parse(&row.key).ok_or_else(ApiError::not_found)?;
    let lines = hub
        .spawner()
        .log_tail(&key, LINES)
        .await
        .map_err(anyhow::Error::from)?;
    let page = LogsPage {
        page: frame(&hub, Some(&caller), &info),
        server: super::home::card(
            &hub.base(),
            &owner.name,
            &name,
            Some(&row),
            &language(&hub, &headers),
        ),
        truncated: lines.len() >= LINES,
        lines,
    };
    html(&hub, &headers, StatusCode::OK, "logs.html", &page)
}
