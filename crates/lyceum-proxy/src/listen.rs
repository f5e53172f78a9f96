//! The accept loops: who may connect, how long it may take to arrive, and how it all ends.
//!
//! A connection comes in at a [`Door`], may first say whose it is (`proxy_protocol.rs`), may speak
//! TLS (`tls.rs`), and is then handed to `serve` as an [`Io`] with a [`Conn`].
//!
//! Every task belongs to one tracker. A shutdown first says so to whoever asks for readiness, then
//! takes in what already waits in the system's queue, closes the sockets and lets what is under
//! way finish; after the drain's deadline the rest is cut.

mod door;
mod early;
mod hand_over;
mod metrics;
mod place;

use std::{
    io,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::Duration,
};

use rustix::{io::Errno, net::SocketFlags};
use serde::{Deserialize, Serialize};
use tokio::{
    net::{TcpListener, TcpStream, UnixListener, UnixStream},
    sync::OwnedSemaphorePermit,
    time::Instant,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    Inner,
    config::span,
    io::{Io, Plain},
    proxy_protocol::{self, Sender},
    serve::{self, Worker},
    tls::HandshakeError,
    upstream::Pool,
};

pub use door::{Door, ListenAddress, Listener};
use door::{Rules, Socket, SocketFile};
pub use hand_over::{HandOver, Handed, inherited, take_over};
pub(crate) use metrics::Arrived;
use place::Place;
pub(crate) use place::{PerClient, Share};

/// After the sockets are closed, whoever has just connected may still send a first request.
const FIRST_WORD: Duration = Duration::from_secs(2);
/// How long to wait when the system has no descriptor or memory for a connection.
const PAUSE: Duration = Duration::from_millis(50);

/// Bounds of what happens before a connection's first request.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Arrivals {
    /// How long a load balancer may take to send its PROXY header.
    #[serde(with = "span")]
    pub proxy_header: Duration,
    /// How long a TLS handshake may take.
    #[serde(with = "span")]
    pub handshake: Duration,
    /// TLS handshakes under way at once from one client (trusted proxies are exempt).
    pub handshakes_per_client: usize,
}

impl Default for Arrivals {
    fn default() -> Self {
        Self {
            proxy_header: Duration::from_secs(5),
            handshake: Duration::from_secs(10),
            handshakes_per_client: 128,
        }
    }
}

/// What the client and we agreed to speak.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Speaks {
    Http1,
    Http2,
}

/// One client connection, for as long as it or a tunnel made of it lives.
#[derive(Debug)]
pub(crate) struct Conn {
    /// The client's, as far as it is known: a load balancer may have told it.
    pub(crate) address: SocketAddr,
    /// Whether the other side is a proxy of ours, whose `X-Forwarded-*` headers count.
    pub(crate) is_trusted: bool,
    /// Whether the client speaks TLS, with us or with a load balancer that said so.
    pub(crate) is_https: bool,
    pub(crate) speaks: Speaks,
    /// Whether the client showed a certificate that we accept.
    pub(crate) has_certificate: bool,
    pub(crate) tasks: TaskTracker,
    /// Cut everything now.
    pub(crate) kill: CancellationToken,
    rules: Arc<Rules>,
    /// A drain leaves it until then to send its first request.
    pub(crate) first_word_by: Instant,
    pub(crate) place: Place,
}

#[cfg(any(test, fuzzing))]
impl Conn {
    /// Without a socket.
    pub(crate) fn of_nobody(inner: &Arc<Inner>, address: SocketAddr, is_trusted: bool) -> Self {
        let permit = inner.room.clone().try_acquire_owned();
        let permit = permit.expect("few are made and there is room for thousands");
        let place = Place::find(inner, permit, address.ip(), is_trusted);
        Self {
            address,
            is_trusted,
            is_https: false,
            speaks: Speaks::Http1,
            has_certificate: false,
            tasks: TaskTracker::new(),
            kill: CancellationToken::new(),
            rules: Arc::default(),
            first_word_by: Instant::now(),
            place: place.expect("few are made"),
        }
    }
}

impl Conn {
    /// Whom a request comes from: the last address in the chain (`said`, the lines of
    /// `X-Forwarded-For`, and ours after them) that is none of our own proxies'.
    pub(crate) fn client<'a>(&self, inner: &Inner, said: impl Iterator<Item = &'a [u8]>) -> IpAddr {
        let own = self.address.ip().to_canonical();
        if !self.is_trusted {
            return own;
        }
        let is_ours = |address: &IpAddr| {
            let networks = &inner.config.trusted_proxies;
            *address == own || networks.iter().any(|network| network.contains(*address))
        };
        let mut nearest = own;
        let chain: Vec<&[u8]> = said.flat_map(crate::fields::tokens).collect();
        for hop in chain.into_iter().rev() {
            // What is not an address ends what can be known.
            let Some(address) = str::from_utf8(hop)
                .ok()
                .and_then(|hop| hop.parse::<IpAddr>().ok())
            else {
                break;
            };
            nearest = address.to_canonical();
            if !is_ours(&nearest) {
                break;
            }
        }
        nearest
    }
}

/// What every accept loop of one [`run`] shares.
#[derive(Clone)]
struct Ctx {
    inner: Arc<Inner>,
    worker: Arc<Worker>,
    tasks: TaskTracker,
    /// Take no more connections.
    stop: CancellationToken,
    kill: CancellationToken,
}

/// Whether a shutdown is under way; shared by all workers.
#[derive(Debug, Default)]
pub(crate) struct Draining {
    begun: AtomicBool,
    /// Another process accepts from the same queues.
    handed_on: AtomicBool,
}

impl Inner {
    pub(crate) fn is_draining(&self) -> bool {
        self.draining.begun.load(Relaxed)
    }

    pub(crate) fn begin_drain(&self) {
        self.draining.begun.store(true, Relaxed);
    }

    pub(crate) fn hand_on(&self) {
        self.draining.handed_on.store(true, Relaxed);
    }

    pub(crate) fn is_handed_on(&self) -> bool {
        self.draining.handed_on.load(Relaxed)
    }
}

/// [`run_doors`] on one plain socket.
pub(crate) async fn run(
    inner: Arc<Inner>,
    listener: TcpListener,
    shutdown: impl Future<Output = ()>,
) {
    match listener.into_std().and_then(Door::from_tcp) {
        Ok(door) => run_doors(inner, vec![door], shutdown).await,
        Err(error) => tracing::error!(%error, "a socket can't be listened to"),
    }
}

pub(crate) async fn run_doors(
    inner: Arc<Inner>,
    doors: Vec<Door>,
    shutdown: impl Future<Output = ()>,
) {
    let worker = Arc::new(Worker {
        pool: Pool::new(&inner.config, inner.connector.clone()),
        inner: inner.clone(),
        drain: CancellationToken::new(),
    });
    let ctx = Ctx {
        inner: inner.clone(),
        worker: worker.clone(),
        tasks: TaskTracker::new(),
        stop: CancellationToken::new(),
        kill: CancellationToken::new(),
    };
    let tidy = tokio::spawn({
        let (worker, kill) = (worker.clone(), ctx.kill.clone());
        async move { worker.keep_tidy(kill).await }
    });
    let accepting = TaskTracker::new();
    for door in doors {
        accepting.spawn(accept_all(ctx.clone(), door));
    }
    accepting.close();
    shutdown.await;
    inner.begin_drain();
    if !inner.is_handed_on() && !inner.config.limits.unready.is_zero() {
        tokio::time::sleep(inner.config.limits.unready).await;
    }
    ctx.stop.cancel();
    accepting.wait().await;
    worker.drain.cancel();
    ctx.tasks.close();
    let deadline = inner.config.limits.drain;
    if tokio::time::timeout(deadline, ctx.tasks.wait())
        .await
        .is_err()
    {
        let open = ctx.tasks.len();
        inner.metrics.count_limits("drain", open);
        tracing::info!(open, "the drain's time is up; closing the rest");
    }
    ctx.kill.cancel();
    ctx.tasks.wait().await;
    let _ = tidy.await;
    worker.pool.drop_idle();
}

/// The socket of a door, as the runtime sees it.
enum Queue {
    Tcp(TcpListener),
    Unix(UnixListener, Option<SocketFile>),
}

enum Stream {
    Tcp(TcpStream),
    Unix(UnixStream),
}

/// Whoever comes by a unix socket is on this machine.
const HERE: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

impl Queue {
    fn new(socket: Socket) -> io::Result<Self> {
        Ok(match socket {
            Socket::Tcp(listener) => Self::Tcp(TcpListener::from_std(listener)?),
            Socket::Unix(listener, file) => Self::Unix(UnixListener::from_std(listener)?, file),
        })
    }

    async fn accept(&self) -> io::Result<(Stream, SocketAddr)> {
        match self {
            Self::Tcp(listener) => {
                let (stream, address) = listener.accept().await?;
                Ok((Stream::Tcp(stream), address))
            }
            Self::Unix(listener, _) => {
                let (stream, _) = listener.accept().await?;
                Ok((Stream::Unix(stream), HERE))
            }
        }
    }
}

impl Queue {
    /// A connection that waits already. The runtime may not know of it yet, so the system is asked.
    fn accept_waiting(&self) -> io::Result<(Stream, SocketAddr)> {
        let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
        match self {
            Self::Tcp(listener) => {
                let (connection, address) = rustix::net::acceptfrom_with(listener, flags)?;
                let address = address.and_then(|address| SocketAddr::try_from(address).ok());
                let address = address.ok_or(io::ErrorKind::ConnectionAborted)?;
                let stream = TcpStream::from_std(connection.into())?;
                Ok((Stream::Tcp(stream), address))
            }
            Self::Unix(listener, _) => {
                let connection = rustix::net::accept_with(listener, flags)?;
                let stream = UnixStream::from_std(connection.into())?;
                Ok((Stream::Unix(stream), HERE))
            }
        }
    }
}

impl Queue {
    /// Closes this end only: another process accepts at the same socket.
    fn leave(self) {
        if let Self::Unix(_, Some(file)) = self {
            file.leave();
        }
    }
}

/// Takes in connections at one door until told to stop, and then those that already wait.
async fn accept_all(ctx: Ctx, door: Door) {
    let Door { socket, rules, .. } = door;
    let queue = match Queue::new(socket) {
        Ok(queue) => queue,
        Err(error) => {
            tracing::error!(%error, "a socket can't be listened to");
            return;
        }
    };
    let mut log = SeldomLog::default();
    loop {
        let accepted = tokio::select! {
            biased;
            () = ctx.stop.cancelled() => break,
            accepted = queue.accept() => accepted,
        };
        match accepted {
            Ok((stream, address)) => {
                let Some(permit) = find_room(&ctx).await else {
                    break;
                };
                arrive(&ctx, &rules, stream, address, permit);
            }
            Err(error) => {
                let why = reason(&error);
                ctx.inner.arrived.count_accept_error(why);
                if why != "client" {
                    log.warn(&error);
                    if why == "descriptors" {
                        ctx.worker.pool.drop_idle();
                    }
                    tokio::time::sleep(PAUSE).await;
                }
            }
        }
    }
    if ctx.inner.is_handed_on() {
        queue.leave();
        return;
    }
    // These clients believe that they are connected: without this they would be reset.
    while let Ok(permit) = ctx.inner.room.clone().try_acquire_owned() {
        match queue.accept_waiting() {
            Ok((stream, address)) => arrive(&ctx, &rules, stream, address, permit),
            Err(error) if reason(&error) == "client" => {}
            Err(_) => break,
        }
    }
}

/// None if it is time to stop.
async fn find_room(ctx: &Ctx) -> Option<OwnedSemaphorePermit> {
    if let Ok(permit) = ctx.inner.room.clone().try_acquire_owned() {
        return Some(permit);
    }
    ctx.inner.arrived.waited.inc();
    tokio::select! {
        () = ctx.stop.cancelled() => None,
        permit = ctx.inner.room.clone().acquire_owned() => permit.ok(),
    }
}

/// Whether it is the system that lacks something, or just this client that has gone (`accept`'s
/// manual tells to go on after network errors of the new connection).
fn reason(error: &io::Error) -> &'static str {
    match Errno::from_io_error(error) {
        Some(Errno::MFILE | Errno::NFILE) => "descriptors",
        Some(Errno::NOBUFS | Errno::NOMEM) => "memory",
        Some(
            Errno::CONNABORTED
            | Errno::INTR
            | Errno::PROTO
            | Errno::NETDOWN
            | Errno::NOPROTOOPT
            | Errno::HOSTDOWN
            | Errno::HOSTUNREACH
            | Errno::OPNOTSUPP
            | Errno::NETUNREACH
            | Errno::PERM,
        ) => "client",
        _ => "other",
    }
}

/// A line at most every ten seconds, for what may happen twenty times in one.
#[derive(Default)]
struct SeldomLog(Option<Instant>);

impl SeldomLog {
    fn warn(&mut self, error: &io::Error) {
        let now = Instant::now();
        if self
            .0
            .is_none_or(|last| now - last >= Duration::from_secs(10))
        {
            self.0 = Some(now);
            tracing::warn!(%error, "a connection could not be accepted; trying on");
        }
    }
}

/// Gives a new connection its task.
fn arrive(
    ctx: &Ctx,
    rules: &Arc<Rules>,
    stream: Stream,
    address: SocketAddr,
    permit: OwnedSemaphorePermit,
) {
    let arrival = Arrival {
        ctx: ctx.clone(),
        rules: rules.clone(),
        address,
        permit,
    };
    let is_plain = !rules.speaks_tls && rules.proxy_protocol.is_empty();
    match stream {
        Stream::Unix(stream) if is_plain => {
            let io = Io::Plain(Plain::Unix(stream));
            if let Some((io, conn)) = arrival.into_conn(address, false, Secured::default(), io) {
                ctx.tasks
                    .spawn(serve::on_heap(ctx.worker.clone(), io, conn));
            }
        }
        Stream::Tcp(stream) if is_plain => {
            let io = Io::Plain(Plain::Tcp(stream));
            if let Some((io, conn)) = arrival.into_conn(address, false, Secured::default(), io) {
                ctx.tasks
                    .spawn(serve::on_heap(ctx.worker.clone(), io, conn));
            }
        }
        stream => {
            let worker = ctx.worker.clone();
            ctx.tasks.spawn(async move {
                let kill = arrival.ctx.kill.clone();
                let ready = tokio::select! {
                    ready = arrival.introduce(stream) => ready,
                    () = kill.cancelled() => None,
                };
                if let Some((io, conn)) = ready {
                    serve::serve(worker, io, conn).await;
                }
            });
        }
    }
}

/// A connection that is not yet one of HTTP.
struct Arrival {
    ctx: Ctx,
    rules: Arc<Rules>,
    /// The other end of the socket.
    address: SocketAddr,
    permit: OwnedSemaphorePermit,
}

/// What TLS found out.
struct Secured {
    is_https: bool,
    speaks: Speaks,
    has_certificate: bool,
}

impl Default for Secured {
    fn default() -> Self {
        Self {
            is_https: false,
            speaks: Speaks::Http1,
            has_certificate: false,
        }
    }
}

impl Arrival {
    /// PROXY header and TLS, each with its time.
    async fn introduce(self, mut stream: Stream) -> Option<(Io, Arc<Conn>)> {
        let inner = self.ctx.inner.clone();
        let peer = self.address.ip().to_canonical();
        let is_announced = self
            .rules
            .proxy_protocol
            .iter()
            .any(|net| net.contains(peer));
        let mut sender = Sender::default();
        if is_announced {
            let read = async {
                match &mut stream {
                    Stream::Tcp(stream) => proxy_protocol::read(stream).await,
                    Stream::Unix(stream) => proxy_protocol::read(stream).await,
                }
            };
            let read = tokio::time::timeout(inner.config.arrivals.proxy_header, read).await;
            match read {
                Ok(Ok(told)) => sender = told,
                Ok(Err(error)) => {
                    inner.arrived.count_turned_away("proxy_header");
                    tracing::info!(peer = %self.address, %error, "no proper PROXY header");
                    return None;
                }
                Err(_) => {
                    inner.arrived.count_turned_away("proxy_header_time_out");
                    tracing::info!(peer = %self.address, "no PROXY header came in time");
                    return None;
                }
            }
        }
        let address = sender.source.unwrap_or(self.address);
        let is_told = sender.source.is_some();
        let stream = match stream {
            Stream::Unix(stream) => {
                let secured = Secured {
                    is_https: sender.is_https,
                    ..Secured::default()
                };
                return self.into_conn(address, is_told, secured, Io::Plain(Plain::Unix(stream)));
            }
            Stream::Tcp(stream) => stream,
        };
        let Some(certificates) =
            (self.rules.certificates.clone()).filter(|_| self.rules.speaks_tls)
        else {
            let secured = Secured {
                is_https: sender.is_https,
                ..Secured::default()
            };
            return self.into_conn(address, is_told, secured, Io::Plain(Plain::Tcp(stream)));
        };
        let (rules, first_word) = (self.rules.clone(), Instant::now() + FIRST_WORD);
        let ctx = self.ctx.clone();
        let (place, is_trusted) = self.find_place(address, is_told, &stream)?;
        let Some(handshaking) = place.begin_handshake(inner.config.arrivals.handshakes_per_client)
        else {
            inner.arrived.count_turned_away("handshakes_per_client");
            return None;
        };
        let handshake = certificates.handshake(stream);
        let shaken = tokio::time::timeout(inner.config.arrivals.handshake, handshake).await;
        drop(handshaking);
        let stream = match shaken {
            Ok(Ok(stream)) => stream,
            Ok(Err(error)) => {
                inner.arrived.count_turned_away(error.reason());
                if let HandshakeError::Failed(error) = error {
                    tracing::debug!(client = %address, %error, "a TLS handshake failed");
                }
                return None;
            }
            Err(_) => {
                inner.arrived.count_turned_away("handshake_time_out");
                return None;
            }
        };
        inner.arrived.handshakes.inc();
        let session = stream.get_ref().1;
        let secured = Secured {
            is_https: true,
            speaks: match session.alpn_protocol() {
                Some(b"h2") => Speaks::Http2,
                _ => Speaks::Http1,
            },
            has_certificate: session.peer_certificates().is_some(),
        };
        Some(make_conn(
            ctx,
            rules,
            Io::Tls(Box::new(stream.into())),
            Known {
                address,
                is_trusted,
                secured,
                place,
                first_word,
            },
        ))
    }

    /// A place, and whether the connection comes from a proxy of ours. Whoever a PROXY header
    /// told of is a client like any other: only the header itself was believed.
    fn find_place(
        self,
        address: SocketAddr,
        is_told: bool,
        stream: &impl std::os::fd::AsFd,
    ) -> Option<(Place, bool)> {
        let inner = &self.ctx.inner;
        let ip = address.ip().to_canonical();
        let networks = &inner.config.trusted_proxies;
        let is_trusted =
            (self.rules.trusted && !is_told) || networks.iter().any(|network| network.contains(ip));
        let place = Place::find(inner, self.permit, ip, is_trusted);
        if place.is_none() {
            inner.metrics.over_limit.inc();
            tracing::debug!(client = %address, "too many connections from one client");
            if !self.rules.speaks_tls {
                refuse(stream);
            }
        }
        Some((place?, is_trusted))
    }

    fn into_conn(
        self,
        address: SocketAddr,
        is_told: bool,
        secured: Secured,
        io: Io,
    ) -> Option<(Io, Arc<Conn>)> {
        let (ctx, rules) = (self.ctx.clone(), self.rules.clone());
        let (place, is_trusted) = self.find_place(address, is_told, &io)?;
        let known = Known {
            address,
            is_trusted,
            secured,
            place,
            first_word: Instant::now() + FIRST_WORD,
        };
        Some(make_conn(ctx, rules, io, known))
    }
}

struct Known {
    address: SocketAddr,
    is_trusted: bool,
    secured: Secured,
    place: Place,
    first_word: Instant,
}

fn make_conn(ctx: Ctx, rules: Arc<Rules>, io: Io, known: Known) -> (Io, Arc<Conn>) {
    let conn = Arc::new(Conn {
        address: known.address,
        is_trusted: known.is_trusted,
        is_https: known.secured.is_https,
        speaks: known.secured.speaks,
        has_certificate: known.secured.has_certificate,
        tasks: ctx.tasks,
        kill: ctx.kill,
        rules,
        first_word_by: known.first_word,
        place: known.place,
    });
    tracing::trace!(
        client = %conn.address,
        https = conn.is_https,
        speaks = ?conn.speaks,
        certificate = conn.has_certificate,
        "a client is connected"
    );
    (io, conn)
}

/// A word of explanation that never waits.
fn refuse(stream: &impl std::os::fd::AsFd) {
    let _ = rustix::net::send(
        stream,
        b"HTTP/1.1 503 Service Unavailable\r\nConnection: close\r\nRetry-After: 5\r\nContent-Length: 0\r\n\r\n",
        rustix::net::SendFlags::DONTWAIT | rustix::net::SendFlags::NOSIGNAL,
    );
}
