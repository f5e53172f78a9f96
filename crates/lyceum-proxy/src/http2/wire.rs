//! A client's connection as the HTTP/2 codec reads it: metered, and ended gently.

use std::{
    io,
    pin::Pin,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU8, AtomicU64, Ordering::Relaxed},
    },
    task::{Context, Poll, Waker, ready},
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::Instant,
};

use super::{
    BYE,
    config::Http2,
    meter::{Flood, Meter},
};
use crate::{
    alarm::{Alarm, after},
    io::Io,
};

/// What is read and thrown away after a flood, so that the client can read why it ends.
const MOST_DISCARDED: usize = 4 * 1024 * 1024;

/// What the connection's task wants to know of it.
#[derive(Debug, Default)]
pub(super) struct Seen {
    /// Reads that gave something.
    reads: AtomicU64,
    flood: AtomicU8,
    /// Since when the client takes nothing of what is written to it.
    stuck: Mutex<Option<Stuck>>,
}

#[derive(Debug)]
struct Stuck {
    since: Instant,
    /// Whoever has something small to say.
    waiting: Vec<Waker>,
}

/// What is written in smaller pieces costs more for its frame than for itself.
const SMALL: usize = 2 * 1024;

impl Seen {
    fn stuck(&self) -> MutexGuard<'_, Option<Stuck>> {
        self.stuck.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn stuck_since(&self) -> Option<Instant> {
        self.stuck().as_ref().map(|stuck| stuck.since)
    }

    /// Ready when so many bytes may be handed to the codec. It counts the bytes that wait in it, but
    /// each piece takes hundreds more, so small ones wait outside while the client reads nothing.
    pub(super) fn poll_turn(&self, cx: &Context<'_>, length: usize) -> Poll<()> {
        if length >= SMALL {
            return Poll::Ready(());
        }
        let mut stuck = self.stuck();
        let Some(stuck) = stuck.as_mut() else {
            return Poll::Ready(());
        };
        if !stuck.waiting.iter().any(|one| one.will_wake(cx.waker())) {
            stuck.waiting.push(cx.waker().clone());
        }
        Poll::Pending
    }

    fn set_stuck(&self, is_stuck: bool) {
        let mut stuck = self.stuck();
        if is_stuck {
            stuck.get_or_insert_with(|| Stuck {
                since: Instant::now(),
                waiting: Vec::new(),
            });
        } else if let Some(stuck) = stuck.take() {
            stuck.waiting.into_iter().for_each(Waker::wake);
        }
    }

    pub(super) fn reads(&self) -> u64 {
        self.reads.load(Relaxed)
    }

    pub(super) fn flood(&self) -> Option<Flood> {
        const ALL: [Flood; 8] = [
            Flood::Data,
            Flood::Priority,
            Flood::Reset,
            Flood::Settings,
            Flood::Ping,
            Flood::Window,
            Flood::Continuation,
            Flood::Unknown,
        ];
        let number = self.flood.load(Relaxed);
        ALL.into_iter().find(|flood| *flood as u8 == number)
    }
}

#[derive(Debug)]
pub(super) struct Wire {
    io: Io,
    /// Read before it was clear that this is HTTP/2.
    early: Vec<u8>,
    meter: Meter,
    seen: Arc<Seen>,
    discarded: usize,
    alarm: Alarm,
    /// When the last word was said.
    said: Option<Instant>,
}

impl Wire {
    pub(super) fn new(io: Io, early: Vec<u8>, settings: &Http2) -> (Self, Arc<Seen>) {
        let seen = Arc::<Seen>::default();
        let most = settings.control_frames;
        let wire = Self {
            io,
            early,
            meter: Meter::new(most, settings.control_frames_per_second, now()),
            seen: seen.clone(),
            discarded: 0,
            alarm: Alarm::default(),
            said: None,
        };
        (wire, seen)
    }

    /// Reads and forgets; ready when there is no more, or too much.
    fn poll_discard(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let mut room = [0; 8 * 1024];
        while self.discarded < MOST_DISCARDED {
            let mut piece = ReadBuf::new(&mut room);
            let read = ready!(Pin::new(&mut self.io).poll_read(cx, &mut piece));
            if read.is_err() || piece.filled().is_empty() {
                break;
            }
            self.discarded += piece.filled().len();
        }
        Poll::Ready(())
    }
}

fn now() -> std::time::Instant {
    std::time::Instant::now()
}

impl AsyncRead for Wire {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let wire = self.get_mut();
        if wire.seen.flood.load(Relaxed) != 0 {
            // The connection's task looks after each poll and ends it.
            return Poll::Pending;
        }
        let before = buf.filled().len();
        if wire.early.is_empty() {
            ready!(Pin::new(&mut wire.io).poll_read(cx, buf))?;
        } else {
            let length = wire.early.len().min(buf.remaining());
            buf.put_slice(&wire.early[..length]);
            wire.early.drain(..length);
        }
        let new = &buf.filled()[before..];
        if !new.is_empty() {
            wire.seen.reads.fetch_add(1, Relaxed);
        }
        if let Some(flood) = wire.meter.read(new, now) {
            wire.seen.flood.store(flood as u8, Relaxed);
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Wire {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let wire = self.get_mut();
        let written = Pin::new(&mut wire.io).poll_write(cx, buf);
        wire.seen.set_stuck(written.is_pending());
        let written = ready!(written)?;
        wire.meter.sent(written);
        Poll::Ready(Ok(written))
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().io).poll_flush(cx)
    }

    /// A socket closed over unread data takes back what was said last, so that is read first, for a
    /// moment.
    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let wire = self.get_mut();
        let said = *wire.said.get_or_insert_with(Instant::now);
        if wire.alarm.poll_at(cx, after(said, BYE)).is_ready() {
            return Poll::Ready(Ok(()));
        }
        ready!(Pin::new(&mut wire.io).poll_shutdown(cx))?;
        wire.poll_discard(cx).map(Ok)
    }
}
