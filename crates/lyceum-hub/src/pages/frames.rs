//! The frame of our pages, for parts beside the hub.

use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::Response;
use lyceum_model::base::BasePath;
use lyceum_web::frame::Frames;
use lyceum_web::page::Lang;
use lyceum_web::page::contexts::Page;
use lyceum_web::request::RequestInfo;
use lyceum_web::{ApiResult, Caller};
use minijinja::Value;

use crate::Hub;

pub(crate) struct HubFrames(pub(crate) Hub);

impl Frames for HubFrames {
    fn page(&self, caller: &Caller, info: &RequestInfo) -> Page {
        super::frame(&self.0, Some(caller), info)
    }

    fn show(
        &self,
        headers: &HeaderMap,
        status: StatusCode,
        template: &str,
        context: Value,
    ) -> ApiResult<Response> {
        super::html(&self.0, headers, status, template, &context)
    }

    fn language(&self, headers: &HeaderMap) -> Lang {
        super::language(&self.0, headers)
    }

    fn base(&self) -> BasePath {
        self.0.base()
    }

    fn to_login(&self, here: &Uri) -> Response {
        super::to_login(&self.0.base(), here)
    }
}
