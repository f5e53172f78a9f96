//! Servers: who runs what.

use std::time::Duration;

use axum::extract::Query;
use axum::http::StatusCode;
use axum::response::Response;
use lyceum_model::name::ServerName;
use lyceum_model::say;
use lyceum_model::scope::{ScopeName, Target};
use lyceum_web::page::contexts::admin::{AdminServer, ServersPage};
use lyceum_web::{ApiError, ApiResult};
use tokio::time::Instant;

use super::{Tally, Visit, csv, people};
use crate::access;
use crate::api::find_person;
use crate::course_servers;
use crate::db;
use crate::db::search::servers::{Search, Sort};
use crate::db::servers::Server;
use crate::launching::{self, Wish};
use crate::notices;
use crate::pages::fields::Fields;
use crate::pages::home;
use crate::pages::list::{Asked, ListQuery};
use crate::servers::State;
use crate::usage;

pub(super) const LIST: &str = "/hub/admin/servers";
pub(super) const FILE: &str = "/hub/admin/servers.csv";
/// How long a form that stops servers waits to show it done.
const PATIENCE: Duration = Duration::from_secs(5);

const COLUMNS: &[(&str, bool)] = &[
    ("owner", true),
    ("server", false),
    ("state", false),
    ("usage", false),
    ("since", true),
    ("last_activity", true),
];
const STATES: &[&str] = &[
    "busy", "ready", "starting", "stopping", "failed", "stopped", "all",
];

fn asked(visit: &Visit, query: &ListQuery) -> Asked {
    let sorted = ["-since", "owner", "last_activity"];
    Asked::read(visit.hub.base(), LIST, query, &sorted).filter("state", &query.state, STATES)
}

/// The states that a word of ours means; none: all.
fn states(word: &str) -> Option<&'static [State]> {
    Some(match word {
        "busy" => &[
            State::Queued,
            State::Starting,
            State::Ready,
            State::Stopping,
        ],
        "ready" => &[State::Ready],
        "starting" => &[State::Queued, State::Starting],
        "stopping" => &[State::Stopping],
        "failed" => &[State::Failed],
        "stopped" => &[State::Stopped],
        _ => return None,
    })
}

pub(super) async fn show(visit: Visit, Query(query): Query<ListQuery>) -> ApiResult<Response> {
    let among = visit.among(ScopeName::ReadServers)?;
    let mut asked = asked(&visit, &query);
    let search = |asked: &Asked| Search {
        states: states(asked.value("state")),
        among: among.clone(),
        ..Search::default()
    };
    let q = asked.q.clone();
    let mut tx = visit.hub.db().read().await?;
    let total = Search {
        filter: &q,
        ..search(&asked)
    };
    let total = total.count(&mut tx).await?;
    asked.settle(total);
    let sort = match asked.sort() {
        ("owner", false) => Sort::Owner,
        ("owner", true) => Sort::OwnerDown,
        ("since", false) => Sort::Since,
        ("last_activity", false) => Sort::Activity,
        ("last_activity", true) => Sort::ActivityDown,
        _ => Sort::SinceDown,
    };
    let found = Search {
        filter: &q,
        ..search(&asked)
    };
    let found = found.page(&mut tx, sort, asked.offset, asked.limit).await?;
    drop(tx);
    let taken = usage::of(&visit.hub, &found).await;
    let mut rows: Vec<AdminServer> = found.iter().map(|server| row(&visit, server)).collect();
    for (row, server) in rows.iter_mut().zip(&found) {
        let words = taken.get(&server.id).map(|taken| taken.saying());
        row.usage = words.map(|words| words.in_lang(visit.lang()));
    }
    let page = ServersPage {
        page: visit.page(),
        area: visit.area("servers", &query),
        may_any: rows.iter().any(|row| row.may_start || row.may_stop),
        list: asked.listing(rows, total, COLUMNS, Some(FILE)),
    };
    visit.html(StatusCode::OK, "admin_servers.html", &page)
}

/// A server, with what the visitor may do with it as it is now.
pub(super) fn row(visit: &Visit, server: &Server) -> AdminServer {
    let target = Target::Server(&server.user_name, &server.name);
    let may = |scope| visit.caller.may(scope, target);
    let state = server.state;
    let reachable = access::is_for_browser_of(&visit.hub, &visit.caller, &server.user_name);
    let mut card = home::card(
        &visit.hub.base(),
        &server.user_name,
        &server.name,
        Some(server),
        &visit.lang(),
    );
    if !may(ScopeName::Servers) {
        card.log_url = None;
    }
    AdminServer {
        about: format!("{}/{}", server.user_name, server.name),
        owner_url: people::page_of(visit, &server.user_name),
        may_start: state.may_start() && may(ScopeName::StartServers),
        may_stop: state.is_active() && state != State::Stopping && may(ScopeName::DeleteServers),
        may_open: state == State::Ready && reachable && may(ScopeName::AccessServers),
        may_log: card.log_url.is_some(),
        usage: None,
        server: card,
    }
}

pub(super) async fn file(visit: Visit, Query(query): Query<ListQuery>) -> ApiResult<Response> {
    let among = visit.among(ScopeName::ReadServers)?;
    let asked = asked(&visit, &query);
    let states = states(asked.value("state"));
    let (hub, q) = (visit.hub.clone(), asked.q);
    let head = [
        "owner",
        "server",
        "title",
        "state",
        "requested",
        "ready",
        "stopped",
        "last_activity",
        "failure",
    ];
    let first = Some(None::<(String, String)>);
    csv::answer("servers.csv", &head, visit.still(), first, move |after| {
        let (hub, q, among) = (hub.clone(), q.clone(), among.clone());
        async move {
            let Some(after) = after else {
                return Ok(None);
            };
            let search = Search {
                filter: &q,
                states,
                among,
                after: after.as_ref().map(|(user, server)| (&**user, &**server)),
                ..Search::default()
            };
            let mut tx = hub.db().read().await?;
            let found = search.page(&mut tx, Sort::Owner, 0, csv::PIECE).await?;
            let last = found.last();
            let last = last.map(|one| (one.user_name.to_string(), one.name.to_string()));
            let lines = found.into_iter().map(|server| {
                csv::line([
                    server.user_name.to_string(),
                    server.name.to_string(),
                    server.display_name.unwrap_or_default(),
                    server.state.to_string(),
                    csv::moment(server.requested_at),
                    csv::moment(server.ready_at),
                    csv::moment(server.stopped_at),
                    csv::moment(server.last_activity_at),
                    server.failure.unwrap_or_default(),
                ])
            });
            Ok(last.map(|last| (lines.collect(), Some(Some(last)))))
        }
    })
    .await
}

/// `POST /hub/admin/servers/do`: starts or stops each that was chosen, `ada/gpu` or `ada/`.
pub(super) async fn act(visit: Visit, form: Fields) -> ApiResult<Response> {
    let start = match form.get("do") {
        "start" => true,
        "stop" => false,
        _ => return Err(ApiError::bad_request(say!("admin.no_such_action"))),
    };
    let mut tally = Tally::default();
    let mut stopping = Vec::new();
    for chosen in form.all("chosen") {
        let done = match start {
            true => start_one(&visit, chosen).await,
            false => stop_one(&visit, chosen)
                .await
                .map(|server| stopping.push(server)),
        };
        tally.note(done);
    }
    // Most stops are quick; the page that follows then shows them done.
    let deadline = Instant::now() + PATIENCE;
    for server in stopping {
        let left = deadline.saturating_duration_since(Instant::now());
        launching::has_ended(&visit.hub, &server, left).await?;
    }
    let tally = tally.settle()?;
    let done = if start { "started" } else { "stopped" };
    Ok(visit.back(&form, LIST, done, &tally))
}

async fn start_one(visit: &Visit, chosen: &str) -> ApiResult<()> {
    let (owner, name) = named(visit, chosen, ScopeName::StartServers).await?;
    notices::require_open(&visit.hub, &visit.caller).await?;
    let wish = Wish::default().by(&visit.caller);
    launching::start(&visit.hub, &owner, &name, wish).await?;
    tracing::info!(by = %visit.caller.who, user = %owner.name, server = %name, "server started");
    Ok(())
}

async fn stop_one(visit: &Visit, chosen: &str) -> ApiResult<Server> {
    let (owner, name) = named(visit, chosen, ScopeName::DeleteServers).await?;
    let mut tx = visit.hub.db().read().await?;
    let server = db::servers::find(&mut tx, &owner.id, &name).await?;
    drop(tx);
    let server = server.ok_or_else(ApiError::not_found)?;
    launching::stop_by(&visit.hub, &server, &visit.caller).await?;
    tracing::info!(by = %visit.caller.who, user = %owner.name, server = %name, "server stopped");
    Ok(server)
}

/// The server that `ada/gpu` names, for those who hold this scope over it.
async fn named(
    visit: &Visit,
    chosen: &str,
    scope: ScopeName,
) -> ApiResult<(db::users::User, ServerName)> {
    let (owner, name) = chosen.split_once('/').ok_or_else(ApiError::not_found)?;
    let mut tx = visit.hub.db().read().await?;
    let owner = match course_servers::course_named(owner) {
        Some(_) => course_servers::owner(&mut tx, owner).await?,
        None => find_person(&mut tx, &visit.caller, &[scope], owner).await?,
    };
    let name = ServerName::parse(name).map_err(|_| ApiError::not_found())?;
    visit
        .caller
        .require(scope, Target::Server(&owner.name, &name))?;
    Ok((owner, name))
}
