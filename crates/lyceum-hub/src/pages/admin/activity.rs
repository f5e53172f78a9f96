//! What happened lately, as far as rows tell: who was active, the last start of each server, what went
//! wrong with servers, who signed in.

use axum::extract::Query;
use axum::http::StatusCode;
use axum::response::Response;
use lyceum_model::scope::ScopeName;
use lyceum_store::Tx;
use lyceum_web::ApiResult;
use lyceum_web::page::contexts::admin::{ActivityPage, AdminServer, Count, SignInRow};

use super::{Visit, number, people, servers, user_url};
use crate::db::search::servers::{Search, Sort};
use crate::db::search::{failures, sign_ins};
use crate::db::servers::of_ids;
use crate::db::users;
use crate::pages::list::ListQuery;
use crate::sessions::browser;

const HOUR: i64 = 3_600_000;
const DAY: i64 = 24 * HOUR;
/// Rows of each list.
pub(super) const SHOWN: i64 = 20;
/// Of failures here, where all of a bad day are looked for.
const FAILURES_SHOWN: i64 = 200;

pub(super) async fn show(visit: Visit, Query(query): Query<ListQuery>) -> ApiResult<Response> {
    const LIST: ScopeName = ScopeName::ListUsers;
    let among = visit.among(LIST)?;
    let now = visit.hub.now();
    let since = |ago: i64| now.plus(-ago).0;
    let mut tx = visit.hub.db().read().await?;
    let mut page = ActivityPage {
        page: visit.page(),
        area: visit.area("activity", &query),
        ..ActivityPage::default()
    };
    if visit.covers(LIST, ScopeName::ReadUsersActivity) {
        let mut counts = Vec::new();
        for (key, ago) in [("hour", HOUR), ("day", DAY), ("week", 7 * DAY)] {
            let n = sign_ins::active(&mut tx, among.as_ref(), since(ago)).await?;
            counts.push(Count {
                key,
                n: number(n),
                url: None,
            });
        }
        page.active = Some(counts);
        let sort = users::Sort::ActivityDown;
        page.latest = people::first(&visit, &mut tx, LIST, sort, SHOWN).await?;
        page.latest.retain(|row| row.last_activity.is_some());
    }
    if visit.reaches(ScopeName::ReadServers) {
        let day = since(DAY);
        let started = Search {
            started_since: Some(day),
            ..Search::default()
        };
        (page.starts, page.starts_total) = found(&visit, &mut tx, started, Sort::Started).await?;
        (page.failures, page.failures_total) =
            failed_since(&visit, &mut tx, day, FAILURES_SHOWN).await?;
    }
    // When somebody signed in and with which browser is for those who look after her account.
    if visit.covers(LIST, ScopeName::AdminUsers) {
        let day = since(DAY);
        page.sign_ins_total = number(sign_ins::count(&mut tx, among.as_ref(), day).await?);
        let latest = sign_ins::latest(&mut tx, among.as_ref(), day, SHOWN).await?;
        let rows = latest.into_iter().map(|one| SignInRow {
            url: visit.hub.at(&user_url(&one.name)),
            agent: browser(&one.agent.unwrap_or_default()),
            name: one.name,
            at: one.at,
        });
        page.sign_ins = Some(rows.collect());
    }
    drop(tx);
    visit.html(StatusCode::OK, "admin_activity.html", &page)
}

/// What went wrong since then with servers that the visitor may see, the newest first, and how often
/// something did. Each is told with the state that its server is in now: it may be well again.
pub(super) async fn failed_since(
    visit: &Visit,
    tx: &mut Tx,
    since: i64,
    most: i64,
) -> ApiResult<(Vec<AdminServer>, u64)> {
    let among = visit.among(ScopeName::ReadServers)?;
    let total = failures::count(tx, among.as_ref(), since).await?;
    let latest = failures::latest(tx, among.as_ref(), since, most).await?;
    let ids: Vec<String> = latest.iter().map(|one| one.server_id.clone()).collect();
    let known = of_ids(tx, &ids).await?;
    let rows = latest.iter().filter_map(|failed| {
        let server = known.iter().find(|one| one.id == failed.server_id)?;
        let mut row = servers::row(visit, server);
        row.server.reason = Some(failed.why().sentence(visit.lang()));
        row.server.since = Some(failed.at);
        Some(row)
    });
    Ok((rows.collect(), number(total)))
}

/// The first of these servers that the visitor may see, and how many there are.
pub(super) async fn found(
    visit: &Visit,
    tx: &mut Tx,
    search: Search<'_>,
    sort: Sort,
) -> ApiResult<(Vec<AdminServer>, u64)> {
    let search = Search {
        among: visit.among(ScopeName::ReadServers)?,
        ..search
    };
    let total = search.count(tx).await?;
    let found = search.page(tx, sort, 0, SHOWN).await?;
    let rows = found.iter().map(|server| servers::row(visit, server));
    Ok((rows.collect(), number(total)))
}
