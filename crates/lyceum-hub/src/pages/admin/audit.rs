//! Who did what, and from where: the newest first. It tells of administrators too, so it is for those who may
//! change whomever there is; what concerns one person is on her page.

use axum::extract::Query;
use axum::http::StatusCode;
use axum::response::Response;
use lyceum_model::scope::ScopeName;
use lyceum_store::Tx;
use lyceum_web::ApiResult;
use lyceum_web::page::contexts::AuditRow;
use lyceum_web::page::contexts::admin::{AuditPage, PersonAudit};

use super::{Visit, csv, people};
use crate::api::require_everywhere;
use crate::audit::{self, Kind};
use crate::db::audit::Row;
use crate::db::search::audit::{Search, Side};
use crate::db::users::User;
use crate::pages::list::{Asked, ListQuery, number};

pub(super) const LIST: &str = "/hub/admin/audit";
pub(super) const FILE: &str = "/hub/admin/audit.csv";
/// Whoever may see the list.
pub(super) const SCOPE: ScopeName = ScopeName::AdminUsers;
/// On a person's page.
const LATEST: i64 = 10;

const COLUMNS: &[(&str, bool)] = &[
    ("at", false),
    ("what", false),
    ("about", false),
    ("doer", false),
    ("address", false),
    ("detail", false),
];

fn asked(visit: &Visit, query: &ListQuery) -> Asked {
    Asked::read(visit.hub.base(), LIST, query, &["-at"])
        .filter("side", &query.side, &["both", "about", "doer"])
        .filter("kind", &query.kind, Kind::WORDS)
}

fn side(word: &str) -> Side {
    match word {
        "about" => Side::About,
        "doer" => Side::Doer,
        _ => Side::Both,
    }
}

pub(super) async fn show(visit: Visit, Query(query): Query<ListQuery>) -> ApiResult<Response> {
    require_everywhere(&visit.caller, SCOPE)?;
    let mut asked = asked(&visit, &query);
    let q = asked.q.clone();
    let search = Search {
        filter: &q,
        side: side(asked.value("side")),
        kind: Kind::parse(asked.value("kind")),
        ..Search::default()
    };
    let mut tx = visit.hub.db().read().await?;
    let total = search.count(&mut tx).await?;
    asked.settle(total);
    let found = search.page(&mut tx, asked.offset, asked.limit).await?;
    drop(tx);
    let rows: Vec<AuditRow> = found.into_iter().map(|one| row(&visit, one)).collect();
    let page = AuditPage {
        page: visit.page(),
        area: visit.area("audit", &query),
        list: asked.listing(rows, total, COLUMNS, Some(FILE)),
    };
    visit.html(StatusCode::OK, "admin_audit.html", &page)
}

fn row(visit: &Visit, row: Row) -> AuditRow {
    audit::row(row, |name| people::page_of(visit, name))
}

/// The latest about a person, and where there is more.
pub(super) async fn latest(visit: &Visit, tx: &mut Tx, user: &User) -> ApiResult<PersonAudit> {
    let search = Search {
        about: Some(&user.id),
        ..Search::default()
    };
    let total = search.count(tx).await?;
    let found = search.page(tx, 0, LATEST).await?;
    let name: String =
        url::form_urlencoded::byte_serialize(user.name.as_str().as_bytes()).collect();
    let list = format!("{LIST}?q={name}&side=about");
    Ok(PersonAudit {
        rows: found.into_iter().map(|one| row(visit, one)).collect(),
        total: number(total),
        url: visit.sees_all(SCOPE).then(|| visit.hub.at(&list)),
    })
}

/// All that match, the newest first.
pub(super) async fn file(visit: Visit, Query(query): Query<ListQuery>) -> ApiResult<Response> {
    require_everywhere(&visit.caller, SCOPE)?;
    let asked = asked(&visit, &query);
    let (side, kind) = (side(asked.value("side")), Kind::parse(asked.value("kind")));
    let (hub, q) = (visit.hub.clone(), asked.q);
    let head = ["at", "what", "about", "doer", "address", "times", "detail"];
    let first = Some(None::<(i64, String)>);
    csv::answer("audit.csv", &head, visit.still(), first, move |after| {
        let (hub, q) = (hub.clone(), q.clone());
        async move {
            let Some(after) = after else {
                return Ok(None);
            };
            let search = Search {
                filter: &q,
                side,
                kind,
                after: after.as_ref().map(|(at, id)| (*at, &**id)),
                ..Search::default()
            };
            let mut tx = hub.db().read().await?;
            let found = search.page(&mut tx, 0, csv::PIECE).await?;
            let last = found.last().map(|row| (row.at, row.id.clone()));
            let lines = found.into_iter().map(|row| {
                csv::line([
                    csv::moment(Some(row.at)),
                    row.what,
                    row.about_name.unwrap_or_default(),
                    row.doer.unwrap_or_default(),
                    row.address.unwrap_or_default(),
                    row.times.to_string(),
                    row.detail,
                ])
            });
            Ok(last.map(|last| (lines.collect(), Some(Some(last)))))
        }
    })
    .await
}
