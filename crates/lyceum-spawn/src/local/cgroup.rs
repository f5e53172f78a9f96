//! Control groups, version 2: limits that hold for a server as a whole, and a kill that nothing
//! escapes.
//!
//! Where: `<own group>/lyceum-<tag>/<key>.<run>`, the tag telling installations apart and the run
//! making sure that sweeping an old run never meets a new one. Under systemd
//! the unit needs `Delegate=yes`, `DelegateSubgroup=hub` and `KillMode=process`; otherwise we
//! stay away, because the groups are systemd's. Not here: deciding ([`super::limits`]).

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use lyceum_model::server::Resources;

use crate::local::wire::CgroupOrder;
use crate::spawner::Usage;

/// The leaf that the hub itself sits in, because only leaves may hold processes.
const OWN_LEAF: &str = "hub";
const CONTROLLERS: [&str; 3] = ["memory", "cpu", "pids"];

/// A place where groups of servers can be made.
#[derive(Debug)]
pub(crate) struct Place {
    base: PathBuf,
    controllers: Vec<String>,
}

impl Place {
    /// Finds our own group and prepares a place below it, or says why not.
    pub(crate) fn find(tag: &str) -> Result<Self, String> {
        let own = own_group()?;
        let parent = own.parent().filter(|_| own.ends_with(OWN_LEAF));
        let top = parent.unwrap_or(&own);
        if Path::new("/run/systemd/system").exists() && !is_delegated(top) {
            return Err(format!(
                "systemd has not delegated {} to us (Delegate=yes in the unit)",
                top.display()
            ));
        }
        Self::prepare(top, tag)
    }

    /// Makes the place below a group that is ours.
    pub(crate) fn prepare(top: &Path, tag: &str) -> Result<Self, String> {
        let base = top.join(format!("lyceum-{tag}"));
        match fs::create_dir(&base) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
                return Err(format!(
                    "no group can be made in {} ({error})",
                    top.display()
                ));
            }
            _ => {}
        }
        hand_down(top);
        hand_down(&base);
        let controllers = words(&base.join("cgroup.subtree_control"));
        Ok(Self { base, controllers })
    }

    pub(crate) fn has(&self, controller: &str) -> bool {
        self.controllers.iter().any(|c| c == controller)
    }

    pub(crate) fn order(&self, name: &str) -> CgroupOrder {
        CgroupOrder {
            path: self.base.join(name),
            memory: self.has("memory"),
            cpu: self.has("cpu"),
            pids: self.has("pids"),
        }
    }
}

impl Drop for Place {
    /// Leaves no empty group behind; one with servers in it stays.
    fn drop(&mut self) {
        drop(fs::remove_dir(&self.base));
    }
}

/// Where this process is in the tree of version 2.
fn own_group() -> Result<PathBuf, String> {
    let read = |path: &str| fs::read_to_string(path).map_err(|e| format!("{path}: {e}"));
    let mounts = read("/proc/self/mountinfo")?;
    let (root, mount) = unified_mount(&mounts).ok_or("no cgroup version 2 is mounted")?;
    let groups = read("/proc/self/cgroup")?;
    let own = groups.lines().find_map(|line| line.strip_prefix("0::"));
    let own = own.ok_or("this process is in no cgroup of version 2")?;
    let below = Path::new(own)
        .strip_prefix(&root)
        .map_err(|_| format!("our cgroup {own} is not visible below {root}"))?;
    if below.components().any(|c| c.as_os_str() == "..") {
        return Err(format!("our cgroup {own} is outside what we can see"));
    }
    Ok(Path::new(&mount).join(below))
}

/// Root and mount point of the first cgroup2 mount; proc_pid_mountinfo(5).
fn unified_mount(mountinfo: &str) -> Option<(String, String)> {
    mountinfo.lines().find_map(|line| {
        let (before, after) = line.split_once(" - ")?;
        if after.split(' ').next() != Some("cgroup2") {
            return None;
        }
        let mut fields = before.split(' ').skip(3);
        Some((fields.next()?.to_owned(), fields.next()?.to_owned()))
    })
}

/// systemd marks what it gave away.
fn is_delegated(group: &Path) -> bool {
    ["user.delegate", "trusted.delegate"].iter().any(|name| {
        let mut value = [0_u8; 8];
        rustix::fs::getxattr(group, *name, &mut value[..]).is_ok_and(|n| n > 0 && value[0] == b'1')
    })
}

/// Lets the children of a group use the controllers it has. What does not work is missing in
/// `cgroup.subtree_control` afterwards, and reported as such.
fn hand_down(group: &Path) {
    let has = words(&group.join("cgroup.controllers"));
    let control = group.join("cgroup.subtree_control");
    for controller in CONTROLLERS {
        if !has.iter().any(|c| c == controller) || words(&control).iter().any(|c| c == controller) {
            continue;
        }
        let line = format!("+{controller}");
        let busy = rustix::io::Errno::BUSY.raw_os_error();
        match fs::write(&control, &line) {
            // Processes sit in it. If that is only us, we can move to a leaf.
            Err(error) if error.raw_os_error() == Some(busy) && move_to_leaf(group) => {
                drop(fs::write(&control, &line));
            }
            _ => {}
        }
    }
}

fn move_to_leaf(group: &Path) -> bool {
    let own = std::process::id().to_string();
    if words(&group.join("cgroup.procs")) != [own.clone()] {
        return false;
    }
    let leaf = group.join(OWN_LEAF);
    drop(fs::create_dir(&leaf));
    fs::write(leaf.join("cgroup.procs"), own).is_ok()
}

fn words(path: &Path) -> Vec<String> {
    let text = fs::read_to_string(path).unwrap_or_default();
    text.split_whitespace().map(str::to_owned).collect()
}

/// Makes the group of a server with its limits. For the keeper.
pub(crate) fn create(order: &CgroupOrder, resources: &Resources) -> io::Result<()> {
    make(&order.path)?;
    for (file, value) in settings(order, resources) {
        match fs::write(order.path.join(file), value) {
            // Without swap in the kernel there is no such file and nothing to limit.
            Err(error) if file == "memory.swap.max" && is_missing(&error) => {}
            Err(error) => {
                remove(&order.path);
                return Err(error);
            }
            Ok(()) => {}
        }
    }
    Ok(())
}

/// Makes a group below the place, and the place too if the last server took it along.
fn make(group: &Path) -> io::Result<()> {
    let mut tries = 0;
    loop {
        match fs::create_dir(group) {
            Err(error) if error.kind() == io::ErrorKind::NotFound && tries < 5 => {
                let base = group.parent().ok_or(error)?;
                drop(fs::create_dir(base));
                hand_down(base);
                tries += 1;
            }
            other => return other,
        }
    }
}

/// The files of a group to write; kernel documentation, "Control Group v2".
fn settings(order: &CgroupOrder, resources: &Resources) -> Vec<(&'static str, String)> {
    let mut settings = Vec::new();
    if order.memory {
        if let Some(limit) = resources.memory_limit {
            settings.push(("memory.max", limit.to_string()));
            settings.push(("memory.swap.max", "0".into()));
        }
        if let Some(guarantee) = resources.memory_guarantee {
            settings.push(("memory.low", guarantee.to_string()));
        }
    }
    if let Some(cores) = resources.cpu_limit.filter(|_| order.cpu) {
        // Microseconds of processor time per 100 ms; the kernel takes no less than 1 ms.
        let quota = (cores * 100_000.0).clamp(1_000.0, 1e12);
        settings.push(("cpu.max", format!("{quota:.0} 100000")));
    }
    if let Some(limit) = resources.processes.filter(|_| order.pids) {
        settings.push(("pids.max", limit.to_string()));
    }
    settings
}

fn is_missing(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::NotFound | io::ErrorKind::PermissionDenied
    )
}

/// Kills everything in the group; on kernels before 5.14 one by one.
pub(crate) fn kill(group: &Path) {
    if fs::write(group.join("cgroup.kill"), "1").is_ok() {
        return;
    }
    for pid in words(&group.join("cgroup.procs")) {
        let Ok(pid) = pid.parse() else { continue };
        let procs = group.join("cgroup.procs");
        let still = || words(&procs).iter().any(|p| p.parse() == Ok(pid));
        super::processes::signal_if(pid, rustix::process::Signal::KILL, still);
    }
}

pub(crate) fn is_populated(group: &Path) -> bool {
    let events = fs::read_to_string(group.join("cgroup.events")).unwrap_or_default();
    events.lines().any(|line| line == "populated 1")
}

/// Removes an empty group; a group that is not empty stays.
pub(crate) fn remove(group: &Path) {
    let mut pause = Duration::from_millis(1);
    // The kernel lets go of the last process a moment after it was waited for.
    while pause < Duration::from_millis(300) {
        match fs::remove_dir(group) {
            Err(error) if error.raw_os_error() == Some(rustix::io::Errno::BUSY.raw_os_error()) => {}
            _ => break,
        }
        std::thread::sleep(pause);
        pause *= 2;
    }
    // The last one takes the place along.
    if let Some(base) = group.parent() {
        drop(fs::remove_dir(base));
    }
}

/// How many processes of the group the kernel killed for lack of memory.
pub(crate) fn out_of_memory_kills(group: &Path) -> u64 {
    let events = fs::read_to_string(group.join("memory.events")).unwrap_or_default();
    number_after(&events, "oom_kill").unwrap_or(0)
}

fn number_after(text: &str, name: &str) -> Option<u64> {
    text.lines().find_map(|line| {
        let (word, number) = line.split_once(' ')?;
        (word == name).then(|| number.trim().parse().ok())?
    })
}

/// What the group takes; `None` where the controllers are missing.
pub(crate) fn usage(group: &Path) -> Option<Usage> {
    let read = |file: &str| fs::read_to_string(group.join(file)).ok();
    let whole = |file: &str| read(file)?.trim().parse::<u64>().ok();
    let micros = number_after(&read("cpu.stat")?, "usage_usec")?;
    #[expect(clippy::cast_precision_loss, reason = "seconds for a display")]
    let cpu_seconds = micros as f64 / 1e6;
    let processes = words(&group.join("cgroup.procs")).len();
    Some(Usage {
        memory: whole("memory.current")?,
        cpu_seconds,
        processes: u64::try_from(processes).expect("fits"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mount_is_found_beside_version_1() {
        let info = "34 33 0:30 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n\
                    42 33 0:38 / /sys/fs/cgroup/unified rw shared:9 - cgroup2 cgroup2 rw\n";
        let found = unified_mount(info).expect("there");
        assert_eq!(found, ("/".into(), "/sys/fs/cgroup/unified".into()));
        assert_eq!(unified_mount("nothing"), None);
    }

    #[test]
    fn limits_become_settings() {
        let order = CgroupOrder {
            path: "/x".into(),
            memory: true,
            cpu: true,
            pids: false,
        };
        let resources = Resources {
            memory_limit: Some(1 << 30),
            cpu_limit: Some(0.5),
            processes: Some(100),
            ..Resources::default()
        };
        let expect = [
            ("memory.max", "1073741824"),
            ("memory.swap.max", "0"),
            ("cpu.max", "50000 100000"),
        ];
        let expect = expect.map(|(file, value)| (file, value.to_owned()));
        assert_eq!(settings(&order, &resources), expect);
    }

    #[test]
    fn kills_are_counted() {
        let folder = tempfile::tempdir().expect("a folder");
        assert_eq!(out_of_memory_kills(folder.path()), 0);
        let events = "low 0\nhigh 0\nmax 7\noom 2\noom_kill 1\noom_group_kill 0\n";
        fs::write(folder.path().join("memory.events"), events).expect("written");
        assert_eq!(out_of_memory_kills(folder.path()), 1);
    }
}
