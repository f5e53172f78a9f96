//! Two hubs on one PostgreSQL, asked for more servers than may run: what a start costs both together,
//! and whether the limit holds at each moment. JupyterHub has nothing to set beside it.

use super::peers::free_address;
use super::servers::{START, count_ready, exchange_at, per, start_all, start_hub, until_healthy};
use super::stub::{Stubs, count_living};
use super::{Goal, Programs, Row};
use crate::measure::to_float;
use crate::process::Process;
use anyhow::{Context, Result, ensure};
use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use tokio::task::JoinSet;

const TOKEN: &str = "0123456789abcdef0123456789abcdef";
/// Of each hub.
const AT_ONCE: usize = 25;
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// How many of each.
struct Numbers {
    wishes: usize,
    places: usize,
}

pub(super) async fn measure(
    programs: &Programs,
    postgres: &str,
    folder: &Path,
    quick: bool,
) -> Result<Vec<Row>> {
    let numbers = match quick {
        true => Numbers {
            wishes: 200,
            places: 50,
        },
        false => Numbers {
            wishes: 1000,
            places: 500,
        },
    };
    std::fs::create_dir(folder)?;
    let _stubs = Stubs(folder);
    let pair = Pair::prepare(programs, postgres, folder, numbers.places).await?;
    let (wishes, places) = (numbers.wishes, numbers.places);
    make_people(pair.addresses[0], wishes).await?;

    eprintln!("{wishes} starts at two hubs, with places for {places}");
    let watch = Watch::over(folder);
    let (before, begun) = (pair.cpu()?, Instant::now());
    let half = wishes / 2;
    let [first, second] = pair.addresses;
    let taken = async {
        pair.until_taken(places).await?;
        anyhow::Ok((begun.elapsed(), pair.cpu()?.saturating_sub(before)))
    };
    // Whoever waits for a place is answered after some seconds.
    let ((), (), (taken, used)) = tokio::try_join!(
        start_all(first, TOKEN, 1..=half),
        start_all(second, TOKEN, half + 1..=wishes),
        taken,
    )?;
    pair.everybody_has_a_turn(wishes).await?;
    let (over, used_over) = (begun.elapsed(), pair.cpu()?.saturating_sub(before));
    let most = watch.end();
    let well = pair.count_started("success").await?;
    let failed = pair.count_started("failure").await? + wishes.abs_diff(well);

    let row = |what: String, lyceum: f64, goal: Goal| Row {
        what: format!(
            "two hubs of {wishes} people, {places} places for all of them at once: {what}"
        ),
        jupyterhub: None,
        lyceum,
        goal,
    };
    Ok(vec![
        row(
            "CPU ms of both a start, until all places are taken".into(),
            per(used, places),
            Goal::AtMost(5.0),
        ),
        row(
            "s until all places are taken".into(),
            taken.as_secs_f64(),
            Goal::None,
        ),
        row(
            "CPU ms of both a start and its stop, until everybody had a turn".into(),
            per(used_over, wishes),
            Goal::None,
        ),
        row(
            "s until everybody had a turn".into(),
            over.as_secs_f64(),
            Goal::None,
        ),
        row(
            "most servers at a time".into(),
            to_float(most),
            Goal::AtMost(to_float(places)),
        ),
        row(
            "starts that failed, were lost or came twice".into(),
            to_float(failed),
            Goal::AtMost(0.0),
        ),
    ])
}

/// Both hubs.
struct Pair {
    hubs: [Process; 2],
    addresses: [SocketAddr; 2],
}

impl Pair {
    async fn prepare(
        programs: &Programs,
        postgres: &str,
        folder: &Path,
        places: usize,
    ) -> Result<Self> {
        let stub = [
            std::env::current_exe()?.display().to_string(),
            "stub".into(),
            folder.display().to_string(),
        ];
        let text = format!(
            "subdomains: false\nlog: {{level: warn}}\nstore: {{database: env:DATABASE_URL}}\n\
             spawner: {{accounts: shared}}\n\
             servers: {{command: {stub:?}, running: {places}, concurrent_starts: {AT_ONCE}}}\n\
             services: [{{name: load, api_token: env:LOAD_TOKEN}}]\n\
             load_roles: [{{name: admin, services: [load]}}]\n"
        );
        std::fs::write(folder.join("lyceum.yaml"), text)?;
        let addresses = [free_address()?, free_address()?];
        let environment = [("DATABASE_URL", postgres), ("LOAD_TOKEN", TOKEN)];
        let start = async |at: usize, log: &str| {
            let hub = start_hub(programs, folder, addresses[at], &environment, log)?;
            until_healthy(addresses[at], Instant::now()).await?;
            anyhow::Ok(hub)
        };
        // The first one makes tables and keys.
        let hubs = [start(0, "log-1").await?, start(1, "log-2").await?];
        Ok(Self { hubs, addresses })
    }

    fn cpu(&self) -> Result<Duration> {
        Ok(self.hubs[0].alone()? + self.hubs[1].alone()?)
    }

    async fn until_taken(&self, places: usize) -> Result<()> {
        let asked = Instant::now();
        loop {
            let ready = count_ready(self.addresses[0], TOKEN).await?;
            ensure!(ready <= places, "{ready} servers on {places} places");
            if ready == places {
                return Ok(());
            }
            ensure!(asked.elapsed() < START, "{ready} of {places} are ready");
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    /// Stops whatever is ready, at one hub and the other, until each was there and none is any more.
    async fn everybody_has_a_turn(&self, wishes: usize) -> Result<()> {
        let asked = Instant::now();
        let mut had_one = BTreeSet::new();
        loop {
            let ready = ready_people(self.addresses[0]).await?;
            if ready.is_empty() && had_one.len() == wishes {
                return Ok(());
            }
            let count = had_one.len();
            ensure!(asked.elapsed() < START, "{count} of {wishes} had a turn");
            let mut stopping = JoinSet::new();
            for (number, name) in ready.into_iter().enumerate() {
                if had_one.insert(name.clone()) {
                    stopping.spawn(stop(self.addresses[number % 2], name));
                }
            }
            if stopping.is_empty() {
                tokio::time::sleep(LOOK_EVERY).await;
            }
            while let Some(stopped) = stopping.join_next().await {
                stopped??;
            }
        }
    }

    /// How many starts came to this end, at both.
    async fn count_started(&self, status: &str) -> Result<usize> {
        let name = format!("jupyterhub_server_spawn_duration_seconds_count{{status=\"{status}\"");
        let mut sum = 0;
        for to in self.addresses {
            let metrics = ask(to, "GET", "/hub/metrics", "").await?;
            for line in metrics.lines().filter(|line| line.starts_with(&name)) {
                let count = line.split(' ').next_back().unwrap_or_default();
                sum += count.parse::<usize>().context("no number of starts")?;
            }
        }
        Ok(sum)
    }
}

async fn make_people(to: SocketAddr, count: usize) -> Result<()> {
    let names: Vec<String> = (1..=count)
        .map(|number| format!("student{number:05}"))
        .collect();
    for some in names.chunks(200) {
        let body = serde_json::json!({ "usernames": some }).to_string();
        ask(to, "POST", "/hub/api/users", &body).await?;
    }
    Ok(())
}

async fn ready_people(to: SocketAddr) -> Result<Vec<String>> {
    let answer = ask(to, "GET", "/hub/api/users?state=ready&limit=100", "").await?;
    let people: Vec<serde_json::Value> = serde_json::from_str(&answer)?;
    let name = |person: &serde_json::Value| Some(person["name"].as_str()?.to_owned());
    Ok(people.iter().filter_map(name).collect())
}

async fn stop(to: SocketAddr, name: String) -> Result<()> {
    let path = format!("/hub/api/users/{name}/server");
    ask(to, "DELETE", &path, "").await.map(|_| ())
}

/// The body of an answer that says yes.
async fn ask(to: SocketAddr, method: &str, path: &str, body: &str) -> Result<String> {
    let request = format!(
        "{method} {path} HTTP/1.1\r\nHost: {to}\r\nAuthorization: token {TOKEN}\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    );
    let answer = exchange_at(to, request.as_bytes()).await?;
    let (head, body) = answer.split_once("\r\n\r\n").context("no answer")?;
    ensure!(
        head.starts_with("HTTP/1.1 2"),
        "{method} {path} was answered: {answer}"
    );
    Ok(body.to_owned())
}

/// Counts the processes of servers all the time.
struct Watch {
    most: Arc<AtomicUsize>,
    over: Arc<AtomicBool>,
    looking: Option<std::thread::JoinHandle<()>>,
}

impl Watch {
    fn over(folder: &Path) -> Self {
        let folder: PathBuf = folder.to_owned();
        let (most, over) = (Arc::new(AtomicUsize::new(0)), Arc::<AtomicBool>::default());
        let (highest, end) = (Arc::clone(&most), Arc::clone(&over));
        let looking = std::thread::spawn(move || {
            while !end.load(Ordering::Relaxed) {
                highest.fetch_max(count_living(&folder), Ordering::Relaxed);
                std::thread::sleep(LOOK_EVERY);
            }
        });
        Self {
            most,
            over,
            looking: Some(looking),
        }
    }

    /// How many there were at most.
    fn end(mut self) -> usize {
        self.stop();
        self.most.load(Ordering::Relaxed)
    }

    fn stop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
        if let Some(looking) = self.looking.take() {
            looking.join().ok();
        }
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.stop();
    }
}
