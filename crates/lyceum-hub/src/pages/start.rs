//! Start, watch it come up, stop.

use axum::extract::{Extension, Form, Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use lyceum_model::base::BasePath;
use lyceum_model::name::{ServerName, UserName};
use lyceum_model::say;
use lyceum_model::saying::Saying;
use lyceum_model::scope::{ScopeName, Target};
use lyceum_model::server::ServerKey;
use lyceum_web::page::contexts::{Failure, Hold, NotRunningPage, ProgressPage, Step, StoppingPage};
use lyceum_web::request::RequestInfo;
use lyceum_web::{ApiError, ApiResult, Caller};
use serde::Deserialize;
use serde_json::Value;

use super::login::NextQuery;
use super::{enter, frame, home, html, language, redirect, spawn, switch, to};
use crate::db::servers::Server;
use crate::db::users::User;
use crate::deeds::{self, Doer, What};
use crate::launch::CourseStart;
use crate::launching::{self, Wish, WishError};
use crate::next::local_target;
use crate::profiles::choose::{COURSE, PROFILE};
use crate::profiles::{form, has_choice};
use crate::queue::Held;
use crate::servers::{State as ServerState, is_display_name, prefix, progress, tail};
use crate::visit::{ServerPath, SignedIn, is_from_elsewhere};
use crate::{Hub, choosing, course_servers, db, notices, queue};

/// Log lines under a failure.
const FAILURE_LINES: usize = 40;
/// How much of a refused name is shown again.
const SHOWN_OF_A_NAME: usize = 60;

/// All that these handlers need of a request.
pub(super) struct Visit {
    pub hub: Hub,
    pub caller: Caller,
    pub info: RequestInfo,
    pub headers: HeaderMap,
    pub next: Option<String>,
    pub asked: Asked,
    /// What may end for it.
    pub ends: Option<switch::Ends>,
}

/// How somebody asks for a start.
pub(super) enum Asked {
    /// By a link; where there is something to choose, the page that asks is the answer.
    Link,
    /// By a button elsewhere, which leads to that page.
    Button,
    /// With what she chose.
    Options(Value),
    /// By a link of another site that names a choice: the page asks, with this chosen already.
    Offer(Value),
}

/// `GET /hub/spawn`: my default server. Starts it: JupyterHub's links lead here.
pub async fn start_own(
    hub: State<Hub>,
    caller: SignedIn,
    info: Extension<RequestInfo>,
    headers: HeaderMap,
    query: Query<Vec<(String, String)>>,
) -> ApiResult<Response> {
    let user = caller.0.person()?.name.to_string();
    let server = String::new();
    start_by_link(
        hub,
        caller,
        info,
        headers,
        query,
        ServerPath { user, server },
    )
    .await
}

/// A link that starts something can be planted on any page. The worst it does is to start the
/// visitor's own server, and only when the browser says it came from here or from her own hand.
pub async fn start_by_link(
    State(hub): State<Hub>,
    SignedIn(caller): SignedIn,
    Extension(info): Extension<RequestInfo>,
    headers: HeaderMap,
    Query(query): Query<Vec<(String, String)>>,
    ServerPath { user, server }: ServerPath,
) -> ApiResult<Response> {
    let next = local_target(&hub.base(), next_of(&query), &info.host);
    // A link that names a profile has chosen. What somebody must type she types herself: anybody may
    // have made the link, and a browser does not always say where it was.
    let mut options = form::options(&form::of_query(&query));
    let courses_own = course_servers::course_named(&user).is_some();
    if courses_own {
        // There is nothing to choose of the server that a course has.
        options = serde_json::json!({});
    }
    let names_a_profile = options.get(PROFILE).is_some()
        && !hub.settings().profiles.is_empty()
        && !form::is_typed(&options);
    let chooses = names_a_profile || options.get(COURSE).is_some();
    let planted = is_from_elsewhere(&hub, &caller, &headers, &info);
    if planted && !chooses {
        // A link from a course page elsewhere: on to the server if it runs, else to the page that
        // offers to start it.
        let (user, name) = match (UserName::parse_kept(&user), ServerName::parse(&server)) {
            (Ok(user), Ok(name)) => (user, name),
            _ => return Err(ApiError::not_found()),
        };
        return Ok(not_started(&hub, &user, &name, next));
    }
    let asked = match (chooses, planted) {
        (true, true) => Asked::Offer(options),
        (true, false) => Asked::Options(options),
        (false, _) => Asked::Link,
    };
    start(
        Visit {
            hub,
            caller,
            info,
            headers,
            next,
            asked,
            ends: None,
        },
        user,
        server,
    )
    .await
}

/// To the server if it runs, else to the page that offers to start it.
fn not_started(hub: &Hub, user: &UserName, name: &ServerName, next: Option<String>) -> Response {
    let base = hub.base();
    let own = prefix(&base, user, name);
    let to = next.map(|next| base.out_of_hub(&next));
    let to = to.filter(|to| to.starts_with(&own)).unwrap_or(own);
    redirect(&base, &base.to_hub(&to))
}

/// What the forms about servers post.
#[derive(Debug, Default, Deserialize)]
pub struct ServerForm {
    #[serde(default)]
    user: String,
    #[serde(default)]
    server: String,
    #[serde(default)]
    next: String,
    /// The course that it is to be for.
    #[serde(default)]
    course: String,
}

/// `POST /hub/servers/start`.
pub async fn start_form(
    State(hub): State<Hub>,
    caller: Caller,
    Extension(info): Extension<RequestInfo>,
    headers: HeaderMap,
    Form(form): Form<ServerForm>,
) -> ApiResult<Response> {
    let next = local_target(&hub.base(), &form.next, &info.host);
    let user = if form.user.is_empty() {
        caller.person()?.name.to_string()
    } else {
        form.user
    };
    start(
        Visit {
            hub,
            caller,
            info,
            headers,
            next,
            asked: match form.course.as_str() {
                "" => Asked::Button,
                _ if course_servers::course_named(&user).is_some() => Asked::Button,
                course => Asked::Options(serde_json::json!({ COURSE: course })),
            },
            ends: None,
        },
        user,
        form.server,
    )
    .await
}

/// `POST /hub/servers/add`: a new named server, which starts at once.
pub async fn add_form(
    State(hub): State<Hub>,
    caller: Caller,
    Extension(info): Extension<RequestInfo>,
    headers: HeaderMap,
    Form(form): Form<ServerForm>,
) -> ApiResult<Response> {
    let user = caller.person()?.name.to_string();
    let server = form.server.trim().to_owned();
    if server.is_empty() {
        let refused = home::Refused {
            name: Some(server),
            error: say!("name.missing"),
        };
        return home::page(
            &hub,
            &caller,
            &headers,
            &info,
            StatusCode::BAD_REQUEST,
            refused,
        )
        .await;
    }
    start(
        Visit {
            hub,
            caller,
            info,
            headers,
            next: None,
            asked: Asked::Button,
            ends: None,
        },
        user,
        server,
    )
    .await
}

pub(super) async fn start(visit: Visit, user: String, server: String) -> ApiResult<Response> {
    let Visit {
        hub,
        caller,
        info,
        headers,
        next,
        asked,
        ends: _,
    } = &visit;
    let owner = course_servers::owner_to_start(hub, caller, &user).await?;
    let name = match ServerName::parse(&server) {
        Ok(name) => name,
        Err(error) => {
            if !caller.may(ScopeName::StartServers, Target::User(&owner.name)) {
                return Err(ApiError::not_found());
            }
            let refused = home::Refused {
                name: Some(server.chars().take(SHOWN_OF_A_NAME).collect()),
                error: error.saying(),
            };
            let status = StatusCode::BAD_REQUEST;
            return home::page(hub, caller, headers, info, status, refused).await;
        }
    };
    let is_second = owner.name.is_of_course() && !name.is_default();
    if is_second || !caller.may(ScopeName::StartServers, Target::Server(&owner.name, &name)) {
        return Err(ApiError::not_found());
    }
    notices::require_open(hub, caller).await?;
    let base = hub.base();
    let pending = pending_url(&base, &owner.name, &name, next.as_deref());
    let mine = choosing::profiles_of(hub, &owner).await?;
    let row = spawn::row_of(hub, &owner, &name).await?;
    let refuse = async |status: StatusCode, error: Saying| {
        let refused = home::Refused { name: None, error };
        home::page(hub, caller, headers, info, status, refused).await
    };
    let course = match course_of(hub, &owner, asked).await {
        Ok(course) => course,
        // What a page offers to start again may be hers no more; then she starts what she gets without.
        Err(WishError::BadChoice(wrong))
            if wrong.field == COURSE && is_again(asked, row.as_ref()) =>
        {
            let visit = Visit {
                asked: Asked::Button,
                ..visit
            };
            return Box::pin(start(visit, user, server)).await;
        }
        Err(WishError::BadChoice(wrong)) => {
            let status = match wrong.field.as_str() {
                COURSE => StatusCode::NOT_FOUND,
                _ => StatusCode::BAD_REQUEST,
            };
            return refuse(status, wrong.why).await;
        }
        Err(error) => return Err(error.into()),
    };
    let about = spawn::About {
        course: course.as_ref(),
        owner: &owner,
        name: &name,
        row: row.as_ref(),
        mine: &mine,
    };
    if let (Some(course), Some(row)) = (&course, &row)
        && row.state.is_active()
        && row.course.as_deref() != Some(course.id.as_str())
    {
        match switch::make_room(&visit, &owner, row).await {
            Ok(true) => {}
            Ok(false) => return switch::page(&visit, &owner, &name, course).await,
            Err(error) => return not_taken(&visit, &about, None, error).await,
        }
    }
    let options = match asked {
        Asked::Options(options) => Some(options.clone()),
        Asked::Offer(_) if !has_choice(&mine) && course.is_none() => {
            return Ok(not_started(hub, &owner.name, &name, next.clone()));
        }
        Asked::Link | Asked::Button if !has_choice(&mine) => None,
        _ if row.as_ref().is_some_and(|row| row.state.is_active()) => {
            return Ok(redirect(&base, &pending));
        }
        Asked::Link => return spawn::page(&visit, &about, None, None),
        Asked::Offer(options) => return spawn::page(&visit, &about, Some(options), None),
        Asked::Button => {
            let url = spawn_url(&base, &owner.name, &name, next.as_deref());
            return Ok(redirect(&base, &url));
        }
    };
    let wish = Wish {
        options: (options.clone()).map_or(launching::Options::Usual, launching::Options::Chosen),
        display_name: course_servers::title(hub, &owner.name)
            .filter(|title| is_display_name(title)),
        by: Some(Doer::of(caller)),
    };
    match launching::start(hub, &owner, &name, wish).await {
        Ok(_) | Err(WishError::Running | WishError::Stopping) => Ok(redirect(&base, &pending)),
        Err(error) => not_taken(&visit, &about, options.as_ref(), error).await,
    }
}

/// What she is told whose wish was not taken.
async fn not_taken(
    visit: &Visit,
    about: &spawn::About<'_>,
    options: Option<&Value>,
    error: WishError,
) -> ApiResult<Response> {
    match error {
        WishError::BadChoice(wrong) => spawn::page(visit, about, options, Some(&wrong)),
        WishError::Refused(error, _) => {
            let refused = home::Refused {
                name: Some(about.name.to_string()).filter(|name| !name.is_empty()),
                error,
            };
            let status = StatusCode::BAD_REQUEST;
            let Visit {
                hub,
                caller,
                headers,
                info,
                ..
            } = visit;
            home::page(hub, caller, headers, info, status, refused).await
        }
        error => Err(error.into()),
    }
}

/// Whether the course that is named is the one that the server was started for the last time.
fn is_again(asked: &Asked, row: Option<&Server>) -> bool {
    let named = match asked {
        Asked::Options(options) | Asked::Offer(options) => options.get(COURSE),
        Asked::Link | Asked::Button => None,
    };
    let named = named.and_then(serde_json::Value::as_str);
    named.is_some() && named == row.and_then(|row| row.course.as_deref())
}

/// The course that somebody names who asks for a start.
async fn course_of(
    hub: &Hub,
    owner: &User,
    asked: &Asked,
) -> Result<Option<CourseStart>, WishError> {
    let options = match asked {
        Asked::Options(options) | Asked::Offer(options) => options,
        Asked::Link | Asked::Button => return Ok(None),
    };
    if options.get(COURSE).is_none() {
        return Ok(None);
    }
    let standing = choosing::standing(hub, owner).await?;
    choosing::course(hub, owner, &standing.groups, options).await
}

/// `POST /hub/servers/stop`; cancels a start as well. Of a named server that somebody added to start it,
/// and whose start is cancelled, nothing is kept.
pub async fn stop_form(
    State(hub): State<Hub>,
    caller: Caller,
    Extension(info): Extension<RequestInfo>,
    Form(form): Form<ServerForm>,
) -> ApiResult<Response> {
    let row = wanted(&hub, &caller, &form).await?;
    launching::stop_by(&hub, &row, &caller).await?;
    // Most stops are quick; the page that follows then shows it done.
    let ended = launching::has_ended(&hub, &row, hub.timings().stop_patience).await?;
    if ended && is_first_start(&row) && forget_unused(&hub, &row).await? {
        return Ok(back_without(&hub, &form, &info, "cancelled", &row));
    }
    Ok(back(&hub, &form, &info))
}

/// Whether it was added by this start, which is not over.
fn is_first_start(row: &Server) -> bool {
    !row.name.is_default()
        && matches!(row.state, ServerState::Queued | ServerState::Starting)
        && row.generation == 1
        && row.requested_at == Some(row.created_at)
}

/// Forgets a server that has never been ready; true: it is gone.
async fn forget_unused(hub: &Hub, row: &Server) -> ApiResult<bool> {
    let mut tx = hub.db().write().await?;
    let now = db::servers::get(&mut tx, &row.id).await?;
    let unused = now.is_some_and(|now| {
        now.state == ServerState::Stopped
            && now.generation == row.generation
            && now.ready_at.is_none()
    });
    if !unused || !db::servers::delete(&mut tx, &row.id).await? {
        return Ok(false);
    }
    tx.commit().await?;
    launching::forget(hub, std::slice::from_ref(&row.key)).await;
    Ok(true)
}

/// `POST /hub/servers/remove`: forgets a named server that does not run. Its files stay.
pub async fn remove_form(
    State(hub): State<Hub>,
    caller: Caller,
    Extension(info): Extension<RequestInfo>,
    Form(form): Form<ServerForm>,
) -> ApiResult<Response> {
    let row = wanted(&hub, &caller, &form).await?;
    if row.name.is_default() {
        return Err(ApiError::bad_request(say!("wish.remove_default")));
    }
    let mut tx = hub.db().write().await?;
    let removed = db::servers::delete(&mut tx, &row.id).await?;
    if removed {
        let doer = Doer::of(&caller);
        deeds::note(&mut tx, &row, &doer, What::Removed, hub.now()).await?;
    }
    tx.commit().await?;
    if !removed {
        return Err(ApiError::bad_request(say!("wish.remove_running")));
    }
    if let Some(key) = ServerKey::parse(&row.key) {
        hub.spawner()
            .forget(&key)
            .await
            .map_err(anyhow::Error::from)?;
    }
    Ok(back_without(&hub, &form, &info, "removed", &row))
}

/// The server a form names, if its sender may end it.
async fn wanted(hub: &Hub, caller: &Caller, form: &ServerForm) -> ApiResult<Server> {
    let owner = owner(
        hub,
        if form.user.is_empty() {
            caller.person()?.name.as_str()
        } else {
            &form.user
        },
    )
    .await?;
    let name = ServerName::parse(&form.server).map_err(|_| ApiError::not_found())?;
    if !caller.may(ScopeName::DeleteServers, Target::Server(&owner.name, &name)) {
        return Err(ApiError::not_found());
    }
    let mut tx = hub.db().read().await?;
    db::servers::find(&mut tx, &owner.id, &name)
        .await?
        .ok_or_else(ApiError::not_found)
}

fn back(hub: &Hub, form: &ServerForm, info: &RequestInfo) -> Response {
    match local_target(&hub.base(), &form.next, &info.host) {
        Some(next) => redirect(&hub.base(), &next),
        None => to(hub, "/hub/home"),
    }
}

/// Home says that nothing is left of the server; it can't be seen there any more.
fn back_without(
    hub: &Hub,
    form: &ServerForm,
    info: &RequestInfo,
    what: &'static str,
    row: &Server,
) -> Response {
    let next = local_target(&hub.base(), &form.next, &info.host);
    let own = form.user.is_empty() || form.user == row.user_name.as_str();
    let home = hub.at(home::HOME);
    match own && next.is_none_or(|next| next == home) {
        true => redirect(&hub.base(), &home::after(hub, what, &row.name)),
        false => back(hub, form, info),
    }
}

/// The progress page; it leads on to the server when that is ready.
pub async fn pending(
    State(hub): State<Hub>,
    SignedIn(caller): SignedIn,
    Extension(info): Extension<RequestInfo>,
    headers: HeaderMap,
    Query(query): Query<NextQuery>,
    ServerPath { user, server }: ServerPath,
) -> ApiResult<Response> {
    let owner = owner(&hub, &user).await?;
    let name = ServerName::parse(&server).map_err(|_| ApiError::not_found())?;
    if !caller.may(ScopeName::ReadServers, Target::Server(&owner.name, &name)) {
        return Err(ApiError::not_found());
    }
    let mut tx = hub.db().read().await?;
    let Some(row) = db::servers::find(&mut tx, &owner.id, &name).await? else {
        return Ok(to(&hub, "/hub/home"));
    };
    let steps = db::servers::steps(&mut tx, &row.id, row.generation, 0).await?;
    drop(tx);
    let lang = language(&hub, &headers);
    let base = hub.base();
    let own = prefix(&base, &owner.name, &name);
    let url = local_target(&hub.base(), &query.next, &info.host)
        .map(|next| base.out_of_hub(&next))
        .filter(|next| next.starts_with(&own))
        .unwrap_or(own);
    match row.state {
        ServerState::Ready => {
            crate::proxy::refresh(&hub).await?;
            let target = Target::Server(&owner.name, &name);
            return match caller.may(ScopeName::AccessServers, target) {
                true => enter::lead_to(&hub, &caller, &owner.name, &url).await,
                false => Ok(to(&hub, "/hub/home")),
            };
        }
        // Whoever watched is told; to others home says enough.
        ServerState::Stopped if row.requested_at.is_some() && row.ready_at.is_none() => {
            let may_start = caller.may(ScopeName::StartServers, Target::Server(&owner.name, &name));
            let closed = may_start && notices::is_closed(&hub, &caller);
            let page = NotRunningPage {
                page: frame(&hub, Some(&caller), &info),
                server: home::card(&base, &owner.name, &name, Some(&row), &lang),
                cancelled: true,
                closed,
                start_url: (may_start && !closed)
                    .then(|| start_url(&base, &owner.name, &name, &url, row.course.as_deref())),
            };
            return html(&hub, &headers, StatusCode::OK, "not_running.html", &page);
        }
        ServerState::Stopped => return Ok(to(&hub, "/hub/home")),
        ServerState::Queued
        | ServerState::Starting
        | ServerState::Stopping
        | ServerState::Failed => {}
    }
    let failed = row.state == ServerState::Failed;
    let status = if failed {
        StatusCode::INTERNAL_SERVER_ERROR
    } else {
        StatusCode::OK
    };
    if row.state == ServerState::Stopping {
        let page = StoppingPage {
            page: frame(&hub, Some(&caller), &info),
            server: home::card(&base, &owner.name, &name, Some(&row), &lang),
        };
        return html(&hub, &headers, StatusCode::OK, "stopping.html", &page);
    }
    let page = frame(&hub, Some(&caller), &info);
    let wait = queue::wait_of(&hub, &row).await?;
    let started_at = row.requested_at.unwrap_or(row.created_at);
    let context = ProgressPage {
        server: home::card(&base, &owner.name, &name, Some(&row), &lang),
        percent: steps
            .last()
            .map_or(0, |step| u64::try_from(step.progress).unwrap_or(0)),
        steps: steps
            .into_iter()
            .filter(|step| step.progress < 100)
            .map(|step| Step {
                at: step.at,
                message: step.saying().in_lang(&lang),
            })
            .collect(),
        started_at,
        elapsed: hub.now().0.saturating_sub(started_at) / 1000,
        place: wait.as_ref().map(|wait| wait.place),
        estimate: wait.as_ref().and_then(|wait| wait.estimate),
        own_first: wait.as_ref().is_some_and(|wait| wait.own_first),
        held: wait.and_then(|wait| wait.held).map(hold),
        // A script's request with cookies needs the form token.
        events_url: format!(
            "{}?_xsrf={}&lang={}",
            base.at(&progress(&owner.name, &name)),
            page.xsrf,
            lang.as_str()
        ),
        page,
        url,
        failure: failed.then(|| Failure {
            reason: row
                .why_failed()
                .unwrap_or_else(|| say!("start.no_reason"))
                .sentence(&lang),
            remedy: None,
            code: Some(info.id.clone()),
        }),
        closed: notices::is_closed(&hub, &caller),
        log: if failed {
            log(&hub, &row).await
        } else {
            Vec::new()
        },
    };
    html(&hub, &headers, status, "progress.html", &context)
}

/// What keeps a start back, as pages tell it.
pub(super) fn hold(held: Held) -> Hold {
    let (why, again) = match held {
        Held::Site => ("site", 0),
        Held::Full => ("full", 0),
        Held::Maintenance => ("maintenance", 0),
        Held::Room => ("room", 0),
        Held::Trouble(again) => ("trouble", again),
    };
    Hold { why, again }
}

async fn log(hub: &Hub, row: &Server) -> Vec<String> {
    match ServerKey::parse(&row.key) {
        Some(key) => hub
            .spawner()
            .log_tail(&key, FAILURE_LINES)
            .await
            .unwrap_or_default(),
        None => Vec::new(),
    }
}

async fn owner(hub: &Hub, user: &str) -> ApiResult<User> {
    let mut tx = hub.db().read().await?;
    course_servers::owner(&mut tx, user).await
}

/// The link that starts a server, for a course if it was for one, and leads on to `next`.
pub fn start_url(
    base: &BasePath,
    user: &UserName,
    server: &ServerName,
    next: &str,
    course: Option<&str>,
) -> String {
    let next: String = url::form_urlencoded::byte_serialize(next.as_bytes()).collect();
    // The id of a course needs no encoding. Of a course's own server there is nothing to say.
    let course = course.filter(|_| !user.is_of_course());
    let course = course.map_or_else(String::new, |course| format!("&{COURSE}={course}"));
    base.at(&format!(
        "/hub/spawn/{}?next={next}{course}",
        tail(user, server)
    ))
}

/// The field `next` of a query.
pub(super) fn next_of(query: &[(String, String)]) -> &str {
    let next = query.iter().find(|(name, _)| name == "next");
    next.map_or("", |(_, next)| next)
}

/// The page where it is chosen what is started, which leads on to `next`.
pub(super) fn spawn_url(
    base: &BasePath,
    user: &UserName,
    server: &ServerName,
    next: Option<&str>,
) -> String {
    page_url(base, "spawn", user, server, next)
}

/// The progress page of a server, which leads on to `next`.
pub fn pending_url(
    base: &BasePath,
    user: &UserName,
    server: &ServerName,
    next: Option<&str>,
) -> String {
    page_url(base, "spawn-pending", user, server, next)
}

fn page_url(
    base: &BasePath,
    page: &str,
    user: &UserName,
    server: &ServerName,
    next: Option<&str>,
) -> String {
    let next = next
        .map(|next| url::form_urlencoded::byte_serialize(next.as_bytes()).collect::<String>())
        .map(|next| format!("?next={next}"))
        .unwrap_or_default();
    base.at(&format!("/hub/{page}/{}{next}", tail(user, server)))
}
