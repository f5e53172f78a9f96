//! What goes back to the hubs: which routes were used, and how far this proxy has come.
//!
//! Uses are kept, one entry a route, until a hub has taken them. How far we have come is told to
//! every hub, so that none sends people to a server before the route to it is here.

use std::{collections::HashMap, time::Duration};

use tokio::sync::watch;

use super::{
    hubs::{Hubs, Trouble},
    wire::{ACTIVITY_PATH, MAX_REPORTED, Report, RouteUse},
};
use crate::{Proxy, moment::Moment, target::Target};

/// Uses kept while no hub takes them; the oldest go first.
const KEPT: usize = 100_000;
/// A hub believes that we are there for somewhat longer than this.
const AGAIN_AFTER: Duration = Duration::from_secs(5);
const AFTER_TROUBLE: Duration = Duration::from_millis(500);

/// What a hub answers; there is nothing in it to read yet.
#[derive(serde::Deserialize)]
struct Taken {}

/// Uses that no hub has taken yet.
#[derive(Debug, Default)]
pub(crate) struct Uses {
    last: HashMap<String, Moment>,
    failing: bool,
}

impl Uses {
    /// Takes the proxy's news and hands over what can be handed over.
    pub(crate) async fn send(
        &mut self,
        proxy: &Proxy,
        hubs: &Hubs,
        name: &str,
        number: Option<i64>,
    ) {
        for activity in proxy.take_activity() {
            if activity.moved {
                self.last.insert(activity.route_id, activity.last);
            }
        }
        self.bound();
        while !self.last.is_empty() {
            let some = self.last.iter().take(MAX_REPORTED);
            let activity: Vec<RouteUse> = some
                .map(|(route, last)| RouteUse::new(route, *last))
                .collect();
            let report = Report {
                proxy: name.to_owned(),
                number,
                activity,
            };
            match hubs.post::<Taken>(ACTIVITY_PATH, &report).await {
                Ok(Taken {}) => {
                    self.failing = false;
                    for told in report.activity {
                        self.last.remove(&told.route);
                    }
                }
                Err(trouble) => {
                    if !self.failing {
                        tracing::warn!(%trouble, waiting = self.last.len(), "no hub takes news of activity; they are kept");
                    }
                    self.failing = true;
                    return;
                }
            }
        }
    }

    fn bound(&mut self) {
        let surplus = self.last.len().saturating_sub(KEPT);
        if surplus > 0 {
            let mut times: Vec<Moment> = self.last.values().copied().collect();
            let (_, oldest_kept, _) = times.select_nth_unstable(surplus);
            let oldest_kept = *oldest_kept;
            self.last.retain(|_, at| *at >= oldest_kept);
        }
    }
}

/// Tells all hubs that this proxy goes, so that nobody waits for it.
pub(crate) async fn take_leave(hubs: &Hubs, name: &str) {
    let report = Report {
        proxy: name.to_owned(),
        number: None,
        activity: Vec::new(),
    };
    let told = hubs.fallback().targets().map(async |hub| {
        let told: Result<Taken, Trouble> = hubs.post_to(hub, ACTIVITY_PATH, &report).await;
        drop(told);
    });
    futures_util::future::join_all(told).await;
}

/// Tells one hub how far we have come, whenever that changes and now and then besides.
pub(crate) async fn tell_progress(
    hub: &Target,
    hubs: &Hubs,
    name: &str,
    mut number: watch::Receiver<Option<i64>>,
) {
    let mut told_some = false;
    loop {
        let reached = *number.borrow_and_update();
        let mut pause = AGAIN_AFTER;
        // That we follow nobody is told once, and need not arrive.
        if reached.is_some() || told_some {
            let report = Report {
                proxy: name.to_owned(),
                number: reached,
                activity: Vec::new(),
            };
            let told: Result<Taken, Trouble> = hubs.post_to(hub, ACTIVITY_PATH, &report).await;
            told_some = reached.is_some();
            if let Err(trouble) = told {
                tracing::debug!(%hub, %trouble, "a hub could not be told how far we are");
                pause = AFTER_TROUBLE;
                tokio::time::sleep(AFTER_TROUBLE).await;
            }
        }
        tokio::select! {
            changed = number.changed() => if changed.is_err() { return },
            () = tokio::time::sleep(pause) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_is_bounded_and_the_newest_stays() {
        let mut uses = Uses::default();
        for at in 0..(KEPT as u64 + 10) {
            uses.last.insert(format!("r{at}"), Moment(at));
        }
        uses.bound();
        assert_eq!(uses.last.len(), KEPT);
        assert!(!uses.last.contains_key("r9") && uses.last.contains_key("r10"));
    }
}
