//! Commands beside a Lyceum: whose data folder it is, administrators, logs of servers.

use std::os::unix::fs::PermissionsExt;

use insta::assert_snapshot;

use crate::harness::Site;
use crate::up::site_with_python;

/// A site whose data folder was made by `up --demo`.
pub(crate) fn demo() -> Site {
    let site = site_with_python();
    let said = site.up(&["up", "--demo", "--port", "0"]);
    assert_eq!(said.code, Some(0), "{}", said.err);
    site
}

#[test]
fn a_closed_data_folder_is_called_so() {
    let site = Site::new();
    let keys = site.path("closed/keys");
    std::fs::create_dir_all(keys).expect("made");
    let mode = |mode| {
        let mode = std::fs::Permissions::from_mode(mode);
        std::fs::set_permissions(site.path("closed"), mode).expect("mode");
    };
    mode(0o700);
    if rustix::process::geteuid().is_root() {
        let said = site.run_as_nobody(&["user", "list", "--data", "closed"]);
        assert_eq!(said.code, Some(1));
        assert_snapshot!(said.err, @r#"
        lyceum: the data folder closed belongs to somebody else (user id 0)
                run this as its owner (`sudo -u '#0' lyceum …`), or choose another data folder with --data
        "#);
        std::os::unix::fs::chown(site.path("closed"), Some(65534), Some(65534)).expect("given");
    }
    mode(0o000);
    let said = site.run_as_nobody(&["user", "list", "--data", "closed"]);
    assert_eq!(said.code, Some(1));
    assert_snapshot!(said.err, @r#"
    lyceum: the data folder closed is closed to this user
            run this as the user that Lyceum runs as; if that is you, its mode is wrong: it and what is in it need 700
    "#);
    mode(0o700);
    std::fs::create_dir(site.path("other")).expect("made");
    let said = site.run(&["user", "list", "--data", "other"]);
    assert_snapshot!(said.err, @r#"
    lyceum: other is not a data folder of Lyceum
            name the right one with --data or LYCEUM_DATA; `lyceum up` makes a new one
    "#);
}

#[test]
fn numbers_for_files_are_said_once() {
    let site = demo();
    let said = site.run(&["user", "posix", "ada"]);
    assert_eq!(said.out, "ada has no numbers for files\n", "{}", said.err);
    let all = ["--uid", "1234", "--gid", "1000", "--groups", "5000,5001"];
    let said = site.run(&[&["user", "posix", "ada"], all.as_slice()].concat());
    let line = "ada  uid 1234  gid 1000  groups 5000,5001\n";
    assert_eq!(said.out, line, "{}", said.err);
    assert_eq!(site.run(&["user", "posix", "ada"]).out, line);
    let said = site.run(&["user", "posix", "ben", "--uid", "1234"]);
    assert_eq!(said.code, Some(1));
    assert!(said.err.contains("is or was that of ada"), "{}", said.err);
    let said = site.run(&["user", "posix", "ben", "--uid", "0"]);
    assert!(said.err.contains("the lowest is 1000"), "{}", said.err);
    let said = site.run(&["user", "posix", "ben", "--gid", "1000"]);
    assert!(said.err.contains("No number"), "{}", said.err);
    let said = site.run(&["explain", "ada", "--json"]);
    let explained: serde_json::Value = serde_json::from_str(&said.out).expect("JSON");
    let values = explained["values"].as_array().expect("a list");
    let value = |what: &str| {
        let row = values.iter().find(|row| row["what"] == what);
        row.map(|row| row["value"].clone())
    };
    assert_eq!(value("uid"), Some(1234.into()));
    assert_eq!(value("groups"), Some(serde_json::json!([5000, 5001])));
}

#[test]
fn no_password_is_made_that_nobody_can_type() {
    let site = site_with_python();
    site.write(
        "lyceum.yaml",
        "spawner: {accounts: shared}
sign_in: [{kind: ldap, title: T, servers: ['ldaps://ldap.invalid'], base: 'o=x', allow: {everyone: true}}]
",
    );
    let said = site.up(&["up", "--port", "0"]);
    assert_eq!(said.code, Some(0), "{}", said.err);
    assert!(!said.err.contains("first password"), "{}", said.err);
    assert_eq!(site.run(&["admin", "list", "--json"]).out.trim(), "[]");
    let said = site.run(&["user", "add", "bob"]);
    assert_eq!(said.code, Some(1), "{}", said.out);
    assert!(
        said.err.contains("no way in takes a password"),
        "{}",
        said.err
    );
    let said = site.run(&["config", "check"]);
    assert_eq!(said.code, Some(0), "{}", said.out);
    assert!(
        said.out.contains("`lyceum admin grant NAME`"),
        "{}",
        said.out
    );
}

#[test]
fn the_last_administrator_stays_one() {
    let site = demo();
    let said = site.run(&["admin", "revoke", "admin"]);
    assert_eq!(said.code, Some(1), "{}", said.out);
    assert_snapshot!(said.err, @r#"
    lyceum: admin is the last administrator: nobody could administer after that
            make another one first (`lyceum admin grant NAME`), or say --force
    "#);
    // Nobody can log in under a name that has no account.
    site.write("lyceum.yaml", "people: {admins: [nobody-yet]}\n");
    assert_eq!(site.run(&["admin", "revoke", "admin"]).code, Some(1));
    // An administrator who may not come in is none.
    assert_eq!(site.run(&["admin", "grant", "grace"]).code, Some(0));
    site.write("lyceum.yaml", "people: {block: [grace]}\n");
    assert_eq!(site.run(&["admin", "revoke", "admin"]).code, Some(1));
    // One whom `people.allow` does not name comes in all the same.
    site.write("lyceum.yaml", "people: {allow: [eve]}\n");
    assert_eq!(site.run(&["admin", "revoke", "admin"]).code, Some(0));
    assert_eq!(site.run(&["admin", "grant", "admin"]).code, Some(0));
    site.write("lyceum.yaml", "people: {admins: [ada]}\n");
    let said = site.run(&["admin", "revoke", "admin"]);
    assert_snapshot!(said.out, @"admin is no administrator any more");
    let said = site.run(&["admin", "revoke", "grace"]);
    assert_eq!(
        said.code,
        Some(0),
        "the configuration has one: {}",
        said.err
    );
    site.write("lyceum.yaml", "");
    assert_eq!(site.run(&["admin", "grant", "ben"]).code, Some(0));
    assert_eq!(site.run(&["admin", "revoke", "ben"]).code, Some(1));
    let said = site.run(&["admin", "revoke", "ben", "--force"]);
    assert_eq!(said.code, Some(0), "{}", said.err);
    assert_eq!(site.run(&["admin", "list"]).out, "");
}

#[test]
fn a_server_that_is_not_there_is_called_by_name() {
    let site = demo();
    assert_snapshot!(site.run(&["server", "logs", "ben"]).err, @r#"
    lyceum: ben has never started the default server
            ben has no servers yet
    "#);
    assert_snapshot!(site.run(&["server", "logs", "ben", "gpu"]).err, @r#"
    lyceum: ben has no server called gpu
            ben has no servers yet
    "#);
    assert_snapshot!(site.run(&["server", "logs", "beb"]).err, @r#"
    lyceum: there is nobody called beb
            `lyceum user list` shows who there is
    "#);
}

#[test]
fn marks_at_other_places_are_asked_after() {
    let site = demo();
    let list = site.run(&["user", "identity", "list", "--json"]);
    assert_eq!((list.code, list.out.trim()), (Some(0), "[]"));
    assert_eq!(site.run(&["user", "identity", "list", "ben"]).out, "");
    let of_nobody = site.run(&["user", "identity", "list", "beb"]);
    assert_eq!(of_nobody.code, Some(1));
    assert!(
        of_nobody.err.contains("nobody called beb"),
        "{}",
        of_nobody.err
    );
    let place = ["--issuer", "https://login.example.edu", "--mark", "7"];
    let said = site.run(&[&["user", "identity", "remove", "ben"], &place[..]].concat());
    assert_eq!(said.code, Some(1));
    assert_snapshot!(said.err, @r#"
    lyceum: no such mark leads to ben
            `lyceum user identity list ben` shows those that do
    "#);
}

#[test]
fn what_the_command_line_did_is_written_down() {
    let site = demo();
    assert_eq!(site.run(&["admin", "grant", "ada"]).code, Some(0));
    let said = site.run(&["audit", "list", "--person", "ada"]);
    let newest = said.out.lines().next().unwrap_or_default();
    assert!(
        newest.ends_with("admin_given  about=ada  through=command_line"),
        "{}{}",
        said.out,
        said.err
    );
    let said = site.run(&["audit", "list", "--json", "--limit", "1"]);
    assert!(
        said.out.contains("\"what\": \"admin_given\""),
        "{}",
        said.out
    );
    assert_eq!(
        site.run(&["audit", "list", "--since", "2999-01-01"]).out,
        ""
    );
    let said = site.run(&["audit", "list", "--since", "yesterday"]);
    assert_eq!(said.code, Some(1));
    assert!(said.err.contains("--since: "), "{}", said.err);
    assert!(said.err.contains("a day alone"), "{}", said.err);
    let said = site.run(&["audit", "list", "--person", "adda"]);
    assert_eq!(said.code, Some(1), "{}", said.out);
    assert!(said.err.contains("nobody called adda"), "{}", said.err);
}

#[test]
fn what_somebody_would_get_is_explained() {
    let site = demo();
    site.write(
        "lyceum.yaml",
        "servers: {memory: {limit: 2G}}
environments:
  python: {cpu: {guarantee: 0.5, limit: 4}, env: {KIND: python}}
  lecture: {use: python, opens: /tree}
profiles:
  - {title: Python, use: python}
  - title: Lecture
    use: lecture
    for: [course:signals-demo/student]
    profile_options:
      size:
        choices:
          normal: {}
          large: {kubespawner_override: {mem_limit: 4G, environment: {SIZE: large}}}
",
    );
    let large = ["--profile", "lecture", "--option", "size=large"];
    let said = site.run(&[&["explain", "ada"], large.as_slice()].concat());
    let trimmed = |text: &str| {
        let lines: Vec<&str> = text.lines().map(str::trim_end).collect();
        lines.join("\n")
    };
    assert_snapshot!(trimmed(&said.out), @r#"
    profile        lecture                profiles[1]                                                                           lyceum.yaml:7
    command        jupyterhub-singleuser  servers.command                                                                       default
    opens          /tree                  environments.lecture.opens                                                            lyceum.yaml:4
    memory limit   4Gi                    profiles[1].profile_options.size.choices.large.kubespawner_override.mem_limit         lyceum.yaml:14
    cpu guarantee  0.5                    environments.python.cpu.guarantee                                                     lyceum.yaml:3
    cpu limit      4                      environments.python.cpu.limit                                                         lyceum.yaml:3
    env KIND       python                 environments.python.env.KIND                                                          lyceum.yaml:3
    env SIZE       large                  profiles[1].profile_options.size.choices.large.kubespawner_override.environment.SIZE  lyceum.yaml:14
    may start: yes (by course:signals-demo/student)
    "#);
    // Somebody who teaches there is no student. Who asks here may know what there is.
    let said = site.run(&["explain", "grace", "--json"]);
    let explained: serde_json::Value = serde_json::from_str(&said.out).expect("JSON");
    assert_eq!(explained["values"][0]["value"], "python");
    assert_eq!(explained["why"], "everybody may");
    let others = "the profile lecture is for course:signals-demo/student";
    assert_eq!(explained["notes"], serde_json::json!([others]));
    let said = site.run(&[&["explain", "grace"], large.as_slice()].concat());
    assert!(said.out.contains("env SIZE       large"), "{}", said.out);
    let last_line = |text: &str| text.lines().last().unwrap_or_default().to_owned();
    let refused = format!("may start: no ({others})");
    assert_eq!(last_line(&said.out), refused, "{}", said.err);
    let said = site.run(&["explain", "grace", "--profile", "lectrue"]);
    assert_eq!(said.code, Some(1));
    assert_snapshot!(said.err, @r#"
    lyceum: profile: There is no such choice; choose one of those that are yours
            grace may use: python; in all there are: python, lecture
    "#);
    site.write(
        "lyceum.yaml",
        "people: {block: [ben]}
profiles:
  - title: X
    for: [ada, ben]
    profile_options: {size: {choices: {small: {}, large: {for: [ada]}}}}
",
    );
    let last = |more: &[&str]| last_line(&site.run(&[&["explain"], more].concat()).out);
    let blocked = "may start: no (she may not come in: `people.block` names her)";
    assert_eq!(last(&["ben"]), blocked);
    assert!(site.run(&["explain", "ben"]).out.starts_with("profile "));
    let said = site.run(&["explain", "grace"]);
    assert_snapshot!(said.out, @r"
    note: the profile x is for ada, ben
    may start: no (none of the profiles is for her)
    ");
    site.write(
        "lyceum.yaml",
        "people: {allow: [ada]}
profiles:
  - title: X
    profile_options: {size: {choices: {small: {}, large: {for: [ada]}}}}
",
    );
    let large = ["grace", "--profile", "x", "--option", "size=large"];
    let outside = "may start: no (she may not come in: `people.allow` does not name her)";
    assert_eq!(last(&large), outside);
    let open = site
        .read("lyceum.yaml")
        .replace("people: {allow: [ada]}\n", "");
    site.write("lyceum.yaml", &open);
    assert_eq!(last(&large), "may start: no (large of size is for ada)");
    site.write("lyceum.yaml", "");
    assert_eq!(last(&["grace"]), "may start: yes (everybody may)");
}

#[test]
fn what_somebody_would_get_for_a_course_is_explained() {
    let site = demo();
    site.write(
        "lyceum.yaml",
        "servers: {memory: {limit: 2G}}
environments:
  python: {cpu: {limit: 4}, env: {KIND: python}}
",
    );
    let course = |text: &str| {
        let head = "title: Signals\npeople: {teachers: [grace], students: [ada, grace]}\n";
        site.write(
            "lyceum-data/courses/signals-demo.yaml",
            &format!("{head}{text}"),
        );
    };
    course(
        "environment:
  use: python
  env: {COURSEDATA: /coursedata}
  teachers:
    memory: {limit: 8G}
    env: {COURSEDATA: /course}
",
    );
    let said = |more: &[&str]| {
        let said = site.run(&[&["explain"], more].concat());
        let lines: Vec<&str> = said.out.lines().map(str::trim_end).collect();
        format!("{}{}", lines.join("\n"), said.err)
    };
    assert_snapshot!(said(&["grace", "signals-demo"]), @r#"
    environment     python                 environment.use                      courses/signals-demo.yaml:4
    command         jupyterhub-singleuser  servers.command                      default
    opens           /lab                   servers.opens                        default
    memory limit    8G                     environment.teachers.memory.limit    courses/signals-demo.yaml:7
    cpu limit       4                      environments.python.cpu.limit        lyceum.yaml:3
    env COURSEDATA  /course                environment.teachers.env.COURSEDATA  courses/signals-demo.yaml:8
    env KIND        python                 environments.python.env.KIND         lyceum.yaml:3
    may start: yes (teacher by grace)
    "#);
    assert_snapshot!(said(&["ada", "signals-demo"]), @r#"
    environment     python                 environment.use                courses/signals-demo.yaml:4
    command         jupyterhub-singleuser  servers.command                default
    opens           /lab                   servers.opens                  default
    memory limit    2G                     servers.memory.limit           lyceum.yaml:1
    cpu limit       4                      environments.python.cpu.limit  lyceum.yaml:3
    env COURSEDATA  /coursedata            environment.env.COURSEDATA     courses/signals-demo.yaml:5
    env KIND        python                 environments.python.env.KIND   lyceum.yaml:3
    may start: yes (student by ada)
    "#);
    let last = |more: &[&str]| said(more).lines().last().unwrap_or_default().to_owned();
    assert_snapshot!(last(&["grace", "signals-demo", "--as", "student"]), @"may start: yes (student by grace; she starts as teacher)");
    assert_snapshot!(last(&["ada", "signals-demo", "--as", "teacher"]), @"may start: no (ada is no teacher in signals-demo)");
    assert_snapshot!(said(&["ben", "signals-demo"]), @"may start: no (ben does not belong to signals-demo)");
    let json = site.run(&[
        "explain",
        "ada",
        "signals-demo",
        "--as",
        "teacher",
        "--json",
    ]);
    let explained: serde_json::Value = serde_json::from_str(&json.out).expect("JSON");
    assert_eq!(explained["may_start"], false);
    assert_eq!(explained["role"], "teacher");
    let values = explained["values"].as_array().expect("a list");
    let memory = values.iter().find(|row| row["what"] == "memory limit");
    let memory = memory.expect("a memory limit");
    assert_eq!(memory["from"], "courses/signals-demo.yaml:7");
    assert_eq!(memory["rule"], "environment.teachers.memory.limit");
    assert_snapshot!(said(&["ada", "signals-dem"]), @r#"
    lyceum: there is no course `signals-dem`
            did you mean `signals-demo`?
    "#);
    course("visible: archived\nenvironment: {}\n");
    assert_snapshot!(last(&["grace", "signals-demo"]), @"may start: no (signals-demo is archived)");
    course("visible: private\nenvironment: {}\n");
    assert_snapshot!(last(&["ada", "signals-demo"]), @"may start: no (signals-demo is private, which is for its teachers)");
    course("");
    assert_snapshot!(last(&["ada", "signals-demo"]), @"may start: no (signals-demo has no `environment`)");
    course("environment: {use: pyton, memroy: {limit: 2}}\n");
    assert_snapshot!(said(&["ada", "signals-demo"]), @r#"
    lyceum: SITE/lyceum-data/courses/signals-demo.yaml:3:20: `environment.use`: there is no environment `pyton`; did you mean `python`?
    SITE/lyceum-data/courses/signals-demo.yaml:3:27: unknown key `memroy`; did you mean `memory`?
    "#);
}

#[test]
fn the_server_of_a_course_is_explained() {
    let site = demo();
    let config = "servers: {memory: {limit: 2G}}
environments:
  python: {memory: {guarantee: 4G}, env: {KIND: python}}
  r: {command: [r-server]}
";
    site.write("lyceum.yaml", config);
    let course = |text: &str| {
        let head = "title: Signals\npeople: {teachers: [grace], students: [ada]}\n";
        site.write(
            "lyceum-data/courses/signals-demo.yaml",
            &format!("{head}{text}"),
        );
    };
    let said = |more: &[&str]| {
        let said = site.run(&[&["explain", "--server", "signals-demo"], more].concat());
        let lines: Vec<&str> = said.out.lines().map(str::trim_end).collect();
        format!("{}{}", lines.join("\n"), said.err)
    };
    let last = |more: &[&str]| said(more).lines().last().unwrap_or_default().to_owned();
    course(
        "environment:
  use: python
  teachers: {env: {WHO: teachers}}
server:
  memory: {limit: 3G}
  env: {MATERIAL: /srv}
",
    );
    assert_snapshot!(said(&[]), @r#"
    environment       python                 environment.use                       courses/signals-demo.yaml:4
    command           jupyterhub-singleuser  servers.command                       default
    opens             /lab                   servers.opens                         default
    memory guarantee  3G                     environments.python.memory.guarantee  lyceum.yaml:3
    memory limit      3G                     server.memory.limit                   courses/signals-demo.yaml:7
    env KIND          python                 environments.python.env.KIND          lyceum.yaml:3
    env MATERIAL      /srv                   server.env.MATERIAL                   courses/signals-demo.yaml:8
    env WHO           teachers               environment.teachers.env.WHO          courses/signals-demo.yaml:5
    note: memory guarantee of 4G (`environments.python.memory.guarantee`, lyceum.yaml:3) is more than the limit of 3G (`server.memory.limit`, courses/signals-demo.yaml:7); no more than the limit is guaranteed
    may start: yes (open to grace)
    "#);
    assert_snapshot!(last(&["grace"]), @"may start: yes (open to grace)");
    assert_snapshot!(last(&["ada"]), @"may start: no (ada is student in signals-demo; its server is for each teacher or grader)");
    assert_snapshot!(last(&["ben"]), @"may start: no (ben does not belong to signals-demo)");
    course("server: {for: [graders], use: r}\n");
    assert_snapshot!(said(&[]), @r#"
    environment   r         server.use              courses/signals-demo.yaml:3
    command       r-server  environments.r.command  lyceum.yaml:4
    opens         /lab      servers.opens           default
    memory limit  2G        servers.memory.limit    lyceum.yaml:1
    may start: no (signals-demo names no grader)
    "#);
    course(
        "formgrader: true\nnbgrader:\n  ExecutePreprocessor.timeout: 120\n  ClearSolutions.code_stub: {python: pass}\n",
    );
    assert_snapshot!(said(&[]), @r#"
    command                               jupyterhub-singleuser  servers.command                       default
    opens                                 /lab?formgrader=true   formgrader                            courses/signals-demo.yaml:3
    memory limit                          2G                     servers.memory.limit                  lyceum.yaml:1
    nbgrader ClearSolutions.code_stub     {"python":"pass"}      nbgrader.ClearSolutions.code_stub     courses/signals-demo.yaml:6
    nbgrader ExecutePreprocessor.timeout  120                    nbgrader.ExecutePreprocessor.timeout  courses/signals-demo.yaml:5
    may start: yes (open to grace)
    "#);
    course("server: {for: [graders], use: r}\n");
    let json = site.run(&["explain", "--server", "signals-demo", "--json"]);
    let explained: serde_json::Value = serde_json::from_str(&json.out).expect("JSON");
    assert_eq!(explained["server"], "signals-demo");
    assert_eq!(explained["values"][0]["rule"], "server.use");
    assert_eq!(explained["person"], serde_json::Value::Null);
    course("server: true\nvisible: archived\n");
    assert_snapshot!(last(&[]), @"may start: no (signals-demo is archived)");
    course("server: false\n");
    assert_snapshot!(last(&[]), @"may start: no (signals-demo has no `server`)");
    site.write(
        "lyceum.yaml",
        "services: [{name: signals-demo, url: 'http://127.0.0.1:9'}]\n",
    );
    course("server: true\n");
    assert_snapshot!(said(&[]), @r#"
    note: SITE/lyceum-data/courses/signals-demo.yaml: `server`: the configuration has a service `signals-demo`, which is found at /services/signals-demo/ where this course's server would be; call one of both otherwise, or write `server: false`
    may start: no (there is a service `signals-demo`, which is found at /services/signals-demo/)
    "#);
    let said = site.run(&["explain", "--server", "signals-dem"]);
    assert_snapshot!(said.err, @r#"
    lyceum: there is no course `signals-dem`
            did you mean `signals-demo`?
    "#);
    let said = site.run(&["explain"]);
    assert_eq!(said.code, Some(2), "{}", said.err);
    let said = site.run(&["explain", "--server", "signals-demo", "ada", "signals-demo"]);
    assert_eq!(said.code, Some(2), "{}", said.err);
}

#[test]
fn a_limit_below_what_another_guarantees_is_told() {
    let site = demo();
    site.write(
        "lyceum.yaml",
        "environments:
  python: {memory: {guarantee: 4G}}
  small: {use: python, memory: {limit: 1G}}
profiles:
  - title: Python
    use: python
    profile_options:
      cores:
        choices:
          few: {kubespawner_override: {cpu_limit: 1, cpu_guarantee: 2}}
",
    );
    site.write(
        "lyceum-data/courses/signals-demo.yaml",
        "title: Signals
people: {teachers: [grace], students: [ada]}
environment:
  use: python
  memory: {limit: 2G}
  teachers: {memory: {limit: 8G}}
",
    );
    let said = site.run(&["config", "check", "lyceum.yaml"]);
    assert_eq!(said.code, Some(0));
    assert_snapshot!(said.out, @r#"
    note: lyceum.yaml:3: memory guarantee of 4G (`environments.python.memory.guarantee`, lyceum.yaml:2) is more than the limit of 1G (`environments.small.memory.limit`, lyceum.yaml:3); no more than the limit is guaranteed
    note: lyceum.yaml:10: cpu guarantee of 2 (`profiles[0].profile_options.cores.choices.few.kubespawner_override.cpu_guarantee`, lyceum.yaml:10) is more than the limit of 1 (`profiles[0].profile_options.cores.choices.few.kubespawner_override.cpu_limit`, lyceum.yaml:10); no more than the limit is guaranteed
    lyceum.yaml: no problems
    "#);
    let said = site.run(&["course", "check"]);
    assert_eq!(said.code, Some(0));
    assert_snapshot!(said.out, @r#"
    note: courses/signals-demo.yaml:5: memory guarantee of 4G (`environments.python.memory.guarantee`, lyceum.yaml:2) is more than the limit of 2G (`environment.memory.limit`, courses/signals-demo.yaml:5); no more than the limit is guaranteed
    1 file: no problems
    "#);
    let draft = "lyceum-data/courses/signals-demo.yaml";
    let json = site.run(&["course", "check", draft, "--json"]);
    let checked: serde_json::Value = serde_json::from_str(&json.out).expect("JSON");
    assert_eq!(checked["notes"][0]["file"], "courses/signals-demo.yaml:5");
    assert_eq!(checked["problems"], serde_json::json!([]));
    let guaranteed = |who: &str| {
        let said = site.run(&["explain", who, "signals-demo", "--json"]);
        let explained: serde_json::Value = serde_json::from_str(&said.out).expect("JSON");
        let values = explained["values"].as_array().expect("a list").iter();
        let mut memory = values.filter(|row| row["what"] == "memory guarantee");
        let notes = explained["notes"].as_array().expect("a list").len();
        (memory.next().expect("a guarantee")["value"].clone(), notes)
    };
    assert_eq!(guaranteed("ada"), (serde_json::json!("2G"), 1));
    assert_eq!(guaranteed("grace"), (serde_json::json!("4G"), 0));
}

#[test]
fn rules_of_assignments_are_shown_and_checked() {
    let site = demo();
    site.write("lyceum.yaml", "time_zone: Europe/Berlin\n");
    let file = "lyceum-data/courses/signals-demo.yaml";
    let text = "title: Signals
people:
  students: [ada, ben]
  labels: {extra-time: [ben]}
assignments:
  ps1:
    opens: 2026-10-01 08:00
    due: 2026-10-24 18:00
    grace: 5m
    late: {until: 3d, costs: 2.5% per day}
    extend: {extra-time: 2d}
    limits: {size: 20M, files: 100, kinds: [ipynb, csv], submissions: 10}
  ps2: {}
";
    site.write(file, text);
    assert_snapshot!(site.run(&["course", "show", "signals-demo"]).out, @r#"
    title     Signals
    visible   enrolled
    students  ada, ben
    starts    nothing: the file has no `environment`
    label     extra-time: ben
    work      ps1: opens 2026-10-01 08:00; due 2026-10-24 18:00, in time until 2026-10-24 18:05, taken late until 2026-10-27 18:00; being late costs 2.5% per day; for extra-time due 2026-10-26 18:00, in time until 2026-10-26 18:05, taken late until 2026-10-29 18:00; at most 20M, 100 files, only .ipynb .csv, 10 times
    work      ps2: at any time
    "#);
    let said = site.run(&["course", "show", "signals-demo", "--json"]);
    let shown: serde_json::Value = serde_json::from_str(&said.out).expect("JSON");
    assert_eq!(
        shown["assignments"]["ps1"]["extended"][0],
        serde_json::json!({
            "label": "extra-time",
            "due": "2026-10-26T17:00:00Z",
            "in_time_until": "2026-10-26T17:05:00Z",
            "taken_until": "2026-10-29T17:00:00Z",
        })
    );
    assert_eq!(shown["people"]["labels"]["extra-time"][0], "ben");
    site.write(file, &text.replace("2026-10-24 18:00", "2026-03-29 02:30"));
    let said = site.run(&["course", "check"]);
    assert_eq!(said.code, Some(3));
    assert_snapshot!(said.out, @r#"
    SITE/lyceum-data/courses/signals-demo.yaml:8:10: `assignments.ps1.due`: there is no 2026-03-29 02:30 in Europe/Berlin: clocks are put forward over it; write a time before or after
    1 file: 1 problem
    "#);
    let said = site.run(&["course", "schema"]);
    let schema: serde_json::Value = serde_json::from_str(&said.out).expect("JSON");
    let due = &schema["$defs"]["RawAssignment"]["properties"]["due"];
    assert!(due.to_string().contains("Moment"), "{due}");
}

#[test]
fn courses_are_looked_at_from_the_command_line() {
    let site = demo();
    site.write(
        "lyceum.yaml",
        "time_zone: Europe/Berlin\nenvironments: {python: {}}\n",
    );
    site.write(
        "lyceum-data/courses/algebra.yaml",
        "title: Algebra
term: autumn 2026
visible: listed
people: {teachers: [grace, 'group:maths'], students: [ada]}
environment: {use: python}
schedule:
  - {at: 2020-01-06 09:00, people: 80}
  - {at: 2999-07-01 09:00, people: 300, for: 1h}
",
    );
    let list = || site.run(&["course", "list"]).out;
    assert_snapshot!(list(), @r#"
    algebra       listed    Algebra, autumn 2026
    signals-demo  enrolled  Introduction to Signals, demo term
    "#);
    assert_snapshot!(site.run(&["course", "show", "algebra"]).out, @r#"
    title     Algebra
    term      autumn 2026
    visible   listed
    teachers  grace, group:maths
    students  ada
    starts    python (courses/algebra.yaml:5); `lyceum explain PERSON algebra` tells all of it
    room      2020-01-06 09:00, 80 people; none any more
    room      2999-07-01 09:00, 300 people; the next from 2999-07-01 08:45 until 2999-07-01 10:00
    "#);
    assert_snapshot!(site.run(&["course", "show", "signals-demo"]).out, @r#"
    title     Introduction to Signals
    term      demo term
    visible   enrolled
    teachers  grace
    students  ada, ben
    starts    nothing: the file has no `environment`
    "#);
    let said = site.run(&["course", "show", "algebra", "--json"]);
    let shown: serde_json::Value = serde_json::from_str(&said.out).expect("JSON");
    assert_eq!(shown["environment"], serde_json::json!({ "use": "python" }));
    assert_eq!(shown["schedule"][1]["begins"], "2999-07-01 09:00");
    assert_eq!(shown["schedule"][0]["begins"], serde_json::Value::Null);
    let said = site.run(&["course", "check"]);
    assert_eq!(
        (said.code, said.out.as_str()),
        (Some(0), "2 files: no problems\n")
    );
    site.write("draft.yaml", "titel: Draft\nenvironment: {use: pyton}\n");
    let said = site.run(&["course", "check", "draft.yaml", "none.yaml"]);
    assert_eq!(said.code, Some(3));
    assert_snapshot!(said.out, @r#"
    draft.yaml: `title`: is missing or empty; write the name that people see
    draft.yaml:1:1: unknown key `titel`; did you mean `title`?
    draft.yaml:2:20: `environment.use`: there is no environment `pyton`; did you mean `python`?
    none.yaml: there is no file SITE/none.yaml
    2 files: 4 problems
    "#);
    // By its id, as other commands have it; what is not there is told with where it was looked for.
    let said = site.run(&["course", "check", "signals-demo", "drafts/x"]);
    assert_snapshot!(said.out, @r"
    drafts/x: there is no file SITE/drafts/x
    2 files: 1 problem
    ");
    let said = site.run(&["course", "check", "signals-dem", "signals-demo.yaml"]);
    assert_snapshot!(said.out, @r"
    signals-dem: there is no file SITE/signals-dem, and no course of this id in SITE/lyceum-data/courses
    signals-demo.yaml: there is no file SITE/signals-demo.yaml; `lyceum course check signals-demo` checks the course of the data folder
    2 files: 2 problems
    ");
    let said = site.run(&["course", "check", "signals-demo", "--data", "elsewhere"]);
    assert_eq!(said.code, Some(3));
    assert!(
        said.out.contains("no data folder elsewhere"),
        "{}",
        said.out
    );
    site.write("lyceum-data/courses/algebra.yaml", "title: 7\n");
    assert_eq!(site.run(&["course", "check"]).code, Some(3));
    assert_snapshot!(list(), @r#"
    algebra       broken    `lyceum course check` says what is wrong
    signals-demo  enrolled  Introduction to Signals, demo term
    "#);
    assert_snapshot!(site.run(&["course", "show", "algebr"]).err, @r#"
    lyceum: there is no course `algebr`
            did you mean `algebra`?
    "#);
    let text = "title: Biology\npeople: {teachers: [grace], graders: [linus]}\nserver: {memory: {limit: 3G}}\n";
    site.write("lyceum-data/courses/biology.yaml", text);
    assert_snapshot!(site.run(&["course", "show", "biology"]).out, @r#"
    title     Biology
    visible   enrolled
    teachers  grace
    graders   linus
    starts    nothing: the file has no `environment`
    server    /services/biology/, with what holds for every server; open to grace, linus
    "#);
    site.write("Biology 2.yaml", text);
    let said = site.run(&["course", "check", "Biology 2.yaml"]);
    assert_eq!(said.code, Some(3));
    assert_snapshot!(said.out, @r#"
    Biology 2.yaml: the file's name is the id of the course: lower-case letters, digits, `-`, `_` and `.`, a letter or digit first, at most 64 characters, then `.yaml`
    1 file: 1 problem
    "#);
    let config = "services: [{name: biology, url: 'http://127.0.0.1:1'}]\n";
    site.write("beside.yaml", config);
    let beside = [
        "course",
        "check",
        "lyceum-data/courses/biology.yaml",
        "--config",
        "beside.yaml",
    ];
    let said = site.run(&beside);
    assert_eq!(said.code, Some(3), "{}{}", said.out, said.err);
    assert!(said.out.contains("a service `biology`"), "{}", said.out);
    let schema = site.run(&["course", "schema"]);
    let schema: serde_json::Value = serde_json::from_str(&schema.out).expect("JSON");
    let environment = &schema["$defs"]["RawEnvironment"]["properties"];
    assert!(environment["teachers"].is_object(), "{environment}");
    let server = &schema["$defs"]["RawServerKeys"]["properties"];
    assert!(server["for"].is_object(), "{server}");
}

#[test]
fn a_maintenance_is_switched_and_asked_after() {
    let site = demo();
    let on = |args: &[&str]| site.run(&[&["maintenance", "on"], args].concat());
    assert_snapshot!(site.run(&["maintenance", "status"]).out, @"maintenance is off");
    let said = site.run(&["maintenance", "off"]);
    assert_snapshot!(said.out, @"maintenance was not on");
    let said = on(&["--until", "tomorrow"]);
    assert_eq!(said.code, Some(1));
    assert_snapshot!(said.err, @r#"lyceum: "tomorrow" is not a time such as `2026-11-30 18:00`, in the site's `time_zone`, or `2026-11-30 18:00+01:00`"#);
    let said = on(&["--until", "2020-01-01 00:00"]);
    assert_snapshot!(said.err, @"lyceum: that end is over already");
    let said = on(&["--message", "New  disks", "--until", "2999-01-01 00:00"]);
    assert_eq!(said.code, Some(0), "{}", said.err);
    let said = site.run(&["maintenance", "status", "--json"]);
    let status: serde_json::Value = serde_json::from_str(&said.out).expect("JSON");
    assert_eq!(status["on"], true);
    assert_eq!(status["switched"]["message"], "New disks");
    assert_eq!(status["switched"]["by"], "command line");
    assert_eq!(status["planned"], serde_json::Value::Null);
    let said = site.run(&["maintenance", "off"]);
    assert_snapshot!(said.out, @"maintenance is off");
    // Times without an offset are the site's, in the file and in commands.
    let zone = "time_zone: Asia/Kolkata\n";
    site.write("lyceum.yaml", zone);
    let said = on(&["--until", "2999-01-01 05:30"]);
    let end = "maintenance is on until 2999-01-01 05:30 IST;";
    assert!(said.out.starts_with(end), "{}{}", said.out, said.err);
    assert_eq!(site.run(&["maintenance", "off"]).code, Some(0));
    let planned = "maintenance: {from: 2020-01-01 05:30, until: '2999-01-01 00:00Z'}\n";
    site.write("lyceum.yaml", &format!("{zone}{planned}"));
    let said = site.run(&["maintenance", "status"]);
    assert_snapshot!(said.out, @r"
    maintenance is on
    planned from 2020-01-01 05:30 IST until 2999-01-01 05:30 IST
    ");
    let said = site.run(&["maintenance", "off"]);
    assert!(
        said.out.contains("the configuration still names one"),
        "{}",
        said.out
    );
}

#[test]
fn a_sitting_is_made_listed_and_looked_after() {
    let site = demo();
    assert_snapshot!(site.run(&["sitting", "list"]).out, @"there is no exam with codes; `lyceum sitting create` makes one");
    site.write("people.txt", "ada, A 17\nexam-{1..2}\n");
    let window = ["--begins", "2998-12-31 09:00", "--ends", "2998-12-31 11:00"];
    let create = |more: &[&str]| {
        let begin: &[&str] = &["sitting", "create", "--title", "Signals"];
        site.run(&[begin, &window, more].concat())
    };
    site.write("odd.txt", "no body\n");
    let said = create(&["odd.txt"]);
    assert_eq!(said.code, Some(1));
    assert_snapshot!(said.err, @"lyceum: people: Line 1 is not understood: no body");
    let said = create(&["--network", "room 5", "people.txt"]);
    assert_snapshot!(said.err, @"lyceum: networks: room 5 is no network; write it like 10.0.5.0/24");
    let said = create(&["--course", "nixda", "people.txt"]);
    assert_eq!(said.code, Some(1), "{}", said.out);
    assert!(
        said.err.contains("there is no course `nixda`"),
        "{}",
        said.err
    );
    let said = create(&[
        "--network",
        "10.0.5.0/24",
        "--course",
        "signals-demo",
        "--json",
        "people.txt",
    ]);
    assert_eq!(said.code, Some(0), "{}", said.err);
    let made: serde_json::Value = serde_json::from_str(&said.out).expect("JSON");
    let id = made["id"].as_str().expect("an id");
    let code = made["codes"][0]["code"]
        .as_str()
        .expect("a code")
        .to_owned();
    assert_eq!(
        (code.len(), made["codes"].as_array().map(Vec::len)),
        (11, Some(3))
    );
    let shown = site.run(&["sitting", "show", id]).out;
    assert!(shown.contains("1  seat A 17  ada  not yet"), "{shown}");
    assert!(!shown.contains(&code), "told once");
    let renewed = site.run(&["sitting", "renew", id, "--place", "1"]);
    assert!(renewed.out.contains("  ada  seat A 17") && !renewed.out.contains(&code));
    assert_eq!(
        site.run(&["sitting", "take-back", id, "2"]).out,
        "the code is taken back\n"
    );
    let again = site.run(&["sitting", "take-back", id, "2"]);
    assert_eq!(again.code, Some(1));
    assert_snapshot!(again.err, @r"
    lyceum: no code is good at this place
            `lyceum sitting show ID` lists the places with their numbers
    ");
    let said = create(&["people.txt"]);
    assert_snapshot!(said.err, @"lyceum: people: The name exam-1 is an account's already, or kept for an exam; take another word for the accounts of this exam");
    let list = site.run(&["sitting", "list"]).out;
    assert!(list.contains("0 of 3  Signals"), "{list}");
    assert_eq!(site.run(&["sitting", "remove", id]).out, "removed\n");
    assert_eq!(site.run(&["sitting", "remove", id]).code, Some(1));
}
