//! How much a home takes, measured now and then beside the server that works in it, by a thread of its
//! keeper that gives way to everybody.
//!
//! The system of files has no limit for a folder that works everywhere, so this looks: nobody is kept
//! from writing between two looks. Counted are the blocks that files below the home take on its own file
//! system, each file once; no symbolic link is followed, and each folder is opened by its name in the one
//! before, so nobody who moves folders meanwhile leads us elsewhere.

use std::collections::HashSet;
use std::ffi::{CStr, CString};
use std::io::{PipeWriter, Write};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use lyceum_model::server::RunAs;
use rustix::fd::{AsFd, OwnedFd};
use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags, Stat};
use rustix::io::Errno;

use crate::local::home;

/// One look ends there and tells what it has seen so far.
const BOUNDS: Bounds = Bounds {
    entries: 5_000_000,
    time: Duration::from_secs(600),
    memory: 16 << 20,
};
/// After a look that took long comes a longer pause: so much of the time is for looking.
const SHARE: u32 = 20;
const BLOCK: u64 = 512;
/// Folders on the way down that stay open, so that the way back is sure whatever is moved.
const HELD: usize = 64;
/// What a level, a name beside its letters, and a file in the set take of memory, rather too much.
const LEVEL_COST: usize = 128;
const NAME_COST: usize = 64;
const FILE_COST: usize = 32;

/// Where and how often, and how much may be there.
pub(crate) struct Watch {
    pub(crate) homes: PathBuf,
    pub(crate) home: String,
    pub(crate) run_as: Option<RunAs>,
    pub(crate) every: Duration,
    pub(crate) limit: u64,
}

/// Begins to measure; what each look comes to goes into the pipe. It ends with the process, or when
/// nobody reads any more.
pub(crate) fn begin(watch: Watch, mut pipe: PipeWriter) -> std::io::Result<()> {
    let look = move || {
        // Of this thread alone.
        let _ = rustix::process::nice(19);
        let Ok(folder) = home::open(&watch.homes, &watch.home, watch.run_as.as_ref()) else {
            drop(pipe.write_all(&News::Unknown.to_bytes()));
            return;
        };
        let mut allowance = Allowance::new(watch.limit);
        // Many servers start at once, and their homes may be on one machine.
        std::thread::sleep(random_part(watch.every));
        loop {
            let begun = Instant::now();
            let news = allowance.judge_surely(|| measure(&folder, &BOUNDS));
            if pipe.write_all(&news.to_bytes()).is_err() {
                return;
            }
            std::thread::sleep(watch.every.max(begun.elapsed() * SHARE));
        }
    };
    let thread = std::thread::Builder::new().name("size".into());
    thread.spawn(look).map(drop)
}

fn random_part(whole: Duration) -> Duration {
    let mut bytes = [0; 4];
    // Without chance everybody begins at once, and no harm is done but that.
    let _ = getrandom::fill(&mut bytes);
    whole.mul_f64(f64::from(u32::from_le_bytes(bytes)) / f64::from(u32::MAX))
}

/// What a look comes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum News {
    Fine,
    /// So much, near the limit. Said once.
    Nearly(u64),
    /// So much, and more than there may be.
    Over(u64),
    /// The home can't be measured.
    Unknown,
}

impl News {
    /// In the pipe.
    pub(crate) const LENGTH: usize = 9;

    fn to_bytes(self) -> [u8; Self::LENGTH] {
        let (kind, size) = match self {
            Self::Fine => (b'f', 0),
            Self::Nearly(size) => (b'n', size),
            Self::Over(size) => (b'o', size),
            Self::Unknown => (b'u', 0),
        };
        let mut bytes = [kind; Self::LENGTH];
        bytes[1..].copy_from_slice(&size.to_le_bytes());
        bytes
    }

    pub(crate) fn from_bytes([kind, size @ ..]: [u8; Self::LENGTH]) -> Self {
        let size = u64::from_le_bytes(size);
        match kind {
            b'f' => Self::Fine,
            b'n' => Self::Nearly(size),
            b'o' => Self::Over(size),
            _ => Self::Unknown,
        }
    }
}

struct Bounds {
    entries: u64,
    time: Duration,
    /// For names of folders that are still to be entered, and files of several names.
    memory: usize,
}

/// What the files of a home take.
#[derive(Debug, Clone, Copy)]
struct Taken {
    bytes: u64,
    /// Otherwise they take more: the look met a bound, or something went away meanwhile.
    is_whole: bool,
}

/// A folder that is being looked through: who it is, and what in it is still to be entered.
struct Level {
    id: (u64, u64),
    folders: Vec<CString>,
    /// Of memory.
    cost: usize,
    /// The folder itself, while one inside it is looked through.
    held: Option<OwnedFd>,
}

/// What the files below take; none where they can't be read.
fn measure(home: &OwnedFd, bounds: &Bounds) -> Option<Taken> {
    let top = rustix::fs::fstat(home).ok()?;
    let mut look = Look {
        device: top.st_dev,
        taken: Taken {
            bytes: taken(&top),
            is_whole: true,
        },
        entries: bounds.entries,
        until: Instant::now() + bounds.time,
        memory: bounds.memory,
        seen: HashSet::new(),
    };
    let mut at = enter(home, c".").ok()?;
    let mut levels = vec![look.folder(&at).ok()?];
    while !levels.is_empty() && !look.is_spent() {
        let depth = levels.len();
        let Some(level) = levels.last_mut() else {
            break;
        };
        if let Some(name) = level.folders.pop() {
            if let Some((inner, next)) = look.enter(&at, &name) {
                let outer = std::mem::replace(&mut at, inner);
                level.held = (depth <= HELD).then_some(outer);
                levels.push(next);
            }
            continue;
        }
        look.leave(levels.drain(depth - 1..));
        let Some(outer) = levels.last_mut() else {
            break;
        };
        // By name there is no way back; and a folder that was moved meanwhile leads elsewhere.
        let mut back = outer.held.take().or_else(|| outer_of(&at, outer.id));
        if back.is_none() {
            look.taken.is_whole = false;
            look.leave(levels.drain(HELD.min(depth - 1)..));
            back = levels.last_mut().and_then(|level| level.held.take());
        }
        let Some(back) = back else { break };
        at = back;
    }
    Some(look.taken)
}

struct Look {
    device: u64,
    taken: Taken,
    /// What is left of the bounds.
    entries: u64,
    until: Instant,
    memory: usize,
    /// Files of several names that were counted.
    seen: HashSet<u64>,
}

impl Look {
    /// Whether a bound was met.
    fn is_spent(&mut self) -> bool {
        let is_spent = self.entries == 0 || Instant::now() >= self.until;
        self.taken.is_whole &= !is_spent;
        is_spent
    }

    /// Whether there is room to remember something.
    fn keep(&mut self, cost: usize) -> bool {
        let left = self.memory.checked_sub(cost);
        self.memory = left.unwrap_or(self.memory);
        self.taken.is_whole &= left.is_some();
        left.is_some()
    }

    fn leave(&mut self, levels: impl Iterator<Item = Level>) {
        self.memory += levels.map(|level| level.cost).sum::<usize>();
    }

    /// What is closed to us, or on another file system, does not belong to what is measured;
    /// anything else that can't be seen does, and may just be elsewhere by now.
    fn miss(&mut self, errno: Errno) {
        self.taken.is_whole &= [Errno::ACCESS, Errno::PERM, Errno::XDEV].contains(&errno);
    }

    fn enter(&mut self, at: &OwnedFd, name: &CStr) -> Option<(OwnedFd, Level)> {
        let entered = enter(at, name).and_then(|inner| {
            let level = self.folder(&inner)?;
            Ok((inner, level))
        });
        entered.map_err(|errno| self.miss(errno)).ok()
    }

    /// Counts what is in a folder, and tells which folders there are.
    fn folder(&mut self, folder: &OwnedFd) -> Result<Level, Errno> {
        let own = rustix::fs::fstat(folder)?;
        if own.st_dev != self.device {
            return Err(Errno::XDEV);
        }
        let entries = Dir::read_from(folder)?;
        let mut level = Level {
            id: (own.st_dev, own.st_ino),
            folders: Vec::new(),
            cost: 0,
            held: None,
        };
        if !self.keep(LEVEL_COST) {
            return Ok(level);
        }
        level.cost = LEVEL_COST;
        for entry in entries {
            let entry = match entry {
                Ok(entry) => entry,
                Err(errno) => {
                    self.miss(errno);
                    break;
                }
            };
            let name = entry.file_name();
            if [c".", c".."].contains(&name) {
                continue;
            }
            if self.entries.is_multiple_of(1000) && self.is_spent() {
                break;
            }
            self.entries -= 1;
            match rustix::fs::statat(folder, name, AtFlags::SYMLINK_NOFOLLOW) {
                Ok(stat) if stat.st_dev == self.device => self.count(&stat, name, &mut level),
                Ok(_) => {}
                Err(errno) => self.miss(errno),
            }
        }
        Ok(level)
    }

    fn count(&mut self, stat: &Stat, name: &CStr, level: &mut Level) {
        let is_folder = FileType::from_raw_mode(stat.st_mode) == FileType::Directory;
        if !is_folder && stat.st_nlink > 1 {
            // Uncounted rather than counted twice.
            if self.seen.contains(&stat.st_ino) || !self.keep(FILE_COST) {
                return;
            }
            self.seen.insert(stat.st_ino);
        }
        self.taken.bytes = self.taken.bytes.saturating_add(taken(stat));
        let cost = NAME_COST + name.count_bytes();
        if is_folder && self.keep(cost) {
            level.cost += cost;
            level.folders.push(name.to_owned());
        }
    }
}

fn enter(at: impl AsFd, name: &CStr) -> Result<OwnedFd, Errno> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    rustix::fs::openat(at, name, flags, Mode::empty())
}

/// The folder that this one is in, if it is still the one we came from.
fn outer_of(folder: &OwnedFd, id: (u64, u64)) -> Option<OwnedFd> {
    let outer = enter(folder, c"..").ok()?;
    let stat = rustix::fs::fstat(&outer).ok()?;
    ((stat.st_dev, stat.st_ino) == id).then_some(outer)
}

fn taken(stat: &Stat) -> u64 {
    u64::try_from(stat.st_blocks)
        .unwrap_or(0)
        .saturating_mul(BLOCK)
}

/// What a home may take: as much as its limit. One that took more already may grow a little, so that
/// the server with which somebody makes room can start.
#[derive(Debug, Clone, Copy)]
struct Allowance {
    limit: u64,
    /// The least that was measured by a look at the whole.
    least: Option<u64>,
    /// What the first look saw, until one has seen the whole.
    first: Option<u64>,
    was_told: bool,
}

/// What Jupyter writes for itself, and some room to work in.
const SLACK: u64 = 64 << 20;

impl Allowance {
    fn new(limit: u64) -> Self {
        Self {
            limit,
            least: None,
            first: None,
            was_told: false,
        }
    }

    /// No server ends by one look: what is moved meanwhile may be counted at both places.
    fn judge_surely(&mut self, mut look: impl FnMut() -> Option<Taken>) -> News {
        let mut judge = || look().map_or(News::Unknown, |taken| self.judge(taken));
        match judge() {
            News::Over(_) => judge(),
            news => news,
        }
    }

    fn judge(&mut self, taken: Taken) -> News {
        let size = taken.bytes;
        if taken.is_whole {
            self.least = Some(self.least.map_or(size, |least| least.min(size)));
        }
        let first = *self.first.get_or_insert(size);
        let least = self.least.unwrap_or(first);
        let most = match least > self.limit {
            true => least.saturating_add(SLACK),
            false => self.limit,
        };
        if size > most {
            return News::Over(size);
        }
        let is_near = size >= self.limit / 10 * 9;
        match is_near && !std::mem::replace(&mut self.was_told, is_near) {
            true => News::Nearly(size),
            false => News::Fine,
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
        let taken = measure(&folder.into(), &BOUNDS).expect("readable");
        assert!(taken.is_whole, "{taken:?}");
        taken.bytes
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
    fn a_look_that_meets_a_bound_says_so() {
        let home = tempfile::tempdir().expect("a folder");
        for n in 0..1500 {
            fs::create_dir(home.path().join(format!("folder{n}"))).expect("made");
        }
        let file = home.path().join("folder1/file");
        write(&file, MIB);
        fs::hard_link(&file, home.path().join("again")).expect("linked");
        let folder: OwnedFd = fs::File::open(home.path()).expect("there").into();
        let whole = of(home.path());
        let bounds = |entries, time, memory| Bounds {
            entries,
            time,
            memory,
        };
        let time = BOUNDS.time;
        for bounds in [
            bounds(700, time, BOUNDS.memory),
            bounds(1000, Duration::ZERO, BOUNDS.memory),
            bounds(BOUNDS.entries, time, 20_000),
            bounds(BOUNDS.entries, time, LEVEL_COST),
            bounds(BOUNDS.entries, time, 0),
        ] {
            let taken = measure(&folder, &bounds).expect("readable");
            assert!(!taken.is_whole && taken.bytes <= whole, "{taken:?}");
        }
        // What was remembered of a folder is forgotten behind it.
        let deep = tempfile::tempdir().expect("a folder");
        for n in 0..50 {
            fs::create_dir_all(deep.path().join(format!("{n}/a/b/c"))).expect("made");
        }
        let folder: OwnedFd = fs::File::open(deep.path()).expect("there").into();
        let memory = 50 * (NAME_COST + 2) + 5 * LEVEL_COST + 3 * (NAME_COST + 1);
        let taken = measure(&folder, &bounds(BOUNDS.entries, time, memory));
        assert!(taken.expect("readable").is_whole);
        let taken = measure(&folder, &bounds(BOUNDS.entries, time, memory / 2));
        assert!(!taken.expect("readable").is_whole);
    }

    #[test]
    fn who_moves_folders_during_a_look_hides_nothing_else() {
        let home = tempfile::tempdir().expect("a folder");
        let deep = home.path().join("d/".repeat(HELD + 5));
        let moved = deep.join("a/moved");
        fs::create_dir_all(&moved).expect("made");
        fs::create_dir(deep.join("b")).expect("made");
        for n in 0..100 {
            fs::create_dir(moved.join(n.to_string())).expect("made");
        }
        for n in 0..40 {
            let folder = home.path().join(n.to_string());
            fs::create_dir(&folder).expect("made");
            write(&folder.join("file"), MIB / 8);
        }
        let folder: OwnedFd = fs::File::open(home.path()).expect("there").into();
        let is_over = std::sync::atomic::AtomicBool::new(false);
        let parts = std::thread::scope(|scope| {
            scope.spawn(|| {
                let places = [moved, deep.join("b/moved")];
                for n in 0.. {
                    let (from, to) = (&places[n % 2], &places[(n + 1) % 2]);
                    fs::rename(from, to).expect("moved");
                    if is_over.load(std::sync::atomic::Ordering::Relaxed) {
                        break;
                    }
                }
            });
            let looks = (0..50).map(|_| measure(&folder, &BOUNDS).expect("readable"));
            let looks: Vec<Taken> = looks.collect();
            is_over.store(true, std::sync::atomic::Ordering::Relaxed);
            looks
        });
        for taken in parts {
            assert!(taken.bytes >= 5 * MIB, "{taken:?}");
        }
    }

    #[test]
    fn what_can_not_be_read_is_said() {
        let file: OwnedFd = tempfile::tempfile().expect("a file").into();
        let news = Allowance::new(MIB).judge_surely(|| measure(&file, &BOUNDS));
        assert_eq!(news, News::Unknown);
        for news in [News::Fine, News::Nearly(1 << 40), News::Over(7), news] {
            assert_eq!(News::from_bytes(news.to_bytes()), news);
        }
    }

    fn taken_of(bytes: u64, is_whole: bool) -> Taken {
        Taken { bytes, is_whole }
    }

    #[test]
    fn no_server_ends_by_one_look() {
        let news = |looks: [u64; 2]| {
            let mut looks = looks.into_iter().map(|size| taken_of(size, true));
            let mut allowance = Allowance::new(1000);
            allowance.judge(taken_of(500, true));
            allowance.judge_surely(|| looks.next())
        };
        assert_eq!(news([1001, 600]), News::Fine);
        assert_eq!(news([1001, 1002]), News::Over(1002));
        assert_eq!(news([600, 1001]), News::Fine);
    }

    #[test]
    fn a_look_at_a_part_makes_no_limit_closer() {
        let mut allowance = Allowance::new(1000 * MIB);
        let mut judge = |size: u64, whole| allowance.judge(taken_of(size * MIB, whole));
        assert_eq!(judge(300, false), News::Fine);
        assert_eq!(judge(2000, true), News::Nearly(2000 * MIB));
        assert_eq!(judge(100, false), News::Fine);
        assert_eq!(judge(2000, true), News::Fine);
        assert_eq!(judge(2065, false), News::Over(2065 * MIB));
        assert_eq!(judge(100, true), News::Fine);
        assert_eq!(judge(1001, false), News::Over(1001 * MIB));
        // Nor can somebody escape whose home is never seen whole.
        let mut allowance = Allowance::new(1000 * MIB);
        assert_eq!(allowance.judge(taken_of(500 * MIB, false)), News::Fine);
        let news = allowance.judge(taken_of(1001 * MIB, false));
        assert_eq!(news, News::Over(1001 * MIB));
    }

    #[test]
    fn a_home_that_is_too_large_already_may_shrink_and_hardly_grow() {
        let mut allowance = Allowance::new(1000 * MIB);
        let mut judge = |size: u64| allowance.judge(taken_of(size * MIB, true));
        assert_eq!(judge(100), News::Fine);
        assert_eq!(judge(900), News::Nearly(900 * MIB));
        assert_eq!(judge(1000), News::Fine);
        assert_eq!(judge(1001), News::Over(1001 * MIB));
        let mut allowance = Allowance::new(1000 * MIB);
        let mut judge = |size: u64| allowance.judge(taken_of(size * MIB, true));
        assert_eq!(judge(2000), News::Nearly(2000 * MIB));
        assert_eq!(judge(2060), News::Fine);
        assert_eq!(judge(1500), News::Fine);
        assert_eq!(judge(1570), News::Over(1570 * MIB));
        assert_eq!(judge(800), News::Fine);
        assert_eq!(judge(1001), News::Over(1001 * MIB));
    }
}
