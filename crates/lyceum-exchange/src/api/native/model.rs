//! What things look like in answers.

use jiff::Timestamp;
use lyceum_courses::{Terms, Verdict};
use lyceum_model::clock::Millis;
use serde_json::{Value, json};

use crate::api::visitor::Entered;
use crate::course::Course;
use crate::db::assignments::{Released, Version};
use crate::db::submissions::Told;
use crate::moment::Moment;
use crate::people::Standing;
use crate::tree::TreeFile;

pub(super) fn time(millis: i64) -> String {
    Moment::of(Millis(millis)).to_iso()
}

pub(super) fn course(course: &Course, standing: Standing) -> Value {
    let file = course.file.as_ref();
    json!({
        "course": course.name.as_str(),
        "title": file.map_or(course.name.as_str(), |file| file.title.as_str()),
        "term": file.and_then(|file| file.term.as_ref()),
        "role": standing.role(),
        "archived": course.is_archived(),
    })
}

/// Where an assignment stands for somebody.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum State {
    /// Nothing of it can be had.
    Planned,
    /// Students don't see it yet.
    Early,
    Open,
    Late,
    Closed,
}

impl State {
    pub(crate) fn of(
        is_released: bool,
        opens: Option<Timestamp>,
        terms: Option<&Terms>,
        now: Timestamp,
    ) -> Self {
        if !is_released {
            return Self::Planned;
        }
        if opens.is_some_and(|opens| now < opens) {
            return Self::Early;
        }
        match terms.map(|terms| terms.judge(now)) {
            None | Some(Verdict::InTime) => Self::Open,
            Some(Verdict::Late(_)) => Self::Late,
            Some(Verdict::Closed(_)) => Self::Closed,
        }
    }

    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Planned => "planned",
            Self::Early => "early",
            Self::Open => "open",
            Self::Late => "late",
            Self::Closed => "closed",
        }
    }
}

/// An assignment, with the rules that count for whoever asks.
pub(super) fn assignment(
    entered: &Entered,
    name: &str,
    released: Option<&Released>,
    terms: Option<Terms>,
) -> Value {
    let released = released.filter(|row| row.withdrawn_at.is_none());
    let rules = entered.course.rules(name);
    let opens = rules.and_then(|rules| rules.opens);
    let moment = |at: Timestamp| time(at.as_millisecond());
    let state = State::of(released.is_some(), opens, terms.as_ref(), entered.now);
    json!({
        "assignment": name,
        "state": state.as_str(),
        "version": released.map(|row| row.version),
        "released_at": released.map(|row| time(row.released_at)),
        "opens": opens.map(moment),
        "due": terms.map(|terms| moment(terms.due)),
        "in_time_until": terms.map(|terms| moment(terms.in_time)),
        "taken_until": terms.and_then(|terms| terms.ends).map(moment),
        "late_costs": rules.and_then(|rules| rules.costs),
        "limits": entered.course.limits(name),
    })
}

pub(super) fn version(row: &Version) -> Value {
    json!({
        "version": row.version,
        "released_at": time(row.released_at),
        "released_by": row.released_by,
        "files": row.files,
        "bytes": row.bytes,
    })
}

pub(super) fn submission(row: &Told) -> Value {
    json!({
        "id": row.id,
        "assignment": row.assignment,
        "version": row.version,
        "student": row.student,
        "time": Moment(row.at).to_iso(),
        "due": row.due.map(time),
        "late": row.late,
        "files": row.files,
        "bytes": row.bytes,
        "number": row.number,
        "feedback_at": row.feedback_at.map(time),
    })
}

pub(super) fn files(files: &[TreeFile]) -> Value {
    let one = |file: &TreeFile| json!({ "path": file.path.as_str(), "size": file.size, "md5": file.md5, "blake3": file.blob.to_hex() });
    json!({ "files": files.iter().map(one).collect::<Vec<_>>() })
}
