//! The area of administrators: what is wrong, who is there, what runs.
//!
//! Whoever has `admin-ui` may enter; what she sees of it and may do there is what her scopes say, asked
//! in the database, so that pages and counts are right for her. Forms call the operations of the API,
//! which ask once more.

mod activity;
mod audit;
mod csv;
mod groups;
mod invitations;
mod mail_address;
mod maintenance;
mod members;
mod numbers;
mod overview;
mod password_link;
mod people;
mod person;
mod second_factor_off;
mod servers;
mod services;
mod sign_ups;
mod tokens;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderMap, Method, StatusCode};
use axum::response::{IntoResponse, Response};
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use lyceum_model::say;
use lyceum_model::scope::{Filter, Scope, ScopeName, Target};
use lyceum_web::page::Lang;
use lyceum_web::page::contexts::Page;
use lyceum_web::page::contexts::admin::{Area, AreaEntry, Notice};
use lyceum_web::request::RequestInfo;
use lyceum_web::routes::Routes;
use lyceum_web::{ApiError, ApiResult, Caller};
use serde::Serialize;

use super::fields::Fields;
use super::list::{ListQuery, number};
use super::redirect;
use crate::db::users::Among;
use crate::identify;
use crate::next::local_target;
use crate::servers::encode;
use crate::visit::SignedIn;
use crate::{Hub, giving};

const HOME: &str = "/hub/admin";
const NONE_CHOSEN: &str = "none_chosen";

pub fn routes() -> Routes<Hub> {
    let anon = "sends anonymous visitors to the log-in page";
    Routes::default()
        .public(Method::GET, HOME, anon, overview::show)
        .scoped(Method::POST, "/hub/admin/maintenance", maintenance::switch)
        .public(Method::GET, people::LIST, anon, people::show)
        .public(Method::GET, people::FILE, anon, people::file)
        .scoped(Method::POST, "/hub/admin/users/add", people::add)
        .scoped(Method::POST, "/hub/admin/users/do", people::act)
        .public(Method::GET, "/hub/admin/user/{user}", anon, person::show)
        .scoped(Method::POST, "/hub/admin/user/{user}", person::act)
        .public(Method::GET, groups::LIST, anon, groups::show)
        .public(Method::GET, groups::FILE, anon, groups::file)
        .scoped(Method::POST, "/hub/admin/users/invite", invitations::act)
        .scoped(Method::POST, "/hub/admin/users/sign-ups", sign_ups::act)
        .scoped(Method::POST, "/hub/admin/groups/add", groups::add)
        .public(Method::GET, groups::ONE, anon, groups::one)
        .scoped(Method::POST, groups::ONE, groups::act)
        .public(Method::GET, members::FILE, anon, members::file)
        .public(Method::GET, servers::LIST, anon, servers::show)
        .public(Method::GET, servers::FILE, anon, servers::file)
        .scoped(Method::POST, "/hub/admin/servers/do", servers::act)
        .public(Method::GET, "/hub/admin/services", anon, services::show)
        .public(Method::GET, tokens::LIST, anon, tokens::show)
        .public(Method::GET, tokens::FILE, anon, tokens::file)
        .scoped(Method::POST, "/hub/admin/tokens/do", tokens::act)
        .public(Method::GET, "/hub/admin/activity", anon, activity::show)
        .public(Method::GET, audit::LIST, anon, audit::show)
        .public(Method::GET, audit::FILE, anon, audit::file)
        .public(
            Method::GET,
            "/hub/admin/configuration",
            anon,
            overview::configuration,
        )
}

/// A browser of somebody who may enter the area.
pub struct Visit {
    hub: Hub,
    caller: Caller,
    info: RequestInfo,
    headers: HeaderMap,
}

impl FromRequestParts<Hub> for Visit {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, hub: &Hub) -> Result<Self, Response> {
        let caller = match parts.method {
            Method::GET | Method::HEAD => SignedIn::from_request_parts(parts, hub).await?.0,
            _ => {
                let caller =
                    <Caller as FromRequestParts<Hub>>::from_request_parts(parts, hub).await;
                let caller = caller.map_err(IntoResponse::into_response)?;
                if !caller.is_session() {
                    let refused = ApiError::forbidden(say!("refused.for_browsers_not_api"));
                    return Err(refused.into_response());
                }
                caller
            }
        };
        if !caller.may(ScopeName::AdminUi, Target::Everything) {
            return Err(ApiError::forbidden(say!("refused.for_admins")).into_response());
        }
        let info = axum::Extension::<RequestInfo>::from_request_parts(parts, hub).await;
        Ok(Self {
            hub: hub.clone(),
            caller,
            info: info.map_err(IntoResponse::into_response)?.0,
            headers: parts.headers.clone(),
        })
    }
}

/// What stands above a page that is reached from the area and is not of it.
pub(super) fn area_above(
    hub: &Hub,
    caller: &Caller,
    info: &RequestInfo,
    headers: &HeaderMap,
    here: &'static str,
) -> Area {
    let visit = Visit {
        hub: hub.clone(),
        caller: caller.clone(),
        info: info.clone(),
        headers: headers.clone(),
    };
    visit.area(here, &ListQuery::default())
}

impl Visit {
    /// Asks anew whether the visitor is let in with the same rights, for answers that take long.
    fn still(&self) -> impl Fn() -> BoxFuture<'static, bool> + Send + 'static {
        let (hub, caller, headers) = (self.hub.clone(), self.caller.clone(), self.headers.clone());
        move || {
            let (hub, caller, headers) = (hub.clone(), caller.clone(), headers.clone());
            let still = async move { identify::is_still(&hub, &headers, &caller).await };
            still.boxed()
        }
    }

    fn page(&self) -> Page {
        super::frame(&self.hub, Some(&self.caller), &self.info)
    }

    fn html(&self, status: StatusCode, name: &str, page: &impl Serialize) -> ApiResult<Response> {
        super::html(&self.hub, &self.headers, status, name, page)
    }

    fn lang(&self) -> Lang {
        super::language(&self.hub, &self.headers)
    }

    /// What stands above each page of the area.
    fn area(&self, here: &'static str, query: &ListQuery) -> Area {
        let reaches = |scope| self.reaches(scope);
        let entry = |shown: bool, key: &'static str| {
            let url = match key {
                "overview" => self.hub.at(HOME),
                "sittings" => self.hub.at(super::sittings::LIST),
                key => self.hub.at(&format!("{HOME}/{key}")),
            };
            shown.then_some(AreaEntry { key, url })
        };
        let entries = [
            entry(true, "overview"),
            entry(reaches(ScopeName::ListUsers), "users"),
            entry(reaches(ScopeName::ListGroups), "groups"),
            entry(reaches(ScopeName::ReadServers), "servers"),
            entry(reaches(ScopeName::ListServices), "services"),
            entry(reaches(ScopeName::ReadTokens), "tokens"),
            entry(self.holds_all(), "sittings"),
            entry(reaches(ScopeName::ListUsers), "activity"),
            entry(self.sees_all(audit::SCOPE), "audit"),
            entry(self.sees_all(ScopeName::ReadHub), "configuration"),
        ];
        // Words of our own only: the address can come from anywhere.
        let done = [
            "added",
            "blocked",
            "unblocked",
            "joined",
            "left",
            "deleted",
            "changed",
            "started",
            "stopped",
            "revoked",
            "ended",
            "group_added",
            "group_deleted",
            "maintenance_begun",
            "maintenance_ended",
            "withdrawn",
            "approved",
            "turned_down",
            NONE_CHOSEN,
        ];
        let done = done.into_iter().find(|word| *word == query.done);
        Area {
            here,
            entries: entries.into_iter().flatten().collect(),
            notice: done.map(|key| Notice {
                key,
                n: query.n.unwrap_or(0),
                refused: query.refused.unwrap_or(0),
            }),
        }
    }

    /// Whether a scope is held for anything.
    fn reaches(&self, scope: ScopeName) -> bool {
        !self.caller.scopes.reach(scope).is_empty()
    }

    fn sees_all(&self, scope: ScopeName) -> bool {
        self.caller.may(scope, Target::Everything)
    }

    fn holds_all(&self) -> bool {
        giving::holds_all(&self.caller)
    }

    /// Whom a list is narrowed down to for this visitor; nothing: it is not. Refuses who holds the
    /// scope for nothing.
    fn among(&self, scope: ScopeName) -> ApiResult<Option<Among>> {
        if !self.reaches(scope) {
            return Err(crate::api::lacking(&[scope]));
        }
        let mut among = Among::default();
        for filter in self.caller.scopes.reach(scope) {
            match filter {
                Filter::All => return Ok(None),
                Filter::User(name) => among.users.push(name.to_string()),
                Filter::Group(name) => among.groups.push(name),
                Filter::Server { user, server } => {
                    let of_whom = (user.to_string(), server.to_string());
                    among.servers.push(of_whom);
                }
                // They name nobody.
                _ => {}
            }
        }
        Ok(Some(among))
    }

    /// Whether all that `list` reaches may be seen by `scope`, too: then a list can show it, and be
    /// searched and sorted by it.
    fn covers(&self, list: ScopeName, scope: ScopeName) -> bool {
        let reach = self.caller.scopes.reach(list);
        reach.into_iter().all(|filter| {
            let wanted = Scope::new(scope, filter);
            self.caller.scopes.contains(&wanted, &*self.caller.members)
        })
    }

    /// Back to the page that a form was on, which says what was done; `usual` is as routes are
    /// registered.
    fn back(&self, form: &Fields, usual: &str, done: &'static str, tally: &Tally) -> Response {
        let base = self.hub.base();
        let to = local_target(&base, form.get("next"), &self.info.host)
            .filter(|to| {
                let path = to.split('?').next().and_then(|path| base.within(path));
                path.is_some_and(|path| path == HOME || path.starts_with("/hub/admin/"))
            })
            .unwrap_or_else(|| base.at(usual));
        let (path, query) = to.split_once('?').unwrap_or((&to, ""));
        let query = query.split('#').next().unwrap_or_default();
        let mut next = url::form_urlencoded::Serializer::new(String::new());
        for (key, value) in url::form_urlencoded::parse(query.as_bytes()) {
            if !matches!(&*key, "done" | "n" | "refused") {
                next.append_pair(&key, &value);
            }
        }
        let done = if tally.none_chosen { NONE_CHOSEN } else { done };
        next.append_pair("done", done);
        next.append_pair("n", &tally.done.to_string());
        if !tally.refused.is_empty() {
            next.append_pair("refused", &tally.refused.len().to_string());
        }
        redirect(&base, &format!("{path}?{}", next.finish()))
    }
}

/// What a form has done for each of those that were chosen.
#[derive(Default)]
struct Tally {
    done: usize,
    refused: Vec<ApiError>,
    none_chosen: bool,
}

impl Tally {
    fn note<T>(&mut self, result: ApiResult<T>) {
        match result {
            Ok(_) => self.done += 1,
            Err(error) => self.refused.push(error),
        }
    }

    fn one() -> Self {
        Self {
            done: 1,
            ..Self::default()
        }
    }

    /// A button was pressed without a tick anywhere: the page with the list says so.
    fn none_chosen() -> Self {
        Self {
            none_chosen: true,
            ..Self::default()
        }
    }

    /// Where nothing was done, why not.
    fn settle(mut self) -> ApiResult<Self> {
        if self.done > 0 {
            return Ok(self);
        }
        if self.refused.is_empty() {
            return Ok(Self::none_chosen());
        }
        Err(self.refused.swap_remove(0))
    }
}

/// Of a person's page, as routes are registered.
fn user_url(name: &str) -> String {
    format!("{HOME}/user/{}", encode(name))
}

/// Of a group's page, as routes are registered.
fn group_url(name: &str) -> String {
    let name: String = url::form_urlencoded::byte_serialize(name.as_bytes()).collect();
    format!("{}?name={name}", groups::ONE)
}
