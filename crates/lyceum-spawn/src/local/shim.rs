//! The keeper of one server: a small process that outlives the hub.
//!
//! `lyceum shim FOLDER` takes the lock of the run folder, reads the order from its stdin, starts
//! the launcher, relays the server's output to the log, ends the server when asked by SIGTERM, and
//! leaves only when nothing of the server is left. It has no runtime, and one thread; a second only
//! where the home has a limit (module `size`).
//!
//! Invariant: until the order was read whole, nothing is started. The hub sends it only after
//! the keeper holds the lock, so a hub that dies half-way leaves either nothing or a server that
//! can be found.

use std::env;
use std::ffi::OsString;
use std::fs::File;
use std::io::{self, PipeReader, Read, Write};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{SigSet, Signal as Number};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::process::{Pid, Signal, WaitOptions, WaitStatus};

use crate::error::SpawnError;
use crate::local::folder::{Exit, RunFolder, State, boot_id, now_ms};
use crate::local::log::Relay;
use crate::local::size::{self, News, Watch};
use crate::local::wire::{
    ABOUT_TO_EXEC, Answer, HELD, LAUNCH_ARGUMENT, LOCKED, MAX_MESSAGE, Order,
};
use crate::local::{cgroup, launch, processes};
use lyceum_model::say;

/// The entry point: `main` calls this before anything else when the first argument says so.
pub fn run() -> ExitCode {
    let arguments: Vec<OsString> = env::args_os().collect();
    let Some((last, first)) = arguments.split_last() else {
        return ExitCode::from(2);
    };
    if last == LAUNCH_ARGUMENT {
        return launch::run();
    }
    close_inherited();
    let folder = Path::new(last);
    if !folder.is_absolute() || first.is_empty() {
        complain("this is started by Lyceum itself, with the run folder of a server");
        return ExitCode::from(2);
    }
    match keep(RunFolder::new(folder.into()), &first[1..]) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            complain(&error.to_string());
            ExitCode::FAILURE
        }
    }
}

/// Lets go of descriptors that came from the hub without being meant for us: a listening socket
/// that lives on here would block its port. Called while we have none of our own.
fn close_inherited() {
    let entries = std::fs::read_dir("/proc/self/fd").into_iter().flatten();
    let names = entries.flatten().map(|entry| entry.file_name());
    let open: Vec<i32> = names
        .filter_map(|name| name.to_str()?.parse().ok())
        .filter(|fd| *fd > 2)
        .collect();
    for fd in open {
        // One of them was the listing itself and is closed already.
        let _ = nix::unistd::close(fd);
    }
}

fn complain(words: &str) {
    drop(writeln!(io::stderr(), "{words}"));
}

fn keep(folder: RunFolder, own_arguments: &[OsString]) -> io::Result<()> {
    // Away from the terminal and the signals of the hub's group.
    let _ = rustix::process::setsid();
    rustix::process::set_child_subreaper(Some(rustix::process::getpid()))?;
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o077));
    env::set_current_dir("/")?;

    let Some(_lock) = folder.lock()? else {
        return say(HELD.as_bytes());
    };
    say(LOCKED.as_bytes())?;
    let order = read_order()?;
    rustix::stdio::dup2_stdin(File::open("/dev/null")?)?;

    match Keeper::start(&folder, order, own_arguments) {
        Ok(keeper) => keeper.run(),
        Err(error) => {
            folder.clear_state();
            answer(Answer::Failed(error));
            Ok(())
        }
    }
}

fn say(line: &[u8]) -> io::Result<()> {
    let mut out = io::stdout();
    out.write_all(line)?;
    out.write_all(b"\n")?;
    out.flush()
}

fn read_order() -> io::Result<Order> {
    let mut text = Vec::new();
    io::stdin().take(MAX_MESSAGE).read_to_end(&mut text)?;
    // The error of the JSON reader could quote the order.
    serde_json::from_slice(&text)
        .map_err(|_| io::Error::other("the order did not arrive whole; nothing was started"))
}

/// Tells the hub how it went and lets go of it. A hub that is gone does not matter.
fn answer(answer: Answer) {
    let text = serde_json::to_vec(&answer).expect("text only");
    drop(say(&text));
    if let Ok(nothing) = File::options().write(true).open("/dev/null") {
        let _ = rustix::stdio::dup2_stdout(nothing);
    }
}

/// How far the ending has come, and until when this stage lasts.
#[derive(Clone, Copy)]
enum Stage {
    Running,
    Interrupted { until: Instant },
    Terminated { until: Instant },
    Killed,
}

struct Keeper<'a> {
    folder: &'a RunFolder,
    order: Order,
    state: State,
    child: Pid,
    signals: SignalFd,
    output: Option<PipeReader>,
    relay: Relay,
    /// The launcher's side of the conversation, until it became the command.
    launcher: Option<UnixStream>,
    verdict: Vec<u8>,
    stage: Stage,
    ended: Option<WaitStatus>,
    /// What its home takes, if that has a limit.
    sizes: Option<Sizes>,
    /// So much, and is ended for that.
    home_takes: Option<u64>,
}

/// News of what the home takes, as they come.
struct Sizes {
    from: PipeReader,
    limit: u64,
    /// That nothing is known was said.
    is_unknown: bool,
}

const UNKNOWN: &[u8] =
    b"Lyceum: what the files in the home take can't be measured; its limit is not kept\n";

impl<'a> Keeper<'a> {
    fn start(
        folder: &'a RunFolder,
        mut order: Order,
        own_arguments: &[OsString],
    ) -> Result<Self, SpawnError> {
        let at = folder.path();
        let writing = |error: io::Error| SpawnError::io(say!("doing.write_run_folder"), at, &error);
        let system = |error: io::Error| {
            SpawnError::System(say!("system.process", error = error.to_string()))
        };
        folder.clear_state();
        let relay = Relay::create(at).map_err(writing)?;
        let own = rustix::process::getpid().as_raw_nonzero().get();
        let mut state = State {
            run: order.run.clone(),
            address: order.address.clone(),
            keeper: own,
            child: None,
            uid: Some(match &order.launch.run_as {
                Some(run_as) => run_as.uid,
                None => rustix::process::geteuid().as_raw(),
            }),
            started_at: now_ms(),
            boot: boot_id(),
            cgroup: order.cgroup.as_ref().map(|group| group.path.clone()),
            memory_limit: order.launch.resources.memory_limit,
            home_size: order.launch.resources.home_size,
        };
        folder.write_state(&state).map_err(writing)?;

        if let Some(group) = &order.cgroup {
            cgroup::create(group, &order.launch.resources).map_err(|error| SpawnError::Limits {
                what: group.path.as_path().into(),
                error: error.to_string(),
            })?;
            order.launch.cgroup_procs = Some(group.path.join("cgroup.procs"));
        }
        order.launch.parent = own;
        let signals = catch_signals().map_err(|errno| system(errno.into()))?;
        let (output, input) = io::pipe().map_err(system)?;
        set_nonblocking(&output).map_err(system)?;
        let started = start_launcher(&order, own_arguments, input);
        let (child, launcher) = started.map_err(|error| {
            if let Some(group) = &order.cgroup {
                cgroup::remove(&group.path);
            }
            system(error)
        })?;
        state.child = Some(child.as_raw_nonzero().get());
        let keeper = Self {
            folder,
            order,
            state,
            child,
            signals,
            output: Some(output),
            relay,
            launcher: Some(launcher),
            verdict: Vec::new(),
            stage: Stage::Running,
            ended: None,
            sizes: None,
            home_takes: None,
        };
        // Without this the server could still be found and ended, so it is no reason to fail.
        drop(keeper.folder.write_state(&keeper.state));
        Ok(keeper)
    }

    fn run(mut self) -> io::Result<()> {
        while self.ended.is_none() {
            let pause = self.until_next_stage();
            self.wait_for_news(pause)?;
            self.take_signals();
            self.take_sizes();
            self.advance();
            self.reap();
        }
        let failure = self.failure();
        // Nobody reads them any more.
        self.sizes = None;
        if failure.is_none() {
            self.write_exit(false);
        }
        self.kill_the_rest()?;
        self.take_output();
        match failure {
            Some(error) => {
                self.folder.clear_state();
                answer(Answer::Failed(error));
            }
            None => self.write_exit(true),
        }
        if let Some(group) = &self.order.cgroup {
            cgroup::remove(&group.path);
        }
        Ok(())
    }

    /// Waits for output, a signal or the launcher, at most for `pause`.
    fn wait_for_news(&mut self, pause: Option<Duration>) -> io::Result<()> {
        let (mut has_output, mut has_verdict) = (false, false);
        {
            let mut watched = vec![PollFd::new(&self.signals, PollFlags::IN)];
            if let Some(output) = &self.output {
                watched.push(PollFd::new(output, PollFlags::IN));
            }
            if let Some(launcher) = &self.launcher {
                watched.push(PollFd::new(launcher, PollFlags::IN));
            }
            if let Some(sizes) = &self.sizes {
                watched.push(PollFd::new(&sizes.from, PollFlags::IN));
            }
            let limit = pause.map(|pause| Timespec::try_from(pause).expect("minutes at most"));
            match poll(&mut watched, limit.as_ref()) {
                Ok(_) | Err(Errno::INTR) => {}
                Err(errno) => return Err(errno.into()),
            }
            let mut ready = watched[1..].iter().map(|fd| !fd.revents().is_empty());
            if self.output.is_some() {
                has_output = ready.next().unwrap_or(false);
            }
            if self.launcher.is_some() {
                has_verdict = ready.next().unwrap_or(false);
            }
        }
        if has_output {
            self.take_output();
        }
        if has_verdict {
            self.take_verdict();
        }
        Ok(())
    }

    /// Relays what there is, but not for ever: a flood must not keep us from signals.
    fn take_output(&mut self) {
        let mut bytes = [0_u8; 64 << 10];
        for _ in 0..64 {
            let Some(output) = &mut self.output else {
                return;
            };
            match output.read(&mut bytes) {
                Ok(0) => self.output = None,
                Ok(n) => self.relay.push(&bytes[..n]),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => return,
            }
        }
    }

    fn take_verdict(&mut self) {
        let Some(launcher) = &mut self.launcher else {
            return;
        };
        let mut bytes = [0_u8; 4096];
        match launcher.read(&mut bytes) {
            Ok(n) if n > 0 => self.verdict.extend_from_slice(&bytes[..n]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            _ => {
                self.launcher = None;
                if self.verdict == [ABOUT_TO_EXEC] {
                    answer(Answer::Started);
                    // Not before: the home is made by the launcher.
                    self.sizes = watch_size(&self.order).unwrap_or_else(|_| {
                        self.relay.push(UNKNOWN);
                        None
                    });
                }
            }
        }
    }

    /// Why the command was never run, if so.
    fn failure(&mut self) -> Option<SpawnError> {
        while self.launcher.is_some() {
            self.take_verdict();
        }
        if self.verdict == [ABOUT_TO_EXEC] {
            return None;
        }
        let text = self.verdict.strip_prefix(&[ABOUT_TO_EXEC]);
        let error = serde_json::from_slice(text.unwrap_or(&self.verdict));
        Some(error.unwrap_or_else(|_| SpawnError::System(say!("system.ended_before"))))
    }

    fn take_signals(&mut self) {
        while let Ok(Some(signal)) = self.signals.read_signal() {
            let number = i32::try_from(signal.ssi_signo).unwrap_or(0);
            let asks = [Number::SIGTERM as i32, Number::SIGINT as i32].contains(&number);
            if asks {
                self.begin_to_end();
            }
        }
    }

    fn begin_to_end(&mut self) {
        if matches!(self.stage, Stage::Running) {
            self.signal_group(Signal::INT);
            let pause = Duration::from_millis(self.order.interrupt_ms);
            self.stage = Stage::Interrupted {
                until: Instant::now() + pause,
            };
        }
    }

    /// Ends the server if its home has grown too large.
    fn take_sizes(&mut self) {
        let Some(sizes) = &mut self.sizes else { return };
        let mut bytes = [0_u8; News::LENGTH];
        match sizes.from.read(&mut bytes) {
            Ok(News::LENGTH) => {}
            // Nothing came, or it is looked for anew.
            Err(error)
                if [io::ErrorKind::WouldBlock, io::ErrorKind::Interrupted]
                    .contains(&error.kind()) =>
            {
                return;
            }
            _ => {
                self.sizes = None;
                return;
            }
        }
        match News::from_bytes(bytes) {
            News::Fine => {}
            News::Nearly(size) => {
                let line = format!(
                    "Lyceum: the files in the home take {} of {} MB; a server that goes beyond is ended\n",
                    size >> 20,
                    sizes.limit >> 20
                );
                self.relay.push(line.as_bytes());
            }
            News::Over(size) if matches!(self.stage, Stage::Running) => {
                self.home_takes = Some(size);
                self.begin_to_end();
            }
            News::Over(_) => {}
            News::Unknown if !sizes.is_unknown => {
                sizes.is_unknown = true;
                self.relay.push(UNKNOWN);
            }
            News::Unknown => {}
        }
    }

    fn until_next_stage(&self) -> Option<Duration> {
        match self.stage {
            Stage::Running => None,
            Stage::Interrupted { until } | Stage::Terminated { until } => {
                Some(until.saturating_duration_since(Instant::now()))
            }
            Stage::Killed => Some(Duration::from_millis(50)),
        }
    }

    /// Goes on to the next stage of ending when its time has come.
    fn advance(&mut self) {
        let now = Instant::now();
        match self.stage {
            Stage::Interrupted { until } if now >= until => {
                self.signal_group(Signal::TERM);
                let pause = Duration::from_millis(self.order.term_ms);
                self.stage = Stage::Terminated { until: now + pause };
            }
            Stage::Terminated { until } if now >= until => self.stage = Stage::Killed,
            _ => {}
        }
        if matches!(self.stage, Stage::Killed) {
            self.kill_descendants();
        }
    }

    /// The group of the child, which leads it. Not waited for yet, so its number is its own.
    fn signal_group(&self, signal: Signal) {
        if self.ended.is_none() && rustix::process::kill_process_group(self.child, signal).is_err()
        {
            // It has not made its session yet.
            let _ = rustix::process::kill_process(self.child, signal);
        }
    }

    fn kill_descendants(&self) {
        if let Some(group) = &self.order.cgroup {
            cgroup::kill(&group.path);
        }
        for process in processes::descendants(self.state.keeper) {
            processes::signal_descendant(process, Signal::KILL);
        }
    }

    /// Waits for whoever has ended: the child, or strays that became ours. False when there is
    /// nobody left to wait for.
    fn reap(&mut self) -> bool {
        loop {
            match rustix::process::wait(WaitOptions::NOHANG) {
                Ok(Some((pid, status))) if pid == self.child => self.ended = Some(status),
                Ok(Some(_)) | Err(Errno::INTR) => {}
                Ok(None) => return true,
                Err(_) => return false,
            }
        }
    }

    /// Ends what the server left behind. Does not give up: the lock says that something lives.
    fn kill_the_rest(&mut self) -> io::Result<()> {
        let mut pause = Duration::from_millis(2);
        while self.reap() || self.has_cgroup_members() {
            self.kill_descendants();
            self.wait_for_news(Some(pause))?;
            while let Ok(Some(_)) = self.signals.read_signal() {}
            pause = (pause * 2).min(Duration::from_secs(1));
        }
        Ok(())
    }

    /// Nobody should be there without being our descendant, but the cgroup knows best.
    fn has_cgroup_members(&self) -> bool {
        let group = self.order.cgroup.as_ref();
        group.is_some_and(|group| cgroup::is_populated(&group.path))
    }

    fn write_exit(&self, swept: bool) {
        let Some(status) = self.ended else { return };
        let group = self.order.cgroup.as_ref().filter(|group| group.memory);
        let exit = Exit {
            run: self.order.run.clone(),
            code: status.exit_status(),
            signal: status.terminating_signal(),
            ended_at: now_ms(),
            out_of_memory: group.is_some_and(|g| cgroup::out_of_memory_kills(&g.path) > 0),
            stopped: !matches!(self.stage, Stage::Running),
            keeper_lost: false,
            swept,
            home_takes: self.home_takes,
        };
        // On a full disk the hub will read "ended, how is not known".
        drop(self.folder.write_exit(&exit));
    }
}

/// Signals become readable instead of interrupting. Children inherit that; the launcher takes it
/// back.
fn catch_signals() -> nix::Result<SignalFd> {
    let mut set = SigSet::empty();
    for signal in [
        Number::SIGTERM,
        Number::SIGINT,
        Number::SIGHUP,
        Number::SIGCHLD,
    ] {
        set.add(signal);
    }
    set.thread_block()?;
    SignalFd::with_flags(&set, SfdFlags::SFD_NONBLOCK | SfdFlags::SFD_CLOEXEC)
}

/// Measures the home from now on, if it has a limit. Without it the server runs all the same.
fn watch_size(order: &Order) -> io::Result<Option<Sizes>> {
    let Some(limit) = order.launch.resources.home_size else {
        return Ok(None);
    };
    let (from, to) = io::pipe()?;
    set_nonblocking(&from)?;
    let watch = Watch {
        homes: order.launch.homes.clone(),
        home: order.launch.home.clone(),
        run_as: order.launch.run_as.clone(),
        every: Duration::from_millis(order.measure_ms),
        limit,
    };
    size::begin(watch, to)?;
    Ok(Some(Sizes {
        from,
        limit,
        is_unknown: false,
    }))
}

fn set_nonblocking(output: &PipeReader) -> io::Result<()> {
    let flags = rustix::fs::fcntl_getfl(output)?;
    Ok(rustix::fs::fcntl_setfl(
        output,
        flags | rustix::fs::OFlags::NONBLOCK,
    )?)
}

/// Starts this very program again as the launcher and hands it its order.
fn start_launcher(
    order: &Order,
    own_arguments: &[OsString],
    output: io::PipeWriter,
) -> io::Result<(Pid, UnixStream)> {
    let (mut ours, theirs) = UnixStream::pair()?;
    // The file may have been replaced by an upgrade; this names what runs.
    let child = Command::new(PathBuf::from("/proc/self/exe"))
        .args(own_arguments)
        .arg(LAUNCH_ARGUMENT)
        .env_clear()
        .stdin(Stdio::from(std::os::fd::OwnedFd::from(theirs)))
        .stdout(output.try_clone()?)
        .stderr(output)
        .spawn()?;
    let pid = Pid::from_raw(i32::try_from(child.id()).expect("process ids fit"));
    let pid = pid.expect("no child is process 0");
    // A launcher that died already shows in the verdict.
    let text = serde_json::to_vec(&order.launch)?;
    drop(ours.write_all(&text));
    drop(ours.shutdown(Shutdown::Write));
    Ok((pid, ours))
}
