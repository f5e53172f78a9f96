//! For administrators: what is wrong, what runs, who is there.

use lyceum_model::say;
use std::collections::HashMap;

use axum::extract::{Extension, Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use lyceum_model::scope::{ScopeName, Target};
use lyceum_web::page::contexts::{AdminPage, ConfigProblem, ConfigState, Counts, PersonRow, Table};
use lyceum_web::request::RequestInfo;
use lyceum_web::{ApiError, ApiResult};
use serde::Deserialize;

use super::{frame, html};
use crate::db::users::Sort;
use crate::visit::SignedIn;
use crate::{Hub, db};

const PAGE: i64 = 50;

#[derive(Debug, Default, Deserialize)]
pub struct AdminQuery {
    #[serde(default)]
    q: String,
    #[serde(default)]
    sort: String,
    offset: Option<i64>,
    limit: Option<i64>,
}

pub async fn show(
    State(hub): State<Hub>,
    SignedIn(caller): SignedIn,
    Extension(info): Extension<RequestInfo>,
    headers: HeaderMap,
    Query(query): Query<AdminQuery>,
) -> ApiResult<Response> {
    if !caller.may(ScopeName::AdminUi, Target::Everything) {
        return Err(ApiError::forbidden(say!("refused.for_admins")));
    }
    let offset = query.offset.unwrap_or(0).max(0);
    let limit = query.limit.unwrap_or(PAGE).clamp(1, 200);
    let sort = match query.sort.as_str() {
        "-name" => Sort::NameDown,
        "created" => Sort::Created,
        "-created" => Sort::CreatedDown,
        "last_activity" => Sort::Activity,
        "-last_activity" => Sort::ActivityDown,
        _ => Sort::Name,
    };
    let filter: String = query.q.chars().take(128).collect();
    let mut tx = hub.db().read().await?;
    // The page itself opens nothing: what is on it is what she may see.
    let sees_all = |scope| caller.may(scope, Target::Everything);
    let (users, total, everybody) = if sees_all(ScopeName::ListUsers) {
        let everybody = db::users::count(&mut tx, "").await?;
        let total = db::users::count(&mut tx, &filter).await?;
        let users = db::users::list(&mut tx, &filter, sort, offset, limit).await?;
        (users, total, everybody)
    } else {
        let (offset, limit) = (number(offset), number(limit));
        let wanted = filter.to_lowercase();
        let mut named = caller.people(ScopeName::ListUsers);
        let everybody = as_count(named.len());
        named.retain(|name| name.as_str().contains(&wanted));
        let mut users = Vec::new();
        let page = named.iter().skip(as_size(offset)).take(as_size(limit));
        for name in page {
            users.extend(db::users::find(&mut tx, name).await?);
        }
        (users, as_count(named.len()), everybody)
    };
    let counts: HashMap<String, i64> = if sees_all(ScopeName::ReadServers) {
        db::servers::counts(&mut tx).await?.into_iter().collect()
    } else {
        HashMap::new()
    };
    let mut servers = db::servers::for_admin(&mut tx, PAGE).await?;
    servers.retain(|server| {
        let target = Target::Server(&server.user_name, &server.name);
        caller.may(ScopeName::ReadServers, target)
    });
    let busy: HashMap<String, i64> = db::servers::busy_users(&mut tx)
        .await?
        .into_iter()
        .collect();
    drop(tx);
    let count = |state: &str| number(counts.get(state).copied().unwrap_or(0));
    let settings = hub.settings();
    let config = &settings.config_state;
    let context = AdminPage {
        page: frame(&hub, Some(&caller), &info),
        config: ConfigState {
            generation: config.generation,
            loaded_at: config.loaded_at,
            source: (config.source.clone()).filter(|_| sees_all(ScopeName::ReadHub)),
            problem: (config.problem.clone())
                .filter(|_| sees_all(ScopeName::ReadHub))
                .map(|(at, text)| ConfigProblem { at, text }),
        },
        counts: Counts {
            people: number(everybody),
            ready: count("ready"),
            starting: count("starting"),
            waiting: count("queued"),
            failed: count("failed"),
        },
        opens: settings.origins.are_apart() && sees_all(ScopeName::AccessServers),
        servers_total: counts
            .iter()
            .filter(|(state, _)| *state != "stopped")
            .map(|(_, n)| number(*n))
            .sum(),
        servers: servers
            .iter()
            .map(|server| {
                super::home::card(
                    &server.user_name,
                    &server.name,
                    Some(server),
                    super::language(&headers),
                )
            })
            .collect(),
        people: Table {
            rows: users
                .into_iter()
                .map(|user| PersonRow {
                    running: number(busy.get(&user.id).copied().unwrap_or(0)),
                    name: user.name.to_string(),
                    admin: user.admin,
                    created: user.created_at,
                    last_activity: user.last_activity_at,
                })
                .collect(),
            total: number(total),
            offset: number(offset),
            limit: number(limit),
            query: filter,
            sort: if query.sort.is_empty() {
                "name".into()
            } else {
                query.sort.chars().take(20).collect()
            },
        },
    };
    html(&hub, &headers, StatusCode::OK, "admin.html", &context)
}

fn as_count(size: usize) -> i64 {
    i64::try_from(size).unwrap_or(i64::MAX)
}

fn as_size(number: u64) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

fn number(count: i64) -> u64 {
    u64::try_from(count).unwrap_or(0)
}
