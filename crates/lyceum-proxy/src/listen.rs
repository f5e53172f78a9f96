//! The accept loop: who may connect, how long, and how it all ends.
//!
//! Every task belongs to one tracker. A shutdown first closes the listener and lets what is under
//! way finish; after the drain's deadline the rest is cut.

use std::{
    collections::HashMap,
    net::{IpAddr, SocketAddr},
    pin::pin,
    sync::{Arc, Mutex, PoisonError, Weak},
    time::Duration,
};

use prometheus_client::metrics::gauge::Gauge;
use tokio::{
    net::{TcpListener, TcpStream},
    sync::OwnedSemaphorePermit,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    Inner,
    io::Io,
    serve::{self, Worker},
    upstream::Pool,
};

/// One client connection, for as long as it or a tunnel made of it lives.
#[derive(Debug)]
pub(crate) struct Conn {
    pub(crate) address: SocketAddr,
    pub(crate) is_trusted: bool,
    pub(crate) scheme_is_https: bool,
    pub(crate) tasks: TaskTracker,
    /// Cut everything now.
    pub(crate) kill: CancellationToken,
    _place: Place,
}

/// How many connections each address has.
#[derive(Debug, Default)]
pub(crate) struct PerClient(Mutex<HashMap<IpAddr, usize>>);

/// A connection's place within the limits; given back when dropped.
#[derive(Debug)]
struct Place {
    inner: Weak<Inner>,
    address: Option<IpAddr>,
    open: Gauge,
    _permit: OwnedSemaphorePermit,
}

impl Drop for Place {
    fn drop(&mut self) {
        self.open.dec();
        if let (Some(inner), Some(address)) = (self.inner.upgrade(), self.address) {
            let mut counts = inner
                .per_client
                .0
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            if let Some(count) = counts.get_mut(&address) {
                *count -= 1;
                if *count == 0 {
                    counts.remove(&address);
                }
            }
        }
    }
}

/// None if the address has too many.
fn find_place(
    inner: &Arc<Inner>,
    permit: OwnedSemaphorePermit,
    address: IpAddr,
    is_trusted: bool,
) -> Option<Place> {
    if !is_trusted {
        let mut counts = inner
            .per_client
            .0
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let count = counts.entry(address).or_default();
        if *count >= inner.config.limits.connections_per_client {
            return None;
        }
        *count += 1;
    }
    inner.metrics.connections.inc();
    Some(Place {
        inner: Arc::downgrade(inner),
        address: (!is_trusted).then_some(address),
        open: inner.metrics.connections.clone(),
        _permit: permit,
    })
}

pub(crate) async fn run(
    inner: Arc<Inner>,
    listener: TcpListener,
    shutdown: impl Future<Output = ()>,
) {
    // Its connections inherit it, so that none has to be told.
    let _ = rustix::net::sockopt::set_tcp_nodelay(&listener, true);
    let tasks = TaskTracker::new();
    let drain = CancellationToken::new();
    let kill = CancellationToken::new();
    let worker = Arc::new(Worker {
        pool: Pool::new(&inner.config, inner.connector.clone()),
        inner: inner.clone(),
        drain: drain.clone(),
    });
    let tidy = tokio::spawn({
        let (pool, kill) = (worker.pool.clone(), kill.clone());
        async move { pool.keep_tidy(kill).await }
    });
    {
        let mut shutdown = pin!(shutdown);
        loop {
            let accepted = tokio::select! {
                biased;
                () = &mut shutdown => break,
                accepted = accept(&inner, &listener) => accepted,
            };
            let Some((stream, address, permit)) = accepted else {
                continue;
            };
            let ip = address.ip().to_canonical();
            let is_trusted = inner
                .config
                .trusted_proxies
                .iter()
                .any(|network| network.contains(ip));
            let Some(place) = find_place(&inner, permit, ip, is_trusted) else {
                inner.metrics.over_limit.inc();
                tracing::debug!(client = %address, "too many connections from one address");
                refuse(&stream);
                continue;
            };
            let io = Io::from(stream);
            let conn = Arc::new(Conn {
                address,
                is_trusted,
                scheme_is_https: false,
                tasks: tasks.clone(),
                kill: kill.clone(),
                _place: place,
            });
            tasks.spawn(serve::serve(worker.clone(), io, conn));
        }
    }
    drop(listener);
    drain.cancel();
    tasks.close();
    let deadline = inner.config.limits.drain;
    if tokio::time::timeout(deadline, tasks.wait()).await.is_err() {
        tracing::info!(
            open = tasks.len(),
            "the drain's time is up; closing the rest"
        );
    }
    kill.cancel();
    tasks.wait().await;
    let _ = tidy.await;
    worker.pool.close_idle();
}

/// The next connection, once there is room for one.
async fn accept(
    inner: &Arc<Inner>,
    listener: &TcpListener,
) -> Option<(TcpStream, SocketAddr, OwnedSemaphorePermit)> {
    let permit = inner.room.clone().acquire_owned().await.ok()?;
    match listener.accept().await {
        Ok((stream, address)) => Some((stream, address, permit)),
        Err(error) => {
            // Out of descriptors, most likely: it passes, but not at once.
            tracing::warn!(%error, "a connection could not be accepted");
            tokio::time::sleep(Duration::from_millis(50)).await;
            None
        }
    }
}

/// A word of explanation that never waits.
fn refuse(stream: &TcpStream) {
    let _ = stream.try_write(
        b"HTTP/1.1 503 Service Unavailable\r\nConnection: close\r\nRetry-After: 5\r\nContent-Length: 0\r\n\r\n",
    );
}
