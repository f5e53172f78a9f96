//! Sets of scopes: read, expand, fill in the owner, intersect, ask.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::{
    Filter, Membership, Scope, ScopeError, ScopeName, Target, Verdict, identity_scopes,
    service_identity_scopes,
};
use crate::name::{ServerName, UserName};

/// What `self` stands for, each for the person herself.
const SELF: &[ScopeName] = &[
    ScopeName::ReadUsers,
    ScopeName::UsersActivity,
    ScopeName::UsersShares,
    ScopeName::ReadShares,
    ScopeName::Servers,
    ScopeName::AccessServers,
    ScopeName::Tokens,
];

/// A set of scopes.
///
/// Invariant: no filter stands beside one that covers it whoever is in which group (`!user=ada`
/// swallows `!server=ada/gpu`), so equal sets compare equal.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ScopeSet(BTreeMap<ScopeName, BTreeSet<Filter>>);

/// Whose scopes they are: what `self`, `!user`, `!server` and `!service` mean.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Owner {
    pub user: Option<UserName>,
    pub server: Option<(UserName, ServerName)>,
    pub service: Option<String>,
}

impl Owner {
    pub fn user(name: UserName) -> Self {
        Self {
            user: Some(name),
            ..Self::default()
        }
    }

    /// A notebook server, or a token made for one.
    pub fn server(user: UserName, server: ServerName) -> Self {
        Self {
            user: Some(user.clone()),
            server: Some((user, server)),
            service: None,
        }
    }

    pub fn service(name: impl Into<String>) -> Self {
        Self {
            service: Some(name.into()),
            ..Self::default()
        }
    }

    /// The filter with this owner in it; nothing when the owner has no such thing.
    fn fill(&self, filter: &Filter) -> Option<Filter> {
        match filter {
            Filter::SelfUser => self.user.clone().map(Filter::User),
            Filter::SelfServer => self
                .server
                .clone()
                .map(|(user, server)| Filter::Server { user, server }),
            Filter::SelfService => self.service.clone().map(Filter::Service),
            concrete => Some(concrete.clone()),
        }
    }
}

impl ScopeSet {
    pub fn new() -> Self {
        Self::default()
    }

    /// Reads a list of scopes; the first that can't be read is the error.
    pub fn parse<S: AsRef<str>>(list: impl IntoIterator<Item = S>) -> Result<Self, ScopeError> {
        list.into_iter()
            .map(|text| Scope::parse(text.as_ref()))
            .collect()
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn iter(&self) -> impl Iterator<Item = Scope> {
        self.0.iter().flat_map(|(name, filters)| {
            filters
                .iter()
                .map(|filter| Scope::new(*name, filter.clone()))
        })
    }

    pub fn insert(&mut self, scope: Scope) {
        let filters = self.0.entry(scope.name).or_default();
        if filters.iter().any(|held| swallows(held, &scope.filter)) {
            return;
        }
        filters.retain(|held| !swallows(&scope.filter, held));
        filters.insert(scope.filter);
    }

    /// The groups that scopes are narrowed down to: whoever asks has to know who is in them.
    pub fn groups(&self) -> BTreeSet<&str> {
        let filters = self.0.values().flatten();
        let groups = filters.filter_map(|filter| match filter {
            Filter::Group(group) => Some(group.as_str()),
            _ => None,
        });
        groups.collect()
    }

    /// What either holds.
    #[must_use]
    pub fn union(mut self, other: &Self) -> Self {
        self.extend(other.iter());
        self
    }

    /// With everything that is implied, under the same filters.
    #[must_use]
    pub fn expand(&self) -> Self {
        self.iter()
            .flat_map(|scope| {
                let Scope { name, filter } = scope;
                name.implied()
                    .map(move |name| Scope::new(name, filter.clone()))
            })
            .collect()
    }

    /// With the owner filled in: `self`, `!user`, `!server` and `!service` become concrete, and
    /// those the owner can't fill in are left out. `inherit` stays; see [`ScopeSet::grant`].
    #[must_use]
    pub fn resolve(&self, owner: &Owner) -> Self {
        let mut resolved = Self::new();
        for Scope { name, filter } in self.iter() {
            let names = match name {
                ScopeName::OwnSelf => SELF,
                ref name => std::slice::from_ref(name),
            };
            let filter = match name {
                ScopeName::OwnSelf => Filter::SelfUser,
                _ => filter,
            };
            if let Some(filter) = owner.fill(&filter) {
                resolved.extend(names.iter().map(|name| Scope::new(*name, filter.clone())));
            }
        }
        resolved
    }

    /// What a token with these scopes may do now: the owner filled in, everything implied, no
    /// more than `held`, which is what the owner herself may do at this moment. `inherit` is
    /// everything held. A token always tells whose it is.
    #[must_use]
    pub fn grant(&self, owner: &Owner, held: &Self, members: &dyn Membership) -> Self {
        let mut asked = self.resolve(owner).expand();
        let inherits = asked.0.remove(&ScopeName::Inherit).is_some();
        let held = held.resolve(owner).expand();
        let granted = if inherits {
            held
        } else {
            asked.intersect(&held, members)
        };
        match (&owner.user, &owner.service) {
            (Some(user), _) => granted.union(&identity_scopes(user)),
            (None, Some(service)) => granted.union(&service_identity_scopes(service)),
            (None, None) => granted,
        }
    }

    /// What both hold. Expand both before, or `users` and `read:users` have nothing in common.
    #[must_use]
    pub fn intersect(&self, other: &Self, members: &dyn Membership) -> Self {
        let mut both = Self::new();
        for (name, mine) in &self.0 {
            let Some(theirs) = other.0.get(name) else {
                continue;
            };
            for (mine, theirs) in mine.iter().flat_map(|m| theirs.iter().map(move |t| (m, t))) {
                if let Some(filter) = mine.meet(theirs, members) {
                    both.insert(Scope::new(*name, filter));
                }
            }
        }
        both
    }

    /// The filters under which `name` is held, directly or by a scope above it.
    pub fn reach(&self, name: ScopeName) -> Vec<Filter> {
        let mut reach = Self::new();
        for filters in self.under(name) {
            reach.extend(filters.iter().map(|f| Scope::new(name, f.clone())));
        }
        reach.0.remove(&name).into_iter().flatten().collect()
    }

    /// Whether the holder may do `name` to `target`. Needs no expanding, but a resolved set:
    /// `self`, `inherit` and open filters grant nothing.
    pub fn allows(&self, name: ScopeName, target: Target<'_>, members: &dyn Membership) -> Verdict {
        let mut verdict = Verdict::No;
        for filters in self.under(name) {
            if filters.iter().any(|f| f.matches(target, members)) {
                return Verdict::Yes;
            }
            verdict = Verdict::NotFound;
        }
        verdict
    }

    /// Whether everything `scope` reaches is held.
    pub fn contains(&self, scope: &Scope, members: &dyn Membership) -> bool {
        self.under(scope.name)
            .any(|filters| filters.iter().any(|f| f.covers(&scope.filter, members)))
    }

    /// The filters of each scope that is held and implies `name`.
    fn under(&self, name: ScopeName) -> impl Iterator<Item = &BTreeSet<Filter>> {
        let is_custom = matches!(name, ScopeName::Custom(_));
        let own = name.above().iter().filter_map(|held| self.0.get(held));
        let custom = self
            .0
            .iter()
            .filter(move |(held, _)| is_custom && held.implies(name));
        own.chain(custom.map(|(_, filters)| filters))
    }

    /// The scopes of `asked` that go beyond this set, for an error that names them.
    pub fn missing(&self, asked: &Self, members: &dyn Membership) -> Vec<Scope> {
        asked
            .iter()
            .filter(|scope| !self.contains(scope, members))
            .collect()
    }

    /// Sorted text, the form the API shows.
    pub fn to_list(&self) -> Vec<String> {
        let mut list: Vec<String> = self.iter().map(|scope| scope.to_string()).collect();
        list.sort_unstable();
        list
    }
}

/// Covers it whoever is in which group.
fn swallows(held: &Filter, other: &Filter) -> bool {
    held.covers(other, &super::NoGroups)
}

impl Extend<Scope> for ScopeSet {
    fn extend<I: IntoIterator<Item = Scope>>(&mut self, scopes: I) {
        for scope in scopes {
            self.insert(scope);
        }
    }
}

impl FromIterator<Scope> for ScopeSet {
    fn from_iter<I: IntoIterator<Item = Scope>>(scopes: I) -> Self {
        let mut set = Self::new();
        set.extend(scopes);
        set
    }
}

impl Serialize for ScopeSet {
    fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_seq(self.to_list())
    }
}

impl<'de> Deserialize<'de> for ScopeSet {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        Ok(Vec::<Scope>::deserialize(from)?.into_iter().collect())
    }
}

#[cfg(test)]
mod tests {
    use super::super::{NoGroups, admin_role, server_role, token_role, user_role};
    use super::*;

    fn set(text: &str) -> ScopeSet {
        ScopeSet::parse(text.split_whitespace()).unwrap()
    }

    fn name(text: &str) -> UserName {
        UserName::parse(text).unwrap()
    }

    fn ada_in_staff(user: &UserName, group: &str) -> bool {
        user.as_str() == "ada" && group == "staff"
    }

    #[test]
    fn a_person_gets_what_is_hers() {
        let own = user_role().resolve(&Owner::user(name("ada"))).expand();
        let names: Vec<_> = own
            .to_list()
            .into_iter()
            .map(|text| text.strip_suffix("!user=ada").unwrap().to_owned())
            .collect();
        assert_eq!(
            names,
            [
                "access:servers",
                "delete:servers",
                "read:servers",
                "read:shares",
                "read:tokens",
                "read:users",
                "read:users:activity",
                "read:users:groups",
                "read:users:name",
                "read:users:shares",
                "servers",
                "start:servers",
                "tokens",
                "users:activity",
                "users:shares",
            ]
        );
    }

    #[test]
    fn an_owner_who_lacks_it_fills_in_nothing() {
        let service = Owner::service("formgrader");
        let scopes = set("self users!user access:servers!server access:services!service proxy");
        assert_eq!(
            scopes.resolve(&service).to_list(),
            ["access:services!service=formgrader", "proxy"]
        );
    }

    #[test]
    fn a_servers_token() {
        let owner = Owner::server(name("ada"), ServerName::parse("gpu").unwrap());
        let granted = server_role().grant(&owner, &user_role(), &NoGroups);
        assert_eq!(
            granted.to_list(),
            [
                "access:servers!server=ada/gpu",
                "read:users:activity!user=ada",
                "read:users:groups!user=ada",
                "read:users:name!user=ada",
                "users:activity!user=ada",
            ]
        );
    }

    #[test]
    fn a_token_never_exceeds_its_owner() {
        let owner = Owner::user(name("ada"));
        let grant = |text: &str, held: &ScopeSet| set(text).grant(&owner, held, &NoGroups);
        assert_eq!(
            token_role().grant(&owner, &user_role(), &NoGroups),
            user_role().resolve(&owner).expand()
        );
        assert_eq!(
            grant("read:tokens proxy", &user_role()).to_list(),
            [
                "read:tokens!user=ada",
                "read:users:groups!user=ada",
                "read:users:name!user=ada",
            ]
        );
        let admin = admin_role().union(&user_role());
        assert!(
            grant("shutdown", &admin)
                .allows(ScopeName::Shutdown, Target::Everything, &NoGroups)
                .is_yes()
        );
    }

    #[test]
    fn answers() {
        let (ada, ben) = (name("ada"), name("ben"));
        let (default, gpu) = (ServerName::default(), ServerName::parse("gpu").unwrap());
        let check = |held: &str, asked: &str, target: Target<'_>, expect: Verdict| {
            let asked = ScopeName::find(asked).unwrap();
            assert_eq!(
                set(held).allows(asked, target, &ada_in_staff),
                expect,
                "{held} {target:?}"
            );
        };
        use Target::*;
        use Verdict::*;
        check("users", "read:users:name", User(&ada), Yes);
        check("users", "list:users", Everything, Yes);
        check("users!user=ada", "read:users", User(&ada), Yes);
        check("users!user=ada", "read:users", User(&ben), NotFound);
        check("users!user=ada", "list:users", Everything, NotFound);
        check("users!user=ada", "servers", User(&ada), No);
        check("users!group=staff", "users", User(&ada), Yes);
        check("users!group=staff", "users", User(&ben), NotFound);
        check("groups!group=staff", "groups", Group("staff"), Yes);
        check("groups!group=staff", "groups", Group("other"), NotFound);
        check("groups!user=ada", "groups", Group("staff"), NotFound);
        check("servers!user=ada", "servers", Server(&ada, &gpu), Yes);
        check("servers!group=staff", "servers", Server(&ada, &gpu), Yes);
        check("servers!server=ada/gpu", "servers", Server(&ada, &gpu), Yes);
        check(
            "servers!server=ada/gpu",
            "servers",
            Server(&ada, &default),
            NotFound,
        );
        check("servers!server=ada/gpu", "servers", User(&ada), NotFound);
        check(
            "access:services!service=x",
            "access:services",
            Service("x"),
            Yes,
        );
        check("self inherit", "read:users", User(&ada), No);
        check("users!user", "users", User(&ada), NotFound);
    }

    #[test]
    fn intersections() {
        let check = |left: &str, right: &str, expect: &str| {
            let both = set(left).intersect(&set(right), &ada_in_staff);
            assert_eq!(both, set(expect), "{left} and {right}");
        };
        check("users proxy", "users!user=ada", "users!user=ada");
        check("users!user=ada", "users!user=ben", "");
        check(
            "users!group=staff",
            "users!user=ada users!user=ben",
            "users!user=ada",
        );
        check(
            "servers!user=ada",
            "servers!server=ada/gpu servers!server=ben/gpu",
            "servers!server=ada/gpu",
        );
        check(
            "servers!group=staff",
            "servers!server=ada/",
            "servers!server=ada/",
        );
        check("users!group=staff", "users!group=other", "");
        check(
            "users!group=staff",
            "users!group=staff",
            "users!group=staff",
        );
    }

    #[test]
    fn what_goes_beyond_is_named() {
        let held = user_role().resolve(&Owner::user(name("ada")));
        let asked = set("read:users tokens!user=ada access:servers!server=ada/gpu proxy");
        let missing = held.missing(&asked, &NoGroups);
        assert_eq!(
            ScopeSet::from_iter(missing).to_list(),
            ["proxy", "read:users"]
        );
    }

    #[test]
    fn reach_gathers_from_above() {
        let held = set("users!user=ada list:users!group=staff read:users!user=ben");
        assert_eq!(
            held.reach(ScopeName::ListUsers),
            [Filter::User(name("ada")), Filter::Group("staff".into())]
        );
        assert!(held.reach(ScopeName::Servers).is_empty());
    }

    #[test]
    fn a_set_is_a_sorted_list_in_json() {
        let json = serde_json::to_string(&set("users!user=ada proxy servers servers!user=b"));
        assert_eq!(json.unwrap(), r#"["proxy","servers","users!user=ada"]"#);
        let bad = serde_json::from_str::<ScopeSet>(r#"["prixy"]"#).unwrap_err();
        assert!(bad.to_string().contains("did you mean \"proxy\""));
    }
}
