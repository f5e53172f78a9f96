//! One side's connection: its socket, what was read too early, what could not be written yet.
//!
//! Data is read into a buffer that all connections of a thread share and written on at once; only
//! what the other side does not take is kept, at most [`PIECE`] and some. While it waits nothing
//! more is read: that is all the back-pressure there is.

use std::{
    cell::RefCell,
    io,
    pin::Pin,
    task::{Context, Poll, ready},
};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::{
    http1::{
        Refused,
        chunked::{self, Decoded, Decoder, SIZE_ROOM},
        framing::Framing,
    },
    io::Io,
};

/// The most that is read at once.
pub(crate) const PIECE: usize = 64 * 1024;
/// Room before and after for what frames a chunk.
const FRONT: usize = SIZE_ROOM;
const BACK: usize = 8;
/// A head waits for this much body to go along with it.
const ALONG: usize = 16 * 1024;

thread_local! {
    static SCRATCH: RefCell<Box<[u8]>> = RefCell::new(vec![0; FRONT + PIECE + BACK].into());
}

#[derive(Debug)]
pub(crate) struct Link {
    pub(crate) io: Io,
    /// Read and not yet used.
    pub(crate) input: Vec<u8>,
    /// To be written.
    pub(crate) out: Vec<u8>,
    out_at: usize,
    /// Whether anything was written since this was last set.
    pub(crate) has_written: bool,
}

impl Link {
    pub(crate) fn new(io: Io) -> Self {
        Self {
            io,
            input: Vec::new(),
            out: Vec::new(),
            out_at: 0,
            has_written: false,
        }
    }

    pub(crate) fn has_out(&self) -> bool {
        !self.out.is_empty()
    }

    /// Writes what waits.
    pub(crate) fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.out_at < self.out.len() {
            let rest = &self.out[self.out_at..];
            let taken = ready!(Pin::new(&mut self.io).poll_write(cx, rest))?;
            if taken == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.has_written = true;
            self.out_at += taken;
        }
        self.out_at = 0;
        if self.out.capacity() > ALONG {
            self.out = Vec::new();
        } else {
            self.out.clear();
        }
        Pin::new(&mut self.io).poll_flush(cx)
    }

    /// Writes these, or keeps what cannot be written now.
    fn write_or_keep(&mut self, cx: &mut Context<'_>, bytes: &[u8]) -> io::Result<()> {
        let mut at = 0;
        if self.out.is_empty() {
            while at < bytes.len() {
                match Pin::new(&mut self.io).poll_write(cx, &bytes[at..]) {
                    Poll::Ready(taken) => {
                        let taken = taken?;
                        if taken == 0 {
                            return Err(io::ErrorKind::WriteZero.into());
                        }
                        self.has_written = true;
                        at += taken;
                    }
                    Poll::Pending => break,
                }
            }
        }
        self.out.extend_from_slice(&bytes[at..]);
        Ok(())
    }

    /// Reads at most that much more into `input`; 0 at the end.
    pub(crate) fn poll_fill(
        &mut self,
        cx: &mut Context<'_>,
        most: usize,
    ) -> Poll<io::Result<usize>> {
        SCRATCH.with_borrow_mut(|scratch| {
            let most = most.min(PIECE);
            let mut piece = ReadBuf::new(&mut scratch[..most]);
            ready!(Pin::new(&mut self.io).poll_read(cx, &mut piece))?;
            self.input.extend_from_slice(piece.filled());
            Poll::Ready(Ok(piece.filled().len()))
        })
    }

    /// Reads and forgets; ready at the end.
    pub(crate) fn poll_discard(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.input = Vec::new();
        loop {
            let read = ready!(self.poll_fill(cx, PIECE))?;
            self.input.clear();
            if read == 0 {
                return Poll::Ready(Ok(()));
            }
        }
    }

    /// Takes bytes from the beginning of `input`.
    pub(crate) fn used(&mut self, length: usize) {
        if length >= self.input.len() {
            self.input.clear();
        } else {
            self.input.drain(..length);
        }
    }

    /// Gives memory back that an idle connection need not hold.
    pub(crate) fn release(&mut self) {
        if self.input.is_empty() {
            self.input = Vec::new();
        }
        if self.out.is_empty() {
            self.out = Vec::new();
        }
    }
}

/// A body on its way in.
#[derive(Debug)]
pub(crate) struct Inflow {
    kind: Kind,
    pub(crate) is_done: bool,
    /// Some of it, if only its framing, has been taken.
    pub(crate) is_begun: bool,
}

#[derive(Debug)]
enum Kind {
    Length(u64),
    Chunked(Decoder),
    UntilClose,
}

impl Inflow {
    pub(crate) fn new(framing: Framing) -> Self {
        let kind = match framing {
            Framing::None => Kind::Length(0),
            Framing::Length(length) => Kind::Length(length),
            Framing::Chunked => Kind::Chunked(Decoder::default()),
            Framing::UntilClose => Kind::UntilClose,
        };
        Self {
            kind,
            is_done: framing == Framing::None,
            is_begun: false,
        }
    }

    /// Reads on, and moves the data among `input` to its beginning.
    pub(crate) fn decode(&mut self, input: &mut [u8]) -> Result<Decoded, Refused> {
        self.is_begun = true;
        let decoded = match &mut self.kind {
            Kind::Length(left) => {
                let data = (*left).min(input.len() as u64) as usize;
                *left -= data as u64;
                Decoded {
                    used: data,
                    data,
                    done: *left == 0,
                }
            }
            Kind::Chunked(decoder) => decoder.decode(input)?,
            Kind::UntilClose => Decoded {
                used: input.len(),
                data: input.len(),
                done: false,
            },
        };
        self.is_done = decoded.done;
        Ok(decoded)
    }

    /// The connection has ended; whether that is an end of the body too.
    pub(crate) fn end(&mut self) -> bool {
        self.is_done |= matches!(self.kind, Kind::UntilClose);
        self.is_done
    }

    /// As they came, with the empty line at their end; empty if there are none.
    pub(crate) fn trailers(&self) -> &[u8] {
        match &self.kind {
            Kind::Chunked(decoder) => decoder.trailers(),
            _ => &[],
        }
    }
}

/// How a body is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outflow {
    Plain,
    Chunked,
}

/// Which side a body broke on.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Broken {
    /// Its connection ended or failed.
    From,
    /// What came is not a body.
    Unreadable(Refused),
    To,
}

/// Moves what can be moved; ready when all of the body is written. `moved` is told of data, and of
/// nothing (0) when what had waited could be written.
pub(crate) fn poll_pump(
    cx: &mut Context<'_>,
    from: &mut Link,
    inflow: &mut Inflow,
    to: &mut Link,
    outflow: Outflow,
    mut moved: impl FnMut(usize),
) -> Poll<Result<(), Broken>> {
    loop {
        let along = !inflow.is_done
            && !from.input.is_empty()
            && from.input.len() <= ALONG
            && to.out.len() <= ALONG
            && to.out_at == 0;
        if to.has_out() && !along {
            ready!(to.poll_flush(cx)).map_err(|_| Broken::To)?;
            moved(0);
        }
        if inflow.is_done {
            // TLS may hold back what was written.
            return Pin::new(&mut to.io).poll_flush(cx).map_err(|_| Broken::To);
        }
        if poll_piece(cx, from, inflow, to, outflow, &mut moved)?.is_pending() {
            // As above: nothing may be held back while we wait for more.
            let _ = Pin::new(&mut to.io)
                .poll_flush(cx)
                .map_err(|_| Broken::To)?;
            return Poll::Pending;
        }
    }
}

fn poll_piece(
    cx: &mut Context<'_>,
    from: &mut Link,
    inflow: &mut Inflow,
    to: &mut Link,
    outflow: Outflow,
    moved: &mut impl FnMut(usize),
) -> Poll<Result<(), Broken>> {
    SCRATCH.with_borrow_mut(|scratch| {
        let room = &mut scratch[FRONT..FRONT + PIECE];
        let read = if from.input.is_empty() {
            let mut piece = ReadBuf::new(room);
            ready!(Pin::new(&mut from.io).poll_read(cx, &mut piece)).map_err(|_| Broken::From)?;
            piece.filled().len()
        } else {
            let length = from.input.len().min(PIECE);
            room[..length].copy_from_slice(&from.input[..length]);
            from.used(length);
            length
        };
        if read == 0 && !inflow.end() {
            return Poll::Ready(Err(Broken::From));
        }
        let mut got = Decoded::default();
        if read > 0 {
            got = inflow
                .decode(&mut room[..read])
                .map_err(Broken::Unreadable)?;
            if got.used < read {
                let rest = room[got.used..read].iter().copied();
                from.input.splice(0..0, rest);
            }
        }
        moved(got.data);
        let (mut start, mut end) = (FRONT, FRONT + got.data);
        if outflow == Outflow::Chunked {
            if got.data > 0 {
                let mut size = [0; SIZE_ROOM];
                let length = chunked::size_line(&mut size, got.data as u32);
                start -= length;
                scratch[start..FRONT].copy_from_slice(&size[SIZE_ROOM - length..]);
                scratch[end..end + 2].copy_from_slice(b"\r\n");
                end += 2;
            }
            if inflow.is_done && inflow.trailers().is_empty() {
                scratch[end..end + 5].copy_from_slice(b"0\r\n\r\n");
                end += 5;
            }
        }
        to.write_or_keep(cx, &scratch[start..end])
            .map_err(|_| Broken::To)?;
        if outflow == Outflow::Chunked && inflow.is_done && !inflow.trailers().is_empty() {
            chunked::write_end(&mut to.out, inflow.trailers()).map_err(Broken::Unreadable)?;
        }
        Poll::Ready(Ok(()))
    })
}

/// Reads one piece from one side and writes it to the other as it is; gives its length, 0 at the
/// end. Only for when nothing waits to be written.
pub(crate) fn poll_copy(
    cx: &mut Context<'_>,
    from: &mut Link,
    to: &mut Link,
) -> Poll<io::Result<usize>> {
    if !from.input.is_empty() {
        let early = std::mem::take(&mut from.input);
        to.write_or_keep(cx, &early)?;
        return Poll::Ready(Ok(early.len()));
    }
    SCRATCH.with_borrow_mut(|scratch| {
        let mut piece = ReadBuf::new(&mut scratch[..PIECE]);
        ready!(Pin::new(&mut from.io).poll_read(cx, &mut piece))?;
        to.write_or_keep(cx, piece.filled())?;
        Poll::Ready(Ok(piece.filled().len()))
    })
}
