//! `cargo xtask bench login`: what somebody costs who is logged in, and how it goes when a lecture hall logs in
//! within a minute, by passwords of local accounts and by a directory that takes its time.

use super::directory::{ANSWERS_AFTER, Directory, PASSWORD_FILE, name_of};
use super::page::Browser;
use super::peers::{Hub, Kind, Running, fill};
use super::{Goal, Programs, Row, Scale, cpu, make_folder, milliseconds, render};
use crate::measure::{count, median};
use crate::report::show;
use anyhow::{Result, ensure};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};

/// Log-ins in a whole measurement, and the time over which they are spread.
const PEOPLE: u32 = 300;
const MINUTE: Duration = Duration::from_secs(60);
/// The same, for a look while working on something.
const FEW: u32 = 25;
const SOON: Duration = Duration::from_secs(5);
/// The slowest request of all may take so long.
const PATIENT: f64 = 2_000.0;
const HOME: &str = "/hub/home";
/// These people have the password of `root`, each with the same hash, which makes none of them cheaper.
const OPEN: &str = "UPDATE local_accounts SET password_hash = (SELECT password_hash FROM local_accounts WHERE user_name = 'root') WHERE user_name BETWEEN 'student00001' AND 'student00300';";

/// How many log in, and within which time.
struct Crowd {
    people: u32,
    within: Duration,
}

pub(crate) async fn run(programs: &Programs, quick: bool, json: bool) -> Result<()> {
    let scale = Scale::of(quick);
    let crowd = match quick {
        true => Crowd {
            people: FEW,
            within: SOON,
        },
        false => Crowd {
            people: PEOPLE,
            within: MINUTE,
        },
    };
    let (folder, _scratch) = make_folder()?;
    let mut rows = here(programs, &folder, &scale, &crowd).await?;
    rows.extend(by_directory(programs, &folder, &crowd).await?);
    match json {
        true => print!("{}", to_json(&rows)),
        false => print!("{}", render(&rows)),
    }
    Ok(())
}

/// With local accounts; beside a JupyterHub where both do the same.
async fn here(
    programs: &Programs,
    folder: &Path,
    scale: &Scale,
    crowd: &Crowd,
) -> Result<Vec<Row>> {
    let prepare = async |kind, name: &str| {
        eprintln!("filling {name}");
        let hub = Hub {
            kind,
            programs,
            folder: folder.join(name),
            more: String::new(),
        };
        hub.prepare().await
    };
    let jupyterhub = prepare(Kind::JupyterHub, "jupyterhub").await?;
    let lyceum = prepare(Kind::Lyceum, "lyceum").await?;
    fill(programs, &folder.join("lyceum/data/lyceum.sqlite"), OPEN)?;
    let both = [&jupyterhub, &lyceum];
    let mut browsers = Vec::new();
    for hub in both {
        let mut browser = Browser::log_in(hub, &student(1)).await?;
        // JupyterHub gives another form token with the first page.
        browser.visit(hub, HOME).await?;
        browsers.push(browser);
    }
    let mut rows = Vec::new();
    for (what, path, goal) in [
        ("GET /hub/home, logged in", HOME, Goal::Times(30.0)),
        (
            "who is it? (GET /hub/api/user by cookie)",
            "/hub/api/user",
            Goal::None,
        ),
    ] {
        let mut requests = [Vec::new(), Vec::new()];
        for (at, requests) in requests.iter_mut().enumerate() {
            let headers = browsers[at].cookies() + &browsers[at].form_token()?;
            requests.push(both[at].request(path, &headers));
        }
        rows.push(cpu(what, &both, requests, scale, goal).await?);
    }
    drop(jupyterhub);
    let what = "by passwords of local accounts (argon2id)";
    rows.extend(all_log_in(what, lyceum, crowd, student).await?);
    Ok(rows)
}

/// With a real directory, each answer of which comes late.
async fn by_directory(programs: &Programs, folder: &Path, crowd: &Crowd) -> Result<Vec<Row>> {
    eprintln!("filling a directory");
    let directory = Directory::start(&folder.join("directory"), crowd.people).await?;
    let hub = Hub {
        kind: Kind::Lyceum,
        programs,
        folder: folder.join("asking"),
        more: directory.configuration(&folder.join("directory").join(PASSWORD_FILE)),
    };
    let hub = hub.prepare().await?;
    let what = format!(
        "by a directory (LDAP over TLS) that answers after {} ms",
        ANSWERS_AFTER.as_millis()
    );
    all_log_in(&what, hub, crowd, name_of).await
}

fn student(number: u32) -> String {
    format!("student{number:05}")
}

/// Each at her moment, whether or not those before are in: the log-in page, the form, home.
async fn all_log_in(
    what: &str,
    hub: Running,
    crowd: &Crowd,
    name: fn(u32) -> String,
) -> Result<Vec<Row>> {
    let Crowd { people, within } = *crowd;
    let what = format!("{people} log in {what} within {} s", within.as_secs());
    eprintln!("{what}");
    let hub = Arc::new(hub);
    let (usage, began) = (hub.process.usage(), Instant::now());
    let mut coming = JoinSet::new();
    for number in 1..=people {
        let (hub, due) = (hub.clone(), began + within * (number - 1) / people);
        coming.spawn(async move {
            sleep_until(due).await;
            let mut browser = Browser::log_in(&hub, &name(number)).await?;
            browser.visit(&hub, HOME).await?;
            anyhow::Ok((browser.slowest, due.elapsed()))
        });
    }
    let (mut slowest, mut whole, mut failed) = (Vec::new(), Vec::new(), 0_u32);
    while let Some(came) = coming.join_next().await {
        match came? {
            Ok((request, log_in)) => {
                slowest.push(milliseconds(request));
                whole.push(milliseconds(log_in));
            }
            Err(error) => {
                failed += 1;
                eprintln!("    one failed: {error:#}");
            }
        }
    }
    let (took, used) = (began.elapsed(), hub.process.usage().seconds_since(&usage));
    ensure!(!slowest.is_empty(), "{what}: nobody came in");
    let worst = slowest.iter().copied().fold(0.0, f64::max);
    let usual = median(&mut whole);
    eprintln!(
        "    slowest request {} ms, {failed} failed, {} CPU s",
        show(worst),
        show(used)
    );
    let row = |of: &str, lyceum: f64, goal: Goal| Row {
        what: format!("{what}: {of}"),
        jupyterhub: None,
        lyceum,
        goal,
    };
    Ok(vec![
        row("slowest request, ms", worst, Goal::AtMost(PATIENT)),
        row("failed", f64::from(failed), Goal::AtMost(0.0)),
        row("whole log-in up to home, median, ms", usual, Goal::None),
        // The last begins one step before the end.
        row(
            "s until the last is in",
            took.as_secs_f64(),
            Goal::AtMost(within.as_secs_f64() + PATIENT / 1_000.0),
        ),
        row("CPU s, hub and proxy", used, Goal::None),
        row(
            "CPU ms a log-in",
            used * 1_000.0 / count(u64::from(people)),
            Goal::None,
        ),
    ])
}

/// The same figures for programs.
fn to_json(rows: &[Row]) -> String {
    let rows: Vec<_> = rows
        .iter()
        .map(|row| {
            let (goal, reached) = match row.goal {
                Goal::None => (serde_json::Value::Null, None),
                Goal::Times(least) => (
                    serde_json::json!({"jupyterhub_by_lyceum_at_least": least}),
                    row.jupyterhub.map(|other| other / row.lyceum >= least),
                ),
                Goal::AtMost(most) => (
                    serde_json::json!({"at_most": most}),
                    Some(row.lyceum <= most),
                ),
            };
            serde_json::json!({
                "what": row.what, "jupyterhub": row.jupyterhub, "lyceum": row.lyceum,
                "goal": goal, "reached": reached,
            })
        })
        .collect();
    format!("{:#}\n", serde_json::Value::from(rows))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_are_told_whether_a_goal_is_reached() {
        let row = |jupyterhub, lyceum, goal| Row {
            what: "x".into(),
            jupyterhub,
            lyceum,
            goal,
        };
        let rows = [
            row(Some(3_000.0), 50.0, Goal::Times(30.0)),
            row(Some(300.0), 50.0, Goal::Times(30.0)),
            row(None, 51.0, Goal::AtMost(50.0)),
            row(None, 51.0, Goal::None),
        ];
        let told: serde_json::Value = serde_json::from_str(&to_json(&rows)).expect("JSON");
        let told = told.as_array().expect("a list");
        let reached: Vec<_> = told.iter().map(|row| row["reached"].as_bool()).collect();
        assert_eq!(reached, [Some(true), Some(false), Some(false), None]);
        assert_eq!(told[0]["jupyterhub"], 3_000.0);
    }

    #[test]
    fn everybody_who_comes_has_the_password() {
        let (first, last) = (student(1), student(PEOPLE));
        assert!(OPEN.contains(&format!("BETWEEN '{first}' AND '{last}'")));
    }
}
