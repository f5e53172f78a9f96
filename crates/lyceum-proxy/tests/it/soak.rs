//! Under random faults for a while, and then nothing may be left over.
//!
//! Servers freeze, reset, trickle, lie and babble; clients leave at any point. Each request says
//! itself what its server is to do, and its answer's body follows from its number, so that a client
//! knows what it may get: never a word of another's answer, never a part that looks like the whole.
//! Visitors come plain or by TLS, over HTTP/1 or HTTP/2, as chance will have it.
//! It goes in rounds; after each everything has left, and descriptors, tasks, connections and memory
//! must be what they were. What is random follows from the round's number alone.
//!
//! A few rounds by default; `LYCEUM_SOAK_SECONDS` says how long (`cargo xtask soak`: five minutes).
//!
//! `random` → `faults` (the servers) → `places` and `wire` (how the proxy is spoken to) → `visitor`
//! and `http2` (the clients) → `apart` (the proxy) → here, the rounds.

mod apart;
mod faults;
mod http2;
mod places;
mod random;
mod visitor;
mod wire;

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::runtime::Handle;

use self::{
    apart::Apart,
    faults::{FAULTS, serve_badly},
    places::Places,
    random::{Rng, body_of},
    visitor::{BY_TLS, Tally, Visitor},
};
use crate::{
    alone::{alone, descriptors, resident_kib, settles},
    support::{Server, soon, stands_still},
};

/// How long a round brings load.
const ROUND: Duration = Duration::from_secs(3);
const CLIENTS: u64 = 64;
/// What the last round may hold more than the first, in all threads of all three parties. How many
/// meet by TLS and over HTTP/2 at once is chance; after some ten rounds it grows no more.
const ROOM_KIB: usize = 24 << 10;

fn how_long() -> Duration {
    let seconds = std::env::var("LYCEUM_SOAK_SECONDS").unwrap_or_else(|_| "12".into());
    Duration::from_secs(seconds.parse().expect("LYCEUM_SOAK_SECONDS is a number"))
}

/// Load for a while; ends when every visitor has left.
async fn one_round(round: u64, places: &Places, tally: &Arc<Tally>) -> usize {
    let end = Instant::now() + ROUND;
    let visitors: Vec<_> = (0..CLIENTS)
        .map(|client| {
            let mut visitor = Visitor {
                places: places.clone(),
                rng: Rng(round << 32 | client),
                tally: tally.clone(),
            };
            tokio::spawn(async move {
                let mut visits = 0;
                while Instant::now() < end {
                    visitor.visit().await;
                    visits += 1;
                }
                visits
            })
        })
        .collect();
    let mut visits = 0;
    for visitor in visitors {
        visits += visitor.await.expect("nothing that may not be");
    }
    visits
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn nothing_is_left_over_after_random_faults() {
    if !alone("soak::nothing_is_left_over_after_random_faults") {
        return;
    }
    let server = Server::raw(|stream, _| serve_badly(stream)).await;
    let here = Handle::current().metrics();
    let (our_tasks, at_first) = (here.num_alive_tasks(), descriptors());
    let apart = Apart::start(server.address).await;
    let tally = Arc::new(Tally::default());
    let open = descriptors();
    // All that runs while nobody visits has begun once it has served.
    apart.proxy.get("/open/0/3", "").await;
    stands_still("the proxy's tasks", || apart.task_count()).await;
    let tasks = apart.task_count();

    let end = Instant::now() + how_long();
    let mut first = None;
    let mut visits = 0;
    let mut round = 0;
    while first.is_none() || Instant::now() < end {
        visits += one_round(round, &apart.places, &tally).await;
        for gauge in [
            "lyceum_proxy_connections",
            "lyceum_proxy_websockets",
            "lyceum_proxy_http2_connections",
            "lyceum_proxy_http2_streams",
        ] {
            settles(gauge, 0, || apart.gauge(gauge)).await;
        }
        settles("tasks of the proxy", tasks, || apart.task_count()).await;
        settles("tasks of the servers", our_tasks, || here.num_alive_tasks()).await;
        settles("descriptors", open, descriptors).await;
        // It still serves.
        let answer = apart.proxy.get("/open/0/3", "").await;
        assert_eq!((answer.status, answer.body), (200, body_of(3)));
        apart.proxy.proxy.take_activity();
        let resident = resident_kib();
        println!("round {round}: {visits} connections, {resident} KiB resident");
        let first = *first.get_or_insert(resident);
        assert!(
            resident < first + ROOM_KIB,
            "grew from {first} to {resident} KiB"
        );
        round += 1;
    }
    let seen = tally.0.lock().unwrap().clone();
    for ((fault, what), count) in &seen {
        println!("{fault:?}: {what}: {count}");
    }
    // A machine that is too busy may make anything late, but not all of it.
    for fault in FAULTS.into_iter().filter(|fault| fault.answers_well()) {
        assert!(seen.contains_key(&(fault, "200".into())), "{fault:?}");
    }
    assert!(seen.keys().any(|(_, what)| what == BY_TLS));

    let Apart {
        mut proxy,
        places: _,
        tasks,
        stop,
        thread,
    } = apart;
    soon("the proxy to end", proxy.begin_stop()).await.unwrap();
    settles("tasks of the ended proxy", 0, || {
        tasks.metrics().num_alive_tasks()
    })
    .await;
    let _ = stop.send(());
    drop(tasks);
    thread.join().unwrap();
    settles("descriptors at the end", at_first, descriptors).await;
}
