//! Forgets people who never came again, where the configuration asks for that. Their files stay.

use std::time::Duration;

use lyceum_model::name::UserName;

use super::{give_turn_back, take_turn};
use crate::audit::{self, Act, Doer, What};
use crate::cull::in_ms;
use crate::db::users::User;
use crate::users::NotNow;
use crate::{Hub, Settings, db, launching, users};

const TURN: &str = "forgetting";
const EVERY: Duration = Duration::from_secs(3600);
/// So many in one look: each is a deletion of its own.
const AT_ONCE: usize = 100;

pub(super) async fn forget(hub: &Hub) -> anyhow::Result<()> {
    let Some(after) = hub.settings().culling.forget_people else {
        return Ok(());
    };
    let now = hub.now();
    if !take_turn(hub, TURN, EVERY, now).await? {
        return Ok(());
    }
    let outcome = look(hub, now.plus(-in_ms(after)).0).await;
    // There may be more, and what failed is tried again.
    if !matches!(outcome, Ok(false)) {
        give_turn_back(hub, TURN, now).await?;
    }
    outcome.map(|_| ())
}

/// Whether there may be more.
async fn look(hub: &Hub, since: i64) -> anyhow::Result<bool> {
    let mut tx = hub.db().read().await?;
    let strangers = db::cull::strangers(&mut tx, since).await?;
    drop(tx);
    let settings = hub.settings();
    let meant = strangers
        .iter()
        .filter(|(_, name)| !is_named(&settings, name));
    let mut gone = 0;
    for (id, _) in meant.take(AT_ONCE) {
        gone += usize::from(forget_one(hub, id, since).await?);
    }
    Ok(gone == AT_ONCE)
}

async fn forget_one(hub: &Hub, id: &str, since: i64) -> anyhow::Result<bool> {
    let mut tx = hub.db().write().await?;
    let user = db::users::get(&mut tx, id).await?;
    let still = |user: &User| {
        !user.admin && user.last_activity_at.unwrap_or(0).max(user.created_at) < since
    };
    let Some(user) = user.filter(still) else {
        return Ok(false);
    };
    let keys = match users::remove(&mut tx, &user, hub.now()).await {
        Ok(keys) => keys,
        // She came this very moment.
        Err(NotNow::Busy(_) | NotNow::Gone | NotNow::Taken(_)) => return Ok(false),
        Err(NotNow::Database(error)) => return Err(error.into()),
    };
    let nobody = Doer::nobody();
    let act = Act::new(&nobody, What::PersonForgotten)
        .about(&user)
        .with("by", "configuration");
    audit::note(&mut tx, act, hub.now()).await?;
    tx.commit().await?;
    tracing::info!(user = %user.name, "person forgotten: she has not come for as long as `people.forget_after` says");
    crate::proxy::pass_on(hub).await;
    launching::forget(hub, &keys).await;
    Ok(true)
}

/// Whom the configuration names is not forgotten.
fn is_named(settings: &Settings, name: &str) -> bool {
    let Ok(name) = UserName::parse(name) else {
        return true;
    };
    let (lists, grants) = (&settings.admission, &settings.grants);
    let listed = lists.allow.as_ref();
    lists.admins.contains(&name)
        || listed.is_some_and(|allow| allow.people.contains(&name))
        || grants.roles.values().any(|role| role.users.contains(&name))
        || grants
            .groups
            .values()
            .any(|group| group.users.contains(&name))
}
