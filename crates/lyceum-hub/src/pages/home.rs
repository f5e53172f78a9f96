//! The home page: my servers, my courses, the next thing.

pub mod kept;
mod work;

use std::collections::HashMap;

use axum::extract::{Extension, Form, Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use lyceum_model::base::BasePath;
use lyceum_model::name::{ServerName, UserName};
use lyceum_model::say;
use lyceum_model::saying::Saying;
use lyceum_model::scope::{ScopeName, Target};
use lyceum_store::Tx;
use lyceum_web::page::Lang;
use lyceum_web::page::contexts::{
    AddServer, CourseRow, Done, ExamRow, HomePage, NextThing, ServerEnd, ServerRow,
    ServerState as Shown, ServiceLink,
};
use lyceum_web::request::RequestInfo;
use lyceum_web::{ApiError, ApiResult, Caller, Person};
use serde::Deserialize;

use super::{frame, html, language, set_xsrf, sharing, sittings, to};
use crate::db::servers::Server;
use crate::grants::service_prefix;
use crate::launch::CourseServer;
use crate::launching::{self, Change, Options, Wish, WishError};
use crate::moment::Moment;
use crate::select::Subject;
use crate::servers::{State as ServerState, is_display_name, prefix, tail};
use crate::visit::SignedIn;
use crate::{Hub, db, deeds, notices, queue, services};

/// Of more courses than this nobody's page shows the servers.
const COURSE_SERVERS_MAX: usize = 200;
/// Exams that are shown at most; a link leads to all.
const EXAMS_MAX: usize = 5;
/// Where the page is, as routes are registered.
pub const HOME: &str = "/hub/home";
/// What [`after`] can say.
const DONE: [&str; 2] = ["removed", "cancelled"];

pub async fn go_home(State(hub): State<Hub>) -> Response {
    to(&hub, HOME)
}

pub async fn show(
    State(hub): State<Hub>,
    SignedIn(caller): SignedIn,
    Extension(info): Extension<RequestInfo>,
    of: Option<Extension<Moment>>,
    headers: HeaderMap,
    Query(query): Query<DoneQuery>,
) -> ApiResult<Response> {
    let status = StatusCode::OK;
    // What is told of the way to the page is told once.
    let key = match query.done.is_empty() {
        true => kept::key(&hub, &caller, &headers, &info),
        false => None,
    };
    let (of, at) = (of.map(|Extension(of)| of), hub.now());
    let kept = key.zip(of);
    if let Some((key, of)) = &kept
        && let Some(page) = hub.home_pages().find(key, of, at)
    {
        return Ok(page);
    }
    let page = show_after(&hub, &caller, &headers, &info, status, Last::Done(query)).await?;
    match kept {
        Some((key, of)) if page.status() == StatusCode::OK => {
            hub.home_pages().keep(key, of, at, page).await
        }
        _ => Ok(page),
    }
}

/// What was done on the way to the page.
#[derive(Debug, Default, Deserialize)]
pub struct DoneQuery {
    #[serde(default)]
    done: String,
    #[serde(default)]
    server: String,
}

impl DoneQuery {
    /// As long as it is so. A link can say that a server is gone, but nothing else.
    fn of(&self, servers: &[Server]) -> Option<Done> {
        let name = ServerName::parse(&self.server).ok()?;
        let is_there = servers.iter().any(|server| server.name == name);
        let what = DONE.into_iter().find(|what| *what == self.done)?;
        (!is_there && !name.is_default()).then(|| Done {
            what,
            server: name.to_string(),
        })
    }
}

/// A page that says that nothing is left of a named server.
pub fn after(hub: &Hub, what: &'static str, server: &ServerName) -> String {
    debug_assert!(DONE.contains(&what), "{what}");
    // The name of a server needs no encoding.
    hub.at(&format!("{HOME}?done={what}&server={server}"))
}

/// What went wrong with a wish.
pub struct Refused {
    /// What was typed into the form for a new server; nothing: it is not about that.
    pub name: Option<String>,
    pub error: Saying,
}

/// How the last wish ended.
enum Last {
    Done(DoneQuery),
    Refused(Refused),
}

/// The page, with what went wrong with the last wish.
pub async fn page(
    hub: &Hub,
    caller: &Caller,
    headers: &HeaderMap,
    info: &RequestInfo,
    status: StatusCode,
    refused: Refused,
) -> ApiResult<Response> {
    show_after(hub, caller, headers, info, status, Last::Refused(refused)).await
}

async fn show_after(
    hub: &Hub,
    caller: &Caller,
    headers: &HeaderMap,
    info: &RequestInfo,
    status: StatusCode,
    last: Last,
) -> ApiResult<Response> {
    let mut tx = hub.db().read().await?;
    let person = caller.person()?;
    let rows = db::servers::of_user(&mut tx, &person.id).await?;
    let (shared, shared_more) = sharing::with_me(hub, &mut tx, caller).await?;
    let sharing = sharing::has_something(&mut tx, caller).await?;
    let services = services(hub, &mut tx, caller).await?;
    let deeds = deeds::news(&mut tx, &person.id, hub.now()).await?;
    let exams = exams(hub, &mut tx, &person.id).await?;
    drop(tx);
    let lang = language(hub, headers);
    let default = ServerName::default();
    let base = hub.base();
    let default_row = rows.iter().find(|server| server.name.is_default());
    let mut servers = vec![card(&base, &person.name, &default, default_row, &lang)];
    servers[0].end = default_row.and_then(|server| end_of(hub, person, server));
    for server in rows.iter().filter(|server| !server.name.is_default()) {
        let mut card = card(&base, &server.user_name, &server.name, Some(server), &lang);
        card.end = end_of(hub, person, server);
        servers.push(card);
    }
    let limit = hub.settings().named_servers;
    let mut courses = courses(hub, person, &rows, &lang).await?;
    for card in &mut servers {
        let row = rows.iter().find(|row| row.name.as_str() == card.server);
        let tells = |row: &&Server| row.state.is_active() || row.state == ServerState::Failed;
        if let Some(row) = row.filter(tells) {
            tell_purpose(hub, card, row, &courses).await?;
        }
    }
    for own in courses
        .iter_mut()
        .filter_map(|course| course.server.as_mut())
    {
        if let Some(card) = servers.iter().find(|card| card.server == own.server) {
            own.clone_from(card);
        }
    }
    // Servers are started here, whatever is the matter with the rest.
    let to_do = hub.shelf().work_of(caller).await;
    let work_unknown = to_do.is_err();
    let to_do = to_do.unwrap_or_else(|error| {
        let error = format!("{error:#}");
        tracing::warn!(user = %person.name, error, "what is to be done could not be looked up");
        Vec::new()
    });
    work::add(&mut courses, &to_do);
    // Of a course that all may see others have a card, but no page.
    for course in courses.iter_mut().filter(|one| !one.roles.is_empty()) {
        let page = hub.shelf().page_of(caller, &course.id);
        course.url = page.map(|page| base.at(&page));
    }
    work::put(&mut courses, &to_do, &base, hub.now());
    let (done, name, mut error) = match last {
        Last::Done(query) => (query.of(&rows), None, None),
        Last::Refused(refused) => (None, refused.name, Some(refused.error.sentence(&lang))),
    };
    let full = servers.len() > limit;
    let mut frame = frame(hub, Some(caller), info);
    if name.is_none() || full {
        // It is not about the name in the form below, or there is no form: above all, then.
        frame.announcement = error.take();
    }
    let closed = notices::is_closed(hub, caller);
    let in_course = work::next(&courses, &to_do);
    let next = match in_course {
        Some(course) => NextThing::in_course(&servers, course),
        None => NextThing::of(&servers),
    };
    let context = HomePage {
        page: frame,
        next: match closed {
            true => next.map(NextThing::closed),
            false => next,
        },
        task: in_course.and_then(|course| course.task.clone()),
        work_unknown,
        waiting: work::waiting(&courses, &to_do, &base, hub.now()),
        exams,
        closed,
        add: (limit > 0).then(|| AddServer {
            name: name.unwrap_or_default(),
            error,
            limit: u64::try_from(limit).ok(),
            full,
        }),
        servers,
        services,
        courses,
        shared,
        shared_more,
        sharing,
        deeds,
        done,
    };
    let mut response = html(hub, headers, status, "home.html", &context)?;
    if work_unknown {
        response.extensions_mut().insert(kept::Passing);
    }
    if let lyceum_web::Credential::Session { binding, .. } = &caller.credential {
        set_xsrf(
            hub,
            &mut response,
            lyceum_web::xsrf::Binding::Session(binding),
            super::secure(hub, info),
        );
    }
    Ok(response)
}

/// Exams with codes on paper that she looks after.
async fn exams(hub: &Hub, tx: &mut Tx, user_id: &str) -> sqlx::Result<Vec<ExamRow>> {
    let exams = crate::sittings::looked_after_by(tx, user_id, hub.now()).await?;
    let rows = exams.into_iter().take(EXAMS_MAX).map(|exam| ExamRow {
        url: sittings::url(hub, &exam.id),
        id: exam.id,
        title: exam.title,
        begins: exam.begins.0,
        ends: exam.ends.0,
    });
    Ok(rows.collect())
}

/// What it runs for, and how far its start has come in the line.
async fn tell_purpose(
    hub: &Hub,
    card: &mut ServerRow,
    row: &Server,
    courses: &[CourseRow],
) -> ApiResult<()> {
    let known = (courses.iter()).find(|course| row.course.as_deref() == Some(course.id.as_str()));
    card.course_title = known.map(|course| course.title.clone());
    let settings = hub.settings();
    let mut profiles = settings.profiles.0.iter();
    let profile = profiles.find(|profile| row.profile.as_deref() == Some(profile.slug.as_str()));
    card.profile = profile.map(|profile| profile.title.clone());
    let wait = queue::wait_of(hub, row).await?;
    let wait = wait.filter(|wait| wait.held.is_none() && !wait.own_first);
    card.place = wait.map(|wait| wait.place);
    Ok(())
}

/// The courses that she sees, with the servers for them.
async fn courses(
    hub: &Hub,
    person: &Person,
    servers: &[Server],
    lang: &Lang,
) -> ApiResult<Vec<CourseRow>> {
    let base = hub.base();
    let cards = hub.shelf().courses_of(&person.name, &person.groups).await?;
    let mut own_servers = own_servers_of_courses(hub, person, lang).await?;
    let rows = cards.into_iter().map(|course| CourseRow {
        server: servers
            .iter()
            .find(|row| row.state.is_active() && row.course.as_deref() == Some(course.id.as_str()))
            .map(|row| card(&base, &row.user_name, &row.name, Some(row), lang)),
        starts: course.starts,
        archived: course.archived,
        own: own_servers.remove(&course.id),
        anchor: work::anchor(&course.id),
        id: course.id,
        title: course.title,
        term: course.term,
        roles: course.roles,
        ..CourseRow::default()
    });
    Ok(rows.collect())
}

/// The servers of the courses that she teaches, by the ids of these.
async fn own_servers_of_courses(
    hub: &Hub,
    person: &Person,
    lang: &Lang,
) -> ApiResult<HashMap<String, ServerRow>> {
    let servers = hub.shelf().servers();
    let mine = servers.there.iter();
    let mine: Vec<(UserName, &CourseServer)> = mine
        .filter(|server| server.is_open_to(&person.name, &person.groups))
        .take(COURSE_SERVERS_MAX)
        .map(|server| (UserName::of_course(&server.id), server))
        .collect();
    if mine.is_empty() {
        return Ok(HashMap::new());
    }
    let owners: Vec<String> = mine.iter().map(|(owner, _)| owner.to_string()).collect();
    let mut tx = hub.db().read().await?;
    let rows = db::servers::default_of(&mut tx, &owners).await?;
    drop(tx);
    let base = hub.base();
    let cards = mine.into_iter().map(|(owner, server)| {
        let row = rows.iter().find(|row| row.user_name == owner);
        let name = ServerName::default();
        let mut card = card(&base, &owner, &name, row, lang);
        card.title = Some(server.title.clone());
        card.end = row.and_then(|row| end_by_rule(hub, row, false, &[]));
        (server.id.to_string(), card)
    });
    Ok(cards.collect())
}

/// When a server of hers ends by itself.
fn end_of(hub: &Hub, owner: &Person, server: &Server) -> Option<ServerEnd> {
    end_by_rule(hub, server, owner.admin, &owner.groups)
}

fn end_by_rule(hub: &Hub, server: &Server, admin: bool, groups: &[String]) -> Option<ServerEnd> {
    let subject = Subject {
        server,
        admin,
        groups,
    };
    let now = hub.now();
    let end = hub.settings().culling.end_of(subject, now)?;
    Some(ServerEnd {
        at: end.at.0,
        left: end.at.since(now).max(0) / 1000,
        why: end.why.word(),
        soon: end.soon,
    })
}

/// How one server is shown; without a row it is one that has never run.
pub fn card(
    base: &BasePath,
    user: &UserName,
    name: &ServerName,
    server: Option<&Server>,
    lang: &Lang,
) -> ServerRow {
    let tail = tail(user, name);
    let state = server.map_or(ServerState::Stopped, |server| server.state);
    ServerRow {
        user: user.to_string(),
        server: name.to_string(),
        title: server
            .and_then(|server| server.display_name.clone())
            .or_else(|| user.course().map(|course| course.to_string())),
        state: shown(state),
        reason: server
            .and_then(|server| server.why_not_stopped().or_else(|| server.why_failed()))
            .map(|why| why.sentence(lang)),
        since: server.and_then(|server| match state {
            ServerState::Ready => server.ready_at,
            ServerState::Stopped | ServerState::Failed => server.stopped_at,
            ServerState::Stopping => server.stop_requested_at,
            ServerState::Queued | ServerState::Starting => server.requested_at,
        }),
        last_activity: server.and_then(|server| server.last_activity_at),
        url: prefix(base, user, name),
        progress_url: base.at(&format!("/hub/spawn-pending/{tail}")),
        log_url: server
            .filter(|server| server.generation > 0)
            .map(|_| base.at(&format!("/hub/logs/{tail}"))),
        removable: !name.is_default() && !state.is_active(),
        renamable: server.is_some_and(|server| !server.id.is_empty())
            && !state.is_active()
            && !user.is_of_course(),
        end: None,
        course: server
            .and_then(|server| server.course.clone())
            .filter(|_| !user.is_of_course()),
        course_title: None,
        profile: None,
        place: None,
    }
}

/// A state as pages know it.
pub fn shown(state: ServerState) -> Shown {
    match state {
        ServerState::Stopped => Shown::Stopped,
        ServerState::Queued => Shown::Waiting,
        ServerState::Starting => Shown::Starting,
        ServerState::Ready => Shown::Ready,
        ServerState::Stopping => Shown::Stopping,
        ServerState::Failed => Shown::Failed,
    }
}

/// The services that are to be shown and that she may open.
async fn services(hub: &Hub, tx: &mut Tx, caller: &Caller) -> ApiResult<Vec<ServiceLink>> {
    let settings = hub.settings();
    let all = services::all(&settings.grants, tx).await?;
    let open = all.into_values().filter(|known| {
        let target = Target::Service(&known.name);
        known.service.display
            && known.service.url.is_some()
            && caller.may(ScopeName::AccessServices, target)
    });
    let links = open.map(|known| ServiceLink {
        href: service_prefix(settings.origins.base(), &known.name),
        name: known.name,
    });
    Ok(links.collect())
}

/// What the form for a server's title posts.
#[derive(Debug, Deserialize)]
pub struct TitleForm {
    #[serde(default)]
    server: String,
    #[serde(default)]
    title: String,
}

/// `POST /hub/servers/title`: what a server of one's own is called; at rest, as in the API.
pub async fn set_title(
    State(hub): State<Hub>,
    caller: Caller,
    Extension(info): Extension<RequestInfo>,
    headers: HeaderMap,
    Form(form): Form<TitleForm>,
) -> ApiResult<Response> {
    if !caller.is_session() {
        return Err(ApiError::forbidden(say!("refused.for_browsers_not_api")));
    }
    let person = caller.person()?;
    let name = ServerName::parse(&form.server).map_err(|_| ApiError::not_found())?;
    let target = Target::Server(&person.name, &name);
    if !caller.may(ScopeName::StartServers, target) {
        return Err(ApiError::not_found());
    }
    let title = form.title.trim();
    let refuse = async |error: Saying| {
        let refused = Refused { name: None, error };
        let status = StatusCode::BAD_REQUEST;
        page(&hub, &caller, &headers, &info, status, refused).await
    };
    if !is_display_name(title) {
        return refuse(say!("server.bad_title")).await;
    }
    let mut tx = hub.db().read().await?;
    let owner = db::users::get(&mut tx, &person.id)
        .await?
        .ok_or_else(ApiError::not_found)?;
    drop(tx);
    let change = Change {
        name: None,
        wish: Wish {
            options: Options::Last,
            display_name: Some(title.to_owned()),
            by: None,
        },
    };
    match launching::change(&hub, &owner, &name, change).await {
        Ok(_) => Ok(to(&hub, HOME)),
        Err(WishError::NotAtRest) => refuse(say!("wish.not_at_rest")).await,
        Err(error) => Err(error.into()),
    }
}
