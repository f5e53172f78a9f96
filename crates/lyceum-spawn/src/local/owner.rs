//! Whether the program that listens on a server's port is that server.
//!
//! A port is picked before the server binds it, and becomes free when the server ends: any process
//! of the machine could listen there in its place and be sent people's cookies. So the listening
//! socket is looked for among the descriptors of the server's processes, the descendants of its
//! keeper: the keeper adopts what loses its parent, so nothing of the server is elsewhere.
//!
//! Where descriptors can't be read (root in a container without `CAP_SYS_PTRACE`, a process that
//! forbids it), the account of the socket must be the one the server runs as. That tells servers
//! apart only if each has an account of its own.

use std::fs;
use std::io;

use crate::local::folder::State;
use crate::local::processes::{self, Process};
use crate::local::sockets::{Reader, Socket};
use crate::spawner::PortOwner;

/// Looks until what was seen fits together; sockets and processes come and go meanwhile.
const LOOKS: usize = 5;

/// Who listens on the port of a running server. Blocking.
pub(crate) fn of(state: &State, reader: &Reader) -> io::Result<PortOwner> {
    let Some(port) = port(&state.address) else {
        return Ok(PortOwner::Unknown);
    };
    let mut seen = PortOwner::Nobody;
    for _ in 0..LOOKS {
        let sockets = reader.at(port)?;
        if sockets.is_empty() {
            return Ok(PortOwner::Nobody);
        }
        let verdicts = sockets.iter().map(|socket| judge(state, *socket));
        let Some(stranger) = verdicts.flatten().next() else {
            return Ok(PortOwner::Server);
        };
        seen = PortOwner::Stranger {
            uid: stranger.uid,
            pid: stranger.pid,
        };
        // Without a process it may just have been closed.
        if stranger.pid.is_some() {
            break;
        }
    }
    Ok(seen)
}

fn port(address: &str) -> Option<u16> {
    address.rsplit_once(':')?.1.parse().ok()
}

struct Stranger {
    uid: u32,
    pid: Option<i32>,
}

/// None: the socket is the server's.
fn judge(state: &State, socket: Socket) -> Option<Stranger> {
    let name = format!("socket:[{}]", socket.inode);
    // Most servers are one process that listens itself.
    let child = state.child.and_then(Process::find);
    let child = child.filter(|child| child.is_child_of(state.keeper));
    if child.is_some_and(|child| holds(child, &name) == Holds::Yes) {
        return None;
    }
    let mut hidden = false;
    for process in processes::descendants(state.keeper) {
        match holds(process, &name) {
            Holds::Yes => return None,
            Holds::Hidden => hidden = true,
            Holds::No => {}
        }
    }
    // A walk down the tree can miss one that loses its parent meanwhile; a walk up can't.
    let mut stranger = None;
    for process in processes::all() {
        if holds(process, &name) == Holds::Yes {
            if process.descends_from(state.keeper) {
                return None;
            }
            stranger = Some(process.pid);
        }
    }
    if stranger.is_none() && hidden && state.uid == Some(socket.uid) {
        return None;
    }
    Some(Stranger {
        uid: socket.uid,
        pid: stranger,
    })
}

#[derive(PartialEq, Eq)]
enum Holds {
    Yes,
    No,
    /// Its descriptors can't be read.
    Hidden,
}

fn holds(process: Process, socket: &str) -> Holds {
    let entries = match fs::read_dir(format!("/proc/{}/fd", process.pid)) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => return Holds::Hidden,
        Err(_) => return Holds::No,
    };
    for entry in entries.flatten() {
        match fs::read_link(entry.path()) {
            // The number may be another process' by now.
            Ok(link) if link.as_os_str() == socket => {
                return match process.is_still_there() {
                    true => Holds::Yes,
                    false => Holds::No,
                };
            }
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => return Holds::Hidden,
            _ => {}
        }
    }
    Holds::No
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_are_read_from_addresses() {
        assert_eq!(port("http://127.0.0.1:41234"), Some(41234));
        assert_eq!(port("http://nowhere"), None);
    }
}
