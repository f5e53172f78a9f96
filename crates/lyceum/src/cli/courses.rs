//! `lyceum course …`: course files, looked at and put in place from the command line. A course is its file.
//! What the exchange keeps of a course without one can be removed ([`remove`]).

mod change;
mod remove;
mod rules;

use std::ffi::OsStr;
use std::io::Read;
use std::path::{Path, PathBuf};

use clap::Subcommand;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use lyceum_courses::course::RawCourse;
use lyceum_courses::read::{FILE_LIMIT, read_with};
use lyceum_courses::roll_over::Wish;
use lyceum_courses::roster::{Known, Rosters};
use lyceum_courses::schedule::Meeting;
use lyceum_courses::shelf::{give_way, no_id};
use lyceum_courses::{Course, CourseId, Shelf};
use lyceum_model::who::Who;
use serde_json::{Value, json};

use super::explain::{course_id, unknown};
use super::{ConfigArgs, DataArgs, Outcome, guarantees, print, print_json};
use crate::compose;
use crate::config::{Config, Loaded, Problem, Problems};
use crate::data::Layout;
use crate::failure::Failure;

/// List, check and show courses, which are files in the data folder; remove what is kept of one.
#[derive(Debug, Subcommand)]
pub enum CourseCommand {
    /// List the courses.
    List {
        #[command(flatten)]
        data: DataArgs,
        #[command(flatten)]
        config: ConfigArgs,
        /// Print JSON, for machines.
        #[arg(long)]
        json: bool,
    },
    /// Say everything that is wrong in course files, with its place.
    #[command(
        after_help = "Exit code 3 when there are problems.\n\nExamples:\n  lyceum course check\n  lyceum course check signals-2026\n  lyceum course check drafts/signals-2026.yaml"
    )]
    Check {
        /// The files to check, wherever they are, or ids of courses of the data folder. Left out: all of
        /// the data folder.
        files: Vec<PathBuf>,
        #[command(flatten)]
        data: DataArgs,
        #[command(flatten)]
        config: ConfigArgs,
        /// Print JSON, for machines.
        #[arg(long)]
        json: bool,
    },
    /// Show a course: its people, what it starts, the rules of its assignments, and when room is made for its meetings.
    #[command(after_help = "Example:\n  lyceum course show signals-2026")]
    Show {
        /// Its id.
        #[arg(value_parser = course_id)]
        course: CourseId,
        #[command(flatten)]
        data: DataArgs,
        #[command(flatten)]
        config: ConfigArgs,
        /// Print JSON, for machines.
        #[arg(long)]
        json: bool,
    },
    /// Put all that was handed out, handed in and given back in a course into an archive, and remove it.
    #[command(
        after_help = "For courses without a file: take the file away first. Lyceum may run meanwhile. `lyceum exchange verify \
                      --archive FILE` checks the archive.\n\n\
                      Examples:\n  lyceum course remove bio\n  lyceum course remove bio --confirm bio --to /backup/courses"
    )]
    Remove(remove::RemoveArgs),
    /// Check course files and put them in place, with the lists of people beside them that they name.
    #[command(
        after_help = "Nothing is changed unless all of them are good; exit code 3 when one is not. Courses that are not among them stay as they are.\n\nExamples:\n  lyceum course apply drafts/signals-2026.yaml\n  lyceum course apply drafts/"
    )]
    Apply {
        /// Files, or folders with files.
        #[arg(required = true)]
        files: Vec<PathBuf>,
        #[command(flatten)]
        data: DataArgs,
        #[command(flatten)]
        config: ConfigArgs,
    },
    /// Archive a course: its people see it and what is in it, and nothing changes any more.
    #[command(
        after_help = "Writes `visible: archived` into its file and touches nothing else there.\n\nExample:\n  lyceum course archive signals-2026"
    )]
    Archive {
        /// Its id.
        #[arg(value_parser = course_id)]
        course: CourseId,
        #[command(flatten)]
        data: DataArgs,
        #[command(flatten)]
        config: ConfigArgs,
    },
    /// Make the next term's course of this one: teachers stay, all other people and lists of people go.
    #[command(
        name = "roll-over",
        after_help = "What was left out is told. The old course stays as it is; `lyceum course archive` archives it.\n\nExample:\n  lyceum course roll-over signals-2026 signals-2027 --term 'autumn 2027' --shift 52w"
    )]
    RollOver {
        /// The id of the old course.
        #[arg(value_parser = course_id)]
        course: CourseId,
        /// The id of the new one.
        #[arg(value_parser = course_id)]
        new: CourseId,
        /// The new term, in your own words.
        #[arg(long)]
        term: Option<String>,
        /// Move all days by so many weeks (`52w`) or days (`364d`). Left out: what has a day is left out.
        #[arg(long, value_parser = change::days)]
        shift: Option<i64>,
        #[command(flatten)]
        data: DataArgs,
        #[command(flatten)]
        config: ConfigArgs,
    },
    /// Print the JSON Schema of a course file, for editors.
    Schema,
}

impl CourseCommand {
    pub(super) fn run(self) -> Result<Outcome, Failure> {
        match self {
            Self::List { data, config, json } => {
                let (_, shelf) = open(&data, &config)?;
                list(&shelf, json)
            }
            Self::Check {
                files,
                data,
                config,
                json,
            } => check(&files, &data, &config, json),
            Self::Show {
                course,
                data,
                config,
                json,
            } => {
                let (loaded, shelf) = open(&data, &config)?;
                show(&course, &loaded, &shelf, json)
            }
            Self::Remove(args) => args.run(),
            Self::Apply {
                files,
                data,
                config,
            } => change::apply(&files, &data, &config),
            Self::Archive {
                course,
                data,
                config,
            } => change::archive(&course, &data, &config),
            Self::RollOver {
                course,
                new,
                term,
                shift,
                data,
                config,
            } => {
                let wish = Wish {
                    from: &course,
                    term: term.as_deref(),
                    days: shift,
                };
                change::roll_over(&new, wish, &data, &config)
            }
            Self::Schema => print_json(&schemars::schema_for!(RawCourse)).map(|()| Outcome::Good),
        }
    }
}

fn load(config: &ConfigArgs) -> Result<Loaded, Failure> {
    super::config::load(crate::config::locate(config.config.as_deref()).as_deref())
}

fn open(data: &DataArgs, config: &ConfigArgs) -> Result<(Loaded, Shelf), Failure> {
    let loaded = load(config)?;
    let layout = Layout::existing(&data.data)?;
    let shelf = compose::shelf(&layout, &loaded.config)?;
    Ok((loaded, shelf))
}

fn list(shelf: &Shelf, json: bool) -> Result<Outcome, Failure> {
    let courses = shelf.ids().into_iter();
    let courses: Vec<_> = courses.map(|id| (shelf.course(&id), id)).collect();
    if json {
        let rows = courses.iter().map(|(course, id)| match course {
            Some(course) => json!({
                "course": id, "title": course.title, "term": course.term,
                "visible": course.visible, "starts": course.environment.is_some(),
            }),
            None => json!({ "course": id, "problems": shelf.problems_of(id) }),
        });
        return print_json(&rows.collect::<Vec<_>>()).map(|()| Outcome::Good);
    }
    let width = courses.iter().map(|(_, id)| id.as_str().len()).max();
    let width = width.unwrap_or(0);
    let lines = courses.iter().map(|(course, id)| match course {
        Some(course) => format!(
            "{:width$}  {:8}  {}{}\n",
            id.as_str(),
            course.visible.as_str(),
            course.title,
            course
                .term
                .as_ref()
                .map_or_else(String::new, |term| format!(", {term}")),
        ),
        None => format!(
            "{:width$}  {:8}  `lyceum course check` says what is wrong\n",
            id.as_str(),
            "broken",
        ),
    });
    print(&lines.collect::<String>()).map(|()| Outcome::Good)
}

fn check(
    files: &[PathBuf],
    data: &DataArgs,
    config: &ConfigArgs,
    json: bool,
) -> Result<Outcome, Failure> {
    let (problems, notes, many) = match files {
        [] => {
            let (loaded, shelf) = open(data, config)?;
            let ids = shelf.ids();
            let courses = ids.iter().filter_map(|id| shelf.course(id));
            let notes = courses.flat_map(|course| guarantees::of_course(&course, &loaded));
            (shelf.problems(), notes.collect(), ids.len())
        }
        files => {
            let loaded = load(config)?;
            let mut notes = Vec::new();
            let problems = files.iter().flat_map(|named| {
                let file = match file_of(named, data) {
                    Ok(file) => file,
                    Err(problem) => return vec![problem],
                };
                let Draft {
                    course, problems, ..
                } = problems_of(&file, &loaded.config);
                let of_course = course.map(|course| guarantees::of_course(&course, &loaded));
                notes.extend(of_course.unwrap_or_default());
                problems
            });
            (problems.collect(), notes, files.len())
        }
    };
    let notes: Vec<Problem> = notes;
    if json {
        print_json(&json!({ "files": many, "problems": problems, "notes": notes }))?;
    } else {
        let notes = notes.iter().map(|note| format!("note: {note}\n"));
        let notes: String = notes.collect();
        let lines: String = problems
            .iter()
            .map(|problem| format!("{problem}\n"))
            .collect();
        let count = |many: usize, what: &str| match many {
            1 => format!("1 {what}"),
            many => format!("{many} {what}s"),
        };
        let found = match problems.len() {
            0 => "no problems".to_owned(),
            found => count(found, "problem"),
        };
        print(&format!("{lines}{notes}{}: {found}\n", count(many, "file")))?;
    }
    Ok(match problems.is_empty() {
        true => Outcome::Good,
        false => Outcome::Problems,
    })
}

/// The file that somebody means: a path, or the id of a course in the data folder.
fn file_of(named: &Path, data: &DataArgs) -> Result<PathBuf, Problem> {
    // What can't be looked at is told with the reason.
    if !matches!(named.try_exists(), Ok(false)) {
        return Ok(named.to_owned());
    }
    let folder = Layout::existing(&data.data).map(|layout| layout.courses());
    let of_course = |id: &CourseId| {
        let folder = folder.as_ref().ok()?;
        let file = |end| folder.join(format!("{id}.{end}"));
        ["yaml", "yml"].map(file).into_iter().find(|at| at.exists())
    };
    let at = std::path::absolute(named).unwrap_or_else(|_| named.to_owned());
    let no_file = format!("there is no file {}", at.display());
    let stem = is_yaml(named).then(|| named.file_stem()).flatten();
    let message = match (named.to_str().and_then(CourseId::parse), stem, &folder) {
        (_, Some(stem), _) => match stem.to_str().and_then(CourseId::parse) {
            Some(id) if of_course(&id).is_some() => {
                format!(
                    "{no_file}; `lyceum course check {id}` checks the course of the data folder"
                )
            }
            _ => no_file,
        },
        (Some(id), None, Ok(folder)) => match of_course(&id) {
            Some(file) => return Ok(file),
            None => format!(
                "{no_file}, and no course of this id in {}",
                folder.display()
            ),
        },
        (Some(_), None, Err(_)) => format!(
            "{no_file}, and no data folder {} with a course of this id; --data names another",
            data.data.display()
        ),
        (None, None, _) => no_file,
    };
    Err(Problem {
        file: named.display().to_string(),
        place: None,
        message,
    })
}

fn is_yaml(file: &Path) -> bool {
    let is_yaml = |end: &OsStr| end == "yaml" || end == "yml";
    file.extension().is_some_and(is_yaml)
}

/// A file that may lie anywhere.
#[derive(Default)]
struct Draft {
    text: String,
    /// If it can be read.
    course: Option<Course>,
    rosters: Known,
    problems: Vec<Problem>,
}

/// What is in a draft, and what is wrong with it.
fn problems_of(file: &Path, config: &Config) -> Draft {
    let broken = |message: String| Draft {
        problems: vec![Problem {
            file: file.display().to_string(),
            place: None,
            message,
        }],
        ..Draft::default()
    };
    let mut text = String::new();
    let read = std::fs::File::open(file)
        .and_then(|from| from.take(FILE_LIMIT + 1).read_to_string(&mut text));
    if let Err(error) = read {
        return broken(format!("can't be read: {error}"));
    }
    if text.len() as u64 > FILE_LIMIT {
        return broken("is larger than 1 MB; a course file is a page or two".into());
    }
    let id = file.file_stem().filter(|_| is_yaml(file));
    let id = id.and_then(OsStr::to_str).and_then(CourseId::parse);
    let mut problems = Vec::from_iter(id.is_none().then(|| no_id(file)));
    let site = compose::site(config);
    // Those that lie beside it.
    let mut rosters = Rosters::beside(file, None);
    let mut course = match read_with(file, &text, &site, &mut rosters) {
        Ok(course) => Some(course),
        Err(Problems(found)) => {
            problems.extend(found);
            None
        }
    };
    let (of_rosters, rosters) = rosters.done();
    problems.extend(of_rosters);
    if let (Some(course), Some(id)) = (&mut course, id) {
        problems.extend(give_way(&id, file, course, &site.services));
    }
    Draft {
        text,
        course,
        rosters,
        problems,
    }
}

fn show(id: &CourseId, loaded: &Loaded, shelf: &Shelf, json: bool) -> Result<Outcome, Failure> {
    let course = shelf.course(id).ok_or_else(|| unknown(id, shelf))?;
    let zone = &loaded.config.time_zone;
    let now = Timestamp::now();
    let rooms: Vec<Room> = course
        .schedule
        .iter()
        .map(|meeting| Room::of(meeting, zone, now))
        .collect();
    if json {
        let people = &course.people;
        let base = |course: &Course| {
            let environment = course.environment.as_ref()?;
            let base = environment.base.as_ref().map(|base| &base.name);
            Some(json!({ "use": base }))
        };
        print_json(&json!({
            "course": id,
            "title": course.title,
            "term": course.term,
            "visible": course.visible,
            "people": {
                "teachers": people.teachers, "graders": people.graders, "students": people.students,
                "observers": people.observers, "blocked": people.blocked, "labels": people.labels,
            },
            "environment": base(&course),
            "server": course.open_server().map(|(server, open_to)| json!({
                "path": format!("/services/{id}/"),
                "use": server.begins_with(&course).map(|base| &base.name),
                "open_to": open_to,
            })),
            "formgrader": course.grades_in_its_server(),
            "assignments": rules::json(&course),
            "schedule": rooms.iter().map(Room::json).collect::<Vec<_>>(),
        }))?;
        return Ok(Outcome::Good);
    }
    let mut rows = vec![("title", course.title.clone())];
    rows.extend(course.term.clone().map(|term| ("term", term)));
    rows.push(("visible", course.visible.as_str().to_owned()));
    for (word, list) in [
        ("teachers", &course.people.teachers),
        ("graders", &course.people.graders),
        ("students", &course.people.students),
        ("observers", &course.people.observers),
        ("blocked", &course.people.blocked),
    ] {
        let all = list.shown();
        if !all.is_empty() {
            rows.push((word, all.join(", ")));
        }
    }
    rows.push((
        "starts",
        match &course.environment {
            None => "nothing: the file has no `environment`".to_owned(),
            Some(environment) => {
                let with = match &environment.base {
                    Some(base) => format!("{} ({})", base.name, base.place),
                    None => "what holds for every server".to_owned(),
                };
                format!("{with}; `lyceum explain PERSON {id}` tells all of it")
            }
        },
    ));
    if let Some((server, open_to)) = course.open_server() {
        let with = match server.begins_with(&course) {
            Some(base) => format!("{} ({})", base.name, base.place),
            None => "what holds for every server".to_owned(),
        };
        let open_to: Vec<String> = open_to.into_iter().map(Who::to_string).collect();
        let open_to = match open_to.as_slice() {
            [] => "nobody".to_owned(),
            open_to => open_to.join(", "),
        };
        rows.push((
            "server",
            format!("/services/{id}/, with {with}; open to {open_to}"),
        ));
        if course.grades_in_its_server() {
            rows.push((
                "grading",
                format!("nbgrader's formgrader, at /services/{id}/"),
            ));
        }
    }
    rows.extend(rules::rows(&course, zone));
    rows.extend(rooms.iter().map(|room| ("room", room.text())));
    let lines = rows.iter().map(|(word, text)| format!("{word:9} {text}\n"));
    print(&lines.collect::<String>()).map(|()| Outcome::Good)
}

/// A meeting, and the next time that room is made for it.
struct Room {
    at: String,
    people: u32,
    /// When room is made, when it begins, until when places are kept; in the site's time.
    next: Option<[String; 3]>,
}

impl Room {
    fn of(meeting: &Meeting, zone: &TimeZone, now: Timestamp) -> Self {
        let shown = |at: Timestamp| {
            let at = at.to_zoned(zone.clone());
            at.strftime("%Y-%m-%d %H:%M").to_string()
        };
        let next = meeting.next(zone, now);
        Self {
            at: meeting.at.to_string(),
            people: meeting.people.0,
            next: next.map(|window| [window.opens, window.begins, window.ends].map(shown)),
        }
    }

    fn text(&self) -> String {
        let next = match &self.next {
            Some([opens, _, ends]) => format!("the next from {opens} until {ends}"),
            None => "none any more".to_owned(),
        };
        format!("{}, {} people; {next}", self.at, self.people)
    }

    fn json(&self) -> Value {
        let at = |which: usize| self.next.as_ref().map(|next| &next[which]);
        json!({
            "at": self.at, "people": self.people,
            "opens": at(0), "begins": at(1), "ends": at(2),
        })
    }
}
