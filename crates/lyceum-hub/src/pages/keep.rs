//! `POST /hub/servers/keep`: somebody still needs a server that would end for being idle.

use axum::extract::{Extension, Form, State};
use axum::response::Response;
use lyceum_model::name::ServerName;
use lyceum_model::scope::{ScopeName, Target};
use lyceum_web::request::RequestInfo;
use lyceum_web::{ApiError, ApiResult, Caller};
use serde::Deserialize;

use super::redirect;
use crate::next::local_target;
use crate::{Hub, course_servers, db, launching};

#[derive(Debug, Default, Deserialize)]
pub struct KeepForm {
    #[serde(default)]
    user: String,
    #[serde(default)]
    server: String,
    #[serde(default)]
    next: String,
}

pub async fn keep(
    State(hub): State<Hub>,
    caller: Caller,
    Extension(info): Extension<RequestInfo>,
    Form(form): Form<KeepForm>,
) -> ApiResult<Response> {
    let user = match form.user.as_str() {
        "" => caller.person()?.name.to_string(),
        user => user.to_owned(),
    };
    let mut tx = hub.db().read().await?;
    let owner = course_servers::owner(&mut tx, &user).await?;
    let name = ServerName::parse(&form.server).map_err(|_| ApiError::not_found())?;
    // Who may start it again may as well keep it.
    if !caller.may(ScopeName::StartServers, Target::Server(&owner.name, &name)) {
        return Err(ApiError::not_found());
    }
    let server = db::servers::find(&mut tx, &owner.id, &name).await?;
    drop(tx);
    let server = server.ok_or_else(ApiError::not_found)?;
    // One that has ended meanwhile shows itself so on the page that follows.
    launching::keep(&hub, &server).await?;
    let base = hub.base();
    let next = local_target(&base, &form.next, &info.host);
    let to = next.unwrap_or_else(|| base.at("/hub/home"));
    Ok(redirect(&base, &to))
}
