//! The folder of course files, followed while the program runs.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use arc_swap::ArcSwap;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use lyceum_model::name::UserName;
use lyceum_written::Problem;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::course::{Course, CourseId, Role, Who};
use crate::read::{FILE_LIMIT, Site, read_with};
use crate::roster::{Known, Rosters};
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

#[derive(Clone, Default)]
struct State {
    files: BTreeMap<CourseId, Entry>,
    /// Of all files.
    problems: Vec<Problem>,
    /// Of files that are no course's, which stand first in `problems`.
    left_out: usize,
    /// Why the folder could not be read when it was looked at last.
    folder: Option<Problem>,
    /// With what the files were read.
    site: Arc<Site>,
}

#[derive(Clone, PartialEq)]
struct Entry {
    /// Of what was read; `None` while the file can't be, so that it is tried again at each look.
    stamp: Option<Stamp>,
    /// The last good version; `None` when there has been none.
    course: Option<Arc<Course>>,
    /// When that version was written, if the file system says so.
    written: Option<SystemTime>,
    /// Whether it is what the file says now.
    is_newest: bool,
    problems: Vec<Problem>,
    /// The files with people that it names.
    rosters: Known,
}

#[derive(Clone, PartialEq, Eq)]
struct Stamp {
    /// Of the two that one course can have.
    path: PathBuf,
    changed: Option<SystemTime>,
    size: u64,
}

/// A file in which something is wrong, or the folder of all, and what comes of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Faulty {
    /// None where the file is that of no course, and of the folder.
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
    /// The last good versions of all files: the folder itself can't be read.
    AllEarlier,
    /// All else in the file.
    Rest,
}

impl Entry {
    /// What the file says now, if that is good.
    fn read(
        id: &CourseId,
        stamp: Stamp,
        earlier: Option<&Self>,
        site: &Site,
    ) -> Result<Self, Problem> {
        let path = &stamp.path;
        let text = text_of(path, stamp.size)?;
        let known = earlier.map(|entry| &entry.rosters);
        let mut rosters = Rosters::beside(path, known);
        let read = read_with(path, &text, site, &mut rosters);
        let is_newest = read.is_ok();
        let (of_rosters, rosters) = match is_newest {
            true => rosters.done_whole(),
            false => rosters.done(),
        };
        // What was told already is not told again with each change elsewhere.
        let is_told =
            |problem: &Problem| earlier.is_some_and(|entry| entry.problems.contains(problem));
        for problem in of_rosters.iter().filter(|problem| !is_told(problem)) {
            tracing::warn!(%problem, "a list of people of a course has a mistake; all else in it counts");
        }
        let (course, mut problems) = match read {
            Ok(mut course) => {
                let found = give_way(id, path, &mut course, &site.services);
                for problem in found.iter().filter(|problem| !is_told(problem)) {
                    tracing::warn!(%problem, "a course has no server of its own");
                }
                (Some(Arc::new(course)), found)
            }
            Err(problems) => {
                if !problems.0.iter().all(is_told) {
                    tracing::warn!(%problems, "a course file has a mistake; its last good version, if there was one, stays in force");
                }
                (earlier.and_then(|entry| entry.course.clone()), problems.0)
            }
        };
        problems.extend(of_rosters);
        let written = match is_newest {
            true => stamp.changed,
            false => earlier.and_then(|entry| entry.written),
        };
        Ok(Self {
            stamp: Some(stamp),
            course,
            written,
            is_newest,
            problems,
            rosters,
        })
    }

    /// Whether file and rosters are as they were read.
    fn is_current(&self, stamp: &Stamp) -> bool {
        let folder = stamp.path.parent().unwrap_or(Path::new("."));
        self.stamp.as_ref() == Some(stamp) && self.rosters.is_current(folder)
    }

    /// What holds while the file is there and can't be read.
    fn kept(earlier: Option<&Self>, problem: Problem) -> Self {
        if earlier.is_none_or(|entry| !entry.problems.contains(&problem)) {
            tracing::warn!(%problem, "a course file can't be read; its last good version, if there was one, stays in force");
        }
        Self {
            stamp: None,
            course: earlier.and_then(|entry| entry.course.clone()),
            written: earlier.and_then(|entry| entry.written),
            is_newest: false,
            problems: vec![problem],
            rosters: earlier
                .map(|entry| entry.rosters.clone())
                .unwrap_or_default(),
        }
    }

    /// By file: its own, and its rosters of which all that can be read counts.
    fn faulty(&self, id: &CourseId) -> Vec<Faulty> {
        let of_one = self.problems.chunk_by(|one, next| one.file == next.file);
        let faulty = of_one.map(|problems| Faulty {
            course: Some(id.clone()),
            problems: problems.to_vec(),
            holds: match problems.iter().any(is_of_roster) {
                true => Holds::Rest,
                false => self.holds(),
            },
        });
        faulty.collect()
    }

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

    /// Looks for changed files; a bad one keeps its last good version, and a folder that can't be read
    /// those of all. Tells whether anything changed.
    pub fn look(&self) -> anyhow::Result<bool> {
        let before = self.state.load_full();
        let site = self.site.load_full();
        let same = site == before.site;
        let mut files = BTreeMap::new();
        let mut problems = Vec::new();
        let mut changed = false;
        let listed = match self.list(&mut problems) {
            Ok(Some(listed)) => listed,
            // A site without courses may have no folder for them.
            Ok(None) if before.files.is_empty() => Vec::new(),
            Ok(None) => return Err(self.keep_all(&before, "is gone; put it back".into())),
            Err(error) => return Err(self.keep_all(&before, format!("can't be read: {error}"))),
        };
        for problem in &problems {
            // Told once, however often the folder is looked at.
            if !before.problems.contains(problem) {
                tracing::warn!(%problem, "a file in the course folder is left out");
            }
        }
        let left_out = problems.len();
        for (id, path) in listed {
            let earlier = before.files.get(&id);
            let entry = match stamp_of(&path) {
                Ok(None) => continue,
                Ok(Some(stamp)) => match earlier {
                    Some(entry) if same && entry.is_current(&stamp) => Ok(entry.clone()),
                    // A roster that can't be read is tried again and again.
                    _ => Entry::read(&id, stamp, earlier, &site)
                        .inspect(|entry| changed |= earlier != Some(entry)),
                },
                Err(problem) => Err(problem),
            };
            let entry = entry.unwrap_or_else(|problem| Entry::kept(earlier, problem));
            problems.extend(entry.problems.iter().cloned());
            files.insert(id, entry);
        }
        changed |= !same || files.len() != before.files.len() || problems != before.problems;
        changed |= before.folder.is_some();
        if changed {
            self.state.store(Arc::new(State {
                files,
                problems,
                left_out,
                folder: None,
                site,
            }));
            self.changes.send_modify(|count| *count += 1);
        }
        Ok(changed)
    }

    /// The folder can't be read: all that was read stays as it is, and why is told. No course is another.
    fn keep_all(&self, before: &State, message: String) -> anyhow::Error {
        let problem = whole(&self.folder, message);
        let error = anyhow::anyhow!("the course folder {problem}");
        if before.folder.as_ref() != Some(&problem) {
            self.state.store(Arc::new(State {
                folder: Some(problem),
                ..before.clone()
            }));
        }
        error
    }

    /// The files of courses by id; none where there is no folder.
    fn list(&self, problems: &mut Vec<Problem>) -> io::Result<Option<Vec<(CourseId, PathBuf)>>> {
        let entries = match std::fs::read_dir(&self.folder) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let mut found = Vec::new();
        for entry in entries.take(FILES_MAX) {
            let path = entry?.path();
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
        Ok(Some(files))
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

    /// Whether what the file of this course says now is in force, whatever is wrong beside it.
    pub fn is_newest(&self, id: &CourseId) -> bool {
        let state = self.state.load();
        let entry = state.files.get(id);
        state.folder.is_none() && entry.is_some_and(|entry| entry.is_newest)
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
        (!course.is_archived()).then_some(course)
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
        let mut failing = None;
        loop {
            tokio::select! {
                () = shutdown.cancelled() => return,
                _ = tick.tick() => {}
            }
            let shelf = self.clone();
            let looked = tokio::task::spawn_blocking(move || shelf.look()).await;
            // Told once, however often the folder is looked at.
            match looked {
                Ok(Err(error)) => {
                    let error = Some(format!("{error:#}"));
                    if failing != error {
                        tracing::warn!(
                            error,
                            "could not look for changed courses; what was read stays in force"
                        );
                        failing = error;
                    }
                }
                Ok(Ok(_)) if failing.take().is_some() => {
                    tracing::info!("the course folder can be read again");
                }
                Ok(Ok(_)) | Err(_) => {}
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
            let roles = course.roles_of(user, groups);
            (!course.is_archived() && !roles.is_empty()).then(|| (id.clone(), roles))
        });
        courses.collect()
    }

    /// The courses that name this group as their people; of those that are archived nothing follows.
    pub fn naming_group(&self, group: &str) -> Vec<CourseId> {
        let state = self.state.load();
        let names = |course: &Course| {
            let mut roles = Role::ALL.into_iter();
            roles.any(|role| course.names_group(role, group))
        };
        let courses = state.files.iter().filter_map(|(id, entry)| {
            let course = entry.course.as_ref()?;
            (!course.is_archived() && names(course)).then(|| id.clone())
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
            (!course.is_archived()).then_some((id, course))
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
        let state = self.state.load();
        state
            .folder
            .iter()
            .chain(&state.problems)
            .cloned()
            .collect()
    }

    /// The same by file: first the folder itself, then those of no course, then by course.
    pub fn faulty(&self) -> Vec<Faulty> {
        let state = self.state.load();
        let folder = state.folder.iter().map(|problem| Faulty {
            course: None,
            problems: vec![problem.clone()],
            holds: Holds::AllEarlier,
        });
        let left_out = state.problems.iter().take(state.left_out);
        let left_out = left_out.map(|problem| Faulty {
            course: None,
            problems: vec![problem.clone()],
            holds: Holds::Nothing,
        });
        let faulty = |(_, entry): &(&CourseId, &Entry)| !entry.problems.is_empty();
        let of_courses = state.files.iter().filter(faulty);
        let of_courses = of_courses.flat_map(|(id, entry)| entry.faulty(id));
        folder.chain(left_out).chain(of_courses).collect()
    }
}

/// Whether something is wrong in a file with people, not in the course file that names it.
pub fn is_of_roster(problem: &Problem) -> bool {
    !problem.file.ends_with(".yaml") && !problem.file.ends_with(".yml")
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
    let key = if course.formgrader {
        "formgrader"
    } else {
        "server"
    };
    vec![Problem {
        file: file.display().to_string(),
        place: None,
        message: format!(
            "`{key}`: the configuration has a service `{id}`, which is found at /services/{id}/ where this course's server would be; call one of both otherwise, or write `{key}: false`"
        ),
    }]
}

/// None: gone between listing and looking.
fn stamp_of(path: &Path) -> Result<Option<Stamp>, Problem> {
    match path.metadata() {
        Ok(meta) => Ok(Some(Stamp {
            path: path.to_owned(),
            changed: meta.modified().ok(),
            size: meta.len(),
        })),
        // A link that leads nowhere is there all the same.
        Err(error)
            if error.kind() == io::ErrorKind::NotFound && path.symlink_metadata().is_err() =>
        {
            Ok(None)
        }
        Err(error) => Err(whole(path, format!("can't be read: {error}"))),
    }
}

fn text_of(path: &Path, size: u64) -> Result<String, Problem> {
    if size > FILE_LIMIT {
        let message = "is larger than 1 MB; a course file is a page or two";
        return Err(whole(path, message.into()));
    }
    let text = std::fs::read_to_string(path);
    text.map_err(|error| whole(path, format!("can't be read: {error}")))
}

/// What is wrong with a file, at no place in it.
fn whole(path: &Path, message: String) -> Problem {
    Problem {
        file: path.display().to_string(),
        place: None,
        message,
    }
}

#[cfg(test)]
mod tests;
