//! Nobody gives more than she holds.
//!
//! A group can have roles, so to put somebody into it gives her what they grant; and others may hold
//! scopes over all who are in it. A name can have roles, too: the configuration gives them to whoever
//! is called so. Course files name groups and people likewise. Whoever changes a group or names a
//! person must not come by more than she holds in any of these ways. For tokens the rule is in
//! [`crate::api::tokens`].

use lyceum_model::name::UserName;
use lyceum_model::say;
use lyceum_model::scope::{Filter, Owner, Scope, ScopeName, ScopeSet, Target, admin_role};
use lyceum_model::who::{CourseId, CourseRole};
use lyceum_store::Tx;
use lyceum_web::{ApiError, ApiResult, Caller, Who};

use crate::db::users::User;
use crate::grants::USER;
use crate::standing::Standing;
use crate::{Hub, db, services, sittings};

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
    let before = db::groups::names_of(tx, &user.id).await?;
    let mut after = before.clone();
    after.push(group.to_owned());
    let had = hub.shelf().roles_of(&user.name, &before);
    let gets = hub.shelf().roles_of(&user.name, &after);
    if let Some((course, role)) = beyond_in_courses(hub, tx, caller, &had, gets).await? {
        return Err(ApiError::forbidden(say!(
            "group.gives_course",
            group = group,
            course = course.as_str(),
            role = role.as_str()
        )));
    }
    let of_group = |scope: &Scope| scope.filter == Filter::Group(group.to_owned());
    match wins_power(hub, tx, caller, &user.name, of_group).await? {
        None => Ok(()),
        Some(scope) => Err(ApiError::forbidden(say!(
            "group.wins_power",
            group = group,
            scope = scope.to_string()
        ))),
    }
}

type CourseRoles = [(CourseId, Vec<CourseRole>)];

/// The first role in a course that somebody would gain and the caller does not hold: this one or a
/// more powerful one there. Services are nothing in courses. To be a student or an observer is no power:
/// whoever keeps a group, such as a service that enrols people, says who takes the course.
async fn beyond_in_courses(
    hub: &Hub,
    tx: &mut Tx,
    caller: &Caller,
    had: &CourseRoles,
    gets: Vec<(CourseId, Vec<CourseRole>)>,
) -> ApiResult<Option<(CourseId, CourseRole)>> {
    let gets = gets.into_iter();
    let each = gets.flat_map(|(id, roles)| roles.into_iter().map(move |role| (id.clone(), role)));
    let gained: Vec<(CourseId, CourseRole)> = each
        .filter(|(_, role)| role.is_staff())
        .filter(|(id, role)| {
            let mut had = had.iter();
            !had.any(|(course, roles)| course == id && roles.contains(role))
        })
        .collect();
    if gained.is_empty() {
        return Ok(None);
    }
    let own = match &caller.who {
        Who::Person(person) => {
            let user = db::users::get(tx, &person.id).await?;
            let user = user.ok_or_else(ApiError::not_found)?;
            let groups = db::groups::names_of(tx, &user.id).await?;
            hub.shelf().roles_of(&user.name, &groups)
        }
        Who::Service(_) => Vec::new(),
    };
    let holds = |id: &CourseId, role: CourseRole| {
        let mut own = own.iter();
        own.any(|(course, roles)| course == id && roles.iter().any(|held| held.covers(role)))
    };
    let mut gained = gained.into_iter();
    Ok(gained.find(|(id, role)| !holds(id, *role)))
}

/// The first power over this person that the caller would win if these scopes came to reach her. All
/// that stands behind the caller counts, not only the token at hand: others can be had for the rest.
async fn wins_power(
    hub: &Hub,
    tx: &mut Tx,
    caller: &Caller,
    person: &UserName,
    would_reach: impl Fn(&Scope) -> bool,
) -> ApiResult<Option<Scope>> {
    let standing = standing_of(hub, tx, caller).await?;
    let is_power = |name: ScopeName| {
        let name = name.as_str();
        let reads = name.starts_with("read:") || name.starts_with("list:");
        !reads && !name.starts_with("groups") && !name.ends_with(":groups")
    };
    let (held, members) = (standing.held(), standing.members());
    Ok(held.iter().find(|scope| {
        let target = Target::User(person);
        would_reach(scope)
            && is_power(scope.name)
            && !held.allows(scope.name, target, members).is_yes()
    }))
}

/// Of whoever the caller's token or session belongs to, as it is now.
async fn standing_of(hub: &Hub, tx: &mut Tx, caller: &Caller) -> ApiResult<Standing> {
    Ok(match &caller.who {
        Who::Person(person) => {
            let user = db::users::get(tx, &person.id).await?;
            let user = hub.let_in(tx, user).await?;
            let user = user.ok_or_else(ApiError::not_found)?;
            Standing::of_user(hub, tx, &user).await?
        }
        Who::Service(name) => {
            let known = services::find(&hub.settings().grants, tx, name).await?;
            let known = known.ok_or_else(ApiError::not_found)?;
            Standing::of_service(hub, tx, &known).await?
        }
    })
}

/// Whether the caller's scope reaches this person still, when a while has passed.
pub async fn still_reaches(
    hub: &Hub,
    tx: &mut Tx,
    caller: &Caller,
    scope: ScopeName,
    user: &User,
) -> ApiResult<()> {
    let mut standing = standing_of(hub, tx, caller).await?;
    standing.know(tx, &caller.scopes).await?;
    let target = Target::User(&user.name);
    // What she came with, and what she holds at this moment: it may have been taken meanwhile.
    let holds = |set: &ScopeSet| set.allows(scope, target, standing.members()).is_yes();
    match holds(&caller.scopes) && holds(standing.held()) {
        true => Ok(()),
        false => Err(ApiError::not_found()),
    }
}

/// Refuses to give somebody a name by which the caller would win power over her, or give her more
/// than she holds.
pub async fn may_rename(
    hub: &Hub,
    tx: &mut Tx,
    caller: &Caller,
    user: &User,
    to: &UserName,
) -> ApiResult<()> {
    may_name(hub, tx, caller, to).await?;
    if holds_all(caller) {
        return Ok(());
    }
    let of_name = |scope: &Scope| match &scope.filter {
        Filter::User(name) | Filter::Server { user: name, .. } => name == to,
        _ => false,
    };
    match wins_power(hub, tx, caller, &user.name, of_name).await? {
        None => Ok(()),
        Some(scope) => Err(ApiError::forbidden(say!(
            "person.name_wins_power",
            name = to.as_str(),
            scope = scope.to_string()
        ))),
    }
}

/// Refuses to call a person by a name to which the configuration or a course file gives more than the
/// caller holds, by itself or by a group; or by that of an account which an exam has made.
pub async fn may_name(hub: &Hub, tx: &mut Tx, caller: &Caller, name: &UserName) -> ApiResult<()> {
    if holds_all(caller) {
        return Ok(());
    }
    if sittings::keeps(tx, name, hub.now()).await? {
        return Err(ApiError::forbidden(say!(
            "person.name_of_exam",
            name = name.as_str()
        )));
    }
    let settings = hub.settings();
    let grants = &settings.grants;
    let admin = settings.admission.admins.contains(name);
    let mut roles = grants.roles_of_user(name, admin);
    roles.remove(USER);
    let groups: Vec<String> = grants.groups_naming(name).collect();
    roles.extend(groups.iter().flat_map(|group| grants.roles_of_group(group)));
    let owner = Owner::user(name.clone());
    let given = grants.scopes_of(roles).resolve(&owner).expand();
    if let Some(scope) = caller.scopes.missing(&given, &*caller.members).first() {
        return Err(ApiError::forbidden(say!(
            "person.name_gives_more",
            name = name.as_str(),
            scope = scope.to_string()
        )));
    }
    let gets = hub.shelf().roles_of(name, &groups);
    match beyond_in_courses(hub, tx, caller, &[], gets).await? {
        None => Ok(()),
        Some((course, role)) => Err(ApiError::forbidden(say!(
            "person.name_gives_course",
            name = name.as_str(),
            course = course.as_str(),
            role = role.as_str()
        ))),
    }
}
