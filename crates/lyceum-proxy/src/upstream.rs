//! Connections to servers, whichever protocol the client speaks.
//!
//! # How to use one
//!
//! ```text
//! let mut server = pool.take(target, careful)            // kept, if there is one
//!     .or(pool.connect(target).await?);                  // or new
//! outgoing::request_head(&mut server.link.out, …);       // the head waits in `link.out`
//! poll_pump(cx, client, inflow, &mut server.link, …)     // from an HTTP/1 client, or
//! server.poll_send(cx, data), server.poll_finish(cx, …)  // piece by piece (HTTP/2)
//! server.poll_answer(cx, to_head, &mut answer)           // at the same time: the answer's head
//! let mut inflow = Inflow::new(answer.framing);
//! server.poll_piece(cx, &mut inflow)                     // its body, piece by piece (HTTP/2)
//! server.give_back()                                     // only if all of it was read and sent
//! ```
//!
//! Sending and reading go on side by side: an answer may come before the request's body has been
//! sent. `poll_answer` also gives answers below 200; ask again for the real one. A server that is
//! dropped closes its connection, which is right after every failure.
//!
//! `upstream/pool.rs` keeps connections, `upstream/connect.rs` makes them, `upstream/room.rs` bounds
//! them.

mod connect;
mod pool;
mod room;

use std::{
    io,
    net::IpAddr,
    path::PathBuf,
    sync::Arc,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use serde::{Deserialize, Serialize};

pub(crate) use connect::{ConnectError, Connector, client_config};
pub(crate) use pool::Pool;

use crate::{
    http1::{
        Refused,
        answer::{self, Answer},
        chunked,
        scan::Scan,
    },
    io::Io,
    link::{Inflow, Link, Outflow},
};

/// How servers are reached.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Upstream {
    /// File with the certificates (PEM) that servers' certificates must go back to; the system's
    /// if not given.
    pub ca: Option<PathBuf>,
    /// File with our certificate and those between it and its root (PEM), shown to servers that
    /// ask for one.
    pub certificate: Option<PathBuf>,
    /// File with its key (PEM).
    pub key: Option<PathBuf>,
    /// Take any certificate. Whoever can reach the network in between can then read everything.
    pub insecure: bool,
    /// Addresses of this machine that connections to servers come from, in turn; the system chooses
    /// if there are none. Each has some 28,000 ports towards one server.
    pub bind_addresses: Vec<IpAddr>,
    /// Idle connections kept in all, per worker.
    pub pooled: usize,
}

impl Default for Upstream {
    fn default() -> Self {
        Self {
            ca: None,
            certificate: None,
            key: None,
            insecure: false,
            bind_addresses: Vec::new(),
            pooled: 8_192,
        }
    }
}

/// Why no head of an answer came.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AnswerError {
    #[error("it closed without an answer")]
    Closed,
    /// By TLS 1.3 a server tells only after the handshake that it does not take our certificate.
    #[error("TLS: {0}")]
    Tls(io::Error),
    #[error("its answer cannot be read: {0}")]
    Bad(Refused),
}

/// One connection to a server, in use by one request.
#[derive(Debug)]
pub(crate) struct Server {
    pub(crate) link: Link,
    /// Served a request before, so it may have been closed meanwhile.
    pub(crate) is_reused: bool,
    scan: Scan,
    /// Bytes of a head.
    most: usize,
    pool: Arc<Pool>,
    home: Arc<pool::Home>,
    seat: pool::Seat,
}

impl Server {
    fn new(
        io: Io,
        is_reused: bool,
        pool: Arc<Pool>,
        home: Arc<pool::Home>,
        seat: pool::Seat,
    ) -> Self {
        Self {
            link: Link::new(io),
            is_reused,
            scan: Scan::default(),
            most: pool.header_bytes,
            pool,
            home,
            seat,
        }
    }

    /// The next head; what comes after it waits in `link.input`.
    pub(crate) fn poll_answer(
        &mut self,
        cx: &mut Context<'_>,
        to_head: bool,
        answer: &mut Answer,
    ) -> Poll<Result<(), AnswerError>> {
        loop {
            let input = &self.link.input;
            if !input.is_empty() {
                if let Some(end) = self.scan.find_end(input).map_err(AnswerError::Bad)? {
                    answer::parse(&input[..end], to_head, answer).map_err(AnswerError::Bad)?;
                    self.link.used(end);
                    self.scan = Scan::default();
                    return Poll::Ready(Ok(()));
                }
                if input.len() > self.most {
                    return Poll::Ready(Err(AnswerError::Bad(Refused::TooLarge)));
                }
                if !b"HTTP/1."[..].starts_with(&input[..input.len().min(7)]) {
                    return Poll::Ready(Err(AnswerError::Bad(Refused::Bad("it is not HTTP"))));
                }
            }
            match ready!(self.link.poll_fill(cx, 16 * 1024)) {
                Ok(1..) => {}
                Ok(0) if !self.link.input.is_empty() => {
                    return Poll::Ready(Err(AnswerError::Bad(Refused::Bad("it ends too early"))));
                }
                // What TLS itself has to say; anything else is news of the network.
                Err(error) if error.kind() == io::ErrorKind::InvalidData => {
                    return Poll::Ready(Err(AnswerError::Tls(error)));
                }
                Ok(0) | Err(_) => return Poll::Ready(Err(AnswerError::Closed)),
            }
        }
    }

    /// Sends a piece of a body. Pending until what was sent before is gone; a piece is taken whole.
    pub(crate) fn poll_send(
        &mut self,
        cx: &mut Context<'_>,
        outflow: Outflow,
        data: &[u8],
    ) -> Poll<io::Result<()>> {
        if self.link.has_out() {
            ready!(self.link.poll_flush(cx))?;
        }
        if data.is_empty() {
            return Poll::Ready(Ok(()));
        }
        if outflow == Outflow::Chunked {
            let mut size = [0; chunked::SIZE_ROOM];
            let length = chunked::size_line(
                &mut size,
                u32::try_from(data.len()).map_err(io::Error::other)?,
            );
            self.link
                .out
                .extend_from_slice(&size[chunked::SIZE_ROOM - length..]);
        }
        self.link.out.extend_from_slice(data);
        if outflow == Outflow::Chunked {
            self.link.out.extend_from_slice(b"\r\n");
        }
        // What cannot be written now goes with the next call.
        match self.link.poll_flush(cx) {
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            _ => Poll::Ready(Ok(())),
        }
    }

    /// Puts the body's end after what was sent; `poll_send` with no data writes it. `trailers`: as
    /// lines with an empty one at their end, or nothing.
    pub(crate) fn finish(&mut self, outflow: Outflow, trailers: &[u8]) -> Result<(), Refused> {
        if outflow == Outflow::Chunked {
            chunked::write_end(&mut self.link.out, trailers)?;
        }
        Ok(())
    }

    /// A piece of the answer's body; none at its end.
    pub(crate) fn poll_piece(
        &mut self,
        cx: &mut Context<'_>,
        inflow: &mut Inflow,
    ) -> Poll<Result<Option<Bytes>, AnswerError>> {
        loop {
            if inflow.is_done {
                return Poll::Ready(Ok(None));
            }
            if self.link.input.is_empty() {
                match ready!(self.link.poll_fill(cx, 32 * 1024)) {
                    Ok(1..) => {}
                    Ok(0) if inflow.end() => continue,
                    Ok(0) | Err(_) => return Poll::Ready(Err(AnswerError::Closed)),
                }
            }
            let got = inflow
                .decode(&mut self.link.input)
                .map_err(AnswerError::Bad)?;
            let data = Bytes::copy_from_slice(&self.link.input[..got.data]);
            self.link.used(got.used);
            if !data.is_empty() {
                return Poll::Ready(Ok(Some(data)));
            }
        }
    }

    /// Keeps the connection for another request. Only for one whose answer was read to its end and
    /// lets it; one that has sent more than it should is closed.
    pub(crate) fn give_back(self) {
        if self.link.input.is_empty() && !self.link.has_out() {
            self.pool.put(&self.home, self.link, self.seat);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::TcpListener,
    };

    use super::*;
    use crate::{config::Config, target::Target};

    #[tokio::test]
    async fn a_request_goes_out_and_its_answer_comes_in_piece_by_piece() {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let target = Target::from(listener.local_addr().expect("an address"));
        let serving = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.expect("a connection");
            let mut got = Vec::new();
            while !got.ends_with(b"0\r\nx-sum: 7\r\n\r\n") {
                got.push(stream.read_u8().await.expect("a byte"));
            }
            let answer = "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n";
            stream.write_all(answer.as_bytes()).await.expect("sent");
            (stream, got)
        });
        let config = Config::default();
        let pool = Pool::new(&config, Connector::new(&config));
        assert!(pool.take(&target, false).is_none());
        let mut server = pool.connect(&target).await.expect("it listens");
        let head = b"POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n";
        server.link.out.extend_from_slice(head);
        for piece in [&b"hello"[..], b" world"] {
            poll_fn(|cx| server.poll_send(cx, Outflow::Chunked, piece))
                .await
                .expect("sent");
        }
        server
            .finish(Outflow::Chunked, b"X-Sum: 7\r\nHost: evil\r\n\r\n")
            .expect("readable");
        poll_fn(|cx| server.poll_send(cx, Outflow::Chunked, &[]))
            .await
            .expect("sent");

        let mut answer = Answer::default();
        for status in [100, 200] {
            poll_fn(|cx| server.poll_answer(cx, false, &mut answer))
                .await
                .expect("an answer");
            assert_eq!(answer.status, status);
        }
        let mut inflow = Inflow::new(answer.framing);
        let mut body = Vec::new();
        while let Some(piece) = poll_fn(|cx| server.poll_piece(cx, &mut inflow))
            .await
            .expect("read")
        {
            body.extend_from_slice(&piece);
        }
        assert_eq!(body, b"abcde");
        let (_stream, got) = serving.await.expect("served");
        assert!(got.ends_with(b"\r\n\r\n5\r\nhello\r\n6\r\n world\r\n0\r\nx-sum: 7\r\n\r\n"));
        server.give_back();
        assert!(pool.take(&target, true).is_some_and(|kept| kept.is_reused));
    }
}
