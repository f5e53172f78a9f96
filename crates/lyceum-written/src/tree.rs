//! YAML text as a tree in which every key and value knows its place.
//!
//! Here: the limits for hostile or careless files (size, depth, no aliases) and the walk to a path.
//! Not here: what the keys mean, and how a tree becomes a struct ([`super::fit`]).

use std::fmt;

use serde::de::{self, Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_saphyr::options::DuplicateKeyPolicy;
use serde_saphyr::{Budget, Spanned};

use crate::problem::Place;

/// Larger than any configuration people write by hand.
pub const MAX_BYTES: u64 = 1024 * 1024;
const MAX_DEPTH: usize = 24;
const MAX_NODES: usize = 100_000;

#[derive(Debug, Clone)]
pub struct Node {
    pub place: Place,
    pub value: Value,
}

#[derive(Debug, Clone)]
pub enum Value {
    Null,
    Bool(bool),
    Int(i64),
    Float(f64),
    Text(String),
    List(Vec<Node>),
    Map(Vec<Entry>),
}

#[derive(Debug, Clone)]
pub struct Entry {
    pub key: String,
    pub key_place: Place,
    pub node: Node,
}

/// One step of a path: `servers`, `[2]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    Key(String),
    Index(usize),
}

/// Writes a path as people read it: `people.admins[2]`.
pub fn path_text(steps: &[Step]) -> String {
    let mut text = String::new();
    for step in steps {
        match step {
            Step::Key(key) if text.is_empty() => text.push_str(key),
            Step::Key(key) => {
                text.push('.');
                text.push_str(key);
            }
            Step::Index(index) => text.push_str(&format!("[{index}]")),
        }
    }
    text
}

impl Node {
    /// Reads a document; an empty one is an empty mapping.
    pub fn parse(text: &str) -> Result<Self, (Option<Place>, String)> {
        let mut budget = Budget::default();
        budget.max_aliases = 0;
        budget.max_anchors = 0;
        budget.max_merge_keys = 0;
        budget.max_depth = MAX_DEPTH;
        budget.max_nodes = MAX_NODES;
        budget.max_documents = 1;
        let options = serde_saphyr::options! {
            budget: Some(budget),
            duplicate_keys: DuplicateKeyPolicy::Error,
            strict_booleans: true,
            with_snippet: false,
            reject_unsupported_tags: true,
        };
        match serde_saphyr::from_str_with_options::<Spanned<Tree>>(text, options) {
            Ok(spanned) => Ok(spanned.into()),
            // A document of comments alone ends before it begins.
            Err(serde_saphyr::Error::Eof { .. }) => Ok(Self::empty()),
            Err(error) => {
                let place = error.location().map(Place::from);
                Err((place, explain(&error)))
            }
        }
        .map(|node| match node.value {
            Value::Null => Self::empty(),
            _ => node,
        })
    }

    fn empty() -> Self {
        Self {
            place: Place { line: 1, column: 1 },
            value: Value::Map(Vec::new()),
        }
    }

    fn child(&self, step: &Step) -> Option<&Self> {
        match (&self.value, step) {
            (Value::Map(entries), Step::Key(key)) => entries
                .iter()
                .find(|entry| entry.key == *key)
                .map(|entry| &entry.node),
            (Value::List(items), Step::Index(index)) => items.get(*index),
            _ => None,
        }
    }

    /// The value at a path, if the document has it.
    pub fn find(&self, steps: &[Step]) -> Option<&Self> {
        steps.iter().try_fold(self, Self::child)
    }

    /// Takes out what stands at a path; items behind it move up.
    pub fn remove(&mut self, steps: &[Step]) -> bool {
        let Some((last, parents)) = steps.split_last() else {
            return false;
        };
        let mut node = self;
        for step in parents {
            let next = match (&mut node.value, step) {
                (Value::Map(entries), Step::Key(key)) => entries
                    .iter_mut()
                    .find(|entry| entry.key == *key)
                    .map(|entry| &mut entry.node),
                (Value::List(items), Step::Index(index)) => items.get_mut(*index),
                _ => None,
            };
            match next {
                Some(next) => node = next,
                None => return false,
            }
        }
        match (&mut node.value, last) {
            (Value::Map(entries), Step::Key(key)) => {
                let before = entries.len();
                entries.retain(|entry| entry.key != *key);
                entries.len() < before
            }
            (Value::List(items), Step::Index(index)) if *index < items.len() => {
                items.remove(*index);
                true
            }
            _ => false,
        }
    }
}

impl Node {
    /// The place of a value, or of the nearest one around it that is written.
    pub fn near(&self, path: &str) -> Option<Place> {
        let mut path = path;
        loop {
            let place = self.place_of(path);
            let Some(end) = path.rfind(['.', '[']).filter(|_| place.is_none()) else {
                return place;
            };
            path = &path[..end];
        }
    }

    /// The place of the value at a written path such as `people.admins[2]`.
    pub fn place_of(&self, path: &str) -> Option<Place> {
        fn walk(node: &Node, steps: &mut Vec<Step>, path: &str) -> Option<Place> {
            if path_text(steps) == path {
                return Some(node.place);
            }
            let children: Vec<(Step, &Node)> = match &node.value {
                Value::Map(entries) => entries
                    .iter()
                    .map(|entry| (Step::Key(entry.key.clone()), &entry.node))
                    .collect(),
                Value::List(items) => items
                    .iter()
                    .enumerate()
                    .map(|(index, node)| (Step::Index(index), node))
                    .collect(),
                _ => Vec::new(),
            };
            children.into_iter().find_map(|(step, child)| {
                steps.push(step);
                let place = path
                    .starts_with(&path_text(steps))
                    .then(|| walk(child, steps, path))
                    .flatten();
                steps.pop();
                place
            })
        }
        walk(self, &mut Vec::new(), path)
    }
}

/// The reader's complaint in our words where it is about our limits.
fn explain(error: &serde_saphyr::Error) -> String {
    use serde_saphyr::budget::BudgetBreach;
    match error {
        serde_saphyr::Error::Budget { breach, .. } => match breach {
            BudgetBreach::Aliases { .. }
            | BudgetBreach::Anchors { .. }
            | BudgetBreach::MergeKeys { .. }
            | BudgetBreach::AliasAnchorRatio { .. } => {
                "anchors, aliases and merge keys (`&`, `*`, `<<`) are not used here: write the value out".into()
            }
            BudgetBreach::Depth { .. } => format!("nested deeper than {MAX_DEPTH} levels"),
            BudgetBreach::Documents { .. } => "more than one document: remove the `---` lines".into(),
            _ => "more than a configuration file can hold".into(),
        },
        serde_saphyr::Error::MultipleDocuments { .. } => {
            "more than one document: remove the `---` lines".into()
        }
        serde_saphyr::Error::DuplicateMappingKey { key: Some(key), .. } => {
            format!("`{key}` stands here a second time")
        }
        other => {
            // The first line is the message; the place is printed by us.
            let text = other.to_string();
            let line = text.lines().next().unwrap_or("not readable as YAML");
            let line = line.strip_prefix("error: ").unwrap_or(line);
            // The reader has a limit of its own, which brackets in brackets reach first.
            if line.contains("recursion limit") {
                return format!("nested deeper than {MAX_DEPTH} levels");
            }
            let cut = line.find(" at line ").unwrap_or(line.len());
            format!("not valid YAML: {}", line[..cut].trim_end_matches(':'))
        }
    }
}

/// A node before its place is attached.
enum Tree {
    Leaf(Value),
    List(Vec<Spanned<Tree>>),
    Map(Vec<(Spanned<String>, Spanned<Tree>)>),
}

impl From<Spanned<Tree>> for Node {
    fn from(spanned: Spanned<Tree>) -> Self {
        let value = match spanned.value {
            Tree::Leaf(value) => value,
            Tree::List(items) => Value::List(items.into_iter().map(Self::from).collect()),
            Tree::Map(entries) => Value::Map(
                entries
                    .into_iter()
                    .map(|(key, node)| Entry {
                        key_place: Place::from(key.referenced),
                        key: key.value,
                        node: Self::from(node),
                    })
                    .collect(),
            ),
        };
        Self {
            place: Place::from(spanned.referenced),
            value,
        }
    }
}

impl<'de> Deserialize<'de> for Tree {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct TreeVisitor;

        impl<'de> Visitor<'de> for TreeVisitor {
            type Value = Tree;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a value")
            }
            fn visit_unit<E>(self) -> Result<Tree, E> {
                Ok(Tree::Leaf(Value::Null))
            }
            fn visit_none<E>(self) -> Result<Tree, E> {
                Ok(Tree::Leaf(Value::Null))
            }
            fn visit_some<D: Deserializer<'de>>(self, from: D) -> Result<Tree, D::Error> {
                Tree::deserialize(from)
            }
            fn visit_bool<E>(self, value: bool) -> Result<Tree, E> {
                Ok(Tree::Leaf(Value::Bool(value)))
            }
            fn visit_i64<E>(self, value: i64) -> Result<Tree, E> {
                Ok(Tree::Leaf(Value::Int(value)))
            }
            fn visit_u64<E: de::Error>(self, value: u64) -> Result<Tree, E> {
                let value =
                    i64::try_from(value).map_err(|_| E::custom("the number is too large"))?;
                Ok(Tree::Leaf(Value::Int(value)))
            }
            fn visit_f64<E>(self, value: f64) -> Result<Tree, E> {
                Ok(Tree::Leaf(Value::Float(value)))
            }
            fn visit_str<E>(self, value: &str) -> Result<Tree, E> {
                Ok(Tree::Leaf(Value::Text(value.into())))
            }
            fn visit_string<E>(self, value: String) -> Result<Tree, E> {
                Ok(Tree::Leaf(Value::Text(value)))
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Tree, A::Error> {
                let mut items = Vec::new();
                while let Some(item) = seq.next_element()? {
                    items.push(item);
                }
                Ok(Tree::List(items))
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Tree, A::Error> {
                let mut entries = Vec::new();
                while let Some(entry) = map.next_entry()? {
                    entries.push(entry);
                }
                Ok(Tree::Map(entries))
            }
        }

        from.deserialize_any(TreeVisitor)
    }
}
