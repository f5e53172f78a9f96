//! `events`: where it is written down what people and programs did.

use std::path::Path;

use lyceum_hub::event_log::Target;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use lyceum_written::units::Bytes;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RawEvents {
    /// A file, a line of JSON for each start and stop of a server, each sign-in, each token. Left out:
    /// there is no event log.
    pub file: Option<String>,
    /// A file that would grow larger is put aside as `FILE.1`, the one before as `FILE.2`.
    pub size: Bytes,
    /// How many of those put aside are kept.
    pub keep: u16,
}

impl Default for RawEvents {
    fn default() -> Self {
        Self {
            file: None,
            size: Bytes(100_000_000),
            keep: 9,
        }
    }
}

/// More than a thousand files are a slip.
const KEEP_MOST: u16 = 1000;
/// A line has its place in each file.
const SIZE_LEAST: u64 = 100_000;

pub(crate) fn check_events(
    raw: &RawEvents,
    folder: &Path,
    problem: &mut dyn FnMut(&str, String),
) -> Option<Target> {
    if raw.size.0 < SIZE_LEAST {
        problem(
            "events.size",
            format!("{} is too little; write at least `100K`", raw.size),
        );
    }
    if raw.keep > KEEP_MOST {
        problem(
            "events.keep",
            format!("{} is too many; write at most {KEEP_MOST}", raw.keep),
        );
    }
    let text = raw.file.as_ref()?;
    if text.trim().is_empty() || text.ends_with('/') || text.contains("://") {
        problem("events.file", format!("{text:?} is not a file"));
        return None;
    }
    Some(Target {
        file: folder.join(text),
        size: raw.size.0,
        keep: raw.keep.into(),
    })
}
