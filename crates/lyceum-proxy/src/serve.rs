//! One HTTP/1 client connection: reads heads, has each request served, and ends well.
//!
//! One task does everything for a connection, its requests one after the other (a client that sends
//! several ahead waits for each answer). While it idles it gives its buffers back. Every end that is
//! not the client's own is a lingering close: what the client still sends is read for a moment,
//! because a socket closed over unread data takes back the answer.

use std::{
    future::poll_fn,
    pin::{Pin, pin},
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use hyper::Response;
use tokio::{io::AsyncWrite, time::Instant};
use tokio_util::sync::{CancellationToken, WaitForCancellationFuture as Drained};

use crate::{
    Inner,
    access_log::{self, Line, Measured},
    alarm::{Alarm, after},
    error_page::{self, Failure},
    exchange,
    fields::Known,
    head::Head,
    http1::{Refused, answer::Answer, framing::Framing, request, scan::Scan},
    http2::{self, PREFACE},
    io::Io,
    link::{Inflow, Link, PIECE},
    listen::{Conn, Speaks},
    metrics::Kind,
    outgoing,
    request::{Ctx, Stop, check, find_way},
    request_id::RequestId,
    upgrade::{Opened, Tunnel},
    upstream::Pool,
};

/// What the connections of one worker share.
#[derive(Debug)]
pub(crate) struct Worker {
    pub(crate) inner: Arc<Inner>,
    pub(crate) pool: Arc<Pool>,
    /// No new requests: what is under way is finished.
    pub(crate) drain: CancellationToken,
}

impl Worker {
    /// Housekeeping until told to stop.
    pub(crate) async fn keep_tidy(&self, stop: CancellationToken) {
        let every = self.pool.tidy_every();
        while tokio::time::timeout(every, stop.cancelled()).await.is_err() {
            self.pool.prune();
            self.inner.tidy();
        }
    }
}

/// After this long an idle connection gives its buffers back.
const KEPT_WARM: Duration = Duration::from_secs(1);
/// How long a closing connection is read, and how long it may be silent meanwhile.
const LINGER: Duration = Duration::from_secs(30);
const LINGER_SILENT: Duration = Duration::from_secs(5);

/// A client's connection and what serving it needs again and again.
pub(crate) struct Client {
    pub(crate) link: Link,
    pub(crate) head: Head,
    pub(crate) answer: Answer,
    pub(crate) alarm: Alarm,
    pub(crate) worker: Arc<Worker>,
    pub(crate) conn: Arc<Conn>,
    /// Some of the present request's body has been taken.
    pub(crate) body_touched: bool,
    /// Nothing was asked on it yet.
    is_new: bool,
    /// Of the present request.
    pub(crate) measured: Measured,
    scan: Scan,
}

/// What is done with the connection after an answer.
pub(crate) enum After {
    Keep,
    /// Nothing more is to come from the client.
    Close,
    /// The client may still be sending.
    Linger,
    /// The answer broke off where a plain close would look like its end.
    Reset,
    Tunnel(Box<Opened>),
}

/// What a connection becomes.
enum End {
    Tunnel(Box<Opened>),
    Http2,
}

enum Next {
    Request,
    /// It speaks HTTP/2.
    Http2,
    Refused(Failure),
    /// The client has gone, or had its time.
    End,
}

/// [`serve`], large as it is, made in its place: on the way into a task it would be copied a few
/// times.
pub(crate) fn on_heap(
    worker: Arc<Worker>,
    io: Io,
    conn: Arc<Conn>,
) -> Pin<Box<impl Future<Output = ()> + Send>> {
    Box::pin(serve(worker, io, conn))
}

pub(crate) async fn serve(worker: Arc<Worker>, io: Io, conn: Arc<Conn>) {
    if conn.speaks == Speaks::Http2 {
        // On the heap, because connections of HTTP/1 would carry room for it.
        return Box::pin(http2::serve(worker, io, conn, Vec::new())).await;
    }
    let (kept, drain) = (conn.clone(), worker.drain.clone());
    let draining = pin!(drain.cancelled());
    // Here and lent to what serves it, so that the task has room for it once.
    let mut client = Client {
        link: Link::new(io),
        head: Head::default(),
        answer: Answer::default(),
        alarm: Alarm::default(),
        worker,
        conn,
        body_touched: false,
        is_new: true,
        measured: Measured::default(),
        scan: Scan::default(),
    };
    let end = tokio::select! {
        biased;
        end = client.run(draining) => end,
        () = kept.kill.cancelled() => None,
    };
    match end {
        // Tasks of their own, which are smaller than this one.
        Some(End::Tunnel(opened)) => {
            let tunnel = Tunnel {
                client: client.link,
                opened,
            };
            drop(kept.tasks.spawn(tunnel.run()));
        }
        Some(End::Http2) => {
            let Client { worker, link, .. } = client;
            let task = http2::serve(worker, link.io, kept.clone(), link.input);
            drop(kept.tasks.spawn(task));
        }
        None => {}
    }
}

impl Client {
    async fn run(&mut self, mut draining: Pin<&mut Drained<'_>>) -> Option<End> {
        loop {
            match self.next_head(draining.as_mut()).await {
                Next::Request => {}
                Next::Http2 => return Some(End::Http2),
                Next::Refused(failure) => {
                    let (id, began) = (RequestId::new(), Instant::now());
                    self.head = Head::default();
                    self.measured = Measured::default();
                    if failure == Failure::HeadersTooLarge {
                        self.worker.inner.metrics.count_limit("headers");
                    }
                    let status = self.answer_failure(&failure, Kind::Proxy, &id, false).await;
                    self.worker.inner.metrics.count_request(Kind::Proxy, status);
                    self.note(Kind::Proxy, began, status, &id, &mut After::Linger);
                    self.linger().await;
                    return None;
                }
                Next::End => return None,
            }
            match self.serve_one().await {
                After::Keep => {}
                After::Close => {
                    self.say_bye().await;
                    return None;
                }
                After::Linger => {
                    self.linger().await;
                    return None;
                }
                After::Reset => {
                    self.link.io.reset_on_close();
                    return None;
                }
                After::Tunnel(opened) => return Some(End::Tunnel(opened)),
            }
        }
    }

    /// Waits for a request and reads its head.
    async fn next_head(&mut self, mut draining: Pin<&mut Drained<'_>>) -> Next {
        let inner = self.worker.inner.clone();
        let (limits, metrics) = (&inner.config.limits, &inner.metrics);
        let mut began = Instant::now();
        let mut was_idle = self.link.input.is_empty();
        self.scan = Scan::default();
        poll_fn(move |cx| {
            loop {
                if !self.link.input.is_empty() {
                    if was_idle {
                        (was_idle, began) = (false, Instant::now());
                    }
                    if self.speaks_http2() {
                        return Poll::Ready(Next::Http2);
                    }
                    match self.try_parse(limits.header_bytes, limits.header_count) {
                        Ok(true) => return Poll::Ready(Next::Request),
                        Ok(false) => {}
                        Err(refused) => return Poll::Ready(Next::Refused(refused.into())),
                    }
                }
                match self.link.poll_fill(cx, PIECE) {
                    Poll::Ready(Ok(1..)) => continue,
                    Poll::Ready(_) => return Poll::Ready(Next::End),
                    Poll::Pending => {}
                }
                let mut deadline = after(began, limits.header_read);
                if self.link.input.is_empty() && draining.as_mut().poll(cx).is_ready() {
                    // Who has just connected may still send a first request.
                    if Instant::now() >= self.conn.first_word_by {
                        return Poll::Ready(Next::End);
                    }
                    deadline = deadline.min(self.conn.first_word_by);
                }
                let warm = after(began, KEPT_WARM);
                let is_warm = self.link.input.is_empty() && self.holds_memory() && warm < deadline;
                let when = if is_warm { warm } else { deadline };
                if self.alarm.poll_at(cx, when).is_pending() {
                    return Poll::Pending;
                }
                if !is_warm {
                    if !self.link.input.is_empty() {
                        metrics.count_limit("header_read");
                    }
                    return Poll::Ready(Next::End);
                }
                self.release();
            }
        })
        .await
    }

    /// Whether its first words are those of HTTP/2, which would be a head of HTTP/1 that nobody
    /// sends.
    fn speaks_http2(&self) -> bool {
        const FIRST: usize = b"PRI * HTTP/2.0\r\n\r\n".len();
        self.is_new
            && self.worker.inner.config.http2.prior_knowledge
            && self.link.input.starts_with(&PREFACE[..FIRST])
    }

    fn try_parse(&mut self, most: usize, most_headers: usize) -> Result<bool, Refused> {
        // One empty line before a request is forgiven (RFC 9112, section 2.2).
        if self.link.input.starts_with(b"\r\n") {
            self.link.used(2);
            self.scan = Scan::default();
        }
        let input = &self.link.input;
        if input
            .first()
            .is_some_and(|first| !first.is_ascii_alphabetic() && *first != b'\r')
        {
            return Err(Refused::Bad("it is not HTTP"));
        }
        match self.scan.find_end(input)? {
            Some(end) if end > most => Err(Refused::TooLarge),
            Some(end) => {
                request::parse(&input[..end], &mut self.head)?;
                if self.head.fields.list.len() > most_headers {
                    return Err(Refused::TooLarge);
                }
                self.link.used(end);
                Ok(true)
            }
            None if input.len() > most => Err(Refused::TooLarge),
            None => Ok(false),
        }
    }

    fn holds_memory(&self) -> bool {
        self.head.fields.text.capacity() > 0
    }

    fn release(&mut self) {
        self.link.release();
        self.head.fields.release();
        self.answer.fields.release();
    }

    pub(crate) fn is_draining(&self) -> bool {
        self.worker.drain.is_cancelled()
    }

    async fn serve_one(&mut self) -> After {
        let began = Instant::now();
        let id = RequestId::new();
        let worker = self.worker.clone();
        let inner = &worker.inner;
        let mut kind = Kind::Proxy;
        (self.body_touched, self.is_new) = (false, false);
        self.measured = Measured::default();
        let is_upgrade = self.head.upgrade().is_some();
        let checked = check(inner, &self.conn, &self.head);
        let is_for_us = matches!(checked, Err(Stop::Answer(_)));
        if !is_for_us {
            inner.metrics.chp.count_begun(is_upgrade);
        }
        let mut found = None;
        let outcome = match checked {
            Err(stop) => Err(stop),
            Ok(()) => {
                let host = self.head.host().unwrap_or_default();
                let host = str::from_utf8(host).unwrap_or_default();
                found = inner.find(host, &self.head);
                match find_way(inner, found.as_ref()) {
                    Err(failure) => Err(failure.into()),
                    Ok(way) => {
                        kind = way.kind;
                        let conn = self.conn.clone();
                        let ctx = Ctx {
                            inner,
                            conn: &conn,
                            id: &id,
                        };
                        match ctx.admit(&way, &self.head, is_upgrade).await {
                            Ok(admitted) => exchange::run(self, &ctx, &way, admitted).await,
                            Err(stop) => Err(stop),
                        }
                    }
                }
            }
        };
        let route_id = found.as_ref().map_or("", |(entry, _)| entry.id.as_str());
        let (status, mut after) = match outcome {
            Ok(served) => served,
            Err(Stop::Answer(answer)) => (answer.status().as_u16(), self.give(&answer, &id).await),
            Err(Stop::Failure(failure)) => {
                let keep = self.skip_body();
                let status = self.answer_failure(&failure, kind, &id, keep).await;
                (status, self.flushed(keep).await)
            }
            Err(Stop::Cut) => {
                tracing::debug!(request = %id, route = route_id, "the client left before its answer");
                (access_log::CLIENT_LEFT, After::Reset)
            }
        };
        let has_left = status == access_log::CLIENT_LEFT && matches!(after, After::Reset);
        if !has_left {
            inner.metrics.count_request(kind, status);
            if !is_for_us {
                inner.metrics.chp.count_proxied(status);
            }
        }
        self.note(kind, began, status, &id, &mut after);
        after
    }

    /// How long it took, and a line in the log.
    fn note(&mut self, kind: Kind, began: Instant, status: u16, id: &RequestId, after: &mut After) {
        let (inner, measured) = (&self.worker.inner, self.measured);
        let line = Line::of(
            inner, &self.conn, &self.head, id, kind, began, status, measured,
        );
        match (line, after) {
            (Some(line), After::Tunnel(opened)) => opened.line = Some(Box::new(line)),
            (Some(line), _) => line.tell(),
            (None, _) => {}
        }
    }

    /// Gives an answer made here.
    async fn give(&mut self, answer: &Response<Bytes>, id: &RequestId) -> After {
        let keep = self.skip_body();
        let (link, conn) = (&mut self.link, &self.conn);
        outgoing::own_answer(&mut link.out, conn, &self.head, answer, id, keep);
        self.flushed(keep).await
    }

    /// Writes the page for a failure; gives its status.
    async fn answer_failure(
        &mut self,
        failure: &Failure,
        kind: Kind,
        id: &RequestId,
        keep: bool,
    ) -> u16 {
        let head = &self.head;
        let accept = head.fields.first(Known::Accept).unwrap_or_default();
        let url = format!("{}{}", head.path(), String::from_utf8_lossy(head.query()));
        let asked = error_page::Asked {
            failure,
            kind,
            url: if url.is_empty() { "/" } else { &url },
            wants_json: error_page::wants_json(accept, head.path()),
            lang: error_page::language(&self.worker.inner, &head.fields),
            is_websocket: head.upgrade().is_some(),
            request_id: id.as_str(),
        };
        // On the heap, because it is large and seldom: every connection would carry room for it.
        let page = Box::pin(error_page::answer(&self.worker.inner, &asked)).await;
        let answer: Response<Bytes> = page.into();
        let (link, conn) = (&mut self.link, &self.conn);
        outgoing::own_answer(&mut link.out, conn, &self.head, &answer, id, keep);
        answer.status().as_u16()
    }

    /// Whether the connection can go on after an answer that does not wait for the request's body:
    /// if the body is here already, it is skipped.
    fn skip_body(&mut self) -> bool {
        if !self.head.keep_alive || self.is_draining() {
            return false;
        }
        let mut inflow = match self.head.framing {
            Framing::None => return true,
            // Already partly read, or its sender waits for a word that did not come.
            _ if self.head.expects_continue => return false,
            framing => Inflow::new(framing),
        };
        if self.body_touched {
            return false;
        }
        match inflow.decode(&mut self.link.input) {
            Ok(got) if got.done => {
                self.link.used(got.used);
                true
            }
            _ => false,
        }
    }

    async fn flushed(&mut self, keep: bool) -> After {
        let idle = self.worker.inner.config.limits.idle;
        let deadline = after(Instant::now(), idle);
        let sent = poll_fn(|cx| match self.link.poll_flush(cx) {
            Poll::Ready(sent) => Poll::Ready(sent.is_ok()),
            Poll::Pending => self.alarm.poll_at(cx, deadline).map(|()| false),
        })
        .await;
        match (sent, keep) {
            (true, true) => After::Keep,
            (true, false) => After::Linger,
            (false, _) => After::Reset,
        }
    }

    /// Sends what waits, says that no more comes, and reads what the client still sends.
    async fn linger(&mut self) {
        let end = after(Instant::now(), LINGER);
        let mut silent = after(Instant::now(), LINGER_SILENT);
        let mut said = false;
        poll_fn(move |cx| {
            loop {
                if !said {
                    match self.poll_say_bye(cx) {
                        Poll::Ready(true) => said = true,
                        Poll::Ready(false) => return Poll::Ready(()),
                        Poll::Pending => {}
                    }
                }
                match self.link.poll_fill(cx, PIECE) {
                    Poll::Ready(Ok(1..)) => {
                        self.link.input.clear();
                        silent = after(Instant::now(), LINGER_SILENT);
                        if Instant::now() < end {
                            continue;
                        }
                        return Poll::Ready(());
                    }
                    Poll::Ready(_) if said => return Poll::Ready(()),
                    Poll::Ready(Err(_)) => return Poll::Ready(()),
                    Poll::Ready(Ok(0)) | Poll::Pending => {}
                }
                return self.alarm.poll_at(cx, silent.min(end));
            }
        })
        .await;
    }

    /// Ends TLS; a plain connection ends by being closed.
    async fn say_bye(&mut self) {
        if matches!(self.link.io, Io::Tls(_)) {
            let until = after(Instant::now(), LINGER_SILENT);
            poll_fn(|cx| match self.poll_say_bye(cx) {
                Poll::Ready(_) => Poll::Ready(()),
                Poll::Pending => self.alarm.poll_at(cx, until),
            })
            .await;
        }
    }

    /// False if nobody is there to say it to.
    fn poll_say_bye(&mut self, cx: &mut Context<'_>) -> Poll<bool> {
        match self.link.poll_flush(cx) {
            Poll::Pending => Poll::Pending,
            Poll::Ready(Err(_)) => Poll::Ready(false),
            Poll::Ready(Ok(())) => Pin::new(&mut self.link.io)
                .poll_shutdown(cx)
                .map(|done| done.is_ok()),
        }
    }
}
