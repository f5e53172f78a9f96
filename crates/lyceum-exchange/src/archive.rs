//! All of a course in one file: a tar in zstd, which any system unpacks.
//!
//! First what is known: `course.json`, and lines of JSON in pieces (people, assignments, submissions with
//! their receipts, lists of files). Then the contents under their digests, each once; then, for people,
//! the files as they were handed out, handed in and given back, as links to the contents. At the end a
//! digest over all that was named before, signed like receipts are. So an archive can be checked
//! without the database, and nothing in it can change without that being found.
//!
//! Little is in memory while it is written or read: a piece of a content, a page of rows, and the
//! digests of what is in it.

mod read;

use std::collections::HashSet;
use std::io::{self, Read, Write};

use anyhow::{Context, ensure};
use lyceum_model::clock::Millis;
use lyceum_model::digest::Digest;
use lyceum_store::Db;
use lyceum_store::blobs::{BlobReader, Blobs};
use serde::{Deserialize, Serialize};
use tokio::io::AsyncReadExt;
use tokio::runtime::Handle;
use tokio::task::spawn_blocking;

use crate::db;
use crate::db::removal::CourseRow;
use crate::receipt::Signer;

pub use read::{Counts, course_id, verify};

/// The form of the archive; raised when older programs can't read it any more.
const FORM: &str = "lyceum course archive 1";
const READ_ME: &str = "\
This is all that Lyceum kept of a course.

course.json          what the course was, and the key of its receipts
people-*.jsonl       people that were added by request
assignments-*.jsonl  what was handed out
submissions-*.jsonl  what was handed in, with the signed receipts, and what was given back
trees-*.jsonl        lists of files, each by its digest
contents/            the contents of all files, each once, by its BLAKE3 digest
assignments/         the files handed out: ASSIGNMENT/VERSION/
submissions/         the files handed in: ASSIGNMENT/PERSON/NUMBER/
feedback/            the files given back, likewise
end.json             how much it is, and a signature over all of it

`lyceum exchange verify --archive FILE` checks it.
";
/// Rows that are read with one question, and about how long a piece of lines becomes.
const PAGE: i64 = 200;
const PIECE: usize = 1024 * 1024;
const LEVEL: i32 = 3;

/// What was written.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Written {
    pub assignments: u64,
    /// Of all assignments.
    pub versions: u64,
    /// That were added by request.
    pub people: u64,
    pub submissions: u64,
    pub contents: u64,
    /// Of the contents, before packing.
    pub bytes: u64,
    /// How far the course's receipts went.
    pub receipts: i64,
    pub newest_receipt: String,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct CourseHead {
    form: String,
    course: String,
    id: String,
    made_at: Option<i64>,
    removed_at: Option<i64>,
    archived_at: i64,
    receipts: i64,
    newest_receipt: String,
    /// By which its receipts were signed; in hexadecimal.
    public_key: String,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Person {
    name: String,
    role: Option<String>,
    first_name: Option<String>,
    last_name: Option<String>,
    email: Option<String>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Assignment {
    name: String,
    version: i64,
    created_at: i64,
    withdrawn_at: Option<i64>,
    versions: Vec<Version>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Version {
    version: i64,
    tree: String,
    released_at: i64,
    released_by: String,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Submission {
    id: String,
    assignment: String,
    version: i64,
    student: String,
    /// In microseconds; all other times are in milliseconds.
    at: i64,
    arrived: Option<i64>,
    due: Option<i64>,
    late: Option<i64>,
    tree: String,
    number: i64,
    receipt: String,
    receipt_digest: String,
    signature: String,
    feedback: Option<Feedback>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Feedback {
    tree: String,
    at: i64,
    given_by: String,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Files {
    tree: String,
    files: Vec<File>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct File {
    path: String,
    blob: Digest,
    size: u64,
    md5: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct End {
    /// What was signed.
    text: String,
    signature: String,
}

/// What the end says: all names, and what stands below them or which content is meant.
#[derive(Default)]
struct Sum {
    hasher: blake3::Hasher,
    assignments: u64,
    versions: u64,
    people: u64,
    submissions: u64,
    contents: u64,
    bytes: u64,
}

impl Sum {
    /// Each part with its length, so that no two lists of entries are one text.
    fn add(&mut self, name: &str, what: &[u8]) {
        for part in [name.as_bytes(), what] {
            self.hasher.update(&(part.len() as u64).to_le_bytes());
            self.hasher.update(part);
        }
    }

    fn text(&self, course_id: &str) -> String {
        let Self {
            hasher,
            assignments,
            versions,
            people,
            submissions,
            contents,
            bytes,
        } = self;
        let digest = Digest::from_bytes(*hasher.finalize().as_bytes());
        format!(
            "{FORM}\ncourse id: {course_id}\nassignments: {assignments}\nversions: {versions}\npeople: {people}\n\
             submissions: {submissions}\ncontents: {contents}\nbytes: {bytes}\nentries: {digest}\n"
        )
    }
}

/// Writes all of a course to `out`, and gives `out` back. To make it durable is up to the caller.
pub async fn write<W: Write + Send + 'static>(
    db: &Db,
    blobs: &Blobs,
    signer: &Signer,
    course: &CourseRow,
    out: W,
    now: Millis,
) -> anyhow::Result<(Written, W)> {
    let head = CourseHead {
        form: FORM.to_owned(),
        course: course.name.clone(),
        id: course.id.clone(),
        made_at: course.made_at,
        removed_at: course.removed_at,
        archived_at: now.0,
        receipts: course.receipts,
        newest_receipt: course.newest_receipt.clone(),
        public_key: signer.public_key(),
    };
    let (db, blobs) = (db.clone(), blobs.clone());
    let writing = spawn_blocking(move || {
        let mut packer = zstd::Encoder::new(out, LEVEL)?;
        packer.include_checksum(true)?;
        let mut writer = Writer {
            db,
            blobs,
            handle: Handle::current(),
            tar: tar::Builder::new(packer),
            sum: Sum::default(),
            at: now.0.div_euclid(1000).try_into().unwrap_or_default(),
        };
        writer.all(&head)?;
        anyhow::Ok((head, writer))
    });
    let (head, mut writer) = writing.await??;
    let text = writer.sum.text(&head.id);
    let signature = signer.signature(&text);
    let ending = spawn_blocking(move || {
        writer.put(
            "end.json",
            &serde_json::to_vec_pretty(&End { text, signature })?,
        )?;
        let out = writer.tar.into_inner()?.finish()?;
        let written = Written {
            assignments: writer.sum.assignments,
            versions: writer.sum.versions,
            people: writer.sum.people,
            submissions: writer.sum.submissions,
            contents: writer.sum.contents,
            bytes: writer.sum.bytes,
            receipts: head.receipts,
            newest_receipt: head.newest_receipt,
        };
        anyhow::Ok((written, out))
    });
    ending.await?
}

struct Writer<W: Write> {
    db: Db,
    blobs: Blobs,
    handle: Handle,
    tar: tar::Builder<zstd::Encoder<'static, W>>,
    sum: Sum,
    /// In seconds.
    at: u64,
}

impl<W: Write> Writer<W> {
    fn all(&mut self, head: &CourseHead) -> anyhow::Result<()> {
        let (db, handle) = (self.db.clone(), self.handle.clone());
        let id = &*head.id;
        self.put("READ-ME.txt", READ_ME.as_bytes())?;
        self.put("course.json", &serde_json::to_vec_pretty(head)?)?;
        let people =
            handle.block_on(async { db::people::list(&mut db.read().await?, id).await })?;
        self.sum.people = people.len() as u64;
        let people = people.into_iter().map(|row| Person {
            name: row.name,
            role: row.role,
            first_name: row.first_name,
            last_name: row.last_name,
            email: row.email,
        });
        self.lines("people", people.map(anyhow::Ok))?;
        let assignments = handle.block_on(assignments(&db, id))?;
        self.sum.assignments = assignments.len() as u64;
        let versions = assignments.iter().map(|each| each.versions.len() as u64);
        self.sum.versions = versions.sum();
        self.lines("assignments", assignments.iter().map(anyhow::Ok))?;
        let mut pages = Pages::new(&db, &handle, id);
        self.lines("submissions", pages.by_ref().map(told))?;
        self.sum.submissions = pages.seen;
        let trees =
            handle.block_on(async { db::removal::trees(&mut db.read().await?, id).await })?;
        let lists = trees.iter().map(|tree| files(&db, &handle, tree));
        self.lines("trees", lists)?;
        let mut seen = HashSet::new();
        for tree in &trees {
            for file in files(&db, &handle, tree)?.files {
                if seen.insert(file.blob) {
                    self.content(&file)?;
                }
            }
        }
        for assignment in &assignments {
            for version in &assignment.versions {
                let folder = format!("assignments/{}/{}", assignment.name, version.version);
                self.links(&folder, &version.tree)?;
            }
        }
        for row in Pages::new(&db, &handle, id) {
            let row = told(row)?;
            let below = format!("{}/{}/{}", row.assignment, row.student, row.number);
            self.links(&format!("submissions/{below}"), &row.tree)?;
            if let Some(feedback) = &row.feedback {
                self.links(&format!("feedback/{below}"), &feedback.tree)?;
            }
        }
        Ok(())
    }

    fn header(&self, size: u64) -> tar::Header {
        let mut header = tar::Header::new_gnu();
        header.set_size(size);
        header.set_mode(0o600);
        header.set_mtime(self.at);
        header
    }

    fn put(&mut self, name: &str, bytes: &[u8]) -> anyhow::Result<()> {
        self.sum.add(name, bytes);
        let mut header = self.header(bytes.len() as u64);
        Ok(self.tar.append_data(&mut header, name, bytes)?)
    }

    /// In pieces of some size, of which there is always a first.
    fn lines<T: Serialize>(
        &mut self,
        name: &str,
        rows: impl Iterator<Item = anyhow::Result<T>>,
    ) -> anyhow::Result<()> {
        let (mut text, mut number) = (Vec::new(), 0);
        for row in rows {
            serde_json::to_writer(&mut text, &row?)?;
            text.push(b'\n');
            if text.len() >= PIECE {
                self.put(&format!("{name}-{number:06}.jsonl"), &text)?;
                text.clear();
                number += 1;
            }
        }
        if number == 0 || !text.is_empty() {
            self.put(&format!("{name}-{number:06}.jsonl"), &text)?;
        }
        Ok(())
    }

    fn content(&mut self, file: &File) -> anyhow::Result<()> {
        let place = content_place(file.blob);
        let content = self.handle.block_on(self.blobs.get(file.blob))?;
        let mut content = Counted {
            content,
            handle: self.handle.clone(),
            read: 0,
        };
        let mut header = self.header(file.size);
        self.tar
            .append_data(&mut header, &place, &mut content)
            .with_context(|| format!("the content {}", file.blob))?;
        ensure!(
            content.read == file.size,
            "the content {} is not as long as it was",
            file.blob
        );
        self.sum.add(&place, b"");
        self.sum.contents += 1;
        self.sum.bytes += file.size;
        Ok(())
    }

    /// The files of a tree, as people know them.
    fn links(&mut self, folder: &str, tree: &str) -> anyhow::Result<()> {
        for file in files(&self.db, &self.handle, tree)?.files {
            let (name, to) = (format!("{folder}/{}", file.path), content_place(file.blob));
            self.sum.add(&name, to.as_bytes());
            let mut header = self.header(0);
            header.set_entry_type(tar::EntryType::Link);
            self.tar.append_link(&mut header, &name, &to)?;
        }
        Ok(())
    }
}

fn content_place(blob: Digest) -> String {
    let name = blob.to_hex();
    format!("contents/{}/{name}", &name[..2])
}

async fn assignments(db: &Db, course_id: &str) -> sqlx::Result<Vec<Assignment>> {
    let mut tx = db.read().await?;
    let mut assignments = Vec::new();
    for row in db::removal::assignments(&mut tx, course_id).await? {
        let versions = db::assignments::versions(&mut tx, &row.id, i64::MAX).await?;
        let versions = versions.into_iter().rev().map(|row| Version {
            version: row.version,
            tree: row.tree,
            released_at: row.released_at,
            released_by: row.released_by,
        });
        assignments.push(Assignment {
            name: row.name,
            version: row.version,
            created_at: row.created_at,
            withdrawn_at: row.withdrawn_at,
            versions: versions.collect(),
        });
    }
    Ok(assignments)
}

fn files(db: &Db, handle: &Handle, tree: &str) -> anyhow::Result<Files> {
    let files = handle.block_on(async { db::trees::get(&mut db.glance().await?, tree).await })?;
    let files = files.into_iter().map(|file| File {
        path: file.path.as_str().to_owned(),
        blob: file.blob,
        size: file.size,
        md5: file.md5,
    });
    Ok(Files {
        tree: tree.to_owned(),
        files: files.collect(),
    })
}

/// A course's submissions in the order of their numbers, a page at a time.
struct Pages<'a> {
    db: &'a Db,
    handle: &'a Handle,
    course_id: &'a str,
    after: i64,
    page: std::vec::IntoIter<db::removal::SubmissionRow>,
    seen: u64,
}

impl<'a> Pages<'a> {
    fn new(db: &'a Db, handle: &'a Handle, course_id: &'a str) -> Self {
        Self {
            db,
            handle,
            course_id,
            after: 0,
            page: Vec::new().into_iter(),
            seen: 0,
        }
    }

    fn turn(&mut self) -> sqlx::Result<()> {
        let page = self.handle.block_on(async {
            let mut tx = self.db.glance().await?;
            db::removal::submissions(&mut tx, self.course_id, self.after, PAGE).await
        })?;
        self.page = page.into_iter();
        Ok(())
    }
}

impl Iterator for Pages<'_> {
    type Item = sqlx::Result<db::removal::SubmissionRow>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.page.len() == 0
            && let Err(error) = self.turn()
        {
            return Some(Err(error));
        }
        let row = self.page.next()?;
        self.after = row.number;
        self.seen += 1;
        Some(Ok(row))
    }
}

fn told(row: sqlx::Result<db::removal::SubmissionRow>) -> anyhow::Result<Submission> {
    let row = row?;
    let feedback = row.feedback.map(|tree| Feedback {
        tree,
        at: row.feedback_at.unwrap_or_default(),
        given_by: row.feedback_by.unwrap_or_default(),
    });
    Ok(Submission {
        id: row.id,
        assignment: row.assignment,
        version: row.version,
        student: row.student,
        at: row.at,
        arrived: row.arrived,
        due: row.due,
        late: row.late,
        tree: row.tree,
        number: row.number,
        receipt: row.receipt,
        receipt_digest: row.receipt_digest,
        signature: row.signature,
        feedback,
    })
}

/// A content as a thread reads it.
struct Counted {
    content: BlobReader,
    handle: Handle,
    read: u64,
}

impl Read for Counted {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let read = self.handle.block_on(self.content.read(into))?;
        self.read += read as u64;
        Ok(read)
    }
}
