//! What goes out as files. Feedback is what a program wrote about work of a student, so there may be
//! anything in it: looked at, it is a page of no site, which runs nothing, loads nothing and sends no
//! form. A link in it leads on, as links do, without saying from where.

use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::{HeaderName, HeaderValue, header};
use axum::response::{IntoResponse, Response};
use lyceum_web::{ApiError, ApiResult};
use tokio_util::io::ReaderStream;

use super::{Reader, in_words, shown};
use crate::api::native::feedback::FeedbackFiles;
use crate::api::native::files::AskedPath;
use crate::api::native::held::{self, Holder};
use crate::api::native::submissions;
use crate::api::refusal::Refusal;
use crate::{Exchange, db};

/// What is read of a file at a time.
const PIECE: usize = 64 * 1024;
/// `sandbox` without `allow-scripts` and without `allow-same-origin`.
const SEALED: &str = "sandbox; default-src 'none'; style-src 'unsafe-inline'; img-src data:; \
     font-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

pub(super) async fn zip<H: Holder>(
    exchange: State<Exchange>,
    reader: Reader,
    holder: Path<H>,
) -> ApiResult<Response> {
    held::zip(exchange, reader.asker, holder)
        .await
        .map_err(in_words)
}

pub(super) async fn one<H: Holder>(
    exchange: State<Exchange>,
    reader: Reader,
    holder: Path<H>,
    path: AskedPath,
) -> ApiResult<Response> {
    let sent = held::one(exchange, reader.asker, holder, path).await;
    sent.map_err(in_words)
}

pub(super) async fn receipt(
    exchange: State<Exchange>,
    reader: Reader,
    path: Path<(String, String)>,
) -> ApiResult<Response> {
    let sent = submissions::get_receipt(exchange, reader.asker, path).await;
    sent.map_err(in_words)
}

/// Everybody's newest; for others than those who grade it is not there.
pub(super) async fn zip_of_assignment(
    State(exchange): State<Exchange>,
    reader: Reader,
    Path((course, assignment)): Path<(String, String)>,
) -> ApiResult<Response> {
    let mut tx = exchange.db().read().await?;
    reader.enter_to_grade(&exchange, &mut tx, &course).await?;
    drop(tx);
    let path = Path((course, assignment));
    let sent = submissions::get_zip_of_assignment(State(exchange), reader.asker, path).await;
    sent.map_err(in_words)
}

/// A page among what came back, as it is, and sealed.
pub(super) async fn look_at_feedback(
    State(exchange): State<Exchange>,
    reader: Reader,
    Path(holder): Path<FeedbackFiles>,
    path: AskedPath,
) -> ApiResult<Response> {
    let mut tx = exchange.db().read().await?;
    let held = holder.find(&exchange, &mut tx, &reader.asker).await;
    let held = held.map_err(in_words)?;
    let files = db::trees::get(&mut tx, &held.tree).await?;
    drop(tx);
    let file = files.into_iter().find(|file| path.is(file));
    let file = file
        .filter(shown::is_page)
        .ok_or_else(ApiError::not_found)?;
    let content = exchange
        .blobs()
        .get(file.blob)
        .await
        .map_err(Refusal::from)?;
    let sealed: [(HeaderName, HeaderValue); 6] = [
        (
            header::CONTENT_TYPE,
            HeaderValue::from_static("text/html; charset=utf-8"),
        ),
        (
            header::CONTENT_SECURITY_POLICY,
            HeaderValue::from_static(SEALED),
        ),
        (
            header::X_CONTENT_TYPE_OPTIONS,
            HeaderValue::from_static("nosniff"),
        ),
        (
            header::REFERRER_POLICY,
            HeaderValue::from_static("no-referrer"),
        ),
        // Names of hosts in it are not looked up before somebody goes there.
        (
            header::X_DNS_PREFETCH_CONTROL,
            HeaderValue::from_static("off"),
        ),
        // No `Cross-Origin-Opener-Policy`: browsers don't show what is sandboxed and has one.
        (
            header::CACHE_CONTROL,
            HeaderValue::from_static("private, no-store"),
        ),
    ];
    let body = Body::from_stream(ReaderStream::with_capacity(content, PIECE));
    Ok((sealed, body).into_response())
}
