//! What idle WebSockets hold in memory, and what is left of it after they closed.

use super::Bench;
use crate::load;
use crate::peers::{OURS, PEERS, Running, Setup, prefix};
use crate::report::{Goal, show};
use anyhow::{Result, ensure};
use std::time::{Duration, Instant};

/// Opened and closed before the first look, so that what is made once is there.
const BEFORE: usize = 100;
const CLOSING: Duration = Duration::from_secs(30);
/// Our housekeeping comes every five seconds.
const GIVING_BACK: Duration = Duration::from_secs(8);
/// Client and server ends of each, with room for the rest.
const DESCRIPTORS_EACH: u64 = 2;

/// In KiB.
struct Held {
    each: f64,
    cold: f64,
    before: f64,
    after: f64,
}

pub(super) async fn run(bench: &mut Bench<'_>) -> Result<()> {
    by_all(bench).await;
    by_ours(bench).await
}

async fn by_all(bench: &mut Bench<'_>) {
    let websockets = bench.scale.held_by_all;
    let name = format!(
        "memory, {} idle WebSockets",
        show(super::to_float(websockets))
    );
    if !bench.begin(&name) {
        return;
    }
    let mut group = bench.start_peers(bench.setup(1, 1), |_| None).await;
    let samples = group
        .measure(1, async |running: &mut Running| {
            hold(bench, running, websockets, 1, Duration::ZERO).await
        })
        .await;
    let what = format!("{name}: KiB each");
    bench.add(what, Goal::AtMost(8.0), &samples, |held| held.each);
}

async fn by_ours(bench: &mut Bench<'_>) -> Result<()> {
    let Some(wanted) = bench.scale.held_by_ours else {
        return Ok(());
    };
    let possible = usize::try_from(bench.descriptors / DESCRIPTORS_EACH)?.saturating_sub(500);
    let websockets = wanted.min(possible);
    let name = format!(
        "memory, {} idle WebSockets",
        show(super::to_float(websockets))
    );
    if !bench.begin(&name) {
        return Ok(());
    }
    if websockets < wanted {
        eprintln!("         only so many: the limit of open descriptors cannot be raised further");
    }
    // Several targets, because one has only some 28,000 ports towards it.
    let targets = &bench.backend.addresses()[..3];
    let setup = Setup {
        targets,
        ..bench.setup(3, 1)
    };
    let mut group = bench
        .start_peers(setup, |peer| (peer.name != PEERS[OURS].name).then_some("-"))
        .await;
    let samples = group
        .measure(1, async |running: &mut Running| {
            hold(bench, running, websockets, 3, GIVING_BACK).await
        })
        .await;
    let goal = Goal::AtMost(8.0);
    bench.add(format!("{name}: KiB each"), goal, &samples, |held| {
        held.each
    });
    bench.add(
        "resident before they opened, MiB",
        Goal::None,
        &samples,
        |held| held.before / 1024.0,
    );
    let seconds = GIVING_BACK.as_secs();
    bench.add(
        format!("resident {seconds} s after they closed ÷ before they opened"),
        Goal::AtMost(1.2),
        &samples,
        |held| held.after / held.before,
    );
    bench.add(
        format!("resident {seconds} s after they closed ÷ before the first of all"),
        Goal::None,
        &samples,
        |held| held.after / held.cold,
    );
    Ok(())
}

async fn hold(
    bench: &Bench<'_>,
    running: &Running,
    websockets: usize,
    routes: usize,
    giving_back: Duration,
) -> Result<Held> {
    let paths: Vec<String> = (0..routes)
        .map(|route| format!("{}/ws", prefix(route)))
        .collect();
    let cold = running.process.resident()?;
    let before = load::hold_websockets(running.address, BEFORE, &paths).await?;
    drop(before);
    wait_until_closed(bench).await?;
    let before = running.process.resident()?;
    let held = load::hold_websockets(running.address, websockets, &paths).await?;
    tokio::time::sleep(bench.scale.settle).await;
    let open = bench.backend.websockets();
    ensure!(
        open == websockets,
        "only {open} of {websockets} stayed open"
    );
    let full = running.process.resident()?;
    drop(held);
    wait_until_closed(bench).await?;
    tokio::time::sleep(giving_back).await;
    let after = running.process.resident()?;
    Ok(Held {
        each: (full - before) / super::to_float(websockets),
        cold,
        before,
        after,
    })
}

/// Until the servers behind have none left, and a moment more.
async fn wait_until_closed(bench: &Bench<'_>) -> Result<()> {
    let began = Instant::now();
    while bench.backend.websockets() > 0 {
        ensure!(
            began.elapsed() < CLOSING,
            "{} WebSockets are still open {} s after their clients left",
            bench.backend.websockets(),
            CLOSING.as_secs()
        );
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    tokio::time::sleep(bench.scale.settle).await;
    Ok(())
}
