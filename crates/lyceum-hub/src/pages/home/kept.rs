//! Pages that were made a moment ago, for whoever asks again: everybody reloads while a lecture begins.
//!
//! One is shown again for as long as nothing was committed since it was looked up, the configuration and the
//! courses are the same, and only for a moment, for it tells times.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use axum::body::{Body, Bytes, to_bytes};
use axum::http::HeaderMap;
use axum::response::Response;
use lyceum_model::clock::Millis;
use lyceum_web::request::RequestInfo;
use lyceum_web::{ApiError, ApiResult, Caller, Credential};

use crate::Hub;
use crate::moment::Moment;
use crate::pages::language;

/// By our clock and by the machine's.
const LONGEST: Duration = Duration::from_secs(5);
/// So many are kept; then it begins anew.
const MOST: usize = 128;
/// What is longer is made anew each time.
const LARGEST: usize = 48 * 1024;
/// No page is longer.
const PAGE_MAX: usize = 16 * 1024 * 1024;

#[derive(Default)]
pub struct Pages(Mutex<HashMap<String, Kept>>);

struct Kept {
    of: Moment,
    since: (Millis, Instant),
    headers: HeaderMap,
    body: Bytes,
}

/// Among the extensions of a page that may be another one at once, though nothing has changed.
#[derive(Clone)]
pub(super) struct Passing;

/// Whose page it is, and in which form. Only browsers have one.
pub(super) fn key(
    hub: &Hub,
    caller: &Caller,
    headers: &HeaderMap,
    info: &RequestInfo,
) -> Option<String> {
    let Credential::Session { binding, .. } = &caller.credential else {
        return None;
    };
    let lang = language(hub, headers);
    let lang = lang.as_str();
    Some(format!("{binding}\n{lang}\n{}\n{}", info.secure, info.host))
}

impl Pages {
    pub(super) fn find(&self, key: &str, now: &Moment, at: Millis) -> Option<Response> {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let page = kept.get(key)?;
        let age = at.since(page.since.0);
        let longest = i64::try_from(LONGEST.as_millis()).unwrap_or_default();
        if !page.of.is(now) || !(0..longest).contains(&age) || page.since.1.elapsed() >= LONGEST {
            kept.remove(key);
            return None;
        }
        let mut response = Response::new(Body::from(page.body.clone()));
        *response.headers_mut() = page.headers.clone();
        Some(response)
    }

    pub(super) async fn keep(
        &self,
        key: String,
        of: Moment,
        at: Millis,
        response: Response,
    ) -> ApiResult<Response> {
        if response.extensions().get::<Passing>().is_some() {
            return Ok(response);
        }
        let (parts, body) = response.into_parts();
        let body = to_bytes(body, PAGE_MAX).await;
        let body = body.map_err(|error| ApiError::from(anyhow::Error::from(error)))?;
        if body.len() <= LARGEST {
            let page = Kept {
                of,
                since: (at, Instant::now()),
                headers: parts.headers.clone(),
                body: body.clone(),
            };
            let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            if kept.len() >= MOST {
                kept.clear();
            }
            kept.insert(key, page);
        }
        Ok(Response::from_parts(parts, Body::from(body)))
    }
}
