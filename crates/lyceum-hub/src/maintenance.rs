//! A maintenance that somebody switched on, by the command line or by a page: kept in the database, so
//! that all replicas follow it. The configuration can name one too ([`crate::notices`]).

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwapOption;
use lyceum_model::clock::Millis;
use lyceum_model::say;
use lyceum_store::db::Engine;
use lyceum_store::{Stamp, Tx, events, settings};
use lyceum_web::{ApiError, ApiResult, Caller};
use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;

use crate::Hub;
use crate::audit::{self, Act, Doer, What};
use crate::notices::{Maintenance, Words};
use crate::select::People;

const NAME: &str = "maintenance";
/// Wakes all replicas.
const TOPIC: &str = "maintenance";
/// A line above the pages, not a letter.
pub const MESSAGE_MAX: usize = 1000;

/// What was switched on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Switched {
    pub since: Millis,
    /// When it ends by itself.
    pub until: Option<Millis>,
    /// What people are told besides.
    pub message: Option<String>,
    /// Who did it.
    pub by: String,
}

impl Switched {
    /// Text as it is shown: one line, nothing when there is none.
    pub fn message(text: &str) -> Option<String> {
        let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
        (!text.is_empty()).then_some(text)
    }

    pub fn is_over(&self, now: Millis) -> bool {
        self.until.is_some_and(|until| until.0 <= now.0)
    }

    /// As one of the configuration.
    pub(crate) fn to_maintenance(&self) -> Maintenance {
        let words = self.message.iter();
        Maintenance {
            from: self.since,
            until: self.until,
            words: Words(words.map(|text| ("en".to_owned(), text.clone())).collect()),
        }
    }
}

/// What is switched on, over or not.
pub async fn find(tx: &mut Tx) -> sqlx::Result<Option<Switched>> {
    let text = settings::get(tx, NAME).await?;
    // Empty: it was switched off. What a newer program wrote is not understood, and not in force.
    Ok(text.and_then(|text| serde_json::from_str(&text).ok()))
}

pub async fn switch_on(tx: &mut Tx, order: &Switched) -> sqlx::Result<()> {
    let text = serde_json::to_string(order).expect("text and numbers are JSON");
    settings::set(tx, NAME, &text, order.since).await?;
    events::announce(tx, TOPIC).await
}

/// Says whether there was one.
pub async fn switch_off(tx: &mut Tx, now: Millis) -> sqlx::Result<bool> {
    let was = find(tx).await?.is_some_and(|order| !order.is_over(now));
    settings::set(tx, NAME, "", now).await?;
    events::announce(tx, TOPIC).await?;
    Ok(was)
}

/// Writes down who began it, or ended it.
pub async fn note_switched(
    tx: &mut Tx,
    doer: &Doer,
    begun: Option<&Switched>,
    now: Millis,
) -> sqlx::Result<()> {
    let mut act = match begun {
        Some(_) => Act::new(doer, What::MaintenanceBegun),
        None => Act::new(doer, What::MaintenanceEnded),
    };
    if doer.name().is_empty() {
        act = act.with("by", "command_line");
    }
    if let Some(until) = begun.and_then(|order| order.until) {
        act = act.with("until", until.to_iso());
    }
    if let Some(message) = begun.and_then(|order| order.message.as_ref()) {
        act = act.with("message", message);
    }
    audit::note(tx, act, now).await
}

/// What this process knows to be switched on.
pub(crate) fn in_force(hub: &Hub) -> Option<Arc<Switched>> {
    let now = hub.now();
    hub.switched()
        .load_full()
        .filter(|order| !order.is_over(now))
}

/// Which starts wait for the end of a maintenance: those that were asked for before it began, but for
/// administrators' own and those of whom it lets in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Closed {
    pub since: Millis,
    pub let_in: People,
}

/// What a maintenance, if there is one, does to starts that wait.
pub(crate) async fn closed(hub: &Hub, tx: &mut Tx) -> sqlx::Result<Option<Closed>> {
    let now = hub.now();
    let switched = find(tx).await?.filter(|order| !order.is_over(now));
    let notices = &hub.settings().notices;
    let since = switched.map(|order| order.since);
    let since = since.max(notices.maintenance_since(now));
    Ok(since.and_then(|since| notices.closed(since)))
}

/// Somebody who may begins one, for all hubs; whoever looks afterwards sees it.
pub(crate) async fn begin(
    hub: &Hub,
    caller: &Caller,
    message: &str,
    until: Option<Millis>,
) -> ApiResult<()> {
    let message = Switched::message(message);
    let length = message.as_ref().map_or(0, |text| text.chars().count());
    if length > MESSAGE_MAX {
        return Err(ApiError::bad_request(say!(
            "maintenance.too_long",
            most = MESSAGE_MAX
        )));
    }
    let order = Switched {
        since: hub.now(),
        until,
        message,
        by: caller.who.to_string(),
    };
    let mut tx = hub.db().write().await?;
    switch_on(&mut tx, &order).await?;
    let doer = Doer::of(caller);
    note_switched(&mut tx, &doer, Some(&order), hub.now()).await?;
    tx.commit().await?;
    tracing::info!(by = %caller.who, until = until.map(Millis::to_iso), "maintenance switched on");
    Ok(look(hub).await?)
}

/// Somebody who may ends it.
pub(crate) async fn end(hub: &Hub, caller: &Caller) -> ApiResult<()> {
    let mut tx = hub.db().write().await?;
    if switch_off(&mut tx, hub.now()).await? {
        note_switched(&mut tx, &Doer::of(caller), None, hub.now()).await?;
    }
    tx.commit().await?;
    tracing::info!(by = %caller.who, "maintenance switched off");
    Ok(look(hub).await?)
}

/// Background work: keeps true what this process knows of it, which is what pages say; who logs in or
/// starts a server is held up by the row itself. Of another process on the same SQLite nobody is woken;
/// there it is looked whether anything was committed.
pub async fn follow(hub: Hub, shutdown: CancellationToken) {
    let pause = match hub.db().engine() {
        Engine::Sqlite => Duration::from_millis(500),
        Engine::Postgres => Duration::from_secs(10),
    };
    let mut wake = hub.db().wake_ups_of(TOPIC);
    let rounds = async {
        let mut seen: Option<Stamp> = None;
        loop {
            let stamp = hub.db().stamp();
            if stamp.is_none() || stamp != seen {
                match look(&hub).await {
                    Ok(()) => seen = stamp,
                    Err(error) => tracing::warn!(
                        error = format!("{error:#}"),
                        "it could not be looked whether there is a maintenance"
                    ),
                }
            }
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = wake.woken() => seen = None,
            }
        }
    };
    shutdown.run_until_cancelled(rounds).await;
}

/// What the row says now, whatever this process knows.
pub(crate) async fn ordered(hub: &Hub) -> sqlx::Result<Option<Switched>> {
    let mut tx = hub.db().glance().await?;
    find(&mut tx).await
}

/// Reads the row, puts in force what it says, and tells it. Of those who do so at a time nobody puts
/// back what another has read later.
async fn look(hub: &Hub) -> sqlx::Result<()> {
    loop {
        let before = hub.switched().load_full();
        let now = ordered(hub).await?;
        if before.as_deref() == now.as_ref() {
            return Ok(());
        }
        let now = now.map(Arc::new);
        if replace(hub.switched(), before.as_ref(), now.clone()) {
            tell(now.as_deref());
            return Ok(());
        }
    }
}

/// Puts it in force unless it has changed since `before` was; says whether it did.
fn replace(
    in_force: &ArcSwapOption<Switched>,
    before: Option<&Arc<Switched>>,
    now: Option<Arc<Switched>>,
) -> bool {
    let expected = before.cloned();
    let was = in_force.compare_and_swap(&expected, now);
    was.as_ref().map(Arc::as_ptr) == before.map(Arc::as_ptr)
}

fn tell(now: Option<&Switched>) {
    match now {
        Some(order) => tracing::warn!(
            by = order.by,
            until = order.until.map(|until| until.to_iso()),
            message = order.message,
            "maintenance is switched on"
        ),
        None => tracing::warn!("maintenance is switched off"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_read_earlier_is_not_put_back() {
        let order = |by: &str| {
            Some(Arc::new(Switched {
                since: Millis(0),
                until: None,
                message: None,
                by: by.to_owned(),
            }))
        };
        let in_force: ArcSwapOption<Switched> = ArcSwapOption::empty();
        let by = || in_force.load_full().map(|order| order.by.clone());
        // One has read that there is none, or another one, while somebody begins it.
        let begun = order("ada");
        assert!(replace(&in_force, None, begun.clone()));
        assert!(!replace(&in_force, None, order("ben")));
        assert_eq!(by().as_deref(), Some("ada"));
        assert!(replace(&in_force, begun.as_ref(), order("tess")));
        assert!(!replace(&in_force, begun.as_ref(), None));
        assert_eq!(by().as_deref(), Some("tess"));
    }
}
