//! A whole hub with its proxy on loopback, servers faked, on either database.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use lyceum_auth::config::{LocalConfig, People, SignUp};
use lyceum_auth::lti::OldLti;
use lyceum_auth::password::Hasher;
use lyceum_auth::{
    Admission, Authenticator, Chain, Elsewhere, Journeys, LocalAccounts, Lti, NobodyKnown,
    SecondFactors, SignIn, Throttle,
};
use lyceum_hub::config::StartLimits;
use lyceum_hub::course_work::CourseWork;
use lyceum_hub::launch::{
    CourseCard, CourseServer, CourseServers, CourseShelf, CourseStart, FaultyFile, LaunchPlanner,
    LaunchRequest, Refusal,
};
use lyceum_hub::mail::MailConfig;
use lyceum_hub::rooms::Room;
use lyceum_hub::{Hub, Parts, Settings, Timings, users};
use lyceum_model::clock::{Clock, Millis};
use lyceum_model::environment::Values;
use lyceum_model::name::UserName;
use lyceum_model::saying::Saying;
use lyceum_model::secret::Secret;
use lyceum_model::server::ServerSpec;
use lyceum_model::who::{CourseId, CourseRole, Forms, Who};
use lyceum_proxy::Proxy;
use lyceum_store::secret::Keys;
use lyceum_store::{Db, Tx};
use lyceum_web::Caller;
use lyceum_web::request::ProxyKey;
use lyceum_web::routes::{Part, RouteInfo};
use lyceum_web::xsrf::XsrfKey;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::below;
use crate::client::Client;
use crate::db::TestDb;
use crate::fake::FakeSpawner;

/// Everybody's password in tests.
pub const PASSWORD: &str = "correct horse battery staple";

/// The secret that hub and proxies share in tests.
pub const PROXY_SECRET: &str = "the secret of tests";

fn keys() -> Keys {
    Keys::from_bytes([9; 32])
}

fn second_factors(db: &Db, clock: &Clock) -> SecondFactors {
    SecondFactors::new(keys(), db.clone(), clock.clone())
}

/// A running hub; it ends when dropped.
pub struct TestHub {
    pub hub: Hub,
    pub proxy: Proxy,
    pub spawner: FakeSpawner,
    pub clock: Clock,
    pub routes: Vec<RouteInfo>,
    address: SocketAddr,
    hub_address: SocketAddr,
    accounts: LocalAccounts,
    shutdown: CancellationToken,
    tasks: Vec<tokio::task::JoinHandle<()>>,
    rooms: Arc<Mutex<Vec<Room>>>,
    in_courses: InCourses,
    course_servers: CourseServersNow,
    work: WorkOf,
    faulty: FaultyFiles,
    in_exchange: Names,
    of_the_machine: Names,
}

impl TestHub {
    /// A fresh hub on this database.
    pub async fn start(db: &TestDb) -> Self {
        Self::start_with(db.db().clone(), FakeSpawner::default()).await
    }

    /// Another life, or another replica, on the same database and spawner.
    pub async fn start_with(db: Db, spawner: FakeSpawner) -> Self {
        Self::start_tuned(db, spawner, |_, _| {}).await
    }

    /// With a clock that the test moves.
    pub async fn start_at(db: Db, spawner: FakeSpawner, clock: Clock) -> Self {
        Self::begin(db, spawner, clock, |_, _| {}, Vec::new()).await
    }

    /// As `start_with`, with other settings or more haste than usual.
    pub async fn start_tuned(
        db: Db,
        spawner: FakeSpawner,
        tune: impl FnOnce(&mut Settings, &mut Timings),
    ) -> Self {
        Self::begin(db, spawner, Clock::system(), tune, Vec::new()).await
    }

    /// Both.
    pub async fn start_tuned_at(
        db: Db,
        spawner: FakeSpawner,
        clock: Clock,
        tune: impl FnOnce(&mut Settings, &mut Timings),
    ) -> Self {
        Self::begin(db, spawner, clock, tune, Vec::new()).await
    }

    /// With a part beside the hub's own pages and API.
    pub async fn start_beside(
        db: Db,
        clock: Clock,
        tune: impl FnOnce(&mut Settings, &mut Timings),
        beside: Vec<Part>,
    ) -> Self {
        Self::begin(db, FakeSpawner::default(), clock, tune, beside).await
    }

    async fn begin(
        db: Db,
        spawner: FakeSpawner,
        clock: Clock,
        tune: impl FnOnce(&mut Settings, &mut Timings),
        beside: Vec<Part>,
    ) -> Self {
        let hub_listener = tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
            .await
            .expect("a port");
        let proxy_listener = tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
            .await
            .expect("a port");
        let hub_address = hub_listener.local_addr().expect("an address");
        let address = proxy_listener.local_addr().expect("an address");
        let accounts = LocalAccounts::new(
            db.clone(),
            clock.clone(),
            Hasher::new(2, 64),
            &LocalConfig::default(),
        );
        let sign_in = SignIn::new(
            Throttle::new(db.clone(), clock.clone()),
            Chain::new(vec![Arc::new(accounts.clone())]),
            Admission::new(People::default()),
            Arc::new(NobodyKnown),
        )
        .with_second_factors(second_factors(&db, &clock));
        let proxy_secret = Secret::new(PROXY_SECRET);
        let mut settings = Settings {
            origins: lyceum_hub::origins::Origins::one(None),
            api_url: format!("http://{hub_address}/hub/api"),
            start_timeout: Duration::from_secs(20),
            starts: StartLimits {
                at_once: 16,
                per_person: 4,
                slow_after: Duration::from_secs(20),
            },
            quotas: Vec::new(),
            culling: Default::default(),
            named_servers: 3,
            shared_in_browsers: false,
            admission: Default::default(),
            log_kept: Duration::from_secs(365 * 24 * 3600),
            second_factor: Default::default(),
            posix: Default::default(),
            mail: None,
            grants: Default::default(),
            profiles: Default::default(),
            site_name: "Lyceum".into(),
            theme: lyceum_web::page::Theme::default(),
            notices: lyceum_hub::notices::Notices::default(),
            sign_in_hint: None,
            config_state: Default::default(),
        };
        let mut timings = Timings::default();
        tune(&mut settings, &mut timings);
        if settings.origins.base().is_root() {
            settings.origins = settings.origins.below_path(below::asked());
        }
        let base = settings.origins.base().clone();
        let rooms: Arc<Mutex<Vec<Room>>> = Arc::default();
        let in_courses = InCourses::default();
        let course_servers = CourseServersNow::default();
        let work = WorkOf::default();
        let faulty = FaultyFiles::default();
        let (in_exchange, of_the_machine) = (Names::default(), Names::default());
        settings.theme = settings.theme.below(&base);
        settings.api_url = format!("http://{hub_address}{}", base.at("/hub/api"));
        let hub = Hub::new(Parts {
            db: db.clone(),
            clock: clock.clone(),
            spawner: Arc::new(spawner.clone()),
            planner: Arc::new(PlainPlanner(of_the_machine.clone())),
            shelf: Arc::new(OneCourse {
                rooms: rooms.clone(),
                in_courses: in_courses.clone(),
                course_servers: course_servers.clone(),
                work: work.clone(),
                faulty: faulty.clone(),
                in_exchange: in_exchange.clone(),
            }),
            sign_in,
            pages: lyceum_hub::pages::templates_with(&beside)
                .build()
                .expect("the templates are good"),
            settings,
            xsrf: XsrfKey::new([7; 32]),
            host_key: lyceum_hub::origins::HostKey::new([8; 32]),
            code_key: lyceum_auth::otp::CodeKey::new([10; 32]),
            proxy_secret: ProxyKey::of(&proxy_secret),
            beside,
        });
        hub.set_timings(timings);
        let mut tx = db.write().await.expect("a transaction");
        lyceum_hub::grants::follow(&mut tx, &hub.settings().grants, hub.now())
            .await
            .expect("followed");
        tx.commit().await.expect("written");
        let config = lyceum_proxy::Config {
            base_path: base.to_string(),
            proxy_secret: proxy_secret.expose().to_owned().into(),
            ..lyceum_proxy::Config::default()
        };
        let proxy = Proxy::new(
            config,
            lyceum_proxy::Target::from(hub_address),
            Arc::new(hub.clone()),
        );
        hub.links().attach(proxy.clone());
        let shutdown = CancellationToken::new();
        let (router, routes) = hub.router();
        let mut tasks = Vec::new();
        let stop = shutdown.clone();
        tasks.push(tokio::spawn(async move {
            let service = router.into_make_service_with_connect_info::<SocketAddr>();
            axum::serve(hub_listener, service)
                .with_graceful_shutdown(stop.cancelled_owned())
                .await
                .expect("served");
        }));
        let (serving, stop) = (proxy.clone(), shutdown.clone());
        tasks.push(tokio::spawn(async move {
            serving.run(proxy_listener, stop.cancelled_owned()).await
        }));
        for job in lyceum_hub::jobs::all(&hub, &shutdown) {
            tasks.push(tokio::spawn(job));
        }
        Self {
            hub,
            proxy,
            spawner,
            clock,
            routes,
            address,
            hub_address,
            accounts,
            shutdown,
            tasks,
            rooms,
            in_courses,
            course_servers,
            work,
            faulty,
            in_exchange,
            of_the_machine,
        }
    }

    /// Offers these ways in beside passwords, at the one address that there is.
    pub async fn offer(&self, methods: Vec<Arc<dyn Elsewhere>>, people: People) {
        self.offer_all(Vec::new(), methods, people).await;
    }

    /// Asks these for passwords first, before its own accounts.
    pub async fn ask_first(&self, methods: Vec<Arc<dyn Authenticator>>, people: People) {
        self.offer_all(methods, Vec::new(), people).await;
    }

    /// Lets people come from these learning platforms, beside passwords.
    pub async fn offer_platforms(&self, platforms: Vec<Arc<Lti>>, people: People) {
        self.offer_all(Vec::new(), Vec::new(), people).await;
        let sign_in = self.hub.sign_in().as_ref().clone();
        self.hub.replace_sign_in(sign_in.with_platforms(platforms));
    }

    /// People come from these platforms by LTI 1.1, beside those that come already.
    pub fn offer_old_platforms(&self, platforms: Vec<Arc<OldLti>>) {
        let sign_in = self.hub.sign_in().as_ref().clone();
        let sign_in = sign_in.with_old_platforms(platforms);
        self.hub.replace_sign_in(sign_in);
    }

    async fn offer_all(
        &self,
        mut asked: Vec<Arc<dyn Authenticator>>,
        methods: Vec<Arc<dyn Elsewhere>>,
        people: People,
    ) {
        let mut settings = self.hub.settings().as_ref().clone();
        let own = Some(format!("http://{}", self.address));
        settings.origins = lyceum_hub::origins::Origins::one(own).below_path(self.hub.base());
        self.hub.reload(settings).await;
        let (db, clock) = (self.hub.db().clone(), self.clock.clone());
        asked.push(Arc::new(self.accounts.clone()));
        let sign_in = SignIn::new(
            Throttle::new(db.clone(), clock.clone()),
            Chain::new(asked),
            Admission::new(people),
            Arc::new(lyceum_hub::users::KnownOf(db.clone())),
        )
        .with_second_factors(second_factors(&db, &clock));
        let journeys = Journeys::new(keys(), db, clock);
        self.hub
            .replace_sign_in(sign_in.with_elsewhere(methods, journeys));
    }

    /// Believes a proxy in front, beside passwords or alone.
    pub fn believe(&self, config: lyceum_auth::header::HeaderConfig, alone: bool) {
        self.proxy.set_identity(Some(lyceum_proxy::Identity {
            headers: config.headers().map(str::to_owned).collect(),
            from: (config.from.iter())
                .map(|network| network.to_string().parse().expect("a network"))
                .collect(),
        }));
        let accounts: Arc<dyn Authenticator> = Arc::new(self.accounts.clone());
        let chain = if alone { Vec::new() } else { vec![accounts] };
        let sign_in = SignIn::new(
            Throttle::new(self.hub.db().clone(), self.clock.clone()),
            Chain::new(chain),
            Admission::new(People::default()),
            Arc::new(lyceum_hub::users::KnownOf(self.hub.db().clone())),
        );
        let way = lyceum_auth::ByHeader::new(config);
        self.hub.replace_sign_in(sign_in.with_header(Some(way)));
    }

    /// Sends mail by this server from now on, with links to the one address that there is.
    pub async fn send_mail_by(&self, config: MailConfig) {
        let mut settings = self.hub.settings().as_ref().clone();
        let own = Some(format!("http://{}", self.address));
        settings.origins = lyceum_hub::origins::Origins::one(own).below_path(self.hub.base());
        settings.mail = Some(Arc::new(config));
        self.hub.reload(settings).await;
    }

    /// How people come to accounts by themselves from now on.
    pub fn sign_up(&self, sign_up: SignUp) {
        let config = LocalConfig {
            sign_up,
            ..LocalConfig::default()
        };
        let (db, clock) = (self.hub.db().clone(), self.clock.clone());
        let accounts = self.accounts.configured(&config);
        let sign_in = SignIn::new(
            Throttle::new(db.clone(), clock.clone()),
            Chain::new(vec![Arc::new(accounts)]),
            Admission::new(People::default()),
            Arc::new(lyceum_hub::users::KnownOf(db.clone())),
        );
        self.hub
            .replace_sign_in(sign_in.with_second_factors(second_factors(&db, &clock)));
    }

    /// What course files would say of meetings.
    pub fn plan_rooms(&self, rooms: Vec<Room>) {
        *self.rooms.lock().unwrap_or_else(PoisonError::into_inner) = rooms;
    }

    /// What a course file would say of `ada` or `group:staff`.
    pub fn put_in_course(&self, who: &str, course: &str, role: CourseRole) {
        let who = Who::parse(who, Forms::People).expect("a good entry");
        let course = CourseId::parse(course).expect("a good id");
        let all = self.in_courses.lock();
        let mut all = all.unwrap_or_else(PoisonError::into_inner);
        all.push((who, course, role));
        drop(all);
        self.course_servers.announce();
    }

    /// Somebody of whom the exchange would know by her name alone.
    pub fn put_in_exchange(&self, name: &str) {
        put(&self.in_exchange, name);
    }

    /// An account that the machine would have.
    pub fn give_machine_account(&self, name: &str) {
        put(&self.of_the_machine, name);
    }

    /// What course files would say of the servers of courses: their ids, and `ada` or `group:staff` who
    /// open them. What is left out has none.
    pub fn give_courses_servers(&self, servers: &[(&str, &[&str])]) {
        let there = servers.iter().map(|(course, open_to)| CourseServer {
            id: CourseId::parse(course).expect("a good id"),
            title: format!("The course {course}"),
            open_to: (open_to.iter())
                .map(|who| Who::parse(who, Forms::People).expect("a good entry"))
                .collect(),
        });
        self.course_servers.set(CourseServers {
            there: there.collect(),
            unclear: Vec::new(),
        });
    }

    /// What is to be done in courses by her from now on. Those beside the one that everybody sees are called
    /// `The course ID`, and nothing is started for them.
    pub fn give_work(&self, name: &str, work: Vec<CourseWork>) {
        let all = self.work.lock();
        let mut all = all.unwrap_or_else(PoisonError::into_inner);
        all.insert(name.to_owned(), work);
        drop(all);
        self.course_servers.announce();
    }

    /// The course files in which something is wrong from now on.
    pub fn break_course_files(&self, files: Vec<FaultyFile>) {
        *self.faulty.lock().unwrap_or_else(PoisonError::into_inner) = files;
    }

    /// Course files that can't be read, and what others say stays away.
    pub fn blur_courses(&self, courses: &[&str]) {
        let unclear = courses
            .iter()
            .map(|id| CourseId::parse(id).expect("a good id"));
        self.course_servers.set(CourseServers {
            there: Vec::new(),
            unclear: unclear.collect(),
        });
    }

    /// Makes a person with the password of tests.
    pub async fn with_user(self, name: &str) -> Self {
        self.add(name, false).await;
        self
    }

    pub async fn with_admin(self, name: &str) -> Self {
        self.add(name, true).await;
        self
    }

    /// Somebody who has a password and has never come.
    pub async fn with_account(self, name: &str) -> Self {
        let name = UserName::parse(name).expect("a good name");
        self.accounts
            .set_password(&name, Secret::new(PASSWORD))
            .await
            .expect("a password is set");
        self
    }

    async fn add(&self, name: &str, admin: bool) {
        let name = UserName::parse(name).expect("a good name");
        self.accounts
            .set_password(&name, Secret::new(PASSWORD))
            .await
            .expect("a password is set");
        let mut tx = self.hub.db().write().await.expect("a transaction");
        let user = users::ensure(&mut tx, &name, self.hub.now())
            .await
            .expect("a user");
        lyceum_hub::db::users::set_admin(&mut tx, &user.id, admin)
            .await
            .expect("written");
        tx.commit().await.expect("written");
    }

    /// A new browser in front of the proxy.
    pub fn client(&self) -> Client {
        Client::new(self.address).below(self.hub.base())
    }

    /// A browser that is signed in.
    pub async fn signed_in(&self, name: &str) -> Client {
        let client = self.client();
        client.log_in(name, PASSWORD).await.expect(302);
        client
    }

    /// An API token of this person that may do all she may.
    pub async fn token(&self, name: &str) -> String {
        let name = UserName::parse(name).expect("a good name");
        let mut tx = self.hub.db().write().await.expect("a transaction");
        let user = lyceum_hub::db::users::find(&mut tx, &name)
            .await
            .expect("read")
            .expect("the user is there");
        let new = lyceum_hub::tokens::NewToken {
            scopes: vec!["inherit".into()],
            ..Default::default()
        };
        let (_, secret) = lyceum_hub::tokens::issue(&mut tx, &user, new, self.hub.now())
            .await
            .expect("a token");
        tx.commit().await.expect("written");
        secret
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The hub itself, without its proxy.
    pub fn hub_address(&self) -> SocketAddr {
        self.hub_address
    }

    /// Cuts it off as `kill -9` would, and returns when nothing of it moves any more.
    pub async fn kill(mut self) {
        for task in &self.tasks {
            task.abort();
        }
        for task in self.tasks.drain(..) {
            // Cancelled is what we want, and one that panicked is as dead.
            drop(task.await);
        }
    }

    /// Ends it in good order; fails when something goes on.
    pub async fn stop(mut self) {
        self.shutdown.cancel();
        for task in self.tasks.drain(..) {
            let ended = tokio::time::timeout(Duration::from_secs(30), task).await;
            ended
                .expect("every task ends at shutdown")
                .expect("no task panics");
        }
    }
}

impl Drop for TestHub {
    fn drop(&mut self) {
        self.shutdown.cancel();
        // As a kill would: whatever is under way is cut off.
        for task in &self.tasks {
            task.abort();
        }
    }
}

/// Takes `profile` and `course` from what was chosen; refuses courses that begin with `refused`.
struct PlainPlanner(Names);

#[async_trait]
impl LaunchPlanner for PlainPlanner {
    async fn plan(&self, request: &LaunchRequest) -> Result<ServerSpec, Refusal> {
        let asked = |key: &str| request.options[key].as_str().map(str::to_owned);
        if asked("course").is_some_and(|course| course.starts_with("refused")) {
            return Err(Refusal::NotAllowed(Saying::quote("The test refuses it.")));
        }
        let mut spec = ServerSpec {
            command: vec!["fake".into()],
            home: request.home.clone(),
            posix: request.posix.clone(),
            profile: request.chosen.profile.clone().or_else(|| asked("profile")),
            course: (request.chosen.course.as_ref()).map(|(course, _)| course.to_string()),
            ..ServerSpec::default()
        };
        Values::of(&request.chosen.said).apply(&mut spec);
        Ok(spec)
    }

    async fn plan_room(&self, course: &str) -> anyhow::Result<ServerSpec> {
        Ok(ServerSpec {
            command: vec!["fake".into()],
            course: Some(course.into()),
            ..ServerSpec::default()
        })
    }

    async fn is_of_the_machine(&self, name: &UserName) -> bool {
        has(&self.0, name)
    }
}

type Names = Arc<Mutex<BTreeSet<UserName>>>;

fn put(names: &Names, name: &str) {
    let name = UserName::parse(name).expect("a good name");
    let mut names = names.lock().unwrap_or_else(PoisonError::into_inner);
    names.insert(name);
}

fn has(names: &Names, name: &UserName) -> bool {
    let names = names.lock().unwrap_or_else(PoisonError::into_inner);
    names.contains(name)
}

/// By the name of whoever is to do it.
type WorkOf = Arc<Mutex<BTreeMap<String, Vec<CourseWork>>>>;
type FaultyFiles = Arc<Mutex<Vec<FaultyFile>>>;
type InCourses = Arc<Mutex<Vec<(Who, CourseId, CourseRole)>>>;

/// The servers of courses as they are now; whoever waits for changes is woken.
#[derive(Clone, Default)]
struct CourseServersNow {
    servers: Arc<Mutex<Arc<CourseServers>>>,
    changes: watch::Sender<u64>,
}

impl CourseServersNow {
    fn set(&self, servers: CourseServers) {
        let now = self.servers.lock();
        *now.unwrap_or_else(PoisonError::into_inner) = Arc::new(servers);
        self.announce();
    }

    fn announce(&self) {
        self.changes.send_modify(|count| *count += 1);
    }
}

struct OneCourse {
    rooms: Arc<Mutex<Vec<Room>>>,
    in_courses: InCourses,
    course_servers: CourseServersNow,
    work: WorkOf,
    faulty: FaultyFiles,
    in_exchange: Names,
}

impl OneCourse {
    fn work(&self, name: &UserName) -> Vec<CourseWork> {
        let all = self.work.lock();
        let all = all.unwrap_or_else(PoisonError::into_inner);
        all.get(name.as_str()).cloned().unwrap_or_default()
    }
}

#[async_trait]
impl CourseShelf for OneCourse {
    async fn courses_of(&self, name: &UserName, _: &[String]) -> anyhow::Result<Vec<CourseCard>> {
        let signals = CourseCard {
            id: "signals".into(),
            title: "Signals and Systems".into(),
            term: Some("autumn 2026".into()),
            roles: vec!["student".into()],
            starts: true,
            archived: false,
        };
        let work = self.work(name).into_iter();
        let others = work.filter(|work| work.course != signals.id && work.added.is_none());
        let others = others.map(|work| CourseCard {
            title: format!("The course {}", work.course),
            id: work.course,
            starts: false,
            ..signals.clone()
        });
        Ok(others.chain([signals.clone()]).collect())
    }

    async fn work_of(&self, caller: &Caller) -> anyhow::Result<Vec<CourseWork>> {
        let work = match &caller.who {
            lyceum_web::caller::Who::Person(person) => self.work(&person.name),
            lyceum_web::caller::Who::Service(_) => Vec::new(),
        };
        let broken = work.iter().any(|work| work.course == "broken");
        anyhow::ensure!(!broken, "it can't be looked up, as the test wants it");
        Ok(work)
    }

    fn roles_of(&self, user: &UserName, groups: &[String]) -> Vec<(CourseId, Vec<CourseRole>)> {
        let all = self.in_courses.lock();
        let all = all.unwrap_or_else(PoisonError::into_inner);
        let mut found = BTreeMap::<CourseId, Vec<CourseRole>>::new();
        for (_, course, role) in all
            .iter()
            .filter(|(who, ..)| who.is_among(user.as_str(), groups))
        {
            found.entry(course.clone()).or_default().push(*role);
        }
        found.into_iter().collect()
    }

    async fn is_named(&self, _: &mut Tx, name: &UserName) -> sqlx::Result<bool> {
        Ok(has(&self.in_exchange, name))
    }

    /// Any but those that begin with `no-such`.
    fn has_course(&self, id: &CourseId) -> bool {
        !id.as_str().starts_with("no-such")
    }

    fn naming_group(&self, group: &str) -> Vec<CourseId> {
        let all = self.in_courses.lock();
        let all = all.unwrap_or_else(PoisonError::into_inner);
        let named = |who: &Who| matches!(who, Who::Group(named) if named == group);
        let found = all.iter().filter(|(who, ..)| named(who));
        found.map(|(_, course, _)| course.clone()).collect()
    }

    /// Everybody may start for every course, except for those that begin with `closed`.
    async fn starts(
        &self,
        _: &UserName,
        _: &[String],
        course: &str,
    ) -> anyhow::Result<Option<CourseStart>> {
        let id = CourseId::parse(course).filter(|id| !id.as_str().starts_with("closed"));
        Ok(id.map(|id| CourseStart {
            title: format!("The course {id}"),
            id,
            role: CourseRole::Student,
        }))
    }

    fn servers(&self) -> Arc<CourseServers> {
        let now = self.course_servers.servers.lock();
        now.unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn faulty_files(&self) -> Vec<FaultyFile> {
        let now = self.faulty.lock();
        now.unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn changes(&self) -> watch::Receiver<u64> {
        self.course_servers.changes.subscribe()
    }

    fn rooms(&self, _: Millis) -> Vec<Room> {
        let rooms = self.rooms.lock();
        rooms.unwrap_or_else(PoisonError::into_inner).clone()
    }
}
