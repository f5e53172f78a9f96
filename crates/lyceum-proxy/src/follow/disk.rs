//! The last table on disk, so that a proxy that starts while no hub answers can serve.
//!
//! One file: a line with form, and the BLAKE3 digest of the rest, then JSON. It is replaced whole
//! (written beside, synced, renamed), so whoever reads it sees the old or the new one. One that is
//! damaged or of another form counts as none.

use std::{
    fs,
    io::{self, Read, Write},
    os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use serde::{Deserialize, Serialize};

use super::wire::PublishedRoute;
use crate::error_page::AddedLanguage;

const FORM: &str = "lyceum-routes-1";
const MAX_BYTES: u64 = 512 * 1024 * 1024;

#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Saved {
    pub(crate) numbering: String,
    pub(crate) number: i64,
    pub(crate) routes: Vec<PublishedRoute>,
    /// An earlier program neither writes nor reads them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) languages: Vec<AddedLanguage>,
}

/// The file in a folder of the proxy's own.
#[derive(Clone, Debug)]
pub(crate) struct Shelf {
    folder: PathBuf,
    /// Writers take turns, so that the last to come is the one that stays.
    turn: Arc<Mutex<()>>,
}

impl Shelf {
    /// Makes the folder, private, where it is missing. Whoever else could write there could send
    /// people anywhere.
    pub(crate) fn open(folder: &Path) -> io::Result<Self> {
        let mut private = fs::DirBuilder::new();
        private.recursive(true).mode(0o700).create(folder)?;
        let there = fs::metadata(folder)?;
        let why = if there.uid() != rustix::process::geteuid().as_raw() {
            "it belongs to another account"
        } else if there.mode() & 0o022 != 0 {
            "others may write there; take that away with chmod go-w"
        } else {
            ""
        };
        if !why.is_empty() {
            return Err(io::Error::new(io::ErrorKind::PermissionDenied, why));
        }
        Ok(Self {
            folder: folder.to_owned(),
            turn: Arc::default(),
        })
    }

    pub(crate) fn file(&self) -> PathBuf {
        self.folder.join("routes")
    }

    /// None when there is no file; an error says what is wrong with the one that is there.
    pub(crate) fn load(&self) -> Result<Option<Saved>, String> {
        let mut bytes = Vec::new();
        let read = fs::File::open(self.file())
            .and_then(|file| file.take(MAX_BYTES + 1).read_to_end(&mut bytes));
        match read {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error.to_string()),
            Ok(_) if bytes.len() as u64 > MAX_BYTES => return Err("it is too large".into()),
            Ok(_) => {}
        }
        let end = bytes.iter().position(|byte| *byte == b'\n');
        let (head, rest) = bytes.split_at(end.ok_or("it is cut off")?);
        let body = &rest[1..];
        let head = std::str::from_utf8(head).map_err(|_| "its first line is unreadable")?;
        let (form, digest) = head.split_once(' ').ok_or("its first line is unreadable")?;
        if form != FORM {
            return Err(format!(
                "it has the form {form:?}, this program writes {FORM:?}"
            ));
        }
        if blake3::hash(body).to_hex().as_str() != digest {
            return Err("its content was changed or cut off".into());
        }
        serde_json::from_slice(body)
            .map(Some)
            .map_err(|error| error.to_string())
    }

    pub(crate) fn save(&self, saved: &Saved) -> io::Result<()> {
        let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        let body = serde_json::to_vec(saved)?;
        // Two proxies may overlap for a moment on one folder, so the names differ.
        let beside = self
            .folder
            .join(format!("routes.{}.new", std::process::id()));
        let written = fs::OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&beside)
            .and_then(|mut file| {
                writeln!(file, "{FORM} {}", blake3::hash(&body).to_hex())?;
                file.write_all(&body)?;
                file.sync_all()
            })
            .and_then(|()| fs::rename(&beside, self.file()))
            .and_then(|()| fs::File::open(&self.folder)?.sync_all());
        if written.is_err() {
            let _ = fs::remove_file(&beside);
        }
        written
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_table_is_read_as_it_was_written_or_not_at_all() {
        let folder = std::env::temp_dir().join(format!("lyceum-shelf-{}", std::process::id()));
        let shelf = Shelf::open(&folder).expect("made");
        assert_eq!(shelf.load(), Ok(None));
        let saved = Saved {
            numbering: "n".into(),
            number: 7,
            routes: vec![PublishedRoute {
                id: "a".into(),
                prefix: "/user/ada/".into(),
                host: None,
                target: "http://127.0.0.1:1".parse().expect("a target"),
                owner: "ada".into(),
                checked: true,
                key: String::new(),
            }],
            languages: vec![AddedLanguage {
                tag: "fr".into(),
                ..AddedLanguage::default()
            }],
        };
        shelf.save(&saved).expect("written");
        assert_eq!(shelf.load().as_ref(), Ok(&Some(saved)));
        let mode = fs::metadata(shelf.file()).expect("there").permissions();
        assert_eq!(mode.mode() & 0o777, 0o600);
        let whole = fs::read(shelf.file()).expect("read");
        for end in 0..whole.len() {
            fs::write(shelf.file(), &whole[..end]).expect("written");
            assert!(shelf.load().is_err(), "cut at {end}");
        }
        for at in 0..whole.len() {
            let mut changed = whole.clone();
            changed[at] ^= 1;
            fs::write(shelf.file(), &changed).expect("written");
            assert!(shelf.load().is_err(), "changed at {at}");
        }
        assert_eq!(fs::read_dir(&folder).expect("read").count(), 1);
        fs::set_permissions(&folder, fs::Permissions::from_mode(0o770)).expect("changed");
        let error = Shelf::open(&folder).expect_err("refused");
        assert!(error.to_string().contains("chmod"), "{error}");
        fs::remove_dir_all(&folder).expect("removed");
    }
}
