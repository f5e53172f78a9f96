//! Whether an archive is what was written.

use std::collections::{HashMap, HashSet};
use std::io::{self, Read};

use anyhow::{Context, bail, ensure};
use lyceum_model::digest::Digest;
use serde::de::DeserializeOwned;

use super::{Assignment, CourseHead, End, FORM, Files, Person, Submission, Sum};
use crate::db::audit::SubmissionRow;
use crate::receipt::Signer;
use crate::tree::{FilePath, Tree, TreeFile};
use crate::verify::{Fault, check_receipt};

/// Longer than any piece of lines becomes: one more list of files than fits.
const PIECE_MAX: u64 = 64 * 1024 * 1024;

/// What was looked at.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Counts {
    /// Which course it was.
    pub course: String,
    pub receipts: u64,
    pub trees: u64,
    pub contents: u64,
    pub faults: u64,
}

struct Reader<'a, F> {
    signer: &'a Signer,
    tell: F,
    counts: Counts,
    sum: Sum,
    head: Option<CourseHead>,
    number: i64,
    previous: String,
    /// Named by versions, submissions and feedback.
    named: HashSet<String>,
    /// Lists that are there.
    trees: HashSet<String>,
    /// Contents that must be there and were not yet seen, with their lengths.
    wanted: HashMap<Digest, u64>,
    is_ended: bool,
}

/// Reads an archive to its end and tells each fault. An error: it can't be read on.
pub fn verify(
    packed: impl Read,
    signer: &Signer,
    tell: impl FnMut(Fault),
) -> anyhow::Result<Counts> {
    let mut reader = Reader {
        signer,
        tell,
        counts: Counts::default(),
        sum: Sum::default(),
        head: None,
        number: 0,
        previous: String::new(),
        named: HashSet::new(),
        trees: HashSet::new(),
        wanted: HashMap::new(),
        is_ended: false,
    };
    let mut tar = tar::Archive::new(zstd::Decoder::new(packed)?);
    for entry in tar.entries().context("this is no archive of a course")? {
        let mut entry = entry.context("the archive is cut off or damaged")?;
        let name = entry.path()?.to_str().map(str::to_owned);
        let name = name.context("a name in the archive is not text")?;
        let link = entry.link_name()?;
        let link = link.map(|to| to.to_string_lossy().into_owned());
        let kind = entry.header().entry_type();
        reader
            .entry(&name, kind, link, &mut entry)
            .with_context(|| format!("reading {name} of the archive"))?;
    }
    // To the end of the compressed stream, where its checksum is.
    io::copy(&mut tar.into_inner(), &mut io::sink()).context("the archive is damaged")?;
    reader.finish()
}

/// The id of the course that this is an archive of, if it is one: by what stands at its beginning.
pub fn course_id(packed: impl Read) -> Option<String> {
    let mut tar = tar::Archive::new(zstd::Decoder::new(packed).ok()?);
    for entry in tar.entries().ok()?.take(2) {
        let entry = entry.ok()?;
        if entry.path().ok()?.to_str() == Some("course.json") {
            let head: CourseHead = serde_json::from_reader(entry.take(PIECE_MAX)).ok()?;
            return (head.form == FORM).then_some(head.id);
        }
    }
    None
}

impl<F: FnMut(Fault)> Reader<'_, F> {
    fn fault(&mut self, place: &str, what: impl Into<String>) {
        self.counts.faults += 1;
        (self.tell)(Fault {
            place: place.to_owned(),
            what: what.into(),
        });
    }

    fn entry(
        &mut self,
        name: &str,
        kind: tar::EntryType,
        link: Option<String>,
        content: &mut impl Read,
    ) -> anyhow::Result<()> {
        ensure!(!self.is_ended, "it stands behind the end");
        if kind.is_hard_link() {
            self.sum.add(name, link.unwrap_or_default().as_bytes());
            return Ok(());
        }
        ensure!(kind.is_file(), "it is neither a file nor a link to one");
        if let Some(digest) = name.strip_prefix("contents/") {
            let digest = digest.rsplit('/').next().and_then(Digest::parse);
            let digest = digest.context("its name is no digest")?;
            return self.content(name, digest, content);
        }
        let mut bytes = Vec::new();
        content.take(PIECE_MAX + 1).read_to_end(&mut bytes)?;
        ensure!(bytes.len() as u64 <= PIECE_MAX, "it is too large");
        if name == "end.json" {
            self.is_ended = true;
            return self.end(&serde_json::from_slice(&bytes)?);
        }
        self.sum.add(name, &bytes);
        if name == "course.json" {
            let head: CourseHead = serde_json::from_slice(&bytes)?;
            ensure!(
                head.form == FORM,
                "it has a form that this version does not know"
            );
            self.counts.course.clone_from(&head.course);
            self.head = Some(head);
        } else if name.starts_with("assignments-") {
            for assignment in lines::<Assignment>(&bytes) {
                let versions = assignment?.versions;
                self.sum.assignments += 1;
                self.sum.versions += versions.len() as u64;
                let trees = versions.into_iter().map(|version| version.tree);
                self.named.extend(trees);
            }
        } else if name.starts_with("people-") {
            for person in lines::<Person>(&bytes) {
                person?;
                self.sum.people += 1;
            }
        } else if name.starts_with("submissions-") {
            for submission in lines(&bytes) {
                self.submission(submission?)?;
            }
        } else if name.starts_with("trees-") {
            for files in lines(&bytes) {
                self.files(files?);
            }
        }
        Ok(())
    }

    fn submission(&mut self, told: Submission) -> anyhow::Result<()> {
        let head = self.head.clone();
        let head = head.context("course.json should stand before it")?;
        self.sum.submissions += 1;
        self.counts.receipts += 1;
        self.named.insert(told.tree.clone());
        self.named
            .extend(told.feedback.map(|feedback| feedback.tree));
        let row = SubmissionRow {
            assignment: told.assignment,
            version: told.version,
            student: told.student,
            at: told.at,
            tree: told.tree,
            number: told.number,
            receipt: told.receipt,
            receipt_digest: told.receipt_digest,
            signature: told.signature,
            arrived: told.arrived,
            due: told.due,
            late: told.late,
        };
        let place = format!("course {}, receipt {}", head.course, row.number);
        if row.number != self.number + 1 {
            self.fault(&place, format!("receipt {} is missing", self.number + 1));
        }
        let named = (&*head.course, &*head.id);
        for what in check_receipt(self.signer, named, &row, &self.previous) {
            self.fault(&place, what);
        }
        (self.number, self.previous) = (row.number, row.receipt_digest);
        Ok(())
    }

    fn files(&mut self, files: Files) {
        self.counts.trees += 1;
        let place = format!("tree {}", files.tree);
        let read = files.files.into_iter().map(|file| {
            Some(TreeFile {
                path: FilePath::parse(&file.path)?,
                blob: file.blob,
                size: file.size,
                md5: file.md5,
            })
        });
        let read: Option<Vec<TreeFile>> = read.collect();
        let tree = read.and_then(|files| Tree::new(files).ok());
        match tree.filter(|tree| tree.digest().to_hex() == files.tree) {
            Some(tree) => {
                let each = tree.files().iter();
                self.wanted.extend(each.map(|file| (file.blob, file.size)));
                self.trees.insert(files.tree);
            }
            None => self.fault(&place, "its list of files is not what it was"),
        }
    }

    fn content(
        &mut self,
        name: &str,
        digest: Digest,
        content: &mut impl Read,
    ) -> anyhow::Result<()> {
        let mut hasher = blake3::Hasher::new();
        let size = io::copy(content, &mut hasher)?;
        self.counts.contents += 1;
        self.sum.add(name, b"");
        self.sum.contents += 1;
        self.sum.bytes += size;
        let place = format!("content {digest}");
        if hasher.finalize() != *digest.as_bytes() {
            self.fault(&place, "it is not what was written");
        }
        match self.wanted.remove(&digest) {
            Some(wanted) if wanted == size => {}
            Some(_) => self.fault(&place, "it is not as long as it was"),
            None => self.fault(&place, "no list of files names it"),
        }
        Ok(())
    }

    fn end(&mut self, end: &End) -> anyhow::Result<()> {
        let head = self.head.clone().context("course.json is missing")?;
        if !self.signer.signed(&end.text, &end.signature) {
            self.fault("end.json", "the signature is not good");
        }
        if self.sum.text(&head.id) != end.text {
            self.fault("end.json", "what stands before it is not what was written");
        }
        Ok(())
    }

    fn finish(mut self) -> anyhow::Result<Counts> {
        let Some(head) = self.head.clone() else {
            bail!("this is no archive of a course: there is no course.json in it");
        };
        ensure!(self.is_ended, "the end of the archive is missing");
        let place = format!("course {}", head.course);
        if (head.receipts, &head.newest_receipt) != (self.number, &self.previous) {
            let what = format!(
                "{} receipts were given, the last one that is there is {}",
                head.receipts, self.number
            );
            self.fault(&place, what);
        }
        let missing = self.named.difference(&self.trees).count();
        if missing > 0 {
            self.fault(&place, format!("{missing} lists of files are missing"));
        }
        let missing = self.wanted.len();
        if missing > 0 {
            self.fault(&place, format!("{missing} contents are missing"));
        }
        Ok(self.counts)
    }
}

fn lines<T: DeserializeOwned>(text: &[u8]) -> impl Iterator<Item = anyhow::Result<T>> {
    let lines = text.split(|byte| *byte == b'\n');
    let lines = lines.filter(|line| !line.is_empty());
    lines.map(|line| Ok(serde_json::from_slice(line)?))
}
