//! Who is in a group: the list on its page, and all of it as a file.

use std::sync::Arc;

use axum::extract::Query;
use axum::response::Response;
use lyceum_model::scope::{ScopeName, Target};
use lyceum_store::Tx;
use lyceum_web::page::contexts::admin::{Listing, PersonRow};
use lyceum_web::{ApiError, ApiResult};

use super::people::{self, Sees};
use super::{Visit, csv, groups};
use crate::db;
use crate::db::users::{Search, Sort, User};
use crate::pages::list::{Asked, ListQuery};

pub(super) const FILE: &str = "/hub/admin/group.csv";
/// Who is in it is known to whoever may read the group; more of them by other scopes.
const SEES: Sees = Sees {
    created: false,
    activity: false,
    servers: false,
    blocked: false,
};

fn asked(visit: &Visit, group: &str, query: &ListQuery) -> Asked {
    Asked::read(visit.hub.base(), groups::ONE, query, &["name"]).keep("name", group)
}

pub(super) async fn listing(
    visit: &Visit,
    tx: &mut Tx,
    group: &str,
    query: &ListQuery,
) -> ApiResult<Listing<PersonRow>> {
    let mut asked = asked(visit, group, query);
    let q = asked.q.clone();
    let search = Search {
        filter: &q,
        group: Some(group),
        ..Search::default()
    };
    let total = search.count(tx).await?;
    asked.settle(total);
    let sort = people::sort(asked.sort());
    let users = search.page(tx, sort, asked.offset, asked.limit).await?;
    let rows = rows(visit, tx, users).await?;
    Ok(asked.listing(rows, total, &[("name", true)], Some(FILE)))
}

async fn rows(visit: &Visit, tx: &mut Tx, users: Vec<User>) -> sqlx::Result<Vec<PersonRow>> {
    let names: Vec<_> = users.iter().map(|user| user.name.clone()).collect();
    let mut rows = people::rows(&visit.hub, tx, &visit.caller, SEES, users).await?;
    for (row, name) in rows.iter_mut().zip(&names) {
        row.url = people::page_of(visit, name).unwrap_or_default();
        if row.url.is_empty() {
            (row.admin, row.display_name) = (false, None);
        }
    }
    Ok(rows)
}

/// All that match, in the order of their names.
pub(super) async fn file(visit: Visit, Query(query): Query<ListQuery>) -> ApiResult<Response> {
    let group = query.name.clone();
    (visit.caller).require(ScopeName::ReadGroups, Target::Group(&group))?;
    let mut tx = visit.hub.db().read().await?;
    let found = db::groups::find(&mut tx, &group).await?;
    drop(tx);
    found.ok_or_else(ApiError::not_found)?;
    let q = asked(&visit, &group, &query).q;
    let (still, visit) = (visit.still(), Arc::new(visit));
    let first = Some(String::new());
    let head = ["name", "display_name"];
    csv::answer("members.csv", &head, still, first, move |after| {
        let (visit, group, q) = (visit.clone(), group.clone(), q.clone());
        async move {
            let Some(after) = after else {
                return Ok(None);
            };
            let search = Search {
                filter: &q,
                group: Some(&group),
                after: Some(&after),
                ..Search::default()
            };
            let mut tx = visit.hub.db().read().await?;
            let users = search.page(&mut tx, Sort::Name, 0, csv::PIECE).await?;
            let last = users.last().map(|user| user.name.to_string());
            let rows = rows(&visit, &mut tx, users).await?.into_iter();
            let lines = rows.map(|row| csv::line([row.name, row.display_name.unwrap_or_default()]));
            Ok(last.map(|last| (lines.collect(), Some(last))))
        }
    })
    .await
}
