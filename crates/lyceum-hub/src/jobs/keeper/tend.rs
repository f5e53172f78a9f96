//! One server, brought to where its row says: started or stopped.

use std::convert::Infallible;
use std::time::{Duration, Instant};

use lyceum_model::clock::Millis;
use lyceum_model::id::{new_id, new_secret};
use lyceum_model::say;
use lyceum_model::saying::Saying;
use lyceum_model::server::{HubEnv, ServerKey, ServerSpec};
use lyceum_spawn::probe::Cause;
use lyceum_spawn::{SpawnError, StartOrder, Status, Steps};
use lyceum_store::{Tx, events};
use tokio_util::sync::CancellationToken;

use super::desk::Seat;
use super::watch::tell_stranger;
use super::{WORK, answer, lease_until, publish, step_topic};
use crate::db::servers::Server;
use crate::event_log::Event;
use crate::metrics::StatusLabel;
use crate::servers::State;
use crate::{Hub, db, metrics, oauth, queue, tokens, trouble};

/// A start that breaks off more often than this, not by the server's fault, is given up.
const TRIES: u32 = 5;
/// A stop that has failed so often is told to those who wait for it, or one that was asked for so long
/// ago: hubs that take turns each know of their own tries alone.
const STOPS: u32 = 3;
const STOPS_WITHIN_MS: i64 = 60_000;
/// So long a step may wait for the next before it is shown.
const SHOW_AFTER: Duration = Duration::from_millis(100);
/// Steps written at a time.
const SAID_AT_ONCE: usize = 16;
/// Log lines told with a failure.
const FAILURE_LINES: usize = 20;

/// All that the work on one server needs.
pub(super) struct Work {
    pub hub: Hub,
    pub server: Server,
    pub seat: Seat,
    /// Somebody wants it stopped.
    pub stop: CancellationToken,
    pub shutdown: CancellationToken,
}

/// How a piece of work came to its end.
pub(super) enum End {
    Done,
    /// The row goes to whoever is next.
    Released,
}

/// A step on the way up that is not written yet.
struct Said {
    at: Millis,
    progress: u8,
    message: Saying,
}

impl Said {
    fn now(hub: &Hub, progress: u8, message: Saying) -> Self {
        Self {
            at: hub.now(),
            progress,
            message,
        }
    }
}

enum Outcome {
    Ready,
    /// Somebody asked for the stop meanwhile.
    Unwanted,
    Failed(Saying),
    /// The row moved on under another hand.
    NotOurs,
    /// The hub shuts down; the process goes on and its next life adopts it.
    HandedOver,
}

impl Work {
    /// `failures`: how often it has broken off before.
    pub(super) async fn tend(&self, failures: u32) -> anyhow::Result<End> {
        let Some(key) = ServerKey::parse(&self.server.key) else {
            let reason = say!("failure.damaged_key");
            self.say_ended(State::Failed, Some(&reason)).await?;
            return Ok(End::Done);
        };
        match self.server.state {
            State::Stopping => self.stop(&key, None).await,
            State::Queued | State::Starting if self.server.stop_requested_at.is_some() => {
                self.stop(&key, None).await
            }
            State::Queued | State::Starting => {
                let outcome = match self.start(&key).await {
                    Err(error) if failures >= TRIES => {
                        tracing::error!(server = %key, error = format!("{error:#}"), "gave a start up");
                        Outcome::Failed(say!("failure.gave_up"))
                    }
                    outcome => outcome?,
                };
                match outcome {
                    Outcome::Ready => Ok(End::Done),
                    Outcome::Unwanted => self.stop(&key, None).await,
                    Outcome::Failed(reason) => self.stop(&key, Some(&reason)).await,
                    Outcome::NotOurs | Outcome::HandedOver => Ok(End::Released),
                }
            }
            State::Ready | State::Stopped | State::Failed => Ok(End::Released),
        }
    }

    async fn owner_may_come_in(&self) -> sqlx::Result<bool> {
        let (hub, server) = (&self.hub, &self.server);
        let mut tx = hub.db().read().await?;
        hub.lists_let_in(&mut tx, &server.user_name, &server.user_id)
            .await
    }

    /// Only the wait for an answer can be broken off: a launch under way is seen to its end, so that
    /// nothing comes up behind a stop that found nothing.
    async fn start(&self, key: &ServerKey) -> anyhow::Result<Outcome> {
        let (hub, server) = (&self.hub, &self.server);
        // A process of an earlier life of the hub; it holds the token that was made for it.
        let running = match answer(hub, hub.spawner().poll(key)).await? {
            Status::Running { address, .. } => Some(address),
            Status::Exited { .. } | Status::Gone => None,
        };
        if running.is_none() && !self.owner_may_come_in().await? {
            tracing::info!(user = %server.user_name, server = %server.name, "a start is cancelled: the lists keep its owner out");
            return Ok(Outcome::Unwanted);
        }
        let Some(token) = self.begin(running.is_none()).await? else {
            return Ok(Outcome::NotOurs);
        };
        let spec: Option<ServerSpec> = server
            .spec
            .as_deref()
            .and_then(|spec| serde_json::from_str(spec).ok());
        let Some(spec) = spec else {
            return Ok(Outcome::Failed(say!("failure.unreadable_order")));
        };
        let (address, mut said) = match running {
            Some(address) => {
                let adopted = Said::now(hub, 50, say!("start.adopted"));
                (address, vec![adopted])
            }
            None => {
                let order = StartOrder {
                    key: key.clone(),
                    spec,
                    hub: hub_env(hub, server, token),
                };
                match self.launch(&order).await? {
                    Ok(launched) => launched,
                    Err(reason) => return Ok(Outcome::Failed(reason)),
                }
            }
        };
        said.push(Said::now(hub, 60, say!("start.waiting")));
        self.await_answer(key, &address, said).await
    }

    /// Writes down that it starts, with a new lease, and a token for a process that is to be made.
    /// Nothing when the lease is no longer ours, since then another's process holds the token that is
    /// there.
    async fn begin(&self, is_new: bool) -> anyhow::Result<Option<String>> {
        let (hub, server) = (&self.hub, &self.server);
        let now = hub.now();
        let secret = new_secret();
        let mut tx = hub.db().write().await?;
        let until = lease_until(hub);
        let mine = db::servers::set_starting(&mut tx, &server.id, hub.replica(), now.0, until);
        if !mine.await? {
            return Ok(None);
        }
        if server.state == State::Queued && queue::has_waited(server, now) {
            self.add_step(&mut tx, now, 5, &say!("start.begins"));
        }
        if is_new {
            let token = self.token(&secret, now)?;
            db::tokens::replace_of_server(&mut tx, &server.id, &server.client_id, &token);
        }
        // Whoever waits for the end of the start has nothing of its beginning.
        events::announce(&mut tx, &step_topic(&server.id)).await?;
        let seen = hub.seen();
        match is_new {
            true => seen.pass_without(tx, &server.id, &server.client_id).await?,
            false => seen.pass(tx, 1).await?,
        }
        Ok(Some(secret))
    }

    /// `said` is written with the answer, or when that is not there at once.
    async fn await_answer(
        &self,
        key: &ServerKey,
        address: &str,
        said: Vec<Said>,
    ) -> anyhow::Result<Outcome> {
        let (hub, server) = (&self.hub, &self.server);
        let prefix = crate::servers::prefix(&self.hub.base(), &server.user_name, &server.name);
        let limit = hub.settings().start_timeout;
        let waiting = lyceum_spawn::probe::wait_until_answering(
            address,
            &prefix,
            limit,
            &**hub.spawner(),
            key,
        );
        // It keeps its limit by itself unless the spawner hangs.
        let waiting = tokio::time::timeout(limit + hub.timings().answer_limit, waiting);
        let mut waiting = std::pin::pin!(waiting);
        let mut unwritten = said;
        let at_once = tokio::time::timeout(SHOW_AFTER, &mut waiting).await.ok();
        if at_once.is_none() {
            self.write_steps(&std::mem::take(&mut unwritten)).await;
        }
        let waited = tokio::select! {
            waited = async {
                match at_once {
                    Some(waited) => waited,
                    None => waiting.await,
                }
            } => waited,
            never = self.give_way() => match never {},
            () = self.stop.cancelled() => return Ok(Outcome::Unwanted),
            () = self.shutdown.cancelled() => return Ok(Outcome::HandedOver),
        };
        if !matches!(waited, Ok(Ok(()))) {
            // What failed at once is told as all else.
            self.write_steps(&std::mem::take(&mut unwritten)).await;
        }
        match waited {
            Ok(Ok(())) => {}
            Ok(Err(not_ready)) => {
                if let Cause::PortTaken(port) = not_ready.cause {
                    tell_stranger(key.as_str(), address, port);
                }
                return Ok(Outcome::Failed(not_ready.words));
            }
            Err(_) => {
                return Ok(Outcome::Failed(say!("failure.not_told", seconds = limit)));
            }
        }
        let now = hub.now();
        let mut tx = hub.db().write().await?;
        let ready =
            db::servers::set_ready(&mut tx, &server.id, hub.replica(), address, now.0).await?;
        if ready {
            unwritten.push(Said::now(hub, 100, say!("start.ready")));
            self.add_steps(&mut tx, &unwritten).await?;
            publish(&mut tx, server, now).await?;
        }
        hub.seen().pass(tx, u64::from(ready)).await?;
        if !ready {
            return Ok(Outcome::Unwanted);
        }
        let took = self.seconds_since(server.requested_at, now);
        hub.metrics().started("success", took);
        self.count("success");
        self.tell("start");
        tracing::info!(user = %server.user_name, server = %server.name, key = %key, took_s = took, "server started");
        Ok(Outcome::Ready)
    }

    /// A server that does not answer for long leaves its place to the next start; its own time goes
    /// on. Is dropped when the wait is over.
    async fn give_way(&self) -> Infallible {
        let (hub, server) = (&self.hub, &self.server);
        if !self.seat.is_aside() {
            let slow_after = hub.settings().starts.slow_after;
            tokio::time::sleep(slow_after).await;
            while !self.seat.step_aside(&hub.settings().starts) {
                self.seat.somebody_left(hub.timings().sweep_every).await;
            }
            if let Err(error) = self.say_aside(slow_after).await {
                // What counts is done; the row is told at the end.
                tracing::warn!(
                    server = server.key,
                    error = format!("{error:#}"),
                    "could not write down that a place is free"
                );
            }
        }
        std::future::pending().await
    }

    async fn say_aside(&self, slow_after: Duration) -> anyhow::Result<()> {
        let (hub, server) = (&self.hub, &self.server);
        let limit = hub.settings().start_timeout;
        let message = say!("start.slow", seconds = slow_after, limit = limit);
        let now = hub.now();
        let mut tx = hub.db().write().await?;
        if db::queue::leave_place(&mut tx, &server.id, hub.replica(), now.0).await? {
            self.add_step(&mut tx, now, 60, &message);
            events::announce(&mut tx, &step_topic(&server.id)).await?;
        }
        // The place is free here, whatever the row says.
        events::announce(&mut tx, WORK).await?;
        tx.commit().await?;
        Ok(())
    }

    /// Asks the spawner and writes its steps down; gives the address, and the steps that are not
    /// written yet. The inner error is a reason for the person.
    async fn launch(
        &self,
        order: &StartOrder,
    ) -> anyhow::Result<Result<(String, Vec<Said>), Saying>> {
        let limit = self.hub.timings().launch_limit;
        let (steps, mut said) = Steps::channel(64);
        let started = async {
            let started = self.hub.spawner().start(order, &steps);
            let started = tokio::time::timeout(limit, started).await;
            drop(steps);
            started
        };
        let writing = async {
            let mut unwritten: Vec<Said> = Vec::new();
            let mut shown_by = tokio::time::Instant::now();
            loop {
                // A spawner that is quick about it has said all before anybody could read it.
                let next = match unwritten.first() {
                    None => Ok(said.recv().await),
                    Some(_) => tokio::time::timeout_at(shown_by, said.recv()).await,
                };
                match next {
                    Ok(None) => return unwritten,
                    Ok(Some(step)) => {
                        // Between 10 and 60: before and after come from here.
                        let progress = 10 + step.progress.min(100) / 2;
                        if unwritten.is_empty() {
                            shown_by = tokio::time::Instant::now() + SHOW_AFTER;
                        }
                        unwritten.push(Said::now(&self.hub, progress, step.message));
                        if unwritten.len() < SAID_AT_ONCE {
                            continue;
                        }
                    }
                    Err(_) => {}
                }
                self.write_steps(&std::mem::take(&mut unwritten)).await;
            }
        };
        let (started, unwritten) = tokio::join!(started, writing);
        let failed = match started {
            Ok(Ok(started)) => return Ok(Ok((started.address, unwritten))),
            // Of an earlier life, perhaps, that is not quite over.
            Ok(Err(error @ SpawnError::Busy { .. })) => Err(error.into()),
            Ok(Err(error)) => Ok(Err(error.saying())),
            Err(_) => Ok(Err(say!("failure.no_process", seconds = limit))),
        };
        self.write_steps(&unwritten).await;
        failed
    }

    /// Ends what there is of it, takes its tokens back, and says why.
    async fn stop(&self, key: &ServerKey, reason: Option<&Saying>) -> anyhow::Result<End> {
        let (hub, server) = (&self.hub, &self.server);
        let begun = hub.now();
        let mut tx = hub.db().write().await?;
        let until = lease_until(hub);
        if !db::servers::renew(&mut tx, &server.id, hub.replica(), until).await? {
            return Ok(End::Released);
        }
        db::servers::set_stopping(&mut tx, &server.id, hub.replica(), reason).await?;
        publish(&mut tx, server, begun).await?;
        tx.commit().await?;
        let limit = hub.timings().stop_limit;
        let asked = Instant::now();
        let stopped = tokio::time::timeout(limit, hub.spawner().stop(key)).await;
        let status = match stopped {
            Ok(Ok(_)) => metrics::SUCCESS,
            _ => metrics::FAILURE,
        };
        let took = asked.elapsed().as_secs_f64();
        let seconds = &hub.metrics().stop_seconds;
        seconds.get_or_create(&status).observe(took);
        let trouble = match stopped {
            Ok(Ok(_)) => None,
            Ok(Err(error)) => Some(error.saying()),
            Err(_) => Some(say!("stop.takes_long", seconds = limit)),
        };
        if let Some(trouble) = trouble {
            self.say_stop_fails(&trouble).await?;
            anyhow::bail!("stopping the server: {trouble}");
        }
        // A start that failed before a crash of the hub left its reason in the row.
        let earlier = server.why_failed();
        let reason = reason.or(earlier.as_ref());
        let log = match reason {
            Some(_) => answer(hub, hub.spawner().log_tail(key, FAILURE_LINES))
                .await
                .unwrap_or_default()
                .join("\n"),
            None => String::new(),
        };
        let state = match reason {
            Some(_) => State::Failed,
            None => State::Stopped,
        };
        if !self.say_ended(state, reason).await? {
            return Ok(End::Released);
        }
        let now = hub.now();
        match reason {
            // One that was ready began well.
            Some(reason) if server.ready_at.is_some() => {
                tracing::warn!(user = %server.user_name, server = %server.name, key = %key, %reason, log, "server was stopped");
            }
            Some(reason) => {
                self.count("failure");
                let took = self.seconds_since(server.requested_at, now);
                hub.metrics().started("failure", took);
                tracing::warn!(user = %server.user_name, server = %server.name, key = %key, took_s = took, %reason, log, "server did not start");
            }
            None => {
                match server.ready_at {
                    Some(_) => self.tell("stop"),
                    None => self.count("cancelled"),
                }
                let took = self.seconds_since(Some(begun.0), now);
                tracing::info!(user = %server.user_name, server = %server.name, key = %key, took_s = took, "server stopped");
            }
        }
        Ok(End::Done)
    }

    /// It goes on being tried; whoever waits for it is told after a few times.
    async fn say_stop_fails(&self, trouble: &Saying) -> anyhow::Result<()> {
        let (hub, server) = (&self.hub, &self.server);
        let asked = server.stop_requested_at;
        let waits = asked.is_some_and(|asked| hub.now().since(Millis(asked)) >= STOPS_WITHIN_MS);
        if !waits && self.seat.desk().failures(server) + 1 < STOPS {
            return Ok(());
        }
        let told = say!("stop.fails", reason = trouble.clone());
        let mut tx = hub.db().write().await?;
        db::servers::set_stop_trouble(&mut tx, &server.id, hub.replica(), &told).await?;
        tx.commit().await?;
        Ok(())
    }

    /// Writes the end down: nothing of the server is left, its tokens are worth nothing.
    async fn say_ended(&self, state: State, reason: Option<&Saying>) -> anyhow::Result<bool> {
        let (hub, server) = (&self.hub, &self.server);
        let now = hub.now();
        let mut tx = hub.db().write().await?;
        if !db::servers::set_ended(&mut tx, &server.id, hub.replica(), state, reason, now.0).await?
        {
            return Ok(false);
        }
        db::tokens::delete_of_server(&mut tx, &server.id, &server.client_id).await?;
        if let Some(reason) = reason {
            self.add_step(&mut tx, now, 100, reason);
            db::failures::insert(&mut tx, &server.id, reason, now).await?;
            if server.ready_at.is_none() {
                trouble::failed(&mut tx, &server.id, now).await?;
            }
        }
        trouble::ended(hub, &mut tx, server, false, now).await?;
        publish(&mut tx, server, now).await?;
        tx.commit().await?;
        if let Err(error) = crate::launching::forget_unwanted(hub).await {
            // The next end, or the housekeeping, tries again.
            tracing::warn!(
                error = format!("{error:#}"),
                "a server that was removed is not forgotten yet"
            );
        }
        Ok(true)
    }

    fn token(&self, secret: &str, now: Millis) -> anyhow::Result<db::tokens::Token> {
        let server = &self.server;
        let settings = self.hub.settings();
        let scopes = settings
            .grants
            .server_scopes(&server.user_name, &server.name);
        let prefix = crate::servers::prefix(&self.hub.base(), &server.user_name, &server.name);
        Ok(db::tokens::Token {
            id: format!("a{}", new_id(now)),
            hash: tokens::hash(secret),
            user_id: server.user_id.clone(),
            note: say!("token.of_server", prefix = prefix).to_string(),
            scopes: serde_json::to_string(&scopes)?,
            created_at: now.0,
            last_used_at: None,
            expires_at: None,
            session_id: None,
            oauth_client: None,
            server_id: Some(server.id.clone()),
        })
    }

    /// A start does not fail because it can't be told how it goes.
    async fn write_steps(&self, said: &[Said]) {
        if said.is_empty() {
            return;
        }
        let written = async {
            let mut tx = self.hub.db().write().await?;
            self.add_steps(&mut tx, said).await?;
            tx.commit().await?;
            anyhow::Ok(())
        };
        if let Err(error) = written.await {
            tracing::warn!(error = format!("{error:#}"), "could not write a step down");
        }
    }

    async fn add_steps(&self, tx: &mut Tx, said: &[Said]) -> anyhow::Result<()> {
        for step in said {
            self.add_step(tx, step.at, step.progress, &step.message);
        }
        events::announce(tx, &step_topic(&self.server.id)).await?;
        Ok(())
    }

    fn add_step(&self, tx: &mut Tx, now: Millis, progress: u8, message: &Saying) {
        let (id, generation) = (&self.server.id, self.server.generation);
        db::servers::add_step(tx, id, generation, now.0, progress, message);
    }

    fn tell(&self, action: &'static str) {
        self.hub.tell(Event::Server {
            action,
            user: self.server.user_name.as_str(),
            server: self.server.name.as_str(),
        });
    }

    fn count(&self, status: &'static str) {
        let starts = &self.hub.metrics().starts;
        starts.get_or_create(&StatusLabel { status }).inc();
    }

    fn seconds_since(&self, from: Option<i64>, now: Millis) -> f64 {
        let took = now.since(Millis(from.unwrap_or(now.0))).max(0);
        Duration::from_millis(took.unsigned_abs()).as_secs_f64()
    }
}

fn hub_env(hub: &Hub, server: &Server, token: String) -> HubEnv {
    let settings = hub.settings();
    let origins = &settings.origins;
    let apart = origins.are_apart();
    let of_hub = origins.hub().unwrap_or_default();
    HubEnv {
        user: server.user_name.clone(),
        server: server.name.clone(),
        base_url: origins.base().to_string(),
        api_url: settings.api_url.clone(),
        host: if apart {
            of_hub.to_owned()
        } else {
            String::new()
        },
        own_host: origins
            .of(&server.user_name)
            .filter(|_| apart)
            .unwrap_or_default(),
        host_cookies: apart && origins.are_secure(),
        public_url: origins
            .full_url(&server.user_name, &server.name)
            .unwrap_or_default(),
        public_hub_url: origins.hub_url("/hub/").unwrap_or_default(),
        prefix: origins.path(&server.user_name, &server.name),
        client_id: server.client_id.clone(),
        api_token: lyceum_model::secret::Secret::new(token),
        access_scopes: oauth::access_scopes(server),
        client_allowed_scopes: match server.user_name.is_of_course() {
            true => Vec::new(),
            false => settings.grants.server_clients.to_list(),
        },
    }
}
