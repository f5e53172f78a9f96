//! A tree becomes a struct, and every misfit keeps its place.
//!
//! [`fit`] is a serde deserializer over [`Node`]. At a misfit it notes the problem, takes the
//! offending key or value out and tries again, so that one look shows all mistakes. This works
//! because everything in a configuration has a default or sits in a list item that can go.

use std::fmt;

use serde::de::value::{MapAccessDeserializer, StrDeserializer};
use serde::de::{
    self, DeserializeOwned, DeserializeSeed, Deserializer, Expected, IntoDeserializer, MapAccess,
    SeqAccess, Unexpected, Visitor,
};

use crate::problem::{Place, suggest};
use crate::tree::{Entry, Node, Step, Value, path_text};

/// Of a word that is given where it wants something to say besides.
const SAYS_NOTHING: &str = "this word says nothing by itself";
/// After so many problems the rest is not looked for.
const MAX_PROBLEMS: usize = 50;

/// What became of a tree.
pub struct Fitted<T> {
    pub value: T,
    pub problems: Vec<(Place, String)>,
    /// Lists that lost items: indexes into these no longer tell a place.
    pub shortened: Vec<String>,
    /// Paths of keys and items that were taken out.
    pub removed: Vec<String>,
}

/// Makes a `T` of the tree as far as it fits.
pub fn fit<T: DeserializeOwned + Default>(mut tree: Node) -> Fitted<T> {
    let mut problems = Vec::new();
    let mut shortened = Vec::new();
    // Paths of keys that were taken out: that they are missing then is no news.
    let mut removed: Vec<String> = Vec::new();
    loop {
        let misfit = match T::deserialize(&tree) {
            Ok(value) => {
                return Fitted {
                    value,
                    problems,
                    shortened,
                    removed,
                };
            }
            Err(misfit) => misfit,
        };
        let steps: Vec<Step> = misfit.steps.into_iter().rev().collect();
        let message = match steps.as_slice() {
            // A key that isn't known, or a text that is no mapping: the message has all there is.
            [] => misfit.message,
            _ if misfit.of_key => misfit.message,
            steps => {
                // Items behind one that was taken out have moved up: only the list is named.
                let moved = |at: &usize| shortened.contains(&path_text(&steps[..*at]));
                let end = (0..steps.len()).find(moved).unwrap_or(steps.len());
                of_key(&path_text(&steps[..end]), &misfit.message)
            }
        };
        let is_missing = misfit.missing.is_some_and(|key| {
            let key = Step::Key(key.to_owned());
            removed.contains(&path_text(&[steps.as_slice(), &[key]].concat()))
        });
        if !is_missing {
            problems.push((misfit.place.unwrap_or(tree.place), message));
        }
        removed.push(path_text(&steps));
        if let Some((Step::Index(_), list)) = steps.split_last() {
            shortened.push(path_text(list));
        }
        if problems.len() >= MAX_PROBLEMS || !tree.remove(&steps) {
            return Fitted {
                value: T::default(),
                problems,
                shortened,
                removed,
            };
        }
    }
}

/// What is wrong with the value of a key.
pub fn of_key(path: &str, message: &str) -> String {
    format!("`{path}`: {message}")
}

/// What does not fit; the steps from the root are gathered on the way up, innermost first.
#[derive(Debug)]
pub struct Misfit {
    message: String,
    place: Option<Place>,
    steps: Vec<Step>,
    /// It is about the key itself, not about its value.
    of_key: bool,
    /// The key that is not there.
    missing: Option<&'static str>,
}

impl Misfit {
    fn new(message: String) -> Self {
        Self {
            message,
            place: None,
            steps: Vec::new(),
            of_key: false,
            missing: None,
        }
    }

    fn at(mut self, place: Place) -> Self {
        self.place.get_or_insert(place);
        self
    }

    fn under(mut self, step: Step) -> Self {
        self.steps.push(step);
        self
    }
}

impl fmt::Display for Misfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Misfit {}

fn found(unexpected: &Unexpected<'_>) -> String {
    match unexpected {
        Unexpected::Bool(value) => format!("`{value}`"),
        Unexpected::Unsigned(value) => format!("the number {value}"),
        Unexpected::Signed(value) => format!("the number {value}"),
        Unexpected::Float(value) => format!("the number {value}"),
        Unexpected::Str(text) => format!("the text {text:?}"),
        Unexpected::Unit | Unexpected::Option => "nothing".into(),
        Unexpected::Seq => "a list".into(),
        Unexpected::Map => "keys and values".into(),
        other => other.to_string(),
    }
}

/// Serde's words for what it wants, in words of people who write YAML.
fn wanted(expected: &dyn Expected) -> String {
    let words = expected.to_string();
    match words.as_str() {
        "a string" => "text (put it in quotes)".into(),
        "a boolean" => "`true` or `false`".into(),
        "a sequence" => "a list".into(),
        "a map" => "keys and values".into(),
        "unit" => "nothing behind it".into(),
        "u32" | "u64" | "u16" | "usize" => "a whole number".into(),
        "f64" => "a number".into(),
        other if other.starts_with("struct ") => "keys and values".into(),
        _ => words,
    }
}

impl de::Error for Misfit {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self::new(message.to_string())
    }
    fn invalid_type(unexpected: Unexpected<'_>, expected: &dyn Expected) -> Self {
        if unexpected == Unexpected::UnitVariant {
            return Self::new(SAYS_NOTHING.into());
        }
        Self::new(format!(
            "expected {}, found {}",
            wanted(expected),
            found(&unexpected)
        ))
    }
    fn invalid_value(unexpected: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Self::invalid_type(unexpected, expected)
    }
    fn unknown_field(field: &str, expected: &'static [&'static str]) -> Self {
        Self {
            of_key: true,
            ..Self::new(format!(
                "unknown key `{field}`; {}",
                suggest(field, expected)
            ))
        }
    }
    fn unknown_variant(variant: &str, expected: &'static [&'static str]) -> Self {
        Self::new(format!(
            "unknown value `{variant}`; {}",
            suggest(variant, expected)
        ))
    }
    fn missing_field(field: &'static str) -> Self {
        Self {
            missing: Some(field),
            ..Self::new(format!("the key `{field}` is missing here"))
        }
    }
}

impl<'de> Deserializer<'de> for &'de Node {
    type Error = Misfit;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Misfit> {
        match &self.value {
            Value::Null => visitor.visit_unit(),
            Value::Bool(value) => visitor.visit_bool(*value),
            Value::Int(value) => visitor.visit_i64(*value),
            Value::Float(value) => visitor.visit_f64(*value),
            Value::Text(value) => visitor.visit_str(value),
            Value::List(items) => visitor.visit_seq(Items { items, next: 0 }),
            Value::Map(entries) => visitor.visit_map(Entries { entries, next: 0 }),
        }
        .map_err(|misfit| misfit.at(self.place))
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Misfit> {
        match self.value {
            Value::Null => visitor.visit_none(),
            _ => visitor.visit_some(self),
        }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Misfit> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _name: &'static str,
        known: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Misfit> {
        match &self.value {
            Value::Text(text) => {
                let word: StrDeserializer<'_, Misfit> = text.as_str().into_deserializer();
                let says_nothing = |misfit: &Misfit| misfit.message == SAYS_NOTHING;
                visitor.visit_enum(word).map_err(|misfit| match says_nothing(&misfit) {
                    true => Misfit::new(format!(
                        "`{text}` says nothing by itself; write what is meant behind it, `{{{text}: …}}`"
                    )),
                    false => misfit,
                })
            }
            // A word that has something to say besides: `{domains: [example.edu]}`.
            Value::Map(entries) if entries.len() == 1 => {
                visitor.visit_enum(MapAccessDeserializer::new(Entries { entries, next: 0 }))
            }
            _ => Err(Misfit::new(format!("expected one of {}", known.join(", ")))),
        }
        .map_err(|misfit| misfit.at(self.place))
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf
        unit unit_struct seq tuple tuple_struct map struct identifier ignored_any
    }
}

struct Items<'de> {
    items: &'de [Node],
    next: usize,
}

impl<'de> SeqAccess<'de> for Items<'de> {
    type Error = Misfit;

    fn next_element_seed<T: DeserializeSeed<'de>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, Misfit> {
        let Some(node) = self.items.get(self.next) else {
            return Ok(None);
        };
        let index = self.next;
        self.next += 1;
        seed.deserialize(node)
            .map(Some)
            .map_err(|misfit| misfit.at(node.place).under(Step::Index(index)))
    }
}

struct Entries<'de> {
    entries: &'de [Entry],
    next: usize,
}

impl<'de> MapAccess<'de> for Entries<'de> {
    type Error = Misfit;

    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, Misfit> {
        let Some(entry) = self.entries.get(self.next) else {
            return Ok(None);
        };
        let key: StrDeserializer<'_, Misfit> = entry.key.as_str().into_deserializer();
        seed.deserialize(key).map(Some).map_err(|misfit| {
            misfit
                .at(entry.key_place)
                .under(Step::Key(entry.key.clone()))
        })
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Misfit> {
        let entry = &self.entries[self.next];
        self.next += 1;
        seed.deserialize(&entry.node).map_err(|misfit| {
            misfit
                .at(entry.node.place)
                .under(Step::Key(entry.key.clone()))
        })
    }
}
