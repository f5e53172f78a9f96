//! What is wrong, and how many there are of everything; and the state of the configuration.

use axum::extract::Query;
use axum::http::StatusCode;
use axum::response::Response;
use lyceum_model::clock::Millis;
use lyceum_model::say;
use lyceum_model::saying::{Saying, size};
use lyceum_model::scope::ScopeName;
use lyceum_spawn::Resource;
use lyceum_store::Tx;
use lyceum_web::ApiResult;
use lyceum_web::page::contexts::admin::{
    ConfigurationPage, Count, FaultyFile, FileMistake, OverviewPage,
};
use lyceum_web::page::contexts::rooms::RoomRow;
use lyceum_web::page::contexts::{ConfigProblem, ConfigState};

use super::{Visit, activity, maintenance, number, people, servers, sign_ups};
use crate::db::search::servers::{Search, Sort};
use crate::pages::list::ListQuery;
use crate::servers::State;
use crate::{Hub, db, jobs, launch, rooms};

const DAY: i64 = 24 * 3_600_000;
/// Meetings that are told of at most.
const ROOMS: usize = 10;
/// Faulty course files that the overview, and the page of the configuration, show at most; and mistakes
/// of one of them.
const FILES_FIRST: usize = 5;
const FILES: usize = 100;
const MISTAKES: usize = 10;

pub(super) async fn show(visit: Visit, Query(query): Query<ListQuery>) -> ApiResult<Response> {
    let now = visit.hub.now();
    let mut tx = visit.hub.db().read().await?;
    let mut page = OverviewPage {
        page: visit.page(),
        area: visit.area("overview", &query),
        sees_config: visit.sees_all(ScopeName::ReadHub),
        config: config(&visit),
        switch: maintenance::shown(&visit),
        ..OverviewPage::default()
    };
    if page.sees_config {
        (page.faulty, page.more_faulty) = faulty_files(&visit.hub, FILES_FIRST);
    }
    if visit.reaches(ScopeName::ListUsers) {
        let search = db::users::Search {
            among: visit.among(ScopeName::ListUsers)?,
            ..db::users::Search::default()
        };
        page.counts.push(Count {
            key: "people",
            n: number(search.count(&mut tx).await?),
            url: Some(visit.hub.at(people::LIST)),
        });
        if visit.covers(ScopeName::ListUsers, ScopeName::AdminUsers) {
            let blocked = db::users::Search {
                blocked: Some(true),
                ..search
            };
            page.blocked = number(blocked.count(&mut tx).await?);
        }
    }
    if let Some(waiting) = sign_ups::shown(&visit, &mut tx).await? {
        page.sign_ups = waiting.len() as u64;
    }
    if visit.reaches(ScopeName::ReadServers) {
        let among = visit.among(ScopeName::ReadServers)?;
        let of = |states: &'static [State]| Search {
            states: Some(states),
            among: among.clone(),
            ..Search::default()
        };
        let kinds: [(&str, &str, &'static [State]); 3] = [
            ("ready", "ready", &[State::Ready]),
            ("starting", "starting", &[State::Queued, State::Starting]),
            ("failed", "failed", &[State::Failed]),
        ];
        for (key, state, states) in kinds {
            page.counts.push(Count {
                key,
                n: number(of(states).count(&mut tx).await?),
                url: Some(visit.hub.at(&format!("{}?state={state}", servers::LIST))),
            });
        }
        let queued = of(&[State::Queued]);
        page.waiting = number(queued.count(&mut tx).await?);
        let first = queued.page(&mut tx, Sort::Since, 0, 1).await?;
        let first = first.first().and_then(|server| server.requested_at);
        page.longest = first.map(|at| now.0.saturating_sub(at) / 1000);
        let stuck = Search {
            stuck: true,
            ..of(&[State::Stopping])
        };
        (page.stuck, page.stuck_total) =
            activity::found(&visit, &mut tx, stuck, Sort::Since).await?;
        let day = now.plus(-DAY).0;
        (page.failures, page.failures_total) =
            activity::failed_since(&visit, &mut tx, day, activity::SHOWN).await?;
    }
    if visit.sees_all(ScopeName::ReadServers) {
        page.rooms = rooms(&visit, &mut tx, now).await?;
        let keeps = page.rooms.iter().any(|room| room.keeps);
        page.no_limit = keeps && rooms::limit(&visit.hub).is_none();
        page.rooms_short = page.rooms.iter().any(|room| !room.short.is_empty());
    }
    if visit.sees_all(ScopeName::ListServices) {
        let settings = visit.hub.settings();
        let rows = db::managed::all(&mut tx).await?;
        let down = rows.into_iter().filter(|row| {
            row.failures > 0
                && row.started_at.is_none()
                && settings.grants.services.contains_key(&row.name)
        });
        page.services_down = down.map(|row| row.name).collect();
    }
    drop(tx);
    visit.html(StatusCode::OK, "admin.html", &page)
}

async fn rooms(visit: &Visit, tx: &mut Tx, now: Millis) -> sqlx::Result<Vec<RoomRow>> {
    let lang = visit.lang();
    let limit = rooms::limit(&visit.hub);
    let mut rows = Vec::new();
    for room in visit.hub.rooms(now).iter().take(ROOMS) {
        let mut short: Vec<Saying> = jobs::rooms::short_of(tx, room)
            .await?
            .into_iter()
            .map(|short| {
                let (needed, free) = (size(short.needed), size(short.free));
                match short.of {
                    Resource::Memory => say!("room.short_memory", needed = needed, free = free),
                    Resource::Disk => say!("room.short_disk", needed = needed, free = free),
                }
            })
            .collect();
        if let Some(limit) = limit
            && let missing @ 1.. = room.people.saturating_sub(limit)
        {
            short.push(say!("room.short_places", limit = limit, missing = missing));
        }
        rows.push(RoomRow {
            course: room.course.clone(),
            title: room.title.clone(),
            people: room.people,
            opens: room.opens.0,
            begins: room.begins.0,
            ends: room.ends.0,
            open: room.is_open(now),
            keeps: room.keeps,
            short: short.iter().map(|saying| saying.in_lang(&lang)).collect(),
        });
    }
    Ok(rows)
}

pub(super) async fn configuration(
    visit: Visit,
    Query(query): Query<ListQuery>,
) -> ApiResult<Response> {
    crate::api::require_everywhere(&visit.caller, ScopeName::ReadHub)?;
    let (faulty, more_faulty) = faulty_files(&visit.hub, FILES);
    let page = ConfigurationPage {
        page: visit.page(),
        area: visit.area("configuration", &query),
        config: config(&visit),
        faulty,
        more_faulty,
    };
    visit.html(StatusCode::OK, "admin_configuration.html", &page)
}

/// The first course files in which something is wrong, and how many more there are.
fn faulty_files(hub: &Hub, most: usize) -> (Vec<FaultyFile>, u64) {
    let all = hub.shelf().faulty_files();
    let more = all.len().saturating_sub(most);
    let shown = all.into_iter().take(most).map(faulty_file);
    (shown.collect(), more as u64)
}

fn faulty_file(file: launch::FaultyFile) -> FaultyFile {
    let more = file.mistakes.len().saturating_sub(MISTAKES);
    let mistakes = file.mistakes.into_iter().take(MISTAKES);
    FaultyFile {
        course: file.course,
        file: file.file,
        mistakes: mistakes
            .map(|mistake| FileMistake {
                line: mistake.line,
                words: mistake.words,
            })
            .collect(),
        more: more as u64,
        holds: file.holds.as_str(),
        written: file.holds.written().map(|at| at.0),
    }
}

/// What may be told of it: paths and errors are for those who may read facts of the hub.
fn config(visit: &Visit) -> ConfigState {
    let settings = visit.hub.settings();
    let state = &settings.config_state;
    let told = visit.sees_all(ScopeName::ReadHub);
    ConfigState {
        generation: state.generation,
        loaded_at: state.loaded_at,
        source: state.source.clone().filter(|_| told),
        problem: (settings.config_problem(visit.hub.now()))
            .filter(|_| told)
            .map(|(at, text)| ConfigProblem { at, text }),
    }
}
