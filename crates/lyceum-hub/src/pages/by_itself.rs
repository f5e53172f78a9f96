//! The way in that the log-in page takes without being asked, and when it takes none.
//!
//! It is one mechanism for proxies in front and for providers elsewhere. Nobody is sent on who has just logged
//! out, who is told there why her session ended, who asks for the page with all ways in (`?local`), or while
//! codes on paper are good. A refused log-in shows the page at its own address, so that nothing goes round.

use axum::http::{HeaderMap, HeaderValue};
use lyceum_auth::header::METHOD;
use lyceum_web::cookie::{self, Cookie};
use lyceum_web::request::RequestInfo;

use super::{by_header, elsewhere};
use crate::Hub;

/// The page of the log-in, whoever asks for it.
const PAGE: &str = "/hub/login";
/// So long nobody is sent on by herself after a log-out; a log-in ends it.
const LEFT_SECONDS: i64 = 24 * 3_600;

/// Where to send a browser at the log-in page that has nothing to choose there.
pub(super) fn target(
    hub: &Hub,
    info: &RequestInfo,
    headers: &HeaderMap,
    next: &str,
) -> Option<String> {
    if has_left(headers) || hub.sittings_are_near() {
        return None;
    }
    by_header::by_itself(hub, info, headers, next).or_else(|| elsewhere::by_itself(hub, next))
}

/// Whether the log-in page waits for whoever came by this method and has logged out.
pub(super) fn waits(hub: &Hub, method: Option<&str>) -> bool {
    method != Some(METHOD) && hub.sign_in().automatic().is_none()
}

/// Whether somebody has logged out in this browser, and nobody has come in since.
pub(super) fn has_left(headers: &HeaderMap) -> bool {
    cookie::values(headers, cookie::LEFT).next().is_some()
}

/// Remembers that somebody has logged out.
pub(super) fn remember(hub: &Hub, info: &RequestInfo) -> HeaderValue {
    let left = Cookie {
        name: cookie::LEFT,
        value: "1",
        path: &hub.at(PAGE),
        domain: None,
        http_only: true,
        secure: super::secure(hub, info),
        max_age: Some(LEFT_SECONDS),
    };
    left.header()
}

pub(super) fn forget(hub: &Hub, info: &RequestInfo) -> HeaderValue {
    let secure = super::secure(hub, info);
    Cookie::expire(cookie::LEFT, &hub.at(PAGE), None, secure)
}
