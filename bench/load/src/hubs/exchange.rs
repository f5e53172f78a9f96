//! `cargo xtask bench exchange`: a class hands in, lists and collects, at a real ngshare behind a real JupyterHub
//! and at Lyceum; then what only Lyceum promises: large submissions, long lists, the last minute before a deadline.
//!
//! All hand in by ngshare's API with the bytes that nbgrader's client sends, a connection for each.

mod class;
mod client;
mod minute;
mod room;

use super::peers::{Hub, Kind, Running, free_address};
use super::{Goal, Programs, Row, Scale, cpu, make_folder, render_beside, visit};
use crate::measure::{count, median, to_float};
use crate::report::show;
use anyhow::{Result, ensure};
use class::{Class, Submission};
use client::Desk;
use std::path::{Path, PathBuf};
use std::time::Instant;

const COURSE: &str = "signals";
/// Among the people of both.
const TEACHER: &str = "student50000";
const STUDENTS: usize = 200;
/// Uploads at the same time.
const AT_ONCE: usize = 50;
const MANY: usize = 5_000;

/// What is set beside each other, and how often.
struct Extent {
    students: usize,
    rounds: usize,
    many: usize,
    /// Of the last minute.
    crowd: usize,
}

impl Extent {
    fn of(quick: bool) -> Self {
        match quick {
            true => Self {
                students: 50,
                rounds: 1,
                many: 500,
                crowd: 100,
            },
            false => Self {
                students: STUDENTS,
                rounds: 5,
                many: MANY,
                crowd: 1_000,
            },
        }
    }
}

/// One of the two, with its people and what they may do.
struct Side {
    hub: Running,
    teacher: Desk,
    students: Vec<Desk>,
    /// Where it keeps what is handed in, the database too.
    kept: PathBuf,
}

pub(crate) async fn run(programs: &Programs, ngshare: &Path, quick: bool) -> Result<()> {
    let (folder, _scratch) = make_folder()?;
    let extent = Extent::of(quick);
    let peer = beside(programs, ngshare, &folder, &extent).await?;
    let here = here(programs, &folder, &extent).await?;
    let mut rows = hand_in(&peer, &here, &extent).await?;
    rows.push(list(&peer, &here, &extent, &Scale::of(quick)).await?);
    rows.extend(collect(&peer, &here, &extent).await?);
    rows.extend(room::large(&peer, &here).await?);
    drop(peer);
    rows.push(long_list(&here, &extent, &Scale::of(quick)).await?);
    rows.extend(minute::measure(programs, &folder.join("lyceum"), &here, extent.crowd).await?);
    print!("{}", render_beside("what", "ngshare", &rows));
    Ok(())
}

/// ngshare as JupyterHub starts it, from an environment that has both.
async fn beside(
    programs: &Programs,
    ngshare: &Path,
    folder: &Path,
    extent: &Extent,
) -> Result<Side> {
    eprintln!("filling JupyterHub with ngshare");
    let programs = Programs {
        lyceum: programs.lyceum.clone(),
        chp: programs.chp.clone(),
        jupyter: ngshare.to_owned(),
    };
    let (own, kept) = (folder.join("jupyterhub"), folder.join("ngshare"));
    std::fs::create_dir_all(kept.join("files"))?;
    let python = ngshare.join("bin/python");
    let command = [
        python.display().to_string(),
        "-m".into(),
        "ngshare".into(),
        "--admins".into(),
        "root".into(),
        "--database".into(),
        format!("sqlite:///{}", kept.join("ngshare.db").display()),
        "--storage".into(),
        kept.join("files").display().to_string(),
    ];
    let more = format!(
        "c.JupyterHub.services = [{{'name': 'ngshare', 'url': 'http://{}', 'command': {command:?}}}]\n\
         c.JupyterHub.load_roles = [{{'name': 'user', 'scopes': ['self', 'access:services!service=ngshare']}}]\n",
        free_address()?
    );
    let hub = Hub {
        kind: Kind::JupyterHub,
        programs: &programs,
        folder: own,
        more,
    };
    Side::make(hub.prepare().await?, kept, extent).await
}

async fn here(programs: &Programs, folder: &Path, extent: &Extent) -> Result<Side> {
    eprintln!("filling Lyceum");
    let own = folder.join("lyceum");
    let hub = Hub {
        kind: Kind::Lyceum,
        programs,
        folder: own.clone(),
        more: "time_zone: UTC\n".into(),
    };
    Side::make(hub.prepare().await?, own.join("data"), extent).await
}

impl Side {
    /// With a course, its people, and what they hand in to.
    async fn make(hub: Running, kept: PathBuf, extent: &Extent) -> Result<Self> {
        let root = Desk::of("root", hub.token.clone());
        root.is_up(&hub).await?;
        let teacher = Desk::open(&hub, TEACHER).await?;
        let instructors = format!("[\"{TEACHER}\"]");
        root.send(
            &hub,
            &format!("course/{COURSE}"),
            &[("instructors", &instructors)],
        )
        .await?;
        let mut students = Vec::new();
        for at in 1..=extent.students {
            students.push(Desk::open(&hub, &format!("student{at:05}")).await?);
        }
        let named: Vec<_> = students
            .iter()
            .map(|one| serde_json::json!({"username": one.name, "first_name": "", "last_name": "", "email": ""}))
            .collect();
        let named = serde_json::Value::from(named).to_string();
        teacher
            .send(&hub, &format!("students/{COURSE}"), &[("students", &named)])
            .await?;
        Ok(Self {
            hub,
            teacher,
            students,
            kept,
        })
    }

    async fn release(&self, assignment: &str, files: &str) -> Result<()> {
        let path = format!("assignment/{COURSE}/{assignment}");
        self.teacher
            .send(&self.hub, &path, &[("files", files)])
            .await
            .map(drop)
    }

    /// What each of the class sends.
    fn requests(&self, assignment: &str, class: &[Submission]) -> Vec<Vec<u8>> {
        let path = format!("submission/{COURSE}/{assignment}");
        let each = self.students.iter().zip(class);
        each.map(|(desk, own)| desk.request(&self.hub, &path, &[("files", &own.as_sent())]))
            .collect()
    }
}

/// Round for round another class, so that what was handed in before makes nothing cheaper.
async fn hand_in(peer: &Side, here: &Side, extent: &Extent) -> Result<Vec<Row>> {
    let sides = [peer, here];
    let class = Class::new();
    let size = to_float(class.of(0, 0).size());
    eprintln!(
        "{} students hand in {} KB, {AT_ONCE} at once",
        extent.students,
        show(size / 1000.0)
    );
    let (mut costs, mut rates) = ([vec![], vec![]], [vec![], vec![]]);
    let mut grown = [0.0, 0.0];
    for round in 0..=extent.rounds {
        let assignment = format!("round{round}");
        let handed: Vec<_> = (0..extent.students)
            .map(|student| class.of(round, student))
            .collect();
        for at in [round % 2, (round + 1) % 2] {
            let side = sides[at];
            side.release(&assignment, &class.handed_out().as_sent())
                .await?;
            let requests = side.requests(&assignment, &handed);
            let before = room::on_disk(&side.kept)?;
            let (usage, began) = (side.hub.process.usage(), Instant::now());
            client::all(&side.hub, requests, AT_ONCE).await?;
            let took = began.elapsed().as_secs_f64();
            let used = side.hub.process.usage().seconds_since(&usage);
            // Programs get warm in the first.
            if round > 0 {
                costs[at].push(used * 1e6 / to_float(extent.students));
                rates[at].push(took * 1e3 / to_float(extent.students));
                grown[at] += room::on_disk(&side.kept)? - before;
            }
        }
    }
    let [cost, time] = [costs, rates].map(|both| both.map(|mut numbers| median(&mut numbers)));
    let sent = size * to_float(extent.students) * to_float(extent.rounds);
    let row = |what: &str, numbers: [f64; 2], goal| Row {
        what: what.into(),
        jupyterhub: Some(numbers[0]),
        lyceum: numbers[1],
        goal,
    };
    let rows = vec![
        row(
            "a submission of 323 KB, 50 at once: CPU µs of all processes",
            cost,
            Goal::Times(5.0),
        ),
        row(
            "the same: ms each until all are acknowledged",
            time,
            Goal::Times(8.0),
        ),
        row(
            "the same: bytes on disk for each byte handed in",
            grown.map(|bytes| bytes / sent),
            Goal::AtMost(0.4),
        ),
    ];
    tell(&rows);
    Ok(rows)
}

fn tell(rows: &[Row]) {
    for row in rows {
        let other = row.jupyterhub.map_or_else(|| "-".into(), show);
        eprintln!(
            "    {}: ngshare {other}, Lyceum {}",
            row.what,
            show(row.lyceum)
        );
    }
}

async fn list(peer: &Side, here: &Side, extent: &Extent, scale: &Scale) -> Result<Row> {
    let requests = [peer, here].map(|side| {
        let path = format!("submissions/{COURSE}/round1");
        vec![side.teacher.look(&side.hub, &path)]
    });
    let what = format!("the list of {} submissions", extent.students);
    cpu(
        &what,
        &[&peer.hub, &here.hub],
        requests,
        scale,
        Goal::Times(50.0),
    )
    .await
}

/// As `nbgrader collect` does it: each student's newest, one after the other.
async fn collect(peer: &Side, here: &Side, extent: &Extent) -> Result<Vec<Row>> {
    let what = "a submission is collected, one at a time";
    eprintln!("{what}");
    let (mut costs, mut times) = ([vec![], vec![]], [vec![], vec![]]);
    let class = Class::new();
    for round in 0..=extent.rounds {
        for (at, side) in [peer, here].into_iter().enumerate() {
            let requests: Vec<_> = side
                .students
                .iter()
                .map(|one| {
                    let path = format!("submission/{COURSE}/round1/{}", one.name);
                    side.teacher.look_once(&side.hub, &path)
                })
                .collect();
            let (usage, began) = (side.hub.process.usage(), Instant::now());
            for (student, request) in requests.iter().enumerate() {
                let body = client::ask(&side.hub, request).await?;
                // Once is enough, and not in a round that counts.
                if round == 0 {
                    let files = client::files_of(&body)?;
                    ensure!(
                        class.of(1, student).is(&files),
                        "{}: other files came back than were handed in",
                        side.hub.name()
                    );
                }
            }
            let took = began.elapsed().as_secs_f64();
            let used = side.hub.process.usage().seconds_since(&usage);
            if round > 0 {
                costs[at].push(used * 1e6 / to_float(requests.len()));
                times[at].push(took * 1e3 / to_float(requests.len()));
            }
        }
    }
    let [costs, times] = [costs, times].map(|both| both.map(|mut numbers| median(&mut numbers)));
    let rows = vec![
        Row {
            what: format!("{what}: CPU µs of all processes"),
            jupyterhub: Some(costs[0]),
            lyceum: costs[1],
            goal: Goal::Times(10.0),
        },
        Row {
            what: "the same: ms".into(),
            jupyterhub: Some(times[0]),
            lyceum: times[1],
            goal: Goal::None,
        },
    ];
    tell(&rows);
    Ok(rows)
}

async fn long_list(here: &Side, extent: &Extent, scale: &Scale) -> Result<Row> {
    eprintln!("filling a list of {}", extent.many);
    let class = Class::new();
    here.release("many", &class.handed_out().as_sent()).await?;
    let path = format!("submission/{COURSE}/many");
    let each = extent.many / here.students.len();
    let files = class::note("an answer").as_sent();
    let requests: Vec<_> = (0..each)
        .flat_map(|_| &here.students)
        .map(|desk| desk.request(&here.hub, &path, &[("files", &files)]))
        .collect();
    client::all(&here.hub, requests, AT_ONCE).await?;
    let path = format!("submissions/{COURSE}/many");
    let listed = client::ask(&here.hub, &here.teacher.look_once(&here.hub, &path)).await?;
    let listed: serde_json::Value = serde_json::from_slice(&listed)?;
    let listed = listed["submissions"].as_array().map_or(0, Vec::len);
    ensure!(
        listed == each * here.students.len(),
        "{listed} are in the list"
    );
    let request = here.teacher.look(&here.hub, &path);
    let mut row = visit(&path, &here.hub, &request, scale).await?;
    row.what = format!(
        "the list of {} submissions: ms until it is there",
        show(count(extent.many as u64))
    );
    row.goal = Goal::AtMost(20.0);
    Ok(row)
}
