//! Whether all that was handed in is still as it was: receipts and their chains, trees, blobs. It
//! needs no server that runs, and changes nothing.

use std::fmt;

use lyceum_model::digest::Digest;
use lyceum_store::Db;
use lyceum_store::blobs::Blobs;
use md5::{Digest as _, Md5};
use tokio::io::AsyncReadExt;

use crate::db;
use crate::db::audit::{BlobRow, CourseRow, SubmissionRow};
use crate::moment::Moment;
use crate::receipt::{self, Content, Form, Signer};
use crate::rules::Lateness;
use crate::tree::Tree;

/// Rows that are looked at between two questions to the database.
const PAGE: i64 = 500;

/// What was looked at.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    pub receipts: u64,
    pub trees: u64,
    pub blobs: u64,
    pub faults: u64,
}

/// Something that is not as it was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// `course bio, receipt 7`.
    pub place: String,
    pub what: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, self.what)
    }
}

struct Verifier<'a, F> {
    db: &'a Db,
    signer: &'a Signer,
    counts: Counts,
    tell: F,
}

/// Looks at everything, and tells each fault as it is found.
pub async fn verify(
    db: &Db,
    blobs: &Blobs,
    signer: &Signer,
    tell: impl FnMut(Fault),
) -> anyhow::Result<Counts> {
    let mut verifier = Verifier {
        db,
        signer,
        counts: Counts::default(),
        tell,
    };
    let courses = db::audit::courses(&mut db.read().await?).await?;
    for course in courses {
        verifier.course(&course).await?;
    }
    verifier.trees().await?;
    verifier.blobs(blobs).await?;
    Ok(verifier.counts)
}

impl<F: FnMut(Fault)> Verifier<'_, F> {
    fn fault(&mut self, place: &str, what: impl Into<String>) {
        self.counts.faults += 1;
        (self.tell)(Fault {
            place: place.to_owned(),
            what: what.into(),
        });
    }

    async fn course(&mut self, course: &CourseRow) -> anyhow::Result<()> {
        let (mut number, mut previous) = (0, String::new());
        loop {
            let mut tx = self.db.read().await?;
            // Somebody may let go of all of it meanwhile, which is no fault.
            if !db::audit::has_course(&mut tx, &course.id).await? {
                return Ok(());
            }
            let page = db::audit::submissions(&mut tx, &course.id, number, PAGE).await?;
            drop(tx);
            // Behind the last that was given when we began is what came meanwhile.
            let page: Vec<SubmissionRow> = page
                .into_iter()
                .take_while(|row| row.number <= course.receipts)
                .collect();
            if page.is_empty() {
                break;
            }
            for row in page {
                self.counts.receipts += 1;
                let place = format!("course {}, receipt {}", course.name, row.number);
                if row.number != number + 1 {
                    self.fault(&place, format!("receipt {} is missing", number + 1));
                }
                let named = (&*course.name, &*course.id);
                for what in check_receipt(self.signer, named, &row, &previous) {
                    self.fault(&place, what);
                }
                (number, previous) = (row.number, row.receipt_digest);
            }
        }
        if (course.receipts, &course.newest_receipt) != (number, &previous) {
            let what = format!(
                "{} receipts were given, the last one that is there is {number}",
                course.receipts
            );
            self.fault(&format!("course {}", course.name), what);
        }
        let beyond = db::audit::beyond(&mut self.db.read().await?, &course.id).await?;
        if beyond > 0 {
            let what = format!("{beyond} receipts have numbers that were never given");
            self.fault(&format!("course {}", course.name), what);
        }
        Ok(())
    }

    async fn trees(&mut self) -> anyhow::Result<()> {
        let mut after = String::new();
        loop {
            let mut tx = self.db.read().await?;
            let page = db::audit::trees(&mut tx, &after, PAGE).await?;
            let Some(last) = page.last() else {
                return Ok(());
            };
            after.clone_from(&last.tree);
            for row in page {
                self.counts.trees += 1;
                let place = format!("tree {}", row.tree);
                let tree = match db::trees::get(&mut tx, &row.tree).await {
                    Ok(files) => Tree::new(files),
                    Err(sqlx::Error::Decode(error)) => {
                        self.fault(&place, error.to_string());
                        continue;
                    }
                    Err(error) => return Err(error.into()),
                };
                let is_good = tree.is_ok_and(|tree| {
                    let files = i64::try_from(tree.files().len());
                    tree.digest().to_hex() == row.tree
                        && files == Ok(row.files)
                        && i64::try_from(tree.bytes()) == Ok(row.bytes)
                });
                if !is_good {
                    self.fault(&place, "its list of files is not what it was");
                }
            }
        }
    }

    async fn blobs(&mut self, blobs: &Blobs) -> anyhow::Result<()> {
        let mut after = String::new();
        loop {
            let mut tx = self.db.read().await?;
            let page = db::audit::blobs(&mut tx, &after, PAGE).await?;
            drop(tx);
            let Some(last) = page.last() else {
                return Ok(());
            };
            after.clone_from(&last.blob);
            for row in page {
                self.counts.blobs += 1;
                if let Err(what) = look_at(blobs, &row).await
                    // It may have been collected meanwhile.
                    && db::audit::has_blob(&mut self.db.glance().await?, &row.blob).await?
                {
                    self.fault(&format!("blob {}", row.blob), format!("{what:#}"));
                }
            }
        }
    }
}

/// What is wrong with a submission of a course, by its name and its id, behind the receipt of this digest.
pub(crate) fn check_receipt(
    signer: &Signer,
    (course, course_id): (&str, &str),
    row: &SubmissionRow,
    previous: &str,
) -> Vec<String> {
    let mut faults = Vec::new();
    let Some(tree) = Digest::parse(&row.tree) else {
        return vec!["the submission names no tree".to_owned()];
    };
    let Some(form) = Form::of(&row.receipt) else {
        return vec!["the receipt has a form that this version does not know".to_owned()];
    };
    let lateness = Lateness {
        arrived: row.arrived,
        due: row.due,
        seconds: row.late,
    };
    if form == Form::First && lateness != Lateness::default() {
        faults.push("the submission says how late it was, which its receipt does not".to_owned());
    }
    let told = Content {
        form,
        course: course.to_owned(),
        course_id: course_id.to_owned(),
        assignment: row.assignment.clone(),
        version: row.version,
        student: row.student.clone(),
        at: Moment(row.at),
        lateness,
        tree,
        number: row.number,
        previous: previous.to_owned(),
        stands_for: row.receipt_digest.clone(),
    };
    if told.text() != row.receipt {
        faults.push(
            "the submission, or the receipt before it, is not what the receipt says".to_owned(),
        );
    }
    if !signer.signed(&row.receipt, &row.signature) {
        faults.push("the signature is not good".to_owned());
    }
    // One that stands for another names that one's digest, which its text says.
    let is_own = form != Form::Third;
    if is_own && receipt::digest(&row.receipt, &row.signature) != row.receipt_digest {
        faults.push("the digest is not the receipt's".to_owned());
    }
    faults
}

/// Reads it whole; that it has its digest is looked at while it is read.
async fn look_at(blobs: &Blobs, row: &BlobRow) -> anyhow::Result<()> {
    let digest = Digest::parse(&row.blob).ok_or_else(|| anyhow::anyhow!("this is no digest"))?;
    let mut reader = blobs.get(digest).await?;
    let (mut md5, mut size) = (Md5::new(), 0);
    let mut piece = vec![0; 256 * 1024];
    loop {
        match reader.read(&mut piece).await? {
            0 => break,
            read => {
                md5.update(&piece[..read]);
                size += read;
            }
        }
    }
    let md5 = data_encoding::HEXLOWER.encode(&md5.finalize());
    anyhow::ensure!(
        i64::try_from(size) == Ok(row.size) && md5 == row.md5,
        "its size or its MD5 is not what was written down"
    );
    Ok(())
}
