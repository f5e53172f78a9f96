//! The folder of course files, followed while the program runs.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use anyhow::Context;
use arc_swap::ArcSwap;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use lyceum_model::name::UserName;
use tokio_util::sync::CancellationToken;

use crate::course::{Course, CourseId, Role, Visibility};
use crate::read::{FILE_LIMIT, Problem, read_course};
use crate::schedule::Window;

const LOOK_EVERY: Duration = Duration::from_secs(2);
/// More files than this in one folder are a mistake.
const FILES_MAX: usize = 20_000;

/// The courses in force. Cheap to clone.
#[derive(Clone)]
pub struct Shelf {
    folder: PathBuf,
    state: Arc<ArcSwap<State>>,
}

#[derive(Default)]
struct State {
    files: BTreeMap<CourseId, Entry>,
    problems: Vec<Problem>,
}

#[derive(Clone)]
struct Entry {
    stamp: Stamp,
    /// The last good version; `None` when there has been none.
    course: Option<Arc<Course>>,
    problem: Option<Problem>,
}

#[derive(Clone, PartialEq, Eq)]
struct Stamp {
    changed: Option<SystemTime>,
    size: u64,
}

/// A course with what this person is in it.
pub struct Seen {
    pub id: CourseId,
    pub course: Arc<Course>,
    pub roles: Vec<Role>,
}

impl Shelf {
    /// Reads the folder once. A folder that isn't there is an empty one.
    pub fn open(folder: &Path) -> anyhow::Result<Self> {
        let shelf = Self {
            folder: folder.to_owned(),
            state: Arc::default(),
        };
        shelf.look()?;
        Ok(shelf)
    }

    /// Looks for changed files; a bad one keeps its last good version. Tells whether anything changed.
    pub fn look(&self) -> anyhow::Result<bool> {
        let before = self.state.load_full();
        let mut files = BTreeMap::new();
        let mut problems = Vec::new();
        let mut changed = false;
        for (id, path) in self.list(&mut problems)? {
            let meta = match path.metadata() {
                Ok(meta) => meta,
                // Gone between listing and looking.
                Err(_) => continue,
            };
            let stamp = Stamp {
                changed: meta.modified().ok(),
                size: meta.len(),
            };
            let earlier = before.files.get(&id);
            let entry = match earlier {
                Some(entry) if entry.stamp == stamp => entry.clone(),
                _ => {
                    changed = true;
                    let (course, problem) = match read(&path, meta.len()) {
                        Ok(course) => (Some(Arc::new(course)), None),
                        Err(problem) => {
                            tracing::warn!(%problem, "a course file has a mistake; its last good version stays in force");
                            (
                                earlier.and_then(|entry| entry.course.clone()),
                                Some(problem),
                            )
                        }
                    };
                    Entry {
                        stamp,
                        course,
                        problem,
                    }
                }
            };
            problems.extend(entry.problem.clone());
            files.insert(id, entry);
        }
        changed |= files.len() != before.files.len() || problems != before.problems;
        if changed {
            self.state.store(Arc::new(State { files, problems }));
        }
        Ok(changed)
    }

    fn list(&self, problems: &mut Vec<Problem>) -> anyhow::Result<Vec<(CourseId, PathBuf)>> {
        let entries = match std::fs::read_dir(&self.folder) {
            Ok(entries) => entries,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => {
                return Err(error).with_context(|| {
                    format!("reading the course folder {}", self.folder.display())
                });
            }
        };
        let mut found = Vec::new();
        for entry in entries.take(FILES_MAX) {
            let path = entry
                .with_context(|| format!("reading the course folder {}", self.folder.display()))?
                .path();
            let is_yaml = path
                .extension()
                .is_some_and(|end| end == "yaml" || end == "yml");
            let Some(stem) = path.file_stem().and_then(|stem| stem.to_str()) else {
                continue;
            };
            if !is_yaml || stem.starts_with('.') {
                continue;
            }
            match CourseId::parse(stem) {
                Some(id) => found.push((id, path.clone())),
                None => problems.push(Problem {
                    file: path.clone(),
                    line: None,
                    column: None,
                    message: "the file's name is the id of the course: lower-case letters, digits, `-`, `_` and `.`".into(),
                }),
            }
        }
        found.sort();
        Ok(found)
    }

    /// Looks again and again until shutdown.
    pub async fn follow(self, shutdown: CancellationToken) {
        let mut tick = tokio::time::interval(LOOK_EVERY);
        loop {
            tokio::select! {
                () = shutdown.cancelled() => return,
                _ = tick.tick() => {}
            }
            let shelf = self.clone();
            let looked = tokio::task::spawn_blocking(move || shelf.look()).await;
            if let Ok(Err(error)) = looked {
                tracing::warn!(
                    error = format!("{error:#}"),
                    "could not look for changed courses"
                );
            }
        }
    }

    /// The courses a person sees, by id.
    pub fn seen_by(&self, user: &UserName, groups: &[String]) -> Vec<Seen> {
        let state = self.state.load();
        let mut seen = Vec::new();
        for (id, entry) in &state.files {
            let Some(course) = &entry.course else {
                continue;
            };
            let roles = course.roles_of(user, groups);
            if course.shows(&roles) {
                seen.push(Seen {
                    id: id.clone(),
                    course: course.clone(),
                    roles,
                });
            }
        }
        seen
    }

    /// What a person is in the courses that she belongs to, whether she sees them or not. Of those that
    /// are archived nothing follows any more.
    pub fn roles_of(&self, user: &UserName, groups: &[String]) -> Vec<(CourseId, Vec<Role>)> {
        let state = self.state.load();
        let courses = state.files.iter().filter_map(|(id, entry)| {
            let course = entry.course.as_ref()?;
            let lives = course.visible != Visibility::Archived;
            let roles = course.roles_of(user, groups);
            (lives && !roles.is_empty()).then(|| (id.clone(), roles))
        });
        courses.collect()
    }

    /// The next meetings to which many come, with their courses, in no order.
    pub fn meetings(
        &self,
        zone: &TimeZone,
        now: Timestamp,
    ) -> Vec<(CourseId, Arc<Course>, u32, Window)> {
        let state = self.state.load();
        let courses = state.files.iter().filter_map(|(id, entry)| {
            let course = entry.course.as_ref()?;
            (course.visible != Visibility::Archived).then_some((id, course))
        });
        let meetings = courses.flat_map(|(id, course)| {
            course.schedule.iter().filter_map(move |meeting| {
                let window = meeting.next(zone, now)?;
                Some((id.clone(), course.clone(), meeting.people.0, window))
            })
        });
        meetings.collect()
    }

    pub fn problems(&self) -> Vec<Problem> {
        self.state.load().problems.clone()
    }
}

fn read(path: &Path, size: u64) -> Result<Course, Problem> {
    let problem = |message: String| Problem {
        file: path.to_owned(),
        line: None,
        column: None,
        message,
    };
    if size > FILE_LIMIT {
        return Err(problem(
            "is larger than 1 MB; a course file is a page or two".into(),
        ));
    }
    let text = std::fs::read_to_string(path)
        .map_err(|error| problem(format!("can't be read: {error}")))?;
    read_course(path, &text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ids(shelf: &Shelf, user: &str) -> Vec<String> {
        let user = UserName::parse(user).expect("a good name");
        shelf
            .seen_by(&user, &[])
            .into_iter()
            .map(|seen| format!("{} {}", seen.id, seen.course.title))
            .collect()
    }

    #[test]
    fn a_bad_edit_changes_nothing() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("signals.yaml");
        std::fs::write(&file, "title: Signals\npeople: {students: [ada]}\n").expect("written");
        let shelf = Shelf::open(folder.path()).expect("opened");
        assert_eq!(ids(&shelf, "ada"), ["signals Signals"]);
        assert_eq!(ids(&shelf, "ben"), [""; 0]);

        std::fs::write(&file, "title: Signals!\npeopel: {}\n").expect("written");
        assert!(shelf.look().expect("looked"));
        assert_eq!(ids(&shelf, "ada"), ["signals Signals"]);
        assert_eq!(shelf.problems().len(), 1);

        std::fs::write(&file, "title: Signals and Systems\nvisible: listed\n").expect("written");
        assert!(shelf.look().expect("looked"));
        assert_eq!(ids(&shelf, "ben"), ["signals Signals and Systems"]);
        assert!(shelf.problems().is_empty());
        assert!(!shelf.look().expect("looked"));

        std::fs::remove_file(&file).expect("removed");
        assert!(shelf.look().expect("looked"));
        assert!(ids(&shelf, "ada").is_empty());
    }

    #[test]
    fn names_of_files_are_checked() {
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::write(folder.path().join("Bad Name.yaml"), "title: x\n").expect("written");
        std::fs::write(folder.path().join("notes.txt"), "x").expect("written");
        let shelf = Shelf::open(folder.path()).expect("opened");
        assert_eq!(shelf.problems().len(), 1);
    }
}
