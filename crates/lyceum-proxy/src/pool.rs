//! Connections to servers: made with a time-out, kept for a while, given to one request at a time.
//!
//! The newest idle connection is taken first, so that the others can grow old and be closed. The
//! number of open ones is bounded by the client connections, that of idle ones per target.

use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{body::Body, config::Limits, target::Target};

pub(crate) type Sender = http1::SendRequest<Body>;

#[derive(Debug, thiserror::Error)]
pub(crate) enum ConnectError {
    #[error("no connection within the time-out")]
    TimeOut,
    #[error("{0}")]
    Refused(#[from] std::io::Error),
    #[error("{0}")]
    Http(#[from] hyper::Error),
}

struct Idle {
    sender: Sender,
    since: Instant,
}

pub(crate) struct Pool {
    idle: Mutex<HashMap<Target, Vec<Idle>>>,
    connect: Duration,
    header_bytes: usize,
    per_target: usize,
    keep: Duration,
    tasks: TaskTracker,
}

impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Pool")
    }
}

impl Pool {
    pub(crate) fn new(limits: &Limits) -> Self {
        Self {
            idle: Mutex::default(),
            connect: limits.connect,
            header_bytes: limits.header_bytes,
            per_target: limits.pooled_per_target,
            keep: limits.pooled,
            tasks: TaskTracker::new(),
        }
    }

    /// A kept connection that is ready for a request.
    pub(crate) fn take(&self, target: &Target) -> Option<Sender> {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        let kept = idle.get_mut(target)?;
        let now = Instant::now();
        // One that is neither ready nor closed is about to be: its task has not run yet.
        kept.retain(|one| !one.sender.is_closed() && now - one.since < self.keep);
        let at = kept.iter().rposition(|one| one.sender.is_ready())?;
        Some(kept.remove(at).sender)
    }

    pub(crate) async fn connect(&self, target: &Target) -> Result<Sender, ConnectError> {
        let stream = tokio::time::timeout(
            self.connect,
            TcpStream::connect(target.authority().as_ref()),
        )
        .await
        .map_err(|_| ConnectError::TimeOut)??;
        stream.set_nodelay(true)?;
        let (sender, connection) = http1::Builder::new()
            .max_buf_size(self.header_bytes.max(64 * 1024))
            .handshake(TokioIo::new(stream))
            .await?;
        self.tasks.spawn(async move {
            // Its errors reach whoever waits for the answer.
            let _ = connection.with_upgrades().await;
        });
        Ok(sender)
    }

    fn put(&self, target: &Target, sender: Sender) {
        if sender.is_closed() {
            return;
        }
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        let kept = match idle.get_mut(target) {
            Some(kept) => kept,
            None => idle.entry(target.clone()).or_default(),
        };
        if kept.len() < self.per_target {
            kept.push(Idle {
                sender,
                since: Instant::now(),
            });
        }
    }

    fn prune(&self) {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        idle.retain(|_, kept| {
            kept.retain(|one| !one.sender.is_closed() && now - one.since < self.keep);
            !kept.is_empty()
        });
    }

    pub(crate) fn close_idle(&self) {
        self.idle
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clear();
    }

    /// Closes connections that idled too long, until told to stop.
    pub(crate) async fn keep_tidy(&self, stop: CancellationToken) {
        let every = (self.keep / 4).clamp(Duration::from_millis(100), Duration::from_secs(5));
        while tokio::time::timeout(every, stop.cancelled()).await.is_err() {
            self.prune();
        }
    }
}

/// A connection in use by one answer; dropped it is closed.
#[derive(Debug)]
pub(crate) struct Lease {
    pub(crate) pool: Arc<Pool>,
    pub(crate) target: Target,
    pub(crate) sender: Sender,
}

impl Lease {
    /// To be called when the answer is complete.
    pub(crate) fn give_back(self) {
        self.pool.put(&self.target, self.sender);
    }
}
