//! Everything in one file, and back: all tables, all blobs, and the key that opens sealed text.
//!
//! A backup may be taken while everything runs. The tables are one state of the database; blobs are
//! listed afterwards and never change, so every blob that the tables name is in it: what they no longer
//! name while the backup is made goes a day later at the earliest. It restores into either engine.
//!
//! **The archive holds the master key** unless it was left out: who has the file can open what is
//! sealed in it, so keep it as you would keep the key. Without the key, keep the key file by itself;
//! sealed values are lost without it.
//!
//! Here are the two operations; [`archive`] is the file, [`tables`] rows to text and back.
//! The archive is a tar in zstd: `header.json`, `key`, `tables/NAME/NNNNNN` (JSON lines in pieces),
//! `blobs/DIGEST/NNNNNN`, `manifest.json` with what must have been there; and behind the compressed
//! stream a digest of the whole file.

use std::io::{Read, Seek, Write};
use std::path::Path;

use anyhow::{Context, bail, ensure};
use lyceum_model::clock::Millis;
use lyceum_model::digest::Digest;
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::blobs::{BlobError, Blobs};
use crate::db::{Db, Tx};
use crate::migrate::{self, STEPS};
use crate::on;
use crate::secret::{KEY_LEN, Keys};

pub mod archive;
pub mod tables;

use archive::{Archive, ArchiveWriter, Stream};

/// The form of the archive; raised when older programs can't read it any more.
pub const FORMAT: u32 = 1;
const BLOB_PAGE: usize = 1000;
const BUFFER: usize = 256 * 1024;

/// How far it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Progress {
    /// A table is finished.
    Table { name: String, rows: u64 },
    /// So many blobs are finished.
    Blobs { done: u64 },
}

/// What was written or restored.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Summary {
    pub tables: u64,
    pub rows: u64,
    pub blobs: u64,
    /// Before packing.
    pub blob_bytes: u64,
    /// Blobs that were deleted while the backup ran.
    pub vanished_blobs: u64,
    /// Whether the archive holds the master key.
    pub key: bool,
}

/// What comes first, so that a reader can refuse early.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Header {
    format: u32,
    made_at: Millis,
    engine: String,
    schema: Vec<SchemaStep>,
    tables: Vec<TableHead>,
    key: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct SchemaStep {
    version: i64,
    name: String,
    digest: String,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct TableHead {
    name: String,
    columns: Vec<String>,
}

/// What comes last: what must have been there.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Manifest {
    tables: Vec<TableSum>,
    blobs: u64,
    blob_bytes: u64,
    vanished_blobs: u64,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct TableSum {
    name: String,
    rows: u64,
    digest: Digest,
}

/// Writes a backup to `out` and gives `out` back; with `keys` the archive holds the master key.
/// Making `out` durable is up to the caller.
pub async fn backup<W: Write + Send + 'static>(
    db: &Db,
    blobs: &Blobs,
    keys: Option<&Keys>,
    out: W,
    now: Millis,
    progress: &mut (dyn FnMut(Progress) + Send),
) -> anyhow::Result<(Summary, W)> {
    let mut writer = ArchiveWriter::start(out);
    let mut manifest = Manifest::default();
    let mut tx = db.read().await?;
    Db::without_hurry(&mut tx).await?;
    let tables = tables::list(&mut tx).await?;
    let header = Header {
        format: FORMAT,
        made_at: now,
        engine: format!("{:?}", db.engine()).to_lowercase(),
        schema: schema(&mut tx).await?,
        tables: tables.iter().map(TableHead::of).collect(),
        key: keys.is_some(),
    };
    writer.put_json("header.json", &header).await?;
    if let Some(keys) = keys {
        writer.put("key", keys.bytes().to_vec()).await?;
    }
    for table in &tables {
        let mut stream = Stream::new(&mut writer, format!("tables/{}", table.name));
        let rows = tables::dump(&mut tx, table, &mut stream).await?;
        let (digest, _) = stream.finish().await?;
        let name = table.name.clone();
        manifest.tables.push(TableSum {
            name: name.clone(),
            rows,
            digest,
        });
        progress(Progress::Table { name, rows });
    }
    // The state of the database is written; holding it longer only costs.
    tx.rollback().await?;
    write_blobs(blobs, &mut writer, &mut manifest, progress).await?;
    writer.put_json("manifest.json", &manifest).await?;
    let out = writer.finish().await?;
    Ok((manifest.summary(keys.is_some()), out))
}

async fn write_blobs<W: Write + Send + 'static>(
    blobs: &Blobs,
    writer: &mut ArchiveWriter<W>,
    manifest: &mut Manifest,
    progress: &mut (dyn FnMut(Progress) + Send),
) -> anyhow::Result<()> {
    let mut last = None;
    let mut buffer = vec![0; BUFFER];
    loop {
        let page = blobs.list(last, BLOB_PAGE).await?;
        let Some(end) = page.last() else {
            return Ok(());
        };
        last = Some(*end);
        for digest in page {
            let mut content = match blobs.get(digest).await {
                Ok(content) => content,
                Err(BlobError::NotFound(_)) => {
                    manifest.vanished_blobs += 1;
                    continue;
                }
                Err(error) => return Err(error.into()),
            };
            let mut stream = Stream::new(writer, format!("blobs/{digest}"));
            loop {
                let read = content.read(&mut buffer).await?;
                if read == 0 {
                    break;
                }
                stream.write(&buffer[..read]).await?;
            }
            let (_, len) = stream.finish().await?;
            manifest.blobs += 1;
            manifest.blob_bytes += len;
            progress(Progress::Blobs {
                done: manifest.blobs,
            });
        }
    }
}

/// Restores a backup into an empty database of either engine, brings it to this program's shape,
/// and copies the blobs. With `key_file`, the key of the archive is written there.
///
/// Nothing else may use the database meanwhile. When this fails, the database and the key file are
/// as before; blobs that were copied by then stay, which is harmless.
pub async fn restore(
    archive: impl Read + Seek + Send + 'static,
    db: &Db,
    blobs: &Blobs,
    key_file: Option<&Path>,
    progress: &mut (dyn FnMut(Progress) + Send),
) -> anyhow::Result<Summary> {
    // Cut and damaged archives end here.
    let mut archive = Archive::open(archive).await?;
    let header: Header = archive.take_json("header.json").await?;
    header.check()?;
    let key = match header.key {
        true => Some(read_key(&mut archive).await?),
        false => None,
    };
    let new_key = match (&key, key_file) {
        (Some(key), Some(path)) => match Keys::load(path)? {
            Some(known) if known.id() == key.id() => None,
            Some(_) => bail!(
                "the key file {} holds another key than the archive; move it away first, or restore without the key",
                path.display()
            ),
            None => Some((key, path)),
        },
        _ => None,
    };

    let mut tx = db.write().await?;
    Db::without_hurry(&mut tx).await?;
    prepare(&mut tx, &header).await?;
    let constraints = tables::loosen(&mut tx).await?;
    let known = tables::list(&mut tx).await?;
    tables::clear(&mut tx, &known).await?;
    let mut found = Manifest::default();
    for head in &header.tables {
        let table = known.iter().find(|table| TableHead::of(table).same(head));
        let table = table.with_context(|| {
            format!(
                "the archive has a table {} of a shape that this program does not know",
                head.name
            )
        })?;
        let (rows, digest) = tables::load(&mut tx, table, &mut archive).await?;
        let name = head.name.clone();
        found.tables.push(TableSum {
            name: name.clone(),
            rows,
            digest,
        });
        progress(Progress::Table { name, rows });
    }
    read_blobs(&mut archive, blobs, &mut found, progress).await?;
    let manifest: Manifest = archive.take_json("manifest.json").await?;
    archive.end().await?;
    found.vanished_blobs = manifest.vanished_blobs;
    ensure!(
        found == manifest,
        "the archive does not hold what its manifest says; nothing was restored"
    );
    tables::tighten(&mut tx, constraints).await?;
    migrate::apply(&mut tx, STEPS).await?;
    if let Some((key, path)) = new_key {
        key.save(path)?;
    }
    if let Err(error) = tx.commit().await {
        if let Some((_, path)) = new_key {
            let _ = std::fs::remove_file(path);
        }
        return Err(error).context("the restored rows contradict each other; nothing was restored");
    }
    Ok(manifest.summary(header.key))
}

async fn read_key(archive: &mut Archive) -> anyhow::Result<Keys> {
    let bytes = archive.take("key").await?;
    let bytes = <[u8; KEY_LEN]>::try_from(bytes).ok();
    Ok(Keys::from_bytes(
        bytes.context("the key in the archive has a wrong length")?,
    ))
}

/// Makes sure that the database is empty and gives it the shape it had when the backup was made:
/// older rows then go through the later migrations as they would have in place.
async fn prepare(tx: &mut Tx, header: &Header) -> anyhow::Result<()> {
    migrate::apply(tx, STEPS).await?;
    let tables = tables::list(tx).await?;
    if let Some(name) = tables::first_filled(tx, &tables).await? {
        bail!(
            "the database is not empty: there are rows in {name}; restore into a fresh database, nothing was changed"
        );
    }
    if header.schema.len() < STEPS.len() {
        tables::drop_all(tx, &tables).await?;
        migrate::apply(tx, &STEPS[..header.schema.len()]).await?;
    }
    Ok(())
}

async fn read_blobs(
    archive: &mut Archive,
    blobs: &Blobs,
    found: &mut Manifest,
    progress: &mut (dyn FnMut(Progress) + Send),
) -> anyhow::Result<()> {
    while let Some(name) = archive.next_folder("blobs").await? {
        let digest = Digest::parse(&name)
            .with_context(|| format!("the archive has a blob with the strange name {name}"))?;
        let (mut to, from) = tokio::io::duplex(BUFFER);
        let feeding = async {
            let folder = format!("blobs/{name}");
            let mut number = 0;
            while let Some(piece) = archive.next_piece(&folder, number).await? {
                number += 1;
                if to.write_all(&piece).await.is_err() {
                    // Writing the blob has failed and says why.
                    break;
                }
            }
            drop(to);
            anyhow::Ok(())
        };
        let (fed, stored) = tokio::join!(feeding, blobs.put(from, u64::MAX));
        let (stored, len) = stored?;
        fed?;
        ensure!(
            stored == digest,
            "the blob {digest} in the archive has other content; nothing was restored"
        );
        found.blobs += 1;
        found.blob_bytes += len;
        progress(Progress::Blobs { done: found.blobs });
    }
    Ok(())
}

async fn schema(tx: &mut Tx) -> sqlx::Result<Vec<SchemaStep>> {
    let rows: Vec<(i64, String, String)> = on!(tx, |c| sqlx::query_as(
        "SELECT version, name, digest FROM schema_steps ORDER BY version"
    )
    .fetch_all(c)
    .await)?;
    let step = |(version, name, digest)| SchemaStep {
        version,
        name,
        digest,
    };
    Ok(rows.into_iter().map(step).collect())
}

impl Header {
    fn check(&self) -> anyhow::Result<()> {
        ensure!(
            self.format <= FORMAT,
            "the archive was written by a newer Lyceum (format {}, this program reads up to {FORMAT}); update the program first",
            self.format
        );
        ensure!(
            self.schema.len() <= STEPS.len(),
            "the archive was written by a newer Lyceum (database version {}, this program knows {}); update the program first",
            self.schema.last().map_or(0, |step| step.version),
            migrate::newest()
        );
        for (step, known) in self.schema.iter().zip(STEPS) {
            ensure!(
                step.version == known.version && step.digest == known.digest(),
                "the archive was written by another line of Lyceum: its migration {:04}_{} is not the one of this program",
                step.version,
                step.name
            );
        }
        Ok(())
    }
}

impl TableHead {
    fn of(table: &tables::Table) -> Self {
        Self {
            name: table.name.clone(),
            columns: table.columns.iter().map(|c| c.name.clone()).collect(),
        }
    }

    fn same(&self, other: &Self) -> bool {
        self.name == other.name && self.columns == other.columns
    }
}

impl Manifest {
    fn summary(&self, key: bool) -> Summary {
        Summary {
            tables: self.tables.len() as u64,
            rows: self.tables.iter().map(|table| table.rows).sum(),
            blobs: self.blobs,
            blob_bytes: self.blob_bytes,
            vanished_blobs: self.vanished_blobs,
            key,
        }
    }
}
