//! What can go wrong while running servers, in words that a person can act on.
//!
//! The errors travel from the keeper process to the hub as JSON, so they hold text and no live
//! values. Their words are sayings ([`lyceum_model::saying`]), for they end up on a page. No variant ever holds a value of the environment.

use std::fmt;
use std::io;
use std::path::Path;

use lyceum_model::say;
use lyceum_model::saying::{Saying, Value, size};
use rustix::io::Errno;
use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SpawnError {
    CommandNotFound {
        command: String,
        path: String,
    },
    CommandNotRunnable {
        command: String,
        why: Saying,
    },
    BadSpec(Saying),
    BadHome {
        home: String,
        why: Saying,
    },
    HomeNotWritable {
        path: String,
        account: String,
    },
    RunAs {
        account: String,
        why: Saying,
    },
    Limits {
        what: Value,
        error: String,
    },
    NoFreePort(Saying),
    DiskFull {
        path: String,
    },
    /// In bytes.
    NoRoom {
        path: String,
        free: u64,
        least: u64,
    },
    Permission {
        doing: Saying,
        path: String,
        error: String,
    },
    Io {
        doing: Saying,
        path: String,
        error: String,
    },
    Keeper {
        program: String,
        why: Saying,
    },
    StillRunning {
        key: String,
        seconds: u64,
    },
    Busy {
        key: String,
    },
    System(Saying),
}

impl std::error::Error for SpawnError {}

/// In English, for logs and programs.
impl fmt::Display for SpawnError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.saying().fmt(f)
    }
}

impl SpawnError {
    /// For the person whose server it is.
    pub fn saying(&self) -> Saying {
        match self.clone() {
            Self::CommandNotFound { command, path } => {
                say!("spawn.command_not_found", command = command, path = path)
            }
            Self::CommandNotRunnable { command, why } => {
                say!("spawn.command_not_runnable", command = command, why = why)
            }
            Self::BadSpec(why) => say!("spawn.bad_spec", why = why),
            Self::BadHome { home, why } => say!("spawn.bad_home", home = home, why = why),
            Self::HomeNotWritable { path, account } => {
                say!("spawn.home_not_writable", path = path, account = account)
            }
            Self::RunAs { account, why } => say!("spawn.run_as", account = account, why = why),
            Self::Limits { what, error } => say!("spawn.limits", what = what, error = error),
            Self::NoFreePort(why) => say!("spawn.no_free_port", why = why),
            Self::NoRoom { path, free, least } => say!(
                "spawn.no_room",
                path = path,
                free = size(free),
                least = size(least)
            ),
            Self::DiskFull { path } => say!("spawn.disk_full", path = path),
            Self::Permission { doing, path, error } => {
                say!(
                    "spawn.permission",
                    doing = doing,
                    path = path,
                    error = error
                )
            }
            Self::Io { doing, path, error } => {
                say!("spawn.io", doing = doing, path = path, error = error)
            }
            Self::Keeper { program, why } => say!("spawn.keeper", program = program, why = why),
            Self::StillRunning { key, seconds } => {
                say!("spawn.still_running", key = key, seconds = seconds)
            }
            Self::Busy { key } => say!("spawn.busy", key = key),
            Self::System(saying) => saying,
        }
    }

    /// Words for a failed system call: `doing` is what was tried, with the path it was about.
    pub(crate) fn io(doing: Saying, path: &Path, error: &io::Error) -> Self {
        let path = path.display().to_string();
        match error.raw_os_error().map(Errno::from_raw_os_error) {
            Some(Errno::NOSPC | Errno::DQUOT) => Self::DiskFull { path },
            Some(Errno::ACCESS | Errno::PERM | Errno::ROFS) => Self::Permission {
                doing,
                path,
                error: error.to_string(),
            },
            _ => Self::Io {
                doing,
                path,
                error: error.to_string(),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn system_errors_become_words() {
        let check = |errno: Errno, words: &str| {
            let error = io::Error::from_raw_os_error(errno.raw_os_error());
            let shown = SpawnError::io(say!("doing.remove"), Path::new("/x/y"), &error).to_string();
            assert!(shown.contains(words) && shown.contains("/x/y"), "{shown}");
        };
        check(Errno::NOSPC, "disk is full");
        check(Errno::DQUOT, "quota");
        check(Errno::ACCESS, "permission denied: removing");
        check(Errno::IO, "failed");
    }

    #[test]
    fn errors_travel() {
        let error = SpawnError::CommandNotFound {
            command: "x".into(),
            path: "/bin".into(),
        };
        let text = serde_json::to_string(&error).expect("text only");
        assert_eq!(
            serde_json::from_str::<SpawnError>(&text).expect("same"),
            error
        );
    }
}
