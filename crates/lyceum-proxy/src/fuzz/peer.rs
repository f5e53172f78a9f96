//! hyper's HTTP/1 server over memory, as the reader behind us.

use std::{
    cell::RefCell,
    convert::Infallible,
    future::poll_fn,
    io,
    pin::{Pin, pin},
    rc::Rc,
    task::{Context, Poll, Waker},
};

use hyper::{
    Request, Response,
    body::{Body, Incoming},
    rt::{Read, ReadBufCursor, Write},
    server::conn::http1,
    service::service_fn,
};

/// A request as hyper understood it.
#[derive(Debug)]
pub(super) struct Seen {
    pub(super) method: String,
    pub(super) target: String,
    pub(super) body: Vec<u8>,
    /// Its body came to its end.
    pub(super) is_whole: bool,
}

struct Memory<'a>(&'a [u8]);

impl Read for Memory<'_> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        mut into: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        let (now, later) = self.0.split_at(self.0.len().min(into.remaining()));
        into.put_slice(now);
        self.0 = later;
        Poll::Ready(Ok(()))
    }
}

impl Write for Memory<'_> {
    fn poll_write(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

/// The requests that hyper finds in what comes on one connection, until it refuses one.
pub(super) fn requests(bytes: &[u8]) -> Vec<Seen> {
    let seen: Rc<RefCell<Vec<Seen>>> = Rc::default();
    let service = service_fn(|request: Request<Incoming>| {
        let seen = seen.clone();
        async move {
            let (parts, mut incoming) = request.into_parts();
            let (mut body, mut is_whole) = (Vec::new(), true);
            while let Some(frame) = poll_fn(|cx| Pin::new(&mut incoming).poll_frame(cx)).await {
                match frame {
                    Ok(frame) => body.extend(frame.into_data().unwrap_or_default()),
                    Err(_) => {
                        is_whole = false;
                        break;
                    }
                }
            }
            let target = parts.uri.path_and_query();
            seen.borrow_mut().push(Seen {
                method: parts.method.to_string(),
                target: target.map(ToString::to_string).unwrap_or_default(),
                body,
                is_whole,
            });
            Ok::<_, Infallible>(Response::new(String::new()))
        }
    });
    {
        let mut serving = pin!(
            http1::Builder::new()
                .half_close(true)
                .serve_connection(Memory(bytes), service)
        );
        let mut cx = Context::from_waker(Waker::noop());
        let ends = (0..100_000).any(|_| serving.as_mut().poll(&mut cx).is_ready());
        assert!(ends, "hyper waits although all is there");
    }
    seen.take()
}
