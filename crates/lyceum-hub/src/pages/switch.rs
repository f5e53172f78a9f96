//! What is asked before a server that runs for something else is stopped and started for a course.
//!
//! The page's form posts to where each start is chosen ([`super::spawn`]), with the life of the server
//! that it showed: what began meanwhile is not ended by it.

use axum::http::StatusCode;
use axum::response::Response;
use lyceum_model::name::ServerName;
use lyceum_model::scope::{ScopeName, Target};
use lyceum_web::ApiResult;
use lyceum_web::page::contexts::{CourseChoice, ServerRow, SwitchPage};

use super::start::{self, Asked, Visit};
use super::{frame, home, html, language, spawn};
use crate::db::servers::Server;
use crate::db::users::User;
use crate::launch::CourseStart;
use crate::launching::{self, Options, WishError};
use crate::servers::State;
use crate::{access, choosing};

/// The field with the life of the server that may end.
const STOP: &str = "stop";

/// What the form says about it.
pub(super) fn ends(fields: &[(String, String)]) -> Option<i64> {
    let (_, life) = fields.iter().find(|(name, _)| name == STOP)?;
    life.parse().ok()
}

/// Stops what runs, if that was wished and is allowed; true once it has ended. What could not be
/// started then ends nothing.
pub(super) async fn make_room(
    visit: &Visit,
    owner: &User,
    row: &Server,
) -> Result<bool, WishError> {
    let Asked::Options(options) = &visit.asked else {
        return Ok(false);
    };
    let target = Target::Server(&row.user_name, &row.name);
    if visit.ends != Some(row.generation) || !visit.caller.may(ScopeName::DeleteServers, target) {
        return Ok(false);
    }
    let hub = &visit.hub;
    launching::check(hub, owner, &row.name, Options::Chosen(options.clone())).await?;
    launching::stop_by(hub, row, &visit.caller).await?;
    launching::has_ended(hub, row, hub.timings().stop_patience).await
}

/// The page, with what runs now, as far as the reader may know it.
pub(super) async fn page(
    visit: &Visit,
    owner: &User,
    name: &ServerName,
    course: &CourseStart,
) -> ApiResult<Response> {
    let hub = &visit.hub;
    let row = spawn::row_of(hub, owner, name).await?;
    let may = |scope| (visit.caller).may(scope, Target::Server(&owner.name, name));
    let (may_stop, may_read) = (may(ScopeName::DeleteServers), may(ScopeName::ReadServers));
    let state = row.as_ref().map_or(State::Stopped, |row| row.state);
    let (base, lang) = (hub.base(), language(hub, &visit.headers));
    let known = row.as_ref().filter(|_| may_read);
    let next = visit.next.as_deref();
    let context = SwitchPage {
        page: frame(hub, Some(&visit.caller), &visit.info),
        own: visit.caller.is(&owner.name),
        server: ServerRow {
            state: home::shown(state),
            ..home::card(&base, &owner.name, name, known, &lang)
        },
        now_for: match known.and_then(|row| row.course.as_deref()) {
            Some(other) => Some(title_of(visit, owner, other).await?),
            None => None,
        },
        course: CourseChoice {
            id: course.id.to_string(),
            title: course.title.clone(),
        },
        action: start::spawn_url(&base, &owner.name, name, next),
        may_open: may(ScopeName::AccessServers)
            && access::is_for_browser_of(hub, &visit.caller, &owner.name),
        may_watch: may_read,
        look_at: is_wished(visit, state).then(|| {
            let (next, course) = (next.unwrap_or_default(), course.id.as_str());
            start::start_url(&base, &owner.name, name, next, Some(course))
        }),
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

/// Whether what she asked for can go on by itself once the server has ended. A link of another site is no
/// wish of hers.
fn is_wished(visit: &Visit, state: State) -> bool {
    state == State::Stopping && matches!(visit.asked, Asked::Options(_))
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
