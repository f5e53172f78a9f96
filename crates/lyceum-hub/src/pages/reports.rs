//! What browsers and a proxy without pages of its own bring here, at JupyterHub's addresses.

use axum::body::Bytes;
use axum::extract::{Extension, Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use lyceum_model::say;
use lyceum_web::page::contexts::ErrorPage;
use lyceum_web::request::RequestInfo;
use lyceum_web::{ApiError, ApiResult, Caller};
use serde_json::Value;

use super::{frame, html};
use crate::Hub;

/// Of an address in a report, in the log.
const ADDRESS_MAX: usize = 200;
/// Reports that all stand in the log; of those beyond, fewer and fewer.
const ALL_TOLD: u64 = 10;

/// The page of an error, for a proxy that fetches it to show in its own name. So the status is that
/// proxy's to send, and the page itself is well, as in JupyterHub.
pub async fn error_page(
    State(hub): State<Hub>,
    caller: Option<Caller>,
    Extension(info): Extension<RequestInfo>,
    headers: HeaderMap,
    Path(status): Path<String>,
) -> ApiResult<Response> {
    let is_number = status.bytes().all(|byte| byte.is_ascii_digit());
    let known = status.parse().ok().filter(|_| is_number);
    let status =
        known.ok_or_else(|| ApiError::new(StatusCode::NOT_FOUND, say!("refused.no_page")))?;
    let page = ErrorPage {
        page: frame(&hub, caller.as_ref(), &info),
        status,
        ..ErrorPage::default()
    };
    html(&hub, &headers, StatusCode::OK, "error.html", &page)
}

/// What a browser says about a page that tried what its policy forbids. Notebook servers name this
/// address in theirs. As in JupyterHub it takes a session and a form token, so that nobody else's
/// page can fill the log.
pub async fn policy_report(
    State(hub): State<Hub>,
    caller: Caller,
    body: Bytes,
) -> ApiResult<StatusCode> {
    if !caller.is_session() {
        return Err(ApiError::forbidden(say!("refused.no_credentials")));
    }
    let before = hub.metrics().policy_reports.inc();
    if before < ALL_TOLD || before.is_power_of_two() {
        // What can't be read counts all the same.
        let report: Value = serde_json::from_slice(&body).unwrap_or_default();
        let said = |field: &str| shown(&report["csp-report"][field]);
        tracing::warn!(
            who = %caller.who,
            page = said("document-uri"),
            blocked = said("blocked-uri"),
            directive = said("violated-directive"),
            "a browser reports that a page tried what its policy forbids"
        );
    }
    Ok(StatusCode::OK)
}

/// Without what stands behind the path, which may be a secret.
fn shown(value: &Value) -> String {
    let text = value.as_str().unwrap_or_default();
    let text = text.split(['?', '#']).next().unwrap_or_default();
    text.chars().take(ADDRESS_MAX).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_told_of_a_report_is_short_and_no_secret() {
        let check = |value: Value, expect: &str| assert_eq!(shown(&value), expect, "{value}");
        check(
            "https://a.example.edu/lab?token=x".into(),
            "https://a.example.edu/lab",
        );
        check("/lab#token=x".into(), "/lab");
        check(7.into(), "");
        check("x".repeat(1_000).into(), &"x".repeat(ADDRESS_MAX));
    }
}
