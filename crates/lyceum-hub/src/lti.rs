//! What a learning platform says of who is in its courses. It stands in groups that nobody else fills
//! ([`lyceum_model::lti`]); course files name these as their people, and all else follows from that.

use lyceum_auth::lti::Launch;
use lyceum_model::lti::{By, Place};
use lyceum_model::name::UserName;
use lyceum_model::who::{CourseId, CourseRole};
use lyceum_store::Tx;

use crate::db::rosters;
use crate::db::users::User;
use crate::jobs::rosters as asked;
use crate::{Hub, db, groups};

/// She is in her course what the launch says, and nothing else any more.
pub(crate) async fn settle(
    hub: &Hub,
    tx: &mut Tx,
    user: &User,
    launch: &Launch,
) -> sqlx::Result<()> {
    // Before people: whoever settles a whole course has its row first, too.
    for place in &launch.places {
        note_roster(hub, tx, place, launch).await?;
    }
    for place in &launch.places {
        be(hub, tx, user, place, launch.role).await?;
    }
    Ok(())
}

/// Who else is in the course is asked for soon, if a file here names it and the platform tells.
async fn note_roster(hub: &Hub, tx: &mut Tx, place: &Place, launch: &Launch) -> sqlx::Result<()> {
    let message = &launch.message;
    let (Some(url), Some(context)) = (&message.roster, &message.context) else {
        return Ok(());
    };
    let sign_in = hub.sign_in();
    let platform = sign_in.find_platform(&place.platform);
    // Several courses there may have one label, or links that name one course; none of them tells who is in
    // the others.
    if place.by != By::Context {
        return Ok(());
    }
    let is_named = |role: &CourseRole| !hub.shelf().naming_group(&place.group(*role)).is_empty();
    if !platform.is_some_and(|platform| platform.tells_rosters())
        || !CourseRole::ALL.iter().any(is_named)
    {
        return Ok(());
    }
    let told = rosters::Told {
        place,
        context: &context.id,
        client: &launch.client,
        url: url.as_str(),
    };
    let pauses = (asked::EVERY, asked::REST);
    rosters::upsert(tx, &told, hub.now(), pauses).await
}

/// Somebody, and what she is in a course from now on.
pub(crate) struct Change {
    pub user_id: String,
    pub name: UserName,
    pub role: Option<CourseRole>,
}

/// The same for one person, whatever she was.
async fn be(
    hub: &Hub,
    tx: &mut Tx,
    user: &User,
    place: &Place,
    role: Option<CourseRole>,
) -> sqlx::Result<()> {
    let change = Change {
        user_id: user.id.clone(),
        name: user.name.clone(),
        role,
    };
    change_people(hub, tx, place, &[change]).await
}

/// Puts each of them into the one group of a course there in which she belongs, and takes her out of its
/// others. A course that no file names makes no groups.
pub(crate) async fn change_people(
    hub: &Hub,
    tx: &mut Tx,
    place: &Place,
    changes: &[Change],
) -> sqlx::Result<()> {
    let now = hub.now();
    let grants = &hub.settings().grants;
    for one in CourseRole::ALL {
        let group = place.group(one);
        let is_named = !hub.shelf().naming_group(&group).is_empty();
        if is_named && changes.iter().any(|change| change.role == Some(one)) {
            db::groups::ensure(tx, &group, now).await?;
        }
        let mut changed = Vec::new();
        for Change {
            user_id,
            name,
            role,
        } in changes
        {
            let is_in = *role == Some(one);
            let differs = match is_in {
                true if !is_named => false,
                true => db::groups::add_member(tx, &group, user_id).await?,
                false => db::groups::remove_member(tx, &group, user_id).await?,
            };
            if differs {
                tracing::info!(user = %name, group, is_in, "a learning platform says who is in its course");
                changed.push(name.clone());
            }
        }
        if !changed.is_empty() {
            groups::announce(tx, grants, &group, &changed, now).await?;
        }
    }
    Ok(())
}

/// The courses here whose people those of hers there are.
pub(crate) fn courses_of(hub: &Hub, launch: &Launch) -> Vec<CourseId> {
    let Some(role) = launch.role else {
        return Vec::new();
    };
    let places = launch.places.iter();
    let mut found: Vec<CourseId> = places
        .flat_map(|place| hub.shelf().naming_group(&place.group(role)))
        .collect();
    found.sort();
    found.dedup();
    found
}
