//! The file of a backup: entries in, entries out, and a digest over all of it at its end.
//!
//! Packing and unpacking run on a blocking thread of their own with a short queue to the async
//! side, so memory is bounded by a few pieces. Long things are cut into pieces of [`PIECE`] bytes.
//!
//! The digest stands in a skippable frame behind the compressed stream, so `zstd` and `tar` still
//! read the file.

use std::io::{self, Read, Seek, SeekFrom, Write};

use anyhow::{Context, bail, ensure};
use lyceum_model::digest::Digest;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::sync::mpsc;
use tokio::task::{JoinHandle, spawn_blocking};

/// Bytes of one entry at most; longer things have several.
pub const PIECE: usize = 1024 * 1024;
/// The header may name many tables, but not that many.
const ENTRY_MAX: u64 = 16 * 1024 * 1024;
const QUEUE: usize = 4;

/// A skippable frame of zstd (RFC 8878, 3.1.2): magic, length, then what decoders pass over.
const TRAILER_HEAD: [u8; 16] = *b"\x5e\x2a\x4d\x18\x28\x00\x00\x00lyceum01";
const TRAILER_LEN: usize = TRAILER_HEAD.len() + 32;

struct Entry {
    name: String,
    bytes: Vec<u8>,
}

/// Writes entries; without [`ArchiveWriter::finish`] the file stays without its end.
pub(super) struct ArchiveWriter<W> {
    /// `None` is the end.
    entries: mpsc::Sender<Option<Entry>>,
    packing: JoinHandle<anyhow::Result<W>>,
}

impl<W: Write + Send + 'static> ArchiveWriter<W> {
    pub(super) fn start(out: W) -> Self {
        let (entries, queue) = mpsc::channel(QUEUE);
        let packing =
            spawn_blocking(move || write_entries(out, queue).context("writing the archive"));
        Self { entries, packing }
    }

    pub(super) async fn put(
        &mut self,
        name: impl Into<String>,
        bytes: Vec<u8>,
    ) -> anyhow::Result<()> {
        let entry = Entry {
            name: name.into(),
            bytes,
        };
        if self.entries.send(Some(entry)).await.is_ok() {
            return Ok(());
        }
        // It has stopped because of an error, which says more than ours.
        (&mut self.packing).await??;
        bail!("writing the archive has stopped")
    }

    pub(super) async fn put_json(
        &mut self,
        name: &str,
        content: &impl Serialize,
    ) -> anyhow::Result<()> {
        self.put(name, serde_json::to_vec_pretty(content)?).await
    }

    pub(super) async fn finish(self) -> anyhow::Result<W> {
        // When this can't be sent, the error comes with the next line.
        let _ = self.entries.send(None).await;
        self.packing.await?
    }
}

fn write_entries<W: Write>(out: W, mut queue: mpsc::Receiver<Option<Entry>>) -> anyhow::Result<W> {
    let hashing = Hashing {
        out,
        hasher: blake3::Hasher::new(),
    };
    let mut packer = zstd::Encoder::new(hashing, zstd::DEFAULT_COMPRESSION_LEVEL)?;
    packer.include_checksum(true)?;
    let mut tar = tar::Builder::new(packer);
    loop {
        match queue.blocking_recv() {
            Some(Some(Entry { name, bytes })) => {
                let mut header = tar::Header::new_gnu();
                header.set_size(bytes.len() as u64);
                header.set_mode(0o600);
                tar.append_data(&mut header, name, bytes.as_slice())?;
            }
            Some(None) => break,
            None => bail!("the backup was cut off"),
        }
    }
    let Hashing { mut out, hasher } = tar.into_inner()?.finish()?;
    out.write_all(&TRAILER_HEAD)?;
    out.write_all(hasher.finalize().as_bytes())?;
    out.flush()?;
    Ok(out)
}

struct Hashing<W> {
    out: W,
    hasher: blake3::Hasher,
}

impl<W: Write> Write for Hashing<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.out.write(bytes)?;
        self.hasher.update(&bytes[..written]);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

/// One long thing, written in pieces `FOLDER/000000`, `FOLDER/000001` …; there is always a first.
pub(super) struct Stream<'a, W> {
    writer: &'a mut ArchiveWriter<W>,
    folder: String,
    number: u32,
    piece: Vec<u8>,
    hasher: blake3::Hasher,
    len: u64,
}

impl<'a, W: Write + Send + 'static> Stream<'a, W> {
    pub(super) fn new(writer: &'a mut ArchiveWriter<W>, folder: String) -> Self {
        Self {
            writer,
            folder,
            number: 0,
            piece: Vec::new(),
            hasher: blake3::Hasher::new(),
            len: 0,
        }
    }

    pub(super) async fn write(&mut self, mut bytes: &[u8]) -> anyhow::Result<()> {
        self.hasher.update(bytes);
        self.len += bytes.len() as u64;
        while !bytes.is_empty() {
            let (now, later) = bytes.split_at(bytes.len().min(PIECE - self.piece.len()));
            self.piece.extend_from_slice(now);
            bytes = later;
            if self.piece.len() == PIECE {
                self.put_piece().await?;
            }
        }
        Ok(())
    }

    pub(super) async fn finish(mut self) -> anyhow::Result<(Digest, u64)> {
        if self.number == 0 || !self.piece.is_empty() {
            self.put_piece().await?;
        }
        Ok((
            Digest::from_bytes(*self.hasher.finalize().as_bytes()),
            self.len,
        ))
    }

    async fn put_piece(&mut self) -> anyhow::Result<()> {
        let name = piece_name(&self.folder, self.number);
        self.number += 1;
        self.writer.put(name, std::mem::take(&mut self.piece)).await
    }
}

fn piece_name(folder: &str, number: u32) -> String {
    format!("{folder}/{number:06}")
}

/// Reads entries in their order.
pub(super) struct Archive {
    entries: mpsc::Receiver<anyhow::Result<Entry>>,
    /// Looked at, not yet taken.
    next: Option<Entry>,
}

impl Archive {
    /// Checks the whole file against the digest at its end, then starts to unpack.
    pub(super) async fn open(file: impl Read + Seek + Send + 'static) -> anyhow::Result<Self> {
        let (file, len) = spawn_blocking(move || check_whole(file)).await??;
        let (to, entries) = mpsc::channel(QUEUE);
        spawn_blocking(move || {
            if let Err(error) = read_entries(file.take(len), &to) {
                // Nobody listens any more when the restore has failed already.
                let _ = to.blocking_send(Err(error.context("reading the archive")));
            }
        });
        Ok(Self {
            entries,
            next: None,
        })
    }

    async fn peek(&mut self) -> anyhow::Result<Option<&Entry>> {
        if self.next.is_none() {
            self.next = self.entries.recv().await.transpose()?;
        }
        Ok(self.next.as_ref())
    }

    /// The entry that must come now.
    pub(super) async fn take(&mut self, name: &str) -> anyhow::Result<Vec<u8>> {
        self.peek().await?;
        match self.next.take() {
            Some(entry) if entry.name == name => Ok(entry.bytes),
            Some(entry) => bail!("the archive has {} where {name} should be", entry.name),
            None => bail!("the archive ends where {name} should be"),
        }
    }

    pub(super) async fn take_json<T: DeserializeOwned>(&mut self, name: &str) -> anyhow::Result<T> {
        let bytes = self.take(name).await?;
        serde_json::from_slice(&bytes).with_context(|| format!("reading {name} of the archive"))
    }

    /// The next piece of what is in `folder`; none when that has ended.
    pub(super) async fn next_piece(
        &mut self,
        folder: &str,
        number: u32,
    ) -> anyhow::Result<Option<Vec<u8>>> {
        let name = piece_name(folder, number);
        match self.peek().await? {
            Some(entry) if entry.name == name => Ok(Some(self.take(&name).await?)),
            _ if number == 0 => bail!("the archive does not have {name} where it should be"),
            _ => Ok(None),
        }
    }

    /// `NAME` when `ABOVE/NAME/…` comes now.
    pub(super) async fn next_folder(&mut self, above: &str) -> anyhow::Result<Option<String>> {
        let Some(entry) = self.peek().await? else {
            return Ok(None);
        };
        let below = entry.name.strip_prefix(above);
        let below = below.and_then(|below| below.strip_prefix('/'));
        Ok(below.and_then(|below| Some(below.split_once('/')?.0.to_owned())))
    }

    /// Makes sure that nothing comes any more.
    pub(super) async fn end(mut self) -> anyhow::Result<()> {
        match self.peek().await? {
            None => Ok(()),
            Some(entry) => bail!("the archive has {} behind its end", entry.name),
        }
    }
}

/// Gives the file at its start, and how long its compressed part is.
fn check_whole<R: Read + Seek>(mut file: R) -> anyhow::Result<(R, u64)> {
    let whole = file.seek(SeekFrom::End(0))?;
    let cut = "this is no backup of Lyceum, or its end is missing";
    let len = whole.checked_sub(TRAILER_LEN as u64).context(cut)?;
    file.seek(SeekFrom::Start(len))?;
    let mut trailer = [0; TRAILER_LEN];
    file.read_exact(&mut trailer)?;
    let digest = trailer.strip_prefix(&TRAILER_HEAD).context(cut)?;
    file.rewind()?;
    let mut hasher = blake3::Hasher::new();
    hasher.update_reader((&mut file).take(len))?;
    ensure!(
        hasher.finalize().as_bytes() == digest,
        "the archive is damaged: it is not what was written; use another copy"
    );
    file.rewind()?;
    Ok((file, len))
}

fn read_entries(packed: impl Read, to: &mpsc::Sender<anyhow::Result<Entry>>) -> anyhow::Result<()> {
    let mut tar = tar::Archive::new(zstd::Decoder::new(packed)?);
    for entry in tar.entries()? {
        let entry = entry?;
        let path = entry.path()?;
        let name = path.to_str().context("a name is not text")?.to_owned();
        let size = entry.size();
        ensure!(size <= ENTRY_MAX, "{name} is larger than entries may be");
        let mut bytes = Vec::new();
        entry.take(size).read_to_end(&mut bytes)?;
        if to.blocking_send(Ok(Entry { name, bytes })).is_err() {
            return Ok(());
        }
    }
    // To the end of the compressed stream, where its checksum is.
    io::copy(&mut tar.into_inner(), &mut io::sink())?;
    Ok(())
}
