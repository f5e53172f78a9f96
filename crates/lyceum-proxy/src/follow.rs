//! A proxy that runs apart from the hubs: follows the routes of one of them, asks any of them who
//! may use a route, and tells them what was used.
//!
//! While no hub answers the last table stays in force, across a restart too; access is then decided
//! by what is remembered, for a bounded time, and refused after it. Open WebSockets go on. What was
//! taken away meanwhile is made up for as soon as a hub is there: the stream goes on after the
//! number that was seen, at whichever hub.
//!
//! Drawers: `wire` (what is said), `mirror` (news become a table), `stream` (from where they come),
//! `hubs` (calls), `ask` (access), `report` (what goes back), `disk` (the table's file), `lines`.

mod ask;
mod disk;
mod hubs;
mod lines;
mod mirror;
mod report;
mod stream;
pub mod wire;

use std::{path::PathBuf, sync::Arc, time::Duration};

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

pub use mirror::{Mirror, NewsError, difference};

use crate::{
    Access, Proxy, config::ProxySecret, fallback::Fallback, target::Target, upstream::Upstream,
};
use disk::{Saved, Shelf};
use stream::Follower;

/// For the last news of activity at shutdown.
const LAST_WORDS: Duration = Duration::from_secs(2);
/// Said on the health page before there is anything to serve.
const NOTHING_YET: &str =
    "no hub has answered yet, and there is no table of routes from earlier; trying again";

/// How to follow.
#[derive(Clone, Debug)]
pub struct Settings {
    /// All replicas of the hub, in the order they are tried.
    pub hubs: Vec<Target>,
    /// Below which path the hubs have all of theirs, with a slash at both ends.
    pub base_path: String,
    pub secret: ProxySecret,
    /// How hubs are checked whose address begins with `https`, and what is shown to them.
    pub upstream: Upstream,
    /// Where the last table is kept; none: it is not.
    pub folder: Option<PathBuf>,
    /// A stream that is silent for so long is given up. Hubs beat every two seconds.
    pub silence: Duration,
    /// How long decisions may be kept while nobody tells of revocations.
    pub keep_when_cut: Duration,
    /// How often news of activity go back.
    pub report_every: Duration,
}

impl Settings {
    pub fn new(hubs: Vec<Target>, secret: ProxySecret) -> Self {
        Self {
            hubs,
            base_path: "/".into(),
            secret,
            upstream: Upstream::default(),
            folder: None,
            silence: Duration::from_secs(10),
            keep_when_cut: Duration::from_secs(30),
            report_every: Duration::from_secs(15),
        }
    }
}

/// Why a proxy can't even begin to follow.
#[derive(Debug, thiserror::Error)]
pub enum FollowError {
    #[error("no hub is named")]
    NoHub,
    #[error("the proxy secret is empty or has characters that can't stand in a header")]
    Secret,
    #[error("TLS towards the hubs can't be set up: {0}")]
    Tls(String),
    #[error("the folder {folder} for the table of routes can't be used: {error}", folder = .0.display(), error = .1)]
    Folder(PathBuf, std::io::Error),
}

/// The tie between one proxy and its hubs. Made before the proxy, since that needs its parts.
#[derive(Debug)]
pub struct Link {
    settings: Settings,
    hubs: hubs::Hubs,
    access: Arc<ask::HttpAccess>,
    shelf: Option<Shelf>,
    name: String,
    /// The number that the stream has reached; none while no hub is heard.
    reached: watch::Sender<Option<i64>>,
}

impl Link {
    pub fn new(settings: Settings) -> Result<Self, FollowError> {
        let fallback = Fallback::new(settings.hubs.clone()).ok_or(FollowError::NoHub)?;
        if settings.secret.expose().is_empty() {
            return Err(FollowError::Secret);
        }
        let hubs = hubs::Hubs::new(fallback, &settings)?;
        let shelf = match &settings.folder {
            Some(folder) => Some(
                Shelf::open(folder).map_err(|error| FollowError::Folder(folder.clone(), error))?,
            ),
            None => None,
        };
        let access = Arc::new(ask::HttpAccess::new(hubs.clone(), settings.keep_when_cut));
        Ok(Self {
            settings,
            hubs,
            access,
            shelf,
            name: crate::request_id::RequestId::new().to_string(),
            reached: watch::Sender::new(None),
        })
    }

    /// For [`Proxy::new`].
    pub fn fallback(&self) -> Fallback {
        self.hubs.fallback().clone()
    }

    /// For [`Proxy::new`].
    pub fn access(&self) -> Arc<dyn Access> {
        self.access.clone()
    }

    /// The number of the newest change that is in force, none while no hub is heard.
    pub fn reached(&self) -> watch::Receiver<Option<i64>> {
        self.reached.subscribe()
    }

    /// Follows until `shutdown`.
    pub async fn run(self, proxy: Proxy, shutdown: CancellationToken) {
        proxy.set_trouble(Some(NOTHING_YET.into()));
        let mut mirror = Mirror::new(proxy.clone());
        let mut numbering = String::new();
        if let Some(saved) = self.load().await {
            numbering = saved.numbering;
            proxy.set_languages(saved.languages);
            match mirror.restore(saved.number, saved.routes) {
                Ok(()) => proxy.set_trouble(None),
                Err(error) => {
                    tracing::warn!(%error, "the table of routes on disk can't be used");
                }
            }
        }
        let (reached, progress) = (self.reached.clone(), self.reached.subscribe());
        let (to_save, saving) = watch::channel(None);
        let mut follower = Follower {
            settings: &self.settings,
            hubs: &self.hubs,
            access: &self.access,
            proxy: &proxy,
            mirror,
            numbering,
            reached,
            to_save: self.shelf.is_some().then_some(to_save),
            unsaved: false,
            saved_at: None,
        };
        let targets: Vec<Target> = self.hubs.fallback().targets().cloned().collect();
        let watching =
            futures_util::future::join_all(targets.iter().map(|hub| self.hubs.watch(hub)));
        let telling = futures_util::future::join_all(
            targets
                .iter()
                .map(|hub| report::tell_progress(hub, &self.hubs, &self.name, progress.clone())),
        );
        let mut uses = report::Uses::default();
        let work = async {
            tokio::join!(
                follower.run(),
                watching,
                telling,
                self.access.run(),
                self.save(&proxy, saving.clone()),
                async {
                    loop {
                        tokio::time::sleep(self.settings.report_every).await;
                        let number = *progress.borrow();
                        uses.send(&proxy, &self.hubs, &self.name, number).await;
                    }
                },
            );
        };
        let _ = shutdown.run_until_cancelled(work).await;
        follower.save_rest();
        let last_table = saving.borrow().clone();
        if let Some(table) = last_table {
            self.write(&proxy, table, &mut false).await;
        }
        let last_words = async {
            uses.send(&proxy, &self.hubs, &self.name, None).await;
            report::take_leave(&self.hubs, &self.name).await;
        };
        let _ = tokio::time::timeout(LAST_WORDS, last_words).await;
    }

    async fn load(&self) -> Option<Saved> {
        let shelf = self.shelf.clone()?;
        let file = shelf.file();
        let loaded = tokio::task::spawn_blocking(move || shelf.load())
            .await
            .ok()?;
        match loaded {
            Ok(saved) => saved,
            Err(error) => {
                tracing::warn!(file = %file.display(), %error, "the table of routes on disk is ignored");
                None
            }
        }
    }

    /// Writes each new table; while one is being written, those in between are skipped.
    async fn save(&self, proxy: &Proxy, mut news: watch::Receiver<Option<Arc<Saved>>>) {
        let mut failing = false;
        while news.changed().await.is_ok() {
            let Some(saved) = news.borrow_and_update().clone() else {
                continue;
            };
            self.write(proxy, saved, &mut failing).await;
        }
    }

    async fn write(&self, proxy: &Proxy, saved: Arc<Saved>, failing: &mut bool) {
        // Once handed on, the next process keeps the file.
        let shelf = self.shelf.clone();
        if let Some(shelf) = shelf.filter(|_| !proxy.inner.is_handed_on()) {
            let file = shelf.file();
            let written = tokio::task::spawn_blocking(move || shelf.save(&saved)).await;
            match written {
                Ok(Ok(())) => *failing = false,
                Ok(Err(error)) => {
                    if !*failing {
                        tracing::warn!(file = %file.display(), %error, "the table of routes can't be written down; a restart without a hub would have an older one");
                    }
                    *failing = true;
                }
                Err(error) => tracing::error!(%error, "writing the table of routes broke off"),
            }
        }
    }
}
