//! Guarantees that are less than somebody wrote them, since another set a lower limit
//! ([`Values::lowered`]): no mistake, but worth a word to whoever wrote either.

use lyceum_courses::Course;
use lyceum_hub::profiles::choose::Chosen;
use lyceum_model::environment::{Lowered, Said, Values};
use lyceum_model::who::CourseRole;

use super::explain::{row, shown};
use crate::config::{Loaded, Problem};
use crate::plan::{self, COMMAND};

/// In a sentence that names both lines.
pub(super) fn words(one: &Lowered, loaded: &Loaded) -> String {
    let [guarantee, limit] = [&one.guarantee, &one.limit].map(|said| row(said, loaded));
    format!(
        "{} of {} (`{}`, {}) is more than the limit of {} (`{}`, {}); no more than the limit is guaranteed",
        guarantee.what,
        shown(&guarantee.value),
        guarantee.rule,
        guarantee.from,
        shown(&limit.value),
        limit.rule,
        limit.from,
    )
}

/// Of `servers`, `environments` and `profiles`.
pub(super) fn of_config(loaded: &Loaded) -> Vec<Problem> {
    let config = &loaded.config;
    let mut all: Vec<Lowered> = Vec::new();
    for said in config.environments.values() {
        add(&mut all, &planned(said.clone(), loaded));
    }
    for profile in &config.profiles.0 {
        add(&mut all, &planned(profile.said.clone(), loaded));
        let choices = profile.options.iter().flat_map(|option| &option.choices);
        for choice in choices {
            let said = profile.said.iter().chain(&choice.said);
            add(&mut all, &planned(said.cloned().collect(), loaded));
        }
    }
    notes(&all, loaded)
}

/// Of what a course's people start, and of its own server.
pub(super) fn of_course(course: &Course, loaded: &Loaded) -> Vec<Problem> {
    let environments = &loaded.config.environments;
    let mut all: Vec<Lowered> = Vec::new();
    let started = course.environment.iter().flat_map(|environment| {
        let of = |role| plan::of_course(environments, (course, environment), role);
        CourseRole::ALL.map(of)
    });
    let own = course.open_server();
    let own = own.map(|(server, _)| plan::of_courses_own(environments, course, server));
    // That an environment is missing is told as a mistake of the file.
    for said in started.chain(own).flatten() {
        add(&mut all, &planned(said, loaded));
    }
    notes(&all, loaded)
}

fn planned(said: Vec<Said>, loaded: &Loaded) -> Values {
    let chosen = Chosen {
        said,
        ..Chosen::default()
    };
    plan::plan(&loaded.config.servers, &[COMMAND.to_owned()], &chosen)
}

/// Each pair once, however many servers it meets.
fn add(all: &mut Vec<Lowered>, values: &Values) {
    for one in values.lowered() {
        if !all.contains(one) {
            all.push(one.clone());
        }
    }
}

fn notes(all: &[Lowered], loaded: &Loaded) -> Vec<Problem> {
    let note = |one: &Lowered| Problem {
        file: row(&one.limit, loaded).from,
        place: None,
        message: words(one, loaded),
    };
    all.iter().map(note).collect()
}
