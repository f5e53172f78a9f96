//! Clients that speak HTTP/2 (RFC 9113): one task per connection, one per request on it.
//!
//! The codec is the `h2` crate: frames, header compression, windows. Here is what it leaves to us:
//! reading order `wire` and `meter` (a connection's bytes, and floods of frames) → this file (a
//! connection, its time and its end) → `head` (a request as the decisions want it) → `stream` (one
//! request) → `exchange` (it and its answer, both ways at once) → `websocket` (RFC 8441). Decisions,
//! connections to servers and tunnels are those of HTTP/1.
//!
//! What one connection can hold is bounded: `Http2::streams` requests, `connection_window` bytes of
//! their bodies, `send_buffer` bytes of each answer, heads of `Limits::header_bytes` each and `HEADS`
//! in all, and a budget of frames that carry nothing. Each request beyond the first counts as a
//! connection. A connection whose client takes nothing for `Limits::slow_grace` is closed.

mod config;
mod exchange;
mod head;
mod meter;
mod metrics;
mod stream;
mod websocket;
mod wire;

use std::{
    future::poll_fn,
    pin::Pin,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use h2::{
    Ping, PingPong, Reason,
    server::{Builder, Connection},
};
use hyper::{
    header::{HeaderName, HeaderValue},
    http::request,
};
use tokio::time::Instant;
use tokio_util::sync::WaitForCancellationFutureOwned;

pub use config::Http2;
pub(crate) use meter::PREFACE;
pub(crate) use metrics::Metrics;
pub(crate) use websocket::Duplex;

use self::{
    stream::Stream,
    wire::{Seen, Wire},
};
use crate::{
    Inner,
    alarm::{Alarm, after},
    http1::request::MOST_HEADERS,
    io::Io,
    listen::{Conn, Share},
    serve::Worker,
};

/// How long a connection may take to end once it was told to, with nothing open on it.
const BYE: Duration = Duration::from_secs(2);
/// Streams that we ended because of a mistake of the client's (CVE-2025-8671), per connection; a
/// client that begins before it knows how many it may open is among them.
const MOST_MISTAKES: usize = 1_024;
/// Requests taken back before they were looked at; further ones end the connection.
const MOST_UNSEEN_RESETS: usize = 64;

/// Bytes of all heads under way on one connection, or two of the largest: a client says with one byte
/// what takes thousands here (RFC 7541).
const HEADS: usize = 1024 * 1024;

/// The streams of one connection.
#[derive(Debug)]
struct Streams {
    open: AtomicUsize,
    last_end: Mutex<Option<Instant>>,
    /// Bytes of their heads, about.
    heads: AtomicUsize,
    seen: Arc<Seen>,
}

/// One stream, for as long as it or a tunnel made of it lives.
struct OpenStream {
    streams: Arc<Streams>,
    inner: Arc<Inner>,
    head: usize,
    /// The first has that of its connection.
    _share: Option<Share>,
}

impl OpenStream {
    /// None if there are too many, or their heads too large.
    fn new(
        streams: &Arc<Streams>,
        inner: &Arc<Inner>,
        conn: &Conn,
        head: &request::Parts,
    ) -> Option<Self> {
        let size = |(name, value): (&HeaderName, &HeaderValue)| name.as_str().len() + value.len();
        let head = head.headers.iter().map(size).sum();
        let held = streams.heads.load(Relaxed);
        if held > 0 && held + head > HEADS.max(2 * inner.config.limits.header_bytes) {
            inner.metrics.count_limit("headers");
            return None;
        }
        let is_first = streams.open.load(Relaxed) == 0;
        let share = (!is_first).then(|| conn.place.one_more());
        if let Some(None) = share {
            inner.metrics.over_limit.inc();
            return None;
        }
        streams.heads.fetch_add(head, Relaxed);
        streams.open.fetch_add(1, Relaxed);
        inner.http2.streams.inc();
        Some(Self {
            streams: streams.clone(),
            inner: inner.clone(),
            head,
            _share: share.flatten(),
        })
    }
}

impl Drop for OpenStream {
    fn drop(&mut self) {
        self.inner.http2.streams.dec();
        let mut last_end = (self.streams.last_end)
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        *last_end = Some(Instant::now());
        self.streams.heads.fetch_sub(self.head, Relaxed);
        self.streams.open.fetch_sub(1, Relaxed);
    }
}

/// Serves a connection until it ends or is cut. `early`: what was read of it already.
pub(crate) async fn serve(worker: Arc<Worker>, io: Io, conn: Arc<Conn>, early: Vec<u8>) {
    let open = worker.inner.http2.connections.clone();
    open.inc();
    let kill = conn.kill.clone();
    tokio::select! {
        biased;
        () = converse(worker, io, conn, early) => {}
        () = kill.cancelled() => {}
    }
    open.dec();
}

async fn converse(worker: Arc<Worker>, io: Io, conn: Arc<Conn>, early: Vec<u8>) {
    let config = &worker.inner.config;
    let (wire, seen) = Wire::new(io, early, &config.http2);
    let limit = config.limits.header_read;
    let handshake = builder(&worker.inner).handshake::<_, Bytes>(wire);
    let mut connection = match tokio::time::timeout(limit, handshake).await {
        Ok(Ok(connection)) => connection,
        Ok(Err(_)) => {
            worker.inner.http2.protocol_errors.inc();
            return;
        }
        Err(_) => {
            worker.inner.metrics.count_limit("header_read");
            return;
        }
    };
    let served = Served {
        pings: connection.ping_pong(),
        connection,
        streams: Arc::new(Streams {
            open: AtomicUsize::new(0),
            last_end: Mutex::default(),
            heads: AtomicUsize::new(0),
            seen: seen.clone(),
        }),
        seen,
        draining: Box::pin(worker.drain.clone().cancelled_owned()),
        worker,
        conn,
        alarm: Alarm::default(),
        last_reads: 0,
        looked: Instant::now(),
        asked: false,
        began: Instant::now(),
        ends: None,
    };
    Box::pin(served.run()).await;
}

fn builder(inner: &Inner) -> Builder {
    const MOST: u32 = (1 << 31) - 1;
    let (limits, settings) = (&inner.config.limits, &inner.config.http2);
    // The standard adds 32 to each header, and we say ourselves what is too much.
    let list = limits.header_bytes * 2 + 32 * MOST_HEADERS;
    let mut builder = Builder::new();
    builder
        .max_concurrent_streams(settings.streams.max(1))
        .initial_window_size(settings.stream_window.clamp(1_024, MOST))
        .initial_connection_window_size(settings.connection_window.clamp(65_535, MOST))
        .max_send_buffer_size(settings.send_buffer.clamp(1_024, MOST as usize))
        .max_header_list_size(u32::try_from(list).unwrap_or(MOST))
        .max_local_error_reset_streams(Some(MOST_MISTAKES))
        .max_pending_accept_reset_streams(MOST_UNSEEN_RESETS)
        .enable_connect_protocol();
    builder
}

/// A connection in use.
struct Served {
    connection: Connection<Wire, Bytes>,
    pings: Option<PingPong>,
    seen: Arc<Seen>,
    draining: Pin<Box<WaitForCancellationFutureOwned>>,
    worker: Arc<Worker>,
    conn: Arc<Conn>,
    streams: Arc<Streams>,
    alarm: Alarm,
    last_reads: u64,
    /// When it was last looked whether the client is there.
    looked: Instant,
    /// The client was asked and has not sent anything since.
    asked: bool,
    began: Instant,
    /// It was told to end; then, at the latest, it is closed if nothing is open.
    ends: Option<Instant>,
}

impl Served {
    async fn run(mut self) {
        let end = poll_fn(|cx| self.poll(cx)).await;
        let Err(error) = end else { return };
        // What breaks because of the network is nobody's mistake.
        if self.seen.flood().is_none() && error.is_library() && error.is_go_away() {
            self.worker.inner.http2.count_error(error.reason());
        }
        tracing::debug!(client = %self.conn.address, %error, "an HTTP/2 connection ended early");
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), h2::Error>> {
        loop {
            match self.connection.poll_accept(cx) {
                Poll::Ready(None) => return Poll::Ready(Ok(())),
                Poll::Ready(Some(Err(error))) => return Poll::Ready(Err(error)),
                Poll::Ready(Some(Ok((request, mut respond)))) => {
                    let (parts, recv) = request.into_parts();
                    let inner = &self.worker.inner;
                    let open = OpenStream::new(&self.streams, inner, &self.conn, &parts);
                    let Some(open) = open else {
                        // Its client may repeat it without harm, and browsers do.
                        respond.send_reset(Reason::REFUSED_STREAM);
                        continue;
                    };
                    let (worker, conn) = (self.worker.clone(), self.conn.clone());
                    let stream = Stream::new(worker, conn, open, parts, recv, respond);
                    self.conn.tasks.spawn(stream.run());
                    continue;
                }
                Poll::Pending => {}
            }
            if self.ends.is_none()
                && let Some(flood) = self.seen.flood()
            {
                self.worker.inner.http2.count_flood(flood);
                tracing::info!(client = %self.conn.address, frame = flood.name(), "a flood of frames");
                self.connection.abrupt_shutdown(Reason::ENHANCE_YOUR_CALM);
                self.ends = Some(after(Instant::now(), BYE));
                continue;
            }
            if self.ends.is_none() && self.draining.as_mut().poll(cx).is_ready() {
                self.say_bye();
                continue;
            }
            let next = match self.look() {
                Ok(next) => next,
                Err(end) => return Poll::Ready(end),
            };
            if self.alarm.poll_at(cx, next).is_pending() {
                return Poll::Pending;
            }
        }
    }

    /// No new requests; those under way are finished.
    fn say_bye(&mut self) {
        self.connection.graceful_shutdown();
        self.ends = Some(after(Instant::now(), BYE));
    }

    /// Does what is due; gives when to look again.
    fn look(&mut self) -> Result<Instant, Result<(), h2::Error>> {
        let now = Instant::now();
        if let Some(ends) = self.ends {
            let is_flood = self.seen.flood().is_some();
            if now >= ends && (is_flood || self.streams.open.load(Relaxed) == 0) {
                return Err(Ok(()));
            }
            if now < ends {
                return Ok(ends);
            }
        }
        let config = &self.worker.inner.config;
        if self.streams.open.load(Relaxed) == 0 {
            let last_end = (self.streams.last_end)
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            let idle_since = last_end.unwrap_or(self.began);
            drop(last_end);
            let over = after(idle_since, config.limits.header_read);
            if now >= over {
                self.say_bye();
                return Ok(now);
            }
            self.asked = false;
            self.looked = now;
            return Ok(over.min(after(now, config.http2.ping)));
        }
        let mut due = after(self.looked, config.http2.ping);
        if let Some(since) = self.seen.stuck_since() {
            let over = after(since, config.limits.slow_grace);
            if now >= over {
                self.worker.inner.metrics.count_limit("least_speed");
                return Err(Ok(()));
            }
            due = due.min(over);
        }
        if now < due {
            return Ok(due);
        }
        self.looked = now;
        let reads = self.seen.reads();
        let is_silent = reads == self.last_reads;
        self.last_reads = reads;
        if is_silent && self.asked {
            self.worker.inner.http2.unanswered_pings.inc();
            return Err(Ok(()));
        }
        self.asked = is_silent;
        if is_silent && let Some(pings) = &mut self.pings {
            // The answer to an earlier one is taken, so that another can be sent.
            let mut cx = Context::from_waker(std::task::Waker::noop());
            let _ = pings.poll_pong(&mut cx);
            let _ = pings.send_ping(Ping::opaque());
        }
        Ok(after(now, config.http2.ping))
    }
}
