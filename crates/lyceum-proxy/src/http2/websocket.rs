//! WebSockets over HTTP/2 (RFC 8441): the stream as a pair of directions, and the handshake that
//! HTTP/1.1 wants for them.

use std::{
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, Waker, ready},
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::{Buf as _, Bytes};
use h2::{RecvStream, SendStream};
use sha1::{Digest as _, Sha1};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::wire::Seen;

/// The most that is handed to the codec at once.
const PIECE: usize = 16 * 1024;

/// What a server has to answer to; fresh for each tunnel (RFC 6455, section 4.1).
pub(super) fn new_key() -> Result<String, getrandom::Error> {
    let mut nonce = [0; 16];
    getrandom::fill(&mut nonce)?;
    Ok(STANDARD.encode(nonce))
}

/// The proof that a server has read the key (RFC 6455, section 4.2.2).
pub(super) fn accept_of(key: &str) -> String {
    let mut hash = Sha1::new();
    hash.update(key.as_bytes());
    hash.update(b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11");
    STANDARD.encode(hash.finalize())
}

/// A stream that both sides write to as they like.
pub(crate) struct Duplex {
    recv: RecvStream,
    send: SendStream<Bytes>,
    /// Read and not yet taken.
    rest: Bytes,
    /// Whom the codec wakes; asking it on behalf of somebody else would lose that.
    waker: Waker,
    seen: Arc<Seen>,
}

impl std::fmt::Debug for Duplex {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Duplex")
    }
}

impl Duplex {
    pub(super) fn new(recv: RecvStream, send: SendStream<Bytes>, seen: Arc<Seen>) -> Self {
        Self {
            recv,
            send,
            rest: Bytes::new(),
            waker: Waker::noop().clone(),
            seen,
        }
    }

    /// Whether the client has taken the stream back.
    pub(crate) fn is_gone(&mut self) -> bool {
        let mut cx = Context::from_waker(&self.waker);
        self.send.poll_reset(&mut cx).is_ready()
    }

    fn remember(&mut self, cx: &Context<'_>) {
        self.waker.clone_from(cx.waker());
    }
}

impl AsyncRead for Duplex {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let stream = self.get_mut();
        stream.remember(cx);
        while stream.rest.is_empty() {
            match ready!(stream.recv.poll_data(cx)) {
                Some(Ok(data)) => stream.rest = data,
                Some(Err(error)) => return Poll::Ready(Err(io::Error::other(error))),
                None => return Poll::Ready(Ok(())),
            }
        }
        let length = stream.rest.len().min(buf.remaining());
        buf.put_slice(&stream.rest[..length]);
        stream.rest.advance(length);
        // Only now the client may send as much again.
        let flow = stream.recv.flow_control();
        let released = flow.release_capacity(length);
        Poll::Ready(released.map_err(io::Error::other))
    }
}

impl AsyncWrite for Duplex {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let stream = self.get_mut();
        stream.remember(cx);
        if buf.is_empty() {
            return Poll::Ready(Ok(0));
        }
        let (send, seen) = (&mut stream.send, &stream.seen);
        let room = ready!(poll_room(send, seen, cx, buf.len().min(PIECE)))?;
        let length = room.min(buf.len());
        send.send_data(Bytes::copy_from_slice(&buf[..length]), false)
            .map_err(io::Error::other)?;
        Poll::Ready(Ok(length))
    }

    /// The connection's task writes.
    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        let sent = self.get_mut().send.send_data(Bytes::new(), true);
        Poll::Ready(sent.map_err(io::Error::other))
    }
}

/// How much of so many bytes may be sent now; at least one.
pub(super) fn poll_room(
    send: &mut SendStream<Bytes>,
    seen: &Seen,
    cx: &mut Context<'_>,
    length: usize,
) -> Poll<io::Result<usize>> {
    send.reserve_capacity(length);
    loop {
        let room = send.capacity().min(length);
        if room > 0 {
            return seen.poll_turn(cx, room).map(|()| Ok(room));
        }
        match ready!(send.poll_capacity(cx)) {
            Some(Ok(_)) => {}
            Some(Err(error)) => return Poll::Ready(Err(io::Error::other(error))),
            None => return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_proof_is_that_of_the_standard() {
        // The example of RFC 6455, section 1.3.
        let accept = accept_of("dGhlIHNhbXBsZSBub25jZQ==");
        assert_eq!(accept, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
        let (one, other) = (new_key().expect("random"), new_key().expect("random"));
        assert!(one != other && STANDARD.decode(one).expect("base64").len() == 16);
    }
}
