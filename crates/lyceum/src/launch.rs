//! "What may Ada start?": the hub's question, answered from configuration and courses.

use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use jiff::Timestamp;
use lyceum_courses::Shelf;
use lyceum_exchange::SERVICE;
use lyceum_hub::launch::{
    CourseCard, CourseShelf, CourseStart, LaunchPlanner, LaunchRequest, Refusal,
};
use lyceum_hub::profiles::choose::{COURSE, Chosen};
use lyceum_hub::rooms::Room;
use lyceum_model::clock::Millis;
use lyceum_model::environment::Said;
use lyceum_model::name::UserName;
use lyceum_model::say;
use lyceum_model::server::{RunAs, ServerSpec};
use lyceum_model::who::{CourseId, CourseRole};

use crate::config::Config;
use crate::jupyter::Environment;
use crate::plan;
use crate::reload::ConfigWatch;

/// Where Jupyter's programs look for configuration first.
const JUPYTER_CONFIG_PATH: &str = "JUPYTER_CONFIG_PATH";
/// Accounts below are the system's own, by the convention of all distributions.
const FIRST_PERSON: u32 = 1000;

/// Under which system account local processes run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Accounts {
    /// Lyceum's own: all there is unless Lyceum runs as root.
    Shared,
    /// The system account of the person's name.
    System,
}

/// Plans from the configuration in force at the moment of the wish.
pub struct Planner {
    watch: Arc<ConfigWatch>,
    shelf: Shelf,
    environment: Environment,
    accounts: Accounts,
    /// What is added to Jupyter's configuration path of servers.
    jupyter_config: PathBuf,
}

impl Planner {
    pub fn new(
        watch: Arc<ConfigWatch>,
        shelf: Shelf,
        environment: Environment,
        accounts: Accounts,
        jupyter_config: PathBuf,
    ) -> Self {
        Self {
            watch,
            shelf,
            environment,
            accounts,
            jupyter_config,
        }
    }

    /// What a course says of servers of those who are this in it. Nothing where the course has gone
    /// meanwhile, or starts nothing any more.
    fn of_course(&self, config: &Config, id: &CourseId, role: CourseRole) -> Option<Vec<Said>> {
        let course = self.shelf.find(id)?;
        let environment = course.environment.as_ref()?;
        match plan::of_course(&config.environments, environment, role) {
            Ok(said) => Some(said),
            Err(plan::Missing(name)) => {
                tracing::error!(course = %id, environment = name, "nobody can start for a course: the configuration has no such environment");
                None
            }
        }
    }
}

#[async_trait]
impl LaunchPlanner for Planner {
    async fn plan(&self, request: &LaunchRequest) -> Result<ServerSpec, Refusal> {
        let config = self.watch.current();
        if config.profiles.is_empty()
            && let Some(options) = request.options.as_object()
            && let Some(key) = options.keys().find(|key| *key != COURSE)
        {
            let key: String = key.chars().take(60).collect();
            return Err(Refusal::BadOptions(say!("launch.no_choice", option = key)));
        }
        let run_as = match self.accounts {
            Accounts::Shared => None,
            Accounts::System => Some(system_account(&request.user)?),
        };
        let mut command = vec![self.environment.singleuser.display().to_string()];
        if run_as.is_none() && rustix::process::geteuid().is_root() {
            command.push("--allow-root".into());
        }
        let mut chosen = request.chosen.clone();
        if let Some((id, role)) = &chosen.course {
            let said = self.of_course(&config, id, *role);
            chosen.said = said.ok_or_else(|| Refusal::BadOptions(say!("course.unknown")))?;
        }
        let values = plan::plan(&config.servers, &command, &chosen);
        let mut order = plan::order(&values, &chosen, &request.home);
        // The data folder is closed to other accounts.
        if run_as.is_none() && !config.grants.services.contains_key(SERVICE) {
            let folder = self.jupyter_config.display().to_string();
            let known = order.env.entry(JUPYTER_CONFIG_PATH.to_owned());
            known.or_insert(folder);
        }
        Ok(ServerSpec {
            path_first: vec![self.environment.bin.display().to_string()],
            run_as,
            ..order
        })
    }

    async fn plan_room(&self, course: &str) -> anyhow::Result<ServerSpec> {
        let config = self.watch.current();
        let command = vec![self.environment.singleuser.display().to_string()];
        // Most who come are students.
        let said = CourseId::parse(course)
            .and_then(|id| self.of_course(&config, &id, CourseRole::Student));
        let chosen = Chosen {
            said: said.unwrap_or_default(),
            ..Chosen::default()
        };
        let values = plan::plan(&config.servers, &command, &chosen);
        Ok(ServerSpec {
            path_first: vec![self.environment.bin.display().to_string()],
            course: Some(course.to_owned()),
            ..plan::order(&values, &chosen, "")
        })
    }
}

fn system_account(user: &UserName) -> Result<RunAs, Refusal> {
    let missing = || Refusal::NotAllowed(say!("launch.no_account", user = user.as_str()));
    let found = nix::unistd::User::from_name(user.as_str())
        .map_err(anyhow::Error::from)?
        .ok_or_else(missing)?;
    if found.uid.as_raw() < FIRST_PERSON || found.gid.as_raw() == 0 {
        return Err(Refusal::NotAllowed(say!(
            "launch.system_account",
            user = user.as_str()
        )));
    }
    Ok(run_as(found)?)
}

/// The account of a service, which may be one of the system's own, except root.
pub fn service_account(name: &str) -> Result<RunAs, String> {
    let unknown = |why: String| format!("the system account {name:?} can't be looked up: {why}");
    let found = nix::unistd::User::from_name(name).map_err(|error| unknown(error.to_string()))?;
    let found = found.ok_or_else(|| format!("this machine has no account {name:?}"))?;
    if found.uid.is_root() || found.gid.as_raw() == 0 {
        return Err(
            "leave it out to run the service as Lyceum itself; no other service may be root".into(),
        );
    }
    run_as(found).map_err(|error| unknown(error.to_string()))
}

/// The home that the system has for an account.
pub fn home_of(account: &str) -> Option<String> {
    let found = nix::unistd::User::from_name(account).ok()??;
    let home = found.dir.to_str()?.to_owned();
    home.starts_with('/').then_some(home)
}

fn run_as(account: nix::unistd::User) -> anyhow::Result<RunAs> {
    let name = std::ffi::CString::new(account.name.as_str())?;
    let groups = nix::unistd::getgrouplist(&name, account.gid)?;
    Ok(RunAs {
        account: account.name,
        uid: account.uid.as_raw(),
        gid: account.gid.as_raw(),
        groups: groups
            .into_iter()
            .map(nix::unistd::Gid::as_raw)
            .filter(|gid| *gid != 0)
            .collect(),
        umask: Some(0o077),
    })
}

/// The courses as the home page shows them.
pub struct Courses(pub Shelf, pub Arc<ConfigWatch>);

#[async_trait]
impl CourseShelf for Courses {
    async fn courses_of(
        &self,
        user: &UserName,
        groups: &[String],
    ) -> anyhow::Result<Vec<CourseCard>> {
        let seen = self.0.seen_by(user, groups);
        let config = self.1.current();
        let knows = |name: &str| config.environments.contains_key(name);
        Ok(seen
            .into_iter()
            .map(|seen| CourseCard {
                id: seen.id.to_string(),
                title: seen.course.title.clone(),
                term: seen.course.term.clone(),
                starts: seen.course.starts_as(&seen.roles).is_some()
                    && seen.course.has_environment(knows),
                roles: seen
                    .roles
                    .iter()
                    .map(|role| role.as_str().to_owned())
                    .collect(),
            })
            .collect())
    }

    async fn roles_of(
        &self,
        user: &UserName,
        groups: &[String],
    ) -> anyhow::Result<Vec<(CourseId, Vec<CourseRole>)>> {
        Ok(self.0.roles_of(user, groups))
    }

    async fn starts(
        &self,
        user: &UserName,
        groups: &[String],
        course: &str,
    ) -> anyhow::Result<Option<CourseStart>> {
        let Some(id) = CourseId::parse(course) else {
            return Ok(None);
        };
        let config = self.1.current();
        let knows = |name: &str| config.environments.contains_key(name);
        let found = self.0.starts(user, groups, &id);
        let found = found.filter(|(course, _)| course.has_environment(knows));
        Ok(found.map(|(course, role)| CourseStart {
            id,
            title: course.title.clone(),
            role,
        }))
    }

    fn rooms(&self, now: Millis) -> Vec<Room> {
        let Ok(at) = Timestamp::from_millisecond(now.0) else {
            return Vec::new();
        };
        let config = self.1.current();
        let meetings = self.0.meetings(&config.time_zone, at).into_iter();
        let knows = |name: &str| config.environments.contains_key(name);
        let millis = |at: Timestamp| Millis(at.as_millisecond());
        let rooms = meetings.map(|(id, course, people, window)| Room {
            course: id.to_string(),
            title: course.title.clone(),
            people: people.into(),
            opens: millis(window.opens),
            begins: millis(window.begins),
            ends: millis(window.ends),
            // Where hardly anybody can start for a course, nobody could take its places.
            keeps: course.members_start(knows),
        });
        rooms.collect()
    }
}

#[cfg(test)]
mod tests {
    use lyceum_model::clock::Clock;

    use super::*;

    #[tokio::test]
    async fn places_are_kept_for_courses_for_which_members_start_something() {
        let folder = tempfile::tempdir().expect("a folder");
        let course = |id: &str, more: &str| {
            let text = format!("title: A\nschedule: [{{at: Mon 09:00, people: 3}}]\n{more}");
            std::fs::write(folder.path().join(format!("{id}.yaml")), text).expect("written");
        };
        let takers = "environment: {}\npeople: {students: ['group:bio']}\n";
        course("starts", takers);
        course("meets", "people: {students: [ada]}\n");
        course("gone", &format!("{takers}visible: archived\n"));
        course("draft", &format!("{takers}visible: private\n"));
        course("empty", "environment: {}\npeople: {teachers: [grace]}\n");
        // The shelf was told of one that the configuration has no more.
        let gone = "environment: {use: gone}\npeople: {students: [ada]}\n";
        course("without", gone);
        let shelf = Shelf::open(folder.path(), vec!["gone".into()]).expect("opened");
        assert!(shelf.problems().is_empty(), "{:?}", shelf.problems());
        let watch = ConfigWatch::open(None, Clock::system()).expect("the defaults are good");
        let courses = Courses(shelf, watch);
        let ada = UserName::parse("ada").expect("a name");
        let bio = ["bio".to_owned()];
        for (id, expect) in [("starts", true), ("without", false), ("meets", false)] {
            let starts = courses.starts(&ada, &bio, id).await.expect("told");
            assert_eq!(starts.is_some(), expect, "{id}");
            let cards = courses.courses_of(&ada, &bio).await.expect("told");
            let card = cards.into_iter().find(|card| card.id == id);
            assert_eq!(card.expect("a card").starts, expect, "{id}");
        }
        let rooms = courses.rooms(Millis(0));
        let mut keeps: Vec<(&str, bool)> = rooms
            .iter()
            .map(|room| (room.course.as_str(), room.keeps))
            .collect();
        keeps.sort_unstable();
        let expect = [
            ("draft", false),
            ("empty", false),
            ("meets", false),
            ("starts", true),
            ("without", false),
        ];
        assert_eq!(keeps, expect);
    }
}
