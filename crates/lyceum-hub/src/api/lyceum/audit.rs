//! Who did what, for programs.

use axum::Json;
use axum::extract::State;
use axum::http::Method;
use axum::response::{IntoResponse, Response};
use jiff::Timestamp;
use lyceum_model::clock::Millis;
use lyceum_model::saying::Saying;
use lyceum_model::scope::ScopeName;
use lyceum_web::routes::Routes;
use lyceum_web::{ApiError, ApiResult, Caller};
use serde_json::{Value, json};

use crate::Hub;
use crate::api::paging::Page;
use crate::api::{body, require_everywhere};
use crate::audit::{self, Kind};
use crate::db::audit::Row;
use crate::db::search::audit::Search;

pub(crate) const AUDIT: &str = "/hub/api/lyceum/audit";

pub(super) fn routes() -> Routes<Hub> {
    Routes::default().scoped(Method::GET, AUDIT, list)
}

/// The newest first. Scope: `admin:users`, as it tells of administrators too.
async fn list(State(hub): State<Hub>, caller: Caller, page: Page) -> ApiResult<Response> {
    require_everywhere(&caller, ScopeName::AdminUsers)?;
    let query = &page.query;
    let given = |key| query.get(key).filter(|text: &&str| !text.is_empty());
    let search = Search {
        person: given("person"),
        kind: given("kind").map(kind).transpose()?.flatten(),
        since: given("since").map(since).transpose()?,
        ..Search::default()
    };
    let mut tx = hub.db().read().await?;
    let total = search.count(&mut tx).await?;
    let found = search.page(&mut tx, page.offset, page.limit).await?;
    drop(tx);
    let items: Vec<Value> = found.into_iter().map(model).collect();
    Ok(Json(page.wrap(items, total)).into_response())
}

fn kind(word: &str) -> ApiResult<Option<Kind>> {
    match Kind::WORDS.contains(&word) {
        true => Ok(Kind::parse(word)),
        false => {
            let words = Kind::WORDS.join(", ");
            let given: String = word.chars().take(60).collect();
            Err(ApiError::bad_request(Saying::quote(format!(
                "kind: {given:?} is not one of {words}"
            ))))
        }
    }
}

fn since(text: &str) -> ApiResult<i64> {
    let at = text.parse::<Timestamp>().map_err(|_| {
        body::wrong(
            "since",
            "a time with its offset such as \"2026-11-30T18:00:00+01:00\"",
        )
    })?;
    Ok(at.as_millisecond())
}

/// How programs see a row; the command line prints the same.
pub fn model(row: Row) -> Value {
    json!({
        "id": row.id,
        "at": Millis(row.at).to_iso(),
        "what": row.what,
        "about": row.about_name,
        "doer": row.doer,
        "address": row.address,
        "times": row.times,
        "detail": audit::detail(&row.detail),
    })
}
