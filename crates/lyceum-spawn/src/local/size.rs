//! How much a home takes, measured now and then beside the server that works in it, by a thread of its
//! keeper that gives way to everybody.
//!
//! The system of files has no limit for a folder that works everywhere, so this looks: nobody is kept
//! from writing between two looks. Counted are the blocks that files below the home take on its own file
//! system, each file once; no symbolic link is followed, and each folder is opened by its name in the one
//! before, so nobody who moves folders meanwhile leads us elsewhere.

use std::collections::HashSet;
use std::ffi::CString;
use std::io::{PipeWriter, Write};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use lyceum_model::server::RunAs;
use rustix::fd::{AsFd, OwnedFd};
use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags, Stat};

use crate::local::home;

/// One look ends there and tells what it has seen so far.
const ENTRIES_MAX: u64 = 5_000_000;
const TIME_MAX: Duration = Duration::from_secs(600);
/// After a look that took long comes a longer pause: so much of the time is for looking.
const SHARE: u32 = 20;
const BLOCK: u64 = 512;

/// Where and how often.
pub(crate) struct Watch {
    pub(crate) homes: PathBuf,
    pub(crate) home: String,
    pub(crate) run_as: Option<RunAs>,
    pub(crate) every: Duration,
}

/// Begins to measure; each size comes out of the pipe as eight bytes. It ends with the process, or when
/// nobody reads any more.
pub(crate) fn begin(watch: Watch, mut sizes: PipeWriter) -> std::io::Result<()> {
    let look = move || {
        // Of this thread alone.
        let _ = rustix::process::nice(19);
        let Ok(folder) = home::open(&watch.homes, &watch.home, watch.run_as.as_ref()) else {
            return;
        };
        loop {
            let begun = Instant::now();
            if let Some(size) = measure(&folder)
                && sizes.write_all(&size.to_le_bytes()).is_err()
            {
                return;
            }
            std::thread::sleep(watch.every.max(begun.elapsed() * SHARE));
        }
    };
    let thread = std::thread::Builder::new().name("size".into());
    thread.spawn(look).map(drop)
}

/// A folder that is being looked through: who it is, and what in it is still to be entered.
struct Level {
    id: (u64, u64),
    folders: Vec<CString>,
}

/// What the files below take, or the part that was seen within the bounds; none where it can't be read.
fn measure(home: &OwnedFd) -> Option<u64> {
    let begun = Instant::now();
    let top = rustix::fs::fstat(home).ok()?;
    let mut look = Look {
        device: top.st_dev,
        bytes: taken(&top),
        entries: 0,
        seen: HashSet::new(),
    };
    let mut at = enter(home, c".")?;
    let mut levels = vec![look.folder(&at)?];
    while let Some(level) = levels.last_mut() {
        if look.entries >= ENTRIES_MAX || begun.elapsed() >= TIME_MAX {
            break;
        }
        if let Some(name) = level.folders.pop() {
            // Gone or closed meanwhile, or another file system: it is left out.
            if let Some(inner) = enter(&at, &name)
                && let Some(level) = look.folder(&inner)
            {
                at = inner;
                levels.push(level);
            }
            continue;
        }
        levels.pop();
        let Some(outer) = levels.last() else { break };
        // By name there is no way back; and a folder that was moved meanwhile leads elsewhere.
        let back = enter(&at, c"..").filter(|back| id_of(back) == Some(outer.id));
        match back {
            Some(back) => at = back,
            None => break,
        }
    }
    Some(look.bytes)
}

struct Look {
    device: u64,
    bytes: u64,
    entries: u64,
    /// Files of several names that were counted.
    seen: HashSet<(u64, u64)>,
}

impl Look {
    /// Counts what is in a folder, and tells which folders there are.
    fn folder(&mut self, folder: &OwnedFd) -> Option<Level> {
        let own = rustix::fs::fstat(folder).ok()?;
        if own.st_dev != self.device {
            return None;
        }
        let mut folders = Vec::new();
        for entry in Dir::read_from(folder).ok()? {
            let Ok(entry) = entry else { break };
            let name = entry.file_name();
            if [c".", c".."].contains(&name) {
                continue;
            }
            self.entries += 1;
            if self.entries >= ENTRIES_MAX {
                break;
            }
            let Ok(stat) = rustix::fs::statat(folder, name, AtFlags::SYMLINK_NOFOLLOW) else {
                continue;
            };
            let is_folder = FileType::from_raw_mode(stat.st_mode) == FileType::Directory;
            let has_names = !is_folder && stat.st_nlink > 1;
            if !has_names || self.seen.insert((stat.st_dev, stat.st_ino)) {
                self.bytes = self.bytes.saturating_add(taken(&stat));
            }
            if is_folder {
                folders.push(name.to_owned());
            }
        }
        Some(Level {
            id: (own.st_dev, own.st_ino),
            folders,
        })
    }
}

fn enter(at: impl AsFd, name: &std::ffi::CStr) -> Option<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    rustix::fs::openat(at, name, flags, Mode::empty()).ok()
}

fn id_of(folder: &OwnedFd) -> Option<(u64, u64)> {
    let stat = rustix::fs::fstat(folder).ok()?;
    Some((stat.st_dev, stat.st_ino))
}

fn taken(stat: &Stat) -> u64 {
    u64::try_from(stat.st_blocks)
        .unwrap_or(0)
        .saturating_mul(BLOCK)
}

/// What a home may take: as much as its limit. One that took more already may grow a little, so that
/// the server with which somebody makes room can start.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Allowance {
    pub(crate) limit: u64,
    /// The least that was measured.
    least: Option<u64>,
    was_told: bool,
}

/// What Jupyter writes for itself, and some room to work in.
const SLACK: u64 = 64 << 20;

/// What a size means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Judged {
    Fine,
    /// Said once.
    Nearly,
    Over,
}

impl Allowance {
    pub(crate) fn new(limit: u64) -> Self {
        Self {
            limit,
            least: None,
            was_told: false,
        }
    }

    pub(crate) fn judge(&mut self, size: u64) -> Judged {
        let least = self.least.map_or(size, |least| least.min(size));
        self.least = Some(least);
        let most = match least > self.limit {
            true => least.saturating_add(SLACK),
            false => self.limit,
        };
        if size > most {
            return Judged::Over;
        }
        let is_near = size >= self.limit / 10 * 9;
        match is_near && !std::mem::replace(&mut self.was_told, is_near) {
            true => Judged::Nearly,
            false => Judged::Fine,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::symlink;
    use std::path::Path;

    const MIB: u64 = 1 << 20;

    fn of(folder: &Path) -> u64 {
        let folder = fs::File::open(folder).expect("there");
        measure(&folder.into()).expect("readable")
    }

    fn write(path: &Path, size: u64) {
        let content = vec![b'x'; usize::try_from(size).expect("small")];
        fs::write(path, content).expect("written");
    }

    #[test]
    fn what_files_take_is_counted_once_and_nothing_outside() {
        let (home, outside) = (tempfile::tempdir(), tempfile::tempdir());
        let (home, outside) = (home.expect("a folder"), outside.expect("a folder"));
        write(&outside.path().join("large"), 8 * MIB);
        symlink(outside.path(), home.path().join("link")).expect("linked");
        symlink(outside.path().join("large"), home.path().join("file")).expect("linked");
        let empty = of(home.path());
        assert!(empty < MIB, "{empty}");
        let deep = home.path().join("a/b");
        fs::create_dir_all(&deep).expect("made");
        write(&deep.join("one"), 2 * MIB);
        fs::hard_link(deep.join("one"), home.path().join("again")).expect("linked");
        write(&home.path().join("two"), MIB);
        // Nothing was written into it, whatever its length.
        let sparse = fs::File::create(home.path().join("sparse")).expect("made");
        sparse.set_len(1 << 40).expect("set");
        let grown = of(home.path()) - empty;
        assert!((3 * MIB..4 * MIB).contains(&grown), "{grown}");
    }

    #[test]
    fn nothing_hides_in_the_depth() {
        let home = tempfile::tempdir().expect("a folder");
        // Deeper than a path may be long.
        let mut at: OwnedFd = fs::File::open(home.path()).expect("there").into();
        let name = "deeper-and-deeper";
        for _ in 0..400 {
            rustix::fs::mkdirat(&at, name, Mode::RWXU).expect("made");
            at = enter(&at, &CString::new(name).expect("a name")).expect("there");
        }
        let flags = OFlags::CREATE | OFlags::WRONLY;
        let file = rustix::fs::openat(&at, "hidden", flags, Mode::RWXU).expect("made");
        let mut file = fs::File::from(file);
        file.write_all(&vec![b'x'; 3 << 20]).expect("written");
        let after = home.path().join("zzz");
        fs::create_dir(&after).expect("made");
        write(&after.join("last"), MIB);
        write(&home.path().join("first"), MIB);
        let size = of(home.path());
        assert!(size >= 5 * MIB, "{size}");
    }

    #[test]
    fn a_home_that_is_too_large_already_may_shrink_and_hardly_grow() {
        let mut allowance = Allowance::new(1000 * MIB);
        let mut judge = |size: u64| allowance.judge(size * MIB);
        assert_eq!(judge(100), Judged::Fine);
        assert_eq!(judge(900), Judged::Nearly);
        assert_eq!(judge(1000), Judged::Fine);
        assert_eq!(judge(1001), Judged::Over);
        let mut allowance = Allowance::new(1000 * MIB);
        let mut judge = |size: u64| allowance.judge(size * MIB);
        assert_eq!(judge(2000), Judged::Nearly);
        assert_eq!(judge(2060), Judged::Fine);
        assert_eq!(judge(1500), Judged::Fine);
        assert_eq!(judge(1570), Judged::Over);
        assert_eq!(judge(800), Judged::Fine);
        assert_eq!(judge(1001), Judged::Over);
    }
}
