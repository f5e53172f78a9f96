//! Two workers against one. Client, servers and proxy share this machine, so the rate alone says
//! little on two cores; what two free cores would give follows from the CPU time a request costs
//! with one and with two workers, and from how evenly they share the work.

use super::{Bench, Outcome, Samples, sample};
use crate::http::request;
use crate::load;
use crate::peers::{PEERS, Running, path};
use crate::report::Goal;
use anyhow::Result;

/// Enough that the kernel spreads them about evenly.
const CONNECTIONS: usize = 512;
const DEPTH: usize = 8;

struct Worked {
    cpu: f64,
    busiest: f64,
    per_second: f64,
}

pub(super) async fn run(bench: &mut Bench<'_>) -> Result<()> {
    if !bench.begin("two workers") {
        return Ok(());
    }
    let without = |peer: &crate::peers::Peer| (!peer.has_workers()).then_some("one only");
    let mut one = bench.start_peers(bench.setup(1, 1), without).await;
    let mut two = bench.start_peers(bench.setup(1, 2), without).await;
    let requests = super::spread_requests(1);
    let request = request("GET", &path(0), "");
    let scale = &bench.scale;
    let mut measure = async |running: &mut Running| {
        let load = load::keep_alive(running.address, CONNECTIONS, &requests);
        let usual = sample(running, load, scale).await?;
        let load = load::pipelined(running.address, CONNECTIONS, DEPTH, &request);
        let light = sample(running, load, scale).await?;
        Ok(Worked {
            cpu: usual.cpu,
            busiest: usual.busiest,
            per_second: light.per_second,
        })
    };
    let (mut with_one, mut with_two) = (Samples::none(), Samples::none());
    for _ in 0..scale.rounds {
        with_one.append(one.measure(1, &mut measure).await);
        with_two.append(two.measure(1, &mut measure).await);
    }
    for (workers, samples) in [("1 worker", &with_one), ("2 workers", &with_two)] {
        bench.add(
            format!("{workers}, {CONNECTIONS} connections: CPU µs a request"),
            Goal::None,
            samples,
            |worked| worked.cpu,
        );
        bench.add(
            format!("{workers}: requests/s, {DEPTH} sent at once"),
            Goal::None,
            samples,
            |worked| worked.per_second,
        );
    }
    let goal = Goal::AtLeast(1.8);
    let gain = with_one.zip(with_two, |one, two| one.cpu / two.cpu / two.busiest);
    bench.add(
        "2 workers against 1, by CPU and evenness",
        goal,
        &gain,
        |gain| *gain,
    );
    Ok(())
}

impl<T> Samples<T> {
    fn none() -> Self {
        Self(
            PEERS
                .iter()
                .map(|_| Outcome::Measured(Vec::new()))
                .collect(),
        )
    }

    fn append(&mut self, more: Self) {
        for (outcome, more) in self.0.iter_mut().zip(more.0) {
            match (&mut *outcome, more) {
                (Outcome::Measured(samples), Outcome::Measured(more)) => samples.extend(more),
                (Outcome::Measured(_), more) => *outcome = more,
                (Outcome::Left(_) | Outcome::Failed(_), _) => {}
            }
        }
    }

    /// Round by round.
    fn zip<U, V>(self, other: Samples<U>, make: impl Fn(&T, &U) -> V) -> Samples<V> {
        let outcomes = self.0.into_iter().zip(other.0);
        Samples(
            outcomes
                .map(|pair| match pair {
                    (Outcome::Measured(ones), Outcome::Measured(others)) => {
                        let pairs = ones.iter().zip(&others);
                        Outcome::Measured(pairs.map(|(one, other)| make(one, other)).collect())
                    }
                    (Outcome::Left(why), _) | (_, Outcome::Left(why)) => Outcome::Left(why),
                    (Outcome::Failed(why), _) | (_, Outcome::Failed(why)) => Outcome::Failed(why),
                })
                .collect(),
        )
    }
}
