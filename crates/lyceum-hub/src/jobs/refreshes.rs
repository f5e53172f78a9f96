//! Asks providers about those who came by them and are here. What is asked and what comes of it is in
//! [`crate::refreshing`]; each way in has rounds of its own, so that a slow provider holds up no other.

use std::collections::BTreeSet;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use tokio_util::sync::CancellationToken;

use crate::{Hub, refreshing};

/// What providers were asked may go on for so long at the end: longer than nearly all of them take.
const LAST_ANSWERS: Duration = Duration::from_secs(12);

pub async fn run(hub: Hub, shutdown: CancellationToken) {
    let timings = hub.timings();
    let mut tick = tokio::time::interval(timings.refresh_every);
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut busy: BTreeSet<String> = BTreeSet::new();
    let mut rounds = FuturesUnordered::new();
    loop {
        tokio::select! {
            () = shutdown.cancelled() => break,
            Some(method) = rounds.next() => {
                busy.remove(&method);
            }
            _ = tick.tick() => {
                for method in asked(&hub) {
                    if busy.insert(method.clone()) {
                        rounds.push(round(&hub, &shutdown, method));
                    }
                }
            }
        }
    }
    // Nobody goes on with these: what they hold of the database is needed below.
    drop(rounds);
    // What was asked is written down: a provider may have given other tokens.
    hub.refreshes().finish(LAST_ANSWERS).await;
}

async fn round(hub: &Hub, shutdown: &CancellationToken, method: String) -> String {
    refreshing::round(hub, &method, || shutdown.is_cancelled()).await;
    method
}

/// The ways in that are asked.
fn asked(hub: &Hub) -> Vec<String> {
    let sign_in = hub.sign_in();
    let all = sign_in.elsewhere().iter();
    let asked = all.filter(|method| method.renewing().is_some());
    asked.map(|method| method.id().to_owned()).collect()
}
