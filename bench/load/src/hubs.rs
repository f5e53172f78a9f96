//! `cargo xtask bench hub`: a real JupyterHub with its proxy and Lyceum, each with 50,000 people,
//! asked the same by the API and by a browser's pages. CPU time is that of hub and proxy together.
//! What concerns servers is in `hubs/servers.rs`, two hubs on one database in `hubs/replicas.rs`,
//! and homes with courses in `hubs/courses.rs`. `cargo xtask bench login` is `hubs/login.rs`, `bench exchange`
//! `hubs/exchange.rs`.

mod courses;
mod directory;
pub(crate) mod exchange;
pub(crate) mod login;
mod page;
mod peers;
mod replicas;
mod servers;
pub(crate) mod stub;

use crate::http::Connection;
use crate::load;
use crate::report::show;
use anyhow::{Context, Result, bail, ensure};
use page::Browser;
use peers::{Hub, Kind, PASSWORD, Running};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::io::AsyncWriteExt;

/// What is installed where.
pub(crate) struct Programs {
    pub(crate) lyceum: PathBuf,
    pub(crate) chp: PathBuf,
    /// A virtual environment with JupyterHub.
    pub(crate) jupyter: PathBuf,
}

/// What stands beside the hubs.
pub(crate) struct Beside {
    /// A script for Node.js that looks at pages in a browser.
    pub(crate) paint: PathBuf,
    /// Where a PostgreSQL is, as `postgres://…`, of which all is ours.
    pub(crate) postgres: String,
}

/// How long and how often.
struct Scale {
    rounds: usize,
    window: Duration,
    /// Visits of a page, one after the other.
    visits: usize,
}

impl Scale {
    fn of(quick: bool) -> Self {
        match quick {
            true => Self {
                rounds: 1,
                window: Duration::from_millis(500),
                visits: 20,
            },
            false => Self {
                rounds: 5,
                window: Duration::from_secs(2),
                visits: 101,
            },
        }
    }
}

/// One that goes away with its keeper.
fn make_folder() -> Result<(PathBuf, crate::measure::Scratch)> {
    let folder = std::env::temp_dir().join(format!("lyceum-bench-{}", std::process::id()));
    std::fs::create_dir(&folder).with_context(|| format!("making {}", folder.display()))?;
    Ok((folder.clone(), crate::measure::Scratch(folder)))
}

const CONNECTIONS: usize = 8;
/// A window ends when so many were answered, or when it has taken that many times its length.
const ENOUGH: u64 = 40;
const LONGER: u32 = 10;

/// One line of the table.
struct Row {
    what: String,
    jupyterhub: Option<f64>,
    lyceum: f64,
    goal: Goal,
}

enum Goal {
    None,
    /// JupyterHub's figure is at least so many times ours.
    Times(f64),
    AtMost(f64),
}

/// Pages of both hubs.
const PAGES: [&str; 3] = ["/hub/login", "/hub/home", "/hub/token"];
/// Ours alone: JupyterHub's page of administrators is a program that runs in the browser.
const OWN_PAGES: [&str; 5] = [
    "/hub/admin",
    "/hub/admin/users?q=student4999&sort=-last_activity",
    "/hub/admin/users?offset=49900",
    "/hub/admin/tokens?sort=owner&offset=4900",
    "/hub/admin/activity",
];

/// Pages of ours of which a browser tells when they are first painted.
const PAINTED: [&str; 3] = ["/hub/admin", "/hub/admin/users", "/hub/admin/servers"];

/// Parts of the measures that may be asked for alone.
const SERVERS: &str = "servers";
const REPLICAS: &str = "replicas";

pub(crate) async fn run(
    programs: &Programs,
    beside: &Beside,
    quick: bool,
    only: Option<&str>,
) -> Result<()> {
    ensure!(
        only.is_none_or(|only| [SERVERS, REPLICAS].contains(&only)),
        "--only knows `{SERVERS}` and `{REPLICAS}`"
    );
    let scale = Scale::of(quick);
    let (folder, _scratch) = make_folder()?;
    let mut rows = match only {
        None => of_requests(programs, &beside.paint, &folder, &scale).await?,
        Some(_) => Vec::new(),
    };
    if only != Some(REPLICAS) {
        rows.extend(servers::measure(programs, &folder.join(SERVERS), quick).await?);
    }
    if only != Some(SERVERS) {
        let (postgres, folder) = (&beside.postgres, folder.join(REPLICAS));
        rows.extend(replicas::measure(programs, postgres, &folder, quick).await?);
    }
    print!("{}", render(&rows));
    Ok(())
}

async fn of_requests(
    programs: &Programs,
    painter: &std::path::Path,
    folder: &std::path::Path,
    scale: &Scale,
) -> Result<Vec<Row>> {
    eprintln!("filling JupyterHub");
    let jupyterhub = Hub {
        kind: Kind::JupyterHub,
        programs,
        folder: folder.join("jupyterhub"),
        more: String::new(),
    };
    let jupyterhub = jupyterhub.prepare().await?;
    eprintln!("filling Lyceum");
    let lyceum = Hub {
        kind: Kind::Lyceum,
        programs,
        folder: folder.join("lyceum"),
        more: String::new(),
    };
    let lyceum = lyceum.prepare().await?;

    let mut rows = vec![
        Row {
            what: "start to first healthy answer, ms".into(),
            jupyterhub: Some(milliseconds(jupyterhub.answered_after)),
            lyceum: milliseconds(lyceum.answered_after),
            goal: Goal::AtMost(1000.0),
        },
        Row {
            what: "resident after the start, hub and proxy, MiB".into(),
            jupyterhub: Some(jupyterhub.process.resident()? / 1024.0),
            lyceum: lyceum.process.resident()? / 1024.0,
            goal: Goal::None,
        },
    ];
    let both = [&jupyterhub, &lyceum];
    let one = |path: &str| vec![path.to_owned()];
    let people = (1..=2000).map(|number| format!("/hub/api/users/student{:05}", number * 25));
    for (what, paths, goal) in [
        ("GET /hub/api/user", one("/hub/api/user"), Goal::Times(30.0)),
        ("GET /hub/api/users/NAME", people.collect(), Goal::None),
        (
            "GET /hub/api/users?limit=200",
            one("/hub/api/users?limit=200"),
            Goal::Times(30.0),
        ),
    ] {
        let requests = both.map(|hub| {
            let token = format!("Authorization: token {}\r\n", hub.token);
            paths.iter().map(|path| hub.request(path, &token)).collect()
        });
        rows.push(cpu(what, &both, requests, scale, goal).await?);
    }
    let mut browsers = Vec::new();
    for hub in both {
        browsers.push(Browser::log_in(hub, "root").await?);
    }
    for path in PAGES {
        let requests = [0, 1].map(|at| match path {
            "/hub/login" => both[at].request(path, ""),
            _ => both[at].request(path, &browsers[at].cookies()),
        });
        let requests = requests.map(|request| vec![request]);
        rows.push(cpu(&format!("GET {path}"), &both, requests, scale, Goal::None).await?);
    }
    for path in PAGES.iter().chain(&OWN_PAGES) {
        let cookies = if *path == "/hub/login" {
            String::new()
        } else {
            browsers[1].cookies()
        };
        rows.push(visit(path, &lyceum, &lyceum.request(path, &cookies), scale).await?);
    }
    rows.extend(paint(painter, &lyceum, scale).await?);
    // The last: what is filled in for it is on the pages before, too.
    let folder = folder.join("lyceum");
    rows.extend(courses::measure(programs, &folder, &lyceum, scale).await?);
    Ok(rows)
}

/// CPU time for each answer, in the order JupyterHub, Lyceum; medians of rounds in turns.
async fn cpu(
    what: &str,
    hubs: &[&Running; 2],
    requests: [Vec<Vec<u8>>; 2],
    scale: &Scale,
    goal: Goal,
) -> Result<Row> {
    eprintln!("{what}");
    let requests = requests.map(Arc::new);
    let mut samples = [Vec::new(), Vec::new()];
    // One more round than counts: programs get warm in the first.
    for round in 0..=scale.rounds {
        for at in [round % 2, (round + 1) % 2] {
            let hub = hubs[at];
            let mut load = load::keep_alive(hub.address, CONNECTIONS, &requests[at]);
            load.go_on(scale.window / 4)
                .await
                .with_context(|| format!("{what} of {}", hub.name()))?;
            let (usage, done) = (hub.process.usage(), load.done());
            for _ in 0..LONGER {
                load.go_on(scale.window).await?;
                if load.done() - done >= ENOUGH {
                    break;
                }
            }
            let (used, answered) = (hub.process.usage().since(&usage), load.done() - done);
            load.stop().await?;
            ensure!(answered > 0, "{what}: {} answered nothing", hub.name());
            if round > 0 {
                samples[at].push(used.microseconds / crate::measure::count(answered));
            }
        }
    }
    let [jupyterhub, lyceum] = samples.map(|mut numbers| crate::measure::median(&mut numbers));
    eprintln!(
        "    JupyterHub {} µs, Lyceum {} µs",
        show(jupyterhub),
        show(lyceum)
    );
    Ok(Row {
        what: format!("{what}: CPU µs"),
        jupyterhub: Some(jupyterhub),
        lyceum,
        goal,
    })
}

/// The time from sending to the end of the answer, one visit after the other.
async fn visit(path: &str, hub: &Running, request: &[u8], scale: &Scale) -> Result<Row> {
    let mut connection = Connection::open(hub.address).await?;
    let mut took = Vec::new();
    for _ in 0..=scale.visits {
        let sent = Instant::now();
        let status = connection.exchange(request).await?;
        if status != 200 {
            bail!("GET {path} was answered {status}");
        }
        took.push(milliseconds(sent.elapsed()));
    }
    took.remove(0);
    let (median, worst) = (crate::measure::median(&mut took), took[took.len() - 1]);
    eprintln!(
        "GET {path}: {} ms, at worst {} ms",
        show(median),
        show(worst)
    );
    Ok(Row {
        what: format!("GET {path}: ms until it is there"),
        jupyterhub: None,
        lyceum: median,
        goal: Goal::AtMost(50.0),
    })
}

/// What a browser tells of pages, with all that they bring along.
async fn paint(painter: &std::path::Path, hub: &Running, scale: &Scale) -> Result<Vec<Row>> {
    let wish = serde_json::json!({
        "url": format!("http://{}/", hub.address),
        "account": { "name": "root", "password": PASSWORD },
        "paths": PAINTED,
        "visits": scale.visits,
    });
    let mut node = tokio::process::Command::new("node");
    node.arg(painter)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .kill_on_drop(true);
    let mut child = node.spawn().context("starting node")?;
    let mut input = child.stdin.take().context("a pipe")?;
    input.write_all(wish.to_string().as_bytes()).await?;
    drop(input);
    let output = child.wait_with_output().await?;
    ensure!(output.status.success(), "the browser could not look");
    let medians: BTreeMap<String, f64> = serde_json::from_slice(&output.stdout)?;
    let rows = PAINTED.iter().map(|path| {
        let took = medians.get(*path).context("a page is missing")?;
        eprintln!("GET {path}: first paint after {} ms", show(*took));
        Ok(Row {
            what: format!("GET {path}: ms until a browser first paints it"),
            jupyterhub: None,
            lyceum: *took,
            goal: Goal::AtMost(200.0),
        })
    });
    rows.collect()
}

fn render(rows: &[Row]) -> String {
    render_beside("what, with 50,000 people", "JupyterHub", rows)
}

/// With another peer's name over its column.
fn render_beside(what: &str, peer: &str, rows: &[Row]) -> String {
    let mut text =
        format!("| {what} | {peer} | Lyceum | {peer} ÷ Lyceum | goal |\n|---|--:|--:|--:|---|\n");
    for row in rows {
        let other = row.jupyterhub.map_or_else(|| "-".into(), show);
        let ratio = row.jupyterhub.map(|other| other / row.lyceum);
        let (goal, reached) = match row.goal {
            Goal::None => (String::new(), true),
            Goal::Times(least) => (
                format!("≥ {}×", show(least)),
                ratio.is_some_and(|ratio| ratio >= least),
            ),
            Goal::AtMost(most) => (format!("≤ {}", show(most)), row.lyceum <= most),
        };
        let mark = match (&row.goal, reached) {
            (Goal::None, _) => "",
            (_, true) => " ✓",
            (_, false) => " **(missed)**",
        };
        let ratio = ratio.map_or_else(String::new, show);
        text += &format!(
            "| {} | {other} | {} | {ratio} | {goal}{mark} |\n",
            row.what,
            show(row.lyceum)
        );
    }
    text
}

fn milliseconds(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1000.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_says_whether_its_goal_is_reached() {
        let check = |jupyterhub, lyceum, goal, expect: &str| {
            let row = Row {
                what: "x".into(),
                jupyterhub,
                lyceum,
                goal,
            };
            let text = render(&[row]);
            assert_eq!(text.lines().nth(2), Some(expect));
        };
        check(
            Some(3000.0),
            50.0,
            Goal::Times(30.0),
            "| x | 3,000 | 50.0 | 60.0 | ≥ 30.0× ✓ |",
        );
        check(
            Some(300.0),
            50.0,
            Goal::Times(30.0),
            "| x | 300 | 50.0 | 6.00 | ≥ 30.0× **(missed)** |",
        );
        check(
            None,
            51.0,
            Goal::AtMost(50.0),
            "| x | - | 51.0 |  | ≤ 50.0 **(missed)** |",
        );
        check(None, 5.0, Goal::None, "| x | - | 5.00 |  |  |");
    }
}
