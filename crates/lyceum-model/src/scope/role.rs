//! What the default roles grant.

use super::{Filter, Scope, ScopeName, ScopeSet};
use crate::name::UserName;

/// Everyone: what is her own.
pub fn user_role() -> ScopeSet {
    ScopeSet::from_iter([Scope::all(ScopeName::OwnSelf)])
}

/// Administrators.
pub fn admin_role() -> ScopeSet {
    use ScopeName::*;
    [
        AdminUi,
        AdminUsers,
        AdminServers,
        AdminServices,
        AdminGroups,
        Tokens,
        ListServices,
        ReadServices,
        ReadHub,
        Proxy,
        Shutdown,
        AccessServices,
        AccessServers,
        ReadRoles,
        ReadMetrics,
        Shares,
    ]
    .into_iter()
    .map(Scope::all)
    .collect()
}

/// A notebook server's own token.
pub fn server_role() -> ScopeSet {
    ScopeSet::from_iter([
        Scope::new(ScopeName::UsersActivity, Filter::SelfUser),
        Scope::new(ScopeName::AccessServers, Filter::SelfServer),
    ])
}

/// A token for which nothing else was asked.
pub fn token_role() -> ScopeSet {
    ScopeSet::from_iter([Scope::all(ScopeName::Inherit)])
}

/// What every token of a person holds beside its grants: enough to learn whose it is.
pub fn identity_scopes(owner: &UserName) -> ScopeSet {
    [ScopeName::ReadUsersName, ScopeName::ReadUsersGroups]
        .into_iter()
        .map(|name| Scope::new(name, Filter::User(owner.clone())))
        .collect()
}

/// What every token of a service holds beside its grants.
pub fn service_identity_scopes(service: &str) -> ScopeSet {
    let filter = Filter::Service(service.to_owned());
    ScopeSet::from_iter([Scope::new(ScopeName::ReadServicesName, filter)])
}
