//! The table of scopes: name, what it includes, what it is for. To add one, add a line.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::LazyLock;

use super::Custom;

macro_rules! scopes {
    ($($name:ident $text:literal [$($includes:ident)*] $about:literal)*) => {
        /// The name of a scope.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum ScopeName {
            $(#[doc = $about] $name,)*
            /// One that the configuration of a site defines.
            Custom(Custom),
        }

        impl ScopeName {
            /// All of JupyterHub's own, in the order of the table.
            pub const ALL: &[Self] = &[$(Self::$name),*];

            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$name => $text,)*
                    Self::Custom(custom) => custom.as_str(),
                }
            }

            /// What a holder may do, for pages where people choose or confirm scopes.
            pub fn about(self) -> &'static str {
                match self {
                    $(Self::$name => $about,)*
                    Self::Custom(custom) => custom.about(),
                }
            }

            /// The scopes directly below it; they carry the same filter.
            pub fn includes(self) -> &'static [Self] {
                match self {
                    $(Self::$name => &[$(Self::$includes),*],)*
                    Self::Custom(custom) => custom.includes(),
                }
            }
        }
    };
}

scopes! {
    OwnSelf "self" [] "Everything a person may do with what is hers"
    Inherit "inherit" [] "Everything the owner of the token may do"

    AdminUi "admin-ui" [] "Open the administration pages"

    AdminUsers "admin:users" [AdminAuthState Users ReadRolesUsers DeleteUsers] "Create, change and delete people"
    AdminAuthState "admin:auth_state" [] "See what sign-in left behind for a person"
    Users "users" [ReadUsers ListUsers UsersActivity] "Read and change people, but not create or delete them"
    DeleteUsers "delete:users" [] "Delete people"
    ListUsers "list:users" [ReadUsersName] "List people by name"
    ReadUsers "read:users" [ReadUsersName ReadUsersGroups ReadUsersActivity] "Read about people"
    ReadUsersName "read:users:name" [] "Read people's names"
    ReadUsersGroups "read:users:groups" [] "Read which groups people are in"
    ReadUsersActivity "read:users:activity" [] "Read when people were last active"
    UsersActivity "users:activity" [ReadUsersActivity] "Report that people are active"

    ReadRoles "read:roles" [ReadRolesUsers ReadRolesServices ReadRolesGroups] "Read all roles"
    ReadRolesUsers "read:roles:users" [] "Read people's roles"
    ReadRolesServices "read:roles:services" [] "Read services' roles"
    ReadRolesGroups "read:roles:groups" [] "Read groups' roles"

    AdminServers "admin:servers" [AdminServerState Servers] "Start and stop servers, and see their inner state"
    AdminServerState "admin:server_state" [] "See what the spawner remembers of servers"
    Servers "servers" [ReadServers StartServers DeleteServers] "Start and stop servers"
    ReadServers "read:servers" [ReadUsersName] "Read about servers"
    StartServers "start:servers" [] "Start servers"
    DeleteServers "delete:servers" [] "Stop and remove servers"

    Tokens "tokens" [ReadTokens] "Make and revoke tokens"
    ReadTokens "read:tokens" [] "Read about tokens"

    AdminGroups "admin:groups" [Groups ReadRolesGroups DeleteGroups] "Create, change and delete groups"
    Groups "groups" [ReadGroups ListGroups] "Read groups and change who is in them"
    ListGroups "list:groups" [ReadGroupsName] "List groups by name"
    ReadGroups "read:groups" [ReadGroupsName] "Read about groups"
    ReadGroupsName "read:groups:name" [] "Read groups' names"
    DeleteGroups "delete:groups" [] "Delete groups"

    AdminServices "admin:services" [ListServices ReadServices ReadRolesServices] "Create, change and delete services"
    ListServices "list:services" [ReadServicesName] "List services by name"
    ReadServices "read:services" [ReadServicesName] "Read about services"
    ReadServicesName "read:services:name" [] "Read services' names"

    ReadHub "read:hub" [] "Read how the hub is set up"
    AccessServers "access:servers" [] "Open servers and work in them"
    AccessServices "access:services" [] "Open services"

    Shares "shares" [AccessServers ReadShares UsersShares GroupsShares] "Share servers and take shares back"
    ReadShares "read:shares" [] "Read who a server is shared with"
    UsersShares "users:shares" [ReadUsersShares] "Read and give up what was shared with people"
    ReadUsersShares "read:users:shares" [] "Read what was shared with people"
    GroupsShares "groups:shares" [ReadGroupsShares] "Read and give up what was shared with groups"
    ReadGroupsShares "read:groups:shares" [] "Read what was shared with groups"

    Proxy "proxy" [] "Read and refresh the route table"
    Shutdown "shutdown" [] "Stop the hub"
    ReadMetrics "read:metrics" [] "Read the metrics"
}

impl ScopeName {
    pub fn find(text: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|name| name.as_str() == text)
    }

    /// The scope that a misspelt name most likely means.
    pub fn nearest(text: &str) -> Option<Self> {
        // Longer than any scope by far: not a slip of the finger, and the comparison is quadratic.
        if text.len() > 64 {
            return None;
        }
        let near = |name: &Self| strsim::osa_distance(text, name.as_str());
        let best = Self::ALL.iter().copied().min_by_key(near)?;
        (near(&best) <= 3 && near(&best) < best.as_str().len()).then_some(best)
    }

    /// Stands for other scopes until an owner is known, and takes no filter.
    pub fn is_meta(self) -> bool {
        matches!(self, Self::OwnSelf | Self::Inherit)
    }

    /// Those of JupyterHub's own that imply this one, itself among them.
    pub(super) fn above(self) -> &'static [Self] {
        static ABOVE: LazyLock<BTreeMap<ScopeName, Vec<ScopeName>>> = LazyLock::new(|| {
            let mut above: BTreeMap<_, Vec<_>> = BTreeMap::new();
            for name in ScopeName::ALL {
                for below in name.implied() {
                    above.entry(below).or_default().push(*name);
                }
            }
            above
        });
        ABOVE.get(&self).map_or(&[], Vec::as_slice)
    }

    /// Whether who holds this also holds `other`.
    pub fn implies(self, other: Self) -> bool {
        self == other || self.includes().iter().any(|below| below.implies(other))
    }

    /// This and everything below it.
    pub fn implied(self) -> impl Iterator<Item = Self> {
        let mut implied = vec![self];
        let mut at = 0;
        while let Some(name) = implied.get(at) {
            for below in name.includes() {
                if !implied.contains(below) {
                    implied.push(*below);
                }
            }
            at += 1;
        }
        implied.into_iter()
    }
}

impl fmt::Display for ScopeName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_is_found_once() {
        for name in ScopeName::ALL {
            assert_eq!(ScopeName::find(name.as_str()), Some(*name));
        }
        assert_eq!(ScopeName::ALL.len(), 47);
    }

    #[test]
    fn nothing_includes_itself_by_a_detour() {
        for name in ScopeName::ALL {
            for below in name.includes() {
                assert!(!below.implies(*name), "{name} and {below}");
            }
        }
    }

    /// The table of JupyterHub's documentation, written down once more.
    #[test]
    fn what_each_scope_includes() {
        let expect = [
            ("self", ""),
            ("inherit", ""),
            ("admin-ui", ""),
            (
                "admin:users",
                "admin:auth_state users read:roles:users delete:users",
            ),
            ("admin:auth_state", ""),
            ("users", "read:users list:users users:activity"),
            ("delete:users", ""),
            ("list:users", "read:users:name"),
            (
                "read:users",
                "read:users:name read:users:groups read:users:activity",
            ),
            ("read:users:name", ""),
            ("read:users:groups", ""),
            ("read:users:activity", ""),
            ("users:activity", "read:users:activity"),
            (
                "read:roles",
                "read:roles:users read:roles:services read:roles:groups",
            ),
            ("read:roles:users", ""),
            ("read:roles:services", ""),
            ("read:roles:groups", ""),
            ("admin:servers", "admin:server_state servers"),
            ("admin:server_state", ""),
            ("servers", "read:servers start:servers delete:servers"),
            ("read:servers", "read:users:name"),
            ("start:servers", ""),
            ("delete:servers", ""),
            ("tokens", "read:tokens"),
            ("read:tokens", ""),
            ("admin:groups", "groups read:roles:groups delete:groups"),
            ("groups", "read:groups list:groups"),
            ("list:groups", "read:groups:name"),
            ("read:groups", "read:groups:name"),
            ("read:groups:name", ""),
            ("delete:groups", ""),
            (
                "admin:services",
                "list:services read:services read:roles:services",
            ),
            ("list:services", "read:services:name"),
            ("read:services", "read:services:name"),
            ("read:services:name", ""),
            ("read:hub", ""),
            ("access:servers", ""),
            ("access:services", ""),
            (
                "shares",
                "access:servers read:shares users:shares groups:shares",
            ),
            ("read:shares", ""),
            ("users:shares", "read:users:shares"),
            ("read:users:shares", ""),
            ("groups:shares", "read:groups:shares"),
            ("read:groups:shares", ""),
            ("proxy", ""),
            ("shutdown", ""),
            ("read:metrics", ""),
        ];
        let names: Vec<&str> = ScopeName::ALL.iter().map(|name| name.as_str()).collect();
        assert_eq!(names, expect.map(|(name, _)| name));
        for (name, includes) in expect {
            let found = ScopeName::find(name).expect("one of them");
            let found: Vec<&str> = found.includes().iter().map(|one| one.as_str()).collect();
            assert_eq!(found.join(" "), includes, "{name}");
        }
    }

    #[test]
    fn what_is_implied() {
        let check = |name: ScopeName, expect: &[&str]| {
            let mut implied: Vec<_> = name.implied().map(ScopeName::as_str).collect();
            implied.sort_unstable();
            assert_eq!(implied, expect);
        };
        check(ScopeName::Proxy, &["proxy"]);
        check(
            ScopeName::Servers,
            &[
                "delete:servers",
                "read:servers",
                "read:users:name",
                "servers",
                "start:servers",
            ],
        );
        check(
            ScopeName::AdminUsers,
            &[
                "admin:auth_state",
                "admin:users",
                "delete:users",
                "list:users",
                "read:roles:users",
                "read:users",
                "read:users:activity",
                "read:users:groups",
                "read:users:name",
                "users",
                "users:activity",
            ],
        );
    }
}
