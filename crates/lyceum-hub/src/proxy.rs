//! Keeps the proxies' route tables true, tells them what was taken away, and takes their reports.
//!
//! Routes are derived from the rows of ready servers. [`refresh`] reads what is new and hands it
//! out as numbered news: to the proxy in this process, and to the streams of those that run apart
//! ([`crate::api::lyceum::proxy`]). Both get the same news; only the way differs.
//!
//! Drawers: `news` (rows and events become news), `followers` (who has come how far), `activity`.

pub mod activity;
pub mod followers;
pub mod news;

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::{Duration, Instant};

use anyhow::Context;
use lyceum_model::server::ServerKey;
use lyceum_proxy::Proxy;
use lyceum_proxy::follow::wire::{News, PublishedRoute};
use lyceum_proxy::follow::{Mirror, difference};
use lyceum_store::{events, settings};
use tokio::sync::{MutexGuard, broadcast};
use tokio_util::sync::CancellationToken;

use crate::grants::{SERVICE_TOPIC, service_of_route};
use crate::jobs::{keeper, revocations};
use crate::{Hub, languages, metrics};
use followers::Followers;

/// Another process on the same SQLite file can't wake us, so we look as often as this. Each look
/// is a heart-beat for the proxies: it proves that the database is being followed.
const LOOK_EVERY: Duration = Duration::from_secs(2);
/// Changes come in crowds: so long after one look the next begins, and does for all who came since.
const APART: Duration = Duration::from_millis(20);
const RETRY_EVERY: Duration = Duration::from_secs(1);
/// Every so many quiet looks the table is made anew, in case a change came without an event.
const WHOLE_EVERY: u32 = 15;
/// News that a slow stream may fall behind; it then reads the database itself.
const QUEUE: usize = 1_024;
/// Which database the numbers belong to.
const NUMBERING_SETTING: &str = "route-numbering";

/// The proxies this hub feeds: at most one in this process, and any number of streams.
pub struct Links {
    proxy: Mutex<Option<Proxy>>,
    /// What the spawner calls the server behind a route's id; there without the database.
    keys: RwLock<HashMap<String, ServerKey>>,
    /// Writers take turns, so that older news never come after newer.
    book: tokio::sync::Mutex<Book>,
    /// How many times the rows were begun to be read; counted in turn.
    begun: AtomicU64,
    /// The number of the last one that was handed out.
    done: AtomicU64,
    feed: broadcast::Sender<Arc<News>>,
    followers: Followers,
    closing: CancellationToken,
}

/// What was handed out.
#[derive(Default)]
struct Book {
    number: Option<i64>,
    routes: HashMap<String, PublishedRoute>,
    mirror: Option<Mirror>,
    /// When the last look was over.
    looked: Option<tokio::time::Instant>,
}

impl Default for Links {
    fn default() -> Self {
        Self {
            proxy: Mutex::default(),
            keys: RwLock::default(),
            book: tokio::sync::Mutex::default(),
            begun: AtomicU64::default(),
            done: AtomicU64::default(),
            feed: broadcast::Sender::new(QUEUE),
            followers: Followers::default(),
            closing: CancellationToken::new(),
        }
    }
}

impl Links {
    /// The proxy in this process; before the jobs start.
    pub fn attach(&self, proxy: Proxy) {
        *self.proxy.lock().unwrap_or_else(PoisonError::into_inner) = Some(proxy);
    }

    pub fn proxy(&self) -> Option<Proxy> {
        self.proxy
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// What the spawner calls the server behind a route.
    pub fn key(&self, route: &str) -> Option<ServerKey> {
        let keys = self.keys.read().unwrap_or_else(PoisonError::into_inner);
        keys.get(route).cloned()
    }

    pub fn knows(&self, route: &str) -> bool {
        let keys = self.keys.read().unwrap_or_else(PoisonError::into_inner);
        keys.contains_key(route)
    }

    /// Before the news are handed out.
    fn note_keys(&self, news: &News) {
        let (put, removed, whole) = match news {
            News::Snapshot { routes, .. } => (routes, &Vec::new(), true),
            News::Changes { put, removed, .. } => (put, removed, false),
            _ => return,
        };
        let mut keys = self.keys.write().unwrap_or_else(PoisonError::into_inner);
        if whole {
            keys.clear();
        }
        for id in removed {
            keys.remove(id);
        }
        let fresh = put
            .iter()
            .filter_map(|route| Some((route.id.clone(), ServerKey::parse(&route.key)?)));
        keys.extend(fresh);
    }

    /// News from now on. Subscribe before reading the rows, or some are missed.
    pub fn subscribe(&self) -> broadcast::Receiver<Arc<News>> {
        self.feed.subscribe()
    }

    pub fn followers(&self) -> &Followers {
        &self.followers
    }

    /// Cancelled when this hub shuts down: streams end then.
    pub fn closing(&self) -> &CancellationToken {
        &self.closing
    }

    /// False when the proxy in this process could not take it.
    fn hand_out(&self, book: &mut Book, news: News) -> bool {
        let mut taken = true;
        if let Some(mirror) = &mut book.mirror
            && let Err(error) = mirror.apply(news.clone())
        {
            tracing::error!(%error, "the routes of ready servers can't be put in force");
            // The next look makes it anew, of all that is there then.
            book.mirror = None;
            book.number = None;
            taken = false;
        }
        // No stream is no fault.
        let _ = self.feed.send(Arc::new(news));
        taken
    }
}

/// Which database the numbers of news belong to; the same for all replicas.
pub async fn numbering(hub: &Hub) -> anyhow::Result<String> {
    let mut tx = hub.db().read().await?;
    if let Some(known) = settings::get(&mut tx, NUMBERING_SETTING).await? {
        return Ok(known);
    }
    drop(tx);
    let mut tx = hub.db().write().await?;
    let now = hub.now();
    let make = || lyceum_model::id::new_id(now);
    let numbering = settings::get_or_create(&mut tx, NUMBERING_SETTING, now, make).await?;
    tx.commit().await?;
    Ok(numbering)
}

/// Hands out what is new, and waits for the proxies that follow from elsewhere, within reason: who
/// is told "ready" or "logged out" afterwards finds it so. Many callers at once share the work.
pub async fn refresh(hub: &Hub) -> anyhow::Result<()> {
    let number = look_now(hub).await?;
    hub.links().followers().wait_for(number).await;
    Ok(())
}

/// As [`refresh`], when the caller has no use for an error: the next look hands it out.
pub async fn pass_on(hub: &Hub) {
    if let Err(error) = refresh(hub).await {
        tracing::warn!(
            error = format!("{error:#}"),
            "news could not be passed on to the proxies at once"
        );
    }
}

/// Hands out what is new, and gives the number that this was.
pub async fn look_now(hub: &Hub) -> anyhow::Result<i64> {
    let (_, number) = look_in_turn(hub, false).await?;
    Ok(number)
}

/// Gives the book along, so that what is handed out next comes behind that number.
async fn look_in_turn(hub: &Hub, whole: bool) -> anyhow::Result<(MutexGuard<'_, Book>, i64)> {
    let links = hub.links();
    let before = links.begun.load(Ordering::SeqCst);
    let mut book = links.book.lock().await;
    // The one under way when we came may have read the rows too early for us; one that began
    // later, and is over since it is our turn, has not.
    if !whole
        && links.done.load(Ordering::SeqCst) > before
        && let Some(number) = book.number
    {
        return Ok((book, number));
    }
    if let Some(looked) = book.looked {
        tokio::time::sleep_until(looked + APART).await;
    }
    let this = links.begun.fetch_add(1, Ordering::SeqCst) + 1;
    let number = look(hub, &mut book, whole).await?;
    links.done.store(this, Ordering::SeqCst);
    book.looked = Some(tokio::time::Instant::now());
    Ok((book, number))
}

/// Reads what is new and hands it out. `whole`: looks whether the table is true, too.
async fn look(hub: &Hub, book: &mut Book, whole: bool) -> anyhow::Result<i64> {
    let links = hub.links();
    let begun = Instant::now();
    let mut tx = hub.db().read().await?;
    let origins = &hub.settings().origins;
    let mut fresh = news::since(&mut tx, book.number, origins).await?;
    if whole && let News::Changes { put, removed, .. } = &mut fresh {
        let mut ours = book.routes.clone();
        amend(&mut ours, put, removed);
        let rows = news::all(&mut tx, origins).await?;
        let (missed, stale) = difference(&ours, &rows);
        if !missed.is_empty() || !stale.is_empty() {
            tracing::error!(
                missed = missed.len(),
                stale = stale.len(),
                "routes had changed without an event; they are right now"
            );
            put.extend(missed);
            removed.extend(stale);
        }
    }
    drop(tx);
    if book.mirror.is_none()
        && let Some(proxy) = links.proxy()
    {
        let mut mirror = Mirror::new(proxy);
        if let Some(number) = book.number {
            let routes = book.routes.values().cloned().collect();
            mirror
                .apply(News::Snapshot {
                    number,
                    routes,
                    more: false,
                })
                .context("the routes of ready servers")?;
        }
        book.mirror = Some(mirror);
    }
    // What was there before is no route that is added, and what was not is none that is deleted.
    let (added, deleted) = match &fresh {
        News::Changes { put, removed, .. } => {
            let is_there = |id: &String| book.routes.contains_key(id);
            let new = put.iter().filter(|route| !is_there(&route.id)).count();
            (new, removed.iter().filter(|id| is_there(id)).count())
        }
        _ => (0, 0),
    };
    links.note_keys(&fresh);
    let number = match &fresh {
        News::Snapshot { number, routes, .. } => {
            book.routes = routes
                .iter()
                .map(|route| (route.id.clone(), route.clone()))
                .collect();
            *number
        }
        News::Changes {
            number,
            put,
            removed,
            ..
        } => {
            amend(&mut book.routes, put, removed);
            *number
        }
        News::Beat { number } => *number,
        News::Hello { .. } | News::Languages { .. } | News::Unknown => {
            unreachable!("rows are never read as these")
        }
    };
    let of_servers = book
        .routes
        .keys()
        .filter(|id| service_of_route(id).is_none());
    hub.metrics()
        .running
        .set(i64::try_from(of_servers.count()).unwrap_or(i64::MAX));
    // A beat is handed out by the clock alone, and by `follow`.
    let mut taken = true;
    if !matches!(fresh, News::Beat { .. }) {
        taken = links.hand_out(book, fresh);
    }
    book.number = Some(number);
    let (told, took) = (hub.metrics(), begun.elapsed().as_secs_f64());
    let status = match taken {
        true => metrics::SUCCESS,
        false => metrics::FAILURE,
    };
    for (seconds, many) in [
        (&told.route_add_seconds, added),
        (&told.route_delete_seconds, deleted),
    ] {
        let seconds = seconds.get_or_create(&status);
        (0..many).for_each(|_| seconds.observe(took));
    }
    told.look_seconds.observe(took);
    if whole {
        told.whole_look_seconds.observe(took);
    }
    Ok(number)
}

fn amend(routes: &mut HashMap<String, PublishedRoute>, put: &[PublishedRoute], removed: &[String]) {
    for id in removed {
        routes.remove(id);
    }
    routes.extend(put.iter().map(|route| (route.id.clone(), route.clone())));
}

/// Tells the proxies in which languages the site has their pages.
pub fn tell_languages(hub: &Hub) {
    let languages = languages::for_proxies(&hub.settings().theme);
    if let Some(proxy) = hub.links().proxy() {
        proxy.set_languages(languages.clone());
    }
    // No stream is no fault.
    let _ = hub
        .links()
        .feed
        .send(Arc::new(News::Languages { languages }));
}

/// Follows the rows until shutdown.
pub async fn follow(hub: Hub, shutdown: CancellationToken) {
    tell_languages(&hub);
    let rounds = follow_for_ever(&hub);
    let _ = shutdown.run_until_cancelled(rounds).await;
    hub.links().closing.cancel();
}

async fn follow_for_ever(hub: &Hub) {
    let mut wake = hub.db().wake_ups();
    let mut failing = false;
    let mut quiet: u32 = 0;
    let mut is_first = true;
    loop {
        let whole = quiet >= WHOLE_EVERY;
        if whole {
            quiet = 0;
        }
        let looked = async {
            let (mut book, number) = look_in_turn(hub, whole).await?;
            hub.links().hand_out(&mut book, News::Beat { number });
            anyhow::Ok(())
        };
        match looked.await {
            Ok(()) => {
                failing = false;
                if std::mem::take(&mut is_first) {
                    let told = hub.metrics();
                    told.begin_seconds.observe(told.age().as_secs_f64());
                }
            }
            Err(error) if !failing => {
                failing = true;
                tracing::warn!(
                    error = format!("{error:#}"),
                    "could not look for news of routes; the last ones stay until it works again"
                );
            }
            Err(_) => {}
        }
        let pause = if failing { RETRY_EVERY } else { LOOK_EVERY };
        tokio::select! {
            () = tokio::time::sleep(pause) => quiet += 1,
            // A look takes up all there is, so what has piled up is done with it.
            () = events::woken(&mut wake, &[keeper::TOPIC, SERVICE_TOPIC, revocations::TOPIC]) => {
                wake = hub.db().wake_ups();
            }
        }
    }
}
