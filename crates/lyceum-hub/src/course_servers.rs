//! Servers of courses: each is owned by an account of its course, and open to whom the course says.
//!
//! To queue, keeper, watch and culling it is a server like any other. Its owner is a row of `users`
//! called `course:ID`, which nobody can be: it has no password, no sessions and no place in lists of
//! people. Who opens it holds scopes for it, worked out at each request from what the courses say
//! ([`crate::standing`]); that these have changed is told by [`crate::jobs::course_servers`].

use lyceum_model::name::{ServerName, UserName};
use lyceum_model::say;
use lyceum_model::scope::{Filter, Scope, ScopeName, ScopeSet, Target};
use lyceum_model::who::{CourseId, Who};
use lyceum_store::{Tx, migrate};
use lyceum_web::{ApiError, ApiResult, Caller};

use crate::db::servers::Server;
use crate::db::users::User;
use crate::launch::CourseServer;
use crate::{Hub, db, services, users};

/// The step since which programs can read the names of these accounts.
const COURSE_ACCOUNTS: i64 = 16;
/// What whoever opens a course's server holds for it: to work in it, to start and to stop it.
const GIVEN: [ScopeName; 2] = [ScopeName::AccessServers, ScopeName::Servers];

impl CourseServer {
    pub fn is_open_to(&self, user: &UserName, groups: &[String]) -> bool {
        is_open_to(&self.open_to, user, groups)
    }
}

pub(crate) fn is_open_to(open_to: &[Who], user: &UserName, groups: &[String]) -> bool {
    open_to
        .iter()
        .any(|who| who.is_among(user.as_str(), groups))
}

/// The scopes that somebody holds by what she is in courses; not expanded.
pub fn scopes_of(hub: &Hub, user: &UserName, groups: &[String]) -> ScopeSet {
    // The account of a course opens nothing but its own server, as every owner does.
    if user.is_of_course() {
        return ScopeSet::new();
    }
    let servers = hub.shelf().servers();
    let mine = servers.there.iter();
    let mine = mine.filter(|server| server.is_open_to(user, groups));
    mine.flat_map(|server| {
        let filter = Filter::Server {
            user: UserName::of_course(&server.id),
            server: ServerName::default(),
        };
        GIVEN.map(|name| Scope::new(name, filter.clone()))
    })
    .collect()
}

/// Whether the server of this owner is a course's and open to this person by her role there.
pub fn opens(hub: &Hub, owner: &UserName, user: &UserName, groups: &[String]) -> bool {
    let server = owner.course().and_then(|course| find(hub, &course));
    server.is_some_and(|server| server.is_open_to(user, groups))
}

/// The server of a course, if it has one.
pub fn find(hub: &Hub, course: &CourseId) -> Option<CourseServer> {
    let servers = hub.shelf().servers();
    servers.there.iter().find(|one| one.id == *course).cloned()
}

/// Whose server a form or a page names: a person's, or a course's, whose account is made when it is
/// needed for the first time. What the caller may not start is not there.
pub async fn owner_to_start(hub: &Hub, caller: &Caller, name: &str) -> ApiResult<User> {
    let Some(course) = course_named(name) else {
        let mut tx = hub.db().read().await?;
        return crate::api::person(&mut tx, name).await;
    };
    let account = UserName::of_course(&course);
    let target = Target::Server(&account, &ServerName::default());
    if !caller.may(ScopeName::StartServers, target) {
        return Err(ApiError::not_found());
    }
    if find(hub, &course).is_none() {
        return Err(ApiError::not_found());
    }
    let mut tx = hub.db().write().await?;
    // Its place is the service's then.
    if services::find(&hub.settings().grants, &mut tx, course.as_str())
        .await?
        .is_some()
    {
        let name = course.as_str();
        return Err(ApiError::conflict(say!(
            "course.service_of_that_name",
            name = name
        )));
    }
    let owner = users::ensure(&mut tx, &account, hub.now()).await?;
    migrate::needed_from_now_on(&mut tx, COURSE_ACCOUNTS).await?;
    tx.commit().await?;
    Ok(owner)
}

/// The course whose account is called so.
pub fn course_named(name: &str) -> Option<CourseId> {
    UserName::parse_kept(name).ok()?.course()
}

/// The owner of a server that is there: a person, or the account of a course.
pub async fn owner(tx: &mut Tx, name: &str) -> ApiResult<User> {
    let name = UserName::parse_kept(name).map_err(|_| ApiError::not_found())?;
    db::users::find(tx, &name)
        .await?
        .ok_or_else(ApiError::not_found)
}

/// The row of a course's server, if it ever ran.
pub(crate) async fn row_of(tx: &mut Tx, course: &str) -> sqlx::Result<Option<Server>> {
    let Some(account) = account_of(course) else {
        return Ok(None);
    };
    let Some(owner) = db::users::find(tx, &account).await? else {
        return Ok(None);
    };
    db::servers::find(tx, &owner.id, &ServerName::default()).await
}

/// What its server is called on pages.
pub fn title(hub: &Hub, owner: &UserName) -> Option<String> {
    let server = owner.course().and_then(|course| find(hub, &course));
    server.map(|server| server.title)
}

/// The account of a course whose id somebody wrote down.
pub(crate) fn account_of(course: &str) -> Option<UserName> {
    CourseId::parse(course).map(|course| UserName::of_course(&course))
}
