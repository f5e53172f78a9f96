//! Text → course and problems. Broken files are data, not errors.

use std::path::Path;

use lyceum_written::Problems;
use lyceum_written::tree::{Step, Value};

use crate::course::{Course, RawCourse};
use crate::environment::Environment;
use crate::server::Server;

/// A course file is a page or two; more is a mistake or an attack.
pub const FILE_LIMIT: u64 = 1024 * 1024;
/// Each is looked at whenever somebody starts a server.
const MEETINGS_MAX: usize = 200;

/// Reads the text of one course file; all its mistakes are told at once. `environments`: the names of
/// those that the configuration has.
pub fn read_course(file: &Path, text: &str, environments: &[String]) -> Result<Course, Problems> {
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
        let server = Server::check(&raw.server, whose, &short, tree, environments, problem);
        (environment, server)
    })?;
    let (environment, server) = read.checked;
    let raw = read.written;
    Ok(Course {
        title: raw.title,
        term: raw.term,
        visible: raw.visible,
        people: raw.people,
        environment,
        server,
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
    fn a_course_and_its_people() {
        let text = "title: Signals\nterm: autumn 2026\npeople:\n  teachers: [ada, 'group:staff']\n  students: [ben]\n";
        let course = read_course(Path::new("signals.yaml"), text, &[]).expect("a good file");
        assert_eq!(course.title, "Signals");
        assert_eq!(
            course.people.teachers,
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
        let known = ["python".to_owned()];
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
            let known = ["python".to_owned(), "gone".to_owned()];
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
            let course = read_course(Path::new("c.yaml"), &text, &[]).expect("a good file");
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
            let known = ["python".to_owned(), "r".to_owned()];
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
            let course = read_course(Path::new("c.yaml"), &text, &[]).expect("a good file");
            assert!(course.open_server().is_none(), "{off}");
        }
    }

    #[test]
    fn mistakes_say_where() {
        let check = |text: &str, line: Option<u64>, words: &str| {
            let known = ["python".to_owned()];
            let problems = read_course(Path::new("c.yaml"), text, &known).expect_err("a mistake");
            assert_eq!(problems.0.len(), 1, "{problems}");
            let problem = &problems.0[0];
            assert!(problem.message.contains(words), "{problem}");
            assert_eq!(problem.place.map(|place| place.line), line, "{problem}");
        };
        check("title: A\ntitel: B\n", Some(2), "titel");
        check(
            "title: A\npeople:\n  students: ['file:x.csv']\n",
            Some(3),
            "`file:`",
        );
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
}
