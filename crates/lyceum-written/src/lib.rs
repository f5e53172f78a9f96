//! What people write, read strictly: YAML in which each value knows its line, structs made of it with
//! all mistakes told at once, amounts with units, and environments as they are written everywhere.
//!
//! Here is what the configuration (in the binary) and course files (`lyceum-courses`) read in the same
//! way. What keys there are is theirs.
//!
//! Reading order: [`tree`] (text → places and values), [`fit`] (→ a struct), [`problem`] (what is wrong
//! and where), [`units`], [`environment`]; [`table`] is for files of other programs. [`read`] does the first two and sorts what was found.

pub mod environment;
pub mod fit;
pub mod problem;
pub mod table;
pub mod tree;
pub mod units;

use serde::de::DeserializeOwned;

pub use problem::{Place, Problem, Problems};
pub use tree::Node;
pub use units::{Bytes, Span};

/// How a check tells a mistake: the path of the value, and what is wrong with it.
pub type Tell<'a> = &'a mut dyn FnMut(&str, String);

/// A text that passed a check.
pub struct Passed<T, C> {
    pub written: T,
    pub checked: C,
    pub tree: Node,
}

/// Makes a `T` of a text and checks it; all mistakes are told at once, in the order of the file.
pub fn read<T: DeserializeOwned + Default, C>(
    file: &str,
    text: &str,
    check: impl FnOnce(&T, &Node, Tell<'_>) -> C,
) -> Result<Passed<T, C>, Problems> {
    let problem = |(place, message)| Problem {
        file: file.into(),
        place,
        message,
    };
    let tree = Node::parse(text).map_err(|found| Problems(vec![problem(found)]))?;
    let fit::Fitted {
        value: written,
        problems,
        shortened,
        removed,
    } = fit::fit::<T>(tree.clone());
    let mut found: Vec<(Option<Place>, String)> = problems
        .into_iter()
        .map(|(place, message)| (Some(place), message))
        .collect();
    let checked = check(&written, &tree, &mut |path, message| {
        // What is left of a list says nothing of the whole, nor where its items stand.
        let of_list = |list: &String| {
            path.strip_prefix(list.as_str())
                .is_some_and(|rest| rest.is_empty() || rest.starts_with('['))
        };
        // What is missing beside a key that was taken out may be what that one meant.
        let section = |path: &str| path.rsplit_once('.').map(|(section, _)| section.to_owned());
        let beside = |other: &String| section(path).is_some() && section(other) == section(path);
        let is_beside = tree.place_of(path).is_none() && removed.iter().any(beside);
        if !is_beside && !shortened.iter().any(of_list) {
            found.push((tree.near(path), fit::of_key(path, &message)));
        }
    });
    if found.is_empty() {
        return Ok(Passed {
            written,
            checked,
            tree,
        });
    }
    found.sort_by_key(|(place, _)| *place);
    Err(Problems(found.into_iter().map(problem).collect()))
}
