//! The hub: people, tokens, servers, and JupyterHub's API and OAuth provider over them.
//!
//! An ordinary JupyterHub without teaching: courses, exams and the exchange are not known here. What
//! they add comes through [`launch`] (the planner and the course shelf, implemented in the binary).
//!
//! Reading order: [`servers`] (the life of a server as rules), [`jobs::keeper`] (who makes it happen),
//! [`queue`] (what those hear who wait for their turn), [`rooms`] (whose places are kept),
//! [`cull`] (when servers have to end),
//! [`profiles`] and [`choosing`] (what may be started), [`course_servers`] (servers that courses have), [`course_work`] (what is to be done in them), [`below`] (where it all stands),
//! [`identify`] (who calls), [`refreshing`] (whether she still may), [`grants`], [`shares`] and [`standing`] (what they may do), [`origins`] (where
//! browsers meet whom), [`api`] and [`pages`] (what people and programs see), [`proxy`] (routes
//! and access for the data plane), [`audit`] and [`deeds`] (who did what), [`metrics`] and [`event_log`]
//! (what it tells of itself), [`mail`] (what it writes to people).

pub mod access;
pub mod api;
pub mod audit;
pub mod below;
pub mod choosing;
pub mod config;
pub mod course_servers;
pub mod course_work;
pub mod cull;
pub mod db;
pub mod deeds;
pub mod event_log;
pub mod giving;
pub mod grants;
pub mod groups;
pub mod identify;
pub mod jobs;
pub mod languages;
pub mod launch;
pub mod launching;
pub mod lti;
pub mod mail;
pub mod maintenance;
pub mod metrics;
mod moment;
pub mod next;
pub mod notices;
pub mod oauth;
pub mod origins;
pub mod pages;
pub mod posix;
pub mod profiles;
pub mod proxy;
pub mod queue;
pub mod quota;
pub mod refreshing;
pub mod rooms;
pub mod second_factor;
pub mod seen;
pub mod select;
pub mod servers;
pub mod services;
pub mod sessions;
pub mod shares;
pub mod sittings;
pub mod size;
pub mod standing;
pub mod survive;
mod suspicion;
pub mod tokens;
pub mod trouble;
pub mod usage;
pub mod users;
pub mod uses;
pub mod visit;

use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, OnceLock};

use arc_swap::ArcSwap;
use axum::{Extension, Router};
use lyceum_auth::SignIn;
use lyceum_auth::otp::CodeKey;
use lyceum_model::base::BasePath;
use lyceum_model::clock::{Clock, Millis};
use lyceum_model::id::new_id;
use lyceum_model::name::UserName;
use lyceum_spawn::Spawner;
use lyceum_spawn::local::LocalSpawner;
use lyceum_store::{Db, Tx};
use lyceum_web::frame::Framed;
use lyceum_web::openapi::Described;
use lyceum_web::page::Pages;
use lyceum_web::request::ProxyKey;
use lyceum_web::routes::{Part, RouteInfo};
use lyceum_web::xsrf::XsrfKey;
use prometheus_client::registry::Registry;
use tokio_util::sync::CancellationToken;

pub use config::{Settings, Timings};

/// The state of the hub; cheap to clone.
#[derive(Clone)]
pub struct Hub(Arc<Inner>);

/// What the composition root hands over.
pub struct Parts {
    pub db: Db,
    pub clock: Clock,
    pub spawner: Arc<dyn Spawner>,
    pub planner: Arc<dyn launch::LaunchPlanner>,
    pub shelf: Arc<dyn launch::CourseShelf>,
    pub sign_in: SignIn,
    pub pages: Pages,
    pub settings: Settings,
    pub xsrf: XsrfKey,
    /// For cookies that open one host's servers.
    pub host_key: origins::HostKey,
    /// By which codes on paper are kept.
    pub code_key: CodeKey,
    /// By which a proxy proves itself to the hub.
    pub proxy_secret: ProxyKey,
    /// What is served beside the hub's own pages and API: to those who call, who are looked up here.
    pub beside: Vec<Part>,
}

struct Inner {
    db: Db,
    clock: Clock,
    spawner: Arc<dyn Spawner>,
    planner: Arc<dyn launch::LaunchPlanner>,
    shelf: Arc<dyn launch::CourseShelf>,
    sign_in: ArcSwap<SignIn>,
    pages: Pages,
    settings: ArcSwap<Settings>,
    timings: ArcSwap<Timings>,
    xsrf: XsrfKey,
    host_key: origins::HostKey,
    code_key: CodeKey,
    proxy_secret: ProxyKey,
    beside: Vec<Part>,
    /// The API's, once somebody has asked for it.
    document: OnceLock<String>,
    replica: String,
    links: proxy::Links,
    suspicion: suspicion::Suspicion,
    /// Whether an exam goes on, or begins soon, to which people come in with codes; when somebody last
    /// looked.
    sittings_near: AtomicBool,
    /// When this replica last began to look after all servers that are ready, and came to the end of it.
    watched: AtomicI64,
    line: queue::Line,
    rooms: rooms::Known,
    services: OnceLock<Arc<LocalSpawner>>,
    started_at: Millis,
    metrics: metrics::Metrics,
    event_log: event_log::EventLog,
    token_uses: jobs::token_uses::TokenUses,
    guesses: shares::Guesses,
    seen: seen::Callers,
    home_pages: pages::home::kept::Pages,
    refreshes: refreshing::Refreshes,
    reports: uses::Reports,
    switched: arc_swap::ArcSwapOption<maintenance::Switched>,
    samples: usage::Samples,
    post: mail::Post,
    registry: OnceLock<Registry>,
    ending: CancellationToken,
}

impl Hub {
    pub fn new(parts: Parts) -> Self {
        let started_at = parts.clock.now();
        Self(Arc::new(Inner {
            replica: new_id(started_at),
            db: parts.db,
            clock: parts.clock,
            spawner: parts.spawner,
            planner: parts.planner,
            shelf: parts.shelf,
            sign_in: ArcSwap::from_pointee(parts.sign_in),
            pages: parts.pages,
            settings: ArcSwap::from_pointee(parts.settings),
            timings: ArcSwap::default(),
            xsrf: parts.xsrf,
            host_key: parts.host_key,
            code_key: parts.code_key,
            proxy_secret: parts.proxy_secret,
            beside: parts.beside,
            document: OnceLock::new(),
            links: proxy::Links::default(),
            suspicion: suspicion::Suspicion::default(),
            sittings_near: AtomicBool::default(),
            watched: AtomicI64::new(i64::MIN),
            line: queue::Line::default(),
            rooms: rooms::Known::default(),
            services: OnceLock::new(),
            started_at,
            metrics: metrics::Metrics::default(),
            event_log: event_log::EventLog::default(),
            token_uses: jobs::token_uses::TokenUses::default(),
            guesses: shares::Guesses::default(),
            seen: seen::Callers::default(),
            home_pages: pages::home::kept::Pages::default(),
            refreshes: refreshing::Refreshes::default(),
            reports: uses::Reports::default(),
            switched: arc_swap::ArcSwapOption::empty(),
            samples: usage::Samples::default(),
            post: mail::Post::default(),
            registry: OnceLock::new(),
            ending: CancellationToken::new(),
        }))
    }

    /// Everything under `/hub/` and what is beside it, ready to be served, and the list of its routes.
    pub fn router(&self) -> (Router, Vec<RouteInfo>) {
        let (mut router, mut list) = pages::routes().merge(api::routes()).into_parts();
        let framed = Framed(Arc::new(pages::frames::HubFrames(self.clone())));
        for part in &self.0.beside {
            let own = match part.templates.is_empty() {
                true => part.router.clone(),
                false => part.router.clone().layer(Extension(framed.clone())),
            };
            router = router.merge(own.with_state(()));
            list.extend(part.routes.iter().cloned());
        }
        let router = identify::layers(self.clone(), router);
        (below::mount(self.base(), router), list)
    }

    /// Puts new settings in force; what runs is not disturbed.
    pub async fn reload(&self, settings: Settings) {
        let before = self.0.settings.swap(Arc::new(settings));
        let now = self.settings();
        if languages::for_proxies(&before.theme) != languages::for_proxies(&now.theme) {
            proxy::tell_languages(self);
        }
        if let Err(error) = self.try_again().await {
            tracing::warn!(error = %error, "environments that fail keep their pauses");
        }
        let changed = before.admission != now.admission
            || before.grants != now.grants
            || before.shared_in_browsers != now.shared_in_browsers;
        if changed && let Err(error) = self.ask_about_everybody_anew().await {
            tracing::error!(
                error = format!("{error:#}"),
                "the proxies could not be told of the new lists; what they remember ends by itself"
            );
        }
    }

    /// What made starts fail may be put right with a new configuration.
    async fn try_again(&self) -> sqlx::Result<()> {
        let mut tx = self.db().write().await?;
        db::trouble::forget(&mut tx).await?;
        tx.commit().await
    }

    async fn ask_about_everybody_anew(&self) -> anyhow::Result<()> {
        let mut tx = self.db().write().await?;
        let settings = self.settings();
        let admins = &settings.admission.admins;
        for name in users::follow_configuration(&mut tx, admins, self.now()).await? {
            tracing::info!(%name, "no administrator any more: the configuration no longer says so");
        }
        grants::follow(&mut tx, &settings.grants, self.now()).await?;
        jobs::revocations::announce_all(&mut tx, self.now()).await?;
        tx.commit().await?;
        proxy::refresh(self).await
    }

    /// Other times than the usual ones, for stories that can't wait; before the jobs start.
    pub fn set_timings(&self, timings: Timings) {
        self.0.timings.store(Arc::new(timings));
    }

    /// Puts other sign-in methods and lists in force.
    pub fn replace_sign_in(&self, sign_in: SignIn) {
        self.0.sign_in.store(Arc::new(sign_in));
    }

    /// Puts what this hub counts into a registry.
    pub fn register_metrics(&self, registry: &mut Registry, prefix: &str) {
        let lost = self.0.event_log.lost();
        self.0.metrics.register(registry, prefix, lost);
    }

    /// The registry whose metrics `/hub/metrics` tells; set once by the composition root.
    pub fn publish_metrics(&self, registry: Registry) {
        // A second one would be a fault of the composition root; the first stays.
        let _ = self.0.registry.set(registry);
    }

    pub fn metrics_text(&self) -> Result<String, std::fmt::Error> {
        let mut text = String::new();
        if let Some(registry) = self.0.registry.get() {
            prometheus_client::encoding::text::encode(&mut text, registry)?;
        }
        Ok(text)
    }

    /// Asks for the end of this process; see [`Hub::asked_to_end`].
    pub fn end(&self) {
        self.0.ending.cancel();
    }

    /// Cancelled when somebody who may has asked for the end; the composition root sees to it.
    pub fn asked_to_end(&self) -> &CancellationToken {
        &self.0.ending
    }

    /// Whether this person may not come in, whatever she holds.
    pub async fn shuts_out(&self, tx: &mut Tx, user: &db::users::User) -> sqlx::Result<bool> {
        if user.blocked_at.is_some() {
            return Ok(true);
        }
        Ok(!self.lists_let_in(tx, &user.name, &user.id).await?)
    }

    /// Whether the lists of the configuration, which are about people, let her in.
    pub async fn lists_let_in(
        &self,
        tx: &mut Tx,
        name: &UserName,
        user_id: &str,
    ) -> sqlx::Result<bool> {
        if name.is_of_course() {
            return Ok(true);
        }
        let settings = self.settings();
        let groups = match settings.admission.names_groups() {
            true => db::groups::names_of(tx, user_id).await?,
            false => Vec::new(),
        };
        if settings.admission.lets_in(name, &groups) {
            return Ok(true);
        }
        if settings.admission.block.has(name, &groups) {
            return Ok(false);
        }
        // Who was made an administrator here comes in without being named.
        db::users::was_made_admin(tx, user_id).await
    }

    /// Somebody, unless she may not come in.
    pub async fn let_in(
        &self,
        tx: &mut Tx,
        user: Option<db::users::User>,
    ) -> sqlx::Result<Option<db::users::User>> {
        match user {
            Some(user) if !self.shuts_out(tx, &user).await? => Ok(Some(user)),
            _ => Ok(None),
        }
    }

    pub fn db(&self) -> &Db {
        &self.0.db
    }

    /// The maintenance that was switched on, as this process knows it.
    pub(crate) fn switched(&self) -> &arc_swap::ArcSwapOption<maintenance::Switched> {
        &self.0.switched
    }

    pub fn now(&self) -> Millis {
        self.0.clock.now()
    }

    pub fn clock(&self) -> &Clock {
        &self.0.clock
    }

    pub fn spawner(&self) -> &Arc<dyn Spawner> {
        &self.0.spawner
    }

    pub fn planner(&self) -> &dyn launch::LaunchPlanner {
        &*self.0.planner
    }

    pub fn shelf(&self) -> &dyn launch::CourseShelf {
        &*self.0.shelf
    }

    pub fn sign_in(&self) -> Arc<SignIn> {
        self.0.sign_in.load_full()
    }

    pub fn pages(&self) -> &Pages {
        &self.0.pages
    }

    pub fn settings(&self) -> Arc<Settings> {
        self.0.settings.load_full()
    }

    pub fn timings(&self) -> Arc<Timings> {
        self.0.timings.load_full()
    }

    pub fn xsrf(&self) -> &XsrfKey {
        &self.0.xsrf
    }

    /// As far as this replica knows, for the log-in page.
    pub(crate) fn sittings_are_near(&self) -> bool {
        self.0.sittings_near.load(Ordering::Relaxed)
    }

    pub(crate) fn note_sittings(&self, near: bool) {
        self.0.sittings_near.store(near, Ordering::Relaxed);
    }

    pub fn code_key(&self) -> &CodeKey {
        &self.0.code_key
    }

    pub fn host_key(&self) -> &origins::HostKey {
        &self.0.host_key
    }

    pub fn proxy_secret(&self) -> &ProxyKey {
        &self.0.proxy_secret
    }

    /// Below which path all of it is.
    pub fn base(&self) -> BasePath {
        self.0.settings.load().origins.base().clone()
    }

    /// A path of ours as browsers see it, from one as routes are registered.
    pub fn at(&self, path: &str) -> String {
        self.0.settings.load().origins.base().at(path)
    }

    /// Whether a part takes large bodies at this path.
    pub(crate) fn takes_large(&self, path: &str) -> bool {
        let mut prefixes = self.0.beside.iter().flat_map(|part| part.large);
        prefixes.any(|prefix| path.starts_with(prefix))
    }

    pub(crate) fn document(&self) -> &OnceLock<String> {
        &self.0.document
    }

    /// What the parts beside it say of their routes.
    pub fn described(&self) -> Vec<Described> {
        let beside = self.0.beside.iter();
        beside.map(|part| part.described).collect()
    }

    /// The name under which this process holds leases.
    pub fn replica(&self) -> &str {
        &self.0.replica
    }

    pub fn links(&self) -> &proxy::Links {
        &self.0.links
    }

    /// Meetings to which many come, the next first.
    pub fn rooms(&self, now: Millis) -> Arc<[rooms::Room]> {
        self.0.rooms.look(self, now)
    }

    /// What runs services, if the hub does.
    pub(crate) fn service_spawner(&self) -> Option<&LocalSpawner> {
        self.0.services.get().map(|spawner| &**spawner)
    }

    pub(crate) fn set_service_spawner(&self, spawner: Arc<LocalSpawner>) {
        // There is one in a process.
        drop(self.0.services.set(spawner));
    }

    /// The starts that wait, as they were a moment ago.
    pub fn line(&self) -> &queue::Line {
        &self.0.line
    }

    pub fn started_at(&self) -> Millis {
        self.0.started_at
    }

    pub fn metrics(&self) -> &metrics::Metrics {
        &self.0.metrics
    }

    /// Where it is told what people and programs did.
    pub fn event_log(&self) -> &event_log::EventLog {
        &self.0.event_log
    }

    /// Tells of what has just happened, for good.
    pub(crate) fn tell(&self, event: event_log::Event<'_>) {
        self.0.event_log.tell(event, self.now());
    }

    /// Servers that the watch shall look after before their time.
    pub(crate) fn suspicion(&self) -> &suspicion::Suspicion {
        &self.0.suspicion
    }

    /// Up to when ends of servers were looked for: what was ready then still ran, as far as the spawner
    /// tells. One that has ended since may have done so at any time.
    pub(crate) fn watched_until(&self) -> Millis {
        Millis(self.0.watched.load(Ordering::Relaxed))
    }

    pub(crate) fn say_watched(&self, until: Millis) {
        self.0.watched.store(until.0, Ordering::Relaxed);
    }

    /// Who has come with codes that nobody made.
    pub fn guesses(&self) -> &shares::Guesses {
        &self.0.guesses
    }

    /// When servers and people were last used, as far as it is not written yet.
    pub(crate) fn reports(&self) -> &uses::Reports {
        &self.0.reports
    }

    /// Who came lately with which token.
    pub(crate) fn home_pages(&self) -> &pages::home::kept::Pages {
        &self.0.home_pages
    }

    pub(crate) fn seen(&self) -> &seen::Callers {
        &self.0.seen
    }

    /// What is known of providers that are asked about those who are here.
    pub(crate) fn refreshes(&self) -> &refreshing::Refreshes {
        &self.0.refreshes
    }

    /// What was measured of servers.
    pub(crate) fn samples(&self) -> &usage::Samples {
        &self.0.samples
    }

    /// Where mail to people waits until it is sent.
    pub(crate) fn post(&self) -> &mail::Post {
        &self.0.post
    }

    /// Where it is noted that a token was used.
    pub fn token_uses(&self) -> &jobs::token_uses::TokenUses {
        &self.0.token_uses
    }
}
