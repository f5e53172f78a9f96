//! What a server is, from the configuration and what was chosen: pure, and each value knows where it
//! stands. [`crate::launch`] makes an order of it, `lyceum explain` prints it.

use std::collections::BTreeMap;

use lyceum_courses::{Course, Environment, Server as CourseServer};
use lyceum_hub::profiles::choose::Chosen;
use lyceum_model::environment::{Said, Setting, Values};
use lyceum_model::server::ServerSpec;
use lyceum_model::who::CourseRole;

use crate::config::Servers;

/// The program of a server where the configuration names none.
pub const COMMAND: &str = "jupyterhub-singleuser";

/// What holds in the end: `servers` first, then what was chosen over it.
pub fn plan(servers: &Servers, command: &[String], chosen: &Chosen) -> Values {
    Values::of(said(servers, command).iter().chain(&chosen.said))
}

/// A course names an environment that the configuration does not have.
#[derive(Debug, PartialEq, Eq)]
pub struct Missing(pub String);

/// What is said of a server for a course: the environment it begins with, the course, and what is
/// different for people of the role.
pub fn of_course(
    environments: &BTreeMap<String, Vec<Said>>,
    (course, environment): (&Course, &Environment),
    role: CourseRole,
) -> Result<Vec<Said>, Missing> {
    let base = environment.base.as_ref().map(|base| &base.name);
    let mut all = named(environments, base)?;
    all.extend(environment.said(role).cloned());
    all.extend(course.nbgrader(false).cloned());
    Ok(all)
}

/// What is said of the server that a course has for its teachers.
pub fn of_courses_own(
    environments: &BTreeMap<String, Vec<Said>>,
    course: &Course,
    server: &CourseServer,
) -> Result<Vec<Said>, Missing> {
    let base = server.begins_with(course).map(|base| &base.name);
    let mut all = named(environments, base)?;
    all.extend(server.said(course).into_iter().cloned());
    all.extend(course.nbgrader(true).cloned());
    Ok(all)
}

/// What a named environment says, if one is named.
fn named(
    environments: &BTreeMap<String, Vec<Said>>,
    name: Option<&String>,
) -> Result<Vec<Said>, Missing> {
    let Some(name) = name else {
        return Ok(Vec::new());
    };
    let known = environments.get(name);
    known.cloned().ok_or_else(|| Missing(name.clone()))
}

/// The order for a spawner, without what the machine adds to it.
pub fn order(values: &Values, chosen: &Chosen, home: &str) -> ServerSpec {
    let mut spec = ServerSpec {
        home: home.to_owned(),
        profile: chosen.profile.clone(),
        course: chosen.course.as_ref().map(|(course, _)| course.to_string()),
        ..ServerSpec::default()
    };
    values.apply(&mut spec);
    spec
}

/// What `servers:` says; `command` holds where it says none.
fn said(servers: &Servers, command: &[String]) -> Vec<Said> {
    let command = servers.command.as_deref().unwrap_or(command);
    let resources = &servers.resources;
    let mut all = vec![
        Said::new("servers.command", Setting::Command(command.to_vec())),
        Said::new("servers.opens", Setting::Opens(servers.opens.clone())),
    ];
    if resources.memory_limit.is_some() {
        let limit = Setting::MemoryLimit(resources.memory_limit);
        all.push(Said::new("servers.memory.limit", limit));
    }
    if resources.cpu_limit.is_some() {
        let limit = Setting::CpuLimit(resources.cpu_limit);
        all.push(Said::new("servers.cpu.limit", limit));
    }
    if resources.processes.is_some() {
        let count = Setting::Processes(resources.processes);
        all.push(Said::new("servers.processes", count));
    }
    if resources.home_size.is_some() {
        let limit = Setting::HomeSize(resources.home_size);
        all.push(Said::new("servers.disk.home", limit));
    }
    if resources.file_size.is_some() {
        let limit = Setting::FileSize(resources.file_size);
        all.push(Said::new("servers.disk.file", limit));
    }
    all.extend(servers.env.iter().map(|(name, value)| {
        let setting = Setting::Env(name.clone(), Some(value.clone()));
        Said::new(format!("servers.env.{name}"), setting)
    }));
    all
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use lyceum_hub::profiles::choose::choose;
    use lyceum_model::name::UserName;
    use lyceum_model::who::{CourseId, Standing};
    use serde_json::{Value, json};

    use super::*;
    use crate::config;

    const TEXT: &str = "
servers:
  opens: /lab
  memory: {limit: 2G}
  cpu: {limit: 1}
  processes: 100
  env: {A: servers, B: servers, C: servers}
environments:
  python:
    image: notebook:1
    memory: {guarantee: 512M, limit: 5G}
    env: {B: python, D: python}
  gpu:
    use: python
    image: cuda:1
    command: [gpu-server, --fast]
    cpu: {limit: 8}
profiles:
  - title: Plain
  - {title: Python, use: python}
  - title: GPU
    slug: gpu
    use: gpu
    for: ['group:gpu']
    kubespawner_override:
      args: [--more]
      environment: {C: null, D: gpu}
    profile_options:
      size:
        choices:
          small: {display_name: Small, kubespawner_override: {mem_limit: 1G}}
          free: {display_name: Free, kubespawner_override: {mem_limit: null}}
        unlisted_choice:
          enabled: true
          validation_regex: '^[0-9]+G$'
          kubespawner_override: {mem_limit: '{value}', environment: {SIZE: 'is {value}'}}
";

    fn planned(options: &Value) -> (ServerSpec, Vec<String>) {
        let loaded = config::parse("lyceum.yaml", TEXT, Path::new("."));
        let loaded = loaded.unwrap_or_else(|problems| panic!("{problems}"));
        let standing = Standing::of_groups(&["gpu".into()]);
        let ada = UserName::parse("ada").expect("a good name");
        let mine = loaded.config.profiles.of(&ada, &standing);
        let chosen = choose(&mine, options).expect("a good choice");
        let values = plan(&loaded.config.servers, &[COMMAND.into()], &chosen);
        let places = values
            .iter()
            .map(|said| loaded.place(&said.path).unwrap_or_else(|| "default".into()))
            .collect();
        (order(&values, &chosen, "homes/ada"), places)
    }

    #[test]
    fn what_is_chosen_goes_over_what_servers_say() {
        let check = |options: Value, expect: Value| {
            let spec = serde_json::to_value(planned(&options).0).expect("JSON");
            for (key, value) in expect.as_object().expect("an object") {
                assert_eq!(spec[key], *value, "{key} of {options}");
            }
        };
        check(
            json!({}),
            json!({
                "profile": "plain", "home": "homes/ada", "command": [COMMAND], "default_url": "/lab",
                "image": null, "env": { "A": "servers", "B": "servers", "C": "servers" },
                "resources": {
                    "memory_limit": 2_000_000_000, "memory_guarantee": null, "cpu_limit": 1.0,
                    "cpu_guarantee": null, "processes": 100, "open_files": null, "home_size": null, "file_size": null,
                },
            }),
        );
        check(
            json!({ "profile": "python" }),
            json!({
                "image": "notebook:1",
                "env": { "A": "servers", "B": "python", "C": "servers", "D": "python" },
                "resources": {
                    "memory_limit": 5_000_000_000_i64, "memory_guarantee": 512_000_000,
                    "cpu_limit": 1.0, "cpu_guarantee": null, "processes": 100, "open_files": null, "home_size": null, "file_size": null,
                },
            }),
        );
        let gpu = |size: Value| {
            json!({
                "memory_limit": size, "memory_guarantee": 512_000_000,
                "cpu_limit": 8.0, "cpu_guarantee": null, "processes": 100, "open_files": null, "home_size": null, "file_size": null,
            })
        };
        check(
            json!({ "profile": "gpu" }),
            json!({
                "profile": "gpu", "image": "cuda:1", "command": ["gpu-server", "--fast", "--more"],
                "env": { "A": "servers", "B": "python", "D": "gpu" },
                "resources": gpu(json!(1_i64 << 30)),
            }),
        );
        check(
            json!({ "profile": "gpu", "size": "free" }),
            json!({ "resources": gpu(json!(null)) }),
        );
        check(
            json!({ "profile": "gpu", "size--unlisted-choice": "3G" }),
            json!({
                "resources": gpu(json!(3_i64 << 30)),
                "env": { "A": "servers", "B": "python", "D": "gpu", "SIZE": "is 3G" },
            }),
        );
    }

    #[test]
    fn a_course_goes_over_what_it_begins_with() {
        let loaded = config::parse("lyceum.yaml", TEXT, Path::new("."));
        let loaded = loaded.unwrap_or_else(|problems| panic!("{problems}"));
        let text = "title: A
environment:
  use: python
  env: {B: course, E: course}
  students: {memory: {limit: 1G}}
  teachers: {env: {E: teachers}, command: [teach]}
";
        let known = crate::compose::site(&loaded.config);
        let file = Path::new("courses/bio.yaml");
        let read = |text: &str| {
            lyceum_courses::read::read_course(file, text, &known).expect("a good file")
        };
        let course = read(text);
        let environment = course.environment.as_ref().expect("there is one");
        let check = |role: CourseRole, expect: Value| {
            let chosen = Chosen {
                course: Some((CourseId::parse("bio").expect("an id"), role)),
                said: of_course(&loaded.config.environments, (&course, environment), role)
                    .expect("known"),
                ..Chosen::default()
            };
            let values = plan(&loaded.config.servers, &[COMMAND.into()], &chosen);
            let spec = order(&values, &chosen, "homes/ada");
            assert_eq!(spec.course.as_deref(), Some("bio"));
            let found = json!({
                "command": spec.command, "env": spec.env,
                "memory": [spec.resources.memory_guarantee, spec.resources.memory_limit],
            });
            assert_eq!(found, expect, "{role:?}");
        };
        let env =
            |e: &str| json!({"A": "servers", "B": "course", "C": "servers", "D": "python", "E": e});
        check(
            CourseRole::Student,
            json!({ "command": [COMMAND], "env": env("course"), "memory": [512_000_000, 1_000_000_000] }),
        );
        check(
            CourseRole::Teacher,
            json!({ "command": ["teach"], "env": env("teachers"), "memory": [512_000_000, 5_000_000_000_i64] }),
        );
        let own = read(&format!(
            "{text}server: {{env: {{E: own}}, memory: {{limit: 7G}}}}\n"
        ));
        let begun = read(&format!("{text}server: {{use: gpu, env: {{E: own}}}}\n"));
        for (course, expect) in [
            (
                &own,
                json!({ "command": ["teach"], "env": env("own"), "memory": [512_000_000, 7_000_000_000_i64] }),
            ),
            (
                &begun,
                json!({
                    "command": ["gpu-server", "--fast"],
                    "env": {"A": "servers", "B": "python", "C": "servers", "D": "python", "E": "own"},
                    "memory": [512_000_000, 5_000_000_000_i64],
                }),
            ),
        ] {
            let server = course.server.as_ref().expect("there is one");
            let environments = &loaded.config.environments;
            let chosen = Chosen {
                said: of_courses_own(environments, course, server).expect("known"),
                ..Chosen::default()
            };
            let spec = order(
                &plan(&loaded.config.servers, &[COMMAND.into()], &chosen),
                &chosen,
                "h",
            );
            let found = json!({
                "command": spec.command, "env": spec.env,
                "memory": [spec.resources.memory_guarantee, spec.resources.memory_limit],
            });
            assert_eq!(found, expect);
        }
        let none = BTreeMap::new();
        let missing = of_course(&none, (&course, environment), CourseRole::Student);
        assert_eq!(missing, Err(Missing("python".into())));
    }

    #[test]
    fn each_value_knows_its_line() {
        let (_, places) = planned(&json!({ "profile": "gpu" }));
        let at = |line: u32| format!("lyceum.yaml:{line}");
        let expect = [
            at(15), // image
            at(16), // command
            at(26), // args
            at(3),  // opens
            at(11), // memory.guarantee
            at(31), // mem_limit
            at(17), // cpu.limit
            at(6),  // processes
            at(7),  // env A
            at(12), // env B
            at(27), // env C
            at(27), // env D
        ];
        assert_eq!(places, expect);
        let (_, places) = planned(&json!({}));
        assert_eq!(places[0], "default");
    }
}
