//! `server:` of a course: a server of its own, which its teachers share.
//!
//! `true` is what a teacher would start for the course. With keys it begins with that, or with a named
//! environment of the configuration, and says what is different and for whom it is.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

use lyceum_model::environment::Said;
use lyceum_written::environment::{Parts, RawCpuShare, RawDisk, RawMemoryShare};
use lyceum_written::tree::{Step, Value};
use lyceum_written::{Node, Tell};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::value::MapAccessDeserializer;
use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer};

use crate::course::{Course, RawCourse, Role};
use crate::environment::{Base, Environment, base_of, check_amounts, said_at};
use crate::nbgrader;

pub(crate) const KEY: &str = "server";

/// `true`, `false`, or keys.
#[derive(Debug, Clone, Default, PartialEq)]
pub enum RawServer {
    #[default]
    Off,
    On(Box<RawServerKeys>),
}

/// As it is written; the comments are the manual.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RawServerKeys {
    /// Who opens, starts and stops it: `[teachers]`, or teachers and graders, as where it is left out.
    #[serde(rename = "for")]
    pub open_to: Option<Vec<Opener>>,
    /// The one of the configuration's `environments` that it begins with. Left out: what a teacher
    /// would start for the course.
    #[serde(rename = "use")]
    pub base: Option<String>,
    /// The program and its arguments.
    pub command: Option<Vec<String>>,
    /// The page it opens with.
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
}

/// People of a course who can work in its server. Students never can.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Opener {
    Teachers,
    Graders,
}

impl Opener {
    fn role(self) -> Role {
        match self {
            Self::Teachers => Role::Teacher,
            Self::Graders => Role::Grader,
        }
    }
}

impl<'de> Deserialize<'de> for RawServer {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Either;
        impl<'de> Visitor<'de> for Either {
            type Value = RawServer;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("`true`, or keys such as `{for: [teachers], memory: {limit: 4G}}`")
            }
            fn visit_bool<E>(self, on: bool) -> Result<RawServer, E> {
                Ok(match on {
                    true => RawServer::On(Box::default()),
                    false => RawServer::Off,
                })
            }
            fn visit_map<A: MapAccess<'de>>(self, keys: A) -> Result<RawServer, A::Error> {
                let keys = RawServerKeys::deserialize(MapAccessDeserializer::new(keys))?;
                Ok(RawServer::On(Box::new(keys)))
            }
        }
        from.deserialize_any(Either)
    }
}

impl JsonSchema for RawServer {
    fn schema_name() -> Cow<'static, str> {
        "Server".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let keys = generator.subschema_for::<RawServerKeys>();
        json_schema!({ "anyOf": [{ "type": "boolean" }, keys], "default": false })
    }
}

/// A file as it is written.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Written<'a> {
    pub(crate) file: &'a str,
    pub(crate) tree: &'a Node,
}

/// The server of a course.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Server {
    /// Who is who opens it.
    pub open_to: Vec<Role>,
    /// The environment of the configuration that it begins with, in place of the course's.
    pub base: Option<Base>,
    said: Vec<Said>,
}

impl Server {
    pub(crate) fn check(
        course: &RawCourse,
        environment: Option<&Environment>,
        Written { file, tree }: Written<'_>,
        known: &[String],
        problem: Tell<'_>,
    ) -> Option<Self> {
        let nothing = RawServerKeys::default();
        let raw = match &course.server {
            RawServer::On(raw) => raw,
            RawServer::Off if course.formgrader => {
                if let Some(node) = tree.find(&[Step::Key(KEY.into())])
                    && matches!(node.value, Value::Bool(false))
                {
                    let message =
                        "the formgrader runs in it; leave this out, or write `formgrader: false`";
                    problem(KEY, message.into());
                }
                &nothing
            }
            RawServer::Off => return None,
        };
        let both = [Opener::Teachers, Opener::Graders];
        let open_to = raw.open_to.as_deref().unwrap_or(&both);
        // Where what stands there is nobody who could, that is told already.
        let path = [KEY, "for"].map(|key| Step::Key(key.into()));
        let is_empty = |node: &Node| matches!(&node.value, Value::List(list) if list.is_empty());
        if open_to.is_empty() && tree.find(&path).is_none_or(is_empty) {
            let message =
                "names nobody; leave it out for teachers and graders, or write `server: false`";
            problem(&format!("{KEY}.for"), message.into());
        }
        let base = base_of(raw.base.as_ref(), KEY, file, tree, known, problem);
        let mut said: Vec<Said> = Vec::new();
        if course.formgrader {
            said.push(nbgrader::opens());
        }
        said.extend(raw.parts().check(KEY, problem));
        let server = Self {
            open_to: open_to.iter().map(|opener| opener.role()).collect(),
            base,
            said: said_at(said, file, tree),
        };
        // What the course's environment says wrong by itself is told there.
        let mut own = |path: &str, message: String| {
            if path.starts_with(KEY) {
                problem(path, message);
            }
        };
        let said = server.all_said(environment);
        check_amounts(&said, "the course's server", &mut own);
        Some(server)
    }

    /// What the course says of it, the later over the earlier.
    pub fn said<'a>(&'a self, course: &'a Course) -> Vec<&'a Said> {
        self.all_said(course.environment.as_ref())
    }

    fn all_said<'a>(&'a self, environment: Option<&'a Environment>) -> Vec<&'a Said> {
        let before = environment.filter(|_| self.base.is_none());
        let before = before.into_iter().flat_map(|one| one.said(Role::Teacher));
        before.chain(&self.said).collect()
    }

    /// The environment of the configuration that it begins with in the end.
    pub fn begins_with<'a>(&'a self, course: &'a Course) -> Option<&'a Base> {
        let of_course = || course.environment.as_ref()?.base.as_ref();
        self.base.as_ref().or_else(of_course)
    }
}

impl Server {
    /// Which key of the file says with what it begins.
    pub fn base_key(&self) -> &'static str {
        match self.base {
            Some(_) => "server.use",
            None => "environment.use",
        }
    }
}

impl RawServerKeys {
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
