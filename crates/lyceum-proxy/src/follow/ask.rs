//! Access decisions from the hubs. Questions that come together are asked together.
//!
//! A hub says how long its answer may be kept; while no stream brings revocations, no longer than
//! [`super::Settings::keep_when_cut`]. No answer from any hub means no.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use async_trait::async_trait;
use tokio::sync::{Semaphore, mpsc, oneshot};

use super::{
    hubs::Hubs,
    wire::{
        ACCESS_PATH, AccessAnswers, AccessAsk, AccessRequest, MAX_ASKS, MAX_CREDENTIAL, VOUCH_PATH,
        VouchRequest, Vouched,
    },
};
use crate::{
    access::{Access, Ask, Credential, Decision},
    target::Target,
};

/// Questions that wait to be sent; more are answered "not now".
const WAITING: usize = 4_096;
/// Requests under way.
const AT_ONCE: usize = 16;
/// Servers remembered as vouched for.
const MOST_VOUCHED: usize = 65_536;

type Question = (AccessAsk, oneshot::Sender<Decision>);

/// Asks the hubs over HTTP.
#[derive(Debug)]
pub(crate) struct HttpAccess {
    questions: mpsc::Sender<Question>,
    /// Taken by [`HttpAccess::run`].
    incoming: Mutex<Option<mpsc::Receiver<Question>>>,
    connected: AtomicBool,
    keep_when_cut: Duration,
    hubs: Hubs,
    /// When a hub last vouched for a server at its address.
    vouched: Mutex<HashMap<(String, Target), Instant>>,
}

impl HttpAccess {
    pub(crate) fn new(hubs: Hubs, keep_when_cut: Duration) -> Self {
        let (questions, incoming) = mpsc::channel(WAITING);
        Self {
            questions,
            incoming: Mutex::new(Some(incoming)),
            connected: AtomicBool::new(false),
            keep_when_cut,
            hubs,
            vouched: Mutex::default(),
        }
    }

    /// Whether revocations are being heard of.
    pub(crate) fn set_connected(&self, connected: bool) {
        self.connected.store(connected, Relaxed);
    }

    /// Sends questions until dropped.
    pub(crate) async fn run(&self) {
        let incoming = self
            .incoming
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        let Some(mut incoming) = incoming else {
            return;
        };
        let places = Arc::new(Semaphore::new(AT_ONCE));
        let mut under_way = tokio::task::JoinSet::new();
        while let Some(first) = incoming.recv().await {
            let Ok(place) = places.clone().acquire_owned().await else {
                return;
            };
            let mut batch = vec![first];
            while batch.len() < MAX_ASKS
                && let Ok(next) = incoming.try_recv()
            {
                batch.push(next);
            }
            // Whoever asked may have gone meanwhile.
            batch.retain(|(_, to)| !to.is_closed());
            while under_way.try_join_next().is_some() {}
            if batch.is_empty() {
                continue;
            }
            let hubs = self.hubs.clone();
            under_way.spawn(async move {
                ask(&hubs, batch).await;
                drop(place);
            });
        }
    }
}

/// Who is not answered is told "not now" by the dropped channel.
async fn ask(hubs: &Hubs, batch: Vec<Question>) {
    let (asks, waiting): (Vec<AccessAsk>, Vec<_>) = batch.into_iter().unzip();
    let count = asks.len();
    match hubs
        .post::<AccessAnswers>(ACCESS_PATH, &AccessRequest { asks })
        .await
    {
        Ok(AccessAnswers { answers }) if answers.len() == count => {
            for (to, answer) in waiting.into_iter().zip(answers) {
                let _ = to.send(answer.into());
            }
        }
        Ok(_) => {
            tracing::error!("a hub gave another number of answers than it was asked questions")
        }
        Err(trouble) => {
            tracing::warn!(%trouble, "no hub decides about access now");
        }
    }
}

#[async_trait]
impl Access for HttpAccess {
    async fn check(&self, ask: &Ask) -> Decision {
        match &ask.credential {
            Credential::None => return Decision::SignIn,
            Credential::AccessCookie(secret) if secret.len() > MAX_CREDENTIAL => {
                return Decision::SignIn;
            }
            Credential::Token(secret) if secret.len() > MAX_CREDENTIAL => return Decision::Deny,
            Credential::AccessCookie(_) | Credential::Token(_) => {}
        }
        let (to, answer) = oneshot::channel();
        let question = AccessAsk::new(&ask.route_id, &ask.credential);
        if self.questions.try_send((question, to)).is_err() {
            return Decision::Unavailable;
        }
        match answer.await {
            Ok(Decision::Allow {
                subject,
                grounds,
                for_how_long,
            }) if !self.connected.load(Relaxed) => Decision::Allow {
                subject,
                grounds,
                for_how_long: for_how_long.min(self.keep_when_cut),
            },
            Ok(decision) => decision,
            Err(_) => Decision::Unavailable,
        }
    }

    /// While no hub answers, what was vouched for just now still is; for no longer than decisions
    /// are kept.
    async fn vouch(&self, route_id: &str, target: &Target) -> bool {
        let question = VouchRequest {
            route: route_id.to_owned(),
            target: target.clone(),
        };
        let key = (route_id.to_owned(), target.clone());
        match self.hubs.post::<Vouched>(VOUCH_PATH, &question).await {
            Ok(Vouched { vouched }) => {
                let mut known = self.vouched.lock().unwrap_or_else(PoisonError::into_inner);
                if !vouched {
                    known.remove(&key);
                    return false;
                }
                if known.len() >= MOST_VOUCHED {
                    known.retain(|_, at| at.elapsed() < self.keep_when_cut);
                }
                if known.len() < MOST_VOUCHED {
                    known.insert(key, Instant::now());
                }
                true
            }
            Err(trouble) => {
                tracing::debug!(%trouble, route = route_id, "no hub vouches for a server now");
                let known = self.vouched.lock().unwrap_or_else(PoisonError::into_inner);
                known
                    .get(&key)
                    .is_some_and(|at| at.elapsed() < self.keep_when_cut)
            }
        }
    }
}
