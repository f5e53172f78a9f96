//! The bytes of one client connection, whatever carries them: TCP, TLS over TCP, a unix socket.
//!
//! What is done to the socket itself (has the client left, end it by a reset) goes past TLS.

use std::{
    io,
    os::fd::{AsFd, BorrowedFd},
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use rustix::event::{PollFd, PollFlags};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{TcpStream, UnixStream},
};
use tokio_rustls::server::TlsStream;

#[derive(Debug)]
pub(crate) enum Io {
    Tcp(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
    Unix(UnixStream),
}

/// Does the same with whichever stream it is.
macro_rules! each {
    ($io:expr, |$stream:ident| $run:expr) => {
        match $io {
            Io::Tcp($stream) => $run,
            Io::Tls($stream) => $run,
            Io::Unix($stream) => $run,
        }
    };
}

impl Io {
    /// Whether the other side has closed or reset its connection. One that has only finished
    /// sending counts as gone too.
    pub(crate) fn is_gone(&self) -> bool {
        #[cfg(target_os = "linux")]
        let (ask, gone) = (
            PollFlags::RDHUP,
            PollFlags::RDHUP | PollFlags::HUP | PollFlags::ERR,
        );
        #[cfg(not(target_os = "linux"))]
        let (ask, gone) = (PollFlags::empty(), PollFlags::HUP | PollFlags::ERR);
        let socket = self.as_fd();
        let mut fds = [PollFd::new(&socket, ask)];
        let at_once = rustix::event::Timespec::default();
        rustix::event::poll(&mut fds, Some(&at_once)).is_ok() && fds[0].revents().intersects(gone)
    }

    /// Makes the coming close a reset, so that nobody takes it for a complete answer.
    pub(crate) fn reset_on_close(&self) {
        let _ = rustix::net::sockopt::set_socket_linger(self.as_fd(), Some(Duration::ZERO));
    }
}

impl AsFd for Io {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::Tcp(stream) => stream.as_fd(),
            Self::Tls(stream) => stream.get_ref().0.as_fd(),
            Self::Unix(stream) => stream.as_fd(),
        }
    }
}

impl AsyncRead for Io {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        each!(self.get_mut(), |stream| Pin::new(stream).poll_read(cx, buf))
    }
}

impl AsyncWrite for Io {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        each!(self.get_mut(), |stream| Pin::new(stream)
            .poll_write(cx, buf))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        each!(self.get_mut(), |stream| Pin::new(stream)
            .poll_write_vectored(cx, bufs))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        each!(self.get_mut(), |stream| Pin::new(stream).poll_flush(cx))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        each!(self.get_mut(), |stream| Pin::new(stream).poll_shutdown(cx))
    }
}
