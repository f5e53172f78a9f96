//! Zips, made while they are sent: one file of one tree is open at a time.

mod names;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::Context;
use async_zip::tokio::write::ZipFileWriter;
use async_zip::{Compression, ZipEntryBuilder};
use axum::body::Body;
use axum::http::StatusCode;
use axum::response::Response;
use futures_util::AsyncWriteExt;
use lyceum_model::saying::Saying;
use lyceum_web::{ApiError, ApiResult};
use tokio::io::{AsyncReadExt, DuplexStream};
use tokio::time::timeout;
use tokio_util::io::ReaderStream;

use self::names::Names;
use super::files::to_keep;
use crate::api::refusal::RETRY_AFTER;
use crate::intake::WholeOrNothing;
use crate::{Exchange, db};

/// What is on its way to the reader.
const PIPE: usize = 256 * 1024;
const PIECE: usize = 64 * 1024;
/// The list at a zip's end is in memory until then: so many files, and so many bytes of their paths.
const FILES_MAX: i64 = 200_000;
const PATHS_MAX: u64 = 32 * 1024 * 1024;

/// A tree, and the folder of the zip that it comes into; empty: the top, when there is one tree.
pub(super) struct Folder {
    pub(super) name: String,
    pub(super) tree: String,
    pub(super) files: i64,
}

/// A zip of these under a name that people know it by.
pub(super) async fn answer(
    exchange: &Exchange,
    person: &lyceum_model::name::UserName,
    name: &str,
    folders: Vec<Folder>,
) -> ApiResult<Response> {
    let files: i64 = folders.iter().map(|folder| folder.files).sum();
    if files > FILES_MAX {
        let message = format!("these are {files} files; one zip has at most {FILES_MAX}");
        return Err(ApiError::new(StatusCode::CONFLICT, Saying::quote(message)));
    }
    let place = exchange.zips().enter(person).await.ok_or_else(|| {
        let message = "too many downloads at the same time; try again in a moment";
        ApiError::later(
            StatusCode::SERVICE_UNAVAILABLE,
            Saying::quote(message),
            RETRY_AFTER,
        )
    })?;
    let measure = Measure::of(exchange, &folders).await?;
    if measure.paths > PATHS_MAX {
        let message = format!(
            "the paths of these files have {} bytes together; in one zip they have at most {PATHS_MAX}",
            measure.paths
        );
        return Err(ApiError::new(StatusCode::CONFLICT, Saying::quote(message)));
    }
    let (pipe, content) = tokio::io::duplex(PIPE);
    let is_whole = Arc::new(AtomicBool::new(false));
    let content = WholeOrNothing::new(content, is_whole.clone());
    let exchange = exchange.clone();
    // Ends when nobody reads any more.
    tokio::spawn(async move {
        let (idle, total) = (exchange.limits().idle, exchange.limits().total);
        let written = timeout(total, write(&exchange, folders, pipe, idle, &is_whole)).await;
        if let Err(error) = written.context("it took too long").flatten() {
            tracing::warn!(error = format!("{error:#}"), "a zip was not sent whole");
        }
        drop(place);
    });
    let body = Body::from_stream(ReaderStream::with_capacity(content, PIECE));
    Ok(to_keep(&format!("{name}.zip"), "application/zip", body))
}

/// What a zip will hold.
#[derive(Default)]
struct Measure {
    /// Bytes of all paths.
    paths: u64,
}

impl Measure {
    async fn of(exchange: &Exchange, folders: &[Folder]) -> sqlx::Result<Self> {
        let mut measure = Self::default();
        for folder in folders {
            let mut tx = exchange.db().read().await?;
            for file in db::trees::get(&mut tx, &folder.tree).await? {
                let path = folder.name.len() + 1 + file.path.as_str().len();
                measure.paths += path as u64;
            }
        }
        Ok(measure)
    }
}

async fn write(
    exchange: &Exchange,
    folders: Vec<Folder>,
    mut pipe: DuplexStream,
    idle: Duration,
    is_whole: &AtomicBool,
) -> anyhow::Result<()> {
    let mut tops = Names::default();
    let mut zip = ZipFileWriter::with_tokio(&mut pipe);
    for folder in folders {
        let mut tx = exchange.db().read().await?;
        let files = db::trees::get(&mut tx, &folder.tree).await?;
        drop(tx);
        let top = match folder.name.as_str() {
            "" => String::new(),
            name => format!("{}/", tops.folder(name)),
        };
        let mut names = Names::default();
        for file in files {
            let name = format!("{top}{}", names.file(file.path.as_str()));
            let mut content = exchange.blobs().get(file.blob).await?;
            let entry =
                ZipEntryBuilder::new(name.into(), Compression::Deflate).unix_permissions(0o644);
            let begun = timeout(idle, zip.write_entry_stream(entry)).await;
            let mut entry = begun.context("nobody reads")??;
            let mut piece = vec![0; PIECE];
            loop {
                let read = content.read(&mut piece).await?;
                if read == 0 {
                    break;
                }
                let written = timeout(idle, entry.write_all(&piece[..read])).await;
                written.context("nobody reads")??;
            }
            timeout(idle, entry.close())
                .await
                .context("nobody reads")??;
        }
    }
    timeout(idle, zip.close()).await.context("nobody reads")??;
    is_whole.store(true, Ordering::SeqCst);
    Ok(())
}
