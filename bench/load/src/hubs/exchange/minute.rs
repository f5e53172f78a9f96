//! Everybody hands in within the last minute before a deadline, most of them at its end.

use super::super::peers::Running;
use super::super::{Goal, Programs, Row};
use super::class::{Class, Numbers};
use super::client::{self, Desk};
use super::{Side, TEACHER};
use crate::measure::{median, to_float};
use anyhow::{Context, Result, ensure};
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use tokio::task::JoinSet;

const COURSE: &str = "exam";
const ASSIGNMENT: &str = "ps1";
const MINUTE: u64 = 60;
/// The last begin so long before it is over.
const LAST: Duration = Duration::from_secs(1);
/// Course files are looked after every two seconds.
const READ: Duration = Duration::from_secs(30);

pub(super) async fn measure(
    programs: &Programs,
    folder: &Path,
    here: &Side,
    people: usize,
) -> Result<Vec<Row>> {
    eprintln!("{people} hand in within the last minute");
    let mut students = Vec::new();
    for at in 1..=people {
        students.push(Desk::open(&here.hub, &format!("student{at:05}")).await?);
    }
    let class = Class::new();
    let path = format!("submission/{COURSE}/{ASSIGNMENT}");
    let due = put_course(folder, people)?;
    is_there(here).await?;
    let files = class.handed_out().as_sent();
    let release = format!("assignment/{COURSE}/{ASSIGNMENT}");
    here.teacher
        .send(&here.hub, &release, &[("files", &files)])
        .await?;
    // What is sent is made before, so that making it takes nothing from whom it is sent to.
    let requests: Vec<_> = students
        .iter()
        .enumerate()
        .map(|(at, desk)| {
            let files = class.of(99, at).as_sent();
            desk.request(&here.hub, &path, &[("files", &files)])
        })
        .collect();
    let answers = all(&here.hub, requests, due).await?;
    let refused = answers.iter().filter(|answer| answer.is_err()).count();
    if let Some(Err(first)) = answers.iter().find(|answer| answer.is_err()) {
        eprintln!("    one of those who were refused: {first:#}");
    }
    let mut took: Vec<f64> = answers
        .iter()
        .flatten()
        .map(|took| took.as_secs_f64() * 1e3)
        .collect();
    let lost = lost(here, &class, &students).await?;
    verify(programs, folder)?;
    let row = |what: &str, lyceum, goal| Row {
        what: format!("{people} hand in within the last minute before a deadline: {what}"),
        jupyterhub: None,
        lyceum,
        goal,
    };
    let worst = took.iter().copied().fold(0.0, f64::max);
    let rows = vec![
        row("not acknowledged", to_float(refused), Goal::AtMost(0.0)),
        row(
            "lost or not as they were",
            to_float(lost),
            Goal::AtMost(0.0),
        ),
        row(
            "ms until one is acknowledged",
            median(&mut took),
            Goal::None,
        ),
        row("ms at worst", worst, Goal::None),
    ];
    super::tell(&rows);
    Ok(rows)
}

/// Gives the moment at which the minute is over.
fn put_course(folder: &Path, people: usize) -> Result<SystemTime> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs();
    // Deadlines are full minutes, and there is something to do before.
    let due = (now / MINUTE + 2) * MINUTE + if now % MINUTE > 30 { MINUTE } else { 0 };
    let names: Vec<_> = (1..=people).map(|at| format!("student{at:05}")).collect();
    let said = Command::new("date")
        .args(["-u", "-d", &format!("@{due}"), "+%Y-%m-%d %H:%M"])
        .output()?;
    let said = String::from_utf8(said.stdout)?;
    let text = format!(
        "title: Exam\npeople: {{teachers: [{TEACHER}], students: [{}]}}\nassignments:\n  {ASSIGNMENT}: {{due: {}}}\n",
        names.join(", "),
        said.trim()
    );
    std::fs::write(folder.join(format!("data/courses/{COURSE}.yaml")), text)?;
    Ok(UNIX_EPOCH + Duration::from_secs(due))
}

/// Returns when the course was read.
async fn is_there(here: &Side) -> Result<()> {
    let path = format!("students/{COURSE}");
    let (request, asked) = (here.teacher.look_once(&here.hub, &path), Instant::now());
    while let Err(error) = client::ask(&here.hub, &request).await {
        if asked.elapsed() > READ {
            return Err(error.context("the course is not there"));
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    Ok(())
}

/// Each at her moment; how long it took, or why it was refused.
async fn all(
    hub: &Running,
    requests: Vec<Vec<u8>>,
    due: SystemTime,
) -> Result<Vec<Result<Duration>>> {
    let until = due.duration_since(SystemTime::now());
    let until = until.context("making ready took longer than the minute")?;
    let over = tokio::time::Instant::now() + until;
    let span = Duration::from_secs(MINUTE).min(until) - LAST;
    let begin = over - LAST - span;
    let (address, name) = (hub.address, hub.name());
    let mut numbers = Numbers(2026);
    let mut tasks = JoinSet::new();
    for request in requests.into_iter().map(Arc::new) {
        // The square root: the nearer the end, the more.
        let share = crate::measure::count(numbers.next() % 1_000_000) / 1e6;
        let at = begin + span.mul_f64(share.sqrt());
        tasks.spawn(async move {
            tokio::time::sleep_until(at).await;
            let sent = Instant::now();
            let answer = client::ask_at(address, name, &request).await;
            answer.map(|_| sent.elapsed())
        });
    }
    Ok(tasks.join_all().await)
}

/// How many are not there as they were sent.
async fn lost(here: &Side, class: &Class, students: &[Desk]) -> Result<usize> {
    let mut lost = 0;
    for (at, desk) in students.iter().enumerate() {
        let path = format!("submission/{COURSE}/{ASSIGNMENT}/{}", desk.name);
        let answer = client::ask(&here.hub, &here.teacher.look_once(&here.hub, &path)).await;
        let files = answer.and_then(|body| client::files_of(&body));
        if !files.is_ok_and(|files| class.of(99, at).is(&files)) {
            lost += 1;
        }
    }
    Ok(lost)
}

/// The receipts and contents of all that was handed in to us.
fn verify(programs: &Programs, folder: &Path) -> Result<()> {
    eprintln!("looking at all receipts and contents");
    let status = Command::new(&programs.lyceum)
        .args(["exchange", "verify", "--data"])
        .arg(folder.join("data"))
        .arg("--config")
        .arg(folder.join("lyceum.yaml"))
        .stdout(std::process::Stdio::null())
        .status()?;
    ensure!(status.success(), "verify ended with {status}");
    Ok(())
}
