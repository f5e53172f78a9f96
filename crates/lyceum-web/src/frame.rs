//! Pages of parts beside the hub, in the frame that all pages have: who is logged in, the way
//! around, language, look, and what the operator announces.
//!
//! The frame is the hub's: it alone knows sessions, themes and announcements. It serves a [`Part`]
//! that brings templates with [`Framed`] in each request, and the part's handlers take a [`Visit`].
//!
//! [`Part`]: crate::routes::Part

use std::sync::Arc;

use axum::Json;
use axum::extract::{FromRequestParts, OriginalUri};
use axum::http::request::Parts;
use axum::http::{HeaderMap, Method, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use lyceum_model::base::BasePath;
use lyceum_model::say;
use minijinja::value::{Serde, Value};
use serde::Serialize;
use serde_json::json;

use crate::page::Lang;
use crate::page::contexts::Page;
use crate::request::{RequestInfo, header as header_text};
use crate::{ApiError, ApiResult, Caller};

/// Who makes the frame.
pub trait Frames: Send + Sync + 'static {
    /// What every page shows around its own content.
    fn page(&self, caller: &Caller, info: &RequestInfo) -> Page;

    /// A template filled in; the context has a field `page`.
    fn show(
        &self,
        headers: &HeaderMap,
        status: StatusCode,
        template: &str,
        context: Value,
    ) -> ApiResult<Response>;

    /// Which language the reader has.
    fn language(&self, headers: &HeaderMap) -> Lang;

    /// Below which path the site is.
    fn base(&self) -> BasePath;

    /// To the log-in page, which comes back to what was asked for.
    fn to_login(&self, here: &Uri) -> Response;
}

/// The frame, in a request's extensions.
#[derive(Clone)]
pub struct Framed(pub Arc<dyn Frames>);

/// A browser in which somebody is logged in; others go to the log-in page and come back, and a script
/// that sends something is told.
pub struct Visit {
    pub caller: Caller,
    pub headers: HeaderMap,
    info: RequestInfo,
    frames: Arc<dyn Frames>,
}

impl Visit {
    pub fn page(&self) -> Page {
        self.frames.page(&self.caller, &self.info)
    }

    /// `context` is one of [`crate::page::contexts`].
    pub fn show(
        &self,
        status: StatusCode,
        template: &str,
        context: &impl Serialize,
    ) -> ApiResult<Response> {
        let context = Value::from(Serde(context));
        self.frames.show(&self.headers, status, template, context)
    }

    pub fn language(&self) -> Lang {
        self.frames.language(&self.headers)
    }

    pub fn base(&self) -> BasePath {
        self.frames.base()
    }

    /// A path of ours as browsers see it, from one as routes are registered.
    pub fn at(&self, path: &str) -> String {
        self.base().at(path)
    }
}

/// Something that a page's script sends, which wants to be told in JSON what became of it.
fn is_sent_by_script(parts: &Parts) -> bool {
    let accept = header_text(&parts.headers, header::ACCEPT.as_str());
    let sends = !matches!(parts.method, Method::GET | Method::HEAD);
    sends && accept.is_some_and(|kind| kind.starts_with("application/json"))
}

impl<S: Sync> FromRequestParts<S> for Visit {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Response> {
        let missing = |what: &str| {
            let error = anyhow::anyhow!("a page is served without {what}");
            ApiError::from(error).into_response()
        };
        let frames = parts.extensions.get::<Framed>();
        let Framed(frames) = frames.cloned().ok_or_else(|| missing("its frame"))?;
        let Some(caller) = parts
            .extensions
            .get::<Caller>()
            .filter(|who| who.is_session())
        else {
            let asked = parts.extensions.get::<OriginalUri>();
            let here = asked.map_or(&parts.uri, |OriginalUri(uri)| uri);
            if is_sent_by_script(parts) {
                // To the script the log-in page would look like any other good answer.
                let problem = say!("handin.logged_out").sentence(frames.language(&parts.headers));
                let told = Json(json!({ "problem": problem }));
                return Err((StatusCode::UNAUTHORIZED, told).into_response());
            }
            return Err(frames.to_login(here));
        };
        let info = parts.extensions.get::<RequestInfo>();
        Ok(Self {
            caller: caller.clone(),
            headers: parts.headers.clone(),
            info: info.cloned().ok_or_else(|| missing("its description"))?,
            frames,
        })
    }
}
