//! Runs a program with a time-out and bounded memory, and understands what pip says.

use std::collections::VecDeque;
use std::io::{BufRead, BufReader, Read};
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, Stdio};
use std::sync::mpsc::{RecvTimeoutError, SyncSender, sync_channel};
use std::time::{Duration, Instant};

use crate::failure::Failure;
use crate::interrupt::Interrupt;
use crate::progress::Progress;

/// How many last lines are kept to explain a failure.
const KEPT_LINES: usize = 200;
const MAX_LINE: u64 = 16 * 1024;

/// How often it is looked whether the end was asked for.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// Runs to the end; the answer is what the program wrote to standard output.
pub(super) fn run(command: &mut Command, timeout: Duration) -> Result<String, Failure> {
    run_seeing(command, timeout, &Interrupt::default(), &mut |_| {})
}

/// The same for what takes a while: it is stopped when the end is asked for.
pub(super) fn run_until(
    command: &mut Command,
    timeout: Duration,
    interrupt: &Interrupt,
) -> Result<String, Failure> {
    run_seeing(command, timeout, interrupt, &mut |_| {})
}

fn interrupted() -> Failure {
    Failure::new("interrupted before the Jupyter environment was ready")
        .hint("the same command goes on where it was")
}

/// `pip install`, with live counts.
pub(super) fn pip_install(
    command: &mut Command,
    timeout: Duration,
    total: usize,
    progress: &Progress,
    interrupt: &Interrupt,
) -> Result<(), Failure> {
    let mut collected = 0;
    let mut see = |line: &str| {
        if line.starts_with("Collecting ") || line.starts_with("Requirement already satisfied") {
            collected = (collected + 1).min(total);
            let name = line.trim_start_matches("Collecting ");
            let name = name.trim_start_matches("Requirement already satisfied: ");
            let end = name
                .find(|c: char| " =<>!~[(".contains(c))
                .unwrap_or(name.len());
            progress.moved(&format!("fetching {}", &name[..end]), collected, total);
        } else if let Some(names) = line.strip_prefix("Installing collected packages: ") {
            let count = names.split(", ").count();
            progress.moved("unpacking packages", count, count);
        }
    };
    run_seeing(command, timeout, interrupt, &mut see).map(drop)
}

fn run_seeing(
    command: &mut Command,
    timeout: Duration,
    interrupt: &Interrupt,
    see: &mut dyn FnMut(&str),
) -> Result<String, Failure> {
    let program = command.get_program().to_string_lossy().into_owned();
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|error| Failure::io(format!("{program} can't be run"), &error))?;
    let (send, lines) = sync_channel::<(bool, String)>(256);
    let out = child.stdout.take().expect("piped");
    let err = child.stderr.take().expect("piped");
    let errors = send.clone();
    let readers = [
        std::thread::spawn(move || read_lines(out, true, &send)),
        std::thread::spawn(move || read_lines(err, false, &errors)),
    ];
    let deadline = Instant::now() + timeout;
    let mut last: VecDeque<(bool, String)> = VecDeque::new();
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        match lines.recv_timeout(left.min(LOOK_EVERY)) {
            Ok((is_out, line)) => {
                if is_out {
                    see(&line);
                }
                if last.len() == KEPT_LINES {
                    last.pop_front();
                }
                last.push_back((is_out, line));
            }
            Err(RecvTimeoutError::Disconnected) => break,
            Err(RecvTimeoutError::Timeout) => {}
        }
        let is_late = Instant::now() >= deadline;
        if interrupt.is_asked() || is_late {
            // It may have ended just now; then the kill finds nobody, which is fine.
            let _ = child.kill();
            let _ = child.wait();
        }
        if interrupt.is_asked() {
            return Err(interrupted());
        }
        if is_late {
            return Err(Failure::new(format!(
                "{program} did not finish in {} s and was stopped",
                timeout.as_secs()
            ))
            .hint("start again to go on; is the network slow, or the machine busy?"));
        }
    }
    for reader in readers {
        reader.join().expect("readers do not panic");
    }
    let status = child
        .wait()
        .map_err(|error| Failure::io(format!("{program} can't be waited for"), &error))?;
    if status.success() {
        let out: Vec<String> = last
            .into_iter()
            .filter(|(out, _)| *out)
            .map(|(_, line)| line)
            .collect();
        return Ok(out.join("\n"));
    }
    let lines: Vec<String> = last.into_iter().map(|(_, line)| line).collect();
    // Ctrl-C on a terminal reaches the program too, which may end before we are told.
    let told = |line: &String| {
        line.contains("Operation cancelled by user") || line.starts_with("KeyboardInterrupt")
    };
    if interrupt.is_asked()
        || status.signal() == Some(rustix::process::Signal::INT.as_raw())
        || lines.iter().any(told)
    {
        return Err(interrupted());
    }
    Err(explain(&program, &status.to_string(), &lines))
}

fn read_lines(from: impl Read, is_out: bool, to: &SyncSender<(bool, String)>) {
    let mut from = BufReader::new(from);
    let mut line = Vec::new();
    loop {
        line.clear();
        match (&mut from).take(MAX_LINE).read_until(b'\n', &mut line) {
            Ok(0) | Err(_) => return,
            Ok(_) => {}
        }
        let text = String::from_utf8_lossy(&line).trim_end().to_owned();
        if to.send((is_out, text)).is_err() {
            return;
        }
    }
}

/// The line that tells why, and what to do about it.
fn explain(program: &str, status: &str, lines: &[String]) -> Failure {
    let has = |words: &[&str]| {
        lines
            .iter()
            .any(|line| words.iter().any(|word| line.contains(word)))
    };
    let telling = lines
        .iter()
        .rev()
        .find(|line| line.starts_with("ERROR:"))
        .or_else(|| lines.iter().rev().find(|line| !line.trim().is_empty()));
    let why = telling.map_or_else(|| status.to_owned(), |line| line.trim().to_owned());
    if has(&[
        "No space left on device",
        "[Errno 28]",
        "Disk quota exceeded",
    ]) {
        return Failure::new("the disk is full")
            .hint("free about 2 GB and start again, or choose another data folder with --data");
    }
    let offline = [
        "NewConnectionError",
        "Failed to establish a new connection",
        "Temporary failure in name resolution",
        "Name or service not known",
        "Network is unreachable",
        "Read timed out",
        "ConnectTimeoutError",
        "Connection refused",
        "ProxyError",
    ];
    if has(&offline) {
        return Failure::new(format!("the package index could not be reached: {why}")).hint(
            "start again with network to go on (PIP_INDEX_URL and PIP_PROXY are honoured), or take an existing environment with --jupyter-env PATH",
        );
    }
    // Debian's venv without ensurepip speaks of it over several lines.
    if has(&["ensurepip is not", "No module named"]) && !why.contains("No module named") {
        return Failure::new("ensurepip is missing");
    }
    Failure::new(format!("{program} failed ({status}): {why}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Command {
        let mut command = Command::new("/bin/sh");
        command.args(["-c", script]);
        command
    }

    #[test]
    fn failures_say_what_to_do() {
        let check = |script: &str, message: &str, hint: &str| {
            let failure = run(&mut shell(script), Duration::from_secs(30)).expect_err(script);
            assert!(failure.message.contains(message), "{failure:?}");
            assert!(failure.hint.unwrap_or_default().contains(hint), "{script}");
        };
        check(
            "echo \"OSError: [Errno 28] No space left on device\" >&2; exit 1",
            "disk is full",
            "2 GB",
        );
        check(
            "echo 'WARNING: Retrying: NewConnectionError' >&2; echo 'ERROR: No matching distribution found for x' >&2; exit 1",
            "could not be reached: ERROR: No matching distribution found for x",
            "--jupyter-env",
        );
        check("echo nothing good; exit 3", "nothing good", "");
        check("kill -9 $$", "signal: 9", "");
        check(
            "echo 'ERROR: Operation cancelled by user' >&2; exit 1",
            "interrupted",
            "goes on where it was",
        );
    }

    #[test]
    fn a_program_that_hangs_is_stopped() {
        let started = Instant::now();
        let failure =
            run(&mut shell("exec sleep 60"), Duration::from_millis(50)).expect_err("hangs");
        assert!(failure.message.contains("did not finish"), "{failure:?}");
        assert!(started.elapsed() < Duration::from_secs(30));
    }

    #[test]
    fn a_flood_is_bounded() {
        let said = run(&mut shell("seq 1 100000"), Duration::from_secs(60)).expect("runs");
        assert_eq!(said.lines().count(), KEPT_LINES);
        assert!(said.ends_with("100000"));
    }
}
