//! CPU time for each operation: small answers with many routes, new connections, large bodies,
//! WebSocket messages, and a light load with its latency.

use super::{Bench, count, median, routes_in_words, sample};
use crate::http::{MIB, request};
use crate::load::{self, OnError, Requests};
use crate::peers::{Running, path, prefix};
use crate::report::Goal;
use anyhow::Result;
use std::net::SocketAddr;

const CONNECTIONS: usize = 64;
const NEW_AT_ONCE: usize = 32;
const BODIES_AT_ONCE: usize = 8;
const WEBSOCKETS: usize = 200;
const PER_SECOND: u32 = 400;

pub(super) async fn run(bench: &mut Bench<'_>) -> Result<()> {
    for routes in bench.scale.routes {
        small_answers(bench, *routes).await;
    }
    new_connections(bench).await;
    bodies(bench).await;
    websockets(bench).await;
    light_load(bench).await
}

async fn small_answers(bench: &mut Bench<'_>, routes: usize) {
    let name = format!("small GET, {}", routes_in_words(routes));
    if !bench.begin(&name) {
        return;
    }
    let mut group = bench.start_peers(bench.setup(routes, 1), |_| None).await;
    let requests = super::spread_requests(routes);
    let scale = &bench.scale;
    let samples = group
        .measure_warm(scale.rounds, async |running: &mut Running| {
            let load = load::keep_alive(running.address, CONNECTIONS, &requests);
            sample(running, load, scale).await
        })
        .await;
    let goal = Goal::TimesNginx(1.0);
    bench.add(
        format!("{name}: CPU µs a request"),
        goal,
        &samples,
        |sample| sample.cpu,
    );
    if routes == 1 {
        bench.add(
            "of these in user space, µs",
            Goal::None,
            &samples,
            |sample| sample.cpu * sample.user,
        );
    }
    if routes == 1_000 {
        bench.add(
            format!("{name}: requests/s"),
            Goal::None,
            &samples,
            |sample| sample.per_second,
        );
    }
}

async fn new_connections(bench: &mut Bench<'_>) {
    let name = "new connection each";
    if !bench.begin(name) {
        return;
    }
    let mut group = bench.start_peers(bench.setup(1, 1), |_| None).await;
    let request = request("GET", &path(0), "Connection: close\r\n");
    let scale = &bench.scale;
    let samples = group
        .measure_warm(scale.rounds, async |running: &mut Running| {
            let load = load::connect_each(running.address, NEW_AT_ONCE, &request);
            sample(running, load, scale).await
        })
        .await;
    let what = format!("{name}: CPU µs a request");
    bench.add(what, Goal::TimesNginx(1.1), &samples, |sample| sample.cpu);
}

async fn bodies(bench: &mut Bench<'_>) {
    let path = format!("{}/files/mib", prefix(0));
    let mut upload = request("POST", &path, &format!("Content-Length: {MIB}\r\n"));
    upload.resize(upload.len() + MIB, b'x');
    for (name, request) in [
        ("1 MiB body from the server", request("GET", &path, "")),
        ("1 MiB body to the server", upload),
    ] {
        if !bench.begin(name) {
            continue;
        }
        let mut group = bench.start_peers(bench.setup(1, 1), |_| None).await;
        let requests: Requests = std::sync::Arc::new(vec![request]);
        let scale = &bench.scale;
        let samples = group
            .measure_warm(scale.rounds, async |running: &mut Running| {
                let load = load::keep_alive(running.address, BODIES_AT_ONCE, &requests);
                sample(running, load, scale).await
            })
            .await;
        let what = format!("{name}: CPU µs");
        bench.add(what, Goal::TimesNginx(0.6), &samples, |sample| sample.cpu);
    }
}

async fn websockets(bench: &mut Bench<'_>) {
    let name = "WebSocket echo";
    if !bench.begin(name) {
        return;
    }
    let mut group = bench.start_peers(bench.setup(1, 1), |_| None).await;
    let path = format!("{}/ws", prefix(0));
    let scale = &bench.scale;
    let samples = group
        .measure_warm(scale.rounds, async |running: &mut Running| {
            let load = load::websocket_echo(running.address, WEBSOCKETS, &path);
            sample(running, load, scale).await
        })
        .await;
    let what = format!("{name}, {WEBSOCKETS} × 128 B: CPU µs a message and its echo");
    bench.add(what, Goal::TimesNginx(1.0), &samples, |sample| sample.cpu);
}

/// At a pace that leaves everything idle: what the proxy adds to the time of an answer.
async fn light_load(bench: &mut Bench<'_>) -> Result<()> {
    let name = "400 requests/s";
    if !bench.begin(name) {
        return Ok(());
    }
    let mut group = bench.start_peers(bench.setup(1, 1), |_| None).await;
    let requests = super::spread_requests(1);
    let scale = &bench.scale;
    let backend = bench.backend.addresses()[0];
    let samples = group
        .measure(scale.rounds, async |running: &mut Running| {
            // Straight to the server just before, so that both meet the same machine.
            let straight = paced(backend, None, &requests, scale).await?;
            let through = paced(running.address, Some(running), &requests, scale).await?;
            Ok(Light {
                added: through.0 - straight.0,
                cpu: through.1,
            })
        })
        .await;
    bench.add(
        format!("{name}: added p50, µs"),
        Goal::TimesNginx(1.0),
        &samples,
        |light| light.added,
    );
    bench.add(
        format!("{name}: CPU µs a request"),
        Goal::None,
        &samples,
        |light| light.cpu,
    );
    Ok(())
}

struct Light {
    added: f64,
    cpu: f64,
}

/// The median time of an answer and the CPU time for it, both in µs.
async fn paced(
    to: SocketAddr,
    running: Option<&Running>,
    requests: &Requests,
    scale: &super::Scale,
) -> Result<(f64, f64)> {
    let mut load = load::paced(to, 8, PER_SECOND, requests, OnError::End);
    load.go_on(scale.warm_up).await?;
    load.take_latencies();
    let (usage, done) = (running.map(|it| it.process.usage()), load.done());
    load.go_on(scale.paced_window).await?;
    let cpu = match (running, usage) {
        (Some(running), Some(before)) => {
            running.process.usage().since(&before).microseconds / count(load.done() - done)
        }
        _ => 0.0,
    };
    let mut latencies: Vec<f64> = load
        .take_latencies()
        .into_iter()
        .map(|nanoseconds| count(nanoseconds) / 1000.0)
        .collect();
    load.stop().await?;
    anyhow::ensure!(!latencies.is_empty(), "nothing was answered");
    Ok((median(&mut latencies), cpu))
}
