//! WebSockets and other upgraded connections: bytes carried both ways, frames never parsed.
//!
//! An idle tunnel is a small task of its own and holds no buffer: bytes are read into the thread's
//! and written on at once; only what the other side does not take yet is kept (`link.rs`).
//! Long answers have a place among the tunnels for the time that they take, so that they end with
//! what allowed them.
//!
//! Tunnels outlive their route's removal; they end when a side breaks, when both have finished,
//! when what allowed them is revoked, and at the end of a drain.

use std::{
    collections::HashMap,
    future::poll_fn,
    io,
    pin::{Pin, pin},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    task::{Context, Poll, ready},
};

use prometheus_client::metrics::{counter::Counter, gauge::Gauge};
use tokio::{io::AsyncWrite, time::Instant};
use tokio_util::sync::CancellationToken;

use crate::{
    Inner,
    access::{RevocationLog, Revoked},
    access_log::Line,
    activity::{OpenWebSocket, Stats},
    alarm::{Alarm, TICK, after},
    link::{self, Link},
    listen::Conn,
    request::Ctx,
    request_id::RequestId,
    upstream::Server,
};

/// Who was let in, and the number of the last revocation before they were asked for.
#[derive(Clone, Debug, Default)]
pub(crate) struct Admitted {
    pub(crate) subject: Option<String>,
    pub(crate) grounds: Arc<[String]>,
    pub(crate) as_of: u64,
}

/// All open tunnels.
#[derive(Debug, Default)]
pub(crate) struct Tunnels {
    open: Mutex<HashMap<u64, (Admitted, CancellationToken)>>,
    last: AtomicU64,
}

impl Tunnels {
    /// Enters a tunnel; none if what allowed it was revoked meanwhile. It ends with `kill`, too.
    pub(crate) fn enter(
        self: &Arc<Self>,
        admitted: Admitted,
        log: &RevocationLog,
        open: Gauge,
        kill: &CancellationToken,
    ) -> Option<Entered> {
        let number = self.last.fetch_add(1, Relaxed);
        let cancel = kill.child_token();
        self.open
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(number, (admitted.clone(), cancel.clone()));
        open.inc();
        let entered = Entered {
            tunnels: self.clone(),
            number,
            cancel,
            open,
        };
        // A revocation writes the log first and reads the tunnels then; we do it the other way
        // round, so one of the two sees the other.
        let hit = log.hit_since(
            admitted.as_of,
            admitted.subject.as_deref(),
            &admitted.grounds,
        );
        (!hit).then_some(entered)
    }

    pub(crate) fn revoke(&self, what: &Revoked) {
        let open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        for (admitted, cancel) in open.values() {
            if what.concerns(admitted.subject.as_deref(), &admitted.grounds) {
                cancel.cancel();
            }
        }
    }
}

/// One tunnel's place among the open ones.
#[derive(Debug)]
pub(crate) struct Entered {
    tunnels: Arc<Tunnels>,
    number: u64,
    cancel: CancellationToken,
    open: Gauge,
}

impl Drop for Entered {
    fn drop(&mut self) {
        self.open.dec();
        let mut open = self
            .tunnels
            .open
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        open.remove(&self.number);
        // After a crowd has left, its memory goes too.
        if open.capacity() > 1_024 && open.len() < open.capacity() / 8 {
            open.shrink_to_fit();
        }
    }
}

/// Does what was allowed, unless that is revoked before it is done: then nothing comes back. What is
/// done at once needs no place among the tunnels.
pub(crate) async fn while_allowed<T>(
    ctx: &Ctx<'_>,
    admitted: Admitted,
    what: impl Future<Output = T>,
) -> Option<T> {
    let inner = ctx.inner;
    let Admitted {
        subject,
        grounds,
        as_of,
    } = &admitted;
    if subject.is_some() && inner.log.hit_since(*as_of, subject.as_deref(), grounds) {
        return None;
    }
    let mut what = pin!(what);
    if let Poll::Ready(done) = poll_fn(|cx| Poll::Ready(what.as_mut().poll(cx))).await {
        return Some(done);
    }
    if admitted.subject.is_none() {
        return Some(what.await);
    }
    let long = inner.metrics.long_answers.clone();
    let entered = inner
        .tunnels
        .enter(admitted, &inner.log, long, &ctx.conn.kill)?;
    tokio::select! {
        biased;
        () = entered.cancel.cancelled() => None,
        done = what => Some(done),
    }
}

/// What a tunnel reports to.
#[derive(Debug)]
pub(crate) struct Gauges {
    pub(crate) stats: Option<Arc<Stats>>,
    pub(crate) _websocket: Option<OpenWebSocket>,
    pub(crate) bytes_in: Counter,
    pub(crate) bytes_out: Counter,
}

impl Gauges {
    fn count_in(&self, bytes: u64) {
        self.bytes_in.inc_by(bytes);
        if let Some(stats) = &self.stats {
            stats.add_in(bytes);
            stats.touch();
        }
    }

    fn count_out(&self, bytes: u64) {
        self.bytes_out.inc_by(bytes);
        if let Some(stats) = &self.stats {
            stats.add_out(bytes);
            stats.touch();
        }
    }
}

/// One direction.
#[derive(Debug, Default)]
struct Half {
    ended: bool,
    finished: bool,
}

impl Half {
    /// Moves what can be moved; ready when this direction is finished for good.
    fn poll_move(
        &mut self,
        cx: &mut Context<'_>,
        from: &mut Link,
        to: &mut Link,
        mut moved: impl FnMut(u64),
    ) -> Poll<io::Result<()>> {
        loop {
            if to.has_out() {
                ready!(to.poll_flush(cx))?;
                to.release();
                moved(0);
            }
            if self.ended {
                if !self.finished {
                    ready!(Pin::new(&mut to.io).poll_shutdown(cx))?;
                    self.finished = true;
                }
                return Poll::Ready(Ok(()));
            }
            match link::poll_copy(cx, from, to)? {
                Poll::Ready(0) => self.ended = true,
                Poll::Ready(length) => moved(length as u64),
                Poll::Pending => {
                    // TLS may hold back what was written.
                    let _ = Pin::new(&mut to.io).poll_flush(cx)?;
                    return Poll::Pending;
                }
            }
        }
    }
}

/// Two connections that agreed to speak something else.
#[derive(Debug)]
pub(crate) struct Tunnel {
    pub(crate) client: Link,
    pub(crate) opened: Box<Opened>,
}

/// A tunnel but for the client's side.
#[derive(Debug)]
pub(crate) struct Opened {
    pub(crate) server: Server,
    pub(crate) inner: Arc<Inner>,
    /// Keeps the connection's place.
    pub(crate) _conn: Arc<Conn>,
    pub(crate) id: RequestId,
    pub(crate) entered: Entered,
    pub(crate) gauges: Gauges,
    /// Told at the end, if this one is.
    pub(crate) line: Option<Box<Line>>,
}

impl Tunnel {
    pub(crate) async fn run(mut self) {
        let cancel = self.opened.entered.cancel.clone();
        let end = {
            let mut carry = pin!(self.carry());
            let mut cancelled = pin!(cancel.cancelled());
            let mut waits = false;
            poll_fn(|cx| {
                if let Poll::Ready(end) = carry.as_mut().poll(cx) {
                    return Poll::Ready(end.map_or("broken", |()| "finished"));
                }
                // A task has one waker for life: it is left there once, and then looked at only.
                let is_over = match waits {
                    true => cancel.is_cancelled(),
                    false => cancelled.as_mut().poll(cx).is_ready(),
                };
                waits = true;
                match is_over {
                    true => Poll::Ready("revoked or shut down"),
                    false => Poll::Pending,
                }
            })
            .await
        };
        tracing::debug!(request = %self.opened.id, end, "a tunnel ended");
        if let Some(line) = &self.opened.line {
            line.tell();
        }
    }

    /// Carries bytes between the two until both have finished, one breaks, or time is up.
    async fn carry(&mut self) -> io::Result<()> {
        let (mut up, mut down) = (Half::default(), Half::default());
        let mut last = Instant::now();
        let mut alarm = Alarm::default();
        poll_fn(|cx| {
            let Opened {
                server,
                inner,
                gauges,
                line,
                ..
            } = &mut *self.opened;
            let (client, server) = (&mut self.client, &mut server.link);
            let mut has_moved = false;
            let up_state = up.poll_move(cx, client, server, |bytes| {
                has_moved = true;
                gauges.count_in(bytes);
                if let Some(line) = line {
                    line.measured.bytes_in += bytes;
                }
            })?;
            let down_state = down.poll_move(cx, server, client, |bytes| {
                has_moved = true;
                gauges.count_out(bytes);
                if let Some(line) = line {
                    line.measured.bytes_out += bytes;
                }
            })?;
            if has_moved {
                last = Instant::now();
            }
            if up_state.is_ready() && down_state.is_ready() {
                return Poll::Ready(Ok(()));
            }
            let limits = &inner.config.limits;
            let blocked = client.has_out() || server.has_out();
            let half_closed = up.ended || down.ended;
            // Most tunnels need no timer at all, and then have none.
            let wait = if half_closed || blocked {
                TICK.min(limits.half_closed)
            } else if let Some(idle) = limits.websocket_idle {
                idle
            } else {
                alarm = Alarm::default();
                return Poll::Pending;
            };
            let mut from = last;
            while alarm.poll_at(cx, after(from, wait)).is_ready() {
                let silent = last.elapsed();
                let over = if limits.websocket_idle.is_some_and(|idle| silent >= idle) {
                    Some("websocket_idle")
                } else if half_closed && silent >= limits.half_closed
                    // A client that leaves behind bytes nobody takes cannot always be seen leaving.
                    || blocked && silent >= limits.half_closed && client.io.is_gone()
                {
                    Some("half_closed")
                } else if blocked && silent >= limits.idle {
                    Some("idle")
                } else {
                    None
                };
                if let Some(limit) = over {
                    inner.metrics.count_limit(limit);
                    return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
                }
                from = Instant::now();
            }
            Poll::Pending
        })
        .await
    }
}
