//! Scopes that a site defines for its services, `custom:project:action`: JupyterHub's
//! `custom_scopes`. They mean something to the services only; here they are given, narrowed down
//! and told like all others.
//!
//! A definition lives as long as the process, so that a [`ScopeName`] stays a word that can be
//! copied. There are few, they come from the configuration alone, and the same definition read
//! again is the same one.

use std::cmp::Ordering;
use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::{LazyLock, Mutex, PoisonError};

use super::{Scope, ScopeError, ScopeName, ScopeSet};

const PREFIX: &str = "custom:";
const NAME_MAX: usize = 255;

/// What a site says of a scope of its own.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Definition {
    /// What a holder may do, for the page where people confirm it.
    pub description: String,
    /// Other custom scopes that it includes.
    pub subscopes: Vec<String>,
}

/// Why a definition is no good, in words for whoever wrote it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CustomError {
    #[error(
        "{0:?} can't be a custom scope: it begins with `custom:`, then has letters a-z, digits, and `-`, `_`, `*`, `:`, begins with a letter or digit and does not end with `-` or `:`"
    )]
    Name(String),
    #[error(
        "{0:?} is one of JupyterHub's own scopes; a custom scope includes custom ones only, and a role holds several together"
    )]
    NotCustom(String),
    #[error("the custom scope {0:?} is not defined; did you mean {1:?}?")]
    Misspelt(String, String),
    #[error("the custom scope {0:?} is not defined")]
    Undefined(String),
    #[error("{0:?} includes itself")]
    Circle(String),
}

/// A defined scope. Alike when the names are.
#[derive(Clone, Copy)]
pub struct Custom(&'static Kept);

struct Kept {
    name: String,
    about: String,
    includes: Vec<ScopeName>,
    /// All that it says, with what it includes.
    key: String,
}

static KEPT: LazyLock<Mutex<HashMap<String, Custom>>> = LazyLock::new(Mutex::default);

impl Custom {
    fn keep(name: &str, about: &str, mut includes: Vec<Self>) -> Self {
        includes.sort_unstable();
        includes.dedup();
        let parts: Vec<&str> = includes.iter().map(|below| below.0.key.as_str()).collect();
        let key = format!("{name:?} {about:?} {parts:?}");
        let mut kept = KEPT.lock().unwrap_or_else(PoisonError::into_inner);
        *kept.entry(key).or_insert_with_key(|key| {
            Self(Box::leak(Box::new(Kept {
                name: name.to_owned(),
                about: about.to_owned(),
                includes: includes.into_iter().map(ScopeName::Custom).collect(),
                key: key.clone(),
            })))
        })
    }

    pub fn as_str(self) -> &'static str {
        &self.0.name
    }

    pub(super) fn about(self) -> &'static str {
        &self.0.about
    }

    pub(super) fn includes(self) -> &'static [ScopeName] {
        &self.0.includes
    }
}

impl PartialEq for Custom {
    fn eq(&self, other: &Self) -> bool {
        self.0.name == other.0.name
    }
}

impl Eq for Custom {}

impl PartialOrd for Custom {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Custom {
    fn cmp(&self, other: &Self) -> Ordering {
        self.0.name.cmp(&other.0.name)
    }
}

impl Hash for Custom {
    fn hash<H: Hasher>(&self, to: &mut H) {
        self.0.name.hash(to);
    }
}

impl fmt::Debug for Custom {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The custom scopes of a site.
#[derive(Debug, Clone, Default)]
pub struct Vocabulary(BTreeMap<&'static str, Custom>);

impl PartialEq for Vocabulary {
    fn eq(&self, other: &Self) -> bool {
        let keys = |one: &Self| one.0.values().map(|scope| &scope.0.key).collect::<Vec<_>>();
        keys(self) == keys(other)
    }
}

impl Eq for Vocabulary {}

impl Vocabulary {
    /// All that are good, and what is wrong with the others, by name.
    pub fn define(
        definitions: &BTreeMap<String, Definition>,
    ) -> (Self, Vec<(String, CustomError)>) {
        let mut vocabulary = Self::default();
        let mut problems = Vec::new();
        for name in definitions.keys() {
            if let Err(problem) = vocabulary.add(name, definitions, &mut Vec::new()) {
                problems.push((name.clone(), problem));
            }
        }
        (vocabulary, problems)
    }

    /// `above` are those that lead here, so that a circle is seen.
    fn add<'a>(
        &mut self,
        name: &'a str,
        definitions: &'a BTreeMap<String, Definition>,
        above: &mut Vec<&'a str>,
    ) -> Result<Custom, CustomError> {
        if let Some(known) = self.0.get(name) {
            return Ok(*known);
        }
        if !is_good(name) {
            return Err(CustomError::Name(name.chars().take(NAME_MAX).collect()));
        }
        if above.contains(&name) {
            return Err(CustomError::Circle(name.to_owned()));
        }
        let definition = &definitions[name];
        above.push(name);
        let mut includes = Vec::new();
        for below in &definition.subscopes {
            let Some((below, _)) = definitions.get_key_value(below) else {
                return Err(undefined(below, definitions));
            };
            includes.push(self.add(below, definitions, above)?);
        }
        above.pop();
        let custom = Custom::keep(name, &definition.description, includes);
        self.0.insert(custom.as_str(), custom);
        Ok(custom)
    }

    /// What they mean, by their names.
    pub fn descriptions(&self) -> BTreeMap<String, String> {
        let all = self.0.values();
        all.map(|scope| (scope.0.name.clone(), scope.0.about.clone()))
            .collect()
    }

    pub fn find(&self, name: &str) -> Option<ScopeName> {
        self.0.get(name).copied().map(ScopeName::Custom)
    }

    /// The scope that a misspelt name most likely means, of JupyterHub's own and these.
    pub fn nearest(&self, name: &str) -> Option<ScopeName> {
        if !name.starts_with(PREFIX) {
            return ScopeName::nearest(name);
        }
        let near = near(name, self.0.keys().copied())?;
        self.find(near)
    }

    /// Reads `NAME` or `NAME!FILTER`.
    pub fn parse(&self, text: &str) -> Result<Scope, ScopeError> {
        Scope::parse_in(text, self)
    }

    /// Reads a list of scopes; the first that can't be read is the error.
    pub fn parse_all<S: AsRef<str>>(
        &self,
        list: impl IntoIterator<Item = S>,
    ) -> Result<ScopeSet, ScopeError> {
        list.into_iter()
            .map(|text| self.parse(text.as_ref()))
            .collect()
    }
}

fn undefined(name: &str, definitions: &BTreeMap<String, Definition>) -> CustomError {
    let shown: String = name.chars().take(NAME_MAX).collect();
    if ScopeName::find(name).is_some() {
        return CustomError::NotCustom(shown);
    }
    match near(name, definitions.keys().map(String::as_str)) {
        Some(near) => CustomError::Misspelt(shown, near.to_owned()),
        None => CustomError::Undefined(shown),
    }
}

fn near<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    // The comparison is quadratic, and nobody slips that often.
    if name.len() > NAME_MAX {
        return None;
    }
    known
        .map(|other| (strsim::osa_distance(name, other), other))
        .filter(|(distance, _)| *distance <= 3)
        .min()
        .map(|(_, other)| other)
}

/// JupyterHub's own rule for names.
fn is_good(name: &str) -> bool {
    let Some(rest) = name.strip_prefix(PREFIX) else {
        return false;
    };
    let letter = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    name.len() <= NAME_MAX
        && rest.len() >= 3
        && rest
            .bytes()
            .all(|byte| letter(byte) || b"-_*:".contains(&byte))
        && rest.bytes().next().is_some_and(letter)
        && !rest.ends_with(['-', ':'])
}

#[cfg(test)]
mod tests {
    use super::super::{NoGroups, Owner, Target};
    use super::*;
    use crate::name::UserName;

    fn definitions(list: &[(&str, &[&str])]) -> BTreeMap<String, Definition> {
        list.iter()
            .map(|(name, below)| {
                let definition = Definition {
                    description: format!("about {name}"),
                    subscopes: below.iter().map(|&name| name.into()).collect(),
                };
                ((*name).to_owned(), definition)
            })
            .collect()
    }

    #[test]
    fn what_is_defined_is_read_held_and_narrowed() {
        let (known, _) = Vocabulary::define(&definitions(&[
            ("custom:grades:read", &["custom:grades:read:own"]),
            ("custom:grades:read:own", &[]),
            ("custom:grades:write", &["custom:grades:read"]),
        ]));
        let ada = UserName::parse("ada").unwrap();
        let held = known.parse_all(["custom:grades:write!user"]).unwrap();
        let held = held.resolve(&Owner::user(ada.clone())).expand();
        assert_eq!(
            held.to_list(),
            [
                "custom:grades:read!user=ada",
                "custom:grades:read:own!user=ada",
                "custom:grades:write!user=ada"
            ]
        );
        let read = known.find("custom:grades:read").unwrap();
        assert!(held.allows(read, Target::User(&ada), &NoGroups).is_yes());
        let asked = known.parse_all(["custom:grades:read", "proxy"]).unwrap();
        let both = asked.expand().intersect(&held, &NoGroups);
        assert_eq!(
            both.to_list(),
            [
                "custom:grades:read!user=ada",
                "custom:grades:read:own!user=ada"
            ]
        );
        assert_eq!(read.about(), "about custom:grades:read");
    }

    #[test]
    fn what_is_not_defined_is_not_there() {
        let (known, _) = Vocabulary::define(&definitions(&[("custom:grades:read", &[])]));
        let said = known.parse("custom:grades:raed").unwrap_err().to_string();
        assert!(
            said.contains("did you mean \"custom:grades:read\""),
            "{said}"
        );
        assert!(Scope::parse("custom:grades:read").is_err());
        assert!(known.parse("custom:other:read").is_err());
        assert!(known.parse("read:users").is_ok());
        assert!(known.parse("custom:grades:read!user=ada").is_ok());
        assert!(known.parse("custom:grades:read!course=a").is_err());
    }

    #[test]
    fn the_same_definition_is_the_same_and_another_is_not() {
        let one = definitions(&[("custom:abc", &["custom:abd"]), ("custom:abd", &[])]);
        let mut other = one.clone();
        let (first, problems) = Vocabulary::define(&one);
        assert!(problems.is_empty());
        assert_eq!(Vocabulary::define(&one).0, first);
        other.get_mut("custom:abd").unwrap().description = "else".into();
        assert_ne!(Vocabulary::define(&other).0, first);
        assert_ne!(Vocabulary::default(), first);
    }

    #[test]
    fn bad_definitions_are_told() {
        let check = |name: &str, below: &[&str], expect: &str| {
            let round = if name == "custom:about" { 2 } else { 1 };
            let all = definitions(&[
                (name, below),
                ("custom:good:one", &[]),
                (
                    "custom:round",
                    &["custom:good:one", "custom:about"][..round],
                ),
            ]);
            let (known, problems) = Vocabulary::define(&all);
            assert!(known.find("custom:good:one").is_some());
            let said: Vec<String> = problems.iter().map(|(_, said)| said.to_string()).collect();
            assert!(said.iter().any(|said| said.contains(expect)), "{said:?}");
        };
        check("grades:read", &[], "begins with `custom:`");
        check("custom:Grades", &[], "can't be a custom scope");
        check("custom::read", &[], "can't be a custom scope");
        check("custom:read-", &[], "can't be a custom scope");
        check("custom:ab", &[], "can't be a custom scope");
        check("custom:grades", &["read:users"], "JupyterHub's own");
        check("custom:grades", &["custom:good:on"], "did you mean");
        check("custom:grades", &["custom:nothing:like"], "is not defined");
        check("custom:grades", &["custom:grades"], "includes itself");
        check(
            "custom:about",
            &["custom:round"],
            "\"custom:about\" includes itself",
        );
    }
}
