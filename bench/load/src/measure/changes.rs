//! How quickly routes can be added and deleted while requests pass, and how many of these go
//! wrong meanwhile.

use super::{Bench, to_float};
use crate::load::{self, OnError};
use crate::peers::Running;
use crate::report::{Goal, show};
use anyhow::Result;

/// There before, and what the requests are for.
const ROUTES: usize = 100;
const CONNECTIONS: u32 = 16;
const PER_SECOND: u32 = 400;

struct Changed {
    added_per_second: f64,
    deleted_per_second: f64,
    errors: u64,
}

pub(super) async fn run(bench: &mut Bench<'_>) -> Result<()> {
    let name = "route changes";
    if !bench.begin(name) {
        return Ok(());
    }
    let setup = bench.setup(ROUTES, 1);
    let changed = bench.scale.changed;
    let mut group = bench.start_peers(setup, |_| None).await;
    let requests = super::spread_requests(ROUTES);
    let samples = group
        .measure(bench.scale.change_rounds, async |running: &mut Running| {
            let to = running.address;
            let mut load = load::paced(to, CONNECTIONS, PER_SECOND, &requests, OnError::Count);
            load.go_on(bench.scale.warm_up).await?;
            let changes = running.change(changed, setup).await?;
            load.go_on(bench.scale.warm_up).await?;
            let errors = load.errors();
            load.stop().await?;
            Ok(Changed {
                added_per_second: changes.added_per_second,
                deleted_per_second: changes.deleted_per_second,
                errors,
            })
        })
        .await;
    let goal = Goal::AtLeast(20_000.0);
    bench.add(
        "routes added/s under traffic (nginx: reloads/s)",
        goal,
        &samples,
        |changed| changed.added_per_second,
    );
    bench.add(
        "routes deleted/s under traffic (nginx: reloads/s)",
        goal,
        &samples,
        |changed| changed.deleted_per_second,
    );
    let what = format!(
        "traffic errors during {} changes (nginx: 11 reloads)",
        show(to_float(changed * 2))
    );
    bench.add_worst(what, Goal::AtMost(0.0), &samples, |changed| {
        super::count(changed.errors)
    });
    Ok(())
}
