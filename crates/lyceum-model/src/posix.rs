//! Numbers by which a file system knows people.

use serde::{Deserialize, Serialize};

/// As an institution tells them. Nothing of it is looked at yet.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Told {
    #[serde(default)]
    pub uid: Option<u32>,
    #[serde(default)]
    pub gid: Option<u32>,
    /// What the group of that number is called.
    #[serde(default)]
    pub group: Option<String>,
    /// Of further groups. `None`: nothing is said of them.
    #[serde(default)]
    pub gids: Option<Vec<u32>>,
}

/// Somebody's, for good.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Posix {
    pub uid: u32,
    /// Nothing: whatever the machine or the image takes.
    #[serde(default)]
    pub gid: Option<u32>,
    #[serde(default)]
    pub group: Option<String>,
    #[serde(default)]
    pub gids: Vec<u32>,
}

/// What programs in servers and images for them look at. The last is a list with commas.
pub const NB_UID: &str = "NB_UID";
pub const NB_GID: &str = "NB_GID";
pub const NB_GROUP: &str = "NB_GROUP";
pub const NB_SUPPLEMENTARY_GROUPS: &str = "NB_SUPPLEMENTARY_GROUPS";

impl Posix {
    /// As a server's environment has them.
    pub fn env(&self) -> Vec<(&'static str, String)> {
        let mut env = vec![(NB_UID, self.uid.to_string())];
        env.extend(self.gid.map(|gid| (NB_GID, gid.to_string())));
        env.extend(self.group.clone().map(|group| (NB_GROUP, group)));
        if !self.gids.is_empty() {
            env.push((NB_SUPPLEMENTARY_GROUPS, list(&self.gids)));
        }
        env
    }
}

/// As people read and write it: `5,6`.
pub fn list(numbers: &[u32]) -> String {
    let texts: Vec<String> = numbers.iter().map(u32::to_string).collect();
    texts.join(",")
}

/// Nothing where something else stands among them.
pub fn parse_list(text: &str) -> Option<Vec<u32>> {
    let pieces = text.split(',').map(str::trim);
    let pieces = pieces.filter(|piece| !piece.is_empty());
    pieces.map(|piece| piece.parse().ok()).collect()
}

/// Whether a group of files can be called so: as programs of the system take it.
pub fn is_group_name(text: &str) -> bool {
    let fits = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.');
    (1..=32).contains(&text.len())
        && text.bytes().all(fits)
        && !text.starts_with(|c: char| c == '-' || c.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_is_told_what_there_is() {
        let all = Posix {
            uid: 1234,
            gid: Some(1000),
            group: Some("staff".into()),
            gids: vec![5, 6],
        };
        let text = |posix: &Posix| {
            let env = posix.env();
            let words: Vec<String> = env.iter().map(|(key, is)| format!("{key}={is}")).collect();
            words.join(" ")
        };
        assert_eq!(
            text(&all),
            "NB_UID=1234 NB_GID=1000 NB_GROUP=staff NB_SUPPLEMENTARY_GROUPS=5,6"
        );
        let bare = Posix {
            gid: None,
            group: None,
            gids: Vec::new(),
            ..all
        };
        assert_eq!(text(&bare), "NB_UID=1234");
    }

    #[test]
    fn lists_are_numbers_and_commas() {
        let check = |text: &str, expect: Option<&[u32]>| {
            assert_eq!(parse_list(text).as_deref(), expect, "{text:?}");
        };
        check("5,6", Some(&[5, 6]));
        check(" 5 , 6 ,", Some(&[5, 6]));
        check("", Some(&[]));
        check("5;6", None);
        check("-5", None);
        check("4294967296", None);
        assert!(is_group_name("jupyter-bio.2026"));
        for odd in ["", "a b", "-a", "1a", "a:5", "a,b", &"a".repeat(33)] {
            assert!(!is_group_name(odd), "{odd:?}");
        }
    }
}
