//! What many handlers want of a request, as extractors.

use axum::extract::rejection::PathRejection;
use axum::extract::{FromRequestParts, OriginalUri, Path};
use axum::http::HeaderMap;
use axum::http::request::Parts;
use axum::response::{IntoResponse, Response};
use lyceum_web::request::{self, RequestInfo};
use lyceum_web::{ApiError, Caller};
use serde::Deserialize;

use crate::Hub;
use crate::pages::to_login;

/// Whether a link was followed that a page of another site holds, where it may have been planted.
/// The pages of the visitor's own servers count as ours: their menus lead here.
pub fn is_from_elsewhere(
    hub: &Hub,
    visitor: &Caller,
    headers: &HeaderMap,
    info: &RequestInfo,
) -> bool {
    if !request::is_from_elsewhere(headers, &info.host) {
        return false;
    }
    // A picture in a stranger's notebook is no link that was followed.
    if request::header(headers, "sec-fetch-dest").is_some_and(|dest| dest != "document") {
        return true;
    }
    let page = request::header(headers, "referer").and_then(|page| page.parse::<url::Url>().ok());
    let host = page.as_ref().and_then(url::Url::host_str);
    let origins = &hub.settings().origins;
    !host.is_some_and(|host| {
        let own = visitor
            .person()
            .map(|person| origins.is_of(host, &person.name));
        own.unwrap_or_default()
    })
}

/// A browser that is signed in; others go to the log-in page and come back.
pub struct SignedIn(pub Caller);

impl FromRequestParts<Hub> for SignedIn {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, hub: &Hub) -> Result<Self, Response> {
        match parts.extensions.get::<Caller>() {
            Some(caller) if caller.is_session() => Ok(Self(caller.clone())),
            _ => {
                let asked = parts.extensions.get::<OriginalUri>();
                let here = asked.map_or(&parts.uri, |OriginalUri(uri)| uri);
                Err(to_login(&hub.base(), here))
            }
        }
    }
}

/// The server that a path names: `/…/{user}`, the default one, or `/…/{user}/{server}`.
#[derive(Debug, Deserialize)]
pub struct ServerPath {
    pub user: String,
    #[serde(default)]
    pub server: String,
}

impl<S: Send + Sync> FromRequestParts<S> for ServerPath {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Response> {
        let path: Result<Path<Self>, PathRejection> = Path::from_request_parts(parts, state).await;
        match path {
            Ok(Path(path)) => Ok(path),
            // Bytes that are no text name nobody.
            Err(_) => Err(ApiError::not_found().into_response()),
        }
    }
}
