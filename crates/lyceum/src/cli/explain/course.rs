//! `lyceum explain PERSON COURSE`: what she would get for a course, and why she may or may not.

use lyceum_courses::environment::Base;
use lyceum_courses::{Course, Shelf};
use lyceum_hub::profiles::choose::Chosen;
use lyceum_model::environment::Said;
use lyceum_model::who::{CourseId, CourseRole};
use lyceum_written::problem::suggest;

use super::{Explain, Explained, Person, Row, Told, posix_rows, told};
use crate::config::{Loaded, Problems};
use crate::failure::Failure;
use crate::plan::{self, COMMAND, Missing};

impl Explain {
    pub(super) fn explain_course(
        &self,
        id: &CourseId,
        loaded: &Loaded,
        person: &Person,
    ) -> Result<Explained, Failure> {
        let course = (person.shelf.course(id)).ok_or_else(|| unknown(id, &person.shelf))?;
        let groups = &person.standing.groups;
        let roles = course.roles_of(&person.name, groups);
        let role = self.role.or(roles.first().copied());
        let explained = |may_start: bool, why: String, (values, notes): Told| Explained {
            person: Some(person.name.clone()),
            course: Some(id.clone()),
            role,
            may_start,
            why,
            values,
            notes,
            ..Explained::default()
        };
        let mut values = match role {
            Some(role) => values(&course, role, loaded)?,
            None => Told::default(),
        };
        values.0.extend(posix_rows(person));
        let refused = person.kept_out.map(str::to_owned);
        let refused = refused.or_else(|| self.why_not(id, &course, person, &roles));
        if let Some(why) = refused {
            return Ok(explained(false, why, values));
        }
        let role = role.expect("somebody without a role was refused");
        let by = course.entry_of(role, &person.name, groups);
        let by = by.map_or_else(String::new, |who| format!(" by {who}"));
        // To look as somebody else changes nothing in what a start makes of her.
        let really = roles.first().filter(|really| **really != role);
        let really = really.map_or_else(String::new, |really| {
            format!("; she starts as {}", really.as_str())
        });
        let why = format!("{}{by}{really}", role.as_str());
        Ok(explained(true, why, values))
    }

    /// What stands against a start.
    fn why_not(
        &self,
        id: &CourseId,
        course: &Course,
        person: &Person,
        roles: &[CourseRole],
    ) -> Option<String> {
        let (name, groups) = (&person.name, &person.standing.groups);
        if course.is_archived() {
            return Some(format!("{id} is archived"));
        }
        if course.environment.is_none() {
            return Some(format!("{id} has no `environment`"));
        }
        if roles.is_empty() && course.is_blocked(name, groups) {
            return Some(format!("{name} is blocked in {id}"));
        }
        if roles.is_empty() {
            return Some(format!("{name} does not belong to {id}"));
        }
        if !course.shows(roles) {
            return Some(format!("{id} is private, which is for its teachers"));
        }
        let role = self.role.filter(|role| !roles.contains(role))?;
        Some(format!("{name} is no {} in {id}", role.as_str()))
    }
}

fn values(course: &Course, role: CourseRole, loaded: &Loaded) -> Result<Told, Failure> {
    let Some(environment) = &course.environment else {
        return Ok(Told::default());
    };
    let said = plan::of_course(&loaded.config.environments, (course, environment), role);
    let base = environment.base.as_ref();
    let base = base.map(|base| base_row(base, "environment.use"));
    told_of_course(base, said, loaded)
}

pub(super) fn base_row(base: &Base, rule: &str) -> Row {
    Row {
        what: "environment".into(),
        value: base.name.as_str().into(),
        rule: rule.into(),
        from: base.place.clone(),
    }
}

/// What a course's file says of a server, over what it begins with.
pub(super) fn told_of_course(
    base: Option<Row>,
    said: Result<Vec<Said>, Missing>,
    loaded: &Loaded,
) -> Result<Told, Failure> {
    let said = said.map_err(|Missing(name)| {
        Failure::new(format!("the configuration has no environment `{name}`"))
    })?;
    let chosen = Chosen {
        said,
        ..Chosen::default()
    };
    let found = plan::plan(&loaded.config.servers, &[COMMAND.to_owned()], &chosen);
    let (mut rows, notes) = told(&found, loaded);
    rows.splice(0..0, base);
    Ok((rows, notes))
}

/// A course that is not there, or whose file can't be read.
pub(in crate::cli) fn unknown(id: &CourseId, shelf: &Shelf) -> Failure {
    let problems = shelf.problems_of(id);
    if !problems.is_empty() {
        return Failure::new(Problems(problems).to_string());
    }
    let known = shelf.ids();
    let known: Vec<&str> = known.iter().map(CourseId::as_str).collect();
    let failure = Failure::new(format!("there is no course `{id}`"));
    match known.as_slice() {
        [] => failure.hint("there is no course file in the data folder's `courses`"),
        known => failure.hint(suggest(id.as_str(), known)),
    }
}
