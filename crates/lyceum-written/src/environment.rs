//! What a server is made of, as it is written: in `environments:` of the configuration, and in the
//! `environment:` of a course. What must be true of it is checked here, once for both.

use std::collections::BTreeMap;

use lyceum_model::environment::{Said, Setting, rules};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::Tell;
use crate::units::Bytes;

/// What a server is made of.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RawEnvironment {
    /// The environment that this one begins with; what stands here goes over it.
    #[serde(rename = "use")]
    pub base: Option<String>,
    /// The image, where servers run in containers. Processes on this machine have none.
    pub image: Option<String>,
    /// The program and its arguments.
    pub command: Option<Vec<String>>,
    /// The page a server opens with.
    pub opens: Option<String>,
    /// Environment variables, besides those of `servers.env`.
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

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RawDisk {
    /// How much all files of the home may take, measured about once a minute while the server runs: one
    /// that goes beyond is ended. Left out: no limit.
    pub home: Option<Bytes>,
    /// How large a file may get that is written. Left out: no limit.
    pub file: Option<Bytes>,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RawCpuShare {
    /// So many cores when others want them too; 0.5 is half a core.
    pub guarantee: Option<f64>,
    /// At most so many.
    pub limit: Option<f64>,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RawMemoryShare {
    /// So much stays when others want it too: `512M`.
    pub guarantee: Option<Bytes>,
    /// At most this much: `5G`.
    pub limit: Option<Bytes>,
}

impl RawEnvironment {
    pub fn parts(&self) -> Parts<'_> {
        Parts {
            image: self.image.as_deref(),
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

/// What every environment can say, wherever it is written.
#[derive(Debug, Clone, Copy)]
pub struct Parts<'a> {
    pub image: Option<&'a str>,
    pub command: Option<&'a [String]>,
    pub opens: Option<&'a str>,
    pub env: &'a BTreeMap<String, String>,
    pub cpu: &'a RawCpuShare,
    pub memory: &'a RawMemoryShare,
    pub processes: Option<u64>,
    pub disk: &'a RawDisk,
}

impl Parts<'_> {
    /// What is said, each with its path below `path`; mistakes are told.
    pub fn check(self, path: &str, problem: Tell<'_>) -> Vec<Said> {
        let mut all = Vec::new();
        let mut say = |key: &str, checked: Result<(), String>, setting: Setting| {
            let path = format!("{path}.{key}");
            if let Err(message) = checked {
                problem(&path, message);
            }
            all.push(Said::new(path, setting));
        };
        if let Some(image) = self.image {
            say(
                "image",
                rules::image(image),
                Setting::Image(image.to_owned()),
            );
        }
        if let Some(words) = self.command {
            let checked = rules::command(words);
            say("command", checked, Setting::Command(words.to_vec()));
        }
        if let Some(page) = self.opens {
            say("opens", rules::opens(page), Setting::Opens(page.to_owned()));
        }
        for (name, value) in self.env {
            let setting = Setting::Env(name.clone(), Some(value.clone()));
            say(
                &format!("env.{name}"),
                rules::variable(name, value),
                setting,
            );
        }
        if let Some(number) = self.cpu.guarantee {
            let setting = Setting::CpuGuarantee(Some(number));
            say("cpu.guarantee", rules::cores(number), setting);
        }
        if let Some(number) = self.cpu.limit {
            let mut checked = rules::cores(number);
            if self.cpu.guarantee.is_some_and(|least| least > number) {
                checked = checked.and(Err("less than what is guaranteed".into()));
            }
            say("cpu.limit", checked, Setting::CpuLimit(Some(number)));
        }
        if let Some(amount) = self.memory.guarantee {
            let setting = Setting::MemoryGuarantee(Some(amount.0));
            say("memory.guarantee", Ok(()), setting);
        }
        if let Some(amount) = self.memory.limit {
            let mut checked = rules::memory_limit(amount.0);
            if self.memory.guarantee.is_some_and(|least| least > amount) {
                checked = checked.and(Err("less than what is guaranteed".into()));
            }
            say(
                "memory.limit",
                checked,
                Setting::MemoryLimit(Some(amount.0)),
            );
        }
        if let Some(count) = self.processes {
            let checked = match count >= rules::PROCESSES_MIN {
                true => Ok(()),
                false => Err(format!(
                    "a notebook server needs at least {} processes and threads, found {count}",
                    rules::PROCESSES_MIN
                )),
            };
            say("processes", checked, Setting::Processes(Some(count)));
        }
        if let Some(amount) = self.disk.home {
            let setting = Setting::HomeSize(Some(amount.0));
            say("disk.home", rules::disk(amount.0), setting);
        }
        if let Some(amount) = self.disk.file {
            let setting = Setting::FileSize(Some(amount.0));
            say("disk.file", rules::disk(amount.0), setting);
        }
        all
    }
}
