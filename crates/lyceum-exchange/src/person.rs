//! All that the exchange has of one person: given to her in one file, or forgotten.
//!
//! Who is forgotten gets a pseudonym that nobody can have as a name. Her receipts stay under it, since
//! the course's other receipts follow from them: each is written anew, says which one it stands for by
//! its digest, and is signed. So the chain is whole, and nothing in it says who she was; whoever still
//! has the old receipt can show that it was hers. So it is a pseudonym as the GDPR has it, and she is not
//! anonymous.

use std::collections::BTreeSet;
use std::io::{self, Read, Seek, Write};

use lyceum_model::clock::Millis;
use lyceum_model::digest::Digest;
use lyceum_model::name::UserName;
use lyceum_store::blobs::Blobs;
use lyceum_store::{Db, Tx};
use serde_json::{Value, json};
use tokio::io::AsyncReadExt;
use tokio::runtime::Handle;
use tokio::task::spawn_blocking;
use zip::CompressionMethod;
use zip::write::{SimpleFileOptions, ZipWriter};

use crate::api::native::names::Names;
use crate::db;
use crate::db::person::SubmissionRow;
use crate::moment::Moment;
use crate::receipt::{Content, Form, Signer};
use crate::rules::Lateness;
use crate::tree::Tree;

/// What stands before the rest of a pseudonym. With a colon in it, it is nobody's name.
pub const PSEUDONYM: &str = "erased:";
const LEVEL: i64 = 3;
const PIECE: usize = 64 * 1024;

/// How much was written, or forgotten.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    pub submissions: u64,
    pub files: u64,
    /// Places in courses, and what she gave and released; when forgotten.
    pub others: u64,
    /// Contents that could not be read; when written.
    pub unread: u64,
}

/// Whether anything here names her.
pub async fn is_known(tx: &mut Tx, name: &UserName) -> sqlx::Result<bool> {
    let name = name.as_str();
    Ok(db::person::deeds(tx, name).await? != (0, 0)
        || !db::person::places(tx, name).await?.is_empty()
        || !db::person::submissions(tx, name).await?.is_empty())
}

/// Writes a zip with what is told of her elsewhere (names and texts), with what is known of her here, and
/// with the files that she handed in and got back. What can't be read is listed, and keeps nothing else from
/// her. Gives `out` back.
pub async fn export<W: Read + Write + Seek + Send + 'static>(
    db: &Db,
    blobs: &Blobs,
    name: &UserName,
    others: Vec<(String, Value)>,
    out: W,
) -> anyhow::Result<(Counts, W)> {
    let mut tx = db.read().await?;
    let submissions = db::person::submissions(&mut tx, name.as_str()).await?;
    let places = db::person::places(&mut tx, name.as_str()).await?;
    let (given, released) = db::person::deeds(&mut tx, name.as_str()).await?;
    drop(tx);
    let courses: Vec<Value> = places
        .iter()
        .map(|place| {
            json!({
                "course": place.course, "role": place.role, "first_name": place.first_name,
                "last_name": place.last_name, "email": place.email,
            })
        })
        .collect();
    let told: Vec<Value> = submissions.iter().map(told).collect();
    let here = json!({
        "courses": courses, "submissions": told, "feedback_given": given, "versions_released": released,
    });
    let (db, blobs, handle) = (db.clone(), blobs.clone(), Handle::current());
    let writing = spawn_blocking(move || {
        let mut zip = ZipWriter::new(out);
        let options = SimpleFileOptions::default()
            .compression_method(CompressionMethod::Deflated)
            .compression_level(Some(LEVEL))
            .unix_permissions(0o600);
        for (name, value) in others
            .into_iter()
            .chain([("exchange.json".to_owned(), here)])
        {
            zip.start_file(name, options)?;
            serde_json::to_writer_pretty(&mut zip, &value)?;
        }
        let mut counts = Counts::default();
        let mut unread = Vec::new();
        let mut tops = Names::default();
        for row in &submissions {
            counts.submissions += 1;
            let folder = format!("files/{}/{}/{}", row.course, row.assignment, row.number);
            let feedback = row.feedback.as_ref();
            let feedback = feedback.map(|tree| (format!("{folder} feedback"), tree));
            for (folder, tree) in [(folder, &row.tree)].into_iter().chain(feedback) {
                // Of two courses of one name each has its own.
                let folder = tops.file(&folder);
                let files = handle.block_on(async {
                    let mut tx = db.glance().await?;
                    db::trees::get(&mut tx, tree).await
                });
                let files = match files {
                    Err(sqlx::Error::Decode(_)) => Vec::new(),
                    files => files?,
                };
                let list = Tree::new(files.clone());
                if !list.is_ok_and(|list| list.digest().to_hex() == *tree) {
                    let why = "its list of files is not what it was";
                    unread.push(json!({ "name": folder, "why": why }));
                }
                let mut names = Names::default();
                for file in files {
                    let name = format!("{folder}/{}", names.file(file.path.as_str()));
                    let is_large = file.size >= u64::from(u32::MAX);
                    zip.start_file(&*name, options.large_file(is_large))?;
                    match handle.block_on(content(&blobs, file.blob, &mut zip))? {
                        Ok(()) => counts.files += 1,
                        Err(why) => {
                            // Half of it would pass for all.
                            zip.abort_file()?;
                            unread.push(json!({ "name": name, "why": why }));
                        }
                    }
                }
            }
        }
        counts.unread = unread.len() as u64;
        if !unread.is_empty() {
            zip.start_file("unread.json", options)?;
            serde_json::to_writer_pretty(&mut zip, &unread)?;
        }
        anyhow::Ok((counts, zip.finish()?))
    });
    writing.await?
}

/// Copies a content; within: why it can't be read.
async fn content(
    blobs: &Blobs,
    blob: Digest,
    out: &mut impl Write,
) -> io::Result<Result<(), String>> {
    let mut content = match blobs.get(blob).await {
        Ok(content) => content,
        Err(error) => return Ok(Err(format!("{:#}", anyhow::Error::from(error)))),
    };
    let mut piece = vec![0; PIECE];
    loop {
        match content.read(&mut piece).await {
            Ok(0) => return Ok(Ok(())),
            Ok(read) => out.write_all(&piece[..read])?,
            Err(error) => return Ok(Err(error.to_string())),
        }
    }
}

fn told(row: &SubmissionRow) -> Value {
    let time = |millis: Option<i64>| millis.map(|millis| Moment::of(Millis(millis)).to_iso());
    json!({
        "course": row.course,
        "assignment": row.assignment,
        "version": row.version,
        "number": row.number,
        "time": Moment(row.at).to_iso(),
        "arrived": time(row.arrived),
        "due": time(row.due),
        "late": row.late,
        "tree": row.tree,
        "receipt": row.receipt,
        "signature": row.signature,
        "feedback_at": time(row.feedback_at),
    })
}

/// Forgets who she was: all of hers goes on under the pseudonym; `with_files`: what she handed in and got
/// back goes, too. It counts once the transaction is committed.
pub async fn erase(
    tx: &mut Tx,
    signer: &Signer,
    name: &UserName,
    pseudonym: &str,
    with_files: bool,
    now: Millis,
) -> anyhow::Result<Counts> {
    let mut counts = Counts::default();
    let nothing = Tree::new(Vec::new()).map_err(|_| anyhow::anyhow!("no file clashes"))?;
    // Before any other row is touched, as whoever hands in does.
    db::trees::insert(tx, &nothing, now).await?;
    let mut courses = BTreeSet::new();
    for row in db::person::submissions(tx, name.as_str()).await? {
        counts.submissions += 1;
        let tree = match with_files {
            true => nothing.digest(),
            false => Digest::parse(&row.tree)
                .ok_or_else(|| anyhow::anyhow!("the submission {} names no tree", row.id))?,
        };
        let previous = db::person::receipt_before(tx, &row.course_id, row.number).await?;
        let receipt = signer.sign(&Content {
            form: Form::Third,
            course: row.course,
            course_id: row.course_id.clone(),
            assignment: row.assignment,
            version: row.version,
            student: pseudonym.to_owned(),
            at: Moment(row.at),
            lateness: Lateness {
                arrived: row.arrived,
                due: row.due,
                seconds: row.late,
            },
            tree,
            number: row.number,
            previous,
            stands_for: row.receipt_digest,
        });
        let (tree, signed) = (tree.to_hex(), (&*receipt.text, &*receipt.signature));
        db::person::replace(tx, &row.id, pseudonym, &tree, signed).await?;
        if with_files {
            db::person::delete_feedback(tx, &row.id).await?;
            counts.files += 1;
            courses.insert(row.course_id);
        }
    }
    counts.others = db::person::forget(tx, name.as_str(), pseudonym).await?;
    for course in courses {
        db::courses::count_bytes(tx, &course).await?;
    }
    Ok(counts)
}
