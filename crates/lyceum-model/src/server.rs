//! What a notebook server is made of: the finished order that a spawner gets.
//!
//! A spec is complete. A spawner adds nothing but the address (and what follows from it) and asks
//! nobody. How the spec comes about is the business of `hub::LaunchPlanner`.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::name::{ServerName, UserName};
use crate::posix::Posix;
use crate::secret::Secret;

/// The name under which a spawner knows one server: made once, kept in the row, never derived
/// again. Lower-case letters, digits and hyphens, at most 63 characters, so it fits file names,
/// cgroups, pods and labels as it is.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct ServerKey(String);

impl ServerKey {
    pub fn parse(text: &str) -> Option<Self> {
        let fits = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
        let ends = |b: Option<u8>| b.is_some_and(|b| b != b'-');
        let good = (1..=63).contains(&text.len())
            && text.bytes().all(fits)
            && ends(text.bytes().next())
            && ends(text.bytes().last());
        good.then(|| Self(text.into()))
    }

    /// Makes the key of a new server: readable first, unique by the id behind it.
    pub fn make(user: &UserName, server: &ServerName, id: &str) -> Self {
        let mut words: String = format!("{user}-{server}")
            .chars()
            .map(|c| {
                if c.is_ascii_lowercase() || c.is_ascii_digit() {
                    c
                } else {
                    '-'
                }
            })
            .collect();
        while words.contains("--") {
            words = words.replace("--", "-");
        }
        words.truncate(32);
        let text = format!("{}-{id}", words.trim_matches('-'));
        Self::parse(text.trim_matches('-')).expect("letters, digits and hyphens, short enough")
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ServerKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for ServerKey {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = String::deserialize(from)?;
        Self::parse(&text).ok_or_else(|| serde::de::Error::custom("not the key of a server"))
    }
}

/// The finished description of a server.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct ServerSpec {
    /// Program and arguments; the first word is looked up on the spec's own `PATH`.
    pub command: Vec<String>,
    /// Environment besides what the spawner sets (JUPYTERHUB_*, HOME, USER …). Wins over it.
    #[serde(default)]
    pub env: BTreeMap<String, String>,
    /// Directories that come first on `PATH`.
    #[serde(default)]
    pub path_first: Vec<String>,
    /// The page a person lands on, below the server's prefix: `/lab`.
    #[serde(default)]
    pub default_url: Option<String>,
    /// Folder (local) or sub-path (volume) of the person's home, relative to the spawner's root of
    /// homes. Stored in the row, not derived.
    pub home: String,
    /// Where the command begins; absolute. Left out: in the home.
    #[serde(default)]
    pub folder: Option<String>,
    /// The system account to run as. Local processes: only when the hub runs as root.
    #[serde(default)]
    pub run_as: Option<RunAs>,
    /// By which numbers her files are hers. Whoever makes pods runs them so; where there is a system account,
    /// its own count, and these are not here.
    #[serde(default)]
    pub posix: Option<Posix>,
    #[serde(default)]
    pub resources: Resources,
    /// Container image; local processes have none.
    #[serde(default)]
    pub image: Option<String>,
    /// The slug of the profile it was made from.
    #[serde(default)]
    pub profile: Option<String>,
    /// The id of the course it belongs to.
    #[serde(default)]
    pub course: Option<String>,
}

/// A system account with its ids.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunAs {
    pub account: String,
    pub uid: u32,
    pub gid: u32,
    #[serde(default)]
    pub groups: Vec<u32>,
    #[serde(default)]
    pub umask: Option<u32>,
}

/// Limits and guarantees. Absent means the system's own.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Resources {
    /// Bytes.
    #[serde(default)]
    pub memory_limit: Option<u64>,
    #[serde(default)]
    pub memory_guarantee: Option<u64>,
    /// Cores; 0.5 is half a core.
    #[serde(default)]
    pub cpu_limit: Option<f64>,
    #[serde(default)]
    pub cpu_guarantee: Option<f64>,
    /// Processes and threads.
    #[serde(default)]
    pub processes: Option<u64>,
    /// Open files of one process.
    #[serde(default)]
    pub open_files: Option<u64>,
    /// Bytes of the home as a whole.
    #[serde(default)]
    pub home_size: Option<u64>,
    /// Bytes of one file that is written.
    #[serde(default)]
    pub file_size: Option<u64>,
}

/// What a Jupyter server must know of the hub: the source of its `JUPYTERHUB_*` variables.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct HubEnv {
    pub user: UserName,
    pub server: ServerName,
    /// The hub's base path, `/` or `/x/`.
    pub base_url: String,
    /// `/user/ada/` or `/user/ada/gpu/`, with the base path.
    pub prefix: String,
    /// `http://127.0.0.1:8081/hub/api`, as the server can reach it.
    pub api_url: String,
    /// `https://hub.example.edu` with sub-domains, else empty.
    pub host: String,
    /// `https://ada.hub.example.edu` with sub-domains, else empty.
    pub own_host: String,
    /// Cookies of the server are for its own host alone (`__Host-`), and so need TLS.
    pub host_cookies: bool,
    /// `https://jupyter.example.edu/user/ada/`, or empty when not known.
    pub public_url: String,
    /// `https://jupyter.example.edu/hub/`, or empty when not known.
    pub public_hub_url: String,
    pub client_id: String,
    pub api_token: Secret,
    pub access_scopes: Vec<String>,
    pub client_allowed_scopes: Vec<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(user: &str, server: &str) -> String {
        let user = UserName::parse(user).expect("a good name");
        let server = ServerName::parse(server).expect("a good name");
        ServerKey::make(&user, &server, "01kb0000000000000000000000").to_string()
    }

    #[test]
    fn keys_are_readable_and_fit() {
        assert_eq!(key("ada", ""), "ada-01kb0000000000000000000000");
        assert_eq!(
            key("a.b@x", "gpu-1"),
            "a-b-x-gpu-1-01kb0000000000000000000000"
        );
        assert!(key(&"a".repeat(128), "x").len() <= 63);
        assert_eq!(ServerKey::parse("../etc"), None);
        assert_eq!(ServerKey::parse("-a"), None);
    }
}
