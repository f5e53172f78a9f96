//! What the rules of an assignment let somebody hand in, and how late she is. The rules stand in the
//! course file; here they are held against the server's time and what came.

use std::collections::HashSet;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use lyceum_courses::assignment::{Assignment, Kind, Limits};
use lyceum_courses::{Bytes, Course as CourseFile, Terms, Verdict};
use lyceum_model::name::UserName;
use lyceum_store::Tx;
use lyceum_store::blobs::BlobError;
use unicode_normalization::UnicodeNormalization;

use crate::course::Course;
use crate::people::Standing;
use crate::quota::{self, Full, Quota};
use crate::tree::Tree;
use crate::{Exchange, db};

/// Whoever hands in.
#[derive(Debug, Clone, Copy)]
pub struct Author<'a> {
    pub name: &'a UserName,
    pub groups: &'a [String],
    pub standing: Standing,
}

/// Why something is not taken, in words for her.
#[derive(Debug, thiserror::Error)]
pub enum NotTaken {
    #[error("This assignment could be handed in until {0}; nothing is taken any more")]
    Closed(String),
    #[error("You have handed in this assignment {given} times; at most {most} are kept")]
    TooOften { given: i64, most: i64 },
    #[error("The files are larger than {0} together, which is the most that this assignment takes")]
    TooLarge(Bytes),
    #[error("These are {given} files; this assignment takes at most {most}")]
    TooMany { given: usize, most: u32 },
    #[error(
        "This assignment takes no file like {path:?}, only those whose names end in {kinds} and those that were handed out"
    )]
    Kind { path: String, kinds: String },
    #[error(
        "The rules of this course can't be read just now, so nothing is taken; tell whoever teaches it"
    )]
    NoRules,
    #[error("The server of a course hands nothing in; people do")]
    NoPerson,
    #[error("Assignment not found")]
    Withdrawn,
    #[error("Course not found")]
    NoCourse,
    #[error(
        "You have handed in {} in this course; at most {} are kept of one person, so files of {} fit. Ask whoever teaches it", .0.kept, .0.most, .0.left
    )]
    PersonFull(Full),
    #[error(
        "This course has {} of what was handed in; at most {} are kept, so files of {} fit. Tell whoever teaches it", .0.kept, .0.most, .0.left
    )]
    CourseFull(Full),
    #[error("Some of these files were cleared away while they came; send them again")]
    ClearedAway,
    #[error(transparent)]
    Blob(#[from] BlobError),
    #[error(transparent)]
    Database(#[from] sqlx::Error),
}

/// When something had arrived, when it was due for whoever handed it in, and how late it is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Lateness {
    /// Milliseconds since 1970; nothing: it is from a version that did not write it down.
    pub arrived: Option<i64>,
    /// Milliseconds since 1970.
    pub due: Option<i64>,
    pub seconds: Option<i64>,
}

impl Course {
    pub fn rules(&self, assignment: &str) -> Option<&Assignment> {
        of_file(self.file.as_ref()?, assignment)
    }

    /// Whether somebody may know at this time that there is such an assignment.
    pub fn shows(&self, assignment: &str, standing: Standing, now: Timestamp) -> bool {
        let rules = self.rules(assignment);
        standing.grades() || rules.is_none_or(|rules| rules.is_open(now))
    }

    pub fn terms(&self, assignment: &str, name: &UserName, groups: &[String]) -> Option<Terms> {
        let file = self.file.as_ref()?;
        let rules = self.rules(assignment)?;
        rules.terms_for(file, name, groups)
    }

    pub fn limits(&self, assignment: &str) -> Limits {
        let rules = self.rules(assignment);
        rules.map_or_else(Limits::default, |rules| rules.limits.clone())
    }
}

/// A name may be written in other letters than in the file that look the same, as some systems do
/// with names of files.
pub fn of_file<'a>(file: &'a CourseFile, assignment: &str) -> Option<&'a Assignment> {
    let known = &file.assignments;
    known.get(assignment).or_else(|| {
        let same = |name: &str| name.nfc().eq(assignment.nfc());
        let mut alike = known.iter().filter(|(name, _)| same(name));
        alike.next().map(|(_, rules)| rules)
    })
}

/// How often one person may hand in an assignment with these limits.
pub fn most(exchange: &Exchange, limits: &Limits) -> i64 {
    let most = exchange.limits().submissions;
    limits.submissions.map_or(most, |own| most.min(own.into()))
}

/// Whether it is any use to send files.
pub async fn check_early(
    exchange: &Exchange,
    tx: &mut Tx,
    course: &Course,
    assignment: &db::assignments::Row,
    author: Author<'_>,
) -> Result<Limits, NotTaken> {
    let limits = course.limits(&assignment.name);
    check_often(exchange, tx, &limits, assignment, author.name).await?;
    lateness(exchange, course, assignment, author, exchange.time())?;
    if let Some(id) = course.known_id()
        && exchange.quota() != Quota::default()
    {
        let kept = u64::try_from(db::courses::bytes(tx, id).await?).unwrap_or_default();
        quota::check(exchange, tx, (id, kept), author.name.as_str(), 0).await?;
    }
    Ok(limits)
}

/// What is handed in is kept for good, so there is an end to how often.
pub async fn check_often(
    exchange: &Exchange,
    tx: &mut Tx,
    limits: &Limits,
    assignment: &db::assignments::Row,
    author: &UserName,
) -> Result<(), NotTaken> {
    let most = most(exchange, limits);
    let given = db::submissions::count(tx, &assignment.id, author.as_str()).await?;
    match given >= most {
        true => Err(NotTaken::TooOften { given, most }),
        false => Ok(()),
    }
}

/// Those who teach may try at any time; how late they are is written down all the same.
pub fn lateness(
    exchange: &Exchange,
    course: &Course,
    assignment: &db::assignments::Row,
    author: Author<'_>,
    at: Timestamp,
) -> Result<Lateness, NotTaken> {
    if author.name.is_of_course() {
        return Err(NotTaken::NoPerson);
    }
    // A course that was made by a request, and by a file with a mistake from its first day.
    if course.is_unclear && !author.standing.grades() {
        return Err(NotTaken::NoRules);
    }
    let arrived = Some(at.as_millisecond());
    let Some(terms) = course.terms(&assignment.name, author.name, author.groups) else {
        return Ok(Lateness {
            arrived,
            ..Lateness::default()
        });
    };
    match terms.judge(at) {
        Verdict::Closed(ends) if !author.standing.grades() => {
            Err(NotTaken::Closed(shown(ends, &exchange.shelf().zone())))
        }
        verdict => Ok(Lateness {
            arrived,
            due: Some(terms.due.as_millisecond()),
            seconds: Some(match verdict {
                Verdict::InTime => 0,
                Verdict::Late(_) | Verdict::Closed(_) => terms.seconds_late(at),
            }),
        }),
    }
}

/// Whether these files are taken.
pub async fn check_files(
    tx: &mut Tx,
    limits: &Limits,
    assignment: &db::assignments::Row,
    tree: &Tree,
) -> Result<(), NotTaken> {
    if let Some(size) = limits.size.filter(|size| tree.bytes() > size.0) {
        return Err(NotTaken::TooLarge(size));
    }
    let given = tree.files().len();
    if let Some(most) = limits.files.filter(|most| given as u64 > u64::from(*most)) {
        return Err(NotTaken::TooMany { given, most });
    }
    let Some(kinds) = &limits.kinds else {
        return Ok(());
    };
    let is_other = |path: &&str| !kinds.iter().any(|kind| kind.is_of(path));
    let paths = tree.files().iter().map(|file| file.path.as_str());
    let others: Vec<&str> = paths.filter(is_other).collect();
    if others.is_empty() {
        return Ok(());
    }
    // Clients hand in the whole folder, with what was in it from the beginning.
    let handed_out = db::assignments::paths(tx, &assignment.id).await?;
    let handed_out: HashSet<String> = handed_out.into_iter().collect();
    match others.into_iter().find(|path| !handed_out.contains(*path)) {
        None => Ok(()),
        Some(path) => Err(NotTaken::Kind {
            path: path.chars().take(100).collect(),
            kinds: listed(kinds),
        }),
    }
}

fn listed(kinds: &[Kind]) -> String {
    let kinds: Vec<String> = kinds.iter().map(|kind| format!(".{kind}")).collect();
    kinds.join(", ")
}

/// `2026-10-01 18:00 CEST`.
pub fn shown(at: Timestamp, zone: &TimeZone) -> String {
    let at = at.to_zoned(zone.clone());
    at.strftime("%Y-%m-%d %H:%M %Z").to_string()
}
