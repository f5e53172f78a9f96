//! Packing while hashing, unpacking while checking; file work happens on the blocking threads.
//!
//! A blocking thread is taken per chunk, not per blob: a slow sender or reader holds none.

use std::future::Future;
use std::io::{self, Read, Write};
use std::path::Path;
use std::pin::Pin;
use std::task::{Context, Poll};

use anyhow::Context as _;
use lyceum_model::digest::Digest;
use tempfile::NamedTempFile;
use tokio::io::{AsyncRead, AsyncReadExt, ReadBuf};
use tokio::task::{JoinHandle, spawn_blocking};

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
    let mut packer = blocking(move || Packer::new(&folder)).await?;
    let mut chunk = Vec::with_capacity(CHUNK);
    loop {
        chunk.clear();
        // Not one byte more than what shows that the limit is passed.
        let room = limit.saturating_sub(packer.len).saturating_add(1);
        let mut part = (&mut content).take(room.min(CHUNK as u64));
        let read = part
            .read_to_end(&mut chunk)
            .await
            .map_err(BlobError::Content)?;
        if read == 0 {
            break;
        }
        if read as u64 > limit.saturating_sub(packer.len) {
            return Err(BlobError::TooLarge { limit });
        }
        (packer, chunk) = blocking(move || {
            packer.hasher.update(&chunk);
            packer.file.write_all(&chunk)?;
            packer.len += chunk.len() as u64;
            Ok((packer, chunk))
        })
        .await?;
    }
    Ok(blocking(move || packer.finish()).await?)
}

impl Packer {
    fn new(folder: &Path) -> anyhow::Result<Self> {
        let file = NamedTempFile::new_in(folder)
            .with_context(|| format!("making a file in {}", folder.display()))?;
        Ok(Self {
            file: zstd::Encoder::new(file, zstd::DEFAULT_COMPRESSION_LEVEL)?,
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
    Done,
}

struct Unpacker {
    content: Box<dyn Read + Send>,
    hasher: blake3::Hasher,
    digest: Digest,
}

impl BlobReader {
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

impl Unpacker {
    /// The next chunk; an empty one at the end.
    fn read(&mut self, mut chunk: Vec<u8>) -> io::Result<Vec<u8>> {
        chunk.clear();
        let damaged = |why: &dyn std::fmt::Display| {
            let text = format!("the blob {} is damaged: {why}", self.digest);
            io::Error::new(io::ErrorKind::InvalidData, text)
        };
        (&mut self.content)
            .take(CHUNK as u64)
            .read_to_end(&mut chunk)
            .map_err(|error| damaged(&error))?;
        self.hasher.update(&chunk);
        if chunk.is_empty() && self.hasher.finalize() != *self.digest.as_bytes() {
            return Err(damaged(&"its content is not what was written"));
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
