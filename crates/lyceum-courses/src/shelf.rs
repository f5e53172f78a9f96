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
use lyceum_written::{Problem, Problems};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::course::{Course, CourseId, Role, Visibility, Who};
use crate::read::{FILE_LIMIT, Site, read_course};
use crate::schedule::Window;

const LOOK_EVERY: Duration = Duration::from_secs(2);
/// More files than this in one folder are a mistake.
const FILES_MAX: usize = 20_000;

/// The courses in force. Cheap to clone.
#[derive(Clone)]
pub struct Shelf {
    folder: PathBuf,
    state: Arc<ArcSwap<State>>,
    site: Arc<ArcSwap<Site>>,
    /// Counts how often anything changed.
    changes: watch::Sender<u64>,
}

#[derive(Default)]
struct State {
    files: BTreeMap<CourseId, Entry>,
    /// Of all files.
    problems: Vec<Problem>,
    /// Of files that are no course's, which stand first in `problems`.
    left_out: usize,
    /// With what the files were read.
    site: Arc<Site>,
}

#[derive(Clone)]
struct Entry {
    stamp: Stamp,
    /// The last good version; `None` when there has been none.
    course: Option<Arc<Course>>,
    /// When that version was written, if the file system says so.
    written: Option<SystemTime>,
    /// Whether it is what the file says now.
    is_newest: bool,
    problems: Vec<Problem>,
}

#[derive(Clone, PartialEq, Eq)]
struct Stamp {
    /// Of the two that one course can have.
    path: PathBuf,
    changed: Option<SystemTime>,
    size: u64,
}

/// A file in which something is wrong, and what comes of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Faulty {
    /// None where the file is that of no course.
    pub course: Option<CourseId>,
    /// At least one, all of this file.
    pub problems: Vec<Problem>,
    pub holds: Holds,
}

/// What holds although something is wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Holds {
    Nothing,
    /// The last good version, and when it was written if the file system says so.
    Earlier(Option<SystemTime>),
    /// All else in the file.
    Rest,
}

impl Entry {
    fn holds(&self) -> Holds {
        match (self.is_newest, &self.course) {
            (true, _) => Holds::Rest,
            (false, Some(_)) => Holds::Earlier(self.written),
            (false, None) => Holds::Nothing,
        }
    }
}

/// A course with what this person is in it.
pub struct Seen {
    pub id: CourseId,
    pub course: Arc<Course>,
    pub roles: Vec<Role>,
}

impl Shelf {
    /// Reads the folder once. A folder that isn't there is an empty one.
    pub fn open(folder: &Path, site: Site) -> anyhow::Result<Self> {
        let shelf = Self {
            folder: folder.to_owned(),
            state: Arc::default(),
            site: Arc::new(ArcSwap::from_pointee(site)),
            changes: watch::Sender::default(),
        };
        shelf.look()?;
        Ok(shelf)
    }

    /// Wakes whoever waits whenever something has changed.
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    /// Looks for changed files; a bad one keeps its last good version. Tells whether anything changed.
    pub fn look(&self) -> anyhow::Result<bool> {
        let before = self.state.load_full();
        let site = self.site.load_full();
        let same = site == before.site;
        let mut files = BTreeMap::new();
        let mut problems = Vec::new();
        let mut changed = false;
        let listed = self.list(&mut problems)?;
        anyhow::ensure!(
            self.folder.is_dir() || before.files.is_empty(),
            "the course folder {} is gone; what was in it stays in force until it is back",
            self.folder.display()
        );
        for problem in &problems {
            // Told once, however often the folder is looked at.
            if !before.problems.contains(problem) {
                tracing::warn!(%problem, "a file in the course folder is left out");
            }
        }
        let left_out = problems.len();
        for (id, path) in listed {
            let meta = match path.metadata() {
                Ok(meta) => meta,
                // Gone between listing and looking.
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
                // There, and not to be looked at just now: nothing is known to be different.
                Err(error) => {
                    let path = path.display();
                    tracing::warn!(%path, %error, "a course file can't be looked at; its last version stays");
                    if let Some(entry) = before.files.get(&id) {
                        problems.extend(entry.problems.iter().cloned());
                        files.insert(id, entry.clone());
                    }
                    continue;
                }
            };
            let stamp = Stamp {
                path: path.clone(),
                changed: meta.modified().ok(),
                size: meta.len(),
            };
            let earlier = before.files.get(&id);
            let entry = match earlier {
                Some(entry) if same && entry.stamp == stamp => entry.clone(),
                _ => {
                    changed = true;
                    let read = read(&path, meta.len(), &site);
                    let is_newest = read.is_ok();
                    let (course, problems) = match read {
                        Ok(mut course) => {
                            let found = give_way(&id, &path, &mut course, &site.services);
                            let is_told = earlier.is_some_and(|entry| entry.problems == found);
                            for problem in found.iter().filter(|_| !is_told) {
                                tracing::warn!(%problem, "a course has no server of its own");
                            }
                            (Some(Arc::new(course)), found)
                        }
                        Err(problems) => {
                            // What was told already is not told again with each change elsewhere.
                            if earlier.is_none_or(|entry| entry.problems != problems.0) {
                                tracing::warn!(%problems, "a course file has a mistake; its last good version, if there was one, stays in force");
                            }
                            (earlier.and_then(|entry| entry.course.clone()), problems.0)
                        }
                    };
                    let written = match is_newest {
                        true => stamp.changed,
                        false => earlier.and_then(|entry| entry.written),
                    };
                    Entry {
                        stamp,
                        course,
                        written,
                        is_newest,
                        problems,
                    }
                }
            };
            problems.extend(entry.problems.iter().cloned());
            files.insert(id, entry);
        }
        changed |= !same || files.len() != before.files.len() || problems != before.problems;
        if changed {
            self.state.store(Arc::new(State {
                files,
                problems,
                left_out,
                site,
            }));
            self.changes.send_modify(|count| *count += 1);
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
                None => problems.push(no_id(&path)),
            }
        }
        found.sort();
        let mut files: Vec<(CourseId, PathBuf)> = Vec::new();
        for (id, path) in found {
            match files.last() {
                Some((earlier, holds)) if *earlier == id => problems.push(Problem {
                    file: path.display().to_string(),
                    place: None,
                    message: format!(
                        "is a second file of the course `{id}`, for which {} holds; remove one of both",
                        holds.display()
                    ),
                }),
                _ => files.push((id, path)),
            }
        }
        // The system lists a folder in no order.
        problems.sort_by(|one, other| one.file.cmp(&other.file));
        Ok(files)
    }

    /// The configuration has this from now on; files are held against it at the next look.
    pub fn set_site(&self, site: Site) {
        if **self.site.load() != site {
            self.site.store(Arc::new(site));
        }
    }

    /// In which moments are written.
    pub fn zone(&self) -> TimeZone {
        self.site.load().zone.clone()
    }

    /// Whether the file of this course never could be read.
    pub fn is_unclear(&self, id: &CourseId) -> bool {
        let state = self.state.load();
        state
            .files
            .get(id)
            .is_some_and(|entry| entry.course.is_none())
    }

    /// A course, whatever has become of it.
    pub fn course(&self, id: &CourseId) -> Option<Arc<Course>> {
        self.state.load().files.get(id)?.course.clone()
    }

    /// The ids of all courses.
    pub fn ids(&self) -> Vec<CourseId> {
        self.state.load().files.keys().cloned().collect()
    }

    /// Courses whose files never could be read, so that nobody knows what they want.
    pub fn unclear(&self) -> Vec<CourseId> {
        let state = self.state.load();
        let unread = state
            .files
            .iter()
            .filter(|(_, entry)| entry.course.is_none());
        unread.map(|(id, _)| id.clone()).collect()
    }

    /// The courses that have a server of their own, and who opens it.
    pub fn servers(&self) -> Vec<(CourseId, Arc<Course>, Vec<Who>)> {
        let state = self.state.load();
        let courses = state.files.iter().filter_map(|(id, entry)| {
            let course = entry.course.as_ref()?;
            let (_, openers) = course.open_server()?;
            let openers = openers.into_iter().cloned().collect();
            Some((id.clone(), course.clone(), openers))
        });
        courses.collect()
    }

    /// What is wrong with the file of a course.
    pub fn problems_of(&self, id: &CourseId) -> Vec<Problem> {
        let state = self.state.load();
        let entry = state.files.get(id);
        entry.map_or_else(Vec::new, |entry| entry.problems.clone())
    }

    /// A course, unless it is archived.
    pub fn find(&self, id: &CourseId) -> Option<Arc<Course>> {
        let course = self.course(id)?;
        (course.visible != Visibility::Archived).then_some(course)
    }

    /// The course and as what somebody may start a server for it; what she may not use looks like what
    /// does not exist.
    pub fn starts(
        &self,
        user: &UserName,
        groups: &[String],
        id: &CourseId,
    ) -> Option<(Arc<Course>, Role)> {
        let course = self.find(id)?;
        let role = course.starts_as(&course.roles_of(user, groups))?;
        Some((course, role))
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

    /// The same by file: first those of no course, then by course.
    pub fn faulty(&self) -> Vec<Faulty> {
        let state = self.state.load();
        let left_out = state.problems.iter().take(state.left_out);
        let left_out = left_out.map(|problem| Faulty {
            course: None,
            problems: vec![problem.clone()],
            holds: Holds::Nothing,
        });
        let faulty = |(_, entry): &(&CourseId, &Entry)| !entry.problems.is_empty();
        let of_courses = state.files.iter().filter(faulty);
        let of_courses = of_courses.map(|(id, entry)| Faulty {
            course: Some(id.clone()),
            problems: entry.problems.clone(),
            holds: entry.holds(),
        });
        left_out.chain(of_courses).collect()
    }
}

/// What is wrong with a file whose name is no id.
pub fn no_id(file: &Path) -> Problem {
    Problem {
        file: file.display().to_string(),
        place: None,
        message: "the file's name is the id of the course: lower-case letters, digits, `-`, `_` and `.`, a letter or digit first, at most 64 characters, then `.yaml`".into(),
    }
}

/// A service of the same name stands where the server of this course would be found: the course goes
/// on without.
pub fn give_way(
    id: &CourseId,
    file: &Path,
    course: &mut Course,
    services: &[String],
) -> Vec<Problem> {
    let is_taken = services.iter().any(|service| service == id.as_str());
    if !is_taken || course.server.take().is_none() {
        return Vec::new();
    }
    vec![Problem {
        file: file.display().to_string(),
        place: None,
        message: format!(
            "`server`: the configuration has a service `{id}`, which is found at /services/{id}/ where this course's server would be; call one of both otherwise, or write `server: false`"
        ),
    }]
}

fn read(path: &Path, size: u64, site: &Site) -> Result<Course, Problems> {
    let problem = |message: String| {
        Problems(vec![Problem {
            file: path.display().to_string(),
            place: None,
            message,
        }])
    };
    if size > FILE_LIMIT {
        return Err(problem(
            "is larger than 1 MB; a course file is a page or two".into(),
        ));
    }
    let text = std::fs::read_to_string(path)
        .map_err(|error| problem(format!("can't be read: {error}")))?;
    read_course(path, &text, site)
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

    fn having(environments: &[&str], services: &[&str]) -> Site {
        let owned = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        Site {
            environments: owned(environments),
            services: owned(services),
            ..Site::default()
        }
    }

    #[test]
    fn a_bad_edit_changes_nothing() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("signals.yaml");
        std::fs::write(&file, "title: Signals\npeople: {students: [ada]}\n").expect("written");
        let shelf = Shelf::open(folder.path(), Site::default()).expect("opened");
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

    /// The file is as it was; what it names is gone, and comes back.
    #[test]
    fn an_environment_that_goes_is_a_mistake_of_the_courses_that_use_it() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("signals.yaml");
        let text = "title: Signals\npeople: {students: [ada]}\nenvironment: {use: python}\n";
        std::fs::write(&file, text).expect("written");
        let shelf = Shelf::open(folder.path(), having(&["python"], &[])).expect("opened");
        assert!(shelf.problems().is_empty(), "{:?}", shelf.problems());
        shelf.set_site(having(&["r"], &[]));
        assert!(shelf.look().expect("looked"));
        assert_eq!(shelf.problems().len(), 1);
        assert_eq!(ids(&shelf, "ada"), ["signals Signals"]);
        assert!(!shelf.look().expect("looked"));
        shelf.set_site(having(&["python", "r"], &[]));
        assert!(shelf.look().expect("looked"));
        assert!(shelf.problems().is_empty(), "{:?}", shelf.problems());
    }

    #[test]
    fn moments_are_read_anew_in_another_time_zone() {
        let folder = tempfile::tempdir().expect("a folder");
        let text = "title: A\nassignments: {ps1: {due: 2026-10-01 18:00}}\n";
        std::fs::write(folder.path().join("bio.yaml"), text).expect("written");
        let shelf = Shelf::open(folder.path(), Site::default()).expect("opened");
        let due = || {
            let id = CourseId::parse("bio").expect("an id");
            let course = shelf.course(&id).expect("there");
            course.assignments["ps1"]
                .terms
                .expect("terms")
                .due
                .to_string()
        };
        assert_eq!(due(), "2026-10-01T18:00:00Z");
        shelf.set_site(Site {
            zone: TimeZone::get("Europe/Berlin").expect("the zone"),
            ..Site::default()
        });
        assert!(shelf.look().expect("looked"));
        assert_eq!(due(), "2026-10-01T16:00:00Z");
    }

    #[test]
    fn of_two_files_of_one_course_the_first_holds() {
        let folder = tempfile::tempdir().expect("a folder");
        let write = |name: &str, title: &str| {
            let text = format!("title: {title}\nvisible: listed\n");
            std::fs::write(folder.path().join(name), text).expect("written");
        };
        write("bio.yml", "Second");
        write("bio.yaml", "The first");
        let shelf = Shelf::open(folder.path(), Site::default()).expect("opened");
        assert_eq!(ids(&shelf, "ada"), ["bio The first"]);
        let problems = shelf.problems();
        assert_eq!(problems.len(), 1, "{problems:?}");
        let problem = &problems[0];
        assert!(problem.file.ends_with("bio.yml"), "{problem}");
        assert!(problem.message.contains("bio.yaml holds"), "{problem}");
        // Neither is read again and again.
        assert!(!shelf.look().expect("looked"));
        std::fs::remove_file(folder.path().join("bio.yaml")).expect("removed");
        assert!(shelf.look().expect("looked"));
        assert_eq!(ids(&shelf, "ada"), ["bio Second"]);
        assert!(shelf.problems().is_empty(), "{:?}", shelf.problems());
    }

    #[test]
    fn a_service_of_the_same_name_comes_before_the_server_of_a_course() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("bio.yaml");
        let text = "title: Biology\npeople: {teachers: [ada], graders: [ben]}\nserver: true\n";
        std::fs::write(&file, text).expect("written");
        let shelf = Shelf::open(folder.path(), Site::default()).expect("opened");
        let changes = shelf.changes();
        let openers = |shelf: &Shelf| -> Vec<String> {
            let servers = shelf.servers().into_iter();
            servers
                .flat_map(|(id, _, who)| who.into_iter().map(move |who| format!("{id} {who}")))
                .collect()
        };
        assert_eq!(openers(&shelf), ["bio ada", "bio ben"]);
        shelf.set_site(having(&[], &["bio"]));
        assert!(shelf.look().expect("looked"));
        assert!(changes.has_changed().expect("there"));
        assert!(openers(&shelf).is_empty());
        assert_eq!(ids(&shelf, "ada"), ["bio Biology"]);
        let problems = shelf.problems();
        assert_eq!(problems.len(), 1, "{problems:?}");
        assert!(
            problems[0].message.contains("a service `bio`"),
            "{problems:?}"
        );
        assert!(!shelf.look().expect("looked"));
        shelf.set_site(Site::default());
        assert!(shelf.look().expect("looked"));
        assert_eq!(openers(&shelf), ["bio ada", "bio ben"]);
        std::fs::write(&file, format!("{text}visible: archived\n")).expect("written");
        assert!(shelf.look().expect("looked"));
        assert!(openers(&shelf).is_empty() && shelf.unclear().is_empty());
        std::fs::write(folder.path().join("art.yaml"), "title: [").expect("written");
        assert!(shelf.look().expect("looked"));
        let unclear: Vec<String> = shelf.unclear().iter().map(ToString::to_string).collect();
        assert_eq!(unclear, ["art"]);
    }

    #[test]
    fn of_each_faulty_file_it_is_told_what_holds_meanwhile() {
        let folder = tempfile::tempdir().expect("a folder");
        let write = |name: &str, text: &str| {
            std::fs::write(folder.path().join(name), text).expect("written");
        };
        write("art.yaml", "title: [");
        write("bio.yaml", "title: Biology\nserver: true\n");
        write("chem.yaml", "title: Chemistry\n");
        write("No Id.yaml", "title: x\n");
        let site = having(&[], &["bio"]);
        let shelf = Shelf::open(folder.path(), site).expect("opened");
        let told = || -> Vec<(String, Holds)> {
            let all = shelf.faulty().into_iter();
            all.map(|one| {
                let course = one.course.map(|id| id.to_string());
                (course.unwrap_or_default(), one.holds)
            })
            .collect()
        };
        let mut expect = vec![
            (String::new(), Holds::Nothing),
            ("art".to_owned(), Holds::Nothing),
            ("bio".to_owned(), Holds::Rest),
        ];
        assert_eq!(told(), expect);
        let chem = folder.path().join("chem.yaml");
        let written = chem.metadata().expect("there").modified().expect("known");
        write("chem.yaml", "title: Chemistry\ntilte: x\n");
        assert!(shelf.look().expect("looked"));
        expect.push(("chem".to_owned(), Holds::Earlier(Some(written))));
        assert_eq!(told(), expect);
        // Another mistake makes no other version the last good one.
        write("chem.yaml", "title: Chemistry\nabc: 1\nxyz: 2\n");
        assert!(shelf.look().expect("looked"));
        assert_eq!(told(), expect);
        write("chem.yaml", "title: Chemistry of all\n");
        assert!(shelf.look().expect("looked"));
        expect.truncate(3);
        assert_eq!(told(), expect);
    }

    #[test]
    fn names_of_files_are_checked() {
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::write(folder.path().join("Bad Name.yaml"), "title: x\n").expect("written");
        std::fs::write(folder.path().join("notes.txt"), "x").expect("written");
        let shelf = Shelf::open(folder.path(), Site::default()).expect("opened");
        assert_eq!(shelf.problems().len(), 1);
    }
}
