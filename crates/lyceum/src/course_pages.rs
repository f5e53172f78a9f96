//! "What is started for this course?": a question of the exchange's pages, answered with the values
//! that `lyceum explain` tells.

use std::sync::Arc;

use lyceum_courses::Shelf;
use lyceum_exchange::pages::{Setting, Starts};
use lyceum_hub::profiles::choose::Chosen;
use lyceum_model::environment::{self, Said};
use lyceum_model::who::{CourseId, CourseRole};

use crate::cli::explain::{shown, what_is_said};
use crate::plan::{self, COMMAND};
use crate::reload::ConfigWatch;

pub(crate) struct Started {
    pub(crate) shelf: Shelf,
    pub(crate) watch: Arc<ConfigWatch>,
}

impl Started {
    fn settings(&self, said: Vec<Said>) -> Vec<Setting> {
        let chosen = Chosen {
            said,
            ..Chosen::default()
        };
        let config = self.watch.current();
        let values = plan::plan(&config.servers, &[COMMAND.to_owned()], &chosen);
        values.iter().map(setting).collect()
    }
}

fn setting(said: &Said) -> Setting {
    let (what, value) = what_is_said(said);
    Setting {
        what,
        value: shown(&value),
        place: said.place.as_ref().map(ToString::to_string),
        is_env: matches!(said.setting, environment::Setting::Env(..)),
    }
}

impl Starts for Started {
    fn by_role(&self, course: &str, role: CourseRole) -> Option<Vec<Setting>> {
        let course = self.shelf.find(&CourseId::parse(course)?)?;
        let environments = &self.watch.current().environments;
        let environment = course.environment.as_ref()?;
        let said = plan::of_course(environments, (&*course, environment), role).ok()?;
        Some(self.settings(said))
    }

    fn own_server(&self, course: &str) -> Option<Vec<Setting>> {
        let course = self.shelf.find(&CourseId::parse(course)?)?;
        let (server, _) = course.open_server()?;
        let environments = &self.watch.current().environments;
        let said = plan::of_courses_own(environments, &course, server).ok()?;
        Some(self.settings(said))
    }
}
