//! What a sign-in method says of a person; what she may do is decided elsewhere.

use serde::{Deserialize, Serialize};

use crate::name::UserName;
use crate::posix::Told;

/// The answer of an authenticator that has let someone in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    pub name: UserName,
    /// The name to show, when the source has one.
    #[serde(default)]
    pub display_name: Option<String>,
    /// Groups the source vouches for. `None`: the source knows nothing of groups, leave them alone.
    #[serde(default)]
    pub groups: Option<Vec<String>>,
    /// Whether the source makes this person an administrator. `None`: it does not say.
    #[serde(default)]
    pub admin: Option<bool>,
    /// Numbers for files, where the institution has them.
    #[serde(default)]
    pub posix: Told,
    /// Her address of mail, where the source is one that an administrator trusts to know it.
    #[serde(default)]
    pub mail: Option<String>,
    /// Who this is at the source, where that is not the name: it stays when the name changes there.
    #[serde(default)]
    pub subject: Option<Subject>,
    /// The session that she has at the source, as that calls it.
    #[serde(default)]
    pub session: Option<String>,
    /// Which accounts that nobody has come to yet she may have for bringing their name.
    #[serde(default)]
    pub adopts: Adopts,
}

/// Accounts that were made here beforehand, for somebody of whom nothing but the name was known. A
/// place where people choose their names must not give these away.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Adopts {
    pub people: bool,
    /// Those of administrators, by their row, the configuration or a role.
    pub administrators: bool,
}

/// Somebody's mark at a place that does not change and is given to nobody else.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Subject {
    /// The place: an address.
    pub issuer: String,
    pub id: String,
}

impl Identity {
    pub fn named(name: UserName) -> Self {
        Self {
            name,
            display_name: None,
            groups: None,
            admin: None,
            posix: Told::default(),
            mail: None,
            subject: None,
            session: None,
            adopts: Adopts::default(),
        }
    }
}
