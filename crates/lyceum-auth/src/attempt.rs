//! An attempt to sign in, and the closed set of ways in which it can be refused.

use std::net::IpAddr;

use lyceum_model::name::UserName;
use lyceum_model::secret::Secret;

use crate::password;

/// How much of a name that can't be one the log repeats.
const SHOWN: usize = 32;

/// A name that can exist, a password of a length that can be one, and where they came from.
#[derive(Debug, Clone)]
pub struct Attempt {
    pub name: UserName,
    pub password: Secret,
    pub address: IpAddr,
}

impl Attempt {
    /// Checks what a stranger sent. What can't be right is refused in the same words as a wrong
    /// password, before anything is counted, hashed or kept.
    pub fn new(name: &str, password: Secret, address: IpAddr) -> Result<Self, Refused> {
        let name = UserName::parse(name).map_err(|problem| {
            tracing::info!(name = %shown(name), %address, %problem, "sign-in refused: no possible name");
            Refused::Credentials
        })?;
        if !password::LENGTH.contains(&password.expose().len()) {
            tracing::info!(%name, %address, "sign-in refused: password empty or too long");
            return Err(Refused::Credentials);
        }
        Ok(Self {
            name,
            password,
            address,
        })
    }
}

/// Why someone was not let in.
///
/// Invariant: nothing here tells an unknown name from a wrong password. `NotAdmitted` is said only
/// to those who have proved who they are.
#[derive(Debug, thiserror::Error)]
pub enum Refused {
    #[error("The name or the password is wrong.")]
    Credentials,
    #[error("You may not use this site. Ask its administrators to let you in.")]
    NotAdmitted,
    #[error("Too many attempts. Try again in {retry_after} s.")]
    TooMany {
        /// Seconds, for the `Retry-After` header; at least 1.
        retry_after: u32,
    },
    #[error("Too many people are signing in at the moment. Try again in a few seconds.")]
    Busy,
    #[error("This way in was open for too long, or was taken before. Begin again.")]
    Expired,
    #[error("You did not log in there, or it did not let you in.")]
    Denied,
    #[error("It does not say who you are.")]
    Anonymous,
    #[error("No user name can be made of what is known of you there.")]
    Unnamed,
    #[error("Your user name belongs to somebody else here.")]
    Taken,
    #[error("An account of your user name was made here before, and may not be yours.")]
    Reserved,
    #[error("Sign-in is out of order at the moment.")]
    Internal(#[from] anyhow::Error),
}

impl From<sqlx::Error> for Refused {
    fn from(error: sqlx::Error) -> Self {
        Self::Internal(error.into())
    }
}

/// The start of a text from outside, escaped, fit for one line of a log.
fn shown(text: &str) -> String {
    let mut start: String = text
        .chars()
        .take(SHOWN)
        .flat_map(char::escape_debug)
        .collect();
    if text.chars().nth(SHOWN).is_some() {
        start.push('…');
    }
    start
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_right_is_refused_like_a_wrong_password() {
        let check = |name: &str, password: &str, good: bool| {
            let address = IpAddr::from([192, 0, 2, 1]);
            let attempt = Attempt::new(name, Secret::new(password), address);
            match attempt {
                Ok(_) => assert!(good),
                Err(refused) => assert!(!good && matches!(refused, Refused::Credentials)),
            }
        };
        check("Ada", "correct horse", true);
        check("ada", &"x".repeat(1024), true);
        check("ada", &"x".repeat(1025), false);
        check("ada", "", false);
        check("", "correct horse", false);
        check("ada\r\nSet-Cookie: x", "correct horse", false);
        check("../../etc/passwd", "correct horse", false);
        check(&"a".repeat(10_000_000), "correct horse", false);
    }

    #[test]
    fn the_log_repeats_little_and_escaped() {
        assert_eq!(shown("a\nb\u{202e}"), "a\\nb\\u{202e}");
        assert_eq!(
            shown(&"é".repeat(1_000_000)),
            format!("{}…", "é".repeat(32))
        );
        assert!(shown(&"\u{0}".repeat(1_000_000)).len() < 300);
    }
}
