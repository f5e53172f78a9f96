//! Whose password is not enough: those who have set up a second step, and those of whom the configuration
//! wants one. What it is, and what is kept of it, is [`lyceum_auth::second_factor`]; the pages are
//! `pages::second_step` (at the log-in) and `pages::second_factor` (one's own).

use lyceum_auth::second_factor;
use lyceum_model::name::UserName;
use lyceum_model::who::{CourseRole, Forms, Standing, Who};
use lyceum_store::Tx;

use crate::db::users::User;
use crate::{Hub, db};

/// Who is meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Meant {
    Some(Who),
    /// Whoever is this in a course, whichever.
    InAnyCourse(CourseRole),
}

impl Meant {
    /// In the forms of all lists, and `course:*/teacher`.
    pub fn parse(text: &str) -> Result<Self, String> {
        match text.strip_prefix("course:*/") {
            Some(role) => role.parse().map(Self::InAnyCourse),
            None => Who::parse(text, Forms::All).map(Self::Some),
        }
    }

    fn is(&self, name: &UserName, standing: &Standing) -> bool {
        match self {
            Self::Some(who) => who.is(name, standing),
            Self::InAnyCourse(role) => {
                let courses = standing.courses.iter();
                courses
                    .flat_map(|(_, roles)| roles)
                    .any(|held| held == role)
            }
        }
    }
}

/// Who must have a second step.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Required(pub Vec<Meant>);

/// What somebody has to do yet who has said the right password.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Needed {
    Code,
    /// She must have a second step, and has none.
    SetUp,
}

/// What this person's password does not do.
pub async fn needed(hub: &Hub, tx: &mut Tx, user: &User) -> sqlx::Result<Option<Needed>> {
    if hub.sign_in().second_factors().is_none() {
        return Ok(None);
    }
    if second_factor::is_on(tx, &user.id).await? {
        return Ok(Some(Needed::Code));
    }
    let required = is_required(hub, tx, user).await?;
    Ok(required.then_some(Needed::SetUp))
}

/// Whether the configuration wants her to have one.
pub async fn is_required(hub: &Hub, tx: &mut Tx, user: &User) -> sqlx::Result<bool> {
    let settings = hub.settings();
    let Required(list) = &settings.second_factor;
    if list.is_empty() {
        return Ok(false);
    }
    let groups = db::groups::names_of(tx, &user.id).await?;
    let grants = &settings.grants;
    let standing = Standing {
        roles: grants.all_roles_of(&user.name, user.admin, &groups),
        courses: hub.shelf().roles_of(&user.name, &groups),
        groups,
    };
    Ok(list.iter().any(|meant| meant.is(&user.name, &standing)))
}

#[cfg(test)]
mod tests {
    use lyceum_model::who::CourseId;

    use super::*;

    #[test]
    fn whom_the_list_means() {
        let bio = CourseId::parse("bio").expect("a good id");
        let standing = Standing {
            groups: vec!["staff".into()],
            roles: vec!["user".into()],
            courses: vec![(bio, vec![CourseRole::Grader])],
        };
        let ada = UserName::parse("ada").expect("a good name");
        let check = |text: &str, expect: bool| {
            let meant = Meant::parse(text).expect(text);
            assert_eq!(meant.is(&ada, &standing), expect, "{text}");
        };
        check("ada", true);
        check("ben", false);
        check("group:staff", true);
        check("role:user", true);
        check("role:admin", false);
        check("course:bio/grader", true);
        check("course:bio/teacher", false);
        check("course:*/grader", true);
        check("course:*/teacher", false);
        for bad in [
            "course:*",
            "course:*/",
            "course:*/teachers",
            "course:b*/teacher",
            "a b",
        ] {
            assert!(Meant::parse(bad).is_err(), "{bad}");
        }
    }
}
