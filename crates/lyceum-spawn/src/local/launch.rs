//! The launcher: the same program once more, between the keeper and the server's command.
//!
//! It turns itself into what the server shall be (session, cgroup, limits, account, home) and then
//! becomes the command by exec. A process of its own, because what the standard library offers
//! between fork and exec is not safe Rust, and because each step can say what went wrong.

use std::env;
use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::sync::Arc;

use lyceum_model::server::RunAs;
use nix::sys::signal::SigSet;
use rustix::fs::{Access, AtFlags, CWD, Mode};
use rustix::process::{Gid, Signal, Uid};
use signal_hook::consts::{SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2};

use crate::error::SpawnError;
use crate::local::wire::{ABOUT_TO_EXEC, Launch, MAX_MESSAGE};
use crate::local::{home, limits};
use lyceum_model::say;
use lyceum_model::saying::Saying;

/// Runs as the launcher. Returns only when there is nothing to run.
pub(crate) fn run() -> ExitCode {
    let Ok(mut keeper) = take_stdin() else {
        return ExitCode::FAILURE;
    };
    let Ok(launch) = read_order(&mut keeper) else {
        return ExitCode::FAILURE;
    };
    let error = match prepare(&launch) {
        Ok(program) => {
            // If the keeper is gone, the death signal is on its way.
            drop(keeper.write_all(&[ABOUT_TO_EXEC]));
            become_command(&launch, &program)
        }
        Err(error) => error,
    };
    drop(serde_json::to_writer(&mut keeper, &error));
    ExitCode::FAILURE
}

/// Moves the socket away from stdin (it must not reach the command) and puts nothing there.
fn take_stdin() -> io::Result<UnixStream> {
    let socket = rustix::io::fcntl_dupfd_cloexec(rustix::stdio::stdin(), 3)?;
    let nothing = std::fs::File::open("/dev/null")?;
    rustix::stdio::dup2_stdin(&nothing)?;
    Ok(UnixStream::from(socket))
}

fn read_order(keeper: &mut UnixStream) -> io::Result<Launch> {
    let mut text = Vec::new();
    keeper.take(MAX_MESSAGE).read_to_end(&mut text)?;
    Ok(serde_json::from_slice(&text)?)
}

/// Everything but the command; the order of the steps matters.
fn prepare(launch: &Launch) -> Result<PathBuf, SpawnError> {
    let _ = rustix::process::setsid();
    usual_signals()
        .map_err(|error| SpawnError::System(say!("system.signals", error = error.to_string())))?;
    die_with_keeper(launch.parent)?;
    if let Some(procs) = &launch.cgroup_procs {
        std::fs::write(procs, "0")
            .map_err(|error| SpawnError::io(say!("doing.enter_cgroup"), procs, &error))?;
    }
    // Servers go before the hub when the machine runs out of memory; more is always allowed.
    drop(std::fs::write("/proc/self/oom_score_adj", "300"));
    let folder = home::open(&launch.homes, &launch.home, launch.run_as.as_ref())?;
    limits::apply(launch)?;
    let umask = launch.run_as.as_ref().and_then(|run_as| run_as.umask);
    rustix::process::umask(Mode::from_raw_mode(umask.unwrap_or(0o022) & 0o777));
    if let Some(run_as) = &launch.run_as {
        switch_account(run_as)?;
        // Changing the account clears the death signal.
        die_with_keeper(launch.parent)?;
    }
    let path = launch.homes.join(&launch.home);
    rustix::process::fchdir(&folder)
        .map_err(|errno| SpawnError::io(say!("doing.enter_home"), &path, &errno.into()))?;
    check_writable(&path, launch)?;
    if let Some(folder) = &launch.folder {
        // With the rights of the account.
        env::set_current_dir(folder)
            .map_err(|error| SpawnError::io(say!("doing.enter_folder"), folder, &error))?;
    }
    find_command(launch)
}

/// Signals do to the command what they do to any program. The keeper blocks those that it reads, and
/// some are ignored if the hub was started by `nohup` or with `&`: a cell could not be interrupted.
fn usual_signals() -> io::Result<()> {
    for signal in [SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2] {
        // A handler, unlike an ignored signal, does not outlive the change to another program.
        signal_hook::flag::register(signal, Arc::default())?;
    }
    SigSet::empty().thread_set_mask()?;
    Ok(())
}

/// Has the kernel kill us when the keeper goes, and looks whether it went before that.
fn die_with_keeper(keeper: i32) -> Result<(), SpawnError> {
    let words = |why: Saying| SpawnError::System(say!("system.tie", why = why));
    rustix::process::set_parent_process_death_signal(Some(Signal::KILL))
        .map_err(|errno| words(Saying::quote(errno.to_string())))?;
    let parent = rustix::process::getppid().map(|pid| pid.as_raw_nonzero().get());
    if parent == Some(keeper) {
        Ok(())
    } else {
        Err(words(say!("keeper.gone")))
    }
}

/// Gives up root for good. This process has one thread, so its ids are the thread's.
fn switch_account(run_as: &RunAs) -> Result<(), SpawnError> {
    let refused = |why: Saying| SpawnError::RunAs {
        account: run_as.account.clone(),
        why,
    };
    let gid = Gid::from_raw(run_as.gid);
    let uid = Uid::from_raw(run_as.uid);
    let mut groups: Vec<Gid> = run_as.groups.iter().copied().map(Gid::from_raw).collect();
    if !groups.contains(&gid) {
        groups.push(gid);
    }
    let steps = rustix::thread::set_thread_groups(&groups)
        .and_then(|()| rustix::thread::set_thread_res_gid(gid, gid, gid))
        .and_then(|()| rustix::thread::set_thread_res_uid(uid, uid, uid))
        .and_then(|()| rustix::thread::set_no_new_privs(true));
    steps.map_err(|errno| refused(Saying::quote(errno.to_string())))?;
    if rustix::thread::set_thread_uid(Uid::ROOT).is_ok() {
        return Err(refused(say!("run_as.way_back")));
    }
    Ok(())
}

fn check_writable(path: &Path, launch: &Launch) -> Result<(), SpawnError> {
    let wanted = Access::WRITE_OK | Access::EXEC_OK;
    match rustix::fs::accessat(CWD, ".", wanted, AtFlags::empty()) {
        Ok(()) => Ok(()),
        Err(_) => {
            let own = || format!("uid {}", rustix::process::getuid().as_raw());
            let run_as = launch.run_as.as_ref();
            Err(SpawnError::HomeNotWritable {
                path: path.display().to_string(),
                account: run_as.map_or_else(own, |run_as| run_as.account.clone()),
            })
        }
    }
}

/// Looks the command up on the server's own PATH, with the rights of its account.
fn find_command(launch: &Launch) -> Result<PathBuf, SpawnError> {
    let command = &launch.command[0];
    let search = launch.env.get("PATH").cloned().unwrap_or_default();
    let candidates: Vec<PathBuf> = if command.contains('/') {
        vec![PathBuf::from(command)]
    } else {
        // Relative folders on the PATH would mean "whatever lies in the home".
        let folders = env::split_paths(&search).filter(|folder| folder.is_absolute());
        folders.map(|folder| folder.join(command)).collect()
    };
    let mut refused = None;
    for candidate in candidates {
        if !candidate.is_file() {
            continue;
        }
        match rustix::fs::access(&candidate, Access::EXEC_OK) {
            Ok(()) => return Ok(candidate),
            Err(errno) => refused = Some((candidate, errno)),
        }
    }
    let command = command.clone();
    Err(match refused {
        Some((candidate, errno)) => SpawnError::CommandNotRunnable {
            command,
            why: say!(
                "command.not_executable",
                path = candidate.as_path(),
                error = errno.to_string()
            ),
        },
        None => SpawnError::CommandNotFound {
            command,
            path: search,
        },
    })
}

/// Comes back only with an error.
fn become_command(launch: &Launch, program: &Path) -> SpawnError {
    let error = Command::new(program)
        .arg0(&launch.command[0])
        .args(&launch.command[1..])
        .env_clear()
        .envs(&launch.env)
        .exec();
    let why = match error.kind() {
        // The file is there, so it is the interpreter that is not.
        io::ErrorKind::NotFound => say!("command.no_interpreter", path = program),
        _ => Saying::quote(error.to_string()),
    };
    SpawnError::CommandNotRunnable {
        command: launch.command[0].clone(),
        why,
    }
}
