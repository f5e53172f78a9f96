//! Keeps true who is in the courses of learning platforms: asks those that tell it, after a launch and every
//! hour. One replica asks for a course at a time. A platform that is away changes nothing; whoever left a
//! course there is no member of it here any more, and all her work stays.

use std::collections::BTreeSet;

use anyhow::Context;
use lyceum_auth::Lti;
use lyceum_auth::lti::Roster;
use lyceum_model::clock::Millis;
use lyceum_model::name::UserName;
use lyceum_model::who::CourseRole;
use lyceum_store::Tx;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

use crate::db::rosters::{self, Row};
use crate::lti::Change;
use crate::{Hub, db, lti};

/// So often a course is asked for.
pub(crate) const EVERY: i64 = 3_600_000;
/// Launches don't make it asked for more often than this.
pub(crate) const REST: i64 = 300_000;
/// After failures more and more seldom, at last so.
const SELDOM: i64 = 24 * 3_600_000;
/// Longer than asking may take.
const LEASE: i64 = 180_000;
/// Courses in one round, one after the other.
const AT_ONCE: i64 = 200;

pub async fn run(hub: Hub, shutdown: CancellationToken) {
    let mut tick = tokio::time::interval(hub.timings().rosters_every);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let rounds = async {
        loop {
            tick.tick().await;
            if hub.sign_in().platforms().is_empty() {
                continue;
            }
            if let Err(error) = round(&hub).await {
                tracing::warn!(
                    error = format!("{error:#}"),
                    "it could not be looked which learning platforms are to be asked"
                );
            }
        }
    };
    shutdown.run_until_cancelled(rounds).await;
}

async fn round(hub: &Hub) -> anyhow::Result<()> {
    let mut tx = hub.db().read().await?;
    let due = rosters::due(&mut tx, hub.now(), AT_ONCE).await?;
    drop(tx);
    for row in due {
        // The others are asked all the same.
        if let Err(error) = one(hub, &row).await {
            tracing::warn!(
                platform = row.platform,
                context = row.context,
                error = format!("{error:#}"),
                "who is in a course of a learning platform could not be brought up to date"
            );
        }
    }
    Ok(())
}

async fn one(hub: &Hub, row: &Row) -> anyhow::Result<()> {
    let asked = hub.now();
    let mut tx = hub.db().write().await?;
    let until = asked.plus(LEASE);
    let is_ours = rosters::claim(&mut tx, row, hub.replica(), asked, until).await?;
    tx.commit().await?;
    if !is_ours {
        return Ok(());
    }
    let sign_in = hub.sign_in();
    let platform = sign_in.find_platform(&row.platform);
    // One that is no longer configured may come back.
    let told = match platform {
        Some(platform) if platform.tells_rosters() => ask(platform, row).await,
        _ => Err(anyhow::anyhow!("no such platform can be asked")),
    };
    let mut tx = hub.db().write().await?;
    let now = hub.now();
    let failures = match &told {
        Ok(_) => 0,
        Err(_) => row.failures + 1,
    };
    let pause = EVERY << failures.clamp(0, 5);
    let due = now.plus(pause.min(SELDOM));
    // Meanwhile another replica may have been at it.
    let times = (asked, due);
    if !rosters::finish(&mut tx, row, hub.replica(), failures, times).await? {
        tx.rollback().await?;
        return Ok(());
    }
    match (&told, platform) {
        (Ok(roster), Some(platform)) => {
            settle(hub, &mut tx, platform, row, (roster, asked)).await?;
        }
        (Err(error), _) => tracing::warn!(
            platform = row.platform,
            context = row.context,
            error = format!("{error:#}"),
            "a learning platform does not tell who is in a course; everybody stays what she was in it"
        ),
        _ => {}
    }
    tx.commit().await?;
    crate::proxy::pass_on(hub).await;
    Ok(())
}

async fn ask(platform: &Lti, row: &Row) -> anyhow::Result<Roster> {
    let url = row.url.parse().context("its address can't be read")?;
    platform.roster(&row.client, &row.context, &url).await
}

/// Everybody who is known here is what the roster says, and who is not in it is nothing. Only those are
/// written for whom that is news: most hours it is for nobody. Whoever came after it was asked for is what her
/// launch said: the platform may have written down earlier who is in its course.
async fn settle(
    hub: &Hub,
    tx: &mut Tx,
    platform: &Lti,
    row: &Row,
    (roster, asked): (&Roster, Millis),
) -> anyhow::Result<()> {
    let Some(place) = row.place() else {
        return Ok(());
    };
    let mut present = Vec::new();
    for role in CourseRole::ALL {
        let group = place.group(role);
        let is_named = !hub.shelf().naming_group(&group).is_empty();
        present.push((role, is_named, db::groups::members(tx, &group).await?));
    }
    let is_news = |name: &UserName, role: Option<CourseRole>| {
        present.iter().any(|(one, is_named, members)| {
            let belongs = role == Some(*one);
            // Into a group that no file names nobody is put.
            belongs != members.contains(name) && (*is_named || !belongs)
        })
    };
    let (mut seen, mut changes) = (BTreeSet::new(), Vec::new());
    let marks: Vec<&str> = roster.keys().map(String::as_str).collect();
    // Who never came is put into her course when she does.
    for known in db::identities::find_all(tx, platform.issuer(), &marks).await? {
        let role = roster.get(&known.mark).copied().flatten();
        if is_news(&known.name, role) {
            changes.push(Change {
                user_id: known.user_id,
                name: known.name.clone(),
                role,
            });
        }
        seen.insert(known.name);
    }
    let members = present.iter().flat_map(|(.., members)| members);
    let gone: BTreeSet<&UserName> = members.filter(|name| !seen.contains(*name)).collect();
    for name in gone {
        if let Some(user) = db::users::find(tx, name).await? {
            changes.push(Change {
                user_id: user.id,
                name: user.name,
                role: None,
            });
        }
    }
    if !changes.is_empty() {
        let came = rosters::came_since(tx, platform.issuer(), asked).await?;
        changes.retain(|change| !came.contains(&change.user_id));
    }
    lti::change_people(hub, tx, &place, &changes).await?;
    Ok(())
}
