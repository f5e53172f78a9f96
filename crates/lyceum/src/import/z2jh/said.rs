//! What a file says to authenticators, trait by trait. Whoever takes one says what became of it; what
//! nobody took is a problem.

use std::collections::BTreeMap;

use lyceum_written::problem::suggest;
use lyceum_written::tree::{Entry, Value};
use lyceum_written::{Node, Place};

use super::classes::{CLASSES, Class, Kind, OTHERS, find};
use super::{is_empty, map};
use crate::import::{Fate, Report};

/// The chart's own choice.
const DEFAULT: &str = "dummy";

/// Where something stands in the file.
#[derive(Debug, Clone)]
pub(super) struct At {
    pub(super) key: String,
    pub(super) place: Place,
}

impl At {
    pub(super) fn taken(&self, as_what: &str, report: &mut Report) {
        report.note(&self.key, self.place, Fate::Taken(as_what.to_owned()));
    }

    pub(super) fn changed(&self, how: &str, report: &mut Report) {
        report.note(&self.key, self.place, Fate::Changed(how.to_owned()));
    }

    pub(super) fn not_needed(&self, why: &str, report: &mut Report) {
        report.note(&self.key, self.place, Fate::NotNeeded(why.to_owned()));
    }

    pub(super) fn problem(&self, message: &str, report: &mut Report) {
        report.problem(&self.key, self.place, message);
    }
}

#[derive(Debug, Clone)]
struct One {
    class: &'static str,
    node: Node,
    at: At,
}

#[derive(Default)]
pub(super) struct Said {
    chosen: Option<(String, At)>,
    /// By trait; of several classes the nearest counts.
    all: BTreeMap<String, Vec<One>>,
}

impl Said {
    /// Everything below `hub.config`.
    pub(super) fn read(&mut self, key: &str, config: &Entry, report: &mut Report) {
        for section in map(&config.node) {
            let key = format!("{key}.{}", section.key);
            match find(&section.key) {
                Some(class) => self.read_class(&key, class, &section.node, report),
                None if section.key == "JupyterHub" => self.read_hub(&key, section, report),
                None if OTHERS.contains(&section.key.as_str()) => {
                    report.note(&key, section.key_place, Fate::NotRead);
                }
                None => {
                    let classes = CLASSES.iter().map(|class| class.name);
                    let known: Vec<&str> = classes.chain(OTHERS).collect();
                    let near = suggest(&section.key, &known);
                    let message = format!("there is no such class that is known here; {near}");
                    report.problem(&key, section.key_place, message);
                }
            }
        }
    }

    pub(super) fn read_class(
        &mut self,
        key: &str,
        class: &'static Class,
        section: &Node,
        report: &mut Report,
    ) {
        for entry in map(section) {
            let key = format!("{key}.{}", entry.key);
            if class
                .line()
                .any(|one| one.traits.contains(&entry.key.as_str()))
            {
                self.put(class.name, &entry.key, key, entry.key_place, &entry.node);
                continue;
            }
            let known: Vec<&str> = class.line().flat_map(|one| one.traits).copied().collect();
            let near = match entry.key.as_str() {
                // Never was one, and is written often.
                "allowlist" => "did you mean `allowed_users`?".to_owned(),
                "blocklist" => "did you mean `blocked_users`?".to_owned(),
                other => suggest(other, &known),
            };
            let message = match known.len() > 12 && near.starts_with("known") {
                true => "no such trait is known here".to_owned(),
                false => format!("no such trait is known here; {near}"),
            };
            report.problem(&key, entry.key_place, message);
        }
    }

    pub(super) fn put(
        &mut self,
        class: &'static str,
        name: &str,
        key: String,
        place: Place,
        node: &Node,
    ) {
        let at = At { key, place };
        let node = node.clone();
        let all = self.all.entry(name.to_owned()).or_default();
        all.push(One { class, node, at });
    }

    fn read_hub(&mut self, key: &str, section: &Entry, report: &mut Report) {
        for entry in map(&section.node) {
            let at = At {
                key: format!("{key}.{}", entry.key),
                place: entry.key_place,
            };
            match (entry.key.as_str(), &entry.node.value) {
                ("authenticator_class", Value::Text(word)) => self.choose(word, at),
                ("authenticator_class", _) => at.problem("it is no text", report),
                ("admin_access", value) => access(&at, value, report),
                _ => report.note(&at.key, at.place, Fate::NotRead),
            }
        }
    }

    pub(super) fn choose(&mut self, word: &str, at: At) {
        self.chosen = Some((word.to_owned(), at));
    }

    /// The authenticator that is chosen.
    pub(super) fn kind(&self, report: &mut Report) -> Option<Kind> {
        let (word, at) = match &self.chosen {
            Some((word, at)) => (word.as_str(), Some(at)),
            None => (DEFAULT, None),
        };
        let last = word.rsplit(['.', ':']).next().unwrap_or(word);
        let class = CLASSES
            .iter()
            .find(|class| class.name == last || class.words.contains(&word));
        if let (Some(class), Some(at)) = (class, at) {
            at.taken("sign_in[0].kind", report);
            // A class of another module may be anything.
            let known = [
                "oauthenticator",
                "ldapauthenticator",
                "nativeauthenticator",
                "firstuseauthenticator",
                "tmpauthenticator",
                "ltiauthenticator",
                "jupyterhub",
                "dummyauthenticator",
            ];
            let module = word.split('.').next().unwrap_or(word);
            if word.contains('.') && !known.contains(&module) {
                at.problem(
                    "this class is of a module that is not known here, and may let in anybody",
                    report,
                );
                return None;
            }
            if class.kind().is_none() {
                at.problem(
                    "this class is for others to be made from; nobody signs in by it",
                    report,
                );
            }
        }
        if class.is_none()
            && let Some(at) = at
        {
            let known: Vec<&str> = CLASSES
                .iter()
                .flat_map(|class| class.words)
                .copied()
                .collect();
            let message = format!(
                "no such authenticator is known here; {}",
                suggest(last, &known)
            );
            at.problem(&message, report);
        }
        class.and_then(Class::kind)
    }

    /// There is nothing like the one that is chosen.
    pub(super) fn refuse_choice(&self, why: &str, report: &mut Report) {
        if let Some((_, at)) = &self.chosen {
            at.problem(why, report);
        }
    }

    /// What is said to authenticators that are not chosen means nothing.
    pub(super) fn leave_out_others(&mut self, kind: Kind, report: &mut Report) {
        let line: Vec<&str> = kind.class().line().map(|class| class.name).collect();
        let nearness = |one: &One| line.iter().position(|class| *class == one.class);
        for all in self.all.values_mut() {
            let nearest = all.iter().filter_map(nearness).min();
            all.retain(|one| {
                let stays = nearness(one).is_some() && nearness(one) == nearest;
                if !stays {
                    let why = match nearness(one) {
                        None => "another authenticator is chosen",
                        Some(_) => "the class that is chosen says it otherwise",
                    };
                    one.at.not_needed(why, report);
                }
                stays
            });
        }
        self.all.retain(|_, all| !all.is_empty());
        // As it is where nothing is said.
        for all in self.all.values_mut() {
            all.retain(|one| {
                let says = !is_empty(&one.node);
                if !says {
                    one.at.not_needed("it is empty", report);
                }
                says
            });
        }
        self.all.retain(|_, all| !all.is_empty());
    }

    pub(super) fn take(&mut self, name: &str) -> Option<(Node, At)> {
        let one = self.all.remove(name)?.pop()?;
        Some((one.node, one.at))
    }

    pub(super) fn text(&mut self, name: &str, report: &mut Report) -> Option<(String, At)> {
        let (node, at) = self.take(name)?;
        match node.value {
            Value::Text(text) => Some((text, at)),
            Value::Int(number) => Some((number.to_string(), at)),
            _ => {
                at.problem("a text is expected here", report);
                None
            }
        }
    }

    pub(super) fn flag(&mut self, name: &str, report: &mut Report) -> Option<(bool, At)> {
        let (node, at) = self.take(name)?;
        match node.value {
            Value::Bool(yes) => Some((yes, at)),
            _ => {
                at.problem("`true` or `false` is expected here", report);
                None
            }
        }
    }

    pub(super) fn number(&mut self, name: &str, report: &mut Report) -> Option<(i64, At)> {
        let (node, at) = self.take(name)?;
        match node.value {
            Value::Int(number) => Some((number, at)),
            _ => {
                at.problem("a number is expected here", report);
                None
            }
        }
    }

    /// A list of texts, or one text.
    pub(super) fn list(&mut self, name: &str, report: &mut Report) -> Option<(Vec<String>, At)> {
        let (node, at) = self.take(name)?;
        match texts(&node) {
            Some(list) => Some((list, at)),
            None => {
                at.problem("a list of texts is expected here", report);
                None
            }
        }
    }

    /// Texts by their names.
    pub(super) fn pairs(
        &mut self,
        name: &str,
        report: &mut Report,
    ) -> Option<(Vec<(String, String)>, At)> {
        let (node, at) = self.take(name)?;
        let pairs: Option<Vec<(String, String)>> = match &node.value {
            Value::Map(entries) => entries
                .iter()
                .map(|entry| Some((entry.key.clone(), text_of(&entry.node)?)))
                .collect(),
            _ => None,
        };
        if pairs.is_none() {
            at.problem("names with texts are expected here", report);
        }
        pairs.map(|pairs| (pairs, at))
    }

    /// Takes those that are out of use under the names that took their place.
    pub(super) fn rename(&mut self, pairs: &[(&str, &str)], report: &mut Report) {
        for (old, new) in pairs {
            let Some(one) = self.all.remove(*old).and_then(|mut all| all.pop()) else {
                continue;
            };
            match self.all.get(*new) {
                Some(_) => {
                    let message = format!("`{new}` says this too; remove one of the two");
                    one.at.problem(&message, report);
                }
                None => {
                    self.all.insert((*new).to_owned(), vec![one]);
                }
            }
        }
    }

    /// What only Lyceum's own ways make needless.
    pub(super) fn drop_needless(&mut self, list: &[(&str, &str)], report: &mut Report) {
        for (name, why) in list {
            if let Some((_, at)) = self.take(name) {
                at.not_needed(why, report);
            }
        }
    }

    /// What would let in fewer, or others, and can't be said here.
    pub(super) fn refuse(&mut self, list: &[(&str, &str)], report: &mut Report) {
        for (name, why) in list {
            if let Some((_, at)) = self.take(name) {
                at.problem(why, report);
            }
        }
    }

    /// Nothing is passed over in silence.
    pub(super) fn refuse_rest(&mut self, kind: Kind, report: &mut Report) {
        let class = kind.class().name;
        for one in std::mem::take(&mut self.all).into_values().flatten() {
            let message = format!(
                "this can't be said here of {class}; remove it from a copy of this file if it may be left out"
            );
            one.at.problem(&message, report);
        }
    }
}

fn text_of(node: &Node) -> Option<String> {
    match &node.value {
        Value::Text(text) => Some(text.clone()),
        Value::Int(number) => Some(number.to_string()),
        Value::Bool(yes) => Some(yes.to_string()),
        _ => None,
    }
}

/// One text or many; JupyterHub's sets are lists here, or the keys of a mapping.
pub(super) fn texts(node: &Node) -> Option<Vec<String>> {
    match &node.value {
        Value::List(items) => items.iter().map(text_of).collect(),
        _ => text_of(node).map(|text| vec![text]),
    }
}

/// Whether administrators open servers of others, in either layout.
pub(super) fn access(at: &At, value: &Value, report: &mut Report) {
    match value {
        Value::Bool(false) => at.problem(
            "administrators can open servers of others here; give people a role without that instead of making them administrators",
            report,
        ),
        _ => at.not_needed(
            "administrators may, where each person has a host of her own",
            report,
        ),
    }
}
