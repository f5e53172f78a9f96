//! `environment:` of a course: what its people start, and what is different for whom.
//!
//! It can say what a named environment of the configuration says ([`lyceum_written::environment`]),
//! begins with one of those if it names one, and each thing it says knows its line.

use std::collections::BTreeMap;

use lyceum_model::environment::{About, Said, Setting};
use lyceum_written::environment::{Parts, RawCpuShare, RawDisk, RawMemoryShare};
use lyceum_written::problem::suggest;
use lyceum_written::{Node, Tell};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::course::Role;

/// As it is written; the comments are the manual.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RawEnvironment {
    /// The one of the configuration's `environments` that it begins with. Left out: what `servers` says.
    #[serde(rename = "use")]
    pub base: Option<String>,
    /// The program and its arguments.
    pub command: Option<Vec<String>>,
    /// The page a server opens with.
    pub opens: Option<String>,
    /// Environment variables.
    pub env: BTreeMap<String, String>,
    /// Processor cores: `{guarantee: 0.1, limit: 4}`.
    pub cpu: RawCpuShare,
    /// Memory: `{guarantee: 512M, limit: 5G}`.
    pub memory: RawMemoryShare,
    /// How many processes and threads.
    pub processes: Option<u64>,
    /// How much may be written: `{home: 5G, file: 2G}`.
    pub disk: RawDisk,
    /// What is different for teachers.
    pub teachers: RawDifference,
    /// What is different for graders.
    pub graders: RawDifference,
    /// What is different for students.
    pub students: RawDifference,
    /// What is different for observers. Left out: what is for students.
    pub observers: Option<RawDifference>,
}

/// What is different for people of a role.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RawDifference {
    /// The program and its arguments.
    pub command: Option<Vec<String>>,
    /// The page a server opens with.
    pub opens: Option<String>,
    /// Environment variables that they have besides, or with other values.
    pub env: BTreeMap<String, String>,
    /// Processor cores: `{guarantee: 0.1, limit: 4}`.
    pub cpu: RawCpuShare,
    /// Memory: `{guarantee: 512M, limit: 5G}`.
    pub memory: RawMemoryShare,
    /// How many processes and threads.
    pub processes: Option<u64>,
    /// How much may be written: `{home: 5G, file: 2G}`.
    pub disk: RawDisk,
}

/// What is said of servers of a course.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Environment {
    /// The environment of the configuration that it begins with.
    pub base: Option<Base>,
    /// For all its people.
    said: Vec<Said>,
    teachers: Vec<Said>,
    graders: Vec<Said>,
    students: Vec<Said>,
    /// `None`: what students start.
    observers: Option<Vec<Said>>,
}

/// A named environment, and the line that names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Base {
    pub name: String,
    /// `courses/bio.yaml:7`.
    pub place: String,
}

const KEY: &str = "environment";

impl Environment {
    /// What the course says for somebody who is this in it, the later over the earlier.
    pub fn said(&self, role: Role) -> impl Iterator<Item = &Said> {
        let own = match role {
            Role::Teacher => &self.teachers,
            Role::Grader => &self.graders,
            Role::Student => &self.students,
            Role::Observer => self.observers.as_ref().unwrap_or(&self.students),
        };
        self.said.iter().chain(own)
    }

    /// Checks what is written. `known`: the environments of the configuration.
    pub(crate) fn check(
        raw: &RawEnvironment,
        file: &str,
        tree: &Node,
        known: &[String],
        problem: Tell<'_>,
    ) -> Self {
        let base = base_of(raw.base.as_ref(), KEY, file, tree, known, problem);
        let mut said = |parts: Parts<'_>, path: &str| -> Vec<Said> {
            said_at(parts.check(path, problem), file, tree)
        };
        let common = said(raw.parts(), KEY);
        let mut of = |role: &str, raw: &RawDifference| said(raw.parts(), &format!("{KEY}.{role}"));
        let environment = Self {
            teachers: of("teachers", &raw.teachers),
            graders: of("graders", &raw.graders),
            students: of("students", &raw.students),
            observers: raw.observers.as_ref().map(|raw| of("observers", raw)),
            said: common,
            base,
        };
        for (role, whom) in [
            (Role::Teacher, "a teacher"),
            (Role::Grader, "a grader"),
            (Role::Student, "a student"),
            (Role::Observer, "an observer"),
        ] {
            // Who starts what students start is told of it there.
            if role != Role::Observer || environment.observers.is_some() {
                let said: Vec<&Said> = environment.said(role).collect();
                check_amounts(&said, whom, problem);
            }
        }
        environment
    }
}

/// The named environment with which something under `key` begins.
pub(crate) fn base_of(
    name: Option<&String>,
    key: &str,
    file: &str,
    tree: &Node,
    known: &[String],
    problem: Tell<'_>,
) -> Option<Base> {
    let name = name?;
    let path = format!("{key}.use");
    if !known.contains(name) {
        problem(&path, missing(name, known));
    }
    Some(Base {
        name: name.clone(),
        place: place_in(file, tree, &path),
    })
}

/// The same, each with its line.
pub(crate) fn said_at(said: Vec<Said>, file: &str, tree: &Node) -> Vec<Said> {
    let said = said.into_iter().map(|said| {
        let place = place_in(file, tree, &said.path);
        said.at(place)
    });
    said.collect()
}

fn place_in(file: &str, tree: &Node, path: &str) -> String {
    let line = tree.place_of(path).map(|place| place.line);
    line.map_or_else(|| file.to_owned(), |line| format!("{file}:{line}"))
}

/// A limit that one part says can be less than what another guarantees. `whom`: for whom both hold.
pub(crate) fn check_amounts(said: &[&Said], whom: &str, problem: Tell<'_>) {
    let last = |about: About| said.iter().rposition(|said| said.setting.about() == about);
    let pairs = [
        (About::MemoryGuarantee, About::MemoryLimit),
        (About::CpuGuarantee, About::CpuLimit),
    ];
    for (least, most) in pairs {
        let (Some(least_at), Some(most_at)) = (last(least), last(most)) else {
            continue;
        };
        let (least, most) = (said[least_at], said[most_at]);
        let wrong = match (&least.setting, &most.setting) {
            (Setting::MemoryGuarantee(Some(least)), Setting::MemoryLimit(Some(most))) => {
                least > most
            }
            (Setting::CpuGuarantee(Some(least)), Setting::CpuLimit(Some(most))) => least > most,
            _ => false,
        };
        // Within one part it is told already.
        let part = |path: &str| path.rsplitn(3, '.').nth(2).map(str::to_owned);
        if wrong && part(&least.path) != part(&most.path) {
            let later = said[least_at.max(most_at)];
            let message = format!(
                "for {whom} the limit is less than what is guaranteed (`{}` and `{}`)",
                least.path, most.path
            );
            problem(&later.path, message);
        }
    }
}

impl RawEnvironment {
    fn parts(&self) -> Parts<'_> {
        Parts {
            image: None,
            command: self.command.as_deref(),
            opens: self.opens.as_deref(),
            env: &self.env,
            cpu: &self.cpu,
            memory: &self.memory,
            processes: self.processes,
            disk: &self.disk,
        }
    }
}

impl RawDifference {
    fn parts(&self) -> Parts<'_> {
        Parts {
            image: None,
            command: self.command.as_deref(),
            opens: self.opens.as_deref(),
            env: &self.env,
            cpu: &self.cpu,
            memory: &self.memory,
            processes: self.processes,
            disk: &self.disk,
        }
    }
}

fn missing(name: &str, known: &[String]) -> String {
    let known: Vec<&str> = known.iter().map(String::as_str).collect();
    let hint = match known.as_slice() {
        [] => "the configuration has no `environments`".to_owned(),
        known => suggest(name, known),
    };
    format!("there is no environment `{name}`; {hint}")
}
