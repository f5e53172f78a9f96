//! Who may put whom into a group, and who has to be told.
//!
//! A group can have roles, so to put somebody into it gives her what they grant; and others may hold
//! scopes over all who are in it. Whoever changes a group must not come by more than she holds in
//! either way.

use lyceum_model::clock::Millis;
use lyceum_model::name::UserName;
use lyceum_model::say;
use lyceum_model::scope::{Filter, Owner, Scope, ScopeName, ScopeSet, Target, admin_role};
use lyceum_store::Tx;
use lyceum_web::{ApiError, ApiResult, Caller};

use crate::db::users::User;
use crate::grants::Grants;
use crate::jobs::revocations;
use crate::standing::Standing;
use crate::{Hub, db};

/// With more to be told than this, everybody is.
const MOST_TOLD: usize = 200;

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
    // Whoever may do everything wins nothing.
    if caller
        .scopes
        .missing(&admin_role().expand(), &*caller.members)
        .is_empty()
    {
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

/// Says, in the transaction that changes it, that these came into or left a group: to them, and to
/// those whose scopes are narrowed down to it.
pub async fn announce(
    tx: &mut Tx,
    grants: &Grants,
    group: &str,
    changed: &[UserName],
    now: Millis,
) -> sqlx::Result<()> {
    let filter = Filter::Group(group.to_owned());
    let mut told: std::collections::BTreeSet<String> = changed
        .iter()
        .map(|name| name.as_str().to_owned())
        .collect();
    let over = grants
        .roles
        .values()
        .filter(|role| role.scopes.iter().any(|scope| scope.filter == filter));
    for role in over {
        told.extend(role.users.iter().map(|name| name.as_str().to_owned()));
        told.extend(role.services.iter().map(|name| service_subject(name)));
        for group in &role.groups {
            let members = db::groups::members(tx, group).await?;
            told.extend(members.iter().map(|name| name.as_str().to_owned()));
        }
    }
    told.extend(db::tokens::owners_with_scope_over(tx, group).await?);
    if told.len() > MOST_TOLD {
        return revocations::announce_all(tx, now).await;
    }
    for subject in told {
        revocations::announce(tx, &subject, now).await?;
    }
    Ok(())
}

/// What a service is called where decisions of the proxy have a subject; no person is called so.
pub fn service_subject(name: &str) -> String {
    format!("service/{name}")
}
