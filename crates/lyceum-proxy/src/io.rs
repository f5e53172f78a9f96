//! The sockets of both sides behind one type: plain or TLS, TCP or unix.
//!
//! Besides reading and writing it can tell that the other side has left although nobody reads from
//! it (its data waits for a slow server), and end a connection by a reset, where a plain close would
//! look like a complete answer.

use std::{
    io,
    os::fd::{AsFd, BorrowedFd},
    pin::Pin,
    task::{Context, Poll, Waker},
};

use rustix::event::{PollFd, PollFlags};
use tokio::{
    io::{AsyncRead, AsyncWrite, DuplexStream, ReadBuf},
    net::{TcpStream, UnixStream},
};
use tokio_rustls::TlsStream;

use crate::http2::Duplex;

#[derive(Debug)]
pub(crate) enum Plain {
    Tcp(TcpStream),
    Unix(UnixStream),
}

#[derive(Debug)]
pub(crate) enum Io {
    Plain(Plain),
    Tls(Box<TlsStream<Plain>>),
    /// A stream of an HTTP/2 connection that became a tunnel.
    Stream(Box<Duplex>),
    /// To a server in this process.
    Pipe(DuplexStream),
}

impl From<TcpStream> for Io {
    fn from(stream: TcpStream) -> Self {
        Self::Plain(Plain::Tcp(stream))
    }
}

impl AsFd for Io {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.plain()
            .expect("only a socket that was just accepted is asked for its descriptor")
            .as_fd()
    }
}

impl AsFd for Plain {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::Tcp(stream) => stream.as_fd(),
            Self::Unix(stream) => stream.as_fd(),
        }
    }
}

impl Io {
    fn plain(&self) -> Option<&Plain> {
        match self {
            Self::Plain(plain) => Some(plain),
            Self::Tls(tls) => Some(tls.get_ref().0),
            Self::Stream(_) | Self::Pipe(_) => None,
        }
    }

    /// Whether the other side has closed or reset its connection. One that has only finished
    /// sending counts as gone too.
    pub(crate) fn is_gone(&mut self) -> bool {
        if let Self::Stream(stream) = self {
            return stream.is_gone();
        }
        let Some(plain) = self.plain() else {
            return false;
        };
        #[cfg(target_os = "linux")]
        let (ask, gone) = (
            PollFlags::RDHUP,
            PollFlags::RDHUP | PollFlags::HUP | PollFlags::ERR,
        );
        #[cfg(not(target_os = "linux"))]
        let (ask, gone) = (PollFlags::empty(), PollFlags::HUP | PollFlags::ERR);
        let mut fds = [PollFd::new(plain, ask)];
        let at_once = rustix::event::Timespec::default();
        rustix::event::poll(&mut fds, Some(&at_once)).is_ok() && fds[0].revents().intersects(gone)
    }

    /// When the connection is closed, do it by a reset.
    pub(crate) fn reset_on_close(&self) {
        if let Some(Plain::Tcp(stream)) = self.plain() {
            let _ = stream.set_zero_linger();
        }
    }

    /// Whether a connection nobody uses is still open and silent. `look`: ask the system, where
    /// otherwise what its last news were is enough.
    pub(crate) fn is_silent(&mut self, look: bool) -> bool {
        let mut cx = Context::from_waker(Waker::noop());
        if !look && let Self::Plain(plain) = self {
            let news = match plain {
                Plain::Tcp(stream) => stream.poll_read_ready(&mut cx).is_ready(),
                Plain::Unix(stream) => stream.poll_read_ready(&mut cx).is_ready(),
            };
            if !news {
                return true;
            }
        }
        let mut byte = [0; 1];
        if let Self::Plain(plain) = self {
            // Asked directly: what the runtime knows may be older.
            let read = match plain {
                Plain::Tcp(stream) => rustix::net::recv(&*stream, &mut byte, flags()),
                Plain::Unix(stream) => rustix::net::recv(&*stream, &mut byte, flags()),
            };
            return matches!(
                read.map_err(io::Error::from),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock
            );
        }
        Pin::new(self)
            .poll_read(&mut cx, &mut ReadBuf::new(&mut byte))
            .is_pending()
    }
}

fn flags() -> rustix::net::RecvFlags {
    rustix::net::RecvFlags::PEEK | rustix::net::RecvFlags::DONTWAIT
}

/// Passes a call on to whichever socket it is.
macro_rules! each {
    ($self:ident, $type:ident, [$($variant:ident),*], |$stream:ident| $call:expr) => {
        match $self.get_mut() { $($type::$variant($stream) => { let $stream = Pin::new($stream); $call })* }
    };
}

macro_rules! pass_on {
    ($type:ident, [$($variant:ident),*]) => {
        impl AsyncRead for $type {
            fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
                each!(self, $type, [$($variant),*], |stream| stream.poll_read(cx, buf))
            }
        }

        impl AsyncWrite for $type {
            fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
                each!(self, $type, [$($variant),*], |stream| stream.poll_write(cx, buf))
            }

            fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
                each!(self, $type, [$($variant),*], |stream| stream.poll_flush(cx))
            }

            fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
                each!(self, $type, [$($variant),*], |stream| stream.poll_shutdown(cx))
            }
        }
    };
}

pass_on!(Plain, [Tcp, Unix]);
pass_on!(Io, [Plain, Tls, Stream, Pipe]);
