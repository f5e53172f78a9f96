//! A spawner whose servers are [`NotebookServer`]s in this process.
//!
//! It outlives a hub: a test that drops one hub and makes another on the same fake sees what an
//! adopted server looks like. It can be told to misbehave, and it notes when two callers work on
//! one server at a time ([`FakeSpawner::overlaps`]), which no hub may do.

use lyceum_model::say;
use lyceum_model::saying::Saying;
use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use async_trait::async_trait;
use lyceum_model::server::{ServerKey, ServerSpec};
use lyceum_spawn::{
    Pace, PortOwner, Shortage, SpawnError, Spawner, StartOrder, Started, Status, Steps, Usage,
};
use tokio::sync::Notify;

use super::notebook_server::{Kernels, Manner, NotebookServer};

/// How the next servers behave.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Behaviour {
    #[default]
    Good,
    /// The command does not exist.
    NotFound,
    /// It ends before it answers.
    ExitsAtOnce,
    /// It runs and answers nothing but errors.
    NeverReady,
    /// The start hangs before there is a process, until the behaviour changes.
    HangsBefore,
    /// The process is there, but the start does not return until the behaviour changes.
    HangsAfter,
    /// Somebody else is at work on it.
    Busy,
}

/// How stops go.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Ending {
    #[default]
    Good,
    Fails,
    /// The server goes on, the stop hangs until this changes.
    HangsBefore,
    /// The server has ended, but the stop does not return until this changes.
    HangsAfter,
}

#[derive(Clone, Default)]
pub struct FakeSpawner(Arc<Shared>);

#[derive(Default)]
struct Shared {
    inner: Mutex<Inner>,
    changed: Notify,
}

#[derive(Default)]
struct Inner {
    pace: Option<Pace>,
    behaviour: Behaviour,
    /// People whose servers behave in a way of their own.
    behaviours: HashMap<String, Behaviour>,
    ending: Ending,
    mute: Option<ServerKey>,
    mute_list: bool,
    /// How often it was asked after each.
    polls: HashMap<ServerKey, usize>,
    running: HashMap<ServerKey, NotebookServer>,
    thieves: HashMap<ServerKey, PortOwner>,
    requests: Arc<AtomicUsize>,
    kernels: Kernels,
    usage: Option<Usage>,
    /// Orders as they came, for tests to look at.
    orders: Vec<StartOrder>,
    /// When each of these came.
    begun: Vec<Instant>,
    stops: usize,
    exited: HashMap<ServerKey, Saying>,
    rooms: Vec<(u64, ServerSpec)>,
    short: Vec<Shortage>,
    at_work: Vec<ServerKey>,
    overlaps: Vec<String>,
}

impl Inner {
    fn behaviour_of(&self, order: &StartOrder) -> Behaviour {
        let own = self.behaviours.get(order.hub.user.as_str());
        own.copied().unwrap_or(self.behaviour)
    }
}

/// A start or a stop under way.
struct AtWork {
    shared: Arc<Shared>,
    key: ServerKey,
}

impl Drop for AtWork {
    fn drop(&mut self) {
        let mut inner = lock(&self.shared);
        if let Some(at) = inner.at_work.iter().position(|key| *key == self.key) {
            inner.at_work.swap_remove(at);
        }
    }
}

fn lock(shared: &Shared) -> std::sync::MutexGuard<'_, Inner> {
    shared.inner.lock().unwrap_or_else(PoisonError::into_inner)
}

impl FakeSpawner {
    pub fn behave(&self, behaviour: Behaviour) {
        self.lock().behaviour = behaviour;
        self.0.changed.notify_waiters();
    }

    /// As [`FakeSpawner::behave`], for servers of this person only.
    pub fn behave_for(&self, user: &str, behaviour: Behaviour) {
        self.lock().behaviours.insert(user.into(), behaviour);
        self.0.changed.notify_waiters();
    }

    pub fn end(&self, ending: Ending) {
        self.lock().ending = ending;
        self.0.changed.notify_waiters();
    }

    /// It is to be given starts no faster.
    pub fn walk(&self, pace: Pace) {
        self.lock().pace = Some(pace);
    }

    /// Questions after this server get no answer.
    pub fn mute(&self, key: Option<&ServerKey>) {
        self.lock().mute = key.cloned();
        self.0.changed.notify_waiters();
    }

    /// How often it was asked after this server.
    pub fn polls(&self, key: &ServerKey) -> usize {
        self.lock().polls.get(key).copied().unwrap_or_default()
    }

    /// The question which servers run gets no answer.
    pub fn mute_list(&self, mute: bool) {
        self.lock().mute_list = mute;
        self.0.changed.notify_waiters();
    }

    /// What was really started, adoptions not counted.
    pub fn orders(&self) -> Vec<StartOrder> {
        self.lock().orders.clone()
    }

    /// When each of [`FakeSpawner::orders`] came.
    pub fn begun(&self) -> Vec<Instant> {
        self.lock().begun.clone()
    }

    /// How often a stop was asked for.
    pub fn stops(&self) -> usize {
        self.lock().stops
    }

    /// For how many people room was asked for, of which kind.
    pub fn rooms(&self) -> Vec<(u64, ServerSpec)> {
        self.lock().rooms.clone()
    }

    /// What it says is short when room is asked for.
    pub fn be_short(&self, short: Vec<Shortage>) {
        self.lock().short = short;
    }

    pub fn running(&self) -> Vec<ServerKey> {
        self.lock().running.keys().cloned().collect()
    }

    /// Keys with a start or a stop under way.
    pub fn at_work(&self) -> Vec<ServerKey> {
        self.lock().at_work.clone()
    }

    /// Starts and stops of one server that were under way at the same time.
    pub fn overlaps(&self) -> Vec<String> {
        self.lock().overlaps.clone()
    }

    /// The server ends by itself.
    pub fn crash(&self, key: &ServerKey, reason: &str) {
        let mut inner = self.lock();
        inner.running.remove(key);
        inner.exited.insert(key.clone(), Saying::quote(reason));
    }

    /// From now on somebody else listens at the server's address.
    pub fn rob(&self, key: &ServerKey) {
        let thief = PortOwner::Stranger {
            uid: 65533,
            pid: None,
        };
        self.lock().thieves.insert(key.clone(), thief);
    }

    /// Servers of this person have a kernel in this state: `busy`, `idle`, or don't tell: `silent`, `none`.
    pub fn set_kernel(&self, user: &str, state: &str) {
        let kernels = self.lock().kernels.clone();
        let mut kernels = kernels.lock().unwrap_or_else(PoisonError::into_inner);
        kernels.insert(user.into(), state.into());
    }

    /// What every server that runs takes.
    pub fn set_usage(&self, usage: Usage) {
        self.lock().usage = Some(usage);
    }

    /// The server listens at its address again.
    pub fn give_back(&self, key: &ServerKey) {
        self.lock().thieves.remove(key);
    }

    /// Requests that arrived at the addresses of servers, whoever listened there.
    pub fn requests(&self) -> usize {
        self.lock().requests.load(Ordering::SeqCst)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Inner> {
        lock(&self.0)
    }

    fn address(&self, key: &ServerKey) -> Option<String> {
        self.lock()
            .running
            .get(key)
            .map(|server| format!("http://{}", server.address))
    }

    fn begin(&self, key: &ServerKey, what: &str) -> AtWork {
        let mut inner = self.lock();
        if inner.at_work.contains(key) {
            inner.overlaps.push(format!("{what} of {key}"));
        }
        inner.at_work.push(key.clone());
        AtWork {
            shared: self.0.clone(),
            key: key.clone(),
        }
    }

    async fn while_so(&self, so: impl Fn(&Inner) -> bool) {
        loop {
            let changed = self.0.changed.notified();
            if !so(&self.lock()) {
                return;
            }
            changed.await;
        }
    }
}

#[async_trait]
impl Spawner for FakeSpawner {
    fn kind(&self) -> &'static str {
        "fake"
    }

    fn pace(&self) -> Option<Pace> {
        self.lock().pace
    }

    async fn start(&self, order: &StartOrder, steps: &Steps) -> Result<Started, SpawnError> {
        let _at_work = self.begin(&order.key, "start");
        if let Some(address) = self.address(&order.key) {
            return Ok(Started {
                address,
                adopted: true,
            });
        }
        if self.lock().behaviour_of(order) == Behaviour::Busy {
            return Err(SpawnError::Busy {
                key: order.key.to_string(),
            });
        }
        self.while_so(|inner| inner.behaviour_of(order) == Behaviour::HangsBefore)
            .await;
        let behaviour = {
            let mut inner = self.lock();
            inner.orders.push(order.clone());
            inner.begun.push(Instant::now());
            inner.exited.remove(&order.key);
            inner.behaviour_of(order)
        };
        steps.say(50, Saying::quote("Making a fake server"));
        let manner = match behaviour {
            Behaviour::NotFound => {
                return Err(SpawnError::CommandNotFound {
                    command: "no-such-program".into(),
                    path: "/bin".into(),
                });
            }
            Behaviour::NeverReady => Manner::Fails,
            _ => Manner::Answers,
        };
        let (requests, kernels) = {
            let inner = self.lock();
            (inner.requests.clone(), inner.kernels.clone())
        };
        let server = NotebookServer::start_with(order.hub.clone(), manner, requests, kernels)
            .await
            .map_err(|error| SpawnError::System(Saying::quote(error.to_string())))?;
        let address = format!("http://{}", server.address);
        if behaviour == Behaviour::ExitsAtOnce {
            self.lock()
                .exited
                .insert(order.key.clone(), say!("exit.code", code = 3));
        } else {
            self.lock().running.insert(order.key.clone(), server);
        }
        self.while_so(|inner| inner.behaviour_of(order) == Behaviour::HangsAfter)
            .await;
        Ok(Started {
            address,
            adopted: false,
        })
    }

    async fn poll(&self, key: &ServerKey) -> Result<Status, SpawnError> {
        *self.lock().polls.entry(key.clone()).or_default() += 1;
        self.while_so(|inner| inner.mute.as_ref() == Some(key))
            .await;
        if let Some(address) = self.address(key) {
            let port = self.lock().thieves.get(key).copied();
            let port = port.unwrap_or(PortOwner::Server);
            return Ok(Status::Running { address, port });
        }
        Ok(match self.lock().exited.get(key) {
            Some(reason) => Status::Exited {
                code: Some(3),
                signal: None,
                reason: reason.clone(),
            },
            None => Status::Gone,
        })
    }

    async fn stop(&self, key: &ServerKey) -> Result<(), SpawnError> {
        let _at_work = self.begin(key, "stop");
        self.lock().stops += 1;
        if self.lock().ending == Ending::Fails {
            return Err(SpawnError::StillRunning {
                key: key.to_string(),
                seconds: 1,
            });
        }
        self.while_so(|inner| inner.ending == Ending::HangsBefore)
            .await;
        self.lock().running.remove(key);
        self.while_so(|inner| inner.ending == Ending::HangsAfter)
            .await;
        Ok(())
    }

    async fn log_tail(&self, _: &ServerKey, _: usize) -> Result<Vec<String>, SpawnError> {
        Ok(vec!["a line that the fake server wrote".into()])
    }

    async fn list(&self) -> Result<Vec<ServerKey>, SpawnError> {
        self.while_so(|inner| inner.mute_list).await;
        Ok(self.running())
    }

    async fn forget(&self, key: &ServerKey) -> Result<(), SpawnError> {
        self.lock().exited.remove(key);
        Ok(())
    }

    async fn usage(&self, key: &ServerKey) -> Result<Option<Usage>, SpawnError> {
        let inner = self.lock();
        let runs = inner.running.contains_key(key);
        Ok(inner.usage.filter(|_| runs))
    }

    async fn make_room(&self, people: u64, spec: &ServerSpec) -> Result<Vec<Shortage>, SpawnError> {
        let mut inner = self.lock();
        inner.rooms.push((people, spec.clone()));
        Ok(inner.short.clone())
    }
}
