//! Rosters: people of a course as files beside its own, CSV from an office or a learning platform.
//!
//! A row that names nobody is told with its line, and the others count: one slip keeps nobody out. A file
//! that can't be read at all, or is gone, leaves in force what was read of it last. What stands in a cell is
//! text and nothing else. Files are found below the folder of the course file, and nowhere else.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{self, Read};
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use lyceum_model::name::UserName;
use lyceum_written::{Place, Problem, table};

/// So many bad rows of one file are told.
const ROWS_TOLD: usize = 10;
/// Anything else in the folder is no list of people.
const ENDINGS: [&str; 3] = ["csv", "tsv", "txt"];
/// What cells begin with that spreadsheet programs work out.
const FORMULA: [char; 4] = ['=', '+', '-', '@'];

/// Columns of a file; left out: the one with names is found, and there is no other.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Source {
    pub(crate) file: String,
    pub(crate) name: Option<String>,
    pub(crate) role: Option<String>,
}

/// A row that names somebody.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Named {
    pub(crate) name: UserName,
    /// What stands in the column with roles.
    pub(crate) role: String,
    pub(crate) line: u64,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Stamp {
    changed: Option<SystemTime>,
    size: u64,
}

/// What is known of one file.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Kept {
    /// Of what was read; `None` while it can't be, so that it is tried again.
    stamp: Option<Stamp>,
    /// The last that could be read; `None` when nothing could.
    rows: Option<Arc<Vec<Named>>>,
    /// What is wrong with it now.
    problems: Vec<Problem>,
}

/// What is known of the rosters of a course.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Known(BTreeMap<Source, Kept>);

impl Known {
    /// The files, by their names below the folder.
    pub fn files(&self) -> BTreeSet<&str> {
        self.0.keys().map(|source| source.file.as_str()).collect()
    }

    /// Whether each of them could be read, whatever stands in its rows.
    pub fn is_whole(&self) -> bool {
        self.0.values().all(|kept| kept.stamp.is_some())
    }

    /// Whether the files are as they were read.
    pub(crate) fn is_current(&self, folder: &Path) -> bool {
        let mut all = self.0.iter();
        all.all(|(source, kept)| {
            let now = find(folder, &source.file).map(|(_, stamp)| stamp).ok();
            kept.stamp.is_some() && kept.stamp == now
        })
    }
}

/// The rosters of one course while its file is read.
pub struct Rosters<'a> {
    folder: PathBuf,
    earlier: Option<&'a Known>,
    known: Known,
    problems: Vec<Problem>,
}

impl<'a> Rosters<'a> {
    /// For a course file that lies here. `earlier`: what was known of them before.
    pub fn beside(file: &Path, earlier: Option<&'a Known>) -> Self {
        let folder = file.parent().filter(|folder| *folder != Path::new(""));
        Self {
            folder: folder.unwrap_or(Path::new(".")).to_owned(),
            earlier,
            known: Known::default(),
            problems: Vec::new(),
        }
    }

    /// What is wrong in them that holds up nothing else; and what is known of them now, or was before: a
    /// course file with a mistake may not have named them yet.
    pub fn done(mut self) -> (Vec<Problem>, Known) {
        for (source, kept) in self.earlier.iter().flat_map(|known| &known.0) {
            let known = self.known.0.entry(source.clone());
            known.or_insert_with(|| kept.clone());
        }
        (self.problems, self.known)
    }

    /// The same when the course file was read whole: what it does not name is forgotten.
    pub fn done_whole(self) -> (Vec<Problem>, Known) {
        (self.problems, self.known)
    }

    /// The rows of a file, as far as they name somebody; and whether all of it could be read.
    pub(crate) fn rows(&mut self, source: &Source) -> (Arc<Vec<Named>>, bool) {
        if !self.known.0.contains_key(source) {
            let kept = self.read(source);
            self.problems.extend(kept.problems.iter().cloned());
            self.known.0.insert(source.clone(), kept);
        }
        let kept = self.known.0.get(source);
        let rows = kept.and_then(|kept| kept.rows.clone()).unwrap_or_default();
        (rows, kept.is_some_and(|kept| kept.problems.is_empty()))
    }

    /// Something that is wrong with a row.
    pub(crate) fn tell(&mut self, source: &Source, line: u64, message: String) {
        self.problems
            .push(self.problem(source, Some(line), message));
    }

    fn problem(&self, source: &Source, line: Option<u64>, message: String) -> Problem {
        Problem {
            file: self.folder.join(&source.file).display().to_string(),
            place: line.map(|line| Place { line, column: 1 }),
            message,
        }
    }

    fn read(&self, source: &Source) -> Kept {
        let earlier = self.earlier.and_then(|known| known.0.get(source));
        let found = find(&self.folder, &source.file);
        if let (Some(earlier), Ok((_, stamp))) = (earlier, &found)
            && earlier.stamp.as_ref() == Some(stamp)
        {
            return earlier.clone();
        }
        let read = found.and_then(|(path, stamp)| {
            let bytes = bytes_of(&path).map_err(|error| format!("can't be read: {error}"))?;
            let roles: Vec<&str> = source.role.iter().map(String::as_str).collect();
            let rows = table::rows(&bytes, source.name.as_deref(), &table::NAMES, &roles)?;
            Ok((rows, stamp))
        });
        match read {
            Ok((rows, stamp)) => self.sorted(source, rows, stamp),
            Err(message) => {
                let how = match message.starts_with("which column") {
                    true => format!("; say which: `file:{}#COLUMN`", source.file),
                    false => String::new(),
                };
                let rows = earlier.and_then(|earlier| earlier.rows.clone());
                let holds = match rows {
                    Some(_) => "what was read of it last stays in force",
                    None => "nobody is taken from it",
                };
                Kept {
                    stamp: None,
                    rows,
                    problems: vec![self.problem(source, None, format!("{message}{how}; {holds}"))],
                }
            }
        }
    }

    fn sorted(&self, source: &Source, rows: Vec<table::Row>, stamp: Stamp) -> Kept {
        let (mut good, mut problems, mut bad) = (Vec::new(), Vec::new(), 0);
        for row in rows {
            let mut cells = row.cells.into_iter();
            let (name, role) = (cells.next().unwrap_or_default(), cells.next());
            match name_of(&name) {
                Ok(name) => good.push(Named {
                    name,
                    role: role.unwrap_or_default(),
                    line: row.line,
                }),
                Err(message) => {
                    bad += 1;
                    if bad <= ROWS_TOLD {
                        problems.push(self.problem(source, Some(row.line), message));
                    }
                }
            }
        }
        if bad > ROWS_TOLD {
            let message = format!("{} more rows name nobody", bad - ROWS_TOLD);
            problems.push(self.problem(source, None, message));
        }
        Kept {
            stamp: Some(stamp),
            rows: Some(Arc::new(good)),
            problems,
        }
    }
}

fn name_of(cell: &str) -> Result<UserName, String> {
    let shown = table::short(cell);
    if cell.is_empty() {
        return Err(
            "nothing stands where the user name belongs; fill it in, or take the row out".into(),
        );
    }
    if cell.starts_with(FORMULA) {
        return Err(format!(
            "{shown:?} begins as a formula of a spreadsheet does, and is no user name; write the name itself"
        ));
    }
    UserName::parse(cell).map_err(|error| format!("{shown:?}: {error}"))
}

/// What is wrong with how a file is named.
pub(crate) fn check_file(file: &str) -> Result<(), String> {
    let path = Path::new(file);
    let shown = table::short(file);
    let mut parts = path.components();
    if file.is_empty() || !parts.all(|part| matches!(part, Component::Normal(_))) {
        return Err(format!(
            "`{shown}` is no file below the folder of course files; write its name, or `FOLDER/NAME.csv`"
        ));
    }
    let ending = path.extension().and_then(|ending| ending.to_str());
    match ending.is_some_and(|ending| ENDINGS.contains(&ending.to_lowercase().as_str())) {
        true => Ok(()),
        false => Err(format!(
            "`{shown}` is no list of people; its name ends in `.csv`, `.tsv` or `.txt`"
        )),
    }
}

/// Where a file really is, and its stamp. Links may lead about in the folder, as those of a ConfigMap do, and
/// not out of it.
fn find(folder: &Path, file: &str) -> Result<(PathBuf, Stamp), String> {
    let told = |error: io::Error| match error.kind() {
        io::ErrorKind::NotFound => "is not there; put it beside the course file".to_owned(),
        _ => format!("can't be read: {error}"),
    };
    let root = folder.canonicalize().map_err(told)?;
    let path = folder.join(file).canonicalize().map_err(told)?;
    if !path.starts_with(&root) {
        return Err("leads out of the folder of course files; put the file itself there".into());
    }
    let meta = path.metadata().map_err(told)?;
    if !meta.is_file() {
        return Err("is no file".into());
    }
    let stamp = Stamp {
        changed: meta.modified().ok(),
        size: meta.len(),
    };
    Ok((path, stamp))
}

fn bytes_of(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    // One byte more tells that it is too large.
    let mut file = File::open(path)?.take(table::MAX_BYTES + 1);
    file.read_to_end(&mut bytes)?;
    Ok(bytes)
}
