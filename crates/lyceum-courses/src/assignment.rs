//! `assignments:` of a course: until when each is to be handed in, by whom later, and how much is
//! taken.
//!
//! Here: what may be written, and what it means for one person at one moment. Who enforces it is the
//! exchange.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use lyceum_model::name::UserName;
use lyceum_written::problem::nearest;
use lyceum_written::tree::{Step, Value};
use lyceum_written::{Bytes, Node, Span, Tell};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize, Serializer};

use crate::as_text::written_as_text;
use crate::course::Course;
use crate::moments::{Later, Moment, after};
use crate::people::People;
use crate::schedule::shown;

pub(crate) const KEY: &str = "assignments";
/// More in one file are a mistake.
const ASSIGNMENTS_MAX: usize = 1000;
const FILES_MAX: u32 = 10_000;
const SUBMISSIONS_MAX: u32 = 1000;
const KINDS_MAX: usize = 100;
/// Of a name, in bytes: what a file system takes.
const NAME_MAX: usize = 255;

/// As it is written; the comments are the manual.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RawAssignment {
    /// Until when it is to be handed in: `2026-10-01 18:00`, in the time zone of the configuration
    /// (`time_zone`). Left out: at any time.
    pub due: Option<Moment>,
    /// Students don't see it before.
    pub opens: Option<Moment>,
    /// So long after `due` it is not late yet: `5m`.
    pub grace: Option<Span>,
    /// How it is taken when it is late. Left out: not at all.
    pub late: Option<RawLate>,
    /// Who may hand in later, by label (`people.labels`) or name: `{extra-time: 2d, ben: 2026-10-05
    /// 12:00}`. A length of time comes behind `due` and the end of `late`, a moment in the place of
    /// `due`.
    pub extend: BTreeMap<String, Later>,
    /// What is taken.
    pub limits: Limits,
}

/// How late work is taken.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RawLate {
    /// So long after `due` (`3d`), or until then (`2026-10-04 18:00`). Left out: without end.
    pub until: Option<Later>,
    /// What that costs: `10% per day`. It is shown to people, and nothing is taken off by it yet.
    pub costs: Option<Costs>,
}

/// How much is taken at one time, and how often.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// All files of a submission together: `20M`.
    pub size: Option<Bytes>,
    /// How many files.
    pub files: Option<u32>,
    /// How their names end: `[ipynb, csv]`. What was handed out is taken whatever it is.
    pub kinds: Option<Vec<Kind>>,
    /// How often each person can hand it in.
    pub submissions: Option<u32>,
}

/// How the name of a file ends, without the dot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kind(String);

impl Kind {
    /// Whether a path ends like this; large and small letters are alike.
    pub fn is_of(&self, path: &str) -> bool {
        let name = path.rsplit('/').next().unwrap_or_default();
        let lower = name.to_lowercase();
        let rest = lower.strip_suffix(&self.0);
        rest.is_some_and(|rest| rest.ends_with('.'))
    }
}

impl FromStr for Kind {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let is_part = |part: &str| !part.is_empty() && part.chars().all(char::is_alphanumeric);
        let fits = text.len() <= 32 && text.split('.').all(is_part);
        fits.then(|| Self(text.to_lowercase())).ok_or_else(|| {
            format!(
                "`{}`: write how the names of files end, without the dot in front: `ipynb`, `tar.gz`",
                shown(text)
            )
        })
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Serialize for Kind {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

/// What being late costs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Costs {
    /// Hundredths of a percent of all points.
    pub hundredths: u32,
    /// For each that was begun; once, if there is none.
    pub per: Option<Per>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Per {
    Hour,
    Day,
    Week,
}

impl Per {
    const ALL: [Self; 3] = [Self::Hour, Self::Day, Self::Week];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Hour => "hour",
            Self::Day => "day",
            Self::Week => "week",
        }
    }
}

impl Costs {
    /// `10`, `2.5`.
    pub fn percent(self) -> String {
        let (whole, part) = (self.hundredths / 100, self.hundredths % 100);
        match part {
            0 => whole.to_string(),
            part => format!("{whole}.{part:02}")
                .trim_end_matches('0')
                .to_owned(),
        }
    }
}

impl FromStr for Costs {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let read = || {
            let (percent, rest) = text.trim().split_once('%')?;
            let per = match rest.trim() {
                "" => None,
                rest => {
                    let word = rest.strip_prefix("per ")?.trim();
                    Some(Per::ALL.into_iter().find(|per| per.as_str() == word)?)
                }
            };
            let (whole, part) = percent
                .trim_end()
                .split_once('.')
                .unwrap_or((percent.trim_end(), "0"));
            let is_number = |text: &str, most: usize| {
                (1..=most).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit())
            };
            if !is_number(whole, 3) || !is_number(part, 2) {
                return None;
            }
            let whole: u32 = whole.parse().ok()?;
            let part: u32 = format!("{part:0<2}").parse().ok()?;
            let hundredths = whole * 100 + part;
            (1..=10_000)
                .contains(&hundredths)
                .then_some(Self { hundredths, per })
        };
        read().ok_or_else(|| {
            format!(
                "`{}`: write a share of the points, up to `100%`, and for what: `10% per day`, `5% per hour`, `20%`",
                shown(text)
            )
        })
    }
}

impl fmt::Display for Costs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}%", self.percent())?;
        match self.per {
            Some(per) => write!(f, " per {}", per.as_str()),
            None => Ok(()),
        }
    }
}

impl Serialize for Costs {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

written_as_text!(
    Kind,
    "^[\\p{L}\\p{N}]+(\\.[\\p{L}\\p{N}]+)*$",
    "How the names of files end: `ipynb`."
);
written_as_text!(
    Costs,
    "^[0-9]{1,3}(\\.[0-9]{1,2})? ?%( per (hour|day|week))?$",
    "A share of the points: `10% per day`."
);

/// The rules of an assignment.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Assignment {
    pub opens: Option<Timestamp>,
    /// For whom nothing else is said; none: at any time.
    pub terms: Option<Terms>,
    pub extended: Vec<(To, Terms)>,
    pub costs: Option<Costs>,
    pub limits: Limits,
}

/// Whom something else is said for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum To {
    Label(String),
    Person(UserName),
}

impl fmt::Display for To {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Label(label) => f.write_str(label),
            Self::Person(name) => name.fmt(f),
        }
    }
}

/// Until when somebody hands in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Terms {
    pub due: Timestamp,
    /// Until then it is not late.
    pub in_time: Timestamp,
    /// Until then it is taken; none: always.
    pub ends: Option<Timestamp>,
}

/// What a moment is to these.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    InTime,
    /// Seconds after it was due.
    Late(i64),
    Closed(Timestamp),
}

impl Terms {
    /// The moments themselves are still before the end.
    pub fn judge(&self, at: Timestamp) -> Verdict {
        if at <= self.in_time {
            return Verdict::InTime;
        }
        if let Some(ends) = self.ends.filter(|ends| at > *ends) {
            return Verdict::Closed(ends);
        }
        Verdict::Late(self.seconds_late(at))
    }

    /// What has begun counts.
    pub fn seconds_late(&self, at: Timestamp) -> i64 {
        let late = at.duration_since(self.due);
        let begun = i64::from(late.subsec_nanos() > 0);
        late.as_secs().saturating_add(begun).max(0)
    }
}

impl Assignment {
    pub fn is_open(&self, at: Timestamp) -> bool {
        self.opens.is_none_or(|opens| opens <= at)
    }

    /// What is said of a person by her name counts; else the latest of what her labels give her.
    pub fn terms_for(&self, course: &Course, name: &UserName, groups: &[String]) -> Option<Terms> {
        let own = |(to, _): &&(To, Terms)| matches!(to, To::Person(person) if person == name);
        if let Some((_, terms)) = self.extended.iter().find(own) {
            return Some(*terms);
        }
        let labels = self.extended.iter().filter(|(to, _)| match to {
            To::Label(label) => course.has_label(label, name, groups),
            To::Person(_) => false,
        });
        let given = labels.map(|(_, terms)| *terms);
        // No end is the latest of all.
        let order = |terms: &Terms| (terms.ends.is_none(), terms.ends, terms.due);
        self.terms.into_iter().chain(given).max_by_key(order)
    }

    pub(crate) fn check(
        name: &str,
        raw: &RawAssignment,
        people: &People,
        zone: &TimeZone,
        tree: &Node,
        problem: Tell<'_>,
    ) -> Self {
        let mut checker = Checker {
            name,
            raw,
            people,
            zone,
            tree,
            problem,
        };
        let opens = checker.moment("opens", raw.opens);
        let due = checker.moment("due", raw.due);
        if let (Some(opens), Some(due)) = (opens, due)
            && opens >= due
        {
            checker.tell("opens", "is not before `due`".into());
        }
        checker.limits();
        let terms = due.and_then(|due| checker.terms(due));
        if !checker.is_written("due") {
            for key in ["grace", "late", "extend"] {
                if checker.is_written(key) {
                    let message = "says what comes after `due`, and there is no `due`".to_owned();
                    checker.tell(key, message);
                }
            }
        }
        Self {
            opens,
            extended: checker.extended(terms),
            terms,
            costs: raw.late.as_ref().and_then(|late| late.costs),
            limits: raw.limits.clone(),
        }
    }
}

struct Checker<'a> {
    name: &'a str,
    raw: &'a RawAssignment,
    people: &'a People,
    zone: &'a TimeZone,
    tree: &'a Node,
    problem: Tell<'a>,
}

impl Checker<'_> {
    fn tell(&mut self, key: &str, message: String) {
        (self.problem)(&format!("{KEY}.{}.{key}", self.name), message);
    }

    /// Also what could not be read, of which that is told already.
    fn is_written(&self, key: &str) -> bool {
        let path = [KEY, self.name, key].map(|key| Step::Key(key.into()));
        let node = self.tree.find(&path);
        node.is_some_and(|node| !matches!(node.value, Value::Null))
    }

    fn good<T>(&mut self, key: &str, read: Result<T, String>) -> Option<T> {
        read.map_err(|message| self.tell(key, message)).ok()
    }

    fn moment(&mut self, key: &str, moment: Option<Moment>) -> Option<Timestamp> {
        let moment = moment?;
        self.good(key, moment.in_zone(self.zone))
    }

    fn terms(&mut self, due: Timestamp) -> Option<Terms> {
        let grace = self.raw.grace.map(|grace| after(due, grace, self.zone));
        let in_time = match grace {
            None => due,
            Some(grace) => self.good("grace", grace)?,
        };
        let Some(late) = &self.raw.late else {
            // One that can't be read is told already.
            return Some(Terms {
                due,
                in_time,
                ends: Some(in_time),
            });
        };
        let ends = match late.until {
            None => None,
            Some(Later::By(span)) => Some(after(due, span, self.zone)),
            Some(Later::At(moment)) => Some(moment.in_zone(self.zone)),
        };
        let ends = match ends {
            None => None,
            Some(ends) => Some(self.good("late.until", ends)?),
        };
        if ends.is_some_and(|ends| ends <= in_time) {
            let message =
                "is not after `due` and `grace`; take `late` out if nothing is taken late";
            self.tell("late.until", message.to_owned());
        }
        Some(Terms { due, in_time, ends })
    }

    fn extended(&mut self, terms: Option<Terms>) -> Vec<(To, Terms)> {
        let mut extended = Vec::new();
        for (key, later) in &self.raw.extend {
            let to = self.to(key);
            let path = format!("extend.{key}");
            let moved = terms.map(|terms| self.moved(&terms, *later));
            let moved = moved.and_then(|moved| self.good(&path, moved));
            if let (Some(to), Some(moved)) = (to, moved) {
                extended.push((to, moved));
            }
        }
        extended
    }

    fn moved(&self, terms: &Terms, later: Later) -> Result<Terms, String> {
        let zone = self.zone;
        let due = match later {
            Later::By(span) => after(terms.due, span, zone)?,
            Later::At(moment) => moment.in_zone(zone)?,
        };
        if due <= terms.due {
            return Err("is not after `due`".into());
        }
        let in_time = match self.raw.grace {
            Some(grace) => after(due, grace, zone)?,
            None => due,
        };
        let ends = match self.raw.late.as_ref().map(|late| late.until) {
            None => Some(in_time),
            Some(None) => None,
            Some(Some(Later::By(span))) => Some(after(due, span, zone)?),
            Some(Some(Later::At(_))) => match (terms.ends, later) {
                (None, _) => None,
                (Some(ends), Later::By(span)) => Some(after(ends, span, zone)?),
                (Some(ends), Later::At(_)) => Some(ends.max(in_time)),
            },
        };
        Ok(Terms { due, in_time, ends })
    }

    /// Whom a key of `extend` means.
    fn to(&mut self, key: &str) -> Option<To> {
        let path = format!("extend.{key}");
        let name = UserName::parse(key).ok();
        let is_named = name.as_ref().is_some_and(|name| self.people.names(name));
        let is_written = name.as_ref().is_some_and(|name| self.people.writes(name));
        match (self.people.labels.get(key), name) {
            (Some(_), _) if is_written => {
                let message =
                    format!("`{key}` is a label and somebody's name; give the label another name");
                self.tell(&path, message);
                None
            }
            (Some(who), _) if who.is_void() => {
                let message = format!(
                    "nobody has the label `{key}`; write who has it into `people.labels`, or take this out"
                );
                self.tell(&path, message);
                None
            }
            (Some(_), _) => Some(To::Label(key.to_owned())),
            (None, name) => {
                let near = nearest(key, self.people.labels.keys().map(String::as_str));
                // Somebody who comes by a group or a file stands in no list.
                let may_be = near.is_none() && self.people.has_others();
                match name.filter(|_| is_named || may_be) {
                    Some(name) => Some(To::Person(name)),
                    None => {
                        let hint = match near {
                            Some(near) => format!("did you mean `{near}`?"),
                            None => "write a label that `people.labels` has, or the name of somebody whom `people` names".to_owned(),
                        };
                        let message = format!(
                            "`{}` is no label, and nobody of the course; {hint}",
                            shown(key)
                        );
                        self.tell(&path, message);
                        None
                    }
                }
            }
        }
    }

    fn limits(&mut self) {
        let Limits {
            size,
            files,
            kinds,
            submissions,
        } = &self.raw.limits;
        if size.is_some_and(|size| size.0 == 0) {
            self.tell("limits.size", "nothing could be handed in".into());
        }
        for (key, number, most) in [
            ("limits.files", *files, FILES_MAX),
            ("limits.submissions", *submissions, SUBMISSIONS_MAX),
        ] {
            if number.is_some_and(|number| !(1..=most).contains(&number)) {
                self.tell(key, format!("write a number from 1 to {most}"));
            }
        }
        let many = kinds.as_ref().map_or(1, Vec::len);
        // An entry that can't be read is told already.
        let path = [KEY, self.name, "limits", "kinds"].map(|key| Step::Key(key.into()));
        let is_empty = |node: &Node| matches!(&node.value, Value::List(list) if list.is_empty());
        if many == 0 && self.tree.find(&path).is_some_and(is_empty) {
            let message = "names no kind; leave it out to take all";
            self.tell("limits.kinds", message.into());
        }
        if many > KINDS_MAX {
            self.tell("limits.kinds", format!("has more than {KINDS_MAX} entries"));
        }
    }
}

/// The rules of all assignments of a course.
pub(crate) fn check_all(
    raw: &BTreeMap<String, RawAssignment>,
    people: &People,
    zone: &TimeZone,
    tree: &Node,
    problem: Tell<'_>,
) -> BTreeMap<String, Assignment> {
    if raw.len() > ASSIGNMENTS_MAX {
        problem(KEY, format!("has more than {ASSIGNMENTS_MAX} entries"));
    }
    let mut checked = BTreeMap::new();
    for (name, raw) in raw {
        let is_name = (1..=NAME_MAX).contains(&name.len())
            && name.trim() == name
            && !matches!(name.as_str(), "." | "..")
            && !name.chars().any(|c| c.is_control() || c == '/');
        if !is_name {
            let message = format!(
                "`{}` is no name of an assignment: 1 to {NAME_MAX} bytes, no slash, no control character, no blank at either end",
                shown(name)
            );
            problem(KEY, message);
            continue;
        }
        let rules = Assignment::check(name, raw, people, zone, tree, problem);
        checked.insert(name.clone(), rules);
    }
    checked
}
