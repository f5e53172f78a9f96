//! What somebody may choose from at this moment: the configuration's profiles, and who she is.

use lyceum_model::who::{CourseRole, Standing};
use serde_json::Value;

use crate::db::users::User;
use crate::launch::CourseStart;
use crate::launching::WishError;
use crate::profiles::Profile;
use crate::profiles::choose::{COURSE, Chosen, PROFILE, choose, word, wrong};
use crate::{Hub, db};
use axum::http::StatusCode;
use lyceum_model::say;

/// The groups, roles and courses of a person, by which lists name her.
pub async fn standing(hub: &Hub, owner: &User) -> anyhow::Result<Standing> {
    let mut tx = hub.db().glance().await?;
    let groups = db::groups::names_of(&mut tx, &owner.id).await?;
    drop(tx);
    let courses = hub.shelf().roles_of(&owner.name, &groups);
    let settings = hub.settings();
    Ok(Standing {
        roles: settings
            .grants
            .all_roles_of(&owner.name, owner.admin, &groups),
        groups,
        courses,
    })
}

/// The profiles that she may use; none also where there are no profiles at all.
pub async fn profiles_of(hub: &Hub, owner: &User) -> anyhow::Result<Vec<Profile>> {
    let settings = hub.settings();
    match settings.profiles.is_empty() || owner.name.is_of_course() {
        true => Ok(Vec::new()),
        false => Ok(settings
            .profiles
            .of(&owner.name, &standing(hub, owner).await?)),
    }
}

/// The course that options name, if she may start a server for it.
pub(crate) async fn course(
    hub: &Hub,
    owner: &User,
    groups: &[String],
    options: &Value,
) -> Result<Option<CourseStart>, WishError> {
    let Some(options) = options.as_object() else {
        return Ok(None);
    };
    let named = word(options, COURSE).map_err(WishError::BadChoice)?;
    let Some(course) = named else {
        return Ok(None);
    };
    let profile = word(options, PROFILE).map_err(WishError::BadChoice)?;
    if profile.is_some() && !hub.settings().profiles.is_empty() {
        return Err(WishError::BadChoice(wrong(
            PROFILE,
            say!("course.or_profile"),
        )));
    }
    match hub.shelf().starts(&owner.name, groups, course).await? {
        Some(start) => Ok(Some(start)),
        None => Err(WishError::BadChoice(wrong(COURSE, say!("course.unknown")))),
    }
}

/// What her options say; without profiles they are for the planner to judge.
pub(crate) async fn chosen(
    hub: &Hub,
    owner: &User,
    standing: &Standing,
    options: &Value,
) -> Result<Chosen, WishError> {
    // Of the server that a course has its file says all.
    if let Some(course) = owner.name.course() {
        return Ok(Chosen {
            course: Some((course, CourseRole::Teacher)),
            ..Chosen::default()
        });
    }
    let settings = hub.settings();
    if let Some(course) = course(hub, owner, &standing.groups, options).await? {
        return Ok(Chosen {
            course: Some((course.id, course.role)),
            ..Chosen::default()
        });
    }
    if settings.profiles.is_empty() {
        return Ok(Chosen::default());
    }
    let mine = settings.profiles.of(&owner.name, standing);
    if mine.is_empty() {
        let status = StatusCode::FORBIDDEN;
        return Err(WishError::Refused(say!("profile.none"), status));
    }
    choose(&mine, options).map_err(WishError::BadChoice)
}
