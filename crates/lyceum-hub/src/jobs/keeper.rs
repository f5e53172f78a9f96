//! Sees to it that servers become what their rows say: starts, stops, watches, adopts.
//!
//! Each replica runs one keeper. A row is worked on by whoever holds its lease; a replica that dies
//! loses the lease and another goes on where it was, since every step is safe to repeat:
//! starting what runs adopts it, stopping what is gone is done.
//!
//! Invariant: only the holder of the lease calls the spawner's `start` and `stop` for a key.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::Context;
use lyceum_model::clock::Millis;
use lyceum_model::id::{new_id, new_secret};
use lyceum_model::server::{HubEnv, ServerKey, ServerSpec};
use lyceum_spawn::{StartOrder, Status, Steps};
use lyceum_store::{Engine, events};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::db;
use crate::db::servers::Server;
use crate::servers::State;
use crate::{Hub, oauth, tokens};

/// How long a lease lasts without renewal. A dead replica's work is taken up after this.
const LEASE_MS: i64 = 15_000;
const RENEW_EVERY: Duration = Duration::from_secs(4);
/// Without news the keeper looks this often; news only makes it quicker.
const SWEEP_EVERY: Duration = Duration::from_secs(1);
/// How often ready servers are asked whether they still run.
const WATCH_EVERY: Duration = Duration::from_secs(5);
/// Rows taken up at a sweep.
const SWEEP_ROWS: i64 = 200;
/// A process that is asked for must exist after this time.
const LAUNCH_LIMIT: Duration = Duration::from_secs(60);
/// A stop that takes longer has gone wrong; it is tried again.
const STOP_LIMIT: Duration = Duration::from_secs(60);
/// Log lines shown with a failure.
const FAILURE_LINES: usize = 20;

/// The topic under which changes of servers are published.
pub const TOPIC: &str = "servers";

pub struct Keeper {
    hub: Hub,
    tasks: TaskTracker,
    shutdown: CancellationToken,
    slots: Arc<Semaphore>,
    /// What this replica works on, with the switch that tells the work to stop the server.
    working: Arc<Mutex<HashMap<String, CancellationToken>>>,
}

/// How a piece of work came to its end.
enum End {
    Done,
    /// The hub shuts down, the row goes to whoever is next.
    Released,
}

impl Keeper {
    pub fn new(hub: Hub, shutdown: CancellationToken) -> Self {
        let slots = Arc::new(Semaphore::new(hub.settings().starting_at_once));
        Self {
            hub,
            tasks: TaskTracker::new(),
            shutdown,
            slots,
            working: Arc::default(),
        }
    }

    /// Runs until shutdown; then hands its rows back and returns.
    pub async fn run(self) {
        if let Err(error) = self.take_over().await {
            tracing::error!(
                error = format!("{error:#}"),
                "looking for servers that still run"
            );
        }
        let mut wake = self.hub.db().wake_ups();
        let mut sweep = tokio::time::interval(SWEEP_EVERY);
        sweep.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut watch = tokio::time::interval(WATCH_EVERY);
        watch.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut renew = tokio::time::interval(RENEW_EVERY);
        renew.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            let outcome = tokio::select! {
                () = self.shutdown.cancelled() => break,
                _ = renew.tick() => self.renew().await,
                _ = watch.tick() => self.watch().await,
                _ = sweep.tick() => self.sweep().await,
                news = wake.recv() => match news {
                    Ok(topic) if topic != TOPIC => continue,
                    // A sweep looks at everything, so what piled up meanwhile is done with it.
                    _ => {
                        wake = self.hub.db().wake_ups();
                        self.sweep().await
                    }
                },
            };
            if let Err(error) = outcome {
                tracing::warn!(
                    error = format!("{error:#}"),
                    "the keeper could not look after servers; it tries again"
                );
            }
        }
        self.tasks.close();
        self.tasks.wait().await;
    }

    /// At the start: what did an earlier life of this hub leave behind?
    async fn take_over(&self) -> anyhow::Result<()> {
        if self.hub.db().engine() == Engine::Sqlite {
            // The data folder is locked: no other replica can hold a lease on these rows.
            let mut tx = self.hub.db().write().await?;
            db::servers::release_all(&mut tx).await?;
            tx.commit().await?;
        }
        // Listed before the rows are read, so a server that starts meanwhile is never an orphan.
        let running = self.hub.spawner().list().await?;
        let mut tx = self.hub.db().read().await?;
        let known: HashSet<String> = db::servers::active_keys(&mut tx)
            .await?
            .into_iter()
            .collect();
        drop(tx);
        for key in running {
            if known.contains(key.as_str()) {
                tracing::info!(server = %key, "still runs, adopted");
                continue;
            }
            tracing::warn!(server = %key, "runs but belongs to nobody, stopping it");
            let spawner = self.hub.spawner().clone();
            self.tasks.spawn(async move {
                if let Err(error) = spawner.stop(&key).await {
                    tracing::warn!(server = %key, error = format!("{error:#}"), "could not stop an orphan");
                }
            });
        }
        self.watch().await
    }

    /// Takes up what wants work, and passes wishes to stop on to the work under way.
    async fn sweep(&self) -> anyhow::Result<()> {
        let now = self.hub.now();
        let mut tx = self.hub.db().read().await?;
        let due = db::servers::due(&mut tx, now.0, SWEEP_ROWS).await?;
        let unwanted = db::servers::unwanted(&mut tx, self.hub.replica()).await?;
        drop(tx);
        for id in unwanted {
            if let Some(stop) = self.working().get(&id) {
                stop.cancel();
            }
        }
        for server in due {
            if self.working().contains_key(&server.id) {
                continue;
            }
            // Stops never wait for a place: they make room.
            let slot = if server.state == State::Stopping {
                None
            } else {
                match self.slots.clone().try_acquire_owned() {
                    Ok(slot) => Some(slot),
                    Err(_) => continue,
                }
            };
            let mut tx = self.hub.db().write().await?;
            let until = now.plus(LEASE_MS).0;
            let mine =
                db::servers::claim(&mut tx, &server.id, self.hub.replica(), now.0, until).await?;
            let server = db::servers::get(&mut tx, &server.id).await?;
            tx.commit().await?;
            let (true, Some(server)) = (mine, server) else {
                continue;
            };
            let stop = CancellationToken::new();
            self.working().insert(server.id.clone(), stop.clone());
            let (hub, working, shutdown) = (
                self.hub.clone(),
                self.working.clone(),
                self.shutdown.clone(),
            );
            self.tasks.spawn(async move {
                let _slot = slot;
                let id = server.id.clone();
                let end = tend(&hub, &server, &stop, &shutdown).await;
                match end {
                    Ok(End::Done) => {}
                    Ok(End::Released) => release(&hub, &id).await,
                    Err(error) => {
                        tracing::error!(server = %server.key, error = format!("{error:#}"), "work on a server failed; it is taken up again");
                        release(&hub, &id).await;
                    }
                }
                working.lock().unwrap_or_else(PoisonError::into_inner).remove(&id);
            });
        }
        Ok(())
    }

    async fn renew(&self) -> anyhow::Result<()> {
        if self.working().is_empty() {
            return Ok(());
        }
        let until = self.hub.now().plus(LEASE_MS).0;
        let mut tx = self.hub.db().write().await?;
        db::servers::renew_all(&mut tx, self.hub.replica(), until).await?;
        tx.commit().await?;
        Ok(())
    }

    /// Servers that ended by themselves.
    async fn watch(&self) -> anyhow::Result<()> {
        let mut tx = self.hub.db().read().await?;
        let ready = db::servers::in_state(&mut tx, State::Ready).await?;
        drop(tx);
        for server in ready {
            let Some(key) = ServerKey::parse(&server.key) else {
                continue;
            };
            let reason = match self.hub.spawner().poll(&key).await {
                Ok(Status::Running { address }) => {
                    if server.address.as_deref() != Some(&address) {
                        self.moved(&server, &address).await?;
                    }
                    continue;
                }
                Ok(Status::Exited { reason, .. }) => format!("The server ended by itself: {reason}"),
                Ok(Status::Gone) => {
                    "The server is gone; it ended while nobody looked, perhaps because the machine restarted".into()
                }
                Err(error) => {
                    tracing::warn!(server = %key, error = format!("{error:#}"), "could not ask after a server");
                    continue;
                }
            };
            self.ended(&server, &reason).await?;
        }
        Ok(())
    }

    async fn moved(&self, server: &Server, address: &str) -> anyhow::Result<()> {
        let now = self.hub.now();
        let mut tx = self.hub.db().write().await?;
        if db::servers::claim(
            &mut tx,
            &server.id,
            self.hub.replica(),
            now.0,
            now.plus(LEASE_MS).0,
        )
        .await?
        {
            db::servers::set_address(&mut tx, &server.id, self.hub.replica(), address).await?;
            db::servers::release(&mut tx, &server.id, self.hub.replica()).await?;
            publish(&mut tx, server, now).await?;
        }
        tx.commit().await?;
        Ok(())
    }

    async fn ended(&self, server: &Server, reason: &str) -> anyhow::Result<()> {
        let now = self.hub.now();
        let mut tx = self.hub.db().write().await?;
        let current = db::servers::get(&mut tx, &server.id).await?;
        let same = current
            .is_some_and(|row| row.state == State::Ready && row.generation == server.generation);
        if same
            && db::servers::claim(
                &mut tx,
                &server.id,
                self.hub.replica(),
                now.0,
                now.plus(LEASE_MS).0,
            )
            .await?
        {
            tracing::info!(server = %server.key, reason, "a server ended by itself");
            db::tokens::delete_of_server(&mut tx, &server.id, &server.client_id).await?;
            db::servers::set_ended(
                &mut tx,
                &server.id,
                self.hub.replica(),
                State::Stopped,
                Some(reason),
                now.0,
            )
            .await?;
            publish(&mut tx, server, now).await?;
        }
        tx.commit().await?;
        Ok(())
    }

    fn working(&self) -> std::sync::MutexGuard<'_, HashMap<String, CancellationToken>> {
        self.working.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn release(hub: &Hub, id: &str) {
    let outcome = async {
        let mut tx = hub.db().write().await?;
        db::servers::release(&mut tx, id, hub.replica()).await?;
        tx.commit().await
    };
    if let Err(error) = outcome.await {
        // The lease runs out by itself.
        tracing::warn!(error = %error, "could not hand a server back");
    }
}

/// Brings one server to where it should be.
async fn tend(
    hub: &Hub,
    server: &Server,
    stop: &CancellationToken,
    shutdown: &CancellationToken,
) -> anyhow::Result<End> {
    match server.state {
        State::Stopping => stop_server(hub, server, State::Stopped, None).await,
        State::Queued | State::Starting if server.stop_requested_at.is_some() => {
            stop_server(hub, server, State::Stopped, None).await
        }
        State::Queued | State::Starting => match start_server(hub, server, stop, shutdown).await? {
            Outcome::Ready => Ok(End::Done),
            Outcome::Unwanted => stop_server(hub, server, State::Stopped, None).await,
            Outcome::Failed(reason) => {
                tracing::warn!(server = %server.key, reason, "a server did not start");
                stop_server(hub, server, State::Failed, Some(&reason)).await
            }
            Outcome::NotOurs | Outcome::HandedOver => Ok(End::Released),
        },
        State::Ready | State::Stopped | State::Failed => Ok(End::Released),
    }
}

enum Outcome {
    Ready,
    /// Somebody asked for the stop meanwhile.
    Unwanted,
    Failed(String),
    /// The row moved on under another hand.
    NotOurs,
    /// The hub shuts down; the process goes on and its next life adopts it.
    HandedOver,
}

/// Only the wait for an answer can be broken off: a launch under way is seen to its end, so that
/// nothing comes up behind a stop that found nothing.
async fn start_server(
    hub: &Hub,
    server: &Server,
    stop: &CancellationToken,
    shutdown: &CancellationToken,
) -> anyhow::Result<Outcome> {
    let now = hub.now();
    let mut tx = hub.db().write().await?;
    let mine = db::servers::set_starting(&mut tx, &server.id, hub.replica(), now.0).await?;
    if mine {
        publish(&mut tx, server, now).await?;
    }
    tx.commit().await?;
    if !mine {
        return Ok(Outcome::NotOurs);
    }
    let key = ServerKey::parse(&server.key).context("the key in the row is not one")?;
    let Some(spec) = server.spec.as_deref() else {
        return Ok(Outcome::Failed(
            "Nothing is known of what to start; start it again".into(),
        ));
    };
    let spec: ServerSpec =
        serde_json::from_str(spec).context("reading the server's stored specification")?;
    let address = match hub.spawner().poll(&key).await? {
        // A process of an earlier life of the hub; it holds the token that was made for it.
        Status::Running { address } => {
            step(
                hub,
                server,
                50,
                "The server was being started already; going on with it",
            )
            .await?;
            address
        }
        Status::Exited { .. } | Status::Gone => {
            let token = mint_token(hub, server).await?;
            let order = StartOrder {
                key: key.clone(),
                spec,
                hub: hub_env(hub, server, token),
            };
            match launch(hub, server, &order).await? {
                Ok(address) => address,
                Err(reason) => return Ok(Outcome::Failed(reason)),
            }
        }
    };
    let mut tx = hub.db().write().await?;
    db::servers::set_address(&mut tx, &server.id, hub.replica(), &address).await?;
    tx.commit().await?;
    step(
        hub,
        server,
        60,
        "The server's process runs; waiting for it to answer",
    )
    .await?;
    let prefix = crate::servers::prefix(&server.user_name, &server.name);
    let limit = hub.settings().start_timeout;
    let waited = tokio::select! {
        waited = lyceum_spawn::probe::wait_until_answering(&address, &prefix, limit, &**hub.spawner(), &key) => waited,
        () = stop.cancelled() => return Ok(Outcome::Unwanted),
        () = shutdown.cancelled() => return Ok(Outcome::HandedOver),
    };
    if let Err(not_ready) = waited {
        return Ok(Outcome::Failed(not_ready.to_string()));
    }
    let now = hub.now();
    let mut tx = hub.db().write().await?;
    let ready = db::servers::set_ready(&mut tx, &server.id, hub.replica(), now.0).await?;
    if ready {
        db::servers::add_step(
            &mut tx,
            &server.id,
            server.generation,
            now.0,
            100,
            "The server is ready",
        )
        .await?;
        publish(&mut tx, server, now).await?;
    }
    tx.commit().await?;
    Ok(if ready {
        Outcome::Ready
    } else {
        Outcome::Unwanted
    })
}

/// Asks the spawner and writes its steps down. The inner error is a reason for the person.
async fn launch(
    hub: &Hub,
    server: &Server,
    order: &StartOrder,
) -> anyhow::Result<Result<String, String>> {
    step(hub, server, 10, "Preparing the server").await?;
    let (steps, mut said) = Steps::channel(64);
    let started = async {
        let started = tokio::time::timeout(LAUNCH_LIMIT, hub.spawner().start(order, &steps)).await;
        drop(steps);
        started
    };
    let writing = async {
        while let Some(said) = said.recv().await {
            // Between 10 and 60: before and after come from here.
            let progress = 10 + said.progress.min(100) / 2;
            if let Err(error) = step(hub, server, progress, &said.message).await {
                tracing::warn!(error = format!("{error:#}"), "could not write a step down");
            }
        }
    };
    let (started, ()) = tokio::join!(started, writing);
    Ok(match started {
        Ok(Ok(started)) => Ok(started.address),
        Ok(Err(error)) => Err(error.to_string()),
        Err(_) => Err(format!(
            "The server's process did not come up within {} seconds",
            LAUNCH_LIMIT.as_secs()
        )),
    })
}

/// Ends what there is of it, takes its tokens back, and says why.
async fn stop_server(
    hub: &Hub,
    server: &Server,
    end: State,
    reason: Option<&str>,
) -> anyhow::Result<End> {
    let key = ServerKey::parse(&server.key).context("the key in the row is not one")?;
    let mut tx = hub.db().write().await?;
    if !db::servers::set_stopping(&mut tx, &server.id, hub.replica(), reason).await? {
        return Ok(End::Done);
    }
    publish(&mut tx, server, hub.now()).await?;
    tx.commit().await?;
    tokio::time::timeout(STOP_LIMIT, hub.spawner().stop(&key))
        .await
        .context("the server did not stop in time")?
        .context("stopping the server")?;
    let log = match reason {
        Some(_) => hub
            .spawner()
            .log_tail(&key, FAILURE_LINES)
            .await
            .unwrap_or_default()
            .join("\n"),
        None => String::new(),
    };
    // A start that failed before a crash of the hub left its reason in the row.
    let reason = reason.or(server.failure.as_deref());
    let end = if reason.is_some() { State::Failed } else { end };
    let now = hub.now();
    let mut tx = hub.db().write().await?;
    db::tokens::delete_of_server(&mut tx, &server.id, &server.client_id).await?;
    if let Some(reason) = reason {
        db::servers::add_step(&mut tx, &server.id, server.generation, now.0, 100, reason).await?;
    }
    db::servers::set_ended(&mut tx, &server.id, hub.replica(), end, reason, now.0).await?;
    publish(&mut tx, server, now).await?;
    tx.commit().await?;
    if !log.is_empty() {
        tracing::debug!(server = %key, log, "last lines of the failed server");
    }
    Ok(End::Done)
}

async fn mint_token(hub: &Hub, server: &Server) -> anyhow::Result<String> {
    let now = hub.now();
    let secret = new_secret();
    let mut tx = hub.db().write().await?;
    db::tokens::delete_of_server(&mut tx, &server.id, &server.client_id).await?;
    let scopes = [
        format!("users:activity!user={}", server.user_name),
        format!("access:servers!server={}/{}", server.user_name, server.name),
    ];
    db::tokens::insert(
        &mut tx,
        &db::tokens::Token {
            id: format!("a{}", new_id(now)),
            hash: tokens::hash(&secret),
            user_id: server.user_id.clone(),
            note: format!(
                "Server at {}",
                crate::servers::prefix(&server.user_name, &server.name)
            ),
            scopes: serde_json::to_string(&scopes)?,
            created_at: now.0,
            last_used_at: None,
            expires_at: None,
            session_id: None,
            oauth_client: None,
            server_id: Some(server.id.clone()),
        },
    )
    .await?;
    tx.commit().await?;
    Ok(secret)
}

fn hub_env(hub: &Hub, server: &Server, token: String) -> HubEnv {
    let prefix = crate::servers::prefix(&server.user_name, &server.name);
    let origin = hub.settings().public_origin.clone().unwrap_or_default();
    HubEnv {
        user: server.user_name.clone(),
        server: server.name.clone(),
        base_url: "/".into(),
        api_url: hub.settings().api_url.clone(),
        host: String::new(),
        public_url: if origin.is_empty() {
            String::new()
        } else {
            format!("{origin}{prefix}")
        },
        public_hub_url: if origin.is_empty() {
            String::new()
        } else {
            format!("{origin}/hub/")
        },
        prefix,
        client_id: server.client_id.clone(),
        api_token: lyceum_model::secret::Secret::new(token),
        access_scopes: oauth::access_scopes(server),
        client_allowed_scopes: Vec::new(),
    }
}

async fn step(hub: &Hub, server: &Server, progress: u8, message: &str) -> anyhow::Result<()> {
    let mut tx = hub.db().write().await?;
    db::servers::add_step(
        &mut tx,
        &server.id,
        server.generation,
        hub.now().0,
        progress,
        message,
    )
    .await?;
    events::announce(&mut tx, &step_topic(&server.id)).await?;
    tx.commit().await?;
    Ok(())
}

/// The topic that wakes those who watch one server.
pub fn step_topic(server_id: &str) -> String {
    format!("server/{server_id}")
}

/// Tells everybody that a server's row has changed.
pub async fn publish(
    tx: &mut lyceum_store::Tx,
    server: &Server,
    now: Millis,
) -> anyhow::Result<()> {
    let body = serde_json::json!({ "user": server.user_name, "server": server.name });
    events::publish(tx, TOPIC, &server.id, &body, now).await?;
    events::announce(tx, &step_topic(&server.id)).await?;
    Ok(())
}
