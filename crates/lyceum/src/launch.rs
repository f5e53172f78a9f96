//! "What may Ada start?": the hub's question, answered from configuration and courses.

use std::sync::Arc;
use std::time::SystemTime;

use arc_swap::ArcSwap;
use async_trait::async_trait;
use jiff::Timestamp;
use lyceum_courses::shelf::{self, Faulty};
use lyceum_courses::{Problem, Shelf};
use lyceum_exchange::pages::course_path;
use lyceum_exchange::{Exchange, SERVICE};
use lyceum_hub::course_work::{CourseWork, Mistake};
use lyceum_hub::launch::{
    CourseCard, CourseServer, CourseServers, CourseShelf, CourseStart, FaultyFile, Holds,
    LaunchPlanner, LaunchRequest, Refusal,
};
use lyceum_hub::profiles::choose::Chosen;
use lyceum_hub::rooms::Room;
use lyceum_model::clock::Millis;
use lyceum_model::environment::Said;
use lyceum_model::name::UserName;
use lyceum_model::posix::Posix;
use lyceum_model::say;
use lyceum_model::saying::Saying;
use lyceum_model::scope::{ScopeName, Target};
use lyceum_model::server::{RunAs, ServerSpec};
use lyceum_model::who::{CourseId, CourseRole};
use lyceum_store::Tx;
use lyceum_web::Caller;
use tokio::sync::watch;

use crate::config::{Config, SignInMethod};
use crate::course_work;
use crate::jupyter::Environment;
use crate::jupyter_config::{ForCourse, JupyterConfig, Whose};
use crate::plan;
use crate::reload::ConfigWatch;

/// Where Jupyter's programs look for configuration first.
const JUPYTER_CONFIG_PATH: &str = "JUPYTER_CONFIG_PATH";
/// Accounts below are the system's own, by the convention of all distributions.
const FIRST_PERSON: u32 = 1000;
/// Under an account called so, and the id of the course behind it, a course's own server runs.
const COURSE_ACCOUNT: &str = "course-";

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
    jupyter_config: JupyterConfig,
}

impl Planner {
    pub fn new(
        watch: Arc<ConfigWatch>,
        shelf: Shelf,
        environment: Environment,
        accounts: Accounts,
        jupyter_config: JupyterConfig,
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
        let of_course = (&*course, environment);
        known(id, plan::of_course(&config.environments, of_course, role))
    }

    /// What is said of the server that a course has.
    fn of_courses_own(&self, config: &Config, id: &CourseId) -> Option<Vec<Said>> {
        let course = self.shelf.find(id)?;
        let (server, _) = course.open_server()?;
        known(
            id,
            plan::of_courses_own(&config.environments, &course, server),
        )
    }

    /// The folder that tells a server's nbgrader of the course it is started for.
    fn folder_for_course(
        &self,
        request: &LaunchRequest,
        chosen: &Chosen,
    ) -> anyhow::Result<Option<String>> {
        let Some((id, role)) = &chosen.course else {
            return Ok(None);
        };
        let Some(course) = self.shelf.find(id) else {
            return Ok(None);
        };
        let own = request.user.is_of_course();
        let of = ForCourse {
            id,
            whose: match (own, role) {
                (true, _) => Whose::Course,
                (false, CourseRole::Student | CourseRole::Observer) => Whose::Student,
                (false, CourseRole::Teacher | CourseRole::Grader) => Whose::Teacher,
            },
            formgrader: course.grades_in_its_server(),
            nbgrader: course.nbgrader(own).collect(),
        };
        self.jupyter_config.for_course(&of).map(Some)
    }

    /// The course whose own server this is, if the formgrader is to run there.
    fn grading_course(&self, request: &LaunchRequest) -> Option<CourseId> {
        let id = request.user.course()?;
        self.shelf.find(&id)?.formgrader.then_some(id)
    }

    /// The account of the machine under which a server of this owner runs: hers, or `course-ID` for the
    /// server of a course. That one is nobody's else.
    fn system_account(&self, owner: &UserName) -> Result<RunAs, Refusal> {
        let Some(course) = owner.course() else {
            let of_course = owner.as_str().strip_prefix(COURSE_ACCOUNT);
            // Whether the course has a server now or not: its files stay.
            return match of_course.and_then(CourseId::parse).is_some() {
                true => Err(not_hers(owner.as_str())),
                false => {
                    let missing = say!("launch.no_account", user = owner.as_str());
                    system_account(owner.as_str(), missing)
                }
            };
        };
        let account = format!("{COURSE_ACCOUNT}{course}");
        let missing = say!("launch.no_course_account", account = account.as_str());
        system_account(&account, missing)
    }
}

fn known(course: &CourseId, said: Result<Vec<Said>, plan::Missing>) -> Option<Vec<Said>> {
    match said {
        Ok(said) => Some(said),
        Err(plan::Missing(name)) => {
            tracing::error!(%course, environment = name, "nobody can start for a course: the configuration has no such environment");
            None
        }
    }
}

#[async_trait]
impl LaunchPlanner for Planner {
    async fn plan(&self, request: &LaunchRequest) -> Result<ServerSpec, Refusal> {
        let config = self.watch.current();
        let run_as = match self.accounts {
            Accounts::Shared => None,
            Accounts::System => Some(self.system_account(&request.user)?),
        };
        let mut command = vec![self.environment.singleuser.display().to_string()];
        if run_as.is_none() && rustix::process::geteuid().is_root() {
            command.push("--allow-root".into());
        }
        let mut chosen = request.chosen.clone();
        if let Some((id, role)) = &chosen.course {
            let said = match request.user.is_of_course() {
                true => self.of_courses_own(&config, id),
                false => self.of_course(&config, id, *role),
            };
            chosen.said = said.ok_or_else(|| Refusal::BadOptions(say!("course.unknown")))?;
        }
        let values = plan::plan(&config.servers, &command, &chosen);
        let mut order = plan::order(&values, &chosen, &request.home);
        // Where there is a system account, its own numbers count. What the configuration says of the
        // variables holds.
        let posix = request.posix.clone().filter(|_| run_as.is_none());
        for (name, value) in posix.iter().flat_map(Posix::env) {
            order.env.entry(name.to_owned()).or_insert(value);
        }
        // The data folder is closed to other accounts.
        if run_as.is_none() {
            let exchange = !config.grants.services.contains_key(SERVICE);
            let known = order.env.entry(JUPYTER_CONFIG_PATH.to_owned());
            let path = known.or_insert_with(|| self.jupyter_config.path(exchange));
            if let Some(folder) = self.folder_for_course(request, &chosen)? {
                *path = format!("{folder}:{path}");
            }
        } else if let Some(course) = self.grading_course(request) {
            tracing::warn!(%course, "a course's server runs under an account of the machine, which can't read the data folder: its nbgrader is not told of the course; the documentation says what to write there");
        }
        Ok(ServerSpec {
            path_first: vec![self.environment.bin.display().to_string()],
            run_as,
            posix,
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

    async fn is_of_the_machine(&self, name: &UserName) -> bool {
        let config = self.watch.current();
        let by_pam = (config.sign_in.iter()).any(|way| matches!(way, SignInMethod::Pam(_)));
        if self.accounts == Accounts::Shared && !by_pam {
            return false;
        }
        let name = name.to_string();
        // A directory behind it may be slow.
        let asked = tokio::task::spawn_blocking(move || nix::unistd::User::from_name(&name));
        // What is not known is no free name.
        !matches!(asked.await, Ok(Ok(None)))
    }
}

fn system_account(name: &str, missing: Saying) -> Result<RunAs, Refusal> {
    let found = nix::unistd::User::from_name(name)
        .map_err(anyhow::Error::from)?
        .ok_or(Refusal::NotAllowed(missing))?;
    if found.uid.as_raw() < FIRST_PERSON || found.gid.as_raw() == 0 {
        return Err(not_hers(name));
    }
    Ok(run_as(found)?)
}

fn not_hers(account: &str) -> Refusal {
    Refusal::NotAllowed(say!("launch.system_account", user = account))
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

/// The courses as the hub asks for them.
pub struct Courses {
    shelf: Shelf,
    watch: Arc<ConfigWatch>,
    /// None: another service answers in its place.
    exchange: Option<Exchange>,
    /// As they were when the shelf had changed so many times.
    servers: ArcSwap<(u64, Arc<CourseServers>)>,
}

impl Courses {
    pub fn new(shelf: Shelf, watch: Arc<ConfigWatch>, exchange: Option<Exchange>) -> Self {
        let servers = ArcSwap::from_pointee((u64::MAX, Arc::default()));
        Self {
            shelf,
            watch,
            exchange,
            servers,
        }
    }
}

#[async_trait]
impl CourseShelf for Courses {
    async fn courses_of(
        &self,
        user: &UserName,
        groups: &[String],
    ) -> anyhow::Result<Vec<CourseCard>> {
        let seen = self.shelf.seen_by(user, groups);
        let config = self.watch.current();
        let knows = |name: &str| config.environments.contains_key(name);
        let cards = seen.into_iter().map(|seen| CourseCard {
            id: seen.id.to_string(),
            title: seen.course.title.clone(),
            term: seen.course.term.clone(),
            starts: seen.course.starts_as(&seen.roles).is_some()
                && seen.course.has_environment(knows),
            archived: seen.course.is_archived(),
            roles: seen
                .roles
                .iter()
                .map(|role| role.as_str().to_owned())
                .collect(),
        });
        let mut cards: Vec<CourseCard> = cards.collect();
        // What is over stands below the rest.
        cards.sort_by_key(|card| card.archived);
        Ok(cards)
    }

    async fn work_of(&self, caller: &Caller) -> anyhow::Result<Vec<CourseWork>> {
        course_work::of(&self.shelf, self.exchange.as_ref(), caller).await
    }

    fn page_of(&self, caller: &Caller, course: &str) -> Option<String> {
        let may = caller.may(ScopeName::AccessServices, Target::Service(SERVICE));
        (may && self.exchange.is_some()).then(|| course_path(course))
    }

    fn roles_of(&self, user: &UserName, groups: &[String]) -> Vec<(CourseId, Vec<CourseRole>)> {
        self.shelf.roles_of(user, groups)
    }

    async fn is_named(&self, tx: &mut Tx, name: &UserName) -> sqlx::Result<bool> {
        // Also where another service answers now: what was handed in here is still hers.
        lyceum_exchange::db::people::is_named(tx, name.as_str()).await
    }

    fn has_course(&self, id: &CourseId) -> bool {
        self.shelf.course(id).is_some() || self.shelf.is_unclear(id)
    }

    fn naming_group(&self, group: &str) -> Vec<CourseId> {
        self.shelf.naming_group(group)
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
        let config = self.watch.current();
        let knows = |name: &str| config.environments.contains_key(name);
        let found = self.shelf.starts(user, groups, &id);
        let found = found.filter(|(course, _)| course.has_environment(knows));
        Ok(found.map(|(course, role)| CourseStart {
            id,
            title: course.title.clone(),
            role,
        }))
    }

    fn servers(&self) -> Arc<CourseServers> {
        // Before they are read: what is read may be newer, never older.
        let count = *self.shelf.changes().borrow();
        let kept = self.servers.load();
        if kept.0 == count {
            return kept.1.clone();
        }
        let there = self.shelf.servers().into_iter();
        let there = there.map(|(id, course, open_to)| CourseServer {
            id,
            title: course.title.clone(),
            open_to,
        });
        let servers = Arc::new(CourseServers {
            there: there.collect(),
            unclear: self.shelf.unclear(),
        });
        // Whoever else is at it has made the same.
        self.servers.store(Arc::new((count, servers.clone())));
        servers
    }

    fn faulty_files(&self) -> Vec<FaultyFile> {
        let all = self.shelf.faulty().into_iter();
        all.map(faulty_file).collect()
    }

    fn changes(&self) -> watch::Receiver<u64> {
        self.shelf.changes()
    }

    fn rooms(&self, now: Millis) -> Vec<Room> {
        let Ok(at) = Timestamp::from_millisecond(now.0) else {
            return Vec::new();
        };
        let config = self.watch.current();
        let meetings = self.shelf.meetings(&config.time_zone, at).into_iter();
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

fn faulty_file(faulty: Faulty) -> FaultyFile {
    let first = faulty.problems.first();
    FaultyFile {
        course: faulty.course.map(|id| id.to_string()),
        file: first.map_or_else(String::new, |problem| problem.file.clone()),
        mistakes: faulty.problems.into_iter().map(mistake).collect(),
        holds: match faulty.holds {
            shelf::Holds::Nothing => Holds::Nothing,
            shelf::Holds::Earlier(at) => Holds::Earlier(at.and_then(millis)),
            shelf::Holds::AllEarlier => Holds::AllEarlier,
            shelf::Holds::Rest => Holds::Rest,
        },
    }
}

fn mistake(problem: Problem) -> Mistake {
    Mistake {
        line: problem.place.map(|place| place.line),
        words: problem.message,
    }
}

fn millis(at: SystemTime) -> Option<Millis> {
    let at = Timestamp::try_from(at).ok()?;
    Some(Millis(at.as_millisecond()))
}

#[cfg(test)]
mod tests {
    use lyceum_courses::Site;
    use lyceum_model::clock::Clock;
    use lyceum_model::name::ServerName;

    use super::*;
    use crate::data::DataFolder;

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
        let site = Site {
            environments: vec!["gone".into()],
            ..Site::default()
        };
        let shelf = Shelf::open(folder.path(), site).expect("opened");
        assert!(shelf.problems().is_empty(), "{:?}", shelf.problems());
        let watch = ConfigWatch::open(None, Clock::system()).expect("the defaults are good");
        let courses = Courses::new(shelf, watch, None);
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

    /// Where whoever is called so would be taken for its owner.
    #[tokio::test]
    async fn accounts_of_the_machine_are_known() {
        let folder = tempfile::tempdir().expect("a folder");
        let shelf = Shelf::open(folder.path(), Site::default()).expect("opened");
        let path = folder.path().join("lyceum.yaml");
        let check = async |ways: &str, accounts: Accounts, expect: bool| {
            std::fs::write(&path, format!("sign_in: [{ways}]\n")).expect("written");
            let watch = ConfigWatch::open(Some(path.clone()), Clock::system()).expect("good");
            let environment = Environment {
                bin: "/jupyter/bin".into(),
                singleuser: "/jupyter/bin/jupyterhub-singleuser".into(),
                version: "6".into(),
            };
            let config = JupyterConfig::default();
            let planner = Planner::new(watch, shelf.clone(), environment, accounts, config);
            let known = async |name: &str| {
                let name = UserName::parse(name).expect("a name");
                planner.is_of_the_machine(&name).await
            };
            assert_eq!(known("root").await, expect, "{ways} {accounts:?}");
            assert!(!known("no-such-account-here").await);
        };
        let local = "{kind: local, title: T}";
        let pam = "{kind: pam, title: U, allow: {everyone: true}}";
        check(local, Accounts::System, true).await;
        check(local, Accounts::Shared, false).await;
        if cfg!(feature = "pam") {
            check(&format!("{local}, {pam}"), Accounts::Shared, true).await;
        }
    }

    #[tokio::test]
    async fn the_server_of_a_course_has_what_its_file_says_and_an_account_of_its_own() {
        let folder = tempfile::tempdir().expect("a folder");
        let write = |text: &str| std::fs::write(folder.path().join("bio.yaml"), text);
        write("title: Biology\nserver: {env: {FOR: all who teach}}\n").expect("written");
        let data = DataFolder::open(&folder.path().join("data")).expect("a data folder");
        let config = JupyterConfig::write(data.layout()).expect("written");
        let shelf = Shelf::open(folder.path(), Site::default()).expect("opened");
        let watch = ConfigWatch::open(None, Clock::system()).expect("the defaults are good");
        let environment = Environment {
            bin: "/jupyter/bin".into(),
            singleuser: "/jupyter/bin/jupyterhub-singleuser".into(),
            version: "6".into(),
        };
        let planner = |accounts| {
            Planner::new(
                watch.clone(),
                shelf.clone(),
                environment.clone(),
                accounts,
                config.clone(),
            )
        };
        let bio = CourseId::parse("bio").expect("an id");
        let request = LaunchRequest {
            user: UserName::of_course(&bio),
            admin: false,
            groups: Vec::new(),
            server: ServerName::default(),
            home: "course-bio-1".into(),
            posix: None,
            options: serde_json::json!({}),
            chosen: Chosen {
                course: Some((bio, CourseRole::Teacher)),
                ..Chosen::default()
            },
        };
        let spec = planner(Accounts::Shared).plan(&request).await;
        let spec = spec.expect("planned");
        assert_eq!(
            spec.env.get("FOR").map(String::as_str),
            Some("all who teach")
        );
        assert_eq!(spec.course.as_deref(), Some("bio"));
        let path = spec.env.get(JUPYTER_CONFIG_PATH).expect("a path");
        let root = data.layout().jupyter_config().display().to_string();
        let expect = format!("{root}/courses/bio/own:{}", config.path(true));
        assert_eq!(*path, expect);
        // No machine has that account; and whoever is called so does not get it.
        let strict = planner(Accounts::System);
        let refused = strict.plan(&request).await.expect_err("no such account");
        let said = refused.to_string();
        assert!(said.contains("no system account course-bio"), "{said}");
        let namesake = UserName::parse("course-bio").expect("a name");
        let refused = strict.system_account(&namesake).expect_err("not hers");
        let said = refused.to_string();
        assert!(said.contains("not of a person"), "{said}");
        write("title: Biology\n").expect("written");
        shelf.look().expect("looked");
        assert!(planner(Accounts::Shared).plan(&request).await.is_err());
    }
}
