//! Tests that count what a whole process holds run in one of their own.

use std::{
    process::{Command, Stdio},
    time::{Duration, Instant},
};

const MARK: &str = "LYCEUM_TEST_ALONE";

/// True in the process where the test is to do its work. Everywhere else it starts that process,
/// waits for it, fails if it failed, and gives false. `test` is its whole name, `module::function`.
pub(crate) fn alone(test: &str) -> bool {
    if std::env::var(MARK).is_ok_and(|mark| mark == test) {
        return true;
    }
    let child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", test, "--nocapture", "--test-threads", "1"])
        .env(MARK, test)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::inherit())
        .spawn()
        .unwrap();
    let output = child.wait_with_output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    println!("{text}");
    assert!(output.status.success(), "{test} failed in its own process");
    assert!(text.contains("1 passed"), "{test} is no test's whole name");
    false
}

pub(crate) fn resident_kib() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))
        .expect("a resident size");
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

/// Descriptors of this process, without the one that looks.
pub(crate) fn descriptors() -> usize {
    std::fs::read_dir("/proc/self/fd").unwrap().count() - 1
}

/// Looks again until they are equal; where they never are, says what they are.
pub(crate) async fn settles(what: &str, expect: usize, mut now: impl FnMut() -> usize) {
    let began = Instant::now();
    loop {
        let found = now();
        if found == expect {
            return;
        }
        assert!(
            began.elapsed() < Duration::from_secs(40),
            "{what}: {found} instead of {expect}"
        );
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
