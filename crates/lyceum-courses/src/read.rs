//! Text → course and problems. Broken files are data, not errors.

use std::fmt;
use std::path::{Path, PathBuf};

use crate::course::Course;

/// A course file is a page or two; more is a mistake or an attack.
pub const FILE_LIMIT: u64 = 1024 * 1024;
/// Each is looked at whenever somebody starts a server.
const MEETINGS_MAX: usize = 200;

/// What is wrong, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    pub file: PathBuf,
    pub line: Option<u64>,
    pub column: Option<u64>,
    pub message: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.file.display())?;
        if let Some(line) = self.line {
            write!(f, ":{line}")?;
        }
        if let Some(column) = self.column {
            write!(f, ":{column}")?;
        }
        write!(f, ": {}", self.message)
    }
}

/// Reads the text of one course file.
pub fn read_course(file: &Path, text: &str) -> Result<Course, Problem> {
    let course: Course = serde_saphyr::from_str(text).map_err(|error| {
        let location = error.location();
        Problem {
            file: file.to_owned(),
            line: location.map(|at| at.line()),
            column: location.map(|at| at.column()),
            message: first_line(&error.without_snippet().to_string()),
        }
    })?;
    if course.schedule.len() > MEETINGS_MAX {
        return Err(Problem {
            file: file.to_owned(),
            line: None,
            column: None,
            message: format!(
                "`schedule` has more than {MEETINGS_MAX} entries; say what is each week with one"
            ),
        });
    }
    if course.title.trim().is_empty() {
        return Err(Problem {
            file: file.to_owned(),
            line: None,
            column: None,
            message: "`title` is empty; write the name that people see".into(),
        });
    }
    Ok(course)
}

fn first_line(text: &str) -> String {
    text.lines().next().unwrap_or("can't be read").to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::course::{Role, Who};
    use lyceum_model::name::UserName;

    fn name(text: &str) -> UserName {
        UserName::parse(text).expect("a good name")
    }

    #[test]
    fn a_course_and_its_people() {
        let text = "title: Signals\nterm: autumn 2026\npeople:\n  teachers: [ada, 'group:staff']\n  students: [ben]\n";
        let course = read_course(Path::new("signals.yaml"), text).expect("a good file");
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
    fn mistakes_say_where() {
        let check = |text: &str, line: Option<u64>, words: &str| {
            let problem = read_course(Path::new("c.yaml"), text).expect_err("a mistake");
            assert!(problem.message.contains(words), "{problem}");
            assert_eq!(problem.line, line, "{problem}");
        };
        check("title: A\ntitel: B\n", Some(2), "titel");
        check(
            "title: A\npeople:\n  students: ['file:x.csv']\n",
            Some(3),
            "`file:`",
        );
        check("title: A\nvisible: hidden\n", Some(2), "hidden");
        check("title: ''\n", None, "title");
        check(
            "title: A\nschedule:\n  - {at: Mon 09:00, people: 1}\n  - {at: Moon 9, people: 1}\n",
            Some(4),
            "`Mon 09:00`",
        );
        check("title: [", Some(1), "");
    }
}
