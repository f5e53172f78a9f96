//! Pages of the site's own: privacy, terms of use, imprint. Everybody may read them.

use axum::extract::{Extension, Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use lyceum_model::say;
use lyceum_web::page::contexts::DocumentPage;
use lyceum_web::request::RequestInfo;
use lyceum_web::{ApiError, ApiResult, Caller};

use super::{frame, html};
use crate::Hub;

pub async fn show(
    State(hub): State<Hub>,
    caller: Option<Caller>,
    Extension(info): Extension<RequestInfo>,
    headers: HeaderMap,
    Path(name): Path<String>,
) -> ApiResult<Response> {
    let settings = hub.settings();
    let (kind, document) = settings
        .notices
        .documents
        .get_key_value(name.as_str())
        .ok_or_else(|| ApiError::new(StatusCode::NOT_FOUND, say!("refused.no_page")))?;
    let page = DocumentPage {
        page: frame(&hub, caller.as_ref(), &info),
        kind,
        document: document.clone(),
    };
    html(&hub, &headers, StatusCode::OK, "document.html", &page)
}
