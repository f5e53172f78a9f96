//! What somebody is in a course of the exchange, and what she may do there.
//!
//! Two sources say it: the course file, as it is at this moment, and people who were added by
//! request. The more powerful counts. What a file gives no request takes away.

use lyceum_courses::{Course as CourseFile, Visibility};
use lyceum_model::name::UserName;
use lyceum_model::who::CourseRole;

/// What was added by request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Added {
    Instructor,
    Student,
}

impl Added {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Instructor => "instructor",
            Self::Student => "student",
        }
    }

    pub fn parse(word: &str) -> Option<Self> {
        [Self::Instructor, Self::Student]
            .into_iter()
            .find(|added| added.as_str() == word)
    }

    pub(crate) fn role(self) -> CourseRole {
        match self {
            Self::Instructor => CourseRole::Teacher,
            Self::Student => CourseRole::Student,
        }
    }
}

/// Somebody in a course.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Standing {
    /// Of the site.
    pub admin: bool,
    pub by_file: Option<CourseRole>,
    pub added: Option<Added>,
}

impl Standing {
    pub fn role(self) -> Option<CourseRole> {
        let added = self.added.map(Added::role);
        match (self.by_file, added) {
            (Some(file), Some(added)) if added.covers(file) => Some(added),
            (Some(file), _) => Some(file),
            (None, added) => added,
        }
    }

    /// May see what is released.
    pub fn belongs(self) -> bool {
        self.admin || self.role().is_some()
    }

    /// May hand in.
    pub fn hands_in(self) -> bool {
        let role = self.role();
        self.admin || role.is_some_and(|role| role.covers(CourseRole::Student))
    }

    /// May see what others handed in and give it back.
    pub fn grades(self) -> bool {
        self.admin || self.is_instructor()
    }

    /// May release, and say who takes the course.
    pub fn teaches(self) -> bool {
        self.admin || self.role() == Some(CourseRole::Teacher)
    }

    /// For clients that know no more than two kinds of people.
    pub fn is_instructor(self) -> bool {
        self.role().is_some_and(CourseRole::is_staff)
    }

    pub fn is_student(self) -> bool {
        self.role() == Some(CourseRole::Student)
    }
}

/// What a file makes of somebody; in a course that its teachers alone see, others are nothing yet.
pub fn by_file(file: &CourseFile, name: &UserName, groups: &[String]) -> Option<CourseRole> {
    let role = file.roles_of(name, groups).into_iter().next()?;
    let hidden = file.visible == Visibility::Private && role != CourseRole::Teacher;
    (!hidden).then_some(role)
}

/// What the account of a course's own server is: a teacher of that course alone, as long as its file
/// says that it grades there.
pub fn of_account(file: &CourseFile, course: &str, account: &UserName) -> Option<CourseRole> {
    let is_its_own = account.course().is_some_and(|id| id.as_str() == course);
    (is_its_own && file.grades_in_its_server()).then_some(CourseRole::Teacher)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_more_powerful_counts() {
        use CourseRole::{Grader, Observer, Student, Teacher};
        let check =
            |by_file: Option<CourseRole>, added: Option<Added>, expect: Option<CourseRole>| {
                let standing = Standing {
                    admin: false,
                    by_file,
                    added,
                };
                assert_eq!(standing.role(), expect, "{standing:?}");
            };
        check(None, None, None);
        check(None, Some(Added::Student), Some(Student));
        check(Some(Student), Some(Added::Instructor), Some(Teacher));
        check(Some(Grader), Some(Added::Student), Some(Grader));
        check(Some(Teacher), Some(Added::Student), Some(Teacher));
        check(Some(Student), None, Some(Student));
        check(Some(Observer), None, Some(Observer));
        check(Some(Observer), Some(Added::Student), Some(Student));
    }

    #[test]
    fn who_may_what() {
        let check = |by_file: Option<CourseRole>, admin: bool, expect: [bool; 4]| {
            let standing = Standing {
                admin,
                by_file,
                added: None,
            };
            let may = [
                standing.belongs(),
                standing.hands_in(),
                standing.grades(),
                standing.teaches(),
            ];
            assert_eq!(may, expect, "{standing:?}");
        };
        check(None, false, [false; 4]);
        let looks_on = [true, false, false, false];
        check(Some(CourseRole::Observer), false, looks_on);
        check(Some(CourseRole::Student), false, [true, true, false, false]);
        check(Some(CourseRole::Grader), false, [true, true, true, false]);
        check(Some(CourseRole::Teacher), false, [true; 4]);
        check(None, true, [true; 4]);
        check(Some(CourseRole::Observer), true, [true; 4]);
    }
}
