//! What went wrong, in one clear line, with what to do about it. Made where the remedy is known;
//! printed and turned into an exit code by `main` alone.

use std::fmt;

#[derive(Debug)]
pub struct Failure {
    pub message: String,
    pub hint: Option<String>,
}

impl Failure {
    pub fn new(message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            hint: None,
        }
    }

    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Names the deed that failed; a full disk gets its remedy.
    pub fn io(deed: impl fmt::Display, error: &std::io::Error) -> Self {
        let failure = Self::new(format!("{deed}: {error}"));
        match error.kind() {
            std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded => {
                failure.hint("the disk is full: free some space")
            }
            std::io::ErrorKind::PermissionDenied => failure
                .hint("its owner or mode keeps this user out: mend that, or choose another place"),
            _ => failure,
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Failure {}
