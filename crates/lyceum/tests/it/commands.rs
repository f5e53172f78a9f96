//! Commands beside a Lyceum: whose data folder it is, administrators, logs of servers.

use std::os::unix::fs::PermissionsExt;

use insta::assert_snapshot;

use crate::harness::Site;
use crate::up::site_with_python;

/// A site whose data folder was made by `up --demo`.
fn demo() -> Site {
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
    // Somebody who teaches there is no student, and hears no more than that.
    let said = site.run(&["explain", "grace", "--json"]);
    let explained: serde_json::Value = serde_json::from_str(&said.out).expect("JSON");
    assert_eq!(explained["values"][0]["value"], "python");
    assert_eq!(explained["why"], "everybody may");
    let said = site.run(&[&["explain", "grace"], large.as_slice()].concat());
    assert_eq!(said.code, Some(1));
    assert_snapshot!(said.err, @r#"
    lyceum: profile: There is no such choice; choose one of those that are yours
            grace may use: python
    "#);
    site.write(
        "lyceum.yaml",
        "people: {block: [ben]}\nprofiles: [{title: X, for: [ada]}]\n",
    );
    let last = |name: &str| site.run(&["explain", name]).out;
    assert_snapshot!(last("ben"), @"may start: no (she may not come in)");
    assert_snapshot!(last("grace"), @"may start: no (none of the profiles is for her)");
    site.write("lyceum.yaml", "");
    assert!(last("grace").ends_with("may start: yes (everybody may)\n"));
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
    none.yaml: can't be read: No such file or directory (os error 2)
    2 files: 4 problems
    "#);
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
    assert_snapshot!(said.err, @r#"
    lyceum: "tomorrow" is no time
            such as `2026-11-30 20:00+01:00`; without an offset it is UTC
    "#);
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
    site.write("lyceum.yaml", "maintenance: {from: 2020-01-01 00:00}\n");
    let said = site.run(&["maintenance", "status"]);
    assert_snapshot!(said.out, @r"
    maintenance is on
    planned from 2020-01-01T00:00:00.000000Z
    ");
    let said = site.run(&["maintenance", "off"]);
    assert!(
        said.out.contains("the configuration still names one"),
        "{}",
        said.out
    );
}
