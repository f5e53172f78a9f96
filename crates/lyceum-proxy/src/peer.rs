//! The client's socket, with what hyper's view of it lacks.
//!
//! Two things are needed while hyper owns the connection: to see that a client has left although
//! nobody reads from it (its data waits for a slow server), and to end a connection by a reset,
//! where a plain close would look like a complete answer.

use std::{
    io,
    pin::Pin,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    task::{Context, Poll},
};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::listen::Io;

#[derive(Debug)]
pub(crate) struct Peer {
    stream: Mutex<Io>,
    reset: AtomicBool,
}

impl Peer {
    fn stream(&self) -> MutexGuard<'_, Io> {
        self.stream.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the other side has closed or reset its connection. One that has only finished
    /// sending counts as gone too, as it does for hyper.
    pub(crate) fn is_gone(&self) -> bool {
        self.stream().is_gone()
    }

    /// When the connection is closed, do it by a reset.
    pub(crate) fn reset_on_close(&self) {
        self.reset.store(true, Relaxed);
    }
}

#[derive(Debug)]
pub(crate) struct ClientIo(Arc<Peer>);

impl ClientIo {
    pub(crate) fn new(stream: Io) -> (Self, std::sync::Weak<Peer>) {
        let peer = Arc::new(Peer {
            stream: Mutex::new(stream),
            reset: AtomicBool::new(false),
        });
        let weak = Arc::downgrade(&peer);
        (Self(peer), weak)
    }
}

impl Drop for ClientIo {
    fn drop(&mut self) {
        if self.0.reset.load(Relaxed) {
            self.0.stream().reset_on_close();
        }
    }
}

impl AsyncRead for ClientIo {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.0.stream()).poll_read(cx, buf)
    }
}

impl AsyncWrite for ClientIo {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut *self.0.stream()).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut *self.0.stream()).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.0.stream()).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.0.reset.load(Relaxed) {
            return Poll::Ready(Ok(()));
        }
        Pin::new(&mut *self.0.stream()).poll_shutdown(cx)
    }
}
