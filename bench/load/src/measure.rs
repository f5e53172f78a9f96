//! The measures, in the order in which they run: `measure/`. Here is what they share: how long
//! and how often, peers that run side by side, one sample of load, the median.
//!
//! In each round every peer is measured once, in an order that moves on with the round, so that
//! whatever the machine does meanwhile meets all of them.

mod changes;
mod memory;
mod throughput;
mod workers;

use crate::backend::Backend;
use crate::load::Load;
use crate::peers::{PEERS, Peer, Programs, Running, Setup};
use crate::report::{self, Cell, Goal, Row};
use crate::{Options, peers};
use anyhow::{Context, Result, bail};
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// One sample takes about a second.
const SAMPLE_LIMIT: Duration = Duration::from_secs(120);
/// Operations in a sample, and how many times the usual span it may take to get them.
const ENOUGH: u64 = 100;
const LONGER: usize = 10;
/// Lets the last peer's connections end before the next one is measured.
const BREATH: Duration = Duration::from_millis(50);
/// Servers; the last is where everything goes that has no route.
const SERVERS: usize = 4;

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Extent {
    Full,
    /// A look while working on something.
    Quick,
}

/// How long and how often.
struct Scale {
    rounds: usize,
    warm_up: Duration,
    window: Duration,
    paced_window: Duration,
    /// Before memory is looked at.
    settle: Duration,
    routes: &'static [usize],
    held_by_all: usize,
    held_by_ours: Option<usize>,
    /// Added, then deleted, in each round.
    changed: usize,
    change_rounds: usize,
}

impl Scale {
    fn of(extent: Extent) -> Self {
        match extent {
            Extent::Full => Self {
                rounds: 5,
                warm_up: Duration::from_millis(200),
                window: Duration::from_millis(800),
                paced_window: Duration::from_millis(1200),
                settle: Duration::from_secs(1),
                routes: &[1, 1_000, 10_000, 100_000],
                held_by_all: 2_000,
                held_by_ours: Some(20_000),
                changed: 5_000,
                change_rounds: 3,
            },
            Extent::Quick => Self {
                rounds: 3,
                warm_up: Duration::from_millis(100),
                window: Duration::from_millis(250),
                paced_window: Duration::from_millis(400),
                settle: Duration::from_millis(300),
                routes: &[1, 1_000, 10_000],
                held_by_all: 1_000,
                held_by_ours: None,
                changed: 1_000,
                change_rounds: 1,
            },
        }
    }
}

/// A folder that goes with it.
pub(crate) struct Scratch(pub(crate) PathBuf);

impl Drop for Scratch {
    fn drop(&mut self) {
        std::fs::remove_dir_all(&self.0).ok();
    }
}

/// What all measures use.
struct Bench<'a> {
    programs: &'a Programs,
    only: Option<&'a str>,
    backend: Backend,
    scratch: Scratch,
    scale: Scale,
    descriptors: u64,
    began: Instant,
    rows: Vec<Row>,
    failures: Vec<String>,
}

pub(crate) async fn run(options: &Options, descriptors: u64) -> Result<()> {
    let folder = std::env::temp_dir().join(format!("lyceum-bench-{}", std::process::id()));
    std::fs::create_dir(&folder).with_context(|| format!("making {}", folder.display()))?;
    let mut bench = Bench {
        programs: &options.programs,
        only: options.only.as_deref(),
        backend: Backend::start(SERVERS)?,
        scratch: Scratch(folder),
        scale: Scale::of(options.extent),
        descriptors,
        began: Instant::now(),
        rows: Vec::new(),
        failures: Vec::new(),
    };
    throughput::run(&mut bench).await?;
    memory::run(&mut bench).await?;
    changes::run(&mut bench).await?;
    workers::run(&mut bench).await?;
    if bench.rows.is_empty() {
        bail!("nothing to measure has that word in its name");
    }
    print!("{}", report::render(&bench.rows));
    eprintln!("\nmeasured in {:.0} s", bench.began.elapsed().as_secs_f64());
    if !bench.failures.is_empty() {
        bail!("could not be measured:\n  {}", bench.failures.join("\n  "));
    }
    Ok(())
}

impl Bench<'_> {
    /// Says what comes next; false if it is not wanted.
    fn begin(&self, name: &str) -> bool {
        if self.only.is_some_and(|word| !name.contains(word)) {
            return false;
        }
        eprintln!("\n{:>4.0} s  {name}", self.began.elapsed().as_secs_f64());
        true
    }

    fn setup(&self, routes: usize, workers: usize) -> Setup<'_> {
        let addresses = self.backend.addresses();
        Setup {
            routes,
            workers,
            targets: &addresses[..1],
            fallback: addresses[SERVERS - 1],
            folder: &self.scratch.0,
        }
    }

    async fn start_peers(
        &self,
        setup: Setup<'_>,
        which: impl Fn(&Peer) -> Option<&'static str>,
    ) -> Group {
        let mut places = Vec::new();
        for peer in PEERS {
            places.push(match which(peer) {
                Some(why) => Place::Left(why),
                None => match peer.start(self.programs, setup).await {
                    Ok(running) => Place::Running(Box::new(running)),
                    Err(error) => {
                        eprintln!("         {} failed: {error:#}", peer.name);
                        Place::Failed(format!("{error:#}"))
                    }
                },
            });
        }
        Group { places }
    }

    /// Adds a row made of the medians of a number of each sample.
    fn add<T>(
        &mut self,
        what: impl Into<String>,
        goal: Goal,
        samples: &Samples<T>,
        number: impl Fn(&T) -> f64,
    ) {
        self.add_row(what.into(), goal, samples, number, median);
    }

    /// The same with the highest instead, for what must never happen.
    fn add_worst<T>(
        &mut self,
        what: impl Into<String>,
        goal: Goal,
        samples: &Samples<T>,
        number: impl Fn(&T) -> f64,
    ) {
        let highest = |numbers: &mut [f64]| {
            numbers.sort_unstable_by(f64::total_cmp);
            numbers[numbers.len() - 1]
        };
        self.add_row(what.into(), goal, samples, number, highest);
    }

    fn add_row<T>(
        &mut self,
        what: String,
        goal: Goal,
        samples: &Samples<T>,
        number: impl Fn(&T) -> f64,
        choose: impl Fn(&mut [f64]) -> f64,
    ) {
        eprintln!("         - {what}");
        let mut cells = Vec::new();
        for (peer, outcome) in PEERS.iter().zip(&samples.0) {
            cells.push(match outcome {
                Outcome::Measured(samples) => {
                    let mut numbers: Vec<f64> = samples.iter().map(&number).collect();
                    let chosen = choose(&mut numbers);
                    eprintln!(
                        "             {:<24}{:>10}   ({} .. {})",
                        peer.name,
                        report::show(chosen),
                        report::show(numbers[0]),
                        report::show(numbers[numbers.len() - 1])
                    );
                    Cell::Value(chosen)
                }
                Outcome::Left(why) => Cell::Left(why),
                Outcome::Failed(why) => {
                    eprintln!("             {:<24}    failed", peer.name);
                    let failure = format!("{}: {why}", peer.name);
                    if !self.failures.contains(&failure) {
                        self.failures.push(failure);
                    }
                    Cell::Failed
                }
            });
        }
        self.rows.push(Row { what, cells, goal });
    }
}

/// All peers, side by side.
struct Group {
    places: Vec<Place>,
}

enum Place {
    Running(Box<Running>),
    Left(&'static str),
    Failed(String),
}

/// What was measured, in the order of [`PEERS`].
struct Samples<T>(Vec<Outcome<T>>);

enum Outcome<T> {
    /// One for each round.
    Measured(Vec<T>),
    Left(&'static str),
    Failed(String),
}

impl Group {
    /// Measures each peer in each round and once more before, which does not count: programs
    /// that compile while they run get warm in it.
    async fn measure_warm<T>(
        &mut self,
        rounds: usize,
        sample: impl AsyncFnMut(&mut Running) -> Result<T>,
    ) -> Samples<T> {
        let mut samples = self.measure(rounds + 1, sample).await;
        for outcome in &mut samples.0 {
            if let Outcome::Measured(samples) = outcome {
                samples.remove(0);
            }
        }
        samples
    }

    /// Measures each peer in each round; one that fails is not asked again.
    async fn measure<T>(
        &mut self,
        rounds: usize,
        mut sample: impl AsyncFnMut(&mut Running) -> Result<T>,
    ) -> Samples<T> {
        let mut outcomes: Vec<Outcome<T>> = self
            .places
            .iter()
            .map(|place| match place {
                Place::Running(_) => Outcome::Measured(Vec::new()),
                Place::Left(why) => Outcome::Left(why),
                Place::Failed(why) => Outcome::Failed(why.clone()),
            })
            .collect();
        for round in 0..rounds {
            for step in 0..PEERS.len() {
                let at = (round + step) % PEERS.len();
                let (Place::Running(running), Outcome::Measured(samples)) =
                    (&mut self.places[at], &mut outcomes[at])
                else {
                    continue;
                };
                let sampled = tokio::time::timeout(SAMPLE_LIMIT, sample(running))
                    .await
                    .context("it took too long")
                    .and_then(|sampled| sampled);
                match sampled {
                    Ok(sampled) => samples.push(sampled),
                    Err(error) => {
                        let ended = running.process.check_running();
                        let why = ended.map_or_else(
                            |ended| format!("{error:#}; {ended:#}"),
                            |()| format!("{error:#}"),
                        );
                        eprintln!("         {} failed: {why}", PEERS[at].name);
                        outcomes[at] = Outcome::Failed(why);
                    }
                }
                tokio::time::sleep(BREATH).await;
            }
        }
        Samples(outcomes)
    }
}

/// What a load cost a peer.
struct Sample {
    /// CPU time for each operation, µs.
    cpu: f64,
    per_second: f64,
    /// Share of user space in it.
    user: f64,
    /// What the busiest thread did of what the two busiest did.
    busiest: f64,
}

/// Lets a load run for a while and looks at what it costs in the middle of it.
async fn sample(running: &Running, mut load: Load, scale: &Scale) -> Result<Sample> {
    load.go_on(scale.warm_up).await?;
    let (usage, done, began) = (running.process.usage(), load.done(), Instant::now());
    // A slow peer gets more time, so that each sample stands on something.
    for _ in 0..LONGER {
        load.go_on(scale.window).await?;
        if load.done() - done >= ENOUGH {
            break;
        }
    }
    let used = running.process.usage().since(&usage);
    let (done, took) = (load.done() - done, began.elapsed());
    load.stop().await?;
    if done == 0 {
        bail!("nothing was answered in {} ms", took.as_millis());
    }
    Ok(Sample {
        cpu: used.microseconds / count(done),
        per_second: count(done) / took.as_secs_f64(),
        user: used.user,
        busiest: used.busiest,
    })
}

/// Sorts; the middle one.
pub(crate) fn median(numbers: &mut [f64]) -> f64 {
    numbers.sort_unstable_by(f64::total_cmp);
    numbers[numbers.len() / 2]
}

#[expect(clippy::cast_precision_loss, reason = "counts are far below 2^52")]
pub(crate) fn count(number: u64) -> f64 {
    number as f64
}

#[expect(clippy::cast_precision_loss, reason = "counts are far below 2^52")]
pub(crate) fn to_float(number: usize) -> f64 {
    number as f64
}

/// `10,000 routes`.
fn routes_in_words(routes: usize) -> String {
    let number = report::show(to_float(routes).max(100.0));
    match routes {
        1 => "1 route".to_owned(),
        _ => format!("{number} routes"),
    }
}

/// A path on some route for each of at most 4,096 requests, spread over the table.
fn spread_requests(routes: usize) -> crate::load::Requests {
    let many = routes.min(4_096);
    let requests = (0..many)
        .map(|index| crate::http::request("GET", &peers::path(index * routes / many), ""))
        .collect();
    std::sync::Arc::new(requests)
}
