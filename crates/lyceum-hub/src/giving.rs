//! Nobody gives more than she holds.
//!
//! A group can have roles, so to put somebody into it gives her what they grant; and others may hold
//! scopes over all who are in it. A name can have roles, too: the configuration gives them to whoever
//! is called so. Whoever changes a group or names a person must not come by more than she holds in
//! any of these ways. For tokens the rule is in [`crate::api::tokens`].

use lyceum_model::name::UserName;
use lyceum_model::say;
use lyceum_model::scope::{Filter, Owner, Scope, ScopeName, ScopeSet, Target, admin_role};
use lyceum_store::Tx;
use lyceum_web::{ApiError, ApiResult, Caller};

use crate::Hub;
use crate::db::users::User;
use crate::grants::USER;
use crate::standing::Standing;

/// Whether this one may do everything, and so wins nothing by whatever she gives.
pub fn holds_all(caller: &Caller) -> bool {
    let beyond = caller
        .scopes
        .missing(&admin_role().expand(), &*caller.members);
    beyond.is_empty()
}

/// Refuses when the group's roles would give this person more than the caller holds herself, or
/// when the caller would win power over her. To read about her is no power: whoever keeps the list
/// of a course may see who is on it.
pub async fn may_add(
    hub: &Hub,
    tx: &mut Tx,
    caller: &Caller,
    group: &str,
    user: &User,
) -> ApiResult<()> {
    if holds_all(caller) {
        return Ok(());
    }
    let settings = hub.settings();
    let roles = settings.grants.roles_of_group(group);
    if !roles.is_empty() {
        let gained = settings.grants.scopes_of(roles);
        let gained = gained.resolve(&Owner::user(user.name.clone())).expand();
        let mut standing = Standing::of_user(hub, tx, user).await?;
        standing.know(tx, &gained).await?;
        standing.know(tx, &caller.scopes).await?;
        let members = standing.members();
        let new: ScopeSet = standing
            .held()
            .missing(&gained, members)
            .into_iter()
            .collect();
        let beyond = caller.scopes.missing(&new, members);
        if let Some(scope) = beyond.first() {
            return Err(ApiError::forbidden(say!(
                "group.gives_more",
                group = group,
                scope = scope.to_string()
            )));
        }
    }
    let of_group = |scope: &Scope| scope.filter == Filter::Group(group.to_owned());
    let is_power = |name: ScopeName| {
        let name = name.as_str();
        let reads = name.starts_with("read:") || name.starts_with("list:");
        !reads && !name.starts_with("groups") && !name.ends_with(":groups")
    };
    for scope in caller.scopes.iter().filter(of_group) {
        if is_power(scope.name) && !caller.may(scope.name, Target::User(&user.name)) {
            return Err(ApiError::forbidden(say!(
                "group.wins_power",
                group = group,
                scope = scope.to_string()
            )));
        }
    }
    Ok(())
}

/// Refuses to call a person by a name to which the configuration gives more than the caller holds,
/// by a role or by a group with roles.
pub fn may_name(hub: &Hub, caller: &Caller, name: &UserName) -> ApiResult<()> {
    if holds_all(caller) {
        return Ok(());
    }
    let settings = hub.settings();
    let grants = &settings.grants;
    let admin = settings.admission.admins.contains(name);
    let mut roles = grants.roles_of_user(name, admin);
    roles.remove(USER);
    let groups = grants.groups.iter();
    let groups = groups.filter(|(_, wish)| wish.users.contains(name));
    roles.extend(groups.flat_map(|(group, _)| grants.roles_of_group(group)));
    let owner = Owner::user(name.clone());
    let given = grants.scopes_of(roles).resolve(&owner).expand();
    match caller.scopes.missing(&given, &*caller.members).first() {
        None => Ok(()),
        Some(scope) => Err(ApiError::forbidden(say!(
            "person.name_gives_more",
            name = name.as_str(),
            scope = scope.to_string()
        ))),
    }
}
