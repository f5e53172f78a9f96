//! The run folder of one server: `lock`, `state`, `exit` and the log.
//!
//! Invariant: a server lives exactly as long as its keeper holds the lock on `lock`. The lock is
//! a POSIX record lock, because one can ask who holds it without taking it, and the answer is a
//! process id that cannot be stale. Such locks have a trap (closing any descriptor of the file in
//! the same process drops the lock): the keeper opens the file once, and nobody else ever locks.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::FlockOperation;
use rustix::io::Errno;
use rustix::process::{Flock, FlockType, Pid};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

#[derive(Debug, Clone)]
pub(crate) struct RunFolder(PathBuf);

/// Who runs, and where. Written by the keeper; holds no secret.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct State {
    pub(crate) run: String,
    pub(crate) address: String,
    pub(crate) keeper: i32,
    /// Absent until the process was made.
    pub(crate) child: Option<i32>,
    /// The account the server runs as.
    pub(crate) uid: Option<u32>,
    /// Milliseconds since 1970.
    pub(crate) started_at: u64,
    /// The boot of the machine in which this was written.
    pub(crate) boot: String,
    pub(crate) cgroup: Option<PathBuf>,
    pub(crate) memory_limit: Option<u64>,
    /// How much its home may take.
    #[serde(default)]
    pub(crate) home_size: Option<u64>,
}

/// How it ended. Counts only for the run it names.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Exit {
    pub(crate) run: String,
    pub(crate) code: Option<i32>,
    pub(crate) signal: Option<i32>,
    pub(crate) ended_at: u64,
    /// The kernel killed something in its cgroup for lack of memory.
    pub(crate) out_of_memory: bool,
    /// We were asked to end it.
    pub(crate) stopped: bool,
    /// The keeper vanished, and the server with it.
    pub(crate) keeper_lost: bool,
    /// Nothing of the run is left.
    pub(crate) swept: bool,
    /// We ended it because its home took so much.
    #[serde(default)]
    pub(crate) home_takes: Option<u64>,
}

impl RunFolder {
    pub(crate) fn new(path: PathBuf) -> Self {
        Self(path)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    /// Makes the folder, for the owner alone.
    pub(crate) fn create(&self) -> io::Result<()> {
        let mut builder = fs::DirBuilder::new();
        builder.recursive(true).mode(0o700).create(&self.0)
    }

    fn file(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    pub(crate) fn state(&self) -> io::Result<Option<State>> {
        read_json(&self.file("state"))
    }

    /// How the given run ended, if it did.
    pub(crate) fn exit_of(&self, state: &State) -> io::Result<Option<Exit>> {
        let exit: Option<Exit> = read_json(&self.file("exit"))?;
        Ok(exit.filter(|exit| exit.run == state.run))
    }

    pub(crate) fn write_state(&self, state: &State) -> io::Result<()> {
        self.write_json("state", state)
    }

    pub(crate) fn write_exit(&self, exit: &Exit) -> io::Result<()> {
        self.write_json("exit", exit)
    }

    /// Makes the folder look as if nothing had run. The lock file stays.
    pub(crate) fn clear_state(&self) {
        for name in ["state", "exit"] {
            drop(fs::remove_file(self.file(name)));
        }
    }

    fn write_json(&self, name: &str, value: &impl Serialize) -> io::Result<()> {
        let text = serde_json::to_vec(value)?;
        let fresh = self.file(&format!(".{name}.{}", std::process::id()));
        let written = open_private(&fresh).and_then(|mut file| file.write_all(&text));
        written
            .and_then(|()| fs::rename(&fresh, self.file(name)))
            .inspect_err(|_| drop(fs::remove_file(&fresh)))
    }

    /// The process that holds the lock.
    pub(crate) fn holder(&self) -> io::Result<Option<Pid>> {
        let file = match File::open(self.file("lock")) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let asked = Flock::from(FlockType::WriteLock);
        match rustix::process::fcntl_getlk(&file, &asked)? {
            Some(lock) if lock.typ != FlockType::Unlocked => Ok(lock.pid),
            _ => Ok(None),
        }
    }

    /// Takes the lock for as long as the file is kept open; `None` when another process has it.
    /// Only for the keeper (see the trap above).
    pub(crate) fn lock(&self) -> io::Result<Option<File>> {
        let path = self.file("lock");
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).mode(0o600);
        let file = options.truncate(false).open(&path)?;
        match rustix::fs::fcntl_lock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(Errno::AGAIN | Errno::ACCESS) => return Ok(None),
            Err(errno) => return Err(errno.into()),
        }
        // The folder may have been forgotten between opening and locking.
        let ours = file.metadata()?;
        let there = fs::metadata(&path)?;
        if (ours.dev(), ours.ino()) == (there.dev(), there.ino()) {
            Ok(Some(file))
        } else {
            Ok(None)
        }
    }
}

fn read_json<T: DeserializeOwned>(path: &Path) -> io::Result<Option<T>> {
    match fs::read(path) {
        Ok(text) => Ok(Some(serde_json::from_slice(&text)?)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// A new or emptied file that only the owner can read.
pub(crate) fn open_private(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true).mode(0o600);
    options.open(path)
}

/// Milliseconds since 1970, for files that people may read; nothing is decided by them.
pub(crate) fn now_ms() -> u64 {
    let since = std::time::SystemTime::UNIX_EPOCH.elapsed();
    since.map_or(0, |d| u64::try_from(d.as_millis()).unwrap_or(u64::MAX))
}

/// Names this boot of the machine; empty where the kernel does not say.
pub(crate) fn boot_id() -> String {
    let text = fs::read_to_string("/proc/sys/kernel/random/boot_id");
    text.map_or_else(|_| String::new(), |text| text.trim().to_owned())
}
