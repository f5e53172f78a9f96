//! Text → course and problems. Broken files are data, not errors.

use std::path::Path;

use jiff::tz::TimeZone;
use lyceum_model::who::CourseId;
use lyceum_written::Problems;
use lyceum_written::tree::{Step, Value};

use crate::assignment::check_all;
use crate::course::{Course, RawCourse};
use crate::environment::Environment;
use crate::lti::{self, Platform};
use crate::nbgrader;
use crate::people::{Patterns, People};
use crate::roster::Rosters;
use crate::server::{Server, Written};

/// A course file is a page or two; more is a mistake or an attack.
pub const FILE_LIMIT: u64 = 1024 * 1024;
/// Each is looked at whenever somebody starts a server.
const MEETINGS_MAX: usize = 200;

/// What the configuration has by which files are read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Site {
    /// Names of environments.
    pub environments: Vec<String>,
    /// Names of services, each found where the server of a course of this id would be.
    pub services: Vec<String>,
    /// Learning platforms from which people come.
    pub platforms: Vec<Platform>,
    /// Groups that are people of every course.
    pub groups: Patterns,
    /// In which moments are written.
    pub zone: TimeZone,
}

impl Default for Site {
    fn default() -> Self {
        Self {
            environments: Vec::new(),
            services: Vec::new(),
            platforms: Vec::new(),
            groups: Patterns::default(),
            zone: TimeZone::UTC,
        }
    }
}

/// Reads the text of one course file; all its mistakes are told at once. Those of its rosters that hold
/// nothing up are not.
pub fn read_course(file: &Path, text: &str, site: &Site) -> Result<Course, Problems> {
    read_with(file, text, site, &mut Rosters::beside(file, None))
}

/// The same, with the files that it names as they are now or were last.
pub fn read_with(
    file: &Path,
    text: &str,
    site: &Site,
    rosters: &mut Rosters<'_>,
) -> Result<Course, Problems> {
    let id = file.file_stem().and_then(|stem| stem.to_str());
    let id = id.and_then(CourseId::parse);
    let environments = &site.environments;
    let short = short(file);
    let name = file.display().to_string();
    let read = lyceum_written::read(&name, text, |raw: &RawCourse, tree, problem| {
        let title = tree.find(&[Step::Key("title".into())]);
        // What is no text is told already.
        let is_text = title.is_none_or(|node| matches!(node.value, Value::Text(_)));
        if is_text && raw.title.trim().is_empty() {
            let message = "is missing or empty; write the name that people see";
            problem("title", message.into());
        }
        if raw.schedule.len() > MEETINGS_MAX {
            let message =
                format!("has more than {MEETINGS_MAX} entries; say what is each week with one");
            problem("schedule", message);
        }
        let environment = raw.environment.as_ref();
        let environment =
            environment.map(|raw| Environment::check(raw, &short, tree, environments, problem));
        let whose = environment.as_ref();
        let written = Written { file: &short, tree };
        let server = Server::check(raw, whose, written, environments, problem);
        let nbgrader = nbgrader::check(&short, tree, problem);
        lti::check(&raw.lti, &site.platforms, problem);
        let mut people = People::check(&raw.people, id.as_ref(), &site.groups, rosters, problem);
        lti::add(&mut people, &raw.lti);
        let assignments = check_all(&raw.assignments, &people, &site.zone, tree, problem);
        (environment, server, nbgrader, assignments, people)
    })?;
    let (environment, server, nbgrader, assignments, people) = read.checked;
    let raw = read.written;
    Ok(Course {
        title: raw.title,
        term: raw.term,
        visible: raw.visible,
        people,
        environment,
        server,
        formgrader: raw.formgrader,
        nbgrader,
        assignments,
        schedule: raw.schedule,
    })
}

/// The file and its folder: enough to find it, whatever the data folder is called.
fn short(file: &Path) -> String {
    let name = |part: Option<&std::ffi::OsStr>| {
        part.map(|part| part.to_string_lossy().into_owned())
            .unwrap_or_default()
    };
    let folder = name(file.parent().and_then(Path::file_name));
    let file = name(file.file_name());
    match folder.as_str() {
        "" => file,
        folder => format!("{folder}/{file}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::course::{Role, Who};
    use lyceum_model::environment::Values;
    use lyceum_model::name::UserName;

    fn name(text: &str) -> UserName {
        UserName::parse(text).expect("a good name")
    }

    #[test]
    fn people_of_a_learning_platform_are_its_people() {
        let site = Site {
            platforms: vec![Platform {
                id: "moodle".into(),
                trusts_labels: true,
                trusts_links: false,
            }],
            ..site(&[])
        };
        let read = |lti: &str| {
            let text = format!("title: T\npeople: {{teachers: [ada]}}\nlti: {lti}\n");
            read_course(Path::new("courses/x.yaml"), &text, &site)
        };
        let course =
            read("[{platform: moodle, context: '42'}, {platform: moodle, label: B}]").unwrap();
        let check = |user: &str, group: &str, expect: &[Role]| {
            let roles = course.roles_of(&name(user), &[group.to_owned()]);
            assert_eq!(roles, expect, "{user} {group}");
        };
        check("ada", "", &[Role::Teacher]);
        check("ben", "lti:moodle:context:42/student", &[Role::Student]);
        check("ben", "lti:moodle:context:42/grader", &[Role::Grader]);
        check("ben", "lti:moodle:label:B/teacher", &[Role::Teacher]);
        check("ben", "lti:moodle:label:42/teacher", &[]);
        check("ben", "lti::context:42/teacher", &[]);
        for (lti, expect) in [
            ("[{platform: moodle}]", "wants one of"),
            ("[{platform: moodle, context: ''}]", "wants one of"),
            ("[{platform: moodle, context: a, label: b}]", "wants one of"),
            ("[{platform: canvas, context: a}]", "the id `canvas`"),
            ("[{context: a}]", "which platform?"),
            ("[{platform: moodle, link: a}]", "`trust_links`"),
            ("[{platform: moodle, contxt: a}]", "contxt"),
            ("{platform: moodle, context: a}", "x.yaml"),
        ] {
            let said = read(lti).expect_err(lti).to_string();
            assert!(said.contains(expect), "{lti}: {said}");
        }
    }

    fn site(environments: &[&str]) -> Site {
        Site {
            environments: environments.iter().map(|name| (*name).to_owned()).collect(),
            zone: TimeZone::get("Europe/Berlin").expect("the zone"),
            ..Site::default()
        }
    }

    #[test]
    fn a_course_and_its_people() {
        let text = "title: Signals\nterm: autumn 2026\npeople:\n  teachers: [ada, 'group:staff']\n  students: [ben]\n";
        let course =
            read_course(Path::new("signals.yaml"), text, &Site::default()).expect("a good file");
        assert_eq!(course.title, "Signals");
        assert_eq!(
            *course.people.teachers,
            [Who::Person(name("ada")), Who::Group("staff".into())]
        );
        assert_eq!(
            course.roles_of(&name("ben"), &["staff".into()]),
            [Role::Teacher, Role::Student]
        );
        assert!(course.roles_of(&name("eve"), &[]).is_empty());
    }

    #[test]
    fn each_value_of_an_environment_knows_its_line() {
        let text = "title: Signals\nenvironment:\n  use: python\n  memory: {limit: 5G}\n  env: {A: all, B: all}\n  teachers:\n    memory: {limit: 8G}\n    env:\n      B: teachers\n";
        let known = site(&["python"]);
        let file = Path::new("/data/courses/signals.yaml");
        let course = read_course(file, text, &known).expect("a good file");
        let environment = course.environment.expect("there is one");
        let base = environment.base.as_ref().expect("there is one");
        assert_eq!(
            (base.name.as_str(), base.place.as_str()),
            ("python", "courses/signals.yaml:3")
        );
        let places = |role: Role| -> Vec<String> {
            let values = Values::of(environment.said(role));
            let places = values
                .iter()
                .map(|said| said.place.clone().unwrap_or_default());
            places.map(|place| place.to_string()).collect()
        };
        let line = |line: u32| format!("courses/signals.yaml:{line}");
        assert_eq!(places(Role::Student), [line(4), line(5), line(5)]);
        assert_eq!(places(Role::Teacher), [line(7), line(5), line(9)]);
    }

    #[test]
    fn whether_those_who_take_it_can_start() {
        let check = |more: &str, expect: bool| {
            let text = format!("title: A\n{more}\n");
            let known = site(&["python", "gone"]);
            let course = read_course(Path::new("c.yaml"), &text, &known).expect("a good file");
            let starts = course.members_start(|name| name == "python");
            assert_eq!(starts, expect, "{more}");
        };
        let people = "people: {students: [ada]}";
        check(&format!("{people}\nenvironment: {{}}"), true);
        check(&format!("{people}\nenvironment: {{use: python}}"), true);
        check("people: {students: ['group:bio']}\nenvironment: {}", true);
        check(
            &format!("{people}\nenvironment: {{}}\nvisible: listed"),
            true,
        );
        check(
            &format!("{people}\nenvironment: {{}}\nvisible: private"),
            false,
        );
        check(
            &format!("{people}\nenvironment: {{}}\nvisible: archived"),
            false,
        );
        check(&format!("{people}\nenvironment: {{use: gone}}"), false);
        check("people: {teachers: [grace]}\nenvironment: {}", false);
        check("environment: {}", false);
        check(people, false);
    }

    #[test]
    fn who_may_start_and_as_what() {
        let check = |more: &str, user: &str, expect: Option<Role>| {
            let text = format!(
                "title: A\npeople: {{teachers: [ada, ben], students: [ben, eve]}}\n{more}\n"
            );
            let course =
                read_course(Path::new("c.yaml"), &text, &Site::default()).expect("a good file");
            let roles = course.roles_of(&name(user), &[]);
            assert_eq!(course.starts_as(&roles), expect, "{more} {user}");
        };
        check("environment: {}", "ada", Some(Role::Teacher));
        check("environment: {}", "ben", Some(Role::Teacher));
        check("environment: {}", "eve", Some(Role::Student));
        check("environment: {}", "zoe", None);
        check("", "ada", None);
        check("environment: {}\nvisible: listed", "zoe", None);
        check("environment: {}\nvisible: private", "eve", None);
        check(
            "environment: {}\nvisible: private",
            "ada",
            Some(Role::Teacher),
        );
        check("environment: {}\nvisible: archived", "ada", None);
    }

    #[test]
    fn a_server_begins_with_what_teachers_start() {
        let check = |more: &str, base: Option<&str>, expect: &[&str], openers: &[&str]| {
            let text = format!(
                "title: A\npeople: {{teachers: [ada], graders: [ben], students: [eve]}}\nenvironment:\n  use: python\n  env: {{A: all}}\n  teachers: {{env: {{T: t}}}}\nserver: {more}\n"
            );
            let known = site(&["python", "r"]);
            let course = read_course(Path::new("c.yaml"), &text, &known).expect("a good file");
            let (server, who) = course.open_server().expect("there is one");
            let begins = server.begins_with(&course).map(|base| base.name.as_str());
            assert_eq!(begins, base, "{more}");
            let said = server.said(&course);
            let paths: Vec<&str> = said.iter().map(|said| said.path.as_str()).collect();
            assert_eq!(paths, expect, "{more}");
            let who: Vec<String> = who.iter().map(ToString::to_string).collect();
            assert_eq!(who, openers, "{more}");
        };
        let teachers = ["environment.env.A", "environment.teachers.env.T"];
        check("true", Some("python"), &teachers, &["ada", "ben"]);
        check("{}", Some("python"), &teachers, &["ada", "ben"]);
        let own = [
            "environment.env.A",
            "environment.teachers.env.T",
            "server.env.S",
        ];
        check(
            "{for: [teachers], env: {S: s}}",
            Some("python"),
            &own,
            &["ada"],
        );
        check(
            "{use: r, env: {S: s}}",
            Some("r"),
            &["server.env.S"],
            &["ada", "ben"],
        );
        for off in ["server: false\n", "", "server: true\nvisible: archived\n"] {
            let text = format!("title: A\n{off}");
            let course =
                read_course(Path::new("c.yaml"), &text, &Site::default()).expect("a good file");
            assert!(course.open_server().is_none(), "{off}");
        }
    }

    #[test]
    fn mistakes_say_where() {
        let check = |text: &str, line: Option<u64>, words: &str| {
            let known = site(&["python"]);
            let problems = read_course(Path::new("c.yaml"), text, &known).expect_err("a mistake");
            assert_eq!(problems.0.len(), 1, "{problems}");
            let problem = &problems.0[0];
            assert!(problem.message.contains(words), "{problem}");
            assert_eq!(problem.place.map(|place| place.line), line, "{problem}");
        };
        check("title: A\ntitel: B\n", Some(2), "titel");
        check(
            "title: A\npeople:\n  students: ['fiel:x.csv']\n",
            Some(3),
            "`file:signals.csv`",
        );
        for (bad, words) in [
            ("file:../x.csv", "no file below"),
            ("file:/etc/x.csv", "no file below"),
            ("file:", "no file below"),
            ("file:other.yaml", "ends in `.csv`"),
        ] {
            let text = format!("title: A\npeople:\n  students: ['{bad}']\n");
            check(&text, Some(3), words);
        }
        check("title: A\nvisible: hidden\n", Some(2), "hidden");
        check("title: ''\n", Some(1), "title");
        check("term: x\n", None, "title");
        check("title: 2026\n", Some(1), "2026");
        check("title: [a]\n", Some(1), "a list");
        check("title:\nterm: x\n", Some(1), "title");
        let environment = |text: &str| format!("title: A\nenvironment:\n  {text}\n");
        let of = |text: &str, line: u64, words: &str| check(&environment(text), Some(line), words);
        of("use: pyton", 3, "did you mean `python`");
        of("memroy: {limit: 2G}", 3, "did you mean `memory`");
        of("memory: {limit: 2}", 3, "a number and a unit");
        of("image: notebook:1", 3, "image");
        of("teachers: {memory: {limt: 2G}}", 3, "`limit`");
        of("opens: lab\n  students: {cpu: {limit: 1}}", 3, "/lab");
        of("env: {JUPYTERHUB_USER: x}", 3, "by Lyceum itself");
        of(
            "memory: {guarantee: 2G}\n  students:\n    memory: {limit: 1G}",
            5,
            "for a student",
        );
        of("command: []", 3, "empty");
        of("disk: {home: 1M}", 3, "at least `64Mi`");
        of("disk: {hom: 1G}", 3, "did you mean `home`");
        check(
            "title: A\nschedule:\n  - {at: Mon 09:00, people: 1}\n  - {at: Moon 9, people: 1}\n",
            Some(4),
            "`Mon 09:00`",
        );
        let server = |text: &str, line: u64, words: &str| {
            check(&format!("title: A\nserver:\n  {text}\n"), Some(line), words);
        };
        server("for: [students]", 3, "students");
        server("for: []", 3, "names nobody");
        server("use: pyton", 3, "did you mean `python`");
        server("memroy: {limit: 2G}", 3, "did you mean `memory`");
        server("env: {JUPYTERHUB_USER: x}", 3, "by Lyceum itself");
        check("title: A\nserver: yes please\n", Some(2), "`true`, or keys");
        check(
            "title: A\nenvironment: {memory: {guarantee: 2G}}\nserver:\n  memory: {limit: 1G}\n",
            Some(4),
            "for the course's server",
        );
        check(
            "title: A\nenvironment:\n  memory: {guarantee: 2G}\n  teachers: {memory: {limit: 1G}}\nserver: true\n",
            Some(4),
            "for a teacher",
        );
        check("title: [", Some(1), "");
    }

    #[test]
    fn observers_start_what_students_start_unless_something_else_is_said() {
        let check = |more: &str, expect: &[&str]| {
            let text = format!(
                "title: A\npeople: {{observers: [liv]}}\nenvironment:\n  students: {{env: {{S: s}}}}\n{more}"
            );
            let course = read_course(Path::new("c.yaml"), &text, &site(&[]));
            let course = course.unwrap_or_else(|problems| panic!("{problems}"));
            let roles = course.roles_of(&name("liv"), &[]);
            assert_eq!(roles, [Role::Observer]);
            assert_eq!(course.starts_as(&roles), Some(Role::Observer));
            let environment = course.environment.as_ref().expect("one");
            let said = environment.said(Role::Observer);
            let said: Vec<&str> = said.map(|said| said.path.as_str()).collect();
            assert_eq!(said, expect, "{more}");
        };
        check("", &["environment.students.env.S"]);
        check("  observers: {}\n", &[]);
        check(
            "  observers: {opens: /tree}\n",
            &["environment.observers.opens"],
        );
    }

    #[test]
    fn lists_of_people_are_held_against_each_other() {
        let check = |people: &str, words: &str| {
            let text = format!("title: A\npeople:\n  {people}\n");
            let problems = read_course(Path::new("c.yaml"), &text, &site(&[]));
            let problems = problems.expect_err(people).to_string();
            assert!(problems.contains(words), "{people}: {problems}");
        };
        check(
            "teachers: [ada]\n  blocked: [ada]",
            "`ada` stands in `teachers`",
        );
        check("rosters: [{columns: {name: x}}]", "no file below");
        check(
            "rosters: [{file: x.csv, roles: {a: teacher}}]",
            "which column?",
        );
        check("rosters: [{file: x.csv, roles: {a: tutor}}]", "tutor");
        check(
            "rosters: [{file: x.csv, column: {}}]",
            "did you mean `columns`",
        );
        check("observer: [ada]", "did you mean `observers`");
        let files: Vec<String> = (0..40).map(|n| format!("'file:{n}.csv'")).collect();
        let many = format!("students: [{}]", files.join(", "));
        check(&many, "more than 32 files");
    }

    /// What grows when it is read is refused before it does.
    #[test]
    fn bombs_are_refused_at_once() {
        let mut laughs = "title: A\na0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
        for n in 1..12 {
            let one = format!("*a{}", n - 1);
            let ten = [one.as_str(); 10].join(", ");
            laughs.push_str(&format!("a{n}: &a{n} [{ten}]\n"));
        }
        let deep = format!("title: A\npeople: {}", "[".repeat(100_000));
        let wide = format!("title: A\nassignments: [{}]\n", "[],".repeat(300_000));
        let merged = "title: A\nx: &x {a: 1}\npeople:\n  <<: *x\n".to_owned();
        let itself = "title: A\npeople: &p\n  labels: *p\n".to_owned();
        for (text, words) in [
            (laughs, "are not used here"),
            (merged, "are not used here"),
            (itself, "are not used here"),
            (deep, "nested deeper"),
            (wide, "more than a configuration file can hold"),
        ] {
            let begun = std::time::Instant::now();
            let said = read_course(Path::new("c.yaml"), &text, &site(&[]));
            let said = said.expect_err(words).to_string();
            assert!(said.contains(words), "{words}: {said}");
            assert!(begun.elapsed().as_secs() < 10, "{words}");
        }
    }

    const RULES: &str = "title: A
people:
  teachers: [ada]
  students: [ben, eve, 'group:bio']
  labels: {extra-time: [ben, 'group:slow'], ill: [eve, ben]}
assignments:
  ps1:
    opens: 2026-10-20 08:00
    due: 2026-10-24 18:00
    grace: 5m
    late: {until: 3d, costs: 10% per day}
    extend: {extra-time: 2d, ill: 12h, eve: 2026-11-05 12:00, zoe: 1d}
    limits: {size: 20M, files: 100, kinds: [ipynb, CSV, tar.gz], submissions: 10}
  ps2: {}
  ps3: {due: 2026-10-24 18:00, late: {until: 2026-10-30 18:00}, extend: {ben: 7d, eve: 2026-11-05 12:00, ill: 1d}}
  ps4: {due: 2026-10-24 18:00, late: {costs: 20%}, extend: {ben: 1d}}
  ps5: {due: 2026-10-24 18:00, extend: {ben: 1d}}
";

    #[test]
    fn the_rules_that_count_for_somebody() {
        let read = read_course(Path::new("c.yaml"), RULES, &site(&[]));
        let course = read.unwrap_or_else(|problems| panic!("{problems}"));
        let check = |which: &str, who: &str, groups: &[&str], expect: Option<[&str; 3]>| {
            let groups: Vec<String> = groups.iter().map(|group| (*group).to_owned()).collect();
            let rules = &course.assignments[which];
            let terms = rules.terms_for(&course, &name(who), &groups);
            let told = terms.map(|terms| {
                let ends = terms.ends.map_or("never".to_owned(), |at| at.to_string());
                [terms.due.to_string(), terms.in_time.to_string(), ends]
            });
            let expect = expect.map(|three| three.map(str::to_owned));
            assert_eq!(told, expect, "{which} {who} {groups:?}");
        };
        // Summer time ends in the night after it is due.
        let all = [
            "2026-10-24T16:00:00Z",
            "2026-10-24T16:05:00Z",
            "2026-10-27T17:00:00Z",
        ];
        let slow = [
            "2026-10-26T17:00:00Z",
            "2026-10-26T17:05:00Z",
            "2026-10-29T17:00:00Z",
        ];
        check("ps1", "ada", &[], Some(all));
        // Of two labels the later.
        check("ps1", "ben", &[], Some(slow));
        check("ps1", "kim", &["bio", "slow"], Some(slow));
        // Her name counts before her labels.
        let eve = [
            "2026-11-05T11:00:00Z",
            "2026-11-05T11:05:00Z",
            "2026-11-08T11:00:00Z",
        ];
        check("ps1", "eve", &["slow"], Some(eve));
        let zoe = [
            "2026-10-25T17:00:00Z",
            "2026-10-25T17:05:00Z",
            "2026-10-28T17:00:00Z",
        ];
        check("ps1", "zoe", &[], Some(zoe));
        check("ps2", "ben", &[], None);
        let (due, end) = ("2026-10-24T16:00:00Z", "2026-10-30T17:00:00Z");
        check("ps3", "ada", &[], Some([due, due, end]));
        let later = "2026-10-31T17:00:00Z";
        check(
            "ps3",
            "ben",
            &[],
            Some([later, later, "2026-11-06T17:00:00Z"]),
        );
        let eve = "2026-11-05T11:00:00Z";
        check("ps3", "eve", &[], Some([eve, eve, eve]));
        check("ps4", "ada", &[], Some([due, due, "never"]));
        let ben = "2026-10-25T17:00:00Z";
        check("ps4", "ben", &[], Some([ben, ben, "never"]));
        check("ps5", "ada", &[], Some([due, due, due]));
        check("ps5", "ben", &[], Some([ben, ben, ben]));

        let rules = &course.assignments["ps1"];
        assert_eq!(
            rules.costs.map(|costs| costs.to_string()).as_deref(),
            Some("10% per day")
        );
        assert_eq!(
            course.assignments["ps4"]
                .costs
                .map(|costs| costs.to_string())
                .as_deref(),
            Some("20%")
        );
        let at = |text: &str| text.parse().expect("a moment");
        assert!(!rules.is_open(at("2026-10-20T05:59:59.999Z")));
        assert!(rules.is_open(at("2026-10-20T06:00:00Z")));
        let kinds = rules.limits.kinds.as_ref().expect("some");
        let takes = |path: &str| kinds.iter().any(|kind| kind.is_of(path));
        for good in ["a.ipynb", "d.x/b.IPYNB", "x.csv", "x.tar.gz", ".csv"] {
            assert!(takes(good), "{good}");
        }
        for bad in ["ipynb", "a.py", "a.ipynb/b", "x.gz", "xcsv", ""] {
            assert!(!takes(bad), "{bad}");
        }
    }

    #[test]
    fn in_time_late_and_closed() {
        use crate::assignment::Verdict::{Closed, InTime, Late};
        let read = read_course(Path::new("c.yaml"), RULES, &site(&[]));
        let course = read.unwrap_or_else(|problems| panic!("{problems}"));
        let check = |which: &str, at: &str, expect| {
            let terms = course.assignments[which].terms.expect("terms");
            assert_eq!(
                terms.judge(at.parse().expect("a moment")),
                expect,
                "{which} {at}"
            );
        };
        check("ps1", "2026-10-24T16:00:00Z", InTime);
        check("ps1", "2026-10-24T16:05:00Z", InTime);
        // Behind the grace all of it counts.
        check("ps1", "2026-10-24T16:05:00.001Z", Late(301));
        check("ps1", "2026-10-24T16:06:00Z", Late(360));
        check("ps1", "2026-10-27T17:00:00Z", Late(3 * 86_400 + 3600));
        let end = |text: &str| Closed(text.parse().expect("a moment"));
        check(
            "ps1",
            "2026-10-27T17:00:00.001Z",
            end("2026-10-27T17:00:00Z"),
        );
        check("ps4", "2027-10-24T16:00:00Z", Late(365 * 86_400));
        check(
            "ps5",
            "2026-10-24T16:00:00.001Z",
            end("2026-10-24T16:00:00Z"),
        );
    }

    #[test]
    fn rules_that_can_not_be() {
        let check = |text: &str, line: u64, column: u64, words: &str| {
            let text = format!(
                "title: A\npeople: {{students: [ben, eve], labels: {{extra-time: [ben], none: [], eve: [ben]}}}}\nassignments:\n  ps1:\n{text}\n"
            );
            let problems =
                read_course(Path::new("c.yaml"), &text, &site(&[])).expect_err("a mistake");
            assert_eq!(problems.0.len(), 1, "{problems}");
            let problem = &problems.0[0];
            assert!(problem.message.contains(words), "{problem}");
            let place = problem.place.map(|place| (place.line, place.column));
            assert_eq!(place, Some((line, column)), "{problem}");
        };
        let of =
            |text: &str, column: u64, words: &str| check(&format!("    {text}"), 5, column, words);
        of("deu: 2026-10-01 18:00", 5, "did you mean `due`");
        of("due: 2026-10-01", 10, "`2026-10-01 18:00`");
        of("due: 20261001", 10, "`2026-10-01 18:00`");
        of("due: 2026-03-29 02:30", 10, "put forward");
        of("opens: 2026-03-29 02:30", 12, "put forward");
        let due = |text: &str, column: u64, words: &str| {
            check(
                &format!("    due: 2026-03-28 02:30\n    {text}"),
                6,
                column,
                words,
            );
        };
        due("opens: 2026-03-28 02:30", 12, "before `due`");
        due("grace: 5", 12, "a number and a unit");
        due("grace: 400d", 12, "a year");
        due("late: {until: 3}", 19, "`2d`");
        due("late: {until: 3d, cost: 10%}", 23, "did you mean `costs`");
        due("late: {costs: 10}", 19, "`10% per day`");
        due("late: {costs: 10% a day}", 19, "`10% per day`");
        due("late: {costs: 101%}", 19, "`100%`");
        due("late: {costs: 0%}", 19, "`100%`");
        due("late: {until: 2026-03-28 02:30}", 19, "not after `due`");
        due("late: {until: 2026-03-29 02:30}", 19, "put forward");
        due("extend: {extra-tme: 1d}", 25, "did you mean `extra-time`");
        due("extend: {kim: 1d}", 19, "`kim` is no label");
        due("extend: {none: 1d}", 20, "nobody has");
        due("extend: {eve: 1d}", 19, "a label and somebody's name");
        due("extend: {ben: 1}", 19, "`2d`");
        due("extend: {ben: 0s}", 19, "not after `due`");
        due("extend: {ben: 2026-03-28 02:00}", 19, "not after `due`");
        due("extend: {ben: 2026-03-29 02:30}", 19, "put forward");
        due("limits: {size: 20}", 20, "a unit");
        due("limits: {size: 0B}", 20, "nothing");
        due("limits: {files: 0}", 21, "from 1 to 10000");
        due("limits: {submissions: 1001}", 27, "from 1 to 1000");
        due("limits: {kinds: [.ipynb]}", 22, "without the dot");
        due("limits: {kinds: []}", 21, "names no kind");
        due("limits: {kind: [ipynb]}", 14, "did you mean `kinds`");
        let grace = "    due: 2026-10-01 18:00\n    grace: 1h\n    late: {until: 1h}";
        check(grace, 7, 19, "`grace`");
        let alone = "says what comes after `due`";
        of("late: {until: 3d}", 11, alone);
        of("grace: 5m", 12, alone);
        of("extend: {ben: 1d}", 13, alone);
        // What is wrong with it is told once.
        check("    due: soon\n    late: {until: 3d}", 5, 10, "`soon`");
        let names = |text: &str, words: &str| {
            let text = format!("title: A\n{text}\n");
            let problems = read_course(Path::new("c.yaml"), &text, &Site::default());
            let problems = problems.expect_err("a mistake").to_string();
            assert!(problems.contains(words), "{problems}");
        };
        names("assignments: {a/b: {}}", "no name of an assignment");
        names("assignments: {' a': {}}", "no name of an assignment");
        names("people: {labels: {Extra: [ben]}}", "`Extra` is no label");
        names("people: {labels: {x: ben}}", "a list");
    }
}
