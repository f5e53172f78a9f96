//! What somebody is in a course, from what the platform says she is (LTI Core 1.3, appendix A.2). Pure rules:
//! words are compared whole, and what somebody is elsewhere at the institution is nothing in a course.

use std::collections::BTreeMap;

use lyceum_model::who::CourseRole;

const ROLES: &str = "http://purl.imsglobal.org/vocab/lis/v2/membership#";
/// The parts of a role; the role itself stands beside its part.
const TEACHING: &str = "http://purl.imsglobal.org/vocab/lis/v2/membership/Instructor#";
const CONTENT: &str = "http://purl.imsglobal.org/vocab/lis/v2/membership/ContentDeveloper#";
/// As LTI 1.1 has it.
const OLD: &str = "urn:lti:role:ims/lis/";

/// Parts of an instructor who help those who teach.
const HELPING: [&str; 7] = [
    "TeachingAssistant",
    "TeachingAssistantGroup",
    "TeachingAssistantOffering",
    "TeachingAssistantSection",
    "TeachingAssistantSectionAssociation",
    "TeachingAssistantTemplate",
    "Grader",
];

/// The most that these make of somebody. `more`: other words, and what they make of her here.
pub(super) fn in_course(
    roles: &[String],
    more: &BTreeMap<String, CourseRole>,
) -> Option<CourseRole> {
    let is_part = |word: &&str| HELPING.contains(word);
    // Who helps is called an instructor, too.
    let helps = roles
        .iter()
        .any(|role| role.strip_prefix(TEACHING).as_ref().is_some_and(is_part));
    let of = |role: &String| {
        if let Some(role) = more.get(role) {
            return Some(*role);
        }
        if let Some(part) = role.strip_prefix(TEACHING) {
            return Some(match HELPING.contains(&part) {
                true => CourseRole::Grader,
                false => CourseRole::Teacher,
            });
        }
        let word = role.strip_prefix(ROLES).or(role.strip_prefix(OLD));
        match word.unwrap_or(role) {
            "Instructor" if helps => Some(CourseRole::Grader),
            "Instructor" => Some(CourseRole::Teacher),
            "TeachingAssistant" if word != role.strip_prefix(ROLES) => Some(CourseRole::Grader),
            "Learner" => Some(CourseRole::Student),
            _ => None,
        }
    };
    let found: Vec<CourseRole> = roles.iter().filter_map(of).collect();
    CourseRole::ALL
        .into_iter()
        .find(|role| found.contains(role))
}

/// Whether somebody with these roles says what links of the course open. `role`: what she is in it.
pub(super) fn makes_links(roles: &[String], role: Option<CourseRole>) -> bool {
    let makes_content = |role: &String| {
        let word = role.strip_prefix(ROLES).or(role.strip_prefix(OLD));
        word.unwrap_or(role) == "ContentDeveloper" || role.starts_with(CONTENT)
    };
    role.is_some_and(CourseRole::is_staff) || roles.iter().any(makes_content)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_are_made_by_those_who_teach_or_make_content() {
        let check = |word: &str, expect: bool| {
            let roles = [word.to_owned()];
            let role = in_course(&roles, &BTreeMap::new());
            assert_eq!(makes_links(&roles, role), expect, "{word}");
        };
        check(&format!("{ROLES}Instructor"), true);
        check(&format!("{TEACHING}TeachingAssistant"), true);
        check(&format!("{ROLES}ContentDeveloper"), true);
        check(&format!("{CONTENT}Librarian"), true);
        check("ContentDeveloper", true);
        check(&format!("{ROLES}Learner"), false);
        check(&format!("{ROLES}contentdeveloper"), false);
        let institution = "http://purl.imsglobal.org/vocab/lis/v2/institution/person#Instructor";
        check(institution, false);
    }

    #[test]
    fn roles_are_those_of_the_course_alone() {
        let check = |roles: &[&str], expect: Option<CourseRole>| {
            let words: Vec<String> = roles.iter().map(|role| (*role).to_owned()).collect();
            let more = [(
                "http://purl.imsglobal.org/vocab/lis/v2/membership#Manager".to_owned(),
                CourseRole::Grader,
            )];
            assert_eq!(in_course(&words, &more.into()), expect, "{roles:?}");
        };
        let role = |word: &str| format!("{ROLES}{word}");
        let part = |word: &str| format!("{TEACHING}{word}");
        let institution = "http://purl.imsglobal.org/vocab/lis/v2/institution/person#";
        let (teacher, grader, student) = (
            Some(CourseRole::Teacher),
            Some(CourseRole::Grader),
            Some(CourseRole::Student),
        );
        check(&[], None);
        check(&[&role("Learner")], student);
        check(&[&role("Instructor")], teacher);
        check(&[&role("Instructor"), &role("Learner")], teacher);
        check(&[&role("Instructor"), &part("TeachingAssistant")], grader);
        check(&[&part("TeachingAssistant")], grader);
        check(
            &[&part("Grader"), &role("Instructor"), &role("Learner")],
            grader,
        );
        check(&[&part("PrimaryInstructor")], teacher);
        check(
            &[&part("PrimaryInstructor"), &part("TeachingAssistant")],
            teacher,
        );
        check(&[&role("Manager")], grader);
        check(&["Instructor"], teacher);
        check(&["Learner"], student);
        check(&["urn:lti:role:ims/lis/TeachingAssistant"], grader);
        // A learner who is called an instructor in one way is a learner; the rest is nothing here.
        check(
            &["http://purl.imsglobal.org/vocab/lis/v2/membership/Learner#Instructor"],
            None,
        );
        for odd in [
            &*format!("{institution}Instructor"),
            &format!("{institution}Administrator"),
            "http://purl.imsglobal.org/vocab/lis/v2/system/person#SysAdmin",
            &role("Administrator"),
            &role("ContentDeveloper"),
            &role("instructor"),
            &role("Instructor "),
            &role("TeachingAssistant"),
            "https://purl.imsglobal.org/vocab/lis/v2/membership#Instructor",
            "http://evil.example/membership#Instructor",
            "urn:lti:instrole:ims/lis/Instructor",
            "urn:lti:sysrole:ims/lis/Administrator",
        ] {
            check(&[odd], None);
            check(&[odd, &role("Learner")], student);
        }
    }
}
