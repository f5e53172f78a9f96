//! What is asked before a server that runs for something else is stopped and started for a course.
//!
//! The page's form posts to where each start is chosen ([`super::spawn`]), with the life of the server
//! that it showed: what began meanwhile is not ended by it. The place that gets free is not kept for the
//! new start: whoever would wait for one is told so before ([`queue::ahead`]), also when that has become
//! so since the page was made.

use axum::http::StatusCode;
use axum::response::Response;
use lyceum_model::name::ServerName;
use lyceum_model::scope::{ScopeName, Target};
use lyceum_web::ApiResult;
use lyceum_web::page::contexts::{CourseChoice, ServerRow, SwitchPage, SwitchWait};
use serde_json::json;

use super::start::{self, Asked, Visit};
use super::{frame, home, html, language, spawn};
use crate::db::servers::Server;
use crate::db::users::User;
use crate::launch::CourseStart;
use crate::launching::{self, Options, WishError};
use crate::profiles::choose::COURSE;
use crate::servers::State;
use crate::{access, choosing, queue};

/// The field with the life of the server that may end.
const STOP: &str = "stop";
/// The field that is there when the page said that the new start would wait.
const WAITS: &str = "waits";

/// What the form says about it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ends {
    life: i64,
    /// She was told that the new start would wait.
    told: bool,
}

impl Ends {
    pub(super) fn of(fields: &[(String, String)]) -> Option<Self> {
        let field = |wanted: &str| fields.iter().find(|(name, _)| name == wanted);
        Some(Self {
            life: field(STOP)?.1.parse().ok()?,
            told: field(WAITS).is_some(),
        })
    }
}

/// Stops what runs, if that was wished and is allowed; true once it has ended. What could not be
/// started then ends nothing, and neither does what would wait though nobody was told so.
pub(super) async fn make_room(
    visit: &Visit,
    owner: &User,
    row: &Server,
) -> Result<bool, WishError> {
    let Asked::Options(options) = &visit.asked else {
        return Ok(false);
    };
    let target = Target::Server(&row.user_name, &row.name);
    let ends = visit.ends.filter(|ends| ends.life == row.generation);
    let may = visit.caller.may(ScopeName::DeleteServers, target);
    let Some(ends) = ends.filter(|_| may) else {
        return Ok(false);
    };
    let hub = &visit.hub;
    let then = launching::foresee(hub, owner, row, Options::Chosen(options.clone())).await?;
    if !ends.told && queue::ahead(hub, row, &then).await?.is_some() {
        return Ok(false);
    }
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
    let ends = row
        .as_ref()
        .filter(|row| may_stop || !row.state.is_active() || row.state == State::Stopping);
    let ahead = match ends {
        Some(row) => ahead(visit, owner, row, course).await?,
        None => None,
    };
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
        ends: ends.map(|row| row.generation),
        waits: ahead.map(|ahead| SwitchWait {
            waiting: ahead.waiting,
            held: ahead.held.map(start::hold),
        }),
    };
    html(
        hub,
        &visit.headers,
        StatusCode::CONFLICT,
        "switch.html",
        &context,
    )
}

/// What the new start would wait for.
async fn ahead(
    visit: &Visit,
    owner: &User,
    row: &Server,
    course: &CourseStart,
) -> ApiResult<Option<queue::Ahead>> {
    if !row.state.is_active() {
        return Ok(None);
    }
    let hub = &visit.hub;
    let options = Options::Chosen(json!({ COURSE: course.id.as_str() }));
    match launching::foresee(hub, owner, row, options).await {
        Ok(then) => Ok(queue::ahead(hub, row, &then).await?),
        // Whoever presses the button is told why not, and nothing ends.
        Err(WishError::Refused(..) | WishError::BadChoice(_)) => Ok(None),
        Err(error) => Err(error.into()),
    }
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
