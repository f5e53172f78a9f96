//! Bodies on their way through: counted, watched for standstill, never collected.
//!
//! Back-pressure comes from hyper: a frame is only taken from one side when the other can have it.

use std::{
    pin::Pin,
    sync::{
        Arc, Weak,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    task::{Context, Poll},
    time::{Duration, Instant},
};

use bytes::Bytes;
use hyper::body::{Body as HttpBody, Frame, Incoming, SizeHint};
use prometheus_client::metrics::counter::Counter;
use tokio::time::Sleep;

use crate::{activity::Stats, metrics::Direction, peer::Peer, pool::Lease};

pub(crate) type BodyError = Box<dyn std::error::Error + Send + Sync>;

/// How often a body that stands still looks whether anyone is left to wait for.
pub(crate) const TICK: Duration = Duration::from_secs(1);

/// A body in either direction.
#[derive(Debug)]
pub(crate) enum Body {
    /// Made here, small.
    Full(Option<Bytes>),
    Stream(Box<Metered>),
}

impl Body {
    pub(crate) fn empty() -> Self {
        Self::Full(None)
    }
}

impl HttpBody for Body {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        match self.get_mut() {
            Self::Full(bytes) => Poll::Ready(bytes.take().map(|bytes| Ok(Frame::data(bytes)))),
            Self::Stream(metered) => metered.poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Full(bytes) => bytes.is_none(),
            Self::Stream(metered) => metered.inner.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Full(bytes) => {
                SizeHint::with_exact(bytes.as_ref().map_or(0, |bytes| bytes.len() as u64))
            }
            Self::Stream(metered) => metered.inner.size_hint(),
        }
    }
}

/// What the one who waits for an answer knows of the request body's progress.
#[derive(Debug)]
pub(crate) struct Upload {
    start: Instant,
    last_ms: AtomicU64,
    failed: AtomicBool,
}

impl Upload {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self {
            start: Instant::now(),
            last_ms: AtomicU64::new(0),
            failed: AtomicBool::new(false),
        })
    }

    fn moved(&self) {
        let since = self.start.elapsed().as_millis() as u64;
        self.last_ms.store(since, Relaxed);
    }

    /// For how long nothing has moved.
    pub(crate) fn still_for(&self) -> Duration {
        let last = Duration::from_millis(self.last_ms.load(Relaxed));
        self.start.elapsed().saturating_sub(last)
    }

    /// Whether the client broke off its body or let it stand still too long.
    pub(crate) fn has_failed(&self) -> bool {
        self.failed.load(Relaxed)
    }
}

/// A body that comes from the network.
#[derive(Debug)]
pub(crate) struct Metered {
    inner: Incoming,
    direction: Direction,
    counter: Counter,
    stats: Option<Arc<Stats>>,
    idle: Duration,
    moved: Instant,
    tick: Option<Pin<Box<Sleep>>>,
    /// Request bodies: who waits for the answer.
    upload: Option<Arc<Upload>>,
    /// Answers: who they go to, and whether only a reset can tell that client of a broken one.
    peer: Option<Weak<Peer>>,
    reset_if_cut: bool,
    /// Answers: the connection they come on, to be given back when the answer is complete.
    lease: Option<Lease>,
    complete: bool,
}

impl Metered {
    pub(crate) fn new(
        inner: Incoming,
        direction: Direction,
        counter: Counter,
        stats: Option<Arc<Stats>>,
        idle: Duration,
    ) -> Self {
        Self {
            inner,
            direction,
            counter,
            stats,
            idle,
            moved: Instant::now(),
            tick: None,
            upload: None,
            peer: None,
            reset_if_cut: false,
            lease: None,
            complete: false,
        }
    }

    pub(crate) fn with_upload(mut self, upload: Arc<Upload>) -> Self {
        self.upload = Some(upload);
        self
    }

    pub(crate) fn bound_for(mut self, peer: Weak<Peer>, reset_if_cut: bool) -> Self {
        self.peer = Some(peer);
        self.reset_if_cut = reset_if_cut;
        self
    }

    pub(crate) fn with_lease(mut self, lease: Lease) -> Self {
        self.lease = Some(lease);
        self
    }

    fn poll_frame(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        match Pin::new(&mut self.inner).poll_frame(cx) {
            Poll::Ready(Some(Ok(frame))) => {
                self.moved = Instant::now();
                if let Some(data) = frame.data_ref() {
                    self.count(data.len() as u64);
                }
                if let Some(upload) = &self.upload {
                    upload.moved();
                }
                Poll::Ready(Some(Ok(frame)))
            }
            Poll::Ready(Some(Err(error))) => Poll::Ready(Some(Err(self.cut(error.into())))),
            Poll::Ready(None) => {
                self.complete = true;
                Poll::Ready(None)
            }
            Poll::Pending => self.poll_standstill(cx),
        }
    }

    fn count(&self, bytes: u64) {
        self.counter.inc_by(bytes);
        if let Some(stats) = &self.stats {
            stats.touch();
            match self.direction {
                Direction::In => stats.add_in(bytes),
                Direction::Out => stats.add_out(bytes),
            }
        }
    }

    fn poll_standstill(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let wait = TICK.min(self.idle);
        let tick = self
            .tick
            .get_or_insert_with(|| Box::pin(tokio::time::sleep(wait)));
        while tick.as_mut().poll(cx).is_ready() {
            if self.moved.elapsed() >= self.idle {
                return Poll::Ready(Some(Err(self.cut("a body stood still too long".into()))));
            }
            if self
                .peer
                .as_ref()
                .is_some_and(|peer| peer.upgrade().is_none_or(|peer| peer.is_gone()))
            {
                return Poll::Ready(Some(Err(self.cut("the client has left".into()))));
            }
            tick.as_mut().reset(tokio::time::Instant::now() + wait);
        }
        Poll::Pending
    }

    fn cut(&mut self, error: BodyError) -> BodyError {
        self.lease = None;
        if let Some(upload) = &self.upload {
            upload.failed.store(true, Relaxed);
        }
        if self.reset_if_cut
            && let Some(peer) = self.peer.as_ref().and_then(Weak::upgrade)
        {
            peer.reset_on_close();
        }
        error
    }
}

impl Drop for Metered {
    fn drop(&mut self) {
        if let Some(lease) = self.lease.take()
            && (self.complete || self.inner.is_end_stream())
        {
            lease.give_back();
        }
    }
}
