//! Where the proxy listens, and connections to there: plain or by TLS, for either HTTP.

use std::{
    io,
    net::SocketAddr,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use rustls::pki_types::ServerName;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
};
use tokio_rustls::{TlsConnector, client::TlsStream};

use super::random::Rng;
use crate::{
    support::soon,
    tls::{Authority, client},
};

#[derive(Clone)]
pub(super) struct Places {
    pub(super) plain: SocketAddr,
    secure: SocketAddr,
    /// Which offers HTTP/1, and which HTTP/2.
    connectors: [TlsConnector; 2],
}

impl Places {
    pub(super) fn new(plain: SocketAddr, secure: SocketAddr, authority: &Authority) -> Self {
        let connectors = ["http/1.1", "h2"].map(|offered| {
            let mut config = client(authority);
            config.alpn_protocols = vec![offered.into()];
            TlsConnector::from(Arc::new(config))
        });
        Self {
            plain,
            secure,
            connectors,
        }
    }

    /// None if it ended during the handshake.
    pub(super) async fn connect(&self, rng: &mut Rng) -> Option<Line> {
        let (is_secure, is_http2) = (rng.below(3) == 0, rng.below(3) == 0);
        let address = if is_secure { self.secure } else { self.plain };
        let stream = TcpStream::connect(address).await;
        let stream = stream.expect("the proxy takes connections");
        stream.set_nodelay(true).unwrap();
        let line = if is_secure {
            if rng.below(20) == 0 {
                return None;
            }
            let name = ServerName::try_from("lab").unwrap();
            let connector = &self.connectors[usize::from(is_http2)];
            // The proxy gives up who is slow at this, as this machine may be.
            let secure = soon("a handshake", connector.connect(name, stream)).await;
            Pipe::Secure(Box::new(secure.ok()?))
        } else {
            Pipe::Plain(stream)
        };
        Some(Line(line, is_http2))
    }
}

enum Pipe {
    Plain(TcpStream),
    Secure(Box<TlsStream<TcpStream>>),
}

/// A connection to the proxy.
pub(super) struct Line(Pipe, bool);

impl Line {
    pub(super) fn is_secure(&self) -> bool {
        matches!(self.0, Pipe::Secure(_))
    }

    pub(super) fn is_http2(&self) -> bool {
        self.1
    }

    /// Its end will be abrupt.
    pub(super) fn reset_at_end(&self) {
        let stream = match &self.0 {
            Pipe::Plain(stream) => stream,
            Pipe::Secure(stream) => stream.get_ref().0,
        };
        let _ = stream.set_zero_linger();
    }
}

macro_rules! on {
    ($line:expr, $cx:expr, $do:ident $(, $with:expr)*) => {
        match &mut $line.get_mut().0 {
            Pipe::Plain(stream) => Pin::new(stream).$do($cx $(, $with)*),
            Pipe::Secure(stream) => Pin::new(&mut **stream).$do($cx $(, $with)*),
        }
    };
}

impl AsyncRead for Line {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        on!(self, cx, poll_read, buf)
    }
}

impl AsyncWrite for Line {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        on!(self, cx, poll_write, buf)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        on!(self, cx, poll_flush)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        on!(self, cx, poll_shutdown)
    }
}
