//! Runs `lyceum` with a clean environment in a folder of its own.

use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

/// Generous: only a hang takes it.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) struct Site {
    folder: tempfile::TempDir,
}

pub(crate) struct Said {
    pub(crate) code: Option<i32>,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Site {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::create_dir(folder.path().join("bin")).expect("made");
        Self { folder }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, text: &str) {
        std::fs::write(self.path(name), text).expect("written");
    }

    pub(crate) fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name)).unwrap_or_default()
    }

    /// A program on the site's `PATH`, which holds nothing else but what the system's shell needs.
    pub(crate) fn program(&self, name: &str, script: &str) {
        self.write(&format!("bin/{name}"), &format!("#!/bin/sh\n{script}\n"));
        let mode = std::fs::Permissions::from_mode(0o755);
        std::fs::set_permissions(self.path("bin").join(name), mode).expect("mode");
    }

    pub(crate) fn command(&self, args: &[&str]) -> Command {
        self.command_of(Path::new(env!("CARGO_BIN_EXE_lyceum")), args)
    }

    pub(crate) fn command_of(&self, program: &Path, args: &[&str]) -> Command {
        let mut command = Command::new(program);
        command
            .args(args)
            .current_dir(self.folder.path())
            .env_clear()
            .env("PATH", self.path("bin"))
            .stdin(Stdio::null());
        command
    }

    /// The same by somebody who is not root, to whom the site then belongs: permissions are
    /// nothing to root. Whoever runs the tests as another user is that somebody.
    pub(crate) fn command_of_nobody(&self, args: &[&str]) -> Command {
        const NOBODY: u32 = 65534;
        let command = self.command(args);
        if !rustix::process::geteuid().is_root() {
            return command;
        }
        // Nobody may not be able to reach the one in the target folder.
        let program = self.path("lyceum");
        if !program.exists() {
            let built = env!("CARGO_BIN_EXE_lyceum");
            std::fs::hard_link(built, &program)
                .or_else(|_| std::fs::copy(built, &program).map(drop))
                .expect("a copy of the program");
            for path in [self.path(""), self.path("bin")] {
                std::os::unix::fs::chown(path, Some(NOBODY), Some(NOBODY)).expect("given away");
            }
        }
        let mut of_nobody = Command::new(program);
        of_nobody
            .args(args)
            .current_dir(self.folder.path())
            .env_clear()
            .env("PATH", self.path("bin"))
            .stdin(Stdio::null())
            .uid(NOBODY)
            .gid(NOBODY);
        of_nobody
    }

    pub(crate) fn run_as_nobody(&self, args: &[&str]) -> Said {
        self.said(self.command_of_nobody(args).output().expect("runs"))
    }

    pub(crate) fn run(&self, args: &[&str]) -> Said {
        self.said(self.command(args).output().expect("runs"))
    }

    /// Runs `up` until it is ready, then stops it as Ctrl-C does; or until it ends by itself.
    pub(crate) fn up(&self, args: &[&str]) -> Said {
        self.until_ready(self.command(args))
    }

    pub(crate) fn until_ready(&self, mut command: Command) -> Said {
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("runs");
        let mut err = Vec::new();
        let mut lines = BufReader::new(child.stderr.take().expect("piped"));
        while lines.read_until(b'\n', &mut err).expect("read") > 0 {
            if err.ends_with(b"Ctrl-C stops it.\n") {
                let pid = rustix::process::Pid::from_child(&child);
                rustix::process::kill_process(pid, rustix::process::Signal::INT).expect("told");
            }
        }
        let mut output = child.wait_with_output().expect("ends");
        output.stderr = err;
        self.said(output)
    }

    /// What was said, with the site's folder written as `SITE`.
    pub(crate) fn said(&self, output: Output) -> Said {
        let site = self.folder.path().canonicalize().expect("there");
        let text = |bytes: Vec<u8>| {
            String::from_utf8(bytes)
                .expect("text")
                .replace(site.to_str().expect("text"), "SITE")
        };
        Said {
            code: output.status.code(),
            out: text(output.stdout),
            err: text(output.stderr),
        }
    }
}

/// Waits for a file that a child makes.
pub(crate) fn wait_for(file: &Path, child: &mut Child) {
    let deadline = Instant::now() + PATIENCE;
    while !file.exists() {
        assert!(
            child.try_wait().expect("asked").is_none(),
            "ended before {}",
            file.display()
        );
        assert!(Instant::now() < deadline, "{} never came", file.display());
        std::thread::yield_now();
    }
}
