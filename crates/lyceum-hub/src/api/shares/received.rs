//! What was shared with a person or a group, and how they give it up.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use lyceum_model::scope::{ScopeName, Target};
use lyceum_web::{ApiResult, Caller};
use serde_json::Value;

use super::{Many, answer, find_group, find_share, holder, one};
use crate::api::paging::Page;
use crate::db::shares::{Of, With};
use crate::{Hub, shares};

/// `/…/{user}/shared/{owner}/{server}`
#[derive(Debug, serde::Deserialize)]
pub(super) struct SharedWithUser {
    user: String,
    owner: String,
    #[serde(default)]
    server: String,
}

/// `/…/{group}/shared/{owner}/{server}`
#[derive(Debug, serde::Deserialize)]
pub(super) struct SharedWithGroup {
    group: String,
    owner: String,
    #[serde(default)]
    server: String,
}

/// What was shared with somebody, herself or by her groups. Scope: `read:users:shares!user=…`.
pub(super) async fn list_shared_with_user(
    State(hub): State<Hub>,
    caller: Caller,
    Path(name): Path<String>,
    page: Page,
) -> ApiResult<Json<Many>> {
    let user = holder(&hub, &caller, ScopeName::ReadUsersShares, &name).await?;
    let mut tx = hub.db().read().await?;
    answer(&hub, &mut tx, Of::Holder(&user.id), &page).await
}

/// Scope: `read:users:shares!user=…`.
pub(super) async fn get_shared_with_user(
    State(hub): State<Hub>,
    caller: Caller,
    Path(path): Path<SharedWithUser>,
) -> ApiResult<Json<Value>> {
    let user = holder(&hub, &caller, ScopeName::ReadUsersShares, &path.user).await?;
    let mut tx = hub.db().read().await?;
    let with = With::User(&user.id);
    let share = find_share(&mut tx, &path.owner, &path.server, with).await?;
    Ok(Json(one(&hub, &mut tx, &share).await?))
}

/// Gives up what was shared. Scope: `users:shares!user=…`.
pub(super) async fn leave_share(
    State(hub): State<Hub>,
    caller: Caller,
    Path(path): Path<SharedWithUser>,
) -> ApiResult<StatusCode> {
    let user = holder(&hub, &caller, ScopeName::UsersShares, &path.user).await?;
    let mut tx = hub.db().write().await?;
    let share = find_share(&mut tx, &path.owner, &path.server, With::User(&user.id)).await?;
    shares::revoke(&mut tx, &share, None, hub.now()).await?;
    tx.commit().await?;
    crate::proxy::pass_on(&hub).await;
    tracing::info!(by = %caller.who, owner = %share.owner, server = %share.server, with = %user.name, "share of a server given up");
    Ok(StatusCode::NO_CONTENT)
}

/// Scope: `read:groups:shares!group=…`.
pub(super) async fn list_shared_with_group(
    State(hub): State<Hub>,
    caller: Caller,
    Path(name): Path<String>,
    page: Page,
) -> ApiResult<Json<Many>> {
    caller.require(ScopeName::ReadGroupsShares, Target::Group(&name))?;
    let mut tx = hub.db().read().await?;
    let group = find_group(&mut tx, &name).await?;
    answer(&hub, &mut tx, Of::Group(&group.id), &page).await
}

/// Scope: `read:groups:shares!group=…`.
pub(super) async fn get_shared_with_group(
    State(hub): State<Hub>,
    caller: Caller,
    Path(path): Path<SharedWithGroup>,
) -> ApiResult<Json<Value>> {
    caller.require(ScopeName::ReadGroupsShares, Target::Group(&path.group))?;
    let mut tx = hub.db().read().await?;
    let group = find_group(&mut tx, &path.group).await?;
    let with = With::Group(&group.id);
    let share = find_share(&mut tx, &path.owner, &path.server, with).await?;
    Ok(Json(one(&hub, &mut tx, &share).await?))
}

/// Gives up what was shared with a group. Scope: `groups:shares!group=…`.
pub(super) async fn leave_share_of_group(
    State(hub): State<Hub>,
    caller: Caller,
    Path(path): Path<SharedWithGroup>,
) -> ApiResult<StatusCode> {
    caller.require(ScopeName::GroupsShares, Target::Group(&path.group))?;
    let mut tx = hub.db().write().await?;
    let group = find_group(&mut tx, &path.group).await?;
    let share = find_share(&mut tx, &path.owner, &path.server, With::Group(&group.id)).await?;
    shares::revoke(&mut tx, &share, None, hub.now()).await?;
    tx.commit().await?;
    crate::proxy::pass_on(&hub).await;
    tracing::info!(by = %caller.who, owner = %share.owner, server = %share.server, with = group.name, "share of a server given up");
    Ok(StatusCode::NO_CONTENT)
}
