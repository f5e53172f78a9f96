//! Zips, made while they are sent: one file of one tree is open at a time.
//!
//! Each is written by a thread of its own, since to compress is work. What stands before a file says
//! nothing of its size, and is as old readers know it, so that a zip can be read while it comes.

pub(crate) mod names;

use std::io::{self, BufWriter, IntoInnerError, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::ensure;
use axum::body::Body;
use axum::http::StatusCode;
use axum::response::Response;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use lyceum_model::saying::Saying;
use lyceum_web::{ApiError, ApiResult};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio::runtime::Handle;
use tokio::time::timeout;
use tokio_util::io::ReaderStream;
use zip::write::{SimpleFileOptions, ZipWriter};
use zip::{CompressionMethod, DateTime};

use self::names::Names;
use super::files::to_keep;
use crate::api::refusal::RETRY_AFTER;
use crate::intake::WholeOrNothing;
use crate::{Exchange, db};

/// What is on its way to the reader.
const PIPE: usize = 256 * 1024;
const PIECE: usize = 64 * 1024;
/// Notebooks get little smaller by more work.
const LEVEL: i64 = 3;
/// As many as every reader of zips knows of; the list at the end is in memory until then, and with it
/// so many bytes of their paths.
const FILES_MAX: i64 = 65_535;
const PATHS_MAX: u64 = 32 * 1024 * 1024;
/// Who takes less for long, in bytes a second, holds a place that others wait for.
const SLOWEST: u64 = 16 * 1024;

/// A tree, and the folder of the zip that it comes into; empty: the top, when there is one tree.
pub(crate) struct Folder {
    pub(crate) name: String,
    pub(crate) tree: String,
    pub(crate) files: i64,
    /// When its files came, in milliseconds.
    pub(crate) at: i64,
}

/// A zip of these under a name that people know it by.
pub(crate) async fn answer(
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
    let (handle, limits) = (Handle::current(), exchange.limits());
    let out = Sink {
        pipe,
        handle: handle.clone(),
        idle: limits.idle,
        sent: 0,
        waited: Duration::ZERO,
        given_up: Arc::default(),
    };
    let (exchange, end) = (exchange.clone(), Instant::now() + limits.total);
    // Ends when nobody reads any more.
    tokio::task::spawn_blocking(move || {
        match write(&exchange, &handle, folders, out, end) {
            Ok(_pipe) => is_whole.store(true, Ordering::SeqCst),
            Err(error) => {
                tracing::warn!(error = format!("{error:#}"), "a zip was not sent whole");
            }
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

/// Gives back what was written to, which has to be open until it is known that all is there.
fn write(
    exchange: &Exchange,
    handle: &Handle,
    folders: Vec<Folder>,
    out: Sink,
    end: Instant,
) -> anyhow::Result<Sink> {
    let mut tops = Names::default();
    let given_up = Arc::clone(&out.given_up);
    let mut zip = ZipWriter::new_stream(BufWriter::with_capacity(PIECE, out));
    // Dropped before the zip, which then writes its end: what broke off must not look whole.
    let _until_done = GiveUp(given_up);
    let mut piece = vec![0; PIECE];
    for folder in folders {
        let files = handle.block_on(async {
            let mut tx = exchange.db().read().await?;
            db::trees::get(&mut tx, &folder.tree).await
        })?;
        let top = match folder.name.as_str() {
            "" => String::new(),
            name => format!("{}/", tops.folder(name)),
        };
        let options = SimpleFileOptions::default()
            .compression_method(CompressionMethod::Deflated)
            .compression_level(Some(LEVEL))
            .unix_permissions(0o644)
            .last_modified_time(moment(folder.at));
        let mut names = Names::default();
        for file in files {
            let name = format!("{top}{}", names.file(file.path.as_str()));
            let mut content = handle.block_on(exchange.blobs().get(file.blob))?;
            // Above that its sizes need a mark of their own.
            let is_large = file.size >= u64::from(u32::MAX);
            zip.start_file(name, options.large_file(is_large))?;
            loop {
                let read = handle.block_on(content.read(&mut piece))?;
                if read == 0 {
                    break;
                }
                zip.write_all(&piece[..read])?;
                ensure!(Instant::now() < end, "it took too long");
            }
        }
    }
    let out = zip.finish()?.into_inner().into_inner();
    Ok(out.map_err(IntoInnerError::into_error)?)
}

/// As a zip keeps it: in steps of two seconds, in no time zone, from 1980 on.
fn moment(at: i64) -> DateTime {
    let at = Timestamp::from_millisecond(at).unwrap_or_default();
    let at = at.to_zoned(TimeZone::UTC).datetime();
    let small = |number: i8| u8::try_from(number).unwrap_or_default();
    DateTime::from_date_and_time(
        u16::try_from(at.year()).unwrap_or_default(),
        small(at.month()),
        small(at.day()),
        small(at.hour()),
        small(at.minute()),
        small(at.second()),
    )
    .unwrap_or_default()
}

/// At its end nothing more goes to the reader.
struct GiveUp(Arc<AtomicBool>);

impl Drop for GiveUp {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

/// What a reader takes, as a thread writes it.
struct Sink {
    pipe: DuplexStream,
    handle: Handle,
    idle: Duration,
    sent: u64,
    /// How long the reader kept us waiting.
    waited: Duration,
    /// Nothing is sent any more.
    given_up: Arc<AtomicBool>,
}

impl Sink {
    fn send(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let late = |what| io::Error::new(io::ErrorKind::TimedOut, what);
        let begun = Instant::now();
        let written = self
            .handle
            .block_on(async { timeout(self.idle, self.pipe.write(bytes)).await });
        let written = written.map_err(|_| late("nobody reads")).flatten()?;
        self.sent += written as u64;
        self.waited += begun.elapsed();
        let is_slow = self.sent < self.waited.as_secs().saturating_mul(SLOWEST);
        match is_slow && self.waited > self.idle {
            true => Err(late("it is read too slowly")),
            false => Ok(written),
        }
    }
}

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.given_up.load(Ordering::SeqCst) {
            return Ok(bytes.len());
        }
        let sent = self.send(bytes);
        if sent.is_err() {
            self.given_up.store(true, Ordering::SeqCst);
        }
        sent
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
