//! Packing while hashing, unpacking while checking; file work happens on the blocking threads.
//!
//! A blocking thread is taken per chunk, not per blob: a slow sender or reader holds none. What fits into
//! one chunk, as nearly all files of courses do, is packed and unpacked at once, by machinery that is kept.

use std::fs::File;
use std::future::Future;
use std::io::{self, Read, Write};
use std::path::Path;
use std::pin::Pin;
use std::sync::{Mutex, PoisonError};
use std::task::{Context, Poll};

use anyhow::Context as _;
use lyceum_model::digest::Digest;
use tempfile::NamedTempFile;
use tokio::io::{AsyncRead, AsyncReadExt, ReadBuf};
use tokio::task::{JoinHandle, spawn_blocking};
use zstd::bulk::{Compressor, Decompressor};

use super::BlobError;

/// How much is packed or unpacked at a time.
const CHUNK: usize = 256 * 1024;

/// A finished temporary file, packed and synced, that waits for its name.
pub(super) struct Packed {
    pub file: NamedTempFile,
    pub digest: Digest,
    /// Of the content, before packing.
    pub len: u64,
}

struct Packer {
    // Removed from disk when this is dropped.
    file: zstd::Encoder<'static, NamedTempFile>,
    hasher: blake3::Hasher,
    len: u64,
}

/// Packs `content` into a temporary file in `folder`.
pub(super) async fn pack(
    mut content: impl AsyncRead + Unpin + Send,
    limit: u64,
    folder: &Path,
) -> Result<Packed, BlobError> {
    let folder = folder.to_owned();
    let mut chunk = Vec::new();
    let mut is_last = next(&mut content, &mut chunk, 0, limit).await?;
    if is_last {
        return Ok(blocking(move || pack_whole(&folder, &chunk)).await?);
    }
    let mut packer = blocking(move || Packer::new(&folder)).await?;
    loop {
        (packer, chunk) = blocking(move || {
            packer.hasher.update(&chunk);
            packer.file.write_all(&chunk)?;
            packer.len += chunk.len() as u64;
            Ok((packer, chunk))
        })
        .await?;
        if is_last {
            return Ok(blocking(move || packer.finish()).await?);
        }
        is_last = next(&mut content, &mut chunk, packer.len, limit).await?;
    }
}

/// Puts the next piece into `chunk`, behind `len` bytes; says whether it is the last.
async fn next(
    content: &mut (impl AsyncRead + Unpin + Send),
    chunk: &mut Vec<u8>,
    len: u64,
    limit: u64,
) -> Result<bool, BlobError> {
    chunk.clear();
    let left = limit.saturating_sub(len);
    // Not one byte more than what shows that the limit is passed.
    let room = left.saturating_add(1).min(CHUNK as u64);
    let mut part = content.take(room);
    let read = part.read_to_end(chunk).await.map_err(BlobError::Content)? as u64;
    match read > left {
        true => Err(BlobError::TooLarge { limit }),
        false => Ok(read < room),
    }
}

/// A megabyte each, which to make is dearer than to pack a file.
static PACKERS: Kept<Compressor<'static>> = Kept::new();
static UNPACKERS: Kept<Decompressor<'static>> = Kept::new();

/// A few things that are used again.
struct Kept<T>(Mutex<Vec<T>>);

impl<T> Kept<T> {
    const MOST: usize = 4;

    const fn new() -> Self {
        Self(Mutex::new(Vec::new()))
    }

    fn take(&self) -> Option<T> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).pop()
    }

    fn put(&self, one: T) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() < Self::MOST {
            kept.push(one);
        }
    }
}

fn pack_whole(folder: &Path, content: &[u8]) -> anyhow::Result<Packed> {
    let mut packer = match PACKERS.take() {
        Some(packer) => packer,
        None => Compressor::new(zstd::DEFAULT_COMPRESSION_LEVEL)?,
    };
    let packed = packer.compress(content)?;
    PACKERS.put(packer);
    let mut file = temporary(folder)?;
    file.write_all(&packed)?;
    file.as_file().sync_all()?;
    Ok(Packed {
        file,
        digest: Digest::of(content),
        len: content.len() as u64,
    })
}

fn temporary(folder: &Path) -> anyhow::Result<NamedTempFile> {
    NamedTempFile::new_in(folder).with_context(|| format!("making a file in {}", folder.display()))
}

impl Packer {
    fn new(folder: &Path) -> anyhow::Result<Self> {
        Ok(Self {
            file: zstd::Encoder::new(temporary(folder)?, zstd::DEFAULT_COMPRESSION_LEVEL)?,
            hasher: blake3::Hasher::new(),
            len: 0,
        })
    }

    fn finish(self) -> anyhow::Result<Packed> {
        let file = self.file.finish()?;
        file.as_file().sync_all()?;
        Ok(Packed {
            file,
            digest: Digest::from_bytes(*self.hasher.finalize().as_bytes()),
            len: self.len,
        })
    }
}

/// Runs file work on a blocking thread.
pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> anyhow::Result<T> + Send + 'static,
) -> anyhow::Result<T> {
    spawn_blocking(work)
        .await
        .context("file work was cut off")?
}

/// The content of a blob as a stream. The end is an error when the content does not have the
/// digest under which it was kept.
pub struct BlobReader(State);

enum State {
    /// A chunk to hand out, with how much of it is gone.
    Ready(Box<Unpacker>, Vec<u8>, usize),
    Busy(JoinHandle<io::Result<(Box<Unpacker>, Vec<u8>)>>),
    /// All of it, with how much of it is gone.
    Whole(Vec<u8>, usize),
    /// Nothing of it is handed out.
    Damaged(io::Error),
    Done,
}

struct Unpacker {
    content: Box<dyn Read + Send>,
    hasher: blake3::Hasher,
    digest: Digest,
}

impl BlobReader {
    /// Of a file; blocks.
    pub(super) fn open(mut file: File, digest: Digest) -> io::Result<Self> {
        // What was packed at once says how long it is. Nothing gets much longer by being packed.
        if file.metadata()?.len() > 2 * CHUNK as u64 {
            return Self::new(file, digest);
        }
        let mut packed = Vec::new();
        file.read_to_end(&mut packed)?;
        match Decompressor::upper_bound(&packed) {
            Some(len) if len <= CHUNK => Ok(Self(match unpack_whole(&packed, len, digest) {
                Ok(content) => State::Whole(content, 0),
                Err(error) => State::Damaged(error),
            })),
            _ => Self::new(io::Cursor::new(packed), digest),
        }
    }

    /// `packed` may block when it is read.
    pub(super) fn new(packed: impl Read + Send + 'static, digest: Digest) -> io::Result<Self> {
        let unpacker = Box::new(Unpacker {
            content: Box::new(zstd::Decoder::new(packed)?),
            hasher: blake3::Hasher::new(),
            digest,
        });
        Ok(Self(State::Ready(unpacker, Vec::new(), 0)))
    }
}

fn unpack_whole(packed: &[u8], len: usize, digest: Digest) -> io::Result<Vec<u8>> {
    let mut unpacker = match UNPACKERS.take() {
        Some(unpacker) => unpacker,
        None => Decompressor::new()?,
    };
    let content = unpacker.decompress(packed, len);
    UNPACKERS.put(unpacker);
    let content = content.map_err(|error| damaged(digest, &error))?;
    match Digest::of(&content) == digest {
        true => Ok(content),
        false => Err(damaged(digest, &OTHER)),
    }
}

const OTHER: &str = "its content is not what was written";

fn damaged(digest: Digest, why: &dyn std::fmt::Display) -> io::Error {
    let text = format!("the blob {digest} is damaged: {why}");
    io::Error::new(io::ErrorKind::InvalidData, text)
}

impl Unpacker {
    /// The next chunk; an empty one at the end.
    fn read(&mut self, mut chunk: Vec<u8>) -> io::Result<Vec<u8>> {
        chunk.clear();
        (&mut self.content)
            .take(CHUNK as u64)
            .read_to_end(&mut chunk)
            .map_err(|error| damaged(self.digest, &error))?;
        self.hasher.update(&chunk);
        if chunk.is_empty() && self.hasher.finalize() != *self.digest.as_bytes() {
            return Err(damaged(self.digest, &OTHER));
        }
        Ok(chunk)
    }
}

impl AsyncRead for BlobReader {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        out: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        loop {
            match std::mem::replace(&mut self.0, State::Done) {
                State::Done => return Poll::Ready(Ok(())),
                State::Damaged(error) => return Poll::Ready(Err(error)),
                State::Whole(content, gone) => {
                    let part = (content.len() - gone).min(out.remaining());
                    out.put_slice(&content[gone..gone + part]);
                    if gone + part < content.len() {
                        self.0 = State::Whole(content, gone + part);
                    }
                    return Poll::Ready(Ok(()));
                }
                State::Ready(unpacker, chunk, gone) if gone < chunk.len() => {
                    let part = (chunk.len() - gone).min(out.remaining());
                    out.put_slice(&chunk[gone..gone + part]);
                    self.0 = State::Ready(unpacker, chunk, gone + part);
                    return Poll::Ready(Ok(()));
                }
                State::Ready(mut unpacker, chunk, _) => {
                    self.0 = State::Busy(spawn_blocking(move || {
                        let chunk = unpacker.read(chunk)?;
                        Ok((unpacker, chunk))
                    }));
                }
                State::Busy(mut work) => {
                    let Poll::Ready(done) = Pin::new(&mut work).poll(cx) else {
                        self.0 = State::Busy(work);
                        return Poll::Pending;
                    };
                    let (unpacker, chunk) = done.map_err(io::Error::other)??;
                    if !chunk.is_empty() {
                        self.0 = State::Ready(unpacker, chunk, 0);
                    }
                }
            }
        }
    }
}
