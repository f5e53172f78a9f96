//! The `posix` section: numbers by which a file system knows people.

use lyceum_hub::posix::{NOBODY, Rules};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::raw::RawConfig;

/// Beyond are numbers that systems keep for themselves.
const HIGHEST: u32 = 2_000_000_000;
const WANTED: &str = "say a range such as `20000-60000`";

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RawPosix {
    /// Out of this range those have a uid of whom no way in tells one: `20000-60000`. Each is given once, and
    /// stays that person's also when she is gone; so only numbers that nobody else gives away. Left out: none is
    /// given.
    pub uids: Option<String>,
    /// The group of those of whom no way in tells one. Left out: the machine's or the image's.
    pub gid: Option<u32>,
    /// The lowest uid that anybody has, whoever says it; never 0.
    pub lowest_uid: u32,
    /// The lowest number of a group that anybody is in, whoever says it; never 0. 100 (`users`) is taken, too.
    pub lowest_gid: u32,
}

impl Default for RawPosix {
    fn default() -> Self {
        let rules = Rules::default();
        Self {
            uids: None,
            gid: rules.gid,
            lowest_uid: rules.lowest_uid,
            lowest_gid: rules.lowest_gid,
        }
    }
}

pub(super) fn check_posix(raw: &RawConfig, problem: &mut dyn FnMut(&str, String)) -> Rules {
    let raw = &raw.posix;
    for (key, lowest) in [
        ("posix.lowest_uid", raw.lowest_uid),
        ("posix.lowest_gid", raw.lowest_gid),
    ] {
        if lowest == 0 {
            problem(key, "0 is root, which nobody is; say 1 or more".into());
        }
    }
    let uids = raw.uids.as_deref().and_then(|text| {
        let range = range(text);
        match range {
            None => problem("posix.uids", WANTED.into()),
            Some((first, _)) if first < raw.lowest_uid => problem(
                "posix.uids",
                format!("it begins below `lowest_uid`, which is {}", raw.lowest_uid),
            ),
            Some((_, last)) if last > HIGHEST => {
                problem("posix.uids", format!("it ends beyond {HIGHEST}"));
            }
            Some((first, last)) => {
                let held = NOBODY.iter().find(|uid| (first..=last).contains(*uid));
                if let Some(uid) = held {
                    let why = format!("{uid} in it is nobody's by the convention of systems; begin behind it or end before it");
                    problem("posix.uids", why);
                }
            }
        }
        range
    });
    let rules = Rules {
        uids,
        gid: raw.gid,
        lowest_uid: raw.lowest_uid,
        lowest_gid: raw.lowest_gid,
    };
    match raw.gid {
        Some(gid) if NOBODY.contains(&gid) => {
            problem(
                "posix.gid",
                "it is nobody's by the convention of systems".into(),
            );
        }
        Some(gid) if !rules.takes_gid(gid) => problem(
            "posix.gid",
            format!("it is below `lowest_gid`, which is {}", raw.lowest_gid),
        ),
        _ => {}
    }
    rules
}

fn range(text: &str) -> Option<(u32, u32)> {
    let (first, last) = text.split_once('-')?;
    let number = |text: &str| text.trim().parse::<u32>().ok();
    let (first, last) = (number(first)?, number(last)?);
    (first <= last).then_some((first, last))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::super::parse;
    use super::*;

    #[test]
    fn it_is_read_and_mistakes_have_their_places() {
        let read = |keys: &str| {
            let text = format!("posix: {{{keys}}}\n");
            let loaded = parse("lyceum.yaml", &text, Path::new("."));
            loaded
                .map(|loaded| loaded.config.posix)
                .map_err(|problems| problems.to_string())
        };
        let rules = read("uids: 20000-60000, gid: 100").expect("good");
        assert_eq!((rules.uids, rules.gid), (Some((20_000, 60_000)), Some(100)));
        assert_eq!((rules.lowest_uid, rules.lowest_gid), (1_000, 1_000));
        assert_eq!(read(""), Ok(Rules::default()));
        let check = |keys: &str, words: &str| {
            let said = read(keys).expect_err(keys);
            assert!(said.contains(words), "{keys}: {said}");
        };
        check("uids: many", "say a range");
        check("uids: 60000-20000", "say a range");
        check("uids: 500-600", "below `lowest_uid`");
        check("uids: 20000-3000000000", "ends beyond");
        check("uids: 60000-70000", "65534 in it is nobody's");
        check("uids: 65535-70000", "65535 in it is nobody's");
        check("lowest_uid: 0", "0 is root");
        check("gid: 5", "below `lowest_gid`");
        check("gid: 999", "below `lowest_gid`");
        check("gid: 65534", "it is nobody's");
    }
}
