//! What is asked before a server that runs for something else is stopped and started for a course.
//!
//! The page's form posts to where each start is chosen ([`super::spawn`]), with the life of the server
//! that it showed: what began meanwhile is not ended by it.

use axum::http::StatusCode;
use axum::response::Response;
use lyceum_model::name::ServerName;
use lyceum_model::scope::{ScopeName, Target};
use lyceum_web::ApiResult;
use lyceum_web::page::contexts::{CourseChoice, SwitchPage};

use super::start::{self, STOP_PATIENCE, Visit};
use super::{frame, home, html, language, spawn};
use crate::db::servers::Server;
use crate::db::users::User;
use crate::launch::CourseStart;
use crate::servers::State;
use crate::{choosing, launching};

/// The field with the life of the server that may end.
const STOP: &str = "stop";

/// What the form says about it.
pub(super) fn ends(fields: &[(String, String)]) -> Option<i64> {
    let (_, life) = fields.iter().find(|(name, _)| name == STOP)?;
    life.parse().ok()
}

/// Stops what runs, if that was wished and is allowed; true once it has ended.
pub(super) async fn made_room(visit: &Visit, row: &Server) -> ApiResult<bool> {
    let target = Target::Server(&row.user_name, &row.name);
    if visit.ends != Some(row.generation) || !visit.caller.may(ScopeName::DeleteServers, target) {
        return Ok(false);
    }
    launching::stop_by(&visit.hub, row, &visit.caller).await?;
    Ok(launching::has_ended(&visit.hub, row, STOP_PATIENCE).await?)
}

/// The page, with what runs now.
pub(super) async fn page(
    visit: &Visit,
    owner: &User,
    name: &ServerName,
    course: &CourseStart,
) -> ApiResult<Response> {
    let hub = &visit.hub;
    let row = spawn::row_of(hub, owner, name).await?;
    let target = Target::Server(&owner.name, name);
    let may_stop = visit.caller.may(ScopeName::DeleteServers, target);
    let (base, lang) = (hub.base(), language(hub, &visit.headers));
    let context = SwitchPage {
        page: frame(hub, Some(&visit.caller), &visit.info),
        server: home::card(&base, &owner.name, name, row.as_ref(), &lang),
        now_for: match row.as_ref().and_then(|row| row.course.as_deref()) {
            Some(other) => Some(title_of(visit, owner, other).await?),
            None => None,
        },
        course: CourseChoice {
            id: course.id.to_string(),
            title: course.title.clone(),
        },
        action: start::spawn_url(&base, &owner.name, name, visit.next.as_deref()),
        ends: row
            .filter(|row| may_stop || !row.state.is_active() || row.state == State::Stopping)
            .map(|row| row.generation),
    };
    html(
        hub,
        &visit.headers,
        StatusCode::CONFLICT,
        "switch.html",
        &context,
    )
}

/// As she knows the course; its id where she does not know it any more.
async fn title_of(visit: &Visit, owner: &User, course: &str) -> ApiResult<String> {
    let hub = &visit.hub;
    let standing = choosing::standing(hub, owner).await?;
    let known = hub
        .shelf()
        .courses_of(&owner.name, &standing.groups)
        .await?;
    let card = known.into_iter().find(|card| card.id == course);
    Ok(card.map_or_else(|| course.to_owned(), |card| card.title))
}
