//! The life of a server as rules: which states there are and what leads from one to the next.
//!
//! The row is the truth. People's wishes change it by compare-and-set ([`crate::db::servers`]);
//! the work behind a state is done by whichever replica holds the row's lease
//! ([`crate::jobs::keeper`]).
//!
//! ```text
//!  stopped ──start──▶ queued ──claimed──▶ starting ──answers──▶ ready
//!     ▲  ▲              │ stop               │ stop │ fails        │ stop
//!     │  └──────────────┘                    ▼      ▼              ▼
//!     └───────────────────────────────── stopping  failed ◀─…   stopping
//! ```

use std::fmt;

use lyceum_model::base::BasePath;
use lyceum_model::name::{ServerName, UserName};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    Stopped,
    /// Wanted, not yet taken up by a replica.
    Queued,
    Starting,
    Ready,
    Stopping,
    /// The last start did not work out; `failure` says why.
    Failed,
}

impl State {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Stopped => "stopped",
            Self::Queued => "queued",
            Self::Starting => "starting",
            Self::Ready => "ready",
            Self::Stopping => "stopping",
            Self::Failed => "failed",
        }
    }

    /// Something of it may exist at the spawner.
    pub fn is_active(self) -> bool {
        !matches!(self, Self::Stopped | Self::Failed)
    }

    /// JupyterHub's word for "wait".
    pub fn pending(self) -> Option<&'static str> {
        match self {
            Self::Queued | Self::Starting => Some("spawn"),
            Self::Stopping => Some("stop"),
            _ => None,
        }
    }

    pub fn may_start(self) -> bool {
        matches!(self, Self::Stopped | Self::Failed)
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl TryFrom<String> for State {
    type Error = UnknownState;

    fn try_from(text: String) -> Result<Self, UnknownState> {
        Ok(match text.as_str() {
            "stopped" => Self::Stopped,
            "queued" => Self::Queued,
            "starting" => Self::Starting,
            "ready" => Self::Ready,
            "stopping" => Self::Stopping,
            "failed" => Self::Failed,
            _ => return Err(UnknownState(text)),
        })
    }
}

#[derive(Debug, thiserror::Error)]
#[error(
    "the database holds a server in the unknown state `{0}`; a newer program may have written it"
)]
pub struct UnknownState(String);

/// `/user/ada/` or `/user/ada/gpu/`, percent-encoded, with the base path; of a course's server
/// `/services/bio/`.
pub fn prefix(base: &BasePath, user: &UserName, server: &ServerName) -> String {
    match user.course() {
        // The id of a course needs no encoding, and there is one server of it.
        Some(course) => base.at(&format!("/services/{course}/")),
        None => base.at(&format!("/user/{}/", tail(user, server))),
    }
}

/// `ada` or `ada/gpu`, percent-encoded: what names a server in paths.
pub fn tail(user: &UserName, server: &ServerName) -> String {
    let user = encode(user.as_str());
    if server.is_default() {
        user
    } else {
        format!("{user}/{server}")
    }
}

/// Where the steps of a start are told, as routes are registered.
pub fn progress(user: &UserName, server: &ServerName) -> String {
    let user = encode(user.as_str());
    if server.is_default() {
        format!("/hub/api/users/{user}/server/progress")
    } else {
        format!("/hub/api/users/{user}/servers/{server}/progress")
    }
}

/// The OAuth client id a server gets when nobody else has it.
pub fn client_id(user: &UserName, server: &ServerName) -> String {
    if let Some(course) = user.course() {
        return format!("jupyterhub-course-{course}");
    }
    let user = encode(user.as_str());
    if server.is_default() {
        format!("jupyterhub-user-{user}")
    } else {
        format!("jupyterhub-user-{user}-{server}")
    }
}

/// Longest title of a server, in characters.
const DISPLAY_NAME_MAX: usize = 255;

/// Whether this can be a server's title: one line that can be read, and that can't make the text
/// around it read otherwise.
pub fn is_display_name(text: &str) -> bool {
    let many = text.chars().count();
    (1..=DISPLAY_NAME_MAX).contains(&many)
        && text.trim() == text
        && !text.contains("  ")
        && text.chars().all(|c| c == ' ' || is_printable(c))
}

fn is_printable(c: char) -> bool {
    let steering = matches!(c,
        '\u{ad}' | '\u{600}'..='\u{605}' | '\u{61c}' | '\u{6dd}' | '\u{70f}' | '\u{180e}'
        | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
        | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e0fff}');
    let private = matches!(c, '\u{e000}'..='\u{f8ff}' | '\u{f0000}'..='\u{10ffff}');
    !(c.is_control() || c.is_whitespace() || steering || private)
}

/// Percent-encodes a name for a path, leaving what names may hold readable where URLs allow it.
pub fn encode(name: &str) -> String {
    const KEEP: &percent_encoding::AsciiSet = &percent_encoding::NON_ALPHANUMERIC
        .remove(b'-')
        .remove(b'_')
        .remove(b'.')
        .remove(b'~')
        .remove(b'@');
    percent_encoding::utf8_percent_encode(name, KEEP).to_string()
}

#[cfg(test)]
mod tests {
    use lyceum_model::who::CourseId;

    use super::*;

    #[test]
    fn prefixes_and_clients() {
        let check = |user: &str, server: &str, path: &str, client: &str| {
            let user = UserName::parse(user).expect("a good name");
            let server = ServerName::parse(server).expect("a good name");
            assert_eq!(prefix(&BasePath::default(), &user, &server), path);
            let base = BasePath::parse("/x/").expect("a good base");
            assert_eq!(prefix(&base, &user, &server), format!("/x{path}"));
            assert_eq!(client_id(&user, &server), client);
        };
        check("ada", "", "/user/ada/", "jupyterhub-user-ada");
        check("ada", "gpu", "/user/ada/gpu/", "jupyterhub-user-ada-gpu");
        check(
            "a+b@x.org",
            "",
            "/user/a%2Bb@x.org/",
            "jupyterhub-user-a%2Bb@x.org",
        );
        let bio = CourseId::parse("bio-1").expect("an id");
        let (user, server) = (UserName::of_course(&bio), ServerName::default());
        let base = BasePath::parse("/x/").expect("a good base");
        assert_eq!(prefix(&base, &user, &server), "/x/services/bio-1/");
        assert_eq!(client_id(&user, &server), "jupyterhub-course-bio-1");
        assert_eq!(tail(&user, &server), "course%3Abio-1");
    }

    #[test]
    fn titles_can_be_read() {
        for good in ["a", "Größe 1", "日本語", "🚀 (GPU)", &"n".repeat(255)] {
            assert!(is_display_name(good), "{good:?}");
        }
        for bad in [
            "",
            " ",
            " a",
            "a ",
            "a  b",
            "a\tb",
            "a\nb",
            "a\u{7}b",
            "a\u{a0}b",
            "a\u{202e}b",
            "a\u{200d}b",
            "a\u{e000}b",
            &"n".repeat(256),
        ] {
            assert!(!is_display_name(bad), "{bad:?}");
        }
    }

    #[test]
    fn states_round_trip() {
        for state in [
            State::Stopped,
            State::Queued,
            State::Starting,
            State::Ready,
            State::Stopping,
            State::Failed,
        ] {
            assert_eq!(State::try_from(state.to_string()).expect("known"), state);
        }
        assert!(State::try_from("odd".to_owned()).is_err());
    }
}
