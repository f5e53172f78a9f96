//! `/hub/user/…` and `/hub/services/…`: where requests for a server end up that has no route, or not
//! yet; behind the second are servers of courses.

use axum::Json;
use axum::extract::{FromRequestParts, OriginalUri, Path, Query, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use lyceum_model::base::BasePath;
use lyceum_model::name::{ServerName, UserName};
use lyceum_model::say;
use lyceum_model::scope::{ScopeName, Target};
use lyceum_model::who::CourseId;
use lyceum_web::page::contexts::NotRunningPage;
use lyceum_web::request::{RequestInfo, header};
use lyceum_web::{ApiError, ApiResult, Caller};
use serde::Deserialize;
use serde_json::json;

use super::start::{pending_url, start_url};
use super::{enter, frame, home, html, language, redirect, to, to_login};
use crate::db::servers::Server;
use crate::servers::{State as ServerState, encode, prefix, tail};
use crate::standing::Standing;
use crate::visit::SignedIn;
use crate::{Hub, access, course_servers, db, notices};

/// Rounds between proxy and hub before we say that something is wrong.
const ROUNDS_MAX: u32 = 4;

#[derive(Debug, Default, Deserialize)]
pub struct RedirectsQuery {
    redirects: Option<u32>,
}

/// `GET /hub/user-redirect/P`: the same page in the visitor's own server.
pub async fn user_redirect(
    State(hub): State<Hub>,
    SignedIn(caller): SignedIn,
    uri: Uri,
) -> ApiResult<Response> {
    // As it was written: decoding it here would make two folders of `a%2Fb`.
    let here = uri.path_and_query().map_or("", |path| path.as_str());
    let path = here.strip_prefix("/hub/user-redirect/").unwrap_or_default();
    let user = encode(caller.person()?.name.as_str());
    let next = hub.at(&format!("/user/{user}/{path}"));
    let next: String = url::form_urlencoded::byte_serialize(next.as_bytes()).collect();
    Ok(to(&hub, &format!("/hub/spawn/{user}?next={next}")))
}

/// What these pages want of a request.
pub struct Came {
    caller: Option<Caller>,
    info: RequestInfo,
    headers: HeaderMap,
    uri: Uri,
    path: String,
    redirects: u32,
}

impl FromRequestParts<Hub> for Came {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, hub: &Hub) -> Result<Self, Response> {
        let path = Path::<String>::from_request_parts(parts, hub).await;
        let Path(path) = path.map_err(|_| ApiError::not_found().into_response())?;
        let query = Query::<RedirectsQuery>::from_request_parts(parts, hub).await;
        let Query(query) = query.map_err(IntoResponse::into_response)?;
        let extensions = &parts.extensions;
        let info = extensions.get::<RequestInfo>().cloned();
        let asked = extensions.get::<OriginalUri>();
        Ok(Self {
            caller: extensions.get::<Caller>().cloned(),
            info: info.ok_or_else(|| ApiError::not_found().into_response())?,
            headers: parts.headers.clone(),
            uri: asked.map_or(&parts.uri, |OriginalUri(uri)| uri).clone(),
            path,
            redirects: query.redirects.unwrap_or(0),
        })
    }
}

/// `GET /hub/user/…`.
pub async fn not_running(State(hub): State<Hub>, came: Came) -> ApiResult<Response> {
    explain(hub, came, Place::User).await
}

/// `GET /hub/services/…`.
pub async fn course_not_running(State(hub): State<Hub>, came: Came) -> ApiResult<Response> {
    explain(hub, came, Place::Services).await
}

/// Below which path a server is looked for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    User,
    Services,
}

async fn explain(hub: Hub, came: Came, place: Place) -> ApiResult<Response> {
    let Came {
        caller,
        info,
        headers,
        uri,
        path,
        redirects,
    } = came;
    let base = hub.base();
    let Some(caller) = caller else {
        if is_program(&headers, &path) {
            return Err(ApiError::forbidden(say!("refused.no_credentials")));
        }
        return Ok(to_login(&base, &uri));
    };
    let (owner, name, row) = find(&hub, &caller, &path, place).await?;
    // What she wanted: the same address without `/hub` in front.
    let here = uri.path_and_query().map_or("/", |path| path.as_str());
    let wanted = base.out_of_hub(here);
    let state = row.as_ref().map_or(ServerState::Stopped, |row| row.state);
    match state {
        ServerState::Ready if !opens_in_browser(&hub, &caller, &owner, &name).await? => Err(
            ApiError::forbidden(say!("refused.others_server", owner = owner.as_str())),
        ),
        ServerState::Ready => {
            let rounds = redirects;
            if rounds >= ROUNDS_MAX {
                return Err(ApiError::new(
                    StatusCode::INTERNAL_SERVER_ERROR,
                    say!("refused.no_way"),
                ));
            }
            crate::proxy::refresh(&hub).await?;
            enter::lead_to(&hub, &caller, &owner, &with_rounds(&wanted, rounds + 1)).await
        }
        _ if is_program(&headers, &path) => Ok(gone_answer(&base, &owner, &name)),
        ServerState::Queued
        | ServerState::Starting
        | ServerState::Stopping
        | ServerState::Failed => {
            let pending = pending_url(&base, &owner, &name, Some(&wanted));
            Ok(redirect(&base, &pending))
        }
        ServerState::Stopped => {
            let may_start = caller.may(ScopeName::StartServers, Target::Server(&owner, &name));
            let closed = may_start && notices::is_closed(&hub, &caller);
            let lang = language(&hub, &headers);
            let mut server = home::card(&base, &owner, &name, row.as_ref(), &lang);
            server.title = course_servers::title(&hub, &owner).or(server.title);
            let page = NotRunningPage {
                page: frame(&hub, Some(&caller), &info),
                server,
                cancelled: false,
                closed,
                start_url: (may_start && !closed).then(|| {
                    let course = row.as_ref().and_then(|row| row.course.as_deref());
                    start_url(&base, &owner, &name, here, course)
                }),
            };
            html(
                &hub,
                &headers,
                StatusCode::FAILED_DEPENDENCY,
                "not_running.html",
                &page,
            )
        }
    }
}

/// Whether the proxy would let this one's browser in; of programs it is not asked here.
async fn opens_in_browser(
    hub: &Hub,
    caller: &Caller,
    owner: &UserName,
    name: &ServerName,
) -> ApiResult<bool> {
    let settings = hub.settings();
    if !caller.is_session() || caller.is(owner) || settings.origins.are_apart() {
        return Ok(true);
    }
    let mut tx = hub.db().read().await?;
    let visitor = db::users::get(&mut tx, &caller.person()?.id).await?;
    let visitor = visitor.ok_or_else(ApiError::not_found)?;
    let standing = Standing::of_user(hub, &mut tx, &visitor).await?;
    let target = Target::Server(owner, name);
    let verdict = access::for_browsers(&settings, &standing, visitor.admin).allows(
        ScopeName::AccessServers,
        target,
        standing.members(),
    );
    Ok(verdict.is_yes())
}

/// A write to a server that is not there: nothing is lost, the client keeps it and says so.
pub async fn gone(
    State(hub): State<Hub>,
    caller: Caller,
    Path(path): Path<String>,
) -> ApiResult<Response> {
    let (owner, name, _) = find(&hub, &caller, &path, Place::User).await?;
    Ok(gone_answer(&hub.base(), &owner, &name))
}

/// The same of a course's server.
pub async fn course_gone(
    State(hub): State<Hub>,
    caller: Caller,
    Path(path): Path<String>,
) -> ApiResult<Response> {
    let (owner, name, _) = find(&hub, &caller, &path, Place::Services).await?;
    Ok(gone_answer(&hub.base(), &owner, &name))
}

/// The same for a path outside of the hub's, without a look at who asks or whether there ever was
/// such a server; none of a path at which there can't be one.
pub fn gone_outside(hub: &Hub, path: &str) -> Option<Response> {
    let first = |rest: &str| rest.split('/').next().unwrap_or_default().to_owned();
    if let Some(rest) = path.strip_prefix("/user/") {
        let user = first(rest);
        let base = hub.base();
        let own = base.at(&format!("/user/{user}/"));
        return (!user.is_empty()).then(|| gone_at(&base, &own, &user));
    }
    let course = CourseId::parse(&first(path.strip_prefix("/services/")?))?;
    // Where courses have servers any name may be one's: which are, strangers don't learn here.
    if hub.shelf().servers().there.is_empty() {
        return None;
    }
    // One without an address is found nowhere, but it is no course.
    if hub.settings().grants.services.contains_key(course.as_str()) {
        return None;
    }
    let owner = UserName::of_course(&course);
    Some(gone_answer(&hub.base(), &owner, &ServerName::default()))
}

fn gone_answer(base: &BasePath, owner: &UserName, name: &ServerName) -> Response {
    gone_at(base, &prefix(base, owner, name), &tail(owner, name))
}

/// Always JSON: whoever writes is a program, whatever it says it accepts.
fn gone_at(base: &BasePath, own: &str, tail: &str) -> Response {
    let anew = base.at(&format!("/hub/spawn/{tail}"));
    let message = format!("The server is no longer running at {own}. Restart the server at {anew}");
    (
        StatusCode::FAILED_DEPENDENCY,
        Json(json!({ "status": 424, "message": message })),
    )
        .into_response()
}

/// Whose server a path is about: a named one when there is one of that name, else the default.
async fn find(
    hub: &Hub,
    caller: &Caller,
    path: &str,
    place: Place,
) -> ApiResult<(UserName, ServerName, Option<Server>)> {
    let mut segments = path.split('/');
    if place == Place::Services {
        return find_of_course(hub, caller, segments.next().unwrap_or_default()).await;
    }
    let owner = segments
        .next()
        .and_then(|text| UserName::parse(text).ok())
        .ok_or_else(ApiError::not_found)?;
    let second = segments
        .next()
        .and_then(|text| ServerName::parse(text).ok())
        .filter(|name| !name.is_default());
    let mut tx = hub.db().read().await?;
    let user = db::users::find(&mut tx, &owner)
        .await?
        .ok_or_else(ApiError::not_found)?;
    if let Some(name) = second
        && let Some(row) = db::servers::find(&mut tx, &user.id, &name).await?
        && caller.may(ScopeName::AccessServers, Target::Server(&owner, &name))
    {
        return Ok((owner, name, Some(row)));
    }
    let name = ServerName::default();
    if !caller.may(ScopeName::AccessServers, Target::Server(&owner, &name)) {
        return Err(ApiError::not_found());
    }
    let row = db::servers::find(&mut tx, &user.id, &name).await?;
    Ok((owner, name, row))
}

async fn find_of_course(
    hub: &Hub,
    caller: &Caller,
    course: &str,
) -> ApiResult<(UserName, ServerName, Option<Server>)> {
    let course = CourseId::parse(course).ok_or_else(ApiError::not_found)?;
    let (owner, name) = (UserName::of_course(&course), ServerName::default());
    if !caller.may(ScopeName::AccessServers, Target::Server(&owner, &name)) {
        return Err(ApiError::not_found());
    }
    let mut tx = hub.db().read().await?;
    let row = match db::users::find(&mut tx, &owner).await? {
        Some(account) => db::servers::find(&mut tx, &account.id, &name).await?,
        None => None,
    };
    let is_active = row.as_ref().is_some_and(|row| row.state.is_active());
    // Administrators may open every server; one that a course does not have is not there for them.
    if !is_active && course_servers::find(hub, &course).is_none() {
        return Err(ApiError::not_found());
    }
    Ok((owner, name, row))
}

fn is_program(headers: &HeaderMap, path: &str) -> bool {
    path.split('/')
        .skip(1)
        .take(2)
        .any(|segment| segment == "api")
        || header(headers, "accept").is_some_and(|accept| accept.contains("application/json"))
}

fn with_rounds(path: &str, rounds: u32) -> String {
    let (path, query) = path.split_once('?').unwrap_or((path, ""));
    let kept: Vec<&str> = query
        .split('&')
        .filter(|pair| !pair.is_empty() && !pair.starts_with("redirects="))
        .collect();
    let mut query = kept.join("&");
    if !query.is_empty() {
        query.push('&');
    }
    format!("{path}?{query}redirects={rounds}")
}

#[cfg(test)]
mod tests {
    use super::with_rounds;

    #[test]
    fn rounds_are_counted() {
        assert_eq!(with_rounds("/user/ada/lab", 1), "/user/ada/lab?redirects=1");
        assert_eq!(
            with_rounds("/user/ada/lab?x=1&redirects=1", 2),
            "/user/ada/lab?x=1&redirects=2"
        );
    }
}
