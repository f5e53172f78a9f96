//! `lyceum config …`

use insta::assert_snapshot;

use crate::harness::Site;

fn check(text: &str) -> String {
    let site = Site::new();
    site.write("lyceum.yaml", text);
    let said = site.run(&["config", "check"]);
    assert_eq!(said.err, "");
    assert_eq!(
        said.code,
        Some(if said.out.ends_with(": no problems\n") {
            0
        } else {
            3
        })
    );
    said.out
}

#[test]
fn every_mistake_is_told_with_its_place() {
    assert_snapshot!(check("
listen: 8000
peple: {admins: [ada]}
servers:
  memroy: {limit: 2G}
  memory: {limit: 2}
  start_timeout: 2 minutes
  per_person: many
  opens: lab
  env: {MODE: 0755, JUPYTERHUB_USER: x}
log: {level: inof}
people:
  admins: [ada, 'Ada Lovelace', grace/x]
"), @r#"
    lyceum.yaml:2:9: `listen`: expected text (put it in quotes), found the number 8000
    lyceum.yaml:3:1: unknown key `peple`; did you mean `people`?
    lyceum.yaml:5:3: unknown key `memroy`; did you mean `memory`?
    lyceum.yaml:6:19: `servers.memory.limit`: "2" is not an amount of memory; write a number and a unit, such as `512M`, `2G` or `10Gi`
    lyceum.yaml:7:18: `servers.start_timeout`: "2 minutes" is not a length of time; write a number and a unit, such as `90s`, `30m` or `1h`
    lyceum.yaml:8:15: `servers.per_person`: expected a whole number, found the text "many"
    lyceum.yaml:9:10: `servers.opens`: a page of the server starts with one `/`, such as `/lab` or `/tree`; found "lab"
    lyceum.yaml:10:15: `servers.env.MODE`: expected text (put it in quotes), found the number 755
    lyceum.yaml:10:38: `servers.env.JUPYTERHUB_USER`: `JUPYTERHUB_…` variables are set by Lyceum itself
    lyceum.yaml:11:14: `log.level`: unknown value `inof`; did you mean `info`?
    lyceum.yaml:13:17: `people.admins[1]`: "Ada Lovelace": a user name has letters a-z, digits and . _ @ + - and starts with a letter or digit
    lyceum.yaml:13:33: `people.admins[2]`: "grace/x": a user name has letters a-z, digits and . _ @ + - and starts with a letter or digit
    lyceum.yaml: 12 problems
    "#);
}

#[test]
fn a_value_out_of_range_is_told_with_what_is_allowed() {
    assert_snapshot!(check("
servers:
  memory: {limit: 5M}
  cpu: {limit: 0}
  processes: 2
  per_person: 0
  concurrent_starts: 5000
  concurrent_starts_per_person: 0
  start_timeout: 2h
  slow_after: 10ms
people:
  block: [7, 8, Ada L]
"), @r#"
    lyceum.yaml:3:19: `servers.memory.limit`: a notebook server does not start with less than `128Mi`, found `5M`
    lyceum.yaml:4:16: `servers.cpu.limit`: a number of cores from 0.01 to 4096 is expected, found 0
    lyceum.yaml:5:14: `servers.processes`: a notebook server needs at least 16 processes and threads, found 2
    lyceum.yaml:6:15: `servers.per_person`: a number from 1 to 1000 is expected, found 0
    lyceum.yaml:7:22: `servers.concurrent_starts`: a number from 1 to 1000 is expected, found 5000
    lyceum.yaml:8:33: `servers.concurrent_starts_per_person`: a number from 1 to 1000 is expected, found 0; a small part of `concurrent_starts` keeps it fair
    lyceum.yaml:9:18: `servers.start_timeout`: a time from `1s` to `1h` is expected, found `2h`
    lyceum.yaml:10:15: `servers.slow_after`: a time from `1s` to `1h` is expected, found `10ms`; `20s` is long for a server that is well
    lyceum.yaml:12:11: `people.block[0]`: expected text (put it in quotes), found the number 7
    lyceum.yaml:12:14: `people.block`: expected text (put it in quotes), found the number 8
    lyceum.yaml: 10 problems
    "#);
}

#[test]
fn mistakes_about_idle_servers_have_their_places() {
    assert_snapshot!(check("
people: {forget_after: 1d}
servers:
  cull:
    idle: 1s
    age: soon
    warn: 2d
    rules:
      - {for: [Ada L, 'group:', group:staff], idle: never}
      - {profiles: [], age: 3s}
      - {admin: true, idle: 2h}
      - {admins: 1}
  running: 0
  quotas:
    - {running: 3}
    - {courses: [bio]}
    - {for: ['all'], starting: many}
"), @r#"
    lyceum.yaml:2:24: `people.forget_after`: people are forgotten after `30d` at the earliest, found `1d`
    lyceum.yaml:5:11: `servers.cull.idle`: a time from `10s` to `366d` is expected, or `never`; found `1s`
    lyceum.yaml:6:10: `servers.cull.age`: "soon" is not a length of time; write a number and a unit, such as `90s`, `30m` or `1h`
    lyceum.yaml:7:11: `servers.cull.warn`: a time up to `1d` is expected, found `2d`
    lyceum.yaml:9:16: `servers.cull.rules[0].for[0]`: "Ada L" is neither a user's name nor `group:NAME`
    lyceum.yaml:9:23: `servers.cull.rules[0].for[1]`: "group:" is neither a user's name nor `group:NAME`
    lyceum.yaml:10:20: `servers.cull.rules[1].profiles`: an empty list fits nobody; leave the key out to mean all
    lyceum.yaml:10:29: `servers.cull.rules[1].age`: a time from `10s` to `366d` is expected, or `never`; found `3s`
    lyceum.yaml:11:10: unknown key `admin`; did you mean `admins`?
    lyceum.yaml:12:18: `servers.cull.rules[3].admins`: expected `true` or `false`, found the number 1
    lyceum.yaml:13:12: `servers.running`: with 0 nothing ever starts; to let nobody in for a time there is `maintenance`
    lyceum.yaml:15:7: `servers.quotas[0]`: of which servers? Give `for`, `profiles` or `courses`; for all there are `servers.running` and `servers.concurrent_starts`
    lyceum.yaml:16:7: `servers.quotas[1]`: how many? Give `running`, `starting` or both
    lyceum.yaml:17:7: `servers.quotas[2]`: how many? Give `running`, `starting` or both
    lyceum.yaml:17:32: `servers.quotas[2].starting`: expected a whole number, found the text "many"
    lyceum.yaml: 15 problems
    "#);
}

#[test]
fn mistakes_about_the_proxy_have_their_places() {
    assert_snapshot!(check("
proxy:
  acess_log: full
  access_log: sometimes
  plain_http2: 1
  bind_addresses: [127.0.0.2, lab]
  limits:
    idel: 5m
    idle: soon
    connect: 1ms
    connections: 0
    connections_per_client: many
    connections_per_server: 0
    header_bytes: 64
    header_count: 200
    body_bytes_servers: 0B
    drain: 2h
tls: {htpt2: false}
"), @r#"
    lyceum.yaml:3:3: unknown key `acess_log`; did you mean `access_log`?
    lyceum.yaml:4:15: `proxy.access_log`: "sometimes" is no access log; write off, full, or 1/100 for one request in a hundred
    lyceum.yaml:5:16: `proxy.plain_http2`: expected `true` or `false`, found the number 1
    lyceum.yaml:6:31: `proxy.bind_addresses[1]`: "lab" is no address; write it like 10.0.0.5 or fd00::5
    lyceum.yaml:8:5: unknown key `idel`; did you mean `idle`?
    lyceum.yaml:9:11: `proxy.limits.idle`: "soon" is not a length of time; write a number and a unit, such as `90s`, `30m` or `1h`
    lyceum.yaml:10:14: `proxy.limits.connect`: a time from `100ms` on is expected, found `1ms`
    lyceum.yaml:11:18: `proxy.limits.connections`: a number from 1 on is expected, found 0: nobody would get in
    lyceum.yaml:12:29: `proxy.limits.connections_per_client`: expected a whole number, found the text "many"
    lyceum.yaml:13:29: `proxy.limits.connections_per_server`: a number from 1 on is expected, found 0: nobody would get in
    lyceum.yaml:14:19: `proxy.limits.header_bytes`: "64" is not an amount of memory; write a number and a unit, such as `512M`, `2G` or `10Gi`
    lyceum.yaml:15:19: `proxy.limits.header_count`: a number from 16 to 128 is expected, found 200; browsers send about 20 headers
    lyceum.yaml:16:25: `proxy.limits.body_bytes_servers`: found `0`: nothing could be sent; left out, bodies may have any size
    lyceum.yaml:17:12: `proxy.limits.drain`: a time up to `1h` is expected, found `2h`
    lyceum.yaml:18:7: unknown key `htpt2`; did you mean `http2`?
    lyceum.yaml: 15 problems
    "#);
}

#[test]
fn mistakes_about_roles_groups_and_services_have_their_places() {
    let said = check(
        "
load_groups:
  staff: [ada, Ada Lovelace]
  lab: {users: [grace/x], propertis: {}}
  7up: 8
  ' x': []
custom_scopes:
  grades:read: {description: x}
  custom:grades:write: {description: x, subscopes: [custom:grades:raed]}
  custom:grades:read: {description: x}
  custom:bare: {}
load_roles:
  - {name: Tutor, scopes: [read:user, users!course=x, custom:grades:read]}
  - {name: admin, scopes: [self]}
  - {name: culler, services: [cullr], groups: ['']}
  - {name: culler, users: [ada]}
services:
  - {name: culler, url: 'http://127.0.0.1:9000/x', api_token: hunter2hunter2hunter2}
  - {name: a/b, url: 'ftp://x'}
  - {name: grades, oauth_roles: [gradr], oauth_client_id: grades, oauth_redirect_uri: 'back'}
  - {name: culler}
  - {name: other, oauth_client_id: service-culler}
",
    );
    assert!(!said.contains("hunter2"), "{said}");
    assert_snapshot!(said, @r#"
    lyceum.yaml:3:16: `load_groups.staff[1]`: "Ada Lovelace": a user name has letters a-z, digits and . _ @ + - and starts with a letter or digit
    lyceum.yaml:4:17: `load_groups.lab.users[0]`: "grace/x": a user name has letters a-z, digits and . _ @ + - and starts with a letter or digit
    lyceum.yaml:4:27: unknown key `propertis`; did you mean `properties`?
    lyceum.yaml:5:8: `load_groups.7up`: expected a list of people, or `users` and `properties`, found the number 8
    lyceum.yaml:6:9: `load_groups. x`: " x": the name of a group has 1 to 255 bytes, no control characters and no spaces at its ends
    lyceum.yaml:8:16: `custom_scopes.grades:read`: "grades:read" can't be a custom scope: it begins with `custom:`, then has letters a-z, digits, and `-`, `_`, `*`, `:`, begins with a letter or digit and does not end with `-` or `:`
    lyceum.yaml:9:24: `custom_scopes.custom:grades:write`: the custom scope "custom:grades:raed" is not defined; did you mean "custom:grades:read"?
    lyceum.yaml:11:16: `custom_scopes.custom:bare`: the key `description` is missing here
    lyceum.yaml:13:12: `load_roles[0].name`: "Tutor": the name of a role has 3 to 255 characters of a-z, 0-9 and -_~., begins with a letter and ends with a letter or digit
    lyceum.yaml:13:28: `load_roles[0].scopes[0]`: there is no scope "read:user"; did you mean "read:users"?
    lyceum.yaml:13:39: `load_roles[0].scopes[1]`: "!course=x" is no filter; the filters are !user, !user=NAME, !group=NAME, !server, !server=USER/SERVER, !service, !service=NAME
    lyceum.yaml:14:27: `load_roles[1].scopes`: the scopes of the role `admin` can't be changed; leave them out, or make a role of another name
    lyceum.yaml:15:31: `load_roles[2].services[0]`: there is no service `cullr` under `services`; did you mean `culler`?
    lyceum.yaml:15:48: `load_roles[2].groups[0]`: "": the name of a group has 1 to 255 bytes, no control characters and no spaces at its ends
    lyceum.yaml:16:12: `load_roles[3].name`: the role `culler` stands here a second time
    lyceum.yaml:18:25: `services[0].url`: "http://127.0.0.1:9000/x" must end after the host and port; the service gets the whole path, `/services/NAME/…`
    lyceum.yaml:18:63: `services[0].api_token`: a secret does not stand in this file; put it in a file or a variable and write `file:PATH` or `env:NAME`
    lyceum.yaml:19:12: `services[1].name`: "a/b": the name of a service has 1 to 255 bytes, none of / % ? # \, no control characters and no spaces at its ends
    lyceum.yaml:20:12: `services[2].name`: people can sign in to a service only if it has an `api_token`
    lyceum.yaml:20:34: `services[2].oauth_roles[0]`: there is no role `gradr`; known here: Tutor, admin, culler, server, token, user
    lyceum.yaml:20:59: `services[2].oauth_client_id`: "grades" must begin with `service-`
    lyceum.yaml:20:87: `services[2].oauth_redirect_uri`: "back" is neither a path of this site, such as `/services/NAME/oauth_callback`, nor an address such as `https://grades.example.edu/back`
    lyceum.yaml:21:12: `services[3].name`: the service `culler` stands here a second time
    lyceum.yaml:22:12: `services[4].name`: people can sign in to a service only if it has an `api_token`
    lyceum.yaml:22:36: `services[4].oauth_client_id`: the service `culler` has the same client id, "service-culler"
    lyceum.yaml: 25 problems
    "#);
    assert_snapshot!(check(
        "
load_roles:
  - {name: culler, user: [ada]}
  - {description: nameless}
services: [{name: culler, comand: [x]}]
",
    ), @r#"
    lyceum.yaml:3:20: unknown key `user`; did you mean `users`?
    lyceum.yaml:4:5: `load_roles[1]`: the key `name` is missing here
    lyceum.yaml:5:27: unknown key `comand`; did you mean `command`?
    lyceum.yaml: 3 problems
    "#);
}

#[test]
fn mistakes_about_services_that_lyceum_runs_have_their_places() {
    assert_snapshot!(check(
        "
services:
  - {name: external, environment: {A: b}, cwd: /srv, user: www-data}
  - {name: managed, command: [], cwd: here, user: nobody-is-called-so, environment: {\"A=B\": c}}
  - {name: root, command: [x], user: root}
",
    ), @r#"
    lyceum.yaml:3:35: `services[0].environment`: `environment` is for services that the hub runs, and this one has no `command`
    lyceum.yaml:3:48: `services[0].cwd`: `cwd` is for services that the hub runs, and this one has no `command`
    lyceum.yaml:3:60: `services[0].user`: `user` is for services that the hub runs, and this one has no `command`
    lyceum.yaml:4:30: `services[1].command`: a program is missing: `[python3, -m, jupyterhub_idle_culler]`
    lyceum.yaml:4:39: `services[1].cwd`: "here" must be a whole path, from `/` on
    lyceum.yaml:4:51: `services[1].user`: this machine has no account "nobody-is-called-so"
    lyceum.yaml:4:85: `services[1].environment`: "A=B": no process can have such a variable
    lyceum.yaml:5:38: `services[2].user`: leave it out to run the service as Lyceum itself; no other service may be root
    lyceum.yaml: 8 problems
    "#);
}

#[test]
fn mistakes_about_environments_and_profiles_have_their_places() {
    assert_snapshot!(check("
environments:
  python: {image: 'a b', opens: lab, memory: {limit: 64M}, nodes: {gpu: 1}}
  one: {use: two}
  two: {use: one}
  three: {use: pyton, processes: 2, cpu: {guarantee: 2, limit: 1}, env: {JUPYTERHUB_USER: x}}
profiles:
  - title: Python
    use: pythn
  - {title: Python, default: true}
  - {title: Other, slug: a/b, default: true, for: [ada, 'file:x.csv', 'course:bio/teachers', 'role:amdin']}
  - {display_name: X, title: Y}
  - {description: Without a name}
  - {title: 日本}
  - title: Overrides
    kubespawner_override:
      mem_limit: 2Gi
      memory_limit: 2G
      cmd: []
      environment: {A: 1}
      node_selector: {gpu: v100}
      frobnicate: true
  - title: Options
    profile_options:
      empty: {display_name: Nothing}
      profile: {choices: {a: {}}}
      image:
        choices:
          a: {default: true}
          b: {default: true, kubespawner_overide: {}}
          unlisted-choice: {}
        unlisted_choice:
          enabled: true
          validation_regex: '^(?=x'
          kubespawner_override: {image: '{value}', imge: '{value}', cpu_limit: lots}
"), @r#"
    lyceum.yaml:3:19: `environments.python.image`: "a b" is not the name of an image, such as `registry.example.edu/notebook:7.1`
    lyceum.yaml:3:33: `environments.python.opens`: a page of the server starts with one `/`, such as `/lab` or `/tree`; found "lab"
    lyceum.yaml:3:54: `environments.python.memory.limit`: a notebook server does not start with less than `128Mi`
    lyceum.yaml:3:60: unknown key `nodes`; known here: use, image, command, opens, env, cpu, memory, processes, disk
    lyceum.yaml:4:14: `environments.one.use`: goes round in a circle: one -> two -> one
    lyceum.yaml:5:14: `environments.two.use`: goes round in a circle: two -> one -> two
    lyceum.yaml:6:16: `environments.three.use`: there is no environment `pyton`; did you mean `python`?
    lyceum.yaml:6:34: `environments.three.processes`: a notebook server needs at least 16 processes and threads, found 2
    lyceum.yaml:6:64: `environments.three.cpu.limit`: less than what is guaranteed
    lyceum.yaml:6:91: `environments.three.env.JUPYTERHUB_USER`: `JUPYTERHUB_…` variables are set by Lyceum itself
    lyceum.yaml:9:10: `profiles[0].use`: there is no environment `pythn`; did you mean `python`?
    lyceum.yaml:10:5: `profiles[1]`: the slug `python` is taken by profiles[0]; write another `slug`
    lyceum.yaml:11:26: `profiles[2].slug`: "a/b": a slug has 1 to 100 letters, digits, `-`, `_` and `.`
    lyceum.yaml:11:40: `profiles[2].default`: profiles[1] is the default already
    lyceum.yaml:11:57: `profiles[2].for[1]`: `file:` is no way to name people here; write a user name (`ada`), a group (`group:staff`), people of a course (`course:signals-2026/teacher`) or of a role (`role:admin`)
    lyceum.yaml:11:71: `profiles[2].for[2]`: "teachers" is no role in a course; known: teacher, grader, student, observer
    lyceum.yaml:11:94: `profiles[2].for[3]`: there is no role `amdin`; did you mean `admin`?
    lyceum.yaml:12:20: `profiles[3].display_name`: `title` and `display_name` mean the same; write one of them
    lyceum.yaml:13:5: `profiles[4]`: the key `title` is missing here
    lyceum.yaml:14:5: `profiles[5]`: no slug can be made of "日本"; write a `slug`
    lyceum.yaml:17:18: `profiles[6].kubespawner_override.mem_limit`: expected bytes, or a number with K, M, G or T right behind it (powers of 1024), found "2Gi"
    lyceum.yaml:18:21: `profiles[6].kubespawner_override.memory_limit`: unknown setting; did you mean `mem_limit`?
    lyceum.yaml:19:12: `profiles[6].kubespawner_override.cmd`: the command is empty
    lyceum.yaml:20:24: `profiles[6].kubespawner_override.environment.A`: expected text (put it in quotes), found 1
    lyceum.yaml:21:22: `profiles[6].kubespawner_override.node_selector`: `node_selector` is for Kubernetes alone; servers here are processes on this machine
    lyceum.yaml:22:19: `profiles[6].kubespawner_override.frobnicate`: unknown setting; understood here: args, cmd, cpu_guarantee, cpu_limit, default_url, environment, image, mem_guarantee, mem_limit
    lyceum.yaml:25:14: `profiles[7].profile_options.empty`: there is nothing to choose: write `choices`, or enable `unlisted_choice`
    lyceum.yaml:26:16: `profiles[7].profile_options.profile`: "profile" can't be the name of an option; write another
    lyceum.yaml:30:24: `profiles[7].profile_options.image.choices.b.default`: `a` is the default already
    lyceum.yaml:30:30: unknown key `kubespawner_overide`; did you mean `kubespawner_override`?
    lyceum.yaml:31:28: `profiles[7].profile_options.image.choices.unlisted-choice`: "unlisted-choice" can't be the name of a choice
    lyceum.yaml:34:29: `profiles[7].profile_options.image.unlisted_choice.validation_regex`: "^(?=x" can't be used as a regular expression: look-around, including look-ahead and look-behind, is not supported
    lyceum.yaml:35:58: `profiles[7].profile_options.image.unlisted_choice.kubespawner_override.imge`: unknown setting; did you mean `image`?
    lyceum.yaml:35:80: `profiles[7].profile_options.image.unlisted_choice.kubespawner_override.cpu_limit`: expected a number of cores, found "lots"
    lyceum.yaml: 34 problems
    "#);
    // What is right: a list of KubeSpawner's as it is.
    assert_snapshot!(check("
profiles:
  - display_name: 'Demo - profile_list entry 1'
    slug: demo-1
    description: looks good
    default: true
    profile_options:
      image:
        display_name: Image
        choices:
          base: {display_name: 'base:latest', kubespawner_override: {image: 'jupyter/base-notebook:latest'}}
          minimal: {display_name: 'minimal:latest', default: true, kubespawner_override: {image: 'jupyter/minimal-notebook:latest'}}
        unlisted_choice:
          enabled: true
          display_name: Other image
          display_name_in_choices: Enter image manually
          validation_regex: '^jupyter/.+:.+$'
          validation_message: 'Must be an image matching ^jupyter/<name>:<tag>$'
          kubespawner_override: {image: '{value}'}
    kubespawner_override: {default_url: /lab, cpu_limit: 2, mem_limit: 4G}
  - {display_name: 'Demo - profile_list entry 2'}
"), @"lyceum.yaml: no problems");
}

#[test]
fn the_tokens_of_services_come_from_elsewhere_and_are_good() {
    let site = Site::new();
    let text = "
services:
  - {name: one, api_token: file:short}
  - {name: two, api_token: file:long}
  - {name: three, api_token: file:long}
";
    site.write("lyceum.yaml", text);
    site.write("short", "hunter2\n");
    site.write("long", "0123456789abcdef0123\n");
    let said = site.run(&["config", "check"]).out;
    assert!(
        !said.contains("hunter2") && !said.contains("0123"),
        "{said}"
    );
    assert_snapshot!(said, @r#"
    lyceum.yaml:3:28: `services[0].api_token`: a token has 16 or more letters, digits and signs; `openssl rand -hex 32` makes one
    lyceum.yaml:5:30: `services[2].api_token`: the service `two` has the same token; each has its own
    lyceum.yaml: 2 problems
    "#);
    site.write("short", "another secret of 16\n".replace(' ', "-").as_str());
    site.write(
        "lyceum.yaml",
        &text.replace("three, api_token: file:long", "three"),
    );
    let shown = site.run(&["config", "show"]);
    assert_eq!(shown.code, Some(0), "{}", shown.err);
    assert!(!shown.out.contains("another-secret"), "{}", shown.out);
    assert!(shown.out.contains("***"), "{}", shown.out);
}

#[test]
fn without_a_file_the_defaults_are_good() {
    let site = Site::new();
    let said = site.run(&["config", "check"]);
    assert_eq!(said.code, Some(0), "{}", said.out);
    assert_snapshot!(said.out, @"there is no lyceum.yaml in this folder: the defaults are in force (`lyceum config example` shows every key)");
    let said = site.run(&["config", "check", "lyceum.yaml"]);
    assert_eq!(said.code, Some(3), "a file that is named must be there");
    let said = site.run(&["config", "check", "--config", "lyceum.yaml"]);
    assert_eq!(said.code, Some(3), "as other commands have it named");
    let mut by_variable = site.command(&["config", "check"]);
    by_variable.env("LYCEUM_CONFIG", "lyceum.yaml");
    let said = site.said(by_variable.output().expect("runs"));
    assert_eq!(said.code, Some(3), "{}", said.out);
}

#[test]
fn syntax_and_hostile_files() {
    assert_snapshot!(check("listen: [1\nlog: {}\n"), @r#"
    lyceum.yaml:2:4: not valid YAML: illegal placement of ':' indicator
    lyceum.yaml: 1 problem
    "#);
    assert_snapshot!(check("log: {level: info}\nlog: {level: warn}\n"), @r#"
    lyceum.yaml:2:1: `log` stands here a second time
    lyceum.yaml: 1 problem
    "#);
    assert_snapshot!(check("a: &a [x]\nb: [*a, *a]\n"), @r#"
    lyceum.yaml:1:7: anchors, aliases and merge keys (`&`, `*`, `<<`) are not used here: write the value out
    lyceum.yaml: 1 problem
    "#);
    assert_snapshot!(check("log: {}\n---\nlog: {}\n"), @r#"
    lyceum.yaml:2:1: more than one document: remove the `---` lines
    lyceum.yaml: 1 problem
    "#);
    assert_snapshot!(check(&"[".repeat(5000)), @r#"
    lyceum.yaml:1:256: nested deeper than 24 levels
    lyceum.yaml: 1 problem
    "#);
    // Ten times as many with each line.
    let tens = (1..12).map(|n| {
        format!(
            "a{n}: &a{n} [{}]\n",
            vec![format!("*a{}", n - 1); 10].join(", ")
        )
    });
    let laughs = format!("a0: &a0 [x]\n{}", tens.collect::<String>());
    let said = check(&laughs);
    assert!(said.contains("are not used here"), "{said}");
    assert_snapshot!(check(&"x: ".repeat(60)), @r#"
    lyceum.yaml:1:5: not valid YAML: mapping values are not allowed in this context
    lyceum.yaml: 1 problem
    "#);
    assert_snapshot!(check("just words\n"), @r#"
    lyceum.yaml:1:1: expected keys and values, found the text "just words"
    lyceum.yaml: 1 problem
    "#);
    assert_snapshot!(check("log: !!python/object:os.system {}\n"), @r#"
    lyceum.yaml:1:32: not valid YAML: unsupported tag `!!python/object:os.system`
    lyceum.yaml: 1 problem
    "#);
    assert_snapshot!(check(&format!("# {}\n", "x".repeat(1 << 20))), @r#"
    lyceum.yaml: larger than 1 MiB, which no configuration is
    lyceum.yaml: 1 problem
    "#);
    assert_snapshot!(check(""), @"lyceum.yaml: no problems");
    assert_snapshot!(check("# nothing but words\n"), @"lyceum.yaml: no problems");
}

#[test]
fn a_file_that_is_not_there_or_not_text() {
    let site = Site::new();
    let said = site.run(&["config", "check", "gone.yaml"]);
    assert_snapshot!(said.out, @r#"
    gone.yaml: can't be read: No such file or directory (os error 2)
    gone.yaml: 1 problem
    "#);
    std::fs::write(site.path("lyceum.yaml"), b"log: {}\n\xff\xfe").expect("written");
    assert_snapshot!(site.run(&["config", "check"]).out, @r#"
    lyceum.yaml: not UTF-8 text (line 2)
    lyceum.yaml: 1 problem
    "#);
}

#[test]
fn mistakes_about_times_have_their_places() {
    assert_snapshot!(check("
time_zone: Europe/Berlim
servers:
  cull:
    idle: 20m
    warn: 20m
    rules:
      - {named: true, idle: 10m}
      - {named: false, idle: 30m, warn: 29m}
      - {admins: true, idle: never}
"), @r#"
    lyceum.yaml:2:12: `time_zone`: this machine knows no zone "Europe/Berlim"; write a name such as `Europe/Berlin` or `UTC` (they are in /usr/share/zoneinfo, of the package tzdata)
    lyceum.yaml:6:11: `servers.cull.warn`: people would be warned all the time: `warn` is `20m`, and must be less than `idle`, `20m`
    lyceum.yaml:8:29: `servers.cull.rules[0].idle`: people would be warned all the time: `warn` is `20m`, and must be less than `idle`, `10m`
    lyceum.yaml: 3 problems
    "#);
    let good = "time_zone: Europe/Berlin\nservers: {cull: {idle: 5m}}\n";
    assert_snapshot!(check(good), @"lyceum.yaml: no problems");
}

#[test]
fn what_services_are_told_is_not_printed() {
    let site = Site::new();
    site.write(
        "lyceum.yaml",
        "services:\n  - {name: grades, command: [grades], environment: {PASSWORD: hunter2, MODE: fast}}\n",
    );
    for form in [["config", "show"].as_slice(), &["config", "show", "--json"]] {
        let said = site.run(form);
        assert!(said.out.contains("PASSWORD"), "{}", said.out);
        for value in ["hunter2", "fast"] {
            assert!(!said.out.contains(value), "{}", said.out);
        }
    }
}

#[test]
fn secrets_stay_out_of_the_file_and_of_what_is_printed() {
    let plain = check("store: {database: 'postgres://lyceum:hunter2@db/x'}\n");
    assert!(!plain.contains("hunter2"), "{plain}");
    assert_snapshot!(plain, @r#"
    lyceum.yaml:1:19: `store.database`: a secret does not stand in this file; put it in a file or a variable and write `file:PATH` or `env:NAME`
    lyceum.yaml: 1 problem
    "#);

    let site = Site::new();
    site.write(
        "lyceum.yaml",
        "store:\n  database: file:url\ntheme: {name: Physics}\n",
    );
    site.write("url", "postgres://lyceum:hunter2@db/x\n");
    let said = site.run(&["config", "show"]);
    assert_eq!(said.code, Some(0), "{}", said.err);
    assert!(!said.out.contains("hunter2"));
    assert_snapshot!(said.out, @r#"
    public_url                            -                               default
    base_url                              -                               default
    subdomains                            -                               default
    listen                                127.0.0.1:8000                  default
    tls.acme.agree_to_terms               false                           default
    tls.acme.challenge                    http                            default
    tls.acme.directory                    -                               default
    tls.acme.directory_authority          -                               default
    tls.acme.folder                       -                               default
    tls.acme.mail                         -                               default
    tls.acme.names                        []                              default
    tls.certificates                      []                              default
    tls.clients.authorities               -                               default
    tls.clients.required                  false                           default
    tls.http2                             true                            default
    tls.oldest                            tls1.2                          default
    tls.redirect_from                     -                               default
    tls.strict_transport                  -                               default
    trusted_proxies                       []                              default
    proxy_protocol                        []                              default
    store.blobs                           -                               default
    store.database                        ***                             lyceum.yaml:2, file:url
    store.key                             -                               default
    hub.api_url                           -                               default
    hub.listen                            127.0.0.1:8081                  default
    proxy.access_log                      off                             default
    proxy.bind_addresses                  []                              default
    proxy.limits.access                   10s                             default
    proxy.limits.body_bytes_hub           -                               default
    proxy.limits.body_bytes_open          -                               default
    proxy.limits.body_bytes_servers       -                               default
    proxy.limits.connect                  5s                              default
    proxy.limits.connections              -                               default
    proxy.limits.connections_per_client   -                               default
    proxy.limits.connections_per_server   16384                           default
    proxy.limits.decisions                65536                           default
    proxy.limits.drain                    3s                              default
    proxy.limits.first_byte               10m                             default
    proxy.limits.half_closed              10s                             default
    proxy.limits.header_bytes             64Ki                            default
    proxy.limits.header_count             128                             default
    proxy.limits.header_read              1m                              default
    proxy.limits.idle                     1h                              default
    proxy.limits.least_speed              1Ki                             default
    proxy.limits.pooled                   50s                             default
    proxy.limits.pooled_per_target        512                             default
    proxy.limits.refusal                  1s                              default
    proxy.limits.slow_grace               2m                              default
    proxy.limits.unready                  0s                              default
    proxy.limits.websocket_idle           -                               default
    proxy.plain_http2                     false                           default
    proxy.secret                          -                               default
    sign_in[0].kind                       local                           default
    sign_in[0].password_length            8                               default
    sign_in[0].title                      Lyceum                          default
    second_factor.required_for            []                              default
    posix.gid                             -                               default
    posix.lowest_gid                      1000                            default
    posix.lowest_uid                      1000                            default
    posix.uids                            -                               default
    mail.authority                        -                               default
    mail.from                             -                               default
    mail.password                         -                               default
    mail.port                             -                               default
    mail.security                         starttls                        default
    mail.server                           -                               default
    mail.user                             -                               default
    people.admins                         []                              default
    people.allow                          -                               default
    people.block                          []                              default
    people.existing                       false                           default
    people.forget_after                   -                               default
    people.log_kept                       -                               default
    load_groups                           {}                              default
    load_roles                            []                              default
    custom_scopes                         {}                              default
    services                              []                              default
    oauth.pkce                            optional                        default
    servers.command                       -                               default
    servers.concurrent_starts             16                              default
    servers.concurrent_starts_per_person  2                               default
    servers.cpu.limit                     -                               default
    servers.cull.age                      -                               default
    servers.cull.idle                     -                               default
    servers.cull.remove_named             false                           default
    servers.cull.rules                    []                              default
    servers.cull.warn                     -                               default
    servers.disk.file                     -                               default
    servers.disk.home                     -                               default
    servers.env                           {}                              default
    servers.memory.limit                  -                               default
    servers.oauth_client_allowed_scopes   []                              default
    servers.opens                         /lab                            default
    servers.per_person                    3                               default
    servers.processes                     -                               default
    servers.quotas                        []                              default
    servers.running                       -                               default
    servers.shared_in_browsers            false                           default
    servers.slow_after                    20s                             default
    servers.start_timeout                 2m                              default
    environments                          {}                              default
    profiles                              []                              default
    courses.groups.graders                []                              default
    courses.groups.observers              []                              default
    courses.groups.students               []                              default
    courses.groups.teachers               []                              default
    spawner.accounts                      -                               default
    spawner.homes                         -                               default
    spawner.kind                          local                           default
    exchange.archives                     -                               default
    exchange.keep.archived                -                               default
    exchange.keep.archives                -                               default
    exchange.keep.removed                 -                               default
    exchange.quota.course                 -                               default
    exchange.quota.person                 -                               default
    time_zone                             -                               default
    log.format                            pretty                          default
    log.level                             info                            default
    metrics_prefix                        jupyterhub                      default
    events.file                           -                               default
    events.keep                           9                               default
    events.size                           100M                            default
    theme.accent                          #1f6feb                         default
    theme.css                             -                               default
    theme.font                            -                               default
    theme.footer                          -                               default
    theme.hosts                           []                              default
    theme.inline_scripts                  false                           default
    theme.logo                            -                               default
    theme.name                            Physics                         lyceum.yaml:3
    theme.static                          -                               default
    theme.template_paths                  []                              default
    theme.template_vars                   {}                              default
    languages                             -                               default
    site.help                             -                               default
    site.imprint                          -                               default
    site.privacy                          -                               default
    site.terms                            -                               default
    announcements                         []                              default
    maintenance.allow                     []                              default
    maintenance.from                      -                               default
    maintenance.text                      -                               default
    maintenance.until                     -                               default
    "#);
    let json = site.run(&["config", "show", "--json"]).out;
    let rows: serde_json::Value = serde_json::from_str(&json).expect("JSON");
    let row = |key: &str| {
        rows.as_array()
            .expect("a list")
            .iter()
            .find(|row| row["key"] == key)
            .expect(key)
            .clone()
    };
    assert_eq!(row("theme.name")["from"], "lyceum.yaml:3");
    assert_eq!(row("store.database")["value"], "***");
}

#[test]
fn the_example_is_current_and_good() {
    let site = Site::new();
    let example = site.run(&["config", "example"]).out;
    let kept = concat!(env!("CARGO_MANIFEST_DIR"), "/../../config.example.yaml");
    let kept = std::fs::read_to_string(kept).expect("config.example.yaml at the root");
    assert!(
        example == kept,
        "run: cargo run -- config example > config.example.yaml"
    );
    // Every line taken in is good too, and means the defaults.
    let all: String = example
        .lines()
        .map(|line| format!("{}\n", line.strip_prefix("# ").unwrap_or(line)))
        .collect();
    let all = all
        .split_once('\n')
        .expect("a head")
        .1
        .split_once('\n')
        .expect("a head")
        .1;
    site.write("lyceum.yaml", all);
    let said = site.run(&["config", "check"]);
    assert_eq!(said.out, "lyceum.yaml: no problems\n", "{all}");
    let values = |args: &[&str]| -> Vec<(String, String)> {
        let json: serde_json::Value = serde_json::from_str(&site.run(args).out).expect("JSON");
        json.as_array()
            .expect("a list")
            .iter()
            .map(|row| (row["key"].to_string(), row["value"].to_string()))
            .collect()
    };
    let taken = values(&["config", "show", "--json"]);
    std::fs::remove_file(site.path("lyceum.yaml")).expect("removed");
    assert_eq!(taken, values(&["config", "show", "--json"]));
}

#[test]
fn the_schema_knows_every_key_and_no_other() {
    let schema: serde_json::Value =
        serde_json::from_str(&Site::new().run(&["config", "schema"]).out).expect("JSON");
    assert_eq!(schema["additionalProperties"], false);
    let keys: Vec<&str> = schema["properties"]
        .as_object()
        .expect("keys")
        .keys()
        .map(String::as_str)
        .collect();
    assert_eq!(
        keys,
        [
            "announcements",
            "base_url",
            "courses",
            "custom_scopes",
            "environments",
            "events",
            "exchange",
            "hub",
            "languages",
            "listen",
            "load_groups",
            "load_roles",
            "log",
            "mail",
            "maintenance",
            "metrics_prefix",
            "oauth",
            "people",
            "posix",
            "profiles",
            "proxy",
            "proxy_protocol",
            "public_url",
            "second_factor",
            "servers",
            "services",
            "sign_in",
            "site",
            "spawner",
            "store",
            "subdomains",
            "theme",
            "time_zone",
            "tls",
            "trusted_proxies"
        ]
    );
    let example = Site::new().run(&["config", "example"]).out;
    for key in keys {
        assert!(example.contains(&format!("\n# {key}:")), "{key}");
    }
}

#[test]
fn what_is_wrong_with_a_theme_is_told_with_its_place() {
    assert_snapshot!(check("
theme:
  accent: red
  font: 'x;}'
  logo: logo.exe
  css: nowhere.css
  static: nowhere
  template_paths: [nowhere]
  hosts: ['http://cdn.example.edu', 'https://cdn.example.edu/x']
  templates: [a]
site:
  help: wiki
  terms: nowhere.md
  privacy: 'javascript://x'
announcements:
  - {text: {en: Hello, fr: Salut}, from: tomorrow, for: [everyone!]}
  - {text: '', from: 2026-11-30 18:00, until: 2026-11-30 17:00}
maintenance: {until: 2026-11-30 18:00, allow: [all:x]}
"), @r##"
    lyceum.yaml:3:11: `theme.accent`: "red" is not a colour such as `"#1f6feb"`
    lyceum.yaml:4:9: `theme.font`: write font names as in CSS, such as `'"Source Sans 3", sans-serif'`
    lyceum.yaml:5:9: `theme.logo`: logo.exe can't be read: No such file or directory (os error 2)
    lyceum.yaml:6:8: `theme.css`: nowhere.css can't be read: No such file or directory (os error 2)
    lyceum.yaml:7:11: `theme.static`: nowhere is no folder
    lyceum.yaml:8:20: `theme.template_paths[0]`: nowhere can't be read: No such file or directory (os error 2)
    lyceum.yaml:9:11: `theme.hosts[0]`: "http://cdn.example.edu" is not a host such as `https://cdn.example.edu`
    lyceum.yaml:9:37: `theme.hosts[1]`: "https://cdn.example.edu/x" is not a host such as `https://cdn.example.edu`
    lyceum.yaml:10:3: unknown key `templates`; did you mean `template_vars`?
    lyceum.yaml:12:9: `site.help`: "wiki" is no address such as `https://wiki.example.edu` or `help@example.edu`
    lyceum.yaml:13:10: `site.terms`: nowhere.md can't be read: No such file or directory (os error 2)
    lyceum.yaml:14:12: `site.privacy`: "javascript://x" is neither an address such as `https://example.edu/terms` nor a file
    lyceum.yaml:16:12: `announcements[0].text`: there are no pages in "fr"; known here: en, de
    lyceum.yaml:16:42: `announcements[0].from`: "tomorrow" is not a time such as `2026-11-30 18:00`, in the site's `time_zone`, or `2026-11-30 18:00+01:00`
    lyceum.yaml:16:58: `announcements[0].for[0]`: "everyone!" is none of `all`, `login`, `course:ID`, `course:ID/ROLE`, `role:NAME`, `group:NAME` and a user's name
    lyceum.yaml:17:12: `announcements[1].text`: the text is empty
    lyceum.yaml:17:47: `announcements[1].until`: the end is not after the beginning
    lyceum.yaml:18:14: `maintenance`: say when it begins, such as `from: 2026-11-30 18:00+01:00`
    lyceum.yaml:18:48: `maintenance.allow[0]`: "all:x" is neither a user's name nor `group:NAME`
    lyceum.yaml: 19 problems
    "##);
}

#[test]
fn broken_templates_are_told_with_file_and_line() {
    let site = Site::new();
    std::fs::create_dir_all(site.path("templates/parts")).expect("made");
    site.write("lyceum.yaml", "theme: {template_paths: [templates]}\n");
    site.write("templates/login.html", "\n\n{% if %}");
    site.write(
        "templates/home.html",
        "{% extends 'page.html' %}\n{% block main %}{{ x|nofilter }}{% endblock %}",
    );
    site.write("templates/parts/menu.html", "good");
    let said = site.run(&["config", "check"]);
    assert_eq!(said.code, Some(3), "{}", said.err);
    let lines: Vec<&str> = said.out.lines().collect();
    assert_eq!(lines.len(), 3, "{}", said.out);
    assert!(
        lines[0].starts_with("templates/login.html:3:1: syntax error: "),
        "{}",
        said.out
    );
    assert!(
        lines[1].starts_with("templates/home.html:2:1: unknown filter: "),
        "{}",
        said.out
    );
    assert_eq!(lines[2], "lyceum.yaml: 2 problems");
    let said = site.run(&["doctor"]);
    assert!(
        said.out.contains("templates/login.html:3:1"),
        "{}",
        said.out
    );
    site.write(
        "templates/login.html",
        "{% extends 'templates/login.html' %}",
    );
    site.write("templates/home.html", "{% extends 'templates/home.html' %}");
    let said = site.run(&["config", "check"]);
    assert_eq!(said.code, Some(0), "{}", said.out);
}

#[test]
fn where_everything_stands() {
    let site = Site::new();
    let check = |text: &str| {
        site.write("lyceum.yaml", text);
        let said = site.run(&["config", "check"]);
        (said.code, said.out + &said.err)
    };
    for good in [
        "public_url: https://example.edu/jupyter\n",
        "base_url: jupyter\n",
        "public_url: https://example.edu/jupyter/\nbase_url: /jupyter\n",
        "base_url: /x/\nhub: {api_url: \"http://10.0.0.5:8000/x/hub/api\"}\n",
    ] {
        let (code, said) = check(good);
        assert_eq!(code, Some(0), "{good}{said}");
    }
    for (bad, expect) in [
        ("base_url: /a b/\n", "is no path to stand below"),
        (
            "public_url: https://example.edu/a//b/\n",
            "is no path to stand below",
        ),
        (
            "public_url: https://example.edu/?x\n",
            "must end after the path",
        ),
        (
            "public_url: https://example.edu/\nbase_url: /x/\n",
            "/x/ is not the path of `public_url`",
        ),
        (
            "base_url: /x/\nhub: {api_url: \"http://10.0.0.5:8000/hub/api\"}\n",
            "such as `http://10.0.0.5:8000/x/hub/api`",
        ),
    ] {
        let (code, said) = check(bad);
        assert_eq!(code, Some(3), "{bad}{said}");
        assert!(said.contains(expect), "{bad}{said}");
    }
}

#[test]
fn languages_are_checked_with_file_and_line() {
    let site = Site::new();
    std::fs::create_dir_all(site.path("languages")).expect("made");
    site.write(
        "lyceum.yaml",
        "languages: languages\nannouncements: [{text: {fr: Salut}}]\n",
    );
    let template = site.run(&["language", "template", "fr"]);
    assert_eq!(template.code, Some(0), "{}", template.err);
    // The proxy has files of its own; what it can say is asked for all the same.
    let asked = template
        .out
        .lines()
        .filter_map(|line| line.split_once(" ="));
    let asked: Vec<&str> = asked
        .map(|(key, _)| key)
        .filter(|key| key.starts_with("proxy."))
        .collect();
    let of_proxies = lyceum_proxy::ERROR_PAGE_TEXTS.lines();
    let of_proxies: Vec<&str> = of_proxies
        .filter_map(|line| Some(line.split_once(" = ")?.0))
        .collect();
    assert!(of_proxies.contains(&"proxy.no_server.title"));
    assert_eq!(asked, of_proxies);
    site.write("languages/fr.txt", &template.out);
    let said = site.run(&["config", "check"]);
    assert_eq!(
        said.code,
        Some(0),
        "nothing is wrong with an empty one: {}",
        said.out
    );
    assert!(
        said.out.starts_with("note: languages/fr.txt: "),
        "{}",
        said.out
    );
    site.write(
        "languages/fr.txt",
        "nav.hmoe = Accueil\nlogin.heading = Connexion\nproxy.hoem = Accueil\n",
    );
    let said = site.run(&["config", "check"]);
    assert_eq!(said.code, Some(3), "{}", said.out);
    let lines: Vec<&str> = said.out.lines().collect();
    assert_eq!(
        lines[..3],
        [
            "languages/fr.txt:1:1: unknown key `nav.hmoe`; did you mean `nav.home`?",
            "languages/fr.txt:2:1: `login.heading`: `{site}` is missing",
            "languages/fr.txt:3:1: unknown key `proxy.hoem`; did you mean `proxy.home`?",
        ]
    );
    for (tag, why) in [
        ("../x", "is not the tag of a language"),
        ("de", "is built in"),
    ] {
        let said = site.run(&["language", "template", tag]);
        assert_eq!(said.code, Some(1));
        assert!(said.err.contains(why), "{}", said.err);
    }
    site.write("lyceum.yaml", "languages: nowhere\nmetrics_prefix: 9x\n");
    let said = site.run(&["config", "check"]);
    assert!(
        said.out.contains("`languages`: nowhere can't be read"),
        "{}",
        said.out
    );
    assert!(
        said.out.contains("`metrics_prefix`: \"9x\" can't begin"),
        "{}",
        said.out
    );
}

#[test]
fn profiles_are_a_list_and_an_audience_is_not_nothing() {
    let said = check("\nprofiles:\n  python: {title: Python}\n");
    assert!(said.contains("write `- slug: KEY`"), "{said}");
    let said = check("\nprofiles:\n- {title: Python, for: null}\n");
    assert!(said.contains("profiles[0].for"), "{said}");
}

#[test]
fn one_host_for_all_is_noted_unless_somebody_said_so() {
    let site = Site::new();
    let notes = |config: &str| {
        site.write("lyceum.yaml", config);
        let said = site.run(&["config", "check"]);
        assert_eq!(said.code, Some(0), "{}", said.out);
        let notes = said.out.lines().filter(|line| line.starts_with("note: "));
        notes.map(str::to_owned).collect::<Vec<_>>()
    };
    // Whoever writes what everybody may do leaves out easily what nobody sees there.
    let noted = notes("load_roles: [{name: user, scopes: [self, 'shares!user']}]\n");
    assert_eq!(noted.len(), 1, "{noted:?}");
    assert!(
        noted[0].starts_with("note: load_roles: user: ")
            && noted[0].contains("`access:services!service=ngshare`"),
        "{noted:?}"
    );
    let noted = notes("load_roles: [{name: server, scopes: ['users:activity!user']}]\n");
    assert!(
        noted[0].starts_with("note: load_roles: server: "),
        "{noted:?}"
    );
    for quiet in [
        "load_roles: [{name: user, scopes: [self, 'access:services!service=ngshare']}]\n",
        "load_roles: [{name: user, scopes: [self, access:services]}]\n",
        "load_roles: [{name: server, scopes: [inherit]}]\n",
        "load_roles: [{name: user, description: Everybody}, {name: lab, scopes: [self]}]\n",
        "load_roles: [{name: user, scopes: [self]}]\nservices: [{name: ngshare, url: 'http://127.0.0.1:9'}]\n",
    ] {
        assert_eq!(notes(quiet), [""; 0], "{quiet}");
    }
    let public = "public_url: https://lab.example.edu\n";
    let noted = notes(public);
    assert_eq!(noted.len(), 1, "{noted:?}");
    let words =
        "note: subdomains: is not set, so pages of people's servers share the host lab.example.edu";
    assert!(noted[0].starts_with(words), "{noted:?}");
    for quiet in [
        String::new(),
        format!("{public}subdomains: false\n"),
        format!("{public}subdomains: true\n"),
        "public_url: http://lab.localhost:8000\n".to_owned(),
    ] {
        assert_eq!(notes(&quiet), [""; 0], "{quiet}");
    }
}
