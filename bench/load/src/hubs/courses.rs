//! Home of people with many courses, one of them large: what is to be done there comes from the
//! exchange. Ours alone; JupyterHub has nothing of the kind.

use super::page::{Browser, exchange};
use super::peers::{Running, fill};
use super::{Goal, Programs, Row, Scale, milliseconds, visit};
use crate::http::Connection;
use crate::report::show;
use anyhow::{Result, ensure};
use std::path::Path;
use std::time::{Duration, Instant};

const COURSES: u32 = 20;
const ASSIGNMENTS: u32 = 20;
/// In the first course; all have handed in everything.
const STUDENTS: u32 = 1800;
const HOME: &str = "/hub/home";
/// The hub looks after course files every two seconds.
const PATIENCE: Duration = Duration::from_secs(30);
/// Longer than what came in is kept before it is counted anew.
const KEPT: Duration = Duration::from_secs(10);

pub(super) async fn measure(
    programs: &Programs,
    folder: &Path,
    hub: &Running,
    scale: &Scale,
) -> Result<Vec<Row>> {
    eprintln!("filling courses");
    fill(
        programs,
        &folder.join("data/lyceum.sqlite"),
        include_str!("../../../twenty_courses.sql"),
    )?;
    for course in 1..=COURSES {
        let path = folder.join(format!("data/courses/course{course:05}.yaml"));
        std::fs::write(path, course_file(course))?;
    }
    let mut rows = Vec::new();
    for who in ["student", "teacher"] {
        let cookies = Browser::log_in(hub, who).await?.cookies();
        are_read(hub, &cookies).await?;
        let request = hub.request(HOME, &cookies);
        let mut row = visit(HOME, hub, &request, scale).await?;
        row.what = format!("GET {HOME} of a {who} with {COURSES} courses: ms until it is there");
        rows.push(row);
        if who == "teacher" {
            rows.push(counted_anew(hub, &request, scale).await?);
        }
    }
    Ok(rows)
}

/// The first is due first, so that it is what is counted.
fn course_file(course: u32) -> String {
    let students = match course {
        1 => STUDENTS,
        _ => 1,
    };
    let students: Vec<String> = (1..=students).map(|at| format!("student{at:05}")).collect();
    let mut text = format!(
        "title: Course {course}\npeople: {{teachers: [teacher], students: [student, {}]}}\nassignments:\n",
        students.join(", ")
    );
    for at in 1..=ASSIGNMENTS {
        let year = 2090 + course;
        text += &format!("  ps{at}: {{due: {year}-01-{at:02} 18:00}}\n");
    }
    text
}

/// Returns when all courses are on home.
async fn are_read(hub: &Running, cookies: &str) -> Result<()> {
    let request = hub.request(HOME, &format!("Connection: close\r\n{cookies}"));
    let asked = Instant::now();
    loop {
        let page = exchange(hub, &request).await?.body;
        if (1..=COURSES).all(|course| page.contains(&format!("course-course{course:05}"))) {
            return Ok(());
        }
        ensure!(asked.elapsed() < PATIENCE, "the courses are not on home");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// Of those who look now and then, each of whom finds nothing that was counted for others.
async fn counted_anew(hub: &Running, request: &[u8], scale: &Scale) -> Result<Row> {
    let mut took = Vec::new();
    for _ in 0..scale.rounds {
        tokio::time::sleep(KEPT).await;
        let mut connection = Connection::open(hub.address).await?;
        let sent = Instant::now();
        let status = connection.exchange(request).await?;
        ensure!(status == 200, "GET {HOME} was answered {status}");
        took.push(milliseconds(sent.elapsed()));
    }
    let median = crate::measure::median(&mut took);
    eprintln!("the same, counted anew: {} ms", show(median));
    let handed_in = STUDENTS * ASSIGNMENTS;
    Ok(Row {
        what: format!("the same, when {handed_in} submissions are counted anew: ms"),
        jupyterhub: None,
        lyceum: median,
        goal: Goal::None,
    })
}
