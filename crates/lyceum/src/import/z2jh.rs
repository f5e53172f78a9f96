//! Values of the Zero-to-JupyterHub chart: who may come in, and how.
//!
//! Read are `hub.config` with the traits of JupyterHub's authenticators, and the layout of before 1.0,
//! `auth.*` (`old`), which is turned into the same first. `classes` knows which traits there are,
//! `said` hands them out; then each kind of authenticator has a file that says what becomes of its own.

mod classes;
mod directory;
mod oauth;
mod old;
mod passwords;
mod platform;
mod said;
#[cfg(test)]
mod tests;

use lyceum_model::secret::Secret;
use lyceum_written::tree::{Entry, Value};
use lyceum_written::{Node, Problem, Problems};

use super::write::{Keys, document};
use super::{Fate, Out, Report};
use classes::Kind;
use said::Said;

/// Where secrets are put, seen from the configuration.
pub const SECRETS: &str = "secrets";

/// What a file of values became.
#[derive(Debug)]
pub struct Translated {
    pub text: String,
    /// Files of the folder [`SECRETS`].
    pub secrets: Vec<(String, Secret)>,
    pub report: Report,
}

/// What is made while a file is read.
#[derive(Default)]
struct Work {
    report: Report,
    public_url: Option<String>,
    /// The way in.
    method: Keys,
    /// What more ways in of this kind have as their own; the rest is as with the first.
    beside: Vec<Keys>,
    admins: Vec<String>,
    names: Vec<String>,
    groups: Vec<String>,
    block: Vec<String>,
    existing: bool,
    everyone: bool,
    /// What every one of them must be besides, as the way in says it.
    rule: Keys,
    secrets: Vec<(String, Secret)>,
}

/// There is no configuration of it; what was found out of the rest is worth knowing all the same.
#[derive(Debug)]
pub struct Refused {
    pub problems: Problems,
    pub report: Report,
}

pub fn translate(file: &str, text: &str) -> Result<Translated, Refused> {
    let tree = Node::parse(text).map_err(|(place, message)| Refused {
        problems: Problems(vec![Problem {
            file: file.to_owned(),
            place,
            message,
        }]),
        report: Report::default(),
    })?;
    let mut work = Work::default();
    let entries = map(&tree);
    let auth = entries.iter().find(|entry| entry.key == "auth");
    let hub = entries.iter().find(|entry| entry.key == "hub");
    for entry in entries {
        if entry.key != "auth" && entry.key != "hub" {
            let place = entry.key_place;
            work.report.note(&entry.key, place, Fate::NotRead);
        }
    }
    let config = hub.and_then(|hub| work.config_of(hub));
    if let (Some(auth), Some(config)) = (auth, config) {
        let message = "the file has the layout of before 1.0 (`auth`) and the one of today (`hub.config`); which of them holds? Remove the other";
        work.report.problem(&auth.key, config.key_place, message);
    }
    let mut said = Said::default();
    if let Some(config) = config {
        said.read("hub.config", config, &mut work.report);
    }
    if let Some(auth) = auth {
        old::read(auth, &mut said, &mut work.report);
    }
    work.method(&mut said);
    if work.report.is_bad() {
        return Err(Refused {
            problems: work.report.problems(file),
            report: work.report,
        });
    }
    Ok(work.finish())
}

fn map(node: &Node) -> &[Entry] {
    match &node.value {
        Value::Map(entries) => entries,
        _ => &[],
    }
}

impl Work {
    fn config_of<'a>(&mut self, hub: &'a Entry) -> Option<&'a Entry> {
        for entry in map(&hub.node) {
            let key = format!("hub.{}", entry.key);
            match entry.key.as_str() {
                "config" => {}
                "extraConfig" if !is_empty(&entry.node) => self.report.problem(
                    &key,
                    entry.key_place,
                    "Python that the hub runs; it can't run here. What of it decides who comes in has to be said by keys of `lyceum.yaml`; remove it from a copy of this file to have the rest translated",
                ),
                "extraFiles" if is_python(&entry.node) => self.report.problem(
                    &key,
                    entry.key_place,
                    "a file below `jupyterhub_config.d` is Python that the hub runs, as `extraConfig` is; it can't run here. Remove it from a copy of this file to have the rest translated",
                ),
                "existingSecret" if !is_empty(&entry.node) => {
                    self.report.note(&key, entry.key_place, Fate::NotRead);
                    self.report.leave("`hub.existingSecret`: what that secret says of `hub.config` is not seen here");
                }
                _ => self.report.note(&key, entry.key_place, Fate::NotRead),
            }
        }
        map(&hub.node).iter().find(|entry| entry.key == "config")
    }

    /// The way in that the file chooses.
    fn method(&mut self, said: &mut Said) {
        let Some(kind) = said.kind(&mut self.report) else {
            return;
        };
        said.leave_out_others(kind, &mut self.report);
        match kind {
            Kind::OAuth(_) => oauth::old(said, self),
            Kind::Ldap => directory::old(said, self),
            Kind::Passwords(_) | Kind::Platform | Kind::OldPlatform => passwords::old(said, self),
        }
        self.people(said, matches!(kind, Kind::Passwords(_)));
        match kind {
            Kind::OAuth(class) => oauth::translate(self, said, class),
            Kind::Ldap => directory::translate(self, said),
            Kind::Platform => platform::translate(self, said),
            Kind::OldPlatform => platform::translate_old(self, said),
            Kind::Passwords(class) => passwords::translate(self, said, class),
        }
        said.refuse_rest(kind, &mut self.report);
    }

    /// What all authenticators have. `is_by_password`: accounts are kept here.
    fn people(&mut self, said: &mut Said, is_by_password: bool) {
        if let Some((list, at)) = said.list("admin_users", &mut self.report) {
            self.admins = list;
            at.taken("people.admins", &mut self.report);
        }
        if let Some((list, at)) = said.list("blocked_users", &mut self.report) {
            self.block = list;
            at.taken("people.block", &mut self.report);
        }
        if let Some((list, at)) = said.list("allowed_users", &mut self.report) {
            self.names = list;
            at.taken("people.allow", &mut self.report);
        }
        if let Some((yes, at)) = said.flag("allow_all", &mut self.report) {
            self.everyone = yes;
            match is_by_password {
                true => at.not_needed("whoever can log in by it comes in anyway", &mut self.report),
                false => at.taken("sign_in[0].allow", &mut self.report),
            }
        }
        // Where somebody is named, JupyterHub lets in those too whom an administrator has added.
        self.existing = !self.names.is_empty();
        if let Some((yes, at)) = said.flag("allow_existing_users", &mut self.report) {
            self.existing = yes;
            at.taken("people.existing", &mut self.report);
        }
    }

    /// The value of a secret goes into a file of its own.
    fn secret(&mut self, name: &str, value: &str) -> String {
        self.secrets.push((name.to_owned(), Secret::new(value)));
        format!("file:{SECRETS}/{name}")
    }

    /// The way in, and those beside it.
    fn ways(&self) -> Vec<Out> {
        let mut ways = vec![Out::from(self.method.clone())];
        for own in &self.beside {
            let mut way = self.method.clone();
            for (key, value) in &own.0 {
                way.put(key, value.clone());
            }
            ways.push(way.into());
        }
        ways
    }

    fn finish(mut self) -> Translated {
        let mut keys = Keys::default();
        match &self.public_url {
            Some(url) => keys.put("public_url", url.as_str()),
            None => self
                .report
                .leave("`public_url`: the address that people type"),
        }
        let is_local = matches!(self.method.get("kind"), Some(Out::Text(kind)) if kind == "local");
        let is_elsewhere = !is_local
            && !matches!(self.method.get("kind"), Some(Out::Text(kind)) if kind == "dummy");
        let mut allow = self.names.clone();
        allow.extend(self.groups.iter().map(|group| format!("group:{group}")));
        let mut people = Keys::default();
        if !self.admins.is_empty() {
            people.put("admins", self.admins.clone());
            if is_elsewhere {
                self.report.leave("the first administrator: nobody is given an account of `people.admins` for bringing its name. Where names are given by the organisation, and to nobody twice, write `adopt_administrators: true` at the way in until they have come; or say with `admins` there who is one (docs/admin/sign-in.md, Whose account it is)");
            }
        } else if is_elsewhere && self.method.get("admins").is_none() {
            self.report.leave("an administrator: the values name none. Say with `admins` at the way in who is one, or make one of somebody who has come: `lyceum admin grant NAME`");
        }
        match self.everyone {
            true if is_elsewhere => {
                if self.rule.is_empty() {
                    self.rule.put("everyone", true);
                }
            }
            true => {}
            // An account here is made for somebody.
            false if allow.is_empty() && is_local => {}
            false => {
                if allow.is_empty() && !self.existing {
                    self.report.leave("who may come in: the values name nobody, and nobody but administrators comes in then. Name people in `people.allow`, or write `allow: {everyone: true}` at the way in for everybody who has an account there");
                }
                people.put("allow", allow);
            }
        }
        if self.existing {
            people.put("existing", true);
            self.report.leave("`people.existing`: it is about accounts here; people of the old hub have none until they come or are made");
        }
        if !self.block.is_empty() {
            people.put("block", self.block.clone());
        }
        if !self.rule.is_empty() {
            self.method.put("allow", std::mem::take(&mut self.rule));
        }
        keys.put("sign_in", Out::List(self.ways()));
        if !people.is_empty() {
            keys.put("people", people);
        }
        Translated {
            text: document(&keys),
            secrets: self.secrets,
            report: self.report,
        }
    }
}

/// Whether one of these files is run by the hub when it starts.
fn is_python(files: &Node) -> bool {
    map(files).iter().any(|file| {
        let mut keys = map(&file.node).iter();
        keys.any(|key| match &key.node.value {
            Value::Text(text) => key.key == "mountPath" && text.contains("jupyterhub_config.d"),
            _ => false,
        })
    })
}

fn is_empty(node: &Node) -> bool {
    match &node.value {
        Value::Null => true,
        Value::Text(text) => text.is_empty(),
        Value::List(items) => items.is_empty(),
        Value::Map(entries) => entries.is_empty(),
        Value::Bool(_) | Value::Int(_) | Value::Float(_) => false,
    }
}
