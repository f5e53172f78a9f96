//! An HTTP/2 request and its answer, once it is clear where it goes: both directions at the same
//! time, with the rules of `crate::exchange`.
//!
//! A client that takes its request back ends the connection to the server; a server that breaks off
//! gets the client's stream reset, so that a part never looks like the whole. At most one piece
//! waits here in each direction besides what the codec's windows allow.

use std::{
    future::poll_fn,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use h2::{Reason, SendStream};
use hyper::{
    HeaderMap, Response, StatusCode,
    header::{CONTENT_LENGTH, HeaderName, HeaderValue, STRICT_TRANSPORT_SECURITY},
};
use prometheus_client::metrics::counter::Counter;
use tokio::time::Instant;

use super::{
    stream::{Served, Stream, is_reset},
    websocket::{Duplex, accept_of, poll_room},
};
use crate::{
    activity::Stats,
    alarm::after,
    error_page::Failure,
    error_page::X_REQUEST_ID,
    exchange::{MOST_HINTS, MOST_INTERIM, bad_answer, connect, too_large, too_slow},
    fields::Known,
    http1::{chunked::may_trail, framing::Framing},
    io::Io,
    link::{Inflow, Link, Outflow},
    metrics::Direction,
    outgoing,
    pace::Pace,
    request::{Ctx, Stop, Way},
    upgrade::{Admitted, Gauges, Opened, Tunnel, while_allowed},
    upstream::{AnswerError, Server},
};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Upload {
    Going,
    /// All of it has come; its last bytes are being written.
    Ending,
    Done,
    /// The server takes no more; its answer may still come.
    Broken,
}

/// Why waiting for a head ended without one.
enum Trouble {
    Stop(Stop),
    Server(AnswerError),
}

impl From<Stop> for Trouble {
    fn from(stop: Stop) -> Self {
        Self::Stop(stop)
    }
}

struct Exchange<'a> {
    stream: &'a mut Stream,
    server: Server,
    ctx: &'a Ctx<'a>,
    way: &'a Way<'a>,
    upload: Upload,
    up_as: Outflow,
    up_counter: Counter,
    up_pace: Pace,
    /// Bytes that the request's body may have.
    most: u64,
    began: Instant,
    /// When body data last moved, in either direction.
    moved: Instant,
}

/// Serves it; gives the status and how it ended.
pub(super) async fn run<'w>(
    stream: &mut Stream,
    ctx: &Ctx<'w>,
    way: &Way<'w>,
    admitted: Admitted,
) -> Result<(u16, Served), Stop> {
    if let Framing::Length(length) = stream.head.framing
        && length > ctx.inner.config.limits.body_bytes(way.kind)
    {
        return Err(too_large(ctx));
    }
    let mut way = *way;
    let pool = stream.worker.pool.clone();
    let repeatable = stream.head.is_repeatable();
    let mut kept = match stream.head.upgrade() {
        Some(_) => None,
        None => pool.take(way.target, !repeatable),
    };
    if has_to_be_told(stream) {
        stream.say(StatusCode::CONTINUE, HeaderMap::new());
    }
    loop {
        let server = match kept.take() {
            Some(server) => server,
            None => stream.unless_reset(connect(&pool, ctx, &mut way)).await??,
        };
        let mut exchange = Exchange::new(stream, server, ctx, &way);
        match exchange.head().await {
            Ok(()) => return exchange.finish(admitted).await,
            Err(Trouble::Stop(stop)) => return Err(stop),
            Err(Trouble::Server(error)) => {
                let server = &exchange.server;
                let unsent = !server.link.has_written && !exchange.stream.body_touched;
                let again = server.is_reused
                    && matches!(error, AnswerError::Closed)
                    && (repeatable || unsent);
                if !again {
                    return Err(bad_answer(ctx, &way, &error));
                }
            }
        }
    }
}

/// Whether the client waits for a word before it sends its body. It gets it at once: by its windows
/// no more comes than can be held.
fn has_to_be_told(stream: &Stream) -> bool {
    let mut expects = stream.head.fields.tokens(Known::Expect);
    stream.head.has_body() && expects.any(|token| token.eq_ignore_ascii_case(b"100-continue"))
}

impl Stream {
    /// Does something, unless the client takes its request back meanwhile.
    async fn unless_reset<T>(&mut self, what: impl Future<Output = T>) -> Result<T, Stop> {
        tokio::select! {
            biased;
            done = what => Ok(done),
            _ = poll_fn(|cx| self.respond.poll_reset(cx)) => Err(Stop::Cut),
        }
    }

    /// Whether the client reads nothing at the moment.
    fn is_stuck(&self) -> bool {
        self.open.streams.seen.stuck_since().is_some()
    }

    /// An answer before the answer.
    fn say(&mut self, status: StatusCode, headers: HeaderMap) {
        let mut response = Response::new(());
        *response.status_mut() = status;
        *response.headers_mut() = headers;
        // A stream that has ended meanwhile is noticed by whoever waits for it.
        let _ = self.respond.send_informational(response);
    }
}

impl<'a> Exchange<'a> {
    fn new(stream: &'a mut Stream, mut server: Server, ctx: &'a Ctx<'a>, way: &'a Way<'a>) -> Self {
        server.link.has_written = false;
        outgoing::request_head(&mut server.link.out, ctx, way, &stream.head);
        let framing = stream.head.framing;
        let limits = &ctx.inner.config.limits;
        let now = Instant::now();
        Self {
            up_pace: Pace::of_sender(limits),
            most: limits.body_bytes(way.kind),
            began: now,
            up_as: match framing {
                Framing::Chunked => Outflow::Chunked,
                _ => Outflow::Plain,
            },
            upload: match framing {
                Framing::None => Upload::Ending,
                _ => Upload::Going,
            },
            up_counter: ctx.inner.metrics.bytes(way.kind, Direction::In),
            stream,
            server,
            ctx,
            way,
            moved: now,
        }
    }

    /// Waits for the head of the real answer, and passes on those before it that concern the client.
    async fn head(&mut self) -> Result<(), Trouble> {
        let mut hints = 0;
        for _ in 0..MOST_INTERIM {
            poll_fn(|cx| self.poll_head(cx)).await?;
            match self.stream.answer.status {
                200.. => return Ok(()),
                101 if self.stream.head.upgrade().is_some() => return Ok(()),
                // Nobody asked to change protocols.
                101 => return Err(self.is_bad().into()),
                103 => {
                    hints += self.stream.answer.fields.text.len();
                    // No window holds these back, and they are only hints.
                    let has_room = hints <= MOST_HINTS && !self.stream.is_stuck();
                    if has_room && let Some(headers) = self.headers() {
                        self.stream.say(StatusCode::EARLY_HINTS, headers);
                    }
                }
                _ => {}
            }
        }
        self.ctx.inner.metrics.count_limit("interim");
        Err(self.is_bad().into())
    }

    fn is_bad(&self) -> Stop {
        self.ctx.inner.metrics.count_upstream_error("bad_answer");
        Failure::BadAnswer.into()
    }

    fn poll_head(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Trouble>> {
        loop {
            if self.stream.respond.poll_reset(cx).is_ready() {
                return Poll::Ready(Err(Stop::Cut.into()));
            }
            self.poll_upload(cx)?;
            let to_head = self.stream.head.is_head();
            match self
                .server
                .poll_answer(cx, to_head, &mut self.stream.answer)
            {
                Poll::Ready(Ok(())) => return Poll::Ready(Ok(())),
                Poll::Ready(Err(error)) => return Poll::Ready(Err(Trouble::Server(error))),
                Poll::Pending => {}
            }
            let limits = &self.ctx.inner.config.limits;
            let give_up = after(self.moved, limits.first_byte);
            let stuck = after(self.moved, limits.idle);
            let slow = self.client_deadline();
            let is_going = self.upload == Upload::Going;
            let mut when = give_up.min(slow);
            if is_going {
                when = when.min(stuck);
            }
            if self.stream.alarm.poll_at(cx, when).is_pending() {
                return Poll::Pending;
            }
            let now = Instant::now();
            if now >= slow {
                return Poll::Ready(Err(too_slow(self.ctx).into()));
            }
            if now >= give_up {
                self.ctx.inner.metrics.count_upstream_error("first_byte");
                return Poll::Ready(Err(Stop::from(Failure::TooSlow).into()));
            }
            if is_going && now >= stuck {
                self.ctx.inner.metrics.count_limit("idle");
                return Poll::Ready(Err(Stop::Cut.into()));
            }
        }
    }

    /// When a client that sends too slowly has had its time; far away for any other.
    fn client_deadline(&mut self) -> Instant {
        let waits = self.upload == Upload::Going && !self.server.link.has_out();
        let slow = self.up_pace.wait(waits);
        slow.unwrap_or_else(|| after(self.moved, Duration::MAX))
    }

    /// Sends on what there is of the request.
    fn poll_upload(&mut self, cx: &mut Context<'_>) -> Result<(), Stop> {
        while matches!(self.upload, Upload::Going | Upload::Ending) {
            match self.server.poll_send(cx, self.up_as, &[]) {
                Poll::Pending => return Ok(()),
                Poll::Ready(Ok(())) if self.upload == Upload::Ending => self.upload = Upload::Done,
                Poll::Ready(Ok(())) => match self.poll_piece(cx)? {
                    Poll::Pending => return Ok(()),
                    Poll::Ready(()) => {}
                },
                Poll::Ready(Err(_)) => {
                    self.upload = Upload::Broken;
                    self.stream.recv = None;
                }
            }
        }
        Ok(())
    }

    /// Takes one piece of the request, for which there is room.
    fn poll_piece(&mut self, cx: &mut Context<'_>) -> Result<Poll<()>, Stop> {
        let Some(recv) = &mut self.stream.recv else {
            self.upload = Upload::Broken;
            return Ok(Poll::Ready(()));
        };
        let data = match recv.poll_data(cx) {
            Poll::Pending => return Ok(Poll::Pending),
            Poll::Ready(Some(Err(_))) => return Err(Stop::Cut),
            Poll::Ready(Some(Ok(data))) => data,
            Poll::Ready(None) => {
                let trailers = match recv.poll_trailers(cx) {
                    Poll::Pending => return Ok(Poll::Pending),
                    Poll::Ready(Err(_)) => return Err(Stop::Cut),
                    Poll::Ready(Ok(trailers)) => trailers.map(|map| lines(&map)),
                };
                self.stream.body_touched = true;
                self.server
                    .finish(self.up_as, &trailers.unwrap_or_default())
                    .map_err(Failure::from)?;
                self.upload = Upload::Ending;
                return Ok(Poll::Ready(()));
            }
        };
        self.stream.body_touched = true;
        let length = data.len();
        self.stream.measured.bytes_in += length as u64;
        if self.stream.measured.bytes_in > self.most {
            return Err(too_large(self.ctx));
        }
        self.up_pace.moved(length);
        if let Poll::Ready(Err(_)) = self.server.poll_send(cx, self.up_as, &data) {
            self.upload = Upload::Broken;
            self.stream.recv = None;
            return Ok(Poll::Ready(()));
        }
        // Only now the client may send as much again.
        if recv.flow_control().release_capacity(length).is_err() {
            return Err(Stop::Cut);
        }
        self.moved = Instant::now();
        self.up_counter.inc_by(length as u64);
        if let Some(stats) = self.way.stats {
            stats.touch();
            stats.add_in(length as u64);
        }
        Ok(Poll::Ready(()))
    }

    /// The headers of the answer that pass. None if one cannot be said in HTTP/2.
    fn headers(&self) -> Option<HeaderMap> {
        let Stream { head, answer, .. } = &*self.stream;
        let mut headers = HeaderMap::new();
        for (name, value) in outgoing::answer_fields(self.ctx.inner, self.way, head, answer) {
            let name = HeaderName::from_bytes(name).ok()?;
            headers.append(name, HeaderValue::from_bytes(&value).ok()?);
        }
        let length = match answer.framing {
            Framing::Length(length) => Some(HeaderValue::from(length)),
            Framing::None if answer.status < 200 || answer.status == 204 => None,
            // For HEAD and 304 it is the length of what is not sent.
            Framing::None => answer
                .fields
                .first(Known::ContentLength)
                .and_then(|length| HeaderValue::from_bytes(length).ok()),
            Framing::Chunked | Framing::UntilClose => None,
        };
        if let Some(length) = length {
            headers.insert(CONTENT_LENGTH, length);
        }
        if outgoing::is_final(answer.status) {
            let id = HeaderValue::from_str(self.ctx.id.as_str()).ok()?;
            headers.insert(X_REQUEST_ID, id);
        }
        if let Some(strict) = self.ctx.conn.strict_transport() {
            let strict = HeaderValue::from_bytes(strict.as_bytes()).ok()?;
            headers.insert(STRICT_TRANSPORT_SECURITY, strict);
        }
        Some(headers)
    }

    /// Passes the answer on, or makes a tunnel of stream and connection.
    async fn finish(mut self, admitted: Admitted) -> Result<(u16, Served), Stop> {
        let status = self.stream.answer.status;
        let is_tunnel = self.stream.head.upgrade().is_some();
        if status == 101 {
            return self.into_tunnel(admitted);
        }
        if is_tunnel && status < 300 {
            // To the client a success would mean that the tunnel is open.
            return Err(self.is_bad());
        }
        let is_success = status < 300;
        if is_success && let Some(stats) = self.way.stats {
            stats.touch();
        }
        self.stream.measured.upstream = Some(self.began.elapsed());
        let framing = self.stream.answer.framing;
        let headers = self.headers().ok_or_else(|| self.is_bad())?;
        let has_ended = framing == Framing::None;
        let mut send = self.send_head(status, headers, has_ended)?;
        if !has_ended {
            let stats = self.way.stats.filter(|_| is_success).map(AsRef::as_ref);
            let ctx = self.ctx;
            let body = self.body(&mut send, framing, stats);
            let allowed = while_allowed(ctx, admitted, body).await;
            let sent = allowed.unwrap_or_else(|| {
                ctx.inner.metrics.count_denied("revoked");
                Err(Failure::Denied.into())
            });
            self.stream.measured.ended = Some(self.moved);
            match sent {
                Ok(()) => {}
                Err(Stop::Failure(_) | Stop::Answer(_)) => {
                    send.send_reset(Reason::INTERNAL_ERROR);
                    return Ok((status, Served::Broken));
                }
                Err(Stop::Cut) => {
                    self.ctx.inner.http2.resets.inc();
                    send.send_reset(Reason::CANCEL);
                    return Ok((status, Served::Broken));
                }
            }
        }
        if self.upload == Upload::Done && self.stream.answer.keep_alive {
            self.server.give_back();
        }
        Ok((status, Served::Whole))
    }

    fn send_head(
        &mut self,
        status: u16,
        headers: HeaderMap,
        has_ended: bool,
    ) -> Result<SendStream<Bytes>, Stop> {
        let mut response = Response::new(());
        *response.status_mut() = StatusCode::from_u16(status).map_err(|_| self.is_bad())?;
        *response.headers_mut() = headers;
        let sent = self.stream.respond.send_response(response, has_ended);
        sent.map_err(|_| Stop::Cut)
    }

    /// Passes the answer's body on. A failure is the server's; `Cut` is the client's.
    async fn body(
        &mut self,
        send: &mut SendStream<Bytes>,
        framing: Framing,
        stats: Option<&Stats>,
    ) -> Result<(), Stop> {
        let mut down = Inflow::new(framing);
        let counter = self.ctx.inner.metrics.bytes(self.way.kind, Direction::Out);
        let mut piece = Bytes::new();
        self.moved = Instant::now();
        let mut pace = Pace::of_reader(&self.ctx.inner.config.limits);
        poll_fn(|cx| {
            loop {
                if piece.is_empty() {
                    match self.server.poll_piece(cx, &mut down) {
                        Poll::Pending => {}
                        Poll::Ready(Err(error)) => {
                            if let AnswerError::Bad(refused) = error {
                                self.ctx.inner.metrics.count_refused(refused);
                            }
                            return Poll::Ready(Err(Failure::BadAnswer.into()));
                        }
                        Poll::Ready(Ok(None)) => return Poll::Ready(end(send, down.trailers())),
                        Poll::Ready(Ok(Some(data))) => piece = data,
                    }
                }
                if !piece.is_empty() {
                    let seen = &self.stream.open.streams.seen;
                    match poll_room(send, seen, cx, piece.len()) {
                        Poll::Pending => {}
                        Poll::Ready(Err(_)) => return Poll::Ready(Err(Stop::Cut)),
                        Poll::Ready(Ok(room)) => {
                            let data = piece.split_to(room);
                            let is_last =
                                piece.is_empty() && down.is_done && down.trailers().is_empty();
                            if send.send_data(data, is_last).is_err() {
                                return Poll::Ready(Err(Stop::Cut));
                            }
                            self.moved = Instant::now();
                            pace.moved(room);
                            self.stream.measured.bytes_out += room as u64;
                            counter.inc_by(room as u64);
                            if let Some(stats) = stats {
                                stats.touch();
                                stats.add_out(room as u64);
                            }
                            if is_last {
                                return Poll::Ready(Ok(()));
                            }
                            continue;
                        }
                    }
                }
                if is_reset(send, cx) {
                    return Poll::Ready(Err(Stop::Cut));
                }
                if let Err(stop) = self.poll_upload(cx) {
                    return Poll::Ready(Err(stop));
                }
                let idle = after(self.moved, self.ctx.inner.config.limits.idle);
                let mut slow = self.client_deadline();
                if let Some(reader) = pace.wait(!piece.is_empty()) {
                    slow = slow.min(reader);
                }
                if self.stream.alarm.poll_at(cx, idle.min(slow)).is_pending() {
                    return Poll::Pending;
                }
                let now = Instant::now();
                if now >= slow {
                    return Poll::Ready(Err(too_slow(self.ctx)));
                }
                if now >= idle {
                    self.ctx.inner.metrics.count_limit("idle");
                    return Poll::Ready(Err(Failure::TooSlow.into()));
                }
            }
        })
        .await
    }

    fn into_tunnel(mut self, admitted: Admitted) -> Result<(u16, Served), Stop> {
        let answer = &self.stream.answer.fields;
        let agreed = answer
            .first(Known::Upgrade)
            .is_some_and(|protocol| protocol.eq_ignore_ascii_case(b"websocket"));
        let proof = answer.list.iter().find(|field| {
            let name = answer.at(field.name);
            name == b"sec-websocket-accept"
        });
        let expect = accept_of(&self.stream.key);
        let is_proven = proof.is_some_and(|field| answer.at(field.value) == expect.as_bytes());
        if !agreed || !is_proven {
            return Err(self.is_bad());
        }
        let inner = self.ctx.inner;
        let metrics = &inner.metrics;
        let entered = inner
            .tunnels
            .enter(
                admitted,
                &inner.log,
                metrics.websockets.clone(),
                &self.ctx.conn.kill,
            )
            .ok_or(Failure::Denied)?;
        inner.http2.websockets.inc();
        let gauges = Gauges {
            stats: self.way.stats.cloned(),
            _websocket: self.way.stats.map(Stats::open_websocket),
            bytes_in: metrics.bytes(self.way.kind, Direction::In),
            bytes_out: metrics.bytes(self.way.kind, Direction::Out),
        };
        if let Some(stats) = self.way.stats {
            stats.touch();
        }
        let mut headers = self.headers().ok_or_else(|| self.is_bad())?;
        headers.remove("sec-websocket-accept");
        headers.remove(CONTENT_LENGTH);
        let send = self.send_head(200, headers, false)?;
        let recv = self.stream.recv.take().ok_or(Stop::Cut)?;
        let opened = Box::new(Opened {
            server: self.server,
            inner: Arc::clone(inner),
            _conn: self.ctx.conn.clone(),
            id: *self.ctx.id,
            entered,
            gauges,
            line: None,
        });
        let tunnel = Tunnel {
            client: Link::new(Io::Stream(Box::new(Duplex::new(
                recv,
                send,
                self.stream.open.streams.seen.clone(),
            )))),
            opened,
        };
        Ok((200, Served::Tunnel(Box::new(tunnel))))
    }
}

/// Ends an answer whose last bytes are sent.
fn end(send: &mut SendStream<Bytes>, trailers: &[u8]) -> Result<(), Stop> {
    let sent = match trailers {
        [] => send.send_data(Bytes::new(), true),
        trailers => send.send_trailers(read_trailers(trailers)?),
    };
    sent.map_err(|_| Stop::Cut)
}

/// Those that may pass.
fn read_trailers(lines: &[u8]) -> Result<HeaderMap, Failure> {
    let mut room = [httparse::EMPTY_HEADER; 64];
    let Ok(httparse::Status::Complete((_, list))) = httparse::parse_headers(lines, &mut room)
    else {
        return Err(Failure::BadAnswer);
    };
    let mut trailers = HeaderMap::new();
    for field in list {
        let name = field.name.to_ascii_lowercase();
        if may_trail(&name) {
            let name = HeaderName::from_bytes(name.as_bytes());
            let value = HeaderValue::from_bytes(field.value);
            trailers.append(
                name.map_err(|_| Failure::BadAnswer)?,
                value.map_err(|_| Failure::BadAnswer)?,
            );
        }
    }
    Ok(trailers)
}

/// As lines with an empty one at their end.
fn lines(trailers: &HeaderMap) -> Vec<u8> {
    let mut lines = Vec::new();
    for (name, value) in trailers {
        lines.extend_from_slice(name.as_str().as_bytes());
        lines.extend_from_slice(b": ");
        lines.extend_from_slice(value.as_bytes());
        lines.extend_from_slice(b"\r\n");
    }
    if !lines.is_empty() {
        lines.extend_from_slice(b"\r\n");
    }
    lines
}
