//! What can go wrong while running servers, in words that a person can act on.
//!
//! The errors travel from the keeper process to the hub as JSON, so they hold text and no live
//! values. No variant ever holds a value of the environment.

use std::io;
use std::path::Path;

use rustix::io::Errno;
use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SpawnError {
    #[error(
        "the command {command:?} was not found on the PATH of the server ({path}); install it \
         there, or name the folder it is in"
    )]
    CommandNotFound { command: String, path: String },

    #[error("the command {command:?} cannot be run: {why}")]
    CommandNotRunnable { command: String, why: String },

    #[error("the order for this server is not usable: {0}")]
    BadSpec(String),

    #[error("the home folder {home:?} is not usable: {why}")]
    BadHome { home: String, why: String },

    #[error(
        "the home folder {path} cannot be written by {account}; give it to that account \
         (chown) or allow writing (chmod u+rwx)"
    )]
    HomeNotWritable { path: String, account: String },

    #[error("cannot run as the system account {account:?}: {why}")]
    RunAs { account: String, why: String },

    #[error("the limits of this server cannot be set: {0}")]
    Limits(String),

    #[error("no free port on 127.0.0.1 for the server: {0}")]
    NoFreePort(String),

    #[error("the disk is full or the quota used up while writing {path}; make room and try again")]
    DiskFull { path: String },

    #[error(
        "permission denied: {what}; check owner and mode, or run Lyceum as an account that may"
    )]
    Permission { what: String },

    #[error("the keeper of the server ({program}) could not be started: {why}")]
    Keeper { program: String, why: String },

    #[error("the server {key} could not be ended within {seconds} s; its processes still exist")]
    StillRunning { key: String, seconds: u64 },

    #[error("the server {key} is just being started or ended by someone else; try again shortly")]
    Busy { key: String },

    #[error("{0}")]
    System(String),
}

impl SpawnError {
    /// Words for a failed system call: `doing` is what was tried, with the path it was about.
    pub(crate) fn io(doing: &str, path: &Path, error: &io::Error) -> Self {
        let shown = path.display();
        match error.raw_os_error().map(Errno::from_raw_os_error) {
            Some(Errno::NOSPC | Errno::DQUOT) => Self::DiskFull {
                path: shown.to_string(),
            },
            Some(Errno::ACCESS | Errno::PERM | Errno::ROFS) => Self::Permission {
                what: format!("{doing} {shown} ({error})"),
            },
            _ => Self::System(format!("{doing} {shown} failed: {error}")),
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
            let shown = SpawnError::io("writing", Path::new("/x/y"), &error).to_string();
            assert!(shown.contains(words) && shown.contains("/x/y"), "{shown}");
        };
        check(Errno::NOSPC, "disk is full");
        check(Errno::DQUOT, "quota");
        check(Errno::ACCESS, "permission denied: writing");
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
