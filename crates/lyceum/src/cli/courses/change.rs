//! Course files put in place: drafts, archived courses, and the next term's.

use std::ffi::OsStr;
use std::fs;
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

use lyceum_courses::edit::archived;
use lyceum_courses::roll_over::{self, Wish};
use lyceum_courses::shelf::is_of_roster;
use lyceum_model::who::CourseId;
use lyceum_written::table;

use super::super::{ConfigArgs, DataArgs, Outcome, print};
use super::{Draft, is_yaml, load, problems_of};
use crate::config::{Config, Problem};
use crate::data::Layout;
use crate::failure::Failure;

/// `52w` or `364d`, in days.
pub(super) fn days(text: &str) -> Result<i64, String> {
    const DAYS_MAX: i64 = 3660;
    let wrong = || "write how far, in weeks or days: `52w`, `364d`, `-1w`".to_owned();
    let (number, each) = match (text.strip_suffix('w'), text.strip_suffix('d')) {
        (Some(weeks), _) => (weeks, 7),
        (None, Some(days)) => (days, 1),
        (None, None) => return Err(wrong()),
    };
    let number: i64 = number.parse().map_err(|_| wrong())?;
    let days = number
        .checked_mul(each)
        .filter(|days| days.abs() <= DAYS_MAX);
    days.ok_or_else(|| "that is more than ten years".into())
}

/// The file of a course in the data folder.
fn file_of(folder: &Path, id: &CourseId) -> Option<PathBuf> {
    let files = ["yaml", "yml"].map(|end| folder.join(format!("{id}.{end}")));
    files
        .into_iter()
        .find(|file| file.symlink_metadata().is_ok())
}

fn there(folder: &Path, id: &CourseId) -> Result<PathBuf, Failure> {
    let none = || {
        let failure = Failure::new(format!("there is no course `{id}` in {}", folder.display()));
        failure.hint("`lyceum course list` lists those that there are")
    };
    file_of(folder, id).ok_or_else(none)
}

/// One that can be gone by.
fn good(file: &Path, config: &Config) -> Result<Draft, Failure> {
    let draft = problems_of(file, config);
    if draft.course.is_some() {
        return Ok(draft);
    }
    let problems: Vec<String> = draft.problems.iter().map(Problem::to_string).collect();
    Err(Failure::new(problems.join("\n")).hint("mend the file first"))
}

pub(super) fn archive(
    id: &CourseId,
    data: &DataArgs,
    config: &ConfigArgs,
) -> Result<Outcome, Failure> {
    let loaded = load(config)?;
    let folder = Layout::existing(&data.data)?.courses();
    let file = there(&folder, id)?;
    let draft = good(&file, &loaded.config)?;
    let shown = file.display();
    if draft.course.is_some_and(|course| course.is_archived()) {
        return print(&format!("{shown}: is archived already\n")).map(|()| Outcome::Good);
    }
    let new =
        archived(&draft.text).map_err(|message| Failure::new(format!("{shown}: {message}")))?;
    replace(&[(file.clone(), new.into_bytes())])?;
    print(&format!("{shown}: archived\n")).map(|()| Outcome::Good)
}

pub(super) fn roll_over(
    new: &CourseId,
    wish: Wish<'_>,
    data: &DataArgs,
    config: &ConfigArgs,
) -> Result<Outcome, Failure> {
    let loaded = load(config)?;
    let folder = Layout::existing(&data.data)?.courses();
    let draft = good(&there(&folder, wish.from)?, &loaded.config)?;
    if let Some(taken) = file_of(&folder, new) {
        let failure = Failure::new(format!(
            "there is a course `{new}` already: {}",
            taken.display()
        ));
        return Err(failure.hint("give the new one another id"));
    }
    let rolled = roll_over::roll_over(&draft.text, wish).map_err(Failure::new)?;
    let file = folder.join(format!("{new}.yaml"));
    let read = lyceum_courses::read::read_course(
        &file,
        &rolled.text,
        &crate::compose::site(&loaded.config),
    );
    if let Err(problems) = read {
        return Err(Failure::new(format!(
            "the new course would have mistakes:\n{problems}"
        )));
    }
    write_new(&file, rolled.text.as_bytes())?;
    let notes = rolled.notes.iter().map(|note| format!("note: {note}\n"));
    let notes: String = notes.collect();
    print(&format!(
        "{notes}{}: made from {}\n",
        file.display(),
        wish.from
    ))
    .map(|()| Outcome::Good)
}

/// Checks all, then puts all in place.
pub(super) fn apply(
    named: &[PathBuf],
    data: &DataArgs,
    config: &ConfigArgs,
) -> Result<Outcome, Failure> {
    let loaded = load(config)?;
    let folder = Layout::existing(&data.data)?.courses();
    let mut drafts = Vec::new();
    for named in named {
        drafts.extend(files_in(named)?);
    }
    let (mut lists, mut courses) = (Vec::<(PathBuf, Vec<u8>)>::new(), Vec::new());
    let (mut problems, mut notes) = (Vec::new(), Vec::new());
    for file in &drafts {
        let draft = problems_of(file, &loaded.config);
        let name = file.file_name().unwrap_or_default();
        let target = folder.join(name);
        let mut bad = |message: String| {
            problems.push(Problem {
                file: file.display().to_string(),
                place: None,
                message,
            });
        };
        let id = file
            .file_stem()
            .and_then(OsStr::to_str)
            .and_then(CourseId::parse);
        let other = id.and_then(|id| file_of(&folder, &id));
        if let Some(other) = other.filter(|other| *other != target) {
            bad(format!(
                "the course is there as {}; name both alike",
                other.display()
            ));
        }
        if courses.iter().any(|(known, _)| *known == target) {
            bad("is the second of this name".into());
        }
        let beside = file.parent().filter(|beside| *beside != Path::new(""));
        let beside = beside.unwrap_or(Path::new("."));
        for list in draft.rosters.files() {
            let from = beside.join(list);
            match bytes_of(&from) {
                // Two courses may name one.
                Ok(bytes) => {
                    let target = folder.join(list);
                    match lists.iter().find(|(known, _)| *known == target) {
                        Some((_, known)) if *known != bytes => {
                            bad(format!("another `{list}` is to be put in place, too"));
                        }
                        Some(_) => {}
                        None => lists.push((target, bytes)),
                    }
                }
                Err(error) if draft.rosters.is_whole() => {
                    bad(format!("`{list}` can't be read: {error}"));
                }
                // Its reader told it.
                Err(_) => {}
            }
        }
        // Rows of a list that name nobody hold up nothing.
        let is_note = |problem: &Problem| {
            draft.course.is_some() && draft.rosters.is_whole() && is_of_roster(problem)
        };
        let (told, found): (Vec<Problem>, Vec<Problem>) =
            draft.problems.into_iter().partition(is_note);
        notes.extend(told);
        problems.extend(found);
        courses.push((target, draft.text.into_bytes()));
    }
    let mut lines: String = (problems.iter())
        .map(|problem| format!("{problem}\n"))
        .chain(notes.iter().map(|note| format!("note: {note}\n")))
        .collect();
    if !problems.is_empty() {
        lines.push_str("nothing was changed\n");
        print(&lines)?;
        return Ok(Outcome::Problems);
    }
    // Lists come first: a course that names one finds it.
    let all: Vec<(PathBuf, Vec<u8>)> = lists.into_iter().chain(courses).collect();
    let mut changed = Vec::new();
    for (target, bytes) in all {
        let before = fs::read(&target).ok();
        let what = match &before {
            Some(before) if *before == bytes => "unchanged",
            Some(_) => "changed",
            None => "new",
        };
        lines.push_str(&format!("{}: {what}\n", target.display()));
        if what != "unchanged" {
            changed.push((target, bytes));
        }
    }
    replace(&changed)?;
    print(&lines).map(|()| Outcome::Good)
}

/// A file, or the course files of a folder in their order.
fn files_in(named: &Path) -> Result<Vec<PathBuf>, Failure> {
    let failed =
        |error: &std::io::Error| Failure::io(format!("reading {}", named.display()), error);
    if !named.metadata().map_err(|error| failed(&error))?.is_dir() {
        return Ok(vec![named.to_owned()]);
    }
    let mut files = Vec::new();
    for entry in fs::read_dir(named).map_err(|error| failed(&error))? {
        let file = entry.map_err(|error| failed(&error))?.path();
        let is_hidden = file
            .file_name()
            .is_some_and(|name| name.to_string_lossy().starts_with('.'));
        if is_yaml(&file) && !is_hidden {
            files.push(file);
        }
    }
    files.sort();
    match files.is_empty() {
        true => Err(Failure::new(format!(
            "there is no course file in {}",
            named.display()
        ))),
        false => Ok(files),
    }
}

/// Never more of it than a list of people can be.
fn bytes_of(file: &Path) -> std::io::Result<Vec<u8>> {
    use std::io::Read;
    let mut bytes = Vec::new();
    let from = fs::File::open(file)?;
    from.take(table::MAX_BYTES + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Writes all beside where they go, and only then puts them there, one by one and each whole.
fn replace(files: &[(PathBuf, Vec<u8>)]) -> Result<(), Failure> {
    let mut ready = Vec::new();
    for (target, bytes) in files {
        let failed =
            |error: &std::io::Error| Failure::io(format!("writing {}", target.display()), error);
        // One that is a link stays it.
        let target = match target.canonicalize() {
            Ok(real) => real,
            Err(_) => target.clone(),
        };
        ready.push((
            written(&target, bytes).map_err(|error| failed(&error))?,
            target,
        ));
    }
    for (file, target) in ready {
        let failed = format!("writing {}", target.display());
        file.persist(&target)
            .map_err(|error| Failure::io(failed, &error.error))?;
    }
    Ok(())
}

/// As [`replace`], and never over another.
fn write_new(target: &Path, bytes: &[u8]) -> Result<(), Failure> {
    let failed =
        |error: &std::io::Error| Failure::io(format!("writing {}", target.display()), error);
    let file = written(target, bytes).map_err(|error| failed(&error))?;
    match file.persist_noclobber(target) {
        Ok(_) => Ok(()),
        Err(error) if error.error.kind() == ErrorKind::AlreadyExists => Err(Failure::new(format!(
            "{} is there already; give the new course another id",
            target.display()
        ))),
        Err(error) => Err(failed(&error.error)),
    }
}

/// A file that waits beside its place, durable, with the rights of the one that is there.
fn written(target: &Path, bytes: &[u8]) -> std::io::Result<tempfile::NamedTempFile> {
    use std::os::unix::fs::PermissionsExt;
    let folder = target.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(folder)?;
    let mut file = tempfile::Builder::new()
        .prefix(".new-")
        .tempfile_in(folder)?;
    file.write_all(bytes)?;
    let rights = match target.metadata() {
        Ok(meta) => meta.permissions(),
        Err(_) => fs::Permissions::from_mode(0o644),
    };
    file.as_file().set_permissions(rights)?;
    file.as_file().sync_all()?;
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::days;

    #[test]
    fn how_far_days_move() {
        for (text, expect) in [
            ("52w", Some(364)),
            ("364d", Some(364)),
            ("-1w", Some(-7)),
            ("52", None),
            ("w", None),
            ("1y", None),
            ("9999999999999999999w", None),
            ("600w", None),
        ] {
            assert_eq!(days(text).ok(), expect, "{text}");
        }
    }
}
