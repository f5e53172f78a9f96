//! Tokens of all whose tokens one may see.

use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::Response;
use lyceum_model::name::UserName;
use lyceum_model::say;
use lyceum_model::scope::{ScopeName, Target};
use lyceum_web::page::contexts::admin::{AdminToken, TokensPage};
use lyceum_web::{ApiError, ApiResult};

use super::{Tally, Visit, csv, people};
use crate::api;
use crate::db::search::tokens::{Found, Kind, Search, Sort};
use crate::pages::fields::Fields;
use crate::pages::list::{Asked, ListQuery};
use crate::pages::tokens::row as token_row;

pub(super) const LIST: &str = "/hub/admin/tokens";
pub(super) const FILE: &str = "/hub/admin/tokens.csv";

const COLUMNS: &[(&str, bool)] = &[
    ("owner", true),
    ("note", false),
    ("scopes", false),
    ("created", true),
    ("last_used", true),
    ("expires", false),
];

fn asked(visit: &Visit, query: &ListQuery) -> Asked {
    let kinds = &["all", "asked", "oauth", "server"];
    let sorted = ["-created", "owner", "last_used"];
    Asked::read(visit.hub.base(), LIST, query, &sorted).filter("kind", &query.kind, kinds)
}

fn kind(word: &str) -> Option<Kind> {
    match word {
        "asked" => Some(Kind::Asked),
        "oauth" => Some(Kind::OAuth),
        "server" => Some(Kind::Server),
        _ => None,
    }
}

pub(super) async fn show(visit: Visit, Query(query): Query<ListQuery>) -> ApiResult<Response> {
    let mut asked = asked(&visit, &query);
    let q = asked.q.clone();
    let search = Search {
        filter: &q,
        of: None,
        kind: kind(asked.value("kind")),
        among: visit.among(ScopeName::ReadTokens)?,
        now: visit.hub.now().0,
        after: None,
    };
    let mut tx = visit.hub.db().read().await?;
    let total = search.count(&mut tx).await?;
    asked.settle(total);
    let sort = match asked.sort() {
        ("owner", false) => Sort::Owner,
        ("owner", true) => Sort::OwnerDown,
        ("created", false) => Sort::Created,
        ("last_used", false) => Sort::Used,
        ("last_used", true) => Sort::UsedDown,
        _ => Sort::CreatedDown,
    };
    let found = search
        .page(&mut tx, sort, asked.offset, asked.limit)
        .await?;
    drop(tx);
    let rows: Vec<AdminToken> = found.into_iter().map(|found| row(&visit, found)).collect();
    let page = TokensPage {
        page: visit.page(),
        area: visit.area("tokens", &query),
        may_any: rows.iter().any(|row| row.may_revoke),
        list: asked.listing(rows, total, COLUMNS, Some(FILE)),
    };
    visit.html(StatusCode::OK, "admin_tokens.html", &page)
}

fn row(visit: &Visit, found: Found) -> AdminToken {
    let owner = UserName::parse(&found.owner).ok();
    let may = |scope| {
        let owner = owner.as_ref();
        owner.is_some_and(|owner| visit.caller.may(scope, Target::User(owner)))
    };
    AdminToken {
        about: format!("{}/{}", found.owner, found.id),
        owner_url: owner.as_ref().and_then(|name| people::page_of(visit, name)),
        may_revoke: may(ScopeName::Tokens),
        owner: found.owner.clone(),
        token: token_row(found, &visit.lang()),
    }
}

pub(super) async fn file(visit: Visit, Query(query): Query<ListQuery>) -> ApiResult<Response> {
    let asked = asked(&visit, &query);
    let among = visit.among(ScopeName::ReadTokens)?;
    let kind = kind(asked.value("kind"));
    let now = visit.hub.now().0;
    let (hub, q) = (visit.hub.clone(), asked.q);
    let head = [
        "owner",
        "id",
        "note",
        "client",
        "scopes",
        "created",
        "last_used",
        "expires",
    ];
    let first = Some(None::<(String, String)>);
    csv::answer("tokens.csv", &head, visit.still(), first, move |after| {
        let (hub, q, among) = (hub.clone(), q.clone(), among.clone());
        async move {
            let Some(after) = after else {
                return Ok(None);
            };
            let search = Search {
                filter: &q,
                of: None,
                kind,
                among,
                now,
                after: after.as_ref().map(|(owner, id)| (&**owner, &**id)),
            };
            let mut tx = hub.db().read().await?;
            let found = search.page(&mut tx, Sort::Owner, 0, csv::PIECE).await?;
            let last = found.last();
            let last = last.map(|token| (token.owner.clone(), token.id.clone()));
            let lines = found.into_iter().map(|token| {
                let scopes: Vec<String> = serde_json::from_str(&token.scopes).unwrap_or_default();
                csv::line([
                    token.owner,
                    token.id,
                    token.note,
                    token.oauth_client.unwrap_or_default(),
                    scopes.join(" "),
                    csv::moment(Some(token.created_at)),
                    csv::moment(token.last_used_at),
                    csv::moment(token.expires_at),
                ])
            });
            Ok(last.map(|last| (lines.collect(), Some(Some(last)))))
        }
    })
    .await
}

/// `POST /hub/admin/tokens/do`: takes each back that was chosen, `ada/a01…`.
pub(super) async fn act(visit: Visit, form: Fields) -> ApiResult<Response> {
    if form.get("do") != "revoke" {
        return Err(ApiError::bad_request(say!("admin.no_such_action")));
    }
    let mut tally = Tally::default();
    for chosen in form.all("chosen") {
        let Some((owner, id)) = chosen.split_once('/') else {
            tally.note::<()>(Err(ApiError::not_found()));
            continue;
        };
        let path = Path((owner.to_owned(), id.to_owned()));
        let (hub, caller) = (State(visit.hub.clone()), visit.caller.clone());
        tally.note(api::tokens::delete_token(hub, caller, path).await);
    }
    let tally = tally.settle()?;
    Ok(visit.back(&form, LIST, "revoked", &tally))
}
