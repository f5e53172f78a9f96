//! Files on their way out, one by one. What people hand in is nothing that a browser shall run or show
//! by itself, so it goes out as something to be kept.

use axum::body::Body;
use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use lyceum_web::{ApiError, ApiResult};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use tokio_util::io::ReaderStream;

use crate::Exchange;
use crate::api::refusal::Refusal;
use crate::tree::TreeFile;

/// What is read of a blob at a time.
const PIECE: usize = 64 * 1024;

/// Which file of several, as `?path=` says it.
pub(crate) struct AskedPath(String);

impl AskedPath {
    pub(crate) fn is(&self, file: &TreeFile) -> bool {
        file.path.as_str() == self.0
    }
}

impl<S: Sync> FromRequestParts<S> for AskedPath {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> ApiResult<Self> {
        let query = parts.uri.query().unwrap_or_default();
        let mut pairs = url::form_urlencoded::parse(query.as_bytes());
        let path = pairs.find(|(key, _)| key == "path");
        let path = path.map(|(_, path)| Self(path.into_owned()));
        path.ok_or_else(|| Refusal::bad("Say which file: ?path=…").into())
    }
}

pub(crate) async fn one(
    exchange: &Exchange,
    files: Vec<TreeFile>,
    path: &AskedPath,
) -> ApiResult<Response> {
    let file = files.into_iter().find(|file| path.is(file));
    let file = file.ok_or_else(|| Refusal::not_found("File"))?;
    let content = exchange
        .blobs()
        .get(file.blob)
        .await
        .map_err(Refusal::from)?;
    let name = file.path.as_str().rsplit('/').next().unwrap_or_default();
    let body = Body::from_stream(ReaderStream::with_capacity(content, PIECE));
    let mut response = to_keep(name, "application/octet-stream", body);
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_LENGTH, file.size.into());
    Ok(response)
}

/// Something under this name that a browser saves.
pub(crate) fn to_keep(name: &str, kind: &'static str, body: Body) -> Response {
    let plain = |c: char| match c {
        c if c.is_ascii_alphanumeric() || " -_.()".contains(c) => c,
        _ => '_',
    };
    let simple: String = name.chars().map(plain).collect();
    let exact = utf8_percent_encode(name, NON_ALPHANUMERIC);
    let disposition = format!("attachment; filename=\"{simple}\"; filename*=UTF-8''{exact}");
    let disposition = HeaderValue::from_str(&disposition);
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static(kind)),
        (
            header::CONTENT_DISPOSITION,
            disposition.unwrap_or(HeaderValue::from_static("attachment")),
        ),
        (
            header::X_CONTENT_TYPE_OPTIONS,
            HeaderValue::from_static("nosniff"),
        ),
        (
            header::CONTENT_SECURITY_POLICY,
            HeaderValue::from_static("sandbox; default-src 'none'"),
        ),
        (
            header::CACHE_CONTROL,
            HeaderValue::from_static("private, no-store"),
        ),
    ];
    (headers, body).into_response()
}
