//! `lyceum explain PERSON COURSE`: what she would get for a course, and why she may or may not.

use lyceum_courses::{Course, Shelf, Visibility};
use lyceum_hub::profiles::choose::Chosen;
use lyceum_model::who::{CourseId, CourseRole};
use lyceum_written::problem::suggest;

use super::{Explain, Explained, Person, Row, row};
use crate::config::{Loaded, Problems};
use crate::failure::Failure;
use crate::plan::{self, COMMAND};

impl Explain {
    pub(super) fn explain_course(
        &self,
        id: &CourseId,
        loaded: &Loaded,
        person: &Person,
    ) -> Result<Explained, Failure> {
        let course = (person.shelf.course(id)).ok_or_else(|| unknown(id, &person.shelf))?;
        let groups = &person.standing.groups;
        let roles = course.roles_of(&self.person, groups);
        let role = self.role.or(roles.first().copied());
        let explained = |may_start: bool, why: String, values: Vec<Row>| Explained {
            person: self.person.clone(),
            course: Some(id.clone()),
            role,
            may_start,
            why,
            values,
        };
        let values = match role {
            Some(role) => values(&course, role, loaded)?,
            None => Vec::new(),
        };
        let refused = person.kept_out.map(str::to_owned);
        let refused = refused.or_else(|| self.why_not(id, &course, &roles));
        if let Some(why) = refused {
            return Ok(explained(false, why, values));
        }
        let role = role.expect("somebody without a role was refused");
        let by = course.entry_of(role, &self.person, groups);
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
    fn why_not(&self, id: &CourseId, course: &Course, roles: &[CourseRole]) -> Option<String> {
        if course.visible == Visibility::Archived {
            return Some(format!("{id} is archived"));
        }
        if course.environment.is_none() {
            return Some(format!("{id} has no `environment`"));
        }
        if roles.is_empty() {
            return Some(format!("{} does not belong to {id}", self.person));
        }
        if !course.shows(roles) {
            return Some(format!("{id} is private, which is for its teachers"));
        }
        let role = self.role.filter(|role| !roles.contains(role))?;
        Some(format!("{} is no {} in {id}", self.person, role.as_str()))
    }
}

fn values(course: &Course, role: CourseRole, loaded: &Loaded) -> Result<Vec<Row>, Failure> {
    let Some(environment) = &course.environment else {
        return Ok(Vec::new());
    };
    let config = &loaded.config;
    let said = plan::of_course(&config.environments, environment, role);
    let said = said.map_err(|plan::Missing(name)| {
        Failure::new(format!("the configuration has no environment `{name}`"))
    })?;
    let chosen = Chosen {
        said,
        ..Chosen::default()
    };
    let mut rows = Vec::new();
    if let Some(base) = &environment.base {
        rows.push(Row {
            what: "environment".into(),
            value: base.name.as_str().into(),
            rule: "environment.use".into(),
            from: base.place.clone(),
        });
    }
    let found = plan::plan(&config.servers, &[COMMAND.to_owned()], &chosen);
    rows.extend(found.iter().map(|said| row(said, loaded)));
    Ok(rows)
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
