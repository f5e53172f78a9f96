//! Before many servers start at once: the files of their program are read once, so that the first of
//! them need not wait for the disk, and what the machine has is held against what servers are
//! guaranteed.
//!
//! Reading is a help and no more: it is bounded, gives way to others, and what can't be read is left.

use std::collections::HashSet;
use std::fs::{self, File};
use std::io::Read;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use lyceum_model::server::ServerSpec;
use rustix::fs::OFlags;

use crate::spawner::{Resource, Shortage};

/// What is read at most, in bytes, files and time.
const READ_MAX: u64 = 2 << 30;
const FILES_MAX: usize = 200_000;
const TIME_MAX: Duration = Duration::from_secs(120);
/// Larger files are data, not program.
const FILE_MAX: u64 = 256 << 20;
const DEPTH_MAX: usize = 24;
/// So often others get their turn at the disk.
const BREATH_EVERY: u64 = 32 << 20;
const BREATH: Duration = Duration::from_millis(20);
/// What a new home and the log of its server take.
const HOME_BEGINS_WITH: u64 = 16 << 20;

/// What was read.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Warmed {
    pub(super) files: usize,
    pub(super) bytes: u64,
}

/// The folders of the program's environment: where `bin` lies among what belongs to it, as Python's
/// environments have it. Nothing of the system's own, which others keep warm.
fn folders(spec: &ServerSpec) -> Vec<PathBuf> {
    let program = spec.command.first().map(Path::new);
    let beside = program
        .filter(|program| program.is_absolute())
        .and_then(Path::parent);
    let bins = spec.path_first.iter().map(Path::new).chain(beside);
    let mut folders: Vec<PathBuf> = Vec::new();
    for bin in bins {
        let Some(root) = bin
            .parent()
            .filter(|_| bin.file_name().is_some_and(|name| name == "bin"))
        else {
            continue;
        };
        let systems = ["/", "/usr", "/usr/local"].map(Path::new).contains(&root);
        if !systems && !folders.iter().any(|known| known == root) {
            folders.push(root.to_owned());
        }
    }
    folders
}

/// Reads what the servers' program is made of.
pub(super) fn warm(spec: &ServerSpec) -> Warmed {
    // More than is free would only push out what others need.
    let most = free_memory().map_or(READ_MAX, |free| READ_MAX.min(free / 4));
    let mut reader = Reader {
        began: Instant::now(),
        most,
        breath: 0,
        buffer: vec![0; 256 << 10],
        seen: HashSet::new(),
        warmed: Warmed::default(),
    };
    for folder in folders(spec) {
        reader.folder(&folder, 0);
    }
    reader.warmed
}

struct Reader {
    began: Instant,
    most: u64,
    breath: u64,
    buffer: Vec<u8>,
    /// Files of several names are read once.
    seen: HashSet<(u64, u64)>,
    warmed: Warmed,
}

impl Reader {
    fn is_enough(&self) -> bool {
        self.warmed.bytes >= self.most
            || self.warmed.files >= FILES_MAX
            || self.began.elapsed() >= TIME_MAX
    }

    fn folder(&mut self, folder: &Path, depth: usize) {
        let Ok(entries) = fs::read_dir(folder) else {
            return;
        };
        for entry in entries.flatten() {
            if self.is_enough() {
                return;
            }
            // Links lead to what is read elsewhere, or out of the environment.
            match entry.file_type() {
                Ok(kind) if kind.is_dir() && depth < DEPTH_MAX => {
                    self.folder(&entry.path(), depth + 1);
                }
                Ok(kind) if kind.is_file() => self.file(&entry.path()),
                _ => {}
            }
        }
    }

    fn file(&mut self, path: &Path) {
        let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK;
        let flags = i32::try_from(flags.bits()).unwrap_or_default();
        let opened = File::options().read(true).custom_flags(flags).open(path);
        let Ok(mut file) = opened else {
            return;
        };
        let Ok(meta) = file.metadata() else {
            return;
        };
        let fits = meta.is_file() && meta.len() <= FILE_MAX;
        if !fits || !self.seen.insert((meta.dev(), meta.ino())) {
            return;
        }
        self.warmed.files += 1;
        while let Ok(read) = file.read(&mut self.buffer)
            && read > 0
        {
            let read = read as u64;
            self.warmed.bytes += read;
            self.breath += read;
            if self.breath >= BREATH_EVERY {
                self.breath = 0;
                std::thread::sleep(BREATH);
            }
            if self.is_enough() {
                return;
            }
        }
    }
}

/// What there is less of than servers for so many people are guaranteed.
pub(super) fn short(people: u64, spec: &ServerSpec, homes: &Path) -> Vec<Shortage> {
    let guaranteed = spec.resources.memory_guarantee;
    let memory = guaranteed.and_then(|each| {
        let needed = each.saturating_mul(people);
        Some((Resource::Memory, needed, free_memory()?))
    });
    let disk = rustix::fs::statvfs(homes).ok().and_then(|disk| {
        let free = disk.f_bavail.saturating_mul(disk.f_frsize);
        let needed = HOME_BEGINS_WITH.saturating_mul(people);
        (disk.f_blocks > 0).then_some((Resource::Disk, needed, free))
    });
    let all = memory.into_iter().chain(disk);
    all.filter(|(_, needed, free)| free < needed)
        .map(|(of, needed, free)| Shortage { of, needed, free })
        .collect()
}

/// Bytes that programs could get without anything being swapped out.
fn free_memory() -> Option<u64> {
    available(&fs::read_to_string("/proc/meminfo").ok()?)
}

fn available(meminfo: &str) -> Option<u64> {
    let line = meminfo
        .lines()
        .find_map(|line| line.strip_prefix("MemAvailable:"))?;
    let kilobytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kilobytes.saturating_mul(1024))
}

#[cfg(test)]
mod tests {
    use super::*;
    use lyceum_model::server::Resources;

    fn of(command: &str, first: &[&str]) -> ServerSpec {
        ServerSpec {
            command: vec![command.into()],
            path_first: first.iter().map(|&one| one.to_owned()).collect(),
            ..ServerSpec::default()
        }
    }

    #[test]
    fn an_environment_lies_around_its_programs() {
        let check = |spec: ServerSpec, expect: &[&str]| {
            let expect: Vec<PathBuf> = expect.iter().map(PathBuf::from).collect();
            assert_eq!(folders(&spec), expect, "{spec:?}");
        };
        check(
            of(
                "/opt/jupyter/bin/jupyterhub-singleuser",
                &["/opt/jupyter/bin"],
            ),
            &["/opt/jupyter"],
        );
        check(of("jupyterhub-singleuser", &["/opt/a/bin"]), &["/opt/a"]);
        check(of("/opt/b/bin/x", &["/opt/a/bin"]), &["/opt/a", "/opt/b"]);
        check(of("/usr/bin/jupyterhub-singleuser", &[]), &[]);
        check(of("/usr/local/bin/x", &["/bin", "/home/ada"]), &[]);
    }

    #[test]
    fn files_of_the_environment_are_read_and_nothing_outside() {
        let folder = tempfile::tempdir().expect("a folder");
        let root = folder.path().join("env");
        let lib = root.join("lib/python");
        fs::create_dir_all(&lib).expect("made");
        fs::create_dir_all(root.join("bin")).expect("made");
        fs::write(lib.join("a.py"), vec![b'#'; 3000]).expect("written");
        fs::write(root.join("bin/lab"), "#!").expect("written");
        fs::hard_link(lib.join("a.py"), lib.join("b.py")).expect("linked");
        let outside = folder.path().join("outside");
        fs::write(&outside, "not ours").expect("written");
        std::os::unix::fs::symlink(&outside, lib.join("c.py")).expect("linked");
        std::os::unix::fs::symlink(folder.path(), lib.join("up")).expect("linked");
        let pipe = lib.join("pipe");
        rustix::fs::mkfifoat(rustix::fs::CWD, &pipe, rustix::fs::Mode::RWXU).expect("made");
        let bin = root.join("bin");
        let warmed = warm(&of("lab", &[bin.to_str().expect("text")]));
        let expect = Warmed {
            files: 2,
            bytes: 3002,
        };
        assert_eq!(warmed, expect);
    }

    #[test]
    fn what_is_guaranteed_is_held_against_what_there_is() {
        let homes = tempfile::tempdir().expect("a folder");
        let spec = |each: Option<u64>| ServerSpec {
            resources: Resources {
                memory_guarantee: each,
                ..Resources::default()
            },
            ..ServerSpec::default()
        };
        let check = |people: u64, each: Option<u64>, expect: &[Resource]| {
            let short = short(people, &spec(each), homes.path());
            let of: Vec<Resource> = short.iter().map(|one| one.of).collect();
            assert_eq!(of, expect, "{short:?}");
        };
        check(1, Some(1 << 20), &[]);
        check(1, Some(1 << 60), &[Resource::Memory]);
        check(1, None, &[]);
        let all = [Resource::Memory, Resource::Disk];
        check(1 << 40, Some(1 << 20), &all);
    }

    #[test]
    fn memory_that_programs_could_get() {
        let text = "MemTotal:       8000000 kB\nMemFree:   1 kB\nMemAvailable:    2048 kB\n";
        assert_eq!(available(text), Some(2 << 20));
        assert_eq!(available("MemTotal: 1 kB\n"), None);
        assert_eq!(available("MemAvailable: many kB\n"), None);
    }
}
