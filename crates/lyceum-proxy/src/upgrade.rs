//! WebSockets and other upgraded connections: bytes carried both ways, frames never parsed.
//!
//! An idle tunnel holds no buffer: bytes are read onto the stack of whoever is polled and written
//! on at once; only what the other side does not take yet is kept, at most [`PIECE`] per direction.
//! Tunnels outlive their route's removal; they end when a side breaks, when both have finished,
//! when what allowed them is revoked, and at the end of a drain.

use std::{
    collections::HashMap,
    io,
    mem::MaybeUninit,
    pin::Pin,
    sync::{
        Arc, Mutex, PoisonError, Weak,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    task::{Context, Poll, ready},
    time::Duration,
};

use prometheus_client::metrics::{counter::Counter, gauge::Gauge};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::{Instant, Sleep},
};
use tokio_util::sync::CancellationToken;

use crate::{
    access::{CredentialHash, RevocationLog, Revoked},
    activity::{OpenWebSocket, Stats},
    body::TICK,
    config::Limits,
    peer::Peer,
};

/// The most that is read at once.
const PIECE: usize = 8 * 1024;

/// Who was let in, and the number of the last revocation before they were asked for.
#[derive(Clone, Debug, Default)]
pub(crate) struct Admitted {
    pub(crate) credential: Option<CredentialHash>,
    pub(crate) subject: Option<String>,
    pub(crate) as_of: u64,
}

/// All open tunnels.
#[derive(Debug, Default)]
pub(crate) struct Tunnels {
    open: Mutex<HashMap<u64, (Admitted, CancellationToken)>>,
    last: AtomicU64,
}

impl Tunnels {
    /// Enters a tunnel; none if what allowed it was revoked meanwhile.
    pub(crate) fn enter(
        self: &Arc<Self>,
        admitted: Admitted,
        log: &RevocationLog,
        open: Gauge,
    ) -> Option<Entered> {
        let number = self.last.fetch_add(1, Relaxed);
        let cancel = CancellationToken::new();
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
            admitted.credential,
            admitted.subject.as_deref(),
        );
        (!hit).then_some(entered)
    }

    pub(crate) fn revoke(&self, what: &Revoked) {
        let open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        for (admitted, cancel) in open.values() {
            if what.concerns(admitted.credential, admitted.subject.as_deref()) {
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

impl Entered {
    pub(crate) fn cancelled(&self) -> CancellationToken {
        self.cancel.clone()
    }
}

impl Drop for Entered {
    fn drop(&mut self) {
        self.open.dec();
        self.tunnels
            .open
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(&self.number);
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

/// One direction.
#[derive(Default)]
struct Half {
    waiting: Vec<u8>,
    ended: bool,
    finished: bool,
}

impl Half {
    /// Moves what can be moved; ready when this direction is finished for good.
    fn poll_move(
        &mut self,
        cx: &mut Context<'_>,
        mut from: Pin<&mut (impl AsyncRead + Unpin)>,
        mut to: Pin<&mut (impl AsyncWrite + Unpin)>,
        mut moved: impl FnMut(u64),
    ) -> Poll<io::Result<()>> {
        loop {
            while !self.waiting.is_empty() {
                let taken = ready!(to.as_mut().poll_write(cx, &self.waiting))?;
                if taken == 0 {
                    return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
                }
                moved(0);
                if taken == self.waiting.len() {
                    self.waiting = Vec::new();
                } else {
                    self.waiting.drain(..taken);
                }
            }
            if self.ended {
                if !self.finished {
                    ready!(to.as_mut().poll_shutdown(cx))?;
                    self.finished = true;
                }
                return Poll::Ready(Ok(()));
            }
            let mut piece = [const { MaybeUninit::uninit() }; PIECE];
            let mut piece = ReadBuf::uninit(&mut piece);
            ready!(from.as_mut().poll_read(cx, &mut piece))?;
            let bytes = piece.filled();
            if bytes.is_empty() {
                self.ended = true;
                continue;
            }
            moved(bytes.len() as u64);
            let taken = match to.as_mut().poll_write(cx, bytes) {
                Poll::Ready(taken) => taken?,
                Poll::Pending => 0,
            };
            self.waiting = bytes[taken..].to_vec();
        }
    }
}

/// Carries bytes between the two until both have finished, one breaks, or time is up.
pub(crate) async fn carry(
    mut client: impl AsyncRead + AsyncWrite + Unpin,
    mut server: impl AsyncRead + AsyncWrite + Unpin,
    peer: Weak<Peer>,
    limits: &Limits,
    gauges: &Gauges,
) -> io::Result<()> {
    let (mut up, mut down) = (Half::default(), Half::default());
    let mut last = Instant::now();
    let mut timer: Option<Pin<Box<Sleep>>> = None;
    std::future::poll_fn(move |cx| {
        let mut has_moved = false;
        let up_state = up.poll_move(cx, Pin::new(&mut client), Pin::new(&mut server), |bytes| {
            has_moved = true;
            gauges.bytes_in.inc_by(bytes);
            if let Some(stats) = &gauges.stats {
                stats.add_in(bytes);
                stats.touch();
            }
        })?;
        let down_state =
            down.poll_move(cx, Pin::new(&mut server), Pin::new(&mut client), |bytes| {
                has_moved = true;
                gauges.bytes_out.inc_by(bytes);
                if let Some(stats) = &gauges.stats {
                    stats.add_out(bytes);
                    stats.touch();
                }
            })?;
        if has_moved {
            last = Instant::now();
        }
        if up_state.is_ready() && down_state.is_ready() {
            return Poll::Ready(Ok(()));
        }
        let blocked = !up.waiting.is_empty() || !down.waiting.is_empty();
        let half_closed = up.ended || down.ended;
        // Most tunnels need no timer at all, and then have none.
        let wait = if half_closed || blocked {
            TICK.min(limits.half_closed)
        } else if let Some(idle) = limits.websocket_idle {
            idle.saturating_sub(last.elapsed())
        } else {
            timer = None;
            return Poll::Pending;
        };
        let sleep = match &mut timer {
            Some(sleep) => {
                if has_moved {
                    sleep.as_mut().reset(Instant::now() + wait);
                }
                sleep
            }
            None => timer.insert(Box::pin(tokio::time::sleep(wait))),
        };
        while sleep.as_mut().poll(cx).is_ready() {
            let silent = last.elapsed();
            let over = limits.websocket_idle.is_some_and(|idle| silent >= idle)
                || (half_closed && silent >= limits.half_closed)
                // A client that leaves behind bytes nobody takes cannot always be seen leaving.
                || (blocked && silent >= limits.idle)
                || (blocked && silent >= limits.half_closed && is_gone(&peer));
            if over {
                return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
            }
            let again = wait.max(Duration::from_millis(1));
            sleep.as_mut().reset(Instant::now() + again);
        }
        Poll::Pending
    })
    .await
}

fn is_gone(peer: &Weak<Peer>) -> bool {
    peer.upgrade().is_none_or(|peer| peer.is_gone())
}
