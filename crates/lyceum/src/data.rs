//! The data folder: made private, locked against a second process, with a fixed layout.
//!
//! Invariant: whoever holds a [`DataFolder`] is the only Lyceum process on it on this machine, or
//! one of several `lyceum serve` on one PostgreSQL, where leases in rows keep them apart.

use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};

use crate::failure::Failure;

pub const DEFAULT_FOLDER: &str = "lyceum-data";
/// What a new Jupyter environment with pip's cache needs, with air.
pub const ROOM_FOR_JUPYTER: u64 = 2_000_000_000;

/// What lies where in the data folder.
#[derive(Debug, Clone)]
pub struct Layout {
    root: PathBuf,
}

/// The folder with its lock, which goes with it.
#[derive(Debug)]
pub struct DataFolder {
    layout: Layout,
    _lock: File,
}

impl DataFolder {
    /// Makes the folder if need be, checks it and takes the lock for this process alone.
    pub fn open(root: &Path) -> Result<Self, Failure> {
        Self::open_as(root, FlockOperation::NonBlockingLockExclusive)
    }

    /// The same, beside other hubs that share it: their database is elsewhere.
    pub fn open_shared(root: &Path) -> Result<Self, Failure> {
        Self::open_as(root, FlockOperation::NonBlockingLockShared)
    }

    fn open_as(root: &Path, how: FlockOperation) -> Result<Self, Failure> {
        let failed = |error: &std::io::Error| unusable(root, error);
        look(root)?;
        let mut private = fs::DirBuilder::new();
        private.recursive(true).mode(0o700);
        private.create(root).map_err(|error| failed(&error))?;
        let root = root.canonicalize().map_err(|error| failed(&error))?;
        check_private(&root)?;
        let lock = lock(&root, how)?;
        // An earlier version's way from the proxy to the hub.
        let _ = fs::remove_file(root.join("hub.sock"));
        for name in ["keys", "run", "homes", "jupyter", "blobs", "courses"] {
            private
                .create(root.join(name))
                .map_err(|error| failed(&error))?;
        }
        Ok(Self {
            layout: Layout { root },
            _lock: lock,
        })
    }

    pub fn layout(&self) -> &Layout {
        &self.layout
    }
}

impl Layout {
    /// A folder that is there already, beside whoever holds its lock: for commands that only use the store.
    pub fn existing(root: &Path) -> Result<Self, Failure> {
        match fs::metadata(root.join("keys")) {
            Ok(meta) if meta.is_dir() => check_private(root)?,
            Err(error) if error.kind() == ErrorKind::PermissionDenied => {
                // Whose it is tells more than that it is closed.
                return Err(check_private(root).err().unwrap_or_else(|| closed(root)));
            }
            _ => {
                return Err(Failure::new(format!(
                    "{} is not a data folder of Lyceum",
                    root.display()
                ))
                .hint(
                    "name the right one with --data or LYCEUM_DATA; `lyceum up` makes a new one",
                ));
            }
        }
        let root = root.canonicalize().map_err(|error| {
            Failure::io(
                format!("the data folder {} can't be used", root.display()),
                &error,
            )
        })?;
        Ok(Self { root })
    }

    pub fn root(&self) -> &Path {
        &self.root
    }
    /// The SQLite database.
    pub fn database(&self) -> PathBuf {
        self.root.join("lyceum.sqlite")
    }
    pub fn blobs(&self) -> PathBuf {
        self.root.join("blobs")
    }
    /// The key under which secrets are sealed.
    pub fn master_key(&self) -> PathBuf {
        self.root.join("keys").join("master")
    }
    /// What hubs and proxies share, for proxies on this machine.
    pub fn proxy_secret(&self) -> PathBuf {
        self.root.join("keys").join("proxy")
    }
    /// Held by whoever prepares what all hubs on this folder use.
    pub fn preparing(&self) -> PathBuf {
        self.root.join("preparing")
    }
    /// What describes running servers; of no use after a reboot.
    pub fn run(&self) -> PathBuf {
        self.root.join("run")
    }
    /// Of services that the hub runs: run folders, and a home for each.
    pub fn services(&self) -> PathBuf {
        self.root.join("services")
    }
    pub fn homes(&self) -> PathBuf {
        self.root.join("homes")
    }
    /// One file per course.
    pub fn courses(&self) -> PathBuf {
        self.root.join("courses")
    }
    /// Of courses that were removed.
    pub fn archives(&self) -> PathBuf {
        self.root.join("archives")
    }
    /// Certificates that were got by ACME, and the account with the authority.
    pub fn acme(&self) -> PathBuf {
        self.root.join("acme")
    }
    /// What is added to Jupyter's configuration path of servers.
    pub fn jupyter_config(&self) -> PathBuf {
        self.root.join("jupyter-config")
    }

    pub fn jupyter(&self) -> PathBuf {
        self.root.join("jupyter")
    }
}

/// What [`look`] found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Found {
    There,
    /// Nothing is in the way of making it.
    ToBeMade,
}

/// Whether a folder can be used or made, as far as that can be told without changing anything.
pub fn look(root: &Path) -> Result<Found, Failure> {
    match fs::metadata(root) {
        Ok(_) => {
            check_private(root)?;
            may_write(root).map_err(|error| unusable(root, &error))?;
            Ok(Found::There)
        }
        Err(error) if error.kind() == ErrorKind::NotFound => {
            let whole = std::path::absolute(root).map_err(|error| unusable(root, &error))?;
            let above = whole.ancestors().skip(1).find(|folder| folder.exists());
            let above = above.unwrap_or(Path::new("/"));
            may_write(above).map_err(|error| {
                Failure::new(format!(
                    "the data folder {} can't be made: {} can't be written ({error})",
                    root.display(),
                    above.display()
                ))
                .hint(OTHER_PLACE)
            })?;
            Ok(Found::ToBeMade)
        }
        Err(error) if error.kind() == ErrorKind::NotADirectory => Err(Failure::new(format!(
            "the data folder {} can't be made: on the way to it is a file",
            root.display()
        ))
        .hint("choose another data folder with --data")),
        Err(error) => Err(unusable(root, &error)),
    }
}

/// Whether this user may make files in a folder.
fn may_write(folder: &Path) -> std::io::Result<()> {
    use rustix::fs::Access;
    Ok(rustix::fs::access(
        folder,
        Access::WRITE_OK | Access::EXEC_OK,
    )?)
}

const OTHER_PLACE: &str =
    "choose a data folder that you may write with --data, or mend its owner and mode";

fn unusable(root: &Path, error: &std::io::Error) -> Failure {
    let what = format!("the data folder {} can't be used", root.display());
    let failure = Failure::io(what, error);
    match error.kind() {
        ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem => failure.hint(OTHER_PLACE),
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => failure
            .hint("the disk is full: free some space, or choose another data folder with --data"),
        _ => failure,
    }
}

/// For one who can't look in, while it isn't known whose it is.
fn closed(root: &Path) -> Failure {
    Failure::new(format!(
        "the data folder {} is closed to this user",
        root.display()
    ))
    .hint("run this as the user that Lyceum runs as; if that is you, its mode is wrong: it and what is in it need 700")
}

/// Nobody but the owner may look in: database, keys and homes are in there.
fn check_private(root: &Path) -> Result<(), Failure> {
    let meta = fs::metadata(root).map_err(|error| match error.kind() {
        ErrorKind::PermissionDenied => closed(root),
        _ => Failure::io(
            format!("the data folder {} can't be read", root.display()),
            &error,
        ),
    })?;
    if !meta.is_dir() {
        return Err(not_a_folder(root));
    }
    let owner = meta.uid();
    if owner != rustix::process::geteuid().as_raw() {
        return Err(Failure::new(format!(
            "the data folder {} belongs to somebody else (user id {owner})",
            root.display()
        ))
        .hint(format!(
            "run this as its owner (`sudo -u '#{owner}' lyceum …`), or choose another data folder with --data"
        )));
    }
    let mode = meta.permissions().mode() & 0o777;
    if mode & 0o077 != 0 {
        return Err(Failure::new(format!(
            "the data folder {} is open to others (mode {mode:o})",
            root.display()
        ))
        .hint(format!("chmod 700 {}", root.display())));
    }
    Ok(())
}

fn not_a_folder(root: &Path) -> Failure {
    Failure::new(format!("{} is not a folder", root.display()))
        .hint("choose another data folder with --data")
}

fn lock(root: &Path, how: FlockOperation) -> Result<File, Failure> {
    let path = root.join("lock");
    let mut file = OpenOptions::new()
        .create(true)
        .truncate(false)
        .read(true)
        .write(true)
        .mode(0o600)
        .open(&path)
        .map_err(|error| Failure::io(format!("{} can't be written", path.display()), &error))?;
    if flock(&file, how).is_err() {
        let holder = fs::read_to_string(&path).unwrap_or_default();
        let who = match holder.trim().parse::<u32>() {
            Ok(pid) => format!(" (process {pid})"),
            Err(_) => String::new(),
        };
        return Err(Failure::new(format!(
            "another Lyceum{who} is using the data folder {}",
            root.display()
        ))
        .hint("stop that one, or give this one a folder of its own with --data"));
    }
    let noted = file
        .set_len(0)
        .and_then(|()| writeln!(file, "{}", std::process::id()));
    noted.map_err(|error| Failure::io(format!("{} can't be written", path.display()), &error))?;
    Ok(file)
}

/// The process that runs on a data folder, if one does.
pub(crate) fn running_on(root: &Path) -> Option<String> {
    let path = root.join("lock");
    let file = File::open(&path).ok()?;
    flock(&file, FlockOperation::NonBlockingLockExclusive).err()?;
    let holder = fs::read_to_string(&path).unwrap_or_default();
    Some(holder.trim().to_owned())
}

/// Bytes that this user can still write beneath `path`, or beneath its nearest parent that exists.
pub fn free_space(path: &Path) -> Result<u64, Failure> {
    let existing = path.ancestors().find(|path| path.exists());
    let existing = existing.unwrap_or(Path::new("."));
    let stat = rustix::fs::statvfs(existing).map_err(|error| {
        Failure::io(
            format!("free space of {}", existing.display()),
            &error.into(),
        )
    })?;
    Ok(stat.f_bavail.saturating_mul(stat.f_frsize))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_private_and_has_one_user() {
        let temp = tempfile::tempdir().expect("a folder");
        let root = temp.path().join("a/data");
        let first = DataFolder::open(&root).expect("opened");
        assert_eq!(
            fs::metadata(&root).expect("made").permissions().mode() & 0o777,
            0o700
        );
        let second = DataFolder::open(&root).expect_err("locked").to_string();
        assert!(second.contains("another Lyceum (process "), "{second}");
        assert_eq!(running_on(&root), Some(std::process::id().to_string()));
        drop(first);
        // Other tests start programs meanwhile; between fork and exec these hold the lock too.
        let patience = std::time::Instant::now() + std::time::Duration::from_secs(60);
        let again = loop {
            match DataFolder::open(&root) {
                Ok(folder) => break folder,
                Err(held) => assert!(std::time::Instant::now() < patience, "{held}"),
            }
            std::thread::yield_now();
        };
        drop(again);
        fs::set_permissions(&root, fs::Permissions::from_mode(0o755)).expect("changed");
        let open = DataFolder::open(&root).expect_err("open to others");
        assert!(open.hint.expect("a remedy").starts_with("chmod 700 "));
    }
}
