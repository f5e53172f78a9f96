//! Pages of parts beside the hub, in the frame that all pages have: who is logged in, the way
//! around, language, look, and what the operator announces.
//!
//! The frame is the hub's: it alone knows sessions, themes and announcements. It serves a [`Part`]
//! that brings templates with [`Framed`] in each request, and the part's handlers take a [`Visit`].
//!
//! [`Part`]: crate::routes::Part

use std::sync::Arc;

use axum::extract::{FromRequestParts, OriginalUri};
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use lyceum_model::base::BasePath;
use minijinja::value::{Serde, Value};
use serde::Serialize;

use crate::page::Lang;
use crate::page::contexts::Page;
use crate::request::RequestInfo;
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

/// A browser in which somebody is logged in; others go to the log-in page and come back.
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
