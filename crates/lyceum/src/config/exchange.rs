//! The `exchange` section: how much of what people hand in is kept, and for how long.

use std::path::{Path, PathBuf};
use std::time::Duration;

use lyceum_exchange::quota::Quota;
use lyceum_written::units::{Bytes, Span};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::raw::RawConfig;

/// Shorter times are mistakes: nobody could undo what goes so soon.
const SHORTEST: Duration = Duration::from_secs(24 * 3600);

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RawExchange {
    /// Where archives of removed courses go; with several hubs a folder that all of them reach. Left out:
    /// `archives` in the data folder.
    pub archives: Option<PathBuf>,
    /// For how long things are kept that are over, looked at once a day. Left out: for ever.
    pub keep: RawKeep,
    /// How much of what is handed in is kept. Left out: there is no end.
    pub quota: RawExchangeQuota,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RawKeep {
    /// After a course's file has said `visible: archived` for so long, all that was handed out, handed in and
    /// given back in it goes into an archive and leaves the exchange: `1825d`.
    pub archived: Option<Span>,
    /// An archive is deleted when it is so old.
    pub archives: Option<Span>,
    /// So long after a course was removed by request, what was left of it goes into an archive and leaves the
    /// exchange.
    pub removed: Option<Span>,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RawExchangeQuota {
    /// Of a course, all submissions together: `100G`.
    pub course: Option<Bytes>,
    /// Of one person in one course: `2G`.
    pub person: Option<Bytes>,
}

/// What is kept of the exchange.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Kept {
    pub archives: Option<PathBuf>,
    pub quota: Quota,
    pub keep: Keep,
}

/// Nothing: for ever.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Keep {
    pub archived: Option<Duration>,
    pub archives: Option<Duration>,
    pub removed: Option<Duration>,
}

pub(super) fn check_exchange(
    raw: &RawConfig,
    folder: &Path,
    problem: &mut dyn FnMut(&str, String),
) -> Kept {
    let raw = &raw.exchange;
    for (key, amount) in [
        ("exchange.quota.course", raw.quota.course),
        ("exchange.quota.person", raw.quota.person),
    ] {
        if amount == Some(Bytes(0)) {
            let message = "with 0 nothing can be handed in; `visible: archived` in a course's file says that of it";
            problem(key, message.into());
        }
    }
    let mut span = |key: &str, span: Option<Span>| {
        if let Some(short) = span.filter(|span| span.0 < SHORTEST) {
            let message = format!("must be `1d` at least, found `{short}`");
            problem(key, message);
        }
        span.map(|span| span.0)
    };
    let keep = Keep {
        archived: span("exchange.keep.archived", raw.keep.archived),
        archives: span("exchange.keep.archives", raw.keep.archives),
        removed: span("exchange.keep.removed", raw.keep.removed),
    };
    Kept {
        archives: raw.archives.as_ref().map(|path| folder.join(path)),
        quota: Quota {
            course: raw.quota.course,
            person: raw.quota.person,
        },
        keep,
    }
}

#[cfg(test)]
mod tests {
    use super::super::parse;
    use super::*;

    #[test]
    fn it_is_read_and_mistakes_have_their_places() {
        let read = |text: &str| {
            let text = format!("exchange:\n  {text}\n");
            parse("lyceum.yaml", &text, Path::new("/etc"))
                .map(|loaded| loaded.config.exchange)
                .map_err(|problems| problems.to_string())
        };
        let kept = read("{archives: old, quota: {course: 5G}, keep: {archived: 1825d}}");
        let expect = Kept {
            archives: Some("/etc/old".into()),
            quota: Quota {
                course: Some(Bytes(5_000_000_000)),
                person: None,
            },
            keep: Keep {
                archived: Some(1825 * SHORTEST),
                ..Keep::default()
            },
        };
        assert_eq!(kept, Ok(expect));
        let check = |text: &str, words: &str| {
            let said = read(text).expect_err(text);
            assert!(
                said.contains("lyceum.yaml:2:") && said.contains(words),
                "{said}"
            );
        };
        check("quota: {person: 0B}", "nothing can be handed in");
        check("keep: {removed: 12h}", "must be `1d` at least");
        check("keep: {submissions: 5d}", "submissions");
    }
}
