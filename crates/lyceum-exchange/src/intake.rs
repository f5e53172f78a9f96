//! From a request's body to fields and durable files, while it comes.
//!
//! What is in memory of an upload at one time is bounded whatever its size: a piece of the body, small
//! files that go to the disk together once they are some, and of a large file what is on its way
//! there. Contents that are known are not written again.
//!
//! Nothing of this shows before a row names it. Whoever is cut off leaves the contents that were whole
//! by then, which nobody names; of a content that was not whole nothing stays.

use std::collections::{BTreeMap, HashSet};
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};

use axum::body::BodyDataStream;
use axum::extract::Request;
use axum::http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use data_encoding::HEXLOWER;
use futures_util::StreamExt;
use futures_util::stream;
use jiff::Timestamp;
use lyceum_courses::Bytes;
use lyceum_model::digest::Digest;
use lyceum_model::name::UserName;
use lyceum_store::blobs::{BlobError, Blobs};
use lyceum_web::request::header;
use md5::{Digest as _, Md5};
use tokio::io::{AsyncRead, AsyncWriteExt, DuplexStream, ReadBuf};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::rules::NotTaken;
use crate::tree::{FilePath, Tree, TreeFile};
use crate::upload::files::{FILES_MAX, FilesReader, Mistake, Output};
use crate::upload::form::{FormError, FormReader, Receive};
use crate::upload::parts::PartsReader;
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
/// After so much of a body it is asked again whether there is room on the disk.
const ASKED_AGAIN: u64 = 8 * 1024 * 1024;
/// So much of a body that is refused is read and thrown away, so that its sender reads why.
const THROWN_AWAY: u64 = 16 * 1024 * 1024;

/// What came with a request.
#[derive(Debug)]
pub struct Upload {
    /// When the last of it was there; what we do with it from then on makes nobody late.
    pub arrived: Timestamp,
    pub fields: BTreeMap<String, String>,
    /// Of the field `files`, if there was one; or of all fields, where these are the files.
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
    #[error(
        "part {0} of the form has no name that can be used; each part is a file, and says its path, of at most 1024 bytes: `Content-Disposition: form-data; name=\"ps1.ipynb\"`"
    )]
    Nameless(usize),
    #[error("the field {0} is longer than the {1} bytes that are allowed")]
    FieldTooLong(&'static str, usize),
    #[error("the request was cut off")]
    CutOff,
    #[error("the request took too long")]
    TooSlow,
    #[error("too many uploads at the same time; try again in a moment")]
    Busy,
    #[error("there is no room for more files at the moment; tell those who run this site")]
    Full,
    #[error(transparent)]
    NotTaken(#[from] NotTaken),
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
            FormError::Nameless(part) => Self::Nameless(part),
        }
    }
}

/// What is asked for; whatever else comes is read over.
#[derive(Debug, Clone, Copy)]
pub struct Asked {
    /// Fields, each with the most bytes that are taken of it.
    pub words: &'static [(&'static str, usize)],
    pub files: FilesAs,
    /// The most of all files together; nothing: as much as a body can have.
    pub size: Option<Bytes>,
    /// Fields may stand in the address too. In the body counts, when one stands in both.
    pub in_query: bool,
}

/// How files come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FilesAs {
    /// Not at all.
    Nothing,
    /// As JSON in the field `files`.
    Json,
    /// Each as a field, whose name is its path.
    Fields,
    /// As a browser's form sends what somebody chose: in fields `files`, each under the name that it
    /// has where it comes from. Nothing else is a file.
    Chosen,
}

impl FilesAs {
    /// Each is a part of the form.
    fn are_parts(self) -> bool {
        matches!(self, Self::Fields | Self::Chosen)
    }
}

/// Reads a request to its end.
pub async fn receive(
    exchange: &Exchange,
    person: &UserName,
    request: Request,
    asked: Asked,
) -> Result<Upload, IntakeError> {
    let Some(_place) = exchange.uploads().enter(person).await else {
        let body = request.into_body().into_data_stream();
        let _ = timeout(exchange.limits().idle, throw_away(body)).await;
        return Err(IntakeError::Busy);
    };
    let read = timeout(exchange.limits().total, read(exchange, request, asked));
    read.await.map_err(|_| IntakeError::TooSlow)?
}

/// Reads over the body of a request that is refused, as far as that is little, so that its sender reads
/// why.
pub async fn pass_over(exchange: &Exchange, person: &UserName, request: Request) {
    let Some(_place) = exchange.uploads().enter(person).await else {
        return;
    };
    let body = request.into_body().into_data_stream();
    let _ = timeout(exchange.limits().idle, throw_away(body)).await;
}

async fn read(exchange: &Exchange, request: Request, asked: Asked) -> Result<Upload, IntakeError> {
    let idle = exchange.limits().idle;
    let max = exchange.body_max();
    let announced = header(request.headers(), CONTENT_LENGTH.as_str());
    let announced: Option<u64> = announced.and_then(|length| length.parse().ok());
    let query = request.uri().query().unwrap_or_default().to_owned();
    let kind = header(request.headers(), CONTENT_TYPE.as_str())
        .unwrap_or_default()
        .to_owned();
    let body = request.into_body();
    if announced.is_some_and(|length| length > max) {
        let _ = timeout(idle, throw_away(body.into_data_stream())).await;
        return Err(IntakeError::TooLarge(max));
    }
    if asked.files != FilesAs::Nothing && exchange.is_full().await {
        let _ = timeout(idle, throw_away(body.into_data_stream())).await;
        return Err(IntakeError::Full);
    }
    let mut desk = Desk::new(exchange, asked);
    if asked.in_query {
        let mut form = FormReader::new("application/x-www-form-urlencoded");
        form.push(query.as_bytes(), &mut desk.sorter)?;
        form.finish(&mut desk.sorter)?;
        desk.clear().await?;
    }
    let mut pieces = body.into_data_stream();
    match take(exchange, &mut desk, &mut pieces, &kind).await {
        Ok(()) => desk.finish(exchange.time()).await,
        Err(error) => {
            if !matches!(error, IntakeError::CutOff | IntakeError::TooSlow) {
                let _ = timeout(idle, throw_away(pieces)).await;
            }
            Err(error)
        }
    }
}

async fn take(
    exchange: &Exchange,
    desk: &mut Desk<'_>,
    pieces: &mut BodyDataStream,
    kind: &str,
) -> Result<(), IntakeError> {
    let (max, idle) = (exchange.body_max(), exchange.limits().idle);
    let mut form = match desk.sorter.asked.files {
        // One more is told by the files themselves.
        FilesAs::Fields => FormReader::with_fields(kind, FILES_MAX + 1),
        // And the form's token.
        FilesAs::Chosen => FormReader::with_fields(kind, FILES_MAX + 2),
        FilesAs::Json | FilesAs::Nothing => FormReader::new(kind),
    };
    let (mut length, mut ask_at) = (0, ASKED_AGAIN);
    let next = async |pieces: &mut BodyDataStream| timeout(idle, pieces.next()).await;
    while let Some(piece) = next(pieces).await.map_err(|_| IntakeError::TooSlow)? {
        let piece = piece.map_err(|_| IntakeError::CutOff)?;
        length += piece.len() as u64;
        if length > max {
            return Err(IntakeError::TooLarge(max));
        }
        if desk.sorter.asked.files != FilesAs::Nothing && length >= ask_at {
            ask_at = length + ASKED_AGAIN;
            if exchange.is_full().await {
                return Err(IntakeError::Full);
            }
        }
        // A piece may be as large as the whole body.
        for part in piece.chunks(PIPE) {
            form.push(part, &mut desk.sorter)?;
            desk.clear().await?;
        }
    }
    form.finish(&mut desk.sorter)?;
    Ok(())
}

async fn throw_away(mut pieces: BodyDataStream) {
    let mut left = THROWN_AWAY;
    while let Some(Ok(piece)) = pieces.next().await {
        match left.checked_sub(piece.len() as u64) {
            Some(less) => left = less,
            None => return,
        }
    }
}

/// Puts fields and files apart.
struct Sorter {
    asked: Asked,
    fields: BTreeMap<String, String>,
    /// Name and limit.
    too_long: Option<(&'static str, usize)>,
    current: Option<(&'static str, usize, Vec<u8>)>,
    files: Option<FilesReader>,
    parts: PartsReader,
    in_files: bool,
    /// A second field `files` takes the place of the first.
    round: usize,
}

impl Receive for Sorter {
    fn begin(&mut self, name: &str) {
        self.in_files = self.asked.files == FilesAs::Json && name == "files";
        if self.asked.files == FilesAs::Chosen {
            match name {
                // It is a file whose name can't be read.
                "files" => self.parts.begin(""),
                _ => self.parts.skip(),
            }
        } else if self.asked.files == FilesAs::Fields {
            self.parts.begin(name);
        } else if self.in_files {
            self.files = Some(FilesReader::default());
            self.round += 1;
        } else {
            let word = self.asked.words.iter().find(|(word, _)| *word == name);
            self.current = word.map(|(word, most)| (*word, *most, Vec::new()));
        }
    }

    fn begin_file(&mut self, name: &str, file_name: &str) {
        match self.asked.files {
            // Nothing was chosen.
            FilesAs::Chosen if file_name.is_empty() => self.parts.skip(),
            FilesAs::Chosen if name == "files" => self.parts.begin(file_name),
            _ => self.begin(name),
        }
    }

    fn data(&mut self, bytes: &[u8]) {
        if self.asked.files.are_parts() {
            self.parts.data(bytes);
        } else if self.in_files {
            if let Some(files) = &mut self.files {
                files.push(bytes);
            }
        } else if let Some((word, most, value)) = &mut self.current {
            match value.len() + bytes.len() > *most {
                true => self.too_long = Some((*word, *most)),
                false => value.extend_from_slice(bytes),
            }
        }
    }

    fn end(&mut self) {
        if self.asked.files.are_parts() {
            self.parts.end();
        }
        if let Some((name, _, value)) = self.current.take() {
            let value = String::from_utf8_lossy(&value).into_owned();
            self.fields.insert(name.to_owned(), value);
        }
        self.in_files = false;
    }

    /// What was sent as a file is never left out in silence.
    fn may_skip(&self) -> bool {
        !self.asked.files.are_parts()
    }
}

impl Sorter {
    fn take(&mut self) -> Option<Output> {
        match &mut self.files {
            Some(files) => files.take(),
            None => self.parts.take(),
        }
    }

    /// Whether what came were files, if files were asked for.
    fn finish(&self) -> Option<Result<(), Mistake>> {
        match self.asked.files {
            FilesAs::Fields | FilesAs::Chosen => Some(self.parts.finish()),
            FilesAs::Json | FilesAs::Nothing => self.files.as_ref().map(FilesReader::finish),
        }
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
    /// Of all files so far.
    bytes: u64,
}

/// The content of the file that is being read.
enum Growing {
    Small(Vec<u8>),
    Large(Large),
}

struct Large {
    md5: Md5,
    pipe: DuplexStream,
    /// Said before the pipe ends; without it what was written of the file is thrown away.
    is_whole: Arc<AtomicBool>,
    writing: JoinHandle<Result<(Digest, u64), BlobError>>,
}

impl<'a> Desk<'a> {
    fn new(exchange: &'a Exchange, asked: Asked) -> Self {
        Self {
            exchange,
            sorter: Sorter {
                asked,
                fields: BTreeMap::new(),
                too_long: None,
                current: None,
                files: None,
                parts: PartsReader::default(),
                in_files: false,
                round: 0,
            },
            round: 0,
            growing: Growing::Small(Vec::new()),
            gathered: Vec::new(),
            gathered_bytes: 0,
            done: Vec::new(),
            bytes: 0,
        }
    }

    async fn clear(&mut self) -> Result<(), IntakeError> {
        if let Some((word, most)) = self.sorter.too_long {
            return Err(IntakeError::FieldTooLong(word, most));
        }
        if self.round != self.sorter.round {
            self.round = self.sorter.round;
            self.growing = Growing::Small(Vec::new());
            (self.gathered, self.gathered_bytes) = (Vec::new(), 0);
            self.done.clear();
            self.bytes = 0;
        }
        while let Some(output) = self.sorter.take() {
            match output {
                Output::Content(more) => self.grow(more).await?,
                Output::File(path) => self.file(path).await?,
            }
        }
        Ok(())
    }

    async fn grow(&mut self, more: Vec<u8>) -> Result<(), IntakeError> {
        self.bytes += more.len() as u64;
        let most = self.sorter.asked.size;
        if let Some(size) = most.filter(|size| self.bytes > size.0) {
            return Err(NotTaken::TooLarge(size).into());
        }
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

    async fn finish(mut self, arrived: Timestamp) -> Result<Upload, IntakeError> {
        self.clear().await?;
        self.write_gathered().await?;
        let files = self.sorter.finish().map(|read| {
            read?;
            Tree::new(self.done).map_err(|_| Mistake::Path)
        });
        Ok(Upload {
            arrived,
            fields: self.sorter.fields,
            files,
        })
    }
}

/// Fails at an end that is not the file's.
pub(crate) struct WholeOrNothing {
    content: DuplexStream,
    is_whole: Arc<AtomicBool>,
}

impl WholeOrNothing {
    pub(crate) fn new(content: DuplexStream, is_whole: Arc<AtomicBool>) -> Self {
        Self { content, is_whole }
    }
}

impl AsyncRead for WholeOrNothing {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let (before, room) = (buffer.filled().len(), buffer.remaining());
        ready!(Pin::new(&mut self.content).poll_read(context, buffer))?;
        let ended = room > 0 && buffer.filled().len() == before;
        match ended && !self.is_whole.load(Ordering::SeqCst) {
            true => Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into())),
            false => Poll::Ready(Ok(())),
        }
    }
}

impl Large {
    fn begin(blobs: Blobs) -> Self {
        let (pipe, content) = tokio::io::duplex(PIPE);
        let is_whole = Arc::new(AtomicBool::new(false));
        let content = WholeOrNothing::new(content, is_whole.clone());
        // Ends when the pipe does, also when nobody waits for it any more.
        let writing = tokio::spawn(async move { blobs.put(content, u64::MAX).await });
        Self {
            md5: Md5::new(),
            pipe,
            is_whole,
            writing,
        }
    }

    async fn write(&mut self, content: &[u8]) {
        self.md5.update(content);
        // A pipe that is broken has a reason, which `finish` tells.
        let _ = self.pipe.write_all(content).await;
    }

    async fn finish(self, path: FilePath) -> Result<TreeFile, IntakeError> {
        self.is_whole.store(true, Ordering::SeqCst);
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
