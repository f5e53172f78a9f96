//! Reading run folders from the hub's side, and acting on what they tell. Blocking.

use std::path::Path;
use std::time::Duration;

use lyceum_model::server::ServerKey;
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, Signal};

use crate::error::SpawnError;
use crate::local::folder::{Exit, RunFolder, State, boot_id, now_ms};
use crate::local::processes;
use lyceum_model::say;

/// How long killed processes may take to vanish.
pub(super) const KILL_LIMIT: Duration = Duration::from_secs(10);
/// Where a folder goes just before it is deleted.
pub(super) const FORGOTTEN: &str = ".forgotten-";

/// What a run folder tells.
pub(super) enum Found {
    /// The keeper lives and so does the server.
    Running(State),
    /// A keeper holds the lock, but has no server yet or none any more.
    Turning(Option<(State, Exit)>),
    /// It ended; unless `swept`, something of it may be left.
    Ended(State, Exit),
    Nothing,
}

/// The order of the looks matters: a keeper takes the lock before it writes its state, and writes
/// how it ended before it lets go. So a free lock seen *after* a state means that the keeper of
/// that very run is gone, and what it had to say is there to be read.
pub(super) fn look(folder: &RunFolder) -> Result<Found, SpawnError> {
    let reading = |error| SpawnError::io(say!("doing.read_run_folder"), folder.path(), &error);
    let state = folder.state().map_err(reading)?;
    let holder = holder(folder)?.map(|pid| pid.as_raw_nonzero().get());
    let Some(state) = state else {
        return Ok(match holder {
            Some(_) => Found::Turning(None),
            None => Found::Nothing,
        });
    };
    let exit = folder.exit_of(&state).map_err(reading)?;
    Ok(match (holder, exit) {
        // The state is of an earlier run, and the new keeper has not written its own yet.
        (Some(pid), _) if pid != state.keeper => Found::Turning(None),
        (Some(_), Some(exit)) => Found::Turning(Some((state, exit))),
        (Some(_), None) => Found::Running(state),
        (None, Some(exit)) => Found::Ended(state, exit),
        (None, None) => {
            let exit = keeper_lost(&state);
            Found::Ended(state, exit)
        }
    })
}

pub(super) fn holder(folder: &RunFolder) -> Result<Option<Pid>, SpawnError> {
    let asking = |error| SpawnError::io(say!("doing.ask_lock"), folder.path(), &error);
    folder.holder().map_err(asking)
}

/// What a keeper would have written, had it not been killed.
fn keeper_lost(state: &State) -> Exit {
    Exit {
        run: state.run.clone(),
        code: None,
        signal: Some(Signal::KILL.as_raw()),
        ended_at: now_ms(),
        out_of_memory: false,
        stopped: false,
        keeper_lost: true,
        swept: false,
        home_takes: None,
    }
}

pub(super) fn sweep(state: &State) -> bool {
    // Nothing survives a boot, and no number of before means anything.
    state.boot != boot_id() || processes::sweep(&state.run, state.cgroup.as_deref(), KILL_LIMIT)
}

/// Sweeps and writes down that it is done, so that it is done once.
pub(super) fn sweep_and_note(folder: &RunFolder, state: &State, exit: Exit) -> Exit {
    let exit = Exit {
        swept: sweep(state),
        ..exit
    };
    if exit.swept {
        drop(folder.write_exit(&exit));
    }
    exit
}

/// Signals the keeper, if there is one.
pub(super) fn signal_keeper(folder: &RunFolder, signal: Signal) -> Result<bool, SpawnError> {
    loop {
        let Some(pid) = holder(folder)? else {
            return Ok(false);
        };
        let failed = |errno: Errno| {
            SpawnError::io(say!("doing.signal_keeper"), folder.path(), &errno.into())
        };
        let handle = match rustix::process::pidfd_open(pid, PidfdFlags::empty()) {
            Ok(handle) => handle,
            // Gone since; look again.
            Err(Errno::SRCH) => continue,
            Err(errno) => return Err(failed(errno)),
        };
        if holder(folder)? == Some(pid) {
            return match rustix::process::pidfd_send_signal(&handle, signal) {
                Ok(()) | Err(Errno::SRCH) => Ok(true),
                Err(errno) => Err(failed(errno)),
            };
        }
    }
}

pub(super) fn list(run_dir: &Path) -> Result<Vec<ServerKey>, SpawnError> {
    let reading = |error| SpawnError::io(say!("doing.read_folder"), run_dir, &error);
    let mut keys = Vec::new();
    for entry in std::fs::read_dir(run_dir).map_err(reading)? {
        let entry = entry.map_err(reading)?;
        let name = entry.file_name();
        let Some(key) = name.to_str().and_then(ServerKey::parse) else {
            continue;
        };
        if holder(&RunFolder::new(entry.path()))?.is_some() {
            keys.push(key);
        }
    }
    keys.sort();
    Ok(keys)
}

pub(super) fn forget(folder: &RunFolder, away: &Path, key: String) -> Result<(), SpawnError> {
    if holder(folder)?.is_some() {
        return Err(SpawnError::Busy { key });
    }
    match std::fs::rename(folder.path(), away) {
        Ok(()) => {}
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(SpawnError::io(say!("doing.remove"), folder.path(), &error)),
    }
    // A start may have come between looking and moving.
    if holder(&RunFolder::new(away.into()))?.is_some() {
        drop(std::fs::rename(away, folder.path()));
        return Err(SpawnError::Busy { key });
    }
    std::fs::remove_dir_all(away)
        .map_err(|error| SpawnError::io(say!("doing.remove"), away, &error))
}

/// Deletes what an interrupted [`forget`] left.
pub(super) fn tidy(run_dir: &Path) {
    for entry in std::fs::read_dir(run_dir).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let forgotten = name
            .to_str()
            .is_some_and(|name| name.starts_with(FORGOTTEN));
        let held = || RunFolder::new(entry.path()).holder();
        if forgotten && matches!(held(), Ok(None)) {
            drop(std::fs::remove_dir_all(entry.path()));
        }
    }
}
