//! From a request's body to fields and durable files, while it comes.
//!
//! What is in memory of an upload at one time is bounded whatever its size: a piece of the body, small
//! files that go to the disk together once they are some, and of a large file what is on its way
//! there. Contents that are known are not written again.
//!
//! Nothing of this shows before a row names it. Whoever is cut off leaves blobs that nobody names.

use std::collections::{BTreeMap, HashSet};

use axum::body::Body;
use axum::extract::Request;
use axum::http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use data_encoding::HEXLOWER;
use futures_util::StreamExt;
use futures_util::stream;
use lyceum_model::digest::Digest;
use lyceum_store::blobs::{BlobError, Blobs};
use lyceum_web::request::header;
use md5::{Digest as _, Md5};
use tokio::io::{AsyncWriteExt, DuplexStream};
use tokio::task::JoinHandle;

use crate::tree::{FilePath, Tree, TreeFile};
use crate::upload::files::{FilesReader, Mistake, Output};
use crate::upload::form::{FormError, FormReader, Receive};
use crate::{Exchange, db};

/// A file that is larger goes to the disk by itself, while it comes.
const SMALL: usize = 256 * 1024;
/// So much of small files is gathered before it goes to the disk.
const GATHERED: usize = 1024 * 1024;
const GATHERED_FILES: usize = 256;
/// Of one upload, written at the same time.
const AT_ONCE: usize = 4;
/// What is on its way to the disk of a large file.
const PIPE: usize = 256 * 1024;
/// All fields but the files together.
const FIELDS_MAX: usize = 4 * 1024 * 1024;
/// So much of a body that is too large is read and thrown away, so that its sender reads why.
const THROWN_AWAY: u64 = 16 * 1024 * 1024;

/// What came with a request.
#[derive(Debug, Default)]
pub struct Upload {
    pub fields: BTreeMap<String, String>,
    /// Of the field `files`, if there was one.
    pub files: Option<Result<Tree, Mistake>>,
}

#[derive(Debug, thiserror::Error)]
pub enum IntakeError {
    #[error("the request is larger than the {0} bytes that are allowed")]
    TooLarge(u64),
    #[error("the body is not what its content type says")]
    Broken,
    #[error("the form has too many fields")]
    TooManyFields,
    #[error("the request was cut off")]
    CutOff,
    #[error(transparent)]
    Blob(#[from] BlobError),
    #[error(transparent)]
    Database(#[from] sqlx::Error),
}

impl From<FormError> for IntakeError {
    fn from(error: FormError) -> Self {
        match error {
            FormError::Broken => Self::Broken,
            FormError::TooManyFields => Self::TooManyFields,
        }
    }
}

/// Where fields may stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fields {
    InBody,
    /// In the body counts, when it stands in both.
    InQueryOrBody,
}

/// Reads a request to its end.
pub async fn receive(
    exchange: &Exchange,
    request: Request,
    fields: Fields,
) -> Result<Upload, IntakeError> {
    let max = exchange.body_max();
    let announced = header(request.headers(), CONTENT_LENGTH.as_str());
    let announced: Option<u64> = announced.and_then(|length| length.parse().ok());
    let query = request.uri().query().unwrap_or_default().to_owned();
    let kind = header(request.headers(), CONTENT_TYPE.as_str())
        .unwrap_or_default()
        .to_owned();
    let body = request.into_body();
    if announced.is_some_and(|length| length > max) {
        throw_away(body).await;
        return Err(IntakeError::TooLarge(max));
    }
    let mut desk = Desk::new(exchange);
    if fields == Fields::InQueryOrBody {
        let mut form = FormReader::new("application/x-www-form-urlencoded");
        form.push(query.as_bytes(), &mut desk.sorter)?;
        form.finish(&mut desk.sorter)?;
        desk.clear().await?;
    }
    let mut form = FormReader::new(&kind);
    let mut pieces = body.into_data_stream();
    let mut length = 0;
    while let Some(piece) = pieces.next().await {
        let piece = piece.map_err(|_| IntakeError::CutOff)?;
        length += piece.len() as u64;
        if length > max {
            return Err(IntakeError::TooLarge(max));
        }
        // A piece may be as large as the whole body.
        for part in piece.chunks(PIPE) {
            form.push(part, &mut desk.sorter)?;
            desk.clear().await?;
        }
    }
    form.finish(&mut desk.sorter)?;
    desk.finish().await
}

async fn throw_away(body: Body) {
    let mut left = THROWN_AWAY;
    let mut pieces = body.into_data_stream();
    while let Some(Ok(piece)) = pieces.next().await {
        match left.checked_sub(piece.len() as u64) {
            Some(less) => left = less,
            None => return,
        }
    }
}

/// Puts fields and files apart.
#[derive(Default)]
struct Sorter {
    fields: BTreeMap<String, String>,
    kept: usize,
    too_large: bool,
    current: Option<(String, Vec<u8>)>,
    files: Option<FilesReader>,
    in_files: bool,
    /// A second field `files` takes the place of the first.
    round: usize,
}

impl Receive for Sorter {
    fn begin(&mut self, name: &str) {
        self.in_files = name == "files";
        if self.in_files {
            self.files = Some(FilesReader::default());
            self.round += 1;
        } else {
            self.kept += name.len();
            self.current = Some((name.to_owned(), Vec::new()));
        }
    }

    fn data(&mut self, bytes: &[u8]) {
        if self.in_files {
            if let Some(files) = &mut self.files {
                files.push(bytes);
            }
        } else if let Some((_, value)) = &mut self.current {
            self.kept += bytes.len();
            match self.kept > FIELDS_MAX {
                true => self.too_large = true,
                false => value.extend_from_slice(bytes),
            }
        }
    }

    fn end(&mut self) {
        if let Some((name, value)) = self.current.take() {
            let value = String::from_utf8_lossy(&value).into_owned();
            self.fields.insert(name, value);
        }
        self.in_files = false;
    }
}

/// Takes what the sorter puts out to where it belongs.
struct Desk<'a> {
    exchange: &'a Exchange,
    sorter: Sorter,
    round: usize,
    growing: Growing,
    gathered: Vec<(FilePath, Vec<u8>)>,
    gathered_bytes: usize,
    done: Vec<TreeFile>,
}

/// The content of the file that is being read.
enum Growing {
    Small(Vec<u8>),
    Large(Large),
}

struct Large {
    md5: Md5,
    pipe: DuplexStream,
    writing: JoinHandle<Result<(Digest, u64), BlobError>>,
}

impl<'a> Desk<'a> {
    fn new(exchange: &'a Exchange) -> Self {
        Self {
            exchange,
            sorter: Sorter::default(),
            round: 0,
            growing: Growing::Small(Vec::new()),
            gathered: Vec::new(),
            gathered_bytes: 0,
            done: Vec::new(),
        }
    }

    async fn clear(&mut self) -> Result<(), IntakeError> {
        if self.sorter.too_large {
            return Err(IntakeError::TooLarge(FIELDS_MAX as u64));
        }
        if self.round != self.sorter.round {
            self.round = self.sorter.round;
            self.growing = Growing::Small(Vec::new());
            (self.gathered, self.gathered_bytes) = (Vec::new(), 0);
            self.done.clear();
        }
        while let Some(output) = self.sorter.files.as_mut().and_then(FilesReader::take) {
            match output {
                Output::Content(more) => self.grow(more).await?,
                Output::File(path) => self.file(path).await?,
            }
        }
        Ok(())
    }

    async fn grow(&mut self, more: Vec<u8>) -> Result<(), IntakeError> {
        if let Growing::Small(content) = &mut self.growing {
            if content.len() + more.len() <= SMALL {
                content.extend_from_slice(&more);
                return Ok(());
            }
            let begun = std::mem::take(content);
            let mut large = Large::begin(self.exchange.blobs().clone());
            large.write(&begun).await;
            self.growing = Growing::Large(large);
        }
        if let Growing::Large(large) = &mut self.growing {
            large.write(&more).await;
        }
        Ok(())
    }

    async fn file(&mut self, path: FilePath) -> Result<(), IntakeError> {
        match std::mem::replace(&mut self.growing, Growing::Small(Vec::new())) {
            Growing::Small(content) => {
                self.gathered_bytes += content.len();
                self.gathered.push((path, content));
                if self.gathered_bytes > GATHERED || self.gathered.len() >= GATHERED_FILES {
                    self.write_gathered().await?;
                }
            }
            Growing::Large(large) => self.done.push(large.finish(path).await?),
        }
        Ok(())
    }

    async fn write_gathered(&mut self) -> Result<(), IntakeError> {
        self.gathered_bytes = 0;
        let gathered = std::mem::take(&mut self.gathered);
        let files = gathered.into_iter().map(|(path, content)| {
            let file = TreeFile {
                path,
                blob: Digest::of(&content),
                size: content.len() as u64,
                md5: HEXLOWER.encode(&Md5::digest(&content)),
            };
            (file, content)
        });
        let files: Vec<(TreeFile, Vec<u8>)> = files.collect();
        let blobs: Vec<Digest> = files.iter().map(|(file, _)| file.blob).collect();
        let mut tx = self.exchange.db().glance().await?;
        let known = db::trees::known(&mut tx, &blobs).await?;
        drop(tx);
        let known: HashSet<String> = known.into_iter().map(|(blob, _)| blob).collect();
        let (mut seen, mut contents) = (HashSet::new(), Vec::new());
        for (file, content) in files {
            if seen.insert(file.blob) {
                contents.push((file.blob, content));
            }
            self.done.push(file);
        }
        let (blobs, known) = (self.exchange.blobs(), &known);
        let writing = contents.into_iter().map(|(blob, content)| async move {
            // A row may have outlived its blob, when one of the two was restored from a backup.
            if known.contains(&blob.to_hex()) && blobs.has(blob).await? {
                return Ok(blob);
            }
            blobs.put_bytes(&content).await
        });
        let mut written = stream::iter(writing).buffer_unordered(AT_ONCE);
        while let Some(one) = written.next().await {
            one?;
        }
        Ok(())
    }

    async fn finish(mut self) -> Result<Upload, IntakeError> {
        self.clear().await?;
        self.write_gathered().await?;
        let files = self.sorter.files.map(|reader| {
            reader.finish()?;
            Tree::new(self.done).map_err(|_| Mistake::Path)
        });
        Ok(Upload {
            fields: self.sorter.fields,
            files,
        })
    }
}

impl Large {
    fn begin(blobs: Blobs) -> Self {
        let (pipe, content) = tokio::io::duplex(PIPE);
        // Ends when the pipe does, also when nobody waits for it any more.
        let writing = tokio::spawn(async move { blobs.put(content, u64::MAX).await });
        Self {
            md5: Md5::new(),
            pipe,
            writing,
        }
    }

    async fn write(&mut self, content: &[u8]) {
        self.md5.update(content);
        // A pipe that is broken has a reason, which `finish` tells.
        let _ = self.pipe.write_all(content).await;
    }

    async fn finish(self, path: FilePath) -> Result<TreeFile, IntakeError> {
        drop(self.pipe);
        let written = self.writing.await.map_err(anyhow::Error::from);
        let (blob, size) = written.map_err(BlobError::Internal)??;
        Ok(TreeFile {
            path,
            blob,
            size,
            md5: HEXLOWER.encode(&self.md5.finalize()),
        })
    }
}
