//! Blobs in a folder: `ab/cd/abcd….zst`, and `tmp/` for what is being written.
//!
//! A blob appears by rename after its content reached the disk, and counts as written after its
//! folder did too. So after a crash there are whole blobs and leftovers in `tmp/`, never halves.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use anyhow::Context;
use lyceum_model::digest::Digest;
use tokio::io::AsyncRead;

use super::pack::{BlobReader, Packed, blocking, pack};
use super::{BlobError, digest_of, path_of};

/// A temporary file that nobody has written to for so long belongs to a dead writer.
pub const LEFTOVER_AGE: Duration = Duration::from_secs(24 * 3600);

#[derive(Clone)]
pub struct Disk(Arc<Folders>);

struct Folders {
    root: PathBuf,
    tmp: PathBuf,
}

impl Disk {
    /// Makes the folder if need be and removes what dead writers left.
    pub async fn open(root: &Path) -> anyhow::Result<Self> {
        let root = root.to_owned();
        blocking(move || {
            let tmp = root.join("tmp");
            fs::create_dir_all(&tmp)
                .with_context(|| format!("making the folder of blobs {}", tmp.display()))?;
            sync_folder(&root)?;
            let removed = remove_leftovers(&tmp)?;
            if removed > 0 {
                tracing::info!(files = removed, "removed unfinished blobs of dead writers");
            }
            Ok(Self(Arc::new(Folders { root, tmp })))
        })
        .await
    }

    fn path(&self, digest: Digest) -> PathBuf {
        self.0.root.join(path_of(digest))
    }

    pub(super) async fn put(
        &self,
        content: impl AsyncRead + Unpin + Send,
        limit: u64,
    ) -> Result<(Digest, u64), BlobError> {
        let packed = pack(content, limit, &self.0.tmp).await?;
        let disk = self.clone();
        Ok(blocking(move || disk.name(packed)).await?)
    }

    /// Always by rename, also over a blob that is there: that one may be damaged.
    fn name(&self, packed: Packed) -> anyhow::Result<(Digest, u64)> {
        let Packed { file, digest, len } = packed;
        let path = self.path(digest);
        let folder = path.parent().expect("two folders are above it");
        let outer = folder.parent().expect("one folder is above it");
        fs::create_dir_all(folder).with_context(|| format!("making {}", folder.display()))?;
        file.persist(&path)
            .with_context(|| format!("writing {}", path.display()))?;
        // All three, since another writer may have made the folders without having synced them.
        for folder in [folder, outer, &self.0.root] {
            sync_folder(folder)?;
        }
        Ok((digest, len))
    }

    pub(super) async fn get(&self, digest: Digest) -> Result<BlobReader, BlobError> {
        let disk = self.clone();
        let opened = blocking(move || match disk.open_if_there(digest)? {
            Some(file) => Ok(Some(BlobReader::open(file, digest)?)),
            None => Ok(None),
        });
        opened.await?.ok_or(BlobError::NotFound(digest))
    }

    pub(super) async fn has(&self, digest: Digest) -> Result<bool, BlobError> {
        Ok(self.missing(vec![digest]).await?.is_empty())
    }

    /// Each is opened: a folder on another machine then asks there, instead of telling what it knows
    /// from before.
    pub(super) async fn missing(&self, digests: Vec<Digest>) -> Result<Vec<Digest>, BlobError> {
        let disk = self.clone();
        let look = move || {
            let mut missing = Vec::new();
            for digest in digests {
                if disk.open_if_there(digest)?.is_none() {
                    missing.push(digest);
                }
            }
            Ok(missing)
        };
        Ok(blocking(look).await?)
    }

    pub(super) async fn freshen(&self, digests: Vec<Digest>) -> Result<(), BlobError> {
        let disk = self.clone();
        let freshen = move || {
            for digest in digests {
                if let Some(file) = disk.open_if_there(digest)? {
                    file.set_modified(SystemTime::now())
                        .with_context(|| format!("freshening the blob {digest}"))?;
                }
            }
            Ok(())
        };
        Ok(blocking(freshen).await?)
    }

    /// With how much each takes; `delete`: they are deleted, too.
    pub(super) async fn old(
        &self,
        digests: Vec<Digest>,
        age: Duration,
        delete: bool,
    ) -> Result<Vec<(Digest, u64)>, BlobError> {
        let disk = self.clone();
        let look = move || {
            let mut old = Vec::new();
            for digest in digests {
                let Some(file) = disk.open_if_there(digest)? else {
                    continue;
                };
                let about = file.metadata()?;
                // What comes from the future is not old.
                let now = SystemTime::now().duration_since(about.modified()?);
                if now.is_err() || now.is_ok_and(|now| now < age) {
                    continue;
                }
                let path = disk.path(digest);
                match if delete {
                    fs::remove_file(&path)
                } else {
                    Ok(())
                } {
                    Ok(()) => old.push((digest, about.len())),
                    Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                    Err(error) => {
                        return Err(error).with_context(|| format!("deleting {}", path.display()));
                    }
                }
            }
            Ok(old)
        };
        Ok(blocking(look).await?)
    }

    fn open_if_there(&self, digest: Digest) -> anyhow::Result<Option<File>> {
        let path = self.path(digest);
        match File::open(&path) {
            Ok(file) => Ok(Some(file)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error).with_context(|| format!("opening {}", path.display())),
        }
    }

    pub(super) async fn delete(&self, digest: Digest) -> Result<bool, BlobError> {
        let path = self.path(digest);
        let deleted = blocking(move || match fs::remove_file(&path) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error).with_context(|| format!("deleting {}", path.display())),
        });
        Ok(deleted.await?)
    }

    pub(super) async fn list(
        &self,
        after: Option<Digest>,
        limit: usize,
    ) -> Result<Vec<Digest>, BlobError> {
        let root = self.0.root.clone();
        Ok(blocking(move || list(&root, after, limit)).await?)
    }
}

/// Walks the folders in order from where `after` is, so that a page costs a page.
fn list(root: &Path, after: Option<Digest>, limit: usize) -> anyhow::Result<Vec<Digest>> {
    let after = after.map(Digest::to_hex).unwrap_or_default();
    let mut found = Vec::new();
    for outer in names(root, |name| is_level(name) && name >= prefix(&after, 0, 2))? {
        // Within the first outer folder only inner ones from `after` on count.
        let from = match outer == prefix(&after, 0, 2) {
            true => prefix(&after, 2, 4),
            false => "",
        };
        let folder = root.join(&outer);
        for inner in names(&folder, |name| is_level(name) && name >= from)? {
            for name in names(&folder.join(inner), |_| true)? {
                let Some(digest) = digest_of(&name) else {
                    continue;
                };
                if digest.to_hex() > after {
                    found.push(digest);
                }
                if found.len() == limit {
                    return Ok(found);
                }
            }
        }
    }
    Ok(found)
}

fn prefix(text: &str, from: usize, to: usize) -> &str {
    text.get(from..to).unwrap_or("")
}

fn is_level(name: &str) -> bool {
    name.len() == 2 && name.bytes().all(|b| b.is_ascii_hexdigit())
}

/// The names in a folder that pass, sorted; none when it is not there.
fn names(folder: &Path, pass: impl Fn(&str) -> bool) -> anyhow::Result<Vec<String>> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error).with_context(|| format!("listing {}", folder.display())),
    };
    let mut found = Vec::new();
    for entry in entries {
        if let Ok(name) = entry?.file_name().into_string()
            && pass(&name)
        {
            found.push(name);
        }
    }
    found.sort_unstable();
    Ok(found)
}

fn remove_leftovers(tmp: &Path) -> anyhow::Result<usize> {
    let mut removed = 0;
    for name in names(tmp, |_| true)? {
        let path = tmp.join(name);
        // Another replica may remove it at the same moment.
        let Ok(changed) = fs::metadata(&path).and_then(|about| about.modified()) else {
            continue;
        };
        let age = SystemTime::now().duration_since(changed);
        if age.is_ok_and(|age| age > LEFTOVER_AGE) && fs::remove_file(&path).is_ok() {
            removed += 1;
        }
    }
    Ok(removed)
}

fn sync_folder(folder: &Path) -> anyhow::Result<()> {
    File::open(folder)
        .and_then(|folder| folder.sync_all())
        .with_context(|| format!("syncing {}", folder.display()))
}
