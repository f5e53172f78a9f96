//! The composition root: builds every part and joins them. Read this first.
//!
//! [`Ground`] is what each command stands on (database, blobs, keys, accounts); [`Machine`] is the
//! running product: hub, proxy and background work, with one shutdown for all.

use lyceum_model::saying::Saying;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use lyceum_auth::config::{Listed, LocalConfig as LocalAccountsConfig, People};
use lyceum_auth::lti::{OldLti, ToolKeys};
use lyceum_auth::otp::CodeKey;
use lyceum_auth::password::Hasher;
use lyceum_auth::{
    Admission, Authenticator, ByHeader, Chain, Dummy, Elsewhere, Journeys, Ldap, LocalAccounts,
    Lti, OAuth2, Oidc, SecondFactors, SignIn, Throttle,
};
use lyceum_courses::lti::Platform;
use lyceum_courses::{Shelf, Site};
use lyceum_exchange::Exchange;
use lyceum_hub::config::StartLimits;
use lyceum_hub::grants::Grants;
use lyceum_hub::jobs::managed::Services;
use lyceum_hub::origins::{HostKey, Origins};
use lyceum_hub::{Hub, Parts, Settings};
use lyceum_model::base::BasePath;
use lyceum_model::clock::Clock;
use lyceum_model::secret::Secret;
use lyceum_proxy::{Proxy, passage};
use lyceum_spawn::env::inherit;
use lyceum_spawn::local::{LocalConfig, LocalSpawner};
use lyceum_store::Db;
use lyceum_store::blobs::{Blobs, Disk};
use lyceum_store::db::Location;
use lyceum_store::migrate::{self, Step};
use lyceum_store::secret::Keys;
use lyceum_web::page::{Pages, Theme};
use lyceum_web::request::ProxyKey;
use lyceum_web::routes::Part;
use lyceum_web::xsrf::XsrfKey;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use url::Url;

use crate::config::{Config, SignInMethod};
use crate::course_pages::Started;
use crate::data::Layout;
use crate::exchange;
use crate::failure::Failure;
use crate::jupyter::Environment;
use crate::jupyter_config::JupyterConfig;
use crate::keeping::{self, Keeping};
use crate::keys;
use crate::launch::{Accounts, Courses, Planner};
use crate::place::Place;
use crate::process::ProcessMetrics;
use crate::public::Public;
use crate::reload::{ConfigState, ConfigWatch};
use crate::within::Within;

/// How much longer than requests everything else may take to end.
const LAST: Duration = Duration::from_secs(13);

/// Which program this is: the same for everything but the tests, which also play one of a version to
/// come.
pub struct Program {
    /// The shapes of the database that it knows.
    pub steps: &'static [Step],
    /// The command that keeps a server.
    pub keeper: Vec<String>,
}

impl Program {
    pub fn this() -> Self {
        Self {
            steps: migrate::STEPS,
            // An upgrade may replace the file while this runs, and the new one's keeper need not
            // understand us; this names what runs.
            keeper: vec!["/proc/self/exe".to_owned(), "shim".to_owned()],
        }
    }
}

/// What every command stands on.
pub struct Ground {
    pub db: Db,
    pub blobs: Blobs,
    pub keys: Keys,
    pub clock: Clock,
    pub accounts: LocalAccounts,
}

/// Database and blobs, without what needs the key.
pub struct Store {
    pub db: Db,
    pub blobs: Blobs,
}

impl Store {
    /// Opens the store of a configuration and brings it to the newest shape.
    pub async fn open(config: &Config, data: &Layout) -> Result<Self, Failure> {
        Self::open_as(&Program::this(), config, data).await
    }

    async fn open_as(program: &Program, config: &Config, data: &Layout) -> Result<Self, Failure> {
        let location = location(config, data)?;
        let db = Db::open(&location)
            .await
            .map_err(|error| database_failure(&error, &location))?;
        migrate::run_steps(&db, program.steps)
            .await
            .map_err(|error| database_failure(&error, &location))?;
        let folder = blob_folder(config, data);
        let disk = Disk::open(&folder).await.map_err(|error| {
            Failure::new(format!(
                "the blob folder {} can't be used: {error:#}",
                folder.display()
            ))
            .hint(
                "check that it exists and may be written, or name another with `store: {blobs: …}`",
            )
        })?;
        Ok(Self {
            db,
            blobs: Blobs::Disk(disk),
        })
    }
}

impl Ground {
    pub async fn open(config: &Config, data: &Layout) -> Result<Self, Failure> {
        Self::open_as(&Program::this(), config, data).await
    }

    pub async fn open_as(
        program: &Program,
        config: &Config,
        data: &Layout,
    ) -> Result<Self, Failure> {
        let Store { db, blobs } = Store::open_as(program, config, data).await?;
        let clock = db.clock().await.map_err(|error| {
            Failure::new(format!("the time can't be asked of the database: {error}"))
        })?;
        let keys = keys::find(&db, config, data, &clock).await?;
        let accounts = LocalAccounts::new(
            db.clone(),
            clock.clone(),
            Hasher::default(),
            &local_accounts(config),
        );
        Ok(Self {
            db,
            blobs,
            keys,
            clock,
            accounts,
        })
    }
}

/// As `sign_in` has them; without them there the command line still makes accounts.
fn local_accounts(config: &Config) -> LocalAccountsConfig {
    let mut ways = config.sign_in.iter();
    let local = ways.find_map(|way| match way {
        SignInMethod::Local(local) => Some(local.clone()),
        _ => None,
    });
    local.unwrap_or_default()
}

fn blob_folder(config: &Config, data: &Layout) -> PathBuf {
    let folder = config.store.blobs.clone();
    folder.unwrap_or_else(|| data.blobs())
}

pub fn location(config: &Config, data: &Layout) -> Result<Location, Failure> {
    match &config.store.database {
        None => Ok(Location::Sqlite(data.database())),
        Some(url) => Location::parse(url.expose()).map_err(|error| {
            Failure::new(format!("`store.database`: {error}"))
                .hint("lyceum config check tells where it comes from")
        }),
    }
}

fn database_failure(error: &anyhow::Error, location: &Location) -> Failure {
    let (what, hint) = match location {
        Location::Sqlite(path) => (
            format!("the database {} can't be used: {error:#}", path.display()),
            "check that the data folder may be written and the disk is not full; `lyceum restore` brings a backup back",
        ),
        // The URL holds a password: it is not repeated.
        Location::Postgres(_) => (
            format!("PostgreSQL can't be used: {error:#}"),
            "check that the server runs and that user, password and database of `store.database` are right",
        ),
    };
    Failure::new(what).hint(hint)
}

/// All that [`Machine::start`] needs beside the ground.
pub struct Order {
    pub watch: Arc<ConfigWatch>,
    pub environment: Environment,
    pub data: Layout,
    /// For people, through a proxy in this process. `None`: proxies run apart.
    pub public: Option<Public>,
    /// For the hub itself.
    pub internal: TcpListener,
    /// Where servers reach the hub's API.
    pub api_url: String,
    pub spawner: LocalSpawner,
    /// For the services that the hub runs.
    pub services: LocalSpawner,
    pub place: Option<Place>,
    pub accounts: Accounts,
    pub hint: Option<Saying>,
}

/// The running product.
pub struct Machine {
    pub hub: Hub,
    shutdown: CancellationToken,
    tasks: TaskTracker,
    /// How long requests may go on once it is to stop.
    drain: Duration,
}

impl Machine {
    /// Joins the parts and sets them going.
    pub fn start(ground: &Ground, order: Order) -> Result<Self, Failure> {
        let config = order.watch.current();
        let shelf = shelf(&order.data, &config)?;
        let origins = origins(&config, order.public.as_ref().map(|public| public.address));
        if let Some(words) = config.shared_host() {
            tracing::warn!("`subdomains` {words}");
        }
        let bin = order.environment.bin.display().to_string();
        let planner = Planner::new(
            order.watch.clone(),
            shelf.clone(),
            order.environment,
            order.accounts,
            JupyterConfig::write(&order.data)?,
        );
        let proxy_secret = keys::proxy_secret(&ground.keys, &config);
        let pages = pages()?;
        let theme = theme(&pages, &config, origins.base(), None);
        let config_state = state_with(&order.watch.state(), &config, &theme);
        let exchange = exchange::open(ground, shelf.clone(), blob_folder(&config, &order.data));
        exchange.set_quota(config.exchange.quota);
        // A service of the site's own with its name is what answers, on the hub's port too.
        let services = &config.grants.services;
        let exchange = match services.contains_key(lyceum_exchange::SERVICE) {
            true => None,
            false => Some(exchange),
        };
        let told = exchange.clone();
        let started = Arc::new(Started {
            shelf: shelf.clone(),
            watch: order.watch.clone(),
        });
        let beside = exchange.iter().flat_map(|exchange| {
            [
                lyceum_exchange::api::ngshare::part(exchange),
                lyceum_exchange::api::native::part(exchange),
                lyceum_exchange::pages::part(exchange, started.clone()),
            ]
        });
        let beside: Vec<Part> = beside.collect();
        let courses = Courses::new(shelf.clone(), order.watch.clone(), exchange);
        let hub = Hub::new(Parts {
            db: ground.db.clone(),
            clock: ground.clock.clone(),
            spawner: Arc::new(order.spawner),
            planner: Arc::new(planner),
            shelf: Arc::new(courses),
            sign_in: sign_in(ground, &config),
            pages,
            settings: settings(
                &config,
                &ground.keys,
                &origins,
                &config_state,
                &order.api_url,
                order.hint.as_ref(),
                theme,
            ),
            xsrf: XsrfKey::new(ground.keys.derive("lyceum xsrf")),
            host_key: HostKey::new(ground.keys.derive("lyceum hosts")),
            code_key: code_key(&ground.keys),
            proxy_secret: ProxyKey::of(&proxy_secret),
            beside,
        });
        let public = order.public.map(|public| {
            let config = lyceum_proxy::Config {
                trusted_proxies: config.trusted_proxies.clone(),
                identity: config.identity.clone(),
                access_log: config.proxy.access_log,
                limits: config.proxy.limits.clone(),
                upstream: config.proxy.upstream(),
                http2: lyceum_proxy::Http2 {
                    prior_knowledge: config.proxy.plain_http2,
                    ..lyceum_proxy::Http2::default()
                },
                base_path: config.base.to_string(),
                ..proxy_config(&proxy_secret)
            };
            let (target, passage) = passage();
            let proxy = Proxy::new(config, target, Arc::new(hub.clone()));
            hub.links().attach(proxy.clone());
            (proxy, public, passage)
        });
        let running = public.as_ref().map(|(proxy, ..)| proxy.clone());
        let state = ConfigMetrics::default();
        let mut registry = Registry::default();
        hub.event_log().open(config.events.clone());
        hub.register_metrics(&mut registry, &config.metrics_prefix);
        if let Some((proxy, public, _)) = &public {
            proxy.register_metrics(&mut registry);
            if let Some(certificates) = &public.certificates {
                certificates.register_metrics(&mut registry);
            }
        }
        state.register(&mut registry);
        registry.register_collector(Box::new(ProcessMetrics));
        let collected = keeping::Metrics::default();
        collected.register(&mut registry);
        state.tell(&config_state);
        hub.publish_metrics(registry);

        let (shutdown, tasks) = (CancellationToken::new(), TaskTracker::new());
        let (router, _) = hub.router();
        let (stop, beyond) = (shutdown.clone(), router.clone());
        tasks.spawn(async move {
            let service = beyond.into_make_service_with_connect_info::<SocketAddr>();
            let served = axum::serve(order.internal, service)
                .with_graceful_shutdown(stop.cancelled_owned())
                .await;
            if let Err(error) = served {
                tracing::error!(%error, "the hub stopped listening");
            }
        });
        if let Some((proxy, public, passage)) = public {
            let stop = shutdown.clone();
            tasks.spawn(async move {
                let served = axum::serve(Within(passage), router.into_make_service())
                    .with_graceful_shutdown(stop.cancelled_owned())
                    .await;
                if let Err(error) = served {
                    tracing::error!(%error, "the hub stopped listening to its proxy");
                }
            });
            let Public {
                doors,
                certificates,
                ..
            } = public;
            let stop = shutdown.clone();
            tasks.spawn(async move { proxy.run_doors(doors, stop.cancelled_owned()).await });
            if let Some(certificates) = certificates {
                let stop = shutdown.clone();
                tasks.spawn(async move { certificates.keep(stop.cancelled_owned()).await });
            }
        }
        for job in lyceum_hub::jobs::all(&hub, &shutdown) {
            tasks.spawn(job);
        }
        let keeping = Keeping {
            db: ground.db.clone(),
            blobs: ground.blobs.clone(),
            clock: ground.clock.clone(),
            signer: exchange::signer(&ground.keys),
            shelf: shelf.clone(),
            watch: order.watch.clone(),
            data: order.data.clone(),
            metrics: collected,
        };
        tasks.spawn(keeping.run(shutdown.clone()));
        let digest_key = ground.keys.derive("lyceum services");
        let spawner = Arc::new(order.services);
        let services = Services::new(hub.clone(), spawner, vec![bin], digest_key);
        tasks.spawn(services.run(shutdown.clone()));
        if let Some(place) = order.place {
            tasks.spawn(place.keep(shutdown.clone()));
        }
        tasks.spawn(shelf.clone().follow(shutdown.clone()));
        let (watch, stop) = (order.watch.clone(), shutdown.clone());
        tasks.spawn(async move {
            if let Err(error) = watch.run(stop.cancelled_owned()).await {
                tracing::error!(%error, "the configuration is no longer looked at; a restart reads it");
            }
        });
        tasks.spawn(apply_reloads(
            Reload {
                hub: hub.clone(),
                origins,
                watch: order.watch,
                api_url: order.api_url,
                hint: order.hint,
                state,
                shelf,
                exchange: told,
                proxy: running,
            },
            Sources {
                db: ground.db.clone(),
                clock: ground.clock.clone(),
                keys: ground.keys.clone(),
                accounts: ground.accounts.clone(),
            },
            shutdown.clone(),
        ));
        tasks.close();
        Ok(Self {
            hub,
            shutdown,
            tasks,
            drain: config.proxy.limits.drain,
        })
    }

    /// Waits until somebody asks for the end by the API.
    pub async fn asked(&self) {
        self.hub.asked_to_end().cancelled().await;
    }

    /// Waits until a part ends the whole by itself.
    pub async fn ended(&self) {
        self.shutdown.cancelled().await;
    }

    /// Stops taking requests, lets what is under way end, and returns. Notebook servers go on.
    pub async fn stop(self) {
        self.shutdown.cancel();
        if tokio::time::timeout(self.drain + LAST, self.tasks.wait())
            .await
            .is_err()
        {
            tracing::warn!("some work did not end in time; it is taken up at the next start");
        }
        let hub = self.hub.clone();
        // The disk may be slow.
        let closing = tokio::task::spawn_blocking(move || hub.event_log().close());
        if tokio::time::timeout(LAST, closing).await.is_err() {
            tracing::warn!("the last events were not written to the event log in time");
        }
        self.hub.db().close().await;
    }
}

/// What every proxy is built with, in this process or apart.
pub fn proxy_config(secret: &Secret) -> lyceum_proxy::Config {
    lyceum_proxy::Config {
        proxy_secret: secret.expose().to_owned().into(),
        ..lyceum_proxy::Config::default()
    }
}

/// The spawner of this machine; `doctor` asks it what limits servers get.
pub fn local_spawner(
    program: &Program,
    config: &Config,
    data: &Layout,
) -> Result<LocalSpawner, Failure> {
    let homes = config.spawner.homes.clone().unwrap_or_else(|| data.homes());
    LocalSpawner::new(local_config(program, data.run(), homes))
        .map_err(|error| Failure::new(format!("servers can't be run here: {error}")))
}

fn local_config(program: &Program, run: PathBuf, homes: PathBuf) -> LocalConfig {
    let mut local = LocalConfig::new(program.keeper.clone(), run, homes);
    local.inherited = inherit(environment(), &[]);
    local.open_files = crate::open_files::earlier();
    local
}

/// What runs the services that the hub looks after.
pub fn service_spawner(program: &Program, data: &Layout) -> Result<LocalSpawner, Failure> {
    let root = data.services();
    let mut local = local_config(program, root.join("run"), root.join("homes"));
    // They are no notebooks: there is nothing to be interrupted.
    local.interrupt = Duration::ZERO;
    LocalSpawner::new(local)
        .map_err(|error| Failure::new(format!("services can't be run here: {error}")))
}

/// The environment as far as it is text; what is not can't be handed on.
fn environment() -> impl Iterator<Item = (String, String)> {
    std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
}

/// The courses, held against the configuration.
pub fn shelf(data: &Layout, config: &Config) -> Result<Shelf, Failure> {
    Shelf::open(&data.courses(), site(config))
        .map_err(|error| Failure::new(format!("the courses: {error:#}")))
}

/// What course files are held against.
pub fn site(config: &Config) -> Site {
    Site {
        environments: config.environments.keys().cloned().collect(),
        services: config.grants.services.keys().cloned().collect(),
        platforms: (config.sign_in.iter())
            .filter_map(|method| match method {
                SignInMethod::Lti(lti) => Some(Platform {
                    id: lti.id.clone(),
                    trusts_labels: lti.trust_labels,
                    trusts_links: lti.trust_links,
                }),
                SignInMethod::OldLti(old) => Some(Platform {
                    id: old.id.clone(),
                    trusts_labels: old.trust_labels,
                    trusts_links: old.trust_links,
                }),
                _ => None,
            })
            .collect(),
        groups: config.course_groups.clone(),
        zone: config.time_zone.clone(),
    }
}

fn sign_in(ground: &Ground, config: &Config) -> SignIn {
    build_sign_in(
        &ground.db,
        &ground.clock,
        &ground.keys,
        &ground.accounts,
        config,
    )
}

fn build_sign_in(
    db: &Db,
    clock: &Clock,
    keys: &Keys,
    accounts: &LocalAccounts,
    config: &Config,
) -> SignIn {
    let lists = &config.people;
    let people = People {
        admins: Listed {
            people: lists.admins.clone(),
            groups: lists.admin_groups.clone(),
        },
        allow: lists.allow.clone(),
        existing: lists.existing,
        block: lists.block.clone(),
    };
    let mut asked: Vec<Arc<dyn Authenticator>> = Vec::new();
    let mut elsewhere: Vec<Arc<dyn Elsewhere>> = Vec::new();
    let mut header = None;
    let (mut platforms, mut old_platforms) = (Vec::new(), Vec::new());
    let tool = ToolKeys::new(db.clone(), keys.clone(), clock.clone());
    for method in &config.sign_in {
        match method {
            SignInMethod::Local(local) => asked.push(Arc::new(accounts.configured(local))),
            SignInMethod::Oidc(oidc) => match Oidc::new((**oidc).clone(), clock.clone()) {
                Ok(oidc) => elsewhere.push(Arc::new(oidc)),
                Err(error) => not_offered(&oidc.title, &error),
            },
            SignInMethod::OAuth2(oauth) => match OAuth2::new((**oauth).clone()) {
                Ok(oauth) => elsewhere.push(Arc::new(oauth)),
                Err(error) => not_offered(&oauth.title, &error),
            },
            SignInMethod::Ldap(ldap) => match Ldap::new((**ldap).clone()) {
                Ok(ldap) => asked.push(Arc::new(ldap)),
                Err(error) => not_offered(&ldap.title, &error),
            },
            SignInMethod::Header(config) => header = Some(ByHeader::new((**config).clone())),
            SignInMethod::Lti(lti) => match Lti::new((**lti).clone(), clock.clone()) {
                Ok(lti) => platforms.push(Arc::new(lti.with_tool(tool.clone()))),
                Err(error) => not_offered(&lti.title, &error),
            },
            SignInMethod::OldLti(old) => {
                old_platforms.push(Arc::new(OldLti::new((**old).clone(), clock.clone())));
            }
            #[cfg(feature = "pam")]
            SignInMethod::Pam(pam) => asked.push(Arc::new(lyceum_pam::Pam::new(pam.clone()))),
            // Its check has refused it already.
            #[cfg(not(feature = "pam"))]
            SignInMethod::Pam(_) => {}
            SignInMethod::Dummy(dummy) => asked.push(Arc::new(Dummy::new(dummy.clone()))),
        }
    }
    let journeys = Journeys::new(keys.clone(), db.clone(), clock.clone());
    let second_factors = SecondFactors::new(keys.clone(), db.clone(), clock.clone());
    SignIn::new(
        Throttle::new(db.clone(), clock.clone()),
        Chain::new(asked),
        Admission::new(people),
        Arc::new(lyceum_hub::users::KnownOf(db.clone())),
    )
    .with_elsewhere(elsewhere, journeys)
    .with_header(header)
    .with_second_factors(second_factors)
    .with_platforms(platforms)
    .with_old_platforms(old_platforms)
}

fn not_offered(title: &str, error: &anyhow::Error) {
    let error = format!("{error:#}");
    tracing::error!(title, error, "a way to sign in can't be offered");
}

/// Where browsers meet the hub and servers. `listen`: the port for people, if it is in this process.
pub fn origins(config: &Config, listen: Option<SocketAddr>) -> Origins {
    let here = listen.and_then(|address| localhost(address, config.tls.is_some()));
    let one = || {
        let hub = config.public_url.as_ref();
        Origins::one(hub.map(|url| url.origin().ascii_serialization()))
    };
    let below_localhost = |url: &Url| {
        url.domain()
            .is_some_and(|host| format!(".{host}").ends_with(".localhost"))
    };
    let hub = match (&config.public_url, config.subdomains) {
        (_, Some(false)) => None,
        (Some(url), Some(true)) => Some(url),
        (Some(url), None) => Some(url).filter(|url| below_localhost(url)),
        (None, Some(true)) => here.as_ref(),
        // A certificate may not be for names below.
        (None, None) => here.as_ref().filter(|url| url.scheme() == "http"),
    };
    hub.and_then(Origins::apart)
        .unwrap_or_else(one)
        .below_path(config.base.clone())
}

/// The address by which browsers on this machine come, if others can't come at all.
fn localhost(address: SocketAddr, tls: bool) -> Option<Url> {
    let is_here = address.ip() == Ipv4Addr::LOCALHOST || address.ip() == Ipv6Addr::LOCALHOST;
    let scheme = if tls { "https" } else { "http" };
    let url = format!("{scheme}://localhost:{}", address.port());
    is_here.then(|| url.parse().ok()).flatten()
}

/// By which codes on paper are kept.
pub fn code_key(keys: &Keys) -> CodeKey {
    CodeKey::new(keys.derive("lyceum codes of sittings"))
}

/// Who may do what, services that the hub runs among them.
pub fn grants(config: &Config, keys: &Keys) -> Grants {
    let mut grants = config.grants.clone();
    exchange::open_to_people(&mut grants);
    grants.fill_tokens(|service| keys::service_token(keys, service));
    grants
}

fn settings(
    config: &Config,
    keys: &Keys,
    origins: &Origins,
    state: &ConfigState,
    api_url: &str,
    hint: Option<&Saying>,
    theme: Theme,
) -> Settings {
    Settings {
        origins: origins.clone(),
        api_url: api_url.to_owned(),
        start_timeout: config.servers.start_timeout,
        starts: StartLimits {
            at_once: as_places(config.servers.concurrent_starts),
            per_person: as_places(config.servers.concurrent_starts_per_person),
            slow_after: config.servers.slow_after,
        },
        quotas: config.quotas.clone(),
        culling: config.culling.clone(),
        named_servers: as_places(config.servers.per_person.saturating_sub(1)),
        shared_in_browsers: config.servers.shared_in_browsers,
        admission: lyceum_hub::config::Admission {
            admins: config.people.admins.clone(),
            admin_groups: config.people.admin_groups.clone(),
            allow: config.people.allow.clone(),
            existing: config.people.existing,
            block: config.people.block.clone(),
        },
        log_kept: config.people.log_kept,
        second_factor: config.second_factor.clone(),
        posix: config.posix.clone(),
        mail: config.mail.clone(),
        grants: grants(config, keys),
        profiles: config.profiles.clone(),
        site_name: config.theme.name.clone(),
        theme,
        notices: config.site.notices.clone(),
        sign_in_hint: hint.cloned(),
        config_state: lyceum_hub::config::ConfigState {
            generation: state.generation,
            loaded_at: state.loaded_at.0,
            source: state.source.clone(),
            problem: state.problem.clone().map(|text| (state.looked_at.0, text)),
        },
    }
}

/// The templates of the pages, compiled.
pub fn pages() -> Result<Pages, Failure> {
    lyceum_hub::pages::templates()
        .add(lyceum_exchange::pages::TEMPLATES)
        .build()
        .map_err(|error| Failure::new(format!("the pages can't be made: {error:#}")))
}

/// How pages look; the log tells which templates of the site are broken.
fn theme(pages: &Pages, config: &Config, base: &BasePath, before: Option<&Theme>) -> Theme {
    let theme = config.theme.theme(pages, before.and_then(Theme::site));
    let theme = theme.with_links(config.site.links.clone()).below(base);
    let theme = theme.in_zone(config.time_zone.clone());
    let is_same = before.is_some_and(|before| match (before.site(), theme.site()) {
        (Some(before), Some(now)) => Arc::ptr_eq(before, now),
        _ => false,
    });
    for problem in config.theme.problems(&theme).iter().filter(|_| !is_same) {
        tracing::error!(%problem, "a template of the site is broken; its last good version or the built-in page is shown");
    }
    for problem in &config.theme.languages.problems {
        tracing::error!(%problem, "a line of a language's file is not used; English is said instead");
    }
    theme
}

/// Broken templates don't hold up the configuration, but are told with it.
fn state_with(state: &ConfigState, config: &Config, theme: &Theme) -> ConfigState {
    let languages = config.theme.languages.problems.clone();
    let problems = [config.theme.problems(theme), languages].concat();
    let lines: Vec<String> = problems.iter().map(ToString::to_string).collect();
    let problem = state.problem.clone();
    ConfigState {
        problem: problem.or_else(|| (!lines.is_empty()).then(|| lines.join("\n"))),
        ..state.clone()
    }
}

fn as_places(number: u32) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

#[derive(Clone, Default)]
struct ConfigMetrics {
    generation: Gauge,
    bad: Gauge,
}

impl ConfigMetrics {
    fn register(&self, registry: &mut Registry) {
        let own = registry.sub_registry_with_prefix("lyceum_config");
        own.register(
            "generation",
            "Configurations that were in force since the start",
            self.generation.clone(),
        );
        own.register(
            "bad_edit",
            "1 while the last edit of the configuration is not in force",
            self.bad.clone(),
        );
    }

    fn tell(&self, state: &ConfigState) {
        self.generation
            .set(i64::try_from(state.generation).unwrap_or(i64::MAX));
        self.bad.set(i64::from(state.problem.is_some()));
    }
}

struct Reload {
    hub: Hub,
    origins: Origins,
    watch: Arc<ConfigWatch>,
    api_url: String,
    hint: Option<Saying>,
    state: ConfigMetrics,
    shelf: Shelf,
    /// None: another service answers in its place.
    exchange: Option<Exchange>,
    /// The one in this process.
    proxy: Option<Proxy>,
}

struct Sources {
    db: Db,
    clock: Clock,
    keys: Keys,
    accounts: LocalAccounts,
}

/// Brings each new configuration, and the news of a bad edit, to the parts.
async fn apply_reloads(reload: Reload, from: Sources, shutdown: CancellationToken) {
    let mut news = reload.watch.subscribe();
    loop {
        tokio::select! {
            () = shutdown.cancelled() => return,
            changed = news.changed() => if changed.is_err() { return },
        }
        let (config, state) = (reload.watch.current(), reload.watch.state());
        reload.shelf.set_site(site(&config));
        if let Some(exchange) = &reload.exchange {
            exchange.set_quota(config.exchange.quota);
        }
        let before = reload.hub.settings();
        let theme = theme(
            reload.hub.pages(),
            &config,
            reload.origins.base(),
            Some(&before.theme),
        );
        let state = state_with(&state, &config, &theme);
        reload.state.tell(&state);
        let hint = reload.hint.as_ref();
        let (origins, api_url) = (&reload.origins, &reload.api_url);
        let settings = settings(&config, &from.keys, origins, &state, api_url, hint, theme);
        reload.hub.replace_sign_in(build_sign_in(
            &from.db,
            &from.clock,
            &from.keys,
            &from.accounts,
            &config,
        ));
        if let Some(proxy) = &reload.proxy {
            proxy.set_access_log(config.proxy.access_log);
            proxy.set_identity(config.identity.clone());
        }
        reload.hub.event_log().open(config.events.clone());
        reload.hub.reload(settings).await;
    }
}

/// Whether other accounts of the machine could reach a path: each folder above it lets them through.
pub fn closed_to_others(path: &Path) -> Option<PathBuf> {
    use std::os::unix::fs::PermissionsExt;
    path.ancestors()
        .filter(|folder| folder.is_dir())
        .find(|folder| {
            folder
                .metadata()
                .is_ok_and(|meta| meta.permissions().mode() & 0o001 == 0)
        })
        .map(Path::to_owned)
}
