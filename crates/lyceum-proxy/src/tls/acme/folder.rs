//! The folder of ACME: private, written whole or not at all, with a lock between replicas.

use std::{
    fs::{self, DirBuilder, File, OpenOptions, TryLockError},
    io::{self, Read, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
};

use crate::tls::TlsError;

/// Nothing kept here is larger.
const LARGEST: u64 = 64 * 1024;

#[derive(Clone, Debug)]
pub(super) struct Folder(PathBuf);

/// Held while one replica asks; given back when dropped, and when the process dies.
#[derive(Debug)]
pub(super) struct Lock(#[expect(dead_code, reason = "its being open is the lock")] File);

impl Folder {
    pub(super) fn new(path: PathBuf) -> Self {
        Self(path)
    }

    /// Makes it if need be, and refuses one that others may look into.
    pub(super) fn prepare(&self) -> Result<(), TlsError> {
        let wrong = |why: String| TlsError::File {
            path: self.0.clone(),
            why,
        };
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&self.0)
            .and_then(|()| {
                let answers = self.answers();
                if answers.is_dir() {
                    return Ok(());
                }
                DirBuilder::new().mode(0o700).create(answers)
            })
            .map_err(|error| wrong(format!("the folder can't be made: {error}")))?;
        let mode = fs::metadata(&self.0)
            .map_err(|error| wrong(error.to_string()))?
            .permissions()
            .mode();
        if mode & 0o007 != 0 {
            return Err(wrong(
                "holds private keys but is open to everybody on this machine: chmod o= it".into(),
            ));
        }
        Ok(())
    }

    pub(super) fn certificate(&self) -> PathBuf {
        self.0.join("certificate.pem")
    }

    fn answers(&self) -> PathBuf {
        self.0.join("answers")
    }

    /// The account with one authority.
    pub(super) fn account(&self, directory: &str) -> PathBuf {
        let name = blake3::hash(directory.as_bytes()).to_hex();
        self.0.join(format!("account-{}.json", &name[..16]))
    }

    /// None if another process has it.
    pub(super) fn try_lock(&self) -> io::Result<Option<Lock>> {
        let file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .mode(0o600)
            .open(self.0.join("lock"))?;
        match file.try_lock() {
            Ok(()) => Ok(Some(Lock(file))),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => Err(error),
        }
    }

    /// Puts a file there whole, for nobody else to read.
    pub(super) fn write(&self, path: &Path, text: &[u8]) -> io::Result<()> {
        let mut random = [0; 8];
        getrandom::fill(&mut random).map_err(io::Error::other)?;
        let name = format!(".new-{}", data_encoding::HEXLOWER.encode(&random));
        let new = path.with_file_name(name);
        let mut file = OpenOptions::new()
            .create_new(true)
            .write(true)
            .mode(0o600)
            .open(&new)?;
        let written = file
            .write_all(text)
            .and_then(|()| file.sync_all())
            .and_then(|()| fs::rename(&new, path));
        if written.is_err() {
            let _ = fs::remove_file(&new);
        }
        written
    }

    pub(super) fn read(&self, path: &Path) -> io::Result<String> {
        let mut text = String::new();
        File::open(path)?.take(LARGEST).read_to_string(&mut text)?;
        Ok(text)
    }

    /// `name` is a token or a host name, checked by the caller: never a path.
    pub(super) fn read_answer(&self, name: &str) -> Option<String> {
        self.read(&self.answers().join(name)).ok()
    }

    pub(super) fn write_answer(&self, name: &str, text: &str) -> io::Result<()> {
        self.write(&self.answers().join(name), text.as_bytes())
    }

    /// Only the holder of the lock has questions under way, so all answers may go.
    pub(super) fn remove_answers(&self) {
        let Ok(entries) = fs::read_dir(self.answers()) else {
            return;
        };
        for entry in entries.flatten() {
            let _ = fs::remove_file(entry.path());
        }
    }
}
