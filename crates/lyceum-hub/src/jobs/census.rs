//! Numbers that are nobody's request: how many people there are, and how promptly this process works.

use std::time::{Duration, Instant};

use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

use crate::metrics::{PERIODS, PeriodLabel};
use crate::{Hub, db};

/// How often it is looked how late a sleeper is woken.
const TURN: Duration = Duration::from_millis(50);
/// Whoever is woken so late is told of in the log.
const LATE: Duration = Duration::from_secs(1);

/// Counts people now and then: one pass over them, whatever is asked of the metrics meanwhile.
pub async fn people(hub: Hub, shutdown: CancellationToken) {
    let mut tick = tokio::time::interval(hub.timings().census_every);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let rounds = async {
        loop {
            tick.tick().await;
            if let Err(error) = count(&hub).await {
                tracing::warn!(
                    error = format!("{error:#}"),
                    "people could not be counted for the metrics"
                );
            }
        }
    };
    shutdown.run_until_cancelled(rounds).await;
}

async fn count(hub: &Hub) -> sqlx::Result<()> {
    let now = hub.now();
    let since = PERIODS.map(|(_, ago)| now.plus(-ago).0);
    let mut tx = hub.db().read().await?;
    let census = db::census::people(&mut tx, since).await?;
    drop(tx);
    let metrics = hub.metrics();
    metrics.people.set(census.all);
    for ((period, _), many) in PERIODS.into_iter().zip(census.active) {
        metrics
            .active
            .get_or_create(&PeriodLabel { period })
            .set(many);
    }
    Ok(())
}

/// Measures how late this task is woken: what is told as JupyterHub's interval of its event loop.
pub async fn turns(hub: Hub, shutdown: CancellationToken) {
    let rounds = async {
        let mut last = Instant::now();
        loop {
            tokio::time::sleep(TURN).await;
            let took = last.elapsed();
            last = Instant::now();
            // Less than a turn can't be told apart from none.
            let late = match took < 2 * TURN {
                true => TURN,
                false => took - TURN,
            };
            if late >= LATE {
                tracing::warn!(
                    seconds = late.as_secs_f64(),
                    "this process was held up; what it does for others waited too"
                );
            }
            hub.metrics().turn_seconds.observe(late.as_secs_f64());
        }
    };
    shutdown.run_until_cancelled(rounds).await;
}
