//! Connections that are kept for a while, each given to one request at a time.
//!
//! One pool per worker: a connection belongs to the runtime it was made on. The newest idle one is
//! taken first, so that the others can grow old and be closed. Idle ones are bounded per server and
//! in all, open ones per server: that bound is the whole process's (`upstream/room.rs`).

use std::{
    collections::HashMap,
    io,
    pin::pin,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{
            AtomicUsize,
            Ordering::{Relaxed, SeqCst},
        },
    },
    time::Duration,
};

use prometheus_client::metrics::gauge::Gauge;
use rustix::io::Errno;
use tokio::{
    sync::{Notify, OwnedSemaphorePermit},
    time::Instant,
};

use crate::{config::Config, link::Link, target::Target};

use super::{ConnectError, Connector, Server, room::Room};

/// A connection's place among those to its server; counted as long as it lasts.
#[derive(Debug)]
pub(crate) struct Seat {
    open: Gauge,
    _permit: OwnedSemaphorePermit,
}

impl Seat {
    fn new(permit: OwnedSemaphorePermit, connector: &Connector) -> Self {
        connector.made.inc();
        connector.open.inc();
        Self {
            open: connector.open.clone(),
            _permit: permit,
        }
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.open.dec();
    }
}

#[derive(Debug)]
struct Idle {
    link: Link,
    seat: Seat,
    since: Instant,
}

/// A worker's connections to one server.
#[derive(Debug)]
pub(crate) struct Home {
    idle: Mutex<Vec<Idle>>,
    /// Idle connections of the whole pool.
    kept: Arc<AtomicUsize>,
    room: Arc<Room>,
    /// Requests of this worker that wait for room.
    waiting: AtomicUsize,
    /// Told when a connection becomes idle.
    freed: Notify,
}

impl Home {
    fn idle(&self) -> MutexGuard<'_, Vec<Idle>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Closes the oldest idle connection; whether there was one.
    pub(super) fn drop_one(&self) -> bool {
        let mut idle = self.idle();
        if idle.is_empty() {
            return false;
        }
        let one = idle.remove(0);
        drop(idle);
        self.kept.fetch_sub(1, Relaxed);
        drop(one);
        true
    }

    /// Whether requests of other workers wait for room.
    fn is_wanted_elsewhere(&self) -> bool {
        let all = self.room.waiting.load(SeqCst);
        all > self.waiting.load(SeqCst)
    }
}

/// A request that waits for room.
struct Waiting<'a>(&'a Home);

impl<'a> Waiting<'a> {
    fn new(home: &'a Home) -> Self {
        home.room.waiting.fetch_add(1, SeqCst);
        home.waiting.fetch_add(1, SeqCst);
        Self(home)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.waiting.fetch_sub(1, SeqCst);
        self.0.room.waiting.fetch_sub(1, SeqCst);
    }
}

/// What a request that waited got.
enum Got {
    Kept(Server),
    New(OwnedSemaphorePermit),
}

#[derive(Debug)]
pub(crate) struct Pool {
    homes: Mutex<HashMap<Target, Arc<Home>>>,
    connector: Arc<Connector>,
    kept: Arc<AtomicUsize>,
    time_out: Duration,
    per_target: usize,
    most: usize,
    keep: Duration,
    pub(super) header_bytes: usize,
}

impl Pool {
    pub(crate) fn new(config: &Config, connector: Arc<Connector>) -> Arc<Self> {
        let limits = &config.limits;
        Arc::new(Self {
            homes: Mutex::default(),
            connector,
            kept: Arc::default(),
            time_out: limits.connect,
            per_target: limits.pooled_per_target,
            most: config.upstream.pooled,
            keep: limits.pooled,
            header_bytes: limits.header_bytes,
        })
    }

    fn homes(&self) -> MutexGuard<'_, HashMap<Target, Arc<Home>>> {
        self.homes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn home(&self, target: &Target) -> Arc<Home> {
        let mut homes = self.homes();
        if let Some(home) = homes.get(target) {
            return home.clone();
        }
        let home = Arc::new(Home {
            idle: Mutex::default(),
            kept: self.kept.clone(),
            room: self.connector.rooms.find(target),
            waiting: AtomicUsize::new(0),
            freed: Notify::new(),
        });
        home.room.enter(&home);
        homes.insert(target.clone(), home.clone());
        home
    }

    /// A kept connection. `careful`: what will be sent may not be sent twice, so look twice whether
    /// it is still open.
    pub(crate) fn take(self: &Arc<Self>, target: &Target, careful: bool) -> Option<Server> {
        let home = self.homes().get(target)?.clone();
        let mut idle = home.idle();
        while let Some(mut one) = idle.pop() {
            self.kept.fetch_sub(1, Relaxed);
            if one.since.elapsed() < self.keep && one.link.io.is_silent(careful) {
                drop(idle);
                let mut server = Server::new(one.link.io, true, self.clone(), home, one.seat);
                server.link.out = one.link.out;
                server.link.input = one.link.input;
                return Some(server);
            }
        }
        None
    }

    /// A new connection, or a kept one where the server has no room for more.
    pub(crate) async fn connect(self: &Arc<Self>, target: &Target) -> Result<Server, ConnectError> {
        let home = self.home(target);
        tokio::time::timeout(self.time_out, async {
            let permit = match home.room.free.clone().try_acquire_owned() {
                Ok(permit) => permit,
                Err(_) => {
                    self.connector.waited.inc();
                    match self.wait(target, &home).await? {
                        Got::Kept(server) => return Ok(server),
                        Got::New(permit) => permit,
                    }
                }
            };
            let io = match self.connector.connect(target).await {
                Err(ConnectError::Refused(error)) if is_out_of_descriptors(&error) => {
                    self.drop_idle();
                    self.connector.connect(target).await?
                }
                made => made?,
            };
            let seat = Seat::new(permit, &self.connector);
            Ok(Server::new(io, false, self.clone(), home.clone(), seat))
        })
        .await
        .map_err(|_| ConnectError::TimeOut)?
    }

    /// Waits for a connection to end or to become idle.
    async fn wait(self: &Arc<Self>, target: &Target, home: &Home) -> Result<Got, ConnectError> {
        let _waiting = Waiting::new(home);
        loop {
            let mut freed = pin!(home.freed.notified());
            // In line before looking, so that what becomes idle in between is not missed.
            freed.as_mut().enable();
            if let Some(server) = self.take(target, true) {
                return Ok(Got::Kept(server));
            }
            home.room.drop_one();
            tokio::select! {
                permit = home.room.free.clone().acquire_owned() => {
                    return permit.map(Got::New).map_err(|_| ConnectError::TimeOut);
                }
                () = &mut freed => {}
            }
        }
    }

    pub(super) fn put(&self, home: &Home, mut link: Link, seat: Seat) {
        if self.kept.load(Relaxed) >= self.most {
            return;
        }
        link.has_written = false;
        let mut idle = home.idle();
        // One that another worker waits for is no use to it here: closed, it makes room for its own.
        if idle.len() < self.per_target && !home.is_wanted_elsewhere() {
            self.kept.fetch_add(1, Relaxed);
            idle.push(Idle {
                link,
                seat,
                since: Instant::now(),
            });
            home.freed.notify_one();
        }
    }

    /// Closes what is closed or old, gives memory back, and forgets servers without a connection.
    pub(crate) fn prune(&self) {
        let now = Instant::now();
        let mut homes = self.homes();
        homes.retain(|_, home| {
            let mut idle = home.idle();
            let before = idle.len();
            idle.retain_mut(|one| {
                one.link.release();
                now - one.since < self.keep && one.link.io.is_silent(false)
            });
            self.kept.fetch_sub(before - idle.len(), Relaxed);
            if idle.is_empty() {
                idle.shrink_to_fit();
            }
            // In use, or looked for just now: this lock is held where homes are found.
            !idle.is_empty() || Arc::strong_count(home) > 1
        });
        if homes.len() < homes.capacity() / 8 {
            let few = homes.len() * 2;
            homes.shrink_to(few.max(64));
        }
        drop(homes);
        self.connector.rooms.prune();
    }

    /// Closes all that nobody uses.
    pub(crate) fn drop_idle(&self) {
        for home in self.homes().values() {
            let closed = std::mem::take(&mut *home.idle());
            self.kept.fetch_sub(closed.len(), Relaxed);
        }
    }

    /// How often to prune.
    pub(crate) fn tidy_every(&self) -> Duration {
        (self.keep / 4).clamp(Duration::from_millis(100), Duration::from_secs(5))
    }
}

/// The process or the machine has no more.
fn is_out_of_descriptors(error: &io::Error) -> bool {
    matches!(
        Errno::from_io_error(error),
        Some(Errno::MFILE | Errno::NFILE)
    )
}
