//! Laws of the scope algebra, tried on random sets over a small world, where collisions of
//! people, groups and servers are common.

use proptest::prelude::*;
use proptest::sample::select;

use super::*;

const USERS: [&str; 3] = ["ada", "ben", "eve"];
const GROUPS: [&str; 2] = ["staff", "gpu"];
const SERVERS: [&str; 2] = ["", "big"];
const SERVICES: [&str; 2] = ["grader", "files"];

/// Who is in which group, one flag each.
#[derive(Debug, Clone)]
struct World([[bool; 2]; 3]);

impl Membership for World {
    fn user_in_group(&self, user: &UserName, group: &str) -> bool {
        let user = USERS.iter().position(|name| *name == user.as_str());
        let group = GROUPS.iter().position(|name| *name == group);
        matches!((user, group), (Some(user), Some(group)) if self.0[user][group])
    }
}

fn user() -> impl Strategy<Value = UserName> {
    select(USERS.as_slice()).prop_map(|name| UserName::parse(name).unwrap())
}

fn server() -> impl Strategy<Value = ServerName> {
    select(SERVERS.as_slice()).prop_map(|name| ServerName::parse(name).unwrap())
}

fn filter() -> impl Strategy<Value = Filter> {
    prop_oneof![
        Just(Filter::All),
        user().prop_map(Filter::User),
        select(GROUPS.as_slice()).prop_map(|name| Filter::Group(name.into())),
        (user(), server()).prop_map(|(user, server)| Filter::Server { user, server }),
        select(SERVICES.as_slice()).prop_map(|name| Filter::Service(name.into())),
        Just(Filter::SelfUser),
        Just(Filter::SelfServer),
        Just(Filter::SelfService),
    ]
}

fn scope() -> impl Strategy<Value = Scope> {
    (select(ScopeName::ALL), filter()).prop_map(|(name, filter)| match name.is_meta() {
        true => Scope::all(name),
        false => Scope::new(name, filter),
    })
}

/// Half of the scopes come from four names that include one another, so that sets overlap.
fn scopes() -> impl Strategy<Value = ScopeSet> {
    let close = (
        select(
            [
                ScopeName::Users,
                ScopeName::ReadUsers,
                ScopeName::ReadServers,
                ScopeName::ReadUsersName,
            ]
            .as_slice(),
        ),
        filter(),
    )
        .prop_map(|(name, filter)| Scope::new(name, filter));
    prop::collection::vec(prop_oneof![scope(), close], 0..12)
        .prop_map(|scopes| scopes.into_iter().collect())
}

fn world() -> impl Strategy<Value = World> {
    any::<[[bool; 2]; 3]>().prop_map(World)
}

/// Calls `ask` for everything that exists in the small world.
fn for_each_target(mut ask: impl FnMut(ScopeName, Target<'_>)) {
    for name in ScopeName::ALL {
        ask(*name, Target::Everything);
        for user in USERS {
            let user = UserName::parse(user).unwrap();
            ask(*name, Target::User(&user));
            for server in SERVERS {
                ask(
                    *name,
                    Target::Server(&user, &ServerName::parse(server).unwrap()),
                );
            }
        }
        for group in GROUPS {
            ask(*name, Target::Group(group));
        }
        for service in SERVICES {
            ask(*name, Target::Service(service));
        }
    }
}

proptest! {
    #[test]
    fn text_round_trips(scope in scope(), set in scopes()) {
        prop_assert_eq!(Scope::parse(&scope.to_string()), Ok(scope));
        prop_assert_eq!(ScopeSet::parse(set.to_list()), Ok(set));
    }

    #[test]
    fn parsing_never_panics(text in ".{0,80}") {
        if let Ok(scope) = Scope::parse(&text) {
            prop_assert_eq!(Scope::parse(&scope.to_string()), Ok(scope));
        }
    }

    #[test]
    fn expanding_twice_is_expanding_once(set in scopes()) {
        prop_assert_eq!(set.expand().expand(), set.expand());
    }

    #[test]
    fn expanding_keeps_what_is_there(small in scopes(), more in scopes(), world in world()) {
        let large = small.clone().union(&more);
        prop_assert!(small.expand().missing(&small, &world).is_empty());
        prop_assert!(large.expand().missing(&small.expand(), &world).is_empty());
    }

    #[test]
    fn expanding_grants_nothing_new(set in scopes(), world in world()) {
        for_each_target(|name, target| {
            assert_eq!(set.expand().allows(name, target, &world), set.allows(name, target, &world));
        });
    }

    #[test]
    fn intersection_is_the_same_both_ways(a in scopes(), b in scopes(), world in world()) {
        prop_assert_eq!(a.intersect(&b, &world), b.intersect(&a, &world));
    }

    #[test]
    fn intersection_with_itself_changes_nothing(a in scopes(), world in world()) {
        prop_assert_eq!(a.intersect(&a, &world), a);
    }

    #[test]
    fn intersection_grants_what_both_do(a in scopes(), b in scopes(), world in world()) {
        let (a, b) = (a.expand(), b.expand());
        let both = a.intersect(&b, &world);
        let groups = |set: &ScopeSet| set.iter().any(|s| matches!(s.filter, Filter::Group(_)));
        // Two groups meet in nothing, so only there may it grant less.
        let exact = !(groups(&a) && groups(&b));
        for_each_target(|name, target| {
            let of = |set: &ScopeSet| set.allows(name, target, &world).is_yes();
            let expect = of(&a) && of(&b);
            assert!(!of(&both) || expect, "grants {name} on {target:?}");
            assert!(!exact || of(&both) == expect, "loses {name} on {target:?}");
        });
        prop_assert!(a.missing(&both, &world).is_empty());
        prop_assert!(b.missing(&both, &world).is_empty());
    }

    #[test]
    fn a_resolved_set_has_nothing_open(set in scopes(), user in user(), server in server()) {
        let owner = Owner::server(user, server);
        let resolved = set.resolve(&owner);
        prop_assert!(resolved.iter().all(|s| !s.filter.is_open() && s.name != ScopeName::OwnSelf));
        prop_assert_eq!(resolved.resolve(&owner), resolved);
    }

    #[test]
    fn a_token_never_grants_more_than_its_owner_has(
        asked in scopes(), held in scopes(), user in user(), world in world()
    ) {
        let owner = Owner::user(user.clone());
        let granted = asked.grant(&owner, &held, &world);
        let most = held.resolve(&owner).union(&identity_scopes(&user));
        for_each_target(|name, target| {
            let of = |set: &ScopeSet| set.allows(name, target, &world).is_yes();
            assert!(!of(&granted) || of(&most), "grants {name} on {target:?}");
        });
    }
}
