//! Finding or making the home folder without being led astray.
//!
//! Invariant: no component below the root of homes is followed if it is a symbolic link, so
//! nobody who owns a folder on the way can point us elsewhere while we run as root.

use std::fs::File;
use std::io;
use std::path::{Component, Path};

use lyceum_model::server::RunAs;
use rustix::fd::OwnedFd;
use rustix::fs::{CWD, Gid, Mode, OFlags, Uid};
use rustix::io::Errno;

use crate::error::SpawnError;
use lyceum_model::say;
use lyceum_model::saying::Saying;

/// The components of a home, if it stays below the root.
pub(crate) fn check(home: &str) -> Result<Vec<&str>, SpawnError> {
    let bad = |why: Saying| SpawnError::BadHome {
        home: home.into(),
        why,
    };
    if home.contains('\0') {
        return Err(bad(say!("home.nul")));
    }
    let mut parts = Vec::new();
    for component in Path::new(home).components() {
        match component {
            Component::Normal(part) => parts.push(part.to_str().expect("part of a str")),
            Component::RootDir | Component::Prefix(_) => {
                return Err(bad(say!("home.not_relative")));
            }
            Component::ParentDir => return Err(bad(say!("home.has_parent"))),
            Component::CurDir => return Err(bad(say!("home.has_current"))),
        }
    }
    if parts.is_empty() {
        return Err(bad(say!("home.empty")));
    }
    Ok(parts)
}

/// Opens the home, made where it is missing: private, and owned by the account.
pub(crate) fn open(root: &Path, home: &str, run_as: Option<&RunAs>) -> Result<OwnedFd, SpawnError> {
    let parts = check(home)?;
    let flags = OFlags::DIRECTORY | OFlags::CLOEXEC;
    // Root may not be allowed to read private homes on a network file system; naming is enough.
    let name_only = flags | OFlags::PATH;
    let mut at = rustix::fs::openat(CWD, root, name_only, Mode::empty())
        .map_err(|errno| SpawnError::io(say!("doing.open_homes"), root, &errno.into()))?;
    let mut path = root.to_path_buf();
    let last = parts.len() - 1;
    for (depth, part) in parts.into_iter().enumerate() {
        path.push(part);
        // Folders on the way must let the account through.
        let private = depth == last || run_as.is_none();
        let mode = Mode::from_raw_mode(if private { 0o700 } else { 0o711 });
        let made = match rustix::fs::mkdirat(&at, part, mode) {
            Ok(()) => true,
            Err(Errno::EXIST) => false,
            Err(errno) => {
                return Err(SpawnError::io(
                    say!("doing.make_home"),
                    &path,
                    &errno.into(),
                ));
            }
        };
        // What was just made is opened for real, to give it away.
        let flags = if made { flags } else { name_only };
        at = rustix::fs::openat(&at, part, flags | OFlags::NOFOLLOW, Mode::empty())
            .map_err(|errno| refused(home, &path, errno))?;
        if made {
            // The umask may have taken bits away.
            let set = rustix::fs::fchmod(&at, mode);
            set.map_err(|errno| SpawnError::io(say!("doing.set_mode"), &path, &errno.into()))?;
            if depth == last {
                give_to(&at, run_as, &path)?;
            }
        }
    }
    check_owner(at, home, &path, run_as)
}

fn refused(home: &str, path: &Path, errno: Errno) -> SpawnError {
    let why = match errno {
        Errno::LOOP => say!("home.link", path = path),
        Errno::NOTDIR => say!("home.link_or_file", path = path),
        errno => return SpawnError::io(say!("doing.open_home"), path, &errno.into()),
    };
    SpawnError::BadHome {
        home: home.into(),
        why,
    }
}

fn give_to(folder: &OwnedFd, run_as: Option<&RunAs>, path: &Path) -> Result<(), SpawnError> {
    let Some(run_as) = run_as else { return Ok(()) };
    let uid = Uid::from_raw(run_as.uid);
    let gid = Gid::from_raw(run_as.gid);
    rustix::fs::fchown(folder, Some(uid), Some(gid))
        .map_err(|errno| SpawnError::io(say!("doing.give_home"), path, &errno.into()))
}

/// A home of someone else is a mix-up of accounts, and must not be entered.
fn check_owner(
    folder: OwnedFd,
    home: &str,
    path: &Path,
    run_as: Option<&RunAs>,
) -> Result<OwnedFd, SpawnError> {
    use std::os::unix::fs::MetadataExt;

    let Some(run_as) = run_as else {
        return Ok(folder);
    };
    let file = File::from(folder);
    let reading = |error: io::Error| SpawnError::io(say!("doing.look_at_home"), path, &error);
    let owner = file.metadata().map_err(reading)?.uid();
    if owner == run_as.uid {
        return Ok(file.into());
    }
    Err(SpawnError::BadHome {
        home: home.into(),
        why: say!(
            "home.not_owned",
            path = path,
            owner = owner.to_string(),
            account = &run_as.account,
            uid = run_as.uid.to_string()
        ),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::{PermissionsExt, symlink};

    #[test]
    fn evil_homes_are_refused() {
        for home in ["", ".", "..", "/etc", "a/../../etc", "./a", "a/..", "a\0b"] {
            assert!(check(home).is_err(), "{home:?}");
        }
        assert_eq!(check("a/b").expect("fine"), ["a", "b"]);
    }

    #[test]
    fn links_are_not_followed() {
        let root = tempfile::tempdir().expect("a folder");
        let outside = tempfile::tempdir().expect("a folder");
        symlink(outside.path(), root.path().join("link")).expect("a link");
        for home in ["link", "link/deeper"] {
            let error = open(root.path(), home, None).expect_err("must not be followed");
            assert!(error.to_string().contains("symbolic link"), "{error}");
        }
        let mut inside = std::fs::read_dir(outside.path()).expect("readable");
        assert!(inside.next().is_none(), "nothing was made behind the link");
    }

    #[test]
    fn a_new_home_is_private() {
        let root = tempfile::tempdir().expect("a folder");
        open(root.path(), "a/b", None).expect("made");
        open(root.path(), "a/b", None).expect("found");
        let mode = std::fs::metadata(root.path().join("a/b")).expect("there");
        assert_eq!(mode.permissions().mode() & 0o7777, 0o700);
        std::fs::write(root.path().join("file"), "").expect("a file");
        assert!(open(root.path(), "file", None).is_err());
    }
}
