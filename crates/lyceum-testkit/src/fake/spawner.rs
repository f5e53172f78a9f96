//! A spawner whose servers are [`NotebookServer`]s in this process.
//!
//! It outlives a hub: a test that drops one hub and makes another on the same fake sees what an
//! adopted server looks like.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use lyceum_model::server::ServerKey;
use lyceum_spawn::{SpawnError, Spawner, StartOrder, Started, Status, Steps, Usage};

use super::notebook_server::{Manner, NotebookServer};

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
}

#[derive(Clone, Default)]
pub struct FakeSpawner(Arc<Mutex<Inner>>);

#[derive(Default)]
struct Inner {
    behaviour: Behaviour,
    running: HashMap<ServerKey, Running>,
    /// Orders as they came, for tests to look at.
    orders: Vec<StartOrder>,
    exited: HashMap<ServerKey, String>,
}

struct Running {
    server: NotebookServer,
}

impl FakeSpawner {
    pub fn behave(&self, behaviour: Behaviour) {
        self.lock().behaviour = behaviour;
    }

    pub fn orders(&self) -> Vec<StartOrder> {
        self.lock().orders.clone()
    }

    pub fn running(&self) -> Vec<ServerKey> {
        self.lock().running.keys().cloned().collect()
    }

    /// The server ends by itself.
    pub fn crash(&self, key: &ServerKey, reason: &str) {
        let mut inner = self.lock();
        inner.running.remove(key);
        inner.exited.insert(key.clone(), reason.into());
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn address(&self, key: &ServerKey) -> Option<String> {
        self.lock()
            .running
            .get(key)
            .map(|running| format!("http://{}", running.server.address))
    }
}

#[async_trait]
impl Spawner for FakeSpawner {
    fn kind(&self) -> &'static str {
        "fake"
    }

    async fn start(&self, order: &StartOrder, steps: &Steps) -> Result<Started, SpawnError> {
        if let Some(address) = self.address(&order.key) {
            return Ok(Started {
                address,
                adopted: true,
            });
        }
        let behaviour = {
            let mut inner = self.lock();
            inner.orders.push(order.clone());
            inner.exited.remove(&order.key);
            inner.behaviour
        };
        steps.say(50, "Making a fake server");
        let manner = match behaviour {
            Behaviour::NotFound => {
                return Err(SpawnError::CommandNotFound {
                    command: "no-such-program".into(),
                    path: "/bin".into(),
                });
            }
            Behaviour::NeverReady => Manner::Fails,
            Behaviour::Good | Behaviour::ExitsAtOnce => Manner::Answers,
        };
        let server = NotebookServer::start(order.hub.clone(), manner)
            .await
            .map_err(|error| SpawnError::System(error.to_string()))?;
        let address = format!("http://{}", server.address);
        if behaviour == Behaviour::ExitsAtOnce {
            self.lock()
                .exited
                .insert(order.key.clone(), "exited with code 3".into());
        } else {
            self.lock()
                .running
                .insert(order.key.clone(), Running { server });
        }
        Ok(Started {
            address,
            adopted: false,
        })
    }

    async fn poll(&self, key: &ServerKey) -> Result<Status, SpawnError> {
        if let Some(address) = self.address(key) {
            return Ok(Status::Running { address });
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
        self.lock().running.remove(key);
        Ok(())
    }

    async fn log_tail(&self, _: &ServerKey, _: usize) -> Result<Vec<String>, SpawnError> {
        Ok(vec!["a line that the fake server wrote".into()])
    }

    async fn list(&self) -> Result<Vec<ServerKey>, SpawnError> {
        Ok(self.running())
    }

    async fn forget(&self, key: &ServerKey) -> Result<(), SpawnError> {
        self.lock().exited.remove(key);
        Ok(())
    }

    async fn usage(&self, _: &ServerKey) -> Result<Option<Usage>, SpawnError> {
        Ok(None)
    }
}
