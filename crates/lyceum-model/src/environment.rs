//! What the configuration and course files say of a server, each thing with the place where it stands.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::Value;

use crate::server::ServerSpec;

/// One thing that is said of a server.
#[derive(Debug, Clone, PartialEq)]
pub enum Setting {
    Image(String),
    Command(Vec<String>),
    Args(Vec<String>),
    Opens(String),
    /// Bytes; `None`: no limit, whatever was said before.
    MemoryGuarantee(Option<u64>),
    MemoryLimit(Option<u64>),
    /// Cores.
    CpuGuarantee(Option<f64>),
    CpuLimit(Option<f64>),
    Processes(Option<u64>),
    /// Bytes.
    HomeSize(Option<u64>),
    FileSize(Option<u64>),
    /// A variable; `None`: it is not set, whatever was said before.
    Env(String, Option<String>),
    /// What nbgrader is told there: `ExecutePreprocessor.timeout`, and its value.
    Nbgrader(String, Value),
}

/// With its place, as a path: `environments.python.memory.limit`.
#[derive(Debug, Clone, PartialEq)]
pub struct Said {
    pub path: String,
    /// The line of a course file that says it: `courses/bio.yaml:7`. `None`: the configuration does,
    /// which knows the line by the path.
    pub place: Option<Arc<str>>,
    pub setting: Setting,
}

impl Said {
    pub fn new(path: impl Into<String>, setting: Setting) -> Self {
        Self {
            path: path.into(),
            place: None,
            setting,
        }
    }

    pub fn at(self, place: impl Into<Arc<str>>) -> Self {
        Self {
            place: Some(place.into()),
            ..self
        }
    }
}

/// What a [`Setting`] is about; the later one of two that are about the same holds.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum About {
    Image,
    Command,
    Args,
    Opens,
    MemoryGuarantee,
    MemoryLimit,
    CpuGuarantee,
    CpuLimit,
    Processes,
    HomeSize,
    FileSize,
    Env(String),
    Nbgrader(String),
}

impl Setting {
    pub fn about(&self) -> About {
        match self {
            Self::Image(_) => About::Image,
            Self::Command(_) => About::Command,
            Self::Args(_) => About::Args,
            Self::Opens(_) => About::Opens,
            Self::MemoryGuarantee(_) => About::MemoryGuarantee,
            Self::MemoryLimit(_) => About::MemoryLimit,
            Self::CpuGuarantee(_) => About::CpuGuarantee,
            Self::CpuLimit(_) => About::CpuLimit,
            Self::Processes(_) => About::Processes,
            Self::HomeSize(_) => About::HomeSize,
            Self::FileSize(_) => About::FileSize,
            Self::Env(name, _) => About::Env(name.clone()),
            Self::Nbgrader(name, _) => About::Nbgrader(name.clone()),
        }
    }

    /// What is left of a guarantee under a limit, where that is less.
    fn at_most(&self, limit: &Self) -> Option<Self> {
        match (self, limit) {
            (Self::MemoryGuarantee(Some(least)), Self::MemoryLimit(Some(most))) => {
                (least > most).then_some(Self::MemoryGuarantee(Some(*most)))
            }
            (Self::CpuGuarantee(Some(least)), Self::CpuLimit(Some(most))) => {
                (least > most).then_some(Self::CpuGuarantee(Some(*most)))
            }
            _ => None,
        }
    }
}

/// What holds in the end: of two words about the same the later one, and of a guarantee no more than
/// the limit, whichever was said later. Guarantees and limits come from different hands, a site's and a
/// course's say, and whoever sets a limit means that there is no more.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Values {
    held: BTreeMap<About, Said>,
    lowered: Vec<Lowered>,
}

/// A guarantee that is more than the limit, as both were said.
#[derive(Debug, Clone, PartialEq)]
pub struct Lowered {
    pub guarantee: Said,
    pub limit: Said,
}

impl Values {
    pub fn of<'a>(said: impl IntoIterator<Item = &'a Said>) -> Self {
        let last = said
            .into_iter()
            .map(|said| (said.setting.about(), said.clone()));
        let mut held: BTreeMap<About, Said> = last.collect();
        let mut lowered = Vec::new();
        for (least, most) in [
            (About::MemoryGuarantee, About::MemoryLimit),
            (About::CpuGuarantee, About::CpuLimit),
        ] {
            let (Some(guarantee), Some(limit)) = (held.get(&least), held.get(&most)) else {
                continue;
            };
            let Some(setting) = guarantee.setting.at_most(&limit.setting) else {
                continue;
            };
            lowered.push(Lowered {
                guarantee: guarantee.clone(),
                limit: limit.clone(),
            });
            let guarantee = Said {
                setting,
                ..guarantee.clone()
            };
            held.insert(least, guarantee);
        }
        Self { held, lowered }
    }

    pub fn iter(&self) -> impl Iterator<Item = &Said> {
        self.held.values()
    }

    /// The guarantees that are less than they were said to be.
    pub fn lowered(&self) -> &[Lowered] {
        &self.lowered
    }

    /// Puts it into an order for a server.
    pub fn apply(&self, spec: &mut ServerSpec) {
        let mut args = Vec::new();
        for said in self.iter() {
            let resources = &mut spec.resources;
            match said.setting.clone() {
                Setting::Image(image) => spec.image = Some(image),
                Setting::Command(command) => spec.command = command,
                Setting::Args(words) => args = words,
                Setting::Opens(page) => spec.default_url = Some(page),
                Setting::MemoryGuarantee(bytes) => resources.memory_guarantee = bytes,
                Setting::MemoryLimit(bytes) => resources.memory_limit = bytes,
                Setting::CpuGuarantee(cores) => resources.cpu_guarantee = cores,
                Setting::CpuLimit(cores) => resources.cpu_limit = cores,
                Setting::Processes(count) => resources.processes = count,
                Setting::HomeSize(bytes) => resources.home_size = bytes,
                Setting::FileSize(bytes) => resources.file_size = bytes,
                Setting::Env(name, Some(value)) => {
                    spec.env.insert(name, value);
                }
                Setting::Env(name, None) => {
                    spec.env.remove(&name);
                }
                // A file hands it over, which whoever makes the order writes.
                Setting::Nbgrader(..) => {}
            }
        }
        spec.command.extend(args);
    }
}

/// Rules that hold for a value wherever it is written.
pub mod rules {
    /// What a notebook server can't start with less than.
    pub const MEMORY_MIN: u64 = 128 << 20;
    pub const PROCESSES_MIN: u64 = 16;
    pub const DISK_MIN: u64 = 64 << 20;
    /// Longest image, word of a command, value of a variable.
    pub const TEXT_MAX: usize = 4096;

    pub fn opens(page: &str) -> Result<(), String> {
        let good = page.starts_with('/')
            && !page.starts_with("//")
            && !page.contains('\\')
            && !page.chars().any(|c| c.is_control() || c == ' ');
        match good {
            true => Ok(()),
            false => Err(format!(
                "a page of the server starts with one `/`, such as `/lab` or `/tree`; found {page:?}"
            )),
        }
    }

    pub fn memory_limit(bytes: u64) -> Result<(), String> {
        match bytes >= MEMORY_MIN {
            true => Ok(()),
            false => Err("a notebook server does not start with less than `128Mi`".into()),
        }
    }

    pub fn disk(bytes: u64) -> Result<(), String> {
        match bytes >= DISK_MIN {
            true => Ok(()),
            false => {
                Err("a notebook server writes files of its own; give it at least `64Mi`".into())
            }
        }
    }

    pub fn cores(number: f64) -> Result<(), String> {
        match number.is_finite() && (0.01..=4096.0).contains(&number) {
            true => Ok(()),
            false => Err(format!(
                "a number of cores from 0.01 to 4096 is expected, found {number}"
            )),
        }
    }

    pub fn variable(name: &str, value: &str) -> Result<(), String> {
        if name.is_empty() || name.contains(['=', '\0']) || value.contains('\0') {
            return Err("not usable as an environment variable".into());
        }
        if name.starts_with("JUPYTERHUB_") {
            return Err("`JUPYTERHUB_…` variables are set by Lyceum itself".into());
        }
        short(value)
    }

    pub fn command(words: &[String]) -> Result<(), String> {
        match words.first().is_some_and(|word| !word.is_empty()) {
            true => self::words(words),
            false => Err("the command is empty".into()),
        }
    }

    pub fn words(words: &[String]) -> Result<(), String> {
        if words.len() > 200 || words.iter().any(|word| word.contains('\0')) {
            return Err("not usable as words of a command".into());
        }
        words.iter().try_for_each(|word| short(word))
    }

    pub fn image(name: &str) -> Result<(), String> {
        let good = !name.is_empty() && !name.chars().any(|c| c.is_control() || c.is_whitespace());
        match good {
            true => short(name),
            false => Err(format!(
                "{name:?} is not the name of an image, such as `registry.example.edu/notebook:7.1`"
            )),
        }
    }

    fn short(text: &str) -> Result<(), String> {
        match text.len() <= TEXT_MAX {
            true => Ok(()),
            false => Err(format!("longer than {TEXT_MAX} bytes")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_more_is_guaranteed_than_the_limit_lets() {
        let memory =
            |least: Option<u64>, most: Option<u64>, expect: Option<u64>, lowered: usize| {
                let least = Said::new("site", Setting::MemoryGuarantee(least));
                let most = Said::new("course", Setting::MemoryLimit(most));
                for said in [[&least, &most], [&most, &least]] {
                    let values = Values::of(said);
                    let mut spec = ServerSpec::default();
                    values.apply(&mut spec);
                    assert_eq!(spec.resources.memory_guarantee, expect, "{said:?}");
                    let told = values.lowered().iter();
                    let told: Vec<_> = told.map(|one| (&one.guarantee, &one.limit)).collect();
                    assert_eq!(told, vec![(&least, &most); lowered]);
                }
            };
        memory(Some(4), Some(2), Some(2), 1);
        memory(Some(2), Some(2), Some(2), 0);
        memory(Some(1), Some(2), Some(1), 0);
        memory(Some(4), None, Some(4), 0);
        memory(None, Some(2), None, 0);
        let said = [
            Said::new("a", Setting::CpuGuarantee(Some(2.0))),
            Said::new("b", Setting::CpuLimit(Some(0.5))),
            Said::new("b", Setting::MemoryLimit(Some(1))),
        ];
        let mut spec = ServerSpec::default();
        Values::of(&said).apply(&mut spec);
        assert_eq!(spec.resources.cpu_guarantee, Some(0.5));
        // A limit that was taken off later limits nothing.
        let off = Said::new("c", Setting::CpuLimit(None));
        let values = Values::of(said.iter().chain([&off]));
        assert!(values.lowered().is_empty());
    }

    #[test]
    fn the_later_word_holds() {
        let said = [
            Said::new("a", Setting::Command(vec!["x".into()])),
            Said::new("a", Setting::MemoryLimit(Some(1))),
            Said::new("a", Setting::Env("A".into(), Some("1".into()))),
            Said::new("a", Setting::Env("B".into(), Some("1".into()))),
            Said::new("b", Setting::MemoryLimit(None)),
            Said::new("b", Setting::Env("B".into(), None)),
            Said::new("b", Setting::Args(vec!["-v".into()])),
            Said::new("c", Setting::CpuLimit(Some(2.0))),
        ];
        let mut spec = ServerSpec::default();
        let values = Values::of(&said);
        values.apply(&mut spec);
        assert_eq!(spec.command, ["x", "-v"]);
        assert_eq!(spec.resources.memory_limit, None);
        assert_eq!(spec.resources.cpu_limit, Some(2.0));
        assert_eq!(spec.env, [("A".into(), "1".into())].into());
        let paths: Vec<&str> = values.iter().map(|said| said.path.as_str()).collect();
        assert_eq!(paths, ["a", "b", "b", "c", "a", "b"]);
    }
}
