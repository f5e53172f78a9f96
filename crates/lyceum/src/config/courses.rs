//! The `courses` section: what holds for every course.

use lyceum_courses::people::Patterns;
use lyceum_model::who::CourseRole;

use super::raw::RawConfig;

/// More for one role are a mistake.
const PATTERNS_MAX: usize = 10;

/// Groups that are people of every course.
pub(super) fn check_groups(raw: &RawConfig, problem: &mut dyn FnMut(&str, String)) -> Patterns {
    let groups = &raw.courses.groups;
    let mut patterns = Patterns::default();
    for (key, role, written) in [
        ("teachers", CourseRole::Teacher, &groups.teachers),
        ("graders", CourseRole::Grader, &groups.graders),
        ("students", CourseRole::Student, &groups.students),
        ("observers", CourseRole::Observer, &groups.observers),
    ] {
        let path = format!("courses.groups.{key}");
        if written.len() > PATTERNS_MAX {
            problem(&path, format!("has more than {PATTERNS_MAX} entries"));
        }
        for (index, pattern) in written.iter().enumerate() {
            if let Err(message) = patterns.add(role, pattern) {
                problem(&format!("{path}[{index}]"), message);
            }
        }
    }
    patterns
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::super::parse;

    #[test]
    fn groups_of_every_course_are_named_by_it() {
        let check = |groups: &str, expect: Option<&str>| {
            let text = format!("courses:\n  groups: {groups}\n");
            let said = parse("lyceum.yaml", &text, Path::new("/"));
            let said = said.map(|_| ()).map_err(|problems| problems.to_string());
            match (said, expect) {
                (Ok(()), None) => {}
                (Err(said), Some(words)) => {
                    assert!(
                        said.contains("lyceum.yaml:2:") && said.contains(words),
                        "{said}"
                    );
                }
                (said, _) => panic!("{groups}: {said:?}"),
            }
        };
        check(
            "{teachers: ['formgrade-{course}'], students: ['nbgrader-{course}', 'reg {course}']}",
            None,
        );
        check(
            "{teachers: [staff]}",
            Some("the same group for every course"),
        );
        check(
            "{teachers: ['group:{course}']}",
            Some("the name of the group alone"),
        );
        check("{students: [' {course}']}", Some("no group's name"));
        check("{tutors: ['{course}']}", Some("tutors"));
        check("{students: ['{curse}']}", Some("write `{course}`"));
    }
}
