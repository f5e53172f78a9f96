//! What is wrong, and how many there are of everything; and the state of the configuration.

use axum::extract::Query;
use axum::http::StatusCode;
use axum::response::Response;
use lyceum_model::scope::ScopeName;
use lyceum_web::ApiResult;
use lyceum_web::page::contexts::admin::{ConfigurationPage, Count, OverviewPage};
use lyceum_web::page::contexts::{ConfigProblem, ConfigState};

use super::list::ListQuery;
use super::{Visit, activity, maintenance, number, people, servers};
use crate::db::search::servers::{Search, Sort};
use crate::servers::State;
use crate::{Hub, db};

const DAY: i64 = 24 * 3_600_000;

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
        let failed = activity::failed_since(now.plus(-DAY).0);
        let (failures, total) = activity::found(&visit, &mut tx, failed, Sort::SinceDown).await?;
        page.failures = failures;
        page.failures_total = total;
    }
    drop(tx);
    visit.html(StatusCode::OK, "admin.html", &page)
}

pub(super) async fn configuration(
    visit: Visit,
    Query(query): Query<ListQuery>,
) -> ApiResult<Response> {
    crate::api::require_everywhere(&visit.caller, ScopeName::ReadHub)?;
    let page = ConfigurationPage {
        page: visit.page(),
        area: visit.area("configuration", &query),
        config: config(&visit),
    };
    visit.html(StatusCode::OK, "admin_configuration.html", &page)
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
        problem: problem(&visit.hub).filter(|_| told),
    }
}

/// What is wrong with the configuration, or else with templates while pages are shown.
fn problem(hub: &Hub) -> Option<ConfigProblem> {
    let settings = hub.settings();
    if let Some((at, text)) = settings.config_state.problem.clone() {
        return Some(ConfigProblem { at, text });
    }
    let troubles = settings.theme.site()?.troubles();
    let lines: Vec<String> = troubles.iter().map(ToString::to_string).collect();
    (!lines.is_empty()).then(|| ConfigProblem {
        at: hub.now().0,
        text: lines.join("\n"),
    })
}
